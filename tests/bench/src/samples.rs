//! The messages that are measured, filled with what a cluster would send.

use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, ChunkVersion, ConfigVersion, Gid, InodeId,
    NodeId, Permission, RequestId, RoutingVersion, TargetId, Uid, Uuid,
};
use flyer_types::{Lease, LeaseId, Text, Token, WallTime};
use flyer_wire::address::{Address, AddressKind};
use flyer_wire::codec::{Map, Segment, Set, Wire, Writer};
use flyer_wire::msg::common::{AppInfo, ClientId, ReleaseVersion, ServiceGroupInfo, TagPair, UserInfo};
use flyer_wire::msg::meta::attr::StatRsp;
use flyer_wire::msg::meta::inode::{
    Acl, ChainRange, File, Inode, InodeData, InodeKind, Layout, LayoutChains, Shuffle,
};
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, ChainTargetInfo, LocalTargetState, PublicTargetState, RoutingInfo, TargetInfo,
};
use flyer_wire::msg::remote_buf::{RemoteBuf, RemoteKey};
use flyer_wire::msg::storage::chunk::{ChecksumInfo, ChecksumType, GlobalKey, VersionedChainId};
use flyer_wire::msg::storage::chunk_id::FileChunk;
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::msg::storage::io::{BatchReadReq, BatchReadRsp, InlineData, IoResult, MessageTag, ReadIo};

/// Operations of a batch.
pub const IOS: u32 = 64;

/// Inline data of an answer.
pub const INLINE_BYTES: u32 = 1 << 20;

const NODES: u32 = 1_000;
const CHAINS: u32 = 10_000;
const REPLICAS: u32 = 3;

fn client() -> ClientId {
    ClientId {
        uuid: Uuid([0x5a; 16]),
        hostname: Text::from("compute-0817.cluster.example"),
    }
}

fn tag() -> MessageTag {
    MessageTag {
        client_id: client(),
        request_id: RequestId(0x0001_2345_6789),
        ..MessageTag::default()
    }
}

/// A file striped over 64 chains.
#[must_use]
pub fn stat_rsp() -> StatRsp {
    let layout = Layout {
        table_id: ChainTableId(1),
        table_version: ChainTableVersion(3),
        chunk_size: 512 << 10,
        stripe_size: 64,
        chains: LayoutChains::ChainRange(ChainRange {
            base_index: 4_711,
            shuffle: Shuffle::STD_SHUFFLE_MT19937,
            seed: 0x9e37_79b9_7f4a_7c15,
        }),
    };
    let file = File {
        length: 123_456_789_012,
        truncate_ver: 2,
        layout,
        dyn_stripe: 64,
        ..File::default()
    };
    let base = InodeData {
        kind: InodeKind::File(file),
        acl: Acl {
            uid: Uid(1_000),
            gid: Gid(100),
            perm: Permission(0o644),
            ..Acl::default()
        },
        nlink: 1,
        atime: WallTime::from_secs(1_760_000_000),
        ctime: WallTime::from_secs(1_750_000_000),
        mtime: WallTime::from_secs(1_755_000_000),
    };
    StatRsp {
        stat: Inode {
            base,
            id: InodeId(0x0012_3456_789a),
        },
        ..StatRsp::default()
    }
}

/// A batch of reads into memory with `keys` keys each; none as over TCP.
///
/// # Panics
/// If there are more keys than a process has devices.
#[must_use]
pub fn batch_read_req(keys: u32) -> BatchReadReq {
    let keys: Vec<_> = (0..keys)
        .map(|at| RemoteKey {
            rkey: 0x0018_1000 + at,
            device: at.cast_signed(),
        })
        .collect();
    let payload = |at: u32| ReadIo {
        offset: at * 4_096,
        length: 4_096,
        key: GlobalKey {
            chain: VersionedChainId {
                chain_id: ChainId(900_100 + at * 7),
                chain_ver: ChainVersion(1),
            },
            chunk_id: FileChunk {
                inode: InodeId(0x0012_3456_789a),
                track: 0,
                index: at,
            }
            .id(),
        },
        rdmabuf: if keys.is_empty() {
            RemoteBuf::without_memory(4_096)
        } else {
            RemoteBuf::new(0x7f12_0000_0000 + u64::from(at) * 4_096, 4_096, &keys).expect("few keys")
        },
    };
    BatchReadReq {
        payloads: (0..IOS).map(payload).collect(),
        tag: tag(),
        user_info: UserInfo {
            uid: Uid(1_000),
            gid: Gid(100),
            groups: vec![Gid(100), Gid(2_000)],
            token: Token::new(Text::from("AAAAAIQs8QAAAABI2wAAAACf")),
        },
        feature_flags: FeatureFlags::SEND_DATA_INLINE,
        checksum_type: ChecksumType::CRC32C,
        ..BatchReadReq::default()
    }
}

