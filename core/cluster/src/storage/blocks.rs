//! Which blocks of the data files are free.
//!
//! Owner: [`StorageServer`](super::StorageServer). One data file per block size, powers of two from 4 KiB to 64 MiB; blocks are
//! counted in [groups](super::group), whose bits are all that is read when a server is opened.
//!
//! ```text
//!   clean ─ reserve (commit) ─► ready ─ alloc ─► lent ─ record committed ─► used
//!     ▲                                           │                          │ record without it committed
//!     │                                 given back, never pointed to         ▼
//!     │                                           │                       freed (epoch)
//!     │                                           ▼                          │ epoch durable
//!     │                                       droppable ◄────────────────────┘
//!     │ epoch durable                             │ Discard done
//!     └────────────────────────────────────── discarded (epoch)
//! ```
//!
//! Both waits are needed. If a freed block were emptied before the record that freed it is durable, a crash could bring back a
//! record whose bytes are gone; if an emptied block were used again before the emptying is durable, a power failure could show one
//! chunk's bytes in another. Nobody waits for it: a file can always be made longer, so new blocks come from its end.
//!
//! After a crash all dirty blocks without a record count as freed. What is beyond this bookkeeping: a block that was reserved in
//! commits that a crash undid may hold bytes although it counts as clean. They are never served either, since gaps are written
//! with zeros, unless power fails twice before its next owner's data are durable.
//!
//! Limits: blocks are bounded by the disk; [`RESERVED_BLOCKS`]; [`DISCARDS_MAX`](super::options::limits::DISCARDS_MAX).

use super::group::{GROUP_BLOCKS, Group};
use super::keys;
use super::options::limits::{CHUNK_BYTES_MAX, DISCARDS_MAX};
use super::port::Place;
use crate::store::{Batch, Store, StoreError, prefix_end};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

/// Smallest block.
pub(super) const BLOCK_BYTES_MIN: u32 = 4 << 10;

/// Blocks reserved with one commit.
pub(super) const RESERVED_BLOCKS: usize = 32;

const CLASSES: usize = (CHUNK_BYTES_MAX.trailing_zeros() - BLOCK_BYTES_MIN.trailing_zeros()) as usize + 1;

/// Whether there are blocks of this size.
pub(super) const fn is_block_size(bytes: u32) -> bool {
    bytes.is_power_of_two() && bytes >= BLOCK_BYTES_MIN && bytes <= CHUNK_BYTES_MAX
}

/// The smallest block that holds so many bytes.
pub(super) fn block_for(bytes: u32) -> u32 {
    debug_assert!(bytes <= CHUNK_BYTES_MAX, "longer than any chunk");
    bytes.max(BLOCK_BYTES_MIN).next_power_of_two()
}

/// A block on its way back to the clean ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Freed {
    /// The block.
    pub(super) place: Place,
    /// Its content takes about so many bytes of the disk.
    pub(super) bytes: u32,
    /// When it was freed or discarded.
    epoch: u64,
}

