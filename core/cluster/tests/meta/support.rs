//! A metadata server with a storage of its own, and short forms of requests.

use flyer_cluster::meta::routing::ChainView;
use flyer_cluster::meta::{In, MetaServer, Options, Out, RoutingView, StorageAnswer, StorageCall};
use flyer_cluster::store::MemoryStore;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, Gid, InodeId, NodeId, OpId, Permission, Uid, Uuid,
};
use flyer_types::{Checked, Effects, Machine, Rng, Span, Status, StatusCode, Text, Time, Token, WallTime};
use flyer_wire::codec::{Void, Wire};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::attr::{SetAttrReq, StatReq};
use flyer_wire::msg::meta::call::{PathAt, ReqBase, SessionInfo, VersionedLength};
use flyer_wire::msg::meta::file::{CloseReq, OpenReq, SyncReq};
use flyer_wire::msg::meta::flags::{AtFlags, OpenFlags};
use flyer_wire::msg::meta::inode::{Inode, InodeKind};
use flyer_wire::msg::meta::namespace::{
    CreateReq, HardLinkReq, ListReq, MkdirsReq, RemoveReq, RenameReq, SymlinkReq,
};
use flyer_wire::msg::storage::chunk_id::FileChunk;
use flyer_wire::msg::storage::range::{QueryLastChunkResult, RemoveChunksResult};
use flyer_wire::service::meta::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) type Res<T> = Result<T, StatusCode>;

pub(crate) const ALICE: Uid = Uid(1000);
pub(crate) const CHAINS: u32 = 4;

pub(crate) struct World {
    pub(crate) server: Checked<MetaServer<MemoryStore, u64>>,
    pub(crate) now: Time,
    pub(crate) user: Uid,
    pub(crate) client: Uuid,
    /// Length of each chunk, by chain.
    pub(crate) chunks: BTreeMap<(ChainId, FileChunk), u32>,
    /// Calls to the storage that nobody has answered.
    pub(crate) calls: Vec<(OpId, StorageCall)>,
    /// Answers, in order: call, answer, durable.
    pub(crate) answers: Vec<(u64, Result<Response, Status>, bool)>,
    /// Answer calls to the storage at once.
    pub(crate) storage_answers: bool,
    pub(crate) rng: Rng,
    next_call: u64,
}

pub(crate) fn routing() -> RoutingView {
    let mut view = RoutingView::default();
    let chains: Vec<_> = (1..=CHAINS).map(|n| ChainId(100 + n)).collect();
    for chain in &chains {
        view.chains.insert(
            *chain,
            ChainView {
                version: ChainVersion(7),
                targets: 2,
            },
        );
    }
    view.tables
        .insert(ChainTableId(1), BTreeMap::from([(ChainTableVersion(1), chains)]));
    view
}

pub(crate) fn path(text: &str) -> PathAt {
    PathAt {
        parent: InodeId::ROOT,
        path: Some(text.into()),
    }
}

pub(crate) fn by_id(parent: InodeId) -> PathAt {
    PathAt { parent, path: None }
}

