//! What can be set about metadata calls.

use flyer_types::Span;
use flyer_types::parts::retry::RetryPolicy;

/// How a server is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// One after the other.
    RoundRobin,
    /// Any, with equal odds.
    UniformRandom,
    /// The same one as long as it works: each client has its own random order of preference.
    RandomFollow,
}

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How a server is chosen.
    pub selection: Selection,
    /// How often and how long a call is tried; the budget counts from its start, time in the queue included.
    pub retry: RetryPolicy,
    /// How calls in the background are tried. Their budget should have no end.
    pub background_retry: RetryPolicy,
    /// Calls under way at a time.
    pub calls_max: u32,
    /// Calls that wait for one of these to end, or for their next attempt, besides; beyond it a call ends with `Meta::Busy`.
    pub waiting_max: u32,
    /// Calls in the background, those that wait included; beyond it the oldest that is not under way is dropped.
    pub background_max: u32,
    /// Calls in the background under way at a time.
    pub background_calls_max: u32,
    /// Failures of a server within one call before another server is tried.
    pub failures_before_failover: u32,
    /// How often a server that failed is probed.
    pub probe_interval: Span,
    /// Sessions that may have been left behind are pruned together: after this time,
    pub prune_interval: Span,
    /// or when there are so many.
    pub prune_sessions_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        let retry = RetryPolicy {
            attempt_timeout: Span::from_secs(5),
            attempt_min: Span::from_ms(10),
            attempts_max: None,
            budget: Span::from_secs(60),
            wait_first: Span::from_ms(10),
            wait_factor: 2,
            wait_max: Span::from_secs(2),
            wait_fast: Span::from_ms(50),
            jitter_percent: 50,
        };
        Self {
            selection: Selection::RandomFollow,
            retry,
            background_retry: RetryPolicy {
                budget: Span::MAX,
                wait_first: Span::from_ms(100),
                wait_max: Span::from_secs(10),
                ..retry
            },
            calls_max: 128,
            waiting_max: 4096,
            background_max: 4096,
            background_calls_max: 8,
            failures_before_failover: 1,
            probe_interval: Span::from_secs(5),
            prune_interval: Span::from_secs(10),
            prune_sessions_max: 128,
        }
    }
}

impl Options {
    /// Panics if the options cannot work: whoever read the configuration has to check it.
    pub(super) fn assert_valid(&self) {
        for policy in [&self.retry, &self.background_retry] {
            if let Err(error) = policy.validate() {
                panic!("the retry policy of metadata calls was not validated: {error}");
            }
        }
        let positive = [
            self.calls_max,
            self.background_max,
            self.background_calls_max,
            self.failures_before_failover,
        ];
        assert!(
            positive.iter().all(|limit| *limit > 0) && self.prune_sessions_max > 0,
            "a limit of metadata calls is zero"
        );
        assert!(
            self.probe_interval > Span::ZERO && self.prune_interval > Span::ZERO,
            "an interval of no time would be due at once"
        );
    }
}
