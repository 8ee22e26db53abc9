//! Metadata calls: one uuid per call, failover, what happens to cancelled and failed opens, the background, the limits; and a random
//! run in which every call ends in time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect makes it panic"
)]

use flyer_client::meta::{In, MetaCalls, Options, Out, Selection};
use flyer_client::routing::RoutingView;
use flyer_types::ids::{CallId, InodeId, NodeId, RoutingVersion, Uuid};
use flyer_types::{Checked, Effects, Machine, Rng, Span, Status, StatusCode, Text, Time};
use flyer_wire::codec::{Map, Wire};
use flyer_wire::msg::common::ClientId;
use flyer_wire::msg::meta::attr::{StatFsReq, StatFsRsp, TestRpcRsp};
use flyer_wire::msg::meta::call::SessionInfo;
use flyer_wire::msg::meta::file::{CloseReq, CloseRsp, OpenReq, OpenRsp, PruneSessionRsp};
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::service::meta::{Request, Response};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CLIENT: Uuid = Uuid([7; 16]);
const SESSION: Uuid = Uuid([8; 16]);

#[derive(Clone, Debug)]
struct Sent {
    call: CallId,
    node: NodeId,
    request: Request,
    deadline: Time,
}

struct World {
    meta: Checked<MetaCalls<u32>>,
    now: Time,
    sent: Vec<Sent>,
    done: BTreeMap<u32, Result<Response, StatusCode>>,
    dropped: Vec<(Request, StatusCode)>,
    routing_wanted: u32,
}

fn routing(nodes: &[u32]) -> Arc<RoutingView> {
    let mut info = RoutingInfo::initial();
    info.routing_info_version = RoutingVersion(1);
    info.nodes = Map::from_pairs(nodes.iter().map(|id| {
        let mut node = NodeInfo::initial();
        (node.kind, node.status) = (NodeType::META, NodeStatus::HEARTBEAT_CONNECTED);
        (NodeId(*id), node)
    }));
    Arc::new(RoutingView::new(info))
}

fn stat_fs() -> Request {
    Request::StatFs(StatFsReq::initial())
}

fn open() -> Request {
    let mut open = OpenReq::initial();
    let client = ClientId {
        uuid: Uuid::ZERO,
        hostname: Text::default(),
    };
    open.session = Some(SessionInfo {
        client,
        session: SESSION,
    });
    open.base.user.uid = 1000.into();
    Request::Open(open)
}

fn close() -> Request {
    Request::Close(CloseReq::initial())
}

/// The answer to a request that works.
fn works(request: &Request) -> Response {
    match request {
        Request::StatFs(_) => Response::StatFs(StatFsRsp::initial()),
        Request::Open(_) => {
            let mut rsp = OpenRsp::initial();
            rsp.stat.id = InodeId(77);
            Response::Open(rsp)
        }
        Request::Close(_) => Response::Close(CloseRsp::initial()),
        Request::PruneSession(_) => Response::PruneSession(PruneSessionRsp::initial()),
        Request::TestRpc(_) => Response::TestRpc(TestRpcRsp::initial()),
        other => panic!("{other:?}"),
    }
}

fn uuid(request: &Request) -> Uuid {
    match request {
        Request::StatFs(r) => r.base.uuid,
        Request::Open(r) => r.base.uuid,
        Request::Close(r) => r.base.uuid,
        Request::PruneSession(r) => r.base.uuid,
        Request::TestRpc(r) => r.base.uuid,
        other => panic!("{other:?}"),
    }
}

impl World {
    fn new(options: Options) -> Self {
        let mut world = Self::without_servers(options, 1);
        world.put(In::Routing(routing(&[1, 2, 3])));
        world
    }

    fn without_servers(options: Options, seed: u64) -> Self {
        let client = ClientId {
            uuid: CLIENT,
            hostname: Text::from("host"),
        };
        Self {
            meta: Checked::new(MetaCalls::new(options, client, Rng::from_seed(seed))),
            now: Time::ZERO,
            sent: Vec::new(),
            done: BTreeMap::new(),
            dropped: Vec::new(),
            routing_wanted: 0,
        }
    }

