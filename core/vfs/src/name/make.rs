//! New names: mknod, mkdir, symlink, link, create.
//!
//! ```text
//!   request ──► one call ──► Enter or EnterCreated: the inode's shard counts the reference (and opens the handle), and answers
//! ```
//!
//! Only regular files, directories and symbolic links exist: a pipe, socket or device is `EPERM`, never `ENOSYS`, after which the kernel
//! would not ask again for files either.
//!
//! Limits: names of `NAME_BYTES_MAX`, targets of `SYMLINK_TARGET_BYTES_MAX`; longer ones are `ENAMETOOLONG`.

use super::calls::{self, at};
use super::rules::{accept, check_entry, check_writable, errno, is_hidden, response};
use crate::shard::{Context, Event, Step, Task};
use flyer_types::ids::{InodeId, Permission, Uuid};
use flyer_types::limits::SYMLINK_TARGET_BYTES_MAX;
use flyer_types::{Errno, Text};
use flyer_wire::msg::meta::call::{PathAt, SessionInfo};
use flyer_wire::msg::meta::flags::OpenFlags;
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::msg::meta::namespace::{CreateReq, MkdirsReq, SymlinkReq};

/// Type bits of a mode, `S_IFMT`.
const TYPE_BITS: u32 = 0o170_000;
/// Mode bits that are stored.
const MODE_BITS: u32 = 0o7777;

/// Chunks that a server lets a client remove per chain and round; upstream's clients send this number.
const REMOVE_CHUNKS_BATCH: u32 = 32;

/// What is waited for.
#[derive(Debug)]
pub(crate) enum Make {
    /// A file that is not opened.
    Node,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// Another name of an inode.
    Link,
    /// A file that is opened.
    File {
        /// Its session, if it is opened for writing.
        session: Uuid,
        /// As the kernel gave them.
        flags: u32,
    },
}

/// Checks where a name is to be made.
fn check_place(cx: &Context<'_>, parent: InodeId, name: &Text) -> Result<(), Errno> {
    check_writable(cx)?;
    check_entry(name)?;
    if is_hidden(parent, name) {
        return Err(Errno::EEXIST);
    }
    Ok(())
}

