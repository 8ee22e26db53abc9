//! `registerNode`, `unregisterNode`, `enableNode`, `disableNode`.

use crate::kit::*;
use flyer_types::ids::NodeId;
use flyer_wire::msg::mgmtd::admin::{DisableNodeReq, EnableNodeReq, RegisterNodeReq, UnregisterNodeReq};
use flyer_wire::msg::mgmtd::node::{NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::LocalTargetState;

fn register(node: u32, kind: NodeType) -> RegisterNodeReq {
    RegisterNodeReq {
        node_id: NodeId(node),
        kind,
        ..blank()
    }
}

fn unregister(node: u32) -> UnregisterNodeReq {
    UnregisterNodeReq {
        node_id: NodeId(node),
        ..blank()
    }
}

fn disable(node: u32) -> DisableNodeReq {
    DisableNodeReq {
        node_id: NodeId(node),
        ..blank()
    }
}

fn enable(node: u32) -> EnableNodeReq {
    EnableNodeReq {
        node_id: NodeId(node),
        ..blank()
    }
}

#[test]
fn a_registered_node_waits_for_its_heartbeat() {
    let mut c = Cluster::embedded();
    let before = c.version();
    ask!(c, RegisterNode, register(100, NodeType::META)).unwrap();
    assert_eq!(c.version(), before + 1);
    let node = c.node(100);
    assert_eq!(
        (node.kind, node.status),
        (NodeType::META, NodeStatus::HEARTBEAT_CONNECTING)
    );
    assert!(node.app.service_groups.is_empty());
    refused!(
        ask!(c, RegisterNode, register(100, NodeType::META)),
        MGMTD_REGISTER_FAIL
    );
    refused!(
        ask!(c, RegisterNode, register(OWN.0, NodeType::META)),
        MGMTD_REGISTER_FAIL
    );
    refused!(
        ask!(c, RegisterNode, register(0, NodeType::META)),
        MGMTD_REGISTER_FAIL
    );
    refused!(ask!(c, RegisterNode, register(101, NodeType(9))), INVALID_ARG);
    assert_eq!(c.version(), before + 1, "refusals change nothing");
    c.meta_heartbeat(100).unwrap();
    assert_eq!(c.node(100).status, NodeStatus::HEARTBEAT_CONNECTED);
}

#[test]
fn only_nodes_that_are_gone_can_be_unregistered() {
    let mut c = Cluster::embedded();
    refused!(ask!(c, UnregisterNode, unregister(100)), MGMTD_NODE_NOT_FOUND);
    refused!(ask!(c, UnregisterNode, unregister(OWN.0)), INVALID_ARG);
    c.meta_heartbeat(100).unwrap();
    refused!(ask!(c, UnregisterNode, unregister(100)), INVALID_ARG);
    ask!(c, DisableNode, disable(100)).unwrap();
    let before = c.version();
    ask!(c, UnregisterNode, unregister(100)).unwrap();
    assert_eq!(c.version(), before + 1);
    assert!(c.routing().nodes.find(&NodeId(100)).is_none());
    let mut c = c.restart();
    assert!(c.routing().nodes.find(&NodeId(100)).is_none());
}

#[test]
fn a_storage_server_with_targets_cannot_be_unregistered() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[701]).unwrap();
    c.storage_heartbeat(
        200,
        &[(701, LocalTargetState::UPTODATE), (999, LocalTargetState::ONLINE)],
    )
    .unwrap();
    c.storage_heartbeat(201, &[(998, LocalTargetState::ONLINE)])
        .unwrap();
    c.pass_secs(80);
    assert_eq!(c.node(200).status, NodeStatus::HEARTBEAT_FAILED);
    refused!(ask!(c, UnregisterNode, unregister(200)), INVALID_ARG);
    ask!(c, UnregisterNode, unregister(201)).unwrap();
    assert!(c.routing().nodes.find(&NodeId(200)).is_some());
    assert!(c.routing().nodes.find(&NodeId(201)).is_none());
}

#[test]
fn a_disabled_node_is_not_heard_until_it_is_enabled() {
    let mut c = Cluster::embedded();
    refused!(ask!(c, DisableNode, disable(100)), MGMTD_NODE_NOT_FOUND);
    refused!(ask!(c, EnableNode, enable(100)), MGMTD_NODE_NOT_FOUND);
    refused!(ask!(c, DisableNode, disable(OWN.0)), INVALID_ARG);
    refused!(ask!(c, EnableNode, enable(OWN.0)), INVALID_ARG);
    c.meta_heartbeat(100).unwrap();
    let before = c.version();
    ask!(c, DisableNode, disable(100)).unwrap();
    ask!(c, DisableNode, disable(100)).unwrap();
    assert_eq!(c.version(), before + 1, "the second call does nothing");
    let node = c.node(100);
    assert_eq!(
        (node.status, node.tags),
        (NodeStatus::DISABLED, vec![tag("Disable", "")])
    );
    refused!(c.meta_heartbeat(100), MGMTD_HEARTBEAT_FAIL);
    c.pass_secs(200);
    assert_eq!(
        c.node(100).status,
        NodeStatus::DISABLED,
        "silence is what is expected of it"
    );
    let mut c = c.restart();
    assert_eq!(c.node(100).status, NodeStatus::DISABLED);
    ask!(c, EnableNode, enable(100)).unwrap();
    ask!(c, EnableNode, enable(100)).unwrap();
    let node = c.node(100);
    assert_eq!(
        (node.status, node.tags),
        (NodeStatus::HEARTBEAT_CONNECTING, vec![])
    );
    c.meta_heartbeat(100).unwrap();
    assert_eq!(c.node(100).status, NodeStatus::HEARTBEAT_CONNECTED);
}
