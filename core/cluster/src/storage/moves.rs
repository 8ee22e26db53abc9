//! Chunks whose content moved to another block, and is not yet durable there.
//!
//! Owner: [`StorageServer`](super::StorageServer). The record that names the new block can become durable before the bytes in that
//! block do. If power fails then, what had been durable in the old block must not be lost: so the old record is kept beside the
//! new one, and its block with it, until the new block is durable.
//!
//! ```text
//!              move (commit)               data durable: commit              sync ended
//!   old block ───────────────► both kept ────────────────────► new block, old freed ──► old discarded
//!       ▲                        │ removed or emptied (commit)
//!       │    power failed        ├────────────────────────────► none, both freed
//!       └────────────────────────┘
//! ```
//!
//! A chunk whose move a sync is just about to settle does not move again until the data are durable: whether the old block or the
//! one in between is the one to go back to would depend on the end of the sync. That goes for the commit, too: the sync may begin
//! while the content is being copied.
//!
//! Limits: [`MOVES_MAX`](super::options::limits::MOVES_MAX); beyond, updates wait for a sync.

use super::keys::{self, ChunkKey};
use super::port::Place;
use super::record::Record;
use crate::store::{Batch, Store, StoreError, prefix_end};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A block that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The block.
    pub(super) place: Place,
    /// Bytes in it.
    pub(super) bytes: u32,
    /// When the content moved away.
    pub(super) epoch: u64,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Moves {
    kept: BTreeMap<ChunkKey, Kept>,
}

impl Moves {
    /// Reads the moves of a store, with the records that were kept. They were made in `epoch` at the latest.
    ///
    /// # Errors
    /// What the store says; that an entry is damaged.
    pub(super) fn open<S: Store>(
        store: &S,
        epoch: u64,
    ) -> Result<(Self, Vec<(ChunkKey, Record)>), StoreError> {
        let end = prefix_end(keys::MOVE).expect("the prefix has bytes below ff");
        let mut this = Self::default();
        let mut records = Vec::new();
        let mut is_sound = true;
        store.scan(keys::MOVE, &end, &mut |key, value| {
            let entry = ChunkKey::of_move(key).zip(Record::of(value));
            let kept = entry.and_then(|(key, record)| record.place.map(|place| (key, record, place)));
            is_sound = kept.is_some();
            if let Some((key, record, place)) = kept {
                let bytes = record.length;
                this.kept.insert(key.clone(), Kept { place, bytes, epoch });
                records.push((key, record));
            }
            is_sound
        })?;
        if !is_sound {
            return Err(StoreError::Corrupt(
                "the record of a moved chunk cannot be read".into(),
            ));
        }
        Ok((this, records))
    }

    /// The block that is kept for a chunk.
    pub(super) fn get(&self, key: &ChunkKey) -> Option<Kept> {
        self.kept.get(key).copied()
    }

    /// The content moved away from the block of `old` again or for the first time; `old` is kept in the latter case. Whether it is.
    pub(super) fn keep(&mut self, key: &ChunkKey, old: &Record, epoch: u64, batch: &mut Batch) -> bool {
        if let Some(kept) = self.kept.get_mut(key) {
            kept.epoch = epoch;
            return false;
        }
        let Some(place) = old.place else {
            return false;
        };
        let bytes = old.length;
        self.kept.insert(key.clone(), Kept { place, bytes, epoch });
        batch.insert(key.to_move_bytes(), Some(old.to_bytes().to_vec()));
        true
    }

    /// Nothing is kept for the chunk any more.
    pub(super) fn forget(&mut self, key: &ChunkKey) -> Option<Kept> {
        self.kept.remove(key)
    }

    /// What was forgotten is kept after all, since the batch was not committed.
    pub(super) fn restore(&mut self, key: &ChunkKey, kept: Option<Kept>) {
        match kept {
            Some(kept) => self.kept.insert(key.clone(), kept),
            None => self.kept.remove(key),
        };
    }

    /// The data of everything up to `epoch` are durable: what needs not be kept any longer.
    pub(super) fn settled(&self, epoch: u64) -> Vec<(ChunkKey, Kept)> {
        let settled = self.kept.iter().filter(|(_, kept)| kept.epoch <= epoch);
        settled.map(|(key, kept)| (key.clone(), *kept)).collect()
    }

    /// Number of blocks that are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The blocks that are kept.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.kept.values().map(|kept| kept.place)
    }
}
