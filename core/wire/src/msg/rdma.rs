//! The RDMA handshake (service 11, over TCP) and transmission control (service 10, server to client).
//!
//! Source: `src/common/net/ib/IBConnect.h`, `src/common/net/RDMAControl.h` upstream. Link-layer numbers are those of verbs:
//! 1 InfiniBand, 2 Ethernet; `mtu` is the verbs enumerator (1 = 256 bytes .. 5 = 4096 bytes).

use crate::codec::Void;
use crate::msg::remote_buf::LinkGid;
use alloc::vec::Vec;
use flyer_types::Text;
use flyer_wire_derive::Wire;

/// Request of `query` (RDMA handshake service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBQueryReq")]
pub struct IbQueryReq {
    /// Nothing.
    pub dummy: Void,
}

/// A port of an RDMA device.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBDeviceInfo::PortInfo")]
pub struct IbPortInfo {
    /// Number of the port.
    pub port: u8,
    /// Network zones of the port, sorted.
    pub zones: Vec<Text>,
    /// 1 InfiniBand, 2 Ethernet.
    #[wire(name = "link_layer")]
    pub link_layer: u8,
}

/// An RDMA device of the peer; only devices with an active port are listed.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBDeviceInfo")]
pub struct IbDeviceInfo {
    /// Number of the device at its owner.
    pub dev: u8,
    /// Name of the device.
    #[wire(name = "dev_name")]
    pub dev_name: Text,
    /// Its ports.
    pub ports: Vec<IbPortInfo>,
}

/// Answer of `query` (RDMA handshake service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBQueryRsp")]
pub struct IbQueryRsp {
    /// The devices.
    pub devices: Vec<IbDeviceInfo>,
}

/// An InfiniBand link.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectIBInfo")]
pub struct IbConnectIBInfo {
    /// Local identifier of the port.
    pub lid: u16,
}

/// An Ethernet link.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectRoCEInfo")]
pub struct IbConnectRoCEInfo {
    /// The address of the port.
    pub gid: LinkGid,
}

/// How to reach a queue pair, by kind of link.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub enum IbLink {
    /// InfiniBand.
    #[wire(name = "IBConnectIBInfo")]
    InfiniBand(IbConnectIBInfo),
    /// Ethernet (RoCE v2).
    #[wire(name = "IBConnectRoCEInfo")]
    RoCE(IbConnectRoCEInfo),
}

/// One end of an RDMA connection.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectInfo")]
pub struct IbConnectInfo {
    /// Host name, for people.
    pub hostname: Text,
    /// Number of the device at its owner.
    pub dev: u8,
    /// Name of the device.
    #[wire(name = "dev_name")]
    pub dev_name: Text,
    /// Number of the port.
    pub port: u8,
    /// Verbs enumerator of the active MTU.
    pub mtu: u8,
    /// Number of the queue pair.
    #[wire(name = "qp_num")]
    pub qp_num: u32,
    /// How to reach the queue pair.
    pub linklayer: IbLink,
}

/// Parameters of an RDMA connection. Both ends use the initiator's values. No field may be zero that
/// divides or sizes a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectConfig")]
pub struct IbConnectConfig {
    /// Service level.
    pub sl: u8,
    /// Traffic class (RoCE).
    #[wire(name = "traffic_class")]
    pub traffic_class: u8,
    /// Not used; always 0.
    #[wire(name = "gid_index")]
    pub gid_index: u8,
    /// Partition key index.
    #[wire(name = "pkey_index")]
    pub pkey_index: u16,
    /// First packet sequence number.
    #[wire(name = "start_psn")]
    pub start_psn: u32,
    /// Verbs code of the receiver-not-ready timer.
    #[wire(name = "min_rnr_timer")]
    pub min_rnr_timer: u8,
    /// Verbs code of the acknowledgement timeout.
    pub timeout: u8,
    /// Transport retries.
    #[wire(name = "retry_cnt")]
    pub retry_cnt: u8,
    /// Receiver-not-ready retries.
    #[wire(name = "rnr_retry")]
    pub rnr_retry: u8,
    /// Memory pieces per request.
    #[wire(name = "max_sge")]
    pub max_sge: u32,
    /// Outstanding one-sided requests.
    #[wire(name = "max_rdma_wr")]
    pub max_rdma_wr: u32,
    /// One-sided requests posted at once.
    #[wire(name = "max_rdma_wr_per_post")]
    pub max_rdma_wr_per_post: u32,
    /// Outstanding reads per queue pair.
    #[wire(name = "max_rd_atomic")]
    pub max_rd_atomic: u32,
    /// Bytes of a message buffer.
    #[wire(name = "buf_size")]
    pub buf_size: u32,
    /// Message buffers per direction.
    #[wire(name = "send_buf_cnt")]
    pub send_buf_cnt: u32,
    /// The receiver acknowledges this many buffers at a time.
    #[wire(name = "buf_ack_batch")]
    pub buf_ack_batch: u32,
    /// The sender asks for a completion of every n-th buffer.
    #[wire(name = "buf_signal_batch")]
    pub buf_signal_batch: u32,
    /// Completion events are acknowledged this many at a time.
    #[wire(name = "event_ack_batch")]
    pub event_ack_batch: u32,
    /// Keep latency statistics per peer.
    #[wire(name = "record_latency_per_peer")]
    pub record_latency_per_peer: bool,
}

/// Request of `connect` (RDMA handshake service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectReq")]
pub struct IbConnectReq {
    /// Fields of the base class.
    #[wire(base)]
    pub base: IbConnectInfo,
    /// Number of the acceptor's device; always one from its answer to a query.
    #[wire(name = "target_dev")]
    pub target_dev: u8,
    /// Name of that device.
    #[wire(name = "target_devname")]
    pub target_devname: Text,
    /// Its port.
    #[wire(name = "target_port")]
    pub target_port: u8,
    /// Parameters of the connection.
    pub config: IbConnectConfig,
}

/// Answer of `connect` (RDMA handshake service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::IBConnectRsp")]
pub struct IbConnectRsp {
    /// Fields of the base class.
    #[wire(base)]
    pub base: IbConnectInfo,
    /// Nothing.
    pub dummy: Void,
}

/// Request of `apply` (RDMA control service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::RDMATransmissionReq")]
pub struct RdmaTransmissionReq {
    /// The packet id of the request that is about to be served.
    pub uuid: u64,
}

/// Answer of `apply` (RDMA control service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::net::RDMATransmissionRsp")]
pub struct RdmaTransmissionRsp {
    /// Nothing.
    pub dummy: Void,
}
