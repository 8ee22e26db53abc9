//! Servers that come and go at random, and a manager that restarts, never break the invariants of a chain.
//!
//! Servers follow the rules of `src/storage/service/{TargetMap,Components}.cc` upstream: they start by reporting their target
//! offline until nobody counts on it, leave when the manager gave them up, and are up to date after they were synchronised.

use crate::kit::*;
use flyer_cluster::mgmtd::{Options, chain};
use flyer_types::Span;
use flyer_types::ids::ChainId;
use flyer_wire::msg::mgmtd::node::{HeartbeatPayload, StorageHeartbeatInfo};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, LocalTargetState as Local, PublicTargetState as Public, RoutingInfo,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const CHAIN: u32 = 7;

/// What happens next; servers are numbered.
#[derive(Clone, Copy, Debug)]
enum Step {
    Heartbeat(usize),
    /// The server reads the routing table.
    Refresh(usize),
    /// A disk error, or a server that is asked to leave.
    Offline(usize),
    /// The predecessor has sent everything.
    Synced(usize),
    Kill(usize),
    Start(usize),
    RestartManager,
    Pass(u64),
}

/// A server with one target.
#[derive(Clone, Debug)]
struct Server {
    alive: bool,
    /// It reports its target offline until nobody counts on it.
    starting: bool,
    local: Local,
    known: Option<ChainInfo>,
}

struct World {
    cluster: Cluster,
    servers: Vec<Server>,
    before: RoutingInfo,
    /// What the manager was last told, by target.
    reported: BTreeMap<u64, Local>,
}

fn target_of(server: usize) -> u64 {
    71 + server as u64
}

fn public_of(chain: &ChainInfo, target: u64) -> Public {
    let member = chain.targets.iter().find(|member| member.target_id.0 == target);
    member.expect("the number of targets never changes").public_state
}

impl Server {
    fn refresh(&mut self, chain: ChainInfo, target: u64) {
        let public = public_of(&chain, target);
        self.starting &= matches!(public, Public::SERVING | Public::SYNCING | Public::WAITING);
        if !self.starting {
            self.local = match (self.local, public) {
                // It closes its target, and opens it again.
                (Local::UPTODATE, Public::OFFLINE | Public::LASTSRV | Public::WAITING) => Local::ONLINE,
                (Local::ONLINE, Public::SERVING) => Local::UPTODATE,
                (local, _) => local,
            };
        }
        self.known = Some(chain);
    }

    /// What it reports: state and chain version.
    fn report(&self) -> (Local, u32) {
        let version = self.known.as_ref().map_or(0, |chain| chain.chain_version.0);
        if self.starting || self.local == Local::OFFLINE {
            (Local::OFFLINE, 0)
        } else {
            (self.local, version)
        }
    }
}

impl World {
    fn new(replicas: usize, options: Options) -> Self {
        let mut cluster = Cluster::new(options);
        let targets: Vec<u64> = (0..replicas).map(target_of).collect();
        cluster.set_chain(CHAIN, &targets).unwrap();
        let server = Server {
            alive: true,
            starting: true,
            local: Local::ONLINE,
            known: None,
        };
        let before = cluster.routing();
        Self {
            cluster,
            servers: vec![server; replicas],
            before,
            reported: BTreeMap::new(),
        }
    }

    fn step(mut self, step: Step) -> Self {
        let count = self.servers.len();
        match step {
            Step::Heartbeat(at) => self.heartbeat(at % count),
            Step::Refresh(at) => self.refresh(at % count),
            Step::Offline(at) => self.servers[at % count].local = Local::OFFLINE,
            Step::Synced(at) => self.synced(at % count),
            Step::Kill(at) => self.servers[at % count].alive = false,
            Step::Start(at) => {
                let server = &mut self.servers[at % count];
                *server = Server {
                    alive: true,
                    starting: true,
                    local: Local::ONLINE,
                    known: None,
                };
            }
            Step::RestartManager => self.cluster = self.cluster.restart(),
            Step::Pass(secs) => {
                for _ in 0..secs {
                    self.cluster.pass_secs(1);
                    self.observe();
                }
            }
        }
        self.observe();
        self
    }

    fn heartbeat(&mut self, at: usize) {
        if !self.servers[at].alive {
            return;
        }
        let target = target_of(at);
        let (state, version) = self.servers[at].report();
        let info = StorageHeartbeatInfo {
            targets: vec![local(target, state, version)],
        };
        let node = 200 + u32::try_from(at).unwrap();
        let request = self
            .cluster
            .heartbeat_of(node, HeartbeatPayload::StorageHeartbeatInfo(info));
        ask!(self.cluster, Heartbeat, request).unwrap();
        self.reported.insert(target, state);
    }

