//! Chunks: their names, versions, checksums and metadata.
//!
//! Source: `src/fbs/storage/Common.h` upstream. Mind the order traps: [`ChunkMeta`] has the update version before the commit
//! version, [`IoResult`](super::io::IoResult) and [`ChunkMetadata`] the other way round.

use crate::checksum::{self, Crc};
use crate::codec::Size;
use crate::msg::open_enums;
use crate::msg::storage::chunk_id::ChunkId;
use flyer_types::StatusCode;
use flyer_types::WallTime;
use flyer_types::ids::{ChainId, ChainVersion, ChunkVersion, RequestId, Uuid};
use flyer_wire_derive::Wire;

open_enums! {
    /// Checksum algorithm.
    pub ChecksumType(u8) {
        /// No checksum.
        NONE = 0, "NONE";
        /// CRC-32C (Castagnoli).
        CRC32C = 1, "CRC32C";
        /// CRC-32 (IEEE).
        CRC32 = 2, "CRC32";
    }

    /// State of a chunk's content.
    pub ChunkState(u8) {
        /// Committed.
        COMMIT = 0, "COMMIT";
        /// An update was interrupted.
        DIRTY = 1, "DIRTY";
        /// Updated, not committed.
        CLEAN = 2, "CLEAN";
    }

    /// Whether a chunk is being removed.
    pub RecycleState(u8) {
        /// In use.
        NORMAL = 0, "NORMAL";
        /// Being removed.
        REMOVAL_IN_PROGRESS = 1, "REMOVAL_IN_PROGRESS";
        /// Being removed, again.
        REMOVAL_IN_RETRYING = 2, "REMOVAL_IN_RETRYING";
    }
}

/// A checksum as the raw register: no final inversion. See [`crate::checksum`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ChecksumInfo")]
pub struct ChecksumInfo {
    /// The algorithm.
    #[wire(name = "type")]
    pub kind: ChecksumType,
    /// The raw register; 0 for type `NONE`.
    pub value: u32,
}

/// A chain, and the version of its membership that the sender knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::VersionedChainId")]
pub struct VersionedChainId {
    /// The chain.
    pub chain_id: ChainId,
    /// The version the sender knows; servers refuse any other than theirs.
    pub chain_ver: ChainVersion,
}

/// A chunk in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::GlobalKey")]
pub struct GlobalKey {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
    /// The chunk.
    pub chunk_id: ChunkId,
}

/// Chunks `begin <= id < end`.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ChunkIdRange")]
pub struct ChunkIdRange {
    /// First id of the range.
    pub begin: ChunkId,
    /// End of the range, not included.
    pub end: ChunkId,
    /// Chunks to look at, at most; 0 for no limit (clients must not send 0 for removals).
    pub max_num_chunk_ids_to_process: u32,
}

/// Where the old engine keeps a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ChunkFileId")]
pub struct ChunkFileId {
    /// Bytes of a chunk in that file.
    pub chunk_size: u32,
    /// Index within the file.
    pub chunk_idx: u32,
}

/// A chunk as replicas tell each other.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ChunkMeta")]
pub struct ChunkMeta {
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Version of the newest update applied.
    pub update_ver: ChunkVersion,
    /// Newest version known to be on all serving replicas.
    pub commit_ver: ChunkVersion,
    /// Chain version under which the content was written.
    pub chain_ver: ChainVersion,
    /// Whether the content is committed.
    pub chunk_state: ChunkState,
    /// Checksum of the whole chunk.
    pub checksum: ChecksumInfo,
    /// Length in bytes.
    pub length: u32,
}

/// A chunk as an engine stores it.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ChunkMetadata")]
pub struct ChunkMetadata {
    /// Newest version known to be on all serving replicas.
    pub commit_ver: ChunkVersion,
    /// Version of the newest update applied.
    pub update_ver: ChunkVersion,
    /// Chain version under which the content was written.
    pub chain_ver: ChainVersion,
    /// Length in bytes.
    pub size: u32,
    /// Whether the content is committed.
    pub chunk_state: ChunkState,
    /// Whether it is being removed.
    pub recycle_state: RecycleState,
    /// Algorithm of the stored checksum.
    pub checksum_type: ChecksumType,
    /// The stored checksum.
    pub checksum_value: u32,
    /// Node of the last update.
    pub last_node_id: u16,
    /// Request of the last update.
    pub last_request_id: RequestId,
    /// Offset there.
    pub inner_offset: Size,
    /// Where the old engine keeps it.
    pub inner_file_id: ChunkFileId,
    /// Client of the last update.
    pub last_client_uuid: Uuid,
    /// When it was last updated.
    pub timestamp: WallTime,
}

impl ChecksumInfo {
    /// The checksum of `bytes`; `None` for an algorithm this side does not know.
    #[must_use]
    pub fn of(kind: ChecksumType, bytes: &[u8]) -> Option<Self> {
        let value = match kind {
            ChecksumType::NONE => 0,
            ChecksumType::CRC32C => checksum::raw(Crc::Crc32c, checksum::DATA_START, bytes),
            ChecksumType::CRC32 => checksum::raw(Crc::Crc32, checksum::DATA_START, bytes),
            _ => return None,
        };
        Some(Self { kind, value })
    }

    /// The checksum of the bytes of `self` followed by the `next_bytes` bytes of `next`.
    ///
    /// # Errors
    /// `Storage::ChecksumMismatch` if the two are of different kinds.
    pub fn followed_by(self, next: Self, next_bytes: u64) -> Result<Self, StatusCode> {
        if next_bytes == 0 && (self.kind == next.kind || self.kind == ChecksumType::NONE) {
            return Ok(self);
        }
        if self.kind == ChecksumType::NONE {
            return Ok(next);
        }
        let crc = match self.kind {
            kind if kind != next.kind => return Err(StatusCode::STORAGE_CHECKSUM_MISMATCH),
            ChecksumType::CRC32C => Crc::Crc32c,
            ChecksumType::CRC32 => Crc::Crc32,
            _ => return Err(StatusCode::STORAGE_CHECKSUM_MISMATCH),
        };
        let value = checksum::concat(crc, self.value, next.value, next_bytes, checksum::DATA_START);
        Ok(Self {
            kind: self.kind,
            value,
        })
    }
}
