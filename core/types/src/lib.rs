//! The vocabulary of Flyer: ids, time, status, leases and the shape every state machine has.
//!
//! Nothing in here knows a clock, a thread, a socket or a file; see `docs/architecture.md` for how the hosts
//! (simulator, fuzzer, production) drive what is built from these parts.
//!
//! | module | content |
//! |---|---|
//! | [`ids`] | typed ids of 3FS and of Flyer's own tables (slot + generation) |
//! | [`text`] | byte strings as 3FS sends them, and secrets that never print |
//! | [`time`] | [`Time`], [`Span`], [`WallTime`] |
//! | [`lease`] | [`Lease`]: a piece of memory owned by the host |
//! | [`limits`] | named limits fixed by the protocol |
//! | [`status`] | [`Status`], [`StatusCode`], [`Errno`] and the retry classes |
//! | [`rng`] | [`Rng`]: seeded randomness, split by label |
//! | [`machine`] | [`Machine`], [`Effects`], [`Reason`], and [`Checked`] which asserts the rules of the game |
//! | [`mod@mark`] | [`mark!`]: coverage marks |
//! | [`parts`] | shapes that recur in machines: retry, single flight, credits, deadlines, slots |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
// For tests and fuzzers only: derived `Arbitrary` and the counters of marks need thread locals.
#[cfg(any(feature = "arbitrary", feature = "marks"))]
extern crate std;

pub mod ids;
pub mod lease;
pub mod limits;
pub mod machine;
pub mod mark;
pub mod parts;
pub mod rng;
pub mod status;
pub mod text;
pub mod time;

pub use lease::{Lease, LeaseId, Segments};
pub use machine::{Checked, Effects, Machine, Reason};
pub use rng::Rng;
pub use status::{Errno, Status, StatusCode};
pub use text::{Text, Token};
pub use time::{Span, Time, WallTime};
