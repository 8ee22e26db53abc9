//! A file system that answers from memory, to show the ceiling: what a mount could do if the file system behind it cost nothing.
//!
//! Its files have lengths and no content: every read is served from one buffer, written bytes are dropped. It answers on the thread that
//! asks. It checks what the kernel does not check itself, and keeps nothing.
//!
//! Limits: a read or write has at most 1 MiB, the size of the buffer; more is refused by the budget.

#[cfg(test)]
mod tests;
mod tree;

use crate::adapter::ReplyTo;
use crate::adapter::init::REQUEST_BYTES_MAX;
use crate::file_system::{FileSystem, Payload};
use flyer_types::ids::{Gid, HandleId, InodeId, LeaseId, Permission, Uid};
use flyer_types::{Errno, Lease, Span, Text, WallTime};
use flyer_vfs::reply::{Attributes, DirectoryItem, Entry, Opened, Space};
use flyer_vfs::request::{Seek, SetAttributes};
use flyer_vfs::{Caller, Reply, Request};
use flyer_wire::msg::meta::inode::InodeType;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};
use tree::Tree;

/// Name of the file that is there from the beginning.
pub const FILE_NAME: &str = "file";

/// The one handle of everything: nothing is kept for an open file.
const HANDLE: HandleId = HandleId::new(1, 1);
const SPACE: Space = Space {
    block_bytes: REQUEST_BYTES_MAX,
    blocks: 1 << 20,
    blocks_free: 1 << 20,
    name_bytes_max: 255,
};
const NAME_BYTES: usize = 255;
/// Bytes of an entry in the kernel's format, without its name.
const ITEM_BYTES: u64 = 24;
const ITEM_PLUS_BYTES: u64 = 152;

/// How a stub looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StubOptions {
    /// Length of the file that is there from the beginning.
    pub file_bytes: u64,
    /// How long the kernel may cache names and attributes.
    pub timeout: Span,
}

impl Default for StubOptions {
    fn default() -> Self {
        Self {
            file_bytes: 16 << 30,
            timeout: Span::from_secs(30),
        }
    }
}

/// The file system.
pub struct Stub {
    tree: RwLock<Tree>,
    payload: Arc<dyn Payload>,
    timeout: Span,
}

impl Stub {
    /// A tree with one file that belongs to this process's user.
    #[must_use]
    pub fn new(options: StubOptions) -> Self {
        let owner = Caller {
            uid: Uid(nix::unistd::geteuid().as_raw()),
            gid: Gid(nix::unistd::getegid().as_raw()),
            pid: 0,
        };
        let time = now();
        let mut tree = Tree::new(owner.uid, owner.gid, time);
        let place = (InodeId::ROOT, Text::from(FILE_NAME));
        let file = tree
            .make(owner, place, InodeType::FILE, Permission(0o644), None, time)
            .expect("an empty directory takes any name");
        tree.grow(file.inode, options.file_bytes, time)
            .expect("it was just made");
        tree.forget(file.inode, 1);
        Self {
            tree: RwLock::new(tree),
            payload: Arc::new(OneBuffer::new()),
            timeout: options.timeout,
        }
    }

