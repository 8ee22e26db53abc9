//! Conforming 3FS servers as machines without I/O.
//!
//! ```text
//!   requests ──► manager, metadata or storage server ──► answers, calls to other servers
//!                       │
//!                       ▼  ports
//!                  Store (ordered keys, atomic batches)
//! ```
//!
//! The simulator hosts them over memory with faults, `real/local` over an embedded database and data files. They follow
//! the protocol to the byte and the errno; where upstream departs from POSIX only by choice of the server, they are
//! POSIX-right.
//!
//! | module | content |
//! |---|---|
//! | [`mgmtd`] | the manager: nodes, routing, configurations, tags, client sessions |
//! | [`meta`] | the metadata server: names, inodes, write sessions, lengths, garbage collection |
//! | [`storage`] | the storage server: chunks, versions, updates applied once, space |
//! | [`store`] | the port to an ordered key-value store, transactions over it, and a store in memory |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod meta;
pub mod mgmtd;
pub mod storage;
pub mod store;
