//! `heartbeat`: checks in order, registration, silence, targets.

use crate::kit::*;
use flyer_cluster::mgmtd::{Event, Options};
use flyer_types::ids::{ConfigVersion, HeartbeatVersion, NodeId, TargetId};
use flyer_types::{Span, Text, WallTime};
use flyer_wire::codec::Wire;
use flyer_wire::msg::common::ConfigStatus;
use flyer_wire::msg::mgmtd::admin::{RegisterNodeReq, SetConfigReq};
use flyer_wire::msg::mgmtd::node::{
    HeartbeatPayload, MetaHeartbeatInfo, MgmtdHeartbeatInfo, NodeStatus, NodeType, StorageHeartbeatInfo,
};
use flyer_wire::msg::mgmtd::query::{HeartbeatReq, ListOrphanTargetsReq};
use flyer_wire::msg::mgmtd::routing::{LocalTargetInfo, LocalTargetState, PublicTargetState};

fn meta() -> HeartbeatPayload {
    HeartbeatPayload::MetaHeartbeatInfo(MetaHeartbeatInfo::initial())
}

fn storage(targets: Vec<LocalTargetInfo>) -> HeartbeatPayload {
    HeartbeatPayload::StorageHeartbeatInfo(StorageHeartbeatInfo { targets })
}

#[test]
fn an_unknown_node_registers_itself_if_that_is_allowed() {
    let mut c = Cluster::embedded();
    let before = c.version();
    let mut request = c.heartbeat_of(100, meta());
    request.info.config_status = ConfigStatus::DIRTY;
    ask!(c, Heartbeat, request).unwrap();
    assert_eq!(c.version(), before + 1, "a new node is stored at once");
    let node = c.node(100);
    assert_eq!(
        (node.kind, node.status),
        (NodeType::META, NodeStatus::HEARTBEAT_CONNECTED)
    );
    assert_eq!(
        node.config_status,
        ConfigStatus::NORMAL,
        "the first record does not take it over"
    );
    assert_eq!(node.last_heartbeat_ts, c.wall());
    assert_eq!(node.app, app(NodeId(100), "MetaSerde"));
    let mut request = c.heartbeat_of(100, meta());
    request.info.config_status = ConfigStatus::DIRTY;
    ask!(c, Heartbeat, request).unwrap();
    assert_eq!(c.node(100).config_status, ConfigStatus::DIRTY);
    assert_eq!(c.version(), before + 1, "nothing of the stored part changed");

    let strict = Options {
        allow_heartbeat_from_unregistered: false,
        ..options()
    };
    let mut c = Cluster::new(strict);
    refused!(c.meta_heartbeat(100), MGMTD_HEARTBEAT_FAIL);
    let node = RegisterNodeReq {
        node_id: NodeId(100),
        kind: NodeType::META,
        ..blank()
    };
    ask!(c, RegisterNode, node).unwrap();
    c.meta_heartbeat(100).unwrap();
}

#[test]
fn refused_heartbeats() {
    let mut c = Cluster::embedded();
    refused!(c.meta_heartbeat(0), MGMTD_HEARTBEAT_FAIL);
    refused!(c.meta_heartbeat(OWN.0), MGMTD_HEARTBEAT_FAIL);
    c.meta_heartbeat(100).unwrap();
    refused!(c.storage_heartbeat(100, &[]), MGMTD_HEARTBEAT_FAIL);
    let on = LocalTargetState::ONLINE;
    refused!(
        c.storage_heartbeat(200, &[(1, on), (1, on)]),
        MGMTD_HEARTBEAT_FAIL
    );
    refused!(
        c.storage_heartbeat(200, &[(1, LocalTargetState::INVALID)]),
        MGMTD_HEARTBEAT_FAIL
    );
    refused!(
        c.storage_heartbeat(200, &[(1, LocalTargetState(3))]),
        MGMTD_HEARTBEAT_FAIL
    );
    assert!(
        c.routing().nodes.find(&NodeId(200)).is_none(),
        "a refused heartbeat leaves nothing behind"
    );
}

