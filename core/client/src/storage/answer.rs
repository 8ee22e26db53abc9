//! What comes back, and what it means: done, another attempt, or the end.
//!
//! Owner: [`StorageIo`]. A server's word is not trusted: lengths beyond what was asked for, results of another number and chunks of
//! another file are failures like others.

use super::channels::Ended;
use super::part::{Body, PartId, Stage};
use super::{Key, Out, Outcome, StorageIo, Work};
use flyer_types::ids::{CallId, OpId};
use flyer_types::parts::retry::{Decision, Pace};
use flyer_types::status::{Group, StorageCall, StorageRetry};
use flyer_types::{Effects, Status, StatusCode, Time};
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::io::IoResult;
use flyer_wire::msg::storage::range::QueryLastChunkResult;
use flyer_wire::service::storage::Response;
use smallvec::SmallVec;

/// Why a part did not succeed.
pub(super) struct Failure {
    status: Status,
    class: StorageRetry,
    /// A new routing may help.
    routing: bool,
    /// It may be carried out later all the same.
    unsettled: bool,
}

impl Failure {
    /// The server answered.
    pub(super) fn answered(status: Status, call: StorageCall) -> Self {
        Self {
            class: status.code.storage_retry(call),
            routing: status.code.suggests_stale_routing(),
            unsettled: false,
            status,
        }
    }

    /// The host says how the call as a whole went wrong.
    fn call(status: Status, call: StorageCall) -> Self {
        Self {
            unsettled: may_be_carried_out(status.code),
            ..Self::answered(status, call)
        }
    }

    /// The routing does not tell where to go.
    pub(super) fn routing(status: Status) -> Self {
        let class = match status.code {
            StatusCode::META_INVALID_FILE_LAYOUT => StorageRetry::Permanent,
            _ => StorageRetry::Retry,
        };
        Self {
            class,
            routing: true,
            unsettled: false,
            status,
        }
    }

    /// The server answered something that makes no sense.
    fn nonsense(call: StorageCall, what: &str) -> Self {
        Self {
            status: Status::with_message(StatusCode::STORAGE_CLIENT_FOUND_BUG, what),
            class: match call {
                StorageCall::Read => StorageRetry::Unavailable,
                StorageCall::Update => StorageRetry::Permanent,
            },
            routing: false,
            unsettled: true,
        }
    }
}

/// Whether a request that failed like this may still be carried out: it left, and nobody has said that it was not.
fn may_be_carried_out(code: StatusCode) -> bool {
    match code {
        StatusCode::RPC_SEND_FAILED
        | StatusCode::RPC_CONNECT_FAILED
        | StatusCode::RPC_IB_INIT_FAILED
        | StatusCode::RPC_REQUEST_REFUSED
        | StatusCode::RPC_INVALID_SERVICE_ID
        | StatusCode::RPC_INVALID_METHOD_ID
        | StatusCode::RPC_VERIFY_REQUEST_FAILED => false,
        other => matches!(other.group(), Group::Rpc),
    }
}

