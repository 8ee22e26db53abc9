//! Types that messages of several services share.
//!
//! Source: `src/common/app/{ClientId,AppInfo}.h`, `src/fbs/core/user/User.h` upstream.

use crate::address::Address;
use crate::codec::Set;
use crate::msg::open_enums;
use alloc::vec::Vec;
use core::fmt;
use flyer_types::ids::{Gid, NodeId, Uid, Uuid};
use flyer_types::{Status, Text, Token, WallTime};
use flyer_wire_derive::Wire;

open_enums! {
    /// How a process stands to the configuration it was sent.
    pub ConfigStatus(u8) {
        /// In use.
        NORMAL = 0, "NORMAL";
        /// Some keys take effect only after a restart.
        DIRTY = 1, "DIRTY";
        /// Refused.
        FAILED = 2, "FAILED";
        /// Not known.
        UNKNOWN = 3, "UNKNOWN";
        /// An older version is in use.
        STALE = 4, "STALE";
    }
}

/// A client process. Equality at servers looks at the uuid only.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::ClientId")]
pub struct ClientId {
    /// Random per process.
    pub uuid: Uuid,
    /// Host name, for people.
    pub hostname: Text,
}

/// Who asks. Servers that authenticate replace the groups by those they have stored for the user.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::UserInfo", summary)]
pub struct UserInfo {
    /// The user.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
    /// Further groups.
    pub groups: Vec<Gid>,
    /// The secret.
    pub token: Token,
}

/// A label of a node or of a client.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::TagPair")]
pub struct TagPair {
    /// Name of the tag.
    pub key: Text,
    /// Value of the tag.
    pub value: Text,
}

/// The build of a peer. `major_version` is the version of this struct itself: peers abort on any other
/// value than 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ReleaseVersion")]
pub struct ReleaseVersion {
    /// Version of this struct: 1.
    #[wire(default = 1)]
    pub major_version: u8,
    /// For struct version 1: 1 for a release build.
    pub minor_version: u8,
    /// For struct version 1: not looked at.
    pub patch_version: u8,
    /// First digits of the commit.
    pub commit_hash_short: u32,
    /// For struct version 1: date of the tag (upper half) and patch number (lower half).
    pub build_time_in_seconds: u64,
    /// Number of the build.
    pub build_pipeline_id: u32,
}

/// Services that share listeners, and where they listen.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ServiceGroupInfo")]
pub struct ServiceGroupInfo {
    /// Names of the services.
    pub services: Set<Text>,
    /// Where the services listen.
    pub endpoints: Vec<Address>,
}

/// A running process as it describes itself (`FbsAppInfo` upstream).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::FbsAppInfo")]
pub struct AppInfo {
    /// The node.
    pub node_id: NodeId,
    /// Host name, for people.
    pub hostname: Text,
    /// Process id.
    pub pid: u32,
    /// What it serves, and where.
    pub service_groups: Vec<ServiceGroupInfo>,
    /// Build of the process.
    pub release_version: ReleaseVersion,
    /// Name of the container, for people.
    pub podname: Text,
}

/// A token and how long it is valid.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::TokenAttr")]
pub struct TokenAttr {
    /// The secret.
    pub token: Token,
    /// End of validity; the epoch for endless.
    pub end_time: WallTime,
}

/// A user as the metadata service stores it.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::UserAttr")]
pub struct UserAttr {
    /// Name of the user.
    pub name: Text,
    /// The token that never ends.
    pub token: Token,
    /// Group.
    pub gid: Gid,
    /// Further groups.
    pub groups: Vec<Gid>,
    /// May act as anybody.
    pub root: bool,
    /// Tokens with an end.
    pub tokens: Vec<TokenAttr>,
    /// The user.
    pub uid: Uid,
    /// May administer the cluster.
    pub admin: bool,
}

/// The outcome of a configuration update.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::app::ConfigUpdateRecord")]
pub struct ConfigUpdateRecord {
    /// When.
    pub update_time: WallTime,
    /// How it went.
    pub result: Status,
    /// What was updated, for people.
    pub description: Text,
}

/// Without the token.
impl fmt::Display for UserInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(uid {}, gid {}, groups (", self.uid, self.gid)?;
        for (at, group) in self.groups.iter().enumerate() {
            write!(f, "{}{group}", if at == 0 { "" } else { "," })?;
        }
        f.write_str("))")
    }
}
