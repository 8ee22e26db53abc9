//! Which bytes are being read or written now.
//!
//! Owner: the pool. Each access enters the range it touches and leaves when it is over. Ranges of the same block may be
//! written at the same time if they do not overlap: several disks fill one lease. Reads share.
//!
//! The table is split by slot into shards with a lock each. A shard holds the accesses under way only, a handful, so it
//! is searched from end to end. The locks also order accesses to the same bytes by different threads.
//!
//! Limits: [`BORROWS_MAX`] accesses under way per shard.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most accesses under way in one shard, far above the number of threads: a search stays short.
pub(crate) const BORROWS_MAX: usize = 256;

const SHARDS: u32 = 64;

/// An access under way to bytes `start .. end` of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Borrow {
    pub(crate) slot: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) is_write: bool,
}

/// The accesses of a part of the slots. On a line of its own in the processor's cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard(Mutex<Vec<Borrow>>);

/// All accesses under way.
#[derive(Debug)]
pub(crate) struct Borrows {
    shards: Box<[Shard]>,
}

/// A shard, locked.
pub(crate) struct Locked<'a>(MutexGuard<'a, Vec<Borrow>>);

impl Borrows {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
        }
    }

    /// Locks the shard of a slot.
    pub(crate) fn lock(&self, slot: u32) -> Locked<'_> {
        let shard = usize::try_from(slot % SHARDS).expect("addresses have at least 32 bits");
        Locked(
            self.shards[shard]
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Locked<'_> {
    /// Enters an access. Refused if it overlaps one under way and either of them writes, or at the limit.
    #[must_use]
    pub(crate) fn enter(&mut self, new: Borrow) -> bool {
        let collides = |old: &Borrow| {
            old.slot == new.slot
                && old.start < new.end
                && new.start < old.end
                && (old.is_write || new.is_write)
        };
        if self.0.len() >= BORROWS_MAX || self.0.iter().any(collides) {
            return false;
        }
        self.0.push(new);
        true
    }

    /// Removes an access that is over.
    pub(crate) fn leave(&mut self, over: Borrow) {
        let at = self.0.iter().rposition(|borrow| *borrow == over);
        self.0
            .swap_remove(at.expect("an access leaves once, and it entered"));
    }

    /// Whether an access to this slot is under way.
    pub(crate) fn is_borrowed(&self, slot: u32) -> bool {
        self.0.iter().any(|borrow| borrow.slot == slot)
    }
}
