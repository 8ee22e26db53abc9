//! The session with the manager: it is made, extended and made anew, and the routing is kept fresh.
//!
//! ```text
//!                Clock             extended                     not extended for too long
//!   without a clock ──► making it ──────────► established ──────────────────────────────► lost
//!                          ▲                      │  ▲                                      │
//!                          │                      └──┘ extended, every interval             │
//!                          └─────────────────────────────── tried again ────────────────────┘
//!
//!   routing: wanted ──► fetching ──► idle until the interval is over, or somebody wants it ──► wanted
//! ```
//!
//! Owner: a host; one session per client process. A manager that does not know the session makes it with the next extension, so
//! being lost means that nobody was told in time that the client lives: metadata servers may have ended its write sessions. Routing is
//! worth having all the same.
//!
//! An [`Out::Call`] goes to the manager that is primary. The host knows one; who has several puts what finds the primary between
//! this machine and its connections: [`StatusCode::manager_retry`](flyer_types::StatusCode::manager_retry) says which answers are
//! about the manager and not about the call.
//!
//! Limits: one extension and one fetch under way; wishes for routing are one flag, however many there are. Source:
//! `src/client/mgmtd/MgmtdClient.cc`, `src/fuse/FuseClients.cc` upstream.

use crate::routing::RoutingView;
use alloc::string::ToString;
use alloc::sync::Arc;
use flyer_types::ids::{CallId, ClientSessionVersion, ConfigVersion, Gid, RoutingVersion, Uid, Uuid};
use flyer_types::parts::retry::{Decision, Pace, RetryPolicy};
use flyer_types::parts::{Deadlines, Retry, Slots};
use flyer_types::{Effects, Machine, Reason, Rng, Span, Status, StatusCode, Text, Time, Token, WallTime};
use flyer_wire::msg::common::{ConfigStatus, UserInfo};
use flyer_wire::msg::mgmtd::node::{ConfigInfo, NodeType};
use flyer_wire::msg::mgmtd::query::{GetRoutingInfoReq, GetRoutingInfoRsp};
use flyer_wire::msg::mgmtd::session::{ClientSessionData, ExtendClientSessionReq, ExtendClientSessionRsp};
use flyer_wire::service::mgmtd::{Request, Response};

/// Who the client is. None of it may change while the process lives: the manager would refuse the session.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: Text,
    /// The client; the same in calls to metadata and storage servers. Fresh for each process.
    pub uuid: Uuid,
    /// Kind of client: [`NodeType::FUSE`] or [`NodeType::CLIENT`].
    pub kind: NodeType,
    /// What it says about itself.
    pub data: ClientSessionData,
}

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How calls that failed are tried again; without an end.
    pub retry: RetryPolicy,
    /// Between extensions, from the end of one to the beginning of the next.
    pub extend_interval: Span,
    /// Between fetches of the routing that nobody asked for.
    pub refresh_interval: Span,
    /// Between fetches of the routing that are asked for: at least.
    pub refresh_interval_min: Span,
    /// The session is lost if it was not extended for so long. Metadata servers end write sessions of clients after 5 minutes.
    pub lost_after: Span,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retry: RetryPolicy {
                attempt_timeout: Span::from_secs(1),
                attempt_min: Span::from_ms(1),
                attempts_max: None,
                budget: Span::MAX,
                wait_first: Span::from_ms(10),
                wait_factor: 2,
                wait_max: Span::from_secs(1),
                wait_fast: Span::from_ms(10),
                jitter_percent: 25,
            },
            extend_interval: Span::from_secs(10),
            refresh_interval: Span::from_secs(10),
            refresh_interval_min: Span::from_ms(50),
            lost_after: Span::from_secs(300),
        }
    }
}

/// What happens to a session.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In {
    /// The time of day. The first one starts the session; it is the start of the client for the manager, and further ones are not
    /// looked at.
    Clock(WallTime),
    /// The outcome of an [`Out::Call`]. Late and repeated ones are ignored.
    Answer {
        /// Which.
        call: CallId,
        /// What the manager said, or why it could not be reached.
        answer: Result<Response, Status>,
    },
    /// Somebody takes the routing for outdated.
    RoutingWanted,
    /// What came of the configuration in an [`Out::Config`]; a version that is not confirmed is sent again.
    Configured {
        /// The version that is in use now.
        version: ConfigVersion,
        /// How the process stands to it.
        status: ConfigStatus,
    },
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out {
    /// One attempt of a call to the primary manager.
    Call {
        /// Comes back with the answer.
        call: CallId,
        /// The request.
        request: Request,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// New routing, for all who use it.
    Routing(Arc<RoutingView>),
    /// The manager knows the client, for the first time or again.
    Established,
    /// The manager has not heard of the client for too long; it is tried further.
    Lost(Status),
    /// A newer configuration.
    Config(ConfigInfo),
    /// An extension or a fetch failed and is tried again. For logs, and for a host that does not want to wait for ever.
    Failed(Status),
}

/// What is done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Extend,
    Refresh,
    Lose,
}

