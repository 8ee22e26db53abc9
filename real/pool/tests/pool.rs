//! Taking, freeing, waiting and giving back, one step at a time.

#![allow(clippy::disallowed_methods, reason = "threads live here")]

use flyer_pool::{BLOCK_BYTES, LEASE_BYTES_MAX, Options, Pool, StaleLease, TakeError};
use flyer_types::{Lease, LeaseId};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

const PAGE: usize = 4 << 10;
const MIB: usize = 1 << 20;

fn pool(budget_bytes: usize) -> Pool {
    Pool::new(budget_bytes).expect("addresses can be reserved")
}

/// A pool that keeps all idle memory.
fn hoarder(budget_bytes: usize) -> Pool {
    Pool::with_options(Options {
        idle_bytes_max: budget_bytes,
        ..Options::of_budget(budget_bytes)
    })
    .expect("addresses can be reserved")
}

/// Waits until so many callers wait.
fn until_waiting(pool: &Pool, waiters: usize) {
    while pool.stats().waiters != waiters {
        thread::yield_now();
    }
}

#[test]
fn a_lease_has_the_smallest_block_that_holds_it_aligned_to_pages() {
    let pool = pool(64 * MIB);
    for (index, block) in BLOCK_BYTES.into_iter().enumerate() {
        let below = index.checked_sub(1).map_or(0, |before| BLOCK_BYTES[before] + 1);
        for len in [below, block] {
            let lease = pool.try_take(len).expect("there is memory");
            assert_eq!((lease.off, usize::try_from(lease.len)), (0, Ok(len)));
            let whole = Lease {
                len: u32::try_from(block).expect("small"),
                ..lease
            };
            let address = pool
                .with_read(whole, |bytes| bytes.as_ptr().addr())
                .expect("in use");
            assert!(address.is_multiple_of(PAGE), "{address:x}");
            assert_eq!(pool.stats().in_use_bytes, block, "{len} bytes");
            pool.free(lease.id).expect("in use");
        }
    }
    assert_eq!(pool.try_take(LEASE_BYTES_MAX + 1), Err(TakeError::TooLarge));
}

#[test]
fn the_block_freed_last_is_reused_first_under_a_new_id() {
    let pool = pool(MIB);
    let [a, b] = [(), ()].map(|()| pool.try_take(PAGE).expect("there is memory"));
    pool.free(a.id).expect("in use");
    pool.free(b.id).expect("in use");
    let again = [(), ()].map(|()| pool.try_take(PAGE).expect("there is memory"));
    assert_eq!(again.map(|lease| lease.id.slot), [b.id.slot, a.id.slot]);
    assert_ne!(again[0].id, b.id);
    assert_eq!(pool.stats().memory_bytes, 2 * PAGE);
}

#[test]
fn the_budget_covers_all_sizes_and_idle_memory_makes_room() {
    let pool = hoarder(MIB);
    let pages: Vec<_> = (0..256)
        .map(|_| pool.try_take(PAGE).expect("there is memory"))
        .collect();
    assert_eq!(pool.try_take(1), Err(TakeError::Exhausted));
    assert_eq!(pool.try_take(MIB), Err(TakeError::Exhausted));
    for page in &pages[..255] {
        pool.free(page.id).expect("in use");
    }
    assert_eq!(pool.stats().memory_bytes, MIB, "everything is idle");
    assert_eq!(
        pool.try_take(MIB),
        Err(TakeError::Exhausted),
        "one page is in use"
    );
    pool.free(pages[255].id).expect("in use");
    let large = pool.try_take(MIB).expect("the pages were given back for it");
    let stats = pool.stats();
    assert_eq!(
        (stats.memory_bytes, stats.in_use_bytes, stats.in_use_bytes_peak),
        (MIB, MIB, MIB)
    );
    assert_eq!(stats.given_back_bytes, MIB as u64);
    assert_eq!(
        pool.try_take(4 * MIB),
        Err(TakeError::TooLarge),
        "larger than the budget"
    );
    pool.free(large.id).expect("in use");
}

#[test]
fn a_budget_has_a_smallest_and_a_largest_size() {
    assert!(Pool::new(PAGE - 1).is_err());
    assert!(Pool::new(PAGE).is_ok());
    assert!(Pool::new((2 << 40) + PAGE).is_err());
}

#[test]
fn freeing_what_is_not_in_use_is_refused_and_counted() {
    let pool = pool(MIB);
    let first = pool.try_take(PAGE).expect("there is memory");
    assert_eq!(pool.free(first.id), Ok(()));
    assert_eq!(pool.free(first.id), Err(StaleLease(first.id)), "twice");
    let second = pool.try_take(PAGE).expect("there is memory");
    assert_eq!(second.id.slot, first.id.slot);
    assert_eq!(pool.free(first.id), Err(StaleLease(first.id)), "after reuse");
    let never = LeaseId::new(second.id.slot + 1, 0);
    assert_eq!(pool.free(never), Err(StaleLease(never)), "never handed out");
    assert_eq!(pool.stats().stale_frees, 3);
    for nowhere in [
        LeaseId::THIS_BUFFER,
        LeaseId::new(7 << 29, 1),
        LeaseId::new(1 << 28, 1),
        Lease::EMPTY.id,
    ] {
        assert_eq!(pool.free(nowhere), Err(StaleLease(nowhere)));
    }
    assert_eq!(pool.stats().in_use_bytes, PAGE);
    assert_eq!(pool.free(second.id), Ok(()));
}

