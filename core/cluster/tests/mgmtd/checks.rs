//! What holds for all calls: cluster, administrators, lease, durability, limits, failing stores.

use crate::kit::*;
use flyer_cluster::mgmtd::{Event, Lease, Limits, Options};
use flyer_cluster::store::{Batch, MemoryStore, Store, StoreError, Visit};
use flyer_types::ids::{ChainId, ChainTableId, NodeId};
use flyer_types::{Span, StatusCode, Text, Time, Token, WallTime};
use flyer_wire::msg::common::UserInfo;
use flyer_wire::msg::mgmtd::admin::{RegisterNodeReq, SetChainTableReq, SetNodeTagsReq, SetUniversalTagsReq};
use flyer_wire::msg::mgmtd::node::{MgmtdLeaseInfo, NodeType, PersistentNodeInfo};
use flyer_wire::msg::mgmtd::query::{GetConfigVersionsReq, GetPrimaryMgmtdReq, ListOrphanTargetsReq};
use flyer_wire::msg::mgmtd::routing::LocalTargetState;
use flyer_wire::msg::mgmtd::session::ExtendClientSessionReq;
use flyer_wire::service::mgmtd::Request;
use std::cell::RefCell;
use std::rc::Rc;

/// A store that several managers share, and that fails on demand.
#[derive(Clone, Debug, Default)]
struct SharedStore {
    inner: Rc<RefCell<MemoryStore>>,
    full: Rc<RefCell<bool>>,
}

impl Store for SharedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.borrow().get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.inner.borrow().scan(from, to, visit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if *self.full.borrow() {
            return Err(StoreError::NoSpace);
        }
        self.inner.borrow_mut().commit(batch)
    }
}

fn lease(node: u32, start: i64, trusted_until: Time) -> Lease {
    let primary = PersistentNodeInfo {
        node_id: NodeId(node),
        kind: NodeType::MGMTD,
        ..blank()
    };
    let lease_start = WallTime::from_secs(start);
    Lease {
        info: MgmtdLeaseInfo {
            primary,
            lease_start,
            ..blank()
        },
        trusted_until,
    }
}

fn register(node: u32) -> RegisterNodeReq {
    RegisterNodeReq {
        node_id: NodeId(node),
        kind: NodeType::META,
        ..blank()
    }
}

#[test]
fn requests_for_another_cluster_are_refused_before_all_else() {
    let mut c = Cluster::new(Options {
        authenticate: true,
        ..options()
    });
    let mut waiting = Cluster::waiting(options(), MemoryStore::new());
    for request in one_of_each("other") {
        assert_eq!(
            refused!(c.call(request.clone()), MGMTD_CLUSTER_ID_MISMATCH),
            "Cluster id mismatch"
        );
        refused!(waiting.call(request), MGMTD_CLUSTER_ID_MISMATCH);
    }
}

#[test]
fn administrators_are_asked_for_their_token_if_that_is_configured() {
    let users = [(Text::from("user"), false), (Text::from("admin"), true)];
    let authenticating = Options {
        authenticate: true,
        users: users.into(),
        ..options()
    };
    let mut c = Cluster::new(authenticating);
    let administrative = [4, 6, 8, 9, 10, 13, 14, 15, 16, 20, 22, 23, 24];
    for request in one_of_each(CLUSTER) {
        let method = request.method().0;
        let refused = c
            .call(request)
            .err()
            .is_some_and(|status| status.code == StatusCode::AUTHENTICATION_FAIL);
        assert_eq!(refused, administrative.contains(&method), "method {method}");
    }
    let as_user = |token: &str, node: u32| {
        let user = UserInfo {
            token: Token::new(token.into()),
            ..blank()
        };
        RegisterNodeReq {
            user,
            ..register(node)
        }
    };
    refused!(ask!(c, RegisterNode, as_user("user", 0)), MGMTD_NOT_ADMIN);
    refused!(ask!(c, RegisterNode, as_user("admin", 0)), MGMTD_REGISTER_FAIL);
    ask!(c, RegisterNode, as_user("admin", 100)).unwrap();
}