/// The session; see the [module](self).
#[derive(Clone, Debug)]
pub struct Session {
    options: Options,
    identity: Identity,
    rng: Rng,
    /// When the client started; before that is known nothing happens.
    client_start: Option<WallTime>,
    version: ClientSessionVersion,
    config_version: ConfigVersion,
    config_status: ConfigStatus,
    established: bool,
    extend_retry: Retry,
    refresh_retry: Retry,
    /// The newest routing.
    routing: Option<Arc<RoutingView>>,
    /// When the last fetch began.
    refresh_begun: Time,
    /// Somebody wants routing that is newer than what the fetch under way may bring.
    wanted: bool,
    calls: Slots<CallId, Task>,
    tasks: Deadlines<Task>,
}

impl Session {
    /// A session that begins with the first [`In::Clock`].
    ///
    /// # Panics
    /// If the options cannot work: whoever read the configuration has to check it.
    #[must_use]
    pub fn new(options: Options, identity: Identity, rng: Rng) -> Self {
        let spans = [
            options.extend_interval,
            options.refresh_interval,
            options.refresh_interval_min,
            options.lost_after,
        ];
        assert!(
            spans.iter().all(|span| *span > Span::ZERO),
            "an interval of no time would be due at once"
        );
        Self {
            extend_retry: Retry::new(options.retry, Time::ZERO),
            refresh_retry: Retry::new(options.retry, Time::ZERO),
            identity,
            rng,
            client_start: None,
            version: ClientSessionVersion(1),
            config_version: ConfigVersion(0),
            config_status: ConfigStatus::NORMAL,
            established: false,
            routing: None,
            refresh_begun: Time::ZERO,
            wanted: false,
            calls: Slots::new(2),
            tasks: Deadlines::new(3),
            options,
        }
    }

    /// Whether the manager knows the client, as far as this side can tell.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.established
    }

    /// The newest routing.
    #[must_use]
    pub const fn routing(&self) -> Option<&Arc<RoutingView>> {
        self.routing.as_ref()
    }

    fn set(&mut self, task: Task, at: Time) {
        self.tasks
            .set(task, at)
            .expect("there is a deadline for each task");
    }

    fn is_under_way(&self, task: Task) -> bool {
        self.calls.iter().any(|(_, of)| *of == task)
    }

    fn call(&mut self, now: Time, task: Task, request: Request, out: &mut Effects<Out>) {
        let call = self.calls.insert(task);
        let deadline = match task {
            Task::Refresh => self.refresh_retry.attempt_deadline(now),
            Task::Extend | Task::Lose => self.extend_retry.attempt_deadline(now),
        };
        out.push(Out::Call {
            call: call.expect("each task has at most one call under way"),
            request,
            deadline,
        });
    }

    fn extend(&mut self, now: Time, out: &mut Effects<Out>) {
        let client_start = self.client_start.expect("tasks begin with the clock");
        let request = ExtendClientSessionReq {
            cluster_id: self.identity.cluster_id.clone(),
            client_id: Text::from(self.identity.uuid.to_string()),
            client_session_version: self.version,
            config_version: self.config_version,
            data: self.identity.data.clone(),
            config_status: self.config_status,
            kind: self.identity.kind,
            user: nobody(),
            client_start,
        };
        self.call(now, Task::Extend, Request::ExtendClientSession(request), out);
    }

    fn refresh(&mut self, now: Time, out: &mut Effects<Out>) {
        self.refresh_begun = now;
        self.wanted = false;
        let request = GetRoutingInfoReq {
            cluster_id: self.identity.cluster_id.clone(),
            routing_info_version: self.held_version(),
            user: nobody(),
        };
        self.call(now, Task::Refresh, Request::GetRoutingInfo(request), out);
    }

    fn held_version(&self) -> RoutingVersion {
        self.routing
            .as_ref()
            .map_or(RoutingVersion(0), |routing| routing.version())
    }

    fn extended(&mut self, now: Time, response: ExtendClientSessionRsp, out: &mut Effects<Out>) {
        self.version.0 += 1;
        self.extend_retry.succeeded(now);
        self.set(Task::Extend, now + self.options.extend_interval);
        self.set(Task::Lose, now + self.options.lost_after);
        if !self.established {
            self.established = true;
            out.push(Out::Established);
        }
        if let Some(config) = response.config
            && config.config_version > self.config_version
        {
            out.push(Out::Config(config));
        }
    }

    fn extension_failed(&mut self, now: Time, status: Status, out: &mut Effects<Out>) {
        if status.code == StatusCode::MGMTD_CLIENT_SESSION_VERSION_STALE {
            // The manager says which version it has.
            let known = core::str::from_utf8(status.message.as_bytes()).ok();
            let known = known.and_then(|text| text.trim().parse::<u64>().ok());
            let next = known.map_or(self.version.0, |known| known.max(self.version.0));
            self.version = ClientSessionVersion(next.saturating_add(1));
        }
        let until = wait(&mut self.extend_retry, now, &self.options, &mut self.rng);
        self.set(Task::Extend, until);
        out.push(Out::Failed(status));
    }

    fn refreshed(&mut self, now: Time, response: GetRoutingInfoRsp, out: &mut Effects<Out>) {
        self.refresh_retry.succeeded(now);
        // A manager that has fallen behind is not believed: versions only grow.
        let newer = response
            .info
            .filter(|info| self.routing.is_none() || info.routing_info_version > self.held_version());
        if let Some(info) = newer {
            let view = Arc::new(RoutingView::new(info));
            self.routing = Some(Arc::clone(&view));
            out.push(Out::Routing(view));
        }
        let next = if self.wanted {
            self.refresh_next(now)
        } else {
            now + self.options.refresh_interval
        };
        self.set(Task::Refresh, next);
    }

    /// The earliest time of a fetch that is asked for.
    fn refresh_next(&self, now: Time) -> Time {
        let spaced = self.refresh_begun + self.options.refresh_interval_min;
        spaced.max(now + Span::from_ns(1))
    }

    fn refresh_failed(&mut self, now: Time, status: Status, out: &mut Effects<Out>) {
        let until = wait(&mut self.refresh_retry, now, &self.options, &mut self.rng);
        self.set(Task::Refresh, until);
        out.push(Out::Failed(status));
    }

    fn routing_wanted(&mut self, now: Time) {
        if self.client_start.is_none() {
            return;
        }
        flyer_types::mark!("client.routing_wanted");
        self.wanted = true;
        if self.is_under_way(Task::Refresh) || self.refresh_retry.failures() > 0 {
            return;
        }
        let due = self.tasks.get(Task::Refresh).unwrap_or(Time::NEVER);
        let next = self.refresh_next(now).min(due);
        self.set(Task::Refresh, next);
    }

    fn answered(
        &mut self,
        now: Time,
        call: CallId,
        answer: Result<Response, Status>,
        out: &mut Effects<Out>,
    ) {
        let Some(task) = self.calls.remove(call) else {
            return;
        };
        match (task, answer) {
            (Task::Extend, Ok(Response::ExtendClientSession(response))) => self.extended(now, response, out),
            (Task::Refresh, Ok(Response::GetRoutingInfo(response))) => self.refreshed(now, response, out),
            (Task::Extend, Err(status)) => self.extension_failed(now, status, out),
            (Task::Refresh, Err(status)) => self.refresh_failed(now, status, out),
            (Task::Extend, Ok(_)) => self.extension_failed(now, odd(), out),
            (Task::Refresh, Ok(_)) => self.refresh_failed(now, odd(), out),
            (Task::Lose, _) => unreachable!("losing a session takes no call"),
        }
    }
}