    // A panic while the tree is changed leaves it as it was or with one step done; a benchmark may go on with that.
    fn read(&self) -> RwLockReadGuard<'_, Tree> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tree> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, attributes: Option<Attributes>) -> Entry {
        Entry {
            attributes,
            entry_timeout: self.timeout,
            attributes_timeout: self.timeout,
        }
    }

    fn made(&self, made: Result<Attributes, Errno>) -> Result<Reply, Errno> {
        made.map(|attributes| Reply::Entry(self.entry(Some(attributes))))
    }

    fn answer(&self, caller: Caller, request: Request) -> Result<Reply, Errno> {
        match request {
            Request::Read {
                inode, offset, into, ..
            } => self.answer_read(inode, offset, into),
            Request::Write {
                inode, offset, data, ..
            } => self.answer_write(inode, offset, data),
            Request::Lookup { parent, name } => self.answer_lookup(parent, &name),
            Request::GetAttributes { inode, .. } => {
                Ok(Reply::Attributes(self.read().attributes(inode)?, self.timeout))
            }
            Request::SetAttributes { inode, set } => Ok(Reply::Attributes(
                self.write().set(inode, &set, now())?,
                self.timeout,
            )),
            Request::Forget { inode, count } => {
                self.write().forget(inode, count);
                Ok(Reply::Done)
            }
            Request::Open { inode, flags } => self.answer_open(inode, flags),
            Request::OpenDirectory { inode, .. } => self.read().attributes(inode).map(|_| opened(0)),
            Request::ReadDirectory {
                inode,
                cookie,
                bytes,
                plus,
                ..
            } => self.answer_directory(inode, cookie, bytes, plus),
            Request::ReadLink { inode } => self.read().target(inode).map(Reply::Target),
            Request::Flush { .. }
            | Request::Release { .. }
            | Request::Fsync { .. }
            | Request::ReleaseDirectory { .. }
            | Request::FsyncDirectory { .. }
            | Request::Access { .. } => Ok(Reply::Done),
            Request::StatFs { .. } => Ok(Reply::Space(SPACE)),
            Request::Fallocate {
                inode,
                offset,
                length,
                mode,
                ..
            } => self.answer_fallocate(inode, offset, length, mode),
            Request::Seek {
                inode,
                offset,
                whence,
                ..
            } => self.answer_seek(inode, offset, whence),
            // The kernel copies by itself then.
            Request::CopyRange { .. } => Err(Errno::EOPNOTSUPP),
            // The kernel does not ask again, which spares one request for each write.
            Request::SetXattr { .. }
            | Request::GetXattr { .. }
            | Request::ListXattr { .. }
            | Request::RemoveXattr { .. } => Err(Errno::ENOSYS),
            Request::Ioctl { .. } => Err(Errno::ENOTTY),
            change @ (Request::MakeNode { .. }
            | Request::MakeDirectory { .. }
            | Request::Unlink { .. }
            | Request::RemoveDirectory { .. }
            | Request::Symlink { .. }
            | Request::Rename { .. }
            | Request::Link { .. }
            | Request::Create { .. }) => self.answer_name(caller, change),
        }
    }

    /// Requests that make, move or remove names.
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "the caller lists those that come here"
    )]
    fn answer_name(&self, caller: Caller, request: Request) -> Result<Reply, Errno> {
        let mut tree = self.write();
        match request {
            Request::MakeNode { parent, name, mode } => {
                let place = (parent, checked(name)?);
                self.made(tree.make(caller, place, InodeType::FILE, permission(mode), None, now()))
            }
            Request::MakeDirectory {
                parent,
                name,
                permission,
            } => {
                let place = (parent, checked(name)?);
                self.made(tree.make(caller, place, InodeType::DIRECTORY, permission, None, now()))
            }
            Request::Symlink { parent, name, target } => {
                let (place, mode) = ((parent, checked(name)?), Permission(0o777));
                self.made(tree.make(caller, place, InodeType::SYMLINK, mode, Some(target), now()))
            }
            Request::Create {
                parent,
                name,
                mode,
                flags,
            } => {
                let place = (parent, checked(name)?);
                let file = tree.make(caller, place, InodeType::FILE, permission(mode), None, now())?;
                let Reply::Opened(opened) = opened(flags) else {
                    unreachable!("that is what it makes");
                };
                Ok(Reply::Created(self.entry(Some(file)), opened))
            }
            Request::Link { inode, parent, name } => {
                self.made(tree.link(inode, parent, checked(name)?, now()))
            }
            Request::Unlink { parent, name } => {
                tree.remove(parent, &name, false, now()).map(|()| Reply::Done)
            }
            Request::RemoveDirectory { parent, name } => {
                tree.remove(parent, &name, true, now()).map(|()| Reply::Done)
            }
            Request::Rename {
                parent,
                name,
                to_parent,
                to_name,
                flags,
            } => {
                let to = (to_parent, checked(to_name)?);
                tree.rename((parent, name), to, flags, now())
                    .map(|()| Reply::Done)
            }
            other => unreachable!("{other:?} changes no name"),
        }
    }

    fn answer_lookup(&self, parent: InodeId, name: &Text) -> Result<Reply, Errno> {
        match self.write().lookup(parent, name) {
            Ok(attributes) => Ok(Reply::Entry(self.entry(Some(attributes)))),
            Err(Errno::ENOENT) => Ok(Reply::Entry(self.entry(None))),
            Err(errno) => Err(errno),
        }
    }

    fn answer_read(&self, inode: InodeId, offset: u64, into: Lease) -> Result<Reply, Errno> {
        let left = self.read().attributes(inode)?.size.saturating_sub(offset);
        let len = u32::try_from(left).map_or(into.len, |left| left.min(into.len));
        Ok(Reply::Data(Lease { len, ..into }))
    }

    fn answer_write(&self, inode: InodeId, offset: u64, data: Lease) -> Result<Reply, Errno> {
        let end = offset.checked_add(u64::from(data.len)).ok_or(Errno::EFBIG)?;
        if self.read().attributes(inode)?.size < end {
            self.write().grow(inode, end, now())?;
        }
        Ok(Reply::Written(data.len))
    }

    fn answer_open(&self, inode: InodeId, flags: u32) -> Result<Reply, Errno> {
        if flags & nix::libc::O_TRUNC.cast_unsigned() != 0 {
            let nothing = SetAttributes {
                size: Some(0),
                ..SetAttributes::default()
            };
            self.write().set(inode, &nothing, now())?;
        } else {
            self.read().attributes(inode)?;
        }
        Ok(opened(flags))
    }

    fn answer_fallocate(&self, inode: InodeId, offset: u64, length: u64, mode: u32) -> Result<Reply, Errno> {
        let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
        if mode == 0 {
            self.write().grow(inode, end, now())?;
        }
        Ok(Reply::Done)
    }

    fn answer_seek(&self, inode: InodeId, offset: u64, whence: Seek) -> Result<Reply, Errno> {
        let size = self.read().attributes(inode)?.size;
        match whence {
            _ if offset >= size => Err(Errno::ENXIO),
            Seek::Data => Ok(Reply::Offset(offset)),
            Seek::Hole => Ok(Reply::Offset(size)),
        }
    }

    /// As many names as fit.
    fn answer_directory(&self, inode: InodeId, cookie: u64, bytes: u32, plus: bool) -> Result<Reply, Errno> {
        let mut items = Vec::new();
        let mut left = u64::from(bytes);
        let fits = |item: DirectoryItem| {
            let fixed = if plus { ITEM_PLUS_BYTES } else { ITEM_BYTES };
            let needed = (fixed + item.name.len() as u64).next_multiple_of(8);
            let fits = needed <= left;
            if fits {
                left -= needed;
                items.push(item);
            }
            fits
        };
        if !plus {
            self.read().list(inode, cookie, fits)?;
            return Ok(Reply::Directory(items));
        }
        let mut tree = self.write();
        tree.list(inode, cookie, fits)?;
        for item in &mut items {
            let own = matches!(item.name.as_bytes(), b"." | b"..");
            let attributes = if own {
                tree.attributes(item.inode)?
            } else {
                tree.refer(item.inode)?
            };
            item.entry = Some(self.entry(Some(attributes)));
        }
        Ok(Reply::Directory(items))
    }
}

