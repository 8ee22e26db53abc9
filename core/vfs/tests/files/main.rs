//! Operations on the content and attributes of files, against servers that fail and are late.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests are not in tests for clippy; any other answer is wrong"
)]

#[path = "../common/mod.rs"]
mod common;

mod attributes;
mod basics;
mod failures;
mod kit;
mod limits;
mod order;
mod random;
