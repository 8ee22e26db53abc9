//! Bytes of leases: bounds, overlaps, frees during an access, and what they hold.

#![allow(clippy::disallowed_methods, reason = "threads live here")]

use flyer_pool::{AccessError, Pool, ReadGuard, StaleLease};
use flyer_types::{Lease, LeaseId};
use std::thread;

const PAGE: u32 = 4 << 10;

fn pool() -> Pool {
    Pool::new(1 << 20).expect("addresses can be reserved")
}

fn take(pool: &Pool, len: u32) -> Lease {
    pool.try_take(usize::try_from(len).expect("small"))
        .expect("there is memory")
}

fn part(lease: Lease, off: u32, len: u32) -> Lease {
    lease.slice(off, len).expect("inside the lease")
}

#[test]
fn what_was_written_is_read() {
    let pool = pool();
    let (a, b) = (take(&pool, 10), take(&pool, 10));
    pool.copy_in(a, b"0123456789").expect("in use");
    pool.copy_between(part(a, 2, 5), part(b, 0, 5))
        .expect("both in use");
    pool.zero(part(b, 1, 2)).expect("in use");
    pool.with_write(part(b, 4, 1), |bytes| bytes[0] = b'x')
        .expect("in use");
    let mut out = [0; 5];
    pool.copy_out(part(b, 0, 5), &mut out).expect("in use");
    assert_eq!(&out, b"2\0\x005x");
    assert_eq!(&*pool.read(a).expect("in use"), b"0123456789");
}

#[test]
fn lengths_bounds_and_ids_are_checked() {
    let pool = pool();
    let lease = take(&pool, PAGE);
    assert_eq!(pool.copy_in(lease, b"short"), Err(AccessError::LengthMismatch));
    assert_eq!(
        pool.copy_out(lease, &mut [0; 5]),
        Err(AccessError::LengthMismatch)
    );
    assert_eq!(
        pool.copy_between(lease, part(lease, 0, 0)),
        Err(AccessError::LengthMismatch)
    );
    for (off, len) in [(0, PAGE + 1), (PAGE, 1), (u32::MAX, 1), (1, u32::MAX)] {
        let outside = Lease { off, len, ..lease };
        assert_eq!(pool.zero(outside), Err(AccessError::OutOfBounds), "{off} {len}");
    }
    let of = |id| Lease { id, ..lease };
    let never = LeaseId::new(lease.id.slot + 1, 0);
    for id in [
        LeaseId::THIS_BUFFER,
        LeaseId::new(1 << 28, 1),
        LeaseId::default(),
        never,
    ] {
        assert_eq!(pool.zero(of(id)), Err(AccessError::Stale), "{id:?}");
    }
    pool.free(lease.id).expect("in use");
    assert_eq!(pool.read(lease).err(), Some(AccessError::Stale));
    let next = take(&pool, PAGE);
    assert_eq!(next.id.slot, lease.id.slot);
    assert_eq!(
        pool.write(lease).err(),
        Some(AccessError::Stale),
        "the block has a new owner"
    );
    assert_eq!(
        pool.read(Lease::EMPTY).as_deref(),
        Ok(&[][..]),
        "no bytes of no memory"
    );
}

#[test]
fn overlapping_accesses_are_refused_unless_both_read() {
    let pool = pool();
    let lease = take(&pool, 100);
    let other = take(&pool, 100);
    let reading = pool.read(part(lease, 10, 10)).expect("in use");
    assert!(pool.read(part(lease, 15, 10)).is_ok());
    assert_eq!(pool.write(part(lease, 19, 1)).err(), Some(AccessError::Busy));
    assert_eq!(pool.write(part(lease, 0, 11)).err(), Some(AccessError::Busy));
    let mut before = pool.write(part(lease, 0, 10)).expect("beside the other");
    let mut after = pool.write(part(lease, 20, 10)).expect("beside the other");
    assert!(pool.write(part(other, 10, 10)).is_ok());
    before.fill(1);
    after.fill(2);
    assert_eq!(pool.read(part(lease, 29, 2)).err(), Some(AccessError::Busy));
    assert_eq!(
        pool.copy_between(lease, part(lease, 0, 100)),
        Err(AccessError::Busy)
    );
    assert_eq!(reading.len(), 10);
    drop((reading, before, after));
    assert!(pool.write(lease).is_ok());
    assert_eq!(pool.stats().busy_accesses, 4);
}

#[test]
fn a_block_freed_during_an_access_is_reused_only_after_it() {
    let pool = Pool::new(4 << 10).expect("addresses can be reserved");
    let lease = take(&pool, PAGE);
    let (first, second) = (
        pool.read(part(lease, 0, 1)).expect("in use"),
        pool.read(lease).expect("in use"),
    );
    assert_eq!(pool.free(lease.id), Ok(()));
    assert_eq!(pool.free(lease.id), Err(StaleLease(lease.id)));
    assert_eq!(pool.read(lease).err(), Some(AccessError::Stale), "no new access");
    assert!(pool.try_take(1).is_err(), "the only block is being read");
    drop(first);
    assert_eq!(pool.trim(0), 0);
    assert!(pool.try_take(1).is_err(), "it still is");
    assert_eq!(second[0], 0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| pool.take(1));
        while pool.stats().waiters == 0 {
            thread::yield_now();
        }
        drop(second);
        assert!(
            waiter.join().expect("no panic").is_ok(),
            "the end of the access wakes who waits"
        );
    });
    let stats = pool.stats();
    assert_eq!(
        (stats.deferred_frees, stats.stale_frees, stats.in_use_bytes),
        (1, 1, 4096)
    );
}

#[test]
fn a_forgotten_guard_keeps_its_block_and_nothing_else() {
    let pool = Pool::new(4 << 10).expect("addresses can be reserved");
    let lease = take(&pool, PAGE);
    std::mem::forget(pool.write(lease).expect("in use"));
    assert_eq!(pool.free(lease.id), Ok(()));
    assert!(pool.try_take(1).is_err());
}

/// Reads a lease so many times at once.
fn nest<'a>(pool: &'a Pool, lease: Lease, guards: &mut Vec<ReadGuard<'a>>, count: usize) {
    for _ in 0..count {
        guards.push(pool.read(lease).expect("below the limit"));
    }
}

#[test]
fn so_many_accesses_may_be_under_way() {
    let pool = pool();
    let lease = take(&pool, PAGE);
    let mut guards = Vec::new();
    nest(&pool, lease, &mut guards, 256);
    assert_eq!(pool.read(lease).err(), Some(AccessError::Busy));
    guards.pop();
    nest(&pool, lease, &mut guards, 1);
}
