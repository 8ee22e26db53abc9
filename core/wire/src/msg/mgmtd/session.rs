//! Client sessions, which keep a client's write sessions alive at the metadata servers.
//!
//! Source: `src/fbs/mgmtd/{ClientSession,ClientSessionData,Rpc}.h` upstream.

use crate::codec::Map;
use crate::msg::common::{ConfigStatus, ReleaseVersion, ServiceGroupInfo, TagPair, UserInfo};
use crate::msg::mgmtd::node::{ConfigInfo, NodeType};
use alloc::vec::Vec;
use flyer_types::ids::{ClientSessionVersion, ConfigVersion};
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

/// What a client says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ClientSessionData")]
pub struct ClientSessionData {
    /// A name that outlives the process, to which tags are tied.
    pub universal_id: Text,
    /// What it is, for people.
    pub description: Text,
    /// What it serves, and where.
    pub service_groups: Vec<ServiceGroupInfo>,
    /// Build of the process.
    pub release_version: ReleaseVersion,
}

/// A client known to the manager.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ClientSession")]
pub struct ClientSession {
    /// The client's uuid in canonical text.
    pub client_id: Text,
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// When the session began.
    pub start: WallTime,
    /// When it was last extended.
    pub last_extend: WallTime,
    /// A name that outlives the process, to which tags are tied.
    pub universal_id: Text,
    /// What it is, for people.
    pub description: Text,
    /// What it serves, and where.
    pub service_groups: Vec<ServiceGroupInfo>,
    /// Build of the process.
    pub release_version: ReleaseVersion,
    /// How the process stands to its configuration.
    pub config_status: ConfigStatus,
    /// Kind of client.
    #[wire(name = "type", default = NodeType::CLIENT)]
    pub kind: NodeType,
    /// When the client process started.
    pub client_start: WallTime,
}

/// Request of `extendClientSession` (manager service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ExtendClientSessionReq")]
pub struct ExtendClientSessionReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The client's uuid in canonical text.
    pub client_id: Text,
    /// Grows with each extension.
    #[wire(default = ClientSessionVersion(1))]
    pub client_session_version: ClientSessionVersion,
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// What the client says about itself.
    pub data: ClientSessionData,
    /// How the process stands to its configuration.
    pub config_status: ConfigStatus,
    /// Kind of client.
    #[wire(name = "type", default = NodeType::CLIENT)]
    pub kind: NodeType,
    /// Who asks.
    pub user: UserInfo,
    /// When the client process started.
    pub client_start: WallTime,
}

/// Answer of `extendClientSession` (manager service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ExtendClientSessionRsp")]
pub struct ExtendClientSessionRsp {
    /// A newer configuration, if there is one.
    pub config: Option<ConfigInfo>,
    /// The tags.
    pub tags: Vec<TagPair>,
}

/// Request of `listClientSessions` (manager service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ListClientSessionsReq")]
pub struct ListClientSessionsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `listClientSessions` (manager service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ListClientSessionsRsp")]
pub struct ListClientSessionsRsp {
    /// Whether the primary has only just started, so that nodes may be missing.
    pub bootstrapping: bool,
    /// All sessions.
    pub sessions: Vec<ClientSession>,
    /// Tags of the universal ids that sessions mention.
    pub referenced_tags: Map<Text, Vec<TagPair>>,
}

/// Request of `getClientSession` (manager service, method 19).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetClientSessionReq")]
pub struct GetClientSessionReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The client's uuid in canonical text.
    pub client_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getClientSession` (manager service, method 19).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetClientSessionRsp")]
pub struct GetClientSessionRsp {
    /// Whether the primary has only just started, so that nodes may be missing.
    pub bootstrapping: bool,
    /// The session, if there is one.
    pub session: Option<ClientSession>,
    /// Tags of the universal ids that sessions mention.
    pub referenced_tags: Vec<TagPair>,
}
