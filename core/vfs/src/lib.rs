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
//! | [`config`] | options of a mount and of its users |
//! | [`request`] | what the kernel asks, and who asks |
//! | [`reply`] | what it is answered, and what it is told unasked |
//! | [`shard`] | a slice of the inodes with everything that belongs to them |
//! | `file` | operations on the content and attributes of inodes |
//! | `inode` | the table of inodes that the kernel knows |
//! | `name` | operations on names, directories and the virtual tree |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
mod file;
mod inode;
mod name;
pub mod reply;
pub mod request;
pub mod shard;

pub use config::Config;
pub use reply::Reply;
pub use request::{Caller, Request};
pub use shard::Shard;
