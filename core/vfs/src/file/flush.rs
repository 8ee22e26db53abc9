//! Carries the batch of a write buffer to the storage. One such operation for each inode at a time.
//!
//! Owner: a shard; started by who fills the buffer, wants it empty, or by a deadline.
//!
//! ```text
//!   next batch ──► more chains? ──► writes, side by side ──► written ──► next batch, or the end
//!                       │                   │
//!                       └──── failed ◄──────┘ ──► backoff, or give up
//! ```
//!
//! Limit: [`WRITES_MAX`] writes at a time.

use super::extents::Extents;
use super::state::{Timer, settle};
use super::write_back::{FlushState, Patience, WAITING_MAX, Waiter};
use super::{Next, Task, Work, release, room};
use crate::shard::{Context, Event, Outcome};
use alloc::vec::Vec;
use flyer_client::storage::Want;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::status::{StorageCall, StorageRetry};
use flyer_types::{Errno, Segments, Span, Status};
use flyer_wire::msg::meta::call::VersionedLength;

/// Writes of one batch under way at a time.
const WRITES_MAX: usize = 64;

/// The wait after the first failure; doubled after each further one.
const BACKOFF_FIRST: Span = Span::from_ns(100_000_000);
const BACKOFF_MAX: Span = Span::from_secs(10);

/// Why a batch could not be written.
#[derive(Clone, Copy, Debug)]
struct Failure {
    errno: Errno,
    /// It may work another time.
    passes: bool,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let passes = match status.code.storage_retry(StorageCall::Update) {
            StorageRetry::Permanent => false,
            StorageRetry::Success | StorageRetry::Unavailable | StorageRetry::Fast | StorageRetry::Retry => {
                true
            }
        };
        Self {
            errno: write_errno(status.errno()),
            passes,
        }
    }
}

/// What a writer is told: what it can do something about, and else that it went wrong.
pub(super) fn write_errno(errno: Errno) -> Errno {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG | Errno::EROFS | Errno::EPERM | Errno::EACCES => errno,
        _ => Errno::EIO,
    }
}

#[derive(Debug)]
enum Stage {
    Begin,
    Extending,
    Writing {
        /// Not yet begun, the first at the end.
        left: Vec<(u64, Segments)>,
        running: usize,
        failure: Option<Failure>,
    },
}

#[derive(Debug)]
pub(super) struct Flush {
    inode: InodeId,
    stage: Stage,
    /// The truncate version at the beginning of the batch.
    version: u64,
}

/// Waits for the bytes accepted so far to be written: `true` if [`Event::Asked`] will tell how that went, `false` if there are none.
///
/// # Errors
/// `EAGAIN` if too many wait.
pub(super) fn want(cx: &mut Context<'_>, inode: InodeId, patience: Patience) -> Result<bool, Errno> {
    let op = cx.op;
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return Ok(false);
    };
    let Some(until) = live.back.newest() else {
        return Ok(false);
    };
    if live.back.state == FlushState::Backoff && patience == Patience::Once {
        // Its try has been made.
        return Err(live.back.error.unwrap_or(Errno::EIO));
    }
    if live.back.waiters.len() >= WAITING_MAX {
        flyer_types::mark!("vfs.flush_waiters_full");
        return Err(Errno::EAGAIN);
    }
    live.back.waiters.push(Waiter { op, until, patience });
    start(cx, inode);
    Ok(true)
}

/// Has the buffer written, unless that goes on already.
pub(super) fn start(cx: &mut Context<'_>, inode: InodeId) {
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return;
    };
    match live.back.state {
        FlushState::Idle | FlushState::Failed => {
            live.back.state = FlushState::Running;
            cx.state.files.flushes += 1;
            cx.spawn(crate::shard::Task::File(Task::Flush(inode)));
        }
        FlushState::Running | FlushState::Backoff => {}
    }
}

/// Drops the bytes that wait, because the file is cut to nothing. The batch must not be under way.
pub(super) fn discard(cx: &mut Context<'_>, inode: InodeId) {
    discard_pending(cx, inode);
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return;
    };
    match live.back.state {
        FlushState::Running => {
            assert!(live.back.batch.is_none(), "the batch is under way");
            return;
        }
        FlushState::Idle => return,
        FlushState::Backoff => cx.state.files.flushes -= 1,
        FlushState::Failed => {}
    }
    live.back.state = FlushState::Idle;
    let batch = live.back.batch.take();
    cx.state.files.timers.remove(Timer::Retry(inode));
    if let Some(batch) = batch {
        give_back(cx, batch.extents);
    }
    wake_satisfied(cx, inode);
}

