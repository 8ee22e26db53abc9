//! Parts: what one operation wants of one chunk or one chain, and how far that has come.
//!
//! ```text
//!          chain, channel, target known          room           answer: done
//!   new ──────────────────────────────► queued ──────► calling ─────────────► gone
//!    ▲ │ no channel ──► waiting ──────────▲              │
//!    │ └ no target ───► sleeping ◄────────────────────────┘ answer: may pass
//!    └───────────────────── │
//! ```
//!
//! Owner: [`StorageIo`](super::StorageIo).

use super::channels::Touched;
use super::order::Chunks;
use flyer_types::ids::{
    CallId, ChainId, ChannelId, ChannelSeq, InodeId, NodeId, OpId, RequestId, SlotId, TargetId,
};
use flyer_types::parts::Retry;
use flyer_types::status::StorageCall;
use flyer_types::{Lease, Segments, Status};
use smallvec::SmallVec;

/// Names a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartId {
    slot: u32,
    generation: u32,
}

impl SlotId for PartId {
    fn from_parts(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    fn slot(self) -> u32 {
        self.slot
    }

    fn generation(self) -> u32 {
        self.generation
    }
}

/// What a part wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Bytes of a chunk.
    Read { chunk: u32, off: u32, into: Lease },
    /// Other bytes in a chunk.
    Write { chunk: u32, off: u32, memory: Segments },
    /// Another length of a chunk.
    Cut { chunk: u32, length: u32 },
    /// No chunks on the chain of a slot; removal goes round by round, and up to `until` only because of a fence. With `trace` an empty
    /// chunk is made there first, so that the server takes note of the channel.
    Remove {
        slot: u32,
        chunks: Chunks,
        until: u64,
        trace: Option<u32>,
    },
    /// The last chunk on the chain of a slot.
    Last { slot: u32 },
    /// Whether a chunk exists.
    Exists { chunk: u32 },
}

/// Which parts may travel in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Together {
    /// With other reads.
    Read,
    /// With other queries.
    Query,
    /// Alone.
    Never,
}

impl Body {
    pub(super) const fn together(&self) -> Together {
        match self {
            Self::Read { .. } => Together::Read,
            Self::Last { .. } | Self::Exists { .. } => Together::Query,
            Self::Write { .. } | Self::Cut { .. } | Self::Remove { .. } => Together::Never,
        }
    }

    pub(super) const fn call(&self) -> StorageCall {
        match self {
            Self::Read { .. } | Self::Last { .. } | Self::Exists { .. } => StorageCall::Read,
            Self::Write { .. } | Self::Cut { .. } | Self::Remove { .. } => StorageCall::Update,
        }
    }

    /// Bytes that travel.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Read { into, .. } => u64::from(into.len),
            Self::Write { memory, .. } => memory.len_bytes(),
            Self::Cut { .. } | Self::Remove { .. } | Self::Last { .. } | Self::Exists { .. } => 0,
        }
    }

    /// The slot of the layout that the part is about.
    pub(super) const fn slot(&self, stripe_size: u32) -> u32 {
        match self {
            Self::Read { chunk, .. }
            | Self::Write { chunk, .. }
            | Self::Cut { chunk, .. }
            | Self::Exists { chunk } => *chunk % stripe_size,
            Self::Remove { slot, .. } | Self::Last { slot } => *slot,
        }
    }

    /// What an update touches.
    pub(super) fn touched(&self, chain: ChainId, inode: InodeId) -> Touched {
        let creates = match self {
            Self::Write { chunk, .. } | Self::Cut { chunk, .. } => Some(*chunk),
            Self::Remove { trace, .. } => *trace,
            Self::Read { .. } | Self::Last { .. } | Self::Exists { .. } => None,
        };
        let chunks = match self {
            Self::Read { chunk, .. }
            | Self::Write { chunk, .. }
            | Self::Cut { chunk, .. }
            | Self::Exists { chunk } => Chunks {
                from: *chunk,
                to: u64::from(*chunk) + 1,
            },
            Self::Remove { chunks, .. } => *chunks,
            Self::Last { .. } => Chunks { from: 0, to: 0 },
        };
        Touched {
            chain,
            inode,
            chunks,
            creates,
        }
    }
}

/// What makes an update happen once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) channel: ChannelId,
    /// Of the last attempt; a removal draws a new one for each.
    pub(super) seq: ChannelSeq,
    pub(super) request: RequestId,
    /// A request may be under way of which nobody waits for the answer any more.
    pub(super) unsettled: bool,
    /// The server has taken note of a number of this update.
    pub(super) noted: bool,
}

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// About to go on.
    Going,
    /// Waits for a channel.
    Channel,
    /// Waits for room on the way to a node.
    Gate(NodeId),
    /// Waits for an answer.
    Calling(CallId),
    /// Waits for its next attempt; whether new routing could help.
    Sleeping { routing: bool },
}

/// A part.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) op: OpId,
    pub(super) body: Body,
    pub(super) chain: Option<ChainId>,
    pub(super) update: Option<Update>,
    pub(super) retry: Retry,
    pub(super) stage: Stage,
    /// Of the attempt under way.
    pub(super) target: TargetId,
    /// Targets that failed and are avoided while there are others.
    pub(super) avoided: SmallVec<[TargetId; 2]>,
    /// What went wrong last.
    pub(super) error: Option<Status>,
}
