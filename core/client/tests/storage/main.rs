//! Storage I/O against a small model of storage servers, with failures and without.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect makes it panic"
)]
#![allow(clippy::cast_possible_truncation, reason = "files of a few hundred bytes")]

mod cases;
mod limits;
mod random;
mod server;
mod world;
