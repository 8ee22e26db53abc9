//! Answers of the original manager (`tests/vectors/trace.jsonl`): the same requests get the same answers, except for clocks
//! and for the order of hashed maps.

use crate::kit::*;
use flyer_cluster::mgmtd::Options;
use flyer_types::ids::{ChainTableId, ConfigVersion, HeartbeatVersion, NodeId};
use flyer_types::{Span, Status, Text, WallTime};
use flyer_wire::codec::{Map, Wire, decode};
use flyer_wire::msg::mgmtd::admin::SetConfigReq;
use flyer_wire::msg::mgmtd::node::NodeType;
use flyer_wire::msg::mgmtd::query::{GetConfigVersionsRsp, GetRoutingInfoRsp, HeartbeatReq};
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::msg::mgmtd::session::ListClientSessionsRsp;
use flyer_wire::service::Call as Method;
use flyer_wire::service::mgmtd::{
    ExtendClientSession, GetConfigVersions, GetPrimaryMgmtd, GetRoutingInfo, Heartbeat, ListClientSessions,
    SetChainTable, SetChains,
};
use std::fs;

/// A call of the trace.
struct Call {
    method: String,
    request: Vec<u8>,
    response: Vec<u8>,
}

/// The text behind `"name":"` in a line of JSON; the fields that are read hold no escapes.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
    rest.split_once('"').map(|(text, _)| text)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn calls() -> Vec<Call> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/trace.jsonl");
    let text = fs::read_to_string(path).expect("the vectors of the repository");
    let lines = text
        .lines()
        .filter(|line| line.starts_with("{\"type\":\"call\",\"method\":\"Mgmtd."));
    let call = |line| Call {
        method: field(line, "method").unwrap().into(),
        request: bytes(field(line, "request_payload_hex").unwrap()),
        response: bytes(field(line, "response_payload_hex").unwrap()),
    };
    lines.map(call).collect()
}

impl Call {
    fn request<T: Wire>(&self) -> T {
        decode(&self.request).unwrap()
    }

    fn answer<T: Wire>(&self) -> Result<T, Status> {
        decode(&self.response).unwrap()
    }
}

/// Replays a call and asserts that it is answered as it was, after both answers went through a filter.
macro_rules! replay {
    ($cluster:expr, $call:expr, $method:ident, $filter:expr) => {{
        let request: <$method as Method>::Request = $call.request();
        let expected: Result<<$method as Method>::Response, Status> = $call.answer();
        let answer = ask!($cluster, $method, request);
        assert_eq!(answer.map($filter), expected.map($filter), "{}", $call.method);
    }};
}

/// A cluster as it was when the trace began, as far as the trace tells.
fn cluster_of(calls: &[Call]) -> Cluster {
    let own = first_routing(calls)
        .nodes
        .find(&NodeId(1))
        .expect("the manager")
        .app
        .clone();
    // The clock of the trace is not the test's.
    let heartbeat_timestamp_valid_window = Span::ZERO;
    let mut c = Cluster::new(Options {
        own,
        heartbeat_timestamp_valid_window,
        ..options()
    });
    for node_type in [NodeType::META, NodeType::STORAGE, NodeType::FUSE] {
        ask!(c, SetConfig, SetConfigReq { node_type, ..blank() }).unwrap();
    }
    let refused = calls
        .iter()
        .find(|call| call.method == Heartbeat::NAME && call.response.first() != Some(&1));
    let mut earlier: HeartbeatReq = refused.expect("a stale heartbeat").request();
    earlier.info.hb_version = HeartbeatVersion(109);
    ask!(c, Heartbeat, earlier).unwrap();
    c
}

fn first_routing(calls: &[Call]) -> RoutingInfo {
    let call = calls
        .iter()
        .find(|call| call.method == GetRoutingInfo::NAME)
        .expect("a routing table");
    let answer: Result<GetRoutingInfoRsp, Status> = call.answer();
    answer.unwrap().info.expect("the first one is complete")
}

/// Sessions began before the trace.
fn without_times(mut response: ListClientSessionsRsp) -> ListClientSessionsRsp {
    for session in &mut response.sessions {
        session.start = WallTime::default();
        session.last_extend = WallTime::default();
    }
    response
}

fn sorted(response: GetConfigVersionsRsp) -> Map<Text, ConfigVersion> {
    Map::from_pairs(response.versions.0)
}

#[test]
fn recorded_calls_are_answered_as_they_were() {
    let calls = calls();
    let mut c = cluster_of(&calls);
    let mut replayed = 0;
    for call in &calls {
        replayed += 1;
        match call.method.as_str() {
            GetPrimaryMgmtd::NAME => replay!(c, call, GetPrimaryMgmtd, |r| r),
            Heartbeat::NAME => replay!(c, call, Heartbeat, |r| r),
            SetChains::NAME => replay!(c, call, SetChains, |r| r),
            SetChainTable::NAME => replay!(c, call, SetChainTable, |r| r),
            ExtendClientSession::NAME => replay!(c, call, ExtendClientSession, |r| r),
            ListClientSessions::NAME => replay!(c, call, ListClientSessions, without_times),
            GetConfigVersions::NAME => replay!(c, call, GetConfigVersions, sorted),
            // The storage servers' part of the story is not in the trace.
            GetRoutingInfo::NAME => replayed -= 1,
            other => panic!("the trace has calls of {other} now: replay them"),
        }
    }
    assert!(replayed > 30, "only {replayed} calls");
    let last = calls
        .iter()
        .rev()
        .filter(|call| call.method == GetRoutingInfo::NAME);
    let last = last
        .filter_map(|call| call.answer::<GetRoutingInfoRsp>().unwrap().info)
        .next();
    let (recorded, ours) = (last.expect("a routing table"), c.routing());
    let table = ChainTableId(1);
    assert_eq!(ours.chain_tables.find(&table), recorded.chain_tables.find(&table));
    for (id, chain) in &recorded.chains.0 {
        let same = ours.chains.find(id).expect("the chain was set");
        let mut targets: Vec<_> = chain.targets.iter().map(|target| target.target_id).collect();
        let mut set: Vec<_> = same.targets.iter().map(|target| target.target_id).collect();
        targets.sort();
        set.sort();
        assert_eq!(
            (set, &same.preferred_target_order),
            (targets, &chain.preferred_target_order)
        );
    }
    let meta = |routing: &RoutingInfo| {
        let node = routing.nodes.find(&NodeId(100)).expect("the metadata server");
        (
            node.app.clone(),
            node.kind,
            node.status,
            node.config_version,
            node.config_status,
        )
    };
    assert_eq!(meta(&ours), meta(&recorded));
}