/// Drops the bytes that have not become a batch.
pub(super) fn discard_pending(cx: &mut Context<'_>, inode: InodeId) {
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return;
    };
    if let Some(stamp) = live.back.stamp.take() {
        cx.state.files.order.remove(&stamp);
    }
    let extents = core::mem::take(&mut live.back.pending);
    give_back(cx, extents);
    wake_satisfied(cx, inode);
}

/// Drops a batch that is refused for good, once all who have to hear of it have.
pub(super) fn drop_if_told(cx: &mut Context<'_>, inode: InodeId) {
    let Some(live) = cx.state.inodes.live(inode) else {
        return;
    };
    let is_refused = live.back.batch.as_ref().is_some_and(|batch| batch.is_refused);
    if live.back.state != FlushState::Failed || !is_refused {
        return;
    }
    let owes = |id: &HandleId| {
        let handle = cx.state.files.handles.get(*id);
        handle.is_some_and(|handle| handle.owed.is_some())
    };
    if live.handles.iter().any(owes) {
        return;
    }
    flyer_types::mark!("vfs.refused_bytes_dropped");
    let live = cx.state.inodes.live_mut(inode).expect("it was there");
    live.back.state = FlushState::Idle;
    let batch = live.back.batch.take().expect("it was there");
    // How much of it the storage has taken is not known.
    live.dynamic.finish(None);
    give_back(cx, batch.extents);
    // Finds out how long the file is now, and goes on with what was written meanwhile.
    cx.spawn(crate::shard::Task::File(Task::Tidy(inode)));
    settle(cx.state, cx.now, inode);
}

/// Frees the memory of bytes that are written or dropped.
fn give_back(cx: &mut Context<'_>, extents: Extents) {
    cx.state.files.held -= extents.held();
    for memory in extents.into_memory() {
        cx.free(memory);
    }
    room::wake(cx);
}

/// Tells those who wait for nothing that is left.
fn wake_satisfied(cx: &mut Context<'_>, inode: InodeId) {
    if let Some(live) = cx.state.inodes.live_mut(inode) {
        for op in live.back.take_satisfied() {
            cx.state.ready.push_back((op, Event::Asked(Ok(Outcome::Done))));
        }
    }
}

impl Flush {
    pub(super) const fn new(inode: InodeId) -> Self {
        Self {
            inode,
            stage: Stage::Begin,
            version: 0,
        }
    }

    pub(super) fn start(mut self, cx: &mut Context<'_>) -> Next {
        let record = cx.state.inodes.get(self.inode).expect("a running flush keeps it");
        let facts = record.facts().expect("only files have buffers").clone();
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running flush keeps it");
        debug_assert!(live.back.state == FlushState::Running);
        if live.back.batch.is_none() {
            if live.back.pending.is_empty() {
                return self.end(cx);
            }
            live.back.take_batch();
            let stamp = live.back.stamp.take().expect("pending bytes have an age");
            cx.state.files.order.remove(&stamp);
        }
        cx.caller = live.writer;
        self.version = facts.truncate_ver;
        let batch = live.back.batch.as_ref().expect("it was made");
        let end = batch.extents.end();
        if facts.stripe_wanted(end).is_some() {
            self.stage = Stage::Extending;
            let inode = self.inode;
            cx.ask(crate::shard::Task::File(Task::Extend { inode, end }));
            return Next::Wait(Work::Flush(self));
        }
        self.begin_writes(cx)
    }

    fn begin_writes(mut self, cx: &mut Context<'_>) -> Next {
        let live = cx
            .state
            .inodes
            .live(self.inode)
            .expect("a running flush keeps it");
        let batch = live.back.batch.as_ref().expect("it is carried here");
        let mut left = batch.extents.runs();
        left.reverse();
        self.stage = Stage::Writing {
            left,
            running: 0,
            failure: None,
        };
        self.go_on(cx)
    }

