//! The servers behind the players: the real metadata server, chunks as plain bytes, and the host's memory.

use super::{START, Setup};
use flyer_client::storage::{FileView, Outcome, Want};
use flyer_cluster::meta::routing::ChainView;
use flyer_cluster::meta::{In, MetaServer, Out, RoutingView, StorageAnswer, StorageCall};
use flyer_cluster::store::MemoryStore;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, Gid, InodeId, LeaseId, NodeId, Permission, Uid,
    Uuid,
};
use flyer_types::{Effects, Lease, Machine, Rng, Segments, Span, Status, StatusCode, Text, Time, Token};
use flyer_wire::codec::{Void, Wire};
use flyer_wire::layout::chain_of_index;
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::attr::StatReq;
use flyer_wire::msg::meta::call::{PathAt, ReqBase};
use flyer_wire::msg::meta::file::SyncReq;
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::msg::storage::chunk_id::FileChunk;
use flyer_wire::msg::storage::range::{QueryLastChunkResult, RemoveChunksResult};
use flyer_wire::service::meta::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const CHAINS: u32 = 8;

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// It is not carried out.
    Refused(Status),
    /// It is carried out, but the answer is this. (Of a write to storage only the first half is carried out.)
    Lost(Status),
    /// It is late.
    Late(Span),
}

impl Fault {
    /// A failure that passes.
    pub(crate) fn transient() -> Self {
        Self::Refused(Status::new(StatusCode::RPC_TIMEOUT))
    }

    /// A failure that stays.
    pub(crate) fn no_space() -> Self {
        Self::Refused(Status::new(StatusCode::STORAGE_CLIENT_NO_SPACE))
    }
}

pub(crate) type MetaFault = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;
pub(crate) type StorageFault = Box<dyn FnMut(InodeId, &Want) -> Option<Fault> + Send>;

pub(crate) struct Cluster {
    pub(crate) server: MetaServer<MemoryStore, u64>,
    pub(crate) routing: RoutingView,
    /// Content of each chunk, by chain.
    pub(crate) chunks: BTreeMap<(ChainId, FileChunk), Vec<u8>>,
    /// Memory of the host that is in use.
    pub(crate) memory: BTreeMap<LeaseId, Vec<u8>>,
    /// Asked before each metadata request is carried out.
    pub(crate) meta_fault: Option<MetaFault>,
    /// Asked before each storage request is carried out.
    pub(crate) storage_fault: Option<StorageFault>,
    /// Answers take between these.
    pub(crate) delay: (Span, Span),
    /// Metadata requests that were carried out, in order.
    pub(crate) meta_log: Vec<Request>,
    /// Storage requests that were carried out, in order.
    pub(crate) storage_log: Vec<(InodeId, Want)>,
    pub(crate) rng: Rng,
}

impl Cluster {
    pub(crate) fn new(setup: &Setup) -> Self {
        let mut options = setup.options.clone();
        options.root_layout.chunk_size = setup.chunk_bytes;
        options.root_layout.stripe_size = setup.stripe;
        options.root_acl.perm = Permission(0o777);
        let routing = routing();
        let rng = Rng::from_seed(setup.seed).split("cluster");
        let server = MetaServer::open(MemoryStore::new(), options, rng.split("meta")).unwrap();
        let mut cluster = Self {
            server,
            routing: routing.clone(),
            chunks: BTreeMap::new(),
            memory: BTreeMap::new(),
            meta_fault: None,
            storage_fault: None,
            delay: (Span::from_us(50), Span::from_us(50)),
            meta_log: Vec::new(),
            storage_log: Vec::new(),
            rng,
        };
        let now = Time::ZERO + Span::from_secs(1);
        let _ = cluster.put(now, In::Clock(START));
        let _ = cluster.put(now, In::Routing(Arc::new(routing)));
        cluster
    }

