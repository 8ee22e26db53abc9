//! Reads.
//!
//! Owner: [`StorageServer`]. All reads of a request are on the disk together; the request is answered when the last has ended.
//!
//! ```text
//!   request ─► targets, sizes ─► per read: wait for the chunk ─► Read ─► result ─┐
//!                    │                                                           ├─ all there ─► answer
//!                    └─ one is refused: the whole request is                    ─┘
//! ```
//!
//! The data of the reads stay where the host wanted them; a host that sends them inline puts them together itself, by the lengths of
//! the results.
//!
//! Limits: [`OPERATIONS_PER_REQUEST_MAX`], [`READS_MAX`],
//! [`WAITERS_PER_CHUNK_MAX`](super::options::limits::WAITERS_PER_CHUNK_MAX).

use super::answers;
use super::chunks::{Entered, Row};
use super::keys::ChunkKey;
use super::options::limits::{OPERATIONS_PER_REQUEST_MAX, READS_MAX};
use super::port::{DiskDone, DiskError, DiskOp, Out};
use super::{Call, CallKind, Io, StorageServer, Who};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::ids::{OpId, TargetId};
use flyer_types::{Effects, Lease, Segments, Status, StatusCode};
use flyer_wire::msg::mgmtd::routing::LocalTargetState;
use flyer_wire::msg::storage::chunk::{ChecksumInfo, ChecksumType, VersionedChainId};
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::msg::storage::io::{BatchReadReq, BatchReadRsp, InlineData, IoResult, MessageTag, ReadIo};
use flyer_wire::service::storage::Response;

/// A request to read.
#[derive(Debug)]
pub(super) struct ReadCall {
    tag: MessageTag,
    /// Whether the requester wants checksums.
    wants_checksum: bool,
    results: Vec<IoResult>,
    /// Reads that have not ended, and one more while the request is taken apart.
    left: usize,
}

/// A read that waits for its chunk, or has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    call: OpId,
    /// Position in the request.
    at: u32,
    row: Row,
    offset: u32,
    length: u32,
    into: Lease,
}

