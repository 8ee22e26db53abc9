//! Retry: the model computes each wait anew from the number of failures before it.

use flyer_types::parts::Retry;
use flyer_types::parts::retry::{Decision, GiveUp, Pace, PolicyError, RetryPolicy};
use flyer_types::{Rng, Span, Time};
use proptest::collection::vec;
use proptest::prelude::*;

/// Close to what the metadata client uses upstream.
const POLICY: RetryPolicy = RetryPolicy {
    attempt_timeout: Span::from_secs(5),
    attempt_min: Span::from_ms(500),
    attempts_max: None,
    budget: Span::from_secs(60),
    wait_first: Span::from_ms(500),
    wait_factor: 2,
    wait_max: Span::from_secs(5),
    wait_fast: Span::from_ms(500),
    jitter_percent: 0,
};

fn policy() -> impl Strategy<Value = RetryPolicy> {
    let span = || 1u64..3_000;
    let budget = prop_oneof![8 => (0u64..30_000).prop_map(Span::from_ns), 1 => Just(Span::MAX)];
    let attempts = proptest::option::of(1u32..12);
    (
        (span(), span(), span(), span()),
        (attempts, budget, 1u32..4, 0u64..5_000, 0u8..=100),
    )
        .prop_map(
            |((timeout, min, first, fast), (attempts_max, budget, factor, more, jitter))| RetryPolicy {
                attempt_timeout: Span::from_ns(timeout),
                attempt_min: Span::from_ns(min),
                attempts_max,
                budget,
                wait_first: Span::from_ns(first),
                wait_factor: factor,
                wait_max: Span::from_ns(first + more),
                wait_fast: Span::from_ns(fast),
                jitter_percent: jitter,
            },
        )
}

/// The full wait after `failures` failures before this one, in nanoseconds.
fn full_wait(policy: &RetryPolicy, failures: usize) -> u64 {
    let mut wait = policy.wait_first.as_ns();
    for _ in 0..failures {
        wait = policy
            .wait_max
            .as_ns()
            .min(wait.saturating_mul(u64::from(policy.wait_factor)));
    }
    wait
}

/// Checks one decision against everything that happened before.
fn compare(policy: &RetryPolicy, start: Time, history: &[(Time, Pace)], decision: Decision) {
    let (now, pace) = *history.last().expect("a decision follows a failure");
    if policy
        .attempts_max
        .is_some_and(|max| history.len() >= max as usize)
    {
        assert_eq!(decision, Decision::GiveUp(GiveUp::Attempts));
        return;
    }
    let left = (start + policy.budget).since(now);
    if left <= policy.attempt_min {
        assert_eq!(decision, Decision::GiveUp(GiveUp::Budget));
        return;
    }
    let Decision::Wait(until) = decision else {
        panic!("given up with {left} left: {decision:?}");
    };
    let mut longest = full_wait(policy, history.len() - 1);
    if pace == Pace::Fast {
        longest = longest.min(policy.wait_fast.as_ns());
    }
    let cut = left.saturating_sub(policy.attempt_min).as_ns();
    let shortest = (longest - longest / 100 * u64::from(policy.jitter_percent)).max(1);
    let wait = until.since(now).as_ns();
    assert!(
        (shortest.min(cut)..=longest.min(cut)).contains(&wait),
        "waits {wait}, not {shortest}..={longest}, cut at {cut}"
    );
    assert!(until > now && until + policy.attempt_min <= start + policy.budget);
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn waits_grow_and_stay_within_the_budget(
        policy in policy(),
        seed in any::<u64>(),
        start in 0u64..1_000,
        steps in vec((0u64..4_000, any::<bool>()), 1..40),
    ) {
        prop_assert_eq!(policy.validate(), Ok(()));
        let start = Time::from_ns(start);
        let (mut rng, mut twin_rng) = (Rng::from_seed(seed), Rng::from_seed(seed));
        let mut retry = Retry::new(policy, start);
        let mut twin = retry.clone();
        let mut now = start;
        let mut history = Vec::new();
        for (duration, fast) in steps {
            let end = retry.attempt_deadline(now);
            prop_assert!(end > now || policy.budget < policy.attempt_min);
            prop_assert!(end <= retry.deadline() && end <= now + policy.attempt_timeout);
            now += Span::from_ns(duration);
            let pace = if fast { Pace::Fast } else { Pace::Full };
            history.push((now, pace));
            let decision = retry.failed(now, pace, &mut rng);
            compare(&policy, start, &history, decision);
            retry.check();
            prop_assert_eq!(retry.failures() as usize, history.len());
            prop_assert_eq!(twin.failed(now, pace, &mut twin_rng), decision, "same seed, other decision");
            match decision {
                Decision::Wait(until) => now = until,
                Decision::GiveUp(_) => break,
            }
        }
    }

    #[test]
    fn a_call_that_fails_at_once_ends(policy in policy(), seed in any::<u64>()) {
        let attempts_max = match policy.budget {
            Span::MAX => Some(policy.attempts_max.unwrap_or(20)),
            _ => policy.attempts_max,
        };
        let policy = RetryPolicy { attempts_max, ..policy };
        let mut rng = Rng::from_seed(seed);
        let mut retry = Retry::new(policy, Time::ZERO);
        let mut now = Time::ZERO;
        // A wait takes at least a nanosecond.
        for _ in 0..=30_000 {
            match retry.failed(now, Pace::Fast, &mut rng) {
                Decision::Wait(until) => now = until,
                Decision::GiveUp(_) => return Ok(()),
            }
        }
        prop_assert!(false, "still trying at {}", now);
    }
}

