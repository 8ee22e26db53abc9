//! Below a mount, the disk is full or fails: whom that is told, what is kept, and what works again afterwards.
//!
//! Full disks are small file systems in memory, faulty ones a FUSE file system of the test. An operation that is not answered within
//! [`PATIENCE`] fails its test: storage that refuses is asked again for some seconds, never longer.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a program that is watched from outside takes time, and may hang whoever asks it"
)]

use flyer_mount_tests::bounded::{PATIENCE, bounded, start};
use flyer_mount_tests::faulty::{Act, FaultyDisk, Part};
use flyer_mount_tests::small::SmallDisk;
use flyer_mount_tests::{Mount, Place, text};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// What the program ends with when it could not save everything.
const DATA_LOST: Option<i32> = Some(6);

/// Room of a small disk: the reserve of 256 MiB and some for data.
const SMALL_MIB: u32 = 256 + 48;

/// One test at a time. A mount that takes seconds to end keeps its record while the kernel gives its device number to the next mount, and
/// `flyer umount` of that one then waits for, and hears of, the wrong process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn errno<T>(outcome: &io::Result<T>) -> Option<Errno> {
    outcome.as_ref().err().and_then(Errno::from_io_error)
}

/// Bytes that tell where they belong.
fn pattern(file: u8, len: usize) -> Vec<u8> {
    let word = |at: usize| (at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(file);
    (0..len.div_ceil(8))
        .flat_map(|at| word(at).to_le_bytes())
        .take(len)
        .collect()
}

fn fsync(file: &Arc<File>, what: &str) -> io::Result<()> {
    let file = Arc::clone(file);
    bounded(what, move || file.sync_all())
}

fn write(file: &Arc<File>, bytes: Vec<u8>, at: u64) -> io::Result<()> {
    let file = Arc::clone(file);
    bounded("a write", move || file.write_all_at(&bytes, at))
}

fn content(path: PathBuf) -> io::Result<Vec<u8>> {
    bounded("a read", move || fs::read(path))
}

fn store(path: &Path, bytes: Vec<u8>) -> io::Result<()> {
    let path = path.to_owned();
    bounded("a file is written and synced", move || {
        let file = File::create(path)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()
    })
}

fn assert_content(path: PathBuf, expected: &[u8]) {
    let found = content(path.clone()).expect("it can be read");
    assert!(found == expected, "{} has another content", path.display());
}

fn create(path: PathBuf) -> Arc<File> {
    let made = bounded("a create", move || {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
    });
    Arc::new(made.expect("it can be created"))
}

// --- Full disks ---------------------------------------------------------------------------------------------------

/// What a writer was told.
struct Told {
    path: PathBuf,
    number: u8,
    /// Bytes that a sync has confirmed.
    confirmed: usize,
    /// How it ended.
    errno: Errno,
}

/// Writes, with a sync now and then, until there is no room.
fn fill(path: PathBuf, number: u8, is_direct: bool) -> Told {
    let flags = if is_direct {
        OFlags::DIRECT
    } else {
        OFlags::empty()
    };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .custom_flags(flags.bits().cast_signed())
        .open(&path)
        .expect("a new file");
    // Direct I/O wants memory that begins at a page.
    let mut memory = vec![0; MIB + 4096];
    let start = memory.as_ptr().align_offset(4096);
    let (mut written, mut confirmed) = (0, 0);
    let errno = loop {
        memory[start..start + MIB].copy_from_slice(&pattern(number, written + MIB)[written..]);
        let outcome = file.write_all_at(&memory[start..start + MIB], written as u64);
        let outcome = outcome.and_then(|()| {
            written += MIB;
            if written % (3 * MIB) == 0 {
                file.sync_all()?;
                confirmed = written;
            }
            Ok(())
        });
        if let Some(errno) = errno(&outcome) {
            break errno;
        }
        assert!(written < 64 * MIB, "the disk does not get full");
    };
    Told {
        path,
        number,
        confirmed,
        errno,
    }
}

fn assert_confirmed(told: &Told) {
    let found = content(told.path.clone()).expect("it can be read");
    let expected = pattern(told.number, told.confirmed);
    assert!(
        found.get(..told.confirmed) == Some(expected.as_slice()),
        "{}: what was confirmed is not there ({} of {} bytes)",
        told.path.display(),
        found.len(),
        told.confirmed
    );
}

/// Several fill the disk at the same time.
fn fill_together(mount: &Mount, is_direct: bool) -> Vec<Told> {
    let path = mount.path().to_owned();
    bounded("the disk is filled", move || {
        let fillers: Vec<_> = (0..4)
            .map(|number| {
                let path = path.join(format!("w{number}"));
                std::thread::spawn(move || fill(path, number, is_direct))
            })
            .collect();
        let join = |filler: std::thread::JoinHandle<Told>| filler.join().expect("it did not panic");
        fillers.into_iter().map(join).collect()
    })
}

/// Room that has come back is known when the disk was asked again, and when what was removed is collected.
fn store_when_there_is_room(path: &Path, bytes: &[u8]) {
    let begun = Instant::now();
    while let Err(error) = store(path, bytes.to_vec()) {
        assert_eq!(Errno::from_io_error(&error), Some(Errno::NOSPC));
        assert!(begun.elapsed() < PATIENCE, "no room comes back");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Takes room beside the cluster, until so much is left.
fn take_room(disk: &SmallDisk, place: &Place, left: u64) -> PathBuf {
    let filler = place.data().join("filler");
    let file = File::create(&filler).expect("a new file");
    let none = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&file, none, 0, disk.free() - left).expect("there is room");
    filler
}

/// Makes directories until that is refused. What the database was granted before it last asked for room it may still use.
fn make_directories(mount: &Mount) -> Option<Errno> {
    let path = mount.path().to_owned();
    bounded("directories are made", move || {
        let name = |number| path.join(format!("{number:0200}"));
        (0..100_000).find_map(|number| errno(&fs::create_dir(name(number))))
    })
}

fn fills_up(is_direct: bool) {
    let place = Place::new();
    fs::create_dir(place.data()).expect("a new directory");
    let disk = SmallDisk::new(&place.data(), SMALL_MIB);
    let mount = start(&place);
    store(&mount.at("kept"), pattern(77, 5 * MIB)).expect("there is room");
    let told = fill_together(&mount, is_direct);
    for told in &told {
        assert_eq!(told.errno, Errno::NOSPC, "{}", told.path.display());
        assert_confirmed(told);
    }
    assert!(disk.free() > 128 << 20, "the reserve is left for the database");
    assert_content(mount.at("kept"), &pattern(77, 5 * MIB));

    // Data are refused now, at the latest by the sync; names are not.
    assert_eq!(
        errno(&store(&mount.at("refused"), pattern(1, 24 * MIB))),
        Some(Errno::NOSPC)
    );
    let (from, to) = (mount.at("directory"), mount.at("renamed"));
    bounded("names are made", move || {
        fs::create_dir(&from)?;
        File::create(from.join("empty"))?;
        fs::rename(from, to)
    })
    .expect("the reserve is for that");

    // Room comes back without waiting for the delay of collection.
    let removed: Vec<PathBuf> = vec![mount.at("w0"), mount.at("w1"), mount.at("refused")];
    bounded("files are removed", move || {
        removed.iter().try_for_each(fs::remove_file)
    })
    .expect("a full cluster can delete");
    store_when_there_is_room(&mount.at("again"), &pattern(2, 4 * MIB));
    mount.unmount();

    let mount = start(&place);
    assert_content(mount.at("kept"), &pattern(77, 5 * MIB));
    assert_content(mount.at("again"), &pattern(2, 4 * MIB));
    told[2..].iter().for_each(assert_confirmed);
    assert!(mount.at("renamed/empty").exists() && !mount.at("w0").exists());
    mount.unmount();
}

#[test]
fn a_full_disk_is_told_to_every_writer_and_can_be_emptied() {
    let _alone = alone();
    fills_up(false);
}

#[test]
fn a_full_disk_is_told_to_direct_writers_and_can_be_emptied() {
    let _alone = alone();
    fills_up(true);
}

/// Others have filled the disk: not even the database may grow any more.
#[test]
fn without_room_for_the_database_everything_is_refused_until_there_is_some() {
    let _alone = alone();
    let place = Place::new();
    fs::create_dir(place.data()).expect("a new directory");
    let disk = SmallDisk::new(&place.data(), SMALL_MIB);
    let mount = start(&place);
    store(&mount.at("kept"), pattern(3, 2 * MIB)).expect("there is room");
    let filler = take_room(&disk, &place, 40 << 20);
    assert_eq!(make_directories(&mount), Some(Errno::NOSPC));
    assert_eq!(
        errno(&store(&mount.at("kept"), pattern(4, MIB))),
        Some(Errno::NOSPC)
    );
    let path = mount.at("kept");
    let removed = bounded("a removal", move || fs::remove_file(path));
    assert_eq!(
        errno(&removed),
        Some(Errno::NOSPC),
        "below the reserve nothing is written"
    );
    assert!(disk.free() > 16 << 20, "the last of the reserve is nobody's");

    fs::remove_file(&filler).expect("it is ours");
    store_when_there_is_room(&mount.at("new"), &pattern(5, MIB));
    mount.unmount();
    let mount = start(&place);
    assert_content(mount.at("new"), &pattern(5, MIB));
    mount.unmount();
}

/// Others take all of the reserve at once, faster than the database can see it.
#[test]
fn who_takes_the_last_byte_stops_the_database_until_it_is_opened_again() {
    let _alone = alone();
    let place = Place::new();
    fs::create_dir(place.data()).expect("a new directory");
    let disk = SmallDisk::new(&place.data(), SMALL_MIB);
    let mount = start(&place);
    store(&mount.at("kept"), pattern(3, 2 * MIB)).expect("there is room");
    let filler = take_room(&disk, &place, 0);
    let refused = make_directories(&mount).expect("it cannot go on for ever");
    assert!(matches!(refused, Errno::NOSPC | Errno::IO), "{refused:?}");
    let root = Arc::new(File::open(mount.path()).expect("it is there"));
    assert!(
        fsync(&root, "a sync of names").is_err(),
        "not all of them are written"
    );
    assert_content(mount.at("kept"), &pattern(3, 2 * MIB));
    fs::remove_file(&filler).expect("it is ours");
    assert!(
        fsync(&root, "a sync with room").is_err(),
        "the journal has a torn end"
    );
    drop(root);
    assert_eq!(bounded("the end", move || mount.end()).code(), DATA_LOST);

    let mount = start(&place);
    assert_content(mount.at("kept"), &pattern(3, 2 * MIB));
    store(&mount.at("new"), pattern(5, MIB)).expect("there is room");
    mount.unmount();
}

// --- Failing disks ------------------------------------------------------------------------------------------------

/// A place whose data lie on a faulty disk.
fn faulty() -> (Place, FaultyDisk) {
    let place = Place::new();
    let below = place.beside("below");
    fs::create_dir(&below).expect("a new directory");
    fs::create_dir(place.data()).expect("a new directory");
    let disk = FaultyDisk::new(&below, &place.data());
    (place, disk)
}

/// Copies by a program that looks at the result of its `close`.
fn copy(from: &Path, to: &Path) -> (bool, String) {
    let mut command = Command::new("cp");
    command.arg(from).arg(to);
    let output = bounded("a copy", move || command.output()).expect("cp starts");
    (output.status.success(), text(&output))
}

#[test]
fn failed_writes_are_told_to_who_wrote_and_kept() {
    let _alone = alone();
    let (place, disk) = faulty();
    let source = place.beside("source");
    fs::write(&source, pattern(9, MIB / 2)).expect("a new file");
    let mount = start(&place);
    store(&mount.at("file"), pattern(1, 3 * MIB)).expect("nothing fails yet");
    store(&mount.at("other"), pattern(2, MIB)).expect("nothing fails yet");
    let (one, two) = (create(mount.at("file")), create(mount.at("file")));
    let idle = create(mount.at("file"));
    let other = create(mount.at("other"));

    disk.fail(Act::Write, Part::Data, Errno::IO);
    write(&one, pattern(3, MIB / 2), 0).expect("it is buffered");
    write(&two, pattern(4, MIB / 2), 2 * MIB as u64).expect("it is buffered");
    assert_eq!(errno(&fsync(&one, "a sync that fails")), Some(Errno::IO));
    fsync(&other, "a sync of another file").expect("nothing of it is affected");
    // Another program: in its process all files are closed that are open here. What that tells nobody hears.
    let (copied, said) = copy(&source, &mount.at("copied"));
    assert!(
        !copied && said.contains("Input/output error"),
        "close tells nothing: {said}"
    );
    let path = mount.at("made meanwhile");
    bounded("a new directory", move || fs::create_dir(path)).expect("names are not affected");
    assert!(disk.heal() > 0, "nothing has failed");

    // The bytes are still there, and written out by whoever wants them durable.
    fsync(&idle, "a sync of who did not write").expect("it has nothing to hear of");
    assert_eq!(
        errno(&fsync(&two, "the first sync of the other writer")),
        Some(Errno::IO)
    );
    fsync(&two, "the second one").expect("it has heard");
    fsync(&one, "the second sync of the first writer").expect("it has heard");
    let mut expected = pattern(1, 3 * MIB);
    expected[..MIB / 2].copy_from_slice(&pattern(3, MIB / 2));
    expected[2 * MIB..2 * MIB + MIB / 2].copy_from_slice(&pattern(4, MIB / 2));
    assert_content(mount.at("file"), &expected);
    fsync(&create(mount.at("copied")), "a sync of the copy").expect("it is written by now");
    assert_content(mount.at("copied"), &pattern(9, MIB / 2));
    drop((one, two, idle, other));
    mount.unmount();
    let mount = start(&place);
    assert_content(mount.at("file"), &expected);
    assert_content(mount.at("copied"), &pattern(9, MIB / 2));
    mount.unmount();
}

#[test]
fn what_cannot_be_written_until_the_end_is_told_by_the_exit_code() {
    let _alone = alone();
    let (place, disk) = faulty();
    let mount = start(&place);
    store(&mount.at("kept"), pattern(1, MIB)).expect("nothing fails yet");
    disk.fail(Act::Write, Part::Data, Errno::IO);
    let source = place.beside("source");
    fs::write(&source, pattern(2, MIB)).expect("a new file");
    assert!(!copy(&source, &mount.at("lost")).0);
    let ended = bounded("the end", move || mount.end());
    assert_eq!(ended.code(), DATA_LOST);
    assert!(disk.heal() > 0, "nothing has failed");
    let mount = start(&place);
    assert_content(mount.at("kept"), &pattern(1, MIB));
    store(&mount.at("lost"), pattern(3, MIB)).expect("nothing fails any more");
    mount.unmount();
}

#[test]
fn failed_direct_writes_and_reads_are_told_at_once_and_pass() {
    let _alone = alone();
    let (place, disk) = faulty();
    let mount = start(&place);
    store(&mount.at("file"), pattern(1, 2 * MIB)).expect("nothing fails yet");
    // What was written is not read through the cache of the kernel.
    mount.unmount();
    let mount = start(&place);
    let direct = OFlags::DIRECT.bits().cast_signed();
    let open = OpenOptions::new()
        .write(true)
        .custom_flags(direct)
        .open(mount.at("file"));
    let writer = Arc::new(open.expect("it is there"));

    disk.fail(Act::Read, Part::Data, Errno::IO);
    assert_eq!(errno(&content(mount.at("file"))), Some(Errno::IO));
    let path = mount.at("new");
    store(&path, pattern(2, MIB)).expect("only reads fail");
    disk.fail(Act::Write, Part::Data, Errno::IO);
    let write = |writer: &Arc<File>| {
        let writer = Arc::clone(writer);
        bounded("a direct write", move || {
            // Direct I/O wants memory that begins at a page.
            let memory = vec![0; 8192];
            let start = memory.as_ptr().align_offset(4096);
            writer.write_all_at(&memory[start..start + 4096], 4096)
        })
    };
    assert_eq!(errno(&write(&writer)), Some(Errno::IO));
    assert!(disk.heal() > 0, "nothing has failed");
    write(&writer).expect("nothing fails any more");
    fsync(&writer, "a sync").expect("a direct write was told already");
    let mut expected = pattern(1, 2 * MIB);
    expected[4096..8192].fill(0);
    assert_content(mount.at("file"), &expected);
    drop(writer);
    mount.unmount();
}

/// A failed sync is final: the system may have dropped what it could not write, and says so only once.
fn a_failed_sync_is_final(part: Part) {
    let (place, disk) = faulty();
    let mount = start(&place);
    store(&mount.at("kept"), pattern(1, MIB)).expect("nothing fails yet");
    let file = create(mount.at("file"));
    disk.fail(Act::Sync, part, Errno::IO);
    write(&file, pattern(2, MIB), 0).expect("it is buffered");
    assert_eq!(errno(&fsync(&file, "a sync that fails")), Some(Errno::IO));
    assert!(disk.heal() > 0, "nothing has failed");
    for _ in 0..2 {
        assert_eq!(errno(&fsync(&file, "a sync after that")), Some(Errno::IO));
    }
    assert_eq!(errno(&store(&mount.at("new"), pattern(3, MIB))), Some(Errno::IO));
    assert_content(mount.at("kept"), &pattern(1, MIB));
    assert_content(mount.at("file"), &pattern(2, MIB));
    let path = mount.at("directory");
    let made = bounded("a new directory", move || fs::create_dir(path));
    assert_eq!(made.is_ok(), part == Part::Data, "{made:?}");
    drop(file);
    assert_eq!(bounded("the end", move || mount.end()).code(), DATA_LOST);

    let mount = start(&place);
    assert_content(mount.at("kept"), &pattern(1, MIB));
    store(&mount.at("file"), pattern(4, MIB)).expect("the directory was opened anew");
    mount.unmount();
}

#[test]
fn a_failed_sync_of_data_is_final() {
    let _alone = alone();
    a_failed_sync_is_final(Part::Data);
}

#[test]
fn a_failed_sync_of_the_database_is_final() {
    let _alone = alone();
    a_failed_sync_is_final(Part::Database);
}

#[test]
fn a_database_that_cannot_be_written_stops_and_says_so() {
    let _alone = alone();
    let (place, disk) = faulty();
    let mount = start(&place);
    store(&mount.at("kept"), pattern(1, MIB)).expect("nothing fails yet");
    disk.fail(Act::Write, Part::Database, Errno::IO);
    // It may notice a little later than it has answered, but nobody is told that this was durable.
    let path = mount.at("directory");
    let made = bounded("a new directory", move || fs::create_dir(path));
    assert!(matches!(errno(&made), None | Some(Errno::IO)), "{made:?}");
    let root = Arc::new(File::open(mount.path()).expect("it is there"));
    assert_eq!(errno(&fsync(&root, "a sync of names")), Some(Errno::IO));
    assert!(disk.heal() > 0, "nothing has failed");

    assert_eq!(errno(&fsync(&root, "a sync after that")), Some(Errno::IO));
    let path = mount.at("later");
    assert_eq!(
        errno(&bounded("a new directory", move || fs::create_dir(path))),
        Some(Errno::IO)
    );
    assert_eq!(errno(&store(&mount.at("kept"), pattern(2, MIB))), Some(Errno::IO));
    let mut one = [0];
    let kept = File::open(mount.at("kept"));
    bounded("a read", move || kept?.read(&mut one)).expect("what can be read is read");
    drop(root);
    assert_eq!(bounded("the end", move || mount.end()).code(), DATA_LOST);

    let mount = start(&place);
    assert!(!mount.at("later").exists(), "it was refused");
    assert_content(mount.at("kept"), &pattern(1, MIB));
    store(&mount.at("later"), pattern(2, MIB)).expect("the directory was opened anew");
    mount.unmount();
}
