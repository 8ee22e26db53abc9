//! Which of the things that were committed are durable, and which checksums a crash has made doubtful.
//!
//! Owner: [`StorageServer`](super::StorageServer). Everything is written and committed in an *epoch*; a sync that begins ends the
//! epoch. First the data of all epochs up to that one become durable, which is committed at once; then the store does.
//!
//! ```text
//!   epochs   1 ── 2 ── 3 ── 4 ── 5 ── 6 ──►
//!                 ▲    ▲         ▲    └ current: what is done now
//!                 │    │         └ sync begun
//!                 │    └ settled: data durable; this is what the store is told
//!                 └ durable: sync ended
//! ```
//!
//! Data are written in place and become durable in any order before their record does, or after it. Three rules keep a checksum
//! that the store shows after a crash from accusing data that were only half written then:
//!
//! 1. *Doubt.* A record of an epoch that was not settled when the server was opened again is never accused: its data may be lost.
//!    The epochs between the stored settled one and the last one are remembered as doubtful for ever.
//! 2. *Drop first.* Before bytes below a checksum are overwritten, a record without it is committed. If the checksum's epoch is not
//!    settled yet, every store that shows it either is not told of that (rule 1 holds) or shows the drop, too, because the store
//!    keeps the order of commits.
//! 3. *Copy first.* If it is settled, the bytes are copied to another block and overwritten there. The same goes for bytes that a
//!    durable record without the newest truncation still vouches for: that is the record's [`Seal`](super::record::Seal).
//!
//! ```text
//!                      overwrite, epoch not settled: drop
//!            ┌──────────────────────────────────────────────────┐
//!            │                                                  ▼
//!   with checksum ── overwrite, settled: copy to a new block ─► without ◄─┐ overwrite in place
//!        ▲   └─ truncation, settled: drop ─► without, sealed ──► │  └─────┘
//!        │                                   (until durable)     │
//!        └──────────── full write, to a new block ───────────────┘
//! ```
//!
//! Limits: [`SYNCS_OPEN_MAX`], [`CRASHES_REMEMBERED_MAX`].

use super::options::limits::{CRASHES_REMEMBERED_MAX, SYNCS_OPEN_MAX};
use super::record::{Record, Seal};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// First byte of the stored form; another one is another format.
const FORMAT: u8 = 1;

/// Epochs that a crash has made doubtful: `after < epoch <= last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Doubt {
    after: u64,
    last: u64,
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Epochs {
    current: u64,
    /// Whether anything was done in the current epoch.
    is_used: bool,
    settled: u64,
    durable: u64,
    doubts: Vec<Doubt>,
    /// The last epoch that each open sync makes durable, oldest first.
    open: VecDeque<u64>,
    /// How many of them have made the data durable.
    open_settled: usize,
    /// The highest epoch that the store knows to be in use.
    stored_current: u64,
    is_stored: bool,
}

impl Epochs {
    /// The epochs of an empty store.
    pub(super) fn new() -> Self {
        Self {
            current: 1,
            is_used: false,
            settled: 0,
            durable: 0,
            doubts: Vec::new(),
            open: VecDeque::new(),
            open_settled: 0,
            stored_current: 0,
            is_stored: false,
        }
    }

