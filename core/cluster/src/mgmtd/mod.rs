//! The cluster manager: nodes, routing, configurations, tags and client sessions.
//!
//! ```text
//!                      lease of its own (or none needed)
//!   not primary ─────────────────────────────────────────► primary: loads everything, routing version + 1
//!   NotPrimary(id) ◄──────────────────────────────────────    │ heartbeats, sessions, admin calls
//!                      lease of another, or none              │ deadlines: check-status, update-chains,
//!                                                             ▼            bump-routing, persist-targets
//!                                                     answers, events
//! ```
//!
//! Owner: the host of the service; it decodes requests, sends answers and keeps the [`Store`]. Every request takes three
//! checks before its own: the cluster, the administrator where one is needed, and, behind what can be said without state,
//! the lease. A write is committed before it changes what the manager knows, so a store that fails changes nothing.
//!
//! Durability: an answer with `durable` has to wait until everything that was committed when it was emitted is durable, and
//! answers are delivered in order. So nobody sees a routing version that a crash takes back.
//!
//! | module | content |
//! |---|---|
//! | [`chain`] | state function of the members of a chain |
//! | `options` | [`Options`], [`Limits`] |
//! | `records`, `state` | what is stored, what is known |
//! | `role` | [`Lease`], being primary or not |
//! | `heartbeat`, `nodes`, `tags`, `configs`, `sessions`, `chains`, `routing` | the calls |
//! | `tasks` | what happens without a call |
//!
//! Limits: [`Limits`]. Source: `src/mgmtd/{service,ops,background,store}/` upstream.

pub mod chain;
mod chains;
mod configs;
mod heartbeat;
mod nodes;
mod options;
mod records;
mod role;
mod routing;
mod sessions;
mod state;
mod tags;
mod tasks;

pub use options::{Limits, Options};
pub use role::Lease;

use crate::store::{Store, StoreError};
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainVersion, ConfigVersion, NodeId, RoutingVersion};
use flyer_types::machine::{Effects, Machine, Reason};
use flyer_types::parts::Deadlines;
use flyer_types::{Span, Status, StatusCode, Text, Time, WallTime};
use flyer_wire::msg::common::UserInfo;
use flyer_wire::msg::mgmtd::node::NodeStatus;
use flyer_wire::msg::mgmtd::routing::ChainTargetInfo;
use flyer_wire::service::mgmtd::{Request, Response};
use records::Writes;
use role::Role;
use state::State;
use tasks::Task;

/// Which request an answer belongs to; the host's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallToken(pub u64);

/// What happens to a manager.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "inputs are moved once and never kept in bulk"
)]
pub enum In {
    /// A request arrived.
    Request {
        /// Comes back with the answer.
        call: CallToken,
        /// The request.
        request: Request,
        /// The manager's clock.
        wall: WallTime,
    },
    /// The election was decided, or the lease extended. `None`: nobody is known to have the lease.
    Lease(Option<Lease>),
}

/// What a manager wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "effects are moved once and never kept in bulk"
)]
pub enum Out {
    /// The answer to a request; each request gets exactly one, in the same call.
    Answer {
        /// From the request.
        call: CallToken,
        /// The answer.
        answer: Result<Response, Status>,
        /// Commits made so far have to be durable before this answer, and any behind it, is delivered.
        durable: bool,
    },
    /// For logs.
    Event(Event),
}

/// What people want to know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This manager became primary.
    BecamePrimary {
        /// With which version of the routing table it starts.
        routing_version: RoutingVersion,
    },
    /// This manager is not primary any more.
    LostPrimary,
    /// The status of a node changed.
    NodeStatus {
        /// The node.
        node: NodeId,
        /// Its status now.
        status: NodeStatus,
    },
    /// The states of a chain's targets changed because of what servers said, or did not say.
    ChainChanged {
        /// The chain.
        chain: ChainId,
        /// Its version now.
        version: ChainVersion,
        /// Its targets now.
        targets: Vec<ChainTargetInfo>,
    },
    /// A client has not extended its session.
    SessionExpired {
        /// The client.
        client_id: Text,
    },
    /// The configuration of managers changed: it is this manager's, too.
    OwnConfig {
        /// Its version.
        version: ConfigVersion,
    },
    /// The store failed while no call waited for it; it will be tried again.
    StoreFailed {
        /// What it said.
        status: Status,
    },
}

