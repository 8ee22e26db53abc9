//! What the kernel asks a mount, in our own terms.
//!
//! Numbers of inodes are those of 3FS: whoever speaks to the kernel maps its root (1) to [`InodeId::ROOT`] and back. Flag words
//! and mode bits are Linux's (`asm-generic/fcntl.h`, `linux/stat.h`).
//!
//! Source: `fuse-semantics` of the protocol notes; `linux/fuse.h`.

use flyer_types::ids::{Gid, HandleId, InodeId, Permission, Uid};
use flyer_types::{Lease, Text, WallTime};

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Effective user.
    pub uid: Uid,
    /// Effective group. Supplementary groups do not reach us; the kernel checks permissions itself.
    pub gid: Gid,
    /// Process; 0 if it lives in another namespace of processes.
    pub pid: u32,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The time at which the request is carried out.
    Now,
    /// That time.
    To(WallTime),
}

/// Attributes to change; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits, 07777 at most.
    pub permission: Option<Permission>,
    /// Owner.
    pub uid: Option<Uid>,
    /// Group.
    pub gid: Option<Gid>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// Time of the last access.
    pub atime: Option<SetTime>,
    /// Time of the last change of the content.
    pub mtime: Option<SetTime>,
    /// The handle through which the length is changed (`ftruncate`).
    pub handle: Option<HandleId>,
}

/// What `lseek` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// `SEEK_DATA`.
    Data,
    /// `SEEK_HOLE`.
    Hole,
}

/// One request. Every request is answered once, [`Request::Forget`] with [`Reply::Done`](crate::reply::Reply::Done), which
/// the kernel does not hear.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are what their names and types say; the rest is said at the variant"
)]
pub enum Request {
    /// Finds a name. Answer: entry; a name that is not there is an entry without an inode if absence may be cached.
    Lookup { parent: InodeId, name: Text },
    /// Gives back `count` references taken by entries.
    Forget { inode: InodeId, count: u64 },
    /// Answer: attributes.
    GetAttributes {
        inode: InodeId,
        handle: Option<HandleId>,
    },
    /// Answer: attributes.
    SetAttributes { inode: InodeId, set: SetAttributes },
    /// Answer: target.
    ReadLink { inode: InodeId },
    /// Makes a file without opening it. `mode` with its type bits. Answer: entry.
    MakeNode { parent: InodeId, name: Text, mode: u32 },
    /// Answer: entry.
    MakeDirectory {
        parent: InodeId,
        name: Text,
        permission: Permission,
    },
    /// Answer: done.
    Unlink { parent: InodeId, name: Text },
    /// Answer: done.
    RemoveDirectory { parent: InodeId, name: Text },
    /// Answer: entry.
    Symlink {
        parent: InodeId,
        name: Text,
        target: Text,
    },
    /// `flags` are those of `renameat2`. Answer: done.
    Rename {
        parent: InodeId,
        name: Text,
        to_parent: InodeId,
        to_name: Text,
        flags: u32,
    },
    /// Gives an inode another name. Answer: entry.
    Link {
        inode: InodeId,
        parent: InodeId,
        name: Text,
    },
    /// Answer: opened.
    Open { inode: InodeId, flags: u32 },
    /// Makes a file and opens it. `mode` with its type bits. Answer: created.
    Create {
        parent: InodeId,
        name: Text,
        mode: u32,
        flags: u32,
    },
    /// `into` has room for all bytes wanted; the answer is the front part of it that holds data.
    Read {
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        into: Lease,
    },
    /// The request owns `data`: it is freed by an effect when no longer needed. `room` is the number of bytes that the memory has
    /// from the beginning of the lease, so that small writes can be gathered in it. Answer: written.
    Write {
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        data: Lease,
        room: u32,
    },
    /// One of possibly several descriptors of the handle is closed. Answer: done.
    Flush { inode: InodeId, handle: HandleId },
    /// The last descriptor is closed. Answer: done.
    Release { inode: InodeId, handle: HandleId },
    /// Answer: done, when content (and unless `data_only` everything else) survives a loss of power.
    Fsync {
        inode: InodeId,
        handle: HandleId,
        data_only: bool,
    },
    /// `mode` as in `fallocate(2)`. Answer: done.
    Fallocate {
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        length: u64,
        mode: u32,
    },
    /// Answer: offset.
    Seek {
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        whence: Seek,
    },
    /// Copies bytes between files. Answer: written.
    CopyRange {
        inode: InodeId,
        handle: HandleId,
        offset: u64,
        to_inode: InodeId,
        to_handle: HandleId,
        to_offset: u64,
        length: u64,
    },
    /// Answer: opened.
    OpenDirectory { inode: InodeId, flags: u32 },
    /// Entries behind `cookie` (0 for the beginning) that fit in `bytes` of the kernel's format; with `plus` each with its
    /// attributes and a reference. Answer: directory.
    ReadDirectory {
        inode: InodeId,
        handle: HandleId,
        cookie: u64,
        bytes: u32,
        plus: bool,
    },
    /// Answer: done.
    ReleaseDirectory { inode: InodeId, handle: HandleId },
    /// Answer: done, when the names in the directory survive a loss of power.
    FsyncDirectory { inode: InodeId, handle: HandleId },
    /// Answer: space.
    StatFs { inode: InodeId },
    /// `flags` as in `setxattr(2)`. Answer: done.
    SetXattr {
        inode: InodeId,
        name: Text,
        value: Text,
        flags: u32,
    },
    /// `bytes` is the room for the value; 0 asks for its length. Answer: bytes or length.
    GetXattr { inode: InodeId, name: Text, bytes: u32 },
    /// `bytes` as in [`Request::GetXattr`]. Answer: bytes (names, each with a zero behind it) or length.
    ListXattr { inode: InodeId, bytes: u32 },
    /// Answer: done.
    RemoveXattr { inode: InodeId, name: Text },
    /// `mask` of `access(2)`; asked only without `default_permissions`. Answer: done.
    Access { inode: InodeId, mask: u32 },
    /// `input` has the length coded in `command`, `output_bytes` likewise. Answer: ioctl.
    Ioctl {
        inode: InodeId,
        handle: HandleId,
        command: u32,
        input: Text,
        output_bytes: u32,
    },
}

