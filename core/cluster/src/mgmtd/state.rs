//! What a primary knows: the stored part, which it loads when it becomes primary, and what it has heard since.
//!
//! All tables are bounded by [`Limits`](super::Limits); they are checked where entries are added.

use super::chain::{self, Member};
use super::records::{NODE_TYPES, Records};
use crate::store::StoreError;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ClientSessionVersion, ConfigVersion, HeartbeatVersion, NodeId,
    RoutingVersion, TargetId,
};
use flyer_types::{Text, Time, WallTime};
use flyer_wire::codec::Wire;
use flyer_wire::msg::common::{AppInfo, ConfigStatus, ReleaseVersion, TagPair};
use flyer_wire::msg::mgmtd::node::{ConfigInfo, NodeInfo, NodeStatus, NodeType, PersistentNodeInfo};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, LocalTargetInfo, LocalTargetState, PublicTargetState, RoutingInfo, TargetInfo,
};
use flyer_wire::msg::mgmtd::session::ClientSession;

/// The tag of a disabled node.
pub(super) const DISABLE: &str = "Disable";

/// Versions of all chain tables.
pub(super) type ChainTables = BTreeMap<ChainTableId, BTreeMap<ChainTableVersion, ChainTable>>;

/// What a primary knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) routing_version: RoutingVersion,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) chain_tables: ChainTables,
    pub(super) chains: BTreeMap<ChainId, ChainInfo>,
    /// All members of chains, and no others.
    pub(super) targets: BTreeMap<TargetId, Target>,
    /// Targets that were reported but are in no chain, by the node that reported them.
    pub(super) orphans: BTreeMap<NodeId, Vec<LocalTargetInfo>>,
    /// By kind of node, the newest version last.
    pub(super) configs: BTreeMap<NodeType, BTreeMap<ConfigVersion, ConfigInfo>>,
    /// No empty lists.
    pub(super) universal_tags: BTreeMap<Text, Vec<TagPair>>,
    pub(super) sessions: BTreeMap<Text, Session>,
    /// Chains whose states are frozen, and since when.
    pub(super) new_born: BTreeMap<ChainId, Time>,
    /// Chains with members that were heard of, or timed out, since the chain updater ran.
    pub(super) stirred: BTreeSet<ChainId>,
    /// A target's local state or node changed since the routing version did.
    pub(super) targets_changed: bool,
    /// A node's status changed since the routing version did.
    pub(super) nodes_changed: bool,
    /// Targets whose location is not stored yet.
    pub(super) moved: BTreeSet<TargetId>,
    /// The last snapshot.
    pub(super) snapshot: Option<RoutingInfo>,
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) info: NodeInfo,
    /// Version of the last heartbeat since this manager became primary.
    pub(super) hb_version: HeartbeatVersion,
    /// When it was last heard of, or loaded.
    pub(super) heard: Time,
}

/// A member of a chain.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) chain: ChainId,
    pub(super) local: LocalTargetState,
    pub(super) node: Option<NodeId>,
    pub(super) disk: Option<u32>,
    pub(super) used_bytes: u64,
    /// When it was last heard of, or loaded.
    pub(super) heard: Time,
}

/// A client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) info: ClientSession,
    pub(super) version: ClientSessionVersion,
    pub(super) extended: Time,
}

impl Node {
    /// A node of which only its record is known.
    pub(super) fn loaded(record: PersistentNodeInfo, now: Time) -> Self {
        let status = if has_disable(&record.tags) {
            NodeStatus::DISABLED
        } else {
            NodeStatus::HEARTBEAT_CONNECTING
        };
        let info = NodeInfo {
            app: AppInfo {
                node_id: record.node_id,
                hostname: record.hostname,
                pid: 0,
                service_groups: record.service_groups,
                release_version: ReleaseVersion::initial(),
                podname: Text::default(),
            },
            kind: record.kind,
            status,
            last_heartbeat_ts: WallTime::default(),
            tags: record.tags,
            config_version: ConfigVersion(0),
            config_status: ConfigStatus::NORMAL,
        };
        Self {
            info,
            hb_version: HeartbeatVersion(0),
            heard: now,
        }
    }

