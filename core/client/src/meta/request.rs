//! What metadata requests have in common, and what is made here: closes, prunes and probes.
//!
//! Owner: [`MetaCalls`](super::MetaCalls).

use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::{Gid, InodeId, NodeId, Uid, Uuid};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::attr::TestRpcReq;
use flyer_wire::msg::meta::call::{PathAt, ReqBase, SessionInfo};
use flyer_wire::msg::meta::file::{CloseReq, PruneSessionReq};
use flyer_wire::service::meta::{Request, Response};

/// What every request begins with.
pub(super) const fn base_mut(request: &mut Request) -> &mut ReqBase {
    match request {
        Request::StatFs(r) => &mut r.base,
        Request::Stat(r) => &mut r.base,
        Request::Create(r) => &mut r.base,
        Request::Mkdirs(r) => &mut r.base,
        Request::Symlink(r) => &mut r.base,
        Request::HardLink(r) => &mut r.base,
        Request::Remove(r) => &mut r.base,
        Request::Open(r) => &mut r.base,
        Request::Sync(r) => &mut r.base,
        Request::Close(r) => &mut r.base,
        Request::Rename(r) => &mut r.base,
        Request::List(r) => &mut r.base,
        Request::Truncate(r) => &mut r.base,
        Request::GetRealPath(r) => &mut r.base,
        Request::SetAttr(r) => &mut r.base,
        Request::PruneSession(r) => &mut r.base,
        Request::DropUserCache(r) => &mut r.base,
        Request::Authenticate(r) => &mut r.base,
        Request::LockDirectory(r) => &mut r.base,
        Request::BatchStat(r) => &mut r.base,
        Request::BatchStatByPath(r) => &mut r.base,
        Request::TestRpc(r) => &mut r.base,
    }
}

/// The session that a request opens or closes.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "exactly these three requests carry a session"
)]
const fn session_mut(request: &mut Request) -> Option<&mut SessionInfo> {
    match request {
        Request::Create(r) => r.session.as_mut(),
        Request::Open(r) => r.session.as_mut(),
        Request::Close(r) => r.session.as_mut(),
        _ => None,
    }
}

/// The user and the session of a request that opens one.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "exactly these two requests open a session"
)]
pub(super) fn opens(request: &Request) -> Option<(&UserInfo, &SessionInfo)> {
    match request {
        Request::Create(r) => Some((&r.base.user, r.session.as_ref()?)),
        Request::Open(r) => Some((&r.base.user, r.session.as_ref()?)),
        _ => None,
    }
}

/// The file that was opened.
#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "exactly these two responses open a file"
)]
pub(super) const fn opened(response: &Response) -> Option<InodeId> {
    match response {
        Response::Create(r) => Some(r.stat.id),
        Response::Open(r) => Some(r.stat.id),
        _ => None,
    }
}

/// Fills in who asks, and which logical request it is.
pub(super) fn stamp(request: &mut Request, client: &ClientId, uuid: Uuid) {
    let base = base_mut(request);
    base.client = client.clone();
    base.forward = NodeId(0);
    base.uuid = uuid;
    if let Some(session) = session_mut(request) {
        session.client = client.clone();
    }
    if let Request::PruneSession(prune) = request
        && prune.client.uuid.is_zero()
    {
        prune.client = client.clone();
    }
}

fn base(user: UserInfo) -> ReqBase {
    ReqBase {
        user,
        client: ClientId {
            uuid: Uuid::ZERO,
            hostname: Text::default(),
        },
        forward: NodeId(0),
        uuid: Uuid::ZERO,
    }
}

fn nobody() -> UserInfo {
    UserInfo {
        uid: Uid(0),
        gid: Gid(0),
        groups: Vec::new(),
        token: flyer_types::Token::default(),
    }
}

/// Closes a session that nobody has written with.
pub(super) fn close(user: UserInfo, inode: InodeId, session: SessionInfo) -> Request {
    Request::Close(CloseReq {
        base: base(user),
        inode,
        session: Some(session),
        update_length: false,
        atime: None,
        mtime: None,
        length_hint: None,
    })
}

/// Drops sessions that may or may not exist.
pub(super) fn prune(client: ClientId, sessions: Vec<Uuid>) -> Request {
    Request::PruneSession(PruneSessionReq {
        base: base(nobody()),
        client,
        sessions,
        need_sync: Vec::new(),
    })
}

/// Asks whether a server is there.
pub(super) fn probe() -> Request {
    Request::TestRpc(TestRpcReq {
        base: base(nobody()),
        path: PathAt {
            parent: InodeId::ROOT,
            path: None,
        },
        flags: 0,
    })
}
