//! The manager of an embedded cluster, and what it is told when the cluster starts: one metadata server, one storage server, one
//! chain of one target.
//!
//! ```text
//!   Manager over its store ──► heartbeats of both servers ──► chain and table, if they are new ──► the target serves
//! ```
//!
//! All servers live and die with the process, so nodes never fail: heartbeats are given once, at the start.

use flyer_cluster::mgmtd::{CallToken, In, Manager, Options, Out};
use flyer_cluster::storage::{self, StorageServer};
use flyer_cluster::store::Store;
use flyer_types::ids::{ChainId, ChainTableId, HeartbeatVersion, NodeId, TargetId};
use flyer_types::{Effects, Machine, Segments, Span, Status, StatusCode, Text, Time, WallTime};
use flyer_wire::codec::{Set, Wire};
use flyer_wire::msg::common::{AppInfo, ServiceGroupInfo};
use flyer_wire::msg::mgmtd::admin::{SetChainTableReq, SetChainsReq};
use flyer_wire::msg::mgmtd::node::{
    HeartbeatInfo, HeartbeatPayload, MetaHeartbeatInfo, StorageHeartbeatInfo,
};
use flyer_wire::msg::mgmtd::query::{GetRoutingInfoReq, HeartbeatReq};
use flyer_wire::msg::mgmtd::routing::{
    ChainSetting, ChainTargetSetting, LocalTargetInfo, LocalTargetState, PublicTargetState, RoutingInfo,
};
use flyer_wire::msg::storage::target::CreateTargetReq;
use flyer_wire::service::mgmtd::{Request, Response};
use flyer_wire::service::storage as storage_service;

/// The manager's node.
pub const MANAGER: NodeId = NodeId(1);
/// The metadata server's node.
pub const META: NodeId = NodeId(2);
/// The storage server's node.
pub const STORAGE: NodeId = NodeId(3);
/// The only target.
pub const TARGET: TargetId = TargetId(101);
/// The only chain.
pub const CHAIN: ChainId = ChainId(1);
/// The only table of chains.
pub const TABLE: ChainTableId = ChainTableId(1);

/// Longer than any process lives.
const NEVER: Span = Span::from_secs(100 * 365 * 24 * 3600);

/// The clock at the start.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Monotonic.
    pub now: Time,
    /// The time of day.
    pub wall: WallTime,
}

/// Starts the manager and makes the cluster known to it. Returns it with the routing that everybody begins with.
///
/// # Errors
/// If the store holds something else than a manager has stored, or fails.
pub fn start<S: Store>(store: S, cluster: &Text, start: Start) -> Result<(Manager<S>, RoutingInfo), Status> {
    let options = Options {
        heartbeat_fail_interval: NEVER,
        ..Options::embedded(cluster.clone(), app(MANAGER, "Mgmtd"))
    };
    let mut manager = Manager::new(options, store, start.now, start.wall)?;
    let mut asker = Asker {
        manager: &mut manager,
        cluster,
        start,
        heartbeats: 0,
    };
    asker.heartbeat(
        META,
        "MetaSerde",
        HeartbeatPayload::MetaHeartbeatInfo(MetaHeartbeatInfo::initial()),
    )?;
    let mut routing = asker.routing()?;
    asker.storage_heartbeat(&routing)?;
    if routing.chains.find(&CHAIN).is_none() {
        asker.make_chain()?;
    }
    routing = asker.settle()?;
    // What the server has said of its target before there was a chain does not count for the chain.
    asker.storage_heartbeat(&routing)?;
    Ok((manager, routing))
}

/// Makes the only target of the storage server, if it is not there yet.
///
/// # Errors
/// What the server says.
pub fn make_target<S: Store, C: Copy + core::fmt::Debug>(
    server: &mut StorageServer<S, C>,
    call: C,
    now: Time,
) -> Result<(), Status> {
    let request = CreateTargetReq {
        target_id: TARGET,
        chain_id: CHAIN,
        ..CreateTargetReq::initial()
    };
    let mut out = Effects::new();
    let input = storage::In::Request {
        call,
        request: storage_service::Request::CreateTarget(request),
        memory: Segments::new(),
    };
    server.handle(now, input, &mut out);
    let answer = out.drain().find_map(|effect| match effect {
        storage::Out::Answer { answer, .. } => Some(answer),
        storage::Out::Disk { .. }
        | storage::Out::SyncWanted
        | storage::Out::SyncData
        | storage::Out::SyncStore => None,
    });
    answer.expect("making a target takes no disk").map(drop)
}

/// Whether the only target serves.
fn serves(routing: &RoutingInfo) -> bool {
    routing.chains.find(&CHAIN).is_some_and(|chain| {
        chain
            .targets
            .iter()
            .any(|target| target.target_id == TARGET && target.public_state == PublicTargetState::SERVING)
    })
}

fn app(node: NodeId, service: &str) -> AppInfo {
    AppInfo {
        node_id: node,
        hostname: Text::from("localhost"),
        pid: std::process::id(),
        service_groups: vec![ServiceGroupInfo {
            services: Set(vec![Text::from(service)]),
            endpoints: flyer_wire::address::Address::parse("127.0.0.1:1")
                .into_iter()
                .collect(),
        }],
        ..AppInfo::initial()
    }
}

