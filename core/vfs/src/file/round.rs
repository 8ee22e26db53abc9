//! Over many inodes: the regular round over what is dirty, and the end of the mount.
//!
//! ```text
//!   list ──► ask for as many as there are workers ──► one is done: ask for the next ──► … ──► all are done
//! ```
//!
//! Limits: `limit` inodes in a round, `workers` at a time; the next round goes on behind the last inode of this one. A shutdown has no
//! limit of inodes and the same of workers.

use super::state::plan_round;
use super::{Next, Plan, Task, Work};
use crate::Reply;
use crate::shard::{Context, Event, Outcome};
use alloc::vec::Vec;
use core::ops::Bound;
use flyer_types::Errno;
use flyer_types::ids::InodeId;

#[derive(Debug)]
pub(super) struct Round {
    /// Not yet asked for, the next one last.
    left: Vec<InodeId>,
    running: usize,
    is_end: bool,
    error: Option<Errno>,
}

/// The regular round.
pub(super) fn regular(cx: &mut Context<'_>) -> Plan {
    let options = cx.state.config.periodic_sync;
    let files = &mut cx.state.files;
    let mut left: Vec<InodeId> = Vec::new();
    if options.enable {
        let after = files.round_end.map_or(Bound::Unbounded, Bound::Excluded);
        left.extend(files.dirty.range((after, Bound::Unbounded)));
        if let Some(end) = files.round_end {
            left.extend(files.dirty.range(..=end));
        }
    }
    let is_cut = left.len() > options.limit;
    left.truncate(options.limit);
    files.round_end = left.last().copied().filter(|_| is_cut);
    left.reverse();
    Plan::Work(
        Work::Round(Round {
            left,
            running: 0,
            is_end: false,
            error: None,
        }),
        None,
    )
}

/// The end.
pub(super) fn shutdown(cx: &Context<'_>) -> Plan {
    let mut left: Vec<_> = cx.state.inodes.all_live().map(|(inode, _)| inode).collect();
    left.reverse();
    Plan::Work(
        Work::Round(Round {
            left,
            running: 0,
            is_end: true,
            error: None,
        }),
        None,
    )
}

impl Round {
    pub(super) fn start(mut self, cx: &mut Context<'_>) -> Next {
        let workers = cx.state.config.periodic_sync.workers.max(1);
        while self.running < workers
            && let Some(inode) = self.left.pop()
        {
            self.running += 1;
            let task = if self.is_end {
                Task::Finish(inode)
            } else {
                Task::Tidy(inode)
            };
            cx.ask(crate::shard::Task::File(task));
        }
        if self.running > 0 {
            return Next::Wait(Work::Round(self));
        }
        if !self.is_end {
            cx.state.files.round_runs = false;
            plan_round(cx.state, cx.now);
            return Next::Done(Ok(Outcome::Done));
        }
        Next::Done(self.error.map_or_else(|| Ok(Reply::Done.into()), Err))
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        let Event::Asked(outcome) = event else {
            unreachable!("it waits for what it has asked for");
        };
        self.running -= 1;
        if let Err(errno) = outcome {
            self.error.get_or_insert(errno);
        }
        self.start(cx)
    }
}
