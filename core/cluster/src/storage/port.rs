//! What goes in and out of a storage server.
//!
//! Owner: the host. Leases in requests and operations stay the host's memory.

use crate::store::StoreError;
use alloc::sync::Arc;
use flyer_types::ids::OpId;
use flyer_types::{Lease, Segments, Status, WallTime};
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::service::storage::{Request, Response};

/// What happens to a storage server. `C` names a call of a client to the host.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<C> {
    /// A client or a predecessor asks.
    Request {
        /// Whom to answer.
        call: C,
        /// What it wants.
        request: Request,
        /// Reads: where the data of each operation go, in order. Updates: the data. Else nothing. Stays the host's: it is not
        /// touched any more once the call was answered.
        memory: Segments,
    },
    /// The outcome of an [`Out::Disk`]. Late and repeated ones are ignored.
    Disk {
        /// Which.
        id: OpId,
        /// Whether it was carried out completely.
        done: Result<DiskDone, DiskError>,
    },
    /// The chains as they are now.
    Routing(Arc<RoutingInfo>),
    /// The time of day.
    Clock(WallTime),
    /// Room on the disk for data, in bytes.
    Space {
        /// In total.
        capacity: u64,
        /// Free, not counting what the server itself holds reserved.
        free: u64,
    },
    /// The host begins to make durable everything that was committed and written up to here: first the data, then the store.
    SyncBegun,
    /// The data are: all that was written before the oldest open [`In::SyncBegun`] of which this was not said yet. What the server
    /// commits on this has to be made durable with the store, before anybody is told that the sync has ended.
    DataDurable,
    /// What the oldest open [`In::SyncBegun`] promised has come true; false: some of it failed. A host whose system forgets data that it
    /// failed to write reports no success any more after a failure.
    SyncEnded(bool),
}

/// What a storage server wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<C> {
    /// Answers a request.
    Answer {
        /// Whom.
        call: C,
        /// What.
        answer: Result<Response, Status>,
    },
    /// Does something with the disk. Operations on the same [`Place`] are never under way together unless all of them read.
    Disk {
        /// Comes back with the outcome.
        id: OpId,
        /// What is wanted.
        op: DiskOp,
    },
    /// Space is waiting for a sync: the host should do one soon.
    SyncWanted,
    /// An [`In::SyncBegun`] was taken note of: the host goes on to make the data durable.
    SyncData,
    /// An [`In::DataDurable`] was taken note of: the host goes on to make the store durable.
    SyncStore,
}

/// A block of one of the data files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Bytes of each block of the file: a power of two.
    pub block_bytes: u32,
    /// Number of the block.
    pub index: u64,
}

/// An operation on a block. Offsets count from the beginning of the block; bytes that were never written read as zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOp {
    /// Reads `into.len` bytes.
    Read {
        /// The block.
        place: Place,
        /// First byte.
        off: u32,
        /// Where they go.
        into: Lease,
        /// Whether the CRC-32C of the bytes is wanted.
        checksum: bool,
    },
    /// Writes all of `from`.
    Write {
        /// The block.
        place: Place,
        /// First byte.
        off: u32,
        /// The bytes.
        from: Segments,
        /// The CRC-32C they have to have (the usual complemented form), if it is known. Bytes with another one are not written,
        /// not even in part: [`DiskError::Mismatch`].
        expected: Option<u32>,
    },
    /// Makes bytes zero.
    Zero {
        /// The block.
        place: Place,
        /// First byte.
        off: u32,
        /// Bytes.
        len: u32,
    },
    /// Copies the first `len` bytes of a block to another one.
    Copy {
        /// Source.
        from: Place,
        /// Destination.
        to: Place,
        /// Bytes.
        len: u32,
    },
    /// The content is no longer needed; the disk may give the space back. It reads as zeros afterwards.
    Discard {
        /// The block.
        place: Place,
    },
    /// The CRC-32C of bytes on the disk. Not asked for by chains of one target.
    Checksum {
        /// The block.
        place: Place,
        /// First byte.
        off: u32,
        /// Bytes.
        len: u32,
    },
}

/// A disk operation was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskDone {
    /// CRC-32C of the bytes (the usual complemented form), if it was asked for.
    pub crc32c: Option<u32>,
}

/// Why a disk operation was not carried out; the content of the bytes concerned is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// There is no room.
    NoSpace,
    /// The system refused; what it said.
    Io(flyer_types::Text),
    /// The bytes to be written do not have the checksum that was announced for them. Nothing was written.
    Mismatch,
}

impl From<StoreError> for DiskError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace => Self::NoSpace,
            StoreError::Io(why) | StoreError::Corrupt(why) => Self::Io(why),
        }
    }
}
