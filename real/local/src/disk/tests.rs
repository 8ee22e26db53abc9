//! Operations against a model of bytes, and files that fail: `/dev/full` takes no byte and cannot be synced.

use super::*;
use flyer_types::Segments;
use flyer_types::lease::LeaseId;
use proptest::prelude::*;
use std::cell::RefCell;

const SMALL: u32 = 4096;
const LARGE: u32 = 128 << 10;

/// Memory of leases: one buffer, and one generation of ids.
struct Buffer(RefCell<Vec<u8>>);

const LIVE: LeaseId = LeaseId::new(1, 7);

impl Buffer {
    fn range(&self, lease: Lease) -> Option<core::ops::Range<usize>> {
        let start = usize_of(lease.off);
        (lease.id == LIVE).then(|| start..start + usize_of(lease.len))
    }
}

impl Memory for Buffer {
    fn with_bytes(&self, leases: &[Lease], look: &mut dyn FnMut(&[IoSlice<'_>])) -> bool {
        let bytes = self.0.borrow();
        let ranges: Option<Vec<_>> = leases.iter().map(|lease| self.range(*lease)).collect();
        let Some(ranges) = ranges else {
            return false;
        };
        let slices: Vec<_> = ranges
            .into_iter()
            .map(|range| IoSlice::new(&bytes[range]))
            .collect();
        look(&slices);
        true
    }

    fn with_bytes_mut(&self, lease: Lease, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some(range) = self.range(lease) else {
            return false;
        };
        fill(&mut self.0.borrow_mut()[range]);
        true
    }
}

fn lease(off: u32, len: u32) -> Lease {
    Lease { id: LIVE, off, len }
}

fn disk(folder: &Path, file_bytes: u64) -> Disk {
    let room = Arc::new(Room::open(folder, 0).unwrap());
    Disk::open(
        folder,
        room,
        DiskOptions {
            file_bytes,
            cached: true,
        },
    )
    .unwrap()
}

/// The definition, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |register, byte| {
        (0..8).fold(register ^ u32::from(*byte), |register, _| {
            (register >> 1) ^ if register & 1 == 1 { 0x82f6_3b78 } else { 0 }
        })
    })
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64, u32, u32),
    Write(u64, u32, Vec<u16>),
    Zero(u64, u32, u32),
    Copy(u64, u64, u32),
    Discard(u64),
    Checksum(u64, u32, u32),
    Reopen,
}

const BLOCKS: u64 = 4;

fn step() -> impl Strategy<Value = Step> {
    let block = 0..BLOCKS;
    let range = (0..=LARGE, 0..=LARGE).prop_map(|(a, b)| (a.min(b), a.abs_diff(b)));
    prop_oneof![
        (block.clone(), range.clone()).prop_map(|(block, (off, len))| Step::Read(block, off, len)),
        (
            block.clone(),
            0..LARGE / 2,
            prop::collection::vec(0u16..16_384, 0..5)
        )
            .prop_map(|(block, off, lens)| Step::Write(block, off, lens)),
        (block.clone(), range.clone()).prop_map(|(block, (off, len))| Step::Zero(block, off, len)),
        (block.clone(), 1..BLOCKS, 0..=LARGE).prop_map(|(from, by, len)| Step::Copy(
            from,
            (from + by) % BLOCKS,
            len
        )),
        block.clone().prop_map(Step::Discard),
        (block, range).prop_map(|(block, (off, len))| Step::Checksum(block, off, len)),
        Just(Step::Reopen),
    ]
}

fn large(index: u64) -> Place {
    Place {
        block_bytes: LARGE,
        index,
    }
}

/// Blocks as arrays of bytes.
struct Model(Vec<Vec<u8>>);

impl Model {
    fn range(&mut self, index: u64, off: u32, len: u32) -> &mut [u8] {
        let block = usize::try_from(index).expect("few blocks");
        &mut self.0[block][usize_of(off)..usize_of(off + len)]
    }
}

