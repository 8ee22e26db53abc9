//! Operations on the content and the attributes of inodes.
//!
//! Owner: a shard.
//!
//! ```text
//!   task ──► turn at the inode, if the operation needs one ──► start ──► event, step, … ──► outcome
//!                 (shared, or alone)                                                          │
//!            the next ones ◄── turn given back, books brought up to date ◄────────────────────┘
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`turn`] | who may use an inode at the same time |
//! | [`extents`], [`write_back`], [`flush`] | the write buffer, and how it gets to the storage |
//! | [`room`] | memory of all write buffers |
//! | [`extend`] | more chains for a file that grows |
//! | [`sync`] | the length and times reported to the server |
//! | [`tidy`] | flush, then sync, as a part of other operations |
//! | [`cut`] | truncation, as a part of other operations |
//! | [`look`] | attributes and entries |
//! | [`set`] | changed attributes |
//! | [`open`], [`release`] | handles and sessions |
//! | [`read`], [`write`], [`seek`], [`allocate`] | content |
//! | [`fsync`] | fsync, close, and what the regular rounds do to one inode |
//! | [`round`] | over many inodes: the regular round, the end |
//!
//! Limits: see [`state`].

mod allocate;
mod cut;
mod extend;
pub(crate) mod extents;
mod flush;
mod fsync;
mod look;
mod open;
mod read;
mod release;
mod requests;
mod room;
mod round;
mod seek;
mod set;
mod state;
mod sync;
mod tidy;
pub(crate) mod turn;
mod write;
pub(crate) mod write_back;

pub(crate) use state::{Files, wake};

use crate::name;
use crate::request::Request;
use crate::shard::{Context, Event, Outcome, Step};
use alloc::boxed::Box;
use alloc::vec::Vec;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Status};
use turn::{Mode, Taken};

/// What shards ask each other or themselves about files.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Write everything out and close everything.
    Shutdown,
    /// Write out one inode and have its exact length determined, whether anything is known to be new or not. Outcome: done.
    Fsync { inode: InodeId },
    /// Make ranges (offset, length) of a file read as zeros, through a handle that writes. Outcome: done.
    Punch {
        inode: InodeId,
        handle: HandleId,
        ranges: Vec<(u64, u64)>,
    },
    /// Carry the batch of the write buffer.
    Flush(InodeId),
    /// Make chains usable for content that ends there. `EAGAIN` says that it may work another time.
    Extend { inode: InodeId, end: u64 },
    /// The part of a regular round at one inode.
    Tidy(InodeId),
    /// The part of a shutdown at one inode.
    Finish(InodeId),
    /// The regular round.
    Round,
}

impl Task {
    pub(crate) fn inode(&self) -> InodeId {
        match self {
            Self::Shutdown | Self::Round => InodeId::ROOT,
            Self::Fsync { inode }
            | Self::Punch { inode, .. }
            | Self::Flush(inode)
            | Self::Extend { inode, .. }
            | Self::Tidy(inode)
            | Self::Finish(inode) => *inode,
        }
    }
}

/// What a step of an operation leads to.
#[derive(Debug)]
enum Next {
    /// It waits.
    Wait(Work),
    /// It has come to its end.
    Done(Result<Outcome, Errno>),
}

impl Next {
    const fn fail(errno: Errno) -> Self {
        Self::Done(Err(errno))
    }

    fn reply(reply: crate::Reply) -> Self {
        Self::Done(Ok(Outcome::Reply(reply)))
    }
}

/// A part of an operation: it goes on waiting, or it is done.
#[derive(Debug)]
enum Part<M, T> {
    Wait(M),
    Done(T),
}

/// Operations, by what they do.
#[derive(Debug)]
enum Work {
    Look(Box<look::Look>),
    Set(Box<set::Set>),
    Open(Box<open::Open>),
    Created(Box<open::Created>),
    Pin(open::Pin),
    Release(release::Release),
    Read(read::Read),
    Write(write::Write),
    Fsync(fsync::Fsync),
    Allocate(allocate::Allocate),
    Seek(seek::Seek),
    Flush(flush::Flush),
    Extend(extend::Extend),
    Finish(release::Finish),
    Round(round::Round),
}

impl Work {
    fn start(self, cx: &mut Context<'_>) -> Next {
        match self {
            Self::Look(work) => work.start(cx),
            Self::Set(work) => work.start(cx),
            Self::Open(work) => work.start(cx),
            Self::Created(work) => work.start(cx),
            Self::Pin(work) => work.start(cx),
            Self::Release(work) => work.start(cx),
            Self::Read(work) => work.start(cx),
            Self::Write(work) => work.start(cx),
            Self::Fsync(work) => work.start(cx),
            Self::Allocate(work) => work.start(cx),
            Self::Seek(work) => work.start(cx),
            Self::Flush(work) => work.start(cx),
            Self::Extend(work) => work.start(cx),
            Self::Finish(work) => work.start(cx),
            Self::Round(work) => work.start(cx),
        }
    }

