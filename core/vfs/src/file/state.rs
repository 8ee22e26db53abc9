//! What a shard keeps for files: handles, what is dirty, who waits for room, when something is due.
//!
//! Owner: a shard.
//!
//! Limits: [`HANDLES_MAX`], [`DIRTY_INODES_MAX`], [`ROOM_WAITING_MAX`], and `dirty_bytes_max` of the configuration.

use super::Task;
use super::write_back::FlushState;
use crate::request::Caller;
use crate::shard::State;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use flyer_types::ids::{HandleId, InodeId, OpId, Uuid};
use flyer_types::parts::{Deadlines, Slots};
use flyer_types::{Errno, Reason, Span, Time};

/// Open files of a shard; one more is `ENFILE`.
pub(crate) const HANDLES_MAX: u32 = 1 << 18;

/// Inodes of a shard with bytes that wait to be written; a write to one more waits for a flush.
pub(crate) const DIRTY_INODES_MAX: usize = 1 << 16;

/// Writes that wait for room; one more is `EAGAIN`.
pub(crate) const ROOM_WAITING_MAX: usize = 4096;

/// How a file was opened, and what became of it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent properties")]
pub(crate) struct Handle {
    pub(crate) inode: InodeId,
    /// Who opened it.
    pub(crate) opener: Caller,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) appends: bool,
    /// Bypasses the write buffer.
    pub(crate) is_direct: bool,
    /// It was written through.
    pub(crate) wrote: bool,
    /// The session it was opened with.
    pub(crate) session: Option<Uuid>,
    /// A failure that it has to hear of.
    pub(crate) owed: Option<Errno>,
}

/// What is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A flush is tried again.
    Retry(InodeId),
    /// The regular round over everything dirty.
    Round,
}

#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) handles: Slots<HandleId, Handle>,
    pub(crate) timers: Deadlines<Timer>,
    /// Inodes with something that has to be written or reported.
    pub(crate) dirty: BTreeSet<InodeId>,
    /// Inodes with pending bytes, by age.
    pub(crate) order: BTreeMap<u64, InodeId>,
    pub(crate) stamps: u64,
    /// Bytes of memory that buffers hold.
    pub(crate) held: u64,
    /// Writes that wait for room, in order.
    pub(crate) room: VecDeque<OpId>,
    /// Flushes that run or will be tried again soon: these make room.
    pub(crate) flushes: usize,
    /// A round is under way.
    pub(crate) round_runs: bool,
    /// The inode at which the last round stopped.
    pub(crate) round_end: Option<InodeId>,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            handles: Slots::new(HANDLES_MAX),
            timers: Deadlines::new(2 * DIRTY_INODES_MAX),
            dirty: BTreeSet::new(),
            order: BTreeMap::new(),
            stamps: 0,
            held: 0,
            room: VecDeque::new(),
            flushes: 0,
            round_runs: false,
            round_end: None,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.timers.next().map(|(at, timer)| {
            let reason = match timer {
                Timer::Retry(_) => Reason::named("vfs.flush_again"),
                Timer::Round => Reason::named("vfs.round"),
            };
            (at, reason)
        })
    }

    /// The handle, if it is one of this inode.
    pub(crate) fn handle(&self, id: HandleId, inode: InodeId) -> Result<&Handle, Errno> {
        let handle = self.handles.get(id).filter(|handle| handle.inode == inode);
        handle.ok_or(Errno::EBADF)
    }

    pub(crate) fn handle_mut(&mut self, id: HandleId, inode: InodeId) -> Result<&mut Handle, Errno> {
        let handle = self.handles.get_mut(id).filter(|handle| handle.inode == inode);
        handle.ok_or(Errno::EBADF)
    }

    pub(crate) fn check(&self) {
        self.handles.check();
        self.timers.check();
        assert!(self.room.len() <= ROOM_WAITING_MAX, "too many wait for room");
        assert!(
            self.dirty.is_empty() || self.round_runs || self.timers.get(Timer::Round).is_some(),
            "something is dirty and no round will come"
        );
    }
}

/// The regular work that is due.
pub(crate) fn wake(state: &mut State, now: Time) -> Vec<Task> {
    let mut tasks = Vec::new();
    while let Some((_, timer)) = state.files.timers.pop_due(now) {
        match timer {
            Timer::Retry(inode) => {
                let Some(live) = state.inodes.live_mut(inode) else {
                    continue;
                };
                if live.back.state == FlushState::Backoff {
                    live.back.state = FlushState::Running;
                    tasks.push(Task::Flush(inode));
                }
            }
            Timer::Round => {
                state.files.round_runs = true;
                tasks.push(Task::Round);
            }
        }
    }
    tasks
}

/// Brings the books of an inode up to date after anything about it may have changed.
pub(crate) fn settle(state: &mut State, now: Time, inode: InodeId) {
    let is_dirty = state.inodes.live(inode).is_some_and(|live| live.is_dirty());
    if is_dirty {
        state.files.dirty.insert(inode);
        plan_round(state, now);
    } else {
        state.files.dirty.remove(&inode);
        state.inodes.drop_unused(inode);
    }
}

/// Makes sure that a round comes.
pub(crate) fn plan_round(state: &mut State, now: Time) {
    let files = &mut state.files;
    if files.round_runs || files.dirty.is_empty() || files.timers.get(Timer::Round).is_some() {
        return;
    }
    let interval_ns = state.config.periodic_sync.interval.as_ns().max(1_000_000);
    let percent = state.rng.range(70..=130);
    let wait = Span::from_ns(interval_ns / 100) * percent;
    files
        .timers
        .set(Timer::Round, now + wait)
        .expect("retries never take the last place");
}
