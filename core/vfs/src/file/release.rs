//! The last descriptor of a handle is closed; and the end of everything.
//!
//! ```text
//!   release ──► handle gone ──► write out ──written──► close the session (retried in the background) ──► done
//!                                    └──failed──► the session is an orphan: closed when the bytes are written ──► done
//!   finish  ──► write out, exact length ──► close every session, one after the other ──► done
//! ```
//!
//! The kernel does not wait for the answer of a release. Nothing is dropped by it: bytes that cannot be written stay, with their inode,
//! until a regular round succeeds.

use super::open::close_in_background;
use super::requests::{close, inode_in};
use super::state::settle;
use super::sync::{Kind, Pledge};
use super::tidy::{Tidied, Tidy, Wish};
use super::write_back::Patience;
use super::{Next, Part, Plan, Work, errno_of, flush};
use crate::Reply;
use crate::reply::Invalidate;
use crate::shard::{Context, Event, Outcome};
use alloc::vec::Vec;
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId, Uuid};
use flyer_types::status::MetaRetry;

#[derive(Debug)]
pub(super) struct Release {
    inode: InodeId,
    session: Option<Uuid>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Begin,
    Flushing,
    Closing(Pledge),
}

pub(super) fn plan(cx: &mut Context<'_>, inode: InodeId, handle: HandleId) -> Plan {
    if let Err(errno) = cx.state.files.handle(handle, inode) {
        return Plan::fail(errno);
    }
    let closed = cx.state.files.handles.remove(handle).expect("it was looked up");
    let live = cx.state.inodes.live_mut(inode).expect("a handle keeps it alive");
    live.handles.retain(|open| *open != handle);
    // Nobody is left to be told.
    flush::drop_if_told(cx, inode);
    close_pin(cx, inode);
    if !closed.writes {
        report_access(cx, inode, closed.session);
        return Plan::Answer(Ok(Reply::Done.into()));
    }
    let live = cx.state.inodes.live_mut(inode).expect("it was there");
    live.closing += 1;
    let release = Release {
        inode,
        session: closed.session,
        stage: Stage::Begin,
    };
    Plan::Work(Work::Release(release), None)
}

/// The session of an unlinked file that nobody reads any more.
fn close_pin(cx: &mut Context<'_>, inode: InodeId) {
    let live = cx.state.inodes.live_mut(inode);
    let pin = live
        .filter(|live| live.handles.is_empty())
        .and_then(|live| live.pin.take());
    if let Some(session) = pin {
        close_in_background(cx, inode, session);
    }
}

/// A reader is gone: its session is closed, and the last access reported.
fn report_access(cx: &mut Context<'_>, inode: InodeId, session: Option<Uuid>) {
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return;
    };
    // If there is more to report, this goes along with it.
    let atime = if live.is_dirty() {
        None
    } else {
        live.dynamic.atime.take()
    };
    if atime.is_none() && session.is_none() {
        return;
    }
    let mut request = close(cx, inode, session);
    request.atime = atime;
    cx.meta_in_background(request);
    if let (Some(facts), Some(atime)) = (cx.state.inodes.facts_mut(inode), atime) {
        // It will be so, and nobody hears of it.
        facts.last.atime = facts.last.atime.max(atime);
    }
}

/// Closes the sessions that waited for the last bytes to be written.
pub(super) fn close_orphans(cx: &mut Context<'_>, inode: InodeId) {
    let Some(live) = cx.state.inodes.live_mut(inode) else {
        return;
    };
    for session in core::mem::take(&mut live.orphans) {
        flyer_types::mark!("vfs.orphan_closed");
        let mut request = close(cx, inode, Some(session));
        request.update_length = true;
        cx.meta_in_background(request);
    }
}

impl Release {
    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let inode = self.inode;
        let next = self.begin(cx);
        Self::count(cx, inode, next)
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Next {
        let inode = self.inode;
        let next = self.take(cx, event);
        Self::count(cx, inode, next)
    }

    /// At the end, one handle less is being closed.
    fn count(cx: &mut Context<'_>, inode: InodeId, next: Next) -> Next {
        if matches!(next, Next::Done(_)) {
            let live = cx.state.inodes.live_mut(inode);
            live.expect("who closes a handle keeps it alive").closing -= 1;
        }
        next
    }

