//! Calls on targets: resynchronisation, space, creation, inspection.
//!
//! Source: `src/fbs/storage/Common.h` upstream.

use crate::codec::{Size, Void};
use crate::msg::mgmtd::node::NodeInfo;
use crate::msg::mgmtd::routing::{LocalTargetState, PublicTargetState, TargetInfo};
use crate::msg::storage::chunk::{ChunkMeta, ChunkMetadata, VersionedChainId};
use crate::msg::storage::chunk_id::ChunkId;
use crate::msg::storage::flags::CHUNK_SIZES_DEFAULT;
use crate::msg::storage::io::{IoResult, MessageTag};
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, TargetId};
use flyer_types::{Status, StatusCode, Text};
use flyer_wire_derive::Wire;

/// Request of `syncStart` (storage service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SyncStartReq")]
pub struct SyncStartReq {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
}

/// Answer of `syncStart` (storage service, method 8).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::TargetSyncInfo")]
pub struct TargetSyncInfo {
    /// The chunks, highest first.
    pub metas: Vec<ChunkMeta>,
}

/// Request of `syncDone` (storage service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SyncDoneReq")]
pub struct SyncDoneReq {
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
}

/// Answer of `syncDone` (storage service, method 9).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SyncDoneRsp")]
pub struct SyncDoneRsp {
    /// The outcome.
    pub result: IoResult,
}

/// Space on one disk.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SpaceInfo")]
pub struct SpaceInfo {
    /// Where the disk is mounted.
    pub path: Text,
    /// Bytes in total.
    pub capacity: u64,
    /// Bytes free.
    pub free: u64,
    /// Bytes free to use.
    pub available: u64,
    /// Targets on the disk.
    pub target_ids: Vec<TargetId>,
    /// Maker of the disk.
    pub manufacturer: Text,
}

/// Request of `spaceInfo` (storage service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SpaceInfoReq")]
pub struct SpaceInfoReq {
    /// Identifies the request.
    pub tag: MessageTag,
    /// Do not answer from a cache.
    pub force: bool,
}

/// Answer of `spaceInfo` (storage service, method 10).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::SpaceInfoRsp")]
pub struct SpaceInfoRsp {
    /// One per disk.
    pub space_infos: Vec<SpaceInfo>,
}

/// Request of `createTarget` (storage service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::CreateTargetReq")]
pub struct CreateTargetReq {
    /// The target.
    pub target_id: TargetId,
    /// Number of the disk on its node.
    pub disk_index: u32,
    /// Files of the old engine per chunk size.
    #[wire(default = 256)]
    pub physical_file_count: u32,
    /// Chunk sizes the target can hold, in bytes.
    #[wire(default = CHUNK_SIZES_DEFAULT.to_vec())]
    pub chunk_size_list: Vec<Size>,
    /// Succeed if the target exists.
    #[wire(default = true)]
    pub allow_existing_target: bool,
    /// The chain.
    pub chain_id: ChainId,
    /// Add the chunk sizes to an existing target.
    pub add_chunk_size: bool,
    /// Use the new engine only.
    pub only_chunk_engine: bool,
}

/// Answer of `createTarget` (storage service, method 11).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::CreateTargetRsp")]
pub struct CreateTargetRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `offlineTarget` (storage service, method 16).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::OfflineTargetReq")]
pub struct OfflineTargetReq {
    /// The target.
    pub target_id: TargetId,
    /// Do it whatever the state.
    pub force: bool,
}

/// Answer of `offlineTarget` (storage service, method 16).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::OfflineTargetRsp")]
pub struct OfflineTargetRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `removeTarget` (storage service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveTargetReq")]
pub struct RemoveTargetReq {
    /// The target.
    pub target_id: TargetId,
    /// Do it whatever the state.
    pub force: bool,
}

/// Answer of `removeTarget` (storage service, method 17).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::RemoveTargetRsp")]
pub struct RemoveTargetRsp {
    /// Nothing.
    pub dummy: Void,
}

/// The next target of a chain, and its node.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::Successor")]
pub struct Successor {
    /// Its node.
    pub node_info: NodeInfo,
    /// The target.
    pub target_info: TargetInfo,
}

/// A target as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::Target")]
pub struct Target {
    /// The target.
    pub target_id: TargetId,
    /// Directory of the target.
    pub path: Text,
    /// Its disk failed.
    pub disk_error: bool,
    /// Its disk is nearly full.
    pub low_space: bool,
    /// Takes no new chunks.
    pub reject_create_chunk: bool,
    /// First of its chain.
    pub is_head: bool,
    /// Last of its chain.
    pub is_tail: bool,
    /// The chain.
    #[wire(name = "vChainId")]
    pub chain: VersionedChainId,
    /// State as its server sees it.
    pub local_state: LocalTargetState,
    /// State as the manager publishes it.
    pub public_state: PublicTargetState,
    /// The next of its chain.
    pub successor: Option<Successor>,
    /// Number of the disk on its node.
    pub disk_index: u32,
    /// The chain.
    pub chain_id: ChainId,
    /// Taken offline by an administrator.
    pub offline_upon_user_request: bool,
    /// Uses the new engine.
    pub use_chunk_engine: bool,
}

/// Request of `queryChunk` (storage service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryChunkReq")]
pub struct QueryChunkReq {
    /// The chain.
    pub chain_id: ChainId,
    /// The chunk.
    pub chunk_id: ChunkId,
}

/// Answer of `queryChunk` (storage service, method 12).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::QueryChunkRsp")]
pub struct QueryChunkRsp {
    /// The target that answered.
    pub target: Target,
    /// Its metadata.
    #[wire(default = Err(Status::from(StatusCode::INVALID_ARG)))]
    pub meta: Result<ChunkMetadata, Status>,
}

/// Request of `getAllChunkMetadata` (storage service, method 13).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::GetAllChunkMetadataReq")]
pub struct GetAllChunkMetadataReq {
    /// The target.
    pub target_id: TargetId,
}

/// Answer of `getAllChunkMetadata` (storage service, method 13).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::GetAllChunkMetadataRsp")]
pub struct GetAllChunkMetadataRsp {
    /// The chunks, highest first.
    pub chunk_meta_vec: Vec<ChunkMeta>,
}
