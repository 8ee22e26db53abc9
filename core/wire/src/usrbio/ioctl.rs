//! Ioctls that a mount answers: numbers and arguments (`src/lib/api/fuse.h`, `src/fuse/FuseOps.cc` upstream).
//!
//! Upstream's names are `HF3FS_IOC_*` and `Hf3fsIoctl*`; type character `h`. Names in arguments are byte strings
//! ended by a zero byte if there is room for one: a reader must not count on it. Structures come from the calling
//! process, so every field, [`PunchHoleArg::count`] above all, is a claim to check.
//!
//! Limits: names as long as the arrays; [`PUNCH_HOLE_RANGES_MAX`] ranges. Calls of 32-bit processes are not served.

/// File system type in the answer of `statfs` and of [`GET_MAGIC_NUM`]: `HF3FS_SUPER_MAGIC`.
pub const SUPER_MAGIC: u32 = 0x8f3f_5fff;

/// The answer of [`GET_IOCTL_VERSION`].
pub const IOCTL_VERSION: u32 = 1;

/// Ranges in one [`PunchHoleArg`], used or not: `HF3FS_IOCTL_PUNCH_HOLE_MAX`.
pub const PUNCH_HOLE_RANGES_MAX: usize = 1_000;

/// Gives the name of the mount, a [`MountNameArg`]: the cluster's.
pub const GET_MOUNT_NAME: u32 = number(Direction::ToCaller, 0, size_of::<MountNameArg>());

/// Gives the length of the mount point's path, a `u32`.
pub const GET_PATH_OFFSET: u32 = number(Direction::ToCaller, 1, size_of::<u32>());

/// Gives [`SUPER_MAGIC`], a `u32`.
pub const GET_MAGIC_NUM: u32 = number(Direction::ToCaller, 2, size_of::<u32>());

/// Gives [`IOCTL_VERSION`], a `u32`.
pub const GET_IOCTL_VERSION: u32 = number(Direction::ToCaller, 3, size_of::<u32>());

/// Removes this directory with all below it. Declared with a `u32` that is not used.
pub const RECURSIVE_RM: u32 = number(Direction::ToCaller, 10, size_of::<u32>());

/// Flushes the file and makes its length known to the metadata server. Declared with a `u32` that is not used.
pub const FSYNC: u32 = number(Direction::ToCaller, 11, size_of::<u32>());

/// Links this inode elsewhere; takes a [`HardlinkArg`].
pub const HARDLINK: u32 = number(Direction::FromCaller, 12, size_of::<HardlinkArg>());

/// Removes whole chunks; takes a [`PunchHoleArg`].
pub const PUNCH_HOLE: u32 = number(Direction::FromCaller, 13, size_of::<PunchHoleArg>());

/// Renames, or moves to the trash; takes a [`MoveArg`].
pub const MOVE: u32 = number(Direction::FromCaller, 14, size_of::<MoveArg>());

/// Removes an entry; takes a [`RemoveArg`].
pub const REMOVE: u32 = number(Direction::FromCaller, 15, size_of::<RemoveArg>());

/// Which way an argument travels, as Linux encodes it.
#[derive(Clone, Copy)]
enum Direction {
    /// `_IOW`: the kernel reads the argument.
    FromCaller,
    /// `_IOR`: the kernel fills the argument.
    ToCaller,
}

/// Linux's encoding: 2 bits of direction, 14 bits of argument size, 8 bits of type, 8 bits of number.
const fn number(direction: Direction, nr: u8, size: usize) -> u32 {
    assert!(size < 1 << 14, "the size has 14 bits");
    let [low, high, ..] = size.to_le_bytes();
    let direction = match direction {
        Direction::FromCaller => 1,
        Direction::ToCaller => 2,
    };
    u32::from_le_bytes([nr, b'h', low, direction << 6 | high])
}

/// Upstream's `Hf3fsIoctlGetMountNameArg`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountNameArg {
    /// `str`: the name, ended by a zero byte.
    pub name: [u8; 32],
}

/// Upstream's `Hf3fsIoctlHardlinkArg`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardlinkArg {
    /// `ino`: inode id of the directory that gets the new entry.
    pub parent: u64,
    /// `str`: name of the new entry.
    pub name: [u8; 255],
    /// Nothing.
    pub padding: [u8; 1],
}

/// Upstream's `Hf3fsIoctlPunchHoleArg`. 16 016 bytes: keep it off the stack.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PunchHoleArg {
    /// `n`: number of ranges, at most [`PUNCH_HOLE_RANGES_MAX`].
    pub count: i32,
    /// Nothing.
    pub padding: [u8; 4],
    /// `flags`: none are known.
    pub flags: u64,
    /// `start`: first byte of each range.
    pub starts: [u64; PUNCH_HOLE_RANGES_MAX],
    /// `end`: byte behind each range.
    pub ends: [u64; PUNCH_HOLE_RANGES_MAX],
}

/// Upstream's `Hf3fsIoctlMove`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveArg {
    /// `srcParent`: inode id of the directory that the entry leaves.
    pub source_parent: u64,
    /// `srcName`: its name there.
    pub source_name: [u8; 256],
    /// `dstParent`: inode id of the directory that it enters.
    pub target_parent: u64,
    /// `dstName`: its name there.
    pub target_name: [u8; 256],
    /// `moveToTrash`: not 0 if the target is the trash.
    pub to_trash: u8,
    /// Nothing.
    pub padding: [u8; 7],
}

/// Upstream's `Hf3fsIoctlRemove`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveArg {
    /// `parent`: inode id of the directory.
    pub parent: u64,
    /// `name` of the entry.
    pub name: [u8; 256],
    /// `recursive`: not 0 to remove all below it too.
    pub recursive: u8,
    /// Nothing.
    pub padding: [u8; 7],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_header() {
        let numbers = [
            (GET_MOUNT_NAME, 0x8020_6800),
            (GET_PATH_OFFSET, 0x8004_6801),
            (GET_MAGIC_NUM, 0x8004_6802),
            (GET_IOCTL_VERSION, 0x8004_6803),
            (RECURSIVE_RM, 0x8004_680a),
            (FSYNC, 0x8004_680b),
            (HARDLINK, 0x4108_680c),
            (PUNCH_HOLE, 0x7e90_680d),
            (MOVE, 0x4218_680e),
            (REMOVE, 0x4110_680f),
        ];
        for (number, expected) in numbers {
            assert_eq!(number, expected, "{expected:#x}");
        }
    }
}
