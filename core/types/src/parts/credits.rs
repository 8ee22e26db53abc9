//! Credits: a fixed number of rights to use something scarce, and a queue for those who have to wait.
//!
//! Owner: the machine that guards the scarce thing (send slots of a connection, requests per server, bytes in
//! flight). Limits: the total and the number of waiters, both arguments; at the limit the waiter is handed back.
//!
//! ```text
//!  free ──acquire n (nobody waits, n free)──► held
//!    ▲                                         │
//!    └───────────────release n─────────────────┘
//!                        │
//!                        └──► waiters that fit now are granted, first come, first served
//! ```
//!
//! Nobody overtakes: while one waits, everyone waits, or a large request would starve behind small ones. `free +
//! held` is the total at all times. Who was waiting and fits leaves in the same call that made it fit, so nothing
//! deliverable is ever held back.

use crate::machine::Effects;
use alloc::collections::VecDeque;
use core::fmt;

/// A waiter and the credits it wants or got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<W> {
    /// Who.
    pub waiter: W,
    /// How many credits.
    pub credits: u32,
}

/// What asking for credits led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a waiter may be handed back"]
pub enum Acquire<W> {
    /// The credits are held now; here is who asked.
    Granted(W),
    /// The waiter queues, and is granted by a later [`Credits::release`].
    Queued,
    /// Too many wait already; here is who asked.
    Full(W),
    /// More than the total was asked for, which no wait can grant; here is who asked.
    Impossible(W),
}

/// More credits came back than are held. If they come back on a peer's word, the peer is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease {
    /// Credits that came back.
    pub credits: u32,
    /// Credits held.
    pub held: u32,
}

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} credits came back, {} were held", self.credits, self.held)
    }
}

impl core::error::Error for OverRelease {}

/// A counter of credits with its queue.
#[derive(Clone, Debug)]
pub struct Credits<W> {
    free: u32,
    held: u32,
    total: u32,
    /// First come, first served. The first one does not fit.
    waiters: VecDeque<Claim<W>>,
    /// Most waiters.
    waiters_max: usize,
}

impl<W> Credits<W> {
    /// `total` credits, all free, and room for `waiters_max` to wait.
    #[must_use]
    pub const fn new(total: u32, waiters_max: usize) -> Self {
        Self {
            free: total,
            held: 0,
            total,
            waiters: VecDeque::new(),
            waiters_max,
        }
    }

    /// Takes the credits if they are free and nobody waits; otherwise changes nothing.
    #[must_use = "credits that are held have to be released"]
    pub fn try_acquire(&mut self, credits: u32) -> bool {
        if !self.waiters.is_empty() || credits > self.free {
            return false;
        }
        self.take(credits);
        true
    }

    /// Takes the credits, or queues for them.
    pub fn acquire(&mut self, credits: u32, waiter: W) -> Acquire<W> {
        if credits > self.total {
            return Acquire::Impossible(waiter);
        }
        if self.try_acquire(credits) {
            return Acquire::Granted(waiter);
        }
        if self.waiters.len() >= self.waiters_max {
            return Acquire::Full(waiter);
        }
        self.waiters.push_back(Claim { waiter, credits });
        Acquire::Queued
    }

    /// Gives credits back, and grants those who can go on now, in order.
    ///
    /// # Errors
    /// If fewer are held; nothing changes then.
    pub fn release(&mut self, credits: u32, granted: &mut Effects<Claim<W>>) -> Result<(), OverRelease> {
        if credits > self.held {
            return Err(OverRelease {
                credits,
                held: self.held,
            });
        }
        self.held -= credits;
        self.free += credits;
        self.grant(granted);
        Ok(())
    }

    /// Takes the first waiter that matches out of the queue, because it no longer wants its credits. Those behind
    /// it may be granted by that.
    pub fn leave(
        &mut self,
        matches: impl Fn(&W) -> bool,
        granted: &mut Effects<Claim<W>>,
    ) -> Option<Claim<W>> {
        let at = self.waiters.iter().position(|claim| matches(&claim.waiter))?;
        let left = self.waiters.remove(at);
        debug_assert!(left.is_some(), "the waiter was found and is gone");
        self.grant(granted);
        left
    }

    /// Ends the counter, and hands back all waiters in order: what the credits were for is gone.
    #[must_use = "the waiters have to be told"]
    pub fn into_waiters(self) -> VecDeque<Claim<W>> {
        self.waiters
    }

    /// Credits that are free.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Credits that are held.
    #[must_use]
    pub const fn held(&self) -> u32 {
        self.held
    }

    /// All credits.
    #[must_use]
    pub const fn total(&self) -> u32 {
        self.total
    }

    /// Number of waiters.
    #[must_use]
    pub fn waiters_len(&self) -> usize {
        self.waiters.len()
    }

    /// Asserts the invariants: no credit is lost or made, and whoever waits has to.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check(&self) {
        assert!(
            self.free.checked_add(self.held) == Some(self.total),
            "{} credits free and {} held of {}",
            self.free,
            self.held,
            self.total
        );
        assert!(
            self.waiters.len() <= self.waiters_max,
            "more waiters than the limit"
        );
        if let Some(first) = self.waiters.front() {
            assert!(
                first.credits > self.free,
                "the first waiter fits and was not granted"
            );
        }
        assert!(
            self.waiters.iter().all(|claim| claim.credits <= self.total),
            "a waiter wants more credits than there are"
        );
    }

    /// Moves free credits to held ones.
    fn take(&mut self, credits: u32) {
        assert!(credits <= self.free, "took {credits} credits of {}", self.free);
        self.free -= credits;
        self.held += credits;
    }

    /// Lets everyone at the head of the queue go who fits.
    fn grant(&mut self, granted: &mut Effects<Claim<W>>) {
        while let Some(claim) = self.waiters.pop_front_if(|claim| claim.credits <= self.free) {
            self.take(claim.credits);
            granted.push(claim);
        }
    }
}