pub(crate) fn code<T>(result: Result<T, Status>) -> Res<T> {
    result.map_err(|status| status.code)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Options::default())
    }

    pub(crate) fn with(options: Options) -> Self {
        Self::over(MemoryStore::new(), options)
    }

    pub(crate) fn over(store: MemoryStore, options: Options) -> Self {
        let server = MetaServer::open(store, options, Rng::from_seed(1)).unwrap();
        let mut world = Self {
            server: Checked::new(server),
            now: Time::ZERO,
            user: Uid(0),
            client: Uuid([9; 16]),
            chunks: BTreeMap::new(),
            calls: Vec::new(),
            answers: Vec::new(),
            storage_answers: true,
            rng: Rng::from_seed(2),
            next_call: 0,
        };
        world.put(In::Clock(WallTime::from_secs(1_700_000_000)));
        world.put(In::Routing(Arc::new(routing())));
        world
    }

    pub(crate) fn put(&mut self, input: In<u64>) {
        let mut out = Effects::new();
        self.server.handle(self.now, input, &mut out);
        self.take(&mut out);
    }

    fn take(&mut self, out: &mut Effects<Out<u64>>) {
        for effect in out.drain() {
            match effect {
                Out::Answer {
                    call,
                    answer,
                    durable,
                } => self.answers.push((call, answer, durable)),
                Out::Storage { id, call, .. } => self.calls.push((id, call)),
            }
        }
        while self.storage_answers && !self.calls.is_empty() {
            self.answer_storage();
        }
    }

    /// Answers the oldest call to the storage.
    pub(crate) fn answer_storage(&mut self) {
        let (id, call) = self.calls.remove(0);
        let answer = Ok(self.storage(&call));
        self.put(In::StorageAnswer { id, answer });
    }

    pub(crate) fn storage(&mut self, call: &StorageCall) -> StorageAnswer {
        let (chain, range) = match call {
            StorageCall::LastChunk { chain, range } | StorageCall::RemoveChunks { chain, range } => {
                (chain, range)
            }
        };
        assert_eq!(chain.chain_ver, ChainVersion(7));
        let held: Vec<_> = (self.chunks.iter())
            .filter(|((on, chunk), _)| {
                *on == chain.chain_id && range.begin <= chunk.id() && chunk.id() < range.end
            })
            .map(|(key, length)| (*key, *length))
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
                let more_chunks_in_range = held.len() > count;
                let num_chunks_removed = u32::try_from(held.len().min(count)).unwrap();
                StorageAnswer::RemoveChunks(RemoveChunksResult {
                    status_code: Ok(Void),
                    num_chunks_removed,
                    more_chunks_in_range,
                })
            }
        }
    }

    /// Puts bytes `..end` of a file into the storage, as a client would.
    pub(crate) fn write(&mut self, inode: &Inode, end: u64) {
        let InodeKind::File(file) = &inode.base.kind else {
            panic!("not a file")
        };
        let indexes = file.layout.chain_indexes(Default::default());
        let size = u64::from(file.layout.chunk_size);
        for index in 0..end.div_ceil(size) {
            let (chunk, slot) = file.layout.chunk_at(inode.id, index * size).unwrap();
            let chain = ChainId(100 + (indexes[slot as usize] - 1) % CHAINS + 1);
            let length = u32::try_from(size.min(end - index * size)).unwrap();
            self.chunks.insert((chain, chunk), length);
        }
    }

    /// Lets time pass, with all that happens meanwhile.
    pub(crate) fn pass(&mut self, span: Span) {
        let end = self.now + span;
        while let Some((at, _)) = self.server.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            let mut out = Effects::new();
            self.server.handle_timeout(self.now, &mut out);
            self.take(&mut out);
        }
        self.now = end;
    }

    pub(crate) fn send(&mut self, request: impl Into<Request>) -> u64 {
        self.next_call += 1;
        let call = self.next_call;
        self.put(In::Request {
            call,
            request: request.into(),
        });
        call
    }

    pub(crate) fn answer_of(&mut self, call: u64) -> Option<(Result<Response, Status>, bool)> {
        let at = self.answers.iter().position(|answer| answer.0 == call)?;
        let (_, answer, durable) = self.answers.remove(at);
        Some((answer, durable))
    }

    pub(crate) fn ask(&mut self, request: impl Into<Request>) -> Res<Response> {
        let call = self.send(request);
        let (answer, _) = self.answer_of(call).expect("an answer");
        code(answer)
    }

    pub(crate) fn base(&mut self) -> ReqBase {
        ReqBase {
            user: UserInfo {
                uid: self.user,
                gid: Gid(self.user.0),
                groups: Vec::new(),
                token: Token::default(),
            },
            client: ClientId {
                uuid: self.client,
                hostname: Text::from("host"),
            },
            forward: NodeId(0),
            uuid: self.rng.uuid(),
        }
    }

    pub(crate) fn session(&mut self) -> SessionInfo {
        let client = ClientId {
            uuid: self.client,
            hostname: Text::from("host"),
        };
        SessionInfo {
            client,
            session: self.rng.uuid(),
        }
    }

    pub(crate) fn create_req(&mut self, at: &str, perm: u32) -> CreateReq {
        CreateReq {
            base: self.base(),
            path: path(at),
            session: None,
            flags: OpenFlags::CREAT | OpenFlags::EXCL,
            perm: Permission(perm),
            layout: None,
            remove_chunks_batch_size: 32,
            dyn_stripe: false,
        }
    }

    pub(crate) fn create(&mut self, at: &str) -> Res<Inode> {
        let request = self.create_req(at, 0o644);
        match self.ask(request)? {
            Response::Create(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    /// Creates a file and opens it for writing.
    pub(crate) fn create_open(&mut self, at: &str) -> (Inode, SessionInfo) {
        let session = self.session();
        let mut request = self.create_req(at, 0o644);
        request.flags |= OpenFlags::RDWR;
        request.session = Some(session.clone());
        match self.ask(request) {
            Ok(Response::Create(r)) => (r.stat, session),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn mkdirs_req(&mut self, at: &str, perm: u32, recursive: bool) -> MkdirsReq {
        MkdirsReq {
            base: self.base(),
            path: path(at),
            perm: Permission(perm),
            recursive,
            layout: None,
        }
    }

    pub(crate) fn mkdir(&mut self, at: &str) -> Res<Inode> {
        self.mkdir_mode(at, 0o755)
    }

    pub(crate) fn mkdir_mode(&mut self, at: &str, perm: u32) -> Res<Inode> {
        let request = self.mkdirs_req(at, perm, false);
        match self.ask(request)? {
            Response::Mkdirs(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn symlink(&mut self, at: &str, target: &str) -> Res<Inode> {
        let request = SymlinkReq {
            base: self.base(),
            path: path(at),
            target: target.into(),
        };
        match self.ask(request)? {
            Response::Symlink(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn link_req(&mut self, old: &str, new: &str) -> HardLinkReq {
        HardLinkReq {
            base: self.base(),
            old_path: path(old),
            new_path: path(new),
            flags: AtFlags::empty(),
        }
    }

    pub(crate) fn link(&mut self, old: &str, new: &str) -> Res<Inode> {
        let request = self.link_req(old, new);
        match self.ask(request)? {
            Response::HardLink(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn remove_req(&mut self, at: &str) -> RemoveReq {
        RemoveReq {
            base: self.base(),
            path: path(at),
            at_flags: AtFlags::empty(),
            recursive: false,
            check_type: false,
            inode_id: None,
        }
    }

    pub(crate) fn unlink(&mut self, at: &str) -> Res<()> {
        let request = RemoveReq {
            check_type: true,
            ..self.remove_req(at)
        };
        self.ask(request).map(|_| ())
    }

    pub(crate) fn rmdir(&mut self, at: &str) -> Res<()> {
        let request = RemoveReq {
            check_type: true,
            at_flags: AtFlags::REMOVEDIR,
            ..self.remove_req(at)
        };
        self.ask(request).map(|_| ())
    }

    pub(crate) fn rename_req(&mut self, from: &str, to: &str) -> RenameReq {
        RenameReq {
            base: self.base(),
            src: path(from),
            dest: path(to),
            move_to_trash: false,
            inode_id: None,
        }
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Res<()> {
        let request = self.rename_req(from, to);
        self.ask(request).map(|_| ())
    }

    pub(crate) fn stat_at(&mut self, at: PathAt, flags: AtFlags) -> Res<Inode> {
        let request = StatReq {
            base: self.base(),
            path: at,
            flags,
        };
        match self.ask(request)? {
            Response::Stat(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn stat(&mut self, at: &str) -> Res<Inode> {
        self.stat_at(path(at), AtFlags::empty())
    }

    pub(crate) fn names(&mut self, at: &str) -> Res<Vec<String>> {
        let request = ListReq {
            base: self.base(),
            path: path(at),
            prev: Text::default(),
            limit: 1000,
            status: true,
        };
        match self.ask(request)? {
            Response::List(r) => Ok(r.entries.iter().map(|entry| entry.name.to_string()).collect()),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set_attr_req(&mut self, at: &str) -> SetAttrReq {
        SetAttrReq {
            base: self.base(),
            path: path(at),
            flags: AtFlags::empty(),
            uid: None,
            gid: None,
            perm: None,
            atime: None,
            mtime: None,
            layout: None,
            iflags: None,
            dyn_stripe: 0,
        }
    }

    pub(crate) fn set_attr(&mut self, request: SetAttrReq) -> Res<Inode> {
        match self.ask(request)? {
            Response::SetAttr(r) => Ok(r.stat),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn chmod(&mut self, at: &str, perm: u32) -> Res<Inode> {
        let request = SetAttrReq {
            perm: Some(Permission(perm)),
            ..self.set_attr_req(at)
        };
        self.set_attr(request)
    }

    pub(crate) fn open_req(&mut self, at: PathAt, flags: OpenFlags) -> OpenReq {
        let session = flags.writes().then(|| self.session());
        OpenReq {
            base: self.base(),
            path: at,
            session,
            flags,
            remove_chunks_batch_size: 32,
            dyn_stripe: false,
        }
    }

    pub(crate) fn open(&mut self, at: &str, flags: OpenFlags) -> Res<(Inode, bool)> {
        let request = self.open_req(path(at), flags);
        match self.ask(request)? {
            Response::Open(r) => Ok((r.stat, r.need_truncate)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn sync_req(&mut self, inode: InodeId, hint: Option<(u64, u64)>, truncated: bool) -> SyncReq {
        let length_hint = hint.map(|(length, truncate_ver)| VersionedLength { length, truncate_ver });
        SyncReq {
            base: self.base(),
            inode,
            update_length: true,
            atime: None,
            mtime: None,
            truncated,
            length_hint,
        }
    }

    pub(crate) fn sync(
        &mut self,
        inode: InodeId,
        hint: Option<(u64, u64)>,
        truncated: bool,
    ) -> Res<(u64, u64)> {
        let request = self.sync_req(inode, hint, truncated);
        match self.ask(request)? {
            Response::Sync(r) => Ok(length_of(&r.stat)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn close_req(&mut self, inode: InodeId, session: &SessionInfo) -> CloseReq {
        CloseReq {
            base: self.base(),
            inode,
            session: Some(session.clone()),
            update_length: true,
            atime: None,
            mtime: None,
            length_hint: None,
        }
    }

    pub(crate) fn close(&mut self, inode: InodeId, session: &SessionInfo) -> Res<(u64, u64)> {
        let request = self.close_req(inode, session);
        match self.ask(request)? {
            Response::Close(r) => Ok(length_of(&r.stat)),
            other => panic!("{other:?}"),
        }
    }
}

/// Length and truncate version.
pub(crate) fn length_of(inode: &Inode) -> (u64, u64) {
    match &inode.base.kind {
        InodeKind::File(file) => (file.length, file.truncate_ver),
        other => panic!("{other:?}"),
    }
}
