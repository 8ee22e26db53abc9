//! What survives a restart, and what a manager makes of a damaged store.

use crate::kit::*;
use flyer_cluster::mgmtd::{Manager, Options};
use flyer_cluster::store::{Batch, MemoryStore, Store};
use flyer_types::ids::{ChainId, ChainTableId, ChainVersion, NodeId, TargetId};
use flyer_types::{Status, Time, WallTime};
use flyer_wire::codec::{Wire, decode, encode_to_vec};
use flyer_wire::msg::mgmtd::admin::{SetChainTableReq, UpdateChainMode, UpdateChainReq};
use flyer_wire::msg::mgmtd::node::{MgmtdLeaseInfo, NodeStatus, PersistentNodeInfo};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, ChainTargetInfo, LocalTargetState, PublicTargetState, TargetInfo,
};

#[test]
fn the_routing_version_starts_above_the_stored_one() {
    let mut c = Cluster::embedded();
    assert_eq!(c.version(), 1);
    c.set_chain(7, &[71]).unwrap();
    for restarts in 1..5 {
        c = c.restart();
        assert_eq!(c.version(), 2 + restarts);
    }
}

#[test]
fn nodes_chains_and_tables_come_back() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[71, 72]).unwrap();
    c.set_chain(8, &[81, 82]).unwrap();
    let chains = vec![ChainId(8), ChainId(7)];
    let table = SetChainTableReq {
        chain_table_id: ChainTableId(1),
        chains,
        desc: "d".into(),
        ..blank()
    };
    ask!(c, SetChainTable, table).unwrap();
    c.meta_heartbeat(100).unwrap();
    let up = LocalTargetState::UPTODATE;
    c.storage_heartbeat(
        200,
        &[(71, up), (72, up), (81, up), (82, LocalTargetState::OFFLINE)],
    )
    .unwrap();
    c.pass_secs(2);
    let before = c.routing();
    let mut c = c.restart();
    let after = c.routing();
    assert_eq!(
        (&after.chains, &after.chain_tables),
        (&before.chains, &before.chain_tables)
    );
    assert_eq!(
        c.states(8),
        [(81, PublicTargetState::SERVING), (82, PublicTargetState::OFFLINE)]
    );
    let node = after.nodes.find(&NodeId(100)).unwrap();
    assert_eq!((node.status, node.app.pid), (NodeStatus::HEARTBEAT_CONNECTING, 0));
    assert_eq!(
        node.app.service_groups,
        app(NodeId(100), "MetaSerde").service_groups
    );
    let target = after.targets.find(&TargetId(71)).unwrap();
    assert_eq!(
        (target.local_state, target.used_size),
        (LocalTargetState::OFFLINE, 0),
        "kept in memory only"
    );
    assert_eq!((target.node_id, target.disk_index), (Some(NodeId(200)), Some(0)));
    c.pass_secs(80);
    assert_eq!(
        c.node(100).status,
        NodeStatus::HEARTBEAT_FAILED,
        "it counts from the load on"
    );
}

#[test]
fn locations_of_targets_are_stored_in_batches() {
    let mut c = Cluster::new(Options {
        target_info_persist_batch: 2,
        ..options()
    });
    c.set_chain(7, &[71, 72, 73]).unwrap();
    let on = LocalTargetState::ONLINE;
    c.storage_heartbeat(200, &[(71, on), (72, on), (73, on)]).unwrap();
    let stored = |c: &mut Cluster| {
        let mut stored = Vec::new();
        let store = c.manager.inner_mut().store_mut();
        store
            .scan(b"TGIF", b"TGIG", &mut |key, value| {
                let info: TargetInfo = decode(value).unwrap();
                assert_eq!(key[4..], info.target_id.0.to_be_bytes());
                stored.push((info.target_id.0, info.node_id));
                true
            })
            .unwrap();
        stored
    };
    assert_eq!(stored(&mut c), []);
    c.pass_secs(1);
    assert_eq!(stored(&mut c).len(), 2);
    c.pass_secs(1);
    assert_eq!(
        stored(&mut c),
        [71, 72, 73].map(|target| (target, Some(NodeId(200))))
    );
    c.storage_heartbeat(201, &[(73, LocalTargetState::OFFLINE)])
        .unwrap();
    c.pass_secs(1);
    assert_eq!(stored(&mut c)[2], (73, Some(NodeId(201))));
    let (chain_id, target_id, mode) = (ChainId(7), TargetId(73), UpdateChainMode::REMOVE);
    ask!(
        c,
        UpdateChain,
        UpdateChainReq {
            chain_id,
            target_id,
            mode,
            ..blank()
        }
    )
    .unwrap();
    assert_eq!(stored(&mut c).len(), 2);
}