/// When a request arrived.
#[derive(Clone, Copy, Debug)]
struct At {
    now: Time,
    wall: WallTime,
}

/// The manager; see the [module](self).
#[derive(Debug)]
pub struct Manager<S> {
    options: Options,
    store: S,
    role: Role,
    state: State,
    tasks: Deadlines<Task>,
    /// When the chain updater ran.
    chains_updated: Time,
    /// When locations of targets were stored.
    targets_persisted: Time,
    /// There are commits that no answer has asked to be made durable.
    unsynced: bool,
    /// Events of the call being handled.
    events: Vec<Event>,
}

impl<S: Store> Manager<S> {
    /// The only manager of its cluster: it is primary at once and for ever.
    ///
    /// # Errors
    /// If the store cannot be read or written, or holds something else than a manager has stored.
    pub fn new(options: Options, store: S, now: Time, wall: WallTime) -> Result<Self, Status> {
        let mut manager = Self::without_lease(options, store, now);
        let lease = Lease::forever(&manager.options, wall);
        manager.become_primary(now, lease)?;
        // Whoever calls this knows it.
        manager.events.clear();
        manager.arm(now);
        Ok(manager)
    }

    /// A manager that waits for a [`Lease`].
    #[must_use]
    pub fn without_lease(mut options: Options, store: S, now: Time) -> Self {
        // A deadline that is due again at once would spin.
        let least = Span::from_ms(1);
        options.check_status_interval = options.check_status_interval.max(least);
        options.update_chains_interval = options.update_chains_interval.max(least);
        options.target_info_persist_interval = options.target_info_persist_interval.max(least);
        options.bump_routing_info_version_interval = options.bump_routing_info_version_interval.max(least);
        options.target_info_persist_batch = options.target_info_persist_batch.max(1);
        Self {
            options,
            store,
            role: Role::NotPrimary { known: None },
            state: State::empty(),
            tasks: Deadlines::new(Task::COUNT),
            chains_updated: now,
            targets_persisted: now,
            unsynced: false,
            events: Vec::new(),
        }
    }

    /// The store, for a host that makes commits durable.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The store, without the manager.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The version of the routing table.
    #[must_use]
    pub const fn routing_version(&self) -> RoutingVersion {
        self.state.routing_version
    }

