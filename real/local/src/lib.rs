//! The embedded single-machine cluster: a database, data files, and the three servers of 3FS behind an in-process fabric.
#![allow(clippy::disallowed_methods, reason = "clocks and threads live here")]

pub mod cluster;
pub mod directory;
pub mod disk;
pub mod store;
