//! The three servers of an embedded cluster in one process.

pub mod bootstrap;
