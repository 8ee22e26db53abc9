//! New names: `mkdirs`, `symlink`, `hardLink`.
//!
//! A retry is recognised by the request's uuid in the entry that the first attempt made.
//!
//! Source: `src/meta/store/ops/{Mkdirs,Symlink,HardLink}.cc` upstream.

use super::stat::BASE;
use crate::meta::chains::{COUNTER_UNSET, check_layout};
use crate::meta::names::{Part, check_for_create, check_name, check_path};
use crate::meta::op::{Op, add_subdirectory, directory, forward, is_directory, not_owner};
use crate::meta::resolve::{Found, Place};
use crate::meta::tx::{Res, fail, type_of};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::ids::Permission;
use flyer_types::limits::{LINKS_MAX, SYMLINK_TARGET_BYTES_MAX};
use flyer_types::{StatusCode, Text};
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::{DirEntryData, Directory, Inode, InodeKind, Symlink};
use flyer_wire::msg::meta::namespace::{
    HardLinkReq, HardLinkRsp, MkdirsReq, MkdirsRsp, SymlinkReq, SymlinkRsp,
};

/// What is to be done where a new name should go.
pub(in crate::meta) enum Spot {
    /// This request has made it before.
    Done(Inode),
    /// Nothing is there.
    Free,
}

/// Looks at the place of a new name: `Meta::Exists` if somebody else's entry is there.
pub(in crate::meta) fn spot<S: Store>(op: &Op<'_, S>, place: &Place) -> Res<Spot> {
    match &place.found {
        Found::Missing(_) => Ok(Spot::Free),
        Found::Entry(entry) if op.is_own(entry) => Ok(Spot::Done(op.tx.inode_of(entry)?)),
        Found::Entry(_) | Found::Itself(_) => fail(StatusCode::META_EXISTS),
    }
}

/// Stores the entry of an inode made or linked by this request.
pub(in crate::meta) fn put_entry_of<S: Store>(
    op: &mut Op<'_, S>,
    parent: &Inode,
    name: &[u8],
    inode: &Inode,
) {
    let entry = DirEntryData {
        id: inode.id,
        kind: type_of(&inode.base),
        dir_acl: is_directory(inode).then_some(inode.base.acl),
        uuid: op.base.uuid,
        gc_info: None,
    };
    op.tx.put_entry(parent.id, name, &entry);
}

/// `mkdirs`.
pub(in crate::meta) fn mkdirs<S: Store>(op: &mut Op<'_, S>, request: &MkdirsReq) -> Res<MkdirsRsp> {
    check_path(&request.path)?;
    if request.path.path.as_ref().is_none_or(Text::is_empty) {
        return fail(StatusCode::INVALID_ARG);
    }
    if let Some(layout) = &request.layout {
        check_layout(layout)?;
    }
    let place = op.resolve(&request.path, false)?;
    if let Spot::Done(stat) = spot(op, &place)? {
        return Ok(MkdirsRsp { base: BASE, stat });
    }
    let Found::Missing(rest) = place.found else {
        return fail(StatusCode::META_FOUND_BUG);
    };
    if !rest.is_empty() && !request.recursive {
        return fail(StatusCode::META_NOT_FOUND);
    }
    let mut names = alloc::vec![place.name];
    for part in rest {
        match part {
            Part::Name(name) => names.push(name),
            Part::Root | Part::Here | Part::Up => return fail(StatusCode::INVALID_ARG),
        }
    }
    op.check_add(&place.parent)?;
    let stat = make_directories(op, &place.parent, &names, request)?;
    Ok(MkdirsRsp { base: BASE, stat })
}

/// Makes a directory for each name, each inside the one before, all alike.
fn make_directories<S: Store>(
    op: &mut Op<'_, S>,
    top: &Inode,
    names: &[Vec<u8>],
    request: &MkdirsReq,
) -> Res<Inode> {
    let acl = op.new_acl(top, request.perm, true);
    let layout = match &request.layout {
        Some(layout) => layout.clone(),
        None => directory(top)?.layout.clone(),
    };
    check_layout(&layout)?;
    op.touch(top.id, add_subdirectory)?;
    let mut parent = top.clone();
    for (at, name) in names.iter().enumerate() {
        check_name(name)?;
        let kind = InodeKind::Directory(Directory {
            parent: parent.id,
            layout: layout.clone(),
            name: Text::from(name.as_slice()),
            chain_alloc_counter: COUNTER_UNSET,
            lock: None,
        });
        let id = op.allocate_id()?;
        let mut inode = op.new_inode(id, kind, acl);
        inode.base.nlink = op.directory_links();
        if at + 1 < names.len() {
            // The next one is inside.
            add_subdirectory(&mut inode.base);
        }
        op.tx.put_inode(&inode);
        put_entry_of(op, &parent, name, &inode);
        parent = inode;
    }
    Ok(parent)
}

/// `symlink`.
pub(in crate::meta) fn symlink<S: Store>(op: &mut Op<'_, S>, request: &SymlinkReq) -> Res<SymlinkRsp> {
    check_for_create(&request.path)?;
    if request.target.len() > SYMLINK_TARGET_BYTES_MAX {
        return fail(StatusCode::META_NAME_TOO_LONG);
    }
    if request.target.as_bytes().contains(&0) {
        return fail(StatusCode::INVALID_ARG);
    }
    let place = op.resolve(&request.path, false)?.at_most_one_missing()?;
    if let Spot::Done(stat) = spot(op, &place)? {
        return Ok(SymlinkRsp { base: BASE, stat });
    }
    op.check_add(&place.parent)?;
    check_name(&place.name)?;
    let mut acl = op.new_acl(&place.parent, Permission(0o777), false);
    acl.gid = op.user().gid;
    let id = op.allocate_id()?;
    let stat = op.new_inode(
        id,
        InodeKind::Symlink(Symlink {
            target: request.target.clone(),
        }),
        acl,
    );
    op.tx.put_inode(&stat);
    put_entry_of(op, &place.parent, &place.name, &stat);
    op.touch(place.parent.id, |_| ())?;
    Ok(SymlinkRsp { base: BASE, stat })
}

/// `hardLink`.
pub(in crate::meta) fn hard_link<S: Store>(op: &mut Op<'_, S>, request: &HardLinkReq) -> Res<HardLinkRsp> {
    check_path(&request.old_path)?;
    check_for_create(&request.new_path)?;
    let place = op
        .resolve(&request.new_path, request.flags.follows_last())?
        .at_most_one_missing()?;
    if let Spot::Done(stat) = spot(op, &place)? {
        return Ok(HardLinkRsp { base: BASE, stat });
    }
    let mut inode = op.object_by_flags(&request.old_path, request.flags)?;
    if inode.base.nlink == 0 {
        return fail(StatusCode::META_NOT_FOUND);
    }
    op.check_add(&place.parent)?;
    if is_directory(&inode) {
        return fail(StatusCode::META_IS_DIRECTORY);
    }
    if inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
        return not_owner("the object is immutable");
    }
    if inode.base.nlink == LINKS_MAX {
        return not_owner("too many links");
    }
    check_name(&place.name)?;
    inode.base.nlink += 1;
    forward(&mut inode.base.ctime, op.now);
    op.tx.put_inode(&inode);
    put_entry_of(op, &place.parent, &place.name, &inode);
    op.touch(place.parent.id, |_| ())?;
    Ok(HardLinkRsp {
        base: BASE,
        stat: inode,
    })
}