/// The waits of a policy when each attempt fails at once.
fn waits(policy: RetryPolicy, pace: Pace, count: usize) -> Vec<u64> {
    let mut retry = Retry::new(policy, Time::ZERO);
    let mut rng = Rng::from_seed(1);
    let mut now = Time::ZERO;
    let mut waits = Vec::new();
    while waits.len() < count
        && let Decision::Wait(until) = retry.failed(now, pace, &mut rng)
    {
        waits.push(until.since(now).as_ms());
        now = until;
    }
    waits
}

#[test]
fn waits_are_those_of_the_metadata_client() {
    assert_eq!(
        waits(POLICY, Pace::Full, 6),
        [500, 1_000, 2_000, 4_000, 5_000, 5_000]
    );
    assert_eq!(waits(POLICY, Pace::Fast, 3), [500, 500, 500]);
    assert_eq!(
        waits(POLICY, Pace::Full, 99).iter().sum::<u64>(),
        59_500,
        "the last wait is cut so that an attempt still has half a second"
    );
}

#[test]
fn a_fast_wait_lets_the_full_one_grow() {
    let mut retry = Retry::new(POLICY, Time::ZERO);
    let mut rng = Rng::from_seed(1);
    let _ = retry.failed(Time::ZERO, Pace::Fast, &mut rng);
    let _ = retry.failed(Time::ZERO, Pace::Fast, &mut rng);
    assert_eq!(
        retry.failed(Time::ZERO, Pace::Full, &mut rng),
        Decision::Wait(Time::ZERO + Span::from_secs(2))
    );
}

#[test]
fn jitter_spreads_the_waits_and_only_shortens_them() {
    let policy = RetryPolicy {
        jitter_percent: 20,
        ..POLICY
    };
    let mut seen = Vec::new();
    for seed in 0..100 {
        let mut retry = Retry::new(policy, Time::ZERO);
        match retry.failed(Time::ZERO, Pace::Full, &mut Rng::from_seed(seed)) {
            Decision::Wait(until) => seen.push(until.since(Time::ZERO).as_ms()),
            Decision::GiveUp(why) => panic!("{why:?} after one failure"),
        }
    }
    seen.sort_unstable();
    assert!(
        seen[0] >= 400 && seen[0] < 410 && seen[99] > 490 && seen[99] <= 500,
        "{seen:?}"
    );
}

#[test]
fn a_wait_that_is_all_jitter_is_still_a_wait() {
    let policy = RetryPolicy {
        wait_first: Span::from_ns(100),
        jitter_percent: 100,
        ..POLICY
    };
    let shortest = (0..2_000)
        .map(|seed| {
            let mut retry = Retry::new(policy, Time::ZERO);
            retry.failed(Time::ZERO, Pace::Full, &mut Rng::from_seed(seed))
        })
        .map(|decision| match decision {
            Decision::Wait(until) => until.as_ns(),
            Decision::GiveUp(why) => panic!("{why:?} after one failure"),
        })
        .min();
    assert_eq!(shortest, Some(1), "neither nothing nor always something");
}

#[test]
fn the_earlier_deadline_counts_and_a_success_starts_anew() {
    let soon = Time::ZERO + Span::from_secs(3);
    let mut retry = Retry::new(POLICY, Time::ZERO).with_deadline(soon);
    assert_eq!(retry.deadline(), soon);
    assert_eq!(retry.attempt_deadline(Time::ZERO), soon);
    assert_eq!(
        retry.failed(soon, Pace::Full, &mut Rng::from_seed(1)),
        Decision::GiveUp(GiveUp::Budget)
    );
    retry.succeeded(soon);
    assert_eq!((retry.failures(), retry.deadline()), (0, soon + POLICY.budget));
    let later = Retry::new(POLICY, Time::ZERO).with_deadline(Time::NEVER);
    assert_eq!(later.deadline(), Time::ZERO + POLICY.budget);
}

#[test]
fn policies_that_cannot_work_are_refused() {
    let zero = Span::ZERO;
    for (policy, error) in [
        (
            RetryPolicy {
                attempt_timeout: zero,
                ..POLICY
            },
            PolicyError::Zero("attempt_timeout"),
        ),
        (
            RetryPolicy {
                attempt_min: zero,
                ..POLICY
            },
            PolicyError::Zero("attempt_min"),
        ),
        (
            RetryPolicy {
                wait_first: zero,
                ..POLICY
            },
            PolicyError::Zero("wait_first"),
        ),
        (
            RetryPolicy {
                wait_fast: zero,
                ..POLICY
            },
            PolicyError::Zero("wait_fast"),
        ),
        (
            RetryPolicy {
                wait_factor: 0,
                ..POLICY
            },
            PolicyError::Zero("wait_factor"),
        ),
        (
            RetryPolicy {
                attempts_max: Some(0),
                ..POLICY
            },
            PolicyError::Zero("attempts_max"),
        ),
        (
            RetryPolicy {
                wait_max: Span::from_ms(499),
                ..POLICY
            },
            PolicyError::FirstBeyondMax,
        ),
        (
            RetryPolicy {
                jitter_percent: 101,
                ..POLICY
            },
            PolicyError::Jitter(101),
        ),
    ] {
        assert_eq!(policy.validate(), Err(error), "{error}");
    }
    assert_eq!(POLICY.validate(), Ok(()));
}

#[test]
#[should_panic(expected = "a retry policy was not validated: wait_factor must be more than zero")]
fn a_policy_has_to_be_validated_first() {
    let _ = Retry::new(
        RetryPolicy {
            wait_factor: 0,
            ..POLICY
        },
        Time::ZERO,
    );
}
