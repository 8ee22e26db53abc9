//! A slice of the inodes with their handles, operations and buffers: the unit that a mount is divided into.
//!
//! Owner: a host, which hands it requests of the kernel and messages of its fellow shards, carries its calls, and answers the kernel.
//!
//! ```text
//!   Request, Message ──► begin ──► op machine ──► Reply, Message
//!                                   ▲      │
//!              answers, turns ──────┘      └────► MetaCalls, StorageIo ──► calls
//! ```
//!
//! Which shard an inode belongs to is decided by [`shard_of`]. Operations that concern two inodes run where the request names the
//! first, and ask the other shard by [`Message`]. Messages from one shard to another arrive in the order they were sent; a host delivers
//! the effects of one call in order, so a reference is counted before the kernel can give it back.
//!
//! Limits: [`OPS_MAX`] operations at a time; beyond it a request is answered `EAGAIN` (the host bounds what the kernel has under way far
//! below), and so many more of the shard's own that no limit of its modules lets it reach the end. What files and directories may hold is bounded in their modules and by [`Config`].

mod context;
mod op;
mod state;

pub(crate) use context::{Context, Effect};
pub(crate) use op::{Event, Op, Outcome, Step, Task};
pub(crate) use state::{Clock, State};
pub use state::{MetaMachine, StorageMachine};

use crate::config::Config;
use crate::inode::Inodes;
use crate::reply::{Invalidate, Reply};
use crate::request::{Caller, Request};
use crate::{file, name};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use flyer_client::routing::RoutingView;
use flyer_types::ids::{CallId, InodeId, NodeId, OpId};
use flyer_types::parts::Slots;
use flyer_types::{Effects, Errno, Lease, LeaseId, Machine, Reason, Rng, Segments, Status, Time, WallTime};
use flyer_wire::msg::common::ClientId;
use flyer_wire::service::{meta, storage};

/// Operations of a shard at a time that the kernel or other shards have asked for.
pub const OPS_MAX: u32 = 1 << 16;

/// Operations beyond these that a shard starts for itself: flushes, at most one for each inode with bytes that wait, and what other
/// operations ask of their own shard. They are never refused: others wait for them.
const OPS_OWN_MAX: u32 = 1 << 19;

/// The shard of an inode.
#[must_use]
pub const fn shard_of(inode: InodeId, shards: u32) -> u32 {
    // Multiplication spreads ids that are handed out in sequence or with gaps of a power of two.
    let spread = (inode.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
    ((spread as u64 * shards as u64) >> 32) as u32
}

/// What happens to a shard. `R` is the host's right to answer one request of the kernel.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<R> {
    /// The kernel asks.
    Request {
        /// Whom to answer.
        reply: R,
        /// Who asks.
        caller: Caller,
        /// What.
        request: Request,
    },
    /// Another shard of the mount says something.
    Message(Message<R>),
    /// The answer to an [`Out::Meta`].
    Meta {
        /// Which call.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<meta::Response, Status>,
    },
    /// The answer to an [`Out::Storage`]. The host has stopped using the memory lent with the call.
    Storage {
        /// Which call.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<storage::Response, Status>,
    },
    /// Servers and chains as they are now.
    Routing(Arc<RoutingView>),
    /// Other options.
    Config(Arc<Config>),
    /// The time of day; comes before the first request. It goes on from there with the host's monotonic clock.
    Clock(WallTime),
    /// Write everything out, close all sessions, and answer; the kernel asks nothing any more. Answered [`Reply::Done`], or with the first error.
    Shutdown {
        /// Whom to answer.
        reply: R,
    },
}