    /// When a request that is made now is carried out.
    pub(crate) fn draw_time(&mut self, now: Time) -> Time {
        let (least, most) = self.delay;
        now + Span::from_ns(self.rng.range(least.as_ns().max(1)..=most.as_ns().max(1)))
    }

    /// Tells the metadata server how much space there is.
    pub(crate) fn report_space(&mut self, now: Time, capacity: u64, free: u64) {
        let _ = self.put(now, In::Space { capacity, free });
    }

    fn put(&mut self, now: Time, input: In<u64>) -> Option<Result<Response, Status>> {
        let mut answer = None;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut out = Effects::new();
            self.server.handle(now, input, &mut out);
            for effect in out.drain() {
                match effect {
                    Out::Answer { answer: said, .. } => answer = Some(said),
                    Out::Storage { id, call, .. } => {
                        let answer = Ok(self.answer_storage(&call));
                        inputs.push(In::StorageAnswer { id, answer });
                    }
                }
            }
        }
        answer
    }

    /// Carries out a metadata request.
    pub(crate) fn ask(&mut self, now: Time, request: Request) -> Result<Response, Status> {
        self.meta_log.push(request.clone());
        self.put(now, In::Request { call: 1, request })
            .expect("the storage of this server answers at once")
    }

    fn answer_storage(&mut self, call: &StorageCall) -> StorageAnswer {
        let (StorageCall::LastChunk { chain, range } | StorageCall::RemoveChunks { chain, range }) = call;
        let held: Vec<_> = (self.chunks.iter())
            .filter(|((on, chunk), _)| {
                *on == chain.chain_id && range.begin <= chunk.id() && chunk.id() < range.end
            })
            .map(|(key, content)| (*key, u32::try_from(content.len()).unwrap()))
            .collect();
        match call {
            StorageCall::LastChunk { .. } => {
                let mut result = QueryLastChunkResult::initial();
                result.status_code = Ok(Void);
                if let Some(((_, chunk), length)) = held.last() {
                    result.last_chunk_id = chunk.id();
                    result.last_chunk_len = *length;
                }
                StorageAnswer::LastChunk(result)
            }
            StorageCall::RemoveChunks { .. } => {
                let count = range.max_num_chunk_ids_to_process as usize;
                for (key, _) in held.iter().rev().take(count) {
                    self.chunks.remove(key);
                }
                StorageAnswer::RemoveChunks(RemoveChunksResult {
                    status_code: Ok(Void),
                    num_chunks_removed: u32::try_from(held.len().min(count)).unwrap(),
                    more_chunks_in_range: held.len() > count,
                })
            }
        }
    }

    /// The place of a chunk. Chunks outside the file's stripe are a mistake of the client.
    fn place(&self, file: &FileView, index: u32) -> (ChainId, FileChunk) {
        let layout = &file.layout;
        let offset = u64::from(index) * u64::from(layout.chunk_size);
        let (chunk, slot) = layout.chunk_at(file.inode, offset).unwrap();
        let index = layout.chain_indexes(Default::default())[slot as usize];
        let chain = chain_of_index(layout.table_id, layout.table_version, index, &self.routing).unwrap();
        (chain, chunk)
    }

    /// Carries out a storage request; with `torn` only the first half of a write.
    pub(crate) fn carry_out(&mut self, file: &FileView, want: &Want, torn: bool) -> Outcome {
        self.storage_log.push((file.inode, want.clone()));
        let size = u64::from(file.layout.chunk_size);
        match want {
            Want::Read { offset, into } => {
                let bytes = self.read(file, *offset, into.len);
                self.fill(*into, &bytes);
            }
            Want::Write { offset, from } => {
                let mut bytes = self.gather(from);
                if torn {
                    bytes.truncate(bytes.len() / 2);
                }
                self.write(file, *offset, &bytes);
            }
            Want::Truncate { length } => self.truncate(file, *length),
            Want::Punch {
                offset,
                length,
                file_length,
            } => {
                let end = offset.saturating_add(*length).min(*file_length);
                if *offset < end {
                    let zeros = vec![0; usize::try_from(end - offset).unwrap()];
                    self.overwrite(file, *offset, &zeros);
                }
            }
            Want::Length => return Outcome::Length(self.length(file.inode, size)),
            Want::Chunks { from, to } => {
                let mut chunks: Vec<_> = (self.chunks.iter())
                    .filter(|((_, chunk), _)| {
                        chunk.inode == file.inode && *from <= chunk.index && chunk.index < *to
                    })
                    .map(|((_, chunk), content)| (chunk.index, u32::try_from(content.len()).unwrap()))
                    .collect();
                chunks.sort_unstable();
                return Outcome::Chunks(chunks);
            }
        }
        Outcome::Done
    }

    /// Where the content ends.
    pub(crate) fn length(&self, inode: InodeId, chunk_bytes: u64) -> u64 {
        (self.chunks.iter())
            .filter(|((_, chunk), _)| chunk.inode == inode)
            .map(|((_, chunk), content)| u64::from(chunk.index) * chunk_bytes + content.len() as u64)
            .max()
            .unwrap_or(0)
    }

    /// All bytes of a file as the storage has them, whatever its layout.
    pub(crate) fn content(&self, inode: InodeId, chunk_bytes: u64) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.length(inode, chunk_bytes)).unwrap()];
        for ((_, chunk), content) in &self.chunks {
            if chunk.inode == inode {
                let at = usize::try_from(u64::from(chunk.index) * chunk_bytes).unwrap();
                all[at..at + content.len()].copy_from_slice(content);
            }
        }
        all
    }

    fn read(&self, file: &FileView, offset: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        for piece in pieces(file, offset, len as usize) {
            if let Some(content) = self.chunks.get(&self.place(file, piece.index)) {
                let held = content.get(piece.inside..).unwrap_or_default();
                let count = held.len().min(piece.len);
                bytes[piece.at..piece.at + count].copy_from_slice(&held[..count]);
            }
        }
        bytes
    }

    fn write(&mut self, file: &FileView, offset: u64, bytes: &[u8]) {
        for piece in pieces(file, offset, bytes.len()) {
            let slot = piece.index % file.layout.stripe_size;
            assert!(
                file.stripe == 0 || slot < file.stripe,
                "chunk {} lies outside the stripe of {}",
                piece.index,
                file.stripe
            );
            let place = self.place(file, piece.index);
            let content = self.chunks.entry(place).or_default();
            let end = piece.inside + piece.len;
            if content.len() < end {
                content.resize(end, 0);
            }
            content[piece.inside..end].copy_from_slice(&bytes[piece.at..piece.at + piece.len]);
        }
    }

    /// Changes bytes of chunks that are there.
    fn overwrite(&mut self, file: &FileView, offset: u64, bytes: &[u8]) {
        for piece in pieces(file, offset, bytes.len()) {
            let place = self.place(file, piece.index);
            if let Some(held) = self
                .chunks
                .get_mut(&place)
                .and_then(|chunk| chunk.get_mut(piece.inside..))
            {
                let count = held.len().min(piece.len);
                held[..count].copy_from_slice(&bytes[piece.at..piece.at + count]);
            }
        }
    }

    fn truncate(&mut self, file: &FileView, length: u64) {
        let size = u64::from(file.layout.chunk_size);
        let kept = length.div_ceil(size);
        let inode = file.inode;
        self.chunks
            .retain(|(_, chunk), _| chunk.inode != inode || u64::from(chunk.index) < kept);
        if length > 0 {
            let index = u32::try_from(kept - 1).unwrap();
            assert!(
                file.stripe == 0 || index % file.layout.stripe_size < file.stripe,
                "the last chunk lies outside the stripe"
            );
            let place = self.place(file, index);
            let bytes = usize::try_from(length - (kept - 1) * size).unwrap();
            self.chunks.entry(place).or_default().resize(bytes, 0);
        }
    }
}