    /// What holds for all requests, then the request's own.
    fn answer(&mut self, at: At, request: Request) -> Result<Response, Status> {
        let (cluster_id, administrator) = credentials(&request);
        if *cluster_id != self.options.cluster_id {
            return Err(fail(StatusCode::MGMTD_CLUSTER_ID_MISMATCH, "Cluster id mismatch"));
        }
        if let Some(user) = administrator {
            self.check_admin(user)?;
        }
        match request {
            Request::GetPrimaryMgmtd(_) => self.primary_mgmtd(at).map(Response::GetPrimaryMgmtd),
            Request::Heartbeat(r) => self.heartbeat(at, r).map(Response::Heartbeat),
            Request::RegisterNode(r) => self.register_node(at, &r).map(Response::RegisterNode),
            Request::GetRoutingInfo(r) => self.routing_info(at, &r).map(Response::GetRoutingInfo),
            Request::SetConfig(r) => self.set_config(at, r).map(Response::SetConfig),
            Request::GetConfig(r) => self.config(at, &r).map(Response::GetConfig),
            Request::SetChainTable(r) => self.set_chain_table(at, r).map(Response::SetChainTable),
            Request::EnableNode(r) => self.enable_node(at, &r).map(Response::EnableNode),
            Request::DisableNode(r) => self.disable_node(at, &r).map(Response::DisableNode),
            Request::ExtendClientSession(r) => self.extend_session(at, r).map(Response::ExtendClientSession),
            Request::ListClientSessions(_) => self.list_sessions(at).map(Response::ListClientSessions),
            Request::SetNodeTags(r) => self.set_node_tags(at, &r).map(Response::SetNodeTags),
            Request::UnregisterNode(r) => self.unregister_node(at, &r).map(Response::UnregisterNode),
            Request::SetChains(r) => self.set_chains(at, &r).map(Response::SetChains),
            Request::SetUniversalTags(r) => self.set_universal_tags(at, &r).map(Response::SetUniversalTags),
            Request::GetUniversalTags(r) => self.universal_tags(at, &r).map(Response::GetUniversalTags),
            Request::GetConfigVersions(_) => self.config_versions(at).map(Response::GetConfigVersions),
            Request::GetClientSession(r) => self.session(at, &r).map(Response::GetClientSession),
            Request::RotateLastSrv(r) => self.rotate_lastsrv(at, &r).map(Response::RotateLastSrv),
            Request::ListOrphanTargets(_) => self.list_orphans(at).map(Response::ListOrphanTargets),
            Request::SetPreferredTargetOrder(r) => self
                .set_preferred_order(at, &r)
                .map(Response::SetPreferredTargetOrder),
            Request::RotateAsPreferredOrder(r) => self
                .rotate_preferred(at, &r)
                .map(Response::RotateAsPreferredOrder),
            Request::UpdateChain(r) => self.update_chain(at, &r).map(Response::UpdateChain),
        }
    }

    /// Whether the user may administer the cluster.
    fn check_admin(&self, user: &UserInfo) -> Result<(), Status> {
        if !self.options.authenticate {
            return Ok(());
        }
        match self.options.users.get(user.token.expose()) {
            Some(true) => Ok(()),
            Some(false) => Err(StatusCode::MGMTD_NOT_ADMIN.into()),
            None => Err(fail(StatusCode::AUTHENTICATION_FAIL, "unknown token")),
        }
    }

    /// Stores the writes, with the next routing version if they `bump` it, and nothing if there is nothing to store.
    /// What the manager knows is the caller's to change, afterwards.
    fn commit(&mut self, mut writes: Writes, bump: bool) -> Result<(), Status> {
        let version = RoutingVersion(self.state.routing_version.0.saturating_add(u64::from(bump)));
        if bump {
            writes.routing_version(version);
        }
        if writes.is_empty() {
            return Ok(());
        }
        if self.options.validate_lease_on_write {
            let holder = records::load_lease(&self.store)?.map(|lease| lease.primary.node_id);
            if let Some(other) = holder.filter(|holder| *holder != self.options.own.node_id) {
                return Err(fail(StatusCode::MGMTD_NOT_PRIMARY, &format!("NodeId({other})")));
            }
        }
        self.store.commit(writes.into_batch())?;
        self.unsynced = true;
        if bump {
            self.state.routing_version = version;
            self.state.targets_changed = false;
            self.state.nodes_changed = false;
        }
        Ok(())
    }

    /// What happened while no call waited.
    fn report_failure(&mut self, result: Result<(), Status>) {
        if let Err(status) = result {
            flyer_types::mark!("mgmtd.background_store_failure");
            self.events.push(Event::StoreFailed { status });
        }
    }

    fn emit_events(&mut self, out: &mut Effects<Out>) {
        out.extend(self.events.drain(..).map(Out::Event));
    }
}

impl<S: Store> Machine for Manager<S> {
    type In = In;
    type Out = Out;

    fn handle(&mut self, now: Time, input: In, out: &mut Effects<Out>) {
        match input {
            In::Request { call, request, wall } => {
                let method = request.method();
                let answer = self.answer(At { now, wall }, request);
                debug_assert!(answer.as_ref().map_or(true, |answer| answer.method() == method));
                let durable = core::mem::take(&mut self.unsynced);
                self.emit_events(out);
                out.push(Out::Answer {
                    call,
                    answer,
                    durable,
                });
            }
            In::Lease(lease) => {
                self.handle_lease(now, lease);
                self.emit_events(out);
            }
        }
        self.arm(now);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out>) {
        self.run_due(now);
        self.emit_events(out);
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.tasks.next().map(|(at, task)| (at, task.reason()))
    }

