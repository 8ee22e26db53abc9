//! Single flight: many callers want the same answer, one call is made.
//!
//! Owner: the machine that makes the call (routing refresh, token lookup, reconnect). Limit: waiters, an argument; at
//! the limit the waiter is handed back.
//!
//! ```text
//!            join: Start(id)                      join: Joined(id)
//!  idle ──────────────────────► flying(id, waiters) ───┐
//!    ▲                            │        ▲           │
//!    └────── land(id): waiters ───┘        └───────────┘
//!
//!  land(other id), land while idle: stale, nothing happens
//! ```
//!
//! A caller that joins after the landing starts a new flight, so it never gets an answer that was there before it
//! asked. A caller that joins a flight may get an answer that the other side gave before it asked; who cannot live
//! with that needs a call of its own.

use alloc::vec::Vec;

/// Names a flight. Never used again by the same [`SingleFlight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightId(u64);

/// What joining led to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a start has to be followed by the call"]
pub enum Join<W> {
    /// The waiter is the first: make the call, and land this flight with its outcome.
    Start(FlightId),
    /// A call is under way; the waiter is handed back when it lands.
    Joined(FlightId),
    /// Too many waiters: here it is again.
    Full {
        /// Who wanted to join.
        waiter: W,
        /// Most waiters.
        limit: usize,
    },
}

/// At most one call in flight, and who waits for it.
#[derive(Clone, Debug)]
pub struct SingleFlight<W> {
    /// The call in flight.
    flight: Option<FlightId>,
    /// Who waits for it, in order of arrival. Empty while idle.
    waiters: Vec<W>,
    /// Flights started so far.
    started: u64,
    /// Most waiters.
    limit: usize,
}

impl<W> SingleFlight<W> {
    /// No call in flight, and never more than `limit` waiters.
    ///
    /// # Panics
    /// If `limit` is 0: nobody could ever start.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        assert!(limit > 0, "a flight has at least one waiter");
        Self {
            flight: None,
            waiters: Vec::new(),
            started: 0,
            limit,
        }
    }

    /// Takes the waiter on board.
    pub fn join(&mut self, waiter: W) -> Join<W> {
        if self.waiters.len() >= self.limit {
            return Join::Full {
                waiter,
                limit: self.limit,
            };
        }
        self.waiters.push(waiter);
        if let Some(flight) = self.flight {
            return Join::Joined(flight);
        }
        debug_assert!(self.waiters.len() == 1, "someone waited without a flight");
        self.started += 1;
        let flight = FlightId(self.started);
        self.flight = Some(flight);
        Join::Start(flight)
    }

    /// The call of this flight has ended, well or not: returns all waiters in order of arrival. `None` if the
    /// flight is stale, that is, landed before; this is expected of late answers and changes nothing.
    #[must_use = "the waiters have to be told"]
    pub fn land(&mut self, flight: FlightId) -> Option<Vec<W>> {
        if self.flight != Some(flight) {
            return None;
        }
        self.flight = None;
        Some(core::mem::take(&mut self.waiters))
    }

    /// Takes the first waiter that matches off board, because it no longer wants the answer. The flight goes on, even
    /// without waiters: its answer may still be worth keeping.
    pub fn leave(&mut self, matches: impl FnMut(&W) -> bool) -> Option<W> {
        let at = self.waiters.iter().position(matches)?;
        debug_assert!(self.flight.is_some(), "someone waited without a flight");
        Some(self.waiters.remove(at))
    }

    /// The call in flight.
    #[must_use]
    pub const fn flight(&self) -> Option<FlightId> {
        self.flight
    }

    /// Number of waiters.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Most waiters.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Asserts the invariants: nobody waits without a flight, and never more than the limit.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check(&self) {
        assert!(self.waiters.len() <= self.limit, "more waiters than the limit");
        assert!(
            self.flight.is_some() || self.waiters.is_empty(),
            "{} waiters without a flight",
            self.waiters.len()
        );
        assert!(
            self.flight.is_none_or(|flight| flight == FlightId(self.started)),
            "{:?} is not the latest of {} flights",
            self.flight,
            self.started
        );
    }
}