    fn put(&mut self, input: In<u32>) {
        let mut out = Effects::new();
        self.meta.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, mut out: Effects<Out<u32>>) {
        for effect in out.drain() {
            match effect {
                Out::Call {
                    call,
                    node,
                    request,
                    deadline,
                } => {
                    assert!(deadline > self.now);
                    self.sent.push(Sent {
                        call,
                        node,
                        request,
                        deadline,
                    });
                }
                Out::Done { op, answer } => {
                    let before = self.done.insert(op, answer.map_err(|status| status.code));
                    assert!(before.is_none(), "call {op} ended twice");
                }
                Out::Dropped { request, status } => self.dropped.push((request, status.code)),
                Out::RoutingWanted => self.routing_wanted += 1,
            }
        }
    }

    fn wake(&mut self) {
        self.now = self.now.max(self.meta.poll_timeout().unwrap().0);
        let mut out = Effects::new();
        self.meta.handle_timeout(self.now, &mut out);
        self.take(out);
    }

    fn start(&mut self, op: u32, request: Request) {
        self.put(In::Start { op, request });
    }

    /// Answers the oldest call under way.
    fn answer(&mut self, answer: Result<(), StatusCode>) -> Sent {
        let sent = self.sent.remove(0);
        let answer = answer.map(|()| works(&sent.request)).map_err(Status::from);
        self.put(In::Answer {
            call: sent.call,
            answer,
        });
        sent
    }

    /// Wakes until a call is made.
    fn until_sent(&mut self) {
        while self.sent.is_empty() {
            self.wake();
        }
    }
}

#[test]
fn a_call_keeps_its_uuid_and_leaves_a_server_that_failed() {
    let _guard = flyer_types::mark::require(["client.meta_failover", "client.meta_probe"]);
    let mut world = World::new(Options::default());
    world.start(1, stat_fs());
    let first = world.answer(Err(StatusCode::RPC_TIMEOUT));
    world.until_sent();
    let second = world.answer(Err(StatusCode::META_BUSY));
    world.until_sent();
    let third = world.answer(Ok(()));
    assert!(matches!(world.done[&1], Ok(Response::StatFs(_))));
    assert_ne!(first.node, second.node, "it failed");
    assert_eq!(second.node, third.node, "it was only busy");
    assert!(!uuid(&first.request).is_zero());
    assert_eq!(first.request, second.request);
    assert_eq!(second.request, third.request);
    let Request::StatFs(r) = &first.request else {
        panic!()
    };
    assert_eq!((r.base.client.uuid, r.base.forward), (CLIENT, NodeId(0)));
    assert_eq!(world.routing_wanted, 1);
    // The next call goes elsewhere, too, until a probe says that the server is back.
    world.start(2, stat_fs());
    let next = world.answer(Ok(()));
    assert_eq!(next.node, third.node);
    assert_ne!(uuid(&next.request), uuid(&first.request));
    world.until_sent();
    let probe = world.answer(Ok(()));
    assert!(matches!(probe.request, Request::TestRpc(_)) && probe.node == first.node);
    world.start(3, stat_fs());
    assert_eq!(
        world.answer(Ok(())).node,
        first.node,
        "back to the server it prefers"
    );
    assert_eq!(world.meta.poll_timeout(), None);
}

#[test]
fn final_and_permanent_answers_are_told_at_once() {
    let codes = [
        StatusCode::META_NOT_FOUND,
        StatusCode::META_NO_LOCK,
        StatusCode::READ_ONLY_MODE,
        StatusCode::RPC_INVALID_METHOD_ID,
    ];
    let mut world = World::new(Options::default());
    for (op, code) in (1..).zip(codes) {
        world.start(op, stat_fs());
        world.answer(Err(code));
        assert_eq!(world.done[&op], Err(code));
    }
    world.start(9, stat_fs());
    let sent = world.sent.remove(0);
    world.put(In::Answer {
        call: sent.call,
        answer: Ok(works(&close())),
    });
    assert!(
        !world.done.contains_key(&9),
        "an answer to something else is none"
    );
}

