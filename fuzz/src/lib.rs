//! What the fuzz targets do, as plain functions of bytes.
//!
//! libFuzzer drives them through `fuzz_targets/`, and `tests/replay.rs` drives them with the committed corpus. A function
//! that returns has found nothing; a finding is a panic.
//!
//! | target | input |
//! |---|---|
//! | [`wire_decode`] | a message type and bytes to decode as it |
//! | [`frame_stream`] | a byte stream and how it is cut |
#![forbid(unsafe_code)]

pub mod frame_stream;
pub mod wire_decode;

/// The name of a target, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Targets by name, for the replay of the corpus.
pub const TARGETS: &[Target] = &[
    ("wire_decode", wire_decode::run),
    ("frame_stream", frame_stream::run),
];
