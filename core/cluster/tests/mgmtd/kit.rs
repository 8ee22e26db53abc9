//! A manager with its clock, and requests.

use flyer_cluster::mgmtd::{CallToken, Event, In, Lease, Manager, Options, Out};
use flyer_cluster::store::{MemoryStore, Store};
use flyer_types::ids::{ChainId, ChainVersion, HeartbeatVersion, NodeId, TargetId};
use flyer_types::{Checked, Effects, Machine, Span, Status, Text, Time, WallTime};
use flyer_wire::address::Address;
use flyer_wire::codec::{Set, Wire};
use flyer_wire::msg::common::{AppInfo, ServiceGroupInfo, TagPair};
use flyer_wire::msg::mgmtd::admin::SetChainsReq;
use flyer_wire::msg::mgmtd::node::{
    HeartbeatInfo, HeartbeatPayload, MetaHeartbeatInfo, NodeInfo, StorageHeartbeatInfo,
};
use flyer_wire::msg::mgmtd::query::{GetRoutingInfoReq, HeartbeatReq};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainSetting, ChainTargetSetting, LocalTargetInfo, LocalTargetState, PublicTargetState,
    RoutingInfo,
};
use flyer_wire::service::mgmtd::{Request, Response};

pub(crate) const CLUSTER: &str = "test";
pub(crate) const OWN: NodeId = NodeId(1);

/// Calls a method of the manager for the test's cluster.
macro_rules! ask {
    ($cluster:expr, $method:ident, $request:expr) => {{
        let mut request = $request;
        request.cluster_id = crate::kit::CLUSTER.into();
        match $cluster.call(flyer_wire::service::mgmtd::Request::$method(request)) {
            Ok(flyer_wire::service::mgmtd::Response::$method(response)) => Ok(response),
            Ok(other) => panic!("the answer of another method: {other:?}"),
            Err(status) => Err(status),
        }
    }};
}
pub(crate) use ask;

/// Asserts that a call fails with this code, and returns the message.
macro_rules! refused {
    ($result:expr, $code:ident) => {{
        let status = $result.expect_err("the call has to fail");
        assert_eq!(status.code, flyer_types::StatusCode::$code, "{status}");
        status.message.to_str_lossy().into_owned()
    }};
}
pub(crate) use refused;

/// A value in which only some fields matter.
pub(crate) fn blank<T: Wire>() -> T {
    T::initial()
}

pub(crate) fn app(node: NodeId, service: &str) -> AppInfo {
    let group = ServiceGroupInfo {
        services: Set(vec![service.into()]),
        endpoints: vec![Address::parse("127.0.0.1:8000").unwrap()],
    };
    AppInfo {
        node_id: node,
        hostname: "host".into(),
        pid: 7,
        service_groups: vec![group],
        ..blank()
    }
}

pub(crate) fn options() -> Options {
    Options::embedded(CLUSTER.into(), app(OWN, "Mgmtd"))
}

/// A manager, and the time.
pub(crate) struct Cluster<S: Store = MemoryStore> {
    pub(crate) manager: Checked<Manager<S>>,
    pub(crate) now: Time,
    pub(crate) events: Vec<Event>,
    /// Whether the last answer had to wait for the store.
    pub(crate) durable: bool,
    options: Options,
    calls: u64,
    heartbeats: u64,
}

impl Cluster {
    pub(crate) fn new(options: Options) -> Self {
        Self::over(options, MemoryStore::new(), Time::from_ns(5))
    }

    pub(crate) fn embedded() -> Self {
        Self::new(options())
    }
}

impl<S: Store> Cluster<S> {
    pub(crate) fn over(options: Options, store: S, now: Time) -> Self {
        let manager = Manager::new(options.clone(), store, now, wall_at(now)).unwrap();
        Self::with(options, manager, now)
    }

    pub(crate) fn waiting(options: Options, store: S) -> Self {
        let manager = Manager::without_lease(options.clone(), store, Time::ZERO);
        Self::with(options, manager, Time::ZERO)
    }

    fn with(options: Options, manager: Manager<S>, now: Time) -> Self {
        let manager = Checked::new(manager);
        let events = Vec::new();
        Self {
            manager,
            now,
            events,
            durable: false,
            options,
            calls: 0,
            heartbeats: 0,
        }
    }

    /// The process ends and another one starts a second later.
    pub(crate) fn restart(self) -> Self {
        let now = self.now + Span::from_secs(1);
        Self::over(self.options, self.manager.into_inner().into_store(), now)
    }

    pub(crate) fn wall(&self) -> WallTime {
        wall_at(self.now)
    }

    pub(crate) fn call(&mut self, request: Request) -> Result<Response, Status> {
        self.calls += 1;
        let call = CallToken(self.calls);
        let mut answers = self.input(In::Request {
            call,
            request,
            wall: self.wall(),
        });
        let (answered, answer) = answers.pop().expect("each request is answered at once");
        assert!(answered == call && answers.is_empty(), "one answer per request");
        answer
    }

    pub(crate) fn lease(&mut self, lease: Option<Lease>) {
        let answers = self.input(In::Lease(lease));
        assert!(answers.is_empty());
    }

    fn input(&mut self, input: In) -> Vec<(CallToken, Result<Response, Status>)> {
        let mut out = Effects::new();
        self.manager.handle(self.now, input, &mut out);
        self.take(out)
    }

    fn take(&mut self, mut out: Effects<Out>) -> Vec<(CallToken, Result<Response, Status>)> {
        let mut answers = Vec::new();
        for effect in out.drain() {
            match effect {
                Out::Answer {
                    call,
                    answer,
                    durable,
                } => {
                    self.durable = durable;
                    answers.push((call, answer));
                }
                Out::Event(event) => self.events.push(event),
            }
        }
        answers
    }

