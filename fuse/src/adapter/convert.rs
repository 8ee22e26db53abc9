//! Numbers, times and attributes: ours and the kernel's.
//!
//! Source: `linux/fuse.h`; section 2 of the notes on mount semantics for node ids.

use flyer_types::ids::{Gid, HandleId, InodeId, SlotId, Uid};
use flyer_types::{Errno, Span, Text, WallTime};
use flyer_vfs::Caller;
use flyer_vfs::reply::{Attributes, Opened};
use flyer_vfs::request::SetTime;
use flyer_wire::msg::meta::inode::InodeType;
use fuser::{FileAttr, FileHandle, FileType, FopenFlags, INodeNo, TimeOrNow};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const US_PER_S: u64 = 1_000_000;

/// The inode behind a node id of the kernel: its root is 1, and 2 is the root of the garbage collector's tree.
pub(crate) const fn inode_of(node: INodeNo) -> InodeId {
    match node.0 {
        1 => InodeId::ROOT,
        2 => InodeId::GC_ROOT,
        other => InodeId(other),
    }
}

/// The node id of an inode. No server hands out inode 2, so that the two roots stay alone.
pub(crate) const fn node_of(inode: InodeId) -> INodeNo {
    match inode {
        InodeId::ROOT => INodeNo(1),
        InodeId::GC_ROOT => INodeNo(2),
        InodeId(other) => INodeNo(other),
    }
}

/// The generation is in the upper half.
pub(crate) fn handle_to_kernel(handle: HandleId) -> FileHandle {
    FileHandle(u64::from(handle.generation()) << 32 | u64::from(handle.slot()))
}

/// The handle in a request. Any number may come; one that was never given out is a stale one to the file system.
pub(crate) fn handle_of(handle: FileHandle) -> HandleId {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("masked to 32 bits");
    HandleId::new(half(handle.0), half(handle.0 >> 32))
}

pub(crate) fn caller_of(request: &fuser::Request) -> Caller {
    Caller {
        uid: Uid(request.uid()),
        gid: Gid(request.gid()),
        pid: request.pid(),
    }
}

pub(crate) fn text_of(name: &OsStr) -> Text {
    Text::from(name.as_bytes())
}

pub(crate) fn name_of(text: &Text) -> &OsStr {
    OsStr::from_bytes(text.as_bytes())
}

/// What the kernel hears. It never hears "success" as an error, which it would take for a broken answer.
pub(crate) fn errno_to_kernel(errno: Errno) -> fuser::Errno {
    if (1..=ERRNO_MAX).contains(&errno.0) {
        fuser::Errno::from_i32(errno.0)
    } else {
        fuser::Errno::EIO
    }
}

/// Largest error number that the kernel accepts in an answer.
const ERRNO_MAX: i32 = 511;

/// As [`errno_to_kernel`] for operations of which the kernel would remember `ENOSYS` as "never ask again": it would then stop to
/// open, flush or sync anything, and lose errors.
pub(crate) fn errno_not_remembered(errno: Errno) -> fuser::Errno {
    if errno == Errno::ENOSYS {
        fuser::Errno::EOPNOTSUPP
    } else {
        errno_to_kernel(errno)
    }
}

pub(crate) const fn duration_of(span: Span) -> Duration {
    Duration::from_nanos(span.as_ns())
}

/// A time as fuser writes it to the kernel, which it does right before 1970 too.
pub(crate) fn time_to_kernel(time: WallTime) -> SystemTime {
    let distance = Duration::from_micros(time.us.unsigned_abs());
    let moved = if time.us < 0 {
        UNIX_EPOCH.checked_sub(distance)
    } else {
        UNIX_EPOCH.checked_add(distance)
    };
    moved.expect("64 bits of microseconds fit into a time of the system")
}

/// A time that the kernel asks to set. Before 1970 fuser 0.18 counts the nanoseconds backwards: it turns (-2 s, 300 ms) into
/// -2.3 s, where -1.7 s is meant. Seconds and nanoseconds can be read off again, so the error is undone here.
pub(crate) fn time_of(time: SystemTime) -> WallTime {
    let (seconds_sign, distance) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (1, after),
        Err(before) => (-1, before.duration()),
    };
    let seconds = i64::try_from(distance.as_secs()).unwrap_or(i64::MAX);
    let us = seconds
        .saturating_mul(seconds_sign)
        .saturating_mul(US_PER_S.cast_signed())
        .saturating_add(i64::from(distance.subsec_micros()));
    WallTime::from_us(us)
}

