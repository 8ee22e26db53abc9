//! Calls of the manager that clients and servers use: finding the primary, heartbeats, routing, configuration, tags.
//!
//! Source: `src/fbs/mgmtd/Rpc.h` upstream.

use crate::codec::Map;
use crate::msg::common::{TagPair, UserInfo};
use crate::msg::mgmtd::node::{ConfigInfo, HeartbeatInfo, NodeType, PersistentNodeInfo};
use crate::msg::mgmtd::routing::{RoutingInfo, TargetInfo};
use alloc::vec::Vec;
use flyer_types::ids::{ConfigVersion, RoutingVersion};
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

/// Request of `getPrimaryMgmtd` (manager service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetPrimaryMgmtdReq")]
pub struct GetPrimaryMgmtdReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getPrimaryMgmtd` (manager service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetPrimaryMgmtdRsp")]
pub struct GetPrimaryMgmtdRsp {
    /// The primary, if known.
    pub primary: Option<PersistentNodeInfo>,
}

/// Request of `heartbeat` (manager service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::HeartbeatReq")]
pub struct HeartbeatReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The heartbeat.
    pub info: HeartbeatInfo,
    /// The node's clock.
    pub timestamp: WallTime,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `heartbeat` (manager service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::HeartbeatRsp")]
pub struct HeartbeatRsp {
    /// A newer configuration, if there is one.
    pub config: Option<ConfigInfo>,
}

/// Request of `getRoutingInfo` (manager service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetRoutingInfoReq")]
pub struct GetRoutingInfoReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The version at hand; 0 for none.
    pub routing_info_version: RoutingVersion,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getRoutingInfo` (manager service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetRoutingInfoRsp")]
pub struct GetRoutingInfoRsp {
    /// What was asked for, if there is anything newer.
    pub info: Option<RoutingInfo>,
}

/// Request of `getConfig` (manager service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetConfigReq")]
pub struct GetConfigReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Kind of node the configuration is for.
    pub node_type: NodeType,
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// Only this very version will do.
    pub exact_version: bool,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getConfig` (manager service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetConfigRsp")]
pub struct GetConfigRsp {
    /// What was asked for, if there is anything newer.
    pub info: Option<ConfigInfo>,
}

/// Request of `getConfigVersions` (manager service, method 18).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetConfigVersionsReq")]
pub struct GetConfigVersionsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getConfigVersions` (manager service, method 18).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetConfigVersionsRsp")]
pub struct GetConfigVersionsRsp {
    /// Newest version by kind of node.
    pub versions: Map<Text, ConfigVersion>,
}

/// Request of `getUniversalTags` (manager service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetUniversalTagsReq")]
pub struct GetUniversalTagsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// A name that outlives the process, to which tags are tied.
    pub universal_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `getUniversalTags` (manager service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::GetUniversalTagsRsp")]
pub struct GetUniversalTagsRsp {
    /// The tags.
    pub tags: Vec<TagPair>,
}

/// Request of `listOrphanTargets` (manager service, method 21).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ListOrphanTargetsReq")]
pub struct ListOrphanTargetsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `listOrphanTargets` (manager service, method 21).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::ListOrphanTargetsRsp")]
pub struct ListOrphanTargetsRsp {
    /// Targets that belong to no chain.
    pub targets: Vec<TargetInfo>,
}
