//! Results that say no.

use super::record::NO_CHECKSUM;
use crate::store::StoreError;
use flyer_types::ids::{ChainVersion, ChunkVersion};
use flyer_types::{Status, StatusCode};
use flyer_wire::msg::storage::io::IoResult;

/// The result of an operation that failed.
pub(super) fn failed(status: Status) -> IoResult {
    IoResult {
        length_info: Err(status),
        commit_ver: ChunkVersion(0),
        update_ver: ChunkVersion(0),
        checksum: NO_CHECKSUM,
        commit_chain_ver: ChainVersion(0),
    }
}

/// The result of an operation that was done to no chunk.
pub(super) fn done(length: u32) -> IoResult {
    IoResult {
        length_info: Ok(length),
        ..failed(Status::default())
    }
}

/// The result of an operation that failed for a reason that needs no words.
pub(super) fn refused(code: StatusCode) -> IoResult {
    failed(Status::new(code))
}

/// A store that could not be read.
pub(super) fn unreadable(error: StoreError) -> Status {
    let code = match error {
        StoreError::Io(_) | StoreError::NoSpace => StatusCode::STORAGE_CHUNK_METADATA_GET_ERROR,
        StoreError::Corrupt(_) => StatusCode::STORAGE_CHUNK_METADATA_UNPACK_ERROR,
    };
    Status::with_message(code, alloc::format!("{error}"))
}

/// A store that could not be written.
pub(super) fn unwritable(error: StoreError) -> Status {
    let code = match error {
        StoreError::NoSpace => StatusCode::STORAGE_CLIENT_NO_SPACE,
        StoreError::Io(_) | StoreError::Corrupt(_) => StatusCode::STORAGE_CHUNK_METADATA_SET_ERROR,
    };
    Status::with_message(code, alloc::format!("{error}"))
}