#[test]
fn the_clock_of_a_node_may_be_off_by_the_window() {
    let mut c = Cluster::embedded();
    let shifted = |c: &mut Cluster, us: i64| {
        let request = c.heartbeat_of(100, meta());
        let timestamp = WallTime::from_us(request.timestamp.us.saturating_add(us));
        ask!(c, Heartbeat, HeartbeatReq { timestamp, ..request })
    };
    shifted(&mut c, 30_000_000).unwrap();
    shifted(&mut c, -30_000_000).unwrap();
    refused!(shifted(&mut c, 30_000_001), MGMTD_HEARTBEAT_FAIL);
    refused!(shifted(&mut c, -30_000_001), MGMTD_HEARTBEAT_FAIL);
    refused!(shifted(&mut c, i64::MAX), MGMTD_HEARTBEAT_FAIL);
    refused!(shifted(&mut c, i64::MIN), MGMTD_HEARTBEAT_FAIL);
    let mut c = Cluster::new(Options {
        heartbeat_timestamp_valid_window: Span::ZERO,
        ..options()
    });
    shifted(&mut c, i64::MIN).unwrap();
}

#[test]
fn a_version_counts_once_until_the_manager_restarts() {
    let mut c = Cluster::embedded();
    let versioned = |c: &mut Cluster, version: u64| {
        let mut request = c.heartbeat_of(100, meta());
        request.info.hb_version = HeartbeatVersion(version);
        ask!(c, Heartbeat, request)
    };
    versioned(&mut c, 109).unwrap();
    assert_eq!(
        refused!(versioned(&mut c, 109), MGMTD_HEARTBEAT_VERSION_STALE),
        "109"
    );
    assert_eq!(
        refused!(versioned(&mut c, 1), MGMTD_HEARTBEAT_VERSION_STALE),
        "109"
    );
    versioned(&mut c, 110).unwrap();
    let mut c = c.restart();
    versioned(&mut c, 1).unwrap();
    refused!(versioned(&mut c, 0), MGMTD_HEARTBEAT_VERSION_STALE);
}

#[test]
fn a_newer_configuration_comes_back() {
    let mut c = Cluster::embedded();
    let set = SetConfigReq {
        node_type: NodeType::META,
        content: "a = 1".into(),
        desc: "d".into(),
        ..blank()
    };
    ask!(c, SetConfig, set).unwrap();
    let knowing = |c: &mut Cluster, version: u64| {
        let mut request = c.heartbeat_of(100, meta());
        request.info.config_version = ConfigVersion(version);
        ask!(c, Heartbeat, request).map(|response| response.config)
    };
    let pushed = knowing(&mut c, 0).unwrap().expect("version 1 is newer");
    assert_eq!(
        (pushed.config_version, pushed.content),
        (ConfigVersion(1), Text::from("a = 1"))
    );
    assert_eq!(knowing(&mut c, 1).unwrap(), None);
    refused!(knowing(&mut c, 2), MGMTD_INVALID_CONFIG_VERSION);
    // The kind of the heartbeat decides, whatever the node is: the version is checked first.
    let mut request = c.heartbeat_of(100, storage(vec![]));
    request.info.config_version = ConfigVersion(1);
    refused!(ask!(c, Heartbeat, request), MGMTD_INVALID_CONFIG_VERSION);
    let mgmtd = HeartbeatPayload::MgmtdHeartbeatInfo(MgmtdHeartbeatInfo::initial());
    let request = c.heartbeat_of(2, mgmtd);
    assert_eq!(ask!(c, Heartbeat, request).unwrap().config, None);
}

#[test]
fn a_silent_node_fails_and_comes_back() {
    let mut c = Cluster::embedded();
    c.meta_heartbeat(100).unwrap();
    let before = c.version();
    c.pass_secs(60);
    assert_eq!(
        c.node(100).status,
        NodeStatus::HEARTBEAT_CONNECTED,
        "60 s are not too long yet"
    );
    c.pass_secs(10);
    assert_eq!(c.node(100).status, NodeStatus::HEARTBEAT_FAILED);
    let failed = Event::NodeStatus {
        node: NodeId(100),
        status: NodeStatus::HEARTBEAT_FAILED,
    };
    assert!(c.events.contains(&failed));
    assert_eq!(
        c.version(),
        before,
        "a mere change of status is published within 5 s"
    );
    c.pass_secs(5);
    assert_eq!(c.version(), before + 1);
    c.pass_secs(500);
    assert_eq!(c.version(), before + 1, "nothing more happens");
    c.meta_heartbeat(100).unwrap();
    assert_eq!(c.node(100).status, NodeStatus::HEARTBEAT_CONNECTED);
    c.pass_secs(5);
    assert_eq!(c.version(), before + 2);
    assert_eq!(
        c.node(OWN.0).status,
        NodeStatus::PRIMARY_MGMTD,
        "the primary is never silent"
    );
}

