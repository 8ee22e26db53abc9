//! `setUniversalTags`, `getUniversalTags`, `setNodeTags`.

use crate::kit::*;
use flyer_types::Status;
use flyer_types::ids::NodeId;
use flyer_wire::msg::common::TagPair;
use flyer_wire::msg::mgmtd::admin::{SetNodeTagsReq, SetUniversalTagsReq};
use flyer_wire::msg::mgmtd::node::{NodeStatus, SetTagMode};
use flyer_wire::msg::mgmtd::query::GetUniversalTagsReq;

const REPLACE: SetTagMode = SetTagMode::REPLACE;
const UPSERT: SetTagMode = SetTagMode::UPSERT;
const REMOVE: SetTagMode = SetTagMode::REMOVE;

fn set(c: &mut Cluster, id: &str, mode: SetTagMode, tags: &[TagPair]) -> Result<Vec<TagPair>, Status> {
    let request = SetUniversalTagsReq {
        universal_id: id.into(),
        tags: tags.to_vec(),
        mode,
        ..blank()
    };
    ask!(c, SetUniversalTags, request).map(|response| response.tags)
}

fn get(c: &mut Cluster, id: &str) -> Vec<TagPair> {
    let request = GetUniversalTagsReq {
        universal_id: id.into(),
        ..blank()
    };
    ask!(c, GetUniversalTags, request).unwrap().tags
}

#[test]
fn universal_tags_are_replaced_changed_and_removed() {
    let mut c = Cluster::embedded();
    assert_eq!(get(&mut c, "host"), []);
    let (a, b, c1, c2) = (tag("a", "1"), tag("b", "1"), tag("c", "1"), tag("c", "2"));
    let before = c.version();
    assert_eq!(
        set(&mut c, "host", UPSERT, &[b.clone(), a.clone()]).unwrap(),
        [a.clone(), b.clone()]
    );
    let given = [c1, tag("a", "1"), c2.clone()];
    assert_eq!(
        set(&mut c, "host", UPSERT, &given).unwrap(),
        [a.clone(), b.clone(), c2.clone()]
    );
    assert_eq!(c.version(), before + 2);
    assert_eq!(
        set(&mut c, "host", UPSERT, std::slice::from_ref(&b))
            .unwrap()
            .len(),
        3
    );
    assert_eq!(set(&mut c, "host", REMOVE, &[tag("zz", "")]).unwrap().len(), 3);
    assert_eq!(c.version(), before + 2, "no change, no write");
    assert_eq!(
        set(&mut c, "host", REMOVE, &[tag("a", ""), tag("b", "")]).unwrap(),
        [c2]
    );
    assert_eq!(
        set(&mut c, "host", REPLACE, &[b.clone(), a.clone()]).unwrap(),
        [a.clone(), b.clone()]
    );
    assert_eq!(get(&mut c, "other"), []);
    let mut c = c.restart();
    assert_eq!(get(&mut c, "host"), [a, b]);
    assert_eq!(set(&mut c, "host", REPLACE, &[]).unwrap(), []);
    let mut c = c.restart();
    assert_eq!(get(&mut c, "host"), []);
}

#[test]
fn invalid_tags() {
    let mut c = Cluster::embedded();
    refused!(set(&mut c, "host", UPSERT, &[tag("", "1")]), MGMTD_INVALID_TAG);
    refused!(set(&mut c, "host", REMOVE, &[tag("a", "1")]), MGMTD_INVALID_TAG);
    refused!(set(&mut c, "host", SetTagMode(3), &[]), INVALID_ARG);
    refused!(set(&mut c, "", UPSERT, &[tag("a", "1")]), INVALID_ARG);
    assert_eq!(
        set(&mut c, "", UPSERT, &[]).unwrap(),
        [],
        "no change is never a failure"
    );
    assert_eq!(get(&mut c, ""), []);
}

#[test]
fn tags_of_nodes_switch_their_status() {
    let mut c = Cluster::embedded();
    let set = |c: &mut Cluster, node: u32, mode: SetTagMode, tags: &[TagPair]| {
        let request = SetNodeTagsReq {
            node_id: NodeId(node),
            tags: tags.to_vec(),
            mode,
            ..blank()
        };
        ask!(c, SetNodeTags, request).map(|response| response.info)
    };
    refused!(set(&mut c, 100, UPSERT, &[tag("", "")]), MGMTD_INVALID_TAG);
    refused!(set(&mut c, 100, UPSERT, &[]), MGMTD_NODE_NOT_FOUND);
    c.meta_heartbeat(100).unwrap();
    let before = c.version();
    let zone = tag("TrafficZone", "a,b");
    let info = set(&mut c, 100, UPSERT, std::slice::from_ref(&zone)).unwrap();
    assert_eq!(
        (info.status, info.tags),
        (NodeStatus::HEARTBEAT_CONNECTED, vec![zone.clone()])
    );
    assert_eq!(c.version(), before + 1);
    set(&mut c, 100, UPSERT, std::slice::from_ref(&zone)).unwrap();
    assert_eq!(c.version(), before + 1, "no change, no write");
    let info = set(&mut c, 100, UPSERT, &[tag("Disable", "")]).unwrap();
    assert_eq!((info.status, info.tags.len()), (NodeStatus::DISABLED, 2));
    refused!(c.meta_heartbeat(100), MGMTD_HEARTBEAT_FAIL);
    let info = set(&mut c, 100, REMOVE, &[tag("Disable", "")]).unwrap();
    assert_eq!(
        (info.status, info.tags),
        (NodeStatus::HEARTBEAT_CONNECTING, vec![zone.clone()])
    );
    c.meta_heartbeat(100).unwrap();
    assert_eq!(
        c.node(100).tags,
        std::slice::from_ref(&zone),
        "a heartbeat keeps the tags"
    );
    refused!(set(&mut c, OWN.0, UPSERT, &[tag("Disable", "")]), INVALID_ARG);
    let info = set(&mut c, OWN.0, UPSERT, std::slice::from_ref(&zone)).unwrap();
    assert_eq!(info.status, NodeStatus::PRIMARY_MGMTD);
    let mut c = c.restart();
    for node in [OWN.0, 100] {
        assert_eq!(c.node(node).tags, std::slice::from_ref(&zone));
    }
}
