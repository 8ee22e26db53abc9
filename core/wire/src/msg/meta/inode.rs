//! Inodes, directory entries and layouts.
//!
//! Source: `src/fbs/meta/Schema.h` upstream.

use crate::msg::common::ClientId;
use crate::msg::meta::flags::{EmptyChains, FileFlags, IFlags, TIME_UNSET};
use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::ids::{ChainTableId, ChainTableVersion, Gid, InodeId, Permission, Uid, Uuid};
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

open_enums! {
    /// Kind of inode.
    pub InodeType(u8) {
        /// A regular file.
        FILE = 0, "File";
        /// A directory.
        DIRECTORY = 1, "Directory";
        /// A symbolic link.
        SYMLINK = 2, "Symlink";
    }

    /// How a chain range is ordered.
    pub Shuffle(u8) {
        /// In order.
        NO_SHUFFLE = 0, "NO_SHUFFLE";
        /// Shuffled with the 64-bit Mersenne Twister, whatever the name says.
        STD_SHUFFLE_MT19937 = 1, "STD_SHUFFLE_MT19937";
    }
}

/// Owner, group, mode bits and attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Acl")]
pub struct Acl {
    /// Owner.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
    /// Mode bits.
    pub perm: Permission,
    /// Attributes (`FS_*_FL`).
    pub iflags: IFlags,
}

/// `stripe_size` consecutive indexes from `base_index`, shuffled by `seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Layout::ChainRange")]
pub struct ChainRange {
    /// First index; indexes start at 1.
    pub base_index: u32,
    /// How the range is ordered.
    pub shuffle: Shuffle,
    /// Seed of the shuffle.
    pub seed: u64,
}

/// One index per stripe position.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Layout::ChainList")]
pub struct ChainList {
    /// Indexes into the chain table, starting at 1.
    pub chain_indexes: Vec<u32>,
}

/// How a layout names its chains.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub enum LayoutChains {
    /// None yet: the server picks them when a file is created. Directories only.
    #[wire(name = "Empty")]
    Empty(EmptyChains),
    /// Consecutive indexes, possibly shuffled.
    ChainRange(ChainRange),
    /// Any indexes.
    ChainList(ChainList),
}

/// Where the chunks of a file live.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Layout")]
pub struct Layout {
    /// The chain table.
    pub table_id: ChainTableId,
    /// Its version; 0 for the newest.
    pub table_version: ChainTableVersion,
    /// Bytes of a chunk; a power of two.
    pub chunk_size: u32,
    /// Number of chains.
    pub stripe_size: u32,
    /// Which chains of the table.
    pub chains: LayoutChains,
}

/// What is particular to a file.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::File")]
pub struct File {
    /// Last known length in bytes.
    pub length: u64,
    /// Grows with each truncation.
    pub truncate_ver: u64,
    /// Where its chunks are.
    pub layout: Layout,
    /// Properties of the file.
    pub flags: FileFlags,
    /// 0 for none, else how many chains of the layout may hold chunks so far.
    pub dyn_stripe: u32,
}

/// The client that alone may change a directory.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Directory::Lock")]
pub struct DirectoryLock {
    /// Holder of the lock.
    pub client: ClientId,
}

/// What is particular to a directory.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Directory")]
pub struct Directory {
    /// Its parent; roots are their own.
    pub parent: InodeId,
    /// Layout for new children.
    pub layout: Layout,
    /// Its own name; `/` for the roots.
    pub name: Text,
    /// Next chain for files of this directory; `u32::MAX` if the directory has no counter of its own.
    #[wire(default = u32::MAX)]
    pub chain_alloc_counter: u32,
    /// Who has locked it.
    pub lock: Option<DirectoryLock>,
}

/// What is particular to a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Symlink")]
pub struct Symlink {
    /// What it points to.
    pub target: Text,
}

/// What an inode is, and what is particular to that kind.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub enum InodeKind {
    /// A regular file.
    File(File),
    /// A directory.
    Directory(Directory),
    /// A symbolic link.
    Symlink(Symlink),
}

/// An inode without its id, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::InodeData")]
pub struct InodeData {
    /// Kind, and what is particular to it.
    #[wire(name = "type")]
    pub kind: InodeKind,
    /// Owner, mode and attributes.
    pub acl: Acl,
    /// Links; 0 waits for garbage collection. Upstream does not count subdirectories.
    #[wire(default = 1)]
    pub nlink: u16,
    /// Last access.
    #[wire(default = TIME_UNSET)]
    pub atime: WallTime,
    /// Last change of the inode.
    #[wire(default = TIME_UNSET)]
    pub ctime: WallTime,
    /// Last modification of the content.
    #[wire(default = TIME_UNSET)]
    pub mtime: WallTime,
}

/// An inode. `InodeData` is its base class.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::Inode")]
pub struct Inode {
    /// Fields of the base class.
    #[wire(base)]
    pub base: InodeData,
    /// The inode.
    pub id: InodeId,
}

/// Where a directory under garbage collection came from.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::GcInfo")]
pub struct GcInfo {
    /// Who removed it.
    pub user: Uid,
    /// The path it had.
    pub orig_path: Text,
}

/// A directory entry without its place, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::DirEntryData")]
pub struct DirEntryData {
    /// The inode it names.
    pub id: InodeId,
    /// Kind of the inode it names.
    #[wire(name = "type")]
    pub kind: InodeType,
    /// Copy of the directory's ACL; present exactly for directories.
    pub dir_acl: Option<Acl>,
    /// Request that made the entry; recognises its retries.
    pub uuid: Uuid,
    /// For directories under garbage collection.
    pub gc_info: Option<GcInfo>,
}

/// A directory entry. `DirEntryData` is its base class.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::DirEntry")]
pub struct DirEntry {
    /// Fields of the base class.
    #[wire(base)]
    pub base: DirEntryData,
    /// The directory.
    pub parent: InodeId,
    /// Its name.
    pub name: Text,
}
