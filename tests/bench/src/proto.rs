//! The messages as Protocol Buffers, for prost.
//!
//! Numbers have fixed width where the format offers it: prost reads and writes those fastest. Uuids are two fixed
//! 64-bit numbers, which spares them an allocation. Chunk ids and data are `bytes::Bytes`, which prost can leave in
//! the memory that it decodes from. Fields that every message has are `required`, so that they are no options.
#![allow(missing_docs, reason = "the names are those of flyer-wire")]

use crate::mirror::{Mirror, mirrors};
use flyer_types::Status as OurStatus;
use flyer_types::ids::{ChainId, ChainTableId, ChainTableVersion, NodeId, TargetId};
use flyer_wire::codec::Map;
use flyer_wire::msg::common;
use flyer_wire::msg::meta::{attr, call, inode};
use flyer_wire::msg::mgmtd::{node, routing};
use flyer_wire::msg::storage::{chunk, io};
use prost::bytes::Bytes;
use prost::{Message, Oneof};

mirrors! {
    (Clone, PartialEq, Message)

    StatRsp = attr::StatRsp {
        #[prost(message, required, tag = "1")] base: RspBase,
        #[prost(message, required, tag = "2")] stat: Inode,
    }
    RspBase = call::RspBase {
        #[prost(message, optional, tag = "1")] dummy: Option<Empty>,
    }
    Inode = inode::Inode {
        #[prost(message, required, tag = "1")] base: InodeData,
        #[prost(fixed64, tag = "2")] id: u64,
    }
    InodeData = inode::InodeData {
        #[prost(oneof = "InodeKind", tags = "1, 2, 3")] kind: Option<InodeKind>,
        #[prost(message, required, tag = "4")] acl: Acl,
        #[prost(uint32, tag = "5")] nlink: u32,
        #[prost(sfixed64, tag = "6")] atime: i64,
        #[prost(sfixed64, tag = "7")] ctime: i64,
        #[prost(sfixed64, tag = "8")] mtime: i64,
    }
    Acl = inode::Acl {
        #[prost(fixed32, tag = "1")] uid: u32,
        #[prost(fixed32, tag = "2")] gid: u32,
        #[prost(fixed32, tag = "3")] perm: u32,
        #[prost(fixed32, tag = "4")] iflags: u32,
    }
    File = inode::File {
        #[prost(fixed64, tag = "1")] length: u64,
        #[prost(fixed64, tag = "2")] truncate_ver: u64,
        #[prost(message, required, tag = "3")] layout: Layout,
        #[prost(fixed32, tag = "4")] flags: u32,
        #[prost(fixed32, tag = "5")] dyn_stripe: u32,
    }
    Directory = inode::Directory {
        #[prost(fixed64, tag = "1")] parent: u64,
        #[prost(message, required, tag = "2")] layout: Layout,
        #[prost(bytes = "vec", tag = "3")] name: Vec<u8>,
        #[prost(fixed32, tag = "4")] chain_alloc_counter: u32,
        #[prost(message, optional, tag = "5")] lock: Option<DirectoryLock>,
    }
    DirectoryLock = inode::DirectoryLock {
        #[prost(message, required, tag = "1")] client: ClientId,
    }
    Symlink = inode::Symlink {
        #[prost(bytes = "vec", tag = "1")] target: Vec<u8>,
    }
    Layout = inode::Layout {
        #[prost(fixed32, tag = "1")] table_id: u32,
        #[prost(fixed32, tag = "2")] table_version: u32,
        #[prost(fixed32, tag = "3")] chunk_size: u32,
        #[prost(fixed32, tag = "4")] stripe_size: u32,
        #[prost(oneof = "LayoutChains", tags = "5, 6, 7")] chains: Option<LayoutChains>,
    }
    ChainRange = inode::ChainRange {
        #[prost(fixed32, tag = "1")] base_index: u32,
        #[prost(uint32, tag = "2")] shuffle: u32,
        #[prost(fixed64, tag = "3")] seed: u64,
    }
    ChainList = inode::ChainList {
        #[prost(fixed32, repeated, tag = "1")] chain_indexes: Vec<u32>,
    }

    BatchReadReq = io::BatchReadReq {
        #[prost(message, repeated, tag = "1")] payloads: Vec<ReadIo>,
        #[prost(message, required, tag = "2")] tag: MessageTag,
        #[prost(fixed32, tag = "3")] retry_count: u32,
        #[prost(message, required, tag = "4")] user_info: UserInfo,
        #[prost(fixed32, tag = "5")] feature_flags: u32,
        #[prost(uint32, tag = "6")] checksum_type: u32,
        #[prost(message, required, tag = "7")] debug_flags: DebugFlags,
    }
    ReadIo = io::ReadIo {
        #[prost(fixed32, tag = "1")] offset: u32,
        #[prost(fixed32, tag = "2")] length: u32,
        #[prost(message, required, tag = "3")] key: GlobalKey,
        #[prost(message, required, tag = "4")] rdmabuf: RemoteBuf,
    }
    GlobalKey = chunk::GlobalKey {
        #[prost(message, required, tag = "1")] chain: VersionedChainId,
        #[prost(bytes = "bytes", tag = "2")] chunk_id: Bytes,
    }
    VersionedChainId = chunk::VersionedChainId {
        #[prost(fixed32, tag = "1")] chain_id: u32,
        #[prost(fixed32, tag = "2")] chain_ver: u32,
    }
    MessageTag = io::MessageTag {
        #[prost(message, required, tag = "1")] client_id: ClientId,
        #[prost(fixed64, tag = "2")] request_id: u64,
        #[prost(message, required, tag = "3")] channel: UpdateChannel,
    }
    UpdateChannel = io::UpdateChannel {
        #[prost(uint32, tag = "1")] id: u32,
        #[prost(fixed64, tag = "2")] seqnum: u64,
    }
    DebugFlags = io::DebugFlags {
        #[prost(bool, tag = "1")] inject_random_server_error: bool,
        #[prost(bool, tag = "2")] inject_random_client_error: bool,
        #[prost(uint32, tag = "3")] num_of_inject_pts_before_fail: u32,
    }
    ClientId = common::ClientId {
        #[prost(message, required, tag = "1")] uuid: Uuid,
        #[prost(bytes = "vec", tag = "2")] hostname: Vec<u8>,
    }
    UserInfo = common::UserInfo {
        #[prost(fixed32, tag = "1")] uid: u32,
        #[prost(fixed32, tag = "2")] gid: u32,
        #[prost(fixed32, repeated, tag = "3")] groups: Vec<u32>,
        #[prost(bytes = "vec", tag = "4")] token: Vec<u8>,
    }

    IoResult = io::IoResult {
        #[prost(oneof = "LengthInfo", tags = "1, 2")] length_info: Option<LengthInfo>,
        #[prost(fixed32, tag = "3")] commit_ver: u32,
        #[prost(fixed32, tag = "4")] update_ver: u32,
        #[prost(message, required, tag = "5")] checksum: ChecksumInfo,
        #[prost(fixed32, tag = "6")] commit_chain_ver: u32,
    }
    ChecksumInfo = chunk::ChecksumInfo {
        #[prost(uint32, tag = "1")] kind: u32,
        #[prost(fixed32, tag = "2")] value: u32,
    }
    Status = OurStatus {
        #[prost(uint32, tag = "1")] code: u32,
        #[prost(bytes = "vec", tag = "2")] message: Vec<u8>,
    }

    RoutingInfo = routing::RoutingInfo {
        #[prost(fixed64, tag = "1")] routing_info_version: u64,
        #[prost(bool, tag = "2")] bootstrapping: bool,
        #[prost(message, repeated, tag = "3")] nodes: Vec<NodeEntry>,
        #[prost(message, repeated, tag = "4")] chain_tables: Vec<TableEntry>,
        #[prost(message, repeated, tag = "5")] chains: Vec<ChainEntry>,
        #[prost(message, repeated, tag = "6")] targets: Vec<TargetEntry>,
    }
    NodeInfo = node::NodeInfo {
        #[prost(message, required, tag = "1")] app: AppInfo,
        #[prost(uint32, tag = "2")] kind: u32,
        #[prost(uint32, tag = "3")] status: u32,
        #[prost(sfixed64, tag = "4")] last_heartbeat_ts: i64,
        #[prost(message, repeated, tag = "5")] tags: Vec<TagPair>,
        #[prost(fixed64, tag = "6")] config_version: u64,
        #[prost(uint32, tag = "7")] config_status: u32,
    }
    AppInfo = common::AppInfo {
        #[prost(fixed32, tag = "1")] node_id: u32,
        #[prost(bytes = "vec", tag = "2")] hostname: Vec<u8>,
        #[prost(fixed32, tag = "3")] pid: u32,
        #[prost(message, repeated, tag = "4")] service_groups: Vec<ServiceGroupInfo>,
        #[prost(message, required, tag = "5")] release_version: ReleaseVersion,
        #[prost(bytes = "vec", tag = "6")] podname: Vec<u8>,
    }
    ServiceGroupInfo = common::ServiceGroupInfo {
        #[prost(bytes = "vec", repeated, tag = "1")] services: Vec<Vec<u8>>,
        #[prost(message, repeated, tag = "2")] endpoints: Vec<Address>,
    }
    ReleaseVersion = common::ReleaseVersion {
        #[prost(uint32, tag = "1")] major_version: u32,
        #[prost(uint32, tag = "2")] minor_version: u32,
        #[prost(uint32, tag = "3")] patch_version: u32,
        #[prost(fixed32, tag = "4")] commit_hash_short: u32,
        #[prost(fixed64, tag = "5")] build_time_in_seconds: u64,
        #[prost(fixed32, tag = "6")] build_pipeline_id: u32,
    }
    TagPair = common::TagPair {
        #[prost(bytes = "vec", tag = "1")] key: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] value: Vec<u8>,
    }
    ChainTable = routing::ChainTable {
        #[prost(fixed32, tag = "1")] chain_table_id: u32,
        #[prost(fixed32, tag = "2")] chain_table_version: u32,
        #[prost(fixed32, repeated, tag = "3")] chains: Vec<u32>,
        #[prost(bytes = "vec", tag = "4")] desc: Vec<u8>,
    }
    ChainInfo = routing::ChainInfo {
        #[prost(fixed32, tag = "1")] chain_id: u32,
        #[prost(fixed32, tag = "2")] chain_version: u32,
        #[prost(message, repeated, tag = "3")] targets: Vec<ChainTargetInfo>,
        #[prost(fixed64, repeated, tag = "4")] preferred_target_order: Vec<u64>,
    }
    ChainTargetInfo = routing::ChainTargetInfo {
        #[prost(fixed64, tag = "1")] target_id: u64,
        #[prost(uint32, tag = "2")] public_state: u32,
    }
    TargetInfo = routing::TargetInfo {
        #[prost(fixed64, tag = "1")] target_id: u64,
        #[prost(uint32, tag = "2")] public_state: u32,
        #[prost(uint32, tag = "3")] local_state: u32,
        #[prost(fixed32, tag = "4")] chain_id: u32,
        #[prost(fixed32, optional, tag = "5")] node_id: Option<u32>,
        #[prost(fixed32, optional, tag = "6")] disk_index: Option<u32>,
        #[prost(fixed64, tag = "7")] used_size: u64,
    }
}

