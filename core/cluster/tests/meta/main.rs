//! Tests of the metadata server, through its inputs and effects.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test knows which answer it wants"
)]

mod attributes;
mod background;
mod files;
mod lengths;
mod model;
mod namespace;
mod support;
