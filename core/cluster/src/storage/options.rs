//! What a storage server can be told, and its limits.
//!
//! Owner: the host that opens the server.

use flyer_types::Text;
use flyer_types::ids::NodeId;

/// Options of a storage server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server's node.
    pub node: NodeId,
    /// What `spaceInfo` shows as the place of the disk.
    pub path: Text,
    /// Refuse updates of clients.
    pub read_only: bool,
    /// Updates that need room fail when less than this would be left of the disk, in bytes: the store needs some, too.
    pub free_bytes_min: u64,
    /// Whether power may have failed since the store was last open, so that not everything that was written is on the disk. Hosts
    /// that cannot tell say yes. With yes, chunks that moved to another block since the last sync are as they were before.
    pub power_failed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: NodeId(1),
            path: Text::default(),
            read_only: false,
            free_bytes_min: 16 << 20,
            power_failed: true,
        }
    }
}

/// Limits; all inclusive.
pub mod limits {
    /// Requests under way. Beyond, they are refused as an overloaded upstream server does (2012).
    pub const REQUESTS_MAX: u32 = 4096;
    /// Operations of one request.
    pub const OPERATIONS_PER_REQUEST_MAX: usize = 4096;
    /// Reads under way or waiting, over all requests; beyond, the request is refused (2012). Far below
    /// [`CHUNKS_CACHED_MAX`], so that there is always a chunk that can leave the cache.
    pub const READS_MAX: u32 = 16 << 10;
    /// Operations that wait for one chunk. Beyond, they fail as busy (7012).
    pub const WAITERS_PER_CHUNK_MAX: usize = 256;
    /// Chunks that moved to another block since the last sync. Beyond, updates that would move one wait for a sync, which is asked
    /// for at half of it.
    pub const MOVES_MAX: usize = 64 << 10;
    /// Updates that wait for room or for a sync; beyond, they fail for want of it (7021).
    pub const WAITERS_FOR_SPACE_MAX: usize = 256;
    /// Chunks whose records are held in memory.
    pub const CHUNKS_CACHED_MAX: usize = 64 << 10;
    /// Longest id of a chunk: ids of files have 16 bytes.
    pub const CHUNK_ID_BYTES_MAX: usize = 255;
    /// Largest chunk; the size of the largest block.
    pub const CHUNK_BYTES_MAX: u32 = 64 << 20;
    /// Targets of one server.
    pub const TARGETS_MAX: usize = 1024;
    /// Clients whose updates are remembered. The one that was silent longest is forgotten for a new one.
    pub const CLIENTS_MAX: usize = 1024;
    /// Channels remembered of one client, over all chains; one that is idle is forgotten for a new one.
    pub const CHANNELS_PER_CLIENT_MAX: usize = 64 << 10;
    /// Chunks that one operation of `removeChunks` removes, also when the request sets no limit: more are "more in the range".
    pub const REMOVALS_PER_OPERATION_MAX: u32 = 4096;
    /// Chunks that one operation of `queryLastChunk` looks at, also when the request sets no limit.
    pub const QUERIED_CHUNKS_MAX: u32 = 1 << 20;
    /// Chunks that `getAllChunkMetadata` tells; a target with more is refused (4060).
    pub const LISTED_CHUNKS_MAX: usize = 1 << 20;
    /// Discards under way.
    pub const DISCARDS_MAX: u32 = 32;
    /// Syncs begun and not ended. A host that begins more has a bug.
    pub const SYNCS_OPEN_MAX: usize = 64;
    /// Crashes of which it is remembered which records they made doubtful. Beyond, the two oldest count as one.
    pub const CRASHES_REMEMBERED_MAX: usize = 32;
}
