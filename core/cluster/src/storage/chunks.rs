//! Chunks at hand: their records, and who works on them.
//!
//! Owner: [`StorageServer`](super::StorageServer). Readers share a chunk, an update has it alone; who comes later waits for who came
//! earlier. So a read never mixes two versions, and versions of a chunk follow each other.
//!
//! ```text
//!   free ── read ──► shared(n) ── last reader leaves ──► free
//!     └─ update ──► exclusive ── update answered ──────► free       whoever waits is let in then, in order
//! ```
//!
//! Records of chunks that nobody works on stay until another one needs the place: those not asked for since the hand last
//! came by go first.
//!
//! Limits: [`CHUNKS_CACHED_MAX`], [`WAITERS_PER_CHUNK_MAX`].

use super::keys::ChunkKey;
use super::options::limits::{CHUNKS_CACHED_MAX, WAITERS_PER_CHUNK_MAX};
use super::record::Record;
use crate::store::{Store, StoreError};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Row of a chunk that someone works on or waits for.
pub(super) type Row = u32;

/// A chunk at hand. `W` waits for it.
#[derive(Debug)]
struct Entry<W> {
    key: ChunkKey,
    record: Option<Record>,
    readers: u32,
    is_exclusive: bool,
    waiters: VecDeque<W>,
    /// Asked for since the hand last came by.
    is_hot: bool,
}

impl<W> Entry<W> {
    fn is_pinned(&self) -> bool {
        self.is_exclusive || self.readers > 0 || !self.waiters.is_empty()
    }
}

/// Who waits, and for what.
pub(super) trait Waiter {
    /// Whether it can share the chunk.
    fn is_reader(&self) -> bool;
}

/// Whether the chunk can be worked on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered<W> {
    /// Yes, now.
    Now(W),
    /// Not yet; it will be let in.
    Waits,
    /// Too many wait.
    Full(W),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Chunks<W> {
    rows: BTreeMap<ChunkKey, Row>,
    entries: Vec<Entry<W>>,
    hand: usize,
    limit: usize,
}

impl<W: Waiter> Chunks<W> {
    /// No chunks at hand.
    pub(super) const fn new() -> Self {
        Self::with_limit(CHUNKS_CACHED_MAX)
    }

    const fn with_limit(limit: usize) -> Self {
        Self {
            rows: BTreeMap::new(),
            entries: Vec::new(),
            hand: 0,
            limit,
        }
    }

    /// The row of a chunk, whose record is read if it is not at hand. Rows keep their meaning while someone works on the chunk.
    ///
    /// # Errors
    /// What the store says; that the record is damaged.
    pub(super) fn find<S: Store>(&mut self, key: ChunkKey, store: &S) -> Result<Row, StoreError> {
        if let Some(row) = self.rows.get(&key) {
            self.entries[*row as usize].is_hot = true;
            return Ok(*row);
        }
        let record = match store.get(&key.to_bytes())? {
            None => None,
            Some(bytes) => Some(
                Record::of(&bytes)
                    .ok_or_else(|| StoreError::Corrupt("the record of a chunk cannot be read".into()))?,
            ),
        };
        let entry = Entry {
            key: key.clone(),
            record,
            readers: 0,
            is_exclusive: false,
            waiters: VecDeque::new(),
            is_hot: true,
        };
        let row = self.place(entry);
        self.rows.insert(key, row);
        Ok(row)
    }

    /// Puts an entry into a new row or in place of one that nobody works on.
    fn place(&mut self, entry: Entry<W>) -> Row {
        if self.entries.len() < self.limit {
            self.entries.push(entry);
            return Row::try_from(self.entries.len() - 1).expect("the limit is small");
        }
        // Twice around: the first time takes the heat off everything.
        for _ in 0..2 * self.entries.len() {
            let at = self.hand;
            self.hand = (at + 1) % self.entries.len();
            let old = &mut self.entries[at];
            if old.is_pinned() || core::mem::take(&mut old.is_hot) {
                continue;
            }
            self.rows.remove(&old.key);
            *old = entry;
            return Row::try_from(at).expect("the limit is small");
        }
        unreachable!("fewer chunks can be worked on than are cached");
    }

    /// Asks to work on a chunk.
    pub(super) fn enter(&mut self, row: Row, who: W) -> Entered<W> {
        let entry = &mut self.entries[row as usize];
        if entry.waiters.is_empty() && entry.admit(&who) {
            return Entered::Now(who);
        }
        if entry.waiters.len() >= WAITERS_PER_CHUNK_MAX {
            return Entered::Full(who);
        }
        entry.waiters.push_back(who);
        Entered::Waits
    }

    /// A reader has finished; lets in who can be.
    pub(super) fn leave_shared(&mut self, row: Row, let_in: impl FnMut(W)) {
        let entry = &mut self.entries[row as usize];
        assert!(entry.readers > 0, "a reader leaves that never entered");
        entry.readers -= 1;
        entry.let_in(let_in);
    }

    /// An update has finished; lets in who can be.
    pub(super) fn leave_exclusive(&mut self, row: Row, let_in: impl FnMut(W)) {
        let entry = &mut self.entries[row as usize];
        assert!(entry.is_exclusive, "an update leaves that never entered");
        entry.is_exclusive = false;
        entry.let_in(let_in);
    }

    /// The record of a chunk that is worked on.
    pub(super) fn record(&self, row: Row) -> Option<&Record> {
        self.entries[row as usize].record.as_ref()
    }

