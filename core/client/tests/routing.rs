//! The view of the routing: which targets serve, which table a version means, which nodes there are.

use flyer_client::routing::{RoutingView, Serving};
use flyer_types::StatusCode;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, NodeId, RoutingVersion, TargetId,
};
use flyer_wire::codec::{Map, Wire};
use flyer_wire::layout::ChainTables;
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, ChainTargetInfo, PublicTargetState, RoutingInfo, TargetInfo,
};

const SERVING: PublicTargetState = PublicTargetState::SERVING;
const OFFLINE: PublicTargetState = PublicTargetState::OFFLINE;

fn node(kind: NodeType, status: NodeStatus) -> NodeInfo {
    let mut node = NodeInfo::initial();
    (node.kind, node.status) = (kind, status);
    node
}

fn target(id: u64, state: PublicTargetState, node: Option<u32>) -> (TargetId, TargetInfo) {
    let mut target = TargetInfo::initial();
    (target.target_id, target.public_state, target.node_id) = (TargetId(id), state, node.map(NodeId));
    (TargetId(id), target)
}

fn chain(id: u32, members: &[(u64, PublicTargetState)]) -> (ChainId, ChainInfo) {
    let mut chain = ChainInfo::initial();
    chain.chain_version = ChainVersion(id * 10);
    chain.targets = members
        .iter()
        .map(|(target, public_state)| ChainTargetInfo {
            target_id: TargetId(*target),
            public_state: *public_state,
        })
        .collect();
    (ChainId(id), chain)
}

fn table(version: u32, chains: &[u32]) -> (ChainTableVersion, ChainTable) {
    let mut table = ChainTable::initial();
    table.chains = chains.iter().copied().map(ChainId).collect();
    (ChainTableVersion(version), table)
}

fn view() -> RoutingView {
    let connected = NodeStatus::HEARTBEAT_CONNECTED;
    RoutingView::new(RoutingInfo {
        routing_info_version: RoutingVersion(9),
        bootstrapping: false,
        // Hashed maps come in any order.
        nodes: Map(vec![
            (NodeId(5), node(NodeType::META, connected)),
            (NodeId(2), node(NodeType::STORAGE, NodeStatus::HEARTBEAT_FAILED)),
            (NodeId(1), node(NodeType::STORAGE, connected)),
            (NodeId(4), node(NodeType::META, NodeStatus::HEARTBEAT_FAILED)),
            (NodeId(3), node(NodeType::META, connected)),
        ]),
        chain_tables: Map(vec![(
            ChainTableId(1),
            Map(vec![table(2, &[1, 2]), table(10, &[3]), table(3, &[1])]),
        )]),
        chains: Map(vec![
            chain(4, &[(14, SERVING)]),
            chain(1, &[(11, SERVING), (12, SERVING), (13, OFFLINE)]),
            chain(2, &[(11, SERVING), (13, OFFLINE), (12, SERVING)]),
            chain(3, &[(13, OFFLINE), (11, SERVING)]),
            chain(5, &[(11, SERVING), (15, SERVING)]),
            chain(6, &[(11, SERVING), (16, SERVING)]),
            chain(7, &[(11, SERVING), (13, SERVING)]),
            chain(8, &[(11, SERVING), (99, SERVING)]),
        ]),
        targets: Map(vec![
            target(12, SERVING, Some(2)),
            target(11, SERVING, Some(1)),
            target(13, OFFLINE, Some(2)),
            target(14, SERVING, Some(77)),
            target(15, SERVING, None),
            target(16, SERVING, Some(5)),
        ]),
    })
}

#[test]
fn the_serving_prefix_of_a_chain_counts() {
    let view = view();
    let serving = |id| view.chain(ChainId(id)).map(|chain| chain.serving.clone());
    let at = |target, node| Serving {
        target: TargetId(target),
        node: NodeId(node),
    };
    assert_eq!(serving(1), Some(Ok(vec![at(11, 1), at(12, 2)])));
    assert_eq!(
        serving(2),
        Some(Ok(vec![at(11, 1)])),
        "nothing behind one that does not serve"
    );
    assert_eq!(serving(3), Some(Err(StatusCode::STORAGE_CLIENT_NOT_AVAILABLE)));
    let contradiction = Some(Err(StatusCode::STORAGE_CLIENT_ROUTING_ERROR));
    assert_eq!(serving(4), contradiction, "its node is not there");
    assert_eq!(serving(5), Some(Ok(vec![at(11, 1)])), "no node ends the list");
    assert_eq!(serving(6), contradiction, "its node is no storage server");
    assert_eq!(
        serving(7),
        Some(Err(StatusCode::STORAGE_CLIENT_NOT_AVAILABLE)),
        "the states differ"
    );
    assert_eq!(serving(8), contradiction, "the target is not there");
    assert_eq!(serving(9), None);
    assert_eq!(
        view.chain(ChainId(7)).map(|chain| chain.version),
        Some(ChainVersion(70))
    );
}

#[test]
fn version_0_of_a_table_is_the_newest() {
    let view = view();
    let chains = |version| {
        view.chains(ChainTableId(1), ChainTableVersion(version))
            .map(<[_]>::to_vec)
    };
    assert_eq!(chains(2), Some(vec![ChainId(1), ChainId(2)]));
    assert_eq!(chains(0), Some(vec![ChainId(3)]));
    assert_eq!(chains(4), None);
    assert_eq!(view.chains(ChainTableId(2), ChainTableVersion(0)), None);
}

#[test]
fn nodes_are_told_by_kind() {
    let view = view();
    assert_eq!(
        view.meta_nodes(),
        [NodeId(3), NodeId(5)],
        "only those that are alive"
    );
    assert_eq!(view.storage_nodes(), [NodeId(1), NodeId(2)]);
    assert_eq!(
        view.node(NodeId(2)).map(|node| node.kind),
        Some(NodeType::STORAGE)
    );
    assert_eq!(view.node(NodeId(9)), None);
    assert_eq!(view.version(), RoutingVersion(9));
}
