//! File layouts: from an offset in a file to a chunk and its chain.
//!
//! ```text
//! offset ─ / chunk size ─▶ chunk index ─ (index + 7 track) mod stripe ─▶ slot ─ chain list ─▶ index ─ table ─▶ chain
//! ```
//!
//! Source: `src/fbs/meta/Schema.cc`, `src/fbs/mgmtd/RoutingInfo.cc` upstream.

use crate::msg::meta::inode::{Layout, LayoutChains, Shuffle};
use crate::msg::storage::chunk_id::FileChunk;
use crate::shuffle::{ShuffleMethod, shuffle};
use alloc::vec::Vec;
use flyer_types::StatusCode;
use flyer_types::ids::{ChainId, ChainTableId, ChainTableVersion, InodeId};

/// Neighbouring tracks begin this many chains apart.
const TRACK_STEP: u64 = 7;

/// The chain tables a layout refers to; implemented by whoever holds the routing.
pub trait ChainTables {
    /// The chains of a table; version 0 is the newest there is. `None` if the table or version is not known.
    fn chains(&self, table: ChainTableId, version: ChainTableVersion) -> Option<&[ChainId]>;
}

/// The chain behind an index of a layout, which starts at 1 and wraps. In table 0 version 0 the index is the chain.
///
/// # Errors
/// `MgmtdClient::RoutingInfoNotReady` if the routing does not tell.
pub fn chain_of_index(
    table: ChainTableId,
    version: ChainTableVersion,
    index: u32,
    tables: &dyn ChainTables,
) -> Result<ChainId, StatusCode> {
    if table == ChainTableId(0) && version == ChainTableVersion(0) {
        return Ok(ChainId(index));
    }
    let unknown = StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY;
    let chains = tables.chains(table, version).ok_or(unknown)?;
    let position = usize::try_from(index.checked_sub(1).ok_or(unknown)?).map_err(|_| unknown)?;
    let position = position.checked_rem(chains.len()).ok_or(unknown)?;
    chains.get(position).copied().ok_or(unknown)
}

impl Layout {
    /// Whether the layout may be stored. Files need chains; for directories `allow_empty` is true.
    ///
    /// # Errors
    /// `Meta::InvalidFileLayout`.
    pub fn check(&self, allow_empty: bool) -> Result<(), StatusCode> {
        let set = self.table_id.0 != 0 && self.table_version.0 != 0;
        let unset = self.table_id.0 == 0 && self.table_version.0 == 0;
        let chains_valid = match &self.chains {
            LayoutChains::Empty(_) => allow_empty && self.table_id.0 != 0,
            LayoutChains::ChainRange(range) => set && range.base_index != 0,
            LayoutChains::ChainList(list) => {
                let full = usize::try_from(self.stripe_size) == Ok(list.chain_indexes.len());
                (set || unset) && full && !list.chain_indexes.contains(&0)
            }
        };
        if chains_valid && self.chunk_size.is_power_of_two() && self.stripe_size != 0 {
            return Ok(());
        }
        Err(StatusCode::META_INVALID_FILE_LAYOUT)
    }

    /// The indexes of the layout's chains by slot. It depends on the layout alone: compute it once per file.
    /// `method` matters only for old files with an unsafe seed; see [`ShuffleMethod`].
    #[must_use]
    pub fn chain_indexes(&self, method: ShuffleMethod) -> Vec<u32> {
        match &self.chains {
            LayoutChains::Empty(_) => Vec::new(),
            LayoutChains::ChainList(list) => list.chain_indexes.clone(),
            LayoutChains::ChainRange(range) => {
                let mut indexes: Vec<_> = (0..self.stripe_size)
                    .map(|slot| range.base_index.wrapping_add(slot))
                    .collect();
                if range.shuffle == Shuffle::STD_SHUFFLE_MT19937 {
                    shuffle(&mut indexes, range.seed, method);
                }
                indexes
            }
        }
    }

    /// The chunk that holds byte `offset` of the file, and the slot of its chain. Chunks of files are on track 0.
    ///
    /// # Errors
    /// `Meta::InvalidFileLayout` if the layout has no chunk or stripe size, `Meta::FileTooLarge` if no chunk can reach
    /// that far.
    pub fn chunk_at(&self, inode: InodeId, offset: u64) -> Result<(FileChunk, u32), StatusCode> {
        let slot = self.slot_at(0, offset)?;
        let index = offset / u64::from(self.chunk_size);
        let index = u32::try_from(index).map_err(|_| StatusCode::META_FILE_TOO_LARGE)?;
        Ok((
            FileChunk {
                inode,
                track: 0,
                index,
            },
            slot,
        ))
    }

    /// The slot of the chain that byte `offset` of a track lies on.
    ///
    /// # Errors
    /// `Meta::InvalidFileLayout` if the layout has no chunk or stripe size.
    pub fn slot_at(&self, track: u16, offset: u64) -> Result<u32, StatusCode> {
        let invalid = StatusCode::META_INVALID_FILE_LAYOUT;
        let index = offset.checked_div(u64::from(self.chunk_size)).ok_or(invalid)?;
        let place = u128::from(index) + u128::from(TRACK_STEP) * u128::from(track);
        let slot = place.checked_rem(u128::from(self.stripe_size)).ok_or(invalid)?;
        Ok(u32::try_from(slot).expect("a remainder is smaller than the stripe size"))
    }
}
