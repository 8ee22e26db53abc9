//! Services and methods with their numbers, and which message belongs to which.
//!
//! [`Call`] ties a method to its messages at compile time; [`SERVICES`] is the same table for people and for tests.
//!
//! Source: `src/fbs/*/Service*.h`, `src/fbs/mgmtd/MgmtdServiceDef.h`, `src/common/net/RDMAControl.h`,
//! `src/common/net/ib/IBConnectService.h` upstream.

use crate::codec::{DecodeError, Message, Wire};
use crate::packet::{Answer, Packet};
use alloc::string::ToString;
use flyer_types::ids::{MethodId, ServiceId};
use flyer_types::{Lease, Status, StatusCode};

/// A method: its number, and the messages that travel.
pub trait Call {
    /// Number of the service.
    const SERVICE: ServiceId;
    /// Number of the method in its service.
    const METHOD: MethodId;
    /// `Service.method`, as upstream spells it.
    const NAME: &'static str;
    /// What the caller sends.
    type Request: Wire;
    /// What comes back if the call succeeds.
    type Response: Wire;
}

/// A service as people see it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Upstream's name.
    pub name: &'static str,
    /// Its number.
    pub id: ServiceId,
    /// Its methods.
    pub methods: &'static [Method],
}

/// A method as people see it.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Upstream's name.
    pub name: &'static str,
    /// Its number.
    pub id: MethodId,
    /// Upstream's type of the request.
    pub request: &'static str,
    /// Upstream's type of the response.
    pub response: &'static str,
}

/// The name of a service or method, for logs and errors; `None` if this side does not know it.
#[must_use]
pub fn name_of(service: ServiceId, method: MethodId) -> Option<(&'static str, &'static str)> {
    let service = SERVICES.iter().find(|s| s.id == service)?;
    let method = service.methods.iter().find(|m| m.id == method)?;
    Some((service.name, method.name))
}

/// Upstream's name of a type that travels.
trait TypeName {
    const NAME: &'static str;
}

impl<T: Message> TypeName for T {
    const NAME: &'static str = T::CLASS;
}

impl TypeName for alloc::vec::Vec<crate::msg::monitor::Sample> {
    const NAME: &'static str = "vector<hf3fs::monitor::Sample>";
}

/// What a peer is answered whose request cannot be read.
fn bad_request(error: DecodeError) -> Status {
    Status::with_message(StatusCode::RPC_VERIFY_REQUEST_FAILED, error.to_string())
}

/// The response in a packet; a server's refusal and an unreadable answer are both a status.
fn answer<T: Wire>(packet: &Packet, body: &[u8], memory: Lease) -> Result<T, Status> {
    packet
        .decode_payload::<Answer<T>>(body, memory)
        .unwrap_or_else(|error| {
            Err(Status::with_message(
                StatusCode::RPC_VERIFY_RESPONSE_FAILED,
                error.to_string(),
            ))
        })
}

