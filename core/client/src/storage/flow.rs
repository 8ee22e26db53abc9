//! The way of a part to its server: chain, channel, target, room.
//!
//! Owner: [`StorageIo`].

use super::answer::Failure;
use super::channels::Ended;
use super::limits_fixed::OP_PARTS_MAX;
use super::order::Chunks;
use super::part::{Body, Part, PartId, Stage, Together, Update};
use super::plan::{self, Step};
use super::request::{Asker, Place};
use super::{Attempt, Key, Op, Out, ReadFrom, StorageIo, Work};
use crate::routing::Serving;
use flyer_types::ids::{ChainId, NodeId, OpId, TargetId};
use flyer_types::parts::Retry;
use flyer_types::status::StorageCall;
use flyer_types::{Effects, Segments, Status, StatusCode, Time};
use flyer_wire::layout::chain_of_index;
use flyer_wire::msg::storage::chunk::VersionedChainId;
use smallvec::SmallVec;

impl<O> StorageIo<O> {
    /// Makes parts as long as the window has room, or ends the operation.
    pub(super) fn advance_op(&mut self, now: Time, id: OpId, out: &mut Effects<Out<O>>) {
        while let Some(op) = self.ops.get_mut(id) {
            if op.failed.is_some() || op.parts.len() >= OP_PARTS_MAX {
                break;
            }
            let Some(body) = next_body(op, &self.options) else {
                break;
            };
            let retry = Retry::new(self.options.retry, now).with_deadline(op.deadline);
            let part = self.parts.insert(Part {
                op: id,
                body,
                chain: None,
                update: None,
                retry,
                stage: Stage::Going,
                target: TargetId(0),
                avoided: SmallVec::new(),
                error: None,
            });
            let part = part.expect("each operation has room for its parts");
            op.parts.push(part);
            self.work.push_back(Work::Part(part));
        }
        let Some(op) = self.ops.get(id) else {
            return;
        };
        if op.parts.is_empty() && (op.failed.is_some() || op.steps.is_empty()) {
            self.finish(id, out);
        }
    }

    /// Brings a part to where it has to wait.
    pub(super) fn advance_part(&mut self, now: Time, id: PartId) {
        if self.is_too_late(now, id) {
            return;
        }
        let Some(chain) = self.chain_of(id) else {
            return;
        };
        let chain = match chain {
            Ok(chain) => chain,
            Err(code) => {
                let failure = Failure::routing(Status::new(code));
                return self.part_failed(now, id, failure);
            }
        };
        if !self.has_channel(id, chain) {
            return;
        }
        match self.choose(id, chain) {
            Ok(serving) => {
                if let Some(part) = self.parts.get_mut(id) {
                    part.target = serving.target;
                    self.ready.push((serving.node, id));
                }
            }
            Err(code) => self.part_failed(now, id, Failure::routing(Status::new(code))),
        }
    }

    /// Fails a part whose time was over before it came to its turn. True also if it is gone already.
    fn is_too_late(&mut self, now: Time, id: PartId) -> bool {
        let Some(part) = self.parts.get_mut(id) else {
            return true;
        };
        if part.retry.deadline() > now {
            return false;
        }
        flyer_types::mark!("client.storage_too_late");
        let status = part.error.take();
        let timeout = StatusCode::STORAGE_CLIENT_TIMEOUT;
        let status = status.unwrap_or_else(|| Status::with_message(timeout, "it was not its turn in time"));
        self.fail_part(now, id, status);
        true
    }

