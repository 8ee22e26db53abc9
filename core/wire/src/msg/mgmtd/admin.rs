//! Calls of the manager that administrators use.
//!
//! Source: `src/fbs/mgmtd/Rpc.h` upstream.

use crate::codec::Void;
use crate::msg::common::{TagPair, UserInfo};
use crate::msg::mgmtd::node::{NodeInfo, NodeType, SetTagMode};
use crate::msg::mgmtd::routing::{ChainInfo, ChainSetting};
use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::{ChainId, ChainTableId, ChainTableVersion, ConfigVersion, NodeId, TargetId};
use flyer_wire_derive::Wire;

open_enums! {
    /// What to do with a member of a chain.
    pub UpdateChainMode(u8) {
        /// Add the target.
        ADD = 0, "ADD";
        /// Remove the target.
        REMOVE = 1, "REMOVE";
    }
}

/// Request of `registerNode` (manager service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RegisterNodeReq")]
pub struct RegisterNodeReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// Kind of node.
    #[wire(name = "type")]
    pub kind: NodeType,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `registerNode` (manager service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RegisterNodeRsp")]
pub struct RegisterNodeRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `unregisterNode` (manager service, method 14).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::UnregisterNodeReq")]
pub struct UnregisterNodeReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `unregisterNode` (manager service, method 14).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::UnregisterNodeRsp")]
pub struct UnregisterNodeRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `enableNode` (manager service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::EnableNodeReq")]
pub struct EnableNodeReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `enableNode` (manager service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::EnableNodeRsp")]
pub struct EnableNodeRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `disableNode` (manager service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::DisableNodeReq")]
pub struct DisableNodeReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `disableNode` (manager service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::DisableNodeRsp")]
pub struct DisableNodeRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `setConfig` (manager service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetConfigReq")]
pub struct SetConfigReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Kind of node the configuration is for.
    pub node_type: NodeType,
    /// The configuration as TOML text, possibly a template.
    pub content: Text,
    /// What it is for, for people.
    pub desc: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setConfig` (manager service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetConfigRsp")]
pub struct SetConfigRsp {
    /// Version of the configuration.
    pub config_version: ConfigVersion,
}

/// Request of `setChainTable` (manager service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetChainTableReq")]
pub struct SetChainTableReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The chain table.
    pub chain_table_id: ChainTableId,
    /// The chains, in table order.
    pub chains: Vec<ChainId>,
    /// What it is for, for people.
    pub desc: Text,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setChainTable` (manager service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetChainTableRsp")]
pub struct SetChainTableRsp {
    /// Its version.
    pub chain_table_version: ChainTableVersion,
}

/// Request of `setChains` (manager service, method 15).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetChainsReq")]
pub struct SetChainsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The chains to set.
    pub chains: Vec<ChainSetting>,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setChains` (manager service, method 15).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetChainsRsp")]
pub struct SetChainsRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `setNodeTags` (manager service, method 13).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetNodeTagsReq")]
pub struct SetNodeTagsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// The tags.
    pub tags: Vec<TagPair>,
    /// What to do with tags set already.
    pub mode: SetTagMode,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setNodeTags` (manager service, method 13).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetNodeTagsRsp")]
pub struct SetNodeTagsRsp {
    /// The node after the change.
    pub info: NodeInfo,
}

/// Request of `setUniversalTags` (manager service, method 16).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetUniversalTagsReq")]
pub struct SetUniversalTagsReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// A name that outlives the process, to which tags are tied.
    pub universal_id: Text,
    /// The tags.
    pub tags: Vec<TagPair>,
    /// What to do with tags set already.
    pub mode: SetTagMode,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setUniversalTags` (manager service, method 16).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetUniversalTagsRsp")]
pub struct SetUniversalTagsRsp {
    /// The tags.
    pub tags: Vec<TagPair>,
}

/// Request of `rotateLastSrv` (manager service, method 20).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RotateLastSrvReq")]
pub struct RotateLastSrvReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The chain.
    pub chain_id: ChainId,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `rotateLastSrv` (manager service, method 20).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RotateLastSrvRsp")]
pub struct RotateLastSrvRsp {
    /// The chain after the change.
    pub chain: ChainInfo,
}

/// Request of `setPreferredTargetOrder` (manager service, method 22).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetPreferredTargetOrderReq")]
pub struct SetPreferredTargetOrderReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The chain.
    pub chain_id: ChainId,
    /// The order the administrator wants.
    pub preferred_target_order: Vec<TargetId>,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `setPreferredTargetOrder` (manager service, method 22).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::SetPreferredTargetOrderRsp")]
pub struct SetPreferredTargetOrderRsp {
    /// The chain after the change.
    pub chain: ChainInfo,
}

/// Request of `rotateAsPreferredOrder` (manager service, method 23).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RotateAsPreferredOrderReq")]
pub struct RotateAsPreferredOrderReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The chain.
    pub chain_id: ChainId,
    /// Who asks.
    pub user: UserInfo,
}

/// Answer of `rotateAsPreferredOrder` (manager service, method 23).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::RotateAsPreferredOrderRsp")]
pub struct RotateAsPreferredOrderRsp {
    /// The chain after the change.
    pub chain: ChainInfo,
}

/// Request of `updateChain` (manager service, method 24).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::UpdateChainReq")]
pub struct UpdateChainReq {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// Who asks.
    pub user: UserInfo,
    /// The chain.
    pub chain_id: ChainId,
    /// The target.
    pub target_id: TargetId,
    /// Whether to add or remove the target.
    pub mode: UpdateChainMode,
}

/// Answer of `updateChain` (manager service, method 24).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::mgmtd::UpdateChainRsp")]
pub struct UpdateChainRsp {
    /// The chain after the change.
    pub chain: ChainInfo,
}