/// Declares services: a module of [`Call`]s each, requests and responses as enumerations, the table, and
/// `for_each_call!`.
macro_rules! services {
    ($dollar:tt $(
        $(#[$doc:meta])*
        mod $module:ident = $service:literal $service_id:literal {
            $($id:literal $method:literal $call:ident($request:ty) -> $response:ty;)*
        }
    )*) => {
        $(
            $(#[$doc])*
            pub mod $module {
                use super::{Call, MethodId, ServiceId};
                use crate::codec::{Wire, Writer};
                use crate::packet::Packet;
                use flyer_types::{Lease, Status, StatusCode};
                #[allow(unused_imports, reason = "the generic list of modules; not every service needs each")]
                use crate::msg::{common, core_service, meta, mgmtd, migration, monitor, rdma, storage};

                /// Number of the service.
                pub const SERVICE: ServiceId = ServiceId($service_id);

                $(
                    #[doc = concat!("`", $service, ".", $method, "`.")]
                    #[derive(Clone, Copy, Debug)]
                    pub struct $call;

                    impl Call for $call {
                        const SERVICE: ServiceId = SERVICE;
                        const METHOD: MethodId = MethodId($id);
                        const NAME: &'static str = concat!($service, ".", $method);
                        type Request = $request;
                        type Response = $response;
                    }
                )*

                /// Any request to the service.
                #[derive(Clone, Debug, PartialEq)]
                #[allow(clippy::large_enum_variant, reason = "requests are moved once or twice and never kept in bulk")]
                pub enum Request {
                    $(#[doc = concat!("`", $method, "`.")] $call($request),)*
                }

                /// Any response of the service.
                #[derive(Clone, Debug, PartialEq)]
                #[allow(clippy::large_enum_variant, reason = "responses are moved once or twice and never kept in bulk")]
                pub enum Response {
                    $(#[doc = concat!("`", $method, "`.")] $call($response),)*
                }

                $(
                    impl From<$request> for Request {
                        fn from(request: $request) -> Self {
                            Self::$call(request)
                        }
                    }
                )*

                impl Request {
                    /// Number of the method that is called.
                    #[must_use]
                    pub const fn method(&self) -> MethodId {
                        match self {
                            $(Self::$call(_) => MethodId($id),)*
                        }
                    }

                    /// Reads the request that `packet` carries, which was decoded from `body`.
                    ///
                    /// # Errors
                    /// What a peer has to be answered: no such method, or not its request.
                    pub fn decode(packet: &Packet, body: &[u8], memory: Lease) -> Result<Self, Status> {
                        match packet.method_id.0 {
                            $($id => packet.decode_payload(body, memory).map(Self::$call).map_err(super::bad_request),)*
                            _ => Err(Status::from(StatusCode::RPC_INVALID_METHOD_ID)),
                        }
                    }

                    /// Puts the request, as the payload of `packet`, in front of `w`.
                    pub fn encode_in(&self, packet: &Packet, w: &mut Writer) {
                        match self {
                            $(Self::$call(request) => packet.encode_around(request, w),)*
                        }
                    }
                }

                impl Response {
                    /// Number of the method that was called.
                    #[must_use]
                    pub const fn method(&self) -> MethodId {
                        match self {
                            $(Self::$call(_) => MethodId($id),)*
                        }
                    }

                    /// Reads the answer that `packet` carries, which was decoded from `body`.
                    ///
                    /// # Errors
                    /// The status that the server answered, or that its answer cannot be read.
                    pub fn decode(packet: &Packet, body: &[u8], memory: Lease) -> Result<Self, Status> {
                        match packet.method_id.0 {
                            $($id => super::answer(packet, body, memory).map(Self::$call),)*
                            _ => Err(Status::from(StatusCode::RPC_VERIFY_RESPONSE_FAILED)),
                        }
                    }
                }

                /// Puts an answer, as the payload of `packet`, in front of `w`.
                pub fn encode_answer(answer: &Result<Response, Status>, packet: &Packet, w: &mut Writer) {
                    match answer {
                        $(Ok(Response::$call(response)) => packet.encode_with(w, |w| {
                            response.encode(w);
                            w.put([1]);
                        }),)*
                        Err(status) => packet.encode_with(w, |w| {
                            status.encode(w);
                            w.put([0]);
                        }),
                    }
                }
            }
        )*

        /// All services whose messages Flyer has.
        pub const SERVICES: &[Service] = &[$(Service {
            name: $service,
            id: ServiceId($service_id),
            methods: &[$(Method {
                name: $method,
                id: MethodId($id),
                request: <<$module::$call as Call>::Request as TypeName>::NAME,
                response: <<$module::$call as Call>::Response as TypeName>::NAME,
            }),*],
        }),*];

        /// Calls the macro `$with` with the paths of all [`Call`](crate::service::Call)s, separated by commas.
        #[macro_export]
        macro_rules! for_each_call {
            ($dollar with:ident) => {
                $dollar with! { $($($dollar crate::service::$module::$call,)*)* }
            };
        }
    };
}

services! { $
    /// The metadata service.
    mod meta = "MetaSerde" 4 {
        1 "statFs" StatFs(meta::attr::StatFsReq) -> meta::attr::StatFsRsp;
        2 "stat" Stat(meta::attr::StatReq) -> meta::attr::StatRsp;
        3 "create" Create(meta::namespace::CreateReq) -> meta::namespace::CreateRsp;
        4 "mkdirs" Mkdirs(meta::namespace::MkdirsReq) -> meta::namespace::MkdirsRsp;
        5 "symlink" Symlink(meta::namespace::SymlinkReq) -> meta::namespace::SymlinkRsp;
        6 "hardLink" HardLink(meta::namespace::HardLinkReq) -> meta::namespace::HardLinkRsp;
        7 "remove" Remove(meta::namespace::RemoveReq) -> meta::namespace::RemoveRsp;
        8 "open" Open(meta::file::OpenReq) -> meta::file::OpenRsp;
        9 "sync" Sync(meta::file::SyncReq) -> meta::file::SyncRsp;
        10 "close" Close(meta::file::CloseReq) -> meta::file::CloseRsp;
        11 "rename" Rename(meta::namespace::RenameReq) -> meta::namespace::RenameRsp;
        12 "list" List(meta::namespace::ListReq) -> meta::namespace::ListRsp;
        13 "truncate" Truncate(meta::file::TruncateReq) -> meta::file::TruncateRsp;
        14 "getRealPath" GetRealPath(meta::namespace::GetRealPathReq) -> meta::namespace::GetRealPathRsp;
        15 "setAttr" SetAttr(meta::attr::SetAttrReq) -> meta::attr::SetAttrRsp;
        16 "pruneSession" PruneSession(meta::file::PruneSessionReq) -> meta::file::PruneSessionRsp;
        17 "dropUserCache" DropUserCache(meta::attr::DropUserCacheReq) -> meta::attr::DropUserCacheRsp;
        18 "authenticate" Authenticate(meta::attr::AuthReq) -> meta::attr::AuthRsp;
        19 "lockDirectory" LockDirectory(meta::attr::LockDirectoryReq) -> meta::attr::LockDirectoryRsp;
        20 "batchStat" BatchStat(meta::attr::BatchStatReq) -> meta::attr::BatchStatRsp;
        21 "batchStatByPath" BatchStatByPath(meta::attr::BatchStatByPathReq) -> meta::attr::BatchStatByPathRsp;
        50 "testRpc" TestRpc(meta::attr::TestRpcReq) -> meta::attr::TestRpcRsp;
    }

    /// The storage service.
    mod storage = "StorageSerde" 3 {
        1 "batchRead" BatchRead(storage::io::BatchReadReq) -> storage::io::BatchReadRsp;
        2 "write" Write(storage::io::WriteReq) -> storage::io::WriteRsp;
        3 "update" Update(storage::io::UpdateReq) -> storage::io::UpdateRsp;
        5 "queryLastChunk" QueryLastChunk(storage::range::QueryLastChunkReq) -> storage::range::QueryLastChunkRsp;
        6 "truncateChunks" TruncateChunks(storage::range::TruncateChunksReq) -> storage::range::TruncateChunksRsp;
        7 "removeChunks" RemoveChunks(storage::range::RemoveChunksReq) -> storage::range::RemoveChunksRsp;
        8 "syncStart" SyncStart(storage::target::SyncStartReq) -> storage::target::TargetSyncInfo;
        9 "syncDone" SyncDone(storage::target::SyncDoneReq) -> storage::target::SyncDoneRsp;
        10 "spaceInfo" SpaceInfo(storage::target::SpaceInfoReq) -> storage::target::SpaceInfoRsp;
        11 "createTarget" CreateTarget(storage::target::CreateTargetReq) -> storage::target::CreateTargetRsp;
        12 "queryChunk" QueryChunk(storage::target::QueryChunkReq) -> storage::target::QueryChunkRsp;
        13 "getAllChunkMetadata" GetAllChunkMetadata(storage::target::GetAllChunkMetadataReq) -> storage::target::GetAllChunkMetadataRsp;
        16 "offlineTarget" OfflineTarget(storage::target::OfflineTargetReq) -> storage::target::OfflineTargetRsp;
        17 "removeTarget" RemoveTarget(storage::target::RemoveTargetReq) -> storage::target::RemoveTargetRsp;
    }

    /// The manager.
    mod mgmtd = "Mgmtd" 217 {
        1 "getPrimaryMgmtd" GetPrimaryMgmtd(mgmtd::query::GetPrimaryMgmtdReq) -> mgmtd::query::GetPrimaryMgmtdRsp;
        3 "heartbeat" Heartbeat(mgmtd::query::HeartbeatReq) -> mgmtd::query::HeartbeatRsp;
        4 "registerNode" RegisterNode(mgmtd::admin::RegisterNodeReq) -> mgmtd::admin::RegisterNodeRsp;
        5 "getRoutingInfo" GetRoutingInfo(mgmtd::query::GetRoutingInfoReq) -> mgmtd::query::GetRoutingInfoRsp;
        6 "setConfig" SetConfig(mgmtd::admin::SetConfigReq) -> mgmtd::admin::SetConfigRsp;
        7 "getConfig" GetConfig(mgmtd::query::GetConfigReq) -> mgmtd::query::GetConfigRsp;
        8 "setChainTable" SetChainTable(mgmtd::admin::SetChainTableReq) -> mgmtd::admin::SetChainTableRsp;
        9 "enableNode" EnableNode(mgmtd::admin::EnableNodeReq) -> mgmtd::admin::EnableNodeRsp;
        10 "disableNode" DisableNode(mgmtd::admin::DisableNodeReq) -> mgmtd::admin::DisableNodeRsp;
        11 "extendClientSession" ExtendClientSession(mgmtd::session::ExtendClientSessionReq) -> mgmtd::session::ExtendClientSessionRsp;
        12 "listClientSessions" ListClientSessions(mgmtd::session::ListClientSessionsReq) -> mgmtd::session::ListClientSessionsRsp;
        13 "setNodeTags" SetNodeTags(mgmtd::admin::SetNodeTagsReq) -> mgmtd::admin::SetNodeTagsRsp;
        14 "unregisterNode" UnregisterNode(mgmtd::admin::UnregisterNodeReq) -> mgmtd::admin::UnregisterNodeRsp;
        15 "setChains" SetChains(mgmtd::admin::SetChainsReq) -> mgmtd::admin::SetChainsRsp;
        16 "setUniversalTags" SetUniversalTags(mgmtd::admin::SetUniversalTagsReq) -> mgmtd::admin::SetUniversalTagsRsp;
        17 "getUniversalTags" GetUniversalTags(mgmtd::query::GetUniversalTagsReq) -> mgmtd::query::GetUniversalTagsRsp;
        18 "getConfigVersions" GetConfigVersions(mgmtd::query::GetConfigVersionsReq) -> mgmtd::query::GetConfigVersionsRsp;
        19 "getClientSession" GetClientSession(mgmtd::session::GetClientSessionReq) -> mgmtd::session::GetClientSessionRsp;
        20 "rotateLastSrv" RotateLastSrv(mgmtd::admin::RotateLastSrvReq) -> mgmtd::admin::RotateLastSrvRsp;
        21 "listOrphanTargets" ListOrphanTargets(mgmtd::query::ListOrphanTargetsReq) -> mgmtd::query::ListOrphanTargetsRsp;
        22 "setPreferredTargetOrder" SetPreferredTargetOrder(mgmtd::admin::SetPreferredTargetOrderReq) -> mgmtd::admin::SetPreferredTargetOrderRsp;
        23 "rotateAsPreferredOrder" RotateAsPreferredOrder(mgmtd::admin::RotateAsPreferredOrderReq) -> mgmtd::admin::RotateAsPreferredOrderRsp;
        24 "updateChain" UpdateChain(mgmtd::admin::UpdateChainReq) -> mgmtd::admin::UpdateChainRsp;
    }

    /// Configuration and shutdown of any process.
    mod core_service = "Core" 10001 {
        1 "echo" Echo(core_service::EchoMessage) -> core_service::EchoMessage;
        2 "getConfig" GetConfig(core_service::GetConfigReq) -> core_service::GetConfigRsp;
        3 "renderConfig" RenderConfig(core_service::RenderConfigReq) -> core_service::RenderConfigRsp;
        4 "hotUpdateConfig" HotUpdateConfig(core_service::HotUpdateConfigReq) -> core_service::HotUpdateConfigRsp;
        5 "getLastConfigUpdateRecord" GetLastConfigUpdateRecord(core_service::GetLastConfigUpdateRecordReq) -> core_service::GetLastConfigUpdateRecordRsp;
        6 "shutdown" Shutdown(core_service::ShutdownReq) -> core_service::ShutdownRsp;
    }

    /// The RDMA handshake; over TCP only.
    mod ib_connect = "IBConnect" 11 {
        1 "query" Query(rdma::IbQueryReq) -> rdma::IbQueryRsp;
        2 "connect" Connect(rdma::IbConnectReq) -> rdma::IbConnectRsp;
    }

    /// RDMA transmission control: served by clients, called by servers.
    mod rdma_control = "RDMAControl" 10 {
        1 "apply" Apply(rdma::RdmaTransmissionReq) -> rdma::RdmaTransmissionRsp;
    }

    /// Echo; every endpoint serves it.
    mod echo = "Service" 10000 {
        1 "echo" Echo(core_service::Echo) -> core_service::Echo;
    }

    /// Collects metrics.
    mod monitor = "MonitorCollector" 194 {
        1 "write" Write(alloc::vec::Vec<monitor::Sample>) -> monitor::MonitorCollectorRsp;
    }

    /// Moves files.
    mod migration = "MigrationSerde" 241 {
        1 "start" Start(migration::StartJobReq) -> migration::StartJobRsp;
        2 "stop" Stop(migration::StopJobReq) -> migration::StopJobRsp;
        3 "list" List(migration::ListJobsReq) -> migration::ListJobsRsp;
    }

    /// An example.
    mod example = "SimpleExampleSerde" 240 {
        1 "echo" Echo(core_service::SimpleExampleReq) -> core_service::SimpleExampleRsp;
    }
}

/// Upstream's legacy client agent: it shares the number of RDMA control but never a process with it. Flyer does not
/// speak it; the table is here so that a stray call can be named.
pub const CLIENT_AGENT: Service = Service {
    name: "ClientAgentSerde",
    id: ServiceId(10),
    methods: &[
        Method {
            name: "statFs",
            id: MethodId(1),
            request: "hf3fs::lib::agent::StatFsReq",
            response: "hf3fs::lib::agent::OneValRsp<hf3fs::lib::agent::StatFs>",
        },
        Method {
            name: "stat",
            id: MethodId(2),
            request: "hf3fs::lib::agent::StatReq",
            response: "hf3fs::lib::agent::OneValRsp<hf3fs::lib::agent::Stat>",
        },
        Method {
            name: "open",
            id: MethodId(3),
            request: "hf3fs::lib::agent::OpenReq",
            response: "hf3fs::lib::agent::OneValRsp<unsigned int>",
        },
        Method {
            name: "close",
            id: MethodId(4),
            request: "hf3fs::lib::agent::CloseReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "setAttrs",
            id: MethodId(5),
            request: "hf3fs::lib::agent::SetAttrsReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "dup",
            id: MethodId(6),
            request: "hf3fs::lib::agent::DupReq",
            response: "hf3fs::lib::agent::OneValRsp<unsigned int>",
        },
        Method {
            name: "mkdirs",
            id: MethodId(7),
            request: "hf3fs::lib::agent::MkdirsReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "symlink",
            id: MethodId(8),
            request: "hf3fs::lib::agent::SymlinkReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "remove",
            id: MethodId(9),
            request: "hf3fs::lib::agent::RemoveReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "rename",
            id: MethodId(10),
            request: "hf3fs::lib::agent::RenameReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "list",
            id: MethodId(11),
            request: "hf3fs::lib::agent::ListReq",
            response: "hf3fs::lib::agent::OneValRsp<hf3fs::lib::agent::DirEntList>",
        },
        Method {
            name: "getRealPath",
            id: MethodId(12),
            request: "hf3fs::lib::agent::GetRealPathReq",
            response: "hf3fs::lib::agent::OneValRsp<boost::filesystem::path>",
        },
        Method {
            name: "fsync",
            id: MethodId(13),
            request: "hf3fs::lib::agent::FsyncReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "ftruncate",
            id: MethodId(14),
            request: "hf3fs::lib::agent::FtruncateReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "link",
            id: MethodId(15),
            request: "hf3fs::lib::agent::LinkReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "iovalloc",
            id: MethodId(101),
            request: "hf3fs::lib::agent::IovAllocReq",
            response: "hf3fs::lib::agent::OneValRsp<hf3fs::lib::agent::AllocatedIov>",
        },
        Method {
            name: "iovfree",
            id: MethodId(102),
            request: "hf3fs::lib::agent::IovFreeReq",
            response: "hf3fs::lib::agent::OneValRsp<folly::Unit>",
        },
        Method {
            name: "seekInFile",
            id: MethodId(103),
            request: "hf3fs::lib::agent::SeekInFileReq",
            response: "hf3fs::lib::agent::OneValRsp<long>",
        },
        Method {
            name: "piov",
            id: MethodId(104),
            request: "hf3fs::lib::agent::PioVReq",
            response: "hf3fs::lib::agent::OneValRsp<hf3fs::lib::agent::PioVRes>",
        },
        Method {
            name: "sharedFileHandles",
            id: MethodId(201),
            request: "hf3fs::lib::agent::SharedFileHandlesReq",
            response: "hf3fs::lib::agent::OneValRsp<std::basic_string<char>>",
        },
        Method {
            name: "openWithFileHandles",
            id: MethodId(202),
            request: "hf3fs::lib::agent::OpenWithFileHandlesReq",
            response: "hf3fs::lib::agent::OneValRsp<std::vector<int>>",
        },
        Method {
            name: "openIovecHandle",
            id: MethodId(203),
            request: "hf3fs::lib::agent::OpenIovecHandleReq",
            response: "hf3fs::lib::agent::OneValRsp<int>",
        },
    ],
};
