//! `access`: asked only of mounts whose kernel does not check permissions itself.
//!
//! Groups beyond the caller's first are not known here; who depends on them has to let the kernel check.

use super::calls::{of, stat};
use super::rules::{errno, response};
use crate::reply::{Attributes, Reply};
use crate::shard::{Context, Event, Step};
use flyer_types::Errno;
use flyer_types::ids::{InodeId, Permission};
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::{Acl, InodeType};

/// Run by anybody.
const EXEC_BITS: u32 = 0o111;

/// An `access` that waits for the inode.
#[derive(Debug)]
pub(crate) struct Wanted(u32);

impl Wanted {
    pub(super) fn begin(cx: &mut Context<'_>, inode: InodeId, mask: u32) -> Result<Self, Errno> {
        if mask > 7 {
            return Err(Errno::EINVAL);
        }
        stat(cx, of(inode));
        Ok(Self(mask))
    }

    pub(super) fn step(self, cx: &Context<'_>, event: Event) -> Result<Step, Errno> {
        let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
        let is_directory = matches!(
            found.base.kind,
            flyer_wire::msg::meta::inode::InodeKind::Directory(_)
        );
        check(cx, &found.base.acl, is_directory, self.0)?;
        Ok(Step::reply(Reply::Done))
    }
}

/// Checks the same of an inode without a server.
pub(super) fn check_attributes(cx: &Context<'_>, attributes: &Attributes, mask: u32) -> Result<(), Errno> {
    if mask > 7 {
        return Err(Errno::EINVAL);
    }
    let acl = Acl {
        uid: attributes.uid,
        gid: attributes.gid,
        perm: attributes.permission,
        iflags: IFlags::empty(),
    };
    check(cx, &acl, attributes.kind == InodeType::DIRECTORY, mask)
}

fn check(cx: &Context<'_>, acl: &Acl, is_directory: bool, mask: u32) -> Result<(), Errno> {
    let wanted = Access::from_bits_truncate(u8::try_from(mask).unwrap_or(u8::MAX));
    if wanted.contains(Access::WRITE) && cx.user().readonly {
        return Err(Errno::EROFS);
    }
    let user = cx.base().user;
    let none_runs = !is_directory && acl.perm.0 & EXEC_BITS == 0;
    if user.is_root() && wanted.contains(Access::EXEC) && none_runs {
        return Err(Errno::EACCES);
    }
    debug_assert!(acl.perm <= Permission(0o7777), "only mode bits are kept");
    acl.check(&user, wanted).map_err(|_| Errno::EACCES)
}
