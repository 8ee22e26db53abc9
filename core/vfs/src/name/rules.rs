//! What holds for all operations on names: what a name may be, which inodes exist in the mount only, what a refusal is to the
//! kernel, and what an answer of a metadata server has to look like.
//!
//! Owner: the operations of `name`. Source: `fuse-semantics` of the protocol notes, sections 2, 3 and 13.

use crate::reply::{Invalidate, Reply};
use crate::shard::{Context, Step};
use alloc::boxed::Box;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::limits::NAME_BYTES_MAX;
use flyer_types::{Errno, Status, StatusCode, Text};
use flyer_wire::msg::meta::inode::Inode;

/// Name of the virtual directory in the root.
pub(crate) const VIRTUAL_NAME: &str = "3fs-virt";

/// Message of a `Meta::NoPermission` that mode bits caused, as Flyer's own metadata server words it. Other servers do not tell the two
/// kinds of refusal apart, and all of theirs are `EPERM`.
const REFUSED_BY_MODE: &str = "refused by mode bits";

/// Whether an inode exists in this mount only. No server hands out such ids, and none is ever counted.
pub(crate) const fn is_virtual(inode: InodeId) -> bool {
    inode.0 >> 60 != 0
}

/// Whether the virtual directory hides what may have this name.
pub(super) fn is_hidden(parent: InodeId, name: &Text) -> bool {
    parent == InodeId::ROOT && name.as_bytes() == VIRTUAL_NAME.as_bytes()
}

/// What the kernel is told of a failed metadata call.
///
/// `ENOSYS` never leaves: the kernel would take the whole operation for missing and not ask again.
pub(crate) fn errno(status: &Status) -> Errno {
    let by_mode = status.message.as_bytes() == REFUSED_BY_MODE.as_bytes();
    match status.errno() {
        _ if status.code == StatusCode::META_NO_PERMISSION && by_mode => Errno::EACCES,
        Errno::ENOSYS => Errno::EOPNOTSUPP,
        errno => errno,
    }
}

/// Checks one component of a path. Servers would take longer names up to what the kernel allows, which is more than any tool expects.
pub(super) fn check_name(name: &Text) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&b'/') || bytes.contains(&0) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Checks a name that an entry is to get or to lose: one component, and not `.` or `..`.
pub(super) fn check_entry(name: &Text) -> Result<(), Errno> {
    check_name(name)?;
    if matches!(name.as_bytes(), b"." | b"..") {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

/// Checks that the caller may change anything at all.
pub(super) fn check_writable(cx: &Context<'_>) -> Result<(), Errno> {
    if cx.user().readonly {
        return Err(Errno::EROFS);
    }
    Ok(())
}

/// An inode that a server has sent: one whose id only the mount uses would be taken for something else later.
pub(super) fn accept(inode: Inode) -> Result<Box<Inode>, Errno> {
    if is_virtual(inode.id) {
        flyer_types::mark!("vfs.server_sent_virtual_inode");
        return Err(Errno::EIO);
    }
    Ok(Box::new(inode))
}

/// What is said when an operation has succeeded: to the kernel's caches, then to the caller.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) forget: Vec<Invalidate>,
    pub(super) reply: Reply,
}

impl Ending {
    /// Nothing to say.
    pub(super) const DONE: Self = Self {
        forget: Vec::new(),
        reply: Reply::Done,
    };

    /// An ioctl without output has succeeded, and the kernel has to forget these names.
    pub(super) fn of_ioctl(names: impl IntoIterator<Item = (InodeId, Text)>) -> Self {
        Self {
            forget: names
                .into_iter()
                .map(|(parent, name)| Invalidate::Entry { parent, name })
                .collect(),
            reply: Reply::Ioctl(0, Text::default()),
        }
    }

    /// Says it.
    pub(super) fn step(self, cx: &mut Context<'_>) -> Step {
        for what in self.forget {
            cx.invalidate(what);
        }
        Step::reply(self.reply)
    }
}

/// The response to the call that an operation waits for: any other is a server's fault.
macro_rules! response {
    ($event:expr, $call:ident) => {
        match $event {
            $crate::shard::Event::Meta(Ok(flyer_wire::service::meta::Response::$call(response))) => {
                Ok(response)
            }
            $crate::shard::Event::Meta(Ok(_)) => Err(flyer_types::Status::new(
                flyer_types::StatusCode::RPC_VERIFY_RESPONSE_FAILED,
            )),
            $crate::shard::Event::Meta(Err(status)) => Err(status),
            $crate::shard::Event::Storage(_)
            | $crate::shard::Event::Asked(_)
            | $crate::shard::Event::Turn => {
                unreachable!("the operation waits for a metadata server")
            }
        }
    };
}
pub(super) use response;