/// The blocks of one size.
#[derive(Debug)]
struct Class {
    groups: Vec<Group>,
    /// Groups with clean blocks.
    with_clean: BTreeSet<u32>,
    /// Reserved blocks, the next one last.
    ready: Vec<u64>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Blocks {
    classes: [Class; CLASSES],
    freed: VecDeque<Freed>,
    droppable: VecDeque<Freed>,
    discards: u32,
    discarded: VecDeque<Freed>,
    freed_bytes: u64,
}

/// The row of a block size.
fn class_of(block_bytes: u32) -> usize {
    assert!(is_block_size(block_bytes), "no such block size: {block_bytes}");
    (block_bytes.trailing_zeros() - BLOCK_BYTES_MIN.trailing_zeros()) as usize
}

/// Group and number within it.
fn split(place: Place) -> (u32, u32) {
    let group =
        u32::try_from(place.index / u64::from(GROUP_BLOCKS)).expect("files are shorter than 2^32 groups");
    let block = u32::try_from(place.index % u64::from(GROUP_BLOCKS)).expect("a remainder is smaller");
    (group, block)
}

impl Blocks {
    /// Reads the groups of a store. What has no record counts as freed in `epoch`.
    ///
    /// # Errors
    /// What the store says; that a group is damaged.
    pub(super) fn open<S: Store>(store: &S, epoch: u64) -> Result<Self, StoreError> {
        let mut this = Self {
            classes: core::array::from_fn(|_| Class {
                groups: Vec::new(),
                with_clean: BTreeSet::new(),
                ready: Vec::new(),
            }),
            freed: VecDeque::new(),
            droppable: VecDeque::new(),
            discards: 0,
            discarded: VecDeque::new(),
            freed_bytes: 0,
        };
        let end = prefix_end(keys::GROUP).expect("the prefix has bytes below ff");
        let mut is_sound = true;
        store.scan(keys::GROUP, &end, &mut |key, value| {
            is_sound = this.load(key, value, epoch).is_some();
            is_sound
        })?;
        if !is_sound {
            return Err(StoreError::Corrupt("a group of blocks cannot be read".into()));
        }
        Ok(this)
    }

    fn load(&mut self, key: &[u8], value: &[u8], epoch: u64) -> Option<()> {
        let (block_bytes, number) = keys::split_group(key).filter(|(bytes, _)| is_block_size(*bytes))?;
        let group = Group::of(value)?;
        let class = &mut self.classes[class_of(block_bytes)];
        let groups = u32::try_from(class.groups.len()).ok()?;
        if groups != number {
            // Groups are added in order, one commit each.
            return None;
        }
        for block in group.left_over() {
            self.freed.push_back(Freed {
                place: Place {
                    block_bytes,
                    index: u64::from(number) * u64::from(GROUP_BLOCKS) + u64::from(block),
                },
                bytes: 0,
                epoch,
            });
        }
        if group.has_clean() {
            class.with_clean.insert(number);
        }
        class.groups.push(group);
        Some(())
    }

    /// An empty block, lent until it is [used](Self::set_used) or [given back](Self::give_back).
    ///
    /// # Errors
    /// What the store says; then nothing has changed.
    pub(super) fn alloc<S: Store>(&mut self, block_bytes: u32, store: &mut S) -> Result<Place, StoreError> {
        let class = &mut self.classes[class_of(block_bytes)];
        if class.ready.is_empty() {
            class.reserve(block_bytes, store)?;
        }
        let index = class.ready.pop().expect("blocks were reserved");
        Ok(Place { block_bytes, index })
    }

    /// A lent block was not needed after all.
    pub(super) fn give_back(&mut self, place: Place) {
        self.freed_bytes += u64::from(place.block_bytes.min(BLOCK_BYTES_MIN));
        self.droppable.push_back(Freed {
            place,
            bytes: place.block_bytes.min(BLOCK_BYTES_MIN),
            epoch: 0,
        });
    }

    /// Notes that a record points to the block, or none any more, and puts that into the batch.
    pub(super) fn set_used(&mut self, place: Place, used: bool, batch: &mut Batch) {
        let (number, block) = split(place);
        let group = &mut self.classes[class_of(place.block_bytes)].groups[number as usize];
        group.set_used(block, used);
        batch.insert(
            keys::group(place.block_bytes, number),
            Some(group.to_bytes().to_vec()),
        );
    }

    /// Takes back what [`Self::set_used`] noted, since the batch was not committed.
    pub(super) fn undo_used(&mut self, place: Place, used: bool) {
        self.set_used(place, !used, &mut Batch::new());
    }

    /// The record that pointed to the block is gone since `epoch`.
    pub(super) fn free(&mut self, place: Place, bytes: u32, epoch: u64) {
        self.freed_bytes += u64::from(bytes);
        self.freed.push_back(Freed { place, bytes, epoch });
    }