pub(crate) fn set_time_of(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::SpecificTime(time) => SetTime::To(time_of(time)),
        TimeOrNow::Now => SetTime::Now,
    }
}

pub(crate) const fn type_to_kernel(kind: InodeType) -> FileType {
    match kind {
        InodeType::DIRECTORY => FileType::Directory,
        InodeType::SYMLINK => FileType::Symlink,
        // A type that a newer server may send: whatever it is, it is opened, not entered.
        InodeType(_) => FileType::RegularFile,
    }
}

pub(crate) fn attributes_to_kernel(attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: node_of(attributes.inode),
        size: attributes.size,
        blocks: attributes.blocks,
        atime: time_to_kernel(attributes.atime),
        mtime: time_to_kernel(attributes.mtime),
        ctime: time_to_kernel(attributes.ctime),
        crtime: UNIX_EPOCH,
        kind: type_to_kernel(attributes.kind),
        perm: u16::try_from(attributes.permission.0 & PERMISSION_MASK).expect("masked to 12 bits"),
        nlink: attributes.links,
        uid: attributes.uid.0,
        gid: attributes.gid.0,
        rdev: 0,
        blksize: attributes.block_bytes,
        flags: 0,
    }
}

/// The bits of a mode that are permissions, set-id and sticky bits included.
pub(crate) const PERMISSION_MASK: u32 = 0o7777;

/// Attributes that stand for "no inode": what says that a name is not there.
pub(crate) const fn no_inode(kind: FileType) -> FileAttr {
    FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}

/// `O_DIRECT` files may be written by several threads at a time: who answers orders them.
pub(crate) fn open_flags(opened: &Opened) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    if opened.direct_io {
        flags |= FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
    }
    if opened.keep_cache {
        flags |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_and_handles_round_trip() {
        for (node, inode) in [(1, 0), (2, 1), (7, 7), (u64::MAX - 1, u64::MAX - 1)] {
            assert_eq!(inode_of(INodeNo(node)), InodeId(inode));
            assert_eq!(node_of(InodeId(inode)), INodeNo(node));
        }
        let handle = HandleId::new(5, 9);
        assert_eq!(handle_to_kernel(handle).0, 9 << 32 | 5);
        assert_eq!(handle_of(handle_to_kernel(handle)), handle);
        assert_eq!(handle_of(FileHandle(u64::MAX)), HandleId::new(u32::MAX, u32::MAX));
    }

    /// What fuser 0.18 makes of the seconds and nanoseconds in a request.
    fn as_fuser_reads(seconds: i64, ns: u32) -> SystemTime {
        if seconds >= 0 {
            UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), ns)
        } else {
            UNIX_EPOCH - Duration::new(seconds.unsigned_abs(), ns)
        }
    }

    #[test]
    fn times_to_set_are_right_before_1970() {
        for (seconds, ns, us) in [
            (0, 0, 0),
            (3, 250_000_000, 3_250_000),
            (-1, 0, -1_000_000),
            (-2, 300_000_000, -1_700_000),
            (-1, 999_999_000, -1),
        ] {
            assert_eq!(
                time_of(as_fuser_reads(seconds, ns)),
                WallTime::from_us(us),
                "{seconds} {ns}"
            );
        }
        assert_eq!(time_of(as_fuser_reads(i64::MAX, 0)).us, i64::MAX);
        assert_eq!(time_of(as_fuser_reads(i64::MIN + 1, 0)).us, i64::MIN);
    }

    #[test]
    fn every_time_can_be_written() {
        assert_eq!(time_to_kernel(WallTime::from_us(0)), UNIX_EPOCH);
        assert_eq!(
            time_to_kernel(WallTime::from_us(-1_700_000)),
            UNIX_EPOCH - Duration::from_millis(1_700)
        );
        for us in [i64::MIN, i64::MAX] {
            let _fits = time_to_kernel(WallTime::from_us(us));
        }
    }

    #[test]
    fn errors_stay_errors() {
        assert_eq!(errno_to_kernel(Errno::ENOENT).code(), 2);
        for bad in [0, -5, 512, i32::MAX] {
            assert_eq!(errno_to_kernel(Errno(bad)).code(), Errno::EIO.0, "{bad}");
        }
        assert_eq!(errno_not_remembered(Errno::ENOSYS).code(), Errno::EOPNOTSUPP.0);
        assert_eq!(errno_not_remembered(Errno::ENOSPC).code(), Errno::ENOSPC.0);
    }
}
