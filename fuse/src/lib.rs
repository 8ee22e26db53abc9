//! The flyer program: a mount of 3FS through `/dev/fuse`, and the command line around it.
//!
//! ```text
//!   kernel ──► fuser (reads, parses) ──► adapter ──► FileSystem ──► ReplyTo ──► fuser (writes) ──► kernel
//!                                           │             │
//!                                        Payload      Invalidations ──► notifier thread ──► kernel
//! ```
//!
//! | module | content |
//! |---|---|
//! | [`adapter`] | requests and answers of the kernel in the terms of `flyer-vfs`, and back; no logic |
//! | [`cli`] | the command line: `mount`, `umount`, `bench` |
//! | [`file_system`] | what a file system and its payload memory offer to the adapter |
//! | [`local`] | the embedded cluster as a file system |
//! | [`notify`] | what the kernel has to forget: a queue and its thread |
//! | [`session`] | mounting, reader threads, signals, unmounting |
//! | [`stub`] | a file system that answers from memory, to show the ceiling |
#![allow(clippy::disallowed_methods, reason = "clocks and threads live here")]

pub mod adapter;
pub mod cli;
pub mod file_system;
pub mod local;
pub mod notify;
pub mod session;
pub mod stub;

pub use adapter::{Adapter, ReplyTo};
pub use file_system::{FileSystem, Payload, StopError};
pub use notify::Invalidations;
