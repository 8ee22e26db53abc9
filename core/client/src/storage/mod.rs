//! Files as chunks on chains: from a range of a file to storage calls and back.
//!
//! ```text
//!   Start ──► claim (updates of the same chunks wait for each other) ──► plan ──► parts, a window at a time
//!   part  ──► chain ──► channel (updates) ──► target ──► room to its node ──► Call ──► Answer ──► done, retry or failed
//!   last part ended ──► Done
//! ```
//!
//! Owner: a shard. Pieces of one operation go to different chunks at the same time, reads of one operation to the same node in one
//! request. A part that fails is tried again on its own, with a short, jittered, growing wait that has nothing to do with the
//! deadline of an attempt; all of it ends with the budget of the operation. A read that fails goes to another replica, an update
//! to whoever the routing says is the head. An operation that failed ends when none of its calls is under way any more, because
//! its memory is lent to them.
//!
//! | module | content |
//! |---|---|
//! | `options` | [`Options`], [`limits_fixed`] |
//! | `plan`, `part` | what is wanted of which chunk; how far that has come |
//! | `order`, `channels`, `gate` | who has to wait: for the same chunks, for a channel, for a node |
//! | `layouts` | orders of chains that are expensive to compute |
//! | `flow`, `request` | the way of a part; what is sent |
//! | `answer`, `removal` | what comes back, and what follows from it |
//!
//! Limits: [`Options`] and [`limits_fixed`]. Source: `src/client/storage` upstream, without its weaknesses.

mod answer;
mod channels;
mod check;
mod flow;
mod gate;
mod layouts;
mod options;
mod order;
mod part;
mod plan;
mod removal;
mod request;

pub use options::{Options, ReadFrom, limits_fixed};

use crate::routing::RoutingView;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use channels::Channels;
use core::ops::RangeInclusive;
use flyer_types::ids::{CallId, ChannelId, InodeId, NodeId, OpId, RequestId};
use flyer_types::parts::{Deadlines, Slots};
use flyer_types::{Effects, Lease, Machine, Reason, Rng, Segments, Status, StatusCode, Time};
use flyer_wire::msg::common::ClientId;
use flyer_wire::msg::meta::inode::Layout;
use flyer_wire::service::storage::{Request, Response};
use gate::Gate;
use layouts::Layouts;
use order::{Order, Ticket};
use part::{Part, PartId, Stage};
use plan::{Shape, Steps};
use smallvec::SmallVec;

/// What is known of a file whose chunks are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// The file.
    pub inode: InodeId,
    /// Where its chunks lie. Its order of chains is computed once and kept by the client for as long as the layout is in use.
    pub layout: Arc<Layout>,
    /// Slots of the layout that chunks may exist on; 0 for all.
    pub stripe: u32,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Fills `into` with the bytes from `offset` on. What does not exist is zero: the caller has cut the range at the length of
    /// the file. Outcome: done.
    Read {
        /// First byte.
        offset: u64,
        /// Where the bytes go.
        into: Lease,
    },
    /// Writes all of `from`. Outcome: done; after a failure the range holds old and new bytes, which of them where is unknown.
    Write {
        /// First byte.
        offset: u64,
        /// The bytes; lent until the outcome is told.
        from: Segments,
    },
    /// Removes the chunks behind `length` and cuts or extends the last one. `stripe` of the file has to allow the last chunk. Outcome: done.
    Truncate {
        /// New length of the file.
        length: u64,
    },
    /// Makes the range read as zeros, without changing the length of the file: whole chunks are removed, except the last one of
    /// the file, parts are overwritten. Outcome: done.
    Punch {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Length of the file.
        file_length: u64,
    },
    /// Finds the end of the last chunk. Outcome: length.
    Length,
    /// Which chunks with an index in the range exist, ascending. Outcome: chunks. Used by `lseek`.
    Chunks {
        /// First index.
        from: u32,
        /// Index behind the last.
        to: u32,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// End of the last chunk: the length of the file, as far as its content tells.
    Length(u64),
    /// Chunks with their lengths.
    Chunks(Vec<(u32, u32)>),
}

/// What happens to the storage client. `O` names an operation of the owner.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<O> {
    /// Do something with the chunks of a file.
    Start {
        /// Whom to tell the outcome.
        op: O,
        /// The file.
        file: FileView,
        /// What is wanted.
        want: Want,
    },
    /// The outcome of an [`Out::Call`]. Late and repeated ones are ignored.
    Answer {
        /// Which.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<Response, Status>,
    },
    /// The chains as they are now.
    Routing(Arc<RoutingView>),
}

