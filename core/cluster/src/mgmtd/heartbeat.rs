//! Heartbeats: nodes report that they live, which configuration they run, and in which state their targets are.
//!
//! Everything about a heartbeat is checked and stored before anything of it counts.
//!
//! Source: `src/mgmtd/ops/HeartbeatOperation.cc`, `src/mgmtd/service/RoutingInfo.cc` upstream.

use super::records::Writes;
use super::state::Node;
use super::{At, Event, Manager, fail, full, too_much};
use crate::store::Store;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{ChainVersion, HeartbeatVersion, NodeId};
use flyer_types::{Status, StatusCode};
use flyer_wire::codec::encode_to_vec;
use flyer_wire::msg::common::ConfigStatus;
use flyer_wire::msg::mgmtd::node::{HeartbeatInfo, HeartbeatPayload, NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::query::{HeartbeatReq, HeartbeatRsp};
use flyer_wire::msg::mgmtd::routing::{LocalTargetInfo, LocalTargetState};

impl<S: Store> Manager<S> {
    /// `heartbeat`.
    pub(super) fn heartbeat(&mut self, at: At, request: HeartbeatReq) -> Result<HeartbeatRsp, Status> {
        self.require_primary(at.now)?;
        let heartbeat = request.info;
        let kind = kind_of(&heartbeat.info);
        let node = heartbeat.app.node_id;
        if node.0 == 0 || node == self.options.own.node_id {
            return Err(refused(&format!("heartbeat of node {node}")));
        }
        let window = self.options.heartbeat_timestamp_valid_window;
        let off_us = request.timestamp.us.abs_diff(at.wall.us);
        if window.as_ns() > 0 && off_us > window.as_us() {
            return Err(refused(&format!("the clock of the node is off by {off_us} us")));
        }
        let newer = self.newer_config(kind, heartbeat.config_version)?;
        self.check_sender(node, kind, heartbeat.hb_version)?;
        let targets = match &heartbeat.info {
            HeartbeatPayload::StorageHeartbeatInfo(info) => &info.targets[..],
            HeartbeatPayload::MetaHeartbeatInfo(_) | HeartbeatPayload::MgmtdHeartbeatInfo(_) => &[],
        };
        self.check_targets(targets)?;
        let app_bytes_max = self.options.limits.app_bytes_max;
        if encode_to_vec(&heartbeat.app).len() > app_bytes_max {
            return Err(too_much("bytes of the node's description", app_bytes_max));
        }
        let entry = self.node_after(at, kind, &heartbeat);
        self.store_node(entry)?;
        self.merge_targets(at, node, targets);
        Ok(HeartbeatRsp { config: newer })
    }

    /// Whether this node may send this heartbeat now.
    fn check_sender(&self, node: NodeId, kind: NodeType, version: HeartbeatVersion) -> Result<(), Status> {
        let Some(known) = self.state.nodes.get(&node) else {
            if !self.options.allow_heartbeat_from_unregistered {
                return Err(refused(&format!("node {node} is not registered")));
            }
            return self.require_room_for_node();
        };
        if known.info.kind != kind {
            return Err(refused(&format!("node {node} is of another type")));
        }
        if known.info.status == NodeStatus::DISABLED {
            return Err(refused(&format!("node {node} is disabled")));
        }
        if known.hb_version >= version {
            let stored = known.hb_version;
            return Err(fail(
                StatusCode::MGMTD_HEARTBEAT_VERSION_STALE,
                &format!("{stored}"),
            ));
        }
        Ok(())
    }

    /// Whether one more node fits.
    pub(super) fn require_room_for_node(&self) -> Result<(), Status> {
        let nodes_max = self.options.limits.nodes_max;
        if self.state.nodes.len() >= nodes_max {
            return Err(full("nodes", nodes_max));
        }
        Ok(())
    }

    fn check_targets(&self, targets: &[LocalTargetInfo]) -> Result<(), Status> {
        let targets_max = self.options.limits.heartbeat_targets_max;
        if targets.len() > targets_max {
            return Err(too_much("targets of the heartbeat", targets_max));
        }
        let mut seen = BTreeSet::new();
        for target in targets {
            let id = target.target_id;
            if !seen.insert(id) {
                return Err(refused(&format!("target {id} is reported twice")));
            }
            let known = matches!(
                target.local_state,
                LocalTargetState::UPTODATE | LocalTargetState::ONLINE | LocalTargetState::OFFLINE
            );
            if !known {
                return Err(refused(&format!("target {id} has an invalid state")));
            }
        }
        Ok(())
    }

    /// The node's entry with what the heartbeat says.
    fn node_after(&self, at: At, kind: NodeType, heartbeat: &HeartbeatInfo) -> Node {
        let known = self.state.nodes.get(&heartbeat.app.node_id);
        let info = NodeInfo {
            app: heartbeat.app.clone(),
            kind,
            status: NodeStatus::HEARTBEAT_CONNECTED,
            last_heartbeat_ts: at.wall,
            tags: known.map(|known| known.info.tags.clone()).unwrap_or_default(),
            config_version: heartbeat.config_version,
            // The first record of a node does not take it over.
            config_status: known.map_or(ConfigStatus::NORMAL, |_| heartbeat.config_status),
        };
        Node {
            info,
            hb_version: heartbeat.hb_version,
            heard: at.now,
        }
    }

    /// Stores a node if its stored part changed, and then takes it over.
    pub(super) fn store_node(&mut self, node: Node) -> Result<(), Status> {
        let id = node.info.app.node_id;
        let record = node.record();
        let known = self.state.nodes.get(&id);
        let stored = known.is_some_and(|known| known.record() == record);
        let status =
            (known.map(|known| known.info.status) != Some(node.info.status)).then_some(node.info.status);
        if !stored {
            let mut writes = Writes::default();
            writes.node(&record);
            self.commit(writes, true)?;
        }
        if let Some(status) = status {
            // The bump of a write covers it.
            self.state.nodes_changed |= stored;
            self.events.push(Event::NodeStatus { node: id, status });
        }
        self.state.nodes.insert(id, node);
        Ok(())
    }

    /// Takes over what a server says about its targets.
    fn merge_targets(&mut self, at: At, node: NodeId, reported: &[LocalTargetInfo]) {
        let mut orphans = Vec::new();
        let state = &mut self.state;
        for info in reported {
            let Some(target) = state.targets.get_mut(&info.target_id) else {
                orphans.push(*info);
                continue;
            };
            let version = state.chains.get(&target.chain).map(|chain| chain.chain_version);
            let stale = info.chain_version.0 != 0 && version > Some(info.chain_version);
            if stale && self.options.heartbeat_ignore_stale_targets {
                flyer_types::mark!("mgmtd.stale_target_ignored");
                continue;
            }
            debug_assert!(
                version > Some(ChainVersion(0)),
                "a target belongs to a chain that exists"
            );
            state.targets_changed |= target.local != info.local_state || target.node != Some(node);
            if target.node != Some(node) || target.disk != info.disk_index {
                state.moved.insert(info.target_id);
            }
            target.local = info.local_state;
            target.node = Some(node);
            target.disk = info.disk_index;
            target.used_bytes = info.used_size;
            target.heard = at.now;
            state.stirred.insert(target.chain);
        }
        state.orphans.remove(&node);
        let others: usize = state.orphans.values().map(Vec::len).sum();
        let room = self.options.limits.orphans_max.saturating_sub(others);
        if orphans.len() > room {
            flyer_types::mark!("mgmtd.orphans_forgotten");
            orphans.truncate(room);
        }
        if !orphans.is_empty() {
            state.orphans.insert(node, orphans);
        }
    }
}

/// The kind of node a heartbeat comes from.
const fn kind_of(payload: &HeartbeatPayload) -> NodeType {
    match payload {
        HeartbeatPayload::MetaHeartbeatInfo(_) => NodeType::META,
        HeartbeatPayload::StorageHeartbeatInfo(_) => NodeType::STORAGE,
        HeartbeatPayload::MgmtdHeartbeatInfo(_) => NodeType::MGMTD,
    }
}

fn refused(why: &str) -> Status {
    fail(StatusCode::MGMTD_HEARTBEAT_FAIL, why)
}
