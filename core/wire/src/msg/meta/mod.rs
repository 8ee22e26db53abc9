//! The metadata service's messages.

pub mod access;
pub mod attr;
pub mod call;
pub mod file;
pub mod flags;
pub mod inode;
pub mod namespace;
