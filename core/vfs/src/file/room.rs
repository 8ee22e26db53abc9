//! Memory of all write buffers of a shard, and who waits for some.
//!
//! Owner: a shard. Counted is memory, not bytes in use: a lease that holds a few bytes costs all of its room.
//!
//! ```text
//!   write ──► fits, nobody waits ──────────────────────────► accepted
//!       └───► waits in order ──► woken when memory is freed ──┘
//!                  └───────────► no flush is left that could free any: refused
//! ```
//!
//! Above half of the limit the oldest buffers are flushed, so that few ever wait.
//!
//! Limits: `dirty_bytes_max` of the configuration (one write is accepted whatever its size if it is the only one),
//! [`super::state::DIRTY_INODES_MAX`], [`super::state::ROOM_WAITING_MAX`].

use super::flush;
use super::state::{DIRTY_INODES_MAX, ROOM_WAITING_MAX};
use super::write_back::FlushState;
use crate::shard::Context;
use flyer_types::Errno;
use flyer_types::ids::InodeId;

/// Whether a write may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Room {
    Granted,
    /// Ask again at the next turn.
    Later,
    Refused(Errno),
}

/// Asks for `cost` bytes of memory for a write to the inode.
pub(super) fn ask(cx: &mut Context<'_>, inode: InodeId, cost: u64) -> Room {
    let op = cx.op;
    let has_pending = (cx.state.inodes.live(inode)).is_some_and(|live| !live.back.pending.is_empty());
    if cost == 0 && has_pending {
        leave(cx);
        return Room::Granted;
    }
    let files = &cx.state.files;
    let is_next = files.room.front().is_none_or(|first| *first == op);
    let fits = files.held == 0 || files.held.saturating_add(cost) <= cx.state.config.dirty_bytes_max;
    let counted = has_pending || files.order.len() < DIRTY_INODES_MAX;
    if is_next && fits && counted {
        leave(cx);
        return Room::Granted;
    }
    flush_oldest(cx);
    if cx.state.files.flushes == 0 {
        flyer_types::mark!("vfs.no_room");
        leave(cx);
        return Room::Refused(Errno::EIO);
    }
    let files = &mut cx.state.files;
    if files.room.contains(&op) {
        return Room::Later;
    }
    if files.room.len() >= ROOM_WAITING_MAX {
        flyer_types::mark!("vfs.room_queue_full");
        return Room::Refused(Errno::EAGAIN);
    }
    flyer_types::mark!("vfs.waits_for_room");
    files.room.push_back(op);
    Room::Later
}

/// The operation waits no longer; the next one may.
pub(super) fn leave(cx: &mut Context<'_>) {
    let op = cx.op;
    let before = cx.state.files.room.len();
    cx.state.files.room.retain(|waiting| *waiting != op);
    if cx.state.files.room.len() != before {
        wake(cx);
    }
}

/// Memory was freed, or no more will be: the first who waits asks again.
pub(super) fn wake(cx: &mut Context<'_>) {
    if let Some(first) = cx.state.files.room.front().copied() {
        cx.wake(first);
    }
}

/// Whether buffers should be flushed before they are full.
pub(super) fn is_short(cx: &Context<'_>) -> bool {
    cx.state.files.held > cx.state.config.dirty_bytes_max / 2
}

/// Flushes the oldest buffer that can be. What has failed already waits for its own time.
pub(super) fn flush_oldest(cx: &mut Context<'_>) {
    let oldest = (cx.state.files.order.values()).copied().find(|inode| {
        let live = cx.state.inodes.live(*inode);
        live.is_some_and(|live| live.back.state == FlushState::Idle)
    });
    if let Some(inode) = oldest {
        flush::start(cx, inode);
    }
}
