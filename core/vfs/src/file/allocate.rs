//! `fallocate` and holes.
//!
//! ```text
//!   turn, alone ──► write out ──► punch each range ──► cut (to a longer length) ──► pages forgotten ──► done
//!                                  (if asked for)       (if asked for)
//! ```

use super::cut::{Cut, Cutted, check_length};
use super::turn::Mode;
use super::write_back::Patience;
use super::{Next, Part, Plan, Work, flush};
use crate::Reply;
use crate::inode::NO_NEWS;
use crate::reply::Invalidate;
use crate::shard::{Context, Event};
use alloc::vec;
use alloc::vec::Vec;
use flyer_client::storage::Want;
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId};

const KEEP_SIZE: u32 = 0x1;
const PUNCH_HOLE: u32 = 0x2;
const ZERO_RANGE: u32 = 0x10;

#[derive(Debug)]
enum Stage {
    Begin,
    Flushing,
    Punching,
    Cutting(Cut),
}

#[derive(Debug)]
pub(super) struct Allocate {
    inode: InodeId,
    /// Ranges (offset, length) to make zero, the next one last.
    ranges: Vec<(u64, u64)>,
    /// The file has to be so long at least.
    grow_to: u64,
    /// Pages to be forgotten: from there on.
    changed_from: Option<u64>,
    stage: Stage,
}

pub(super) fn plan(
    cx: &Context<'_>,
    inode: InodeId,
    handle: HandleId,
    (offset, length): (u64, u64),
    mode: u32,
) -> Plan {
    if let Err(errno) = check(cx, inode, handle) {
        return Plan::fail(errno);
    }
    let Some(end) = offset.checked_add(length).filter(|_| length > 0) else {
        return Plan::fail(Errno::EINVAL);
    };
    let keeps = mode & KEEP_SIZE != 0;
    let zeros = match mode & !KEEP_SIZE {
        0 => false,
        PUNCH_HOLE if keeps => true,
        ZERO_RANGE => true,
        _ => return Plan::fail(Errno::EOPNOTSUPP),
    };
    if !keeps && let Err(errno) = check_length(cx, inode, end) {
        return Plan::fail(errno);
    }
    if keeps && !zeros {
        // Space is not reserved here, and asking for it is only advice then.
        return Plan::Answer(Ok(Reply::Done.into()));
    }
    let ranges = if zeros { vec![(offset, length)] } else { Vec::new() };
    Allocate::plan(inode, ranges, if keeps { 0 } else { end })
}

/// For an ioctl.
pub(super) fn punch(cx: &Context<'_>, inode: InodeId, handle: HandleId, ranges: Vec<(u64, u64)>) -> Plan {
    if let Err(errno) = check(cx, inode, handle) {
        return Plan::fail(errno);
    }
    if ranges
        .iter()
        .any(|(offset, length)| offset.checked_add(*length).is_none())
    {
        return Plan::fail(Errno::EINVAL);
    }
    Allocate::plan(inode, ranges, 0)
}

fn check(cx: &Context<'_>, inode: InodeId, handle: HandleId) -> Result<(), Errno> {
    if !cx.state.files.handle(handle, inode)?.writes {
        return Err(Errno::EBADF);
    }
    if cx.user().readonly {
        return Err(Errno::EROFS);
    }
    Ok(())
}

impl Allocate {
    fn plan(inode: InodeId, mut ranges: Vec<(u64, u64)>, grow_to: u64) -> Plan {
        ranges.reverse();
        let allocate = Self {
            inode,
            changed_from: ranges.iter().map(|(offset, _)| *offset).min(),
            ranges,
            grow_to,
            stage: Stage::Begin,
        };
        Plan::Work(Work::Allocate(allocate), Some(Mode::Alone))
    }

    pub(super) fn start(mut self, cx: &mut Context<'_>) -> Next {
        match flush::want(cx, self.inode, Patience::Lasting) {
            Ok(true) => {
                self.stage = Stage::Flushing;
                Next::Wait(Work::Allocate(self))
            }
            Ok(false) => self.punch(cx),
            Err(errno) => Next::fail(errno),
        }
    }

    fn punch(mut self, cx: &mut Context<'_>) -> Next {
        let Some(record) = cx.state.inodes.get(self.inode) else {
            return Next::fail(Errno::EBADF);
        };
        let file_length = record.length();
        while let Some((offset, length)) = self.ranges.pop() {
            let length = length.min(file_length.saturating_sub(offset));
            if length == 0 {
                continue;
            }
            let view = record.facts().expect("only files are opened").view(self.inode);
            let want = Want::Punch {
                offset,
                length,
                file_length,
            };
            cx.storage(view, want);
            self.stage = Stage::Punching;
            return Next::Wait(Work::Allocate(self));
        }
        self.grow(cx)
    }

    fn grow(self, cx: &mut Context<'_>) -> Next {
        let length = cx
            .state
            .inodes
            .get(self.inode)
            .map_or(0, |record| record.length());
        if self.grow_to <= length {
            return self.finish(cx, Ok(()));
        }
        let part = Cut::start(cx, self.inode, self.grow_to);
        self.cutted(cx, part)
    }

    fn cutted(mut self, cx: &mut Context<'_>, part: Part<Cut, Cutted>) -> Next {
        match part {
            Part::Wait(cut) => {
                self.stage = Stage::Cutting(cut);
                Next::Wait(Work::Allocate(self))
            }
            Part::Done(cutted) => self.finish(cx, cutted.map(|_| ())),
        }
    }

    fn finish(self, cx: &mut Context<'_>, result: Result<(), Errno>) -> Next {
        let inode = self.inode;
        if let Some(from) = self.changed_from {
            let pages = Some((from, 0));
            cx.invalidate(Invalidate::Inode { inode, pages });
        }
        Next::Done(result.map(|()| Reply::Done.into()))
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        match (core::mem::replace(&mut self.stage, Stage::Begin), event) {
            (Stage::Flushing, Event::Asked(Ok(_))) => self.punch(cx),
            (Stage::Flushing, Event::Asked(Err(errno))) => Next::fail(errno),
            (Stage::Punching, Event::Storage(outcome)) => {
                let wall = cx.wall();
                if let Some(live) = cx.state.inodes.live_mut(self.inode) {
                    // The content has changed, the length has not.
                    live.dynamic.finish(NO_NEWS);
                    live.dynamic.mtime = Some(wall);
                }
                match outcome {
                    Ok(_) => self.punch(cx),
                    Err(status) => self.finish(cx, Err(flush::write_errno(status.errno()))),
                }
            }
            (Stage::Cutting(cut), event) => {
                let part = cut.step(cx, event);
                self.cutted(cx, part)
            }
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }
}
