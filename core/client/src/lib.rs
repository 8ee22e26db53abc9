//! The client of 3FS servers as machines without I/O.
//!
//! ```text
//!   owner (a shard) ──► MetaCalls   ──► calls to metadata servers, one attempt each
//!                   ──► StorageIo   ──► calls to storage servers, one attempt each
//!   host            ──► Session     ──► calls to the manager; routing for everybody
//! ```
//!
//! A call is one attempt: the host carries it to the node it names and answers it **exactly once**, at the latest at its deadline (with
//! `RPC::Timeout`), and touches the memory lent with it no more from then on. What to do about a failure is decided here.
//!
//! | module | content |
//! |---|---|
//! | [`meta`] | metadata calls: choice of a server, retry with the same request id, what is closed or pruned in the background |
//! | [`storage`] | files as chunks on chains: reads, writes, truncation, holes, channels, choice of a target, retry |
//! | [`routing`] | an immutable view of the routing |
//! | [`session`] | the session with the manager, refresh of the routing |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod meta;
pub mod routing;
pub mod session;
pub mod storage;
