//! The messages as plain structs, for postcard (by `serde`) and bincode (by its own derive).
//!
//! Memory strategies are those of `flyer-wire`: byte strings without a check, chunk ids of 16 bytes and keys of remote
//! memory without an allocation. Byte strings and uuids go through the peers' paths for bytes, not element by element.
#![allow(
    missing_docs,
    clippy::wildcard_enum_match_arm,
    reason = "the names are those of flyer-wire"
)]

use crate::bytes::{Bytes, ChunkId, Keys, Uuid};
use crate::mirror::{Mirror, mirrors};
use bincode::{Decode, Encode};
use flyer_types::Status as OurStatus;
use flyer_wire::codec::Void;
use flyer_wire::msg::meta::{attr, call, flags::EmptyChains, inode};
use flyer_wire::msg::mgmtd::{node, routing};
use flyer_wire::msg::storage::{chunk, io};
use flyer_wire::msg::{common, remote_buf};
use serde::{Deserialize, Serialize};

mirrors! {
    (Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)

    RspBase = call::RspBase { dummy: (), }
    StatRsp = attr::StatRsp { base: RspBase, stat: Inode, }
    Inode = inode::Inode { base: InodeData, id: u64, }
    InodeData = inode::InodeData { kind: InodeKind, acl: Acl, nlink: u16, atime: i64, ctime: i64, mtime: i64, }
    Acl = inode::Acl { uid: u32, gid: u32, perm: u32, iflags: u32, }
    File = inode::File { length: u64, truncate_ver: u64, layout: Layout, flags: u32, dyn_stripe: u32, }
    Directory = inode::Directory {
        parent: u64, layout: Layout, name: Bytes, chain_alloc_counter: u32, lock: Option<DirectoryLock>,
    }
    DirectoryLock = inode::DirectoryLock { client: ClientId, }
    Symlink = inode::Symlink { target: Bytes, }
    Layout = inode::Layout {
        table_id: u32, table_version: u32, chunk_size: u32, stripe_size: u32, chains: LayoutChains,
    }
    ChainRange = inode::ChainRange { base_index: u32, shuffle: u8, seed: u64, }
    ChainList = inode::ChainList { chain_indexes: Vec<u32>, }

    BatchReadReq = io::BatchReadReq {
        payloads: Vec<ReadIo>, tag: MessageTag, retry_count: u32, user_info: UserInfo, feature_flags: u32,
        checksum_type: u8, debug_flags: DebugFlags,
    }
    ReadIo = io::ReadIo { offset: u32, length: u32, key: GlobalKey, rdmabuf: RemoteBuf, }
    GlobalKey = chunk::GlobalKey { chain: VersionedChainId, chunk_id: ChunkId, }
    VersionedChainId = chunk::VersionedChainId { chain_id: u32, chain_ver: u32, }
    MessageTag = io::MessageTag { client_id: ClientId, request_id: u64, channel: UpdateChannel, }
    UpdateChannel = io::UpdateChannel { id: u16, seqnum: u64, }
    DebugFlags = io::DebugFlags {
        inject_random_server_error: bool, inject_random_client_error: bool, num_of_inject_pts_before_fail: u16,
    }
    ClientId = common::ClientId { uuid: Uuid, hostname: Bytes, }
    UserInfo = common::UserInfo { uid: u32, gid: u32, groups: Vec<u32>, token: Bytes, }

    IoResult = io::IoResult {
        length_info: Result<u32, Status>, commit_ver: u32, update_ver: u32, checksum: ChecksumInfo,
        commit_chain_ver: u32,
    }
    ChecksumInfo = chunk::ChecksumInfo { kind: u8, value: u32, }
    Status = OurStatus { code: u16, message: Bytes, }

    RoutingInfo = routing::RoutingInfo {
        routing_info_version: u64, bootstrapping: bool, nodes: Vec<(u32, NodeInfo)>,
        chain_tables: Vec<(u32, Vec<(u32, ChainTable)>)>, chains: Vec<(u32, ChainInfo)>,
        targets: Vec<(u64, TargetInfo)>,
    }
    NodeInfo = node::NodeInfo {
        app: AppInfo, kind: u8, status: u8, last_heartbeat_ts: i64, tags: Vec<TagPair>, config_version: u64,
        config_status: u8,
    }
    AppInfo = common::AppInfo {
        node_id: u32, hostname: Bytes, pid: u32, service_groups: Vec<ServiceGroupInfo>,
        release_version: ReleaseVersion, podname: Bytes,
    }
    ServiceGroupInfo = common::ServiceGroupInfo { services: Vec<Bytes>, endpoints: Vec<Address>, }
    ReleaseVersion = common::ReleaseVersion {
        major_version: u8, minor_version: u8, patch_version: u8, commit_hash_short: u32,
        build_time_in_seconds: u64, build_pipeline_id: u32,
    }
    TagPair = common::TagPair { key: Bytes, value: Bytes, }
    ChainTable = routing::ChainTable {
        chain_table_id: u32, chain_table_version: u32, chains: Vec<u32>, desc: Bytes,
    }
    ChainInfo = routing::ChainInfo {
        chain_id: u32, chain_version: u32, targets: Vec<ChainTargetInfo>, preferred_target_order: Vec<u64>,
    }
    ChainTargetInfo = routing::ChainTargetInfo { target_id: u64, public_state: u8, }
    TargetInfo = routing::TargetInfo {
        target_id: u64, public_state: u8, local_state: u8, chain_id: u32, node_id: Option<u32>,
        disk_index: Option<u32>, used_size: u64,
    }
}

