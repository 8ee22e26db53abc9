//! Rows named by inodes, packed: their memory follows their number, upwards and downwards.
//!
//! Owner: the table of inodes of a shard. A tree of such rows is half empty, because inodes are learned in the order of their ids, and
//! what is freed of it lies scattered among what others hold, so that the system does not get it back. Dense rows and their index
//! are given back.
//!
//! The order of the rows depends on nothing but what was done to the table. Ids are the servers', and the hash is always the same: one
//! that chooses ids so that they collide makes this slow, as it could with its answers.

use flyer_types::ids::InodeId;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

/// Fewest rows that room is kept for.
const ROOM_MIN: usize = 64;

#[derive(Debug)]
pub(super) struct Table<T> {
    rows: IndexMap<InodeId, T, FxBuildHasher>,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Self {
            rows: IndexMap::with_hasher(FxBuildHasher),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, id: InodeId) -> Option<&T> {
        self.rows.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: InodeId) -> Option<&mut T> {
        self.rows.get_mut(&id)
    }

    /// Adds a row for an inode that has none.
    pub(super) fn insert(&mut self, id: InodeId, value: T) {
        let before = self.rows.insert(id, value);
        assert!(before.is_none(), "{id:?} has a row already");
    }

    pub(super) fn remove(&mut self, id: InodeId) -> Option<T> {
        let value = self.rows.swap_remove(&id)?;
        self.give_back();
        Some(value)
    }

    /// All rows, in an order that says nothing.
    pub(super) fn iter(&self) -> impl Iterator<Item = (InodeId, &T)> {
        self.rows.iter().map(|(id, value)| (*id, value))
    }

    /// Returns memory that is mostly empty. So much stays that as many changes as there are rows come before memory is moved again.
    fn give_back(&mut self) {
        let rows = self.rows.len();
        if self.rows.capacity() > ROOM_MIN && rows * 4 <= self.rows.capacity() {
            self.rows.shrink_to((rows * 2).max(ROOM_MIN / 2));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// It behaves like a map, through growth, shrinking and collisions.
        #[test]
        fn a_table_is_a_map(
            steps in prop::collection::vec((0u64..300, 0u8..3, any::<u16>()), 0..1500),
            stride in prop_oneof![Just(1u64), Just(4096), Just(1 << 32), Just(1 << 55)],
        ) {
            let mut table = Table::new();
            let mut map = BTreeMap::new();
            for (id, what, value) in steps {
                let id = InodeId(id.wrapping_mul(stride));
                match what {
                    0 if !map.contains_key(&id) => {
                        table.insert(id, value);
                        map.insert(id, value);
                    }
                    0 | 1 => prop_assert_eq!(table.remove(id), map.remove(&id)),
                    _ => {
                        if let Some(row) = table.get_mut(id) {
                            *row = value;
                        }
                        map.entry(id).and_modify(|row| *row = value);
                    }
                }
                prop_assert_eq!(table.get(id), map.get(&id));
                prop_assert_eq!(table.len(), map.len());
            }
            let mut rows: Vec<_> = table.iter().map(|(id, value)| (id, *value)).collect();
            rows.sort_unstable();
            prop_assert_eq!(rows, map.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn memory_follows_the_number_of_rows() {
        let mut table = Table::new();
        for round in 0..2u64 {
            for id in 0..100_000 {
                table.insert(InodeId(round << 56 | id), [0u8; 16]);
            }
            assert!(table.rows.capacity() <= 1 << 18);
            for id in (0..100_000).rev().step_by(2).chain((0..100_000).step_by(2)) {
                assert!(table.remove(InodeId(round << 56 | id)).is_some());
                assert!(table.rows.capacity() <= ROOM_MIN.max(8 * table.len()));
            }
        }
    }
}
