//! The embedded single-machine cluster: a database, data files, and the three servers of 3FS behind an in-process fabric.

pub mod cluster;
pub mod directory;
pub mod disk;
pub mod store;
