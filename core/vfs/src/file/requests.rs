//! Requests to metadata servers about one inode, with nothing asked for yet.

use crate::shard::{Context, Event};
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Status, StatusCode};
use flyer_wire::msg::meta::attr::{SetAttrReq, StatReq};
use flyer_wire::msg::meta::call::{PathAt, SessionInfo};
use flyer_wire::msg::meta::file::{CloseReq, OpenReq, SyncReq};
use flyer_wire::msg::meta::flags::{AtFlags, OpenFlags};
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::service::meta::Response;

/// Chunks that a server may remove in one round; the number of all clients.
const REMOVE_CHUNKS_BATCH: u32 = 32;

const fn by_id(inode: InodeId) -> PathAt {
    PathAt {
        parent: inode,
        path: None,
    }
}

fn session(cx: &Context<'_>, session: Uuid) -> SessionInfo {
    SessionInfo {
        client: cx.state.client.clone(),
        session,
    }
}

pub(super) fn stat(cx: &Context<'_>, inode: InodeId) -> StatReq {
    StatReq {
        base: cx.base(),
        path: by_id(inode),
        flags: AtFlags::empty(),
    }
}

pub(super) fn set_attr(cx: &Context<'_>, inode: InodeId) -> SetAttrReq {
    SetAttrReq {
        base: cx.base(),
        path: by_id(inode),
        flags: AtFlags::empty(),
        uid: None,
        gid: None,
        perm: None,
        atime: None,
        mtime: None,
        layout: None,
        iflags: None,
        dyn_stripe: 0,
    }
}

pub(super) fn open(cx: &Context<'_>, inode: InodeId, flags: OpenFlags, with: Uuid) -> OpenReq {
    OpenReq {
        base: cx.base(),
        path: by_id(inode),
        session: Some(session(cx, with)),
        flags,
        remove_chunks_batch_size: REMOVE_CHUNKS_BATCH,
        dyn_stripe: true,
    }
}

pub(super) fn sync(cx: &Context<'_>, inode: InodeId) -> SyncReq {
    SyncReq {
        base: cx.base(),
        inode,
        update_length: false,
        atime: None,
        mtime: None,
        truncated: false,
        length_hint: None,
    }
}

pub(super) fn close(cx: &Context<'_>, inode: InodeId, of: Option<Uuid>) -> CloseReq {
    CloseReq {
        base: cx.base(),
        inode,
        session: of.map(|of| session(cx, of)),
        update_length: false,
        atime: None,
        mtime: None,
        length_hint: None,
    }
}

/// The inode in an answer. An answer to another request than these is a server's fault.
pub(super) fn inode_in(event: Event) -> Result<Inode, Status> {
    let mismatch = || Status::new(StatusCode::RPC_VERIFY_RESPONSE_FAILED);
    let Event::Meta(answer) = event else {
        unreachable!("it waits for a metadata server, and for nothing else");
    };
    #[allow(clippy::wildcard_enum_match_arm, reason = "all other answers are wrong alike")]
    match answer? {
        Response::Stat(answer) => Ok(answer.stat),
        Response::SetAttr(answer) => Ok(answer.stat),
        Response::Open(answer) => Ok(answer.stat),
        Response::Sync(answer) => Ok(answer.stat),
        Response::Close(answer) => Ok(answer.stat),
        _ => Err(mismatch()),
    }
}
