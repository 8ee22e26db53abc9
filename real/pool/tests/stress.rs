//! The pool against a simple model, and under many threads.

#![allow(clippy::disallowed_methods, reason = "threads live here")]

use flyer_pool::{AccessError, BLOCK_BYTES, Options, Pool, TakeError};
use flyer_types::{Lease, Rng};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const BUDGET: usize = 2 << 20;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Take so many bytes and fill them with a pattern.
    Take(usize),
    /// Free the lease with this index among those alive.
    Free(usize),
    /// Free and read one that was freed before.
    Stale(usize),
    /// Trim to so many bytes.
    Trim(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..=64 << 10).prop_map(Step::Take),
        1 => (0usize..=3 << 20).prop_map(Step::Take),
        4 => any::<usize>().prop_map(Step::Free),
        1 => any::<usize>().prop_map(Step::Stale),
        1 => (0usize..=BUDGET).prop_map(Step::Trim),
    ]
}

/// Bytes of the block of a lease.
fn block_bytes(len: usize) -> usize {
    BLOCK_BYTES
        .into_iter()
        .find(|block| *block >= len)
        .expect("leases of the test are small")
}

/// A lease, its length and what it is filled with.
type Alive = (Lease, usize, u8);

fn check_content(pool: &Pool, (lease, len, fill): Alive) {
    let is_as_filled = |bytes: &[u8]| bytes.len() == len && bytes.iter().all(|byte| *byte == fill);
    assert_eq!(pool.with_read(lease, is_as_filled), Ok(true), "{lease:?}");
}