#[test]
fn waiters_are_served_in_order_and_a_large_one_does_not_starve() {
    let pool = pool(MIB);
    let quarters: Vec<_> = (0..4)
        .map(|_| pool.try_take(MIB / 4).expect("there is memory"))
        .collect();
    let (served, order) = channel();
    thread::scope(|scope| {
        for (number, len) in [MIB, PAGE, MIB / 4].into_iter().enumerate() {
            let (pool, served) = (&pool, served.clone());
            scope.spawn(move || {
                let lease = pool.take(len).expect("memory becomes free");
                served.send(number).expect("the test listens");
                pool.free(lease.id).expect("in use");
            });
            until_waiting(pool, number + 1);
        }
        pool.free(quarters[0].id).expect("in use");
        // Enough for the second and the third, but the first came first; whoever comes now has to wait as well.
        assert_eq!(pool.stats().waiters, 3);
        assert_eq!(pool.try_take(PAGE), Err(TakeError::Exhausted));
        for quarter in &quarters[1..] {
            assert!(order.try_recv().is_err());
            pool.free(quarter.id).expect("in use");
        }
        assert_eq!(order.recv(), Ok(0));
    });
    let stats = pool.stats();
    assert_eq!((stats.waiters, stats.in_use_bytes), (0, 0));
}

#[test]
fn a_waiter_gives_up_in_time_and_lets_the_next_one_pass() {
    let pool = pool(MIB);
    let half = pool.try_take(MIB / 4).expect("there is memory");
    assert_eq!(
        pool.take_timeout(MIB, Duration::from_millis(1)),
        Err(TakeError::TimedOut)
    );
    assert_eq!(pool.stats().waiters, 0);
    thread::scope(|scope| {
        let large = scope.spawn(|| pool.take_timeout(MIB, Duration::from_millis(20)));
        until_waiting(&pool, 1);
        let small = scope.spawn(|| pool.take(PAGE));
        assert_eq!(large.join().expect("no panic"), Err(TakeError::TimedOut));
        // There was room for it all the time; nobody frees anything.
        let small = small.join().expect("no panic").expect("its turn comes");
        pool.free(small.id).expect("in use");
    });
    pool.free(half.id).expect("in use");
    let lease = pool.take_timeout(MIB, Duration::ZERO).expect("there is memory");
    assert_eq!(lease.len, 1 << 20);
}

#[test]
fn only_so_many_may_wait() {
    let options = Options {
        waiters_max: 2,
        ..Options::of_budget(PAGE)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    let page = pool.try_take(PAGE).expect("there is memory");
    thread::scope(|scope| {
        for waiters in 1..=2 {
            scope.spawn(|| {
                let lease = pool.take(PAGE).expect("memory becomes free");
                pool.free(lease.id).expect("in use");
            });
            until_waiting(&pool, waiters);
        }
        assert_eq!(pool.take(PAGE), Err(TakeError::TooManyWaiters));
        pool.free(page.id).expect("in use");
    });
}

#[test]
fn trimming_gives_memory_back_and_it_reads_as_zero_afterwards() {
    let pool = hoarder(8 * MIB);
    let leases: Vec<_> = (0..4)
        .map(|_| pool.try_take(MIB).expect("there is memory"))
        .collect();
    for lease in &leases {
        pool.with_write(*lease, |bytes| bytes.fill(0xff)).expect("in use");
        pool.free(lease.id).expect("in use");
    }
    assert_eq!(pool.trim(4 * MIB), 0);
    assert_eq!(pool.trim(MIB), 3 * MIB);
    assert_eq!(pool.stats().memory_bytes, MIB);
    assert_eq!(pool.trim(0), MIB);
    let stats = pool.stats();
    assert_eq!((stats.memory_bytes, stats.given_back_bytes), (0, 4 * MIB as u64));
    let lease = pool.try_take(MIB).expect("there is memory");
    assert!(
        pool.with_read(lease, |bytes| bytes.iter().all(|byte| *byte == 0))
            .expect("in use")
    );
}

#[test]
fn freeing_keeps_no_more_idle_memory_than_allowed_of_the_sizes_used_last() {
    let options = Options {
        idle_bytes_max: 2 * MIB,
        ..Options::of_budget(64 * MIB)
    };
    let pool = Pool::with_options(options).expect("addresses can be reserved");
    let burst = |len: usize, count: usize| {
        let leases: Vec<_> = (0..count)
            .map(|_| pool.try_take(len).expect("there is memory"))
            .collect();
        for lease in leases {
            pool.free(lease.id).expect("in use");
            let stats = pool.stats();
            assert!(stats.memory_bytes - stats.in_use_bytes <= 2 * MIB, "{stats:?}");
        }
    };
    burst(PAGE, 512);
    assert_eq!(pool.stats().memory_bytes, 2 * MIB);
    burst(MIB, 2);
    burst(MIB, 2);
    let idle: Vec<_> = pool.stats().classes.iter().map(|class| class.idle).collect();
    assert_eq!(
        idle,
        [0, 0, 0, 0, 2, 0, 0],
        "the pages went, the blocks in use lately stayed"
    );
}

#[test]
fn statistics_tell_sizes_apart() {
    let pool = hoarder(64 * MIB);
    let kept = pool.try_take(PAGE).expect("there is memory");
    let freed = pool.try_take(5 * PAGE).expect("there is memory");
    pool.free(freed.id).expect("in use");
    let stats = pool.stats();
    let counts: Vec<_> = stats
        .classes
        .iter()
        .map(|c| (c.block_bytes, c.in_use, c.idle, c.takes))
        .collect();
    assert_eq!(counts[0], (PAGE, 1, 0, 1));
    assert_eq!(counts[2], (16 * PAGE, 0, 1, 1));
    assert_eq!((stats.in_use_bytes, stats.in_use_bytes_peak), (PAGE, 17 * PAGE));
    assert_eq!((stats.budget_bytes, stats.memory_bytes), (64 * MIB, 17 * PAGE));
    pool.free(kept.id).expect("in use");
}
