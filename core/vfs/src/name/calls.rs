//! Requests to metadata servers that several operations make.
//!
//! The client machine gives each request an id of its own and keeps it over retries, so each is carried out once.
//!
//! Source: `meta-client` of the protocol notes, section 4.

use crate::shard::Context;
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::InodeId;
use flyer_wire::msg::meta::attr::{BatchStatReq, StatReq};
use flyer_wire::msg::meta::call::PathAt;
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::namespace::{HardLinkReq, ListReq};

/// The object with a name in a directory, or at a path below it.
pub(super) const fn at(parent: InodeId, name: Text) -> PathAt {
    PathAt {
        parent,
        path: Some(name),
    }
}

/// An inode itself.
pub(super) const fn of(inode: InodeId) -> PathAt {
    PathAt {
        parent: inode,
        path: None,
    }
}

/// Asks for an inode; a symbolic link at the end is the answer and not followed.
pub(super) fn stat(cx: &mut Context<'_>, path: PathAt) {
    let base = cx.base();
    cx.meta(StatReq {
        base,
        path,
        flags: AtFlags::SYMLINK_NOFOLLOW,
    });
}

/// Asks for several inodes.
pub(super) fn stat_many(cx: &mut Context<'_>, inode_ids: Vec<InodeId>) {
    let base = cx.base();
    cx.meta(BatchStatReq { base, inode_ids });
}

/// Asks for the entries of a directory behind `prev`.
pub(super) fn list(cx: &mut Context<'_>, directory: InodeId, prev: Text, limit: i32) {
    let base = cx.base();
    cx.meta(ListReq {
        base,
        path: of(directory),
        prev,
        limit,
        status: false,
    });
}

/// Gives an inode another name.
pub(super) fn link(cx: &mut Context<'_>, inode: InodeId, parent: InodeId, name: Text) {
    let base = cx.base();
    cx.meta(HardLinkReq {
        base,
        old_path: of(inode),
        new_path: at(parent, name),
        flags: AtFlags::SYMLINK_NOFOLLOW,
    });
}