#[test]
fn a_manager_without_a_lease_says_who_has_it() {
    let mut c = Cluster::waiting(options(), MemoryStore::new());
    // What is wrong without looking at any state is said first; heartbeats are looked at later.
    let wrong_anyway = [4, 8, 11, 15, 19, 22, 24];
    let answer_of_each = |c: &mut Cluster| {
        let others = one_of_each(CLUSTER).into_iter().skip(1);
        let answers = others.filter(|request| !wrong_anyway.contains(&request.method().0));
        answers
            .map(|request| refused!(c.call(request), MGMTD_NOT_PRIMARY))
            .collect::<Vec<_>>()
    };
    let primary = |c: &mut Cluster| {
        let response = ask!(c, GetPrimaryMgmtd, blank::<GetPrimaryMgmtdReq>()).unwrap();
        response.primary.map(|primary| primary.node_id.0)
    };
    for request in one_of_each(CLUSTER)
        .into_iter()
        .filter(|r| wrong_anyway.contains(&r.method().0))
    {
        let method = request.method();
        let status = c.call(request).expect_err("it is wrong");
        assert_ne!(
            status.code,
            StatusCode::MGMTD_NOT_PRIMARY,
            "method {method}: {status}"
        );
    }
    assert!(
        answer_of_each(&mut c).iter().all(String::is_empty),
        "nobody is known"
    );
    assert_eq!(primary(&mut c), None);

    c.lease(Some(lease(2, 1, c.now + Span::from_secs(40))));
    assert!(answer_of_each(&mut c).iter().all(|message| message == "2"));
    assert_eq!(primary(&mut c), Some(2));
    c.pass_secs(39);
    assert_eq!(primary(&mut c), Some(2));
    c.pass_secs(1);
    assert!(
        answer_of_each(&mut c).iter().all(String::is_empty),
        "the lease does not count any more"
    );
    assert_eq!(primary(&mut c), None);
    assert!(c.events.is_empty());
}

#[test]
fn a_lease_makes_primary_and_its_loss_forgets_everything() {
    let mut c = Cluster::waiting(options(), MemoryStore::new());
    let until = |c: &Cluster| c.now + Span::from_secs(40);
    let own = |c: &Cluster, start| Some(lease(OWN.0, start, until(c)));
    c.lease(own(&c, 1));
    assert!(matches!(c.events[..], [Event::BecamePrimary { .. }]));
    let first = c.version();
    c.meta_heartbeat(100).unwrap();
    ask!(
        c,
        ExtendClientSession,
        ExtendClientSessionReq {
            client_id: "x".into(),
            ..extend()
        }
    )
    .unwrap();
    c.pass_secs(30);
    c.lease(own(&c, 1));
    c.pass_secs(30);
    assert_eq!(c.version(), first + 1, "an extended lease changes nothing");
    c.pass_secs(9);
    c.set_chain(7, &[71]).unwrap();
    c.storage_heartbeat(200, &[(71, LocalTargetState::OFFLINE)])
        .unwrap();
    // Its tasks wake it late.
    c.now += Span::from_secs(1);
    c.wake();
    refused!(c.meta_heartbeat(100), MGMTD_NOT_PRIMARY);
    let version = c.version();
    c.pass_secs(100);
    assert_eq!(
        c.version(),
        version,
        "a primary whose lease has run out does nothing"
    );
    c.lease(own(&c, 1));
    c.meta_heartbeat(100).unwrap();

    let version = c.version();
    c.lease(own(&c, 2));
    assert_eq!(c.version(), version + 1, "a new lease starts anew");
    assert_eq!(c.node(100).app.pid, 0, "only its record is known");
    c.lease(None);
    assert_eq!(c.events.last(), Some(&Event::LostPrimary));
    assert!(flyer_types::Machine::poll_timeout(&c.manager).is_none());
    refused!(c.meta_heartbeat(100), MGMTD_NOT_PRIMARY);
    let response = ask!(c, GetPrimaryMgmtd, blank::<GetPrimaryMgmtdReq>()).unwrap();
    assert_eq!(
        response.primary.map(|primary| primary.node_id),
        Some(OWN),
        "by the record, expired or not"
    );
    c.lease(own(&c, 3));
    assert_eq!(c.version(), version + 2);
}

fn extend() -> ExtendClientSessionReq {
    ExtendClientSessionReq {
        kind: NodeType::CLIENT,
        ..blank()
    }
}

