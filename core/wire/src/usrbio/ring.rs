//! The memory of a ring: what lies where, and how large a ring of so many entries is (`src/fuse/IoRing.h`, `src/lib/common/Shm.h` upstream).
//!
//! ```text
//! 0          16               .. + 56 N       .. + 24 N       .. + 16 N         .. + 32     .. + 4096 + rest
//! ┌──────────┬────────────────┬───────────────┬───────────────┬─────────────────┬───────────┐
//! │positions │ argument slots │ completions   │ submissions   │ completion      │ unused    │
//! │ 4 × i32  │ N × IoArgs     │ N × IoCqe     │ N × IoSqe     │ semaphore       │           │
//! └──────────┴────────────────┴───────────────┴───────────────┴─────────────────┴───────────┘
//! ```
//!
//! A ring of `E` entries has `N = E + 1` slots of each kind, one of which stays empty so that full and empty differ.
//! Positions are slot numbers, `0 .. N`, that advance modulo `N`.
//!
//! Limits: [`ENTRIES_MAX`] entries. A daemon learns a ring's size from a file that an application made:
//! [`entries_of`] and [`RingLayout::of_bytes`] accept any number.

/// Largest number of entries: positions and their successors are `i32`.
pub const ENTRIES_MAX: u32 = SLOTS_MAX - 1;

/// Bytes of one position.
pub const POSITION_BYTES: u64 = 4;

/// Where `sqeHead` is: the submission slot that the application fills next. The application's.
pub const SQE_HEAD_OFF: u64 = 0;

/// Where `sqeTail` is: the first submission not yet completed. The daemon's.
pub const SQE_TAIL_OFF: u64 = 4;

/// Where `cqeHead` is: the completion slot that the daemon fills next. The daemon's.
pub const CQE_HEAD_OFF: u64 = 8;

/// Where `cqeTail` is: the completion that the application takes next. The application's.
pub const CQE_TAIL_OFF: u64 = 12;

/// Where the argument slots begin.
pub const ARGS_OFF: u64 = 16;

const SLOTS_MAX: u32 = i32::MAX.unsigned_abs();
const SEMAPHORE_BYTES: u64 = 32;
const SLOT_BYTES: u64 = ARGS_BYTES + CQE_BYTES + SQE_BYTES;
const ARGS_BYTES: u64 = 56;
const CQE_BYTES: u64 = 24;
const SQE_BYTES: u64 = 16;
/// Upstream adds a page for nothing in particular.
const SPARE_BYTES: u64 = 4_096;
const FIXED_BYTES: u64 = ARGS_OFF + SEMAPHORE_BYTES + SPARE_BYTES;

/// What an I/O is about: upstream's `IoArgs`. Filled by the application before the submission that names its slot.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoArgs {
    /// `bufId`: 16 raw UUID bytes of the buffer.
    pub buf_id: [u8; 16],
    /// `bufOff`: first byte within the buffer.
    pub buf_off: u64,
    /// `fileIid`: inode id of the file.
    pub file_inode: u64,
    /// `fileOff`: first byte within the file.
    pub file_off: u64,
    /// `ioLen`: number of bytes.
    pub io_len: u64,
    /// `userdata`: given back with the completion; the application's.
    pub userdata: u64,
}

/// A submission: upstream's `IoSqe`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoSqe {
    /// `index`: the argument slot.
    pub index: i32,
    /// Nothing.
    pub padding: [u8; 4],
    /// `userdata`: as in the arguments.
    pub userdata: u64,
}

/// A completion: upstream's `IoCqe` in the ring and `struct hf3fs_cqe` in the C interface, which are the same.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCqe {
    /// `index`: the argument slot, which is free again once this has been taken.
    pub index: i32,
    /// `reserved`: 0.
    pub reserved: i32,
    /// `result`: bytes transferred, or a negative errno.
    pub result: i64,
    /// `userdata`: as in the submission.
    pub userdata: u64,
}

/// The place of a process-shared POSIX semaphore: glibc's `sem_t`. Its content is glibc's own business.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Semaphore {
    /// Opaque.
    pub words: [u64; 4],
}

const _: () = {
    assert!(size_of::<IoArgs>() as u64 == ARGS_BYTES);
    assert!(size_of::<IoCqe>() as u64 == CQE_BYTES);
    assert!(size_of::<IoSqe>() as u64 == SQE_BYTES);
    assert!(size_of::<Semaphore>() as u64 == SEMAPHORE_BYTES);
};

/// Where the parts of a ring of a given capacity lie. All offsets and sizes are bytes from the ring's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLayout {
    /// Capacity: submissions outstanding, and completions unread, at most.
    pub entries: u32,
    /// Slots of each kind, one more than `entries`. Positions lie below this.
    pub slots: u32,
    /// First completion.
    pub cqes_off: u64,
    /// First submission.
    pub sqes_off: u64,
    /// The completion semaphore.
    pub semaphore_off: u64,
    /// Bytes that a ring of this capacity has when made by the library.
    pub bytes: u64,
}

