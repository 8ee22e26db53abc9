//! How a caller reacts to a status: one class per kind of call.
//!
//! | call | class | source |
//! |---|---|---|
//! | metadata | [`MetaRetry`] | `src/fbs/meta/Utils.h` |
//! | storage | [`StorageRetry`] | `src/client/storage/StorageClientImpl.cc`, changed as listed below |
//! | manager | [`ManagerRetry`] | `src/client/mgmtd/MgmtdClient.cc` |
//!
//! # Where storage calls deviate from upstream
//!
//! Upstream converts a server's code to a storage client code first and classifies what is left; most server codes
//! become `ServerError` (7011) and are retried until the time is up. Here the *original* code is classified, so pass
//! what the server or the transport said, not the converted code. (Passing a converted code is harmless: it gives the
//! class that upstream would have given, except for D1 and D3, which apply all the same.)
//!
//! | | code | upstream | here | why |
//! |---|---|---|---|---|
//! | D1 | 7013 `DuplicateUpdate` | retry | permanent | 3: the channel has moved on, the same sequence number can never succeed; see [`StatusCode::is_outcome_lost`] |
//! | D2 | 4015 `ChunkSizeMismatch`, 4024 `ChunkInvalidChunkSize`, 4083, 4084 | retry | permanent | 4: the request itself does not fit the chunk |
//! | D3 | 7015, 4080 `ChecksumMismatch` on a read | permanent | unavailable | 5: another replica may hold good bytes |
//! | D4 | 2010 `SocketError`, 2013 `SocketClosed`, 2014 `ConnectFailed`, 2018 `RDMAError` | retry | unavailable | 4: a peer that cannot be reached has to count towards fail-over like one that does not answer |
//!
//! # Where metadata calls deviate from upstream
//!
//! 7021 `NoSpace` is permanent here and retried there: no time of waiting for an answer makes room, and who could make some waits.

use super::{Group, StatusCode};

/// What the answer to a metadata call means for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetaRetry {
    /// The server did its work and this is the answer, success or not. Clears the server's failure count.
    Final,
    /// Worth another attempt with the same request id, while there is time.
    Retryable,
    /// A failure that no attempt will change.
    Permanent,
}

/// Whether a storage call reads or changes chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageCall {
    /// Reads and queries: any replica that serves may answer.
    Read,
    /// Writes, truncates and removals: only the head of the chain takes them.
    Update,
}

/// What the answer to a storage call means for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StorageRetry {
    /// Done.
    Success,
    /// A failure that no attempt will change.
    Permanent,
    /// Worth another attempt, and counts towards fail-over of the target.
    Unavailable,
    /// Worth another attempt soon: the cluster is about to settle.
    Fast,
    /// Worth another attempt after the full wait.
    Retry,
}

/// What the answer to a manager call means for its caller. Upstream repeats a call once; everything else is left
/// to the period of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ManagerRetry {
    /// The manager answered, success or not.
    Final,
    /// The address did not work: try the manager's next one, then look for the primary anew.
    OtherAddress,
    /// The manager is not the primary. Its message may start with the node id of who is; otherwise look for it.
    OtherManager,
}

impl StatusCode {
    /// The class of an answer to a metadata call.
    #[must_use]
    pub const fn meta_retry(self) -> MetaRetry {
        if self.is_meta_final() {
            return MetaRetry::Final;
        }
        let retryable = match self.group() {
            Group::Common => false,
            Group::Meta => match self {
                Self::META_INCONSISTENT
                | Self::META_BAD_FILE_SYSTEM
                | Self::META_FILE_HAS_HOLE
                | Self::META_REQUEST_CANCELED => false,
                // Busy, InodeIdAllocFailed, OTruncFailed and the forwarding errors 3200..=3203 lie below the mark.
                _ => self.0 < Self::META_NOT_RETRYABLE.0,
            },
            Group::StorageClient => !matches!(
                self,
                Self::STORAGE_CLIENT_CHUNK_NOT_FOUND
                    | Self::STORAGE_CLIENT_CHECKSUM_MISMATCH
                    | Self::STORAGE_CLIENT_READ_ONLY_SERVER
                    | Self::STORAGE_CLIENT_NO_SPACE
                    | Self::STORAGE_CLIENT_FOUND_BUG
            ),
            // An old server that does not know the method will not learn it.
            Group::Rpc => !matches!(self, Self::RPC_INVALID_METHOD_ID),
            Group::Transaction
            | Group::Storage
            | Group::Mgmtd
            | Group::MgmtdClient
            | Group::ClientAgent
            | Group::Cli
            | Group::KvService
            | Group::Unknown => true,
        };
        if retryable {
            MetaRetry::Retryable
        } else {
            MetaRetry::Permanent
        }
    }

    /// "Final, expected": the server looked and this is what it found.
    const fn is_meta_final(self) -> bool {
        matches!(
            self,
            Self::OK
                | Self::INVALID_ARG
                | Self::AUTHENTICATION_FAIL
                | Self::META_NOT_FOUND
                | Self::META_NOT_EMPTY
                | Self::META_NOT_DIRECTORY
                | Self::META_TOO_MANY_SYMLINKS
                | Self::META_IS_DIRECTORY
                | Self::META_EXISTS
                | Self::META_NO_PERMISSION
                | Self::META_NOT_FILE
                | Self::META_INVALID_FILE_LAYOUT
                | Self::META_MORE_CHUNKS_TO_REMOVE
                | Self::META_NAME_TOO_LONG
        ) || (self.0 >= Self::META_EXPECTED.0 && self.0 < Self::META_RETRYABLE.0)
    }

