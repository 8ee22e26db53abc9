//! What the calls of the metadata service have in common.
//!
//! Source: `src/fbs/meta/{Common,Service}.h` upstream.

use crate::codec::Void;
use crate::msg::common::{ClientId, UserInfo};
use flyer_types::Text;
use flyer_types::ids::{InodeId, NodeId, Uuid};
use flyer_wire_derive::Wire;

/// First table of every request.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::ReqBase")]
pub struct ReqBase {
    /// Who asks.
    pub user: UserInfo,
    /// The client process.
    pub client: ClientId,
    /// Set by a metadata server that forwards; clients send 0.
    pub forward: NodeId,
    /// The logical request: the same for all its retries. Zero where the call does not use it.
    pub uuid: Uuid,
}

/// First table of every answer; always empty.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::RspBase")]
pub struct RspBase {
    /// Nothing.
    pub dummy: Void,
}

/// An object by inode, or by path from an inode.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::PathAt")]
pub struct PathAt {
    /// Where relative paths start.
    pub parent: InodeId,
    /// Absent: `parent` itself. Absolute paths ignore `parent`.
    pub path: Option<Text>,
}

/// A write session: one per handle opened for writing.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::SessionInfo")]
pub struct SessionInfo {
    /// The client.
    pub client: ClientId,
    /// The session.
    pub session: Uuid,
}

/// "The length is at least this, if the file has not been truncated since".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::meta::VersionedLength")]
pub struct VersionedLength {
    /// Length in bytes.
    pub length: u64,
    /// Grows with each truncation.
    pub truncate_ver: u64,
}
