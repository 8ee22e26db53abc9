//! Reading and writing chunks, by clients and along a chain.
//!
//! Source: `src/fbs/storage/Common.h` upstream.

use crate::msg::common::{ClientId, UserInfo};
use crate::msg::open_enums;
use crate::msg::remote_buf::RemoteBuf;
use crate::msg::storage::chunk::{ChecksumInfo, ChecksumType, GlobalKey};
use crate::msg::storage::flags::FeatureFlags;
use alloc::vec::Vec;
use core::fmt;
use flyer_types::ids::{ChainVersion, ChannelId, ChannelSeq, ChunkVersion, NodeId, RequestId, TargetId};
use flyer_types::{Lease, Status, StatusCode, Text};
use flyer_wire_derive::Wire;

open_enums! {
    /// What an update does to a chunk.
    pub UpdateType(u8) {
        /// Not set.
        INVALID = 0, "INVALID";
        /// Writes bytes.
        WRITE = 1, "WRITE";
        /// Removes the chunk.
        REMOVE = 2, "REMOVE";
        /// Sets the length.
        TRUNCATE = 4, "TRUNCATE";
        /// Makes the chunk at least that long.
        EXTEND = 8, "EXTEND";
        /// Never sent.
        COMMIT = 16, "COMMIT";
    }
}

/// Gives an update its place in a client's sequence, so that a retry is applied once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UpdateChannel")]
pub struct UpdateChannel {
    /// The channel; 0 for none.
    pub id: ChannelId,
    /// Position in the channel; strictly grows.
    pub seqnum: ChannelSeq,
}

/// Identifies a logical request over its retries.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::MessageTag")]
pub struct MessageTag {
    /// The client process.
    pub client_id: ClientId,
    /// Number of the logical request; kept over retries.
    pub request_id: RequestId,
    /// Place in the client's sequence of updates; id 0 for reads.
    pub channel: UpdateChannel,
}

/// Fault injection of debug builds; always zero in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::DebugFlags")]
pub struct DebugFlags {
    /// Fail in the server.
    pub inject_random_server_error: bool,
    /// Fail in the client.
    pub inject_random_client_error: bool,
    /// Skip this many places first.
    pub num_of_inject_pts_before_fail: u16,
}

/// Payload inside a message (`UInt8Vector` upstream). The bytes stay in host memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UInt8Vector", summary)]
pub struct InlineData {
    /// Where the bytes are.
    pub data: Lease,
}

/// One read of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::ReadIO")]
pub struct ReadIo {
    /// First byte within the chunk.
    pub offset: u32,
    /// Bytes wanted.
    pub length: u32,
    /// The chunk.
    pub key: GlobalKey,
    /// The requester's memory. For inline reads its size must cover the length all the same.
    pub rdmabuf: RemoteBuf,
}

/// Outcome of one read or update.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::IOResult")]
pub struct IoResult {
    /// Bytes read or written (an extension tells the chunk's length), or why not.
    #[wire(default = Err(Status::from(StatusCode::STORAGE_CLIENT_NOT_INITIALIZED)))]
    pub length_info: Result<u32, Status>,
    /// Newest version known to be on all serving replicas.
    pub commit_ver: ChunkVersion,
    /// Version of the newest update applied.
    pub update_ver: ChunkVersion,
    /// Reads: of the bytes returned, if asked for. Updates: of the whole chunk afterwards.
    pub checksum: ChecksumInfo,
    /// Reads: chain version of the last write. Updates: chain version of the commit, decided by the
    /// tail.
    pub commit_chain_ver: ChainVersion,
}

/// Request of `batchRead` (storage service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::BatchReadReq")]
pub struct BatchReadReq {
    /// The operations.
    pub payloads: Vec<ReadIo>,
    /// Identifies the request.
    pub tag: MessageTag,
    /// How often this was tried before.
    pub retry_count: u32,
    /// Who asks; not checked by storage servers.
    pub user_info: UserInfo,
    /// How data move.
    pub feature_flags: FeatureFlags,
    /// Checksum wanted with the data.
    pub checksum_type: ChecksumType,
    /// Zero in production.
    pub debug_flags: DebugFlags,
}

