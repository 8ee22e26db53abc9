//! `setattr`: mode, owner and times in one request, then the length.
//!
//! ```text
//!   times of a file with news ──► write out, report ──► setAttr ──► cut ──► done
//!                                                      (each if asked for; none: stat)
//! ```
//!
//! The length is reported before times are set: the server takes a report of a new length for a modification, which would undo the time
//! that was set. With a length the operation has the inode alone, so no write slips in between.

use super::cut::{Cut, Cutted, check_length};
use super::look::{check_file, timeout};
use super::requests::{inode_in, set_attr, stat};
use super::sync::Kind;
use super::tidy::{Tidied, Tidy, Wish};
use super::turn::Mode;
use super::write_back::Patience;
use super::{Next, Part, Plan, Work, errno_of};
use crate::Reply;
use crate::request::{SetAttributes, SetTime};
use crate::shard::{Context, Event};
use alloc::boxed::Box;
use flyer_types::ids::{InodeId, Permission};
use flyer_types::{Errno, WallTime};
use flyer_wire::msg::meta::inode::Inode;

/// Mode bits without the type.
const MODE_BITS: u32 = 0o7777;

#[derive(Debug)]
enum Stage {
    Begin,
    Tidying(Tidy),
    Setting,
    Cutting(Cut),
    Asking,
}

#[derive(Debug)]
pub(super) struct Set {
    inode: InodeId,
    set: SetAttributes,
    stage: Stage,
}

pub(super) fn plan(cx: &Context<'_>, inode: InodeId, set: SetAttributes) -> Plan {
    if cx.user().readonly {
        return Plan::fail(Errno::EROFS);
    }
    if let Some(length) = set.size
        && let Err(errno) = check(cx, inode, &set, length)
    {
        return Plan::fail(errno);
    }
    let work = Work::Set(Box::new(Set {
        inode,
        set,
        stage: Stage::Begin,
    }));
    Plan::Work(work, set.size.map(|_| Mode::Alone))
}

fn check(cx: &Context<'_>, inode: InodeId, set: &SetAttributes, length: u64) -> Result<(), Errno> {
    check_file(cx, inode)?;
    if let Some(handle) = set.handle
        && !cx.state.files.handle(handle, inode)?.writes
    {
        return Err(Errno::EINVAL);
    }
    check_length(cx, inode, length)
}

/// A time as the server wants it.
const fn wire_time(time: SetTime) -> WallTime {
    match time {
        SetTime::Now => WallTime::SERVER_NOW,
        SetTime::To(time) => time,
    }
}

impl Set {
    pub(super) fn start(self: Box<Self>, cx: &mut Context<'_>) -> Next {
        if self.set.atime.is_none() && self.set.mtime.is_none() {
            return self.set(cx);
        }
        let wish = Wish {
            flush: Some(Patience::Once),
            sync: Some(Kind::Exact),
        };
        let part = Tidy::start(cx, self.inode, wish);
        self.tidied(cx, part)
    }

    fn tidied(mut self: Box<Self>, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        match part {
            Part::Wait(tidy) => {
                self.stage = Stage::Tidying(tidy);
                Next::Wait(Work::Set(self))
            }
            // If it failed, the times may change once more. Who wrote will hear of it.
            Part::Done(_) => self.set(cx),
        }
    }

    /// What goes into one request.
    fn set(mut self: Box<Self>, cx: &mut Context<'_>) -> Next {
        let set = &self.set;
        let mut request = set_attr(cx, self.inode);
        request.perm = set.permission.map(|bits| Permission(bits.0 & MODE_BITS));
        request.uid = set.uid;
        request.gid = set.gid;
        request.atime = set.atime.map(wire_time);
        // A cut sets this one by itself.
        let is_implied = set.size.is_some() && set.mtime == Some(SetTime::Now);
        request.mtime = set.mtime.filter(|_| !is_implied).map(wire_time);
        let is_empty = request.perm.is_none()
            && request.uid.is_none()
            && request.gid.is_none()
            && request.atime.is_none()
            && request.mtime.is_none();
        if is_empty {
            return self.cut(cx, None);
        }
        cx.meta(request);
        self.stage = Stage::Setting;
        Next::Wait(Work::Set(self))
    }

    fn cut(mut self: Box<Self>, cx: &mut Context<'_>, so_far: Option<Box<Inode>>) -> Next {
        if let Some(length) = self.set.size {
            let part = Cut::start(cx, self.inode, length);
            return self.cutted(cx, part);
        }
        if let Some(inode) = so_far {
            return Self::finish(cx, &inode);
        }
        let request = stat(cx, self.inode);
        cx.meta(request);
        self.stage = Stage::Asking;
        Next::Wait(Work::Set(self))
    }

    fn cutted(mut self: Box<Self>, cx: &Context<'_>, part: Part<Cut, Cutted>) -> Next {
        match part {
            Part::Wait(cut) => {
                self.stage = Stage::Cutting(cut);
                Next::Wait(Work::Set(self))
            }
            Part::Done(Ok(inode)) => Self::finish(cx, &inode),
            Part::Done(Err(errno)) => Next::fail(errno),
        }
    }

    pub(super) fn step(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Next {
        match core::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => unreachable!("it waits for nothing before it has started"),
            Stage::Tidying(tidy) => {
                let part = tidy.step(cx, event);
                self.tidied(cx, part)
            }
            Stage::Setting => match inode_in(event) {
                Ok(inode) => {
                    self.learn(cx, &inode);
                    self.cut(cx, Some(Box::new(inode)))
                }
                Err(status) => Next::fail(errno_of(&status)),
            },
            Stage::Cutting(cut) => {
                let part = cut.step(cx, event);
                self.cutted(cx, part)
            }
            Stage::Asking => match inode_in(event) {
                Ok(inode) => {
                    cx.state.inodes.learn(cx.now, &inode);
                    Self::finish(cx, &inode)
                }
                Err(status) => Next::fail(errno_of(&status)),
            },
        }
    }

    /// Times that were set count more than those that would have been reported.
    fn learn(&self, cx: &mut Context<'_>, inode: &Inode) {
        if let Some(live) = cx.state.inodes.live_mut(self.inode) {
            if self.set.atime.is_some() {
                live.dynamic.atime = None;
            }
            if self.set.mtime.is_some() {
                live.dynamic.mtime = None;
            }
        }
        cx.state.inodes.learn(cx.now, inode);
    }

    fn finish(cx: &Context<'_>, inode: &Inode) -> Next {
        let attributes = cx.state.inodes.attributes(inode);
        Next::reply(Reply::Attributes(attributes, timeout(cx, &attributes)))
    }
}
