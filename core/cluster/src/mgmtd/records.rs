//! What a manager stores, and under which keys.
//!
//! | Key | Value |
//! |---|---|
//! | `SINGMgmtdLease` | [`MgmtdLeaseInfo`]: who is primary |
//! | `SINGRoutingInfoVersion` | u64 |
//! | `NODE`, u32 node id | [`PersistentNodeInfo`] |
//! | `CHIT`, u32 table id, u32 version | [`ChainTable`] |
//! | `CHIF`, u32 chain id | [`ChainInfo`] |
//! | `TGIF`, u64 target id, **big endian** | [`TargetInfo`]; only node and disk count |
//! | `CONF`, u8 length and name of the node type, u64 of 2⁶⁴−1 − version, **big endian** | [`ConfigInfo`]; the newest comes first |
//! | `UTGS`, universal id | list of [`TagPair`] |
//!
//! Integers in keys are little endian where the table does not say otherwise; values are the wire form of the struct, without
//! a frame. Both are upstream's (`src/common/kv/KeyPrefix-def.h`, `src/mgmtd/store/MgmtdStore.cc` upstream).
//!
//! Whatever is read back is checked: a record that does not decode or names another key is [`StoreError::Corrupt`].

use crate::store::{Batch, KEY_BYTES_MAX, Store, StoreError, VALUE_BYTES_MAX, prefix_end};
use alloc::format;
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ConfigVersion, NodeId, RoutingVersion, TargetId,
};
use flyer_wire::codec::{Wire, decode, encode_to_vec};
use flyer_wire::msg::common::TagPair;
use flyer_wire::msg::mgmtd::node::{ConfigInfo, MgmtdLeaseInfo, NodeType, PersistentNodeInfo};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, LocalTargetState, PublicTargetState, TargetInfo,
};

const LEASE: &[u8] = b"SINGMgmtdLease";
const ROUTING_VERSION: &[u8] = b"SINGRoutingInfoVersion";
const NODE: &[u8] = b"NODE";
const CHAIN_TABLE: &[u8] = b"CHIT";
const CHAIN: &[u8] = b"CHIF";
const TARGET: &[u8] = b"TGIF";
const CONFIG: &[u8] = b"CONF";
const UNIVERSAL_TAGS: &[u8] = b"UTGS";

/// The kinds of nodes that have configurations.
pub(super) const NODE_TYPES: [NodeType; 5] = [
    NodeType::MGMTD,
    NodeType::META,
    NodeType::STORAGE,
    NodeType::CLIENT,
    NodeType::FUSE,
];

/// Changes of records that are committed together.
#[derive(Debug, Default)]
pub(super) struct Writes(Batch);

impl Writes {
    pub(super) fn lease(&mut self, lease: &MgmtdLeaseInfo) {
        self.put(LEASE.to_vec(), lease);
    }

    pub(super) fn routing_version(&mut self, version: RoutingVersion) {
        self.put(ROUTING_VERSION.to_vec(), &version.0);
    }

    pub(super) fn node(&mut self, node: &PersistentNodeInfo) {
        self.put(node_key(node.node_id), node);
    }

    pub(super) fn remove_node(&mut self, node: NodeId) {
        self.remove(node_key(node));
    }

    pub(super) fn chain_table(&mut self, table: &ChainTable) {
        self.put(table_key(table.chain_table_id, table.chain_table_version), table);
    }

    pub(super) fn chain(&mut self, chain: &ChainInfo) {
        self.put(chain_key(chain.chain_id), chain);
    }

    /// Where a target is. Its states are not stored.
    pub(super) fn target_location(
        &mut self,
        target: TargetId,
        node_id: Option<NodeId>,
        disk_index: Option<u32>,
    ) {
        let info = TargetInfo {
            target_id: target,
            public_state: PublicTargetState::INVALID,
            local_state: LocalTargetState::INVALID,
            chain_id: ChainId(0),
            node_id,
            disk_index,
            used_size: 0,
        };
        self.put(target_key(target), &info);
    }

    pub(super) fn remove_target_location(&mut self, target: TargetId) {
        self.remove(target_key(target));
    }

    pub(super) fn config(&mut self, kind: NodeType, config: &ConfigInfo) {
        self.put(config_key(kind, config.config_version), config);
    }

    pub(super) fn remove_config(&mut self, kind: NodeType, version: ConfigVersion) {
        self.remove(config_key(kind, version));
    }

