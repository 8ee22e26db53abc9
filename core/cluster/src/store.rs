//! The port to an ordered key-value store.
//!
//! A store is one machine's: nobody else writes to it, so a transaction reads what is there and commits a batch; there is
//! nothing it could conflict with. Batches are atomic and keep their order: after a crash the store holds a prefix of the
//! committed batches, which reaches at least to the last [`Store::flush`] if only the process died. They become durable when
//! the host makes them so, at the latest before it delivers an effect that asks for it.
//!
//! Limits: [`KEY_BYTES_MAX`], [`VALUE_BYTES_MAX`]; a transaction holds its writes in memory until it commits.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;
use flyer_types::{Status, StatusCode};

/// Longest key in bytes.
pub const KEY_BYTES_MAX: usize = 1 << 10;

/// Longest value in bytes.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Why a store cannot do what it was asked. The machine that owns the store answers with a status and goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Reading or writing failed; what the system said.
    Io(flyer_types::Text),
    /// There is no room for the batch.
    NoSpace,
    /// The content is not what was written.
    Corrupt(flyer_types::Text),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "the store failed: {why}"),
            Self::NoSpace => f.write_str("the store is full"),
            Self::Corrupt(what) => write!(f, "the store is damaged: {what}"),
        }
    }
}

impl core::error::Error for StoreError {}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::Io(_) => StatusCode::IO_ERROR,
            StoreError::NoSpace => StatusCode::STORAGE_CLIENT_NO_SPACE,
            StoreError::Corrupt(_) => StatusCode::DATA_CORRUPTION,
        };
        Self::with_message(code, alloc::format!("{error}"))
    }
}

/// Writes that take effect together: a value to put, or `None` to delete the key.
pub type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Looks at an entry; false ends the scan.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> bool + 'a;

/// An ordered key-value store.
pub trait Store {
    /// The value of `key`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Shows the entries with `from <= key < to` in ascending order until `visit` returns false.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;

    /// Shows the entries with `from <= key < to` in descending order until `visit` returns false.
    ///
    /// Stores that can walk backwards should say so: this one reads the whole range first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn scan_reverse(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut entries = Vec::new();
        self.scan(from, to, &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            true
        })?;
        for (key, value) in entries.iter().rev() {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    /// Makes all writes of the batch visible, or none of them.
    ///
    /// # Errors
    /// When the batch cannot be stored. Nothing of it is visible then.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// Hands all commits so far to the operating system: the death of the process cannot undo them any more, a power failure can.
    ///
    /// # Errors
    /// When they may not be there.
    fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The first key behind all keys that begin with `prefix`; `None` if there is none (the prefix is all `ff`).
#[must_use]
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Reads of a store with own writes on top, which [`Transaction::commit`] makes real.
#[derive(Debug)]
pub struct Transaction<'a, S> {
    store: &'a mut S,
    writes: Batch,
}

impl<'a, S: Store> Transaction<'a, S> {
    /// A transaction without writes.
    pub fn new(store: &'a mut S) -> Self {
        Self {
            store,
            writes: Batch::new(),
        }
    }

    /// The value of `key` as this transaction sees it.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.store.get(key),
        }
    }

    /// Shows the entries with `from <= key < to` as this transaction sees them, ascending, until `visit` returns false.
    ///
    /// # Errors
    /// See [`Store::scan`].
    pub fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        let mut own = self.writes.range::<[u8], _>(range).peekable();
        let mut going = true;
        self.store.scan(from, to, &mut |key, value| {
            while let Some((own_key, own_value)) = own.next_if(|(own_key, _)| own_key.as_slice() < key) {
                if let Some(own_value) = own_value {
                    going = visit(own_key, own_value);
                    if !going {
                        return false;
                    }
                }
            }
            going = match own.next_if(|(own_key, _)| own_key.as_slice() == key) {
                Some((_, Some(own_value))) => visit(key, own_value),
                Some((_, None)) => true,
                None => visit(key, value),
            };
            going
        })?;
        for (own_key, own_value) in own {
            if let (true, Some(own_value)) = (going, own_value) {
                going = visit(own_key, own_value);
            }
        }
        Ok(())
    }

    /// Puts a value.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        debug_assert!(
            key.len() <= KEY_BYTES_MAX,
            "keys are made by the servers and are short"
        );
        debug_assert!(
            value.len() <= VALUE_BYTES_MAX,
            "values are made by the servers and are bounded"
        );
        self.writes.insert(key, Some(value));
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: Vec<u8>) {
        self.writes.insert(key, None);
    }

    /// Whether there is anything to commit.
    #[must_use]
    pub fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Makes the writes real, all or none.
    ///
    /// # Errors
    /// See [`Store::commit`].
    pub fn commit(self) -> Result<(), StoreError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.store.commit(self.writes)
    }
}