/// A read that is on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    call: OpId,
    at: u32,
    row: Row,
    /// What the bytes' checksum has to be.
    expected: Option<u32>,
}

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    pub(super) fn batch_read(
        &mut self,
        call: C,
        request: BatchReadReq,
        memory: &Segments,
        out: &mut Effects<Out<C>>,
    ) {
        if let Err(status) = self.check_reads(&request, memory) {
            return out.push(Out::Answer {
                call,
                answer: Err(status),
            });
        }
        let reads = request.payloads.len();
        let read_call = ReadCall {
            tag: request.tag,
            wants_checksum: request.checksum_type == ChecksumType::CRC32C,
            results: Vec::with_capacity(reads),
            left: reads + 1,
        };
        let bypass = request.feature_flags.contains(FeatureFlags::BYPASS_DISKIO);
        let kind = CallKind::Read(read_call);
        let Ok(id) = self.calls.insert(Call { call, kind }) else {
            return self.refuse(call, out);
        };
        self.reads += u32::try_from(reads).expect("requests are limited");
        let into = memory
            .leases()
            .iter()
            .copied()
            .map(Some)
            .chain(core::iter::repeat(None));
        for (read, into) in request.payloads.into_iter().zip(into) {
            self.begin_read(id, read, into.unwrap_or(Lease::EMPTY), bypass, out);
        }
        self.read_ended(id, out);
    }

    /// What fails the whole request.
    fn check_reads(&self, request: &BatchReadReq, memory: &Segments) -> Result<(), Status> {
        let invalid = |why: &str| Err(Status::with_message(StatusCode::INVALID_ARG, why));
        let reads = &request.payloads;
        if reads.len() > OPERATIONS_PER_REQUEST_MAX {
            return invalid("too many reads in one request");
        }
        if self.reads as usize + reads.len() > READS_MAX as usize {
            return Err(Status::new(StatusCode::RPC_REQUEST_REFUSED));
        }
        if ![ChecksumType::NONE, ChecksumType::CRC32C].contains(&request.checksum_type) {
            return invalid("no such checksum is kept");
        }
        let bypass = request.feature_flags.contains(FeatureFlags::BYPASS_DISKIO);
        if !bypass && memory.leases().len() != reads.len() {
            return invalid("each read needs its memory");
        }
        let mut known: Option<VersionedChainId> = None;
        for read in reads {
            // Reads of one request mostly go to the same chain.
            if known != Some(read.key.chain) {
                let (_, target) = self.targets.find(read.key.chain)?;
                if target.local != LocalTargetState::UPTODATE {
                    return Err(Status::new(StatusCode::STORAGE_TARGET_STATE_INVALID));
                }
                known = Some(read.key.chain);
            }
        }
        for (at, read) in reads.iter().enumerate() {
            let room = memory.leases().get(at).map_or(u32::MAX, |lease| lease.len);
            if u64::from(read.length) > read.rdmabuf.size || read.length > room {
                return invalid("the memory is smaller than the read");
            }
        }
        Ok(())
    }

    fn begin_read(&mut self, id: OpId, read: ReadIo, into: Lease, bypass: bool, out: &mut Effects<Out<C>>) {
        let at = self.read_call(id).results.len();
        let at = u32::try_from(at).expect("requests are limited");
        let chunk = match self.targets.find(read.key.chain) {
            Ok((target, _)) => self.row_of(target, read.key.chunk_id),
            Err(code) => Err(Status::new(code)),
        };
        let unread = match (&chunk, bypass) {
            (_, true) => Some(answers::done(read.length)),
            (Err(status), false) => Some(answers::failed(status.clone())),
            (Ok(_), false) => None,
        };
        let is_unread = unread.is_some();
        let call = self.read_call(id);
        call.results
            .push(unread.unwrap_or_else(|| answers::refused(StatusCode::STORAGE_CLIENT_NOT_INITIALIZED)));
        let (Ok(row), false) = (chunk, is_unread) else {
            return self.read_ended_early(id);
        };
        let reader = Reader {
            call: id,
            at,
            row,
            offset: read.offset,
            length: read.length,
            into,
        };
        match self.chunks.enter(row, Who::Read(reader)) {
            Entered::Now(_) => self.read(reader, out),
            Entered::Waits => flyer_types::mark!("storage.read_waits"),
            Entered::Full(_) => {
                *self.result(id, at) = answers::refused(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY);
                self.read_ended_early(id);
            }
        }
    }

    fn row_of(
        &mut self,
        target: TargetId,
        chunk: flyer_wire::msg::storage::chunk_id::ChunkId,
    ) -> Result<Row, Status> {
        if chunk.as_bytes().len() > super::options::limits::CHUNK_ID_BYTES_MAX {
            return Err(Status::new(StatusCode::INVALID_ARG));
        }
        self.chunks
            .find(ChunkKey { target, chunk }, &self.store)
            .map_err(answers::unreadable)
    }

    /// A read has its chunk.
    pub(super) fn read(&mut self, reader: Reader, out: &mut Effects<Out<C>>) {
        let Some(record) = self.chunks.record(reader.row).copied() else {
            let missing = StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND;
            *self.result(reader.call, reader.at) = answers::refused(missing);
            return self.leave_read(reader.call, reader.row, out);
        };
        let length = reader.length.min(record.length.saturating_sub(reader.offset));
        let wants_checksum = self.read_call(reader.call).wants_checksum;
        let result = self.result(reader.call, reader.at);
        *result = answers::done(length);
        result.commit_ver = record.commit_ver;
        result.update_ver = record.update_ver;
        result.commit_chain_ver = record.chain_ver;
        if length == 0 {
            if wants_checksum {
                result.checksum = ChecksumInfo::of(ChecksumType::CRC32C, &[]).expect("a known kind");
            }
            return self.leave_read(reader.call, reader.row, out);
        }
        let is_whole = length == record.length;
        let expected = record
            .crc()
            .filter(|_| is_whole && !self.epochs.is_doubtful(record.epoch));
        let reading = Reading {
            call: reader.call,
            at: reader.at,
            row: reader.row,
            expected,
        };
        let io = self
            .disk
            .insert(Io::Read(reading))
            .expect("the table holds all operations there can be");
        out.push(Out::Disk {
            id: io,
            op: DiskOp::Read {
                place: record.place.expect("what has a length has a block"),
                off: reader.offset,
                into: reader.into.slice(0, length).expect("the memory was measured"),
                checksum: wants_checksum || expected.is_some(),
            },
        });
    }

    /// The disk has read.
    pub(super) fn read_done(
        &mut self,
        reading: Reading,
        done: Result<DiskDone, DiskError>,
        out: &mut Effects<Out<C>>,
    ) {
        let wants_checksum = self.read_call(reading.call).wants_checksum;
        let result = self.result(reading.call, reading.at);
        match done {
            Ok(done) => {
                let found = done.crc32c.map(|crc| !crc);
                let is_wrong = reading.expected.is_some() && reading.expected != found;
                if is_wrong {
                    let why = "the bytes on the disk do not have the chunk's checksum";
                    let status = Status::with_message(StatusCode::STORAGE_CHECKSUM_MISMATCH, why);
                    *result = answers::failed(status);
                } else if wants_checksum {
                    result.checksum = ChecksumInfo {
                        kind: ChecksumType::CRC32C,
                        value: found.expect("the disk computes checksums that are asked for"),
                    };
                }
            }
            Err(error) => {
                let why: flyer_types::Text = match error {
                    DiskError::NoSpace => "no space".into(),
                    DiskError::Mismatch => "checksum".into(),
                    DiskError::Io(why) => why,
                };
                *result = answers::failed(Status::with_message(StatusCode::STORAGE_CHUNK_READ_FAILED, why));
            }
        }
        self.leave_read(reading.call, reading.row, out);
    }

    fn leave_read(&mut self, call: OpId, row: Row, out: &mut Effects<Out<C>>) {
        let work = &mut self.work;
        self.chunks.leave_shared(row, |who| work.push_back(who.into()));
        self.reads -= 1;
        self.read_ended(call, out);
    }

    /// A read has ended before it got its chunk; the request is still being taken apart.
    fn read_ended_early(&mut self, id: OpId) {
        self.reads -= 1;
        let call = self.read_call(id);
        call.left -= 1;
        debug_assert!(call.left > 0, "the request itself counts until it is taken apart");
    }

    /// A read, or the taking apart of its request, has ended.
    fn read_ended(&mut self, id: OpId, out: &mut Effects<Out<C>>) {
        let read_call = self.read_call(id);
        read_call.left -= 1;
        if read_call.left > 0 {
            return;
        }
        let Some(Call {
            call,
            kind: CallKind::Read(read_call),
        }) = self.calls.remove(id)
        else {
            unreachable!("the request was just looked at");
        };
        let response = BatchReadRsp {
            tag: read_call.tag,
            results: read_call.results,
            inlinebuf: InlineData { data: Lease::EMPTY },
        };
        out.push(Out::Answer {
            call,
            answer: Ok(Response::BatchRead(response)),
        });
    }

    fn result(&mut self, call: OpId, at: u32) -> &mut IoResult {
        &mut self.read_call(call).results[at as usize]
    }

    fn read_call(&mut self, id: OpId) -> &mut ReadCall {
        match self.calls.get_mut(id).map(|call| &mut call.kind) {
            Some(CallKind::Read(call)) => call,
            Some(CallKind::Write(_) | CallKind::Truncate(_) | CallKind::Remove(_)) | None => {
                unreachable!("reads belong to a request to read")
            }
        }
    }
}
