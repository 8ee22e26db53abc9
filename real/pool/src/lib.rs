//! Payload memory: pooled leases with a byte budget.
//!
//! Machines speak of payload as [`Lease`](flyer_types::Lease)s, "bytes `off .. off + len` of the memory named `id`";
//! this is the memory. A [`Pool`] hands out page-aligned blocks of a few sizes, never more of them than its budget
//! allows, and reuses the block freed last, which is the one in the processor's cache.
//!
//! | module | content |
//! |---|---|
//! | `pool` | [`Pool`]: take, free, trim, statistics |
//! | `access` | reading and writing the bytes of a lease, safely even if the parties do not keep to the protocol |
//! | `class` | the blocks of one size |
//! | `wait` | who waits for memory, first come, first served |
//! | `borrows` | which bytes are being read or written now |
//! | `memory` | address space of the system |
//!
//! # What is safe, and why
//!
//! Leases are plain numbers that threads pass to each other, so this crate trusts none of them. The whole interface
//! is safe: an access registers the range that it touches, and the bytes are only reachable while it is registered.
//! An access that overlaps a write under way is refused ([`AccessError::Busy`]), one through a freed lease too
//! ([`AccessError::Stale`]), and a block freed during an access is reused only after it. Parties that keep to the
//! protocol (one writer at a time, no use after free) never see any of this.
//!
//! # Content
//!
//! A new lease holds whatever the block held before, perhaps the data of another user: whoever takes a lease fills or
//! [zeroes](Pool::zero) what will be read from it.
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(clippy::disallowed_methods, reason = "clocks live here")]

mod access;
mod borrows;
mod class;
mod memory;
mod pool;
mod stats;
mod wait;

pub use access::{AccessError, ReadGuard, WriteGuard};
pub use pool::{Options, Pool, StaleLease, TakeError};
pub use stats::{ClassStats, Stats};

/// Sizes of blocks. Each is four times the one before, so that a lease uses more than a quarter of its block unless it
/// is smaller than a page.
pub const BLOCK_BYTES: [usize; 7] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];

/// Largest lease.
pub const LEASE_BYTES_MAX: usize = 16 << 20;
