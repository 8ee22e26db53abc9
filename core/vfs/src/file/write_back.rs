//! The write buffer of an inode: what was accepted and is not at the storage yet. It never loses bytes silently.
//!
//! Owner: the live part of an inode. [`super::flush`] carries its batches.
//!
//! ```text
//!           accepted                 flush                      written
//!   write ──────────► pending ───────────────► batch ─────────────────────────► freed
//!                        ▲                      │ ▲ │ refused for good, and
//!                        └── writes meanwhile   └─┘ │ every writer was told
//!                                        tried again └────────────────────────► dropped
//!
//!   state:  Idle ──start──► Running ──written──► Idle (or the next batch)
//!                            ▲   │ failed, tries left      failed, none left
//!                   deadline │   ▼                              │
//!                           Backoff                 Running ────┴──► Failed ──next flush──► Running
//! ```
//!
//! A batch keeps its bytes until the storage has them, however often that fails. When its tries are used up, the error goes to all
//! who wait and once to every handle that wrote; the batch is tried again at the next occasion. Only if the failure is permanent
//! (no space, for example) it is dropped, and only after every handle that has to hear of it has.
//!
//! Limits: bytes, by the configuration; ranges, see [`super::extents`]; [`WAITING_MAX`] who wait for a flush.

use super::extents::Extents;
use alloc::vec::Vec;
use flyer_types::Errno;
use flyer_types::ids::OpId;

/// Operations that wait for the flush of one inode; one more goes on as if the flush had failed.
pub(crate) const WAITING_MAX: usize = 4096;

/// What a flush does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlushState {
    /// Nothing.
    Idle,
    /// An operation carries the batch.
    Running,
    /// The batch has failed and is tried again soon.
    Backoff,
    /// The batch has failed and waits for an occasion.
    Failed,
}

/// How long someone waits for a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// For one try.
    Once,
    /// Until it is written or the tries are used up.
    Lasting,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiter {
    pub(crate) op: OpId,
    /// The number of the last batch that it waits for.
    pub(crate) until: u64,
    pub(crate) patience: Patience,
}

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) extents: Extents,
    /// Tries that have failed since the last give-up.
    pub(crate) tries: u32,
    /// The last failure will not pass.
    pub(crate) is_refused: bool,
    /// Writers owe hearing of it or have heard.
    pub(crate) is_told: bool,
}

#[derive(Debug)]
pub(crate) struct WriteBack {
    pub(crate) pending: Extents,
    /// The number that the pending bytes get when they become a batch.
    pub(crate) number: u64,
    pub(crate) batch: Option<Batch>,
    pub(crate) state: FlushState,
    pub(crate) waiters: Vec<Waiter>,
    /// Place of the pending bytes in the order of age.
    pub(crate) stamp: Option<u64>,
    /// Error of the last failure.
    pub(crate) error: Option<Errno>,
}

impl WriteBack {
    pub(crate) fn new() -> Self {
        Self {
            pending: Extents::default(),
            number: 1,
            batch: None,
            state: FlushState::Idle,
            waiters: Vec::new(),
            stamp: None,
            error: None,
        }
    }

    /// Whether no byte waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.batch.is_none()
    }

    /// Whether nothing goes on.
    pub(crate) fn is_idle(&self) -> bool {
        self.state == FlushState::Idle && self.waiters.is_empty()
    }

    /// Whether a byte of `offset .. end` is not at the storage yet.
    pub(crate) fn overlaps(&self, offset: u64, end: u64) -> bool {
        let flying = (self.batch.as_ref()).is_some_and(|batch| batch.extents.overlaps(offset, end));
        flying || self.pending.overlaps(offset, end)
    }

    /// The number of the last batch with the bytes accepted so far; `None` if all are written.
    pub(crate) fn newest(&self) -> Option<u64> {
        if !self.pending.is_empty() {
            return Some(self.number);
        }
        self.batch.is_some().then_some(self.number - 1)
    }

    /// Makes the pending bytes the batch.
    pub(crate) fn take_batch(&mut self) {
        assert!(self.batch.is_none(), "a batch would be lost");
        assert!(!self.pending.is_empty(), "an empty batch");
        self.batch = Some(Batch {
            extents: core::mem::take(&mut self.pending),
            tries: 0,
            is_refused: false,
            is_told: false,
        });
        self.number += 1;
    }

    /// Takes those who wait for nothing more than the batches that are written.
    pub(crate) fn take_satisfied(&mut self) -> Vec<OpId> {
        let written = match (self.newest(), &self.batch) {
            (None, _) => u64::MAX,
            // The batch under way has the number before that of the pending bytes.
            (Some(_), Some(_)) => self.number - 2,
            (Some(_), None) => self.number - 1,
        };
        self.take_waiters(|waiter| waiter.until <= written)
    }

    /// Takes those of whom `which` is true.
    pub(crate) fn take_waiters(&mut self, mut which: impl FnMut(&Waiter) -> bool) -> Vec<OpId> {
        let mut taken = Vec::new();
        self.waiters.retain(|waiter| {
            let take = which(waiter);
            if take {
                taken.push(waiter.op);
            }
            !take
        });
        taken
    }

    pub(crate) fn check(&self) {
        self.pending.check();
        assert!(self.waiters.len() <= WAITING_MAX, "too many wait for a flush");
        assert!(
            self.stamp.is_some() != self.pending.is_empty(),
            "pending bytes and their age go together"
        );
        match self.state {
            FlushState::Idle => {
                assert!(self.batch.is_none(), "nobody carries the batch");
                assert!(self.waiters.is_empty(), "somebody waits for nothing");
            }
            FlushState::Running => {}
            FlushState::Backoff => assert!(self.batch.is_some(), "nothing to try again"),
            FlushState::Failed => {
                assert!(self.batch.is_some(), "nothing has failed");
                assert!(self.waiters.is_empty(), "somebody waits for nothing");
            }
        }
        if let Some(batch) = &self.batch {
            batch.extents.check();
            assert!(!batch.extents.is_empty(), "an empty batch");
        }
    }
}
