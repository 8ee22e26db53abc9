//! Lookup and readlink.
//!
//! ```text
//!   name ─────► stat(parent, name) ─ found ──► Enter: the inode's shard counts the reference and answers
//!                                  └ missing ─► negative entry, or ENOENT if absence may not be cached
//!   `.`  ─────► stat(parent) ─────────────────► Enter
//!   `..` ─────► stat(parent) ─► stat(its parent) ─► Enter
//!   readlink ─► stat(inode) ──────────────────► target
//! ```
//!
//! `.` and `..` reach a mount only when it is exported by NFS.
//!
//! Limits: targets of `SYMLINK_TARGET_BYTES_MAX`; longer ones are `ENAMETOOLONG`.

use super::calls;
use super::rules::{accept, check_name, errno, response};
use crate::reply::{Entry, Reply};
use crate::shard::{Context, Event, Step, Task};
use flyer_types::ids::InodeId;
use flyer_types::limits::SYMLINK_TARGET_BYTES_MAX;
use flyer_types::{Errno, Span, Status, StatusCode, Text};
use flyer_wire::msg::meta::inode::{Inode, InodeKind};

/// What is waited for.
#[derive(Debug)]
pub(crate) enum Look {
    /// The inode with a name.
    Name,
    /// The directory whose parent is wanted.
    Up,
    /// The inode that a directory said or that the kernel has named.
    Known,
    /// The symbolic link.
    Link,
}

impl Look {
    /// Finds a name.
    pub(super) fn lookup(cx: &mut Context<'_>, parent: InodeId, name: Text) -> Result<Self, Errno> {
        check_name(&name)?;
        let (path, next) = match name.as_bytes() {
            b"." => (calls::of(parent), Self::Known),
            b".." => (calls::of(parent), Self::Up),
            _ => (calls::at(parent, name), Self::Name),
        };
        calls::stat(cx, path);
        Ok(next)
    }

    /// Reads a link.
    pub(super) fn read_link(cx: &mut Context<'_>, inode: InodeId) -> Self {
        calls::stat(cx, calls::of(inode));
        Self::Link
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        let found = response!(event, Stat).map(|response| response.stat);
        match self {
            Self::Name => match found {
                Err(Status {
                    code: StatusCode::META_NOT_FOUND,
                    ..
                }) => missing(cx),
                found => enter(found),
            },
            Self::Known => enter(found),
            Self::Up => {
                let parent = parent_of(&found.map_err(|status| errno(&status))?)?;
                calls::stat(cx, calls::of(parent));
                Ok(super::wait(super::Op::Look(Self::Known)))
            }
            Self::Link => target(found.map_err(|status| errno(&status))?),
        }
    }
}

fn enter(found: Result<Inode, Status>) -> Result<Step, Errno> {
    let inode = found.map_err(|status| errno(&status))?;
    Ok(Step::Become(Task::Enter(accept(inode)?)))
}

/// A name is not there. The kernel may remember that, if the user's options say for how long.
fn missing(cx: &Context<'_>) -> Result<Step, Errno> {
    let timeout = cx.user().negative_timeout;
    if timeout == Span::ZERO {
        return Err(Errno::ENOENT);
    }
    Ok(Step::reply(Reply::Entry(Entry {
        attributes: None,
        entry_timeout: timeout,
        attributes_timeout: timeout,
    })))
}

/// The parent of a directory.
pub(super) const fn parent_of(inode: &Inode) -> Result<InodeId, Errno> {
    match &inode.base.kind {
        InodeKind::Directory(directory) => Ok(directory.parent),
        InodeKind::File(_) | InodeKind::Symlink(_) => Err(Errno::ENOTDIR),
    }
}

fn target(inode: Inode) -> Result<Step, Errno> {
    match inode.base.kind {
        InodeKind::Symlink(link) if link.target.len() > SYMLINK_TARGET_BYTES_MAX => Err(Errno::ENAMETOOLONG),
        InodeKind::Symlink(link) => Ok(Step::reply(Reply::Target(link.target))),
        InodeKind::File(_) | InodeKind::Directory(_) => Err(Errno::EINVAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_wire::codec::Wire;
    use flyer_wire::msg::meta::inode::Symlink;

    #[test]
    fn targets_have_a_longest() {
        for (bytes, answer) in [(4095, None), (4096, Some(Errno::ENAMETOOLONG))] {
            let mut inode = Inode::initial();
            let target = Text::from(alloc::vec![b'x'; bytes]);
            inode.base.kind = InodeKind::Symlink(Symlink { target });
            assert_eq!(super::target(inode).err(), answer, "{bytes}");
        }
    }
}
