//! A host for one storage server, and requests as clients make them.

use crate::disk::{Disk, SharedStore};
use flyer_cluster::storage::{DiskDone, DiskError, DiskOp, In, Options, Out, StorageServer};
use flyer_types::ids::{
    ChainId, ChainVersion, ChannelId, ChannelSeq, ChunkVersion, InodeId, LeaseId, OpId, RequestId,
    RoutingVersion, TargetId,
};
use flyer_types::{Checked, Effects, Lease, Machine, Segments, Status, StatusCode, Time};
use flyer_wire::checksum::{self, Crc};
use flyer_wire::codec::Wire;
use flyer_wire::msg::mgmtd::routing::{ChainInfo, ChainTargetInfo, PublicTargetState, RoutingInfo};
use flyer_wire::msg::remote_buf::RemoteBuf;
use flyer_wire::msg::storage::chunk::{
    ChecksumInfo, ChecksumType, ChunkIdRange, GlobalKey, VersionedChainId,
};
use flyer_wire::msg::storage::chunk_id::{ChunkId, FileChunk};
use flyer_wire::msg::storage::io::{
    BatchReadReq, IoResult, MessageTag, ReadIo, UpdateChannel, UpdateIo, UpdateType, WriteReq,
};
use flyer_wire::msg::storage::range::{
    QueryLastChunkOp, QueryLastChunkReq, QueryLastChunkResult, RemoveChunksOp, RemoveChunksReq,
    RemoveChunksResult, TruncateChunkOp, TruncateChunksReq,
};
use flyer_wire::msg::storage::target::CreateTargetReq;
use flyer_wire::service::storage::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const CHAIN: VersionedChainId = VersionedChainId {
    chain_id: ChainId(5),
    chain_ver: ChainVersion(7),
};
pub(crate) const TARGET: TargetId = TargetId(50);
pub(crate) const CHUNK: u32 = 1 << 20;

pub(crate) type Answer = Result<Response, Status>;

pub(crate) struct Host {
    pub(crate) server: Checked<StorageServer<SharedStore, u32>>,
    pub(crate) store: SharedStore,
    pub(crate) disk: Disk,
    pub(crate) memory: Vec<Vec<u8>>,
    pub(crate) pending: Vec<(OpId, DiskOp)>,
    pub(crate) answers: BTreeMap<u32, Answer>,
    pub(crate) syncs_wanted: usize,
    pub(crate) chunk_size: u32,
    /// What the next operations of the disk answer.
    pub(crate) fail_disk: Option<DiskError>,
    calls: u32,
    seq: u64,
}

/// Chunk `index` of the file that all tests use.
pub(crate) fn chunk(index: u32) -> ChunkId {
    FileChunk {
        inode: InodeId(0x77),
        track: 0,
        index,
    }
    .id()
}

pub(crate) fn range(from: u32, to: u32, max: u32) -> ChunkIdRange {
    ChunkIdRange {
        begin: chunk(from),
        end: chunk(to),
        max_num_chunk_ids_to_process: max,
    }
}

pub(crate) fn routing(
    version: u64,
    chain: VersionedChainId,
    targets: &[(TargetId, PublicTargetState)],
) -> RoutingInfo {
    let mut routing = RoutingInfo::initial();
    routing.routing_info_version = RoutingVersion(version);
    let targets = targets.iter().map(|(target_id, public_state)| ChainTargetInfo {
        target_id: *target_id,
        public_state: *public_state,
    });
    let mut info = ChainInfo::initial();
    info.chain_id = chain.chain_id;
    info.chain_version = chain.chain_ver;
    info.targets = targets.collect();
    routing.chains.0.push((chain.chain_id, info));
    routing
}

pub(crate) fn serving() -> RoutingInfo {
    routing(1, CHAIN, &[(TARGET, PublicTargetState::SERVING)])
}

pub(crate) fn code(result: &IoResult) -> StatusCode {
    result
        .length_info
        .as_ref()
        .map_or_else(|status| status.code, |_| StatusCode::OK)
}

pub(crate) fn crc(bytes: &[u8]) -> ChecksumInfo {
    ChecksumInfo::of(ChecksumType::CRC32C, bytes).unwrap()
}

