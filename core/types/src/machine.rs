//! The shape of everything that has state over time.
//!
//! A machine is driven by its host (production, simulator, fuzzer) and by nothing else:
//!
//! ```text
//!              handle(now, input) ───────────┐
//!   host ──►                                 ├──► effects, pushed into a sink owned by the caller
//!              handle_timeout(now) ──────────┘
//!          ◄── poll_timeout() = when to call handle_timeout, and why
//! ```
//!
//! Rules, checked by [`Checked`] around every call:
//!
//! 1. Time never goes backwards.
//! 2. *Deliverable means due*: while a machine holds something deliverable, its deadline is due. Otherwise the host
//!    would sleep on it.
//! 3. After `handle_timeout(now)` the deadline is later than `now`. Otherwise the host would spin.
//! 4. A spurious `handle_timeout`, before the deadline or without one, does nothing.
//! 5. Effects are only ever added to the sink: it may hold those of others.
//! 6. `check` holds after each step.
//!
//! Source: `docs/architecture.md`, which says why each rule exists.

use crate::time::Time;
use alloc::vec::{Drain, Vec};
use core::fmt;

/// Something with state over time.
pub trait Machine {
    /// What happens to it. An input is consumed exactly once.
    type In;
    /// What it wants done.
    type Out;

    /// Takes one input.
    fn handle(&mut self, now: Time, input: Self::In, out: &mut Effects<Self::Out>);

    /// Does what is due at `now`. Before the deadline this does nothing.
    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Self::Out>);

    /// When [`Machine::handle_timeout`] has to be called, and why; `None` if only an input can change anything.
    /// Has to be asked again after each call that takes the machine mutably.
    fn poll_timeout(&self) -> Option<(Time, Reason)>;

    /// Asserts all invariants. Slow; hosts for tests call it after each step.
    fn check(&self);

    /// Whether effects are held back that could be delivered now. Such a machine is due now, usually with
    /// [`Reason::QUEUED_OUTPUT`].
    fn holds_deliverable(&self) -> bool {
        false
    }
}

/// Why a machine wants to be woken. Makes hot loops and hangs readable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(&'static str);

impl Reason {
    /// Output waits to be delivered.
    pub const QUEUED_OUTPUT: Self = Self("queued output");

    /// A reason in the machine's own words, such as `"session.extend"`.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self(name)
    }

    /// The words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reason({})", self.0)
    }
}

/// Where a machine puts what it wants done, in order. Owned by the caller and used again and again: draining keeps
/// the memory.
///
/// It has no limit of its own. One call of a machine adds a number of effects that is bounded by the machine's
/// limits, and the caller drains between calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects<T> {
    items: Vec<T>,
}

impl<T> Effects<T> {
    /// An empty sink that has not allocated yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// An empty sink that takes `capacity` effects without allocating.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            items: Vec::with_capacity(capacity),
        }
    }

    /// Adds an effect behind all others.
    pub fn push(&mut self, effect: T) {
        self.items.push(effect);
    }

    /// Removes and yields all effects in order; the memory is kept.
    pub fn drain(&mut self) -> Drain<'_, T> {
        self.items.drain(..)
    }

    /// The effects held, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// Number of effects held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether no effects are held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Drops all effects; the memory is kept.
    pub fn clear(&mut self) {
        self.items.clear();
    }
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Extend<T> for Effects<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, effects: I) {
        self.items.extend(effects);
    }
}

impl<'a, T> IntoIterator for &'a Effects<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A machine with the rules of this [module](self) asserted around each call. In builds without debug assertions it
/// only passes calls on.
#[derive(Clone, Debug)]
pub struct Checked<M> {
    machine: M,
    /// The latest time seen.
    now: Time,
}

impl<M: Machine> Checked<M> {
    /// Wraps a machine that has seen no time yet.
    pub fn new(machine: M) -> Self {
        let this = Self {
            machine,
            now: Time::ZERO,
        };
        if cfg!(debug_assertions) {
            this.machine.check();
        }
        this
    }

    /// The machine.
    pub const fn inner(&self) -> &M {
        &self.machine
    }

    /// The machine, for what is not an input: nothing is checked until the next call.
    pub const fn inner_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The machine, without its wrapper.
    pub fn into_inner(self) -> M {
        self.machine
    }

    /// Rule 1.
    fn advance(&mut self, now: Time) {
        assert!(now >= self.now, "time went backwards: from {} to {now}", self.now);
        self.now = now;
    }

    /// Rules 2, 5 and 6.
    fn check_step(&self, now: Time, effects_before: usize, effects_after: usize) {
        assert!(
            effects_after >= effects_before,
            "the machine removed effects from the sink: {effects_before} before, {effects_after} after"
        );
        self.machine.check();
        if self.machine.holds_deliverable() {
            let due = self.machine.poll_timeout();
            assert!(
                due.is_some_and(|(at, _)| at <= now),
                "the machine holds something deliverable at {now} but wants to be woken at {due:?}"
            );
        }
    }
}

impl<M: Machine> Machine for Checked<M> {
    type In = M::In;
    type Out = M::Out;

    fn handle(&mut self, now: Time, input: M::In, out: &mut Effects<M::Out>) {
        if !cfg!(debug_assertions) {
            return self.machine.handle(now, input, out);
        }
        self.advance(now);
        let effects_before = out.len();
        self.machine.handle(now, input, out);
        self.check_step(now, effects_before, out.len());
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<M::Out>) {
        if !cfg!(debug_assertions) {
            return self.machine.handle_timeout(now, out);
        }
        self.advance(now);
        let effects_before = out.len();
        let deadline_before = self.machine.poll_timeout();
        self.machine.handle_timeout(now, out);
        self.check_step(now, effects_before, out.len());
        let deadline = self.machine.poll_timeout();
        if let Some((at, reason)) = deadline {
            assert!(
                at > now,
                "the machine was woken at {now} and is still due, at {at}: {reason}"
            );
        }
        if deadline_before.is_none_or(|(at, _)| at > now) {
            assert!(
                out.len() == effects_before && deadline == deadline_before,
                "woken at {now} without need (its deadline was {deadline_before:?}), the machine acted: \
                 {} effects, deadline {deadline:?}",
                out.len() - effects_before
            );
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.machine.poll_timeout()
    }

    fn check(&self) {
        self.machine.check();
    }

    fn holds_deliverable(&self) -> bool {
        self.machine.holds_deliverable()
    }
}
