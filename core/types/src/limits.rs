//! Named limits that are fixed by the protocol or shared by several crates.
//!
//! The unit is the last word but one of each name, `MAX` the last; all maxima are inclusive. Sizes of queues and
//! tables are arguments of the parts in [`crate::parts`]; their values belong to the machine that owns the part.

/// Bytes before the body of a frame: checksum word and size word (`src/common/net/MessageHeader.h` upstream).
pub const FRAME_HEADER_BYTES: usize = 8;

/// Largest body of a frame, the value of its size word: a peer drops a connection that announces 512 MiB or more
/// (`src/common/net/Processor.cc` upstream).
pub const FRAME_BODY_BYTES_MAX: usize = (512 << 20) - 1;

/// Largest frame, header included.
pub const FRAME_BYTES_MAX: usize = FRAME_HEADER_BYTES + FRAME_BODY_BYTES_MAX;

/// Memory that decoding one value may claim however short the value is: many small optional parts are legal.
pub const DECODE_MEMORY_BYTES_FLOOR: usize = 16 << 20;

/// Memory that decoding one value may claim per byte present, if that is more than the floor. An element takes at
/// least one byte on the wire (the length of an empty table) but may be a large struct in memory; without a bound a
/// frame of [`FRAME_BODY_BYTES_MAX`] could claim all memory of the host.
pub const DECODE_MEMORY_FACTOR_MAX: usize = 16;

/// Longest name of a directory entry (`NAME_MAX`, as upstream servers check it); a longer one is `Meta::NameTooLong`.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest target of a symbolic link that the Linux kernel hands out or accepts: `PATH_MAX` without its final zero.
/// Upstream servers set no limit of their own.
pub const SYMLINK_TARGET_BYTES_MAX: usize = 4095;

/// Most hard links of one inode (the width of `nlink` in `src/fbs/meta/Schema.h` upstream).
pub const LINKS_MAX: u16 = u16::MAX;

/// Largest index of a chunk in its file (its width in `src/fbs/meta/Schema.h` upstream); beyond it is `Meta::FileTooLarge`.
pub const CHUNK_INDEX_MAX: u32 = u32::MAX;

/// Largest id of an update channel; 0 means "no channel" (`src/client/storage/UpdateChannelAllocator.h` upstream).
pub const CHANNEL_ID_MAX: u16 = u16::MAX;

/// Largest single storage read or write: it has to fit the largest buffer of a server
/// (`src/storage/service/BufferPool.h` upstream).
pub const STORAGE_IO_BYTES_MAX: u32 = 64 << 20;

/// Most RDMA devices of a process, and so most keys of a piece of its memory (`src/common/net/ib/RDMABuf.h` upstream).
pub const RDMA_DEVICES_MAX: usize = 4;

/// I/O vectors of one mount: upstream's `iov_limit` (`src/fuse/IovTable.h`). Their inode ids count down from a fixed one, and
/// further down lie ids with another meaning.
pub const IOV_INDEXES_MAX: u32 = 1 << 20;
