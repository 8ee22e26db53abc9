//! Loads of data: random and sequential, past the page cache and through it; attributes and lookups.
//!
//! A turn is one load. What a round reads or writes is its own part of the whole, and the same for all contestants.

use super::Amount;
use super::peers::Peer;
use super::table::{Figures, Row};
use crate::stub;
use flyer_types::Rng;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Instant;

const PAGE_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 1 << 20;
const SEED: u64 = 7;

/// What these should reach of the stub.
const RANDOM_GOAL: f64 = 0.8;
const READ_GOAL: f64 = 0.6;
const WRITE_GOAL: f64 = 0.5;
const ATTRIBUTES_GOAL: f64 = 0.7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// With this number of requests outstanding.
    RandomReads(u32),
    Reads {
        direct: bool,
    },
    Writes {
        direct: bool,
    },
    Attributes,
    Lookups,
}

/// In the order in which they are measured.
pub(super) const LOADS: [Load; 8] = [
    Load::RandomReads(1),
    Load::RandomReads(16),
    Load::Reads { direct: true },
    Load::Reads { direct: false },
    Load::Writes { direct: true },
    Load::Writes { direct: false },
    Load::Attributes,
    Load::Lookups,
];

/// Where a contestant reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Files {
    place: PathBuf,
    read: PathBuf,
}

/// What one round does of each load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    round: u32,
    /// Of each sequential load; whole MiB.
    bytes: u64,
    /// Bytes of the file to read from.
    file_bytes: u64,
    /// Requests of each other load.
    requests: u32,
}

impl Part {
    fn of(amount: &Amount, round: u32) -> Self {
        let bytes = amount
            .bytes
            .div_ceil(u64::from(amount.rounds))
            .max(1)
            .next_multiple_of(CHUNK_BYTES as u64);
        Self {
            round,
            bytes,
            file_bytes: bytes * u64::from(amount.rounds),
            requests: amount.reads.div_ceil(amount.rounds),
        }
    }

    /// Where the sequential reads of this round begin.
    fn offset(&self) -> u64 {
        self.bytes * u64::from(self.round)
    }
}

/// Makes the file to read from.
pub(super) fn prepare(peer: Peer, place: &Path, amount: &Amount) -> io::Result<Files> {
    let files = |name: &str| Files {
        place: place.to_owned(),
        read: place.join(name),
    };
    if peer == Peer::Stub {
        // One that is larger than any load and takes no memory is there.
        return Ok(files(stub::FILE_NAME));
    }
    let files = files("data");
    let file = open(&files.read, true, false)?;
    let mut buffer = Aligned::new(CHUNK_BYTES);
    chunks(0, Part::of(amount, 0).file_bytes)
        .try_for_each(|offset| file.write_all_at(buffer.slice(), offset))?;
    file.sync_all()?;
    Ok(files)
}

pub(super) fn turn(files: &Files, load: Load, amount: &Amount, round: u32) -> io::Result<Figures> {
    let part = Part::of(amount, round);
    let one = |what: String, unit, goal, figure| vec![(Row::new(what, unit, Some(goal)), figure)];
    Ok(match load {
        Load::RandomReads(depth) => {
            let rate = random_reads(&files.read, part, depth)?;
            one(
                format!("random reads 4 KiB, depth {depth}"),
                "1/s",
                RANDOM_GOAL,
                rate,
            )
        }
        Load::Reads { direct } => {
            let how = if direct { "direct" } else { "cold cache" };
            let what = format!("sequential reads 1 MiB, {how}");
            one(what, "MB/s", READ_GOAL, reads(&files.read, part, direct)?)
        }
        Load::Writes { direct } => {
            let (written, synced) = writes(&files.place.join("written"), part, direct)?;
            let row = |how: &str, goal| Row::new(format!("sequential writes 1 MiB, {how}"), "MB/s", goal);
            if direct {
                vec![(row("direct", Some(WRITE_GOAL)), written)]
            } else {
                // To sync costs a stub nothing, so there is no sense in asking for a part of its rate.
                vec![
                    (row("cached", Some(WRITE_GOAL)), written),
                    (row("+fsync", None), synced),
                ]
            }
        }
        Load::Attributes => {
            let rate = attributes(&files.read, part.requests)?;
            one(
                "attributes asked of the server".into(),
                "1/s",
                ATTRIBUTES_GOAL,
                rate,
            )
        }
        Load::Lookups => {
            let rate = lookups(&files.place, part)?;
            one("lookups of missing names".into(), "1/s", ATTRIBUTES_GOAL, rate)
        }
    })
}

