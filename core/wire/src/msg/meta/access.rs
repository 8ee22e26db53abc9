//! Permission checks: what a user may do with an object.
//!
//! Source: `src/fbs/meta/Schema.cc` upstream. Exactly one class of the mode is consulted: an owner without owner bits is
//! refused even if others have them.

use crate::msg::common::UserInfo;
use crate::msg::meta::inode::Acl;
use flyer_types::StatusCode;
use flyer_types::ids::{Gid, Uid};

bitflags::bitflags! {
    /// Kinds of access, with the numbers of the mode bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Access: u8 {
        /// Run a file, or walk through a directory.
        const EXEC = 1;
        /// Change it.
        const WRITE = 2;
        /// Read it.
        const READ = 4;
    }
}

impl UserInfo {
    /// Whether the user is the superuser.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid == Uid(0)
    }

    /// Whether the user is in the group.
    #[must_use]
    pub fn is_in_group(&self, group: Gid) -> bool {
        self.gid == group || self.groups.contains(&group)
    }
}

impl Acl {
    /// Whether `user` has all the access `wanted`.
    ///
    /// # Errors
    /// `Meta::NoPermission`.
    pub fn check(&self, user: &UserInfo, wanted: Access) -> Result<(), StatusCode> {
        let shift = if user.uid == self.uid {
            6
        } else if user.is_in_group(self.gid) {
            3
        } else {
            0
        };
        let needed = u32::from(wanted.bits()) << shift;
        if user.is_root() || self.perm.0 & needed == needed {
            return Ok(());
        }
        Err(StatusCode::META_NO_PERMISSION)
    }
}
