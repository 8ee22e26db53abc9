//! Requests that change no chunk and read no data.
//!
//! Owner: [`StorageServer`]. Answered at once, from what is committed.
//!
//! Limits: [`OPERATIONS_PER_REQUEST_MAX`], [`QUERIED_CHUNKS_MAX`], [`LISTED_CHUNKS_MAX`].

use super::StorageServer;
use super::answers;
use super::keys::{self, ChunkKey};
use super::options::limits::{LISTED_CHUNKS_MAX, OPERATIONS_PER_REQUEST_MAX, QUERIED_CHUNKS_MAX};
use super::record::Record;
use super::targets::Target as LocalTarget;
use crate::store::{Store, StoreError, prefix_end};
use alloc::vec;
use alloc::vec::Vec;
use flyer_types::ids::{TargetId, Uuid};
use flyer_types::{Status, StatusCode, Text};
use flyer_wire::codec::{Size, Void, Wire};
use flyer_wire::msg::mgmtd::routing::{LocalTargetInfo, LocalTargetState, PublicTargetState};
use flyer_wire::msg::storage::chunk::{ChunkFileId, ChunkMeta, ChunkMetadata, ChunkState, RecycleState};
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::range::{
    QueryLastChunkOp, QueryLastChunkReq, QueryLastChunkResult, QueryLastChunkRsp,
};
use flyer_wire::msg::storage::target::{
    CreateTargetReq, CreateTargetRsp, GetAllChunkMetadataReq, GetAllChunkMetadataRsp, OfflineTargetReq,
    OfflineTargetRsp, QueryChunkReq, QueryChunkRsp, SpaceInfo, SpaceInfoRsp, Target,
};
use flyer_wire::service::storage::Response;

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    pub(super) fn query_last_chunk(&self, request: &QueryLastChunkReq) -> Result<Response, Status> {
        if request.payloads.len() > OPERATIONS_PER_REQUEST_MAX {
            let why = "too many operations in one request";
            return Err(Status::with_message(StatusCode::INVALID_ARG, why));
        }
        let results = request.payloads.iter().map(|op| {
            self.last_chunk(op).unwrap_or_else(|status| QueryLastChunkResult {
                status_code: Err(status),
                ..QueryLastChunkResult::initial()
            })
        });
        Ok(Response::QueryLastChunk(QueryLastChunkRsp {
            results: results.collect(),
        }))
    }

    fn last_chunk(&self, op: &QueryLastChunkOp) -> Result<QueryLastChunkResult, Status> {
        let (target, _) = self.targets.find(op.chain)?;
        let range = &op.chunk_id_range;
        let wanted = match range.max_num_chunk_ids_to_process {
            0 => QUERIED_CHUNKS_MAX,
            wanted => wanted.min(QUERIED_CHUNKS_MAX),
        };
        let mut result = QueryLastChunkResult {
            status_code: Ok(Void),
            ..QueryLastChunkResult::initial()
        };
        let (from, to) = (
            keys::record(target, range.begin.as_bytes()),
            keys::record(target, range.end.as_bytes()),
        );
        self.records_downwards(&from, &to, |chunk, record| {
            if result.total_num_chunks == u64::from(wanted) {
                result.more_chunks_in_range = true;
                return false;
            }
            if result.total_num_chunks == 0 {
                result.last_chunk_id = chunk;
                result.last_chunk_len = record.length;
            }
            result.total_num_chunks += 1;
            result.total_chunk_len += u64::from(record.length);
            true
        })?;
        Ok(result)
    }

    /// Shows records, highest chunk first.
    fn records_downwards(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(ChunkId, &Record) -> bool,
    ) -> Result<(), Status> {
        let mut is_sound = true;
        let read = self.store.scan_reverse(from, to, &mut |key, value| match (
            ChunkKey::of(key),
            Record::of(value),
        ) {
            (Some(key), Some(record)) => visit(key.chunk, &record),
            (None, _) | (_, None) => {
                is_sound = false;
                false
            }
        });
        read.map_err(answers::unreadable)?;
        match is_sound {
            true => Ok(()),
            false => Err(answers::unreadable(StoreError::Corrupt(
                "the record of a chunk cannot be read".into(),
            ))),
        }
    }

    pub(super) fn query_chunk(&self, request: &QueryChunkReq) -> Result<Response, Status> {
        let (id, target) = self.targets.find_any_version(request.chain_id)?;
        let meta = match request.chunk_id.is_empty() {
            true => Err(Status::new(StatusCode::INVALID_ARG)),
            false => self.metadata(id, &request.chunk_id),
        };
        Ok(Response::QueryChunk(QueryChunkRsp {
            target: self.describe(id, target),
            meta,
        }))
    }

    fn metadata(&self, target: TargetId, chunk: &ChunkId) -> Result<ChunkMetadata, Status> {
        let key = keys::record(target, chunk.as_bytes());
        let bytes = self.store.get(&key).map_err(answers::unreadable)?;
        let bytes = bytes.ok_or(StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND)?;
        let record = Record::of(&bytes).ok_or(StatusCode::STORAGE_CHUNK_METADATA_UNPACK_ERROR)?;
        let block_bytes = record.place.map_or(0, |place| place.block_bytes);
        let index = record.place.map_or(0, |place| place.index);
        Ok(ChunkMetadata {
            commit_ver: record.commit_ver,
            update_ver: record.update_ver,
            chain_ver: record.chain_ver,
            size: record.length,
            chunk_state: ChunkState::COMMIT,
            recycle_state: RecycleState::NORMAL,
            checksum_type: record.checksum.kind,
            checksum_value: record.checksum.value,
            last_node_id: 0,
            last_request_id: record.request,
            inner_offset: Size(index.saturating_mul(u64::from(block_bytes))),
            inner_file_id: ChunkFileId {
                chunk_size: block_bytes,
                chunk_idx: 0,
            },
            last_client_uuid: Uuid::ZERO,
            timestamp: record.timestamp,
        })
    }

    fn describe(&self, id: TargetId, target: &LocalTarget) -> Target {
        Target {
            target_id: id,
            path: self.options.path.clone(),
            disk_error: false,
            low_space: false,
            reject_create_chunk: false,
            is_head: target.is_head,
            is_tail: target.is_tail(),
            chain: target.versioned_chain(),
            local_state: target.local,
            public_state: target.public,
            successor: None,
            disk_index: 0,
            chain_id: target.chain,
            offline_upon_user_request: target.offline_upon_request,
            use_chunk_engine: true,
        }
    }

    pub(super) fn all_metadata(&self, request: &GetAllChunkMetadataReq) -> Result<Response, Status> {
        let id = request.target_id;
        let target = self.targets.get(id).ok_or(StatusCode::STORAGE_TARGET_NOT_FOUND)?;
        if target.public != PublicTargetState::SERVING || target.local != LocalTargetState::UPTODATE {
            return Err(Status::new(StatusCode::STORAGE_CLIENT_NOT_AVAILABLE));
        }
        let from = keys::record(id, &[]);
        let to = prefix_end(&from).expect("the prefix has bytes below ff");
        let mut metas = Vec::new();
        let mut is_too_long = false;
        self.records_downwards(&from, &to, |chunk_id, record| {
            is_too_long = metas.len() == LISTED_CHUNKS_MAX;
            metas.push(ChunkMeta {
                chunk_id,
                update_ver: record.update_ver,
                commit_ver: record.commit_ver,
                chain_ver: record.chain_ver,
                chunk_state: ChunkState::COMMIT,
                checksum: record.checksum,
                length: record.length,
            });
            !is_too_long
        })?;
        if is_too_long {
            return Err(Status::new(StatusCode::STORAGE_BUFFER_SIZE_EXCEEDED));
        }
        Ok(Response::GetAllChunkMetadata(GetAllChunkMetadataRsp {
            chunk_meta_vec: metas,
        }))
    }

    pub(super) fn space_info(&self) -> Response {
        let (capacity, available) = self.space.now();
        let info = SpaceInfo {
            path: self.options.path.clone(),
            capacity,
            free: available.saturating_add(self.blocks.freed_bytes()).min(capacity),
            available,
            target_ids: self.targets.ids(),
            manufacturer: Text::default(),
        };
        Response::SpaceInfo(SpaceInfoRsp {
            space_infos: vec![info],
        })
    }

    pub(super) fn create_target(&mut self, request: &CreateTargetReq) -> Result<Response, Status> {
        if request.disk_index != 0 {
            return Err(Status::with_message(
                StatusCode::INVALID_ARG,
                "the node has one disk",
            ));
        }
        let (id, chain, may_exist) = (request.target_id, request.chain_id, request.allow_existing_target);
        self.targets.create(id, chain, may_exist, &mut self.store)?;
        Ok(Response::CreateTarget(CreateTargetRsp { dummy: Void }))
    }

    pub(super) fn offline_target(&mut self, request: &OfflineTargetReq) -> Result<Response, Status> {
        self.targets.take_offline(request.target_id, request.force)?;
        Ok(Response::OfflineTarget(OfflineTargetRsp { dummy: Void }))
    }

    /// What the node's heartbeat says of its targets.
    pub fn local_targets(&self) -> Vec<LocalTargetInfo> {
        let (capacity, free) = self.space.now();
        let targets = self.targets.iter().map(|(target_id, target)| LocalTargetInfo {
            target_id,
            local_state: target.local,
            disk_index: Some(0),
            used_size: capacity - free.min(capacity),
            chain_version: target.chain_ver,
            low_space: false,
        });
        targets.collect()
    }
}
