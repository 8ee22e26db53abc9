//! A mount of an embedded cluster without a kernel: requests go in, answers come out.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_local::cluster::{KernelSide, Mount, OpenError, Options};
use flyer_pool::Pool;
use flyer_types::ids::{Gid, HandleId, InodeId, Uid};
use flyer_types::{Errno, Text};
use flyer_vfs::reply::{Invalidate, Reply};
use flyer_vfs::{Caller, Request};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Longer than any answer takes, unless it does not come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Kernel;

impl KernelSide for Kernel {
    type Reply = Sender<Result<Reply, Errno>>;

    fn reply(&self, reply: Self::Reply, answer: Result<Reply, Errno>) {
        drop(reply.send(answer));
    }

    fn invalidate(&self, _what: Invalidate) {}
}

struct Cluster(Mount<Kernel>);

impl Cluster {
    fn open(path: &Path) -> Self {
        Self::try_open(path).expect("the cluster opens")
    }

    fn try_open(path: &Path) -> Result<Self, OpenError> {
        let pool = Arc::new(Pool::new(64 << 20).expect("a small pool"));
        let options = Options {
            shards: 3,
            ..Options::default()
        };
        Mount::open(path, &options, pool, Kernel).map(Self)
    }

    fn ask(&self, request: Request) -> Result<Reply, Errno> {
        let name = format!("{request:?}");
        let (told, answered) = channel();
        let caller = Caller {
            uid: Uid(0),
            gid: Gid(0),
            pid: 1,
        };
        self.0.submit(caller, request, told);
        answered
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{name} was not answered: {error}"))
    }

    fn create(&self, parent: InodeId, name: &str) -> (InodeId, HandleId) {
        let request = Request::Create {
            parent,
            name: Text::from(name),
            mode: 0o100_644,
            flags: 2,
        };
        match self.ask(request) {
            Ok(Reply::Created(entry, opened)) => {
                (entry.attributes.expect("it was made").inode, opened.handle)
            }
            other => panic!("create: {other:?}"),
        }
    }

    fn lookup(&self, parent: InodeId, name: &str) -> Option<flyer_vfs::reply::Attributes> {
        let name = Text::from(name);
        match self.ask(Request::Lookup { parent, name }) {
            Ok(Reply::Entry(entry)) => entry.attributes,
            Err(Errno::ENOENT) => None,
            other => panic!("lookup: {other:?}"),
        }
    }

    fn write(&self, inode: InodeId, handle: HandleId, offset: u64, bytes: &[u8]) -> Result<Reply, Errno> {
        let data = self.0.pool().take(bytes.len()).expect("the pool is large enough");
        self.0.pool().copy_in(data, bytes).expect("it is ours");
        let room = self.0.pool().room(data).expect("it is ours");
        self.ask(Request::Write {
            inode,
            handle,
            offset,
            data,
            room,
        })
    }

    fn read(&self, inode: InodeId, handle: HandleId, offset: u64, len: usize) -> Vec<u8> {
        let into = self.0.pool().take(len).expect("the pool is large enough");
        let request = Request::Read {
            inode,
            handle,
            offset,
            into,
        };
        let Ok(Reply::Data(data)) = self.ask(request) else {
            panic!("read")
        };
        let bytes = self.0.pool().with_read(data, <[u8]>::to_vec).expect("it is ours");
        self.0.pool().free(into.id).expect("it is ours");
        bytes
    }

    fn open_file(&self, inode: InodeId, flags: u32) -> HandleId {
        match self.ask(Request::Open { inode, flags }) {
            Ok(Reply::Opened(opened)) => opened.handle,
            other => panic!("open: {other:?}"),
        }
    }
}

#[test]
fn what_was_written_is_there_after_a_flush_and_after_opening_anew() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let long: Vec<u8> = (0..3_000_000u32)
        .map(|at| u8::try_from(at % 251).expect("small"))
        .collect();
    let cluster = Cluster::open(folder.path());
    let (inode, handle) = cluster.create(InodeId::ROOT, "short");
    assert_eq!(cluster.write(inode, handle, 0, b"hello"), Ok(Reply::Written(5)));
    assert_eq!(cluster.read(inode, handle, 0, 100), b"hello");
    assert_eq!(cluster.ask(Request::Flush { inode, handle }), Ok(Reply::Done));
    assert_eq!(cluster.ask(Request::Release { inode, handle }), Ok(Reply::Done));
    let (inode, handle) = cluster.create(InodeId::ROOT, "long");
    for (piece, bytes) in (0..).zip(long.chunks(100_000)) {
        let count = u32::try_from(bytes.len()).expect("small");
        assert_eq!(
            cluster.write(inode, handle, piece * 100_000, bytes),
            Ok(Reply::Written(count))
        );
    }
    let fsync = Request::Fsync {
        inode,
        handle,
        data_only: false,
    };
    assert_eq!(cluster.ask(fsync), Ok(Reply::Done));
    cluster.0.end().expect("nothing is lost");
    drop(cluster);

    let cluster = Cluster::open(folder.path());
    for (name, content) in [("short", &b"hello"[..]), ("long", &long)] {
        let found = cluster.lookup(InodeId::ROOT, name).expect("it is there");
        assert_eq!(found.size, content.len() as u64, "{name}");
        let handle = cluster.open_file(found.inode, 0);
        let mut bytes = Vec::new();
        while bytes.len() < content.len() {
            let more = cluster.read(found.inode, handle, bytes.len() as u64, 1 << 20);
            assert!(!more.is_empty(), "{name} ends early, at {}", bytes.len());
            bytes.extend(more);
        }
        assert!(bytes == content, "{name} differs");
    }
    assert_eq!(cluster.lookup(InodeId::ROOT, "nothing"), None);
}

#[test]
fn a_directory_is_opened_by_one_at_a_time() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let cluster = Cluster::open(folder.path());
    let refused = Cluster::try_open(folder.path())
        .map(drop)
        .expect_err("it is in use");
    assert!(
        refused.to_string().contains(&std::process::id().to_string()),
        "{refused}"
    );
    cluster.0.end().expect("nothing is lost");
    drop(cluster);
    drop(Cluster::open(folder.path()));
}
