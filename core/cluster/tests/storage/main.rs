//! Tests of the storage server, through its inputs and effects.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test knows which answer it wants"
)]

mod checksums;
mod crashes;
mod disk;
mod failures;
mod kit;
mod limits;
mod reads;
mod space;
mod targets;
mod updates;