/// The host's memory.
impl Cluster {
    fn memory_of(&mut self, lease: Lease) -> &mut [u8] {
        let memory = self
            .memory
            .get_mut(&lease.id)
            .unwrap_or_else(|| panic!("{:?} is used after it was freed", lease.id));
        &mut memory[lease.off as usize..(lease.off + lease.len) as usize]
    }

    pub(crate) fn bytes(&mut self, lease: Lease) -> Vec<u8> {
        self.memory_of(lease).to_vec()
    }

    pub(crate) fn fill(&mut self, lease: Lease, bytes: &[u8]) {
        self.memory_of(lease).copy_from_slice(bytes);
    }

    pub(crate) fn copy(&mut self, from: Lease, to: Lease) {
        assert_eq!(from.len, to.len);
        let bytes = self.bytes(from);
        self.fill(to, &bytes);
    }

    pub(crate) fn zero(&mut self, lease: Lease) {
        self.memory_of(lease).fill(0);
    }

    pub(crate) fn free(&mut self, memory: LeaseId) {
        let before = self.memory.remove(&memory);
        assert!(before.is_some(), "{memory:?} is freed twice");
    }

    fn gather(&mut self, segments: &Segments) -> Vec<u8> {
        let leases = segments.leases().to_vec();
        leases.into_iter().flat_map(|lease| self.bytes(lease)).collect()
    }
}

