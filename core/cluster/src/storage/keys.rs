//! Keys of the storage server in its store.
//!
//! | bytes | value |
//! |---|---|
//! | `SCHK` + target (8, big endian) + chunk id | [`Record`](super::record::Record) |
//! | `SMOV` + target (8, big endian) + chunk id | the [`Record`](super::record::Record) of the block that is [kept](super::moves) |
//! | `SGRP` + log2 of the block size (1) + group (4, big endian) | [`Group`](super::group::Group) |
//! | `STGT` + target (8, big endian) | chain (4, little endian) |
//! | `SEPO` | [`Epochs`](super::epochs::Epochs) |
//!
//! The order of records is that of chunk ids, so a range of chunks is a range of keys.

use alloc::vec::Vec;
use flyer_types::ids::TargetId;
use flyer_wire::msg::storage::chunk_id::ChunkId;

/// Begins the keys of records.
pub(super) const RECORD: &[u8; 4] = b"SCHK";
/// Begins the keys of kept records.
pub(super) const MOVE: &[u8; 4] = b"SMOV";
/// Begins the keys of groups of blocks.
pub(super) const GROUP: &[u8; 4] = b"SGRP";
/// Begins the keys of targets.
pub(super) const TARGET: &[u8; 4] = b"STGT";
/// The key of the epochs.
pub(super) const EPOCHS: &[u8; 4] = b"SEPO";

/// Bytes of a record's key in front of the chunk id.
const RECORD_PREFIX_BYTES: usize = 12;

/// A chunk of a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkKey {
    /// The target.
    pub(super) target: TargetId,
    /// The chunk.
    pub(super) chunk: ChunkId,
}

impl ChunkKey {
    /// The key of its record.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        record(self.target, self.chunk.as_bytes())
    }

    /// The key of the record that is kept beside it.
    pub(super) fn to_move_bytes(&self) -> Vec<u8> {
        join(MOVE, self.target, self.chunk.as_bytes())
    }

    /// The chunk that the key of a kept record names; `None` if it is not such a key.
    pub(super) fn of_move(key: &[u8]) -> Option<Self> {
        Self::behind(key.strip_prefix(MOVE)?)
    }

    /// The chunk that a record's key names; `None` if it is not such a key.
    pub(super) fn of(key: &[u8]) -> Option<Self> {
        Self::behind(key.strip_prefix(RECORD)?)
    }

    fn behind(key: &[u8]) -> Option<Self> {
        let (target, chunk) = key.split_first_chunk::<8>()?;
        Some(Self {
            target: TargetId(u64::from_be_bytes(*target)),
            chunk: ChunkId::new(chunk),
        })
    }
}

/// The key of a record.
pub(super) fn record(target: TargetId, chunk: &[u8]) -> Vec<u8> {
    join(RECORD, target, chunk)
}

fn join(prefix: &[u8; 4], target: TargetId, chunk: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(RECORD_PREFIX_BYTES + chunk.len());
    key.extend_from_slice(prefix);
    key.extend_from_slice(&target.0.to_be_bytes());
    key.extend_from_slice(chunk);
    key
}

/// The key of a group of blocks.
pub(super) fn group(block_bytes: u32, group: u32) -> Vec<u8> {
    let mut key = GROUP.to_vec();
    // Fewer than 32 bits: no truncation.
    key.extend_from_slice(&block_bytes.trailing_zeros().to_be_bytes()[3..]);
    key.extend_from_slice(&group.to_be_bytes());
    key
}

/// Block size and number of the group that a key names; `None` if it is not such a key.
pub(super) fn split_group(key: &[u8]) -> Option<(u32, u32)> {
    let [log2, number @ ..] = key.strip_prefix(GROUP)? else {
        return None;
    };
    let block_bytes = 1u32.checked_shl(u32::from(*log2))?;
    Some((block_bytes, u32::from_be_bytes(number.try_into().ok()?)))
}

/// The key of a target.
pub(super) fn target(target: TargetId) -> Vec<u8> {
    let mut key = TARGET.to_vec();
    key.extend_from_slice(&target.0.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_taken_apart_and_keep_the_order_of_chunks() {
        let key = |target, chunk: &[u8]| ChunkKey {
            target: TargetId(target),
            chunk: ChunkId::new(chunk),
        };
        let sorted = [key(1, b"a"), key(1, b"a\0"), key(1, b"b"), key(256, b"")];
        assert!(sorted.is_sorted());
        assert!(sorted.iter().map(ChunkKey::to_bytes).is_sorted());
        for chunk in sorted {
            assert_eq!(ChunkKey::of_move(&chunk.to_move_bytes()).as_ref(), Some(&chunk));
            assert_eq!(ChunkKey::of(&chunk.to_bytes()), Some(chunk));
        }
        assert_eq!(ChunkKey::of(b"SCHK123"), None);
        assert_eq!(ChunkKey::of(&target(TargetId(1))), None);
        assert_eq!(split_group(&group(4096, 7)), Some((4096, 7)));
        assert_eq!(split_group(b"SGRP"), None);
        assert_eq!(split_group(b"SGRP\xff\0\0\0\0"), None);
    }
}