#[test]
fn a_call_ends_with_the_last_error_when_its_time_is_over() {
    let mut world = World::new(Options::default());
    world.start(1, stat_fs());
    let mut attempts = 0;
    while world.done.is_empty() {
        world.until_sent();
        world.now = world.sent[0].deadline;
        world.answer(Err(StatusCode::RPC_TIMEOUT));
        attempts += 1;
        while world.done.is_empty() && world.sent.is_empty() {
            world.wake();
            world
                .sent
                .retain(|sent| !matches!(sent.request, Request::TestRpc(_)));
        }
    }
    assert_eq!(world.done[&1], Err(StatusCode::RPC_TIMEOUT));
    assert!(world.now <= Time::ZERO + Span::from_secs(60), "{}", world.now);
    assert!((10..40).contains(&attempts), "{attempts} attempts");
}

#[test]
fn without_servers_calls_wait_for_the_routing() {
    let mut world = World::without_servers(Options::default(), 1);
    world.start(1, stat_fs());
    world.put(In::Background(close()));
    assert!(world.sent.is_empty() && world.routing_wanted == 2);
    for _ in 0..12 {
        world.wake();
    }
    world.put(In::Routing(routing(&[])));
    assert!(world.sent.is_empty());
    world.put(In::Routing(routing(&[4])));
    let before = world.now;
    world.until_sent();
    assert_eq!(world.now, before, "at once");
    world.answer(Ok(()));
    world.until_sent();
    assert!(matches!(world.answer(Ok(())).request, Request::Close(_)));
    assert!(world.meta.inner().is_idle());
}

#[test]
fn a_cancelled_open_that_works_is_closed_again() {
    let _guard = flyer_types::mark::require(["client.cancelled_open_closed"]);
    let mut world = World::new(Options::default());
    world.start(1, open());
    world.put(In::Cancel(1));
    world.answer(Ok(()));
    let Request::Close(close) = &world.sent[0].request else {
        panic!("{:?}", world.sent)
    };
    let session = close.session.clone().unwrap();
    assert_eq!(
        (close.inode, session.session, session.client.uuid),
        (InodeId(77), SESSION, CLIENT)
    );
    assert_eq!(close.base.user.uid.0, 1000);
    world.answer(Ok(()));
    assert!(world.done.is_empty() && world.meta.inner().is_idle());
    // Cancelled while it waits for its next attempt, after one that may have worked.
    world.start(2, open());
    world.answer(Err(StatusCode::RPC_TIMEOUT));
    world.put(In::Cancel(2));
    world.put(In::Cancel(2));
    world.until_sent();
    while matches!(world.sent[0].request, Request::TestRpc(_)) {
        world.answer(Ok(()));
        world.until_sent();
    }
    let Request::PruneSession(prune) = &world.sent[0].request else {
        panic!("{:?}", world.sent)
    };
    assert_eq!((prune.client.uuid, &prune.sessions[..]), (CLIENT, &[SESSION][..]));
    assert!(world.done.is_empty());
}

#[test]
fn a_failed_open_that_may_have_worked_is_pruned_and_others_are_not() {
    let _guard = flyer_types::mark::require(["client.session_pruned"]);
    let mut options = Options::default();
    options.retry.attempts_max = Some(1);
    options.prune_sessions_max = 2;
    let mut world = World::new(options);
    for (op, code) in [
        (1, StatusCode::RPC_SEND_FAILED),
        (2, StatusCode::META_NOT_FOUND),
        (3, StatusCode::RPC_TIMEOUT),
    ] {
        world.start(op, open());
        world.answer(Err(code));
        assert_eq!(world.done[&op], Err(code));
        assert!(world.sent.is_empty());
    }
    world.start(4, open());
    world.answer(Err(StatusCode::RPC_SOCKET_CLOSED));
    let Request::PruneSession(prune) = &world.sent[0].request else {
        panic!("{:?}", world.sent)
    };
    assert_eq!(
        prune.sessions, [SESSION; 2],
        "together, as soon as there are enough"
    );
}

#[test]
fn the_background_goes_on_for_ever_with_the_same_uuid() {
    let _guard = flyer_types::mark::require(["client.background_retried"]);
    let mut world = World::new(Options::default());
    world.put(In::Background(close()));
    let mut uuids = BTreeSet::new();
    for _ in 0..500 {
        let sent = world.answer(Err(StatusCode::RPC_CONNECT_FAILED));
        if matches!(sent.request, Request::Close(_)) {
            uuids.insert(uuid(&sent.request));
        }
        world.until_sent();
    }
    assert_eq!(uuids.len(), 1);
    assert!(world.now > Time::ZERO + Span::from_secs(600));
    while !world.meta.inner().is_idle() {
        world.until_sent();
        world.answer(Ok(()));
    }
    assert_eq!(world.dropped, []);
}

