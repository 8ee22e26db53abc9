//! Values that were read or written lately, and keys that were found to be absent.
//!
//! Owner: one store. Two generations: what is used is in the young one, or moves there; when the young one has its share of
//! the memory, the old one is dropped and the young one grows old. That keeps what was used lately, roughly, without a list.
//!
//! ```text
//! absent ──put──► young ──young is full──► old ──young is full again──► absent
//!                   ▲────────── get ────────┘
//! ```
//!
//! Limits: the bytes given to [`Cache::new`], entries counted with [`ENTRY_BYTES`]; larger values than [`VALUE_BYTES_MAX`]
//! are not kept.

use std::collections::HashMap;

/// What an entry costs beside the bytes of key and value: two vectors, their slot, and the allocator's share.
const ENTRY_BYTES: usize = 112;

/// Longest value that is kept.
const VALUE_BYTES_MAX: usize = 16 << 10;

type Entries = HashMap<Box<[u8]>, Option<Box<[u8]>>>;

#[derive(Debug)]
pub(super) struct Cache {
    young: Entries,
    old: Entries,
    young_bytes: usize,
    young_bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            young: Entries::new(),
            old: Entries::new(),
            young_bytes: 0,
            young_bytes_max: bytes_max / 2,
        }
    }

    /// What is known about a key: its value, or that it has none.
    pub(super) fn get(&mut self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        if let Some(value) = self.young.get(key) {
            return Some(value.as_deref().map(<[u8]>::to_vec));
        }
        let (key, value) = self.old.remove_entry(key)?;
        let copy = value.as_deref().map(<[u8]>::to_vec);
        self.insert(key, value);
        Some(copy)
    }

    /// What is true about a key from now on.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.old.remove(key);
        if value.is_some_and(|value| value.len() > VALUE_BYTES_MAX) {
            if let Some((key, before)) = self.young.remove_entry(key) {
                self.young_bytes -= cost(&key, before.as_deref());
            }
            return;
        }
        self.insert(key.into(), value.map(Into::into));
    }

    fn insert(&mut self, key: Box<[u8]>, value: Option<Box<[u8]>>) {
        let key_bytes = key.len();
        self.young_bytes += cost(&key, value.as_deref());
        if let Some(before) = self.young.insert(key, value) {
            self.young_bytes -= key_bytes + before.as_deref().map_or(0, <[u8]>::len) + ENTRY_BYTES;
        }
        if self.young_bytes > self.young_bytes_max {
            self.old = core::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn cost(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len) + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Cache {
        fn check(&self) {
            // Sums and counts do not depend on the order.
            #[allow(clippy::iter_over_hash_type, clippy::disallowed_methods, reason = "a sum")]
            let bytes: usize = self
                .young
                .iter()
                .map(|(key, value)| cost(key, value.as_deref()))
                .sum();
            assert_eq!(bytes, self.young_bytes);
            assert!(self.young_bytes <= self.young_bytes_max);
        }
    }

    proptest! {
        /// A cache may forget, but what it says was put last.
        #[test]
        fn what_it_knows_is_true(
            bytes_max in 0usize..2000,
            steps in prop::collection::vec((0u8..12, prop::option::of(0usize..200), any::<bool>()), 0..200),
        ) {
            let mut cache = Cache::new(bytes_max);
            let mut truth: [Option<Option<Vec<u8>>>; 12] = Default::default();
            for (at, (key, len, writes)) in steps.into_iter().enumerate() {
                let fill = u8::try_from(at).expect("at most 200 steps");
                if writes {
                    let value = len.map(|len| vec![fill; if len == 199 { VALUE_BYTES_MAX + 1 } else { len }]);
                    cache.put(&[key], value.as_deref());
                    truth[usize::from(key)] = Some(value);
                } else if let Some(known) = cache.get(&[key]) {
                    prop_assert_eq!(Some(known), truth[usize::from(key)].clone());
                }
                cache.check();
            }
        }
    }

    #[test]
    fn what_is_used_stays_and_the_limit_holds() {
        let mut cache = Cache::new(100 * (ENTRY_BYTES + 4 + 8));
        cache.put(b"used", Some(&[1; 8]));
        for key in 0..10_000u32 {
            cache.put(&key.to_be_bytes(), Some(&[2; 8]));
            assert_eq!(cache.get(b"used"), Some(Some(vec![1; 8])));
            assert!(cache.young.len() + cache.old.len() <= 100);
        }
        assert_eq!(cache.get(&0u32.to_be_bytes()), None);
        assert_eq!(cache.get(&9_999u32.to_be_bytes()), Some(Some(vec![2; 8])));
    }
}
