//! What every operation has at hand, and the rules that several operations share: permissions, times and link counts.
//!
//! Source: `src/fbs/meta/Schema.cc`, `src/meta/store/ops/*` upstream.

use super::chains::ChainTurns;
use super::ids::InodeIds;
use super::options::Options;
use super::options::limits::HOSTNAME_BYTES_MAX;
use super::records::FileSession;
use super::routing::RoutingView;
use super::tx::{Res, Tx, fail};
use crate::store::Store;
use alloc::sync::Arc;
use flyer_types::ids::{Gid, InodeId, Permission, Uid, Uuid};
use flyer_types::{Rng, Span, Status, StatusCode, Text, WallTime};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::call::{ReqBase, SessionInfo};
use flyer_wire::msg::meta::flags::IFlags;
use flyer_wire::msg::meta::inode::{Acl, DirEntryData, Directory, Inode, InodeData, InodeKind};

/// Set-user-id.
pub(super) const S_ISUID: u32 = 0o4000;
/// Set-group-id.
pub(super) const S_ISGID: u32 = 0o2000;
/// Sticky.
pub(super) const S_ISVTX: u32 = 0o1000;
/// All mode bits that are stored.
pub(super) const MODE_BITS: u32 = 0o7777;

/// Message of a `Meta::NoPermission` that the mode bits of an object or of a directory caused, which is `EACCES` to POSIX.
/// Every other refusal (ownership, sticky bit, attributes) is `EPERM` and has another message.
pub const REFUSED_BY_MODE: &str = "refused by mode bits";

/// What outlives an operation, besides the store.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) options: Options,
    pub(super) rng: Rng,
    pub(super) ids: InodeIds,
    pub(super) turns: ChainTurns,
    pub(super) routing: Arc<RoutingView>,
    /// Where removed objects wait.
    pub(super) gc_directory: InodeId,
    /// An operation has put something there since the collector looked, which has to wait this long.
    pub(super) gc_added: Option<Span>,
    /// A client asked to drop sessions since they were scanned.
    pub(super) prune_asked: bool,
    /// An answer was kept since the sweep looked.
    pub(super) record_added: bool,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Op<'a, S> {
    pub(super) tx: Tx<'a, S>,
    pub(super) core: &'a mut Core,
    /// The time in full precision.
    pub(super) clock: WallTime,
    /// The time as it is stored.
    pub(super) now: WallTime,
    /// Who asks.
    pub(super) base: &'a ReqBase,
}

/// The refusal that ownership, the sticky bit or an attribute causes.
pub(super) fn not_owner<T>(why: &'static str) -> Res<T> {
    Err(Status::with_message(StatusCode::META_NO_PERMISSION, why))
}

/// Checks mode bits.
pub(super) fn check_mode(acl: &Acl, user: &UserInfo, wanted: Access) -> Res<()> {
    acl.check(user, wanted)
        .map_err(|code| Status::with_message(code, REFUSED_BY_MODE))
}

/// The parts of a directory: `Meta::NotDirectory` if it is none.
pub(super) fn directory(inode: &Inode) -> Res<&Directory> {
    match &inode.base.kind {
        InodeKind::Directory(directory) => Ok(directory),
        InodeKind::File(_) | InodeKind::Symlink(_) => fail(StatusCode::META_NOT_DIRECTORY),
    }
}

/// Whether the inode is a directory.
pub(super) fn is_directory(inode: &Inode) -> bool {
    directory(inode).is_ok()
}

/// Checks a session that will be stored.
pub(super) fn check_session(session: &SessionInfo) -> Res<()> {
    let fine = !session.client.uuid.is_zero() && !session.session.is_zero();
    if !fine || session.client.hostname.len() > HOSTNAME_BYTES_MAX {
        return fail(StatusCode::INVALID_ARG);
    }
    Ok(())
}

/// Moves a time forward, never back.
pub(super) fn forward(time: &mut WallTime, to: WallTime) {
    *time = (*time).max(to);
}

/// One link more for a directory. More than the field can hold is "not counted": one, as for directories made by upstream.
pub(super) fn add_subdirectory(inode: &mut InodeData) {
    if inode.nlink >= 2 {
        inode.nlink = inode.nlink.checked_add(1).unwrap_or(1);
    }
}

/// One link less for a directory that counts them.
pub(super) fn drop_subdirectory(inode: &mut InodeData) {
    if inode.nlink > 2 {
        inode.nlink -= 1;
    }
}

