//! A host for shards, with servers that can fail and be late.
//!
//! ```text
//!   test ──► Host ──► shards ──► MetaPlayer, StoragePlayer ──► Cluster: the real metadata server, chunks, memory
//! ```
//!
//! Time is virtual: it moves to the next deadline whenever a test waits for something. Leases are checked: what is freed twice, or
//! used after it was freed, ends the test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "each test program uses a part of the kit; helpers of tests are not in tests for clippy; any other answer is wrong"
)]

mod cluster;
mod players;

pub(crate) use cluster::{Cluster, Fault};
use flyer_cluster::meta::Options;
use flyer_types::ids::{Gid, HandleId, InodeId, LeaseId, Uid, Uuid};
use flyer_types::{Checked, Effects, Errno, Lease, Machine, Rng, Span, Text, Time, WallTime};
use flyer_vfs::reply::{Entry, Invalidate, Opened};
use flyer_vfs::shard::{In, Message, Out, Parts, shard_of};
use flyer_vfs::{Caller, Config, Reply, Request, Shard};
use flyer_wire::msg::common::ClientId;
use players::{MetaPlayer, StoragePlayer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

pub(crate) const ROOT_USER: Caller = Caller {
    uid: Uid(0),
    gid: Gid(0),
    pid: 1,
};
pub(crate) const ALICE: Caller = Caller {
    uid: Uid(1000),
    gid: Gid(1000),
    pid: 2,
};
pub(crate) const BOB: Caller = Caller {
    uid: Uid(1001),
    gid: Gid(1001),
    pid: 3,
};

/// The time of day when a host starts.
pub(crate) const START: WallTime = WallTime::from_secs(1_700_000_000);

pub(crate) const O_RDONLY: u32 = 0;
pub(crate) const O_WRONLY: u32 = 1;
pub(crate) const O_RDWR: u32 = 2;
pub(crate) const O_CREAT: u32 = 0x40;
pub(crate) const O_EXCL: u32 = 0x80;
pub(crate) const O_TRUNC: u32 = 0x200;
pub(crate) const O_APPEND: u32 = 0x400;
pub(crate) const O_NONBLOCK: u32 = 0x800;
pub(crate) const O_DIRECT: u32 = 0x4000;

/// What a host is made of.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) shards: u32,
    pub(crate) config: Config,
    pub(crate) options: Options,
    /// Bytes of a chunk of new files.
    pub(crate) chunk_bytes: u32,
    /// Chains of new files.
    pub(crate) stripe: u32,
    pub(crate) seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            shards: 1,
            config: Config::default(),
            options: Options::default(),
            chunk_bytes: 4096,
            stripe: 4,
            seed: 1,
        }
    }
}

pub(crate) struct Host {
    pub(crate) shards: Vec<Checked<Shard<u64>>>,
    pub(crate) now: Time,
    pub(crate) shared: Arc<Mutex<Cluster>>,
    /// What the kernel was told to forget.
    pub(crate) invalidated: Vec<Invalidate>,
    /// Options that a user has changed.
    pub(crate) configs: Vec<Config>,
    replies: BTreeMap<u64, Result<Reply, Errno>>,
    asked: u64,
    messages: VecDeque<(u32, Message<u64>)>,
    leases: u32,
}

impl Host {
    pub(crate) fn new(setup: &Setup) -> Self {
        let shared = Arc::new(Mutex::new(Cluster::new(setup)));
        let rng = Rng::from_seed(setup.seed);
        let client = ClientId {
            uuid: Uuid([7; 16]),
            hostname: Text::from("host"),
        };
        let shards = (0..setup.shards)
            .map(|index| {
                let parts = Parts {
                    index,
                    shards: setup.shards,
                    client: client.clone(),
                    config: Arc::new(setup.config.clone()),
                    rng: rng.split_index("shard", u64::from(index)),
                };
                let meta = Box::new(MetaPlayer::new(&shared));
                let storage = Box::new(StoragePlayer::new(&shared));
                Checked::new(Shard::new(parts, meta, storage))
            })
            .collect();
        let mut host = Self {
            shards,
            now: Time::ZERO + Span::from_secs(1),
            shared,
            invalidated: Vec::new(),
            configs: Vec::new(),
            replies: BTreeMap::new(),
            asked: 0,
            messages: VecDeque::new(),
            leases: 0,
        };
        for index in 0..setup.shards {
            host.input(index, In::Clock(START));
        }
        host
    }