impl<O> StorageIo<O> {
    /// The outcome of a call.
    pub(super) fn answered(
        &mut self,
        now: Time,
        call: CallId,
        answer: Result<Response, Status>,
        out: &mut Effects<Out<O>>,
    ) {
        let Some(attempt) = self.calls.remove(call) else {
            flyer_types::mark!("client.storage_answer_late");
            return;
        };
        self.gate.leave(attempt.node);
        let parts = attempt.parts;
        let response = match answer {
            Ok(response) => response,
            Err(status) => {
                for id in parts {
                    let call = self.call_of(id);
                    self.part_failed(now, id, Failure::call(status.clone(), call));
                }
                return;
            }
        };
        let update = self.parts.get(parts[0]).map(|part| part.body.clone());
        match (response, update) {
            (Response::BatchRead(rsp), Some(Body::Read { .. })) if rsp.results.len() == parts.len() => {
                for (id, result) in parts.into_iter().zip(rsp.results) {
                    self.read_done(now, id, result, out);
                }
            }
            (Response::QueryLastChunk(rsp), Some(Body::Last { .. } | Body::Exists { .. }))
                if rsp.results.len() == parts.len() =>
            {
                for (id, result) in parts.into_iter().zip(rsp.results) {
                    self.query_done(now, id, result);
                }
            }
            (Response::Write(rsp), Some(Body::Write { memory, .. })) => {
                self.update_done(now, parts[0], rsp.result, memory.len_bytes());
            }
            (Response::TruncateChunks(rsp), Some(Body::Cut { length, .. })) if rsp.results.len() == 1 => {
                for result in rsp.results {
                    self.update_done(now, parts[0], result, u64::from(length));
                }
            }
            (Response::TruncateChunks(rsp), Some(Body::Remove { trace: Some(_), .. }))
                if rsp.results.len() == 1 =>
            {
                for result in rsp.results {
                    self.trace_left(now, parts[0], result);
                }
            }
            (Response::RemoveChunks(rsp), Some(Body::Remove { trace: None, .. }))
                if rsp.results.len() == 1 =>
            {
                for result in rsp.results {
                    self.removal_done(now, parts[0], result);
                }
            }
            _ => self.no_answer_to_this(now, parts),
        }
    }

    fn no_answer_to_this(&mut self, now: Time, parts: SmallVec<[PartId; 1]>) {
        flyer_types::mark!("client.storage_answer_odd");
        for id in parts {
            let call = self.call_of(id);
            self.part_failed(
                now,
                id,
                Failure::nonsense(call, "the answer does not fit the request"),
            );
        }
    }

    fn call_of(&self, id: PartId) -> StorageCall {
        self.parts
            .get(id)
            .map_or(StorageCall::Read, |part| part.body.call())
    }

    fn read_done(&mut self, now: Time, id: PartId, result: IoResult, out: &mut Effects<Out<O>>) {
        let Some(Body::Read { into, .. }) = self.parts.get(id).map(|part| &part.body) else {
            return;
        };
        let into = *into;
        let bytes = match result.length_info {
            Ok(bytes) => bytes,
            Err(status) if is_missing(status.code) => 0,
            Err(status) => {
                return self.part_failed(now, id, Failure::answered(status, StorageCall::Read));
            }
        };
        let Some(missing) = into.len.checked_sub(bytes) else {
            flyer_types::mark!("client.storage_read_too_long");
            let failure = Failure::nonsense(StorageCall::Read, "more was read than asked for");
            return self.part_failed(now, id, failure);
        };
        if missing > 0 {
            let hole = into
                .slice(bytes, missing)
                .expect("what is missing lies in the lease");
            out.push(Out::Zero(hole));
        }
        self.part_done(now, id);
    }

    /// The last chunk of a chain, or whether a chunk exists.
    fn query_done(&mut self, now: Time, id: PartId, result: QueryLastChunkResult) {
        if let Err(status) = result.status_code {
            if !is_missing(status.code) {
                return self.part_failed(now, id, Failure::answered(status, StorageCall::Read));
            }
        } else if !result.last_chunk_id.is_empty() {
            let found = (&result.last_chunk_id, result.last_chunk_len);
            if let Err(status) = self.found(id, found) {
                return self.fail_part(now, id, status);
            }
        }
        self.part_done(now, id);
    }

