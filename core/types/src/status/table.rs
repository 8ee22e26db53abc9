//! Every status code 3FS defines: number, constant, name and errno, once.
//!
//! Source: `src/common/utils/StatusCodeDetails.h` and `src/common/utils/StatusCode.cc` upstream. Everything known
//! about a code by its number comes from here; how calls react to it is in [`super::retry`].
//!
//! Constants are named `GROUP_NAME`; the `Common` group has no prefix.

use super::{Errno, Group, StatusCode};

/// What is known about one code.
pub(super) struct Row {
    /// The number on the wire.
    pub(super) code: u16,
    /// `Group::Name`, or `Name` in the `Common` group.
    pub(super) name: &'static str,
    /// What the kernel is told.
    pub(super) errno: Errno,
    /// The name of the constant.
    #[cfg(test)]
    constant: &'static str,
}

/// Turns the table into constants, rows and the list of all codes.
macro_rules! status_codes {
    ($($group:ident $prefix:literal {$($code:literal $constant:ident $name:literal $errno:ident;)*})*) => {
        impl StatusCode {
            $($(
                #[doc = concat!("`", $prefix, $name, "` (", $code, ").")]
                pub const $constant: Self = Self($code);
            )*)*
        }

        /// All rows, ascending by code.
        pub(super) static ROWS: &[Row] = &[$($(
            Row {
                code: $code,
                name: concat!($prefix, $name),
                errno: Errno::$errno,
                #[cfg(test)]
                constant: stringify!($constant),
            },
        )*)*];

        // A number in the wrong block would get the wrong prefix, and with it the wrong retry class.
        const _: () = {
            $($(assert!(matches!(Group::of($code), Group::$group));)*)*
        };
    };
}