pub(crate) fn none() -> ChecksumInfo {
    ChecksumInfo::of(ChecksumType::NONE, &[]).unwrap()
}

/// The complemented CRC-32C.
fn usual(bytes: &[u8]) -> u32 {
    !checksum::raw(Crc::Crc32c, checksum::DATA_START, bytes)
}

impl Host {
    /// A server with one target that serves.
    pub(crate) fn new() -> Self {
        let mut host = Self::open(SharedStore::default(), Disk::default(), Options::default());
        let mut request = CreateTargetReq::initial();
        request.target_id = TARGET;
        request.chain_id = CHAIN.chain_id;
        host.call(Request::CreateTarget(request)).unwrap();
        host.input(In::Routing(Arc::new(serving())));
        host
    }

    pub(crate) fn open(store: SharedStore, disk: Disk, options: Options) -> Self {
        Self {
            server: Checked::new(StorageServer::open(store.clone(), options).unwrap()),
            store,
            disk,
            memory: Vec::new(),
            pending: Vec::new(),
            answers: BTreeMap::new(),
            syncs_wanted: 0,
            chunk_size: CHUNK,
            fail_disk: None,
            calls: 0,
            seq: 0,
        }
    }

    /// The server is gone at once and opened again.
    pub(crate) fn reopen(self, power_failed: bool) -> Self {
        let options = Options {
            power_failed,
            ..Options::default()
        };
        let mut host = Self::open(self.store, self.disk, options);
        host.chunk_size = self.chunk_size;
        host.seq = self.seq;
        host.input(In::Routing(Arc::new(serving())));
        host
    }

    pub(crate) fn input(&mut self, input: In<u32>) {
        let mut out = Effects::new();
        self.server.handle(Time::ZERO, input, &mut out);
        for effect in out.drain() {
            match effect {
                Out::Answer { call, answer } => {
                    assert!(self.answers.insert(call, answer).is_none(), "answered twice");
                }
                Out::Disk { id, op } => {
                    self.check_alone(&op);
                    self.pending.push((id, op));
                }
                Out::SyncWanted => self.syncs_wanted += 1,
                // The host of these tests runs the steps of a sync itself.
                Out::SyncData | Out::SyncStore => {}
            }
        }
    }

    /// Operations on one block are never under way together unless all of them read.
    fn check_alone(&self, op: &DiskOp) {
        let uses = |op: &DiskOp| match op {
            DiskOp::Read { place, .. } | DiskOp::Checksum { place, .. } => vec![(*place, false)],
            DiskOp::Write { place, .. } | DiskOp::Zero { place, .. } | DiskOp::Discard { place } => {
                vec![(*place, true)]
            }
            DiskOp::Copy { from, to, .. } => vec![(*from, false), (*to, true)],
        };
        for (place, writes) in uses(op) {
            for (_, other) in &self.pending {
                let clash = uses(other).iter().any(|(p, w)| *p == place && (*w || writes));
                assert!(!clash, "{op:?} while {other:?} is under way");
            }
        }
    }

    pub(crate) fn send(&mut self, request: Request, memory: Segments) -> u32 {
        self.calls += 1;
        let call = self.calls;
        self.input(In::Request {
            call,
            request,
            memory,
        });
        call
    }

    /// Carries out one operation of the disk that is under way.
    pub(crate) fn complete(&mut self, at: usize) {
        let (id, op) = self.pending.remove(at);
        let done = match self.fail_disk.take() {
            Some(error) => Err(error),
            None => self.carry_out(&op),
        };
        self.input(In::Disk { id, done });
    }

    fn carry_out(&mut self, op: &DiskOp) -> Result<DiskDone, DiskError> {
        let mut crc32c = None;
        let mut data = Vec::new();
        match op {
            DiskOp::Read {
                place,
                off,
                into,
                checksum,
            } => {
                let bytes = self.disk.read(*place, *off, into.len);
                crc32c = checksum.then(|| usual(&bytes));
                let memory = &mut self.memory[into.id.slot as usize];
                memory[into.off as usize..][..bytes.len()].copy_from_slice(&bytes);
            }
            DiskOp::Write { from, expected, .. } => {
                data = self.bytes_of(from);
                if expected.is_some_and(|expected| expected != usual(&data)) {
                    return Err(DiskError::Mismatch);
                }
            }
            _ => {}
        }
        self.disk.carry_out(op, &data, None);
        Ok(DiskDone { crc32c })
    }