    /// The part that is stored.
    pub(super) fn record(&self) -> PersistentNodeInfo {
        PersistentNodeInfo {
            node_id: self.info.app.node_id,
            kind: self.info.kind,
            service_groups: self.info.app.service_groups.clone(),
            tags: self.info.tags.clone(),
            hostname: self.info.app.hostname.clone(),
        }
    }
}

impl Target {
    /// A member that was not heard of yet.
    pub(super) const fn new(chain: ChainId, now: Time) -> Self {
        Self {
            chain,
            local: LocalTargetState::OFFLINE,
            node: None,
            disk: None,
            used_bytes: 0,
            heard: now,
        }
    }
}

/// Whether the tags say that the node is disabled.
pub(super) fn has_disable(tags: &[TagPair]) -> bool {
    tags.iter().any(|tag| tag.key.as_bytes() == DISABLE.as_bytes())
}

impl State {
    /// What a manager knows that is not primary: no more than a cluster without records has.
    pub(super) fn empty() -> Self {
        let configs = NODE_TYPES.map(|kind| (kind, BTreeMap::from([(ConfigVersion(0), config_zero())])));
        Self {
            configs: BTreeMap::from(configs),
            ..Self::default()
        }
    }

    /// What a new primary knows.
    pub(super) fn from_records(records: Records, now: Time) -> Result<Self, StoreError> {
        let mut state = Self {
            routing_version: records.routing_version,
            ..Self::empty()
        };
        for (kind, config) in records.configs {
            state
                .configs
                .entry(kind)
                .or_default()
                .insert(config.config_version, config);
        }
        for node in records.nodes {
            if node.node_id.0 == 0 {
                return Err(StoreError::Corrupt("a node has the id 0".into()));
            }
            state.nodes.insert(node.node_id, Node::loaded(node, now));
        }
        for chain in records.chains {
            state.load_chain(chain, now)?;
        }
        for table in records.chain_tables {
            if table.chains.iter().any(|chain| !state.chains.contains_key(chain)) {
                let id = table.chain_table_id;
                return Err(StoreError::Corrupt(
                    format!("table {id} lists a chain that is not stored").into(),
                ));
            }
            let versions = state.chain_tables.entry(table.chain_table_id).or_default();
            versions.insert(table.chain_table_version, table);
        }
        for location in records.targets {
            if let Some(target) = state.targets.get_mut(&location.target_id) {
                target.node = location.node_id;
                target.disk = location.disk_index;
            }
        }
        let tagged = records
            .universal_tags
            .into_iter()
            .filter(|(_, tags)| !tags.is_empty());
        state.universal_tags.extend(tagged);
        Ok(state)
    }

    fn load_chain(&mut self, chain: ChainInfo, now: Time) -> Result<(), StoreError> {
        let id = chain.chain_id;
        let corrupt = |why| StoreError::Corrupt(format!("chain {id}: {why}").into());
        if let Some(fault) = chain::fault(&chain.targets) {
            return Err(corrupt(fault));
        }
        if chain.chain_version.0 == 0 {
            return Err(corrupt("it has no version"));
        }
        for target in &chain.targets {
            if self
                .targets
                .insert(target.target_id, Target::new(id, now))
                .is_some()
            {
                return Err(corrupt("a target is in another chain, too"));
            }
        }
        self.chains.insert(id, chain);
        Ok(())
    }

    /// The newest configuration for a kind of node; `None` if there is no such kind.
    pub(super) fn newest_config(&self, kind: NodeType) -> Option<&ConfigInfo> {
        self.configs
            .get(&kind)?
            .last_key_value()
            .map(|(_, config)| config)
    }

    /// The tags of a universal id.
    pub(super) fn tags_of(&self, universal_id: &Text) -> Vec<TagPair> {
        self.universal_tags.get(universal_id).cloned().unwrap_or_default()
    }

    /// The members of a chain, with both states.
    pub(super) fn members(&self, chain: &ChainInfo) -> Vec<Member> {
        let member = |target: &flyer_wire::msg::mgmtd::routing::ChainTargetInfo| Member {
            target: target.target_id,
            public: target.public_state,
            local: self
                .targets
                .get(&target.target_id)
                .map_or(LocalTargetState::OFFLINE, |target| target.local),
        };
        chain.targets.iter().map(member).collect()
    }

