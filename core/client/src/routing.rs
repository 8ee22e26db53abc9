//! An immutable view of the routing, as clients need it: indexes over one snapshot of the manager, built once and shared.
//!
//! Serving targets of a chain are a prefix of its members (`src/client/storage/StorageClientImpl.cc` upstream): the first
//! member that does not serve ends the list. A member of which the snapshot contradicts itself makes the whole chain unusable
//! until the next snapshot.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::StatusCode;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, NodeId, RoutingVersion, TargetId,
};
use flyer_wire::layout::ChainTables;
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTargetInfo, PublicTargetState, RoutingInfo, TargetInfo,
};

/// A target that takes requests, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serving {
    /// The target.
    pub target: TargetId,
    /// The node it is on.
    pub node: NodeId,
}

/// A chain as a client uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// Version of the membership; requests carry it.
    pub version: ChainVersion,
    /// Targets that take requests, head first; never empty. Or why there is none: `StorageClient::NotAvailable`,
    /// `StorageClient::RoutingError`.
    pub serving: Result<Vec<Serving>, StatusCode>,
}

/// Nodes, chains and targets, indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingView {
    info: RoutingInfo,
    /// By id.
    chains: BTreeMap<ChainId, ChainView>,
    /// Places in `info.chain_tables`: of the table, and of the version in it.
    tables: BTreeMap<(ChainTableId, ChainTableVersion), (usize, usize)>,
    /// Place in `info.nodes`.
    nodes: BTreeMap<NodeId, usize>,
    /// Active metadata servers, ascending.
    meta_nodes: Vec<NodeId>,
    /// Storage servers, ascending.
    storage_nodes: Vec<NodeId>,
}

impl RoutingView {
    /// The view of what a manager said.
    #[must_use]
    pub fn new(info: RoutingInfo) -> Self {
        let nodes = first_places(info.nodes.0.iter().map(|(id, _)| *id));
        let targets = first_places(info.targets.0.iter().map(|(id, _)| *id));
        let mut tables = BTreeMap::new();
        for (table_at, (table, versions)) in info.chain_tables.0.iter().enumerate() {
            for (version_at, (version, _)) in versions.0.iter().enumerate() {
                tables.entry((*table, *version)).or_insert((table_at, version_at));
            }
        }
        let node = |id: NodeId| nodes.get(&id).map(|at| &info.nodes.0[*at].1);
        let target = |id: TargetId| targets.get(&id).map(|at| &info.targets.0[*at].1);
        let mut chains = BTreeMap::new();
        for (id, chain) in &info.chains.0 {
            chains.entry(*id).or_insert_with(|| ChainView {
                version: chain.chain_version,
                serving: serving(chain, &node, &target),
            });
        }
        let of_kind = |kind: NodeType, active: bool| {
            let wanted = |at: usize| {
                let node = &info.nodes.0[at].1;
                node.kind == kind && (!active || is_active(node.status))
            };
            nodes
                .iter()
                .filter(|(_, at)| wanted(**at))
                .map(|(id, _)| *id)
                .collect()
        };
        let meta_nodes = of_kind(NodeType::META, true);
        let storage_nodes = of_kind(NodeType::STORAGE, false);
        Self {
            chains,
            tables,
            nodes,
            meta_nodes,
            storage_nodes,
            info,
        }
    }

    /// What the manager said.
    #[must_use]
    pub const fn info(&self) -> &RoutingInfo {
        &self.info
    }

    /// Version of the routing table.
    #[must_use]
    pub const fn version(&self) -> RoutingVersion {
        self.info.routing_info_version
    }

    /// A chain.
    #[must_use]
    pub fn chain(&self, chain: ChainId) -> Option<&ChainView> {
        self.chains.get(&chain)
    }

    /// A node, with its addresses.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&NodeInfo> {
        let at = *self.nodes.get(&node)?;
        self.info.nodes.0.get(at).map(|(_, node)| node)
    }

    /// Metadata servers that are alive, ascending.
    #[must_use]
    pub fn meta_nodes(&self) -> &[NodeId] {
        &self.meta_nodes
    }

    /// Storage servers, alive or not, ascending.
    #[must_use]
    pub fn storage_nodes(&self) -> &[NodeId] {
        &self.storage_nodes
    }
}

impl ChainTables for RoutingView {
    fn chains(&self, table: ChainTableId, version: ChainTableVersion) -> Option<&[ChainId]> {
        let last = ChainTableVersion(u32::MAX);
        let (_, (table_at, version_at)) = match version {
            ChainTableVersion(0) => self.tables.range((table, version)..=(table, last)).next_back()?,
            version => self.tables.get_key_value(&(table, version))?,
        };
        let (_, versions) = self.info.chain_tables.0.get(*table_at)?;
        let (_, table) = versions.0.get(*version_at)?;
        Some(&table.chains)
    }
}

/// Whether the manager takes a node in this state for alive.
const fn is_active(status: NodeStatus) -> bool {
    matches!(
        status,
        NodeStatus::HEARTBEAT_CONNECTED | NodeStatus::PRIMARY_MGMTD
    )
}

/// Where each id occurs first.
fn first_places<I: Ord>(ids: impl Iterator<Item = I>) -> BTreeMap<I, usize> {
    let mut places = BTreeMap::new();
    for (at, id) in ids.enumerate() {
        places.entry(id).or_insert(at);
    }
    places
}

/// The serving targets of a chain, head first.
fn serving<'a>(
    chain: &ChainInfo,
    node: &impl Fn(NodeId) -> Option<&'a NodeInfo>,
    target: &impl Fn(TargetId) -> Option<&'a TargetInfo>,
) -> Result<Vec<Serving>, StatusCode> {
    let mut serving = Vec::new();
    for member in &chain.targets {
        match place(member, node, target)? {
            Some(place) => serving.push(place),
            None => break,
        }
    }
    if serving.is_empty() {
        return Err(StatusCode::STORAGE_CLIENT_NOT_AVAILABLE);
    }
    Ok(serving)
}

/// Where a member of a chain serves; `None` if it does not.
fn place<'a>(
    member: &ChainTargetInfo,
    node: &impl Fn(NodeId) -> Option<&'a NodeInfo>,
    target: &impl Fn(TargetId) -> Option<&'a TargetInfo>,
) -> Result<Option<Serving>, StatusCode> {
    if member.public_state != PublicTargetState::SERVING {
        return Ok(None);
    }
    let info = target(member.target_id).ok_or(StatusCode::STORAGE_CLIENT_ROUTING_ERROR)?;
    if info.public_state != PublicTargetState::SERVING {
        return Err(StatusCode::STORAGE_CLIENT_NOT_AVAILABLE);
    }
    let Some(node_id) = info.node_id else {
        return Ok(None);
    };
    match node(node_id) {
        Some(node) if node.kind == NodeType::STORAGE => Ok(Some(Serving {
            target: member.target_id,
            node: node_id,
        })),
        Some(_) | None => Err(StatusCode::STORAGE_CLIENT_ROUTING_ERROR),
    }
}
