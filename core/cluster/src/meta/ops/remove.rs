//! `remove`.
//!
//! Source: `src/meta/store/ops/Remove.cc` upstream; its defect 8 is not kept. The walk that looks for what must not be removed
//! also looks at files, for immutable ones.

use super::stat::{BASE, path_of};
use super::unlink::unlink;
use crate::meta::names::check_for_create;
use crate::meta::op::{Op, S_ISVTX, check_mode, directory, drop_subdirectory, not_owner};
use crate::meta::options::limits::ORIGINAL_PATH_BYTES_MAX;
use crate::meta::resolve::Found;
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::{StatusCode, Text};
use flyer_wire::codec::Void;
use flyer_wire::msg::common::UserInfo;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::inode::{Acl, DirEntryData, GcInfo, Inode, InodeType};
use flyer_wire::msg::meta::namespace::{RemoveReq, RemoveRsp};

/// Entries of a page of the walk.
const PAGE_ENTRIES: usize = 128;

/// What is to be removed, and from where.
struct Object {
    parent: Inode,
    name: Vec<u8>,
    entry: DirEntryData,
    inode: Inode,
}

/// `remove`.
pub(in crate::meta) fn remove<S: Store>(op: &mut Op<'_, S>, request: &RemoveReq) -> Res<RemoveRsp> {
    let object = find(op, request)?;
    if request
        .inode_id
        .is_some_and(|expected| expected != object.entry.id)
    {
        return fail(StatusCode::META_NOT_FOUND);
    }
    op.check_change(&object.parent)?;
    let is_directory = object.entry.kind == InodeType::DIRECTORY;
    let wants_directory = request.at_flags.contains(AtFlags::REMOVEDIR);
    if request.check_type && wants_directory && !is_directory {
        return fail(StatusCode::META_NOT_DIRECTORY);
    }
    if request.check_type && !wants_directory && is_directory {
        return fail(StatusCode::META_IS_DIRECTORY);
    }
    op.check_take(&object.parent, &object.inode)?;
    if is_directory {
        remove_directory(op, object, request.recursive)?;
    } else {
        op.tx.delete_entry(object.parent.id, &object.name);
        unlink(op, object.inode, None)?;
        op.touch(object.parent.id, |_| ())?;
    }
    Ok(RemoveRsp {
        base: BASE,
        dummy: Void,
    })
}

fn find<S: Store>(op: &Op<'_, S>, request: &RemoveReq) -> Res<Object> {
    if request.path.path.is_none() {
        return find_by_id(op, request.path.parent);
    }
    check_for_create(&request.path)?;
    let place = op.resolve(&request.path, false)?.at_most_one_missing()?;
    let Found::Entry(entry) = place.found else {
        return fail(StatusCode::META_NOT_FOUND);
    };
    let inode = op.tx.inode_of(&entry)?;
    Ok(Object {
        parent: place.parent,
        name: place.name,
        entry,
        inode,
    })
}

/// A directory by its inode.
fn find_by_id<S: Store>(op: &Op<'_, S>, id: InodeId) -> Res<Object> {
    let inode = op.tx.inode(id)?;
    if id.is_tree_root() {
        return not_owner("the root stays");
    }
    let (parent, name) = {
        let at = directory(&inode)?;
        (at.parent, at.name.as_bytes().to_vec())
    };
    let Some(entry) = op.tx.entry(parent, &name)?.filter(|entry| entry.id == id) else {
        return fail(StatusCode::META_NOT_FOUND);
    };
    let parent = op.tx.inode(parent)?;
    op.check(&parent.base.acl, Access::EXEC)?;
    Ok(Object {
        parent,
        name,
        entry,
        inode,
    })
}

fn remove_directory<S: Store>(op: &mut Op<'_, S>, object: Object, recursive: bool) -> Res<()> {
    let Object {
        parent, name, inode, ..
    } = object;
    if op.tx.is_empty(inode.id)? {
        op.tx.delete_entry(parent.id, &name);
        op.tx.delete_inode(inode.id);
        return op.touch(parent.id, drop_subdirectory);
    }
    if !recursive {
        return fail(StatusCode::META_NOT_EMPTY);
    }
    check_tree(op, &inode)?;
    let mut orig_path = path_of(op, inode.id)?;
    orig_path.truncate(ORIGINAL_PATH_BYTES_MAX);
    let info = GcInfo {
        user: op.user().uid,
        orig_path: Text::from(orig_path),
    };
    op.tx.delete_entry(parent.id, &name);
    unlink(op, inode, Some(info))?;
    op.touch(parent.id, drop_subdirectory)
}

/// Whether a user may remove a directory with all it holds.
fn check_recursive(acl: &Acl, user: &UserInfo, owner: bool) -> Res<()> {
    if acl.iflags.contains(IFlags::IMMUTABLE) {
        return not_owner("a directory is immutable");
    }
    let owner = owner || acl.perm.0 & S_ISVTX != 0;
    if !user.is_root() && owner && user.uid != acl.uid {
        return not_owner("a directory belongs to somebody else");
    }
    check_mode(acl, user, Access::all())
}

/// Looks for what must not be removed, as far as the options allow.
pub(in crate::meta) fn check_tree<S: Store>(op: &Op<'_, S>, top: &Inode) -> Res<()> {
    check_recursive(
        &top.base.acl,
        op.user(),
        op.core.options.recursive_remove_checks_owner,
    )?;
    let mut pages_left = op.core.options.recursive_remove_pages_max;
    let mut queue = VecDeque::from([top.id]);
    while let Some(id) = queue.pop_front() {
        let mut after = Vec::new();
        loop {
            if pages_left == 0 {
                return Ok(());
            }
            pages_left -= 1;
            let (page, more) = op.tx.entries(id, &after, PAGE_ENTRIES)?;
            for (name, entry) in page {
                check_in_tree(op, &entry)?;
                if entry.kind == InodeType::DIRECTORY {
                    queue.push_back(entry.id);
                }
                after = name;
            }
            if !more {
                break;
            }
        }
    }
    Ok(())
}

fn check_in_tree<S: Store>(op: &Op<'_, S>, entry: &DirEntryData) -> Res<()> {
    let inode = op.tx.inode_of(entry)?;
    if entry.kind == InodeType::DIRECTORY && !op.tx.is_empty(entry.id)? {
        return check_recursive(&inode.base.acl, op.user(), false);
    }
    if inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
        return not_owner("an object in the directory is immutable");
    }
    Ok(())
}