impl Machine for Session {
    type In = In;
    type Out = Out;

    fn handle(&mut self, now: Time, input: In, out: &mut Effects<Out>) {
        match input {
            In::Clock(wall) => {
                if self.client_start.is_none() {
                    self.client_start = Some(wall);
                    self.extend(now, out);
                    self.refresh(now, out);
                }
            }
            In::Answer { call, answer } => self.answered(now, call, answer, out),
            In::RoutingWanted => self.routing_wanted(now),
            In::Configured { version, status } => {
                self.config_version = self.config_version.max(version);
                self.config_status = status;
            }
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out>) {
        while let Some((_, task)) = self.tasks.pop_due(now) {
            match task {
                Task::Extend => self.extend(now, out),
                Task::Refresh => self.refresh(now, out),
                Task::Lose => {
                    flyer_types::mark!("client.session_lost");
                    self.established = false;
                    let status = StatusCode::MGMTD_CLIENT_SESSION_NOT_FOUND;
                    out.push(Out::Lost(Status::with_message(
                        status,
                        "the session was not extended in time",
                    )));
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, task) = self.tasks.next()?;
        let reason = match task {
            Task::Extend => "session.extend",
            Task::Refresh => "session.refresh",
            Task::Lose => "session.lose",
        };
        Some((at, Reason::named(reason)))
    }

    fn check(&self) {
        self.calls.check();
        self.tasks.check();
        self.extend_retry.check();
        self.refresh_retry.check();
        let started = self.client_start.is_some();
        for task in [Task::Extend, Task::Refresh] {
            let timed = self.tasks.get(task).is_some();
            assert!(
                self.is_under_way(task) != timed || !started,
                "{task:?} is both under way and due, or neither"
            );
        }
        assert!(
            self.tasks.get(Task::Lose).is_some() == self.established,
            "a session is established without an end, or the other way round"
        );
    }
}

/// When a failed call is tried again.
fn wait(retry: &mut Retry, now: Time, options: &Options, rng: &mut Rng) -> Time {
    match retry.failed(now, Pace::Full, rng) {
        Decision::Wait(until) => until,
        // Nobody else would make this session.
        Decision::GiveUp(_) => {
            retry.succeeded(now);
            now + options.retry.wait_max.max(Span::from_ns(1))
        }
    }
}

fn odd() -> Status {
    let code = StatusCode::RPC_VERIFY_RESPONSE_FAILED;
    Status::with_message(code, "the answer belongs to another method")
}

/// The manager does not ask who clients are.
fn nobody() -> UserInfo {
    UserInfo {
        uid: Uid(0),
        gid: Gid(0),
        groups: alloc::vec::Vec::new(),
        token: Token::default(),
    }
}