    /// Everything up to `epoch` is durable: puts the blocks that are clean by that into the batch.
    pub(super) fn durable(&mut self, epoch: u64, batch: &mut Batch) {
        while let Some(freed) = self.freed.pop_front_if(|freed| freed.epoch <= epoch) {
            self.droppable.push_back(freed);
        }
        while let Some(freed) = self.discarded.pop_front_if(|freed| freed.epoch <= epoch) {
            let (number, block) = split(freed.place);
            let class = &mut self.classes[class_of(freed.place.block_bytes)];
            let group = &mut class.groups[number as usize];
            group.set_clean(block);
            class.with_clean.insert(number);
            let key = keys::group(freed.place.block_bytes, number);
            batch.insert(key, Some(group.to_bytes().to_vec()));
        }
    }

    /// The next block to be discarded, if another discard may be under way.
    pub(super) fn next_discard(&mut self) -> Option<Freed> {
        if self.discards == DISCARDS_MAX {
            return None;
        }
        let freed = self.droppable.pop_front()?;
        self.discards += 1;
        Some(freed)
    }

    /// A discard has ended, in `epoch`. After a failure the block stays dirty until the server is opened again.
    pub(super) fn discard_ended(&mut self, freed: Freed, epoch: u64, well: bool) {
        self.discards -= 1;
        self.freed_bytes -= u64::from(freed.bytes);
        if well {
            self.discarded.push_back(Freed { epoch, ..freed });
        }
    }

    /// Bytes of the disk that discards will give back.
    pub(super) const fn freed_bytes(&self) -> u64 {
        self.freed_bytes
    }

    /// Whether blocks wait for a sync before they can be discarded.
    pub(super) fn waits_for_sync(&self) -> bool {
        !self.freed.is_empty()
    }

    /// Whether discards are under way or to be done.
    pub(super) fn has_discards(&self) -> bool {
        self.discards > 0 || !self.droppable.is_empty()
    }

    /// Whether a record points to the block.
    pub(super) fn is_used(&self, place: Place) -> bool {
        let (number, block) = split(place);
        let groups = &self.classes[class_of(place.block_bytes)].groups;
        groups
            .get(number as usize)
            .is_some_and(|group| group.is_used(block))
    }

