//! Metadata calls: choice of a server, retry with the same request id, failover.
//!
//! ```text
//!              room            answer: final or permanent
//!   waiting ─────────► calling ───────────────────────────► Done
//!      ▲                  │ answer: may pass, time left
//!      └──── sleeping ◄───┘ (the server failed: the next attempt goes to another one)
//!
//!   Cancel while waiting or sleeping: gone; while calling: the answer is taken care of, and nobody is told
//! ```
//!
//! Owner: a shard. The server of a call is kept over its attempts until it fails; servers that failed are avoided by all calls until
//! they work again. Calls in the background (closes, prunes) have room of their own and are tried for ever; only when there are too
//! many of them, or a server refuses one for good, is one dropped, and then its owner is told. Of an open or create that failed so
//! that a session may have been left behind, the session is pruned, together with others.
//!
//! Chains that an answer mentions and the routing does not know yet are left to the storage client, which waits for them.
//!
//! | module | content |
//! |---|---|
//! | `background` | calls that nobody waits for |
//! | `options` | [`Options`], [`Selection`] |
//! | `servers` | which server is next |
//! | `request` | what requests have in common |
//!
//! Limits: [`Options`]. Source: `src/client/meta/MetaClient.cc` upstream.

mod background;
mod check;
mod options;
mod request;
mod servers;

pub use options::{Options, Selection};

use crate::routing::RoutingView;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use flyer_types::ids::{CallId, MethodId, NodeId, OpId, Uuid};
use flyer_types::parts::credits::{Acquire, Claim};
use flyer_types::parts::retry::{Decision, Pace};
use flyer_types::parts::{Credits, Deadlines, Retry, Slots};
use flyer_types::status::MetaRetry;
use flyer_types::{Effects, Machine, Reason, Rng, Status, StatusCode, Time};
use flyer_wire::msg::common::ClientId;
use flyer_wire::service::meta::{Request, Response};
use servers::Servers;

/// What happens to the metadata calls. `O` names an operation of the owner.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<O> {
    /// Carry out a request until it succeeds, fails for good or its time is over. The client fills in `base.client`, `base.uuid` and
    /// `base.forward`; the owner the user.
    Start {
        /// Whom to tell the outcome.
        op: O,
        /// What is wanted.
        request: Request,
    },
    /// Carry out a request (a close, or the end of sessions) in the background, retrying for as long as it makes sense. Nobody is told.
    Background(Request),
    /// The owner no longer wants to hear of it; what is under way goes on. An opened session is closed again.
    Cancel(O),
    /// The outcome of an [`Out::Call`]. Late and repeated ones are ignored.
    Answer {
        /// Which.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<Response, Status>,
    },
    /// The servers as they are now.
    Routing(Arc<RoutingView>),
}

/// What metadata calls want done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<O> {
    /// One attempt.
    Call {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// The request.
        request: Request,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// The outcome of an [`In::Start`].
    Done {
        /// Whose.
        op: O,
        /// What the server said in the end.
        answer: Result<Response, Status>,
    },
    /// A request of [`In::Background`], or one made here to close or prune sessions, was given up: there are too many
    /// (`Meta::Busy`), or the server refused it for good. For logs.
    Dropped {
        /// What was to be carried out.
        request: Request,
        /// Why it is not.
        status: Status,
    },
    /// The routing in use seems outdated: fetch a new one soon.
    RoutingWanted,
}

/// Most metadata servers that are probed at a time.
const PROBED_MAX: usize = 1024;

/// Names a call in the background; older ones are smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BackgroundId(u64);

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Waits for room.
    Waiting,
    /// Waits for an answer.
    Calling,
    /// Waits for its next attempt.
    Sleeping,
}

/// A logical call.
#[derive(Clone, Debug)]
struct Call<O> {
    /// Whom to tell; nobody if it was cancelled.
    op: Option<O>,
    request: Request,
    /// Kept until it fails.
    node: Option<NodeId>,
    /// Failures of that server.
    node_failures: u32,
    retry: Retry,
    stage: Stage,
    /// An attempt may have opened a session without telling.
    leaked: bool,
    /// What went wrong last.
    error: Option<Status>,
}

/// A call in the background.
#[derive(Clone, Debug)]
struct Background {
    request: Request,
    retry: Retry,
    stage: Stage,
}

/// What an attempt belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    Call(OpId),
    Background(BackgroundId),
    Probe,
}

/// One call to a server.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    of: For,
    node: NodeId,
    method: MethodId,
}

/// What has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A call wakes up, or gives up waiting.
    Call(u32, u32),
    Background(BackgroundId),
    Probe(NodeId),
    Prune,
}

