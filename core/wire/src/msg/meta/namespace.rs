//! Calls that look at or change names: create, mkdirs, symlink, link, remove, rename, list, path of an inode.
//!
//! Source: `src/fbs/meta/Service.h` upstream.

use crate::codec::Void;
use crate::msg::meta::call::{PathAt, ReqBase, RspBase, SessionInfo};
use crate::msg::meta::flags::{AtFlags, OpenFlags};
use crate::msg::meta::inode::{DirEntry, Inode, Layout};
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::{InodeId, Permission};
use flyer_wire_derive::Wire;

/// Request of `create` (metadata service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::CreateReq")]
pub struct CreateReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// The write session; needed for write access.
    pub session: Option<SessionInfo>,
    /// `O_*` flags as on x86-64.
    pub flags: OpenFlags,
    /// Mode bits of the new object.
    pub perm: Permission,
    /// Layout; absent to take the parent's.
    pub layout: Option<Layout>,
    /// Chunks per chain and round of removal; clients send 32.
    pub remove_chunks_batch_size: u32,
    /// The client extends the stripe itself; otherwise the file is striped fully at once.
    pub dyn_stripe: bool,
}

/// Answer of `create` (metadata service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::CreateRsp")]
pub struct CreateRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode afterwards.
    pub stat: Inode,
    /// The client has to truncate the file to nothing now.
    pub need_truncate: bool,
}

/// Request of `mkdirs` (metadata service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::MkdirsReq")]
pub struct MkdirsReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Mode bits of the new object.
    pub perm: Permission,
    /// Make missing parents.
    pub recursive: bool,
    /// Layout; absent to take the parent's.
    pub layout: Option<Layout>,
}

/// Answer of `mkdirs` (metadata service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::MkdirsRsp")]
pub struct MkdirsRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `symlink` (metadata service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SymlinkReq")]
pub struct SymlinkReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// What it points to.
    pub target: Text,
}

/// Answer of `symlink` (metadata service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SymlinkRsp")]
pub struct SymlinkRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `hardLink` (metadata service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::HardLinkReq")]
pub struct HardLinkReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The existing object.
    pub old_path: PathAt,
    /// The new name.
    pub new_path: PathAt,
    /// Whether to follow symbolic links.
    pub flags: AtFlags,
}

/// Answer of `hardLink` (metadata service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::HardLinkRsp")]
pub struct HardLinkRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The inode afterwards.
    pub stat: Inode,
}

/// Request of `remove` (metadata service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::RemoveReq")]
pub struct RemoveReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Only `REMOVEDIR` is looked at.
    pub at_flags: AtFlags,
    /// Remove what is inside, too.
    pub recursive: bool,
    /// Refuse unless the object's kind agrees with `REMOVEDIR`.
    pub check_type: bool,
    /// The object expected under that name.
    pub inode_id: Option<InodeId>,
}

/// Answer of `remove` (metadata service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::RemoveRsp")]
pub struct RemoveRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Nothing.
    pub dummy: Void,
}

/// Request of `rename` (metadata service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::RenameReq")]
pub struct RenameReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The old name.
    pub src: PathAt,
    /// The new name.
    pub dest: PathAt,
    /// Move into the trash, never over an existing file.
    pub move_to_trash: bool,
    /// The object expected under the old name.
    pub inode_id: Option<InodeId>,
}

/// Answer of `rename` (metadata service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::RenameRsp")]
pub struct RenameRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// Nothing.
    pub dummy: Void,
    /// The inode that was moved; absent from very old servers.
    pub stat: Option<Inode>,
}

/// Request of `list` (metadata service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::ListReq")]
pub struct ListReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Go on after this name; empty to start.
    pub prev: Text,
    /// Entries wanted at most; 0 or less for the server's default.
    #[wire(default = -1)]
    pub limit: i32,
    /// Ask for the inodes, too.
    pub status: bool,
}

/// Answer of `list` (metadata service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::ListRsp")]
pub struct ListRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The entries in byte order of their names, without `.` and `..`.
    pub entries: Vec<DirEntry>,
    /// One per entry if asked for, else empty.
    pub inodes: Vec<Inode>,
    /// Whether there are more entries.
    pub more: bool,
}

/// Request of `getRealPath` (metadata service, method 14).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::GetRealPathReq")]
pub struct GetRealPathReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: ReqBase,
    /// The object.
    pub path: PathAt,
    /// Ask for the path from the root.
    pub absolute: bool,
}

/// Answer of `getRealPath` (metadata service, method 14).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::GetRealPathRsp")]
pub struct GetRealPathRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: RspBase,
    /// The path.
    pub path: Text,
}
