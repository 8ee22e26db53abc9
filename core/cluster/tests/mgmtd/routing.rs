//! `getPrimaryMgmtd`, `getRoutingInfo`.

use crate::kit::*;
use flyer_cluster::mgmtd::Options;
use flyer_types::ids::{NodeId, RoutingVersion};
use flyer_wire::msg::mgmtd::node::{NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::query::{GetPrimaryMgmtdReq, GetRoutingInfoReq};
use flyer_wire::msg::mgmtd::routing::RoutingInfo;

fn behind(c: &mut Cluster, version: u64) -> Option<RoutingInfo> {
    let request = GetRoutingInfoReq {
        routing_info_version: RoutingVersion(version),
        ..blank()
    };
    ask!(c, GetRoutingInfo, request).unwrap().info
}

#[test]
fn the_primary_names_itself_and_where_it_listens() {
    let mut c = Cluster::embedded();
    let primary = ask!(c, GetPrimaryMgmtd, blank::<GetPrimaryMgmtdReq>())
        .unwrap()
        .primary
        .expect("itself");
    assert_eq!((primary.node_id, primary.kind), (OWN, NodeType::MGMTD));
    assert_eq!(primary.service_groups, app(OWN, "Mgmtd").service_groups);
    let own = c.node(OWN.0);
    assert_eq!(
        (own.kind, own.status),
        (NodeType::MGMTD, NodeStatus::PRIMARY_MGMTD)
    );
    assert_eq!(own.app, app(OWN, "Mgmtd"));
}

#[test]
fn everything_or_nothing() {
    let mut c = Cluster::embedded();
    c.meta_heartbeat(100).unwrap();
    let version = c.version();
    assert!(version > 1);
    assert_eq!(behind(&mut c, version), None);
    let ahead = GetRoutingInfoReq {
        routing_info_version: RoutingVersion(version + 1),
        ..blank()
    };
    refused!(ask!(c, GetRoutingInfo, ahead), MGMTD_INVALID_ROUTING_INFO_VERSION);
    for known in [0, 1, version - 1] {
        let info = behind(&mut c, known).expect("everything");
        assert_eq!(info.routing_info_version.0, version);
        assert_eq!(info.nodes.0.len(), 2);
    }
}

#[test]
fn a_snapshot_is_kept_for_its_version_and_zero_asks_for_a_fresh_one() {
    let mut c = Cluster::embedded();
    c.meta_heartbeat(100).unwrap();
    let heard = |info: Option<RoutingInfo>| info.unwrap().nodes.find(&NodeId(100)).unwrap().last_heartbeat_ts;
    let first = heard(behind(&mut c, 1));
    c.pass_secs(5);
    c.meta_heartbeat(100).unwrap();
    assert_eq!(
        heard(behind(&mut c, 1)),
        first,
        "what changes without a version may be old"
    );
    assert_eq!(heard(behind(&mut c, 0)), c.wall());
    assert_eq!(heard(behind(&mut c, 1)), c.wall());
    c.pass_secs(5);
    c.meta_heartbeat(100).unwrap();
    c.set_chain(7, &[701]).unwrap();
    assert_eq!(
        heard(behind(&mut c, 1)),
        c.wall(),
        "another version, another snapshot"
    );

    let mut c = Cluster::new(Options {
        enable_routinginfo_cache: false,
        ..options()
    });
    c.meta_heartbeat(100).unwrap();
    behind(&mut c, 1);
    c.pass_secs(5);
    c.meta_heartbeat(100).unwrap();
    assert_eq!(heard(behind(&mut c, 1)), c.wall());
}
