//! Short forms for tests of files.

use crate::common::{ALICE, Fault, Host, Setup};
use flyer_client::storage::Want;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Span};
use flyer_vfs::reply::Attributes;
use flyer_vfs::request::{SetAttributes, SetTime};
use flyer_vfs::{Config, Reply, Request};
use flyer_wire::msg::meta::inode::{Inode, InodeKind};
use flyer_wire::service::meta::Request as Meta;

pub(crate) const CHUNK: u64 = 4096;

/// A host with small buffers, and with rounds that do not come by themselves during a test.
pub(crate) fn host() -> Host {
    Host::new(&setup())
}

pub(crate) fn setup() -> Setup {
    let mut config = Config {
        write_buf_bytes: 64 << 10,
        ..Config::default()
    };
    config.periodic_sync.interval = Span::from_secs(100_000);
    Setup {
        config,
        ..Setup::default()
    }
}

/// Bytes that tell where they come from.
pub(crate) fn bytes(seed: u8, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| {
            seed.wrapping_mul(31)
                .wrapping_add(u8::try_from(at % 251).unwrap())
        })
        .collect()
}

/// Fails every write to storage.
pub(crate) fn fail_writes(host: &Host, fault: Fault) {
    host.cluster().storage_fault = Some(Box::new(move |_, want| {
        matches!(want, Want::Write { .. }).then(|| fault.clone())
    }));
}

pub(crate) fn heal(host: &Host) {
    let mut cluster = host.cluster();
    cluster.storage_fault = None;
    cluster.meta_fault = None;
}

/// How many requests of a kind the metadata server has had.
pub(crate) fn count(host: &Host, which: impl Fn(&Meta) -> bool) -> usize {
    host.cluster()
        .meta_log
        .iter()
        .filter(|request| which(request))
        .count()
}

pub(crate) fn is_sync(request: &Meta) -> bool {
    matches!(request, Meta::Sync(_))
}

pub(crate) fn is_close(request: &Meta) -> bool {
    matches!(request, Meta::Close(_))
}

pub(crate) fn done(answer: Result<Reply, Errno>) -> Result<(), Errno> {
    match answer? {
        Reply::Done => Ok(()),
        other => panic!("{other:?}"),
    }
}

impl Host {
    pub(crate) fn fsync(&mut self, inode: InodeId, handle: HandleId) -> Result<(), Errno> {
        let data_only = false;
        done(self.call(
            ALICE,
            Request::Fsync {
                inode,
                handle,
                data_only,
            },
        ))
    }

    /// `close(2)`, as far as its caller waits.
    pub(crate) fn flush(&mut self, inode: InodeId, handle: HandleId) -> Result<(), Errno> {
        done(self.call(ALICE, Request::Flush { inode, handle }))
    }

    pub(crate) fn release(&mut self, inode: InodeId, handle: HandleId) -> Result<(), Errno> {
        done(self.call(ALICE, Request::Release { inode, handle }))
    }

    pub(crate) fn forget(&mut self, inode: InodeId, count: u64) {
        done(self.call(ALICE, Request::Forget { inode, count })).unwrap();
    }

    pub(crate) fn stat(&mut self, inode: InodeId) -> Result<Attributes, Errno> {
        let handle = None;
        match self.call(ALICE, Request::GetAttributes { inode, handle })? {
            Reply::Attributes(attributes, _) => Ok(attributes),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set(&mut self, inode: InodeId, set: SetAttributes) -> Result<Attributes, Errno> {
        match self.call(ALICE, Request::SetAttributes { inode, set })? {
            Reply::Attributes(attributes, _) => Ok(attributes),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn truncate(&mut self, inode: InodeId, size: u64) -> Result<Attributes, Errno> {
        let set = SetAttributes {
            size: Some(size),
            mtime: Some(SetTime::Now),
            ..SetAttributes::default()
        };
        self.set(inode, set)
    }

    /// What the storage has.
    pub(crate) fn stored(&self, inode: InodeId) -> Vec<u8> {
        self.cluster().content(inode, CHUNK)
    }

    /// Length and truncate version as the server has them.
    pub(crate) fn told(&self, inode: InodeId) -> (u64, u64) {
        match &self.server_inode(inode).unwrap().base.kind {
            InodeKind::File(file) => (file.length, file.truncate_ver),
            other => panic!("{other:?}"),
        }
    }

    /// The inode as the server has it.
    pub(crate) fn server_inode(&self, inode: InodeId) -> Option<Inode> {
        self.cluster().inode(self.now, inode)
    }
}
