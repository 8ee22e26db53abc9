//! Handles: opening, what a creation opens, and sessions that keep an unlinked file readable.
//!
//! ```text
//!   open ──► for writing, or to cut ──► session: open at the server ──► cut, if it says so ──► handle
//!       └──► for reading ──► attributes, if they are old ─────────────────────────────────────► handle
//!   any failure after a session was opened closes it in the background
//! ```
//!
//! A file that is opened for reading only may be cut at the same time (`O_TRUNC`) if the caller may write it; the server decides.

use super::cut::{Cut, Cutted};
use super::look::entry;
use super::requests::{close, inode_in, open, stat};
use super::state::{HANDLES_MAX, Handle};
use super::turn::Mode;
use super::{Next, Part, Plan, Work, errno_of};
use crate::Reply;
use crate::reply::Opened;
use crate::request::Caller;
use crate::shard::{Context, Event, Outcome};
use alloc::boxed::Box;
use flyer_types::ids::{HandleId, InodeId, Uuid};
use flyer_types::{Errno, Span};
use flyer_wire::msg::meta::flags::OpenFlags;
use flyer_wire::msg::meta::inode::{Inode, InodeKind};

/// Flags of Linux that servers do not know.
const O_NONBLOCK: u32 = 0x800;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
struct Flags {
    raw: u32,
    wire: OpenFlags,
}

impl Flags {
    fn new(raw: u32) -> Self {
        Self {
            raw,
            wire: OpenFlags::from_bits_retain(raw.cast_signed()),
        }
    }

    fn writes(self) -> bool {
        self.wire.writes()
    }

    fn cuts(self) -> bool {
        self.wire.contains(OpenFlags::TRUNC)
    }

    /// Whether a mount that may only be read refuses.
    fn changes(self) -> bool {
        let changing = OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::TRUNC | OpenFlags::APPEND;
        self.writes() || self.wire.intersects(changing)
    }

    /// What the server is asked for. Cutting needs write access there.
    fn asked(self) -> OpenFlags {
        let mut flags = OpenFlags::empty();
        if self.writes() && self.wire.reads() {
            flags |= OpenFlags::RDWR;
        } else if self.writes() || self.cuts() {
            flags |= OpenFlags::WRONLY;
        }
        flags | self.wire & OpenFlags::TRUNC
    }
}

#[derive(Debug)]
enum Stage {
    Begin,
    /// At the server.
    Opening,
    Asking,
    Cutting(Cut),
}

/// `open`.
#[derive(Debug)]
pub(super) struct Open {
    inode: InodeId,
    flags: Flags,
    /// Opened at the server, or about to be.
    session: Option<Uuid>,
    stage: Stage,
}

pub(super) fn plan(cx: &Context<'_>, inode: InodeId, flags: u32) -> Plan {
    let flags = Flags::new(flags);
    if cx.user().readonly && flags.changes() {
        return Plan::fail(Errno::EROFS);
    }
    use crate::inode::Kind as What;
    match cx.state.inodes.get(inode).map(|record| &record.kind) {
        None => return Plan::fail(Errno::ENOENT),
        Some(What::Directory(_)) => return Plan::fail(Errno::EISDIR),
        Some(What::Symlink(_)) => return Plan::fail(Errno::ELOOP),
        Some(What::File(_)) => {}
    }
    let work = Work::Open(Box::new(Open {
        inode,
        flags,
        session: None,
        stage: Stage::Begin,
    }));
    Plan::Work(work, flags.cuts().then_some(Mode::Alone))
}

impl Open {
    pub(super) fn start(mut self: Box<Self>, cx: &mut Context<'_>) -> Next {
        if cx.state.files.handles.len() >= HANDLES_MAX as usize {
            flyer_types::mark!("vfs.handles_full");
            return Next::fail(Errno::ENFILE);
        }
        let flags = self.flags;
        if flags.writes() || flags.cuts() || cx.state.config.read_sessions {
            let session = cx.draw_uuid();
            self.session = Some(session);
            let request = open(cx, self.inode, flags.asked(), session);
            cx.meta(request);
            self.stage = Stage::Opening;
            return Next::Wait(Work::Open(self));
        }
        let is_fresh = cx.state.inodes.facts(self.inode).is_some_and(|facts| {
            let age = cx.now.since(facts.told);
            facts.told != flyer_types::Time::ZERO && age < cx.user().attr_timeout
        });
        if is_fresh {
            return self.finish(cx);
        }
        let request = stat(cx, self.inode);
        cx.meta(request);
        self.stage = Stage::Asking;
        Next::Wait(Work::Open(self))
    }