/// A store in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryStore {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in self.entries.range::<[u8], _>(range) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn scan_reverse(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let range = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in self.entries.range::<[u8], _>(range).rev() {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        for (key, value) in batch {
            match value {
                Some(value) => self.entries.insert(key, value),
                None => self.entries.remove(&key),
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(store: &MemoryStore) -> Vec<(Vec<u8>, Vec<u8>)> {
        store.entries.clone().into_iter().collect()
    }

    proptest! {
        /// A transaction shows what a store would show to which its writes were committed.
        #[test]
        fn own_writes_lie_on_top(
            base in prop::collection::btree_map(prop::collection::vec(0u8..4, 0..3), Just(alloc::vec![1u8]), 0..12),
            writes in prop::collection::vec((prop::collection::vec(0u8..4, 0..3), prop::option::of(Just(alloc::vec![2u8]))), 0..12),
            from in prop::collection::vec(0u8..4, 0..3),
            to in prop::collection::vec(0u8..4, 0..3),
            wanted in 0usize..8,
        ) {
            let mut store = MemoryStore { entries: base };
            let mut committed = store.clone();
            committed.commit(writes.iter().cloned().collect()).expect("memory");
            let mut t = Transaction::new(&mut store);
            for (key, value) in writes {
                match value {
                    Some(value) => t.put(key, value),
                    None => t.delete(key),
                }
            }
            let mut seen = Vec::new();
            t.scan(&from, &to, &mut |key, value| {
                seen.push((key.to_vec(), value.to_vec()));
                seen.len() < wanted
            }).expect("memory");
            let mut expected = Vec::new();
            committed.scan(&from, &to, &mut |key, value| {
                expected.push((key.to_vec(), value.to_vec()));
                expected.len() < wanted
            }).expect("memory");
            prop_assert_eq!(seen, expected);
            for (key, value) in all(&committed) {
                prop_assert_eq!(t.get(&key).expect("memory"), Some(value));
            }
            t.commit().expect("memory");
            prop_assert_eq!(store, committed);
        }
    }

    /// A store that does not say how to walk backwards.
    struct Forward(MemoryStore);

    impl Store for Forward {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(key)
        }

        fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
            self.0.scan(from, to, visit)
        }

        fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
            self.0.commit(batch)
        }
    }

    #[test]
    fn backwards_is_forwards_reversed_and_ends_when_asked_to() {
        let entries = (0u8..9).map(|n| (alloc::vec![n], Some(alloc::vec![n]))).collect();
        let mut store = MemoryStore::new();
        store.commit(entries).expect("memory");
        let forward = Forward(store.clone());
        for wanted in [1, 3, 100] {
            for store in [&store as &dyn Store, &forward] {
                let mut seen = Vec::new();
                let visit: &mut Visit<'_> = &mut |key, _| {
                    seen.push(key[0]);
                    seen.len() < wanted
                };
                store.scan_reverse(&[2], &[7], visit).expect("memory");
                let expected: Vec<u8> = (2..7).rev().take(wanted).collect();
                assert_eq!(seen, expected);
            }
        }
        let none: &mut Visit<'_> = &mut |_, _| panic!("an empty range shows nothing");
        store.scan_reverse(&[7], &[2], none).expect("memory");
    }

    #[test]
    fn the_end_of_a_prefix_is_behind_all_its_keys() {
        assert_eq!(prefix_end(b"INOD").as_deref(), Some(&b"INOE"[..]));
        assert_eq!(prefix_end(&[1, 0xff, 0xff]).as_deref(), Some(&[2][..]));
        assert_eq!(prefix_end(&[0xff]), None);
    }
}