/// Memory for direct I/O begins at a page.
struct Aligned {
    memory: Vec<u8>,
    begin: usize,
    bytes: usize,
}

impl Aligned {
    fn new(bytes: usize) -> Self {
        let mut memory = vec![0_u8; bytes + PAGE_BYTES];
        let begin = memory.as_ptr().align_offset(PAGE_BYTES);
        for (at, byte) in memory.iter_mut().enumerate() {
            *byte = at.to_le_bytes()[0];
        }
        Self { memory, begin, bytes }
    }

    fn slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.begin..self.begin + self.bytes]
    }
}

fn open(path: &Path, write: bool, direct: bool) -> io::Result<File> {
    let flags = if direct { nix::libc::O_DIRECT } else { 0 };
    let mut options = OpenOptions::new();
    options
        .read(!write)
        .write(write)
        .create_new(write)
        .custom_flags(flags);
    options.open(path)
}

fn chunks(offset: u64, bytes: u64) -> impl Iterator<Item = u64> {
    (offset..offset + bytes).step_by(CHUNK_BYTES)
}

/// As many threads as requests are to be outstanding. They begin together, and the time is from the first begin to the last end.
fn random_reads(path: &Path, part: Part, depth: u32) -> io::Result<f64> {
    let pages = part.file_bytes / PAGE_BYTES as u64;
    let each = part.requests.div_ceil(depth);
    let file = open(path, false, true)?;
    let all_there = Barrier::new(usize::try_from(depth).expect("a depth is small"));
    let read = |thread: u32| -> io::Result<(Instant, Instant)> {
        let stream = Rng::from_seed(SEED).split_index("round", part.round.into());
        let mut rng = stream.split_index("thread", thread.into());
        let mut buffer = Aligned::new(PAGE_BYTES);
        all_there.wait();
        let begin = Instant::now();
        for _ in 0..each {
            let offset = rng.below(pages) * PAGE_BYTES as u64;
            file.read_exact_at(buffer.slice(), offset)?;
        }
        Ok((begin, Instant::now()))
    };
    let times = std::thread::scope(|scope| {
        let read = &read;
        let threads: Vec<_> = (0..depth)
            .map(|thread| scope.spawn(move || read(thread)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a load panicked")))
        });
        joined.collect::<io::Result<Vec<_>>>()
    })?;
    let begin = times.iter().map(|(begin, _)| *begin).min();
    let end = times.iter().map(|(_, end)| *end).max();
    let (begin, end) = begin.zip(end).expect("the depth is not zero");
    Ok(f64::from(each * depth) / (end - begin).as_secs_f64())
}

