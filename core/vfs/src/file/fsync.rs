//! `fsync`, `flush` (a descriptor is closed), and what regular rounds do to one inode.
//!
//! ```text
//!   write out ──► tell the server ──► the kernel forgets attributes ──► done, or the error
//! ```
//!
//! A failure of the attempt made here is always reported. One that happened before, elsewhere, is reported once to each handle that
//! wrote. A server is asked by `fsync` even if nothing is new: what it was told before may not be durable yet.
//!
//! A close reports what a handle is owed and leaves it owed: it may be one descriptor of several. When a program starts another one, each
//! file that it has open is closed in the child, where nobody looks at the result; the program itself has to hear of the error all the
//! same. After the last close comes the release, and with the handle goes what it is owed.

use super::sync::Kind;
use super::tidy::{Tidied, Tidy, Wish};
use super::write_back::Patience;
use super::{Next, Part, Plan, Work, flush};
use crate::Reply;
use crate::reply::Invalidate;
use crate::shard::{Context, Event, Outcome};
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId};

#[derive(Debug)]
pub(super) struct Fsync {
    inode: InodeId,
    /// Who hears of errors.
    handle: Option<HandleId>,
    /// Whether it has then been told for good.
    settles: bool,
    wish: Wish,
    part: Option<Tidy>,
}

impl Fsync {
    const fn plan(inode: InodeId, handle: Option<HandleId>, settles: bool, wish: Wish) -> Plan {
        let fsync = Self {
            inode,
            handle,
            settles,
            wish,
            part: None,
        };
        Plan::Work(Work::Fsync(fsync), None)
    }
}

/// `fsync`, `fdatasync`.
pub(super) fn plan(cx: &Context<'_>, inode: InodeId, handle: HandleId, data_only: bool) -> Plan {
    if let Err(errno) = cx.state.files.handle(handle, inode) {
        return Plan::fail(errno);
    }
    let wants_length = !data_only || cx.state.config.fdatasync_update_length;
    let wish = Wish {
        flush: Some(Patience::Lasting),
        sync: wants_length.then_some(Kind::Durable),
    };
    Fsync::plan(inode, Some(handle), true, wish)
}

/// A descriptor is closed. Who has not written does not wait for, or hear of, what others wrote.
pub(super) fn close(cx: &Context<'_>, inode: InodeId, handle: HandleId) -> Plan {
    match cx.state.files.handle(handle, inode) {
        Err(errno) => Plan::fail(errno),
        Ok(known) if !known.wrote && known.owed.is_none() => Plan::Answer(Ok(Reply::Done.into())),
        Ok(_) => {
            let wish = Wish {
                flush: Some(Patience::Lasting),
                sync: Some(Kind::Exact),
            };
            Fsync::plan(inode, Some(handle), false, wish)
        }
    }
}

/// For an ioctl: whatever is known.
pub(super) fn forced(inode: InodeId) -> Plan {
    let wish = Wish {
        flush: Some(Patience::Lasting),
        sync: Some(Kind::Forced),
    };
    Fsync::plan(inode, None, false, wish)
}

/// For a regular round.
pub(super) fn regular(cx: &Context<'_>, inode: InodeId) -> Plan {
    let wish = Wish {
        flush: (cx.state.config.periodic_sync.flush_write_buf).then_some(Patience::Once),
        sync: Some(Kind::News),
    };
    Fsync::plan(inode, None, false, wish)
}

impl Fsync {
    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let part = Tidy::start(cx, self.inode, self.wish);
        self.tidied(cx, part)
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Next {
        let tidy = self.part.take().expect("it waits for this part");
        let part = tidy.step(cx, event);
        self.tidied(cx, part)
    }

    fn tidied(mut self, cx: &mut Context<'_>, part: Part<Tidy, Tidied>) -> Next {
        let tidied = match part {
            Part::Wait(tidy) => {
                self.part = Some(tidy);
                return Next::Wait(Work::Fsync(self));
            }
            Part::Done(tidied) => tidied,
        };
        let inode = self.inode;
        if tidied.sync.is_some() {
            cx.invalidate(Invalidate::Inode { inode, pages: None });
        }
        let owed = match self.handle {
            // It may have been closed meanwhile; whoever did that has heard of it.
            Some(handle) => (cx.state.files.handle_mut(handle, inode))
                .ok()
                .and_then(|handle| {
                    if self.settles {
                        handle.owed.take()
                    } else {
                        handle.owed
                    }
                }),
            None => None,
        };
        if owed.is_some() && self.settles {
            flush::drop_if_told(cx, inode);
        }
        let error: Option<Errno> = tidied.error().or(owed);
        Next::Done(match (error, self.handle) {
            (Some(errno), _) => Err(errno),
            (None, Some(_)) => Ok(Reply::Done.into()),
            (None, None) => Ok(Outcome::Done),
        })
    }
}