    /// The chain of a part, looked up once; `None` if the part is gone.
    fn chain_of(&mut self, id: PartId) -> Option<Result<ChainId, StatusCode>> {
        let part = self.parts.get_mut(id)?;
        if let Some(chain) = part.chain {
            return Some(Ok(chain));
        }
        let op = self.ops.get(part.op)?;
        let layout = &op.file.layout;
        let slot = part.body.slot(op.shape.stripe_size);
        let Some(routing) = self.routing.as_ref() else {
            return Some(Err(StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY));
        };
        let Some(index) = self.layouts.index(layout, slot) else {
            return Some(Err(StatusCode::META_INVALID_FILE_LAYOUT));
        };
        let chain = chain_of_index(layout.table_id, layout.table_version, index, &**routing);
        part.chain = chain.ok();
        Some(chain)
    }

    /// Whether the part needs no channel or has one now; otherwise it waits for one.
    fn has_channel(&mut self, id: PartId, chain: ChainId) -> bool {
        let Some(part) = self.parts.get_mut(id) else {
            return false;
        };
        if part.body.call() == StorageCall::Read || part.update.is_some() {
            return true;
        }
        let Some(op) = self.ops.get(part.op) else {
            return false;
        };
        let touched = part.body.touched(chain, op.file.inode);
        if let Some(grant) = self.channels.take(&touched) {
            self.hold_channel(id, grant);
            return true;
        }
        flyer_types::mark!("client.channel_awaited");
        part.stage = Stage::Channel;
        let deadline = part.retry.deadline();
        self.channels.wait(id, touched);
        self.set_deadline(Key::Part(id), deadline);
        false
    }

    fn hold_channel(&mut self, id: PartId, grant: super::channels::Grant) {
        let request = self.next_request();
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        // A removal draws its numbers with each attempt.
        let seq = match &mut part.body {
            Body::Remove { until, .. } => {
                *until = grant.to;
                0.into()
            }
            Body::Write { .. } | Body::Cut { .. } => self.channels.sequence(1),
            Body::Read { .. } | Body::Last { .. } | Body::Exists { .. } => {
                unreachable!("a part that updates nothing holds a channel")
            }
        };
        part.update = Some(Update {
            channel: grant.channel,
            seq,
            request,
            unsettled: false,
            noted: false,
        });
    }

    /// Gives channels that came back to those that wait for one.
    pub(super) fn wake_for_channels(&mut self) {
        while let Some((id, grant)) = self.channels.next_waiter() {
            self.deadlines.remove(Key::Part(id));
            self.hold_channel(id, grant);
            if let Some(part) = self.parts.get_mut(id) {
                part.stage = Stage::Going;
                self.work.push_back(Work::Part(id));
            }
        }
    }

    /// Gives the channel of a part back.
    pub(super) fn give_back(&mut self, now: Time, update: Update, ended: Ended) {
        if self.channels.give_back(update.channel, ended) {
            self.set_deadline(Key::Channel(update.channel), now + self.options.quarantine);
        } else if ended == Ended::Acknowledged {
            self.deadlines.remove(Key::Channel(update.channel));
        }
        self.wake_for_channels();
    }

    /// The target that the next attempt goes to.
    fn choose(&mut self, id: PartId, chain: ChainId) -> Result<Serving, StatusCode> {
        let missing = StatusCode::STORAGE_CLIENT_ROUTING_ERROR;
        let view = self.routing.as_ref().and_then(|routing| routing.chain(chain));
        let serving = view.ok_or(missing)?.serving.as_ref().map_err(|code| *code)?;
        let part = self.parts.get_mut(id).ok_or(missing)?;
        let head = serving.first().copied().ok_or(missing)?;
        if serving.len() == 1 || part.body.call() == StorageCall::Update {
            return Ok(head);
        }
        if serving.iter().all(|at| part.avoided.contains(&at.target)) {
            part.avoided.clear();
        }
        let mut candidates = serving.iter().filter(|at| !part.avoided.contains(&at.target));
        let chosen = match (&part.body, self.options.read_from) {
            (Body::Read { .. }, ReadFrom::Any) => {
                let first = self.rng.index(serving.len());
                let turns = serving.iter().cycle().skip(first).take(serving.len());
                let candidates = turns.filter(|at| !part.avoided.contains(&at.target));
                candidates.min_by_key(|at| self.gate.under_way(at.node))
            }
            (Body::Read { .. }, ReadFrom::Tail) => candidates.next_back(),
            (
                Body::Last { .. }
                | Body::Exists { .. }
                | Body::Write { .. }
                | Body::Cut { .. }
                | Body::Remove { .. },
                _,
            ) => candidates.next(),
        };
        Ok(chosen.copied().unwrap_or(head))
    }