fn reads(path: &Path, part: Part, direct: bool) -> io::Result<f64> {
    let file = open(path, false, direct)?;
    if !direct {
        // Written pages would stay, but nothing is left to write.
        nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    let mut buffer = Aligned::new(CHUNK_BYTES);
    let begin = Instant::now();
    chunks(part.offset(), part.bytes).try_for_each(|offset| file.read_exact_at(buffer.slice(), offset))?;
    Ok(megabytes_per_second(part.bytes, begin))
}

/// Rates up to the last write and up to the end of the sync after it. The file is new, and removed again.
fn writes(path: &Path, part: Part, direct: bool) -> io::Result<(f64, f64)> {
    let file = open(path, true, direct)?;
    let mut buffer = Aligned::new(CHUNK_BYTES);
    let begin = Instant::now();
    chunks(0, part.bytes).try_for_each(|offset| file.write_all_at(buffer.slice(), offset))?;
    let written = megabytes_per_second(part.bytes, begin);
    file.sync_all()?;
    let synced = megabytes_per_second(part.bytes, begin);
    drop(file);
    fs::remove_file(path)?;
    Ok((written, synced))
}

/// In 10^6 bytes.
fn megabytes_per_second(bytes: u64, begin: Instant) -> f64 {
    let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
    f64::from(kib) * 1024.0 / 1e6 / begin.elapsed().as_secs_f64()
}

/// The kernel may not answer from its cache.
fn attributes(path: &Path, count: u32) -> io::Result<f64> {
    let file = open(path, false, false)?;
    let begin = Instant::now();
    for _ in 0..count {
        ask_attributes(&file)?;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}

fn ask_attributes(file: &File) -> io::Result<()> {
    use nix::libc::{AT_EMPTY_PATH, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, statx};
    let mut answer = std::mem::MaybeUninit::<statx>::uninit();
    let flags = AT_EMPTY_PATH | AT_STATX_FORCE_SYNC;
    // SAFETY: the path is an empty C string, `answer` has room for one `statx`, and both outlive the call. Nothing of `answer`
    // is read.
    let result = unsafe {
        statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            flags,
            STATX_BASIC_STATS,
            answer.as_mut_ptr(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Each name is asked for once, so that none is in the cache.
fn lookups(place: &Path, part: Part) -> io::Result<f64> {
    let begin = Instant::now();
    for number in 0..part.requests {
        let name = format!("missing-{}-{number}", part.round);
        match fs::symlink_metadata(place.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(io::Error::other("a name that nobody made is there")),
        }
    }
    Ok(f64::from(part.requests) / begin.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_share_the_work_and_read_each_their_part() {
        let amount = Amount {
            rounds: 5,
            bytes: 64 << 20,
            reads: 2_001,
            ..Amount::default()
        };
        let parts: Vec<Part> = (0..5).map(|round| Part::of(&amount, round)).collect();
        assert_eq!((parts[0].bytes, parts[0].file_bytes), (13 << 20, 65 << 20));
        assert_eq!(parts[0].requests, 401);
        let offsets: Vec<u64> = parts.iter().map(Part::offset).collect();
        assert_eq!(offsets, [0, 13, 26, 39, 52].map(|mib| mib << 20));
        let least = Amount { bytes: 0, ..amount };
        assert_eq!(Part::of(&least, 0).bytes, 1 << 20);
        assert_eq!(chunks(1 << 20, 2 << 20).collect::<Vec<_>>(), [1 << 20, 2 << 20]);
    }

    #[test]
    fn all_loads_run_on_a_plain_directory() {
        let place = std::env::temp_dir().join(format!("flyer-data-{}", std::process::id()));
        fs::create_dir_all(&place).expect("a temporary directory");
        let amount = Amount {
            rounds: 2,
            bytes: 4 << 20,
            reads: 40,
            ..Amount::default()
        };
        let files = prepare(Peer::Disk, &place, &amount).expect("room for 4 MiB");
        let mut rows = Vec::new();
        // Some file systems below temporary directories have no direct I/O.
        let direct = |load: &Load| {
            matches!(
                load,
                Load::RandomReads(_) | Load::Reads { direct: true } | Load::Writes { direct: true }
            )
        };
        for load in LOADS.into_iter().filter(|load| !direct(load)) {
            for round in 0..2 {
                let figures = turn(&files, load, &amount, round).expect("a plain directory");
                assert!(figures.iter().all(|(_, figure)| *figure > 0.0));
                rows.extend(figures.into_iter().map(|(row, _)| row.what));
            }
        }
        assert_eq!(rows.len(), 2 * 5, "{rows:?}");
        let left: Vec<_> = fs::read_dir(&place).expect("it is there").collect();
        assert_eq!(left.len(), 1, "only the file to read from stays: {left:?}");
        fs::remove_dir_all(&place).expect("nobody else is there");
    }
}