#[test]
fn what_a_server_refuses_for_good_is_told_in_the_background_too() {
    let mut world = World::new(Options::default());
    world.put(In::Background(close()));
    world.answer(Err(StatusCode::META_FOUND_BUG));
    assert_eq!(world.dropped.len(), 1);
    world.put(In::Background(close()));
    world.answer(Err(StatusCode::META_NOT_FOUND));
    assert_eq!(world.dropped.len(), 1, "that is an answer");
    assert!(world.meta.inner().is_idle());
}

#[test]
fn the_oldest_in_the_background_goes_when_there_are_too_many() {
    let _guard = flyer_types::mark::require(["client.background_dropped"]);
    let options = Options {
        background_max: 4,
        background_calls_max: 1,
        ..Options::default()
    };
    let mut world = World::new(options);
    for _ in 0..6 {
        world.put(In::Background(close()));
    }
    assert_eq!(world.sent.len(), 1, "no more than allowed are under way");
    assert_eq!(world.meta.inner().background_len(), 4);
    assert!(
        world
            .dropped
            .iter()
            .all(|(_, code)| *code == StatusCode::META_BUSY)
    );
    assert_eq!(world.dropped.len(), 2);
    let kept = uuid(&world.sent[0].request);
    assert!(
        world.dropped.iter().all(|(request, _)| uuid(request) != kept),
        "not the one under way"
    );
}

#[test]
fn too_many_calls_are_told_so_and_others_wait() {
    let _guard = flyer_types::mark::require(["client.meta_calls_full"]);
    let options = Options {
        calls_max: 2,
        waiting_max: 3,
        ..Options::default()
    };
    let mut world = World::new(options);
    for op in 1..=6 {
        world.start(op, stat_fs());
    }
    assert_eq!(world.sent.len(), 2);
    assert_eq!(world.done, BTreeMap::from([(6, Err(StatusCode::META_BUSY))]));
    world.put(In::Cancel(3));
    for _ in 0..4 {
        world.answer(Ok(()));
    }
    assert_eq!(world.done.keys().copied().collect::<Vec<_>>(), [1, 2, 4, 5, 6]);
    assert!(world.meta.inner().is_idle());
}

#[test]
fn who_gets_no_room_in_time_is_told_busy() {
    let _guard = flyer_types::mark::require(["client.meta_wait_too_long"]);
    let options = Options {
        calls_max: 1,
        ..Options::default()
    };
    let mut world = World::new(options);
    world.start(1, stat_fs());
    world.start(2, stat_fs());
    world.wake();
    assert_eq!(world.now, Time::ZERO + Span::from_secs(60));
    assert_eq!(world.done, BTreeMap::from([(2, Err(StatusCode::META_BUSY))]));
}

