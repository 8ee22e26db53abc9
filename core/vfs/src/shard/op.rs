//! The vocabulary of op machines: one for each request of the kernel, and some of the mount's own.
//!
//! ```text
//!            begin                      step                          step
//!   Task ───────────► waits for ──────────────► waits for ──────► … ─────────► Outcome
//!                     a server, a shard,
//!                     a lock, room
//! ```
//!
//! An op machine is consumed by each step and is handed back if it goes on waiting. It waits for exactly one [`Event`] at a time,
//! unless it says otherwise itself.

use super::context::Context;
use crate::reply::{Attributes, Opened, Reply};
use crate::request::Request;
use crate::{file, name};
use alloc::boxed::Box;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Errno, Status};
use flyer_wire::msg::meta::inode::Inode;

/// What an op machine is made for.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "tasks are moved a few times and never kept"
)]
pub(crate) enum Task {
    /// A request of the kernel.
    Kernel(Request),
    /// The kernel is about to be told of this inode: count a reference, answer with its entry.
    Enter(Box<Inode>),
    /// The same for a file that was just made and opened, with the session it was opened with.
    EnterCreated {
        inode: Box<Inode>,
        session: Uuid,
        flags: u32,
        /// The file was there already and has to be cut to nothing first.
        truncate: bool,
    },
    /// The same for several inodes of one shard, asked by a directory listing. Outcome: entered.
    EnterMany(Vec<Inode>),
    /// A name of this inode is about to be removed: make sure that it stays readable where it is open. Outcome: done.
    Pin(InodeId),
    /// A name of this inode was removed or added; attributes known of it are outdated.
    Changed(InodeId),
    /// A task of `file`.
    File(file::Task),
}

impl Task {
    /// The inode whose shard carries it out.
    pub(crate) fn inode(&self) -> InodeId {
        match self {
            Self::Kernel(request) => request.inode(),
            Self::Enter(inode) | Self::EnterCreated { inode, .. } => inode.id,
            Self::EnterMany(inodes) => inodes.first().map_or(InodeId::ROOT, |inode| inode.id),
            Self::Pin(inode) | Self::Changed(inode) => *inode,
            Self::File(task) => task.inode(),
        }
    }
}

/// What came of a task.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The answer to the kernel.
    Reply(Reply),
    /// Nothing to say to another shard.
    Done,
    /// Attributes in the order of [`Task::EnterMany`].
    Entered(Vec<Attributes>),
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Opened> for Outcome {
    fn from(opened: Opened) -> Self {
        Self::Reply(Reply::Opened(opened))
    }
}

/// What an op machine waited for.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "events are moved once and never kept")]
pub(crate) enum Event {
    /// A metadata server said, in the end.
    Meta(Result<flyer_wire::service::meta::Response, Status>),
    /// The storage client is done.
    Storage(Result<flyer_client::storage::Outcome, Status>),
    /// Another shard (or this one) carried out the task that the machine had asked for.
    Asked(Result<Outcome, Errno>),
    /// Something of this shard that it had queued for is ready: its turn at an inode, room in the buffers.
    Turn,
}

/// What a step leads to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "steps are moved once and never kept")]
pub(crate) enum Step {
    /// The machine waits.
    Wait(Op),
    /// It has come to its end.
    Done(Result<Outcome, Errno>),
    /// Another task, of the shard of its inode, takes its place and answers for it.
    Become(Task),
}

impl Step {
    /// The end, well.
    pub(crate) fn reply(reply: Reply) -> Self {
        Self::Done(Ok(Outcome::Reply(reply)))
    }

    /// The end, badly.
    pub(crate) const fn fail(errno: Errno) -> Self {
        Self::Done(Err(errno))
    }
}

/// An op machine.
#[derive(Debug)]
pub(crate) enum Op {
    /// On content and attributes.
    File(file::Op),
    /// On names.
    Name(name::Op),
}

impl Op {
    /// The first step.
    pub(crate) fn begin(cx: &mut Context<'_>, task: Task) -> Step {
        if file::takes(&task) {
            file::begin(cx, task)
        } else {
            name::begin(cx, task)
        }
    }

    /// Every other step.
    pub(crate) fn step(self, cx: &mut Context<'_>, event: Event) -> Step {
        match self {
            Self::File(op) => op.step(cx, event),
            Self::Name(op) => op.step(cx, event),
        }
    }
}