    /// Goes on where a store was left; `None` if the bytes are damaged or of another format.
    pub(super) fn reopen(bytes: &[u8]) -> Option<Self> {
        let (head, numbers) = bytes.split_first()?;
        if *head != FORMAT || numbers.len() % 16 != 0 || numbers.is_empty() {
            return None;
        }
        let number = |at: usize| {
            let bytes = numbers.get(at * 8..)?.first_chunk::<8>()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let (last, settled) = (number(0)?, number(1)?);
        let mut doubts = Vec::new();
        for at in 1..numbers.len() / 16 {
            doubts.push(Doubt {
                after: number(2 * at)?,
                last: number(2 * at + 1)?,
            });
        }
        let mut this = Self {
            current: last.checked_add(1)?,
            settled: settled.min(last),
            doubts,
            stored_current: last,
            ..Self::new()
        };
        this.doubt_since_settled(last);
        Some(this)
    }

    /// Rule 1.
    fn doubt_since_settled(&mut self, last: u64) {
        let after = self.settled;
        if after == last {
            return;
        }
        self.doubts.retain(|doubt| doubt.after < after);
        self.doubts.push(Doubt { after, last });
        if self.doubts.len() > CRASHES_REMEMBERED_MAX {
            flyer_types::mark!("storage.doubts_merged");
            let oldest = self.doubts.remove(0);
            self.doubts[0].after = oldest.after;
        }
    }

    /// The stored form.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + 16 * (1 + self.doubts.len()));
        bytes.push(FORMAT);
        let last = self
            .stored_current
            .max(if self.is_used { self.current } else { 0 });
        let head = [last, self.settled];
        let doubts = self.doubts.iter().flat_map(|doubt| [doubt.after, doubt.last]);
        for number in head.into_iter().chain(doubts) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The epoch of what is done now.
    pub(super) fn enter(&mut self) -> u64 {
        if !self.is_used {
            self.is_used = true;
            self.is_stored = false;
        }
        self.current
    }

    /// Whether the store has to be told with the next commit.
    pub(super) const fn is_stored(&self) -> bool {
        self.is_stored
    }

    /// The store was told.
    pub(super) fn stored(&mut self) {
        self.is_stored = true;
        if self.is_used {
            self.stored_current = self.current;
        }
    }

    /// A sync begins.
    ///
    /// # Panics
    /// When more than [`SYNCS_OPEN_MAX`] are open.
    pub(super) fn sync_begun(&mut self) {
        assert!(
            self.open.len() < SYNCS_OPEN_MAX,
            "the host begins syncs without ending any"
        );
        if self.is_used {
            self.is_used = false;
            self.current += 1;
        }
        self.open.push_back(self.current - 1);
    }

    /// The data of the oldest open sync of which that was not said are durable. Whether more is settled than before.
    pub(super) fn data_durable(&mut self) -> bool {
        let Some(epoch) = self.open.get(self.open_settled).copied() else {
            return false;
        };
        self.open_settled += 1;
        if epoch <= self.settled {
            return false;
        }
        self.settled = epoch;
        self.is_stored = false;
        true
    }

    /// The oldest open sync has ended.
    pub(super) fn sync_ended(&mut self, well: bool) {
        let Some(epoch) = self.open.pop_front() else {
            return;
        };
        self.open_settled = self.open_settled.saturating_sub(1);
        if well {
            self.durable = self.durable.max(epoch);
        }
    }

    /// Whether an open sync is about to make the data of this epoch durable.
    pub(super) fn is_being_settled(&self, epoch: u64) -> bool {
        self.open
            .iter()
            .skip(self.open_settled)
            .any(|last| epoch <= *last)
    }

    /// Whether the data of the oldest open sync are durable, or none is open.
    pub(super) fn is_oldest_settled(&self) -> bool {
        self.open.is_empty() || self.open_settled > 0
    }

    /// The last epoch whose data are durable.
    pub(super) const fn settled(&self) -> u64 {
        self.settled
    }

    /// The last epoch that is durable.
    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// The last epoch before the current one.
    pub(super) const fn last(&self) -> u64 {
        self.current - 1
    }

    /// Whether a record of this epoch may have outlived its data.
    pub(super) fn is_doubtful(&self, epoch: u64) -> bool {
        self.doubts
            .iter()
            .any(|doubt| doubt.after < epoch && epoch <= doubt.last)
    }

    /// Whether a store may accuse data by the checksum of this record after a crash, even if a record without it is committed now.
    pub(super) fn is_settled(&self, record: &Record) -> bool {
        record.crc().is_some() && record.epoch <= self.settled && !self.is_doubtful(record.epoch)
    }

    /// Whether bytes from `off` on are sealed.
    pub(super) fn is_sealed(&self, record: &Record, off: u32) -> bool {
        record
            .seal
            .is_some_and(|seal| seal.epoch > self.durable && off < seal.length)
    }

    /// The seal of a record that is made from `record` without its checksum, in the same block.
    pub(super) fn seal_after(&mut self, record: &Record) -> Option<Seal> {
        let old = record.seal.filter(|seal| seal.epoch > self.durable);
        if !self.is_settled(record) {
            return old;
        }
        Some(Seal {
            length: record.length.max(old.map_or(0, |seal| seal.length)),
            epoch: self.enter(),
        })
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert!(
            self.settled < self.current,
            "the current epoch is not settled yet"
        );
        assert!(
            self.durable < self.current,
            "the current epoch is not durable yet"
        );
        assert!(
            self.open_settled <= self.open.len(),
            "more syncs are settled than open"
        );
        assert!(self.doubts.len() <= CRASHES_REMEMBERED_MAX, "too many doubts");
        assert!(self.open.iter().is_sorted(), "syncs make ever more durable");
        assert!(
            self.doubts.windows(2).all(|pair| pair[0].last <= pair[1].after),
            "doubts overlap"
        );
        assert!(
            self.stored_current <= self.current,
            "the store is ahead of the server"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(epochs: &Epochs) -> Epochs {
        let reopened = Epochs::reopen(&epochs.to_bytes()).expect("own bytes");
        reopened.check();
        reopened
    }

    fn sync(epochs: &mut Epochs) {
        epochs.sync_begun();
        assert!(epochs.data_durable());
        epochs.sync_ended(true);
        epochs.check();
    }

    #[test]
    fn what_was_not_synced_is_doubtful_for_ever() {
        let mut epochs = Epochs::new();
        let first = epochs.enter();
        epochs.sync_begun();
        let second = epochs.enter();
        assert!(epochs.is_being_settled(first) && !epochs.is_being_settled(second));
        assert!(epochs.data_durable() && !epochs.is_being_settled(first));
        let mut epochs = crash(&epochs);
        assert!(!epochs.is_doubtful(first) && epochs.is_doubtful(second));
        let third = epochs.enter();
        sync(&mut epochs);
        assert!(epochs.durable() >= third);
        let epochs = crash(&epochs);
        assert!(!epochs.is_doubtful(first) && epochs.is_doubtful(second) && !epochs.is_doubtful(third));
    }

    #[test]
    fn a_sync_that_failed_makes_nothing_durable_but_a_later_one_does() {
        let mut epochs = Epochs::new();
        let first = epochs.enter();
        epochs.sync_begun();
        let second = epochs.enter();
        epochs.sync_begun();
        assert!(!epochs.is_oldest_settled());
        epochs.sync_ended(false);
        assert!(epochs.durable() < first && epochs.settled() < first);
        assert!(epochs.data_durable());
        epochs.sync_ended(true);
        assert!(epochs.durable() == second && epochs.settled() == second);
        assert!(!epochs.data_durable(), "none is open");
        epochs.sync_ended(true);
        assert!(epochs.durable() == second);
    }

    #[test]
    #[should_panic(expected = "without ending any")]
    fn open_syncs_are_limited() {
        let mut epochs = Epochs::new();
        for _ in 0..=SYNCS_OPEN_MAX {
            epochs.sync_begun();
        }
    }

    #[test]
    fn the_oldest_crashes_are_remembered_as_one() {
        let mut epochs = Epochs::new();
        let mut lost = Vec::new();
        for _ in 0..CRASHES_REMEMBERED_MAX + 2 {
            epochs.enter();
            sync(&mut epochs);
            lost.push(epochs.enter());
            epochs = crash(&epochs);
        }
        assert!(epochs.doubts.len() == CRASHES_REMEMBERED_MAX);
        assert!(lost.iter().all(|epoch| epochs.is_doubtful(*epoch)));
    }

    #[test]
    fn damaged_bytes_are_recognised() {
        let bytes = Epochs::new().to_bytes();
        assert!(Epochs::reopen(&bytes).is_some());
        assert_eq!(Epochs::reopen(&bytes[..9]), None);
        assert_eq!(Epochs::reopen(&[]), None);
        assert_eq!(Epochs::reopen(&[&[9], &bytes[1..]].concat()), None);
    }
}
