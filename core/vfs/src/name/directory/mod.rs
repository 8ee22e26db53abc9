//! Open directories.
//!
//! Owner: the shard of the directory.
//!
//! ```text
//!   opendir ──► stat ──► Handle ──► reads, one at a time, the others wait for their turn ──► releasedir
//! ```
//!
//! Limits: [`HANDLES_MAX`] open directories of a shard (`ENFILE`), [`WAITING_MAX`] reads of a handle that wait (`EAGAIN`).

mod cookie;
mod read;
mod stream;

pub(crate) use read::Read;
pub(super) use read::answer_from;

use super::calls::{of, stat};
use super::look::parent_of;
use super::rules::{errno, response};
use crate::reply::{Opened, Reply};
use crate::shard::{Context, Event, Step};
use alloc::collections::VecDeque;
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId, OpId};
use flyer_types::parts::Slots;
use flyer_wire::msg::meta::file::SyncReq;
use stream::Stream;

/// Open directories of a shard.
pub(super) const HANDLES_MAX: u32 = 1 << 16;
/// Reads of a handle that wait for the one under way. Threads of a process that share a handle take turns in the kernel already.
pub(super) const WAITING_MAX: usize = 16;

/// An open directory.
#[derive(Debug)]
struct Handle {
    inode: InodeId,
    /// What `..` is.
    parent: InodeId,
    stream: Stream,
    /// The read that uses the stream.
    reading: Option<OpId>,
    waiting: VecDeque<OpId>,
}

/// All open directories of a shard.
#[derive(Debug)]
pub(super) struct Directories(Slots<HandleId, Handle>);

impl Directories {
    pub(super) const fn new() -> Self {
        Self(Slots::new(HANDLES_MAX))
    }

    /// Opens a directory.
    pub(super) fn open(&mut self, inode: InodeId, parent: InodeId) -> Result<Reply, Errno> {
        let handle = Handle {
            inode,
            parent,
            stream: Stream::new(),
            reading: None,
            waiting: VecDeque::new(),
        };
        let handle = self.0.insert(handle).map_err(|_| {
            flyer_types::mark!("vfs.directories_full");
            Errno::ENFILE
        })?;
        Ok(Reply::Opened(Opened {
            handle,
            direct_io: false,
            keep_cache: false,
        }))
    }

    /// What `..` is.
    pub(super) fn parent(&mut self, inode: InodeId, id: HandleId) -> Result<InodeId, Errno> {
        self.get(inode, id).map(|handle| handle.parent)
    }

    fn get(&mut self, inode: InodeId, id: HandleId) -> Result<&mut Handle, Errno> {
        let handle = self.0.get_mut(id).filter(|handle| handle.inode == inode);
        handle.ok_or(Errno::EBADF)
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        self.0.check();
        for (id, handle) in self.0.iter() {
            handle.stream.check();
            assert!(handle.waiting.len() <= WAITING_MAX, "too many wait for {id:?}");
            assert!(
                handle.reading.is_some() || handle.waiting.is_empty(),
                "reads wait for {id:?}, which is idle"
            );
        }
    }
}

/// Opens and syncs of directories that wait for a server.
#[derive(Debug)]
pub(crate) enum Manage {
    /// For the inode, which says what `..` is.
    Open(InodeId),
    /// For its names to be durable.
    Sync,
}

impl Manage {
    pub(super) fn open(cx: &mut Context<'_>, inode: InodeId) -> Self {
        stat(cx, of(inode));
        Self::Open(inode)
    }

    /// Makes the names in a directory durable. Servers of a cluster do that before they answer a change, Flyer's own when it is asked.
    pub(super) fn sync(cx: &mut Context<'_>, inode: InodeId) -> Self {
        let base = cx.base();
        cx.meta(SyncReq {
            base,
            inode,
            update_length: false,
            atime: None,
            mtime: None,
            truncated: false,
            length_hint: None,
        });
        Self::Sync
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        match self {
            Self::Open(inode) => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?;
                let parent = parent_of(&found.stat)?;
                cx.state.names.directories.open(inode, parent).map(Step::reply)
            }
            Self::Sync => match response!(event, Sync).map_err(|status| errno(&status)) {
                // A directory that was removed has no names left to lose.
                Ok(_) | Err(Errno::ENOENT) => Ok(Step::reply(Reply::Done)),
                Err(errno) => Err(errno),
            },
        }
    }
}

/// Closes a directory. Reads that wait for their turn will find it closed.
pub(super) fn release(cx: &mut Context<'_>, inode: InodeId, id: HandleId) -> Result<Step, Errno> {
    cx.state.names.directories.get(inode, id)?;
    let handle = cx.state.names.directories.0.remove(id);
    for op in handle.into_iter().flat_map(|handle| handle.waiting) {
        cx.wake(op);
    }
    Ok(Step::reply(Reply::Done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_opens_a_bounded_number_of_directories() {
        let mut directories = Directories::new();
        let root = InodeId::ROOT;
        for _ in 0..HANDLES_MAX {
            assert!(directories.open(root, root).is_ok());
        }
        assert_eq!(directories.open(root, root), Err(Errno::ENFILE));
        let (first, _) = directories.0.iter().next().expect("there are many");
        assert!(directories.0.remove(first).is_some());
        assert!(directories.open(root, root).is_ok());
        directories.check();
    }
}
