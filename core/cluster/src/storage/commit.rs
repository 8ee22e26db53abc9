//! A new record of a chunk, and what it means for the blocks.
//!
//! Owner: an [update](super::update) that has the chunk alone. Record, bits of the blocks and the kept record of a
//! [move](super::moves) change in one batch; when the store does not take it, nothing has changed.

use super::StorageServer;
use super::answers;
use super::chunks::Row;
use super::keys::ChunkKey;
use super::port::Place;
use super::record::{NO_CHECKSUM, Record};
use crate::store::{Batch, Store};
use flyer_types::Status;

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    /// Rule 2 of the [epochs](super::epochs).
    pub(super) fn drop_checksum(&mut self, row: Row) -> Result<(), Status> {
        let old = *self.chunks.record(row).expect("what has a checksum has a record");
        let seal = self.epochs.seal_after(&old);
        let record = Record {
            checksum: NO_CHECKSUM,
            epoch: self.epochs.enter(),
            seal,
            ..old
        };
        flyer_types::mark!("storage.checksum_dropped");
        self.put_record(row, Some(record))
    }

    /// Commits the record of a chunk, and what that means for its blocks.
    pub(super) fn put_record(&mut self, row: Row, record: Option<Record>) -> Result<(), Status> {
        let epoch = self.epochs.enter();
        let old = self.chunks.record(row).copied();
        let key = self.chunks.key(row).clone();
        let kept = self.moves.get(&key);
        let mut batch = Batch::new();
        batch.insert(key.to_bytes(), record.map(|record| record.to_bytes().to_vec()));
        let changes = self.change_blocks(&key, old, record, epoch, &mut batch);
        if let Err(error) = self.commit(batch) {
            for (place, _, used) in changes.into_iter().flatten() {
                self.blocks.undo_used(place, used);
            }
            self.moves.restore(&key, kept);
            return Err(answers::unwritable(error));
        }
        for (place, bytes, used) in changes.into_iter().flatten() {
            if !used {
                self.blocks.free(place, bytes, epoch);
            }
        }
        self.chunks.set_record(row, record);
        Ok(())
    }

    /// Notes which blocks a new record takes and frees: each with its bytes and whether it is used now.
    fn change_blocks(
        &mut self,
        key: &ChunkKey,
        old: Option<Record>,
        new: Option<Record>,
        epoch: u64,
        batch: &mut Batch,
    ) -> [Option<(Place, u32, bool)>; 3] {
        let before = old.and_then(|old| old.place.map(|place| (place, old.length)));
        let after = new.and_then(|new| new.place);
        if before.map(|(place, _)| place) == after {
            return [None; 3];
        }
        let mut changes = [None, after.map(|place| (place, 0, true)), None];
        let is_kept = match (&old, after) {
            (Some(old), Some(_)) => self.moves.keep(key, old, epoch, batch),
            (None, _) | (_, None) => false,
        };
        if !is_kept {
            changes[0] = before.map(|(place, bytes)| (place, bytes, false));
        }
        if after.is_none()
            && let Some(kept) = self.moves.forget(key)
        {
            batch.insert(key.to_move_bytes(), None);
            changes[2] = Some((kept.place, kept.bytes, false));
        }
        for (place, _, used) in changes.into_iter().flatten() {
            self.blocks.set_used(place, used, batch);
        }
        changes
    }
}