    /// Number of versions of chain tables.
    pub(super) fn chain_tables_count(&self) -> usize {
        self.chain_tables.values().map(BTreeMap::len).sum()
    }

    /// Puts a chain in place of the one with its id, and brings the list of targets in line.
    pub(super) fn put_chain(&mut self, chain: ChainInfo, now: Time) {
        let id = chain.chain_id;
        let before = self
            .chains
            .get(&id)
            .map(|before| before.targets.clone())
            .unwrap_or_default();
        for target in &before {
            if !chain
                .targets
                .iter()
                .any(|kept| kept.target_id == target.target_id)
            {
                self.targets.remove(&target.target_id);
                self.moved.remove(&target.target_id);
            }
        }
        for target in &chain.targets {
            self.targets
                .entry(target.target_id)
                .or_insert_with(|| Target::new(id, now));
        }
        self.stirred.insert(id);
        self.chains.insert(id, chain);
    }

    /// A target as it is published.
    pub(super) fn target_info(&self, id: TargetId, target: &Target) -> TargetInfo {
        let members = self
            .chains
            .get(&target.chain)
            .map_or(&[][..], |chain| &chain.targets);
        let member = members.iter().find(|member| member.target_id == id);
        TargetInfo {
            target_id: id,
            public_state: member.map_or(PublicTargetState::INVALID, |member| member.public_state),
            local_state: target.local,
            chain_id: target.chain,
            node_id: target.node,
            disk_index: target.disk,
            used_size: target.used_bytes,
        }
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        self.check_chains();
        for (id, node) in &self.nodes {
            assert!(
                *id == node.info.app.node_id && id.0 != 0,
                "node {id} has another id"
            );
        }
        for (client, session) in &self.sessions {
            assert!(
                *client == session.info.client_id && !client.is_empty(),
                "a session has another client"
            );
        }
        assert!(
            self.configs.len() == NODE_TYPES.len(),
            "a kind of node has no configuration"
        );
        assert!(
            self.configs.values().all(|versions| !versions.is_empty()),
            "a configuration has no version"
        );
        assert!(
            self.universal_tags.values().all(|tags| !tags.is_empty()),
            "an empty list of tags is kept"
        );
        assert!(
            self.new_born.keys().all(|chain| self.chains.contains_key(chain)),
            "an unknown chain is new"
        );
        assert!(
            self.moved.iter().all(|target| self.targets.contains_key(target)),
            "an unknown target moved"
        );
        let tables = self.chain_tables.values().flat_map(BTreeMap::values);
        for table in tables {
            let known = |chain| self.chains.contains_key(chain);
            assert!(
                table.chains.iter().all(known),
                "table {} has unknown chains",
                table.chain_table_id
            );
        }
        let ahead = self
            .snapshot
            .as_ref()
            .is_some_and(|info| info.routing_info_version > self.routing_version);
        assert!(!ahead, "the snapshot is newer than the routing table");
    }

    /// Chains are valid, and their members are the targets.
    fn check_chains(&self) {
        let mut members = 0;
        for (id, chain) in &self.chains {
            assert!(
                *id == chain.chain_id && chain.chain_version.0 > 0,
                "chain {id} has another id or no version"
            );
            assert!(
                chain::fault(&chain.targets).is_none(),
                "chain {id}: {:?}",
                chain::fault(&chain.targets)
            );
            for target in &chain.targets {
                let known = self.targets.get(&target.target_id);
                assert!(
                    known.is_some_and(|known| known.chain == *id),
                    "chain {id} has a target of another chain"
                );
            }
            members += chain.targets.len();
        }
        assert!(
            members == self.targets.len(),
            "{members} members of chains, {} targets",
            self.targets.len()
        );
    }
}

/// The configuration that exists without having been set.
fn config_zero() -> ConfigInfo {
    ConfigInfo {
        config_version: ConfigVersion(0),
        content: Text::default(),
        desc: Text::default(),
    }
}
