//! The manager, driven through its machine interface, with the rules of machines asserted around each call.
//!
//! | module | content |
//! |---|---|
//! | `kit` | a manager with its clock, and requests |
//! | `nodes`, `heartbeats`, `configs`, `tags`, `sessions`, `routing`, `chains` | the calls, with each of their errors |
//! | `checks` | what holds for all calls: cluster, administrators, lease, durability, limits, failing stores |
//! | `states` | the state function of chains, row by row, and with timers |
//! | `restart` | what survives a restart |
//! | `random` | servers that come and go at random never break the invariants |
//! | `trace` | answers of the original manager |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are not `in tests` for clippy"
)]

mod kit;

mod chains;
mod checks;
mod configs;
mod heartbeats;
mod nodes;
mod random;
mod restart;
mod routing;
mod sessions;
mod states;
mod tags;
mod trace;
