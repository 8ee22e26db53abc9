//! Hostile bytes: decoding never panics and never claims more memory than the bytes justify.
//!
//! Runs without a harness because it replaces the allocator by one that counts.

use flyer_types::limits::{DECODE_MEMORY_BYTES_FLOOR, DECODE_MEMORY_FACTOR_MAX};
use flyer_types::{Rng, Status};
use flyer_wire::codec::{Message, Wire, decode, encode_to_vec};
use flyer_wire::msg::meta::attr::BatchStatRsp;
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

/// Memory of a decoded value per byte present: the largest element of any list, with the doubling of no list
/// (lists are reserved exactly), rounded up.
const FACTOR_SMALL_MAX: usize = 256;

/// Memory of a value without content, and of what is on the side of any allocation.
const SLACK_BYTES: usize = 256;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Decodes, and gives all memory that was allocated meanwhile (at least the most that was in use).
fn memory_of<T: Wire>(bytes: &[u8]) -> usize {
    let region = Region::new(ALLOCATOR);
    let value = decode::<T>(bytes);
    let change = region.change();
    drop(value);
    change.bytes_allocated + change.bytes_reallocated.max(0).unsigned_abs()
}

/// The bound that holds for every type and every input.
fn bound(bytes: usize) -> usize {
    let small = bytes * FACTOR_SMALL_MAX + SLACK_BYTES;
    let large = (bytes * DECODE_MEMORY_FACTOR_MAX).max(DECODE_MEMORY_BYTES_FLOOR) + SLACK_BYTES;
    small.min(large)
}

fn check<T: Wire>(name: &str, bytes: &[u8], worst: &mut usize) {
    let memory = memory_of::<T>(bytes);
    assert!(
        memory <= bound(bytes.len()),
        "{name}: {memory} bytes of memory for {} bytes: {bytes:02x?}",
        bytes.len()
    );
    if !bytes.is_empty() {
        *worst = (*worst).max(memory.saturating_sub(SLACK_BYTES) / bytes.len());
    }
}

/// Bytes that look like messages: counts and lengths that claim much, filled with what reads as anything.
fn attack(rng: &mut Rng) -> Vec<u8> {
    let len = usize::try_from(rng.below(600)).expect("small") + 1;
    let mut bytes = vec![0u8; len];
    match rng.below(4) {
        0 => rng.fill_bytes(&mut bytes),
        // A table that spans all, then lists that claim all.
        1 => bytes.iter_mut().for_each(|b| *b = rng.below(4).to_le_bytes()[0]),
        2 => bytes
            .iter_mut()
            .for_each(|b| *b = if rng.chance(1, 3) { 0xff } else { 0x01 }),
        _ => bytes.fill(0),
    }
    let mut framed = encode_to_vec(&flyer_types::Text::from(bytes));
    // Lengths larger than everything.
    if rng.chance(1, 4) {
        let at = usize::try_from(rng.below(framed.len() as u64)).expect("small");
        framed.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x7f]);
    }
    framed
}

macro_rules! attacked {
    ($($message:ty,)*) => {
        fn attack_all(bytes: &[u8], worst: &mut usize) -> usize {
            $(
                check::<$message>(<$message as Message>::CLASS, bytes, worst);
                check::<Result<$message, Status>>(<$message as Message>::CLASS, bytes, worst);
            )*
            [$(<$message as Message>::CLASS),*].len()
        }
    };
}
flyer_wire::for_each_message!(attacked);

/// A count that claims as many elements as there are bytes, each of which is an empty table or nothing.
fn longest_lists(worst: &mut usize) {
    for len in [10usize, 100, 10_000, 1_000_000] {
        let mut content = vec![0u8; len];
        let mut count = Vec::new();
        let mut rest = len - 5;
        while rest >= 0x80 {
            count.push(0x80 | (rest & 0x7f).to_le_bytes()[0]);
            rest >>= 7;
        }
        count.push(rest.to_le_bytes()[0]);
        content.splice(0..5, count);
        let own = encode_to_vec(&flyer_types::Text::from(content));
        let with_base = [&[0][..], &own].concat();
        check::<BatchStatRsp>("BatchStatRsp", &with_base, worst);
        check::<RoutingInfo>("RoutingInfo", &own, worst);
        attack_all(&own, worst);
        attack_all(&with_base, worst);
    }
}

fn main() {
    let mut rng = Rng::from_seed(0x3f5).split("hostile");
    let mut worst = 0;
    let mut messages = 0;
    let rounds = 3_000;
    for _ in 0..rounds {
        let bytes = attack(&mut rng);
        messages = attack_all(&bytes, &mut worst);
    }
    longest_lists(&mut worst);
    let text = format!(
        "{rounds} attacks on {messages} messages; at most {worst} bytes of memory per byte present (bound {FACTOR_SMALL_MAX})"
    );
    report(&text);
    report("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

#[allow(clippy::print_stdout, reason = "a test without a harness reports by itself")]
fn report(text: &str) {
    println!("{text}");
}