    fn refresh(&mut self, at: usize) {
        let chain = self.cluster.chain(CHAIN);
        if self.servers[at].alive {
            self.servers[at].refresh(chain, target_of(at));
        }
    }

    /// The synchronisation ends only while both ends know the current version.
    fn synced(&mut self, at: usize) {
        let chain = self.cluster.chain(CHAIN);
        let server = &mut self.servers[at];
        let syncing = public_of(&chain, target_of(at)) == Public::SYNCING;
        if server.alive && syncing && server.known.as_ref() == Some(&chain) && server.local == Local::ONLINE {
            server.local = Local::UPTODATE;
        }
    }

    /// Asserts what holds between the last look at the routing table and this one.
    fn observe(&mut self) {
        let now = self.cluster.routing();
        let chain_in = |routing: &RoutingInfo| routing.chains.find(&ChainId(CHAIN)).unwrap().clone();
        let (was, is) = (chain_in(&self.before), chain_in(&now));
        assert!(
            now.routing_info_version >= self.before.routing_info_version,
            "the routing version decreased"
        );
        assert_eq!(chain::fault(&is.targets), None, "{is:?}");
        assert_eq!(is.targets.len(), self.servers.len());
        let count = |state| {
            is.targets
                .iter()
                .filter(|member| member.public_state == state)
                .count()
        };
        let (serving, lastsrv) = (count(Public::SERVING), count(Public::LASTSRV));
        assert!(lastsrv <= 1 && (lastsrv == 0 || serving == 0), "{is:?}");
        assert!(serving + lastsrv > 0, "nobody has the data: {is:?}");
        assert!(count(Public::SYNCING) <= 1, "two at a time: {is:?}");
        assert!(
            serving == 0 || is.targets[0].public_state == Public::SERVING,
            "the head does not serve: {is:?}"
        );
        let grew = is.chain_version > was.chain_version;
        assert_eq!(grew, is.targets != was.targets, "{was:?} became {is:?}");
        assert!(is.chain_version >= was.chain_version);
        assert!(
            !grew || now.routing_info_version > self.before.routing_info_version,
            "nobody would notice"
        );
        for member in is
            .targets
            .iter()
            .filter(|member| member.public_state == Public::SERVING)
        {
            let target = member.target_id.0;
            match public_of(&was, target) {
                Public::SERVING | Public::LASTSRV => {}
                Public::SYNCING => assert_eq!(self.reported.get(&target), Some(&Local::UPTODATE), "{was:?}"),
                other => panic!("target {target} serves after {other:?}"),
            }
        }
        self.before = now;
    }

    /// Everybody is there and does what it has to: after a while all targets serve.
    fn heal(mut self) {
        for at in 0..self.servers.len() {
            self = self.step(Step::Start(at));
        }
        for _ in 0..60 {
            for at in 0..self.servers.len() {
                self = self
                    .step(Step::Refresh(at))
                    .step(Step::Synced(at))
                    .step(Step::Heartbeat(at));
            }
            self = self.step(Step::Pass(5));
        }
        let states = self.cluster.states(CHAIN);
        assert!(
            states.iter().all(|(_, state)| *state == Public::SERVING),
            "not healed: {states:?}"
        );
    }
}

fn step() -> impl Strategy<Value = Step> {
    let server = 0usize..3;
    prop_oneof![
        8 => server.clone().prop_map(Step::Heartbeat),
        6 => server.clone().prop_map(Step::Refresh),
        1 => server.clone().prop_map(Step::Offline),
        3 => server.clone().prop_map(Step::Synced),
        1 => server.clone().prop_map(Step::Kill),
        2 => server.prop_map(Step::Start),
        1 => Just(Step::RestartManager),
        6 => (1u64..4).prop_map(Step::Pass),
        1 => (20u64..80).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn chains_stay_valid_and_heal(
        replicas in 1usize..4,
        freeze_secs in prop_oneof![Just(0u64), Just(15), Just(120)],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let new_chain_bootstrap_interval = Span::from_secs(freeze_secs);
        let mut world = World::new(replicas, Options { new_chain_bootstrap_interval, ..options() });
        for step in steps {
            world = world.step(step);
        }
        world.heal();
    }
}