impl<S: Store> Op<'_, S> {
    /// Who asks.
    pub(super) fn user(&self) -> &UserInfo {
        &self.base.user
    }

    /// Checks mode bits for who asks.
    pub(super) fn check(&self, acl: &Acl, wanted: Access) -> Res<()> {
        check_mode(acl, self.user(), wanted)
    }

    /// Checks that who asks may change the entries of a directory.
    pub(super) fn check_change(&self, parent: &Inode) -> Res<()> {
        let directory = directory(parent)?;
        self.check(&parent.base.acl, Access::WRITE)?;
        match &directory.lock {
            Some(lock) if lock.client.uuid != self.base.client.uuid => fail(StatusCode::META_NO_LOCK),
            Some(_) | None => Ok(()),
        }
    }

    /// Checks that who asks may add an entry to a directory.
    pub(super) fn check_add(&self, parent: &Inode) -> Res<()> {
        if parent.base.nlink == 0 {
            return fail(StatusCode::META_NOT_FOUND);
        }
        self.check_change(parent)
    }

    /// Checks that who asks may take `object` out of a directory, by its attributes and the sticky bit.
    pub(super) fn check_take(&self, parent: &Inode, object: &Inode) -> Res<()> {
        let user = self.user();
        let sticky = parent.base.acl.perm.0 & S_ISVTX != 0;
        if sticky && !user.is_root() && user.uid != parent.base.acl.uid && user.uid != object.base.acl.uid {
            return not_owner("the directory is sticky");
        }
        if object.base.acl.iflags.contains(IFlags::IMMUTABLE) {
            return not_owner("the object is immutable");
        }
        Ok(())
    }

    /// The owner, group and mode of an object that who asks makes in a directory.
    pub(super) fn new_acl(&self, parent: &Inode, perm: Permission, is_directory: bool) -> Acl {
        let mut acl = Acl {
            uid: self.user().uid,
            gid: self.user().gid,
            perm: Permission(perm.0 & MODE_BITS),
            iflags: IFlags::empty(),
        };
        if is_directory {
            acl.iflags = parent.base.acl.iflags & IFlags::INHERITED;
        }
        if parent.base.acl.perm.0 & S_ISGID != 0 {
            acl.gid = parent.base.acl.gid;
            if is_directory {
                acl.perm.0 |= S_ISGID;
            }
        }
        acl
    }

    /// A new inode with one link, as old as the operation.
    pub(super) fn new_inode(&self, id: InodeId, kind: InodeKind, acl: Acl) -> Inode {
        let base = InodeData {
            kind,
            acl,
            nlink: 1,
            atime: self.now,
            ctime: self.now,
            mtime: self.now,
        };
        Inode { base, id }
    }

    /// The links of a directory that holds no directories.
    pub(super) fn directory_links(&self) -> u16 {
        if self.core.options.quirks.directories_have_one_link {
            1
        } else {
            2
        }
    }

    /// Entries of a directory have changed: so do its times, and `links` its link count.
    pub(super) fn touch(&mut self, parent: InodeId, links: fn(&mut InodeData)) -> Res<()> {
        let mut inode = self.tx.inode(parent)?;
        let before = inode.clone();
        if !self.core.options.quirks.directory_times_ignore_entries {
            forward(&mut inode.base.mtime, self.now);
            forward(&mut inode.base.ctime, self.now);
        }
        if inode.base.nlink != 0 {
            links(&mut inode.base);
        }
        if inode != before {
            self.tx.put_inode(&inode);
        }
        Ok(())
    }

    /// A fresh inode id.
    pub(super) fn allocate_id(&mut self) -> Res<InodeId> {
        self.core.ids.allocate(&mut self.tx, &mut self.core.rng)
    }

    /// Stores a write session.
    pub(super) fn put_session(&mut self, inode: InodeId, session: &SessionInfo) {
        let session = FileSession {
            inode,
            client: session.client.clone(),
            session: session.session,
            timestamp: self.clock,
            payload: Text::default(),
        };
        self.tx.put_session(&session);
    }

    /// Whether an entry was made by this very request.
    pub(super) fn is_own(&self, entry: &DirEntryData) -> bool {
        !self.base.uuid.is_zero() && entry.uuid == self.base.uuid
    }
}

/// A request without a user, for what the server does on its own.
pub(super) fn own_base() -> ReqBase {
    use flyer_types::ids::NodeId;
    ReqBase {
        user: UserInfo {
            uid: Uid(0),
            gid: Gid(0),
            groups: alloc::vec::Vec::new(),
            token: flyer_types::Token::default(),
        },
        client: ClientId {
            uuid: Uuid::ZERO,
            hostname: Text::default(),
        },
        forward: NodeId(0),
        uuid: Uuid::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_wire::codec::Wire;

    #[test]
    fn too_many_subdirectories_are_not_counted_any_more() {
        let mut data = InodeData::initial();
        data.nlink = u16::MAX - 1;
        add_subdirectory(&mut data);
        assert_eq!(data.nlink, u16::MAX);
        drop_subdirectory(&mut data);
        assert_eq!(data.nlink, u16::MAX - 1);
        add_subdirectory(&mut data);
        add_subdirectory(&mut data);
        assert_eq!(data.nlink, 1);
        drop_subdirectory(&mut data);
        add_subdirectory(&mut data);
        assert_eq!(data.nlink, 1, "nobody knows how many there are");
    }
}
