//! Credits: the model adds up everything that was ever granted and released.

use alloc::collections::VecDeque;
use flyer_types::Effects;
use flyer_types::parts::Credits;
use flyer_types::parts::credits::{Acquire, Claim, OverRelease};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire(u32),
    TryAcquire(u32),
    Release(u32),
    /// The waiter of the n-th step (modulo the number of steps) leaves.
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u32..6).prop_map(Op::Acquire),
        1 => (0u32..6).prop_map(Op::TryAcquire),
        4 => (0u32..6).prop_map(Op::Release),
        1 => any::<usize>().prop_map(Op::Leave),
    ]
}

/// What happened, in the order in which it happened.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Credits were taken, by a waiter or on the spot.
    Granted(Option<usize>, u32),
    Released(u32),
    Queued(usize, u32),
    Left(usize),
}

/// Credits that are free, and who waits for how many.
fn recompute(total: u32, history: &[Event]) -> (u32, Vec<Claim<usize>>) {
    let mut free = total;
    let mut queue: Vec<Claim<usize>> = Vec::new();
    for event in history {
        match *event {
            Event::Granted(who, credits) => {
                free = free
                    .checked_sub(credits)
                    .expect("more credits granted than there are");
                queue.retain(|claim| Some(claim.waiter) != who);
            }
            Event::Released(credits) => free += credits,
            Event::Queued(waiter, credits) => queue.push(Claim { waiter, credits }),
            Event::Left(who) => queue.retain(|claim| claim.waiter != who),
        }
    }
    assert!(free <= total, "more credits came back than were granted");
    (free, queue)
}

/// Who of the queue can go on: the first, while it fits.
fn expected_grants(total: u32, history: &mut Vec<Event>) -> Vec<Claim<usize>> {
    let mut granted = Vec::new();
    loop {
        let (free, queue) = recompute(total, history);
        match queue.first() {
            Some(claim) if claim.credits <= free => {
                granted.push(*claim);
                history.push(Event::Granted(Some(claim.waiter), claim.credits));
            }
            _ => return granted,
        }
    }
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn credits_are_conserved_and_waiters_served_in_order(
        total in 0u32..6, waiters_max in 0usize..4, ops in vec(op(), 0..60),
    ) {
        let mut credits = Credits::new(total, waiters_max);
        let mut history = Vec::new();
        let mut out = Effects::new();
        for (who, op) in ops.into_iter().enumerate() {
            let (free, queue) = recompute(total, &history);
            let at_once = |n| queue.is_empty() && n <= free;
            match op {
                Op::Acquire(n) => match credits.acquire(n, who) {
                    Acquire::Granted(back) => {
                        prop_assert!(at_once(n) && back == who);
                        history.push(Event::Granted(None, n));
                    }
                    Acquire::Queued => {
                        prop_assert!(!at_once(n) && n <= total && queue.len() < waiters_max);
                        history.push(Event::Queued(who, n));
                    }
                    Acquire::Full(back) => {
                        prop_assert!(!at_once(n) && n <= total && queue.len() == waiters_max && back == who);
                    }
                    Acquire::Impossible(back) => prop_assert!(n > total && back == who),
                },
                Op::TryAcquire(n) => {
                    prop_assert_eq!(credits.try_acquire(n), at_once(n));
                    if at_once(n) {
                        history.push(Event::Granted(None, n));
                    }
                }
                Op::Release(n) => {
                    let held = total - free;
                    let outcome = credits.release(n, &mut out);
                    if n > held {
                        prop_assert_eq!(outcome, Err(OverRelease { credits: n, held }));
                    } else {
                        prop_assert_eq!(outcome, Ok(()));
                        history.push(Event::Released(n));
                    }
                }
                Op::Leave(n) => {
                    let leaver = n % who.max(1);
                    let expected = queue.iter().find(|claim| claim.waiter == leaver).copied();
                    prop_assert_eq!(credits.leave(|w| *w == leaver, &mut out), expected);
                    history.extend(expected.map(|claim| Event::Left(claim.waiter)));
                }
            }
            let granted: Vec<_> = out.drain().collect();
            prop_assert_eq!(granted, expected_grants(total, &mut history));
            credits.check();
            let (free, queue) = recompute(total, &history);
            prop_assert_eq!((credits.free(), credits.held(), credits.total()), (free, total - free, total));
            prop_assert_eq!(credits.waiters_len(), queue.len());
        }
        let (_, queue) = recompute(total, &history);
        prop_assert_eq!(credits.into_waiters(), VecDeque::from(queue));
    }
}

#[test]
fn nobody_overtakes() {
    let mut credits = Credits::new(4, 2);
    let mut out = Effects::new();
    assert_eq!(credits.acquire(3, 'a'), Acquire::Granted('a'));
    assert_eq!(credits.acquire(4, 'b'), Acquire::Queued);
    assert!(!credits.try_acquire(1), "one is free, but b waits");
    assert_eq!(credits.acquire(1, 'c'), Acquire::Queued);
    assert_eq!(credits.acquire(1, 'd'), Acquire::Full('d'));
    assert_eq!(credits.acquire(5, 'e'), Acquire::Impossible('e'));
    assert_eq!(credits.release(3, &mut out), Ok(()));
    let b = Claim {
        waiter: 'b',
        credits: 4,
    };
    assert_eq!(out.drain().collect::<Vec<_>>(), [b]);
    assert_eq!(
        credits.release(5, &mut out),
        Err(OverRelease { credits: 5, held: 4 })
    );
    credits.check();
}