    /// The servers. Hold it only for one statement.
    pub(crate) fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.shared.lock().unwrap()
    }

    /// Gives one shard an input, and carries out what follows at once.
    pub(crate) fn input(&mut self, shard: u32, input: In<u64>) {
        let mut out = Effects::new();
        self.shards[shard as usize].handle(self.now, input, &mut out);
        self.carry_out(&mut out);
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some((to, message)) = self.messages.pop_front() {
            let mut out = Effects::new();
            self.shards[to as usize].handle(self.now, In::Message(message), &mut out);
            self.carry_out(&mut out);
        }
    }

    fn carry_out(&mut self, out: &mut Effects<Out<u64>>) {
        for effect in out.drain() {
            match effect {
                Out::Reply { reply, answer } => {
                    let before = self.replies.insert(reply, answer);
                    assert!(before.is_none(), "request {reply} is answered twice");
                }
                Out::Message { to, message } => self.messages.push_back((to, message)),
                Out::Meta { .. } | Out::Storage { .. } => unreachable!("the players make no calls"),
                Out::Copy { from, to } => self.cluster().copy(from, to),
                Out::Zero(lease) => self.cluster().zero(lease),
                Out::Free(memory) => self.cluster().free(memory),
                Out::Invalidate(what) => self.invalidated.push(what),
                Out::Config(config) => {
                    self.configs.push(config.clone());
                    let config = Arc::new(config);
                    for index in 0..self.shards.len() {
                        let mut more = Effects::new();
                        self.shards[index].handle(self.now, In::Config(Arc::clone(&config)), &mut more);
                        assert!(more.is_empty());
                    }
                }
                Out::RoutingWanted => {}
            }
        }
    }

    /// Moves to the next deadline, if there is one until `end`.
    pub(crate) fn step(&mut self, end: Time) -> bool {
        let next = (self.shards.iter().enumerate())
            .filter_map(|(index, shard)| shard.poll_timeout().map(|(at, _)| (at, index)))
            .min();
        let Some((at, index)) = next.filter(|(at, _)| *at <= end) else {
            return false;
        };
        self.now = self.now.max(at);
        let mut out = Effects::new();
        self.shards[index].handle_timeout(self.now, &mut out);
        self.carry_out(&mut out);
        self.deliver();
        true
    }

    /// Lets time pass, with all that happens meanwhile.
    pub(crate) fn run_for(&mut self, span: Span) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// Asks, without waiting for the answer.
    pub(crate) fn send(&mut self, caller: Caller, request: Request) -> u64 {
        self.asked += 1;
        let reply = self.asked;
        let shards = u32::try_from(self.shards.len()).unwrap();
        let shard = shard_of(request.inode(), shards);
        self.input(
            shard,
            In::Request {
                reply,
                caller,
                request,
            },
        );
        reply
    }

    /// Takes the answer, if it is there.
    pub(crate) fn answer(&mut self, reply: u64) -> Option<Result<Reply, Errno>> {
        self.replies.remove(&reply)
    }

    /// Looks at the answer, if it is there.
    pub(crate) fn peek(&self, reply: u64) -> Option<&Result<Reply, Errno>> {
        self.replies.get(&reply)
    }

    /// Waits for the answer, an hour at most.
    pub(crate) fn wait(&mut self, reply: u64) -> Result<Reply, Errno> {
        let end = self.now + Span::from_secs(3600);
        loop {
            if let Some(answer) = self.answer(reply) {
                return answer;
            }
            assert!(self.step(end), "request {reply} is never answered");
        }
    }

    /// Asks and waits for the answer.
    pub(crate) fn call(&mut self, caller: Caller, request: Request) -> Result<Reply, Errno> {
        let reply = self.send(caller, request);
        self.wait(reply)
    }

    /// Shuts every shard down, in order; the first error.
    pub(crate) fn shutdown(&mut self) -> Result<(), Errno> {
        let mut result = Ok(());
        for index in 0..u32::try_from(self.shards.len()).unwrap() {
            self.asked += 1;
            let reply = self.asked;
            self.input(index, In::Shutdown { reply });
            let ended = self.wait(reply).map(|_| ());
            result = result.and(ended);
        }
        result
    }

    /// New memory with these bytes in front.
    pub(crate) fn lease(&mut self, bytes: &[u8], room: u32) -> Lease {
        self.leases += 1;
        let id = LeaseId::new(self.leases, 1);
        let mut memory = bytes.to_vec();
        memory.resize(bytes.len().max(room as usize), 0xee);
        self.cluster().memory.insert(id, memory);
        Lease {
            id,
            off: 0,
            len: u32::try_from(bytes.len()).unwrap(),
        }
    }
}

