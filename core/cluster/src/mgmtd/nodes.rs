//! Administration of nodes: register, unregister, enable, disable.
//!
//! Source: `src/mgmtd/ops/{RegisterNode,UnregisterNode,EnableNode,DisableNode}Operation.cc` upstream.

use super::records::Writes;
use super::state::{DISABLE, Node, has_disable};
use super::tags::with_tags;
use super::{At, Manager, fail};
use crate::store::Store;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::NodeId;
use flyer_types::{Status, StatusCode, Text};
use flyer_wire::codec::Void;
use flyer_wire::msg::common::TagPair;
use flyer_wire::msg::mgmtd::admin::{
    DisableNodeReq, DisableNodeRsp, EnableNodeReq, EnableNodeRsp, RegisterNodeReq, RegisterNodeRsp,
    UnregisterNodeReq, UnregisterNodeRsp,
};
use flyer_wire::msg::mgmtd::node::{NodeStatus, NodeType, PersistentNodeInfo};

impl<S: Store> Manager<S> {
    /// `registerNode`.
    pub(super) fn register_node(
        &mut self,
        at: At,
        request: &RegisterNodeReq,
    ) -> Result<RegisterNodeRsp, Status> {
        let node_id = request.node_id;
        if node_id.0 == 0 {
            return Err(fail(StatusCode::MGMTD_REGISTER_FAIL, "invalid node id 0"));
        }
        if request.kind.name().is_none() {
            return Err(fail(StatusCode::INVALID_ARG, "unknown node type"));
        }
        self.require_primary(at.now)?;
        if self.state.nodes.contains_key(&node_id) {
            let why = format!("node {node_id} is registered already");
            return Err(fail(StatusCode::MGMTD_REGISTER_FAIL, &why));
        }
        self.require_room_for_node()?;
        let record = PersistentNodeInfo {
            node_id,
            kind: request.kind,
            service_groups: Vec::new(),
            tags: Vec::new(),
            hostname: Text::default(),
        };
        self.store_node(Node::loaded(record, at.now))?;
        Ok(RegisterNodeRsp { dummy: Void })
    }

    /// `unregisterNode`.
    pub(super) fn unregister_node(
        &mut self,
        at: At,
        request: &UnregisterNodeReq,
    ) -> Result<UnregisterNodeRsp, Status> {
        self.require_primary(at.now)?;
        let node_id = request.node_id;
        let Some(node) = self.state.nodes.get(&node_id) else {
            return Err(StatusCode::MGMTD_NODE_NOT_FOUND.into());
        };
        if !matches!(
            node.info.status,
            NodeStatus::DISABLED | NodeStatus::HEARTBEAT_FAILED
        ) {
            return Err(fail(
                StatusCode::INVALID_ARG,
                &format!("node {node_id} is neither disabled nor failed"),
            ));
        }
        let holds_targets = self
            .state
            .targets
            .values()
            .any(|target| target.node == Some(node_id));
        if node.info.kind == NodeType::STORAGE && holds_targets {
            return Err(fail(
                StatusCode::INVALID_ARG,
                &format!("node {node_id} holds targets of chains"),
            ));
        }
        let mut writes = Writes::default();
        writes.remove_node(node_id);
        self.commit(writes, true)?;
        self.state.nodes.remove(&node_id);
        self.state.orphans.remove(&node_id);
        Ok(UnregisterNodeRsp { dummy: Void })
    }

    /// `enableNode`.
    pub(super) fn enable_node(&mut self, at: At, request: &EnableNodeReq) -> Result<EnableNodeRsp, Status> {
        self.switch_node(at, request.node_id, false)?;
        Ok(EnableNodeRsp { dummy: Void })
    }

    /// `disableNode`.
    pub(super) fn disable_node(
        &mut self,
        at: At,
        request: &DisableNodeReq,
    ) -> Result<DisableNodeRsp, Status> {
        self.switch_node(at, request.node_id, true)?;
        Ok(DisableNodeRsp { dummy: Void })
    }

    fn switch_node(&mut self, at: At, node_id: NodeId, disable: bool) -> Result<(), Status> {
        if node_id == self.options.own.node_id {
            return Err(fail(StatusCode::INVALID_ARG, "this is the primary's own node id"));
        }
        self.require_primary(at.now)?;
        let Some(node) = self.state.nodes.get(&node_id) else {
            return Err(StatusCode::MGMTD_NODE_NOT_FOUND.into());
        };
        if has_disable(&node.info.tags) == disable {
            return Ok(());
        }
        let others = node
            .info
            .tags
            .iter()
            .filter(|tag| tag.key.as_bytes() != DISABLE.as_bytes());
        let mut tags: Vec<TagPair> = others.cloned().collect();
        if disable {
            tags.push(TagPair {
                key: DISABLE.into(),
                value: Text::default(),
            });
            tags.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let switched = with_tags(node, tags, at.now);
        self.store_node(switched)
    }
}