#[test]
fn servers_are_chosen_as_told() {
    let nodes = |selection| {
        let mut world = World::new(Options {
            selection,
            ..Options::default()
        });
        let mut nodes = Vec::new();
        for op in 0..30 {
            world.start(op, stat_fs());
            nodes.push(world.answer(Ok(())).node.0);
        }
        nodes
    };
    let robin = nodes(Selection::RoundRobin);
    assert!(
        robin
            .windows(3)
            .all(|three| BTreeSet::from_iter(three).len() == 3),
        "{robin:?}"
    );
    let follow = nodes(Selection::RandomFollow);
    assert!(follow.iter().all(|node| *node == follow[0]));
    let random = nodes(Selection::UniformRandom);
    assert_eq!(BTreeSet::from_iter(&random).len(), 3);
    assert_ne!(random[..15], random[15..]);
    let preferred = (0..40).map(|seed| {
        let mut world = World::without_servers(Options::default(), seed);
        world.put(In::Routing(routing(&[1, 2, 3])));
        world.start(1, stat_fs());
        world.sent[0].node
    });
    assert_eq!(
        preferred.collect::<BTreeSet<_>>().len(),
        3,
        "clients differ in what they prefer"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Random calls, failures, cancellations and lists of servers: every call that is not cancelled ends once and in time, attempts
    /// of a call are alike, no room is exceeded, and in the end nothing is left to do.
    #[test]
    fn every_call_ends_in_time(seed: u64, trouble in 0u64..80) {
        let mut rng = Rng::from_seed(seed);
        let options = Options { calls_max: 3, waiting_max: 5, background_max: 6, background_calls_max: 2, ..Options::default() };
        let mut world = World::without_servers(options, seed);
        let mut started: BTreeMap<u32, Time> = BTreeMap::new();
        let mut cancelled = BTreeSet::new();
        let mut requests: BTreeMap<Uuid, Request> = BTreeMap::new();
        let mut ended_late = Vec::new();
        for op in 0..200u32 {
            match rng.below(6) {
                0 | 1 => {
                    started.insert(op, world.now);
                    world.start(op, if rng.chance(1, 2) { open() } else { stat_fs() });
                }
                2 => world.put(In::Background(close())),
                3 if op > 3 => {
                    let op = u32::try_from(rng.below(u64::from(op))).unwrap();
                    if !world.done.contains_key(&op) && started.contains_key(&op) {
                        cancelled.insert(op);
                        world.put(In::Cancel(op));
                    }
                }
                4 => {
                    let nodes: Vec<u32> = (1..5).filter(|_| rng.chance(1, 2)).collect();
                    world.put(In::Routing(routing(&nodes)));
                }
                _ => {}
            }
            for _ in 0..rng.below(4) {
                random_step(&mut world, &mut rng, trouble);
                for sent in &world.sent {
                    let known = requests.entry(uuid(&sent.request)).or_insert_with(|| sent.request.clone());
                    prop_assert_eq!(&*known, &sent.request);
                }
                prop_assert!(world.sent.iter().filter(|sent| matches!(sent.request, Request::Open(_) | Request::StatFs(_))).count() <= 3);
                let overdue = |(op, at): (&u32, &Time)| (!world.done.contains_key(op) && !cancelled.contains(op) && world.now > *at + Span::from_secs(60)).then_some(*op);
                ended_late.extend(started.iter().filter_map(overdue));
            }
        }
        prop_assert!(ended_late.is_empty(), "calls {ended_late:?} took too long");
        world.put(In::Routing(routing(&[1])));
        while !world.meta.inner().is_idle() {
            random_step(&mut world, &mut rng, 0);
        }
        for op in started.keys() {
            prop_assert!(world.done.contains_key(op) != cancelled.contains(op), "call {op}");
        }
    }
}

/// Something is answered, or time goes on to the next deadline.
fn random_step(world: &mut World, rng: &mut Rng, trouble: u64) {
    let due = world.meta.poll_timeout().map_or(Time::NEVER, |(at, _)| at);
    let deadline = world
        .sent
        .iter()
        .map(|sent| sent.deadline)
        .min()
        .unwrap_or(Time::NEVER);
    if world.sent.is_empty() || (rng.chance(1, 3) && due <= deadline) {
        if due < Time::NEVER {
            world.wake();
        }
        return;
    }
    let at = rng.index(world.sent.len());
    let sent = world.sent.remove(at);
    world.sent.insert(0, sent);
    if !rng.chance(trouble, 100) {
        world.answer(Ok(()));
        return;
    }
    let codes = [
        StatusCode::RPC_CONNECT_FAILED,
        StatusCode::META_BUSY,
        StatusCode::META_NOT_FOUND,
        StatusCode::TRANSACTION_MAYBE_COMMITTED,
        StatusCode::META_FOUND_BUG,
        StatusCode::RPC_TIMEOUT,
    ];
    let code = *rng.pick(&codes).unwrap();
    if code != StatusCode::RPC_TIMEOUT {
        world.answer(Err(code));
        return;
    }
    // Those that are due before tell theirs first.
    world.sent.sort_by_key(|sent| sent.deadline);
    if world.sent[0].deadline <= due {
        world.now = world.now.max(world.sent[0].deadline);
        world.answer(Err(code));
    } else {
        world.wake();
    }
}