    pub(super) fn step(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Next {
        match core::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => unreachable!("it waits for nothing before it has started"),
            Stage::Opening => self.opened(cx, event),
            Stage::Asking => match inode_in(event) {
                Ok(inode) => {
                    cx.state.inodes.learn(cx.now, &inode);
                    self.finish(cx)
                }
                Err(status) => Next::fail(errno_of(&status)),
            },
            Stage::Cutting(cut) => {
                let part = cut.step(cx, event);
                self.cutted(cx, part)
            }
        }
    }

    fn opened(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Next {
        // What the server says beside the inode has to be looked at before that is taken out.
        let must_cut = matches!(
            &event,
            Event::Meta(Ok(flyer_wire::service::meta::Response::Open(answer))) if answer.need_truncate
        );
        let inode = match inode_in(event) {
            Ok(inode) => inode,
            // Whether a session was left behind is the client's business.
            Err(status) => return Next::fail(errno_of(&status)),
        };
        cx.state.inodes.learn(cx.now, &inode);
        if must_cut {
            let part = Cut::start(cx, self.inode, 0);
            return self.cutted(cx, part);
        }
        self.finish(cx)
    }

    fn cutted(mut self: Box<Self>, cx: &mut Context<'_>, part: Part<Cut, Cutted>) -> Next {
        match part {
            Part::Wait(cut) => {
                self.stage = Stage::Cutting(cut);
                Next::Wait(Work::Open(self))
            }
            Part::Done(Ok(_)) => self.finish(cx),
            Part::Done(Err(errno)) => self.fail(cx, errno),
        }
    }

    fn finish(&mut self, cx: &mut Context<'_>) -> Next {
        // One that only reads needs the session no longer than for the cut.
        if !self.flags.writes()
            && !cx.state.config.read_sessions
            && let Some(session) = self.session.take()
        {
            close_in_background(cx, self.inode, session);
        }
        match add_handle(cx, self.inode, self.flags, self.session) {
            Ok(handle) => Next::reply(Reply::Opened(opened(cx, handle, self.flags, true))),
            Err(errno) => self.fail(cx, errno),
        }
    }

    fn fail(&self, cx: &mut Context<'_>, errno: Errno) -> Next {
        if let Some(session) = self.session {
            close_in_background(cx, self.inode, session);
        }
        Next::fail(errno)
    }
}

/// A file that was made, or found and opened, by a creation.
#[derive(Debug)]
pub(super) struct Created {
    inode: Box<Inode>,
    flags: Flags,
    session: Uuid,
    truncate: bool,
    cut: Option<Cut>,
}

pub(super) fn enter_created(
    cx: &mut Context<'_>,
    inode: Box<Inode>,
    session: Uuid,
    flags: u32,
    truncate: bool,
) -> Plan {
    let InodeKind::File(_) = inode.base.kind else {
        return Plan::fail(Errno::EIO);
    };
    cx.state.inodes.enter(cx.now, &inode);
    let work = Work::Created(Box::new(Created {
        inode,
        flags: Flags::new(flags),
        session,
        truncate,
        cut: None,
    }));
    Plan::Work(work, truncate.then_some(Mode::Alone))
}

impl Created {
    pub(super) fn start(self: Box<Self>, cx: &mut Context<'_>) -> Next {
        if !self.truncate {
            return self.finish(cx);
        }
        let part = Cut::start(cx, self.inode.id, 0);
        self.cutted(cx, part)
    }