/// A part of a range that lies in one chunk.
struct Piece {
    index: u32,
    /// Where in the chunk.
    inside: usize,
    /// Where in the range.
    at: usize,
    len: usize,
}

fn pieces(file: &FileView, offset: u64, len: usize) -> Vec<Piece> {
    let size = u64::from(file.layout.chunk_size);
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < len {
        let here = offset + at as u64;
        let inside = usize::try_from(here % size).unwrap();
        let part = (len - at).min(usize::try_from(size).unwrap() - inside);
        pieces.push(Piece {
            index: u32::try_from(here / size).unwrap(),
            inside,
            at,
            len: part,
        });
        at += part;
    }
    pieces
}

fn routing() -> RoutingView {
    let mut view = RoutingView::default();
    let chains: Vec<_> = (1..=CHAINS).map(|n| ChainId(100 + n)).collect();
    for chain in &chains {
        let version = ChainVersion(7);
        view.chains.insert(*chain, ChainView { version, targets: 2 });
    }
    let versions = BTreeMap::from([(ChainTableVersion(1), chains)]);
    view.tables.insert(ChainTableId(1), versions);
    view
}

impl Cluster {
    /// An inode as the server has it, past all faults and logs.
    pub(crate) fn inode(&mut self, now: Time, inode: InodeId) -> Option<Inode> {
        let request = StatReq {
            base: other_host(),
            path: PathAt {
                parent: inode,
                path: None,
            },
            flags: AtFlags::empty(),
        };
        let request = Request::Stat(request);
        match self.put(now, In::Request { call: 1, request })? {
            Ok(Response::Stat(answer)) => Some(answer.stat),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    /// Another host has the exact length of a file determined.
    pub(crate) fn sync(&mut self, now: Time, inode: InodeId) {
        let request = Request::Sync(SyncReq {
            base: other_host(),
            inode,
            update_length: true,
            atime: None,
            mtime: None,
            truncated: false,
            length_hint: None,
        });
        let answer = self.put(now, In::Request { call: 1, request });
        assert!(matches!(answer, Some(Ok(_))), "{answer:?}");
    }
}

fn other_host() -> ReqBase {
    ReqBase {
        user: UserInfo {
            uid: Uid(0),
            gid: Gid(0),
            groups: Vec::new(),
            token: Token::default(),
        },
        client: ClientId {
            uuid: Uuid([1; 16]),
            hostname: Text::from("other"),
        },
        forward: NodeId(0),
        uuid: Uuid::ZERO,
    }
}
