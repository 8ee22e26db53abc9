//! Removals: unlink, rmdir, and what goes by ioctl or through `3fs-virt/rm-rf`.
//!
//! ```text
//!   Finding ─ file ──► Pinning ──► Removing ─ done ──► Changed, invalidations, answer
//!      ▲    └ other ─────────────►    │ └ failed ──► errno
//!      └── another inode has the name now (at most TRIES_MAX times) ┘
//! ```
//!
//! The shard of a file that loses a name is asked first to keep it readable where it is open. The server is told which inode is meant, so
//! that no other one is removed unprepared; if the name keeps changing its inode, the removal goes ahead without that.
//!
//! Limits: [`TRIES_MAX`].

use super::calls::{at, of, stat};
use super::rules::{Ending, check_entry, check_writable, errno, is_hidden, is_virtual, response};
use crate::shard::{Context, Event, Step, Task};
use flyer_types::ids::InodeId;
use flyer_types::{Errno, StatusCode, Text};
use flyer_wire::msg::meta::call::PathAt;
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::inode::{Inode, InodeKind};
use flyer_wire::msg::meta::namespace::RemoveReq;

/// How often the inode behind a name may turn out to be another one than before.
const TRIES_MAX: u8 = 4;

/// What may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
    /// Anything, directories if they are empty.
    Any,
    /// Anything with all below it.
    Tree,
}

/// What is waited for.
#[derive(Debug)]
enum State {
    /// The inode behind the name.
    Finding,
    /// Its shard.
    Pinning(InodeId),
    /// The server.
    Removing(Option<InodeId>),
}

/// A removal.
#[derive(Debug)]
pub(crate) struct Remove {
    parent: InodeId,
    /// Absent: the directory `parent` itself is removed.
    name: Option<Text>,
    what: What,
    tries: u8,
    state: State,
    ending: Ending,
}

impl Remove {
    /// `unlink`.
    pub(super) fn unlink(cx: &mut Context<'_>, parent: InodeId, name: Text) -> Result<Self, Errno> {
        Self::entry(cx, parent, name, What::File, Ending::DONE)
    }

    /// `rmdir`: the server checks everything, and nobody has to keep a directory readable.
    pub(super) fn directory(cx: &mut Context<'_>, parent: InodeId, name: Text) -> Result<Self, Errno> {
        check_writable(cx)?;
        check_directory_name(parent, &name)?;
        let mut this = Self::new(parent, Some(name), What::Directory, Ending::DONE);
        this.remove(cx, None);
        Ok(this)
    }

    /// Whatever has that name.
    pub(super) fn entry(
        cx: &mut Context<'_>,
        parent: InodeId,
        name: Text,
        what: What,
        ending: Ending,
    ) -> Result<Self, Errno> {
        check_writable(cx)?;
        check_entry(&name)?;
        if is_hidden(parent, &name) {
            return Err(Errno::EPERM);
        }
        stat(cx, at(parent, name.clone()));
        Ok(Self::new(parent, Some(name), what, ending))
    }

    /// A directory by its inode, with all below it: whatever happens to its path in the meantime, no other tree is removed.
    pub(super) fn tree(cx: &mut Context<'_>, directory: InodeId, ending: Ending) -> Result<Self, Errno> {
        check_writable(cx)?;
        let mut this = Self::new(directory, None, What::Tree, ending);
        this.remove(cx, Some(directory));
        Ok(this)
    }

    const fn new(parent: InodeId, name: Option<Text>, what: What, ending: Ending) -> Self {
        Self {
            parent,
            name,
            what,
            tries: 0,
            state: State::Finding,
            ending,
        }
    }

    pub(super) fn step(mut self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        match self.state {
            State::Finding => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?;
                self.check_found(&found.stat)?;
                let is_file = matches!(found.stat.base.kind, InodeKind::File(_));
                if is_file && !is_virtual(found.stat.id) {
                    cx.ask(Task::Pin(found.stat.id));
                    self.state = State::Pinning(found.stat.id);
                } else {
                    self.remove(cx, Some(found.stat.id));
                }
            }
            // A file that could not be pinned loses its name all the same: the name is the caller's, the handle somebody else's.
            State::Pinning(inode) => self.remove(cx, Some(inode)),
            State::Removing(inode) => {
                let result = response!(event, Remove);
                if let Some(inode) = inode {
                    cx.spawn(Task::Changed(inode));
                }
                match result {
                    Ok(_) => return Ok(self.ending.step(cx)),
                    Err(status) if status.code == StatusCode::META_NOT_FOUND => self.find_again(cx, inode)?,
                    Err(status) => return Err(errno(&status)),
                }
            }
        }
        Ok(super::wait(super::Op::Remove(self)))
    }

    fn check_found(&self, inode: &Inode) -> Result<(), Errno> {
        let is_directory = matches!(inode.base.kind, InodeKind::Directory(_));
        if self.what == What::File && is_directory {
            return Err(Errno::EISDIR);
        }
        if inode.base.acl.iflags.contains(IFlags::IMMUTABLE) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    fn remove(&mut self, cx: &mut Context<'_>, inode: Option<InodeId>) {
        let base = cx.base();
        let (check_type, at_flags) = match self.what {
            What::File => (true, AtFlags::empty()),
            What::Directory => (true, AtFlags::REMOVEDIR),
            What::Any => (false, AtFlags::empty()),
            What::Tree if self.name.is_none() => (true, AtFlags::REMOVEDIR),
            What::Tree => (false, AtFlags::empty()),
        };
        cx.meta(RemoveReq {
            base,
            path: self.path(),
            at_flags,
            recursive: self.what == What::Tree,
            check_type,
            inode_id: inode.filter(|_| self.tries < TRIES_MAX || self.what == What::Tree),
        });
        self.state = State::Removing(inode);
    }

    fn path(&self) -> PathAt {
        match &self.name {
            Some(name) => at(self.parent, name.clone()),
            None => of(self.parent),
        }
    }

    /// The name is gone, or stands for another inode since it was looked at.
    fn find_again(&mut self, cx: &mut Context<'_>, inode: Option<InodeId>) -> Result<(), Errno> {
        if inode.is_none() || self.name.is_none() || self.tries >= TRIES_MAX {
            return Err(Errno::ENOENT);
        }
        flyer_types::mark!("vfs.name_changed_hands");
        self.tries += 1;
        stat(cx, self.path());
        self.state = State::Finding;
        Ok(())
    }
}

/// Checks the name of a directory that is to go.
fn check_directory_name(parent: InodeId, name: &Text) -> Result<(), Errno> {
    match name.as_bytes() {
        b"." => Err(Errno::EINVAL),
        b".." => Err(Errno::ENOTEMPTY),
        _ if is_hidden(parent, name) => Err(Errno::EPERM),
        _ => check_entry(name),
    }
}