    fn check(&self) {
        self.state.check();
        self.tasks.check();
        assert!(
            self.events.is_empty(),
            "events are emitted by the call that made them"
        );
        match &self.role {
            Role::Primary { .. } => {
                let own = self.state.nodes.get(&self.options.own.node_id);
                let status = own.map(|own| own.info.status);
                assert!(
                    status == Some(NodeStatus::PRIMARY_MGMTD),
                    "the primary takes itself for {status:?}"
                );
                assert!(
                    self.tasks.get(Task::CheckStatus).is_some(),
                    "nobody checks nodes and sessions"
                );
            }
            Role::NotPrimary { .. } => {
                assert!(
                    self.tasks.is_empty(),
                    "a manager without a lease has nothing to do"
                );
                assert!(
                    self.state.nodes.is_empty(),
                    "a manager without a lease knows nothing"
                );
            }
        }
    }
}

/// The cluster a request is for, and who asks if it is one for administrators.
const fn credentials(request: &Request) -> (&Text, Option<&UserInfo>) {
    match request {
        Request::GetPrimaryMgmtd(r) => (&r.cluster_id, None),
        Request::Heartbeat(r) => (&r.cluster_id, None),
        Request::RegisterNode(r) => (&r.cluster_id, Some(&r.user)),
        Request::GetRoutingInfo(r) => (&r.cluster_id, None),
        Request::SetConfig(r) => (&r.cluster_id, Some(&r.user)),
        Request::GetConfig(r) => (&r.cluster_id, None),
        Request::SetChainTable(r) => (&r.cluster_id, Some(&r.user)),
        Request::EnableNode(r) => (&r.cluster_id, Some(&r.user)),
        Request::DisableNode(r) => (&r.cluster_id, Some(&r.user)),
        Request::ExtendClientSession(r) => (&r.cluster_id, None),
        Request::ListClientSessions(r) => (&r.cluster_id, None),
        Request::SetNodeTags(r) => (&r.cluster_id, Some(&r.user)),
        Request::UnregisterNode(r) => (&r.cluster_id, Some(&r.user)),
        Request::SetChains(r) => (&r.cluster_id, Some(&r.user)),
        Request::SetUniversalTags(r) => (&r.cluster_id, Some(&r.user)),
        Request::GetUniversalTags(r) => (&r.cluster_id, None),
        Request::GetConfigVersions(r) => (&r.cluster_id, None),
        Request::GetClientSession(r) => (&r.cluster_id, None),
        Request::RotateLastSrv(r) => (&r.cluster_id, Some(&r.user)),
        Request::ListOrphanTargets(r) => (&r.cluster_id, None),
        Request::SetPreferredTargetOrder(r) => (&r.cluster_id, Some(&r.user)),
        Request::RotateAsPreferredOrder(r) => (&r.cluster_id, Some(&r.user)),
        Request::UpdateChain(r) => (&r.cluster_id, Some(&r.user)),
    }
}

/// A refusal with a reason.
fn fail(code: StatusCode, why: &str) -> Status {
    Status::with_message(code, why)
}

/// A refusal because a request brings more than `max` of something.
fn too_much(what: &str, max: usize) -> Status {
    flyer_types::mark!("mgmtd.too_much");
    Status::with_message(StatusCode::INVALID_ARG, format!("{what}: more than {max}"))
}

/// A refusal because a table holds `max` entries.
fn full(what: &str, max: usize) -> Status {
    flyer_types::mark!("mgmtd.full");
    Status::with_message(
        StatusCode::NOT_ENOUGH_MEMORY,
        format!("there are {max} {what} already"),
    )
}

/// What a caller is told about a store that fails.
fn store_failure(error: StoreError) -> Status {
    error.into()
}