    /// Takes note of a chunk that a query found.
    fn found(&mut self, id: PartId, (chunk_id, length): (&ChunkId, u32)) -> Result<(), Status> {
        let corrupt = |what: &str| Err(Status::with_message(StatusCode::DATA_CORRUPTION, what));
        let Some(part) = self.parts.get(id) else {
            return Ok(());
        };
        let Some(op) = self.ops.get_mut(part.op) else {
            return Ok(());
        };
        let Some(chunk) = chunk_id.file_chunk() else {
            return corrupt("the chunk that was found has a strange name");
        };
        let chunk_size = op.file.layout.chunk_size;
        if chunk.inode != op.file.inode || chunk.track != 0 || length > chunk_size {
            return corrupt("the chunk that was found is not one of this file");
        }
        match (&part.body, &mut op.outcome) {
            (Body::Last { .. }, Outcome::Length(known)) => {
                if u64::from(chunk.index) >= op.shape.indexes_end() {
                    return Err(Status::with_message(
                        StatusCode::META_BUSY,
                        "somebody else extends the stripe of the file",
                    ));
                }
                let end = u64::from(chunk.index) * u64::from(chunk_size) + u64::from(length);
                *known = end.max(*known);
            }
            (Body::Exists { chunk: wanted }, Outcome::Chunks(chunks)) => {
                if chunk.index != *wanted {
                    return corrupt("another chunk was found than the one asked for");
                }
                chunks.push((chunk.index, length));
            }
            _ => unreachable!("a query belongs to an operation that looks for something"),
        }
        Ok(())
    }

    fn update_done(&mut self, now: Time, id: PartId, result: IoResult, bytes: u64) {
        match result.length_info {
            Ok(done) if u64::from(done) == bytes => {
                if let Some(update) = self.parts.get_mut(id).and_then(|part| part.update.take()) {
                    self.give_back(now, update, Ended::Acknowledged);
                }
                self.part_done(now, id);
            }
            Ok(_) => {
                let failure =
                    Failure::nonsense(StorageCall::Update, "less or more was written than asked for");
                self.part_failed(now, id, failure);
            }
            Err(status) => self.part_failed(now, id, Failure::answered(status, StorageCall::Update)),
        }
    }

    /// Gives the channel of a part back, to rest if a request may still be under way.
    pub(super) fn release_channel(&mut self, now: Time, id: PartId, ended: Ended) {
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        let (Some(update), Some(chain)) = (part.update.take(), part.chain) else {
            return;
        };
        let unknown = if update.unsettled {
            self.parts.get(id).and_then(|part| self.touched(part, chain))
        } else {
            None
        };
        self.give_back(now, update, unknown.map_or(ended, Ended::Unknown));
    }

    /// A part has waited long enough, for its next attempt or for something else.
    pub(super) fn part_due(&mut self, now: Time, id: PartId) {
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        match part.stage {
            Stage::Sleeping { .. } => {
                part.stage = Stage::Going;
                self.work.push_back(Work::Part(id));
            }
            Stage::Channel | Stage::Gate(_) => {
                flyer_types::mark!("client.storage_wait_too_long");
                let (code, what) = match part.stage {
                    Stage::Channel => (
                        StatusCode::STORAGE_CLIENT_RESOURCE_BUSY,
                        "no update channel became free in time",
                    ),
                    Stage::Gate(_) | Stage::Going | Stage::Calling(_) | Stage::Sleeping { .. } => (
                        StatusCode::STORAGE_CLIENT_TIMEOUT,
                        "there was no room for another call in time",
                    ),
                };
                let status = part.error.take();
                let status = status.unwrap_or_else(|| Status::with_message(code, what));
                self.fail_part(now, id, status);
            }
            Stage::Going | Stage::Calling(_) => unreachable!("{id:?} has no deadline in {:?}", part.stage),
        }
    }

    /// Decides whether a part is tried again.
    pub(super) fn part_failed(&mut self, now: Time, id: PartId, failure: Failure) {
        self.routing_wanted |= failure.routing;
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        if let Some(update) = &mut part.update {
            update.unsettled |= failure.unsettled;
        }
        if self.ops.get(part.op).is_none_or(|op| op.failed.is_some()) {
            return self.fail_part(now, id, failure.status);
        }
        let mut pace = match failure.class {
            StorageRetry::Success => unreachable!("a success failed"),
            StorageRetry::Permanent => return self.fail_part(now, id, failure.status),
            StorageRetry::Fast => Pace::Fast,
            StorageRetry::Unavailable | StorageRetry::Retry => Pace::Full,
        };
        let reads = part.body.call() == StorageCall::Read;
        if failure.class == StorageRetry::Unavailable && reads && !part.avoided.contains(&part.target) {
            // Another replica may be tried soon; the same one may need its time.
            part.avoided.push(part.target);
            pace = Pace::Fast;
        }
        match part.retry.failed(now, pace, &mut self.rng) {
            Decision::Wait(until) => {
                part.error = Some(failure.status);
                part.stage = Stage::Sleeping {
                    routing: failure.routing,
                };
                self.set_deadline(Key::Part(id), until);
            }
            Decision::GiveUp(_) => {
                flyer_types::mark!("client.storage_gave_up");
                self.fail_part(now, id, failure.status);
            }
        }
    }