    pub(super) fn step(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Next {
        let cut = self.cut.take().expect("it waits for the cut");
        let part = cut.step(cx, event);
        self.cutted(cx, part)
    }

    fn cutted(mut self: Box<Self>, cx: &mut Context<'_>, part: Part<Cut, Cutted>) -> Next {
        match part {
            Part::Wait(cut) => {
                self.cut = Some(cut);
                Next::Wait(Work::Created(self))
            }
            Part::Done(Ok(inode)) => {
                self.inode = inode;
                self.finish(cx)
            }
            Part::Done(Err(errno)) => {
                self.undo(cx);
                Next::fail(errno)
            }
        }
    }

    fn finish(&self, cx: &mut Context<'_>) -> Next {
        let id = self.inode.id;
        let keeps = self.flags.writes() || cx.state.config.read_sessions;
        let session = keeps.then_some(self.session);
        match add_handle(cx, id, self.flags, session) {
            Ok(handle) => {
                if session.is_none() && self.truncate {
                    close_in_background(cx, id, self.session);
                }
                let entry = entry(cx, &self.inode);
                let opened = opened(cx, handle, self.flags, false);
                Next::reply(Reply::Created(entry, opened))
            }
            Err(errno) => {
                self.undo(cx);
                Next::fail(errno)
            }
        }
    }

    /// The kernel will not hear of it: the reference and the session are given back.
    pub(super) fn undo(&self, cx: &mut Context<'_>) {
        if self.flags.writes() || self.truncate {
            close_in_background(cx, self.inode.id, self.session);
        }
        cx.state.inodes.forget(self.inode.id, 1);
    }
}

fn add_handle(
    cx: &mut Context<'_>,
    inode: InodeId,
    flags: Flags,
    session: Option<Uuid>,
) -> Result<HandleId, Errno> {
    let handle = Handle {
        inode,
        opener: cx.caller,
        reads: flags.wire.reads(),
        writes: flags.writes(),
        appends: flags.wire.contains(OpenFlags::APPEND),
        is_direct: flags.wire.contains(OpenFlags::DIRECT),
        wrote: false,
        session,
        owed: None,
    };
    let live = cx.state.inodes.revive(inode).ok_or(Errno::ENOENT)?;
    let id = (cx.state.files.handles.insert(handle)).map_err(|_| Errno::ENFILE)?;
    live.handles.push(id);
    Ok(id)
}

fn opened(cx: &Context<'_>, handle: HandleId, flags: Flags, may_map: bool) -> Opened {
    // Who opens without blocking asks for pages, so that the file can be mapped.
    let wants_pages = may_map && flags.raw & O_NONBLOCK != 0;
    let cached = cx.user().enable_read_cache || wants_pages;
    Opened {
        handle,
        direct_io: flags.wire.contains(OpenFlags::DIRECT) || !cached,
        keep_cache: false,
    }
}

/// Closes a session that nobody uses, with nothing to report.
pub(super) fn close_in_background(cx: &mut Context<'_>, inode: InodeId, session: Uuid) {
    let request = close(cx, inode, Some(session));
    cx.meta_in_background(request);
}

/// A name of a file is about to go: whoever reads it here keeps it readable by a session.
///
/// The session is asked for in the name of a reader: who removes a name needs no right to the file.
#[derive(Debug)]
pub(super) struct Pin {
    inode: InodeId,
    session: Uuid,
    reader: Caller,
}

pub(super) fn pin(cx: &mut Context<'_>, inode: InodeId) -> Plan {
    let handles = &cx.state.files.handles;
    let live = cx.state.inodes.live(inode).filter(|live| live.pin.is_none());
    let reader = live.and_then(|live| {
        let mut open = live.handles.iter().filter_map(|id| handles.get(*id));
        open.find(|handle| handle.session.is_none())
            .map(|handle| handle.opener)
    });
    let Some(reader) = reader else {
        return Plan::Answer(Ok(Outcome::Done));
    };
    let session = cx.draw_uuid();
    Plan::Work(
        Work::Pin(Pin {
            inode,
            session,
            reader,
        }),
        None,
    )
}

impl Pin {
    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        cx.caller = self.reader;
        let request = open(cx, self.inode, OpenFlags::empty(), self.session);
        cx.meta(request);
        Next::Wait(Work::Pin(self))
    }

    /// Whether it worked or not, the name goes: a server without sessions of readers keeps a file for a while by itself.
    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Next {
        if let Ok(inode) = inode_in(event) {
            cx.state.inodes.learn(cx.now, &inode);
            match cx.state.inodes.live_mut(self.inode) {
                Some(live) if live.pin.is_none() && !live.handles.is_empty() => live.pin = Some(self.session),
                Some(_) | None => close_in_background(cx, self.inode, self.session),
            }
        }
        Next::Done(Ok(Outcome::Done))
    }
}

/// Whether attributes are older than `age`, or known to be outdated.
pub(super) fn are_old(cx: &Context<'_>, inode: InodeId, age: Span) -> bool {
    (cx.state.inodes.facts(inode))
        .is_none_or(|facts| facts.told == flyer_types::Time::ZERO || cx.now.since(facts.told) >= age)
}