#[test]
fn a_write_finds_out_that_another_holds_the_lease() {
    let store = SharedStore::default();
    let mut a = Cluster::over(options(), store.clone(), Time::ZERO);
    a.meta_heartbeat(100).unwrap();
    let second = Options {
        own: app(NodeId(2), "Mgmtd"),
        ..options()
    };
    let mut b = Cluster::over(second, store, Time::ZERO);
    assert_eq!(
        refused!(ask!(a, RegisterNode, register(101)), MGMTD_NOT_PRIMARY),
        "NodeId(2)"
    );
    a.meta_heartbeat(100).unwrap();
    ask!(b, RegisterNode, register(101)).unwrap();
    assert!(b.version() > a.version());
}

#[test]
fn a_failing_store_changes_nothing() {
    let _guard = flyer_types::mark::require(["mgmtd.background_store_failure"]);
    let store = SharedStore::default();
    let full = Rc::clone(&store.full);
    let mut c = Cluster::over(options(), store.clone(), Time::ZERO);
    c.set_chain(7, &[71, 72]).unwrap();
    c.storage_heartbeat(
        200,
        &[(71, LocalTargetState::UPTODATE), (72, LocalTargetState::UPTODATE)],
    )
    .unwrap();
    c.pass_secs(1);
    let before = c.routing();
    *full.borrow_mut() = true;
    refused!(ask!(c, RegisterNode, register(101)), STORAGE_CLIENT_NO_SPACE);
    refused!(c.set_chain(8, &[81]), STORAGE_CLIENT_NO_SPACE);
    refused!(c.meta_heartbeat(100), STORAGE_CLIENT_NO_SPACE);
    assert_eq!(c.routing(), before);
    c.storage_heartbeat(
        200,
        &[(71, LocalTargetState::OFFLINE), (72, LocalTargetState::UPTODATE)],
    )
    .unwrap();
    c.pass_secs(5);
    assert_eq!(c.chain(7).chain_version.0, 1);
    assert!(
        c.events
            .iter()
            .any(|event| matches!(event, Event::StoreFailed { .. }))
    );
    *full.borrow_mut() = false;
    c.pass_secs(1);
    assert_eq!(c.chain(7).chain_version.0, 2, "it is tried again");
    *full.borrow_mut() = true;
    let again = flyer_cluster::mgmtd::Manager::new(options(), store, Time::ZERO, c.wall());
    refused!(again, STORAGE_CLIENT_NO_SPACE);
}

#[test]
fn answers_wait_for_commits() {
    let mut c = Cluster::embedded();
    let durable = |c: &mut Cluster, request: Request| {
        let _ = c.call(request);
        c.durable
    };
    let versions = || {
        let mut request: GetConfigVersionsReq = blank();
        request.cluster_id = CLUSTER.into();
        Request::GetConfigVersions(request)
    };
    assert!(
        durable(&mut c, versions()),
        "the first routing version is only just stored"
    );
    assert!(!durable(&mut c, versions()));
    c.set_chain(7, &[71]).unwrap();
    assert!(c.durable);
    c.pass_secs(2);
    assert_eq!(c.chain(7).chain_version.0, 2);
    assert!(c.durable, "the routing table shows what a task has stored");
    assert!(!durable(&mut c, versions()));
    c.set_chain(7, &[71]).unwrap();
    assert!(!c.durable, "nothing was stored");
}

#[test]
fn full_tables_and_oversized_requests_are_refused() {
    let _guard = flyer_types::mark::require(["mgmtd.full", "mgmtd.too_much", "mgmtd.orphans_forgotten"]);
    let limits = Limits {
        nodes_max: 3,
        app_bytes_max: 200,
        heartbeat_targets_max: 3,
        orphans_max: 3,
        chains_max: 2,
        chain_targets_max: 2,
        chain_tables_max: 1,
        table_chains_max: 2,
        desc_bytes_max: 3,
        sessions_max: 1,
        client_id_bytes_max: 3,
        tags_max: 1,
        tag_bytes_max: 3,
        universal_ids_max: 1,
        universal_id_bytes_max: 3,
        ..Limits::default()
    };
    let mut c = Cluster::new(Options { limits, ..options() });
    nodes_and_targets(&mut c);
    chains_and_tables(&mut c);
    sessions_and_tags(&mut c);
    let version = c.version();
    assert_eq!(c.restart().version(), version + 1);
}

