//! Requests that update chunks: `write`, `truncateChunks`, `removeChunks`.
//!
//! Owner: [`StorageServer`]. A request has one [update](super::update) under way at a time.
//!
//! ```text
//!   write            ─► update ─► answer
//!   truncateChunks   ─► operation ─► update ─► result ─┐   operations one after the other
//!         answer ◄── none left ── ▲ ───────────────────┘
//!   removeChunks     ─► operation ─► scan the range downwards ─► update per chunk ─► result ─┐
//!         answer ◄── none left ── ▲ ───────────────────────────────────────────────────────┘
//! ```
//!
//! Limits: [`REQUESTS_MAX`](super::options::limits::REQUESTS_MAX), [`OPERATIONS_PER_REQUEST_MAX`],
//! [`REMOVALS_PER_OPERATION_MAX`].

use super::answers;
use super::keys::{self, ChunkKey};
use super::options::limits::{OPERATIONS_PER_REQUEST_MAX, REMOVALS_PER_OPERATION_MAX};
use super::plan::{Change, Kind};
use super::port::Out;
use super::record::NO_CHECKSUM;
use super::update::Arrival;
use super::{Call, CallKind, StorageServer, Work};
use crate::store::Store;
use alloc::vec;
use alloc::vec::Vec;
use flyer_types::ids::{ChainVersion, ChunkVersion, OpId};
use flyer_types::{Effects, Segments, Status, StatusCode};
use flyer_wire::codec::Void;
use flyer_wire::msg::storage::chunk::VersionedChainId;
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::msg::storage::io::{IoResult, MessageTag, UpdateType, WriteReq, WriteRsp};
use flyer_wire::msg::storage::range::{
    RemoveChunksOp, RemoveChunksReq, RemoveChunksResult, RemoveChunksRsp, TruncateChunkOp, TruncateChunksReq,
    TruncateChunksRsp,
};
use flyer_wire::service::storage::Response;

/// A request to truncate chunks.
#[derive(Debug)]
pub(super) struct TruncateCall {
    ops: vec::IntoIter<TruncateChunkOp>,
    bypass: bool,
    results: Vec<IoResult>,
}

/// A request to remove chunks.
#[derive(Debug)]
pub(super) struct RemoveCall {
    ops: vec::IntoIter<RemoveChunksOp>,
    bypass: bool,
    results: Vec<RemoveChunksResult>,
    current: Option<Removal>,
}

