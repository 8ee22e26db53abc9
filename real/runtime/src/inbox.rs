//! What the lock of a cell protects: the queued inputs, their limits, and the machine itself while nobody runs it.
//!
//! Owner: the cell. Nothing in here waits or calls anybody; each method is one critical section.
//!
//! ```text
//!             admit / acquire: take the machine out
//!     idle ────────────────────────────────────────► owned ──┐ look_again: inputs left,
//!      ▲                                               │  ▲  │ take a batch
//!      └───────────────────────────────────────────────┘  └──┘
//!             look_again: nothing left, or budget used up
//! ```
//!
//! Owning the machine is having it: it is moved out of the inbox and back. Finding the inbox empty and putting the
//! machine back is one critical section, so an input is either seen by the owner or finds the machine idle.
//!
//! An idle machine with queued inputs has been *promised*: a thread has the cell on its list (`turn`), or it is queued
//! for the workers. A thread that posts in between runs it all the same; the promise then finds nothing to do.
//!
//! Limits: [`Limits`] for inputs waiting here, [`BATCH_INPUTS_MAX`] for one critical section.

use flyer_types::{Reason, Time};
use std::collections::VecDeque;
use std::fmt;

/// Most inputs moved out of an inbox at once: the lock is held as long as that takes.
pub(crate) const BATCH_INPUTS_MAX: u32 = 64;

/// Most inputs that may wait in an inbox, by where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From outside ([`Cell::post`](crate::Cell::post), [`Cell::try_post`](crate::Cell::try_post)): at the limit the
    /// poster waits or gets the input back.
    pub external_max: usize,
    /// Between cells and from I/O under way ([`Cell::send`](crate::Cell::send)): at the limit the sender gets the
    /// input back. What is under way bounds them, so a host chooses this limit such that it is never reached.
    pub internal_max: usize,
}

impl Default for Limits {
    /// Room for the requests that a kernel keeps under way for one mount, and for a few messages on behalf of each.
    fn default() -> Self {
        Self {
            external_max: 1 << 10,
            internal_max: 1 << 16,
        }
    }
}

/// An input that was not accepted, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Refused<T> {
    /// As many inputs as allowed wait already.
    Full(T),
    /// The cell was closed by the end of the runtime or by a panic of its machine.
    Closed(T),
}

impl<T> Refused<T> {
    /// The input.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(input) | Self::Closed(input) => input,
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Full(_) => "the inbox is full",
            Self::Closed(_) => "the cell is closed",
        }
    }
}

impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<T> std::error::Error for Refused<T> {}

/// What a cell accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Everything.
    Open,
    /// The runtime ends: nothing from outside, but what is under way may finish.
    Closing,
    /// The machine panicked and is gone.
    Dead,
}

/// What a watchdog wants to know about a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Name of the cell.
    pub name: &'static str,
    /// What it accepts.
    pub phase: Phase,
    /// Inputs that wait, without those that the owner has taken out already.
    pub queued: usize,
    /// When the oldest input that is waiting or being handled was posted; the age of the cell's backlog.
    pub oldest: Option<Time>,
    /// Whether a thread runs the machine.
    pub is_running: bool,
    /// Inputs handled so far.
    pub handled: u64,
    /// When the machine wants to be woken, and why, as of the last batch.
    pub deadline: Option<(Time, Reason)>,
}

/// Where an input comes from; decides which limit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    External,
    Internal,
}

/// An input that waits.
#[derive(Debug)]
pub(crate) struct Entry<I> {
    at: Time,
    origin: Origin,
    pub(crate) input: I,
}

/// What became of an input.
#[derive(Debug)]
pub(crate) enum Admitted<I, S> {
    /// It has to be handled first of all by the caller, who owns the machine now.
    Direct(I, S),
    /// It is queued, and the caller owns the machine now.
    Owner(S),
    /// It is queued; the machine is idle and the caller, who must not run it now, has to promise to do so.
    Promise,
    /// It is queued; the owner will find it.
    Queued,
}

/// What the owner has to do after a batch.
#[derive(Debug)]
pub(crate) enum Next<S> {
    /// Handle what is in the batch now, and what is due.
    Continue(S),
    /// The machine is idle again.
    Released,
    /// The machine is idle again and inputs are left: promise to come back.
    ReleasedWithRest,
}

/// The state behind the lock of a cell; `S` is the machine and what belongs to it.
#[derive(Debug)]
pub(crate) struct Inbox<I, S> {
    queue: VecDeque<Entry<I>>,
    /// The machine, unless a thread owns it.
    idle: Option<S>,
    limits: Limits,
    /// Entries in the queue that came from outside.
    external: usize,
    phase: Phase,
    /// The timer of the cell has rung since the owner last looked.
    has_rung: bool,
    /// The cell is queued for the workers.
    pub(crate) is_handed_over: bool,
    /// Posters that wait for room.
    pub(crate) waiting: usize,
    /// When the oldest input in the hands of the owner was posted.
    oldest_owned: Option<Time>,
    handled: u64,
    deadline: Option<(Time, Reason)>,
}

