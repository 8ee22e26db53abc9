//! Operations on names, directories and the virtual tree, against the real metadata server.
#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests are not in tests for clippy; a test that gets another answer than it expects fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod ioctls;
mod kit;
mod listing;
mod names;
mod references;
mod removals;
mod virtual_tree;
mod xattrs;
