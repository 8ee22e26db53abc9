//! What the kernel is answered, and what it is told unasked.

use alloc::vec::Vec;
use flyer_types::ids::{Gid, HandleId, InodeId, Permission, Uid};
use flyer_types::{Lease, Span, Text, WallTime};
use flyer_wire::msg::meta::inode::InodeType;

/// Attributes of an inode as `stat` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The inode.
    pub inode: InodeId,
    /// File, directory or symbolic link.
    pub kind: InodeType,
    /// Permission bits, 07777 at most.
    pub permission: Permission,
    /// Hard links.
    pub links: u32,
    /// Owner.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
    /// Length in bytes.
    pub size: u64,
    /// Units of 512 bytes taken.
    pub blocks: u64,
    /// Best size of I/O in bytes.
    pub block_bytes: u32,
    /// Time of the last access.
    pub atime: WallTime,
    /// Time of the last change of the content.
    pub mtime: WallTime,
    /// Time of the last change of anything.
    pub ctime: WallTime,
}

/// A name that was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The inode's attributes; `None` says that the name is not there. Some: the kernel holds one more reference to it.
    pub attributes: Option<Attributes>,
    /// How long the name may be cached.
    pub entry_timeout: Span,
    /// How long the attributes may be cached.
    pub attributes_timeout: Span,
}

/// How an opened file is to be treated by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Names the handle in later requests.
    pub handle: HandleId,
    /// Reads and writes pass by the page cache.
    pub direct_io: bool,
    /// Pages cached at an earlier open are still good.
    pub keep_cache: bool,
}

/// One entry of a directory. The kernel's format takes 24 bytes and the name, or 152 bytes and the name with attributes, both
/// rounded up to 8; a page never exceeds the bytes asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryItem {
    /// The name; `.` and `..` are entries like others.
    pub name: Text,
    /// The inode.
    pub inode: InodeId,
    /// Its type.
    pub kind: InodeType,
    /// Where to go on behind this entry. Never 0.
    pub cookie: u64,
    /// With attributes: the kernel holds one more reference, except to `.` and `..`.
    pub entry: Option<Entry>,
}

/// Space of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks in total.
    pub blocks: u64,
    /// Blocks free.
    pub blocks_free: u64,
    /// Longest name in bytes.
    pub name_bytes_max: u32,
}

/// The answer to one request; which requests get which is said at [`Request`](crate::request::Request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to say.
    Done,
    /// A name was found or made.
    Entry(Entry),
    /// Attributes, and how long they may be cached.
    Attributes(Attributes, Span),
    /// Target of a symbolic link.
    Target(Text),
    /// A file or directory was opened.
    Opened(Opened),
    /// A file was made and opened.
    Created(Entry, Opened),
    /// Bytes read: the front part of the lease of the request. The host frees the memory after the answer has left.
    Data(Lease),
    /// Bytes written or copied.
    Written(u32),
    /// An offset in a file.
    Offset(u64),
    /// Entries of a directory; none at its end.
    Directory(Vec<DirectoryItem>),
    /// Space.
    Space(Space),
    /// Bytes of an extended attribute or a list of names.
    Bytes(Text),
    /// Bytes that such an answer would have.
    Length(u32),
    /// Result and output of an ioctl.
    Ioctl(i32, Text),
}

/// Something the kernel has to forget. A host carries it out on a thread that the kernel does not wait for, and never while it
/// holds a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalidate {
    /// Attributes of an inode; with a range (`length` 0: to the end) its cached pages too.
    Inode {
        /// The inode.
        inode: InodeId,
        /// Offset and length of pages to drop.
        pages: Option<(u64, u64)>,
    },
    /// A name.
    Entry {
        /// The directory.
        parent: InodeId,
        /// The name.
        name: Text,
    },
}
