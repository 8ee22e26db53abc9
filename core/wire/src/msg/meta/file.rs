//! Calls on open files: open, sync, close, truncate, session pruning.
//!
//! Source: `src/fbs/meta/Service.h` upstream.

use crate::codec::Void;
use crate::msg::common::ClientId;
use crate::msg::meta::call::{PathAt, ReqBase, RspBase, SessionInfo, VersionedLength};
use crate::msg::meta::flags::OpenFlags;
use crate::msg::meta::inode::Inode;
use alloc::vec::Vec;
use flyer_types::WallTime;
use flyer_types::ids::{InodeId, Uuid};
use flyer_wire_derive::Wire;

/// Request of `open` (metadata service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::OpenReq")]
pub struct OpenReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// The write session; needed for write access.
    pub session: Option<SessionInfo>,
    /// `O_*` flags as on x86-64.
    pub flags: OpenFlags,
    /// Chunks per chain and round of removal; clients send 32.
    pub remove_chunks_batch_size: u32,
    /// The client extends the stripe itself; otherwise the file is striped fully at once.
    pub dyn_stripe: bool,
}

/// Answer of `open` (metadata service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::OpenRsp")]
pub struct OpenRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Always 0.
    #[wire(name = "_unused")]
    pub unused: u32,
    /// The inode afterwards.
    pub stat: Inode,
    /// The client has to truncate the file to nothing now.
    pub need_truncate: bool,
}

/// Request of `sync` (metadata service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SyncReq")]
pub struct SyncReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The inode.
    pub inode: InodeId,
    /// Bring the length up to date.
    pub update_length: bool,
    /// New access time; only moves forward.
    pub atime: Option<WallTime>,
    /// New modification time; only moves forward.
    pub mtime: Option<WallTime>,
    /// Chunks were just cut: ask storage for the length.
    pub truncated: bool,
    /// What the client knows about the length; absent makes the server ask storage.
    pub length_hint: Option<VersionedLength>,
}

/// Answer of `sync` (metadata service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SyncRsp")]
pub struct SyncRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Always 0.
    #[wire(name = "_unused")]
    pub unused: u32,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `close` (metadata service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::CloseReq")]
pub struct CloseReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The inode.
    pub inode: InodeId,
    /// The write session; needed for write access.
    pub session: Option<SessionInfo>,
    /// Bring the length up to date.
    pub update_length: bool,
    /// New access time; only moves forward.
    pub atime: Option<WallTime>,
    /// New modification time; only moves forward.
    pub mtime: Option<WallTime>,
    /// What the client knows about the length; absent makes the server ask storage.
    pub length_hint: Option<VersionedLength>,
}

/// Answer of `close` (metadata service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::CloseRsp")]
pub struct CloseRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Always 0.
    #[wire(name = "_unused")]
    pub unused: u32,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `truncate` (metadata service, method 13). Deprecated: every server refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::TruncateReq")]
pub struct TruncateReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The inode.
    pub inode: InodeId,
    /// New length in bytes.
    pub length: u64,
    /// Chunks per chain and round of removal; clients send 32.
    pub remove_chunks_batch_size: u32,
}

/// Answer of `truncate` (metadata service, method 13).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::TruncateRsp")]
pub struct TruncateRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Chunks removed so far.
    pub chunks_removed: u32,
    /// The inode afterwards.
    pub stat: Inode,
    /// Whether all is done.
    #[wire(default = true)]
    pub finished: bool,
}

/// Request of `pruneSession` (metadata service, method 16). `client` hides the field of the base class;
/// both are on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::PruneSessionReq")]
pub struct PruneSessionReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// Client whose sessions are to be dropped.
    pub client: ClientId,
    /// Sessions to drop.
    pub sessions: Vec<Uuid>,
    /// Deprecated; send none.
    pub need_sync: Vec<bool>,
}

/// Answer of `pruneSession` (metadata service, method 16).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::PruneSessionRsp")]
pub struct PruneSessionRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Nothing.
    pub dummy: Void,
}