/// Reads with guard bytes around the destination.
fn apply_read(disk: &Disk, model: &mut Model, index: u64, off: u32, len: u32) -> Result<(), TestCaseError> {
    let memory = Buffer(RefCell::new(vec![0xee; usize_of(len) + 100]));
    let op = DiskOp::Read {
        place: large(index),
        off,
        into: lease(50, len),
        checksum: true,
    };
    let done = disk.execute(&memory, &op).expect("room and a sound disk");
    let expected = model.range(index, off, len);
    let bytes = memory.0.borrow();
    prop_assert!(bytes[50..50 + usize_of(len)] == *expected);
    prop_assert!(
        bytes[..50]
            .iter()
            .chain(&bytes[50 + usize_of(len)..])
            .all(|byte| *byte == 0xee)
    );
    prop_assert_eq!(done.crc32c, Some(crc32c(expected)));
    Ok(())
}

/// Writes leases of `lens`, first with a checksum that is wrong, which leaves no trace.
fn apply_write(
    disk: &Disk,
    model: &mut Model,
    at: usize,
    (index, off): (u64, u32),
    lens: &[u16],
) -> Result<(), TestCaseError> {
    let mut from = Segments::new();
    let mut len = 0;
    for part in lens {
        from.push(lease(len, u32::from(*part)));
        len += u32::from(*part);
    }
    let written: Vec<u8> = (at..)
        .take(usize_of(len))
        .map(|byte| u8::try_from(byte % 251).expect("less"))
        .collect();
    let memory = Buffer(RefCell::new(written.clone()));
    let (place, crc) = (large(index), crc32c(&written));
    let wrong = DiskOp::Write {
        place,
        off,
        from: from.clone(),
        expected: Some(!crc),
    };
    prop_assert_eq!(disk.execute(&memory, &wrong), Err(DiskError::Mismatch));
    let expected = at.is_multiple_of(2).then_some(crc);
    let op = DiskOp::Write {
        place,
        off,
        from,
        expected,
    };
    prop_assert_eq!(disk.execute(&memory, &op), Ok(DiskDone { crc32c: expected }));
    model.range(index, off, len).copy_from_slice(&written);
    Ok(())
}

/// Carries out a step on the disk and on `model`, and compares what both say.
fn apply(disk: &Disk, model: &mut Model, at: usize, step: Step) -> Result<(), TestCaseError> {
    let memory = Buffer(RefCell::new(Vec::new()));
    let mut crc = None;
    let op = match step {
        Step::Read(index, off, len) => return apply_read(disk, model, index, off, len),
        Step::Write(index, off, lens) => return apply_write(disk, model, at, (index, off), &lens),
        Step::Zero(index, off, len) => {
            model.range(index, off, len).fill(0);
            let place = large(index);
            DiskOp::Zero { place, off, len }
        }
        Step::Copy(from, to, len) => {
            let copied = model.range(from, 0, len).to_vec();
            model.range(to, 0, len).copy_from_slice(&copied);
            let (from, to) = (large(from), large(to));
            DiskOp::Copy { from, to, len }
        }
        Step::Discard(index) => {
            model.range(index, 0, LARGE).fill(0);
            let place = large(index);
            DiskOp::Discard { place }
        }
        Step::Checksum(index, off, len) => {
            crc = Some(crc32c(model.range(index, off, len)));
            let place = large(index);
            DiskOp::Checksum { place, off, len }
        }
        Step::Reopen => return Ok(()),
    };
    prop_assert_eq!(disk.execute(&memory, &op), Ok(DiskDone { crc32c: crc }));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any operations in any order do what they would do to arrays of bytes: in one file or several, with the help of the
    /// file system or without, and across a new start.
    #[test]
    fn blocks_are_arrays_of_bytes(
        steps in prop::collection::vec(step(), 1..40),
        blocks_per_file in 1u64..6,
        without_help: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file_bytes = blocks_per_file * u64::from(LARGE);
        let mut disk = disk(folder.path(), file_bytes);
        let mut model = Model(vec![vec![0; usize_of(LARGE)]; usize::try_from(BLOCKS).expect("few blocks")]);
        for (at, step) in steps.into_iter().enumerate() {
            if matches!(step, Step::Reopen) {
                disk = self::disk(folder.path(), file_bytes);
            }
            if without_help {
                disk.files.read().unwrap().values().for_each(|file| file.do_without_help());
            }
            apply(&disk, &mut model, at, step)?;
        }
        for (index, block) in (0..).zip(&model.0) {
            let mut bytes = vec![1; usize_of(LARGE)];
            disk.read(large(index), 0, &mut bytes).unwrap();
            prop_assert!(bytes == *block);
        }
    }
}