fn nodes_and_targets(c: &mut Cluster) {
    let online = LocalTargetState::ONLINE;
    c.storage_heartbeat(200, &[(1, online), (2, online)]).unwrap();
    c.storage_heartbeat(201, &[(3, online), (4, online)]).unwrap();
    let orphans = ask!(c, ListOrphanTargets, blank::<ListOrphanTargetsReq>())
        .unwrap()
        .targets;
    assert_eq!(orphans.len(), 3, "those beyond are forgotten");
    refused!(
        c.storage_heartbeat(201, &[(3, online), (4, online), (5, online), (6, online)]),
        INVALID_ARG
    );
    refused!(c.meta_heartbeat(100), NOT_ENOUGH_MEMORY);
    refused!(ask!(c, RegisterNode, register(100)), NOT_ENOUGH_MEMORY);
    let info = flyer_wire::msg::mgmtd::node::StorageHeartbeatInfo { targets: vec![] };
    let mut long = c.heartbeat_of(
        200,
        flyer_wire::msg::mgmtd::node::HeartbeatPayload::StorageHeartbeatInfo(info),
    );
    long.info.app.podname = "x".repeat(200).as_str().into();
    refused!(ask!(c, Heartbeat, long), INVALID_ARG);
}

fn chains_and_tables(c: &mut Cluster) {
    refused!(c.set_chain(7, &[71, 72, 73]), INVALID_ARG);
    c.set_chain(7, &[71, 72]).unwrap();
    c.set_chain(8, &[81]).unwrap();
    refused!(c.set_chain(9, &[91]), NOT_ENOUGH_MEMORY);
    c.set_chain(8, &[81]).unwrap();
    let add = |chain: u32, target: u64| flyer_wire::msg::mgmtd::admin::UpdateChainReq {
        chain_id: ChainId(chain),
        target_id: flyer_types::ids::TargetId(target),
        ..blank()
    };
    refused!(ask!(c, UpdateChain, add(7, 73)), NOT_ENOUGH_MEMORY);
    let table = |chains: &[u32], desc: &str| SetChainTableReq {
        chain_table_id: ChainTableId(1),
        chains: chains.iter().map(|chain| ChainId(*chain)).collect(),
        desc: desc.into(),
        ..blank()
    };
    refused!(ask!(c, SetChainTable, table(&[7, 7, 7], "")), INVALID_ARG);
    refused!(ask!(c, SetChainTable, table(&[7], "four")), INVALID_ARG);
    ask!(c, SetChainTable, table(&[7], "")).unwrap();
    refused!(ask!(c, SetChainTable, table(&[8], "")), NOT_ENOUGH_MEMORY);
    ask!(c, SetChainTable, table(&[7], "new")).unwrap();
}

fn sessions_and_tags(c: &mut Cluster) {
    let client = |id: &str| ExtendClientSessionReq {
        client_id: id.into(),
        ..extend()
    };
    refused!(ask!(c, ExtendClientSession, client("four")), INVALID_ARG);
    let mut long = client("one");
    long.data.description = "x".repeat(200).as_str().into();
    refused!(ask!(c, ExtendClientSession, long), INVALID_ARG);
    ask!(c, ExtendClientSession, client("one")).unwrap();
    refused!(ask!(c, ExtendClientSession, client("two")), NOT_ENOUGH_MEMORY);

    let set = |id: &str, tags: &[(&str, &str)]| SetUniversalTagsReq {
        universal_id: id.into(),
        tags: tags.iter().map(|(key, value)| tag(key, value)).collect(),
        ..blank()
    };
    refused!(
        ask!(c, SetUniversalTags, set("one", &[("a", "123")])),
        INVALID_ARG
    );
    refused!(
        ask!(c, SetUniversalTags, set("one", &[("a", ""), ("b", "")])),
        INVALID_ARG
    );
    refused!(ask!(c, SetUniversalTags, set("four", &[("a", "")])), INVALID_ARG);
    ask!(c, SetUniversalTags, set("one", &[("a", "")])).unwrap();
    refused!(
        ask!(c, SetUniversalTags, set("two", &[("a", "")])),
        NOT_ENOUGH_MEMORY
    );
    ask!(c, SetUniversalTags, set("one", &[("b", "")])).unwrap();
    let tags = vec![tag("a", ""), tag("b", "")];
    refused!(
        ask!(
            c,
            SetNodeTags,
            SetNodeTagsReq {
                node_id: NodeId(200),
                tags,
                ..blank()
            }
        ),
        INVALID_ARG
    );
}