/// Metadata calls; see the [module](self).
#[derive(Clone, Debug)]
pub struct MetaCalls<O> {
    options: Options,
    client: ClientId,
    rng: Rng,
    servers: Servers,
    calls: Slots<OpId, Call<O>>,
    background: BTreeMap<BackgroundId, Background>,
    attempts: Slots<CallId, Attempt>,
    room: Credits<OpId>,
    background_room: Credits<BackgroundId>,
    /// Servers with a probe under way.
    probed: BTreeSet<NodeId>,
    /// Sessions to be pruned soon.
    prune: Vec<Uuid>,
    deadlines: Deadlines<Key>,
    background_count: u64,
    routing_wanted: bool,
}

impl<O> MetaCalls<O> {
    /// Metadata calls of this client, which has to be the one of the session with the manager.
    ///
    /// # Panics
    /// If the options cannot work.
    #[must_use]
    pub fn new(options: Options, client: ClientId, rng: Rng) -> Self {
        options.assert_valid();
        let calls = options.calls_max.saturating_add(options.waiting_max);
        let background = options.background_max;
        let under_way =
            u64::from(options.calls_max) + u64::from(options.background_calls_max) + PROBED_MAX as u64;
        Self {
            servers: Servers::new(options.selection, &rng),
            rng,
            calls: Slots::new(calls),
            background: BTreeMap::new(),
            attempts: Slots::new(u32::try_from(under_way).unwrap_or(u32::MAX)),
            room: Credits::new(options.calls_max, calls as usize),
            background_room: Credits::new(options.background_calls_max, background as usize),
            probed: BTreeSet::new(),
            prune: Vec::new(),
            deadlines: Deadlines::new(calls as usize + background as usize + PROBED_MAX + 1),
            background_count: 0,
            routing_wanted: false,
            client,
            options,
        }
    }

