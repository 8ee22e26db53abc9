//! What syncs and closes want, and one transaction that does it for all that wait together.
//!
//! Hints are merged: absent if one is absent, else the longest; a cut file is always asked for.
//!
//! Source: `src/meta/store/ops/BatchOperation.cc`, `src/fbs/meta/FileOperation.cc` upstream.

use super::keys;
use super::op::{check_session, forward, not_owner};
use super::options::Options;
use super::tx::{Res, Tx, fail};
use crate::store::Store;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{StatusCode, WallTime};
use flyer_wire::msg::meta::call::VersionedLength;
use flyer_wire::msg::meta::file::{CloseReq, SyncReq};
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::{File, Inode, InodeKind};

/// Who waits for the length of a file, or for its times to be stored.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "all but a few are requests")]
pub(super) enum Waiter<C> {
    /// A client's sync.
    Sync { call: C, request: SyncReq },
    /// A client's close.
    Close { call: C, request: CloseReq },
    /// The session of a dead client.
    Prune { inode: InodeId, session: Uuid },
}

/// What has to be done about the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Keep,
    /// Believe the hint.
    Believe(VersionedLength),
    /// Ask the storage.
    Ask,
}

impl<C> Waiter<C> {
    pub(super) const fn inode(&self) -> InodeId {
        match self {
            Self::Sync { request, .. } => request.inode,
            Self::Close { request, .. } => request.inode,
            Self::Prune { inode, .. } => *inode,
        }
    }

    /// Whether it wants the length, with what hint, and whether the file was cut.
    const fn wish(&self) -> Option<(Option<VersionedLength>, bool)> {
        match self {
            Self::Sync { request, .. } if request.update_length => {
                Some((request.length_hint, request.truncated))
            }
            Self::Close { request, .. } if request.update_length => Some((request.length_hint, false)),
            Self::Sync { .. } | Self::Close { .. } => None,
            Self::Prune { .. } => Some((None, false)),
        }
    }

    /// Checks the request alone.
    pub(super) fn check(&self) -> Res<()> {
        let fine = match self {
            Self::Sync { request, .. } => request.update_length || !request.truncated,
            Self::Close { request, .. } => match &request.session {
                Some(session) => check_session(session).is_ok(),
                None => !request.update_length && request.mtime.is_none(),
            },
            Self::Prune { .. } => true,
        };
        if fine {
            Ok(())
        } else {
            fail(StatusCode::INVALID_ARG)
        }
    }

    /// Checks the request against the inode.
    pub(super) fn check_inode(&self, inode: &Inode) -> Res<()> {
        let InodeKind::File(file) = &inode.base.kind else {
            return if self.wish().is_some() {
                fail(StatusCode::META_NOT_FILE)
            } else {
                Ok(())
            };
        };
        let Self::Sync { request, .. } = self else {
            return Ok(());
        };
        if request.truncated && inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
            return not_owner("the file is immutable");
        }
        let from_future = |hint: VersionedLength| hint.truncate_ver > file.truncate_ver;
        if request.update_length && request.length_hint.is_some_and(from_future) {
            return fail(StatusCode::META_FOUND_BUG);
        }
        Ok(())
    }
}

/// The hints of all that want the length: absent if one is, else the longest.
pub(super) fn need<C>(batch: &[Waiter<C>], file: &File, options: &Options) -> Need {
    let mut hint = Some(VersionedLength {
        length: 0,
        truncate_ver: 0,
    });
    let mut wanted = false;
    for (theirs, truncated) in batch.iter().filter_map(Waiter::wish) {
        wanted = true;
        let theirs = theirs.filter(|_| !truncated);
        hint = match (hint, theirs) {
            (Some(ours), Some(theirs)) if theirs.length > ours.length => Some(theirs),
            (Some(ours), Some(_)) => Some(ours),
            (None, _) | (_, None) => None,
        };
    }
    match hint {
        _ if !wanted => Need::Keep,
        None => Need::Ask,
        Some(_) if options.ignore_length_hint => Need::Ask,
        Some(hint) if file.truncate_ver >= hint.truncate_ver && file.length >= hint.length => Need::Keep,
        Some(hint) if hint.truncate_ver == file.truncate_ver => Need::Believe(hint),
        Some(_) => Need::Ask,
    }
}

/// Chains of a file that may hold chunks: all, or the first few of a file that grows.
pub(super) fn slots_in_use(file: &File, options: &Options) -> u32 {
    match file.dyn_stripe {
        0 => file.layout.stripe_size,
        _ if !options.dynamic_stripe => file.layout.stripe_size,
        slots => slots.min(file.layout.stripe_size),
    }
}

/// Stores what a batch wants. `asked` is what the storage said; the inode afterwards.
pub(super) fn apply_batch<S: Store, C>(
    tx: &mut Tx<'_, S>,
    batch: &[Waiter<C>],
    id: InodeId,
    asked: Option<u64>,
    now: WallTime,
    options: &Options,
) -> Res<Inode> {
    let before = tx.inode(id)?;
    let mut inode = before.clone();
    let base = &mut inode.base;
    let mut truncated = false;
    for waiter in batch {
        let (atime, mtime) = match waiter {
            Waiter::Sync { request, .. } => (request.atime, request.mtime),
            Waiter::Close { request, .. } => (request.atime, request.mtime),
            Waiter::Prune { .. } => (None, None),
        };
        if let Some(atime) = atime {
            forward(&mut base.atime, options.rounded(atime));
        }
        if let Some(mtime) = mtime {
            forward(&mut base.mtime, options.rounded(mtime));
        }
        match waiter {
            Waiter::Sync { request, .. } if request.truncated => {
                truncated = true;
                forward(&mut base.ctime, mtime.map_or(now, |time| options.rounded(time)));
            }
            Waiter::Close { request, .. } => {
                if let Some(session) = &request.session {
                    tx.delete_raw(keys::session(id, session.session));
                }
            }
            Waiter::Prune { session, .. } => tx.delete_raw(keys::session(id, *session)),
            Waiter::Sync { .. } => {}
        }
    }
    if let InodeKind::File(file) = &mut base.kind {
        let (length, version) = (file.length, file.truncate_ver);
        match (asked, need(batch, file, options)) {
            (Some(asked), Need::Ask) => {
                file.truncate_ver += u64::from(truncated || asked < file.length);
                file.length = asked;
            }
            (None, Need::Ask) => return fail(StatusCode::META_BUSY),
            (_, Need::Believe(hint)) => file.length = hint.length,
            (_, Need::Keep) => {}
        }
        if (file.length, file.truncate_ver) != (length, version) {
            let cut = file.truncate_ver != version;
            forward(&mut base.mtime, now);
            if cut || !options.quirks.ctime_ignores_utimes_and_rename {
                forward(&mut base.ctime, now);
            }
        }
    }
    if inode != before {
        tx.put_inode(&inode);
    }
    Ok(inode)
}
