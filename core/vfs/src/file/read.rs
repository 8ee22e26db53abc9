//! `read`: what is buffered of the range is written out first, then the storage is read up to the length of the file.
//!
//! ```text
//!   buffered bytes in the range? ──► flush ──► beyond the known length, and that is old? ──► stat
//!                                                          └──► storage ──► data
//! ```

use super::open::are_old;
use super::requests::{inode_in, stat};
use super::turn::Mode;
use super::write_back::Patience;
use super::{Next, Plan, Work, flush};
use crate::Reply;
use crate::shard::{Context, Event};
use flyer_client::storage::Want;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Lease, Span, WallTime};

/// After so long an access is noted even if nothing was modified since the last one that was.
const ATIME_AGE_US: i64 = 24 * 3600 * 1_000_000;

#[derive(Debug)]
enum Stage {
    Begin,
    Flushing,
    Asking,
    Reading(Lease),
}

#[derive(Debug)]
pub(super) struct Read {
    inode: InodeId,
    offset: u64,
    into: Lease,
    /// After this the known length is not believed.
    age_max: Span,
    stage: Stage,
}

pub(super) fn plan(cx: &Context<'_>, inode: InodeId, handle: HandleId, offset: u64, into: Lease) -> Plan {
    let handle = match cx.state.files.handle(handle, inode) {
        Ok(handle) if handle.reads => handle,
        Ok(_) | Err(_) => return Plan::fail(Errno::EBADF),
    };
    if cx.user().dryrun_bench_mode {
        return Plan::Answer(Ok(Reply::Data(into).into()));
    }
    let read = Read {
        inode,
        offset,
        into,
        // Pages are read past the end all the time; who reads without them wants to know.
        age_max: if handle.is_direct {
            Span::ZERO
        } else {
            cx.user().attr_timeout
        },
        stage: Stage::Begin,
    };
    Plan::Work(Work::Read(read), Some(Mode::Shared))
}

impl Read {
    fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.into.len))
    }

    fn is_buffered(&self, cx: &Context<'_>) -> bool {
        (cx.state.inodes.live(self.inode)).is_some_and(|live| live.back.overlaps(self.offset, self.end()))
    }

    pub(super) fn start(mut self, cx: &mut Context<'_>) -> Next {
        if self.is_buffered(cx) {
            return match flush::want(cx, self.inode, Patience::Lasting) {
                Ok(true) => {
                    self.stage = Stage::Flushing;
                    Next::Wait(Work::Read(self))
                }
                Ok(false) => unreachable!("bytes wait"),
                Err(errno) => Next::fail(errno),
            };
        }
        self.measure(cx)
    }

    fn measure(mut self, cx: &mut Context<'_>) -> Next {
        let length = cx
            .state
            .inodes
            .get(self.inode)
            .map_or(0, |record| record.length());
        if self.end() > length && are_old(cx, self.inode, self.age_max) {
            let request = stat(cx, self.inode);
            cx.meta(request);
            self.stage = Stage::Asking;
            return Next::Wait(Work::Read(self));
        }
        self.read(cx)
    }

    fn read(mut self, cx: &mut Context<'_>) -> Next {
        note_access(cx, self.inode);
        let Some(record) = cx.state.inodes.get(self.inode) else {
            return Next::fail(Errno::EBADF);
        };
        let left = record.length().saturating_sub(self.offset);
        let len = u32::try_from(left).unwrap_or(u32::MAX).min(self.into.len);
        let into = self.into.slice(0, len).expect("it is not longer");
        if into.is_empty() {
            return Next::reply(Reply::Data(into));
        }
        let view = record.facts().expect("only files are opened").view(self.inode);
        let offset = self.offset;
        cx.storage(view, Want::Read { offset, into });
        self.stage = Stage::Reading(into);
        Next::Wait(Work::Read(self))
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Next {
        match (&self.stage, event) {
            (Stage::Flushing, Event::Asked(outcome)) => {
                if outcome.is_err() && self.is_buffered(cx) {
                    flyer_types::mark!("vfs.read_of_unwritten_bytes");
                    return Next::fail(Errno::EIO);
                }
                self.measure(cx)
            }
            (Stage::Asking, event @ Event::Meta(_)) => {
                // What is known has to do if the server does not answer.
                if let Ok(inode) = inode_in(event) {
                    cx.state.inodes.learn(cx.now, &inode);
                }
                self.read(cx)
            }
            (Stage::Reading(into), Event::Storage(Ok(_))) => Next::reply(Reply::Data(*into)),
            (Stage::Reading(_), Event::Storage(Err(_))) => Next::fail(Errno::EIO),
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }
}

/// Notes an access if it is the first since a modification, or since a day.
fn note_access(cx: &mut Context<'_>, inode: InodeId) {
    let wall = cx.wall();
    let Some(last) = cx.state.inodes.facts(inode).map(|facts| facts.last) else {
        return;
    };
    let Some(live) = cx
        .state
        .inodes
        .live_mut(inode)
        .filter(|live| live.dynamic.atime.is_none())
    else {
        return;
    };
    let modified = last.mtime.max(last.ctime);
    let is_old = WallTime::from_us(last.atime.us.saturating_add(ATIME_AGE_US)) <= wall;
    if last.atime <= modified || is_old {
        live.dynamic.atime = Some(wall);
    }
}
