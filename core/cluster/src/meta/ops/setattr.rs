//! `setAttr`: owner, mode, times, attributes, layout, stripe.
//!
//! All parts of a request are checked before one is applied.
//!
//! Source: `src/meta/store/ops/SetAttr.{h,cc}` upstream; its defects 10 and 12 are not kept.

use super::stat::BASE;
use crate::meta::chains::check_layout;
use crate::meta::names::check_path;
use crate::meta::op::{MODE_BITS, Op, S_ISGID, S_ISUID, directory, forward, is_directory, not_owner};
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use flyer_types::ids::Permission;
use flyer_types::{StatusCode, WallTime};
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::attr::{SetAttrReq, SetAttrRsp};
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::inode::{Acl, Inode, InodeKind};

/// Run by group, in the mode.
const S_IXGRP: u32 = 0o010;

/// `setAttr`.
pub(in crate::meta) fn set_attr<S: Store>(op: &mut Op<'_, S>, request: &SetAttrReq) -> Res<SetAttrRsp> {
    check_path(&request.path)?;
    if let Some(layout) = &request.layout {
        check_layout(layout)?;
    }
    if request.iflags.is_some_and(|flags| !flags.is_supported()) {
        return fail(StatusCode::INVALID_ARG);
    }
    let before = op.object_by_flags(&request.path, request.flags | AtFlags::SYMLINK_FOLLOW)?;
    check(op, &before, request)?;
    let mut inode = before.clone();
    apply(op, &mut inode, request)?;
    if inode != before {
        op.tx.put_inode(&inode);
    }
    if is_directory(&inode)
        && inode.base.acl != before.base.acl
        && !inode.id.is_tree_root()
        && inode.base.nlink != 0
    {
        copy_acl(op, &inode)?;
    }
    Ok(SetAttrRsp {
        base: BASE,
        stat: inode,
    })
}

/// The entry of a directory has a copy of its ACL.
fn copy_acl<S: Store>(op: &mut Op<'_, S>, inode: &Inode) -> Res<()> {
    let place = directory(inode)?;
    let (parent, name) = (place.parent, place.name.as_bytes().to_vec());
    let Some(mut entry) = op.tx.entry(parent, &name)?.filter(|entry| entry.id == inode.id) else {
        return fail(StatusCode::META_NOT_FOUND);
    };
    entry.dir_acl = Some(inode.base.acl);
    op.tx.put_entry(parent, &name, &entry);
    Ok(())
}

fn check<S: Store>(op: &Op<'_, S>, inode: &Inode, request: &SetAttrReq) -> Res<()> {
    let acl = &inode.base.acl;
    let user = op.user();
    let is_owner = user.is_root() || user.uid == acl.uid;
    let changes_acl = request.uid.is_some() || request.gid.is_some() || request.perm.is_some();
    let sets_time = request.atime.is_some() || request.mtime.is_some();
    if inode.id.is_tree_root() {
        let is_fixed =
            op.core.options.quirks.root_acl_is_fixed || inode.id != flyer_types::ids::InodeId::ROOT;
        if is_fixed && changes_acl {
            return not_owner("owner and mode of the root are fixed");
        }
    } else if acl.iflags.contains(IFlags::IMMUTABLE) && (changes_acl || sets_time || request.layout.is_some())
    {
        return not_owner("the object is immutable");
    }
    if request.perm.is_some() && !is_owner {
        return not_owner("only the owner changes the mode");
    }
    if let Some(uid) = request.uid
        && !(user.is_root() || is_owner && uid == acl.uid)
    {
        return not_owner("only the superuser changes the owner");
    }
    if let Some(gid) = request.gid
        && !(user.is_root() || is_owner && (user.is_in_group(gid) || gid == acl.gid))
    {
        return not_owner("only members give files to a group");
    }
    let explicit = |time: Option<WallTime>| time.is_some_and(|time| time != WallTime::SERVER_NOW);
    if (explicit(request.atime) || explicit(request.mtime)) && !is_owner {
        return not_owner("only the owner sets times");
    }
    if sets_time && !is_owner {
        op.check(acl, Access::WRITE)?;
    }
    check_iflags(op, inode, request)?;
    if request.layout.is_some() {
        directory(inode)?;
        op.check(acl, Access::WRITE)?;
    }
    if request.dyn_stripe != 0 && !matches!(inode.base.kind, InodeKind::File(_)) {
        return fail(StatusCode::META_NOT_FILE);
    }
    Ok(())
}

