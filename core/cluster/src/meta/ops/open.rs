//! `open` and `create`.
//!
//! ```text
//!   path ──► exists ──► checks ──► session stored ──► needTruncate = O_TRUNC
//!        └─► missing (create) ──► chains, inode, entry, session
//! ```
//!
//! The server never cuts a file: it answers that the client has to.
//!
//! Source: `src/meta/store/ops/{Open,BatchOperation}.cc` upstream; of its defects 2, 3, 5 and 16 none is kept. Upstream may put
//! a new inode in the place of a large file that is opened with `O_TRUNC`; that changes the inode number under an open
//! file's readers and is left out.

use super::make::put_entry_of;
use super::stat::BASE;
use crate::meta::chains::{check_chains, check_layout};
use crate::meta::names::{check_for_create, check_name, check_path, split};
use crate::meta::op::{Op, S_ISGID, S_ISUID, S_ISVTX, check_session, directory, forward, not_owner};
use crate::meta::resolve::{Found, Place};
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use flyer_types::StatusCode;
use flyer_types::ids::Permission;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::call::SessionInfo;
use flyer_wire::msg::meta::file::{OpenReq, OpenRsp};
use flyer_wire::msg::meta::flags::{FileFlags, IFlags, OpenFlags};
use flyer_wire::msg::meta::inode::{File, Inode, InodeKind, InodeType, Layout, LayoutChains};
use flyer_wire::msg::meta::namespace::{CreateReq, CreateRsp};

/// What `open` and `create` of an existing file have in common.
struct Opening<'a> {
    flags: OpenFlags,
    session: Option<&'a SessionInfo>,
    dyn_stripe: bool,
}

/// `open`.
pub(in crate::meta) fn open<S: Store>(op: &mut Op<'_, S>, request: &OpenReq) -> Res<OpenRsp> {
    let opening = Opening {
        flags: request.flags,
        session: request.session.as_ref(),
        dyn_stripe: request.dyn_stripe,
    };
    check_path(&request.path)?;
    opening.check(request.remove_chunks_batch_size)?;
    if !opening.flags.writes() && opening.flags.intersects(OpenFlags::TRUNC | OpenFlags::APPEND) {
        return fail(StatusCode::INVALID_ARG);
    }
    let inode = op.object(&request.path, true)?;
    if inode.base.nlink == 0 {
        return fail(StatusCode::META_NOT_FOUND);
    }
    if opening.flags.contains(OpenFlags::EXCL) {
        return fail(StatusCode::META_EXISTS);
    }
    let need_truncate = opening.flags.contains(OpenFlags::TRUNC);
    let stat = match inode.base.kind {
        InodeKind::Directory(_) => open_directory(op, inode, opening.flags)?,
        InodeKind::File(_) if opening.flags.contains(OpenFlags::DIRECTORY) => {
            return fail(StatusCode::META_NOT_DIRECTORY);
        }
        InodeKind::File(_) => open_file(op, inode, &opening)?,
        InodeKind::Symlink(_) => return fail(StatusCode::META_NOT_FILE),
    };
    Ok(OpenRsp {
        base: BASE,
        unused: 0,
        stat,
        need_truncate,
    })
}

/// `create`.
pub(in crate::meta) fn create<S: Store>(op: &mut Op<'_, S>, request: &CreateReq) -> Res<CreateRsp> {
    let opening = Opening {
        flags: request.flags,
        session: request.session.as_ref(),
        dyn_stripe: request.dyn_stripe,
    };
    check_for_create(&request.path)?;
    opening.check(request.remove_chunks_batch_size)?;
    if let Some(layout) = &request.layout {
        check_layout(layout)?;
    }
    let truncates = opening.flags.contains(OpenFlags::TRUNC);
    // A link at the end is not followed by `O_EXCL`. A single name is what a mount asks for after it looked the name up: a
    // link there appeared since, and the kernel has to look again.
    let components = request
        .path
        .path
        .as_ref()
        .map_or(0, |path| split(path.as_bytes()).len());
    let follow = components > 1 && !opening.flags.contains(OpenFlags::EXCL);
    let place = op.resolve(&request.path, follow)?.at_most_one_missing()?;
    let entry = match &place.found {
        Found::Missing(_) => {
            let stat = create_file(op, &place, request)?;
            return Ok(CreateRsp {
                base: BASE,
                stat,
                need_truncate: false,
            });
        }
        Found::Itself(_) => return fail(StatusCode::META_IS_DIRECTORY),
        Found::Entry(entry) => entry,
    };
    if op.is_own(entry) {
        let stat = op.tx.inode_of(entry)?;
        let session = opening.session.filter(|_| opening.flags.writes());
        if let Some(session) = session {
            op.put_session(stat.id, session);
        }
        return Ok(CreateRsp {
            base: BASE,
            stat,
            need_truncate: truncates && session.is_some(),
        });
    }
    match entry.kind {
        _ if opening.flags.contains(OpenFlags::EXCL) => fail(StatusCode::META_EXISTS),
        InodeType::DIRECTORY => fail(StatusCode::META_IS_DIRECTORY),
        InodeType::SYMLINK => fail(StatusCode::META_BUSY),
        _ => {
            let inode = op.tx.inode_of(entry)?;
            let stat = open_file(op, inode, &opening)?;
            Ok(CreateRsp {
                base: BASE,
                stat,
                need_truncate: truncates,
            })
        }
    }
}

