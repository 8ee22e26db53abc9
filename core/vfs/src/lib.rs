//! The file system of a mount as machines without I/O.
//!
//! ```text
//!   Request ──► Shard: inodes · handles · write buffers · one op machine per request ──► Reply
//!                 │ ▲                                                                    Invalidate
//!                 ▼ │  calls and answers
//!               metadata and storage servers, other shards
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`request`] | what the kernel asks, and who asks |
//! | [`reply`] | what it is answered, and what it is told unasked |
//! | [`shard`] | a slice of the inodes with everything that belongs to them |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod reply;
pub mod request;
