//! What a metadata server knows of chains: an immutable snapshot of the routing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainTableId, ChainTableVersion, ChainVersion};
use flyer_wire::layout::ChainTables;

/// A chain as a metadata server sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// Version of its membership, for calls to the storage.
    pub version: ChainVersion,
    /// Number of targets; a chain without targets takes no new files.
    pub targets: u32,
}

/// Chain tables and chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoutingView {
    /// The chains of each table, by version.
    pub tables: BTreeMap<ChainTableId, BTreeMap<ChainTableVersion, Vec<ChainId>>>,
    /// All chains.
    pub chains: BTreeMap<ChainId, ChainView>,
}

impl RoutingView {
    /// The version and the chains of a table; version 0 is the newest there is.
    #[must_use]
    pub fn table(
        &self,
        table: ChainTableId,
        version: ChainTableVersion,
    ) -> Option<(ChainTableVersion, &[ChainId])> {
        let versions = self.tables.get(&table)?;
        let (version, chains) = match version {
            ChainTableVersion(0) => versions.last_key_value()?,
            version => versions.get_key_value(&version)?,
        };
        Some((*version, chains))
    }
}

impl ChainTables for RoutingView {
    fn chains(&self, table: ChainTableId, version: ChainTableVersion) -> Option<&[ChainId]> {
        self.table(table, version).map(|(_, chains)| chains)
    }
}