/// What the storage client wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<O> {
    /// One attempt.
    Call {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// The request. Checksums of data that are wanted are filled in by the host.
        request: Request,
        /// Reads: where the data of each operation go, in order. Writes: the data.
        memory: Segments,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// These bytes have to become zero. Comes before the outcome of the operation that they belong to.
    Zero(Lease),
    /// The outcome of an [`In::Start`].
    Done {
        /// Whose.
        op: O,
        /// What came of it.
        outcome: Result<Outcome, Status>,
    },
    /// The routing in use seems outdated: fetch a new one soon.
    RoutingWanted,
}

/// An operation.
#[derive(Clone, Debug)]
struct Op<O> {
    op: O,
    file: FileView,
    shape: Shape,
    /// What is left to be made into parts.
    steps: Steps,
    /// Parts that have not ended.
    parts: SmallVec<[PartId; 1]>,
    /// The first failure; nothing new is begun.
    failed: Option<Status>,
    /// When the operation has to be over.
    deadline: Time,
    /// Updates: the claim on the chunks.
    ticket: Option<Ticket>,
    /// What was found so far.
    outcome: Outcome,
}

/// A call under way.
#[derive(Clone, Debug)]
struct Attempt {
    node: NodeId,
    /// Parts that travel, in the order of the request.
    parts: SmallVec<[PartId; 1]>,
}

/// What has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// An operation that waits for its chunks gives up.
    Op(u32, u32),
    /// A part wakes up, or gives up waiting.
    Part(PartId),
    /// The rest of a channel is over.
    Channel(ChannelId),
}

/// What is to be gone on with before the call of the machine ends. A list instead of recursion: one end can let many others go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Make further parts, or end.
    Op(OpId),
    /// Find a channel and a target.
    Part(PartId),
}

/// Reads and writes files on storage servers; see the [module](self).
#[derive(Clone, Debug)]
pub struct StorageIo<O> {
    options: Options,
    client: ClientId,
    rng: Rng,
    routing: Option<Arc<RoutingView>>,
    layouts: Layouts,
    ops: Slots<OpId, Op<O>>,
    parts: Slots<PartId, Part>,
    calls: Slots<CallId, Attempt>,
    order: Order,
    channels: Channels,
    gate: Gate,
    deadlines: Deadlines<Key>,
    /// Requests made so far, on top of a number that no other shard of the client has.
    requests: u64,
    work: VecDeque<Work>,
    /// Parts that know their node and want to go there.
    ready: Vec<(NodeId, PartId)>,
    routing_wanted: bool,
}

impl<O> StorageIo<O> {
    /// Storage I/O of the client with this uuid, which has to be fresh for each process: sequence numbers begin anew. `channels`
    /// are the ids of its update channels; other shards of the same client use others.
    ///
    /// # Panics
    /// If the options cannot work, or there are no channels.
    #[must_use]
    pub fn new(options: Options, client: ClientId, channels: RangeInclusive<u16>, rng: Rng) -> Self {
        options.assert_valid();
        let parts_max = u64::from(options.ops_max) * limits_fixed::OP_PARTS_MAX as u64;
        let parts_max = u32::try_from(parts_max).unwrap_or(u32::MAX);
        let deadlines_max = parts_max as usize + options.ops_max as usize + channels.len();
        Self {
            requests: u64::from(*channels.start()) << 48,
            channels: Channels::new(&channels),
            client: ClientId {
                uuid: client.uuid,
                hostname: flyer_types::Text::default(),
            },
            rng,
            routing: None,
            layouts: Layouts::new(options.shuffle),
            ops: Slots::new(options.ops_max),
            parts: Slots::new(parts_max),
            calls: Slots::new(options.calls_max),
            order: Order::default(),
            gate: Gate::new(options.calls_max, options.node_calls_max),
            deadlines: Deadlines::new(deadlines_max),
            work: VecDeque::new(),
            ready: Vec::new(),
            routing_wanted: false,
            options,
        }
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.ops.is_empty()
    }

    /// Operations that have not ended.
    #[must_use]
    pub const fn ops_len(&self) -> usize {
        self.ops.len()
    }

