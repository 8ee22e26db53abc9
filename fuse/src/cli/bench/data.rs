//! Loads of data: random and sequential, past the page cache and through it; attributes and lookups.

use super::Amount;
use super::peers::{Mount, Peer};
use super::table::Column;
use crate::stub;
use flyer_types::Rng;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Instant;

const PAGE_BYTES: usize = 4096;
const CHUNK_BYTES: usize = 1 << 20;
const DEPTHS: [u32; 2] = [1, 16];
const SEED: u64 = 7;

pub(super) fn run(mount: &Mount, amount: &Amount, column: &mut Column<'_>) -> io::Result<()> {
    let bytes = amount.bytes.next_multiple_of(CHUNK_BYTES as u64);
    let path = file(mount, bytes)?;
    for depth in DEPTHS {
        let rate = random_reads(&path, bytes, amount.reads, depth)?;
        column.put(format!("random reads 4 KiB, direct, depth {depth}"), "1/s", rate);
    }
    column.put(
        "sequential reads 1 MiB, direct",
        "MB/s",
        reads(&path, bytes, true)?,
    );
    drop_page_cache(&path)?;
    column.put(
        "sequential reads 1 MiB, page cache cold",
        "MB/s",
        reads(&path, bytes, false)?,
    );
    let written = mount.path.join("written");
    column.put(
        "sequential writes 1 MiB, direct",
        "MB/s",
        writes(&written, bytes, true)?,
    );
    column.put(
        "sequential writes 1 MiB, page cache, fsync",
        "MB/s",
        writes(&written, bytes, false)?,
    );
    fs::remove_file(&written)?;
    column.put(
        "attributes asked of the server",
        "1/s",
        attributes(&path, amount.reads)?,
    );
    column.put("lookups of missing names", "1/s", lookups(mount, amount.reads)?);
    Ok(())
}

/// A file to read from; what takes real memory is written.
fn file(mount: &Mount, bytes: u64) -> io::Result<PathBuf> {
    if mount.peer == Peer::Stub {
        return Ok(mount.path.join(stub::FILE_NAME));
    }
    let path = mount.path.join("data");
    writes(&path, bytes, true)?;
    Ok(path)
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

fn open(path: &PathBuf, write: bool, direct: bool) -> io::Result<File> {
    let flags = if direct { nix::libc::O_DIRECT } else { 0 };
    let mut options = OpenOptions::new();
    options
        .read(!write)
        .write(write)
        .create(write)
        .truncate(write)
        .custom_flags(flags);
    options.open(path)
}

/// As many threads as requests are to be outstanding.
fn random_reads(path: &PathBuf, bytes: u64, reads: u32, depth: u32) -> io::Result<f64> {
    let pages = bytes / PAGE_BYTES as u64;
    let each = reads.div_ceil(depth);
    let file = open(path, false, true)?;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let load = |thread: u32| {
            let file = &file;
            scope.spawn(move || -> io::Result<()> {
                let mut rng = Rng::from_seed(SEED + u64::from(thread));
                let mut buffer = Aligned::new(PAGE_BYTES);
                for _ in 0..each {
                    let offset = rng.below(pages) * PAGE_BYTES as u64;
                    file.read_exact_at(buffer.slice(), offset)?;
                }
                Ok(())
            })
        };
        let threads: Vec<_> = (0..depth).map(load).collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a load panicked")))
        })
    })?;
    Ok(f64::from(each * depth) / begin.elapsed().as_secs_f64())
}

fn reads(path: &PathBuf, bytes: u64, direct: bool) -> io::Result<f64> {
    let file = open(path, false, direct)?;
    sequential(
        bytes,
        |buffer, offset| file.read_exact_at(buffer, offset),
        || Ok(()),
    )
}

fn writes(path: &PathBuf, bytes: u64, direct: bool) -> io::Result<f64> {
    let file = open(path, true, direct)?;
    sequential(
        bytes,
        |buffer, offset| file.write_all_at(buffer, offset),
        || file.sync_all(),
    )
}

fn sequential(
    bytes: u64,
    mut part: impl FnMut(&mut [u8], u64) -> io::Result<()>,
    end: impl FnOnce() -> io::Result<()>,
) -> io::Result<f64> {
    let mut buffer = Aligned::new(CHUNK_BYTES);
    let begin = Instant::now();
    let mut offset = 0;
    while offset < bytes {
        part(buffer.slice(), offset)?;
        offset += CHUNK_BYTES as u64;
    }
    end()?;
    let mb = f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1024.0 / 1e6;
    Ok(mb / begin.elapsed().as_secs_f64())
}

fn drop_page_cache(path: &PathBuf) -> io::Result<()> {
    let file = open(path, false, false)?;
    nix::fcntl::posix_fadvise(&file, 0, 0, nix::fcntl::PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

/// The kernel may not answer from its cache.
fn attributes(path: &PathBuf, count: u32) -> io::Result<f64> {
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
    // SAFETY: the path is an empty C string, `answer` has room for one `statx`, and both outlive the call. Nothing of `answer` is read.
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
fn lookups(mount: &Mount, count: u32) -> io::Result<f64> {
    let begin = Instant::now();
    for number in 0..count {
        match fs::symlink_metadata(mount.path.join(format!("missing-{number}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(_) => return Err(io::Error::other("a name that nobody made is there")),
        }
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