    fn step(self, cx: &mut Context<'_>, event: Event) -> Next {
        match self {
            Self::Look(work) => work.step(cx, event),
            Self::Set(work) => work.step(cx, event),
            Self::Open(work) => work.step(cx, event),
            Self::Created(work) => work.step(cx, event),
            Self::Pin(work) => work.step(cx, event),
            Self::Release(work) => work.step(cx, event),
            Self::Read(work) => work.step(cx, event),
            Self::Write(work) => work.step(cx, event),
            Self::Fsync(work) => work.step(cx, event),
            Self::Allocate(work) => work.step(cx, event),
            Self::Seek(work) => work.step(cx, event),
            Self::Flush(work) => work.step(cx, event),
            Self::Extend(work) => work.step(cx, event),
            Self::Finish(work) => work.step(cx, event),
            Self::Round(work) => work.step(cx, event),
        }
    }

    /// It will not be carried out; what it holds is given back.
    fn abandon(self, cx: &mut Context<'_>) {
        match self {
            Self::Write(work) => cx.free(work.memory()),
            Self::Created(work) => work.undo(cx),
            Self::Look(_)
            | Self::Set(_)
            | Self::Open(_)
            | Self::Pin(_)
            | Self::Release(_)
            | Self::Read(_)
            | Self::Fsync(_)
            | Self::Allocate(_)
            | Self::Seek(_)
            | Self::Flush(_)
            | Self::Extend(_)
            | Self::Finish(_)
            | Self::Round(_) => {}
        }
    }
}

/// An operation on an inode.
#[derive(Debug)]
pub(crate) struct Op {
    inode: InodeId,
    /// The turn that it has or waits for.
    mode: Option<Mode>,
    /// It waits for its turn and has not started.
    waits: bool,
    work: Work,
}

/// Whether a task belongs to this module.
pub(crate) fn takes(task: &crate::shard::Task) -> bool {
    use crate::shard::Task as All;
    match task {
        All::Kernel(request) => takes_request(request),
        All::Enter(_)
        | All::EnterCreated { .. }
        | All::EnterMany(_)
        | All::Pin(_)
        | All::Changed(_)
        | All::File(_) => true,
    }
}

fn takes_request(request: &Request) -> bool {
    match request {
        Request::GetAttributes { inode, .. }
        | Request::SetAttributes { inode, .. }
        | Request::Open { inode, .. }
        | Request::Read { inode, .. }
        | Request::Write { inode, .. }
        | Request::Flush { inode, .. }
        | Request::Release { inode, .. }
        | Request::Fsync { inode, .. }
        | Request::Fallocate { inode, .. }
        | Request::Seek { inode, .. }
        | Request::CopyRange { inode, .. }
        | Request::Forget { inode, .. } => !name::is_virtual(*inode),
        Request::Lookup { .. }
        | Request::ReadLink { .. }
        | Request::MakeNode { .. }
        | Request::MakeDirectory { .. }
        | Request::Unlink { .. }
        | Request::RemoveDirectory { .. }
        | Request::Symlink { .. }
        | Request::Rename { .. }
        | Request::Link { .. }
        | Request::Create { .. }
        | Request::OpenDirectory { .. }
        | Request::ReadDirectory { .. }
        | Request::ReleaseDirectory { .. }
        | Request::FsyncDirectory { .. }
        | Request::StatFs { .. }
        | Request::SetXattr { .. }
        | Request::GetXattr { .. }
        | Request::ListXattr { .. }
        | Request::RemoveXattr { .. }
        | Request::Access { .. }
        | Request::Ioctl { .. } => false,
    }
}

/// The first step.
pub(crate) fn begin(cx: &mut Context<'_>, task: crate::shard::Task) -> Step {
    let inode = task.inode();
    match plan(cx, task) {
        Plan::Answer(outcome) => {
            state::settle(cx.state, cx.now, inode);
            Step::Done(outcome)
        }
        Plan::Work(work, None) => {
            let next = work.start(cx);
            conclude(cx, inode, None, next)
        }
        Plan::Work(work, Some(mode)) => {
            let op = cx.op;
            // What is no file has no turns, and its operations find that out themselves.
            let taken = cx
                .state
                .inodes
                .revive(inode)
                .map(|live| live.turns.take(op, mode));
            match taken {
                None => {
                    let next = work.start(cx);
                    conclude(cx, inode, None, next)
                }
                Some(Taken::Now) => {
                    let next = work.start(cx);
                    conclude(cx, inode, Some(mode), next)
                }
                Some(Taken::Later) => Step::Wait(crate::shard::Op::File(Op {
                    inode,
                    mode: Some(mode),
                    waits: true,
                    work,
                })),
                Some(Taken::Refused) => {
                    work.abandon(cx);
                    Step::fail(Errno::EAGAIN)
                }
            }
        }
    }
}

