//! Routing: which targets make up which chain, and where they are.
//!
//! Source: `src/fbs/mgmtd/{RoutingInfo,ChainInfo,ChainTable,TargetInfo,LocalTargetInfo,MgmtdTypes}.h` upstream.

use crate::codec::Map;
use crate::msg::mgmtd::node::NodeInfo;
use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, NodeId, RoutingVersion, TargetId,
};
use flyer_wire_derive::Wire;

open_enums! {
    /// State of a target as the manager publishes it; decides what clients and neighbours may do with
    /// it.
    pub PublicTargetState(u8) {
        /// Not set.
        INVALID = 0, "INVALID";
        /// Serves reads and writes.
        SERVING = 1, "SERVING";
        /// Was the last to serve; has the only good copy and is offline.
        LASTSRV = 2, "LASTSRV";
        /// Takes writes while it is being resynchronised.
        SYNCING = 4, "SYNCING";
        /// Alive, waits for resynchronisation.
        WAITING = 8, "WAITING";
        /// Dead.
        OFFLINE = 16, "OFFLINE";
    }

    /// State of a target as its storage server sees it.
    pub LocalTargetState(u8) {
        /// Not set.
        INVALID = 0, "INVALID";
        /// Holds all committed content.
        UPTODATE = 1, "UPTODATE";
        /// Alive, content may be old.
        ONLINE = 2, "ONLINE";
        /// Cannot be used.
        OFFLINE = 4, "OFFLINE";
    }
}

/// A member of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ChainTargetInfo")]
pub struct ChainTargetInfo {
    /// The target.
    pub target_id: TargetId,
    /// State as the manager publishes it.
    pub public_state: PublicTargetState,
}

/// A chain. Members are in chain order, head first.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ChainInfo")]
pub struct ChainInfo {
    /// The chain.
    pub chain_id: ChainId,
    /// Version of the membership.
    pub chain_version: ChainVersion,
    /// The members, in chain order.
    pub targets: Vec<ChainTargetInfo>,
    /// The order the administrator wants.
    pub preferred_target_order: Vec<TargetId>,
}

/// A member of a chain to be set.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ChainTargetSetting")]
pub struct ChainTargetSetting {
    /// The target.
    pub target_id: TargetId,
}

/// A chain to be set.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ChainSetting")]
pub struct ChainSetting {
    /// The chain.
    pub chain_id: ChainId,
    /// The members, in chain order.
    pub targets: Vec<ChainTargetSetting>,
    /// Take the given order as the preferred one.
    pub set_preferred_target_order: bool,
}

/// A version of a table of chains; layouts index into it, starting at 1 and wrapping.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ChainTable")]
pub struct ChainTable {
    /// The chain table.
    pub chain_table_id: ChainTableId,
    /// Its version.
    pub chain_table_version: ChainTableVersion,
    /// The chains, in table order.
    pub chains: Vec<ChainId>,
    /// What it is for, for people.
    pub desc: Text,
}

/// A target as the manager publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::TargetInfo")]
pub struct TargetInfo {
    /// The target.
    pub target_id: TargetId,
    /// State as the manager publishes it.
    pub public_state: PublicTargetState,
    /// State as its server sees it.
    pub local_state: LocalTargetState,
    /// The chain.
    pub chain_id: ChainId,
    /// The node.
    pub node_id: Option<NodeId>,
    /// Number of the disk on its node.
    pub disk_index: Option<u32>,
    /// Bytes used.
    pub used_size: u64,
}

/// A target as its storage server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::LocalTargetInfo")]
pub struct LocalTargetInfo {
    /// The target.
    pub target_id: TargetId,
    /// State as its server sees it.
    pub local_state: LocalTargetState,
    /// Number of the disk on its node.
    pub disk_index: Option<u32>,
    /// Bytes used.
    pub used_size: u64,
    /// Version of the membership.
    pub chain_version: ChainVersion,
    /// Its disk is nearly full.
    pub low_space: bool,
}

/// The whole routing table. There are no deltas: an answer holds everything or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::RoutingInfo")]
pub struct RoutingInfo {
    /// Version of the routing table.
    pub routing_info_version: RoutingVersion,
    /// Whether the primary has only just started, so that nodes may be missing.
    pub bootstrapping: bool,
    /// All nodes.
    pub nodes: Map<NodeId, NodeInfo>,
    /// All chain tables in all their versions.
    pub chain_tables: Map<ChainTableId, Map<ChainTableVersion, ChainTable>>,
    /// All chains.
    pub chains: Map<ChainId, ChainInfo>,
    /// All targets.
    pub targets: Map<TargetId, TargetInfo>,
}
