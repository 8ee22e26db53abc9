//! Nodes of a cluster and what they report to the manager.
//!
//! Source: `src/fbs/mgmtd/{NodeInfo,PersistentNodeInfo,HeartbeatInfo,MgmtdLeaseInfo}.h` upstream.

use crate::codec::Void;
use crate::msg::common::{AppInfo, ConfigStatus, ReleaseVersion, ServiceGroupInfo, TagPair};
use crate::msg::mgmtd::routing::LocalTargetInfo;
use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::ids::{ConfigVersion, HeartbeatVersion, NodeId};
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

open_enums! {
    /// Kind of node.
    pub NodeType(u8) {
        /// A manager.
        MGMTD = 0, "MGMTD";
        /// A metadata server.
        META = 1, "META";
        /// A storage server.
        STORAGE = 2, "STORAGE";
        /// A client library.
        CLIENT = 3, "CLIENT";
        /// A mount.
        FUSE = 4, "FUSE";
    }

    /// What the manager thinks of a node.
    pub NodeStatus(u8) {
        /// The primary manager.
        PRIMARY_MGMTD = 0, "PRIMARY_MGMTD";
        /// Alive.
        HEARTBEAT_CONNECTED = 1, "HEARTBEAT_CONNECTED";
        /// Known, but not heard of yet.
        HEARTBEAT_CONNECTING = 2, "HEARTBEAT_CONNECTING";
        /// Not heard of for too long.
        HEARTBEAT_FAILED = 3, "HEARTBEAT_FAILED";
        /// Disabled by an administrator.
        DISABLED = 4, "DISABLED";
    }

    /// What to do with tags that are set already.
    pub SetTagMode(u8) {
        /// Replace them all.
        REPLACE = 0, "REPLACE";
        /// Add, or change those with equal keys.
        UPSERT = 1, "UPSERT";
        /// Remove those with equal keys.
        REMOVE = 2, "REMOVE";
    }
}

/// A node as the manager remembers it over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::PersistentNodeInfo")]
pub struct PersistentNodeInfo {
    /// The node.
    pub node_id: NodeId,
    /// Kind of node.
    #[wire(name = "type")]
    pub kind: NodeType,
    /// What it serves, and where.
    pub service_groups: Vec<ServiceGroupInfo>,
    /// The tags.
    pub tags: Vec<TagPair>,
    /// Host name, for people.
    pub hostname: Text,
}

/// A node and its state.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::NodeInfo")]
pub struct NodeInfo {
    /// The process.
    pub app: AppInfo,
    /// Kind of node.
    #[wire(name = "type")]
    pub kind: NodeType,
    /// What the manager thinks of it.
    #[wire(default = NodeStatus::HEARTBEAT_CONNECTING)]
    pub status: NodeStatus,
    /// When its last heartbeat arrived.
    pub last_heartbeat_ts: WallTime,
    /// The tags.
    pub tags: Vec<TagPair>,
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// How the process stands to its configuration.
    pub config_status: ConfigStatus,
}

/// A change of a node's status.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::NodeStatusChange")]
pub struct NodeStatusChange {
    /// The new status.
    #[wire(default = NodeStatus::HEARTBEAT_CONNECTED)]
    pub status: NodeStatus,
    /// When.
    pub time: WallTime,
}

/// A metadata server reports nothing of its own.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::MetaHeartbeatInfo")]
pub struct MetaHeartbeatInfo {
    /// Nothing.
    pub dummy: Void,
}

/// The targets of a storage server.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::StorageHeartbeatInfo")]
pub struct StorageHeartbeatInfo {
    /// Its targets.
    pub targets: Vec<LocalTargetInfo>,
}

/// A manager reports nothing of its own.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::MgmtdHeartbeatInfo")]
pub struct MgmtdHeartbeatInfo {
    /// Nothing.
    pub dummy: Void,
}

/// What a node reports about itself, by kind of node.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub enum HeartbeatPayload {
    /// From a metadata server.
    MetaHeartbeatInfo(MetaHeartbeatInfo),
    /// From a storage server.
    StorageHeartbeatInfo(StorageHeartbeatInfo),
    /// From a manager.
    MgmtdHeartbeatInfo(MgmtdHeartbeatInfo),
}

/// A heartbeat. The payload comes before the process description.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::HeartbeatInfo")]
pub struct HeartbeatInfo {
    /// What is particular to the kind of node.
    pub info: HeartbeatPayload,
    /// The process.
    pub app: AppInfo,
    /// Grows with each heartbeat.
    #[wire(default = HeartbeatVersion(1))]
    pub hb_version: HeartbeatVersion,
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// How the process stands to its configuration.
    pub config_status: ConfigStatus,
}

/// Who is primary manager, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::MgmtdLeaseInfo")]
pub struct MgmtdLeaseInfo {
    /// The primary.
    pub primary: PersistentNodeInfo,
    /// Start of the lease.
    pub lease_start: WallTime,
    /// End of the lease.
    pub lease_end: WallTime,
    /// Build of the process.
    pub release_version: ReleaseVersion,
}

/// A configuration kept by the manager.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::flat::ConfigInfo")]
pub struct ConfigInfo {
    /// Version of the configuration.
    pub config_version: ConfigVersion,
    /// The configuration as TOML text, possibly a template.
    pub content: Text,
    /// What it is for, for people.
    pub desc: Text,
}
