//! Taking links away, and where inodes wait that have none left.
//!
//! ```text
//!   linked(n) ──unlink──► linked(n - 1)      symlink, empty directory: gone at once
//!   linked(1) ──unlink──► removed: nlink 0, entry "<class>-<time>-<inode>" in the collector's directory ──► gone
//! ```
//!
//! Source: `src/meta/components/GcManager.cc` upstream.

use crate::meta::op::{Op, forward};
use crate::meta::tx::{Res, fail, type_of};
use crate::store::Store;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{StatusCode, WallTime};
use flyer_wire::msg::meta::inode::{DirEntryData, GcInfo, Inode, InodeKind};

/// Files with fewer chunks are small.
const SMALL_BELOW_CHUNKS: u64 = 32;
/// Files with that many chunks are large.
const LARGE_FROM_CHUNKS: u64 = 128;

/// What waits for collection, by how much work it is: the first letter of its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::meta) enum GcClass {
    /// A large file.
    Large,
    /// A directory.
    Directory,
    /// Any other file.
    File,
    /// A small file.
    Small,
}

impl GcClass {
    /// All, the most urgent first.
    pub(in crate::meta) const ALL: [Self; 4] = [Self::Large, Self::Directory, Self::File, Self::Small];

    /// First letter of its entries.
    pub(in crate::meta) const fn letter(self) -> char {
        match self {
            Self::Large => 'L',
            Self::Directory => 'd',
            Self::File => 'f',
            Self::Small => 'S',
        }
    }

    /// The class of an inode.
    pub(in crate::meta) fn of(inode: &Inode) -> Self {
        let InodeKind::File(file) = &inode.base.kind else {
            return Self::Directory;
        };
        match file
            .length
            .checked_div(u64::from(file.layout.chunk_size))
            .unwrap_or(0)
        {
            chunks if chunks < SMALL_BELOW_CHUNKS => Self::Small,
            chunks if chunks >= LARGE_FROM_CHUNKS => Self::Large,
            _ => Self::File,
        }
    }
}

/// Name of the entry of something that waits for collection since `since`.
pub(in crate::meta) fn gc_name(class: GcClass, since: WallTime, inode: InodeId) -> Vec<u8> {
    format!("{}-{:020}-{inode}", class.letter(), since.us.max(0)).into_bytes()
}

/// The time in the name of such an entry.
pub(in crate::meta) fn gc_since(name: &[u8]) -> Option<WallTime> {
    let digits = core::str::from_utf8(name.get(2..22)?).ok()?;
    digits.parse().ok().map(WallTime::from_us)
}

/// Takes away one link of an inode whose entry the caller deletes. A directory loses all its links; what it holds goes with
/// it.
pub(in crate::meta) fn unlink<S: Store>(
    op: &mut Op<'_, S>,
    mut inode: Inode,
    info: Option<GcInfo>,
) -> Res<()> {
    if inode.base.nlink == 0 || inode.id.is_tree_root() {
        return fail(StatusCode::META_INCONSISTENT);
    }
    let is_directory = matches!(inode.base.kind, InodeKind::Directory(_));
    inode.base.nlink = if is_directory { 0 } else { inode.base.nlink - 1 };
    forward(&mut inode.base.ctime, op.now);
    if inode.base.nlink > 0 {
        op.tx.put_inode(&inode);
        return Ok(());
    }
    if matches!(inode.base.kind, InodeKind::Symlink(_)) {
        op.tx.delete_inode(inode.id);
        return Ok(());
    }
    let entry = DirEntryData {
        id: inode.id,
        kind: type_of(&inode.base),
        dir_acl: is_directory.then_some(inode.base.acl),
        uuid: Uuid::ZERO,
        gc_info: info,
    };
    let name = gc_name(GcClass::of(&inode), op.clock, inode.id);
    op.tx.put_entry(op.core.gc_directory, &name, &entry);
    op.tx.put_inode(&inode);
    let delay = op.core.options.gc.delay(is_directory);
    op.core.gc_added = Some(op.core.gc_added.map_or(delay, |before| before.min(delay)));
    Ok(())
}
