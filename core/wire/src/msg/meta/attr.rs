//! Calls on attributes, users and the file system as a whole.
//!
//! Source: `src/fbs/meta/Service.h` upstream.

use crate::codec::Void;
use crate::msg::common::UserInfo;
use crate::msg::meta::call::{PathAt, ReqBase, RspBase};
use crate::msg::meta::flags::{AtFlags, IFlags};
use crate::msg::meta::inode::{Inode, Layout};
use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::ids::{Gid, InodeId, Permission, Uid};
use flyer_types::{Status, WallTime};
use flyer_wire_derive::Wire;

open_enums! {
    /// What to do with a directory's lock.
    pub LockAction(u8) {
        /// Lock, unless another client has.
        TRY_LOCK = 0, "TryLock";
        /// Lock, whoever has.
        PREEMPT_LOCK = 1, "PreemptLock";
        /// Unlock what this client has locked.
        UNLOCK = 2, "UnLock";
        /// Unlock, whoever has.
        CLEAR = 3, "Clear";
    }
}

/// Request of `statFs` (metadata service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::StatFsReq")]
pub struct StatFsReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
}

/// Answer of `statFs` (metadata service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::StatFsRsp")]
pub struct StatFsRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Bytes in total.
    pub capacity: u64,
    /// Bytes used.
    pub used: u64,
    /// Bytes free.
    pub free: u64,
}

/// Request of `stat` (metadata service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::StatReq")]
pub struct StatReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Whether to follow symbolic links.
    pub flags: AtFlags,
}

/// Answer of `stat` (metadata service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::StatRsp")]
pub struct StatRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode.
    pub stat: Inode,
}

/// Request of `batchStat` (metadata service, method 20).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::BatchStatReq")]
pub struct BatchStatReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The inodes wanted.
    pub inode_ids: Vec<InodeId>,
}

/// Answer of `batchStat` (metadata service, method 20).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::BatchStatRsp")]
pub struct BatchStatRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// One per id, in order; absent if there is no such inode.
    pub inodes: Vec<Option<Inode>>,
}

/// Request of `batchStatByPath` (metadata service, method 21).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::BatchStatByPathReq")]
pub struct BatchStatByPathReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The objects.
    pub paths: Vec<PathAt>,
    /// Whether to follow symbolic links.
    pub flags: AtFlags,
}

/// Answer of `batchStatByPath` (metadata service, method 21).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::BatchStatByPathRsp")]
pub struct BatchStatByPathRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// One result per path, in order.
    pub inodes: Vec<Result<Inode, Status>>,
}

/// Request of `setAttr` (metadata service, method 15).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SetAttrReq")]
pub struct SetAttrReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Whether to follow symbolic links.
    pub flags: AtFlags,
    /// New owner.
    pub uid: Option<Uid>,
    /// New group.
    pub gid: Option<Gid>,
    /// New mode bits.
    pub perm: Option<Permission>,
    /// New access time; [`WallTime::SERVER_NOW`] for the server's clock.
    pub atime: Option<WallTime>,
    /// New modification time; [`WallTime::SERVER_NOW`] for the server's clock.
    pub mtime: Option<WallTime>,
    /// New layout; directories only.
    pub layout: Option<Layout>,
    /// New attributes.
    pub iflags: Option<IFlags>,
    /// If not 0: make at least this many chains usable.
    pub dyn_stripe: u32,
}

/// Answer of `setAttr` (metadata service, method 15).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SetAttrRsp")]
pub struct SetAttrRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `lockDirectory` (metadata service, method 19).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::LockDirectoryReq")]
pub struct LockDirectoryReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The inode.
    pub inode: InodeId,
    /// What to do.
    pub action: LockAction,
}

/// Answer of `lockDirectory` (metadata service, method 19).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::LockDirectoryRsp")]
pub struct LockDirectoryRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Nothing.
    pub dummy: Void,
}

/// Request of `dropUserCache` (metadata service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::DropUserCacheReq")]
pub struct DropUserCacheReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The user to drop.
    pub uid: Option<Uid>,
    /// Drop all users.
    pub drop_all: bool,
}

/// Answer of `dropUserCache` (metadata service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::DropUserCacheRsp")]
pub struct DropUserCacheRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Nothing.
    pub dummy: Void,
}

/// Request of `authenticate` (metadata service, method 18).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::AuthReq")]
pub struct AuthReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// Nothing.
    pub dummy: Void,
}

/// Answer of `authenticate` (metadata service, method 18).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::AuthRsp")]
pub struct AuthRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The user, groups filled in by the server.
    pub user: UserInfo,
}

/// Request of `testRpc` (metadata service, method 50). Used as a liveness probe.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::TestRpcReq")]
pub struct TestRpcReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Not looked at.
    pub flags: u32,
}

/// Answer of `testRpc` (metadata service, method 50).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::TestRpcRsp")]
pub struct TestRpcRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// A default inode.
    pub stat: Inode,
}
