//! Writes out what is buffered of an inode, then tells the server: a part of many operations.
//!
//! ```text
//!   flush wanted, bytes wait ──► Flushing ──written──► Syncing ──► done
//!                                    └─────failed──────────────► done
//! ```

use super::Part;
use super::flush;
use super::sync::{self, Kind, Pledge};
use super::write_back::Patience;
use crate::shard::{Context, Event};
use alloc::boxed::Box;
use flyer_types::Errno;
use flyer_types::ids::InodeId;
use flyer_wire::msg::meta::inode::Inode;

/// What is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) flush: Option<Patience>,
    pub(super) sync: Option<Kind>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Tidied {
    pub(super) flush: Result<(), Errno>,
    /// The inode as the server has it; `None` if the server was not asked.
    pub(super) sync: Option<Result<Box<Inode>, Errno>>,
}

impl Tidied {
    /// The first failure.
    pub(super) fn error(&self) -> Option<Errno> {
        let synced = self.sync.as_ref().and_then(|sync| sync.as_ref().err());
        self.flush.err().or_else(|| synced.copied())
    }
}

#[derive(Debug)]
pub(super) enum Tidy {
    Flushing { inode: InodeId, sync: Option<Kind> },
    Syncing { inode: InodeId, pledge: Pledge },
}

impl Tidy {
    pub(super) fn start(cx: &mut Context<'_>, inode: InodeId, wish: Wish) -> Part<Self, Tidied> {
        let waits = wish
            .flush
            .map_or(Ok(false), |patience| flush::want(cx, inode, patience));
        match waits {
            Ok(true) => Part::Wait(Self::Flushing {
                inode,
                sync: wish.sync,
            }),
            Ok(false) => Self::sync(cx, inode, wish.sync),
            Err(errno) => Part::Done(Tidied {
                flush: Err(errno),
                sync: None,
            }),
        }
    }

    fn sync(cx: &mut Context<'_>, inode: InodeId, kind: Option<Kind>) -> Part<Self, Tidied> {
        match kind.and_then(|kind| sync::send(cx, inode, kind)) {
            Some(pledge) => Part::Wait(Self::Syncing { inode, pledge }),
            None => Part::Done(Tidied {
                flush: Ok(()),
                sync: None,
            }),
        }
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Part<Self, Tidied> {
        match self {
            Self::Flushing { inode, sync } => match event {
                Event::Asked(Ok(_)) => Self::sync(cx, inode, sync),
                Event::Asked(Err(errno)) => Part::Done(Tidied {
                    flush: Err(errno),
                    sync: None,
                }),
                Event::Meta(_) | Event::Storage(_) | Event::Turn => unreachable!("it waits for a flush"),
            },
            Self::Syncing { inode, pledge } => {
                let answer = sync::land(cx, inode, &pledge, event);
                Part::Done(Tidied {
                    flush: Ok(()),
                    sync: Some(answer),
                })
            }
        }
    }
}
