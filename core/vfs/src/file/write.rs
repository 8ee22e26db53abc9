//! `write`: into the buffer and answered at once, or through to the storage.
//!
//! ```text
//!   turn (alone, to append) ──► set-id bits dropped ──► buffered ──► room ──► accepted
//!        │                                         └──► through ──► older bytes of the range flushed ──► chains ──► storage
//!        └─ to append: nothing unreported here? exact length first
//! ```
//!
//! An error that a flush has left for the handle is reported here before anything is accepted. To append is exact among all handles of
//! this mount. Among hosts it is as exact as the last time that nothing was unreported here: only servers could do better.

use super::cut::check_length;
use super::extents::{EXTENTS_MAX, Placed};
use super::requests::{inode_in, set_attr};
use super::sync::Kind;
use super::tidy::{Tidied, Tidy, Wish};
use super::turn::Mode;
use super::write_back::Patience;
use super::{Next, Part, Plan, Task, Work, flush, room, state};
use crate::Reply;
use crate::reply::Invalidate;
use crate::shard::{Context, Effect, Event};
use flyer_client::storage::Want;
use flyer_types::ids::{HandleId, InodeId, Permission, Uid};
use flyer_types::{Errno, Lease, LeaseId, Segments};
use flyer_wire::msg::meta::call::VersionedLength;

const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;

/// What is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) inode: InodeId,
    pub(super) handle: HandleId,
    pub(super) offset: u64,
    pub(super) data: Lease,
    /// Bytes of the memory from the beginning of the data.
    pub(super) room: u32,
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// Set-id bits are being dropped.
    Stripping,
    Measuring(Tidy),
    /// Older bytes have to go first.
    Flushing,
    Room,
    Extending,
    Writing {
        version: u64,
    },
}

#[derive(Debug)]
pub(super) struct Write {
    job: Job,
    appends: bool,
    is_direct: bool,
    /// Where the kernel believes that it writes.
    asked: u64,
    stage: Stage,
}

pub(super) fn plan(cx: &mut Context<'_>, job: Job) -> Plan {
    let refusal = match cx.state.files.handle(job.handle, job.inode) {
        Ok(handle) if handle.writes => None,
        Ok(_) | Err(_) => Some(Err(Errno::EBADF)),
    };
    let refusal = refusal.or_else(|| {
        let user = cx.user();
        if user.readonly {
            return Some(Err(Errno::EROFS));
        }
        (user.dryrun_bench_mode || job.data.is_empty()).then(|| Ok(Reply::Written(job.data.len).into()))
    });
    if let Some(outcome) = refusal {
        cx.free(job.data.id);
        return Plan::Answer(outcome);
    }
    let handle = (cx.state.files.handle(job.handle, job.inode)).expect("it was looked up");
    let write = Write {
        job,
        appends: handle.appends,
        is_direct: handle.is_direct || cx.state.config.write_buf_bytes == 0,
        asked: job.offset,
        stage: Stage::Begin,
    };
    let mode = if write.appends { Mode::Alone } else { Mode::Shared };
    Plan::Work(Work::Write(write), Some(mode))
}

impl Write {
    pub(super) const fn memory(&self) -> LeaseId {
        self.job.data.id
    }

    fn fail(self, cx: &mut Context<'_>, errno: Errno) -> Next {
        cx.free(self.memory());
        Next::fail(errno)
    }