/// Checks the type bits of a mode that a file is to get.
fn check_type(mode: u32) -> Result<(), Errno> {
    match mode & TYPE_BITS {
        0 | 0o100_000 => Ok(()),
        0o010_000 | 0o020_000 | 0o060_000 | 0o140_000 => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}

/// The flags of an open that mean something to a server, with its numbers.
fn open_flags(flags: u32) -> OpenFlags {
    let known = [
        (0o100, OpenFlags::CREAT),
        (0o200, OpenFlags::EXCL),
        (0o1000, OpenFlags::TRUNC),
        (0o2000, OpenFlags::APPEND),
    ];
    let access = match flags & 3 {
        0 => OpenFlags::empty(),
        1 => OpenFlags::WRONLY,
        _ => OpenFlags::RDWR,
    };
    known
        .into_iter()
        .filter(|(bit, _)| flags & bit != 0)
        .fold(access, |all, (_, flag)| all | flag)
}

impl Make {
    pub(super) fn node(cx: &mut Context<'_>, parent: InodeId, name: Text, mode: u32) -> Result<Self, Errno> {
        check_place(cx, parent, &name)?;
        check_type(mode)?;
        let flags = OpenFlags::CREAT | OpenFlags::EXCL;
        create(cx, at(parent, name), None, flags, mode);
        Ok(Self::Node)
    }

    pub(super) fn directory(
        cx: &mut Context<'_>,
        parent: InodeId,
        name: Text,
        permission: Permission,
    ) -> Result<Self, Errno> {
        check_place(cx, parent, &name)?;
        let base = cx.base();
        cx.meta(MkdirsReq {
            base,
            path: at(parent, name),
            perm: Permission(permission.0 & MODE_BITS),
            recursive: false,
            layout: None,
        });
        Ok(Self::Directory)
    }

    pub(super) fn symlink(
        cx: &mut Context<'_>,
        parent: InodeId,
        name: Text,
        target: Text,
    ) -> Result<Self, Errno> {
        check_place(cx, parent, &name)?;
        if target.len() > SYMLINK_TARGET_BYTES_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let base = cx.base();
        cx.meta(SymlinkReq {
            base,
            path: at(parent, name),
            target,
        });
        Ok(Self::Symlink)
    }

    pub(super) fn link(
        cx: &mut Context<'_>,
        inode: InodeId,
        parent: InodeId,
        name: Text,
    ) -> Result<Self, Errno> {
        check_place(cx, parent, &name)?;
        calls::link(cx, inode, parent, name);
        Ok(Self::Link)
    }

    pub(super) fn file(
        cx: &mut Context<'_>,
        parent: InodeId,
        name: Text,
        mode: u32,
        flags: u32,
    ) -> Result<Self, Errno> {
        check_place(cx, parent, &name)?;
        check_type(mode)?;
        let session = cx.draw_uuid();
        create(
            cx,
            at(parent, name),
            Some(session),
            open_flags(flags) | OpenFlags::CREAT,
            mode,
        );
        Ok(Self::File { session, flags })
    }

    pub(super) fn step(self, event: Event) -> Result<Step, Errno> {
        let inode = match self {
            Self::File { session, flags } => {
                let response = response!(event, Create).map_err(|status| errno(&status))?;
                return Ok(Step::Become(Task::EnterCreated {
                    inode: accept(response.stat)?,
                    session,
                    flags,
                    truncate: response.need_truncate,
                }));
            }
            Self::Node => response!(event, Create).map(|response| response.stat),
            Self::Directory => response!(event, Mkdirs).map(|response| response.stat),
            Self::Symlink => response!(event, Symlink).map(|response| response.stat),
            Self::Link => response!(event, HardLink).map(|response| response.stat),
        };
        let inode: Inode = inode.map_err(|status| errno(&status))?;
        Ok(Step::Become(Task::Enter(accept(inode)?)))
    }
}

/// Makes a file, or opens the one that is there.
fn create(cx: &mut Context<'_>, path: PathAt, session: Option<Uuid>, flags: OpenFlags, mode: u32) {
    let base = cx.base();
    let client = cx.state.client.clone();
    cx.meta(CreateReq {
        base,
        path,
        session: session.map(|session| SessionInfo { client, session }),
        flags,
        perm: Permission(mode & MODE_BITS),
        layout: None,
        remove_chunks_batch_size: REMOVE_CHUNKS_BATCH,
        dyn_stripe: true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_hear_of_no_flag_but_their_own() {
        let known =
            OpenFlags::RDWR | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::TRUNC | OpenFlags::APPEND;
        assert_eq!(open_flags(0o3302), known);
        assert_eq!(
            open_flags(u32::MAX),
            known,
            "an access mode of 3 reads and writes"
        );
        assert_eq!(open_flags(!0o3303), OpenFlags::empty());
        assert_eq!(open_flags(1), OpenFlags::WRONLY);
    }

    #[test]
    fn only_regular_files_can_be_made_by_mode() {
        let answers = [
            (0o644, Ok(())),
            (0o100_644, Ok(())),
            (0o010_644, Err(Errno::EPERM)),
            (0o020_644, Err(Errno::EPERM)),
            (0o060_644, Err(Errno::EPERM)),
            (0o140_644, Err(Errno::EPERM)),
            (0o040_755, Err(Errno::EINVAL)),
            (0o120_777, Err(Errno::EINVAL)),
            (0o170_000, Err(Errno::EINVAL)),
        ];
        for (mode, answer) in answers {
            assert_eq!(check_type(mode), answer, "{mode:o}");
        }
    }
}