/// What a shard wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<R> {
    /// Answers a request of the kernel.
    Reply {
        /// Whom.
        reply: R,
        /// What.
        answer: Result<Reply, Errno>,
    },
    /// Says something to another shard of the mount.
    Message {
        /// Its index.
        to: u32,
        /// What.
        message: Message<R>,
    },
    /// Calls a metadata server; answered exactly once.
    Meta {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// What is asked.
        request: meta::Request,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// Calls a storage server; answered exactly once.
    Storage {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// What is asked.
        request: storage::Request,
        /// Reads: where the data of each operation go, in order. Writes: the data.
        memory: Segments,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// Copies bytes within the host's memory; both have the same length. Done before any later effect.
    Copy {
        /// Source.
        from: Lease,
        /// Destination.
        to: Lease,
    },
    /// Makes memory zero. Done before any later effect.
    Zero(Lease),
    /// The shard is done with memory that came with a request.
    Free(LeaseId),
    /// The kernel has to forget something.
    Invalidate(Invalidate),
    /// A user has changed options of the mount: hand them to every shard.
    Config(Config),
    /// The routing in use seems outdated: fetch a new one soon.
    RoutingWanted,
}

/// What one shard says to another. The host only carries it.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<R>(Envelope<R>);

#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "messages are moved once and never kept")]
enum Envelope<R> {
    /// Carry this out.
    Task {
        owner: Owner<R>,
        caller: Caller,
        task: Task,
    },
    /// What came of it.
    Outcome {
        op: OpId,
        outcome: Result<Outcome, Errno>,
    },
}

/// Who waits for the outcome of an op machine.
#[derive(Clone, Debug, PartialEq)]
enum Owner<R> {
    /// The kernel.
    Kernel(R),
    /// An operation of the shard with that index.
    Op { shard: u32, op: OpId },
    /// Nobody.
    Nobody,
}

/// An operation under way. The machine is absent while it steps.
#[derive(Debug)]
struct Running<R> {
    owner: Owner<R>,
    caller: Caller,
    op: Option<Op>,
}

/// What a shard is made of.
#[derive(Debug)]
pub struct Parts {
    /// Which shard this is.
    pub index: u32,
    /// Number of shards of the mount.
    pub shards: u32,
    /// The client process, as servers know it.
    pub client: ClientId,
    /// Options.
    pub config: Arc<Config>,
    /// Randomness of its own.
    pub rng: Rng,
}

/// A request that is not carried out may own memory.
fn release_memory<R>(task: &Task, out: &mut Effects<Out<R>>) {
    if let Task::Kernel(Request::Write { data, .. }) = task {
        out.push(Out::Free(data.id));
    }
}

/// A slice of the inodes; see the [module](self).
#[derive(Debug)]
pub struct Shard<R> {
    state: State,
    ops: Slots<OpId, Running<R>>,
    /// Tasks of this shard that a step has led to, in order.
    tasks: VecDeque<(Owner<R>, Caller, Task)>,
}

impl<R: core::fmt::Debug> Shard<R> {
    /// A shard that knows no inode but the root.
    #[must_use]
    pub fn new(parts: Parts, meta: Box<MetaMachine>, storage: Box<StorageMachine>) -> Self {
        let Parts {
            index,
            shards,
            client,
            config,
            rng,
        } = parts;
        assert!(index < shards, "shard {index} of {shards}");
        Self {
            state: State {
                index,
                shards,
                client,
                config,
                clock: Clock::default(),
                rng,
                inodes: Inodes::new(shard_of(InodeId::ROOT, shards) == index),
                files: file::Files::new(),
                names: name::Names::new(),
                effects: Effects::new(),
                ready: VecDeque::new(),
                meta,
                meta_out: Effects::new(),
                storage,
                storage_out: Effects::new(),
            },
            ops: Slots::new(OPS_MAX + OPS_OWN_MAX),
            tasks: VecDeque::new(),
        }
    }

    /// Number of operations under way.
    #[must_use]
    pub const fn ops_len(&self) -> usize {
        self.ops.len()
    }

    /// Number of inodes that are known.
    #[must_use]
    pub fn inodes_len(&self) -> usize {
        self.state.inodes.len()
    }

    /// Starts a task.
    fn begin(&mut self, now: Time, owner: Owner<R>, caller: Caller, task: Task, out: &mut Effects<Out<R>>) {
        let running = Running {
            owner,
            caller,
            op: None,
        };
        let is_own = match &running.owner {
            Owner::Kernel(_) => false,
            Owner::Op { shard, .. } => *shard == self.state.index,
            Owner::Nobody => true,
        };
        if !is_own && self.ops.len() >= OPS_MAX as usize {
            flyer_types::mark!("vfs.ops_full");
            release_memory(&task, out);
            return self.answer(running.owner, Err(Errno::EAGAIN), out);
        }
        match self.ops.insert(running) {
            Ok(id) => {
                let step = Op::begin(&mut self.context(now, id, caller), task);
                self.conclude(id, step, out);
            }
            Err(_) => unreachable!("the shard has started {OPS_OWN_MAX} operations of its own"),
        }
    }

    /// Takes a step of an operation.
    fn step(&mut self, now: Time, id: OpId, event: Event, out: &mut Effects<Out<R>>) {
        let Some(running) = self.ops.get_mut(id) else {
            flyer_types::mark!("vfs.stale_event");
            return;
        };
        let caller = running.caller;
        let op = running
            .op
            .take()
            .expect("an operation does not step within its own step");
        let step = op.step(&mut self.context(now, id, caller), event);
        self.conclude(id, step, out);
    }

    fn context(&mut self, now: Time, op: OpId, caller: Caller) -> Context<'_> {
        Context {
            state: &mut self.state,
            op,
            caller,
            now,
        }
    }

    /// What a step has led to. Its effects come before its outcome: who hears the outcome may rely on them.
    fn conclude(&mut self, id: OpId, step: Step, out: &mut Effects<Out<R>>) {
        self.carry_out_effects(out);
        match step {
            Step::Wait(op) => {
                let running = self.ops.get_mut(id).expect("it is stepping");
                running.op = Some(op);
            }
            Step::Done(outcome) => {
                let running = self.ops.remove(id).expect("it is stepping");
                self.answer(running.owner, outcome, out);
            }
            Step::Become(task) => {
                let Running { owner, caller, .. } = self.ops.remove(id).expect("it is stepping");
                self.hand(owner, caller, task, out);
            }
        }
    }

    fn carry_out_effects(&mut self, out: &mut Effects<Out<R>>) {
        let mut effects = core::mem::take(&mut self.state.effects);
        for effect in effects.drain() {
            match effect {
                Effect::Copy { from, to } => out.push(Out::Copy { from, to }),
                Effect::Free(memory) => out.push(Out::Free(memory)),
                Effect::Invalidate(what) => out.push(Out::Invalidate(what)),
                Effect::Config(config) => out.push(Out::Config(config)),
                Effect::Ask { op, caller, task } => {
                    let shard = self.state.index;
                    self.hand(Owner::Op { shard, op }, caller, task, out);
                }
                Effect::Spawn { caller, task } => self.hand(Owner::Nobody, caller, task, out),
            }
        }
        // Keeps the memory for the next step.
        self.state.effects = effects;
    }

    /// Gives a task to the shard of its inode.
    fn hand(&mut self, owner: Owner<R>, caller: Caller, task: Task, out: &mut Effects<Out<R>>) {
        let to = shard_of(task.inode(), self.state.shards);
        if to == self.state.index {
            self.tasks.push_back((owner, caller, task));
            return;
        }
        let message = Message(Envelope::Task { owner, caller, task });
        out.push(Out::Message { to, message });
    }

    fn answer(&mut self, owner: Owner<R>, outcome: Result<Outcome, Errno>, out: &mut Effects<Out<R>>) {
        match owner {
            Owner::Kernel(reply) => {
                let answer = outcome.map(|outcome| match outcome {
                    Outcome::Reply(reply) => reply,
                    Outcome::Done | Outcome::Entered(_) => Reply::Done,
                });
                out.push(Out::Reply { reply, answer });
            }
            Owner::Op { shard, op } if shard == self.state.index => {
                self.state.ready.push_back((op, Event::Asked(outcome)));
            }
            Owner::Op { shard, op } => {
                let message = Message(Envelope::Outcome { op, outcome });
                out.push(Out::Message { to: shard, message });
            }
            Owner::Nobody => {}
        }
    }

    /// Goes on until nothing is due in this shard.
    fn run(&mut self, now: Time, out: &mut Effects<Out<R>>) {
        loop {
            self.take_client_effects(out);
            if let Some((op, event)) = self.state.ready.pop_front() {
                self.step(now, op, event, out);
            } else if let Some((owner, caller, task)) = self.tasks.pop_front() {
                self.begin(now, owner, caller, task, out);
            } else if self.state.meta_out.is_empty() && self.state.storage_out.is_empty() {
                return;
            }
        }
    }

    fn take_client_effects(&mut self, out: &mut Effects<Out<R>>) {
        for effect in self.state.meta_out.drain() {
            match effect {
                flyer_client::meta::Out::Call {
                    call,
                    node,
                    request,
                    deadline,
                } => out.push(Out::Meta {
                    call,
                    node,
                    request,
                    deadline,
                }),
                flyer_client::meta::Out::Done { op, answer } => {
                    self.state.ready.push_back((op, Event::Meta(answer)));
                }
                flyer_client::meta::Out::Dropped { .. } => flyer_types::mark!("vfs.background_call_dropped"),
                flyer_client::meta::Out::RoutingWanted => out.push(Out::RoutingWanted),
            }
        }
        for effect in self.state.storage_out.drain() {
            match effect {
                flyer_client::storage::Out::Call {
                    call,
                    node,
                    request,
                    memory,
                    deadline,
                } => out.push(Out::Storage {
                    call,
                    node,
                    request,
                    memory,
                    deadline,
                }),
                flyer_client::storage::Out::Zero(lease) => out.push(Out::Zero(lease)),
                flyer_client::storage::Out::Done { op, outcome } => {
                    self.state.ready.push_back((op, Event::Storage(outcome)));
                }
                flyer_client::storage::Out::RoutingWanted => out.push(Out::RoutingWanted),
            }
        }
    }

    fn take_message(&mut self, now: Time, message: Message<R>, out: &mut Effects<Out<R>>) {
        match message.0 {
            Envelope::Task { owner, caller, task } => self.begin(now, owner, caller, task, out),
            Envelope::Outcome { op, outcome } => self.step(now, op, Event::Asked(outcome), out),
        }
    }

    /// Deadlines of the parts, in the order in which they are served.
    fn deadlines(&self) -> [Option<(Time, Reason)>; 3] {
        [
            self.state.meta.poll_timeout(),
            self.state.storage.poll_timeout(),
            self.state.files.poll_timeout(),
        ]
    }
}