    pub(crate) fn bytes_of(&self, segments: &Segments) -> Vec<u8> {
        let bytes = segments.leases().iter().flat_map(|lease| {
            &self.memory[lease.id.slot as usize][lease.off as usize..][..lease.len as usize]
        });
        bytes.copied().collect()
    }

    pub(crate) fn run(&mut self) {
        while !self.pending.is_empty() {
            self.complete(0);
        }
    }

    pub(crate) fn take(&mut self, call: u32) -> Answer {
        self.run();
        self.answers.remove(&call).expect("the request is answered")
    }

    pub(crate) fn call(&mut self, request: Request) -> Answer {
        let call = self.send(request, Segments::new());
        self.take(call)
    }

    pub(crate) fn lend(&mut self, bytes: Vec<u8>) -> Lease {
        let len = u32::try_from(bytes.len()).unwrap();
        self.memory.push(bytes);
        Lease {
            id: LeaseId::new(u32::try_from(self.memory.len() - 1).unwrap(), 1),
            off: 0,
            len,
        }
    }

    /// A tag that no other request has.
    pub(crate) fn tag(&mut self) -> MessageTag {
        self.seq += 1;
        let mut tag = MessageTag::initial();
        tag.client_id.uuid.0[0] = 1;
        tag.request_id = RequestId(self.seq);
        tag.channel = UpdateChannel {
            id: ChannelId(u16::try_from(self.seq % 60_000 + 1).unwrap()),
            seqnum: ChannelSeq(self.seq),
        };
        tag
    }

    pub(crate) fn write_request(
        &mut self,
        index: u32,
        offset: u32,
        bytes: &[u8],
        checksum: ChecksumInfo,
    ) -> WriteReq {
        let mut request = WriteReq::initial();
        request.tag = self.tag();
        request.payload = UpdateIo {
            offset,
            length: u32::try_from(bytes.len()).unwrap(),
            chunk_size: self.chunk_size,
            key: GlobalKey {
                chain: CHAIN,
                chunk_id: chunk(index),
            },
            update_ver: ChunkVersion(0),
            update_type: UpdateType::WRITE,
            checksum,
            ..UpdateIo::initial()
        };
        request
    }

    pub(crate) fn send_write(&mut self, request: WriteReq, bytes: &[u8]) -> u32 {
        let memory = self.lend(bytes.to_vec());
        self.send(Request::Write(request), memory.into())
    }

    pub(crate) fn write_with(&mut self, request: WriteReq, bytes: &[u8]) -> IoResult {
        let call = self.send_write(request, bytes);
        self.written(call)
    }

    pub(crate) fn written(&mut self, call: u32) -> IoResult {
        match self.take(call) {
            Ok(Response::Write(response)) => response.result,
            other => panic!("not written: {other:?}"),
        }
    }

    /// Writes with a checksum.
    pub(crate) fn write(&mut self, index: u32, offset: u32, bytes: &[u8]) -> IoResult {
        let request = self.write_request(index, offset, bytes, crc(bytes));
        self.write_with(request, bytes)
    }

    pub(crate) fn read_request(&mut self, reads: &[(u32, u32, u32)]) -> (BatchReadReq, Segments) {
        let mut request = BatchReadReq::initial();
        request.checksum_type = ChecksumType::CRC32C;
        let mut memory = Segments::new();
        for (index, offset, length) in reads {
            request.payloads.push(ReadIo {
                offset: *offset,
                length: *length,
                key: GlobalKey {
                    chain: CHAIN,
                    chunk_id: chunk(*index),
                },
                rdmabuf: RemoteBuf::without_memory(u64::from(*length)),
            });
            memory.push(self.lend(vec![0xaa; *length as usize]));
        }
        (request, memory)
    }