    /// The chunk of a row.
    pub(super) fn key(&self, row: Row) -> &ChunkKey {
        &self.entries[row as usize].key
    }

    /// The record was committed.
    pub(super) fn set_record(&mut self, row: Row, record: Option<Record>) {
        let entry = &mut self.entries[row as usize];
        assert!(
            entry.is_exclusive,
            "records change while an update has the chunk alone"
        );
        entry.record = record;
    }

    /// The chunks at hand with their records.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ChunkKey, Option<&Record>)> {
        self.entries
            .iter()
            .map(|entry| (&entry.key, entry.record.as_ref()))
    }

    /// Number of chunks that someone works on or waits for.
    pub(super) fn busy_len(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_pinned()).count()
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert!(self.entries.len() <= self.limit, "too many chunks at hand");
        assert!(self.rows.len() == self.entries.len(), "a chunk is at hand twice");
        for (key, row) in &self.rows {
            let entry = &self.entries[*row as usize];
            assert!(entry.key == *key, "row {row} is misfiled");
            assert!(
                !(entry.is_exclusive && entry.readers > 0),
                "a chunk is read while it is updated"
            );
            assert!(
                entry.waiters.len() <= WAITERS_PER_CHUNK_MAX,
                "too many wait for a chunk"
            );
            let free = !entry.is_exclusive && entry.readers == 0;
            assert!(
                !free || entry.waiters.is_empty(),
                "someone waits for a chunk that is free"
            );
        }
    }
}

impl<W: Waiter> Entry<W> {
    fn admit(&mut self, who: &W) -> bool {
        if self.is_exclusive || (self.readers > 0 && !who.is_reader()) {
            return false;
        }
        if who.is_reader() {
            self.readers += 1;
        } else {
            self.is_exclusive = true;
        }
        true
    }

    fn let_in(&mut self, mut let_in: impl FnMut(W)) {
        while let Some(who) = self.waiters.pop_front() {
            if !self.admit(&who) {
                self.waiters.push_front(who);
                break;
            }
            let_in(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use flyer_types::ids::TargetId;
    use flyer_wire::msg::storage::chunk_id::ChunkId;

    /// `R` reads, `U` updates; with a number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Who {
        R(usize),
        U(usize),
    }

    impl Waiter for Who {
        fn is_reader(&self) -> bool {
            matches!(self, Self::R(_))
        }
    }

    fn key(n: u8) -> ChunkKey {
        ChunkKey {
            target: TargetId(1),
            chunk: ChunkId::new(&[n]),
        }
    }

    #[test]
    fn who_comes_first_is_served_first() {
        use Who::{R, U};
        let mut chunks = Chunks::new();
        let row = chunks.find(key(1), &MemoryStore::new()).expect("memory");
        assert_eq!(chunks.enter(row, R(1)), Entered::Now(R(1)));
        assert_eq!(chunks.enter(row, R(2)), Entered::Now(R(2)));
        assert_eq!(chunks.enter(row, U(3)), Entered::Waits);
        assert_eq!(chunks.enter(row, R(4)), Entered::Waits, "behind the update");
        assert_eq!(chunks.enter(row, R(5)), Entered::Waits);
        assert_eq!(chunks.enter(row, U(6)), Entered::Waits);
        let mut seen = Vec::new();
        chunks.leave_shared(row, |who| seen.push(who));
        assert_eq!(seen, []);
        chunks.leave_shared(row, |who| seen.push(who));
        assert_eq!(seen, [U(3)]);
        chunks.check();
        chunks.leave_exclusive(row, |who| seen.push(who));
        assert_eq!(seen, [U(3), R(4), R(5)]);
        assert_eq!(chunks.busy_len(), 1);
    }

    #[test]
    fn waiters_are_limited() {
        let mut chunks = Chunks::new();
        let row = chunks.find(key(1), &MemoryStore::new()).expect("memory");
        assert_eq!(chunks.enter(row, Who::U(0)), Entered::Now(Who::U(0)));
        for n in 0..WAITERS_PER_CHUNK_MAX {
            assert_eq!(chunks.enter(row, Who::R(n)), Entered::Waits);
        }
        assert_eq!(chunks.enter(row, Who::R(9)), Entered::Full(Who::R(9)));
        chunks.check();
    }

    #[test]
    fn chunks_that_nobody_asked_for_leave_first() {
        let store = MemoryStore::new();
        let mut chunks = Chunks::with_limit(3);
        let busy = chunks.find(key(0), &store).expect("memory");
        assert_eq!(chunks.enter(busy, Who::U(0)), Entered::Now(Who::U(0)));
        for n in 1..=3 {
            chunks.find(key(n), &store).expect("memory");
        }
        // The hand has taken the heat off all others and put 3 in the place of 1.
        assert!(chunks.rows.contains_key(&key(0)) && !chunks.rows.contains_key(&key(1)));
        chunks.find(key(2), &store).expect("memory");
        chunks.find(key(4), &store).expect("memory");
        chunks.check();
        assert_eq!(chunks.rows.len(), 3);
        assert!(chunks.rows.contains_key(&key(0)), "someone works on it");
    }

    #[test]
    fn damaged_records_are_an_error() {
        let mut store = MemoryStore::new();
        store
            .commit([(key(1).to_bytes(), Some(alloc::vec![1, 2, 3]))].into())
            .expect("memory");
        let mut chunks: Chunks<Who> = Chunks::new();
        assert!(matches!(chunks.find(key(1), &store), Err(StoreError::Corrupt(_))));
    }
}