fn check_iflags<S: Store>(op: &Op<'_, S>, inode: &Inode, request: &SetAttrReq) -> Res<()> {
    let Some(flags) = request.iflags else {
        return Ok(());
    };
    let options = &op.core.options;
    let acl = &inode.base.acl;
    let changed = flags ^ acl.iflags;
    let mut of_owner = IFlags::HUGE_FILE;
    of_owner.set(IFlags::IMMUTABLE, options.owner_changes_immutable);
    let by_owner = op.user().uid == acl.uid && of_owner.contains(changed);
    if !changed.is_empty() && !op.user().is_root() && !by_owner {
        return not_owner("only the superuser changes attributes");
    }
    let added = flags & changed;
    let refused = added.contains(IFlags::CHAIN_ALLOCATION) && !options.allow_chain_allocation_flag
        || added.contains(IFlags::NEW_CHUNK_ENGINE) && !options.allow_chunk_engine_flag;
    if refused {
        return not_owner("this attribute is switched off");
    }
    Ok(())
}

fn apply<S: Store>(op: &Op<'_, S>, inode: &mut Inode, request: &SetAttrReq) -> Res<()> {
    let before = inode.clone();
    apply_acl(op, inode, request);
    if let (Some(layout), InodeKind::Directory(directory)) = (&request.layout, &mut inode.base.kind) {
        directory.layout = layout.clone();
    }
    let is_file = matches!(inode.base.kind, InodeKind::File(_));
    let base = &mut inode.base;
    let quirks = &op.core.options.quirks;
    let asks = request.uid.is_some() || request.gid.is_some() || request.perm.is_some();
    let sets_time = request.atime.is_some() || request.mtime.is_some();
    // POSIX marks the ctime even if the new value is the old one.
    let posix = !quirks.ctime_ignores_utimes_and_rename && (asks || sets_time);
    if base.acl != before.base.acl || base.kind != before.base.kind || posix {
        forward(&mut base.ctime, op.now);
    }
    let time = |time: WallTime| {
        if time == WallTime::SERVER_NOW {
            op.now
        } else {
            op.core.options.rounded(time)
        }
    };
    if let Some(atime) = request.atime {
        base.atime = time(atime);
    }
    if let Some(mtime) = request.mtime {
        base.mtime = time(mtime);
    }
    if let (true, InodeKind::File(file)) = (is_file, &mut base.kind) {
        let growth = op.core.options.dynamic_stripe_growth.max(2);
        let wanted = request.dyn_stripe.min(file.layout.stripe_size);
        while file.dyn_stripe != 0 && file.dyn_stripe < wanted {
            file.dyn_stripe = file
                .dyn_stripe
                .saturating_mul(growth)
                .min(file.layout.stripe_size);
        }
    }
    Ok(())
}

fn apply_acl<S: Store>(op: &Op<'_, S>, inode: &mut Inode, request: &SetAttrReq) {
    let is_file = matches!(inode.base.kind, InodeKind::File(_));
    let acl: &mut Acl = &mut inode.base.acl;
    acl.iflags = request.iflags.unwrap_or(acl.iflags);
    acl.uid = request.uid.unwrap_or(acl.uid);
    acl.gid = request.gid.unwrap_or(acl.gid);
    let posix = !op.core.options.quirks.owner_change_keeps_set_id;
    if posix && is_file && (request.uid.is_some() || request.gid.is_some()) {
        let group_runs = acl.perm.0 & S_IXGRP != 0;
        let cleared = if group_runs { S_ISUID | S_ISGID } else { S_ISUID };
        acl.perm = Permission(acl.perm.0 & !cleared);
    }
    if let Some(perm) = request.perm {
        acl.perm = Permission(perm.0 & MODE_BITS);
        if posix && !op.user().is_root() && !op.user().is_in_group(acl.gid) {
            acl.perm = Permission(acl.perm.0 & !S_ISGID);
        }
    }
}