fn small(index: u64) -> Place {
    Place {
        block_bytes: SMALL,
        index,
    }
}

#[test]
fn discarded_blocks_give_their_room_back() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), 1 << 30);
    for index in [0, 100] {
        disk.write(large(index), 0, &[IoSlice::new(&vec![1; usize_of(LARGE)])])
            .unwrap();
    }
    disk.sync().unwrap();
    let used = || {
        std::fs::metadata(folder.path().join("131072-0"))
            .unwrap()
            .blocks()
            * 512
    };
    let full = used();
    assert!(full < 50 * u64::from(LARGE), "the blocks between take no room");
    disk.discard(large(0)).unwrap();
    disk.sync().unwrap();
    if disk
        .existing(FileName {
            block_bytes: LARGE,
            number: 0,
        })
        .unwrap()
        .makes_holes()
    {
        assert!(
            used() <= full - u64::from(LARGE),
            "{} of {full} bytes remain",
            used()
        );
    }
}

#[test]
fn a_lease_that_is_gone_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), 1 << 20);
    let memory = Buffer(RefCell::new(vec![0; 100]));
    let gone = Lease {
        id: LeaseId::new(1, 6),
        off: 0,
        len: 10,
    };
    let mut from = Segments::new();
    from.push(lease(0, 10));
    from.push(gone);
    let place = small(0);
    let read = DiskOp::Read {
        place,
        off: 0,
        into: gone,
        checksum: false,
    };
    let write = DiskOp::Write {
        place,
        off: 0,
        from,
        expected: None,
    };
    for op in [read, write] {
        assert!(
            matches!(disk.execute(&memory, &op), Err(DiskError::Io(why)) if why.to_string().contains("gone"))
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
#[should_panic(expected = "operations stay inside their block")]
fn an_operation_that_leaves_its_block_is_a_bug() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), 1 << 20);
    _ = disk.read(small(0), SMALL - 1, &mut [0; 2]);
}

#[test]
fn there_is_a_limit_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), u64::from(SMALL));
    let files_max = u64::try_from(FILES_MAX).expect("a small number");
    for index in 0..files_max {
        disk.write(small(index), 0, &[IoSlice::new(b"x")]).unwrap();
    }
    let beyond = disk.write(small(files_max), 0, &[IoSlice::new(b"x")]);
    assert!(matches!(beyond, Err(DiskError::Io(why)) if why.to_string().contains("512 data files")));
    disk.write(small(3), 1, &[IoSlice::new(b"y")]).unwrap();
    disk.read(small(files_max), 0, &mut [0]).unwrap();
}

/// More slices than the system takes at once, some of them empty.
#[test]
fn writes_of_many_slices_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let disk = disk(folder.path(), 1 << 20);
    let bytes: Vec<u8> = (0..3000u32).map(|at| at.to_le_bytes()[0]).collect();
    let slices: Vec<_> = bytes
        .chunks(1)
        .flat_map(|chunk| [IoSlice::new(chunk), IoSlice::new(&[])])
        .collect();
    disk.write(small(1), 7, &slices).unwrap();
    let mut read = vec![0; 3000];
    disk.read(small(1), 7, &mut read).unwrap();
    assert_eq!(read, bytes);
}

