//! `rename`, also into the trash.
//!
//! A retry is recognised by the request's uuid in the entry at the destination.
//!
//! Source: `src/meta/store/ops/Rename.cc` upstream; its defect 7 is not kept.

use super::remove::check_tree;
use super::stat::BASE;
use super::unlink::unlink;
use crate::meta::names::{check_for_create, check_name};
use crate::meta::op::{Op, add_subdirectory, directory, drop_subdirectory, forward, is_directory, not_owner};
use crate::meta::options::limits::CLIMB_DIRECTORIES_MAX;
use crate::meta::resolve::{Found, Place};
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use flyer_types::ids::InodeId;
use flyer_types::{StatusCode, Text};
use flyer_wire::codec::Void;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::inode::{DirEntryData, Inode, InodeData, InodeKind, InodeType};
use flyer_wire::msg::meta::namespace::{RenameReq, RenameRsp};

/// Name of the trash, which lies in the root.
const TRASH: &[u8] = b"trash";

/// Both ends of a rename.
struct Ends {
    from: Place,
    to: Place,
    entry: DirEntryData,
    inode: Inode,
    /// What is replaced.
    old: Option<Inode>,
}

/// `rename`.
pub(in crate::meta) fn rename<S: Store>(op: &mut Op<'_, S>, request: &RenameReq) -> Res<RenameRsp> {
    check_for_create(&request.src)?;
    check_for_create(&request.dest)?;
    // The destination first: the way to the source may lead through what a first attempt has moved.
    let to = op
        .resolve(&request.dest, false)
        .and_then(Place::at_most_one_missing);
    if let Ok(Place {
        found: Found::Entry(entry),
        ..
    }) = &to
        && op.is_own(entry)
    {
        return answer(op.tx.inode_of(entry)?);
    }
    let from = op.resolve(&request.src, false)?.at_most_one_missing()?;
    let to = to?;
    let old = match &to.found {
        Found::Entry(entry) => Some(op.tx.inode_of(entry)?),
        Found::Missing(_) | Found::Itself(_) => None,
    };
    let Found::Entry(entry) = from.found.clone() else {
        return fail(StatusCode::META_NOT_FOUND);
    };
    if request.inode_id.is_some_and(|expected| expected != entry.id) {
        return fail(StatusCode::META_NOT_FOUND);
    }
    let inode = op.tx.inode_of(&entry)?;
    // The same name, or two names of one inode: POSIX says that nothing happens.
    if old.as_ref().is_some_and(|old| old.id == inode.id) {
        return answer(inode);
    }
    let ends = Ends {
        from,
        to,
        entry,
        inode,
        old,
    };
    check_kinds(op, &ends, request.move_to_trash)?;
    if is_directory(&ends.inode) {
        check_ancestors(op, &ends, request.move_to_trash)?;
    }
    check_permissions(op, &ends)?;
    answer(apply(op, ends)?)
}

fn answer(inode: Inode) -> Res<RenameRsp> {
    Ok(RenameRsp {
        base: BASE,
        dummy: Void,
        stat: Some(inode),
    })
}

/// Whether what is at the destination can be replaced.
fn check_kinds<S: Store>(op: &Op<'_, S>, ends: &Ends, move_to_trash: bool) -> Res<()> {
    let Some(old) = &ends.old else {
        return Ok(());
    };
    if move_to_trash && matches!(old.base.kind, InodeKind::File(_)) {
        return fail(StatusCode::META_EXISTS);
    }
    match (is_directory(&ends.inode), is_directory(old)) {
        (true, false) => fail(StatusCode::META_NOT_DIRECTORY),
        (false, true) => fail(StatusCode::META_IS_DIRECTORY),
        (true, true) if !op.tx.is_empty(old.id)? => fail(StatusCode::META_NOT_EMPTY),
        (true, true) | (false, false) => Ok(()),
    }
}