    pub(crate) fn send_read(&mut self, reads: &[(u32, u32, u32)]) -> (u32, Segments) {
        let (request, memory) = self.read_request(reads);
        (self.send(Request::BatchRead(request), memory.clone()), memory)
    }

    /// The results of reads, each with its bytes, whose checksums are checked.
    pub(crate) fn read_results(&mut self, call: u32, memory: &Segments) -> Vec<(IoResult, Vec<u8>)> {
        self.run();
        self.read_results_now(call, memory)
    }

    /// The same, if the request is answered already.
    pub(crate) fn read_results_now(&mut self, call: u32, memory: &Segments) -> Vec<(IoResult, Vec<u8>)> {
        let Some(Ok(Response::BatchRead(response))) = self.answers.remove(&call) else {
            panic!("not read");
        };
        let pairs = response.results.into_iter().zip(memory.leases());
        let results = pairs.map(|(result, lease)| {
            let len = *result.length_info.as_ref().unwrap_or(&0);
            let bytes = self.bytes_of(&lease.slice(0, len).unwrap().into());
            if result.length_info.is_ok() {
                assert_eq!(result.checksum, crc(&bytes));
            }
            (result, bytes)
        });
        results.collect()
    }

    pub(crate) fn read(&mut self, index: u32, offset: u32, length: u32) -> (IoResult, Vec<u8>) {
        let (call, memory) = self.send_read(&[(index, offset, length)]);
        self.read_results(call, &memory).remove(0)
    }

    /// The whole content of a chunk that exists.
    pub(crate) fn content(&mut self, index: u32) -> Vec<u8> {
        let (result, bytes) = self.read(index, 0, self.chunk_size);
        assert_eq!(code(&result), StatusCode::OK, "{:?}", result.length_info);
        bytes
    }

    pub(crate) fn truncate_request(&mut self, index: u32, length: u32, extend: bool) -> TruncateChunksReq {
        let mut op = TruncateChunkOp::initial();
        op.chain = CHAIN;
        op.chunk_id = chunk(index);
        op.chunk_len = length;
        op.chunk_size = self.chunk_size;
        op.only_extend_chunk = extend;
        op.tag = self.tag();
        let mut request = TruncateChunksReq::initial();
        request.payloads.push(op);
        request
    }

    pub(crate) fn truncate(&mut self, index: u32, length: u32, extend: bool) -> IoResult {
        let request = self.truncate_request(index, length, extend);
        match self.call(Request::TruncateChunks(request)) {
            Ok(Response::TruncateChunks(mut response)) => response.results.remove(0),
            other => panic!("not truncated: {other:?}"),
        }
    }

    pub(crate) fn remove_request(&mut self, range: ChunkIdRange) -> RemoveChunksReq {
        let mut request = RemoveChunksReq::initial();
        let tag = self.tag();
        self.seq += u64::from(range.max_num_chunk_ids_to_process);
        request.payloads.push(RemoveChunksOp {
            chain: CHAIN,
            chunk_id_range: range,
            tag,
            retry_count: 0,
        });
        request
    }

    pub(crate) fn remove(&mut self, range: ChunkIdRange) -> RemoveChunksResult {
        let request = self.remove_request(range);
        match self.call(Request::RemoveChunks(request)) {
            Ok(Response::RemoveChunks(mut response)) => response.results.remove(0),
            other => panic!("not removed: {other:?}"),
        }
    }

    pub(crate) fn last_chunk(&mut self, range: ChunkIdRange) -> QueryLastChunkResult {
        let mut request = QueryLastChunkReq::initial();
        request.payloads.push(QueryLastChunkOp {
            chain: CHAIN,
            chunk_id_range: range,
        });
        match self.call(Request::QueryLastChunk(request)) {
            Ok(Response::QueryLastChunk(mut response)) => response.results.remove(0),
            other => panic!("not found: {other:?}"),
        }
    }

    /// A whole sync.
    pub(crate) fn sync(&mut self) {
        self.input(In::SyncBegun);
        self.disk.make_durable(self.disk.mark());
        self.input(In::DataDurable);
        self.store.make_durable(self.store.mark());
        self.input(In::SyncEnded(true));
    }
}