    /// Whether nothing is to be done, in the background neither: time to unmount.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.calls.is_empty() && self.background.is_empty() && self.prune.is_empty()
    }

    /// Calls in the background.
    #[must_use]
    pub fn background_len(&self) -> usize {
        self.background.len()
    }

    fn set_deadline(&mut self, key: Key, at: Time) {
        self.deadlines
            .set(key, at)
            .expect("there is a deadline for each call, server and the sessions to prune");
    }

    fn start(&mut self, now: Time, op: O, mut request: Request, out: &mut Effects<Out<O>>) {
        request::stamp(&mut request, &self.client, self.rng.uuid());
        let added = self.calls.insert(Call {
            op: Some(op),
            request,
            node: None,
            node_failures: 0,
            retry: Retry::new(self.options.retry, now),
            stage: Stage::Waiting,
            leaked: false,
            error: None,
        });
        match added {
            Ok(id) => self.acquire(now, id, out),
            Err(full) => {
                flyer_types::mark!("client.meta_calls_full");
                if let Some(op) = full.0.op {
                    let status =
                        Status::with_message(StatusCode::META_BUSY, "too many metadata calls at a time");
                    out.push(Out::Done {
                        op,
                        answer: Err(status),
                    });
                }
            }
        }
    }

    /// Asks for room, and makes the attempt if there is some.
    fn acquire(&mut self, now: Time, id: OpId, out: &mut Effects<Out<O>>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.stage = Stage::Waiting;
        let deadline = call.retry.deadline();
        match self.room.acquire(1, id) {
            Acquire::Granted(id) => self.attempt(now, id, out),
            Acquire::Queued => self.set_deadline(key(id), deadline),
            Acquire::Full(_) | Acquire::Impossible(_) => unreachable!("every call may queue for one credit"),
        }
    }

    /// Makes an attempt; room is held.
    fn attempt(&mut self, now: Time, id: OpId, out: &mut Effects<Out<O>>) {
        let Some(call) = self.calls.get_mut(id) else {
            unreachable!("{id:?} has room and is gone");
        };
        let kept = call.node.filter(|node| self.servers.contains(*node));
        let Some(node) = kept.or_else(|| self.servers.choose()) else {
            flyer_types::mark!("client.no_meta_server");
            self.release(now, out);
            let status = Status::new(StatusCode::MGMTD_CLIENT_META_SERVICE_NOT_AVAILABLE);
            self.routing_wanted = true;
            return self.retry(now, id, status, out);
        };
        if call.node != Some(node) {
            call.node = Some(node);
            call.node_failures = 0;
        }
        call.stage = Stage::Calling;
        let (deadline, request) = (call.retry.attempt_deadline(now), call.request.clone());
        self.send(For::Call(id), node, request, deadline, out);
    }

    fn send(&mut self, of: For, node: NodeId, request: Request, deadline: Time, out: &mut Effects<Out<O>>) {
        let attempt = Attempt {
            of,
            node,
            method: request.method(),
        };
        let call = self.attempts.insert(attempt);
        out.push(Out::Call {
            call: call.expect("there is a row for each attempt that has room"),
            node,
            request,
            deadline,
        });
    }

    /// Gives room back, and lets those go on who waited for it.
    fn release(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        let mut granted: Effects<Claim<OpId>> = Effects::new();
        self.room
            .release(1, &mut granted)
            .expect("an attempt holds one credit");
        self.granted(now, granted, out);
    }

    fn granted(&mut self, now: Time, mut granted: Effects<Claim<OpId>>, out: &mut Effects<Out<O>>) {
        for claim in granted.drain() {
            self.deadlines.remove(key(claim.waiter));
            self.attempt(now, claim.waiter, out);
        }
    }

    fn answered(
        &mut self,
        now: Time,
        call: CallId,
        answer: Result<Response, Status>,
        out: &mut Effects<Out<O>>,
    ) {
        let Some(attempt) = self.attempts.remove(call) else {
            flyer_types::mark!("client.meta_answer_late");
            return;
        };
        let answer = answer.and_then(|response| {
            if response.method() == attempt.method {
                return Ok(response);
            }
            let code = StatusCode::RPC_VERIFY_RESPONSE_FAILED;
            Err(Status::with_message(code, "the answer belongs to another method"))
        });
        let class = answer
            .as_ref()
            .map_or_else(|status| status.code.meta_retry(), |_| MetaRetry::Final);
        if class == MetaRetry::Final {
            self.servers.work(attempt.node);
            self.deadlines.remove(Key::Probe(attempt.node));
        }
        match attempt.of {
            For::Call(id) => {
                // Before the answer is looked at: those who wait are not its business.
                self.call_answered(now, id, attempt.node, class, answer, out);
                self.release(now, out);
            }
            For::Background(id) => {
                self.background_answered(now, id, class, answer, out);
                self.background_release(now, out);
            }
            For::Probe => {
                self.probed.remove(&attempt.node);
                if self.servers.has_failed(attempt.node) {
                    self.set_deadline(Key::Probe(attempt.node), now + self.options.probe_interval);
                }
            }
        }
    }

    fn call_answered(
        &mut self,
        now: Time,
        id: OpId,
        node: NodeId,
        class: MetaRetry,
        answer: Result<Response, Status>,
        out: &mut Effects<Out<O>>,
    ) {
        let Some(call) = self.calls.get_mut(id) else {
            unreachable!("{id:?} had an attempt under way and is gone");
        };
        let status = match answer {
            Ok(response) => return self.finish(now, id, Ok(response), out),
            Err(status) => status,
        };
        call.leaked |= status.code.may_leak_session();
        // Who does not know the method is there all the same.
        if status.code.is_server_error() && status.code != StatusCode::RPC_INVALID_METHOD_ID {
            call.node_failures += 1;
            if call.node_failures >= self.options.failures_before_failover {
                call.node = None;
                self.routing_wanted = true;
                self.server_failed(now, node);
            }
        }
        match class {
            MetaRetry::Final | MetaRetry::Permanent => self.finish(now, id, Err(status), out),
            MetaRetry::Retryable => self.retry(now, id, status, out),
        }
    }

    fn server_failed(&mut self, now: Time, node: NodeId) {
        let room = self.probed.len() + self.deadlines.len() < self.deadlines.limit();
        if self.servers.fail(node) && room && !self.probed.contains(&node) {
            flyer_types::mark!("client.meta_failover");
            self.set_deadline(Key::Probe(node), now + self.options.probe_interval);
        }
    }

    /// Tries again later, or gives up. No room is held.
    fn retry(&mut self, now: Time, id: OpId, status: Status, out: &mut Effects<Out<O>>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        if call.op.is_none() {
            return self.finish(now, id, Err(status), out);
        }
        let pace = if status.code.meta_waits_briefly() {
            Pace::Fast
        } else {
            Pace::Full
        };
        match call.retry.failed(now, pace, &mut self.rng) {
            Decision::Wait(until) => {
                call.stage = Stage::Sleeping;
                call.error = Some(status);
                self.set_deadline(key(id), until);
            }
            Decision::GiveUp(_) => {
                flyer_types::mark!("client.meta_gave_up");
                self.finish(now, id, Err(status), out);
            }
        }
    }

    /// Tells the outcome, and takes care of sessions that nobody knows of.
    fn finish(&mut self, now: Time, id: OpId, answer: Result<Response, Status>, out: &mut Effects<Out<O>>) {
        let Some(call) = self.calls.remove(id) else {
            return;
        };
        self.deadlines.remove(key(id));
        if let Some((user, session)) = request::opens(&call.request) {
            match &answer {
                Ok(response) if call.op.is_none() => {
                    flyer_types::mark!("client.cancelled_open_closed");
                    if let Some(inode) = request::opened(response) {
                        let close = request::close(user.clone(), inode, session.clone());
                        self.add_background(now, close, out);
                    }
                }
                Ok(_) => {}
                Err(_) if call.leaked => self.add_prune(now, session.session, out),
                Err(_) => {}
            }
        }
        if let Some(op) = call.op {
            out.push(Out::Done { op, answer });
        }
    }

    fn due(&mut self, now: Time, due: Key, out: &mut Effects<Out<O>>) {
        match due {
            Key::Call(slot, generation) => self.call_due(now, OpId::new(slot, generation), out),
            Key::Background(id) => self.background_acquire(now, id, out),
            Key::Prune => self.flush_prune(now, out),
            Key::Probe(node) => {
                if !self.servers.has_failed(node) {
                    return;
                }
                flyer_types::mark!("client.meta_probe");
                let mut request = request::probe();
                request::stamp(&mut request, &self.client, Uuid::ZERO);
                self.probed.insert(node);
                let deadline = now + self.options.retry.attempt_timeout;
                self.send(For::Probe, node, request, deadline, out);
            }
        }
    }

    fn call_due(&mut self, now: Time, id: OpId, out: &mut Effects<Out<O>>) {
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        match call.stage {
            Stage::Sleeping => self.acquire(now, id, out),
            Stage::Waiting => {
                flyer_types::mark!("client.meta_wait_too_long");
                let status = call.error.take().unwrap_or_else(|| {
                    Status::with_message(
                        StatusCode::META_BUSY,
                        "there was no room for another call in time",
                    )
                });
                self.leave_queue(now, id, out);
                self.finish(now, id, Err(status), out);
            }
            Stage::Calling => unreachable!("{id:?} has a deadline while it is under way"),
        }
    }

    fn leave_queue(&mut self, now: Time, id: OpId, out: &mut Effects<Out<O>>) {
        let mut granted = Effects::new();
        self.room.leave(|waiter| *waiter == id, &mut granted);
        self.granted(now, granted, out);
    }

    fn rerouted(&mut self, now: Time, routing: &RoutingView) {
        if !self.servers.set(routing.meta_nodes()) {
            return;
        }
        // Those who found no server need not wait any longer.
        let sleeping = self
            .calls
            .iter()
            .filter(|(_, call)| call.stage == Stage::Sleeping);
        let sleeping: Vec<_> = sleeping.map(|(id, _)| id).collect();
        for id in sleeping {
            self.set_deadline(key(id), now);
        }
    }

    fn flush(&mut self, out: &mut Effects<Out<O>>) {
        if core::mem::take(&mut self.routing_wanted) {
            out.push(Out::RoutingWanted);
        }
    }
}