#[test]
fn targets_are_merged_and_orphans_listed() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[701]).unwrap();
    let up = LocalTargetState::UPTODATE;
    let online = LocalTargetState::ONLINE;
    c.storage_heartbeat(200, &[(701, up), (5, online), (6, up)])
        .unwrap();
    let routing = c.routing();
    let target = routing.targets.find(&TargetId(701)).unwrap();
    assert_eq!((target.local_state, target.node_id), (up, Some(NodeId(200))));
    assert_eq!(
        (target.disk_index, target.used_size, target.chain_id.0),
        (Some(0), 4096, 7)
    );
    assert_eq!(target.public_state, PublicTargetState::SERVING);
    let orphans = |c: &mut Cluster| {
        let listed = ask!(c, ListOrphanTargets, blank::<ListOrphanTargetsReq>()).unwrap();
        listed
            .targets
            .iter()
            .map(|target| (target.target_id.0, target.node_id))
            .collect::<Vec<_>>()
    };
    assert_eq!(orphans(&mut c), [(5, Some(NodeId(200))), (6, Some(NodeId(200)))]);
    c.storage_heartbeat(201, &[(8, online)]).unwrap();
    c.storage_heartbeat(200, &[(701, up), (6, up)]).unwrap();
    assert_eq!(
        orphans(&mut c),
        [(6, Some(NodeId(200))), (8, Some(NodeId(201)))],
        "replaced, per node"
    );
    c.set_chain(8, &[6]).unwrap();
    assert_eq!(orphans(&mut c), [(8, Some(NodeId(201)))]);
}

#[test]
fn news_about_an_older_chain_version_are_ignored() {
    let _guard = flyer_types::mark::require(["mgmtd.stale_target_ignored"]);
    let mut c = Cluster::embedded();
    c.set_chain(7, &[701]).unwrap();
    c.storage_heartbeat(200, &[(701, LocalTargetState::OFFLINE)])
        .unwrap();
    c.pass_secs(1);
    c.storage_heartbeat(200, &[(701, LocalTargetState::ONLINE)])
        .unwrap();
    c.pass_secs(1);
    assert_eq!(c.chain(7).chain_version.0, 3);
    let report = |c: &mut Cluster, version: u32| {
        let request = c.heartbeat_of(200, storage(vec![local(701, LocalTargetState::OFFLINE, version)]));
        ask!(c, Heartbeat, request).unwrap();
        c.routing().targets.find(&TargetId(701)).unwrap().local_state
    };
    assert_eq!(report(&mut c, 2), LocalTargetState::ONLINE);
    assert_eq!(report(&mut c, 3), LocalTargetState::OFFLINE);
    let lax = Options {
        heartbeat_ignore_stale_targets: false,
        ..options()
    };
    let mut c = Cluster::new(lax);
    c.set_chain(7, &[701]).unwrap();
    c.pass_secs(1);
    assert_eq!(report(&mut c, 1), LocalTargetState::OFFLINE);
}

#[test]
fn a_change_of_a_local_state_is_published_within_a_second() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[701]).unwrap();
    c.storage_heartbeat(200, &[(701, LocalTargetState::ONLINE)])
        .unwrap();
    c.pass_secs(2);
    let before = c.version();
    c.storage_heartbeat(200, &[(701, LocalTargetState::ONLINE)])
        .unwrap();
    c.pass_secs(2);
    assert_eq!(c.version(), before, "nothing changed");
    c.storage_heartbeat(200, &[(701, LocalTargetState::UPTODATE)])
        .unwrap();
    assert_eq!(c.version(), before);
    c.pass_secs(1);
    assert_eq!(c.version(), before + 1);
    assert_eq!(c.chain(7).chain_version.0, 1, "the chain stays as it is");
}
