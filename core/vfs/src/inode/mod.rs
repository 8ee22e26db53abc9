//! The table of inodes that the kernel knows.

use alloc::collections::BTreeMap;
use flyer_types::ids::InodeId;

/// What a shard knows of one inode.
#[derive(Debug)]
pub(crate) struct Record {
    /// References that the kernel holds.
    pub(crate) lookups: u64,
}

/// All inodes of a shard.
#[derive(Debug)]
pub(crate) struct Inodes {
    records: BTreeMap<InodeId, Record>,
}

impl Inodes {
    pub(crate) fn new() -> Self {
        Self {
            records: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn check(&self) {}
}
