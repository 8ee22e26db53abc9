//! Files as chunks on chains: from a range of a file to storage calls and back.
//!
//! Owner: a shard.

use crate::routing::RoutingView;
use alloc::sync::Arc;
use alloc::vec::Vec;
use flyer_types::ids::{CallId, InodeId, NodeId};
use flyer_types::{Lease, Segments, Status, Time};
use flyer_wire::msg::meta::inode::Layout;
use flyer_wire::service::storage::{Request, Response};

/// What is known of a file whose chunks are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// The file.
    pub inode: InodeId,
    /// Where its chunks lie. Its order of chains is computed once and kept by the client for as long as the layout is in use.
    pub layout: Arc<Layout>,
    /// Slots of the layout that chunks may exist on; 0 for all.
    pub stripe: u32,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// Fills `into` with the bytes from `offset` on. What does not exist is zero: the caller has cut the range at the length of
    /// the file. Outcome: done.
    Read {
        /// First byte.
        offset: u64,
        /// Where the bytes go.
        into: Lease,
    },
    /// Writes all of `from`. Outcome: done; after a failure the range holds old and new bytes, which of them where is unknown.
    Write {
        /// First byte.
        offset: u64,
        /// The bytes; lent until the outcome is told.
        from: Segments,
    },
    /// Removes the chunks behind `length` and cuts or extends the last one. `stripe` of the file has to allow the last chunk. Outcome: done.
    Truncate {
        /// New length of the file.
        length: u64,
    },
    /// Makes the range read as zeros, without changing the length of the file: whole chunks are removed, except the last one of
    /// the file, parts are overwritten. Outcome: done.
    Punch {
        /// First byte.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Length of the file.
        file_length: u64,
    },
    /// Finds the end of the last chunk. Outcome: length.
    Length,
    /// Which chunks with an index in the range exist, ascending. Outcome: chunks. Used by `lseek`.
    Chunks {
        /// First index.
        from: u32,
        /// Index behind the last.
        to: u32,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it was done.
    Done,
    /// End of the last chunk: the length of the file, as far as its content tells.
    Length(u64),
    /// Chunks with their lengths.
    Chunks(Vec<(u32, u32)>),
}

/// What happens to the storage client. `O` names an operation of the owner.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<O> {
    /// Do something with the chunks of a file.
    Start {
        /// Whom to tell the outcome.
        op: O,
        /// The file.
        file: FileView,
        /// What is wanted.
        want: Want,
    },
    /// The outcome of an [`Out::Call`]. Late and repeated ones are ignored.
    Answer {
        /// Which.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<Response, Status>,
    },
    /// The chains as they are now.
    Routing(Arc<RoutingView>),
}

/// What the storage client wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<O> {
    /// One attempt.
    Call {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// The request. Checksums of data that are wanted are filled in by the host.
        request: Request,
        /// Reads: where the data of each operation go, in order. Writes: the data.
        memory: Segments,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// These bytes have to become zero. Comes before the outcome of the operation that they belong to.
    Zero(Lease),
    /// The outcome of an [`In::Start`].
    Done {
        /// Whose.
        op: O,
        /// What came of it.
        outcome: Result<Outcome, Status>,
    },
    /// The routing in use seems outdated: fetch a new one soon.
    RoutingWanted,
}
