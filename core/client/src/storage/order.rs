//! Updates of the same chunks, one after the other.
//!
//! Owner: [`StorageIo`](super::StorageIo). Each updating operation claims the chunks it may touch before its first part exists, and
//! gives the claim back when its last part has ended.
//!
//! ```text
//!            nothing earlier overlaps
//!  claimed ───────────────────────────► held ──► released: later claims that overlap only this one are held now
//! ```
//!
//! Limit: one claim per operation, so the number of operations.

use alloc::collections::BTreeMap;
use flyer_types::ids::{InodeId, OpId};

/// Chunks of a file, as indexes: `from <= index < to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    pub(super) from: u32,
    /// At most 2^32.
    pub(super) to: u64,
}

impl Chunks {
    pub(super) fn overlaps(self, other: Self) -> bool {
        u64::from(self.from) < other.to && u64::from(other.from) < self.to
    }
}

/// The place of a claim in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(InodeId, u64);

#[derive(Clone, Copy, Debug)]
struct Claim {
    op: OpId,
    chunks: Chunks,
    held: bool,
}

/// All claims.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    claims: BTreeMap<Ticket, Claim>,
    tickets: u64,
}

impl Order {
    /// Claims chunks. The second value says whether the claim is held; otherwise a release will tell.
    pub(super) fn claim(&mut self, inode: InodeId, chunks: Chunks, op: OpId) -> (Ticket, bool) {
        let held = !self
            .of_file(inode)
            .any(|(_, claim)| claim.chunks.overlaps(chunks));
        self.tickets += 1;
        let ticket = Ticket(inode, self.tickets);
        self.claims.insert(ticket, Claim { op, chunks, held });
        (ticket, held)
    }

    /// Gives a claim back, held or not, and tells who holds theirs now.
    pub(super) fn release(&mut self, ticket: Ticket, mut granted: impl FnMut(OpId)) {
        let Some(released) = self.claims.remove(&ticket) else {
            unreachable!("{ticket:?} was released twice");
        };
        let mut now_held = alloc::vec::Vec::new();
        for (later, claim) in self.of_file(ticket.0) {
            let concerned = !claim.held && claim.chunks.overlaps(released.chunks);
            if concerned && self.is_free(*later, claim.chunks) {
                now_held.push(*later);
            }
        }
        for later in now_held {
            let Some(claim) = self.claims.get_mut(&later) else {
                unreachable!("{later:?} was found and is gone");
            };
            claim.held = true;
            granted(claim.op);
        }
    }

    /// Whether no earlier claim overlaps.
    fn is_free(&self, ticket: Ticket, chunks: Chunks) -> bool {
        !self
            .of_file(ticket.0)
            .take_while(|(earlier, _)| **earlier < ticket)
            .any(|(_, claim)| claim.chunks.overlaps(chunks))
    }

    fn of_file(&self, inode: InodeId) -> impl Iterator<Item = (&Ticket, &Claim)> {
        self.claims.range(Ticket(inode, 0)..=Ticket(inode, u64::MAX))
    }

    /// Number of claims.
    pub(super) fn len(&self) -> usize {
        self.claims.len()
    }

    pub(super) fn check(&self) {
        for (ticket, claim) in &self.claims {
            assert!(
                claim.held == self.is_free(*ticket, claim.chunks),
                "{ticket:?} with {claim:?} is held although it must not be, or the other way round"
            );
        }
    }
}