    /// Sends what is ready, as far as there is room.
    pub(super) fn depart(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        let mut ready = core::mem::take(&mut self.ready);
        if ready.len() > 1 {
            // Keeps the order within a node.
            ready.sort_by_key(|(node, _)| *node);
        }
        let mut at = 0;
        while let Some((node, first)) = ready.get(at).copied() {
            let mut batch = Batch::of(&self.parts, first);
            at += 1;
            while let Some((_, next)) = ready.get(at).filter(|(other, _)| *other == node) {
                if !batch.takes(&self.parts, *next, &self.options) {
                    break;
                }
                at += 1;
            }
            if self.gate.enter(node) {
                self.send(now, node, batch.parts, out);
            } else {
                flyer_types::mark!("client.gate_shut");
                for id in batch.parts {
                    self.wait_for_room(node, id);
                }
            }
        }
        ready.clear();
        self.ready = ready;
    }

    fn wait_for_room(&mut self, node: NodeId, id: PartId) {
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        part.stage = Stage::Gate(node);
        let deadline = part.retry.deadline();
        self.gate.wait(node, id);
        self.set_deadline(Key::Part(id), deadline);
    }

    /// Sends what has waited longest for room that there is now. False: there is nothing, or no room.
    pub(super) fn grant(&mut self, now: Time, out: &mut Effects<Out<O>>) -> bool {
        let Some((node, first)) = self.gate.grant() else {
            return false;
        };
        let mut batch = Batch::of(&self.parts, first);
        while let Some(next) = self.gate.front(node) {
            if !batch.takes(&self.parts, next, &self.options) {
                break;
            }
            self.gate.pop(node);
        }
        for id in &batch.parts {
            self.deadlines.remove(Key::Part(*id));
            if let Some(part) = self.parts.get_mut(*id) {
                part.stage = Stage::Going;
            }
        }
        batch.parts.retain(|id| !self.is_too_late(now, *id));
        if batch.parts.is_empty() {
            self.gate.leave(node);
        } else {
            self.send(now, node, batch.parts, out);
        }
        true
    }

    /// One call.
    fn send(&mut self, now: Time, node: NodeId, parts: SmallVec<[PartId; 1]>, out: &mut Effects<Out<O>>) {
        let request = self.next_request();
        let call = self.calls.insert_with(|_| Attempt {
            node,
            parts: SmallVec::new(),
        });
        let call = call.expect("the gate lets no more calls through than the table holds");
        let mut deadline = Time::NEVER;
        let mut retry_count = 0;
        for id in &parts {
            let Some(part) = self.parts.get_mut(*id) else {
                unreachable!("{id:?} left without a trace");
            };
            part.stage = Stage::Calling(call);
            deadline = deadline.min(part.retry.attempt_deadline(now));
            retry_count = retry_count.max(part.retry.failures());
            if let (Body::Remove { trace: None, .. }, Some(update)) = (&part.body, &mut part.update) {
                update.seq = self.channels.sequence(self.options.remove_chunks_max);
            }
        }
        let asker = Asker {
            client: &self.client,
            options: &self.options,
            retry_count,
        };
        let places = parts.iter().map(|id| self.place(*id));
        let first = parts.first().and_then(|id| self.parts.get(*id));
        let first = first.expect("a call carries a part");
        let (request, memory) = match (first.body.together(), &first.update) {
            (Together::Read, _) => asker.read(request, places),
            (Together::Query, _) => (asker.query(request, places), Segments::new()),
            (Together::Never, Some(update)) => asker.update(self.place(parts[0]).0, update, &first.body),
            (Together::Never, None) => unreachable!("an update travels without a channel"),
        };
        if let Some(attempt) = self.calls.get_mut(call) {
            attempt.parts = parts;
        }
        out.push(Out::Call {
            call,
            node,
            request,
            memory,
            deadline,
        });
    }

