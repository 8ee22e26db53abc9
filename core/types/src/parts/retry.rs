//! Retry with a budget: when to try again, and when to stop.
//!
//! Owner: the machine that makes the call; one [`Retry`] per logical call. Limits: the budget of time, and optionally
//! the number of attempts, both in the [`RetryPolicy`].
//!
//! ```text
//!               failed: Wait(until)
//!  attempting ─────────────────────► waiting (in the owner)
//!    │    ▲                              │
//!    │    └──────────── until ───────────┘
//!    └── failed: GiveUp ──► the last error is the answer
//! ```
//!
//! * Two deadlines that have nothing to do with each other: each attempt has one of its own
//!   ([`Retry::attempt_deadline`]), the call as a whole has the budget ([`Retry::deadline`]). Upstream's storage
//!   client uses the backoff as both (`src/client/storage/StorageClientImpl.cc`).
//! * Waits grow by a factor up to a cap, and are shortened by a random fraction, so that clients which failed
//!   together do not come back together. They grow on each failure, also when the fast wait was used
//!   (`src/client/meta/MetaClient.cc`).
//! * No attempt starts with less than `attempt_min` left: a wait is cut short to leave that much, and if that is not
//!   possible the call is given up. So no wait runs beyond the budget, and none is empty.

use crate::rng::Rng;
use crate::time::{Span, Time};
use core::fmt;

/// How a kind of call is retried. Values come from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Time for one attempt.
    pub attempt_timeout: Span,
    /// No attempt is started with less time than this left of the budget.
    pub attempt_min: Span,
    /// Most attempts, the first included; `None`: as many as the budget allows.
    pub attempts_max: Option<u32>,
    /// Time for all attempts and waits; [`Span::MAX`]: no end.
    pub budget: Span,
    /// Wait after the first failure.
    pub wait_first: Span,
    /// Each wait is this many times the one before; 1: constant.
    pub wait_factor: u32,
    /// Longest wait.
    pub wait_max: Span,
    /// Longest wait after a failure that passes quickly ([`Pace::Fast`]).
    pub wait_fast: Span,
    /// Waits are shortened at random by up to this many percent, 0 to 100.
    pub jitter_percent: u8,
}

/// A policy that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// This field has to be more than zero.
    Zero(&'static str),
    /// The first wait is longer than the longest.
    FirstBeyondMax,
    /// More than 100 percent of jitter.
    Jitter(u8),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(field) => write!(f, "{field} must be more than zero"),
            Self::FirstBeyondMax => f.write_str("wait_first must not be longer than wait_max"),
            Self::Jitter(percent) => write!(f, "jitter of {percent} percent, at most 100 is possible"),
        }
    }
}

impl core::error::Error for PolicyError {}

impl RetryPolicy {
    /// Whether the policy can work.
    ///
    /// # Errors
    /// Says what is wrong: a wait of zero would spin, an attempt without time cannot succeed.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let spans = [
            ("attempt_timeout", self.attempt_timeout),
            ("attempt_min", self.attempt_min),
            ("wait_first", self.wait_first),
            ("wait_fast", self.wait_fast),
        ];
        if let Some((field, _)) = spans.into_iter().find(|(_, span)| *span == Span::ZERO) {
            return Err(PolicyError::Zero(field));
        }
        if self.attempts_max == Some(0) {
            return Err(PolicyError::Zero("attempts_max"));
        }
        if self.wait_factor == 0 {
            return Err(PolicyError::Zero("wait_factor"));
        }
        if self.wait_first > self.wait_max {
            return Err(PolicyError::FirstBeyondMax);
        }
        if self.jitter_percent > 100 {
            return Err(PolicyError::Jitter(self.jitter_percent));
        }
        Ok(())
    }
}

/// How long a failure is expected to last; see [`crate::status::retry`] for what the codes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The normal, growing wait.
    Full,
    /// A short one: the other side was busy for a moment, or is about to settle.
    Fast,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the next attempt is up to the caller"]
pub enum Decision {
    /// Try again at this time, which is later than now.
    Wait(Time),
    /// The last error is the answer.
    GiveUp(GiveUp),
}

/// Why no further attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Not enough time is left for another attempt.
    Budget,
    /// All attempts are used up.
    Attempts,
}

/// The retries of one call.
#[derive(Clone, Debug)]
pub struct Retry {
    policy: RetryPolicy,
    /// End of the budget.
    deadline: Time,
    /// The next full wait, before jitter.
    wait: Span,
    /// Failures so far.
    failures: u32,
}

impl Retry {
    /// A call that makes its first attempt now.
    ///
    /// # Panics
    /// If the policy is not valid: whoever read the configuration has to check it.
    #[must_use]
    pub fn new(policy: RetryPolicy, now: Time) -> Self {
        if let Err(error) = policy.validate() {
            panic!("a retry policy was not validated: {error}");
        }
        Self {
            policy,
            deadline: now + policy.budget,
            wait: policy.wait_first,
            failures: 0,
        }
    }

    /// The same with an earlier end: the caller's own deadline, if it is before that of the budget.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Time) -> Self {
        self.deadline = self.deadline.min(deadline);
        self
    }

    /// When the call as a whole ends.
    #[must_use]
    pub const fn deadline(&self) -> Time {
        self.deadline
    }

    /// When an attempt that starts now ends: after its own time, but never after the call.
    #[must_use]
    pub fn attempt_deadline(&self, now: Time) -> Time {
        self.deadline.min(now + self.policy.attempt_timeout)
    }

    /// Failures so far.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt has failed in a way that may pass. Draws from `rng` only to wait.
    pub fn failed(&mut self, now: Time, pace: Pace, rng: &mut Rng) -> Decision {
        self.failures = self.failures.saturating_add(1);
        if self.policy.attempts_max.is_some_and(|max| self.failures >= max) {
            return Decision::GiveUp(GiveUp::Attempts);
        }
        let full = self.wait;
        self.wait = (full * u64::from(self.policy.wait_factor)).min(self.policy.wait_max);
        let start_max = self.deadline - self.policy.attempt_min;
        if now >= start_max {
            return Decision::GiveUp(GiveUp::Budget);
        }
        let wait = match pace {
            Pace::Full => full,
            Pace::Fast => full.min(self.policy.wait_fast),
        };
        let until = start_max.min(now + self.shorten(wait, rng));
        assert!(until > now, "a wait of {wait} at {now} is empty");
        assert!(
            until < self.deadline,
            "a wait until {until} leaves no time before {}",
            self.deadline
        );
        Decision::Wait(until)
    }

    /// The call worked; should it fail again, that is a new call with a whole budget. For connections and
    /// sessions, which live on.
    pub fn succeeded(&mut self, now: Time) {
        *self = Self::new(self.policy, now);
    }

    /// Asserts the invariants.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check(&self) {
        assert!(
            self.wait >= self.policy.wait_first && self.wait <= self.policy.wait_max,
            "the next wait of {} is not between {} and {}",
            self.wait,
            self.policy.wait_first,
            self.policy.wait_max
        );
        assert!(
            self.policy.attempts_max.is_none_or(|max| self.failures <= max),
            "{} failures of {:?} attempts",
            self.failures,
            self.policy.attempts_max
        );
    }

    /// The wait, less a random part of it, but not empty.
    fn shorten(&self, wait: Span, rng: &mut Rng) -> Span {
        let less_ns_max = wait.as_ns() / 100 * u64::from(self.policy.jitter_percent);
        let less = Span::from_ns(rng.range(0..=less_ns_max));
        wait.saturating_sub(less).max(Span::from_ns(1))
    }
}