impl<O: PartialEq> MetaCalls<O> {
    /// The owner no longer wants to hear of a call.
    fn cancel(&mut self, now: Time, op: &O, out: &mut Effects<Out<O>>) {
        let found = self.calls.iter().find(|(_, call)| call.op.as_ref() == Some(op));
        let Some(id) = found.map(|(id, _)| id) else {
            return;
        };
        let Some(call) = self.calls.get_mut(id) else {
            return;
        };
        call.op = None;
        let status = Status::new(StatusCode::META_REQUEST_CANCELED);
        match call.stage {
            Stage::Calling => {}
            Stage::Sleeping => self.finish(now, id, Err(status), out),
            Stage::Waiting => {
                self.leave_queue(now, id, out);
                self.finish(now, id, Err(status), out);
            }
        }
    }
}

impl<O: PartialEq> Machine for MetaCalls<O> {
    type In = In<O>;
    type Out = Out<O>;

    fn handle(&mut self, now: Time, input: In<O>, out: &mut Effects<Out<O>>) {
        match input {
            In::Start { op, request } => self.start(now, op, request, out),
            In::Background(request) => self.add_background(now, request, out),
            In::Cancel(op) => self.cancel(now, &op, out),
            In::Answer { call, answer } => self.answered(now, call, answer, out),
            In::Routing(routing) => self.rerouted(now, &routing),
        }
        self.flush(out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        while let Some((_, key)) = self.deadlines.pop_due(now) {
            self.due(now, key, out);
        }
        self.flush(out);
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, key) = self.deadlines.next()?;
        let reason = match key {
            Key::Call(..) => "meta.call_wakes",
            Key::Background(_) => "meta.background_wakes",
            Key::Probe(_) => "meta.probe",
            Key::Prune => "meta.prune",
        };
        Some((at, Reason::named(reason)))
    }

    fn check(&self) {
        self.assert_invariants();
    }
}

const fn key(id: OpId) -> Key {
    Key::Call(id.slot, id.generation)
}