    fn begin(mut self, cx: &mut Context<'_>) -> Next {
        match flush::want(cx, self.inode, Patience::Lasting) {
            Ok(true) => {
                self.stage = Stage::Flushing;
                Next::Wait(Work::Release(self))
            }
            Ok(false) => self.close(cx),
            Err(errno) => self.leave_orphan(cx, errno),
        }
    }

    fn close(mut self, cx: &mut Context<'_>) -> Next {
        let Some(pledge) = Pledge::make(cx, self.inode, Kind::Durable) else {
            unreachable!("this kind is always needed");
        };
        let mut request = close(cx, self.inode, self.session);
        request.update_length = pledge.has_length();
        request.length_hint = pledge.hint;
        request.mtime = pledge.mtime;
        request.atime = pledge.atime;
        cx.meta(request);
        self.stage = Stage::Closing(pledge);
        Next::Wait(Work::Release(self))
    }

    /// The session stays open until the bytes are written: they belong to it.
    fn leave_orphan(self, cx: &mut Context<'_>, errno: Errno) -> Next {
        flyer_types::mark!("vfs.orphan_session");
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .filter(|live| !live.back.is_empty());
        match (live, self.session) {
            (Some(live), Some(session)) => live.orphans.push(session),
            (None, Some(session)) => close_in_background(cx, self.inode, session),
            (_, None) => {}
        }
        Next::fail(errno)
    }

    fn take(self, cx: &mut Context<'_>, event: Event) -> Next {
        match (&self.stage, event) {
            (Stage::Flushing, Event::Asked(Ok(_))) => self.close(cx),
            (Stage::Flushing, Event::Asked(Err(errno))) => self.leave_orphan(cx, errno),
            (Stage::Closing(pledge), event @ Event::Meta(_)) => {
                let inode = self.inode;
                match inode_in(event) {
                    Ok(answer) => {
                        pledge.redeem(cx, &answer);
                        if pledge.has_length() {
                            cx.invalidate(Invalidate::Inode { inode, pages: None });
                        }
                        Next::Done(Ok(Reply::Done.into()))
                    }
                    Err(status) => {
                        pledge.break_it(cx, inode);
                        if status.code.meta_retry() == MetaRetry::Retryable
                            && let Some(session) = self.session
                        {
                            close_in_background(cx, inode, session);
                        }
                        Next::fail(errno_of(&status))
                    }
                }
            }
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }
}

/// The part of a shutdown at one inode.
#[derive(Debug)]
pub(super) struct Finish {
    inode: InodeId,
    tidy: Option<Tidy>,
    sessions: Vec<Uuid>,
    error: Option<Errno>,
}

impl Finish {
    pub(super) const fn new(inode: InodeId) -> Self {
        Self {
            inode,
            tidy: None,
            sessions: Vec::new(),
            error: None,
        }
    }

    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let wish = Wish {
            flush: Some(Patience::Lasting),
            sync: Some(Kind::Exact),
        };
        let part = Tidy::start(cx, self.inode, wish);
        self.tidied(cx, part)
    }

    fn tidied(mut self, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        match part {
            Part::Wait(tidy) => {
                self.tidy = Some(tidy);
                return Next::Wait(Work::Finish(self));
            }
            Part::Done(tidied) => self.error = tidied.error(),
        }
        if let Some(live) = cx.state.inodes.live_mut(self.inode) {
            self.sessions.append(&mut live.orphans);
            self.sessions.extend(live.pin.take());
            for handle in core::mem::take(&mut live.handles) {
                let handle = cx.state.files.handles.remove(handle).expect("it is open");
                self.sessions.extend(handle.session);
            }
        }
        settle(cx.state, cx.now, self.inode);
        self.close_next(cx)
    }

    fn close_next(mut self, cx: &mut Context<'_>) -> Next {
        let Some(session) = self.sessions.pop() else {
            return Next::Done(self.error.map_or(Ok(Outcome::Done), Err));
        };
        let request = close(cx, self.inode, Some(session));
        cx.meta(request);
        Next::Wait(Work::Finish(self))
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        if let Some(tidy) = self.tidy.take() {
            let part = tidy.step(cx, event);
            return self.tidied(cx, part);
        }
        if let Err(status) = inode_in(event) {
            self.error.get_or_insert_with(|| errno_of(&status));
        }
        self.close_next(cx)
    }
}