impl Opening<'_> {
    /// Checks what both requests must keep to.
    fn check(&self, remove_chunks_batch_size: u32) -> Res<()> {
        let truncates = self.flags.contains(OpenFlags::TRUNC);
        if self.flags.contains(OpenFlags::DIRECTORY) && (self.flags.writes() || truncates) {
            return fail(StatusCode::INVALID_ARG);
        }
        if truncates && remove_chunks_batch_size == 0 {
            return fail(StatusCode::INVALID_ARG);
        }
        match self.session {
            Some(session) => check_session(session),
            None if self.flags.writes() => fail(StatusCode::INVALID_ARG),
            None => Ok(()),
        }
    }

    /// The access asked for; cutting a file is writing.
    fn access(&self) -> Access {
        let mut access = Access::empty();
        access.set(Access::READ, self.flags.reads());
        access.set(
            Access::WRITE,
            self.flags.writes() || self.flags.contains(OpenFlags::TRUNC),
        );
        access
    }
}

fn open_directory<S: Store>(op: &Op<'_, S>, inode: Inode, flags: OpenFlags) -> Res<Inode> {
    if flags.writes() || flags.contains(OpenFlags::TRUNC) {
        return fail(StatusCode::META_IS_DIRECTORY);
    }
    op.check(&inode.base.acl, Access::READ)?;
    Ok(inode)
}

/// Opens a file that is there.
fn open_file<S: Store>(op: &mut Op<'_, S>, mut inode: Inode, opening: &Opening<'_>) -> Res<Inode> {
    let writes = opening.access().contains(Access::WRITE);
    if writes && inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
        return not_owner("the file is immutable");
    }
    op.check(&inode.base.acl, opening.access())?;
    let by_owner = op.user().uid == inode.base.acl.uid;
    let check_hole = op.core.options.check_file_hole;
    let before = inode.clone();
    let InodeKind::File(file) = &mut inode.base.kind else {
        return fail(StatusCode::META_NOT_FILE);
    };
    if !writes && check_hole && file.flags.contains(FileFlags::HAS_HOLE) {
        return fail(StatusCode::META_FILE_HAS_HOLE);
    }
    let keeps = opening.flags.writes() || op.core.options.read_sessions;
    let session = opening.session.filter(|_| keeps);
    if !writes {
        if let Some(session) = session {
            op.put_session(inode.id, session);
        }
        return Ok(inode);
    }
    if !opening.dyn_stripe && file.dyn_stripe < file.layout.stripe_size {
        file.dyn_stripe = 0;
    }
    if !by_owner {
        let perm = &mut inode.base.acl.perm;
        *perm = Permission(perm.0 & !(S_ISUID | S_ISGID | S_ISVTX));
    }
    if inode.base.acl != before.base.acl {
        forward(&mut inode.base.ctime, op.now);
    }
    if inode != before {
        op.tx.put_inode(&inode);
    }
    if let Some(session) = session {
        op.put_session(inode.id, session);
    }
    Ok(inode)
}

/// Makes a file where nothing is.
fn create_file<S: Store>(op: &mut Op<'_, S>, place: &Place, request: &CreateReq) -> Res<Inode> {
    op.check_add(&place.parent)?;
    check_name(&place.name)?;
    let layout = match &request.layout {
        Some(layout) => layout.clone(),
        None => directory(&place.parent)?.layout.clone(),
    };
    let layout = with_chains(op, &place.parent, layout)?;
    let mut id = op.allocate_id()?;
    let acl = op.new_acl(&place.parent, request.perm, false);
    let by_directory = place.parent.base.acl.iflags.contains(IFlags::NEW_CHUNK_ENGINE);
    if op.core.options.new_chunk_engine || by_directory {
        id = id.with_new_chunk_engine();
    }
    let grows = op.core.options.dynamic_stripe && request.dyn_stripe;
    let initial = op.core.options.dynamic_stripe_initial.max(1);
    let file = File {
        length: 0,
        truncate_ver: 0,
        dyn_stripe: if grows { initial.min(layout.stripe_size) } else { 0 },
        layout,
        flags: FileFlags::empty(),
    };
    let inode = op.new_inode(id, InodeKind::File(file), acl);
    op.tx.put_inode(&inode);
    put_entry_of(op, &place.parent, &place.name, &inode);
    if let Some(session) = request.session.as_ref().filter(|_| request.flags.writes()) {
        op.put_session(inode.id, session);
    }
    op.touch(place.parent.id, |_| ())?;
    Ok(inode)
}

/// The layout with chains: those it names, if they can take a file, or allocated ones.
fn with_chains<S: Store>(op: &mut Op<'_, S>, parent: &Inode, layout: Layout) -> Res<Layout> {
    let core = &mut *op.core;
    if !matches!(layout.chains, LayoutChains::Empty(_)) {
        check_chains(&layout, &core.routing)?;
        return Ok(layout);
    }
    if !parent.base.acl.iflags.contains(IFlags::CHAIN_ALLOCATION) {
        return core.turns.allocate(&layout, None, &core.routing, &mut core.rng);
    }
    let mut parent = parent.clone();
    let InodeKind::Directory(directory) = &mut parent.base.kind else {
        return fail(StatusCode::META_NOT_DIRECTORY);
    };
    let own = Some(&mut directory.chain_alloc_counter);
    let layout = core.turns.allocate(&layout, own, &core.routing, &mut core.rng)?;
    op.tx.put_inode(&parent);
    Ok(layout)
}