    /// Number of blocks that records point to.
    pub(super) fn used_len(&self) -> usize {
        let groups = self.classes.iter().flat_map(|class| &class.groups);
        groups.map(|group| group.used_len() as usize).sum()
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert!(self.discards <= DISCARDS_MAX, "too many discards");
        let bytes = |freed: &VecDeque<Freed>| freed.iter().map(|freed| u64::from(freed.bytes)).sum::<u64>();
        assert!(
            bytes(&self.freed) + bytes(&self.droppable) <= self.freed_bytes,
            "bytes were freed and not counted"
        );
        let mut seen = BTreeSet::new();
        for freed in self.freed.iter().chain(&self.droppable).chain(&self.discarded) {
            assert!(!self.is_used(freed.place), "{:?} is in use and free", freed.place);
            assert!(seen.insert(freed.place), "{:?} was freed twice", freed.place);
        }
        for class in &self.classes {
            assert!(
                class.groups.iter().all(Group::is_sound),
                "a block is used and clean"
            );
            assert!(class.ready.len() <= RESERVED_BLOCKS, "too many reserved blocks");
        }
    }
}

impl Class {
    /// Makes blocks ready, from the lowest group that has clean ones.
    fn reserve<S: Store>(&mut self, block_bytes: u32, store: &mut S) -> Result<(), StoreError> {
        let new = u32::try_from(self.groups.len()).expect("files are shorter than 2^32 groups");
        let number = self.with_clean.first().copied().unwrap_or(new);
        let mut group = self.groups.get(number as usize).cloned().unwrap_or(Group::EMPTY);
        let first = u64::from(number) * u64::from(GROUP_BLOCKS);
        let mut ready = Vec::with_capacity(RESERVED_BLOCKS);
        group.reserve(RESERVED_BLOCKS, |block| ready.push(first + u64::from(block)));
        ready.reverse();
        let key = keys::group(block_bytes, number);
        store.commit(Batch::from([(key, Some(group.to_bytes().to_vec()))]))?;
        // Data are written to the blocks at once, so the death of the process must not make them count as clean.
        store.flush()?;
        if group.has_clean() {
            self.with_clean.insert(number);
        } else {
            self.with_clean.remove(&number);
        }
        if number == new {
            self.groups.push(group);
        } else {
            self.groups[number as usize] = group;
        }
        self.ready = ready;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn open(store: &MemoryStore) -> Blocks {
        Blocks::open(store, 1).expect("memory")
    }

    #[test]
    fn a_freed_block_comes_back_after_two_syncs_and_a_discard() {
        let mut store = MemoryStore::new();
        let mut blocks = open(&store);
        let mut batch = Batch::new();
        let place = blocks.alloc(4096, &mut store).expect("memory");
        blocks.set_used(place, true, &mut batch);
        blocks.set_used(place, false, &mut batch);
        blocks.free(place, 4096, 2);
        blocks.durable(1, &mut batch);
        assert!(
            blocks.next_discard().is_none() && blocks.waits_for_sync(),
            "not durable yet"
        );
        blocks.durable(2, &mut batch);
        let freed = blocks.next_discard().expect("durably free");
        assert_eq!((freed.place, blocks.freed_bytes()), (place, 4096));
        blocks.discard_ended(freed, 3, true);
        let mut early = Batch::new();
        blocks.durable(2, &mut early);
        assert!(early.is_empty(), "the discard is not durable yet");
        let next = blocks.alloc(4096, &mut store).expect("memory");
        assert!(next != place);
        blocks.durable(3, &mut batch);
        blocks.check();
        store.commit(batch).expect("memory");
        // The rest of the reserved blocks first, then the lowest clean one.
        for _ in 0..RESERVED_BLOCKS - 2 {
            assert!(blocks.alloc(4096, &mut store).expect("memory") != place);
        }
        assert_eq!(blocks.alloc(4096, &mut store), Ok(place));
    }

    #[test]
    fn what_was_reserved_in_a_crash_counts_as_freed() {
        let mut store = MemoryStore::new();
        let mut blocks = open(&store);
        let lent = blocks.alloc(1 << 26, &mut store).expect("memory");
        let reopened = open(&store);
        reopened.check();
        assert_eq!(reopened.freed.len(), RESERVED_BLOCKS);
        assert!(reopened.freed.iter().any(|freed| freed.place == lent));
    }

    #[test]
    fn discards_are_limited() {
        let mut store = MemoryStore::new();
        let mut blocks = open(&store);
        for _ in 0..=DISCARDS_MAX {
            let place = blocks.alloc(4096, &mut store).expect("memory");
            blocks.give_back(place);
        }
        let first = blocks.next_discard().expect("one is to be done");
        for _ in 1..DISCARDS_MAX {
            assert!(blocks.next_discard().is_some());
        }
        assert!(blocks.next_discard().is_none());
        blocks.discard_ended(first, 1, false);
        assert!(blocks.next_discard().is_some());
    }

    #[test]
    fn damaged_groups_are_an_error() {
        let mut store = MemoryStore::new();
        store
            .commit(Batch::from([(
                keys::group(4096, 3),
                Some(Group::EMPTY.to_bytes().to_vec()),
            )]))
            .expect("memory");
        assert!(
            matches!(Blocks::open(&store, 1), Err(StoreError::Corrupt(_))),
            "groups 0 to 2 are missing"
        );
    }

    #[test]
    fn blocks_fit() {
        assert_eq!(block_for(0), 4096);
        assert_eq!(block_for(4096), 4096);
        assert_eq!(block_for(4097), 8192);
        assert_eq!(block_for(CHUNK_BYTES_MAX), CHUNK_BYTES_MAX);
        assert!(!is_block_size(2048) && !is_block_size(CHUNK_BYTES_MAX << 1) && !is_block_size(5000));
    }
}