/// Where a service listens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Address {
    pub ip: u32,
    pub port: u16,
    pub kind: u16,
}

impl Mirror<flyer_wire::address::Address> for Address {
    fn of(ours: &flyer_wire::address::Address) -> Self {
        Self {
            ip: ours.ip.to_bits(),
            port: ours.port,
            kind: ours.kind.0,
        }
    }

    fn back(&self) -> flyer_wire::address::Address {
        flyer_wire::address::Address {
            ip: self.ip.into(),
            port: self.port,
            kind: flyer_wire::address::AddressKind(self.kind),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct RemoteBuf {
    pub addr: u64,
    pub size: u64,
    pub keys: Keys,
}

impl Mirror<remote_buf::RemoteBuf> for RemoteBuf {
    fn of(ours: &remote_buf::RemoteBuf) -> Self {
        Self {
            addr: ours.addr,
            size: ours.size,
            keys: Keys::of(ours.keys()),
        }
    }

    fn back(&self) -> remote_buf::RemoteBuf {
        remote_buf::RemoteBuf::new(self.addr, self.size, &self.keys.back())
            .expect("no more keys than ours has")
    }
}

/// The answer to a read, with its data in a type that owns or borrows them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct BatchReadRsp<D> {
    pub tag: MessageTag,
    pub results: Vec<IoResult>,
    pub inlinebuf: D,
}

/// Declares enums with one value per alternative, as ours have.
macro_rules! variants {
    ($($name:ident = $ours:ty { $($alternative:ident($type:ty),)* })*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Encode, Decode)]
        pub enum $name {
            $($alternative($type),)*
        }

        impl Mirror<$ours> for $name {
            fn of(ours: &$ours) -> Self {
                type Ours = $ours;
                match ours {
                    $(Ours::$alternative(value) => Self::$alternative(Mirror::of(value)),)*
                }
            }

            fn back(&self) -> $ours {
                type Ours = $ours;
                match self {
                    $(Self::$alternative(value) => Ours::$alternative(value.back()),)*
                }
            }
        }
    )*};
}

variants! {
    InodeKind = inode::InodeKind { File(File), Directory(Directory), Symlink(Symlink), }
    LayoutChains = inode::LayoutChains { Empty(()), ChainRange(ChainRange), ChainList(ChainList), }
}

impl Mirror<Void> for () {
    fn of(_ours: &Void) -> Self {}

    fn back(&self) -> Void {
        Void
    }
}

impl Mirror<EmptyChains> for () {
    fn of(_ours: &EmptyChains) -> Self {}

    fn back(&self) -> EmptyChains {
        EmptyChains
    }
}