/// Short forms of requests, for one user.
impl Host {
    pub(crate) fn lookup(&mut self, caller: Caller, parent: InodeId, name: &str) -> Result<Entry, Errno> {
        let name = Text::from(name);
        match self.call(caller, Request::Lookup { parent, name })? {
            Reply::Entry(entry) => Ok(entry),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn create(
        &mut self,
        caller: Caller,
        name: &str,
        flags: u32,
    ) -> Result<(InodeId, HandleId), Errno> {
        let request = Request::Create {
            parent: InodeId::ROOT,
            name: Text::from(name),
            mode: 0o100_644,
            flags: flags | O_CREAT,
        };
        match self.call(caller, request)? {
            Reply::Created(entry, opened) => Ok((entry.attributes.unwrap().inode, opened.handle)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn open(&mut self, caller: Caller, inode: InodeId, flags: u32) -> Result<Opened, Errno> {
        match self.call(caller, Request::Open { inode, flags })? {
            Reply::Opened(opened) => Ok(opened),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn write_request(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        bytes: &[u8],
        room: u32,
    ) -> Request {
        let data = self.lease(bytes, room);
        Request::Write {
            inode,
            handle,
            offset,
            data,
            room: room.max(data.len),
        }
    }

    pub(crate) fn write(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<u32, Errno> {
        let request = self.write_request(inode, handle, offset, bytes, 0);
        match self.call(ALICE, request)? {
            Reply::Written(count) => Ok(count),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read_request(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        len: u32,
    ) -> (Request, Lease) {
        let into = self.lease(&vec![0xcc; len as usize], 0);
        let request = Request::Read {
            inode,
            handle,
            offset,
            into,
        };
        (request, into)
    }

    /// Takes the bytes of an answer to a read, and frees its memory.
    pub(crate) fn take_data(&self, into: Lease, answer: Result<Reply, Errno>) -> Result<Vec<u8>, Errno> {
        let bytes = match answer {
            Ok(Reply::Data(lease)) => {
                assert_eq!(
                    (lease.id, lease.off),
                    (into.id, into.off),
                    "not the front of the memory"
                );
                assert!(lease.len <= into.len);
                Ok(self.cluster().bytes(lease))
            }
            Ok(other) => panic!("{other:?}"),
            Err(errno) => Err(errno),
        };
        self.cluster().free(into.id);
        bytes
    }

    pub(crate) fn read(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        len: u32,
    ) -> Result<Vec<u8>, Errno> {
        let (request, into) = self.read_request(inode, handle, offset, len);
        let answer = self.call(ALICE, request);
        self.take_data(into, answer)
    }
}