    fn wait(mut self, stage: Stage) -> Next {
        self.stage = stage;
        Next::Wait(Work::Write(self))
    }

    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let (inode, caller) = (self.job.inode, cx.caller);
        // The handle may have been closed while this waited for its turn.
        let owed = match cx.state.files.handle_mut(self.job.handle, inode) {
            Ok(handle) => handle.owed.take(),
            Err(errno) => return self.fail(cx, errno),
        };
        if let Some(errno) = owed {
            flush::drop_if_told(cx, inode);
            return self.fail(cx, errno);
        }
        let permission = cx
            .state
            .inodes
            .facts(inode)
            .map_or(0, |facts| facts.last.permission.0);
        let cleared = set_id_bits(permission);
        if cleared != 0 && caller.uid != Uid(0) {
            let mut request = set_attr(cx, inode);
            request.perm = Some(Permission(permission & !cleared));
            cx.meta(request);
            return self.wait(Stage::Stripping);
        }
        self.measure(cx)
    }

    /// Finds out where to append.
    fn measure(self, cx: &mut Context<'_>) -> Next {
        if !self.appends {
            return self.check(cx);
        }
        let inode = self.job.inode;
        let is_known = (cx.state.inodes.live(inode))
            .is_some_and(|live| !live.back.is_empty() || live.dynamic.written > live.dynamic.fsynced);
        if is_known {
            return self.place(cx);
        }
        let wish = Wish {
            flush: None,
            sync: Some(Kind::Forced),
        };
        let part = Tidy::start(cx, inode, wish);
        self.measured(cx, part)
    }

    fn measured(self, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        match part {
            Part::Wait(tidy) => self.wait(Stage::Measuring(tidy)),
            Part::Done(tidied) => match tidied.error() {
                None => self.place(cx),
                Some(errno) => self.fail(cx, errno),
            },
        }
    }

    fn place(mut self, cx: &mut Context<'_>) -> Next {
        self.job.offset = cx
            .state
            .inodes
            .get(self.job.inode)
            .map_or(0, |record| record.length());
        self.check(cx)
    }

    /// Cuts the data at the longest file.
    fn check(mut self, cx: &mut Context<'_>) -> Next {
        let job = &mut self.job;
        let end = job.offset.saturating_add(u64::from(job.data.len));
        if check_length(cx, job.inode, end).is_err() {
            let Some(facts) = cx.state.inodes.facts(job.inode) else {
                return self.fail(cx, Errno::EBADF);
            };
            let left = facts.length_max().saturating_sub(job.offset);
            let len = u32::try_from(left).unwrap_or(u32::MAX).min(job.data.len);
            if len == 0 {
                return self.fail(cx, Errno::EFBIG);
            }
            job.data = job.data.slice(0, len).expect("it is not longer");
        }
        self.dispatch(cx)
    }

    fn dispatch(self, cx: &mut Context<'_>) -> Next {
        let Job {
            inode, offset, data, ..
        } = self.job;
        let Some(live) = cx.state.inodes.live(inode) else {
            return self.fail(cx, Errno::EBADF);
        };
        let end = offset + u64::from(data.len);
        let must_flush = if self.is_direct {
            live.back.overlaps(offset, end)
        } else {
            live.back.pending.len() >= EXTENTS_MAX
        };
        if must_flush {
            return match flush::want(cx, inode, Patience::Lasting) {
                Ok(true) => self.wait(Stage::Flushing),
                Ok(false) => unreachable!("bytes wait"),
                Err(errno) => self.fail(cx, errno),
            };
        }
        if self.is_direct {
            return self.extend(cx);
        }
        let cost = live.back.pending.cost(offset, data, self.job.room);
        match room::ask(cx, inode, cost) {
            room::Room::Granted => self.accept(cx),
            room::Room::Later => self.wait(Stage::Room),
            room::Room::Refused(errno) => self.fail(cx, errno),
        }
    }

    /// The buffer takes the bytes.
    fn accept(self, cx: &mut Context<'_>) -> Next {
        let Job {
            inode,
            offset,
            data,
            room,
            ..
        } = self.job;
        let (wall, caller) = (cx.wall(), cx.caller);
        let live = cx
            .state
            .inodes
            .live_mut(inode)
            .expect("who has a turn keeps it alive");
        let placed = live.back.pending.put(offset, data, room);
        live.dynamic.end = live.dynamic.end.max(offset + u64::from(data.len));
        live.dynamic.mtime = Some(wall);
        live.writer = caller;
        if live.back.stamp.is_none() {
            cx.state.files.stamps += 1;
            live.back.stamp = Some(cx.state.files.stamps);
            cx.state.files.order.insert(cx.state.files.stamps, inode);
        }
        let is_full = live.back.pending.bytes() >= u64::from(cx.state.config.write_buf_bytes);
        match placed {
            Placed::Adopted(held) => cx.state.files.held += held,
            Placed::Copied(to) => {
                cx.state.effects.push(Effect::Copy { from: data, to });
                cx.free(data.id);
            }
        }
        if is_full {
            flush::start(cx, inode);
        }
        if room::is_short(cx) {
            room::flush_oldest(cx);
        }
        self.answer(cx)
    }

    fn extend(self, cx: &mut Context<'_>) -> Next {
        let inode = self.job.inode;
        let end = self.job.offset + u64::from(self.job.data.len);
        let facts = cx.state.inodes.facts(inode);
        if facts.is_some_and(|facts| facts.stripe_wanted(end).is_some()) {
            cx.ask(crate::shard::Task::File(Task::Extend { inode, end }));
            return self.wait(Stage::Extending);
        }
        self.write(cx)
    }

    fn write(self, cx: &mut Context<'_>) -> Next {
        let Some(facts) = cx.state.inodes.facts(self.job.inode) else {
            return self.fail(cx, Errno::EBADF);
        };
        let (view, version) = (facts.view(self.job.inode), facts.truncate_ver);
        let want = Want::Write {
            offset: self.job.offset,
            from: Segments::from(self.job.data),
        };
        cx.storage(view, want);
        self.wait(Stage::Writing { version })
    }

    /// The storage has the bytes, or has not.
    fn written(self, cx: &mut Context<'_>, version: u64, failure: Option<Errno>) -> Next {
        let (wall, caller) = (cx.wall(), cx.caller);
        let end = self.job.offset + u64::from(self.job.data.len);
        let live = cx
            .state
            .inodes
            .live_mut(self.job.inode)
            .expect("who has a turn keeps it alive");
        live.dynamic.mtime = Some(wall);
        live.writer = caller;
        if let Some(errno) = failure {
            live.dynamic.finish(None);
            return self.fail(cx, errno);
        }
        live.dynamic.end = live.dynamic.end.max(end);
        live.dynamic.finish(Some(VersionedLength {
            length: end,
            truncate_ver: version,
        }));
        cx.free(self.memory());
        self.answer(cx)
    }

    fn answer(self, cx: &mut Context<'_>) -> Next {
        let Job {
            inode, offset, data, ..
        } = self.job;
        if let Ok(handle) = cx.state.files.handle_mut(self.job.handle, inode) {
            handle.wrote = true;
        }
        if offset != self.asked {
            // The kernel has put the bytes in another place of its cache.
            let pages = Some((offset.min(self.asked), 0));
            cx.invalidate(Invalidate::Inode { inode, pages });
        }
        state::settle(cx.state, cx.now, inode);
        Next::reply(Reply::Written(data.len))
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        match (core::mem::replace(&mut self.stage, Stage::Begin), event) {
            (Stage::Stripping, event @ Event::Meta(_)) => {
                // A refusal does no harm: the server drops the bits of a file that somebody else writes.
                if let Ok(inode) = inode_in(event) {
                    cx.state.inodes.learn(cx.now, &inode);
                }
                self.measure(cx)
            }
            (Stage::Measuring(tidy), event) => {
                let part = tidy.step(cx, event);
                self.measured(cx, part)
            }
            (Stage::Flushing, Event::Asked(Ok(_))) => self.dispatch(cx),
            (Stage::Flushing, Event::Asked(Err(errno))) => {
                self.told(cx);
                self.fail(cx, errno)
            }
            (Stage::Room, Event::Turn) => self.dispatch(cx),
            (Stage::Extending, Event::Asked(Ok(_))) => self.write(cx),
            (Stage::Extending, Event::Asked(Err(errno))) => self.fail(cx, flush::write_errno(errno)),
            (Stage::Writing { version }, Event::Storage(outcome)) => {
                let failure = outcome.err().map(|status| flush::write_errno(status.errno()));
                self.written(cx, version, failure)
            }
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }

    /// The handle hears of a failure by the failure of this write.
    fn told(&self, cx: &mut Context<'_>) {
        if let Ok(handle) = cx.state.files.handle_mut(self.job.handle, self.job.inode) {
            handle.owed = None;
        }
        flush::drop_if_told(cx, self.job.inode);
    }
}

/// Bits that POSIX drops when somebody writes: set-user-id, and set-group-id of what the group may run.
const fn set_id_bits(permission: u32) -> u32 {
    let group = if permission & S_IXGRP != 0 { S_ISGID } else { 0 };
    permission & (S_ISUID | group)
}