impl FileSystem for Stub {
    fn submit(&self, caller: Caller, request: Request, reply: ReplyTo) {
        reply.send(self.answer(caller, request), &*self.payload);
    }

    fn payload(&self) -> &Arc<dyn Payload> {
        &self.payload
    }
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

const fn permission(mode: u32) -> Permission {
    Permission(mode & 0o7777)
}

fn checked(name: Text) -> Result<Text, Errno> {
    if name.len() > NAME_BYTES {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(name)
}

fn opened(flags: u32) -> Reply {
    Reply::Opened(Opened {
        handle: HANDLE,
        direct_io: flags & nix::libc::O_DIRECT.cast_unsigned() != 0,
        keep_cache: false,
    })
}

/// All payload is the same bytes: each page counts through them, so that it is not all zeros.
struct OneBuffer(Box<[u8]>);

impl OneBuffer {
    const ID: LeaseId = LeaseId::new(1, 1);

    fn new() -> Self {
        let bytes = (0..REQUEST_BYTES_MAX).map(|at| at.to_le_bytes()[usize::from(at % 2 == 1)]);
        Self(bytes.collect())
    }

    fn lease(bytes: u32) -> Option<Lease> {
        (bytes <= REQUEST_BYTES_MAX).then_some(Lease {
            id: Self::ID,
            off: 0,
            len: bytes,
        })
    }
}

impl Payload for OneBuffer {
    fn take_read(&self, bytes: u32) -> Option<Lease> {
        Self::lease(bytes)
    }

    fn take_write(&self, bytes: u32) -> Option<(Lease, u32)> {
        Some((Self::lease(bytes)?, bytes))
    }

    fn copy_in(&self, lease: Lease, bytes: &[u8]) {
        assert_eq!(
            lease.len as usize,
            bytes.len(),
            "the adapter took as much as it got"
        );
    }

    fn with(&self, lease: Lease, use_bytes: &mut dyn FnMut(&[u8])) {
        let begin = lease.off as usize;
        use_bytes(&self.0[begin..begin + lease.len as usize]);
    }

    fn free(&self, lease: Lease) {
        assert_eq!(lease.id, Self::ID, "there is only one");
    }
}