impl Request {
    /// The inode whose shard carries the request out.
    #[must_use]
    pub const fn inode(&self) -> InodeId {
        match self {
            Self::Lookup { parent, .. }
            | Self::MakeNode { parent, .. }
            | Self::MakeDirectory { parent, .. }
            | Self::Unlink { parent, .. }
            | Self::RemoveDirectory { parent, .. }
            | Self::Symlink { parent, .. }
            | Self::Rename { parent, .. }
            | Self::Create { parent, .. } => *parent,
            Self::Forget { inode, .. }
            | Self::GetAttributes { inode, .. }
            | Self::SetAttributes { inode, .. }
            | Self::ReadLink { inode }
            | Self::Link { inode, .. }
            | Self::Open { inode, .. }
            | Self::Read { inode, .. }
            | Self::Write { inode, .. }
            | Self::Flush { inode, .. }
            | Self::Release { inode, .. }
            | Self::Fsync { inode, .. }
            | Self::Fallocate { inode, .. }
            | Self::Seek { inode, .. }
            | Self::CopyRange { inode, .. }
            | Self::OpenDirectory { inode, .. }
            | Self::ReadDirectory { inode, .. }
            | Self::ReleaseDirectory { inode, .. }
            | Self::FsyncDirectory { inode, .. }
            | Self::StatFs { inode }
            | Self::SetXattr { inode, .. }
            | Self::GetXattr { inode, .. }
            | Self::ListXattr { inode, .. }
            | Self::RemoveXattr { inode, .. }
            | Self::Access { inode, .. }
            | Self::Ioctl { inode, .. } => *inode,
        }
    }
}
