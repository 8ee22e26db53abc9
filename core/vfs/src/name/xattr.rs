//! Extended attributes: `hf3fs.lock` of directories, and nothing else.
//!
//! ```text
//!   get, list ──► stat ──► value, names
//!   set, remove ─► stat ──► lockDirectory ──► done
//! ```
//!
//! Names that the kernel asks for on its own account (`security.*`, `system.*`) are answered without a server. The lock works on the root, too.
//!
//! Source: `fuse-semantics` of the protocol notes, section 10.

use super::calls::{of, stat};
use super::rules::{check_writable, errno, response};
use super::{Op, wait};
use crate::reply::Reply;
use crate::shard::{Context, Event, Step};
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Text};
use flyer_wire::json::to_json;
use flyer_wire::msg::meta::attr::{LockAction, LockDirectoryReq};
use flyer_wire::msg::meta::inode::{Directory, InodeKind};

/// The lock of a directory.
const LOCK: &[u8] = b"hf3fs.lock";
/// All names of a locked directory, as `listxattr` gives them.
const LOCK_LIST: &[u8] = b"hf3fs.lock\0";

/// What is waited for.
#[derive(Debug)]
pub(crate) enum Xattr {
    /// The directory whose lock is asked for, with this much room.
    Get(u32),
    /// The inode whose names are asked for.
    List(u32),
    /// The directory that is to be locked or unlocked, and whether by removing the attribute.
    Find {
        inode: InodeId,
        action: LockAction,
        removes: bool,
    },
    /// The lock.
    Lock,
}

impl Xattr {
    pub(super) fn set(
        cx: &mut Context<'_>,
        inode: InodeId,
        name: &Text,
        value: &Text,
    ) -> Result<Self, Errno> {
        check_writable(cx)?;
        if name.as_bytes() != LOCK {
            return Err(Errno::EOPNOTSUPP);
        }
        let action = match value.as_bytes() {
            b"try_lock" => LockAction::TRY_LOCK,
            b"preempt_lock" => LockAction::PREEMPT_LOCK,
            b"unlock" => LockAction::UNLOCK,
            b"clear" => LockAction::CLEAR,
            _ => return Err(Errno::EINVAL),
        };
        stat(cx, of(inode));
        Ok(Self::Find {
            inode,
            action,
            removes: false,
        })
    }

    pub(super) fn remove(cx: &mut Context<'_>, inode: InodeId, name: &Text) -> Result<Self, Errno> {
        check_writable(cx)?;
        if name.as_bytes() != LOCK {
            return Err(Errno::EPERM);
        }
        stat(cx, of(inode));
        Ok(Self::Find {
            inode,
            action: LockAction::CLEAR,
            removes: true,
        })
    }

    pub(super) fn get(cx: &mut Context<'_>, inode: InodeId, name: &Text, bytes: u32) -> Result<Self, Errno> {
        if name.as_bytes() != LOCK {
            return Err(Errno::ENODATA);
        }
        stat(cx, of(inode));
        Ok(Self::Get(bytes))
    }

    pub(super) fn list(cx: &mut Context<'_>, inode: InodeId, bytes: u32) -> Self {
        stat(cx, of(inode));
        Self::List(bytes)
    }

    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        if let Self::Lock = self {
            response!(event, LockDirectory).map_err(|status| errno(&status))?;
            return Ok(Step::reply(Reply::Done));
        }
        let kind = response!(event, Stat)
            .map_err(|status| errno(&status))?
            .stat
            .base
            .kind;
        match self {
            Self::Get(bytes) => match &kind {
                InodeKind::Directory(directory) => answer(lock_text(directory).ok_or(Errno::ENODATA)?, bytes),
                InodeKind::File(_) => Err(Errno::ENODATA),
                InodeKind::Symlink(_) => Err(Errno::EOPNOTSUPP),
            },
            Self::List(bytes) => {
                let is_locked = matches!(&kind, InodeKind::Directory(directory) if directory.lock.is_some());
                let names = if is_locked { LOCK_LIST } else { b"" };
                answer(Text::from(names), bytes)
            }
            Self::Find {
                inode,
                action,
                removes,
            } => {
                check_kind(&kind, removes)?;
                let base = cx.base();
                cx.meta(LockDirectoryReq { base, inode, action });
                Ok(wait(Op::Xattr(Self::Lock)))
            }
            Self::Lock => unreachable!("it was served above"),
        }
    }
}

/// Checks that the inode can have a lock.
const fn check_kind(kind: &InodeKind, removes: bool) -> Result<(), Errno> {
    match (kind, removes) {
        (InodeKind::Directory(_), _) => Ok(()),
        (InodeKind::File(_), true) => Err(Errno::ENOTDIR),
        (InodeKind::Symlink(_), true) => Err(Errno::EPERM),
        (InodeKind::File(_) | InodeKind::Symlink(_), false) => Err(Errno::EOPNOTSUPP),
    }
}

/// Who has locked a directory.
fn lock_text(directory: &Directory) -> Option<Text> {
    directory.lock.as_ref().map(|lock| Text::from(to_json(lock)))
}

/// A value for somebody who has this much room; none means that only the length is asked for.
fn answer(value: Text, bytes: u32) -> Result<Step, Errno> {
    let length = u32::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
    match bytes {
        0 => Ok(Step::reply(Reply::Length(length))),
        _ if length > bytes => Err(Errno::ERANGE),
        _ => Ok(Step::reply(Reply::Bytes(value))),
    }
}
