//! Flag sets of the metadata service, and the odd values around them.
//!
//! Source: `src/fbs/meta/{Common,Schema}.h` upstream. Bits this side does not know are kept.

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::msg::wire_flags;
use crate::reflect::{Leaf, Reflect, Visitor};
use flyer_types::WallTime;

/// The times of an inode nobody has set: 2023-05-31 16:00:00 UTC.
pub const TIME_UNSET: WallTime = WallTime::from_secs(1_685_548_800);

bitflags::bitflags! {
    /// `AT_*` flags with Linux numbers. Zero does not follow symbolic links.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AtFlags: i32 {
        /// Do not follow a symbolic link at the end; wins over [`AtFlags::SYMLINK_FOLLOW`].
        const SYMLINK_NOFOLLOW = 0x100;
        /// Remove: a directory is meant.
        const REMOVEDIR = 0x200;
        /// Follow a symbolic link at the end.
        const SYMLINK_FOLLOW = 0x400;
        /// With an empty path: the parent itself.
        const EMPTY_PATH = 0x1000;
    }

    /// `O_*` flags with the numbers of Linux on x86-64, whatever this machine is.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpenFlags: i32 {
        /// Access: write only. Read only is neither bit.
        const WRONLY = 0x1;
        /// Access: read and write.
        const RDWR = 0x2;
        /// Create the file if it is missing.
        const CREAT = 0x40;
        /// With `CREAT`: fail if it exists.
        const EXCL = 0x80;
        /// Cut the file to nothing.
        const TRUNC = 0x200;
        /// Append.
        const APPEND = 0x400;
        /// Bypass caches; servers do not look at it.
        const DIRECT = 0x4000;
        /// A directory is meant.
        const DIRECTORY = 0x1_0000;
    }

    /// Inode attributes with the numbers of Linux `FS_*_FL`, some of them reused.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct IFlags: u32 {
        /// Files made in the directory live in the new chunk engine (`FS_SECRM_FL`).
        const NEW_CHUNK_ENGINE = 0x1;
        /// No unlink, rename, link or write-open.
        const IMMUTABLE = 0x10;
        /// The directory has its own chain counter (`FS_INDEX_FL`).
        const CHAIN_ALLOCATION = 0x1000;
        /// Informational.
        const HUGE_FILE = 0x4_0000;
    }

    /// Properties of a file.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FileFlags: u32 {
        /// The file has holes; never set by current servers.
        const HAS_HOLE = 0x1;
    }
}

wire_flags! {
    AtFlags(i32) => Flags;
    OpenFlags(i32) => Flags;
    IFlags(u32) => Unsigned;
    FileFlags(u32) => Flags;
}

impl IFlags {
    /// What a new directory takes from its parent.
    pub const INHERITED: Self = Self::CHAIN_ALLOCATION.union(Self::NEW_CHUNK_ENGINE);

    /// Whether a request may carry these bits; servers refuse others.
    #[must_use]
    pub const fn is_supported(self) -> bool {
        Self::all().contains(self)
    }
}

impl AtFlags {
    /// Whether a symbolic link at the end of a path is followed.
    #[must_use]
    pub const fn follows_last(self) -> bool {
        self.contains(Self::SYMLINK_FOLLOW) && !self.contains(Self::SYMLINK_NOFOLLOW)
    }
}

impl OpenFlags {
    /// Whether the access mode allows reading.
    #[must_use]
    pub const fn reads(self) -> bool {
        self.bits() & 3 != 1
    }

    /// Whether the access mode allows writing.
    #[must_use]
    pub const fn writes(self) -> bool {
        self.bits() & 3 != 0
    }
}

/// No chains. On the wire it is one byte without meaning: 0 is written, anything is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct EmptyChains;

impl Wire for EmptyChains {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put([0]);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        r.array::<1>().map(|_| ())
    }
}

impl Reflect for EmptyChains {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::EmptyChains);
    }
}
