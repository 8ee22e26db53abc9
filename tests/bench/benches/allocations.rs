//! Memory that decoding allocates for an answer with 1 MiB of inline data, ours beside the peers, each in each way it has.
//!
//! Apart from the other benchmarks because counting slows every allocation down.
#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

use flyer_bench::mirror::Mirror;
use flyer_bench::peers::{
    BINCODE_FIXED, bincode_borrow, bincode_decode, bincode_encode, flyer_decode, postcard_decode,
    postcard_encode, prost_decode, prost_decode_slice, prost_encode, room,
};
use flyer_bench::{bytes, plain, proto, samples};
use flyer_wire::msg::storage::io::BatchReadRsp;
use prost::bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

/// Counts what is allocated.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

type Owned = plain::BatchReadRsp<bytes::Bytes>;
type Lent<'a> = plain::BatchReadRsp<bytes::Borrowed<'a>>;

fn main() {
    let ours = samples::batch_read_rsp(samples::INLINE);
    let data = vec![0xa5; samples::INLINE_BYTES as usize];
    let flyer = samples::gathered(&ours, &data);
    let plain = plain::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: bytes::Borrowed(&data),
    };
    let proto = proto::BatchReadRsp {
        tag: Mirror::of(&ours.tag),
        results: Mirror::of(&ours.results),
        inlinebuf: Bytes::from(data.clone()),
    };
    let mut postcard = room();
    let length = postcard_encode(&plain, &mut postcard);
    postcard.truncate(length);
    let mut bincode = room();
    let length = bincode_encode(&plain, &mut bincode, BINCODE_FIXED);
    bincode.truncate(length);
    let mut prost = Vec::new();
    prost_encode(&proto, &mut prost);
    let prost = Bytes::from(prost);

    println!(
        "\n{:<34} {:>12} {:>12}",
        "batch_read_rsp/1MiB decode", "allocations", "bytes"
    );
    print("flyer, in place", || flyer_decode::<BatchReadRsp>(&flyer));
    print("postcard, in place", || postcard_decode::<Lent<'_>>(&postcard));
    print("postcard, copy", || postcard_decode::<Owned>(&postcard));
    print("bincode, fixed, in place", || {
        bincode_borrow::<Lent<'_>>(&bincode, BINCODE_FIXED);
    });
    print("bincode, fixed, copy", || {
        bincode_decode::<Owned>(&bincode, BINCODE_FIXED);
    });
    print("prost, in place", || prost_decode::<proto::BatchReadRsp>(&prost));
    print("prost, copy", || {
        prost_decode_slice::<proto::BatchReadRsp>(&prost);
    });
}

fn print(name: &str, work: impl Fn()) {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    let bytes = change
        .bytes_allocated
        .strict_add_signed(change.bytes_reallocated.max(0));
    println!(
        "  {name:<32} {:>12} {bytes:>12}",
        change.allocations + change.reallocations
    );
}