    /// A part has failed for good, and with it its operation.
    pub(super) fn fail_part(&mut self, now: Time, id: PartId, status: Status) {
        let Some(op) = self.parts.get(id).map(|part| part.op) else {
            return;
        };
        let status = match status.code.group() {
            Group::Rpc | Group::Storage => status.to_storage_client(),
            Group::Common
            | Group::Transaction
            | Group::Meta
            | Group::Mgmtd
            | Group::MgmtdClient
            | Group::StorageClient
            | Group::ClientAgent
            | Group::Cli
            | Group::KvService
            | Group::Unknown => status,
        };
        self.part_done(now, id);
        self.fail_op(op, status);
        let idle: SmallVec<[PartId; 8]> = self.ops.get(op).map_or_else(SmallVec::new, |op| {
            let idle = |id: &&PartId| {
                let stage = self.parts.get(**id).map(|part| part.stage);
                !matches!(stage, Some(Stage::Calling(_)))
            };
            op.parts.iter().filter(idle).copied().collect()
        });
        for part in idle {
            self.part_done(now, part);
        }
    }

    /// Nothing new is begun for an operation; it ends as soon as nothing of it is under way.
    pub(super) fn fail_op(&mut self, id: OpId, status: Status) {
        if let Some(op) = self.ops.get_mut(id) {
            if op.failed.is_none() {
                op.failed = Some(status);
            }
            self.work.push_back(Work::Op(id));
        }
    }

    /// A part has ended, well or not: nothing of it is left anywhere.
    pub(super) fn part_done(&mut self, now: Time, id: PartId) {
        self.release_channel(now, id, Ended::Settled);
        let Some(part) = self.parts.remove(id) else {
            return;
        };
        self.deadlines.remove(Key::Part(id));
        self.ready.retain(|(_, ready)| *ready != id);
        match part.stage {
            Stage::Channel => self.channels.forget(id),
            Stage::Gate(node) => self.gate.forget(node, id),
            Stage::Going | Stage::Calling(_) | Stage::Sleeping { .. } => {}
        }
        if let Some(op) = self.ops.get_mut(part.op) {
            op.parts.retain(|other| *other != id);
            self.work.push_back(Work::Op(part.op));
        }
    }

    /// Tells the outcome.
    pub(super) fn finish(&mut self, id: OpId, out: &mut Effects<Out<O>>) {
        let Some(op) = self.ops.remove(id) else {
            return;
        };
        self.deadlines.remove(Key::Op(id.slot, id.generation));
        if let Some(ticket) = op.ticket {
            let (deadlines, work) = (&mut self.deadlines, &mut self.work);
            self.order.release(ticket, |granted| {
                deadlines.remove(Key::Op(granted.slot, granted.generation));
                work.push_back(Work::Op(granted));
            });
        }
        let mut outcome = op.outcome;
        if let Outcome::Chunks(chunks) = &mut outcome {
            chunks.sort_unstable();
        }
        out.push(Out::Done {
            op: op.op,
            outcome: op.failed.map_or(Ok(outcome), Err),
        });
    }
}

/// "There is no such chunk": a hole.
const fn is_missing(code: StatusCode) -> bool {
    matches!(
        code,
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND | StatusCode::STORAGE_CLIENT_CHUNK_NOT_FOUND
    )
}
