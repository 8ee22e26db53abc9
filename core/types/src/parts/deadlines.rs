//! What is due: a set of keys, each with a time.
//!
//! Owner: a machine with many timers of its own, which reports [`Deadlines::next`] from its `poll_timeout`. Limit: an
//! argument; at the limit new keys are refused, known ones can still be moved.
//!
//! ```text
//!           set(key, time)               pop_due(now), time <= now
//!  absent ─────────────────► waiting ─────────────────────────────► absent
//!             set again: moved │ remove
//!                              └──────────────────────────────────► absent
//! ```
//!
//! Everything takes O(log n). Keys with equal times come out in the order of the keys, so that a run can be repeated.

use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

/// A new key was refused: the set is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlinesFull {
    /// Most keys.
    pub limit: usize,
}

impl fmt::Display for DeadlinesFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there are {} deadlines already", self.limit)
    }
}

impl core::error::Error for DeadlinesFull {}

/// Keys with a time each.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    times: BTreeMap<K, Time>,
    /// The same, by time.
    order: BTreeSet<(Time, K)>,
    limit: usize,
}

impl<K: Ord + Copy> Deadlines<K> {
    /// No deadlines yet, and never more than `limit`.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            times: BTreeMap::new(),
            order: BTreeSet::new(),
            limit,
        }
    }

    /// Gives the key this time, and returns the one it had before.
    ///
    /// # Errors
    /// If the key is new and the set is full; nothing changes then.
    pub fn set(&mut self, key: K, at: Time) -> Result<Option<Time>, DeadlinesFull> {
        let before = self.times.get(&key).copied();
        match before {
            Some(before) => {
                let removed = self.order.remove(&(before, key));
                debug_assert!(removed, "a key with a time has no place in the order");
            }
            None if self.times.len() >= self.limit => return Err(DeadlinesFull { limit: self.limit }),
            None => {}
        }
        self.times.insert(key, at);
        self.order.insert((at, key));
        debug_assert!(self.times.len() == self.order.len());
        Ok(before)
    }

    /// Forgets the key, and returns the time it had.
    pub fn remove(&mut self, key: K) -> Option<Time> {
        let at = self.times.remove(&key)?;
        let removed = self.order.remove(&(at, key));
        debug_assert!(removed, "a key with a time has no place in the order");
        Some(at)
    }

    /// The time of the key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<Time> {
        self.times.get(&key).copied()
    }

    /// The key that is due first, and when.
    #[must_use]
    pub fn next(&self) -> Option<(Time, K)> {
        self.order.first().copied()
    }

    /// Removes and returns the key that is due first, if it is due at `now`.
    pub fn pop_due(&mut self, now: Time) -> Option<(Time, K)> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        let removed = self.remove(key);
        debug_assert!(removed == Some(at), "the order knows another time than the key");
        Some((at, key))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Most keys.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Asserts the invariants: both views hold the same keys and times, within the limit.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check(&self) {
        assert!(self.times.len() <= self.limit, "more deadlines than the limit");
        assert!(
            self.times.len() == self.order.len(),
            "{} keys, {} places in the order",
            self.times.len(),
            self.order.len()
        );
        for (key, at) in &self.times {
            assert!(
                self.order.contains(&(*at, *key)),
                "a key is not in the order at its time"
            );
        }
    }
}
