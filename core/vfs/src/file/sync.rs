//! What the server is told of a file that was written to here: length and times.
//!
//! Owner: an operation, by way of [`super::tidy`] and [`super::release`].
//!
//! A *report* says "the length is at least this, if the file was not cut since version n"; the server believes it. An *exact* sync
//! makes the server ask the storage. What was promised when the request was sent is redeemed when the answer is there, if the file
//! is still the same life; changes made meanwhile are left for the next time.
//!
//! Source: the protocol notes on length hints (section 9 of the metadata client).

use super::errno_of;
use super::requests::{inode_in, sync};
use crate::inode::{Live, NO_NEWS};
use crate::shard::{Context, Event};
use alloc::boxed::Box;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, WallTime};
use flyer_wire::msg::meta::call::VersionedLength;
use flyer_wire::msg::meta::inode::Inode;

/// What a sync is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Report what is new, if anything is.
    News,
    /// Have the exact length determined, if anything is new since the last time.
    Exact,
    /// The same; and whatever the server has been told before has to be durable, so it is asked in any case.
    Durable,
    /// Have the exact length determined.
    Forced,
}

/// What an answer is good for.
#[derive(Clone, Debug)]
pub(super) struct Pledge {
    life: u64,
    /// Changes that are covered, if the length is.
    written: Option<u64>,
    pub(super) hint: Option<VersionedLength>,
    pub(super) mtime: Option<WallTime>,
    pub(super) atime: Option<WallTime>,
}

impl Pledge {
    /// Whether the length is brought up to date.
    pub(super) const fn has_length(&self) -> bool {
        self.written.is_some()
    }

    /// What a sync of that kind would promise now; `None` if there is no need for it.
    pub(super) fn make(cx: &Context<'_>, inode: InodeId, kind: Kind) -> Option<Self> {
        let is_file = cx.state.inodes.facts(inode).is_some();
        let Some(live) = cx.state.inodes.live(inode) else {
            let needed = match kind {
                Kind::News | Kind::Exact => false,
                Kind::Durable | Kind::Forced => true,
            };
            return needed.then_some(Self {
                life: 0,
                written: (kind == Kind::Forced && is_file).then_some(0),
                hint: None,
                mtime: None,
                atime: None,
            });
        };
        let dynamic = &live.dynamic;
        let (needed, length) = match kind {
            Kind::News => (dynamic.has_news(), true),
            Kind::Exact => (dynamic.written > dynamic.fsynced, true),
            Kind::Durable => (true, dynamic.written > dynamic.fsynced),
            Kind::Forced => (true, true),
        };
        let believes = match kind {
            Kind::News => true,
            Kind::Exact | Kind::Durable => cx.state.config.fsync_length_hint,
            Kind::Forced => false,
        };
        needed.then(|| Self {
            life: live.life,
            written: length.then_some(dynamic.written),
            hint: dynamic.hint.filter(|_| believes && length),
            mtime: dynamic.mtime,
            atime: dynamic.atime,
        })
    }

    /// The server has done it.
    pub(super) fn redeem(&self, cx: &mut Context<'_>, inode: &Inode) {
        cx.state.inodes.learn(cx.now, inode);
        let Some(live) = cx
            .state
            .inodes
            .live_mut(inode.id)
            .filter(|live| live.life == self.life)
        else {
            return;
        };
        let Live { dynamic, back, .. } = live;
        if dynamic.mtime == self.mtime {
            dynamic.mtime = None;
        }
        if dynamic.atime == self.atime {
            dynamic.atime = None;
        }
        if let Some(written) = self.written {
            dynamic.synced = dynamic.synced.max(written);
            if self.hint.is_none() {
                dynamic.fsynced = dynamic.fsynced.max(written);
            }
            if dynamic.synced == dynamic.written {
                dynamic.hint = NO_NEWS;
                if back.is_empty() {
                    dynamic.end = 0;
                }
            }
        }
    }

    /// Whether the server has done it is not known: the next time has to be exact.
    pub(super) fn break_it(&self, cx: &mut Context<'_>, inode: InodeId) {
        if let Some(live) = cx
            .state
            .inodes
            .live_mut(inode)
            .filter(|live| live.life == self.life)
            && self.has_length()
        {
            live.dynamic.hint = None;
        }
    }
}

/// Sends a sync, if there is need for one; its answer goes to [`land`].
pub(super) fn send(cx: &mut Context<'_>, inode: InodeId, kind: Kind) -> Option<Pledge> {
    let pledge = Pledge::make(cx, inode, kind)?;
    let mut request = sync(cx, inode);
    request.update_length = pledge.has_length();
    request.length_hint = pledge.hint;
    request.mtime = pledge.mtime;
    request.atime = pledge.atime;
    cx.meta(request);
    Some(pledge)
}

/// Takes the answer.
pub(super) fn land(
    cx: &mut Context<'_>,
    inode: InodeId,
    pledge: &Pledge,
    event: Event,
) -> Result<Box<Inode>, Errno> {
    match inode_in(event) {
        Ok(answer) => {
            pledge.redeem(cx, &answer);
            Ok(Box::new(answer))
        }
        Err(status) => {
            pledge.break_it(cx, inode);
            Err(errno_of(&status))
        }
    }
}