    /// Begins as many writes as may run; the outcome, when none runs any more.
    fn go_on(mut self, cx: &mut Context<'_>) -> Next {
        let Stage::Writing {
            left,
            running,
            failure,
        } = &mut self.stage
        else {
            unreachable!("it writes");
        };
        while *running < WRITES_MAX
            && failure.is_none()
            && let Some((offset, from)) = left.pop()
        {
            let facts = cx
                .state
                .inodes
                .facts(self.inode)
                .expect("a running flush keeps it");
            let view = facts.view(self.inode);
            cx.storage(view, Want::Write { offset, from });
            *running += 1;
        }
        if *running > 0 {
            return Next::Wait(Work::Flush(self));
        }
        match *failure {
            None => self.written(cx),
            Some(failure) => self.failed(cx, failure),
        }
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        match (&mut self.stage, event) {
            (Stage::Extending, Event::Asked(Ok(_))) => self.begin_writes(cx),
            (Stage::Extending, Event::Asked(Err(errno))) => {
                let failure = Failure {
                    errno: write_errno(errno),
                    passes: errno == Errno::EAGAIN,
                };
                self.failed(cx, failure)
            }
            (Stage::Writing { running, failure, .. }, Event::Storage(outcome)) => {
                *running -= 1;
                if let Err(status) = outcome {
                    failure.get_or_insert_with(|| Failure::from(status));
                }
                self.go_on(cx)
            }
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }

    fn written(self, cx: &mut Context<'_>) -> Next {
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running flush keeps it");
        let batch = live.back.batch.take().expect("it is carried here");
        live.dynamic.finish(Some(VersionedLength {
            length: batch.extents.end(),
            truncate_ver: self.version,
        }));
        give_back(cx, batch.extents);
        wake_satisfied(cx, self.inode);
        self.next(cx)
    }

    /// Goes on with the next batch if someone wants it.
    fn next(self, cx: &mut Context<'_>) -> Next {
        let is_short = room::is_short(cx);
        let live = cx
            .state
            .inodes
            .live(self.inode)
            .expect("a running flush keeps it");
        let buffer = u64::from(cx.state.config.write_buf_bytes);
        let back = &live.back;
        if !back.pending.is_empty()
            && (is_short || !back.waiters.is_empty() || back.pending.bytes() >= buffer)
        {
            return Self::new(self.inode).start(cx);
        }
        self.end(cx)
    }

    fn end(self, cx: &mut Context<'_>) -> Next {
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running flush keeps it");
        live.back.state = FlushState::Idle;
        debug_assert!(live.back.waiters.is_empty(), "somebody waits for nothing");
        let is_empty = live.back.is_empty();
        cx.state.files.flushes -= 1;
        room::wake(cx);
        if is_empty {
            release::close_orphans(cx, self.inode);
        }
        Next::Done(Ok(Outcome::Done))
    }

    fn failed(self, cx: &mut Context<'_>, failure: Failure) -> Next {
        flyer_types::mark!("vfs.flush_failed");
        let tries_max = cx.state.config.flush_tries_max;
        let percent = cx.state.rng.range(50..=100);
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running flush keeps it");
        live.dynamic.hint = None;
        live.back.error = Some(failure.errno);
        let batch = live.back.batch.as_mut().expect("it is carried here");
        batch.tries += 1;
        let tries = batch.tries;
        if failure.passes && tries <= tries_max {
            let full = (BACKOFF_FIRST * (1 << (tries - 1).min(10))).min(BACKOFF_MAX);
            let at = cx.now + full / 100 * percent;
            if cx.state.files.timers.set(Timer::Retry(self.inode), at).is_ok() {
                live.back.state = FlushState::Backoff;
                let impatient = live.back.take_waiters(|waiter| waiter.patience == Patience::Once);
                for op in impatient {
                    cx.state.ready.push_back((op, Event::Asked(Err(failure.errno))));
                }
                return Next::Done(Err(failure.errno));
            }
        }
        self.give_up(cx, failure)
    }

    fn give_up(self, cx: &mut Context<'_>, failure: Failure) -> Next {
        flyer_types::mark!("vfs.flush_gave_up");
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running flush keeps it");
        live.back.state = FlushState::Failed;
        let batch = live.back.batch.as_mut().expect("it is carried here");
        batch.tries = 0;
        batch.is_refused = !failure.passes;
        if !core::mem::replace(&mut batch.is_told, true) {
            for id in &live.handles {
                let handle = cx.state.files.handles.get_mut(*id).expect("it is open");
                if handle.wrote {
                    handle.owed = Some(failure.errno);
                }
            }
        }
        for op in live.back.take_waiters(|_| true) {
            cx.state.ready.push_back((op, Event::Asked(Err(failure.errno))));
        }
        cx.state.files.flushes -= 1;
        room::wake(cx);
        drop_if_told(cx, self.inode);
        Next::Done(Err(failure.errno))
    }
}