    /// Lets time pass; the manager is woken at each of its deadlines.
    pub(crate) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some((at, _)) = self.manager.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.wake();
        }
        self.now = end;
        self.wake();
    }

    /// Wakes the manager, needed or not.
    pub(crate) fn wake(&mut self) {
        let mut out = Effects::new();
        self.manager.handle_timeout(self.now, &mut out);
        assert!(self.take(out).is_empty(), "nobody asked");
    }

    pub(crate) fn pass_secs(&mut self, secs: u64) {
        self.pass(Span::from_secs(secs));
    }

    /// A fresh routing table.
    pub(crate) fn routing(&mut self) -> RoutingInfo {
        let response = ask!(self, GetRoutingInfo, blank::<GetRoutingInfoReq>());
        response
            .expect("this manager is primary")
            .info
            .expect("version 0 is always behind")
    }

    pub(crate) fn version(&self) -> u64 {
        self.manager.inner().routing_version().0
    }

    pub(crate) fn node(&mut self, node: u32) -> NodeInfo {
        self.routing()
            .nodes
            .find(&NodeId(node))
            .expect("a node that is known")
            .clone()
    }

    pub(crate) fn chain(&mut self, chain: u32) -> ChainInfo {
        self.routing()
            .chains
            .find(&ChainId(chain))
            .expect("a chain that is known")
            .clone()
    }

    /// The targets of a chain with their states.
    pub(crate) fn states(&mut self, chain: u32) -> Vec<(u64, PublicTargetState)> {
        let chain = self.chain(chain);
        chain
            .targets
            .iter()
            .map(|target| (target.target_id.0, target.public_state))
            .collect()
    }

    pub(crate) fn set_chain(&mut self, chain: u32, targets: &[u64]) -> Result<(), Status> {
        let chains = vec![chain_setting(chain, targets, false)];
        ask!(self, SetChains, SetChainsReq { chains, ..blank() }).map(drop)
    }

    /// A heartbeat request with the next version.
    pub(crate) fn heartbeat_of(&mut self, node: u32, info: HeartbeatPayload) -> HeartbeatReq {
        self.heartbeats += 1;
        let service = if matches!(info, HeartbeatPayload::MetaHeartbeatInfo(_)) {
            "MetaSerde"
        } else {
            "StorageSerde"
        };
        let hb_version = HeartbeatVersion(self.heartbeats);
        let info = HeartbeatInfo {
            app: app(NodeId(node), service),
            hb_version,
            info,
            ..blank()
        };
        HeartbeatReq {
            info,
            timestamp: self.wall(),
            ..blank()
        }
    }

    /// A metadata server says that it lives.
    pub(crate) fn meta_heartbeat(&mut self, node: u32) -> Result<(), Status> {
        let request = self.heartbeat_of(
            node,
            HeartbeatPayload::MetaHeartbeatInfo(MetaHeartbeatInfo::initial()),
        );
        ask!(self, Heartbeat, request).map(drop)
    }

    /// A storage server says in which states its targets are. It always knows the newest chain version.
    pub(crate) fn storage_heartbeat(
        &mut self,
        node: u32,
        targets: &[(u64, LocalTargetState)],
    ) -> Result<(), Status> {
        let targets = targets
            .iter()
            .map(|(target, state)| local(*target, *state, 0))
            .collect();
        let info = HeartbeatPayload::StorageHeartbeatInfo(StorageHeartbeatInfo { targets });
        let request = self.heartbeat_of(node, info);
        ask!(self, Heartbeat, request).map(drop)
    }
}

fn wall_at(now: Time) -> WallTime {
    WallTime::from_us(1_795_000_000_000_000 + i64::try_from(now.as_ns() / 1000).unwrap())
}

pub(crate) fn local(target: u64, local_state: LocalTargetState, chain_version: u32) -> LocalTargetInfo {
    LocalTargetInfo {
        target_id: TargetId(target),
        local_state,
        disk_index: Some(0),
        used_size: 4096,
        chain_version: ChainVersion(chain_version),
        low_space: false,
    }
}

pub(crate) fn chain_setting(chain: u32, targets: &[u64], preferred: bool) -> ChainSetting {
    let target = |target: &u64| ChainTargetSetting {
        target_id: TargetId(*target),
    };
    ChainSetting {
        chain_id: ChainId(chain),
        targets: targets.iter().map(target).collect(),
        set_preferred_target_order: preferred,
    }
}

pub(crate) fn tag(key: &str, value: &str) -> TagPair {
    TagPair {
        key: Text::from(key),
        value: Text::from(value),
    }
}

/// One request of each method, in which only the cluster is set.
pub(crate) fn one_of_each(cluster: &str) -> Vec<Request> {
    macro_rules! requests {
        ($($method:ident)*) => {
            vec![$({
                let mut request = blank::<<flyer_wire::service::mgmtd::$method as flyer_wire::service::Call>::Request>();
                request.cluster_id = cluster.into();
                Request::$method(request)
            },)*]
        };
    }
    requests! {
        GetPrimaryMgmtd Heartbeat RegisterNode GetRoutingInfo SetConfig GetConfig SetChainTable EnableNode DisableNode
        ExtendClientSession ListClientSessions SetNodeTags UnregisterNode SetChains SetUniversalTags GetUniversalTags
        GetConfigVersions GetClientSession RotateLastSrv ListOrphanTargets SetPreferredTargetOrder
        RotateAsPreferredOrder UpdateChain
    }
}