/// Walks from the destination to its root: a directory cannot be moved into itself, nor where nothing is any more. Then the
/// rules of the trash.
fn check_ancestors<S: Store>(op: &Op<'_, S>, ends: &Ends, move_to_trash: bool) -> Res<()> {
    let to_trash = is_below_trash(op, &ends.to.parent, Some(ends.inode.id))?;
    if !to_trash {
        return Ok(());
    }
    if move_to_trash || op.core.options.allow_move_to_trash_directly {
        return check_tree(op, &ends.inode);
    }
    if op.user().is_root() || is_below_trash(op, &ends.from.parent, None)? {
        return Ok(());
    }
    not_owner("directories are moved to the trash by their own request")
}

/// Whether a directory is the trash or below it. Meeting `moved` on the way is `InvalidArg`.
fn is_below_trash<S: Store>(op: &Op<'_, S>, start: &Inode, moved: Option<InodeId>) -> Res<bool> {
    let mut at = start.clone();
    let mut in_trash = false;
    for _ in 0..CLIMB_DIRECTORIES_MAX {
        if moved == Some(at.id) {
            return fail(StatusCode::INVALID_ARG);
        }
        if moved.is_some() && at.base.nlink == 0 {
            return fail(StatusCode::META_NOT_FOUND);
        }
        match at.id {
            InodeId::ROOT => return Ok(in_trash),
            InodeId::GC_ROOT if moved.is_some() => return not_owner("the collector's tree is closed"),
            InodeId::GC_ROOT => return Ok(false),
            _ => {}
        }
        let place = directory(&at)?;
        in_trash = place.parent == InodeId::ROOT && place.name.as_bytes() == TRASH;
        at = op.tx.inode(place.parent)?;
    }
    fail(StatusCode::META_INCONSISTENT)
}

fn check_permissions<S: Store>(op: &Op<'_, S>, ends: &Ends) -> Res<()> {
    op.check_change(&ends.from.parent)?;
    op.check_take(&ends.from.parent, &ends.inode)?;
    op.check_add(&ends.to.parent)?;
    if let Some(old) = &ends.old {
        op.check_take(&ends.to.parent, old)?;
    }
    // Its `..` changes.
    let moves = is_directory(&ends.inode) && ends.from.parent.id != ends.to.parent.id;
    if moves && !op.core.options.quirks.move_ignores_directory_mode {
        op.check(&ends.inode.base.acl, Access::WRITE)?;
    }
    check_name(&ends.to.name)
}

fn apply<S: Store>(op: &mut Op<'_, S>, ends: Ends) -> Res<Inode> {
    let Ends {
        from,
        to,
        entry,
        mut inode,
        old,
    } = ends;
    let moves_directory = entry.kind == InodeType::DIRECTORY;
    op.tx.delete_entry(from.parent.id, &from.name);
    let replaces_directory = old.as_ref().is_some_and(is_directory);
    match old {
        Some(old) if replaces_directory => op.tx.delete_inode(old.id),
        Some(old) => unlink(op, old, None)?,
        None => {}
    }
    op.tx.put_entry(
        to.parent.id,
        &to.name,
        &DirEntryData {
            uuid: op.base.uuid,
            ..entry
        },
    );
    if let InodeKind::Directory(directory) = &mut inode.base.kind {
        directory.parent = to.parent.id;
        directory.name = Text::from(to.name.as_slice());
    }
    if !op.core.options.quirks.ctime_ignores_utimes_and_rename {
        forward(&mut inode.base.ctime, op.now);
    }
    op.tx.put_inode(&inode);
    op.touch(from.parent.id, links(moves_directory, drop_subdirectory))?;
    op.touch(
        to.parent.id,
        links(moves_directory && !replaces_directory, add_subdirectory),
    )?;
    Ok(inode)
}

/// The change of a link count, if there is one.
fn links(changes: bool, change: fn(&mut InodeData)) -> fn(&mut InodeData) {
    if changes { change } else { |_| () }
}