impl<I, S> Inbox<I, S> {
    pub(crate) fn new(limits: Limits, idle: S) -> Self {
        assert!(
            limits.external_max > 0,
            "a cell that accepts nothing from outside would block its posters"
        );
        Self {
            queue: VecDeque::new(),
            idle: Some(idle),
            limits,
            external: 0,
            phase: Phase::Open,
            has_rung: false,
            is_handed_over: false,
            waiting: 0,
            oldest_owned: None,
            handled: 0,
            deadline: None,
        }
    }

    /// Accepts an input. `may_own`: whether the caller could run the machine now.
    pub(crate) fn admit(
        &mut self,
        now: Time,
        origin: Origin,
        input: I,
        may_own: bool,
    ) -> Result<Admitted<I, S>, Refused<I>> {
        match (self.phase, origin) {
            (Phase::Open, _) | (Phase::Closing, Origin::Internal) => {}
            (Phase::Closing, Origin::External) | (Phase::Dead, _) => return Err(Refused::Closed(input)),
        }
        if may_own
            && self.queue.is_empty()
            && let Some(state) = self.idle.take()
        {
            self.oldest_owned = Some(now);
            return Ok(Admitted::Direct(input, state));
        }
        let is_full = match origin {
            Origin::External => self.external >= self.limits.external_max,
            Origin::Internal => self.queue.len() - self.external >= self.limits.internal_max,
        };
        if is_full {
            return Err(Refused::Full(input));
        }
        self.external += usize::from(origin == Origin::External);
        self.queue.push_back(Entry {
            at: now,
            origin,
            input,
        });
        Ok(match (self.idle.is_some(), may_own) {
            (false, _) => Admitted::Queued,
            (true, false) => Admitted::Promise,
            (true, true) => Admitted::Owner(self.idle.take().expect("the machine is idle")),
        })
    }

    /// Takes the machine if it is idle and has something to do.
    pub(crate) fn acquire(&mut self) -> Option<S> {
        self.is_handed_over = false;
        if self.queue.is_empty() && !self.has_rung {
            return None;
        }
        self.idle.take()
    }

    /// Whether the timer of the cell has rung since the last call.
    pub(crate) fn take_ring(&mut self) -> bool {
        std::mem::take(&mut self.has_rung)
    }

    /// Moves at most `inputs_max` inputs into an empty `batch`. Says whether posters may have found room.
    pub(crate) fn take_batch(&mut self, batch: &mut VecDeque<Entry<I>>, inputs_max: u32) -> bool {
        assert!(batch.is_empty(), "the last batch was not finished");
        let count = usize::try_from(inputs_max.min(BATCH_INPUTS_MAX))
            .map_or(self.queue.len(), |max| max.min(self.queue.len()));
        self.oldest_owned = self.queue.front().map(|entry| entry.at);
        let external_before = self.external;
        for entry in self.queue.drain(..count) {
            self.external -= usize::from(entry.origin == Origin::External);
            batch.push_back(entry);
        }
        self.waiting > 0 && self.external < external_before
    }

    /// The owner has handled `handled` inputs and looks again; without inputs, or without a `budget` to handle them,
    /// the machine is idle afterwards.
    pub(crate) fn look_again(
        &mut self,
        state: S,
        handled: u32,
        budget: u32,
        deadline: Option<(Time, Reason)>,
    ) -> Next<S> {
        assert!(
            self.idle.is_none(),
            "a machine was put back while another one was idle"
        );
        self.handled += u64::from(handled);
        self.deadline = deadline;
        let is_idle = self.queue.is_empty() && !self.has_rung;
        if !is_idle && budget > 0 {
            return Next::Continue(state);
        }
        self.oldest_owned = None;
        self.idle = Some(state);
        if is_idle {
            Next::Released
        } else {
            Next::ReleasedWithRest
        }
    }

    /// The timer rings. Says whether nobody owns the machine, so that somebody has to be found.
    pub(crate) fn ring(&mut self) -> bool {
        self.has_rung = true;
        self.idle.is_some()
    }

    /// Accepts nothing from outside any more.
    pub(crate) fn close(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
        }
    }

    /// The machine is gone.
    pub(crate) fn die(&mut self) {
        self.phase = Phase::Dead;
        self.oldest_owned = None;
    }

    pub(crate) fn watch(&self, name: &'static str) -> Watch {
        Watch {
            name,
            phase: self.phase,
            queued: self.queue.len(),
            oldest: self
                .oldest_owned
                .or_else(|| self.queue.front().map(|entry| entry.at)),
            is_running: self.idle.is_none() && self.phase != Phase::Dead,
            handled: self.handled,
            deadline: self.deadline,
        }
    }
}