/// A field without content.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub struct Uuid {
    #[prost(fixed64, tag = "1")]
    pub high: u64,
    #[prost(fixed64, tag = "2")]
    pub low: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct RemoteBuf {
    #[prost(fixed64, tag = "1")]
    pub addr: u64,
    #[prost(fixed64, tag = "2")]
    pub size: u64,
    #[prost(message, repeated, tag = "3")]
    pub keys: Vec<Key>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Key {
    #[prost(fixed32, tag = "1")]
    pub rkey: u32,
    #[prost(sfixed32, tag = "2")]
    pub device: i32,
}

/// Where a service listens.
#[derive(Clone, PartialEq, Message)]
pub struct Address {
    #[prost(fixed32, tag = "1")]
    pub ip: u32,
    #[prost(uint32, tag = "2")]
    pub port: u32,
    #[prost(uint32, tag = "3")]
    pub kind: u32,
}

/// The answer to a read with its data.
#[derive(Clone, PartialEq, Message)]
pub struct BatchReadRsp {
    #[prost(message, required, tag = "1")]
    pub tag: MessageTag,
    #[prost(message, repeated, tag = "2")]
    pub results: Vec<IoResult>,
    #[prost(bytes = "bytes", tag = "3")]
    pub inlinebuf: Bytes,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum InodeKind {
    #[prost(message, tag = "1")]
    File(File),
    #[prost(message, tag = "2")]
    Directory(Directory),
    #[prost(message, tag = "3")]
    Symlink(Symlink),
}

#[derive(Clone, PartialEq, Oneof)]
pub enum LayoutChains {
    #[prost(message, tag = "5")]
    Empty(Empty),
    #[prost(message, tag = "6")]
    ChainRange(ChainRange),
    #[prost(message, tag = "7")]
    ChainList(ChainList),
}

#[derive(Clone, PartialEq, Oneof)]
pub enum LengthInfo {
    #[prost(fixed32, tag = "1")]
    Length(u32),
    #[prost(message, tag = "2")]
    Failed(Status),
}

/// Pairs of maps.
macro_rules! entries {
    ($($(#[$key_attr:meta])* $name:ident($key:ty) = ($our_key:ty, $our_value:ty) {
        #[$value_attr:meta] $value:ty,
    })*) => {$(
        #[derive(Clone, PartialEq, Message)]
        pub struct $name {
            $(#[$key_attr])*
            pub key: $key,
            #[$value_attr]
            pub value: $value,
        }

        impl Mirror<($our_key, $our_value)> for $name {
            fn of(ours: &($our_key, $our_value)) -> Self {
                Self { key: Mirror::of(&ours.0), value: Mirror::of(&ours.1) }
            }

            fn back(&self) -> ($our_key, $our_value) {
                (self.key.back(), self.value.back())
            }
        }
    )*};
}

entries! {
    #[prost(fixed32, tag = "1")]
    NodeEntry(u32) = (NodeId, node::NodeInfo) { #[prost(message, required, tag = "2")] NodeInfo, }
    #[prost(fixed32, tag = "1")]
    TableEntry(u32) = (ChainTableId, Map<ChainTableVersion, routing::ChainTable>) {
        #[prost(message, repeated, tag = "2")] Vec<TableVersionEntry>,
    }
    #[prost(fixed32, tag = "1")]
    TableVersionEntry(u32) = (ChainTableVersion, routing::ChainTable) {
        #[prost(message, required, tag = "2")] ChainTable,
    }
    #[prost(fixed32, tag = "1")]
    ChainEntry(u32) = (ChainId, routing::ChainInfo) { #[prost(message, required, tag = "2")] ChainInfo, }
    #[prost(fixed64, tag = "1")]
    TargetEntry(u64) = (TargetId, routing::TargetInfo) { #[prost(message, required, tag = "2")] TargetInfo, }
}