/// Answer of `batchRead` (storage service, method 1). `tag` holds nothing of use: servers do not copy
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::BatchReadRsp")]
pub struct BatchReadRsp {
    /// Identifies the request.
    pub tag: MessageTag,
    /// One per operation, in order.
    pub results: Vec<IoResult>,
    /// The data of all successful reads, one behind the other in the order of the request, if asked for
    /// inline.
    pub inlinebuf: InlineData,
}

/// One update of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UpdateIO")]
pub struct UpdateIo {
    /// First byte within the chunk.
    pub offset: u32,
    /// Bytes of data; for truncation and extension, the new length.
    pub length: u32,
    /// Bytes of a full chunk of this file.
    pub chunk_size: u32,
    /// The chunk.
    pub key: GlobalKey,
    /// The requester's memory. For inline reads its size must cover the length all the same.
    pub rdmabuf: RemoteBuf,
    /// Version this update makes; 0 from clients, assigned by the head.
    pub update_ver: ChunkVersion,
    /// What it does.
    pub update_type: UpdateType,
    /// Checksum of the data; type `NONE` if the sender did not compute one.
    pub checksum: ChecksumInfo,
    /// The data, if they travel inline.
    pub inlinebuf: InlineData,
}

/// How an update reached this replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UpdateOptions")]
pub struct UpdateOptions {
    /// Whether the receiver is being resynchronised.
    pub is_syncing: bool,
    /// Whether it came from a client.
    pub from_client: bool,
    /// Chain version to store with the content.
    pub commit_chain_ver: ChainVersion,
}

/// Request of `write` (storage service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::WriteReq")]
pub struct WriteReq {
    /// The update.
    pub payload: UpdateIo,
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

/// Answer of `write` (storage service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::WriteRsp")]
pub struct WriteRsp {
    /// Identifies the request.
    pub tag: MessageTag,
    /// The outcome.
    pub result: IoResult,
}

/// Request of `update` (storage service, method 3). Sent along a chain, never by clients.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UpdateReq")]
pub struct UpdateReq {
    /// The update.
    pub payload: UpdateIo,
    /// How it got here.
    pub options: UpdateOptions,
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

/// Answer of `update` (storage service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::UpdateRsp")]
pub struct UpdateRsp {
    /// Identifies the request.
    pub tag: MessageTag,
    /// The outcome.
    pub result: IoResult,
}

/// A commit, as it is traced.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::CommitIO")]
pub struct CommitIo {
    /// The chunk.
    pub key: GlobalKey,
    /// Version committed.
    pub commit_ver: ChunkVersion,
    /// Whether the receiver is being resynchronised.
    pub is_syncing: bool,
    /// Chain version of the commit.
    pub commit_chain_ver: ChainVersion,
    /// Whether the update removed the chunk.
    pub is_remove: bool,
    /// Whatever the state.
    pub is_force: bool,
}

/// An update and its outcome, as it is traced by storage servers.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::storage::StorageEventTrace")]
pub struct StorageEventTrace {
    /// Cluster the sender belongs to; a manager of another one refuses.
    pub cluster_id: Text,
    /// The node.
    pub node_id: NodeId,
    /// The target.
    pub target_id: TargetId,
    /// The update.
    pub update_req: UpdateReq,
    /// Its outcome.
    pub update_res: IoResult,
    /// Outcome at the successor.
    pub forward_res: IoResult,
    /// The commit.
    #[wire(name = "commitIO")]
    pub commit_io: CommitIo,
    /// Its outcome.
    pub commit_res: IoResult,
}

impl fmt::Display for InlineData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.data.len)
    }
}