#[test]
fn the_manager_stores_itself_and_its_lease() {
    let mut c = Cluster::embedded();
    let read = |c: &mut Cluster, key: &[u8]| c.manager.inner_mut().store_mut().get(key).unwrap();
    let lease: MgmtdLeaseInfo = decode(&read(&mut c, b"SINGMgmtdLease").unwrap()).unwrap();
    assert_eq!((lease.primary.node_id, lease.lease_start), (OWN, c.wall()));
    assert_eq!(
        read(&mut c, b"SINGRoutingInfoVersion"),
        Some(1u64.to_le_bytes().to_vec())
    );
    let own: PersistentNodeInfo = decode(&read(&mut c, b"NODE\x01\0\0\0").unwrap()).unwrap();
    assert_eq!(own.service_groups, app(OWN, "Mgmtd").service_groups);
    let mut moved = options();
    moved.own.hostname = "other".into();
    let mut c = Cluster::over(moved, c.manager.into_inner().into_store(), Time::ZERO);
    let own: PersistentNodeInfo = decode(&read(&mut c, b"NODE\x01\0\0\0").unwrap()).unwrap();
    assert_eq!(own.hostname.as_bytes(), b"other");
}

#[test]
fn a_manager_needs_a_node_id() {
    let nameless = Options {
        own: app(NodeId(0), "Mgmtd"),
        ..options()
    };
    let opened = Manager::new(nameless, MemoryStore::new(), Time::ZERO, WallTime::default());
    refused!(opened, INVALID_CONFIG);
}

/// What a manager says about a store with these entries.
fn open<const N: usize>(entries: [(&[u8], Vec<u8>); N]) -> Result<(), Status> {
    let mut store = MemoryStore::new();
    let entry = |(key, value): (&[u8], Vec<u8>)| (key.to_vec(), Some(value));
    store.commit(Batch::from(entries.map(entry))).unwrap();
    Manager::new(options(), store, Time::ZERO, WallTime::default()).map(drop)
}

#[test]
fn damaged_records_are_errors() {
    let state = |target: u64, public_state| ChainTargetInfo {
        target_id: TargetId(target),
        public_state,
    };
    let chain = |id: u32, version: u32, targets: Vec<ChainTargetInfo>| {
        let (chain_id, chain_version) = (ChainId(id), ChainVersion(version));
        encode_to_vec(&ChainInfo {
            chain_id,
            chain_version,
            targets,
            preferred_target_order: vec![],
        })
    };
    let serving = || vec![state(1, PublicTargetState::SERVING)];
    let lastsrv = |target| state(target, PublicTargetState::LASTSRV);
    let (seven, eight) = (&b"CHIF\x07\0\0\0"[..], &b"CHIF\x08\0\0\0"[..]);
    open([]).unwrap();
    open([(seven, chain(7, 1, serving()))]).unwrap();
    let table = ChainTable {
        chain_table_id: ChainTableId(1),
        chains: vec![ChainId(7)],
        ..ChainTable::initial()
    };
    let damaged = [
        open([(b"SINGRoutingInfoVersion", vec![1])]),
        open([(b"NODE\x02\0\0\0", vec![0xff])]),
        open([(b"NODE\x02\0\0\0", encode_to_vec(&PersistentNodeInfo::initial()))]),
        open([(b"NODE\0\0\0\0", encode_to_vec(&PersistentNodeInfo::initial()))]),
        open([(eight, chain(7, 1, serving()))]),
        open([(seven, chain(7, 0, serving()))]),
        open([(seven, chain(7, 1, vec![]))]),
        open([(seven, chain(7, 1, vec![state(1, PublicTargetState(3))]))]),
        open([(seven, chain(7, 1, vec![lastsrv(1), lastsrv(2)]))]),
        open([(
            seven,
            chain(7, 1, vec![state(1, PublicTargetState::SERVING), lastsrv(2)]),
        )]),
        open([(
            seven,
            chain(7, 1, vec![state(1, PublicTargetState::OFFLINE), lastsrv(2)]),
        )]),
        open([(seven, chain(7, 1, [serving(), serving()].concat()))]),
        open([(seven, chain(7, 1, serving())), (eight, chain(8, 1, serving()))]),
        open([(b"CHIT\x01\0\0\0\0\0\0\0", encode_to_vec(&table))]),
        open([(b"UTGSx", vec![0xff])]),
    ];
    for result in damaged {
        refused!(result, DATA_CORRUPTION);
    }
}