impl Op {
    pub(crate) fn step(self, cx: &mut Context<'_>, event: Event) -> Step {
        let next = if self.waits {
            debug_assert!(
                event == Event::Turn,
                "it waits for its turn, and for nothing else"
            );
            self.work.start(cx)
        } else {
            self.work.step(cx, event)
        };
        conclude(cx, self.inode, self.mode, next)
    }
}

/// What a step has led to. At the end the turn is given back.
fn conclude(cx: &mut Context<'_>, inode: InodeId, mode: Option<Mode>, next: Next) -> Step {
    match next {
        Next::Wait(work) => Step::Wait(crate::shard::Op::File(Op {
            inode,
            mode,
            waits: false,
            work,
        })),
        Next::Done(outcome) => {
            if let Some(mode) = mode {
                let live = cx.state.inodes.live_mut(inode);
                let next = live.expect("who has a turn keeps it alive").turns.give(mode);
                for op in next {
                    cx.wake(op);
                }
            }
            state::settle(cx.state, cx.now, inode);
            Step::Done(outcome)
        }
    }
}

/// How a task is carried out.
enum Plan {
    /// At once.
    Answer(Result<Outcome, Errno>),
    /// By this, in a turn of that kind.
    Work(Work, Option<Mode>),
}

impl Plan {
    const fn fail(errno: Errno) -> Self {
        Self::Answer(Err(errno))
    }
}

fn plan(cx: &mut Context<'_>, task: crate::shard::Task) -> Plan {
    use crate::shard::Task as All;
    match task {
        All::Kernel(request) => plan_request(cx, request),
        All::Enter(inode) => look::enter(cx, inode),
        All::EnterCreated {
            inode,
            session,
            flags,
            truncate,
        } => open::enter_created(cx, inode, session, flags, truncate),
        All::EnterMany(inodes) => look::enter_many(cx, &inodes),
        All::Pin(inode) => open::pin(cx, inode),
        All::Changed(inode) => {
            cx.state.inodes.doubt(inode);
            Plan::Answer(Ok(Outcome::Done))
        }
        All::File(task) => plan_task(cx, task),
    }
}

fn plan_task(cx: &mut Context<'_>, task: Task) -> Plan {
    match task {
        Task::Shutdown => round::shutdown(cx),
        Task::Round => round::regular(cx),
        Task::Fsync { inode } => fsync::forced(inode),
        Task::Punch {
            inode,
            handle,
            ranges,
        } => allocate::punch(cx, inode, handle, ranges),
        Task::Flush(inode) => Plan::Work(Work::Flush(flush::Flush::new(inode)), None),
        Task::Extend { inode, end } => Plan::Work(Work::Extend(extend::Extend::new(inode, end)), None),
        Task::Tidy(inode) => fsync::regular(cx, inode),
        Task::Finish(inode) => Plan::Work(Work::Finish(release::Finish::new(inode)), None),
    }
}

fn plan_request(cx: &mut Context<'_>, request: Request) -> Plan {
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "`takes_request` names all the others"
    )]
    match request {
        Request::Forget { inode, count } => {
            cx.state.inodes.forget(inode, count);
            Plan::Answer(Ok(Outcome::Reply(crate::Reply::Done)))
        }
        Request::GetAttributes { inode, .. } => look::attributes(inode),
        Request::SetAttributes { inode, set } => set::plan(cx, inode, set),
        Request::Open { inode, flags } => open::plan(cx, inode, flags),
        Request::Read {
            inode,
            handle,
            offset,
            into,
        } => read::plan(cx, inode, handle, offset, into),
        Request::Write {
            inode,
            handle,
            offset,
            data,
            room,
        } => write::plan(
            cx,
            write::Job {
                inode,
                handle,
                offset,
                data,
                room,
            },
        ),
        Request::Flush { inode, handle } => fsync::close(cx, inode, handle),
        Request::Release { inode, handle } => release::plan(cx, inode, handle),
        Request::Fsync {
            inode,
            handle,
            data_only,
        } => fsync::plan(cx, inode, handle, data_only),
        Request::Fallocate {
            inode,
            handle,
            offset,
            length,
            mode,
        } => allocate::plan(cx, inode, handle, (offset, length), mode),
        Request::Seek {
            inode,
            handle,
            offset,
            whence,
        } => seek::plan(cx, inode, handle, offset, whence),
        // The kernel copies by itself then. Copying here would need memory that comes with no request.
        Request::CopyRange { .. } => Plan::fail(Errno::EOPNOTSUPP),
        _ => unreachable!("the others belong to names"),
    }
}

/// What a refusal of a metadata server is to an application.
fn errno_of(status: &Status) -> Errno {
    name::errno(status)
}