status_codes! {
    Common "" {
        0 OK "OK" EIO;
        1 NOT_IMPLEMENTED "NotImplemented" ENOSYS;
        2 DATA_CORRUPTION "DataCorruption" EIO;
        3 INVALID_ARG "InvalidArg" EINVAL;
        4 INVALID_CONFIG "InvalidConfig" EIO;
        5 QUEUE_EMPTY "QueueEmpty" EIO;
        6 QUEUE_FULL "QueueFull" EIO;
        7 QUEUE_CONFLICT "QueueConflict" EIO;
        8 QUEUE_INVALID_ITEM "QueueInvalidItem" EIO;
        12 MONITOR_INIT_FAILED "MonitorInitFailed" EIO;
        13 MONITOR_QUERY_FAILED "MonitorQueryFailed" EIO;
        14 MONITOR_WRITE_FAILED "MonitorWriteFailed" EIO;
        15 CONFIG_INVALID_TYPE "ConfigInvalidType" EIO;
        16 CONFIG_INVALID_VALUE "ConfigInvalidValue" EIO;
        17 CONFIG_UPDATE_FAILED "ConfigUpdateFailed" EIO;
        18 CONFIG_VALIDATE_FAILED "ConfigValidateFailed" EIO;
        19 CONFIG_REDUNDANT_KEY "ConfigRedundantKey" EIO;
        20 CONFIG_KEY_NOT_FOUND "ConfigKeyNotFound" EIO;
        25 AUTHENTICATION_FAIL "AuthenticationFail" EPERM;
        26 NOT_ENOUGH_MEMORY "NotEnoughMemory" ENOMEM;
        27 INTERRUPTED "Interrupted" EIO;
        33 INVALID_FORMAT "InvalidFormat" EIO;
        34 READ_ONLY_MODE "ReadOnlyMode" EROFS;
        40 SERDE_INSUFFICIENT_LENGTH "SerdeInsufficientLength" EIO;
        41 SERDE_MISSING_FIELDS_AT_END "SerdeMissingFieldsAtEnd" EIO;
        42 SERDE_VARIANT_INDEX_EXCEEDED "SerdeVariantIndexExceeded" EIO;
        43 SERDE_UNKNOWN_ENUM_VALUE "SerdeUnknownEnumValue" EIO;
        44 SERDE_NOT_CONTAINER "SerdeNotContainer" EIO;
        45 SERDE_NOT_STRING "SerdeNotString" EIO;
        46 SERDE_NOT_NUMBER "SerdeNotNumber" EIO;
        47 SERDE_NOT_INTEGER "SerdeNotInteger" EIO;
        48 SERDE_NOT_TABLE "SerdeNotTable" EIO;
        49 SERDE_KEY_NOT_FOUND "SerdeKeyNotFound" EIO;
        50 SERDE_INVALID_JSON "SerdeInvalidJson" EIO;
        51 SERDE_INVALID_TOML "SerdeInvalidToml" EIO;
        52 NO_APPLICATION "NoApplication" EIO;
        53 CANNOT_PUSH_CONFIG "CannotPushConfig" EIO;
        60 KV_STORE_NOT_FOUND "KVStoreNotFound" EIO;
        61 KV_STORE_GET_ERROR "KVStoreGetError" EIO;
        62 KV_STORE_SET_ERROR "KVStoreSetError" EIO;
        63 KV_STORE_OPEN_FAILED "KVStoreOpenFailed" EIO;
        64 TOKEN_MISMATCH "TokenMismatch" EIO;
        65 TOKEN_DUPLICATED "TokenDuplicated" EIO;
        66 TOKEN_STALE "TokenStale" EIO;
        67 TOO_MANY_TOKENS "TooManyTokens" EIO;
        68 KV_STORE_ITERATE_ERROR "KVStoreIterateError" EIO;
        69 IO_ERROR "IOError" EIO;
        70 FAULT_INJECTION "FaultInjection" EIO;
        71 CONFIG_PARSE_ERROR "ConfigParseError" EIO;
        72 OS_ERROR "OSError" EIO;
        998 FOUND_BUG "FoundBug" EIO;
        999 UNKNOWN "Unknown" EIO;
    }
    Transaction "Transaction::" {
        1000 TRANSACTION_FAILED "Failed" EIO;
        1001 TRANSACTION_CONFLICT "Conflict" EIO;
        1002 TRANSACTION_THROTTLED "Throttled" EIO;
        1003 TRANSACTION_TOO_OLD "TooOld" EIO;
        1004 TRANSACTION_NETWORK_ERROR "NetworkError" EIO;
        1005 TRANSACTION_CANCELED "Canceled" EIO;
        1006 TRANSACTION_MAYBE_COMMITTED "MaybeCommitted" EIO;
        1007 TRANSACTION_RETRYABLE "Retryable" EIO;
        1008 TRANSACTION_RESOURCE_CONSTRAINED "ResourceConstrained" EIO;
        1009 TRANSACTION_PROCESS_BEHIND "ProcessBehind" EIO;
        1010 TRANSACTION_FUTURE_VERSION "FutureVersion" EIO;
    }
    Rpc "RPC::" {
        2000 RPC_INVALID_MESSAGE_TYPE "InvalidMessageType" EREMOTEIO;
        2001 RPC_REQUEST_IS_EMPTY "RequestIsEmpty" EREMOTEIO;
        2002 RPC_VERIFY_REQUEST_FAILED "VerifyRequestFailed" EREMOTEIO;
        2003 RPC_VERIFY_RESPONSE_FAILED "VerifyResponseFailed" EREMOTEIO;
        2005 RPC_TIMEOUT "Timeout" EREMOTEIO;
        2006 RPC_INVALID_ADDR "InvalidAddr" EREMOTEIO;
        2007 RPC_SEND_FAILED "SendFailed" EREMOTEIO;
        2008 RPC_INVALID_SERVICE_ID "InvalidServiceID" EREMOTEIO;
        2009 RPC_INVALID_METHOD_ID "InvalidMethodID" EREMOTEIO;
        2010 RPC_SOCKET_ERROR "SocketError" EREMOTEIO;
        2011 RPC_LISTEN_FAILED "ListenFailed" EREMOTEIO;
        2012 RPC_REQUEST_REFUSED "RequestRefused" EREMOTEIO;
        2013 RPC_SOCKET_CLOSED "SocketClosed" EREMOTEIO;
        2014 RPC_CONNECT_FAILED "ConnectFailed" EREMOTEIO;
        2015 RPC_IB_INIT_FAILED "IBInitFailed" EREMOTEIO;
        2016 RPC_IB_DEVICE_NOT_FOUND "IBDeviceNotFound" EREMOTEIO;
        2017 RPC_RDMA_POST_FAILED "RDMAPostFailed" EREMOTEIO;
        2018 RPC_RDMA_ERROR "RDMAError" EREMOTEIO;
        2019 RPC_RDMA_NO_BUF "RDMANoBuf" EREMOTEIO;
        2020 RPC_INVALID_SERVICE_NAME "InvalidServiceName" EREMOTEIO;
        2021 RPC_IB_DEVICE_NOT_INITIALIZED "IBDeviceNotInitialized" EREMOTEIO;
        2022 RPC_EPOLL_INIT_ERROR "EpollInitError" EREMOTEIO;
        2023 RPC_EPOLL_ADD_ERROR "EpollAddError" EREMOTEIO;
        2024 RPC_EPOLL_DEL_ERROR "EpollDelError" EREMOTEIO;
        2025 RPC_EPOLL_WAKE_UP_ERROR "EpollWakeUpError" EREMOTEIO;
        2026 RPC_EPOLL_WAIT_ERROR "EpollWaitError" EREMOTEIO;
        2027 RPC_IB_OPEN_PORT_FAILED "IBOpenPortFailed" EREMOTEIO;
    }
    Meta "Meta::" {
        3000 META_NOT_FOUND "NotFound" ENOENT;
        3001 META_NOT_EMPTY "NotEmpty" ENOTEMPTY;
        3003 META_NOT_DIRECTORY "NotDirectory" ENOTDIR;
        3005 META_TOO_MANY_SYMLINKS "TooManySymlinks" ELOOP;
        3006 META_IS_DIRECTORY "IsDirectory" EISDIR;
        3007 META_EXISTS "Exists" EEXIST;
        3008 META_NO_PERMISSION "NoPermission" EPERM;
        3009 META_INCONSISTENT "Inconsistent" EIO;
        3010 META_NOT_FILE "NotFile" EBADF;
        3011 META_BAD_FILE_SYSTEM "BadFileSystem" EIO;
        3012 META_INODE_ID_ALLOC_FAILED "InodeIdAllocFailed" EIO;
        3013 META_INVALID_FILE_LAYOUT "InvalidFileLayout" EIO;
        3014 META_FILE_HAS_HOLE "FileHasHole" EIO;
        3015 META_O_TRUNC_FAILED "OTruncFailed" EIO;
        3016 META_MORE_CHUNKS_TO_REMOVE "MoreChunksToRemove" EAGAIN;
        3017 META_NAME_TOO_LONG "NameTooLong" ENAMETOOLONG;
        3018 META_REQUEST_CANCELED "RequestCanceled" EINTR;
        3019 META_BUSY "Busy" EIO;
        3100 META_EXPECTED "Expected" EIO;
        3101 META_NO_LOCK "NoLock" ENOLCK;
        3102 META_FILE_TOO_LARGE "FileTooLarge" EFBIG;
        3200 META_RETRYABLE "Retryable" EIO;
        3201 META_FORWARD_FAILED "ForwardFailed" EIO;
        3202 META_FORWARD_TIMEOUT "ForwardTimeout" EIO;
        3203 META_OPERATION_TIMEOUT "OperationTimeout" EIO;
        3300 META_NOT_RETRYABLE "NotRetryable" EIO;
        3999 META_FOUND_BUG "FoundBug" EIO;
    }
    Storage "Storage::" {
        4000 STORAGE_CHUNK_METADATA_UNPACK_ERROR "ChunkMetadataUnpackError" EIO;
        4001 STORAGE_CHUNK_METADATA_NOT_FOUND "ChunkMetadataNotFound" EIO;
        4002 STORAGE_CHUNK_METADATA_GET_ERROR "ChunkMetadataGetError" EIO;
        4003 STORAGE_CHUNK_METADATA_SET_ERROR "ChunkMetadataSetError" EIO;
        4004 STORAGE_CHUNK_NOT_COMMIT "ChunkNotCommit" EIO;
        4005 STORAGE_CHUNK_NOT_CLEAN "ChunkNotClean" EIO;
        4006 STORAGE_CHUNK_STALE_UPDATE "ChunkStaleUpdate" EIO;
        4007 STORAGE_CHUNK_MISSING_UPDATE "ChunkMissingUpdate" EIO;
        4008 STORAGE_CHUNK_COMMITTED_UPDATE "ChunkCommittedUpdate" EIO;
        4009 STORAGE_CHUNK_OPEN_FAILED "ChunkOpenFailed" EIO;
        4010 STORAGE_CHUNK_READ_FAILED "ChunkReadFailed" EIO;
        4011 STORAGE_CHUNK_WRITE_FAILED "ChunkWriteFailed" EIO;
        4012 STORAGE_CHUNK_ADVANCE_UPDATE "ChunkAdvanceUpdate" EIO;
        4013 STORAGE_CHUNK_APPLY_FAILED "ChunkApplyFailed" EIO;
        4014 STORAGE_PUNCH_HOLE_FAILED "PunchHoleFailed" EIO;
        4015 STORAGE_CHUNK_SIZE_MISMATCH "ChunkSizeMismatch" EIO;
        4016 STORAGE_STORAGE_STAT_FAILED "StorageStatFailed" EIO;
        4017 STORAGE_STORAGE_UUID_MISMATCH "StorageUUIDMismatch" EIO;
        4018 STORAGE_STORAGE_INIT_FAILED "StorageInitFailed" EIO;
        4020 STORAGE_META_STORE_OPEN_FAILED "MetaStoreOpenFailed" EIO;
        4021 STORAGE_META_STORE_INVALID_ITERATOR "MetaStoreInvalidIterator" EIO;
        4022 STORAGE_CHUNK_NOT_READY_TO_REMOVE "ChunkNotReadyToRemove" EIO;
        4023 STORAGE_CHUNK_STALE_COMMIT "ChunkStaleCommit" EIO;
        4024 STORAGE_CHUNK_INVALID_CHUNK_SIZE "ChunkInvalidChunkSize" EIO;
        4030 STORAGE_TARGET_OFFLINE "TargetOffline" EIO;
        4031 STORAGE_TARGET_NOT_FOUND "TargetNotFound" EIO;
        4032 STORAGE_TARGET_STATE_INVALID "TargetStateInvalid" EIO;
        4033 STORAGE_NO_SUCCESSOR_TARGET "NoSuccessorTarget" EIO;
        4034 STORAGE_NO_SUCCESSOR_ADDR "NoSuccessorAddr" EIO;
        4040 STORAGE_CHUNK_STORE_INIT_FAILED "ChunkStoreInitFailed" EIO;
        4050 STORAGE_AIO_SUBMIT_FAILED "AioSubmitFailed" EIO;
        4051 STORAGE_AIO_GET_EVENTS_FAILED "AioGetEventsFailed" EIO;
        4060 STORAGE_BUFFER_SIZE_EXCEEDED "BufferSizeExceeded" EIO;
        4070 STORAGE_SYNC_START_FAILED "SyncStartFailed" EIO;
        4071 STORAGE_SYNC_SEND_START_FAILED "SyncSendStartFailed" EIO;
        4072 STORAGE_SYNC_SEND_DONE_FAILED "SyncSendDoneFailed" EIO;
        4080 STORAGE_CHECKSUM_MISMATCH "ChecksumMismatch" EIO;
        4081 STORAGE_CHAIN_VERSION_MISMATCH "ChainVersionMismatch" EIO;
        4082 STORAGE_CHUNK_VERSION_MISMATCH "ChunkVersionMismatch" EIO;
        4090 STORAGE_CHANNEL_IS_LOCKED "ChannelIsLocked" EIO;
        4091 STORAGE_CHUNK_IS_LOCKED "ChunkIsLocked" EIO;
    }
    Mgmtd "Mgmtd::" {
        5000 MGMTD_NOT_PRIMARY "NotPrimary" EIO;
        5001 MGMTD_NODE_NOT_FOUND "NodeNotFound" EIO;
        5002 MGMTD_HEARTBEAT_FAIL "HeartbeatFail" EIO;
        5003 MGMTD_CLUSTER_ID_MISMATCH "ClusterIdMismatch" EIO;
        5004 MGMTD_REGISTER_FAIL "RegisterFail" EIO;
        5005 MGMTD_INVALID_ROUTING_INFO_VERSION "InvalidRoutingInfoVersion" EIO;
        5006 MGMTD_INVALID_CONFIG_VERSION "InvalidConfigVersion" EIO;
        5007 MGMTD_INVALID_CHAIN_TABLE "InvalidChainTable" EIO;
        5008 MGMTD_INVALID_CHAIN_TABLE_VERSION "InvalidChainTableVersion" EIO;
        5009 MGMTD_HEARTBEAT_VERSION_STALE "HeartbeatVersionStale" EIO;
        5010 MGMTD_CLIENT_SESSION_VERSION_STALE "ClientSessionVersionStale" EIO;
        5011 MGMTD_INVALID_TAG "InvalidTag" EIO;
        5012 MGMTD_CHAIN_NOT_FOUND "ChainNotFound" EIO;
        5013 MGMTD_NODE_TYPE_MISMATCH "NodeTypeMismatch" EIO;
        5014 MGMTD_EXTEND_CLIENT_SESSION_MISMATCH "ExtendClientSessionMismatch" EIO;
        5015 MGMTD_CLIENT_SESSION_NOT_FOUND "ClientSessionNotFound" EIO;
        5016 MGMTD_NOT_ADMIN "NotAdmin" EIO;
        5017 MGMTD_TARGET_NOT_FOUND "TargetNotFound" EIO;
        5018 MGMTD_TARGET_EXISTED "TargetExisted" EIO;
    }
    MgmtdClient "MgmtdClient::" {
        6000 MGMTD_CLIENT_PRIMARY_MGMTD_NOT_FOUND "PrimaryMgmtdNotFound" EIO;
        6001 MGMTD_CLIENT_WORK_QUEUE_FULL "WorkQueueFull" EIO;
        6002 MGMTD_CLIENT_META_SERVICE_NOT_AVAILABLE "MetaServiceNotAvailable" EIO;
        6003 MGMTD_CLIENT_EXIT "Exit" EIO;
        6004 MGMTD_CLIENT_ROUTING_INFO_NOT_READY "RoutingInfoNotReady" EIO;
    }
    StorageClient "StorageClient::" {
        7000 STORAGE_CLIENT_INIT_FAILED "InitFailed" EIO;
        7001 STORAGE_CLIENT_MEMORY_ERROR "MemoryError" EIO;
        7002 STORAGE_CLIENT_INVALID_ARG "InvalidArg" EIO;
        7003 STORAGE_CLIENT_NOT_INITIALIZED "NotInitialized" EIO;
        7004 STORAGE_CLIENT_ROUTING_ERROR "RoutingError" EIO;
        7005 STORAGE_CLIENT_NOT_AVAILABLE "NotAvailable" EIO;
        7006 STORAGE_CLIENT_COMM_ERROR "CommError" EIO;
        7007 STORAGE_CLIENT_CHUNK_NOT_FOUND "ChunkNotFound" EIO;
        7008 STORAGE_CLIENT_TIMEOUT "Timeout" EIO;
        7009 STORAGE_CLIENT_BAD_CONFIG "BadConfig" EIO;
        7010 STORAGE_CLIENT_REMOTE_IO_ERROR "RemoteIOError" EIO;
        7011 STORAGE_CLIENT_SERVER_ERROR "ServerError" EIO;
        7012 STORAGE_CLIENT_RESOURCE_BUSY "ResourceBusy" EIO;
        7013 STORAGE_CLIENT_DUPLICATE_UPDATE "DuplicateUpdate" EIO;
        7014 STORAGE_CLIENT_ROUTING_VERSION_MISMATCH "RoutingVersionMismatch" EIO;
        7015 STORAGE_CLIENT_CHECKSUM_MISMATCH "ChecksumMismatch" EIO;
        7016 STORAGE_CLIENT_NO_RDMA_INTERFACE "NoRDMAInterface" EIO;
        7017 STORAGE_CLIENT_PROTOCOL_MISMATCH "ProtocolMismatch" EIO;
        7018 STORAGE_CLIENT_REQUEST_CANCELED "RequestCanceled" EINTR;
        7019 STORAGE_CLIENT_READ_ONLY_SERVER "ReadOnlyServer" EIO;
        7020 STORAGE_CLIENT_CHUNK_NOT_COMMIT "ChunkNotCommit" EIO;
        7021 STORAGE_CLIENT_NO_SPACE "NoSpace" ENOSPC;
        7999 STORAGE_CLIENT_FOUND_BUG "FoundBug" EIO;
    }
    ClientAgent "ClientAgent::" {
        8000 CLIENT_AGENT_TOO_MANY_OPEN_FILES "TooManyOpenFiles" EMFILE;
        8001 CLIENT_AGENT_HOLE_IN_IO_OUTCOME "HoleInIoOutcome" ENODATA;
        8002 CLIENT_AGENT_FAILED_TO_START "FailedToStart" EIO;
        8003 CLIENT_AGENT_OPERATION_DISABLED "OperationDisabled" EOPNOTSUPP;
        8004 CLIENT_AGENT_IOV_NOT_REGISTERED "IovNotRegistered" EACCES;
        8006 CLIENT_AGENT_IOV_SHM_FAIL "IovShmFail" EACCES;
    }
    Cli "Cli::" {
        10000 CLI_WRONG_USAGE "WrongUsage" EIO;
    }
    KvService "KvService::" {
        11000 KV_SERVICE_UPDATE_CONFLICT "UpdateConflict" EIO;
        11001 KV_SERVICE_OPERATING_BY_OTHERS "OperatingByOthers" EIO;
        11002 KV_SERVICE_STORE_NOT_FOUND "StoreNotFound" EIO;
        11003 KV_SERVICE_STORE_NOT_AVAILABLE "StoreNotAvailable" EIO;
        11004 KV_SERVICE_STORE_LOADED "StoreLoaded" EIO;
        11005 KV_SERVICE_CLUSTER_ID_MISMATCH "ClusterIdMismatch" EIO;
        11006 KV_SERVICE_NOT_PRIMARY "NotPrimary" EIO;
        11007 KV_SERVICE_TABLE_INFO_STALE "TableInfoStale" EIO;
        11008 KV_SERVICE_HEARTBEAT_VERSION_STALE "HeartbeatVersionStale" EIO;
        11009 KV_SERVICE_UNKNOWN_WORKER "UnknownWorker" EIO;
        11010 KV_SERVICE_STORE_LEASE_EMPTY "StoreLeaseEmpty" EIO;
        11011 KV_SERVICE_STORE_LEASE_HELD "StoreLeaseHeld" EIO;
        11012 KV_SERVICE_TABLE_NOT_FOUND "TableNotFound" EIO;
        11013 KV_SERVICE_TABLE_ID_MISMATCH "TableIdMismatch" EIO;
        11014 KV_SERVICE_NO_AVAILABLE_WORKER "NoAvailableWorker" EIO;
        11015 KV_SERVICE_NO_PERMISSION "NoPermission" EIO;
        11016 KV_SERVICE_NO_AVAILABLE_MASTER "NoAvailableMaster" EIO;
        11017 KV_SERVICE_STORE_TYPE_MISMATCH "StoreTypeMismatch" EIO;
        11018 KV_SERVICE_WRITE_STALE "WriteStale" EIO;
        11019 KV_SERVICE_EXISTS "Exists" EIO;
        11020 KV_SERVICE_NOT_FOUND "NotFound" EIO;
        11021 KV_SERVICE_OUT_OF_RANGE "OutOfRange" EIO;
        11022 KV_SERVICE_DELETED "Deleted" EIO;
        11023 KV_SERVICE_SERVICE_STOPPING "ServiceStopping" EIO;
    }
}

// `StatusCode::row` searches by bisection.
const _: () = {
    let mut at = 1;
    while at < ROWS.len() {
        assert!(ROWS[at - 1].code < ROWS[at].code);
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn constants_are_called_what_they_mean() {
        let squashed = |name: &str| -> String {
            name.chars()
                .filter(char::is_ascii_alphanumeric)
                .map(|c| c.to_ascii_uppercase())
                .collect()
        };
        for row in ROWS {
            assert_eq!(squashed(row.constant), squashed(row.name), "{}", row.code);
        }
    }
}