fn run_against_model(steps: Vec<Step>, idle_bytes_max: usize) {
    let options = Options {
        idle_bytes_max,
        ..Options::of_budget(BUDGET)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    let (mut alive, mut freed): (Vec<Alive>, Vec<Lease>) = Default::default();
    let mut fill = 0u8;
    for step in steps {
        let in_use: usize = alive.iter().map(|(_, len, _)| block_bytes(*len)).sum();
        match step {
            Step::Take(len) => {
                let expected = match block_bytes(len) {
                    block if block > BUDGET => Err(TakeError::TooLarge),
                    block if in_use + block > BUDGET => Err(TakeError::Exhausted),
                    _ => Ok(()),
                };
                let taken = pool.try_take(len);
                assert_eq!(taken.map(|_| ()), expected, "{len} bytes with {in_use} in use");
                if let Ok(lease) = taken {
                    fill = fill.wrapping_add(1);
                    pool.with_write(lease, |bytes| bytes.fill(fill)).expect("in use");
                    alive.push((lease, len, fill));
                }
            }
            Step::Free(index) if !alive.is_empty() => {
                let one = alive.swap_remove(index % alive.len());
                check_content(&pool, one);
                pool.free(one.0.id).expect("in use");
                freed.push(one.0);
            }
            Step::Stale(index) if !freed.is_empty() => {
                let lease = freed[index % freed.len()];
                assert!(pool.free(lease.id).is_err());
                let expected = if lease.is_empty() {
                    None
                } else {
                    Some(AccessError::Stale)
                };
                assert_eq!(pool.write(lease).err(), expected);
            }
            Step::Free(_) | Step::Stale(_) => {}
            Step::Trim(keep) => {
                pool.trim(keep);
                let stats = pool.stats();
                assert!(stats.memory_bytes - stats.in_use_bytes <= keep);
            }
        }
        let stats = pool.stats();
        let expected: usize = alive.iter().map(|(_, len, _)| block_bytes(*len)).sum();
        assert_eq!(stats.in_use_bytes, expected);
        assert!(stats.memory_bytes <= BUDGET && stats.memory_bytes - expected <= idle_bytes_max);
        let by_class: u64 = stats
            .classes
            .iter()
            .map(|c| (c.in_use + c.idle) * c.block_bytes as u64)
            .sum();
        assert_eq!(by_class, stats.memory_bytes as u64);
    }
    alive.into_iter().for_each(|one| check_content(&pool, one));
}

proptest! {
    #[test]
    fn the_pool_behaves_like_a_list_of_leases(steps in vec(step(), 0..80), idle_bytes_max in 0usize..=BUDGET) {
        run_against_model(steps, idle_bytes_max);
    }
}

/// Takes, fills, checks and frees at random; with `patience`, waits for memory.
fn work(pool: &Pool, seed: u64, rounds: u32, has_patience: bool) -> u32 {
    let mut rng = Rng::from_seed(seed);
    let (mut alive, mut refused): (Vec<Alive>, u32) = (Vec::new(), 0);
    for round in 0..rounds {
        let magnitude = 8 + 4 * rng.below(4);
        let len = usize::try_from(rng.below(1 << magnitude)).expect("small") + 1;
        // Who waits holds nothing, or all might wait for each other.
        let taken = if has_patience {
            free_all(pool, &mut alive, 0);
            pool.take(len)
        } else {
            pool.try_take(len)
        };
        match taken {
            Ok(lease) => {
                let fill = u8::try_from((u64::from(round) + seed * 7) % 256).expect("a byte");
                pool.with_write(lease, |bytes| bytes.fill(fill))
                    .expect("in use, and ours alone");
                alive.push((lease, len, fill));
            }
            Err(error) => {
                assert_eq!(error, TakeError::Exhausted);
                refused += 1;
            }
        }
        free_all(pool, &mut alive, 5);
    }
    free_all(pool, &mut alive, 0);
    refused
}

/// Checks and frees the oldest until so many are left.
fn free_all(pool: &Pool, alive: &mut Vec<Alive>, keep: usize) {
    while alive.len() > keep {
        let one = alive.remove(0);
        check_content(pool, one);
        pool.free(one.0.id).expect("in use");
        assert!(pool.free(one.0.id).is_err(), "freed twice");
    }
}

#[test]
fn threads_share_the_budget_and_never_a_block() {
    let options = Options {
        idle_bytes_max: BUDGET / 8,
        ..Options::of_budget(BUDGET)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    let is_over = AtomicBool::new(false);
    let refused: u32 = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                assert!(pool.stats().memory_bytes <= BUDGET);
                pool.trim(BUDGET / 16);
                thread::yield_now();
            }
        });
        let pool = &pool;
        let workers: Vec<_> = (0..6)
            .map(|seed| scope.spawn(move || work(pool, seed, 600, seed % 2 == 0)))
            .collect();
        let refused = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"))
            .sum();
        is_over.store(true, Ordering::Relaxed);
        watcher.join().expect("no panic");
        refused
    });
    assert!(refused > 0, "the budget was never reached");
    pool.trim(0);
    let stats = pool.stats();
    assert_eq!(
        (
            stats.in_use_bytes,
            stats.memory_bytes,
            stats.waiters,
            stats.busy_accesses
        ),
        (0, 0, 0, 0)
    );
    assert!(stats.in_use_bytes_peak <= BUDGET);
}

/// Threads that all want the only block there is.
fn fight_for_one_block(idle_bytes_max: usize) {
    let options = Options {
        idle_bytes_max,
        ..Options::of_budget(4 << 10)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..3000 {
                    let lease = pool.take(1).expect("its turn comes");
                    pool.zero(lease).expect("in use, and ours alone");
                    pool.free(lease.id).expect("in use");
                }
            });
        }
    });
    assert_eq!(pool.stats().in_use_bytes, 0);
}

#[test]
fn no_wake_up_is_lost_when_a_block_is_freed() {
    fight_for_one_block(4 << 10);
}

#[test]
fn no_wake_up_is_lost_when_a_block_is_given_back_to_the_system() {
    fight_for_one_block(0);
}

#[test]
fn no_wake_up_is_lost_when_nobody_else_will_free_anything() {
    let options = Options {
        idle_bytes_max: 4 << 10,
        ..Options::of_budget(4 << 10)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    let round = Barrier::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    let lease = pool.take(1).expect("its turn comes");
                    pool.free(lease.id).expect("in use");
                    round.wait();
                }
            });
        }
    });
    assert_eq!(pool.stats().in_use_bytes, 0);
}