impl RingLayout {
    /// The layout of a ring of `entries`; `None` above [`ENTRIES_MAX`].
    #[must_use]
    pub const fn of_entries(entries: u32) -> Option<Self> {
        if entries > ENTRIES_MAX {
            return None;
        }
        let slots = entries + 1;
        // At most 2^31 slots of 96 bytes: far below 2^64.
        let count = slots as u64;
        let cqes_off = ARGS_OFF + ARGS_BYTES * count;
        let sqes_off = cqes_off + CQE_BYTES * count;
        let semaphore_off = sqes_off + SQE_BYTES * count;
        let bytes = semaphore_off + SEMAPHORE_BYTES + SPARE_BYTES;
        Some(Self {
            entries,
            slots,
            cqes_off,
            sqes_off,
            semaphore_off,
            bytes,
        })
    }

    /// The layout of the ring in a file of `bytes`; `None` if not even one slot fits. `bytes` of the result is
    /// never more than what was given.
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Option<Self> {
        match entries_of(bytes) {
            Some(entries) => Self::of_entries(entries),
            None => None,
        }
    }

    /// Where argument slot `slot` begins; `None` if there is no such slot.
    #[must_use]
    pub const fn args_off(&self, slot: u32) -> Option<u64> {
        self.slot_off(slot, ARGS_OFF, ARGS_BYTES)
    }

    /// Where completion slot `slot` begins; `None` if there is no such slot.
    #[must_use]
    pub const fn cqe_off(&self, slot: u32) -> Option<u64> {
        self.slot_off(slot, self.cqes_off, CQE_BYTES)
    }

    /// Where submission slot `slot` begins; `None` if there is no such slot.
    #[must_use]
    pub const fn sqe_off(&self, slot: u32) -> Option<u64> {
        self.slot_off(slot, self.sqes_off, SQE_BYTES)
    }

    const fn slot_off(&self, slot: u32, section: u64, bytes: u64) -> Option<u64> {
        if slot >= self.slots {
            return None;
        }
        Some(section + bytes * slot as u64)
    }
}

/// Bytes of a ring of `entries`, as the library makes it; `None` above [`ENTRIES_MAX`].
#[must_use]
pub const fn bytes_of(entries: u32) -> Option<u64> {
    match RingLayout::of_entries(entries) {
        Some(layout) => Some(layout.bytes),
        None => None,
    }
}

/// Capacity of the ring in a file of `bytes`; `None` if not even one slot fits. (0, one slot, is a ring that can hold
/// nothing; a daemon should refuse it too.) Larger files than [`ENTRIES_MAX`] needs hold that many.
#[must_use]
pub const fn entries_of(bytes: u64) -> Option<u32> {
    let Some(for_slots) = bytes.checked_sub(FIXED_BYTES) else {
        return None;
    };
    let slots = for_slots / SLOT_BYTES;
    if slots > ENTRIES_MAX as u64 {
        return Some(ENTRIES_MAX);
    }
    // Below 2^31 now; four of the eight bytes are zero.
    let [b0, b1, b2, b3, ..] = slots.to_le_bytes();
    u32::from_le_bytes([b0, b1, b2, b3]).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_example() {
        let layout = RingLayout::of_entries(1_024).expect("small");
        assert_eq!(
            (layout.slots, layout.cqes_off, layout.sqes_off),
            (1_025, 57_416, 82_016)
        );
        assert_eq!((layout.semaphore_off, layout.bytes), (98_416, 102_544));
        assert_eq!(RingLayout::of_bytes(102_544), Some(layout));
    }

    #[test]
    fn hostile_sizes_are_refused_or_capped() {
        for bytes in [
            0,
            1,
            4_095,
            FIXED_BYTES - 1,
            FIXED_BYTES,
            FIXED_BYTES + SLOT_BYTES - 1,
        ] {
            assert_eq!(entries_of(bytes), None, "{bytes}");
            assert_eq!(RingLayout::of_bytes(bytes), None, "{bytes}");
        }
        assert_eq!(entries_of(FIXED_BYTES + SLOT_BYTES), Some(0));
        assert_eq!(bytes_of(0), Some(FIXED_BYTES + SLOT_BYTES));
        assert_eq!(entries_of(u64::MAX), Some(ENTRIES_MAX));
        assert_eq!(bytes_of(ENTRIES_MAX + 1), None);
        assert_eq!(bytes_of(u32::MAX), None);
        let largest = bytes_of(ENTRIES_MAX).expect("fits");
        assert_eq!(entries_of(largest), Some(ENTRIES_MAX));
        assert_eq!(entries_of(largest - 1), Some(ENTRIES_MAX - 1));
        assert_eq!(entries_of(largest + SLOT_BYTES), Some(ENTRIES_MAX));
    }

    #[test]
    fn what_is_laid_out_fits_the_file() {
        for bytes in (4_240..40_000).step_by(13).chain([1 << 40, u64::MAX]) {
            let layout = RingLayout::of_bytes(bytes).expect("large enough");
            assert!(layout.bytes <= bytes);
            assert_eq!(
                layout.cqe_off(layout.slots - 1),
                Some(layout.sqes_off - CQE_BYTES)
            );
            assert_eq!(
                layout.args_off(layout.slots - 1),
                Some(layout.cqes_off - ARGS_BYTES)
            );
            assert_eq!(
                layout.sqe_off(layout.slots - 1),
                Some(layout.semaphore_off - SQE_BYTES)
            );
            assert_eq!(layout.args_off(0), Some(ARGS_OFF));
            for slot in [layout.slots, u32::MAX] {
                assert_eq!(layout.args_off(slot), None);
                assert_eq!(layout.cqe_off(slot), None);
                assert_eq!(layout.sqe_off(slot), None);
            }
        }
    }
}
