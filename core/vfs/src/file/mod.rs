//! Operations on the content and the attributes of inodes.

use crate::shard::{Context, Event, State, Step};
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Reason, Time};

/// What shards ask each other or themselves about files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Write everything out and close everything.
    Shutdown,
}

impl Task {
    pub(crate) fn inode(&self) -> InodeId {
        match self {
            Self::Shutdown => InodeId::ROOT,
        }
    }
}

/// What a shard keeps for files.
#[derive(Debug)]
pub(crate) struct Files {}

impl Files {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn poll_timeout(&self) -> Option<(Time, Reason)> {
        None
    }

    pub(crate) fn check(&self) {}
}

/// Op machines of this module.
#[derive(Debug)]
pub(crate) enum Op {}

/// Whether a task belongs to this module.
pub(crate) fn takes(task: &crate::shard::Task) -> bool {
    matches!(task, crate::shard::Task::File(_))
}

/// The first step.
pub(crate) fn begin(_cx: &mut Context<'_>, _task: crate::shard::Task) -> Step {
    Step::fail(Errno::EIO)
}

/// The regular work that is due.
pub(crate) fn wake(_state: &mut State, _now: Time) -> Vec<Task> {
    Vec::new()
}

impl Op {
    pub(crate) fn step(self, _cx: &mut Context<'_>, _event: Event) -> Step {
        match self {}
    }
}
