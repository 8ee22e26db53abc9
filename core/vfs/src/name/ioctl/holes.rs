//! The ioctl that makes holes.
//!
//! ```text
//!   ranges ──► stat ─ not a file, immutable, not at chunk boundaries ──► refused
//!                └──► the file's shard ──► answer
//! ```
//!
//! The shard checks that the handle may write, writes out what is buffered, keeps the length, and makes the kernel forget the pages.
//!
//! Limits: `PUNCH_HOLE_RANGES_MAX` ranges.

use super::args::ranges;
use crate::file;
use crate::name::calls::{of, stat};
use crate::name::rules::{Ending, check_writable, errno, response};
use crate::name::{Op, wait};
use crate::shard::{Context, Event, Step, Task};
use alloc::vec::Vec;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Text};
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::{Inode, InodeKind};

/// Holes to be made.
#[derive(Debug)]
pub(crate) struct Holes {
    inode: InodeId,
    handle: HandleId,
    /// From start to end.
    ranges: Vec<(u64, u64)>,
    asked: bool,
}

impl Holes {
    pub(super) fn begin(
        cx: &mut Context<'_>,
        inode: InodeId,
        handle: HandleId,
        input: &Text,
    ) -> Result<Step, Errno> {
        check_writable(cx)?;
        let ranges = ranges(input.as_bytes())?;
        stat(cx, of(inode));
        Ok(wait(Op::Holes(Self {
            inode,
            handle,
            ranges,
            asked: false,
        })))
    }

    pub(in crate::name) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        if self.asked {
            return match event {
                Event::Asked(result) => result.map(|_| Ending::of_ioctl([]).step(cx)),
                Event::Meta(_) | Event::Storage(_) | Event::Turn => {
                    unreachable!("the ioctl waits for the inode's shard")
                }
            };
        }
        let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
        self.check(&found)?;
        let lengths = self.ranges.drain(..).map(|(start, end)| (start, end - start));
        let ranges: Vec<_> = lengths.filter(|(_, length)| *length > 0).collect();
        cx.ask(Task::File(file::Task::Punch {
            inode: self.inode,
            handle: self.handle,
            ranges,
        }));
        self.asked = true;
        Ok(wait(Op::Holes(self)))
    }

    fn check(&self, inode: &Inode) -> Result<(), Errno> {
        let InodeKind::File(file) = &inode.base.kind else {
            return Err(Errno::EINVAL);
        };
        if inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
            return Err(Errno::EPERM);
        }
        let chunk = u64::from(file.layout.chunk_size);
        let at_boundaries = |(start, end): &(u64, u64)| {
            start.checked_rem(chunk) == Some(0) && end.checked_rem(chunk) == Some(0)
        };
        if !self.ranges.iter().all(at_boundaries) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }
}