    /// Whether a failed metadata call counts towards fail-over to another server.
    #[must_use]
    pub const fn is_server_error(self) -> bool {
        matches!(self.group(), Group::Rpc) || matches!(self, Self::TRANSACTION_NETWORK_ERROR)
    }

    /// Whether a failed open or create may have left a session behind that has to be pruned.
    #[must_use]
    pub const fn may_leak_session(self) -> bool {
        match self {
            Self::TRANSACTION_MAYBE_COMMITTED | Self::META_O_TRUNC_FAILED => true,
            // These say that the request never reached a method.
            Self::RPC_SEND_FAILED
            | Self::RPC_CONNECT_FAILED
            | Self::RPC_IB_INIT_FAILED
            | Self::RPC_INVALID_METHOD_ID => false,
            other => matches!(other.group(), Group::Rpc),
        }
    }

    /// Whether a metadata call waits only briefly before its next attempt: the server was busy or unreached, and
    /// nothing was lost by asking.
    #[must_use]
    pub const fn meta_waits_briefly(self) -> bool {
        matches!(
            self,
            Self::RPC_REQUEST_REFUSED | Self::RPC_SEND_FAILED | Self::META_BUSY
        )
    }

    /// The class of an answer to a storage call. Pass the code as the server or the transport gave it; see the
    /// [module](self) for where and why this differs from upstream.
    #[must_use]
    pub const fn storage_retry(self, call: StorageCall) -> StorageRetry {
        match self {
            Self::OK => StorageRetry::Success,
            // D1 and D2. 4083 and 4084 have no name upstream: the chunk engine's tag mismatch and "chunk exists".
            Self::STORAGE_CLIENT_DUPLICATE_UPDATE
            | Self::STORAGE_CHUNK_SIZE_MISMATCH
            | Self::STORAGE_CHUNK_INVALID_CHUNK_SIZE
            | Self(4083 | 4084) => StorageRetry::Permanent,
            // D3.
            Self::STORAGE_CLIENT_CHECKSUM_MISMATCH | Self::STORAGE_CHECKSUM_MISMATCH => match call {
                StorageCall::Read => StorageRetry::Unavailable,
                StorageCall::Update => StorageRetry::Permanent,
            },
            // D4.
            Self::RPC_SOCKET_ERROR
            | Self::RPC_SOCKET_CLOSED
            | Self::RPC_CONNECT_FAILED
            | Self::RPC_RDMA_ERROR => StorageRetry::Unavailable,
            other => other.to_storage_client().storage_client_retry(),
        }
    }

    /// Upstream's class of a failure that was converted already.
    const fn storage_client_retry(self) -> StorageRetry {
        match self {
            Self::STORAGE_CLIENT_MEMORY_ERROR
            | Self::STORAGE_CLIENT_INVALID_ARG
            | Self::STORAGE_CLIENT_CHUNK_NOT_FOUND
            | Self::STORAGE_CLIENT_BAD_CONFIG
            | Self::STORAGE_CLIENT_CHECKSUM_MISMATCH
            | Self::STORAGE_CLIENT_PROTOCOL_MISMATCH
            | Self::STORAGE_CLIENT_REQUEST_CANCELED
            | Self::STORAGE_CLIENT_READ_ONLY_SERVER
            | Self::STORAGE_CLIENT_NO_SPACE
            | Self::STORAGE_CLIENT_FOUND_BUG => StorageRetry::Permanent,
            Self::STORAGE_CLIENT_COMM_ERROR
            | Self::STORAGE_CLIENT_TIMEOUT
            | Self::STORAGE_CLIENT_REMOTE_IO_ERROR => StorageRetry::Unavailable,
            Self::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH | Self::STORAGE_CLIENT_CHUNK_NOT_COMMIT => {
                StorageRetry::Fast
            }
            _ => StorageRetry::Retry,
        }
    }

    /// Whether the server says that the update's channel has moved on: this update was carried out, or it was not,
    /// and asking again cannot tell. To be reported as "unknown", never
    /// as "not done". (Of an update that merely failed or timed out the outcome is not known either, but a retry
    /// settles it.)
    #[must_use]
    pub const fn is_outcome_lost(self) -> bool {
        matches!(self, Self::STORAGE_CLIENT_DUPLICATE_UPDATE)
    }

    /// Whether the failure of a storage call hints that the routing held is stale, so that asking the manager pays
    /// off at once (upstream only waits for its periodic refresh).
    #[must_use]
    pub const fn suggests_stale_routing(self) -> bool {
        match self {
            // The connection broke or could not be made.
            Self::RPC_SOCKET_ERROR
            | Self::RPC_SOCKET_CLOSED
            | Self::RPC_CONNECT_FAILED
            | Self::RPC_RDMA_ERROR
            // The target is not what the routing says it is.
            | Self::STORAGE_TARGET_OFFLINE
            | Self::STORAGE_TARGET_NOT_FOUND
            | Self::STORAGE_TARGET_STATE_INVALID => true,
            other => matches!(
                other.to_storage_client(),
                Self::STORAGE_CLIENT_ROUTING_ERROR
                    | Self::STORAGE_CLIENT_NOT_AVAILABLE
                    | Self::STORAGE_CLIENT_COMM_ERROR
                    | Self::STORAGE_CLIENT_TIMEOUT
                    | Self::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH
            ),
        }
    }

    /// The class of an answer to a manager call.
    #[must_use]
    pub const fn manager_retry(self) -> ManagerRetry {
        match (self.group(), self) {
            (Group::Rpc, _) => ManagerRetry::OtherAddress,
            (_, Self::MGMTD_NOT_PRIMARY) => ManagerRetry::OtherManager,
            _ => ManagerRetry::Final,
        }
    }
}
