//! Rename, also by ioctl and by `mv:` link.
//!
//! ```text
//!   [FindingSource ──►] FindingVictim ─ file ──► Pinning ──► Renaming ──► Changed, invalidations, answer
//!                                     └ other, none ──────►
//! ```
//!
//! The shard of a file that is replaced is asked first to keep it readable where it is open.
//!
//! Flags: servers cannot refuse to replace something in the same step, so `RENAME_NOREPLACE` is `EINVAL`, as is `RENAME_EXCHANGE`; callers fall
//! back, and the kernel itself refuses to replace what it knows to be there.

use super::calls::{at, stat};
use super::rules::{Ending, check_entry, check_writable, errno, is_hidden, response};
use crate::shard::{Context, Event, Step, Task};
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Status, StatusCode, Text};
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::InodeKind;
use flyer_wire::msg::meta::namespace::RenameReq;

/// A name in a directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) parent: InodeId,
    pub(super) name: Text,
}

impl Place {
    pub(super) const fn new(parent: InodeId, name: Text) -> Self {
        Self { parent, name }
    }
}

/// Checks the flags of `renameat2`.
pub(super) const fn check_flags(flags: u32) -> Result<(), Errno> {
    match flags {
        0 => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

/// What is waited for.
#[derive(Debug)]
enum State {
    /// The inode that is moved.
    FindingSource,
    /// The inode that is replaced.
    FindingVictim,
    /// Its shard.
    Pinning(InodeId),
    /// The server.
    Renaming(Option<InodeId>),
}

/// A rename.
#[derive(Debug)]
pub(crate) struct Rename {
    from: Place,
    to: Place,
    /// Into the trash; the source is expected to stay what it is.
    to_trash: bool,
    source: Option<InodeId>,
    state: State,
    ending: Ending,
}

impl Rename {
    /// Moves what has one name to the other.
    pub(super) fn begin(
        cx: &mut Context<'_>,
        from: Place,
        to: Place,
        to_trash: bool,
        ending: Ending,
    ) -> Result<Self, Errno> {
        check_writable(cx)?;
        for place in [&from, &to] {
            check_entry(&place.name)?;
            if is_hidden(place.parent, &place.name) {
                return Err(Errno::EPERM);
            }
        }
        let (first, state) = if to_trash {
            (&from, State::FindingSource)
        } else {
            (&to, State::FindingVictim)
        };
        stat(cx, at(first.parent, first.name.clone()));
        Ok(Self {
            from,
            to,
            to_trash,
            source: None,
            state,
            ending,
        })
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        match self.state {
            State::FindingSource => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?;
                self.source = Some(found.stat.id);
                stat(cx, at(self.to.parent, self.to.name.clone()));
                self.state = State::FindingVictim;
            }
            State::FindingVictim => match response!(event, Stat).map(|response| response.stat) {
                Err(Status {
                    code: StatusCode::META_NOT_FOUND,
                    ..
                }) => self.rename(cx, None),
                Err(status) => return Err(errno(&status)),
                Ok(victim) if victim.base.acl.iflags.contains(IFlags::IMMUTABLE) => return Err(Errno::EPERM),
                Ok(victim) if matches!(victim.base.kind, InodeKind::File(_)) => {
                    cx.ask(Task::Pin(victim.id));
                    self.state = State::Pinning(victim.id);
                }
                Ok(victim) => self.rename(cx, Some(victim.id)),
            },
            // As in a removal, what cannot be pinned is replaced all the same.
            State::Pinning(victim) => self.rename(cx, Some(victim)),
            State::Renaming(victim) => return self.finish(cx, event, victim),
        }
        Ok(super::wait(super::Op::Rename(self)))
    }

    fn rename(&mut self, cx: &mut Context<'_>, victim: Option<InodeId>) {
        let base = cx.base();
        cx.meta(RenameReq {
            base,
            src: at(self.from.parent, self.from.name.clone()),
            dest: at(self.to.parent, self.to.name.clone()),
            move_to_trash: self.to_trash,
            inode_id: self.source,
        });
        self.state = State::Renaming(victim);
    }

    fn finish(self, cx: &mut Context<'_>, event: Event, victim: Option<InodeId>) -> Result<Step, Errno> {
        let result = response!(event, Rename);
        if let Some(victim) = victim {
            cx.spawn(Task::Changed(victim));
        }
        let moved = result.map_err(|status| errno(&status))?;
        if let Some(inode) = moved.stat {
            cx.spawn(Task::Changed(inode.id));
        }
        Ok(self.ending.step(cx))
    }
}
