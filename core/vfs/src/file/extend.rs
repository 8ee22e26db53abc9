//! More chains for a file that grows. Those who need more at the same time make one call.
//!
//! Owner: a shard.
//!
//! ```text
//!   enough? ─ yes ─► done
//!      │ no
//!      ├─ a call is under way ──► waits ──► enough?
//!      └─ else ──► setAttr(dynStripe) ──► done
//! ```

use super::requests::{inode_in, set_attr};
use super::{Next, Work, errno_of};
use crate::shard::{Context, Event, Outcome};
use flyer_types::Errno;
use flyer_types::ids::InodeId;
use flyer_types::status::MetaRetry;

#[derive(Debug)]
pub(super) struct Extend {
    inode: InodeId,
    end: u64,
}

impl Extend {
    pub(super) const fn new(inode: InodeId, end: u64) -> Self {
        Self { inode, end }
    }

    pub(super) fn start(self, cx: &mut Context<'_>) -> Next {
        let wanted = match cx.state.inodes.facts(self.inode) {
            None => return Next::fail(Errno::ENOENT),
            Some(facts) => facts.stripe_wanted(self.end),
        };
        let Some(wanted) = wanted else {
            return Next::Done(Ok(Outcome::Done));
        };
        let op = cx.op;
        let live = cx.state.inodes.revive(self.inode).expect("it is a file");
        if live.extension.runs {
            live.extension.waiters.push(op);
            return Next::Wait(Work::Extend(self));
        }
        live.extension.runs = true;
        let mut request = set_attr(cx, self.inode);
        request.dyn_stripe = wanted;
        cx.meta(request);
        Next::Wait(Work::Extend(self))
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Next {
        if event == Event::Turn {
            return self.start(cx);
        }
        let live = cx
            .state
            .inodes
            .live_mut(self.inode)
            .expect("a running call keeps it");
        live.extension.runs = false;
        for op in core::mem::take(&mut live.extension.waiters) {
            cx.wake(op);
        }
        match inode_in(event) {
            Ok(inode) => {
                cx.state.inodes.learn(cx.now, &inode);
                let facts = cx.state.inodes.facts(self.inode).expect("it is a file");
                if facts.stripe_wanted(self.end).is_some() {
                    flyer_types::mark!("vfs.stripe_not_extended");
                    return Next::fail(Errno::EIO);
                }
                Next::Done(Ok(Outcome::Done))
            }
            Err(status) => match status.code.meta_retry() {
                MetaRetry::Retryable => Next::fail(Errno::EAGAIN),
                MetaRetry::Final | MetaRetry::Permanent => match errno_of(&status) {
                    // That would mean "another time".
                    Errno::EAGAIN => Next::fail(Errno::EIO),
                    errno => Next::fail(errno),
                },
            },
        }
    }
}
