//! `lseek` for data and holes, by the chunks that exist.
//!
//! ```text
//!   write out, report ──► length old? ──► stat ──► chunks, window by window ──► offset
//! ```
//!
//! Limit: [`WINDOW`] chunks are asked for at a time.

use super::open::are_old;
use super::requests::{inode_in, stat};
use super::sync::Kind;
use super::tidy::{Tidied, Tidy, Wish};
use super::turn::Mode;
use super::write_back::Patience;
use super::{Next, Part, Plan, Work};
use crate::Reply;
use crate::request::Seek as Whence;
use crate::shard::{Context, Event};
use flyer_client::storage::{Outcome as Stored, Want};
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId};

/// Chunks asked for at a time.
const WINDOW: u64 = 4096;

#[derive(Debug)]
enum Stage {
    Begin,
    Tidying(Tidy),
    Asking,
    /// Everything before this offset is decided.
    Listing {
        at: u64,
    },
}

#[derive(Debug)]
pub(super) struct Seek {
    inode: InodeId,
    offset: u64,
    whence: Whence,
    stage: Stage,
}

pub(super) fn plan(cx: &Context<'_>, inode: InodeId, handle: HandleId, offset: u64, whence: Whence) -> Plan {
    if let Err(errno) = cx.state.files.handle(handle, inode) {
        return Plan::fail(errno);
    }
    let seek = Seek {
        inode,
        offset,
        whence,
        stage: Stage::Begin,
    };
    Plan::Work(Work::Seek(seek), Some(Mode::Shared))
}

impl Seek {
    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let wish = Wish {
            flush: Some(Patience::Lasting),
            sync: Some(Kind::News),
        };
        let part = Tidy::start(cx, self.inode, wish);
        self.tidied(cx, part)
    }

    fn tidied(mut self, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        let tidied = match part {
            Part::Wait(tidy) => {
                self.stage = Stage::Tidying(tidy);
                return Next::Wait(Work::Seek(self));
            }
            Part::Done(tidied) => tidied,
        };
        if let Err(errno) = tidied.flush {
            return Next::fail(errno);
        }
        if are_old(cx, self.inode, cx.user().attr_timeout) {
            let request = stat(cx, self.inode);
            cx.meta(request);
            self.stage = Stage::Asking;
            return Next::Wait(Work::Seek(self));
        }
        let at = self.offset;
        self.list(cx, at)
    }

    /// Asks which chunks there are from `at` on.
    fn list(mut self, cx: &mut Context<'_>, at: u64) -> Next {
        let Some(record) = cx.state.inodes.get(self.inode) else {
            return Next::fail(Errno::EBADF);
        };
        let length = record.length();
        if self.offset >= length {
            return Next::fail(Errno::ENXIO);
        }
        if at >= length {
            return match self.whence {
                Whence::Data => Next::fail(Errno::ENXIO),
                Whence::Hole => Next::reply(Reply::Offset(length)),
            };
        }
        let facts = record.facts().expect("only files are opened");
        let chunk = u64::from(facts.layout.chunk_size.max(1));
        let first = at / chunk;
        let last = length.div_ceil(chunk).min(first + WINDOW);
        let (Ok(from), Ok(to)) = (u32::try_from(first), u32::try_from(last)) else {
            // Beyond what a file may have.
            return Next::fail(Errno::ENXIO);
        };
        cx.storage(facts.view(self.inode), Want::Chunks { from, to });
        self.stage = Stage::Listing { at };
        Next::Wait(Work::Seek(self))
    }

    fn listed(self, cx: &mut Context<'_>, at: u64, chunks: &[(u32, u32)]) -> Next {
        let Some(record) = cx.state.inodes.get(self.inode) else {
            return Next::fail(Errno::EBADF);
        };
        let length = record.length();
        let facts = record.facts().expect("only files are opened");
        let chunk = u64::from(facts.layout.chunk_size.max(1));
        let mut at = at;
        for (index, bytes) in chunks {
            let start = u64::from(*index) * chunk;
            let end = (start + u64::from(*bytes)).min(length);
            if end <= at {
                continue;
            }
            match self.whence {
                Whence::Data => return Next::reply(Reply::Offset(at.max(start))),
                Whence::Hole if start > at => return Next::reply(Reply::Offset(at)),
                Whence::Hole => at = end,
            }
        }
        let window_end = (self.window_start(at, chunk) + WINDOW) * chunk;
        match self.whence {
            Whence::Hole if at < length.min(window_end) => Next::reply(Reply::Offset(at)),
            Whence::Hole => self.list(cx, at),
            Whence::Data => self.list(cx, window_end.min(length)),
        }
    }

    /// The first chunk of the window that was asked for.
    fn window_start(&self, at: u64, chunk: u64) -> u64 {
        match self.stage {
            Stage::Listing { at } => at / chunk,
            Stage::Begin | Stage::Tidying(_) | Stage::Asking => at / chunk,
        }
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        match (core::mem::replace(&mut self.stage, Stage::Begin), event) {
            (Stage::Tidying(tidy), event) => {
                let part = tidy.step(cx, event);
                self.tidied(cx, part)
            }
            (Stage::Asking, event @ Event::Meta(_)) => {
                if let Ok(inode) = inode_in(event) {
                    cx.state.inodes.learn(cx.now, &inode);
                }
                let at = self.offset;
                self.list(cx, at)
            }
            (Stage::Listing { at }, Event::Storage(Ok(Stored::Chunks(chunks)))) => {
                self.stage = Stage::Listing { at };
                self.listed(cx, at, &chunks)
            }
            (Stage::Listing { .. }, Event::Storage(_)) => Next::fail(Errno::EIO),
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }
}
