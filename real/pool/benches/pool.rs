//! What leases cost: taking and freeing, reaching their bytes, and the same by several threads.
//!
//! `cargo bench -p flyer-pool --bench pool` prints the best of several rounds for each case.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use flyer_pool::Pool;
use std::hint::black_box;
use std::thread;
use std::time::Instant;

const ROUNDS: u32 = 7;

fn main() {
    let pool = Pool::new(256 << 20).expect("addresses can be reserved");
    for (what, bytes) in [("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        report(&format!("take and free, {what}"), 1_000_000, || {
            let lease = pool.try_take(bytes).expect("there is memory");
            pool.free(black_box(lease.id)).expect("in use");
        });
    }
    let page = pool.try_take(4 << 10).expect("there is memory");
    report("read guard, 4 KiB", 1_000_000, || {
        black_box(pool.read(black_box(page)).expect("in use").len());
    });
    let bytes = vec![7; 4 << 10];
    report("copy in, 4 KiB", 1_000_000, || {
        pool.copy_in(black_box(page), black_box(&bytes)).expect("in use");
    });
    let block = pool.try_take(1 << 20).expect("there is memory");
    let bytes = vec![7; 1 << 20];
    report("copy in, 1 MiB", 1_000, || {
        pool.copy_in(black_box(block), black_box(&bytes)).expect("in use");
    });

    const EACH: u32 = 1_000_000;
    for threads in [2, 4] {
        let before = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        let lease = pool.try_take(4 << 10).expect("there is memory");
                        pool.free(lease.id).expect("in use");
                    }
                });
            }
        });
        let each = before.elapsed().as_nanos() / u128::from(EACH * threads);
        println!(
            "{:<40} {each:>8} ns per pair, wall clock",
            format!("take and free, 4 KiB, {threads} threads")
        );
    }
}

fn report(what: &str, times: u32, mut body: impl FnMut()) {
    let round = |_| {
        let before = Instant::now();
        (0..times).for_each(|_| body());
        before.elapsed().as_nanos() / u128::from(times)
    };
    let best = (0..ROUNDS).map(round).min().expect("there are rounds");
    println!("{what:<40} {best:>8} ns");
}
