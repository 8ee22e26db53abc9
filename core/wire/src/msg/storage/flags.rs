//! How storage requests move their data, and the chunk sizes of a target.
//!
//! Source: `src/fbs/storage/Common.h` upstream.

use crate::codec::Size;
use crate::msg::wire_flags;

bitflags::bitflags! {
    /// How the data of a request move.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FeatureFlags: u32 {
        /// Do not touch the disk (benchmarks).
        const BYPASS_DISKIO = 0x1;
        /// Do not move the data (benchmarks).
        const BYPASS_RDMAXMIT = 0x2;
        /// Data travel inside the messages. Needed for every read and write over TCP; never set it on truncations,
        /// extensions or removals.
        const SEND_DATA_INLINE = 0x4;
        /// Reads may see an update that is not committed yet (old engine).
        const ALLOW_READ_UNCOMMITTED = 0x8;
    }
}

wire_flags! {
    FeatureFlags(u32) => Unsigned;
}

/// Chunk sizes of a target unless its creator says otherwise.
pub const CHUNK_SIZES_DEFAULT: [Size; 6] = [
    Size(512 << 10),
    Size(1 << 20),
    Size(2 << 20),
    Size(4 << 20),
    Size(16 << 20),
    Size(64 << 20),
];