/// Speaks to the manager while nobody else does.
struct Asker<'a, S> {
    manager: &'a mut Manager<S>,
    cluster: &'a Text,
    start: Start,
    heartbeats: u64,
}

impl<S: Store> Asker<'_, S> {
    fn ask(&mut self, request: Request) -> Result<Response, Status> {
        let mut out = Effects::new();
        let input = In::Request {
            call: CallToken(0),
            request,
            wall: self.start.wall,
        };
        self.manager.handle(self.start.now, input, &mut out);
        let answer = out.drain().find_map(|effect| match effect {
            Out::Answer { answer, .. } => Some(answer),
            Out::Event(_) => None,
        });
        answer.expect("a manager answers each request at once")
    }

    fn heartbeat(&mut self, node: NodeId, service: &str, info: HeartbeatPayload) -> Result<(), Status> {
        self.heartbeats += 1;
        // Versions of a node's heartbeats grow, over restarts too.
        let version = u64::try_from(self.start.wall.us).unwrap_or(0) + self.heartbeats;
        self.ask(Request::Heartbeat(HeartbeatReq {
            cluster_id: self.cluster.clone(),
            info: HeartbeatInfo {
                info,
                app: app(node, service),
                hb_version: HeartbeatVersion(version),
                ..HeartbeatInfo::initial()
            },
            timestamp: self.start.wall,
            ..HeartbeatReq::initial()
        }))?;
        Ok(())
    }

    fn storage_heartbeat(&mut self, routing: &RoutingInfo) -> Result<(), Status> {
        let chain_version = routing
            .chains
            .find(&CHAIN)
            .map_or_else(Default::default, |chain| chain.chain_version);
        let target = LocalTargetInfo {
            target_id: TARGET,
            local_state: LocalTargetState::UPTODATE,
            disk_index: Some(0),
            used_size: 0,
            chain_version,
            low_space: false,
        };
        let info = StorageHeartbeatInfo {
            targets: vec![target],
        };
        self.heartbeat(
            STORAGE,
            "StorageSerde",
            HeartbeatPayload::StorageHeartbeatInfo(info),
        )
    }

    fn make_chain(&mut self) -> Result<(), Status> {
        let target = ChainTargetSetting { target_id: TARGET };
        let chain = ChainSetting {
            chain_id: CHAIN,
            targets: vec![target],
            set_preferred_target_order: false,
        };
        self.ask(Request::SetChains(SetChainsReq {
            cluster_id: self.cluster.clone(),
            chains: vec![chain],
            ..SetChainsReq::initial()
        }))?;
        self.ask(Request::SetChainTable(SetChainTableReq {
            cluster_id: self.cluster.clone(),
            chain_table_id: TABLE,
            chains: vec![CHAIN],
            ..SetChainTableReq::initial()
        }))?;
        Ok(())
    }

    fn routing(&mut self) -> Result<RoutingInfo, Status> {
        let request = GetRoutingInfoReq {
            cluster_id: self.cluster.clone(),
            ..GetRoutingInfoReq::initial()
        };
        let Response::GetRoutingInfo(response) = self.ask(Request::GetRoutingInfo(request))? else {
            unreachable!("a manager answers the method that it was asked");
        };
        response.info.ok_or_else(|| {
            Status::with_message(
                StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY,
                "the manager has no routing",
            )
        })
    }

    /// Lets the manager's timers run until the target serves. Its clock is its own: nothing waits.
    fn settle(&mut self) -> Result<RoutingInfo, Status> {
        const STEPS_MAX: usize = 64;
        for _ in 0..STEPS_MAX {
            let routing = self.routing()?;
            if serves(&routing) {
                return Ok(routing);
            }
            self.storage_heartbeat(&routing)?;
            if let Some((at, _)) = self.manager.poll_timeout() {
                let now = at.max(self.start.now);
                self.manager.handle_timeout(now, &mut Effects::new());
            }
        }
        Err(Status::with_message(
            StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY,
            "the embedded target does not come to serve",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_cluster::store::MemoryStore;

    const HOUR: Time = Time::from_ns(3600 * 1_000_000_000);

    #[test]
    fn the_target_serves_at_once_and_after_each_restart() {
        let cluster = Text::from("local");
        let mut store = MemoryStore::new();
        for round in 1..4u64 {
            let at = Start {
                now: Time::from_ns(round),
                wall: WallTime::from_secs(1_795_000_000 + i64::try_from(round).expect("small")),
            };
            let (manager, routing) = start(store, &cluster, at).expect("memory does not fail");
            assert!(serves(&routing), "round {round}: {routing:?}");
            assert!(routing.chain_tables.find(&TABLE).is_some());
            let mut manager = manager;
            while let Some((due, _)) = manager.poll_timeout().filter(|(due, _)| *due < HOUR) {
                manager.handle_timeout(due, &mut Effects::new());
            }
            let mut asker = Asker {
                manager: &mut manager,
                cluster: &cluster,
                start: Start { now: HOUR, ..at },
                heartbeats: 0,
            };
            let routing = asker.routing().expect("the manager is primary");
            assert!(serves(&routing), "round {round}, an hour later: {routing:?}");
            store = manager.into_store();
        }
    }
}
