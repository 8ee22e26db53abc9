//! Cuts or extends a file to a length: a part of operations that have the inode alone.
//!
//! ```text
//!   Clearing ──► Extending ──► Cutting ──► Telling ──► done
//!   (buffer)     (chains)      (storage)   (server: sync, truncated)
//! ```
//!
//! To length 0 what is buffered is dropped, or else old bytes would be written after the cut; to other lengths it is written first.
//! If the cut fails, the server is made to ask the storage for the length at the next sync.
//!
//! Source: the protocol notes on truncation (section 8 of the metadata client).

use super::requests::{inode_in, sync};
use super::write_back::{FlushState, Patience};
use super::{Part, Task, errno_of, flush};
use crate::inode::NO_NEWS;
use crate::shard::{Context, Event};
use alloc::boxed::Box;
use flyer_client::storage::Want;
use flyer_types::Errno;
use flyer_types::ids::InodeId;
use flyer_wire::msg::meta::inode::Inode;

/// What came of a cut: the inode afterwards.
pub(super) type Cutted = Result<Box<Inode>, Errno>;

#[derive(Debug)]
enum Stage {
    Clearing,
    Extending,
    Cutting,
    Telling { life: u64, written: u64 },
}

#[derive(Debug)]
pub(super) struct Cut {
    inode: InodeId,
    length: u64,
    stage: Stage,
}

/// Checks a length before anything is touched.
pub(super) fn check_length(cx: &Context<'_>, inode: InodeId, length: u64) -> Result<(), Errno> {
    let facts = cx.state.inodes.facts(inode).ok_or(Errno::ENOENT)?;
    if length > facts.length_max() {
        flyer_types::mark!("vfs.file_too_large");
        return Err(Errno::EFBIG);
    }
    Ok(())
}

impl Cut {
    pub(super) fn start(cx: &mut Context<'_>, inode: InodeId, length: u64) -> Part<Self, Cutted> {
        if let Err(errno) = check_length(cx, inode, length) {
            return Part::Done(Err(errno));
        }
        let this = Self {
            inode,
            length,
            stage: Stage::Clearing,
        };
        this.clear(cx)
    }

    fn clear(self, cx: &mut Context<'_>) -> Part<Self, Cutted> {
        let inode = self.inode;
        let patience = if self.length == 0 {
            flush::discard_pending(cx, inode);
            let flies = cx
                .state
                .inodes
                .live(inode)
                .is_some_and(|live| live.back.state == FlushState::Running && live.back.batch.is_some());
            if !flies {
                flush::discard(cx, inode);
                return self.extend(cx);
            }
            Patience::Once
        } else {
            Patience::Lasting
        };
        match flush::want(cx, inode, patience) {
            Ok(true) => Part::Wait(self),
            Ok(false) => self.extend(cx),
            Err(errno) => Part::Done(Err(errno)),
        }
    }

    fn extend(mut self, cx: &mut Context<'_>) -> Part<Self, Cutted> {
        let (inode, end) = (self.inode, self.length);
        let facts = cx.state.inodes.facts(inode);
        if facts.is_some_and(|facts| facts.stripe_wanted(end).is_some()) {
            self.stage = Stage::Extending;
            cx.ask(crate::shard::Task::File(Task::Extend { inode, end }));
            return Part::Wait(self);
        }
        self.cut(cx)
    }

    fn cut(mut self, cx: &mut Context<'_>) -> Part<Self, Cutted> {
        let Some(facts) = cx.state.inodes.facts(self.inode) else {
            return Part::Done(Err(Errno::ENOENT));
        };
        let view = facts.view(self.inode);
        let length = self.length;
        cx.storage(view, Want::Truncate { length });
        self.stage = Stage::Cutting;
        Part::Wait(self)
    }

    fn tell(mut self, cx: &mut Context<'_>) -> Part<Self, Cutted> {
        let live = cx.state.inodes.revive(self.inode).expect("it is a file");
        self.stage = Stage::Telling {
            life: live.life,
            written: live.dynamic.written,
        };
        let mtime = cx.wall();
        let mut request = sync(cx, self.inode);
        request.update_length = true;
        request.truncated = true;
        request.mtime = Some(mtime);
        cx.meta(request);
        Part::Wait(self)
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Part<Self, Cutted> {
        match (&self.stage, event) {
            (Stage::Clearing, Event::Asked(outcome)) => {
                match outcome {
                    Err(errno) if self.length > 0 => Part::Done(Err(errno)),
                    // Someone else may have begun another try meanwhile.
                    Ok(_) | Err(_) => self.clear(cx),
                }
            }
            (Stage::Extending, Event::Asked(Ok(_))) => self.cut(cx),
            (Stage::Extending, Event::Asked(Err(errno))) => Part::Done(Err(flush::write_errno(errno))),
            (Stage::Cutting, Event::Storage(Ok(_))) => self.tell(cx),
            (Stage::Cutting, Event::Storage(Err(status))) => {
                self.doubt(cx);
                Part::Done(Err(flush::write_errno(status.errno())))
            }
            (Stage::Telling { life, written }, event @ Event::Meta(_)) => {
                let (life, written) = (*life, *written);
                match inode_in(event) {
                    Ok(inode) => {
                        self.told(cx, &inode, life, written);
                        Part::Done(Ok(Box::new(inode)))
                    }
                    Err(status) => {
                        self.doubt(cx);
                        Part::Done(Err(errno_of(&status)))
                    }
                }
            }
            (stage, event) => unreachable!("{event:?} while {stage:?}"),
        }
    }

    /// The server knows: whatever was written before the cut is settled.
    fn told(&self, cx: &mut Context<'_>, inode: &Inode, life: u64, written: u64) {
        if let Some(live) = cx
            .state
            .inodes
            .live_mut(self.inode)
            .filter(|live| live.life == life)
        {
            let dynamic = &mut live.dynamic;
            dynamic.synced = dynamic.synced.max(written);
            dynamic.fsynced = dynamic.fsynced.max(written);
            dynamic.end = 0;
            dynamic.mtime = None;
            if dynamic.written == written {
                dynamic.hint = NO_NEWS;
            }
        }
        cx.state.inodes.learn(cx.now, inode);
    }

    /// How much was cut is not known.
    fn doubt(&self, cx: &mut Context<'_>) {
        if let Some(live) = cx.state.inodes.revive(self.inode) {
            live.dynamic.finish(None);
        }
    }
}