impl<R: core::fmt::Debug> Machine for Shard<R> {
    type In = In<R>;
    type Out = Out<R>;

    fn handle(&mut self, now: Time, input: In<R>, out: &mut Effects<Out<R>>) {
        match input {
            In::Request {
                reply,
                caller,
                request,
            } => self.begin(now, Owner::Kernel(reply), caller, Task::Kernel(request), out),
            In::Message(message) => self.take_message(now, message, out),
            In::Meta { call, answer } => {
                self.state
                    .call_meta(now, flyer_client::meta::In::Answer { call, answer });
            }
            In::Storage { call, answer } => {
                self.state
                    .call_storage(now, flyer_client::storage::In::Answer { call, answer });
            }
            In::Routing(routing) => {
                self.state
                    .call_meta(now, flyer_client::meta::In::Routing(Arc::clone(&routing)));
                self.state
                    .call_storage(now, flyer_client::storage::In::Routing(routing));
            }
            In::Config(config) => self.state.config = config,
            In::Clock(wall) => self.state.clock = Clock { at: now, wall },
            In::Shutdown { reply } => {
                let task = Task::File(file::Task::Shutdown);
                self.begin(now, Owner::Kernel(reply), Caller::default(), task, out);
            }
        }
        self.run(now, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out<R>>) {
        let due = |deadline: Option<(Time, Reason)>| deadline.is_some_and(|(at, _)| at <= now);
        if due(self.state.meta.poll_timeout()) {
            self.state.meta.handle_timeout(now, &mut self.state.meta_out);
        }
        if due(self.state.storage.poll_timeout()) {
            self.state
                .storage
                .handle_timeout(now, &mut self.state.storage_out);
        }
        if due(self.state.files.poll_timeout()) {
            let tasks = file::wake(&mut self.state, now);
            for task in tasks {
                self.tasks
                    .push_back((Owner::Nobody, Caller::default(), Task::File(task)));
            }
        }
        self.run(now, out);
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.deadlines().into_iter().flatten().min()
    }

    fn check(&self) {
        self.state.meta.check();
        self.state.storage.check();
        self.ops.check();
        assert!(self.state.ready.is_empty(), "a step is due that nobody takes");
        assert!(self.tasks.is_empty(), "a task is due that nobody begins");
        for (id, running) in self.ops.iter() {
            assert!(
                running.op.is_some(),
                "{id:?} neither waits nor has come to its end"
            );
        }
        self.state.inodes.check();
        self.state.files.check();
        self.state.names.check();
    }
}
