//! Locks of directories, and sessions that a client wants dropped.
//!
//! ```text
//!              TryLock                     TryLock by another: NoLock
//!  unlocked ─────────────► locked(client) ───┐
//!     ▲    PreemptLock       │   ▲           │ PreemptLock: locked(other)
//!     └─ UnLock by holder, ──┘   └───────────┘
//!        Clear by anybody
//! ```
//!
//! Source: `src/meta/store/ops/{LockDirectory,PruneSession}.cc` upstream. Unlocking what is not locked succeeds: a retry of an
//! unlock whose answer was lost must not fail.

use super::stat::BASE;
use crate::meta::keys::PRUNE_INODE;
use crate::meta::op::{Op, check_session};
use crate::meta::options::limits::{HOSTNAME_BYTES_MAX, PRUNE_SESSIONS_MAX};
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use flyer_types::StatusCode;
use flyer_wire::codec::Void;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::attr::{LockAction, LockDirectoryReq, LockDirectoryRsp};
use flyer_wire::msg::meta::call::SessionInfo;
use flyer_wire::msg::meta::file::{PruneSessionReq, PruneSessionRsp};
use flyer_wire::msg::meta::inode::{DirectoryLock, InodeKind};

/// `lockDirectory`.
pub(in crate::meta) fn lock_directory<S: Store>(
    op: &mut Op<'_, S>,
    request: &LockDirectoryReq,
) -> Res<LockDirectoryRsp> {
    let client = &request.base.client;
    if client.hostname.len() > HOSTNAME_BYTES_MAX {
        return fail(StatusCode::INVALID_ARG);
    }
    let mut inode = op.tx.inode(request.inode)?;
    op.check(&inode.base.acl, Access::WRITE)?;
    let InodeKind::Directory(directory) = &mut inode.base.kind else {
        return fail(StatusCode::META_NOT_DIRECTORY);
    };
    let by_other = directory
        .lock
        .as_ref()
        .is_some_and(|lock| lock.client.uuid != client.uuid);
    let locked = Some(DirectoryLock {
        client: client.clone(),
    });
    directory.lock = match request.action {
        LockAction::TRY_LOCK | LockAction::UNLOCK if by_other => return fail(StatusCode::META_NO_LOCK),
        LockAction::TRY_LOCK | LockAction::PREEMPT_LOCK => locked,
        LockAction::UNLOCK | LockAction::CLEAR => None,
        _ => return fail(StatusCode::META_FOUND_BUG),
    };
    op.tx.put_inode(&inode);
    Ok(LockDirectoryRsp {
        base: BASE,
        dummy: Void,
    })
}

/// `pruneSession`: notes the sessions; the next scan drops them.
pub(in crate::meta) fn prune_session<S: Store>(
    op: &mut Op<'_, S>,
    request: &PruneSessionReq,
) -> Res<PruneSessionRsp> {
    if request.sessions.len() > PRUNE_SESSIONS_MAX {
        return fail(StatusCode::INVALID_ARG);
    }
    for session in &request.sessions {
        let session = SessionInfo {
            client: request.client.clone(),
            session: *session,
        };
        check_session(&session)?;
        op.put_session(PRUNE_INODE, &session);
    }
    op.core.prune_asked |= !request.sessions.is_empty();
    Ok(PruneSessionRsp {
        base: BASE,
        dummy: Void,
    })
}
