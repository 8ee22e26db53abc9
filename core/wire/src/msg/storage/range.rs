//! Calls on ranges of chunks: the last chunk, truncation, removal.
//!
//! Source: `src/fbs/storage/Common.h` upstream.

use crate::codec::Void;
use crate::msg::common::UserInfo;
use crate::msg::storage::chunk::{ChunkIdRange, VersionedChainId};
use crate::msg::storage::chunk_id::ChunkId;
use crate::msg::storage::flags::FeatureFlags;
use crate::msg::storage::io::{DebugFlags, IoResult, MessageTag};
use alloc::vec::Vec;
use flyer_types::{Status, StatusCode};
use flyer_wire_derive::Wire;

/// Asks for the last chunk of one range.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryLastChunkOp")]
pub struct QueryLastChunkOp {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
    /// The chunks.
    pub chunk_id_range: ChunkIdRange,
}

/// Request of `queryLastChunk` (storage service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryLastChunkReq")]
pub struct QueryLastChunkReq {
    /// The operations.
    pub payloads: Vec<QueryLastChunkOp>,
    /// Identifies the request.
    pub tag: MessageTag,
    /// How often this was tried before.
    pub retry_count: u32,
    /// Who asks; not checked by storage servers.
    pub user_info: UserInfo,
    /// How data move.
    pub feature_flags: FeatureFlags,
    /// Zero in production.
    pub debug_flags: DebugFlags,
}

/// Outcome of one query. The counters of a failed query mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryLastChunkResult")]
pub struct QueryLastChunkResult {
    /// How it went.
    #[wire(default = Err(Status::from(StatusCode::STORAGE_CLIENT_NOT_INITIALIZED)))]
    pub status_code: Result<Void, Status>,
    /// The highest id in the range; empty if there is none.
    pub last_chunk_id: ChunkId,
    /// Its length in bytes.
    pub last_chunk_len: u32,
    /// Sum of the lengths looked at, in bytes.
    pub total_chunk_len: u64,
    /// Number of chunks looked at.
    pub total_num_chunks: u64,
    /// Whether the range has more chunks than were looked at.
    pub more_chunks_in_range: bool,
}

/// Answer of `queryLastChunk` (storage service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryLastChunkRsp")]
pub struct QueryLastChunkRsp {
    /// One per operation, in order.
    pub results: Vec<QueryLastChunkResult>,
}

/// Sets the length of one chunk, creating it if it is missing.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::TruncateChunkOp")]
pub struct TruncateChunkOp {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
    /// The chunk.
    pub chunk_id: ChunkId,
    /// Length of the chunk afterwards, in bytes.
    pub chunk_len: u32,
    /// Bytes of a full chunk of this file.
    pub chunk_size: u32,
    /// Never shorten.
    pub only_extend_chunk: bool,
    /// Identifies the request.
    pub tag: MessageTag,
    /// How often this was tried before.
    pub retry_count: u32,
}

/// Request of `truncateChunks` (storage service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::TruncateChunksReq")]
pub struct TruncateChunksReq {
    /// The operations.
    pub payloads: Vec<TruncateChunkOp>,
    /// Who asks; not checked by storage servers.
    pub user_info: UserInfo,
    /// How data move.
    pub feature_flags: FeatureFlags,
    /// Zero in production.
    pub debug_flags: DebugFlags,
}

/// Answer of `truncateChunks` (storage service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::TruncateChunksRsp")]
pub struct TruncateChunksRsp {
    /// One per operation, in order.
    pub results: Vec<IoResult>,
}

/// Removes the chunks of one range, highest first.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveChunksOp")]
pub struct RemoveChunksOp {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
    /// The chunks.
    pub chunk_id_range: ChunkIdRange,
    /// Identifies the request.
    pub tag: MessageTag,
    /// How often this was tried before.
    pub retry_count: u32,
}

/// Request of `removeChunks` (storage service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveChunksReq")]
pub struct RemoveChunksReq {
    /// The operations.
    pub payloads: Vec<RemoveChunksOp>,
    /// Who asks; not checked by storage servers.
    pub user_info: UserInfo,
    /// How data move.
    pub feature_flags: FeatureFlags,
    /// Zero in production.
    pub debug_flags: DebugFlags,
}

/// Outcome of one removal. Use `more_chunks_in_range`, not the count, to decide whether to go on.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveChunksResult")]
pub struct RemoveChunksResult {
    /// How it went.
    #[wire(default = Err(Status::from(StatusCode::STORAGE_CLIENT_NOT_INITIALIZED)))]
    pub status_code: Result<Void, Status>,
    /// Chunks removed.
    pub num_chunks_removed: u32,
    /// Whether the range has more chunks than were looked at.
    pub more_chunks_in_range: bool,
}

/// Answer of `removeChunks` (storage service, method 7).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveChunksRsp")]
pub struct RemoveChunksRsp {
    /// One per operation, in order.
    pub results: Vec<RemoveChunksResult>,
}
