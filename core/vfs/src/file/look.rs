//! Attributes and entries: what the server has, with what only this mount knows.
//!
//! ```text
//!   attributes: news? ──► write out, report ──► (answered) done
//!                 └─ no ─► stat ──► done
//!   entry:      counted at once ──► news? ──► write out, report ──► done
//!                                     └─ no ─► done
//! ```
//!
//! Of an inode that the kernel refers to and the server has no more, the attributes told last are the answer, without a link: its name
//! went while a descriptor was open or a process had it as its directory. A name that somebody else has removed is seen to be gone
//! when the kernel looks it up again, not later than `entry_timeout`.
//!
//! Neither ever fails or waits long because of someone's unwritten data: one try is made, and what it does not achieve is left to who
//! wrote. No attributes are invalidated here; the kernel would distrust the very answer.

use super::requests::{inode_in, stat};
use super::sync::Kind;
use super::tidy::{Tidied, Tidy, Wish};
use super::write_back::Patience;
use super::{Next, Part, Plan, Work, errno_of};
use crate::Reply;
use crate::reply::{Attributes, Entry};
use crate::shard::{Context, Event, Outcome};
use alloc::boxed::Box;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Span, StatusCode};
use flyer_wire::msg::meta::inode::{Inode, InodeType};

/// What is looked for.
#[derive(Debug)]
enum Goal {
    Attributes(InodeId),
    Entry(Box<Inode>),
}

#[derive(Debug)]
enum Stage {
    Begin,
    Tidying(Tidy),
    Asking,
}

#[derive(Debug)]
pub(super) struct Look {
    goal: Goal,
    stage: Stage,
}

/// `getattr`.
pub(super) fn attributes(inode: InodeId) -> Plan {
    let look = Look {
        goal: Goal::Attributes(inode),
        stage: Stage::Begin,
    };
    Plan::Work(Work::Look(Box::new(look)), None)
}

/// The end of a lookup and its like.
pub(super) fn enter(cx: &mut Context<'_>, inode: Box<Inode>) -> Plan {
    cx.state.inodes.enter(cx.now, &inode);
    if !has_news(cx, inode.id) {
        return Plan::Answer(Ok(Outcome::Reply(Reply::Entry(entry(cx, &inode)))));
    }
    let look = Look {
        goal: Goal::Entry(inode),
        stage: Stage::Begin,
    };
    Plan::Work(Work::Look(Box::new(look)), None)
}

/// The same for many at once. Nothing is written out: that would take a listing as long as the slowest file.
pub(super) fn enter_many(cx: &mut Context<'_>, inodes: &[Inode]) -> Plan {
    let mut entered = Vec::with_capacity(inodes.len());
    for inode in inodes {
        cx.state.inodes.enter(cx.now, inode);
        entered.push(cx.state.inodes.attributes(inode));
    }
    Plan::Answer(Ok(Outcome::Entered(entered)))
}

/// The entry of an inode that has been counted.
pub(super) fn entry(cx: &Context<'_>, inode: &Inode) -> Entry {
    let attributes = cx.state.inodes.attributes(inode);
    Entry {
        attributes: Some(attributes),
        entry_timeout: if attributes.kind == InodeType::SYMLINK {
            cx.user().symlink_timeout
        } else {
            cx.user().entry_timeout
        },
        attributes_timeout: timeout(cx, &attributes),
    }
}

/// How long attributes may be cached.
pub(super) fn timeout(cx: &Context<'_>, attributes: &Attributes) -> Span {
    if attributes.kind == InodeType::SYMLINK {
        cx.user().symlink_timeout
    } else {
        cx.user().attr_timeout
    }
}

/// Whether something has to be written or reported before the server's answer is right.
fn has_news(cx: &Context<'_>, inode: InodeId) -> bool {
    let is_dirty =
        (cx.state.inodes.live(inode)).is_some_and(|live| !live.back.is_empty() || live.dynamic.has_news());
    is_dirty && cx.user().sync_on_stat
}

impl Look {
    const fn inode(&self) -> InodeId {
        match &self.goal {
            Goal::Attributes(inode) => *inode,
            Goal::Entry(inode) => inode.id,
        }
    }

    pub(super) fn start(self: Box<Self>, cx: &mut Context<'_>) -> Next {
        if !has_news(cx, self.inode()) {
            return self.ask(cx);
        }
        let wish = Wish {
            flush: cx.user().flush_on_stat.then_some(Patience::Once),
            sync: Some(Kind::News),
        };
        let part = Tidy::start(cx, self.inode(), wish);
        self.tidied(cx, part)
    }

    fn tidied(mut self: Box<Self>, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        let tidied = match part {
            Part::Wait(tidy) => {
                self.stage = Stage::Tidying(tidy);
                return Next::Wait(Work::Look(self));
            }
            Part::Done(tidied) => tidied,
        };
        match tidied.sync {
            Some(Ok(inode)) => self.finish(cx, &inode),
            Some(Err(_)) | None => self.ask(cx),
        }
    }

    /// Asks the server, if it has not said anything yet.
    fn ask(mut self: Box<Self>, cx: &mut Context<'_>) -> Next {
        if let Goal::Entry(inode) = &self.goal {
            let inode = inode.clone();
            return self.finish(cx, &inode);
        }
        let request = stat(cx, self.inode());
        cx.meta(request);
        self.stage = Stage::Asking;
        Next::Wait(Work::Look(self))
    }

    pub(super) fn step(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Next {
        match core::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Begin => unreachable!("it waits for nothing before it has started"),
            Stage::Tidying(tidy) => {
                let part = tidy.step(cx, event);
                self.tidied(cx, part)
            }
            Stage::Asking => match inode_in(event) {
                Ok(inode) => {
                    cx.state.inodes.learn(cx.now, &inode);
                    self.finish(cx, &inode)
                }
                Err(status) => {
                    let is_gone = status.code == StatusCode::META_NOT_FOUND;
                    match cx.state.inodes.remembered(self.inode()).filter(|_| is_gone) {
                        Some(attributes) => {
                            flyer_types::mark!("vfs.attributes_remembered");
                            Next::reply(Reply::Attributes(attributes, Span::ZERO))
                        }
                        None => Next::fail(errno_of(&status)),
                    }
                }
            },
        }
    }

    fn finish(&self, cx: &Context<'_>, inode: &Inode) -> Next {
        match self.goal {
            Goal::Attributes(_) => {
                let attributes = cx.state.inodes.attributes(inode);
                Next::reply(Reply::Attributes(attributes, timeout(cx, &attributes)))
            }
            Goal::Entry(_) => Next::reply(Reply::Entry(entry(cx, inode))),
        }
    }
}

/// A directory or link has no length to change, and an unknown inode nothing.
pub(super) fn check_file(cx: &Context<'_>, inode: InodeId) -> Result<(), Errno> {
    use crate::inode::Kind as What;
    match cx.state.inodes.get(inode).map(|record| &record.kind) {
        None => Err(Errno::ENOENT),
        Some(What::Directory(_)) => Err(Errno::EISDIR),
        Some(What::Symlink(_)) => Err(Errno::EINVAL),
        Some(What::File(_)) => Ok(()),
    }
}