/// One operation of such a request.
#[derive(Debug)]
struct Removal {
    chain: VersionedChainId,
    /// With the place in the channel of the next removal.
    tag: MessageTag,
    chunks: vec::IntoIter<ChunkId>,
    removed: u32,
    more: bool,
}

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    pub(super) fn write(&mut self, call: C, request: WriteReq, memory: Segments, out: &mut Effects<Out<C>>) {
        let payload = request.payload;
        if payload.update_type != UpdateType::WRITE {
            let refusal = Status::with_message(StatusCode::INVALID_ARG, "a write has to be of type WRITE");
            let response = WriteRsp {
                tag: request.tag,
                result: answers::failed(refusal),
            };
            return out.push(Out::Answer {
                call,
                answer: Ok(Response::Write(response)),
            });
        }
        let tag = request.tag.clone();
        let kind = CallKind::Write(request.tag);
        let Ok(id) = self.calls.insert(Call { call, kind }) else {
            return self.refuse(call, out);
        };
        let arrival = Arrival {
            chain: payload.key.chain,
            chunk: payload.key.chunk_id,
            tag: &tag,
            change: Change {
                kind: Kind::Write,
                offset: payload.offset,
                length: payload.length,
                chunk_size: payload.chunk_size,
                version: payload.update_ver,
                chain_ver: ChainVersion(0),
                checksum: payload.checksum,
            },
            memory,
            bypass: request.feature_flags.contains(FeatureFlags::BYPASS_DISKIO),
        };
        self.begin_update(id, arrival, out);
    }

    pub(super) fn truncate_chunks(&mut self, call: C, request: TruncateChunksReq, out: &mut Effects<Out<C>>) {
        if request.payloads.len() > OPERATIONS_PER_REQUEST_MAX {
            return self.refuse_many(call, out);
        }
        let kind = CallKind::Truncate(TruncateCall {
            results: Vec::with_capacity(request.payloads.len()),
            ops: request.payloads.into_iter(),
            bypass: request.feature_flags.contains(FeatureFlags::BYPASS_DISKIO),
        });
        match self.calls.insert(Call { call, kind }) {
            Ok(id) => self.work.push_back(Work::Next(id)),
            Err(_) => self.refuse(call, out),
        }
    }

    pub(super) fn remove_chunks(&mut self, call: C, request: RemoveChunksReq, out: &mut Effects<Out<C>>) {
        if request.payloads.len() > OPERATIONS_PER_REQUEST_MAX {
            return self.refuse_many(call, out);
        }
        let kind = CallKind::Remove(RemoveCall {
            results: Vec::with_capacity(request.payloads.len()),
            ops: request.payloads.into_iter(),
            bypass: request.feature_flags.contains(FeatureFlags::BYPASS_DISKIO),
            current: None,
        });
        match self.calls.insert(Call { call, kind }) {
            Ok(id) => self.work.push_back(Work::Next(id)),
            Err(_) => self.refuse(call, out),
        }
    }

    fn refuse_many(&self, call: C, out: &mut Effects<Out<C>>) {
        let status = Status::with_message(StatusCode::INVALID_ARG, "too many operations in one request");
        out.push(Out::Answer {
            call,
            answer: Err(status),
        });
    }

    /// Hands the result of an update to its request.
    pub(super) fn deliver(&mut self, id: OpId, result: IoResult, out: &mut Effects<Out<C>>) {
        let call = self.calls.get_mut(id).expect("a request waits for its update");
        match &mut call.kind {
            CallKind::Read(_) => unreachable!("reads have no updates"),
            CallKind::Write(tag) => {
                let response = WriteRsp {
                    tag: tag.clone(),
                    result,
                };
                let call = call.call;
                self.calls.remove(id);
                out.push(Out::Answer {
                    call,
                    answer: Ok(Response::Write(response)),
                });
            }
            CallKind::Truncate(truncate) => {
                truncate.results.push(result);
                self.work.push_back(Work::Next(id));
            }
            CallKind::Remove(remove) => {
                remove.take(result);
                self.work.push_back(Work::Next(id));
            }
        }
    }

    /// Begins the next update of a request, or answers it.
    pub(super) fn next_update(&mut self, id: OpId, out: &mut Effects<Out<C>>) {
        let call = self.calls.get_mut(id).expect("the request is under way");
        match &mut call.kind {
            CallKind::Truncate(truncate) => {
                if let Some(op) = truncate.ops.next() {
                    let bypass = truncate.bypass;
                    return self.begin_truncation(id, op, bypass, out);
                }
                let results = core::mem::take(&mut truncate.results);
                self.answer(id, Response::TruncateChunks(TruncateChunksRsp { results }), out);
            }
            CallKind::Remove(remove) => {
                if let Some(removal) = &mut remove.current {
                    if let Some(chunk) = removal.chunks.next() {
                        let (tag, chain, bypass) = (removal.tag.clone(), removal.chain, remove.bypass);
                        return self.begin_removal(id, chain, chunk, &tag, bypass, out);
                    }
                    remove.end(Ok(Void));
                }
                let Some(op) = remove.ops.next() else {
                    let results = core::mem::take(&mut remove.results);
                    return self.answer(id, Response::RemoveChunks(RemoveChunksRsp { results }), out);
                };
                self.begin_removals(id, op);
                self.work.push_back(Work::Next(id));
            }
            CallKind::Read(_) | CallKind::Write(_) => unreachable!("these requests have no next update"),
        }
    }

    fn answer(&mut self, id: OpId, response: Response, out: &mut Effects<Out<C>>) {
        let call = self.calls.remove(id).expect("the request is under way").call;
        out.push(Out::Answer {
            call,
            answer: Ok(response),
        });
    }

    fn begin_truncation(&mut self, id: OpId, op: TruncateChunkOp, bypass: bool, out: &mut Effects<Out<C>>) {
        let arrival = Arrival {
            chain: op.chain,
            chunk: op.chunk_id,
            tag: &op.tag,
            change: Change {
                kind: if op.only_extend_chunk {
                    Kind::Extend
                } else {
                    Kind::Truncate
                },
                offset: 0,
                length: op.chunk_len,
                chunk_size: op.chunk_size,
                version: ChunkVersion(0),
                chain_ver: ChainVersion(0),
                checksum: NO_CHECKSUM,
            },
            memory: Segments::new(),
            bypass,
        };
        self.begin_update(id, arrival, out);
    }

    fn begin_removal(
        &mut self,
        id: OpId,
        chain: VersionedChainId,
        chunk: ChunkId,
        tag: &MessageTag,
        bypass: bool,
        out: &mut Effects<Out<C>>,
    ) {
        let arrival = Arrival {
            chain,
            chunk,
            tag,
            change: Change {
                kind: Kind::Remove,
                offset: 0,
                length: 0,
                chunk_size: 0,
                version: ChunkVersion(0),
                chain_ver: ChainVersion(0),
                checksum: NO_CHECKSUM,
            },
            memory: Segments::new(),
            bypass,
        };
        self.begin_update(id, arrival, out);
    }

    /// Finds out which chunks an operation removes.
    fn begin_removals(&mut self, id: OpId, op: RemoveChunksOp) {
        let found = self.chunks_to_remove(&op);
        let call = self.calls.get_mut(id).expect("the request is under way");
        let CallKind::Remove(remove) = &mut call.kind else {
            unreachable!("a request keeps its kind");
        };
        let (chunks, more, status) = match found {
            Ok((chunks, more)) => (chunks, more, Ok(Void)),
            Err(status) => (Vec::new(), false, Err(status)),
        };
        remove.current = Some(Removal {
            chain: op.chain,
            tag: op.tag,
            chunks: chunks.into_iter(),
            removed: 0,
            more,
        });
        if status.is_err() {
            remove.end(status);
        }
    }

    /// The chunks of a range, highest first, and whether there are more.
    fn chunks_to_remove(&self, op: &RemoveChunksOp) -> Result<(Vec<ChunkId>, bool), Status> {
        let (target, _) = self.targets.find(op.chain)?;
        let range = &op.chunk_id_range;
        let wanted = match range.max_num_chunk_ids_to_process {
            0 => REMOVALS_PER_OPERATION_MAX,
            wanted => wanted.min(REMOVALS_PER_OPERATION_MAX),
        } as usize;
        let (from, to) = (
            keys::record(target, range.begin.as_bytes()),
            keys::record(target, range.end.as_bytes()),
        );
        let mut chunks = Vec::new();
        let mut more = false;
        self.store
            .scan_reverse(&from, &to, &mut |key, _| {
                more = chunks.len() == wanted;
                if let (false, Some(key)) = (more, ChunkKey::of(key)) {
                    chunks.push(key.chunk);
                }
                !more
            })
            .map_err(answers::unreadable)?;
        Ok((chunks, more))
    }
}

impl RemoveCall {
    /// One chunk was removed, or was gone, or could not be removed.
    fn take(&mut self, result: IoResult) {
        let removal = self.current.as_mut().expect("a removal belongs to an operation");
        match result.length_info {
            // A chunk that was gone by then has no version.
            Ok(_) => removal.removed += u32::from(result.update_ver.0 != 0),
            Err(status) => return self.end(Err(status)),
        }
        let seq = &mut removal.tag.channel.seqnum.0;
        *seq = seq.wrapping_add(1);
    }

    /// The operation has ended.
    fn end(&mut self, status: Result<Void, Status>) {
        let removal = self.current.take().expect("an operation ends once");
        self.results.push(RemoveChunksResult {
            more_chunks_in_range: removal.more || removal.chunks.len() > 0,
            status_code: status,
            num_chunks_removed: removal.removed,
        });
    }
}