    /// No tags, no record.
    pub(super) fn universal_tags(&mut self, universal_id: &Text, tags: &Vec<TagPair>) {
        let key = [UNIVERSAL_TAGS, universal_id.as_bytes()].concat();
        if tags.is_empty() {
            self.remove(key);
        } else {
            self.put(key, tags);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_batch(self) -> Batch {
        self.0
    }

    fn put<T: Wire>(&mut self, key: Vec<u8>, value: &T) {
        let value = encode_to_vec(value);
        debug_assert!(key.len() <= KEY_BYTES_MAX, "the limits bound keys");
        debug_assert!(value.len() <= VALUE_BYTES_MAX, "the limits bound values");
        self.0.insert(key, Some(value));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }
}

/// Everything that is stored but the lease.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) routing_version: RoutingVersion,
    pub(super) nodes: Vec<PersistentNodeInfo>,
    pub(super) chain_tables: Vec<ChainTable>,
    pub(super) chains: Vec<ChainInfo>,
    pub(super) targets: Vec<TargetInfo>,
    pub(super) configs: Vec<(NodeType, ConfigInfo)>,
    pub(super) universal_tags: Vec<(Text, Vec<TagPair>)>,
}

impl Records {
    /// Reads everything.
    pub(super) fn load<S: Store>(store: &S) -> Result<Self, StoreError> {
        let version = store.get(ROUTING_VERSION)?;
        let version = version
            .map(|bytes| read::<u64>(ROUTING_VERSION, &bytes))
            .transpose()?;
        let mut configs = Vec::new();
        for kind in NODE_TYPES {
            let prefix = config_prefix(kind);
            let versions = scan(store, &prefix, |config: &ConfigInfo| {
                config_key(kind, config.config_version)
            })?;
            configs.extend(versions.into_iter().map(|config| (kind, config)));
        }
        Ok(Self {
            routing_version: RoutingVersion(version.unwrap_or_default()),
            nodes: scan(store, NODE, |node: &PersistentNodeInfo| node_key(node.node_id))?,
            chain_tables: scan(store, CHAIN_TABLE, |table: &ChainTable| {
                table_key(table.chain_table_id, table.chain_table_version)
            })?,
            chains: scan(store, CHAIN, |chain: &ChainInfo| chain_key(chain.chain_id))?,
            targets: scan(store, TARGET, |target: &TargetInfo| target_key(target.target_id))?,
            configs,
            universal_tags: load_universal_tags(store)?,
        })
    }
}

/// The lease, whoever has it and whether it has expired or not.
pub(super) fn load_lease<S: Store>(store: &S) -> Result<Option<MgmtdLeaseInfo>, StoreError> {
    store.get(LEASE)?.map(|bytes| read(LEASE, &bytes)).transpose()
}

fn load_universal_tags<S: Store>(store: &S) -> Result<Vec<(Text, Vec<TagPair>)>, StoreError> {
    let mut raw = Vec::new();
    scan_raw(store, UNIVERSAL_TAGS, &mut |key, value| {
        raw.push((key.to_vec(), value.to_vec()));
    })?;
    let tags = raw.into_iter().map(|(key, value)| {
        let id = Text::from(key.strip_prefix(UNIVERSAL_TAGS).unwrap_or_default());
        read(&key, &value).map(|tags| (id, tags))
    });
    tags.collect()
}

/// All records below a prefix; `key_of` says where a record belongs.
fn scan<S: Store, T: Wire>(
    store: &S,
    prefix: &[u8],
    key_of: impl Fn(&T) -> Vec<u8>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    let mut failed = None;
    scan_raw(store, prefix, &mut |key, value| match read::<T>(key, value) {
        Ok(record) if key_of(&record) == key => found.push(record),
        Ok(_) => failed = Some(corrupt(key, "belongs under another key")),
        Err(error) => failed = Some(error),
    })?;
    failed.map_or(Ok(found), Err)
}

fn scan_raw<S: Store>(
    store: &S,
    prefix: &[u8],
    visit: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), StoreError> {
    let end = prefix_end(prefix).expect("prefixes are text");
    store.scan(prefix, &end, &mut |key, value| {
        visit(key, value);
        true
    })
}

fn read<T: Wire>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    decode(value).map_err(|error| corrupt(key, &format!("{error}")))
}

fn corrupt(key: &[u8], why: &str) -> StoreError {
    StoreError::Corrupt(format!("record \"{}\": {why}", key.escape_ascii()).into())
}

fn node_key(node: NodeId) -> Vec<u8> {
    [NODE, &node.0.to_le_bytes()].concat()
}

fn table_key(table: ChainTableId, version: ChainTableVersion) -> Vec<u8> {
    [CHAIN_TABLE, &table.0.to_le_bytes(), &version.0.to_le_bytes()].concat()
}

fn chain_key(chain: ChainId) -> Vec<u8> {
    [CHAIN, &chain.0.to_le_bytes()].concat()
}

fn target_key(target: TargetId) -> Vec<u8> {
    [TARGET, &target.0.to_be_bytes()].concat()
}

fn config_prefix(kind: NodeType) -> Vec<u8> {
    let name = kind.name().unwrap_or_default();
    let length = u8::try_from(name.len()).expect("names of node types are short");
    [CONFIG, &[length], name.as_bytes()].concat()
}

fn config_key(kind: NodeType, version: ConfigVersion) -> Vec<u8> {
    [config_prefix(kind), (u64::MAX - version.0).to_be_bytes().to_vec()].concat()
}