/// A disk with a file that takes no byte: one that the system calls full.
fn full_disk(folder: &Path) -> Disk {
    std::os::unix::fs::symlink("/dev/full", folder.join("4096-0")).unwrap();
    disk(folder, 1 << 20)
}

#[test]
fn a_full_disk_is_no_space_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let disk = full_disk(folder.path());
    let one = [IoSlice::new(b"x")];
    assert_eq!(disk.write(small(0), 0, &one), Err(DiskError::NoSpace));
    assert_eq!(
        disk.write(small(0), 0, &[one[0], one[0]]),
        Err(DiskError::NoSpace)
    );
    let other = Place {
        block_bytes: LARGE,
        index: 0,
    };
    disk.write(other, 0, &one).unwrap();
    let reserved = Arc::new(Room::open(folder.path(), u64::MAX).unwrap());
    let reserved = Disk::open(folder.path(), reserved, DiskOptions::default()).unwrap();
    assert_eq!(reserved.write(other, 0, &one), Err(DiskError::NoSpace));
    assert_eq!(
        reserved.copy(other, Place { index: 1, ..other }, 1),
        Err(DiskError::NoSpace)
    );
    reserved.discard(other).unwrap();
}

/// A file that cannot be synced stays marked, so each further sync fails too; the others are synced all the same.
#[test]
fn a_failed_sync_keeps_its_mark() {
    let folder = tempfile::tempdir().unwrap();
    let disk = full_disk(folder.path());
    let other = Place {
        block_bytes: LARGE,
        index: 0,
    };
    disk.write(other, 0, &[IoSlice::new(b"x")]).unwrap();
    let file = |block_bytes| {
        disk.existing(FileName {
            block_bytes,
            number: 0,
        })
        .unwrap()
    };
    for _ in 0..3 {
        assert!(matches!(disk.sync(), Err(DiskError::Io(why)) if why.to_string().contains("cannot sync")));
        assert!(file(SMALL).is_dirty());
        assert!(!file(LARGE).is_dirty());
    }
}

#[test]
fn writes_are_marked_until_they_are_synced() {
    let folder = tempfile::tempdir().unwrap();
    {
        let disk = disk(folder.path(), 1 << 20);
        disk.write(small(0), 0, &[IoSlice::new(b"x")]).unwrap();
        assert!(
            disk.existing(FileName {
                block_bytes: SMALL,
                number: 0
            })
            .unwrap()
            .is_dirty()
        );
        disk.sync().unwrap();
    }
    // Whoever wrote them before may have died before its sync.
    let disk = disk(folder.path(), 1 << 20);
    let file = disk
        .existing(FileName {
            block_bytes: SMALL,
            number: 0,
        })
        .unwrap();
    let other = disk
        .file(FileName {
            block_bytes: SMALL,
            number: 1,
        })
        .unwrap();
    assert!(file.is_dirty() && !other.is_dirty());
    disk.sync().unwrap();
    assert!(!file.is_dirty());
    let memory = Buffer(RefCell::new(vec![1; 8]));
    let mut from = Segments::new();
    from.push(lease(0, 2));
    from.push(lease(4, 2));
    let (place, to) = (small(1), small(2));
    let marks = [
        DiskOp::Write {
            place,
            off: 0,
            from,
            expected: None,
        },
        DiskOp::Zero {
            place,
            off: 0,
            len: 1,
        },
        DiskOp::Discard { place },
        DiskOp::Copy {
            from: place,
            to,
            len: 2,
        },
    ];
    for op in marks {
        disk.execute(&memory, &op).unwrap();
        assert!(file.is_dirty(), "{op:?} marks the file");
        disk.sync().unwrap();
        assert!(!file.is_dirty());
    }
}

#[test]
fn other_files_in_the_folder_are_ignored() {
    for name in ["4096-", "4096-01", "+4096-1", "x-1", "4096", "4096-1-1", ""] {
        assert_eq!(FileName::parse(name), None, "{name}");
    }
    let name = FileName {
        block_bytes: SMALL,
        number: 12,
    };
    assert_eq!(FileName::parse(&name.to_string()), Some(name));
}