/// The answer to a batch of reads with its data inline, which are `data`.
#[must_use]
pub fn batch_read_rsp(data: Lease) -> BatchReadRsp {
    let result = |at: u32| IoResult {
        length_info: Ok(INLINE_BYTES / IOS),
        commit_ver: ChunkVersion(at + 1),
        update_ver: ChunkVersion(at + 1),
        checksum: ChecksumInfo {
            kind: ChecksumType::CRC32C,
            value: at.wrapping_mul(0x9e37_79b9),
        },
        commit_chain_ver: ChainVersion(1),
    };
    BatchReadRsp {
        results: (0..IOS).map(result).collect(),
        inlinebuf: InlineData { data },
        ..BatchReadRsp::default()
    }
}

/// Memory of the host with [`INLINE_BYTES`] in it.
pub const INLINE: Lease = Lease {
    id: LeaseId::new(1, 1),
    off: 0,
    len: INLINE_BYTES,
};

/// A cluster of 1,000 nodes and 10,000 chains of three targets each.
#[must_use]
pub fn routing_info() -> RoutingInfo {
    let chain_ids = || (0..CHAINS).map(|at| ChainId(900_001 + at));
    let table = ChainTable {
        chain_table_id: ChainTableId(1),
        chain_table_version: ChainTableVersion(1),
        chains: chain_ids().collect(),
        desc: Text::from("all of it"),
    };
    let targets = (0..CHAINS * REPLICAS).map(target_info);
    RoutingInfo {
        routing_info_version: RoutingVersion(77),
        bootstrapping: false,
        nodes: Map((1..=NODES).map(|at| (NodeId(at), node_info(at))).collect()),
        chain_tables: Map(vec![(ChainTableId(1), Map(vec![(ChainTableVersion(1), table)]))]),
        chains: Map((0..CHAINS)
            .zip(chain_ids())
            .map(|(at, id)| (id, chain_info(at, id)))
            .collect()),
        targets: Map(targets.map(|target| (target.target_id, target)).collect()),
    }
}

fn target_id(at: u32) -> TargetId {
    TargetId(101_000_000_000 + u64::from(at) * 100_001)
}

fn target_info(at: u32) -> TargetInfo {
    TargetInfo {
        target_id: target_id(at),
        public_state: PublicTargetState::SERVING,
        local_state: LocalTargetState::UPTODATE,
        chain_id: ChainId(900_001 + at / REPLICAS),
        node_id: Some(NodeId(1 + at % NODES)),
        disk_index: Some(at % 16),
        used_size: 1 << 40,
    }
}

fn chain_info(at: u32, chain_id: ChainId) -> ChainInfo {
    let member = |replica| ChainTargetInfo {
        target_id: target_id(at * REPLICAS + replica),
        public_state: PublicTargetState::SERVING,
    };
    ChainInfo {
        chain_id,
        chain_version: ChainVersion(1 + at % 5),
        targets: (0..REPLICAS).map(member).collect(),
        preferred_target_order: Vec::new(),
    }
}

fn node_info(at: u32) -> NodeInfo {
    let [_, _, high, low] = at.to_be_bytes();
    let endpoint = |kind, port| Address {
        ip: [10, 8, high, low].into(),
        port,
        kind,
    };
    let group = |names: [&str; 2], kind, port| ServiceGroupInfo {
        services: Set(names.map(Text::from).into()),
        endpoints: vec![endpoint(kind, port)],
    };
    NodeInfo {
        app: AppInfo {
            node_id: NodeId(at),
            hostname: Text::from(format!("storage-{at:04}.cluster.example")),
            pid: 1_000 + at,
            service_groups: vec![
                group(["StorageSerde", "RDMAConnection"], AddressKind::RDMA, 8_000),
                group(["Core", "RDMAConnection"], AddressKind::TCP, 9_000),
            ],
            release_version: ReleaseVersion::default(),
            podname: Text::default(),
        },
        kind: NodeType::STORAGE,
        status: NodeStatus::HEARTBEAT_CONNECTED,
        last_heartbeat_ts: WallTime::from_secs(1_760_000_000),
        tags: vec![TagPair {
            key: Text::from("TrafficZone"),
            value: Text::from("zone-a"),
        }],
        config_version: ConfigVersion(12),
        ..NodeInfo::default()
    }
}

/// The bytes of an answer as they arrive, with `data` where it lends.
#[must_use]
pub fn gathered(answer: &BatchReadRsp, data: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    answer.encode(&mut w);
    let segments = w.segments().flat_map(|segment| match segment {
        Segment::Bytes(made) => made.to_vec(),
        Segment::Lease(_) => data.to_vec(),
    });
    segments.collect()
}