    /// Update channels that are kept apart, because a late request could still arrive on them.
    #[must_use]
    pub fn channels_resting(&self) -> usize {
        self.channels.resting_len()
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn start(&mut self, now: Time, op: O, file: FileView, want: Want, out: &mut Effects<Out<O>>) {
        let outcome = match want {
            Want::Length => Outcome::Length(0),
            Want::Chunks { .. } => Outcome::Chunks(Vec::new()),
            Want::Read { .. } | Want::Write { .. } | Want::Truncate { .. } | Want::Punch { .. } => {
                Outcome::Done
            }
        };
        let planned = plan::plan(&file, want, &self.options).and_then(|plan| Ok((plan, Shape::new(&file)?)));
        let (plan, shape) = match planned {
            Ok(planned) => planned,
            Err(status) => {
                out.push(Out::Done {
                    op,
                    outcome: Err(status),
                });
                return;
            }
        };
        let inode = file.inode;
        let deadline = now + self.options.retry.budget;
        let added = self.ops.insert(Op {
            op,
            file,
            shape,
            steps: plan.steps,
            parts: SmallVec::new(),
            failed: None,
            deadline,
            ticket: None,
            outcome,
        });
        let id = match added {
            Ok(id) => id,
            Err(full) => {
                flyer_types::mark!("client.storage_ops_full");
                out.push(Out::Done {
                    op: full.0.op,
                    outcome: Err(Status::with_message(
                        StatusCode::STORAGE_CLIENT_RESOURCE_BUSY,
                        "too many operations on storage at a time",
                    )),
                });
                return;
            }
        };
        if let Some(chunks) = plan.claim {
            let (ticket, held) = self.order.claim(inode, chunks, id);
            if let Some(op) = self.ops.get_mut(id) {
                op.ticket = Some(ticket);
            }
            if !held {
                self.set_deadline(Key::Op(id.slot, id.generation), deadline);
                return;
            }
        }
        self.work.push_back(Work::Op(id));
    }

    fn set_deadline(&mut self, key: Key, at: Time) {
        self.deadlines
            .set(key, at)
            .expect("there is a deadline for each operation, part and channel");
    }

    /// A part or an operation is due.
    fn due(&mut self, now: Time, key: Key) {
        match key {
            Key::Op(slot, generation) => {
                let busy = Status::with_message(
                    StatusCode::STORAGE_CLIENT_RESOURCE_BUSY,
                    "an earlier update of the same chunks did not end in time",
                );
                self.fail_op(OpId::new(slot, generation), busy);
            }
            Key::Channel(channel) => {
                if !self.channels.rest_is_over(channel) {
                    self.set_deadline(Key::Channel(channel), now + self.options.quarantine);
                }
                self.wake_for_channels();
            }
            Key::Part(id) => self.part_due(now, id),
        }
    }

    /// Goes on until everything waits for somebody else.
    fn settle(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        loop {
            match self.work.pop_front() {
                Some(Work::Op(op)) => self.advance_op(now, op, out),
                Some(Work::Part(part)) => self.advance_part(now, part),
                None if !self.ready.is_empty() => self.depart(now, out),
                None if self.grant(now, out) => {}
                None => break,
            }
        }
        if core::mem::take(&mut self.routing_wanted) {
            out.push(Out::RoutingWanted);
        }
    }

    /// New routing: those that wait for it, or for a node, choose again.
    fn rerouted(&mut self, routing: Arc<RoutingView>) {
        self.routing = Some(routing);
        let mut again = Vec::new();
        self.gate.take_waiting(|part| again.push(part));
        for (id, part) in self.parts.iter() {
            if part.stage == (Stage::Sleeping { routing: true }) {
                again.push(id);
            }
        }
        for id in again {
            self.deadlines.remove(Key::Part(id));
            if let Some(part) = self.parts.get_mut(id) {
                part.stage = Stage::Going;
                self.work.push_back(Work::Part(id));
            }
        }
    }
}

impl<O> Machine for StorageIo<O> {
    type In = In<O>;
    type Out = Out<O>;

    fn handle(&mut self, now: Time, input: In<O>, out: &mut Effects<Out<O>>) {
        match input {
            In::Start { op, file, want } => self.start(now, op, file, want, out),
            In::Answer { call, answer } => self.answered(now, call, answer, out),
            In::Routing(routing) => self.rerouted(routing),
        }
        self.settle(now, out);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        while let Some((_, key)) = self.deadlines.pop_due(now) {
            self.due(now, key);
            self.settle(now, out);
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, key) = self.deadlines.next()?;
        let reason = match key {
            Key::Op(..) => "storage.op_gives_up",
            Key::Part(_) => "storage.part_wakes",
            Key::Channel(_) => "storage.channel_rested",
        };
        Some((at, Reason::named(reason)))
    }

    fn check(&self) {
        self.layouts.check();
        self.ops.check();
        self.parts.check();
        self.calls.check();
        self.order.check();
        self.channels.check();
        self.gate.check();
        self.deadlines.check();
        assert!(
            self.work.is_empty() && self.ready.is_empty(),
            "something was left to go on with"
        );
        self.check_ops();
        self.check_parts();
        self.check_calls();
    }
}
