//! Decoding leaves inline data where they are.
//!
//! Runs without a harness because it replaces the allocator by one that counts.

use flyer_bench::samples;
use flyer_types::{Lease, LeaseId};
use flyer_wire::codec::decode_in;
use flyer_wire::msg::storage::io::BatchReadRsp;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

/// What the results of the batch may take; the data are 256 times as large.
const DECODE_BYTES_MAX: usize = 4 << 10;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let data = vec![0xa5; samples::INLINE_BYTES as usize];
    let bytes = samples::gathered(&samples::batch_read_rsp(samples::INLINE), &data);
    let memory = Lease {
        id: LeaseId::new(7, 1),
        off: 0,
        len: u32::try_from(bytes.len()).expect("about a mebibyte"),
    };
    let region = Region::new(ALLOCATOR);
    let read = decode_in::<BatchReadRsp>(&bytes, memory);
    let change = region.change();
    let allocated = change.bytes_allocated + change.bytes_reallocated.max(0).unsigned_abs();
    let read = read.expect("own bytes");
    assert!(
        allocated < DECODE_BYTES_MAX,
        "decoding allocated {allocated} bytes"
    );
    assert!(
        allocated > 0,
        "the results are a list, so the allocator must have been seen"
    );

    let lease = read.inlinebuf.data;
    assert_eq!((lease.id, lease.len), (memory.id, samples::INLINE_BYTES));
    let (start, end) = (lease.off as usize, (lease.off + lease.len) as usize);
    assert_eq!(
        &bytes[start..end],
        &data[..],
        "the lease names the bytes as they arrived"
    );
    assert_eq!(read.results, samples::batch_read_rsp(samples::INLINE).results);
    report(&format!(
        "decoding {} bytes allocated {allocated} bytes",
        bytes.len()
    ));
    report("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

#[allow(clippy::print_stdout, reason = "a test without a harness reports by itself")]
fn report(text: &str) {
    println!("{text}");
}
