//! What has to be true of a storage server and its store at any time.
//!
//! Owner: [`StorageServer`]. Slow: reads the whole store.

use super::keys::{self, ChunkKey};
use super::port::Place;
use super::record::Record;
use super::{Io, StorageServer};
use crate::store::{Store, prefix_end};
use alloc::collections::BTreeSet;

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    /// Asserts that records and blocks belong together.
    pub(super) fn check_store(&self) {
        let end = prefix_end(keys::RECORD).expect("the prefix has bytes below ff");
        let mut places = BTreeSet::<Place>::new();
        let read = self.store.scan(keys::RECORD, &end, &mut |key, value| {
            let record = Record::of(value).expect("records are stored whole");
            let key = ChunkKey::of(key).expect("records have keys");
            assert!(self.targets.get(key.target).is_some(), "a chunk has no target");
            assert!(
                record.commit_ver == record.update_ver,
                "a chain of one commits what it applies"
            );
            if let Some(place) = record.place {
                assert!(self.blocks.is_used(place), "{place:?} counts as free");
                assert!(places.insert(place), "{place:?} belongs to two chunks");
            }
            true
        });
        for place in self.moves.places() {
            assert!(self.blocks.is_used(place), "{place:?} is kept and counts as free");
            assert!(places.insert(place), "{place:?} is kept and belongs to a chunk");
        }
        // A store that cannot be read right now has nothing that could be looked at.
        if read.is_ok() {
            assert!(
                self.blocks.used_len() == places.len(),
                "used blocks without a record"
            );
        }
        for (key, at_hand) in self.chunks.iter() {
            if let Ok(stored) = self.store.get(&key.to_bytes()) {
                let stored = stored.map(|bytes| Record::of(&bytes).expect("records are stored whole"));
                assert!(
                    stored.as_ref() == at_hand,
                    "the record at hand is not the stored one"
                );
            }
        }
    }

    /// Asserts that everything under way is accounted for.
    pub(super) fn check_under_way(&self) {
        let reading = self
            .disk
            .iter()
            .filter(|(_, io)| matches!(io, Io::Read(_)))
            .count();
        assert!(reading <= self.reads as usize, "reads are miscounted");
        assert!(self.work.is_empty(), "something could go on and does not");
        assert!(
            self.channels.running() <= self.jobs.len(),
            "a channel runs without an update"
        );
        for id in self.parked.iter().chain(&self.held) {
            assert!(self.jobs.contains(*id), "what waits is under way");
        }
        for id in &self.held {
            let kept = self
                .jobs
                .get(*id)
                .and_then(|job| self.moves.get(self.chunks.key(job.row)));
            assert!(
                kept.is_some_and(|kept| self.epochs.is_being_settled(kept.epoch)),
                "a commit waits for a sync that is not open"
            );
        }
        for (_, io) in self.disk.iter() {
            if let Io::Update(job) = io {
                assert!(self.jobs.contains(*job), "what is on the disk is under way");
            }
        }
        for (_, job) in self.jobs.iter() {
            assert!(self.calls.contains(job.call), "an update belongs to a request");
        }
        if self.jobs.is_empty() {
            assert!(self.space.reserved() == 0, "room is reserved for nothing");
            assert!(
                self.reads > 0 || self.chunks.busy_len() == 0,
                "a chunk is busy with nothing"
            );
        }
    }
}