    /// Where a part goes, in the terms of a request.
    fn place(&self, id: PartId) -> (Place, &Body) {
        let part = self.parts.get(id).expect("the part is about to be sent");
        let op = self.ops.get(part.op).expect("an operation outlives its parts");
        let chain_id = part.chain.expect("a part chooses its chain before its target");
        let view = self.routing.as_ref().and_then(|routing| routing.chain(chain_id));
        let view = view.expect("the target was chosen from this routing");
        let place = Place {
            inode: op.file.inode,
            chain: VersionedChainId {
                chain_id,
                chain_ver: view.version,
            },
            chunk_size: op.file.layout.chunk_size,
        };
        (place, &part.body)
    }

    /// What a request of this part may still change once nobody waits for it.
    pub(super) fn touched(&self, part: &Part, chain: ChainId) -> Option<super::channels::Touched> {
        let op = self.ops.get(part.op)?;
        let mut touched = part.body.touched(chain, op.file.inode);
        if let Body::Remove { chunks, until, .. } = &part.body {
            touched.chunks = Chunks {
                from: chunks.from,
                to: *until,
            };
        }
        Some(touched)
    }
}

/// The next part of an operation, if it may begin now.
fn next_body<O>(op: &mut Op<O>, options: &super::Options) -> Option<Body> {
    while let Some(step) = op.steps.last_mut() {
        match step {
            Step::Barrier if !op.parts.is_empty() => return None,
            // Updates of one chunk go one after the other, also when they are pieces of one: a fence tells chunks apart, not bytes.
            Step::Write { at, .. } | Step::Zero { at, .. }
                if !op.parts.is_empty() && op.shape.is_inside_chunk(*at) =>
            {
                return None;
            }
            Step::Barrier => {}
            Step::Cut { chunk, length } => {
                let body = Body::Cut {
                    chunk: *chunk,
                    length: *length,
                };
                op.steps.pop();
                return Some(body);
            }
            Step::Read { .. }
            | Step::Write { .. }
            | Step::Zero { .. }
            | Step::Remove { .. }
            | Step::Last { .. }
            | Step::Exists { .. } => {
                if let Some(body) = plan::next_part(step, op.shape, options) {
                    return Some(body);
                }
            }
        }
        op.steps.pop();
    }
    None
}

/// Parts of one operation that travel together.
struct Batch {
    parts: SmallVec<[PartId; 1]>,
    op: Option<OpId>,
    together: Together,
    bytes: u64,
}

impl Batch {
    fn of(all: &flyer_types::parts::Slots<PartId, Part>, first: PartId) -> Self {
        let part = all.get(first);
        Self {
            parts: SmallVec::from_buf([first]),
            op: part.map(|part| part.op),
            together: part.map_or(Together::Never, |part| part.body.together()),
            bytes: part.map_or(0, |part| part.body.bytes()),
        }
    }

    /// Adds a part, if it fits.
    fn takes(
        &mut self,
        all: &flyer_types::parts::Slots<PartId, Part>,
        next: PartId,
        options: &super::Options,
    ) -> bool {
        let Some(part) = all.get(next) else {
            return false;
        };
        let bytes = self.bytes + part.body.bytes();
        let fits = self.together != Together::Never
            && part.body.together() == self.together
            && Some(part.op) == self.op
            && self.parts.len() < options.batch_ios_max
            && bytes <= options.batch_bytes_max;
        if fits {
            self.parts.push(next);
            self.bytes = bytes;
        }
        fits
    }
}
