//! Operations on names, directories and the virtual tree.

use crate::shard::{Context, Event, Step, Task};
use flyer_types::Errno;

/// What a shard keeps for names.
#[derive(Debug)]
pub(crate) struct Names {}

impl Names {
    pub(crate) fn new() -> Self {
        Self {}
    }

    pub(crate) fn check(&self) {}
}

/// Op machines of this module.
#[derive(Debug)]
pub(crate) enum Op {}

/// The first step.
pub(crate) fn begin(_cx: &mut Context<'_>, _task: Task) -> Step {
    Step::fail(Errno::EIO)
}

impl Op {
    pub(crate) fn step(self, _cx: &mut Context<'_>, _event: Event) -> Step {
        match self {}
    }
}
