//! The shared-memory interface between applications and a mount (USRBIO): its binary layout, as plain data.
//!
//! Applications link upstream's `libhf3fs_api_shared.so` or Flyer's; both sides must agree to the byte. Here are
//! the structures, sizes, offsets, names and numbers (`src/lib/api/hf3fs_usrbio.h` upstream; Linux on x86-64 with glibc). What
//! happens in the rings is elsewhere, and so is every access to shared memory: nothing in here reads or writes any.
//!
//! | part | content |
//! |---|---|
//! | this file | what the C header shows to applications, names of objects |
//! | [`ring`] | the memory of a ring: slots, positions, size arithmetic |
//! | [`ioctl`] | ioctl numbers and arguments |
//!
//! All structures are `repr(C)` with every padding byte spelled out, so each byte of them belongs to a field. Pointers
//! are `u64`: they are addresses in the *application*, and no other process may follow them.
//!
//! Limits: none but those of the types; the arithmetic refuses what does not fit instead of wrapping.

pub mod ioctl;
pub mod ring;

/// Bytes of a mount point's path in [`Iov`] and [`Ior`], terminating zero included.
pub const MOUNT_POINT_BYTES: usize = 256;

/// Ring flag `HF3FS_IOR_ALLOW_READ_UNCOMMITTED`: reads may return data that not all replicas have.
pub const IOR_ALLOW_READ_UNCOMMITTED: u64 = 1;

/// Ring flag `HF3FS_IOR_FORBID_READ_HOLES`: reading a hole is an error (`ENODATA`) instead of zeros.
pub const IOR_FORBID_READ_HOLES: u64 = 2;

/// Names under `3fs-virt/iovs` of the links to the submit semaphores, by priority: high, normal, low.
pub const SUBMIT_SEMAPHORE_LINKS: [&str; 3] = ["submit-ios.ph", "submit-ios", "submit-ios.pl"];

/// What the name of a submit semaphore starts with; a random UUID follows. `sem_open` wants a `/` in front, the file
/// under `/dev/shm` has `sem.` in front.
pub const SUBMIT_SEMAPHORE_PREFIX: &str = "hf3fs-submit-ios.";

/// What the name of a shared memory object made by the library starts with; a random UUID follows.
pub const SHARED_MEMORY_PREFIX: &str = "hf3fs-iov-";

/// A buffer of shared memory: upstream's `struct hf3fs_iov`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iov {
    /// `base`: address of the first byte.
    pub base: u64,
    /// `iovh`: address of the library's own record; 0 for a wrapped or destroyed buffer.
    pub handle: u64,
    /// `id`: 16 raw UUID bytes, by which ring entries name the buffer.
    pub id: [u8; 16],
    /// `mount_point`: path, ended by a zero byte.
    pub mount_point: [u8; MOUNT_POINT_BYTES],
    /// `size` in bytes.
    pub size: u64,
    /// `block_size` in bytes; no I/O may cross a multiple of it. 0 means one block.
    pub block_size: u64,
    /// `numa`: the node that the memory lives on, -1 for any.
    pub numa: i32,
    /// Nothing.
    pub padding: [u8; 4],
}

/// A ring: upstream's `struct hf3fs_ior`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ior {
    /// `iov`: the memory of the ring itself.
    pub iov: Iov,
    /// `iorh`: address of the library's own record.
    pub handle: u64,
    /// `mount_point`: path, ended by a zero byte.
    pub mount_point: [u8; MOUNT_POINT_BYTES],
    /// `for_read`: 1 for a ring that reads, 0 for one that writes.
    pub for_read: u8,
    /// Nothing.
    pub padding: [u8; 3],
    /// `io_depth`: batch size; 0: as requests come; negative: at most so many at once.
    pub io_depth: i32,
    /// `priority`: negative high, 0 normal, positive low.
    pub priority: i32,
    /// `timeout` of an incomplete batch, in milliseconds.
    pub timeout_ms: i32,
    /// `flags`: [`IOR_ALLOW_READ_UNCOMMITTED`], [`IOR_FORBID_READ_HOLES`]; other bits are kept and ignored.
    pub flags: u64,
}

impl Iov {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        base: 0,
        handle: 0,
        id: [0; 16],
        mount_point: [0; MOUNT_POINT_BYTES],
        size: 0,
        block_size: 0,
        numa: 0,
        padding: [0; 4],
    };
}

impl Ior {
    /// All bytes zero.
    pub const ZERO: Self = Self {
        iov: Iov::ZERO,
        handle: 0,
        mount_point: [0; MOUNT_POINT_BYTES],
        for_read: 0,
        padding: [0; 3],
        io_depth: 0,
        priority: 0,
        timeout_ms: 0,
        flags: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::ioctl::{HardlinkArg, MountNameArg, MoveArg, PunchHoleArg, RemoveArg};
    use super::ring::{IoArgs, IoCqe, IoSqe, Semaphore};
    use super::{Ior, Iov};

    /// Field sizes that add up leave no byte to the compiler.
    #[test]
    fn no_structure_has_hidden_padding() {
        assert_eq!(size_of::<Iov>(), 8 + 8 + 16 + 256 + 8 + 8 + 4 + 4);
        assert_eq!(size_of::<Ior>(), 312 + 8 + 256 + 1 + 3 + 4 + 4 + 4 + 8);
        assert_eq!(size_of::<IoArgs>(), 16 + 5 * 8);
        assert_eq!(size_of::<IoSqe>(), 4 + 4 + 8);
        assert_eq!(size_of::<IoCqe>(), 4 + 4 + 8 + 8);
        assert_eq!(size_of::<Semaphore>(), 4 * 8);
        assert_eq!(size_of::<MountNameArg>(), 32);
        assert_eq!(size_of::<HardlinkArg>(), 8 + 255 + 1);
        assert_eq!(size_of::<PunchHoleArg>(), 4 + 4 + 8 + 8 * 1_000 + 8 * 1_000);
        assert_eq!(size_of::<MoveArg>(), 8 + 256 + 8 + 256 + 1 + 7);
        assert_eq!(size_of::<RemoveArg>(), 8 + 256 + 1 + 7);
    }
}
