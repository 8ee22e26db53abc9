//! Blocks of chunks in sparse files, one set of files for each size of block.
//!
//! Owner: the host of the storage server, on as many threads as it likes. The server never has two operations under way on
//! the same block unless both read, so blocks are not locked here.
//!
//! ```text
//! data/524288-0      blocks 0.. of 512 KiB, until the file would exceed `file_bytes`
//! data/524288-1      the blocks that follow
//! data/4194304-0     blocks of 4 MiB
//! ```
//!
//! What was never written, and what was discarded, reads as zeros and takes no room; nothing is allocated in advance. The
//! bytes of an operation that fails are unknown until they are written again.
//!
//! Durability: each file remembers whether it was written to since its last `fdatasync`; [`Disk::sync`] visits those files.
//! Files that were there when the disk was opened count as written to: the process before may have died with its writes in
//! the page cache only.
//!
//! Limits: [`FILES_MAX`]; a block has at most `file_bytes` bytes. Room: see [`room`].

mod file;
pub mod room;

pub use room::{Room, Space};

use file::DataFile;
use flyer_cluster::storage::{DiskDone, DiskError, DiskOp, Place};
use flyer_types::{Lease, Text};
use flyer_wire::checksum::{Crc, DATA_START, raw};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

/// Most data files of a disk. All of them stay open, and a process may have 1,024 files open unless the administrator says
/// otherwise; with the default `file_bytes` this is 128 TiB.
pub const FILES_MAX: usize = 512;

/// Bytes looked at in one step where a block is read without a destination.
const STEP_BYTES: usize = 256 << 10;

/// The host's memory behind leases.
pub trait Memory {
    /// Shows the bytes of the leases, in order. False, without a call, if one of them is not valid (any more).
    fn with_bytes(&self, leases: &[Lease], look: &mut dyn FnMut(&[IoSlice<'_>])) -> bool;

    /// Gives the bytes of a lease to be overwritten. False, without a call, if it is not valid (any more).
    fn with_bytes_mut(&self, lease: Lease, fill: &mut dyn FnMut(&mut [u8])) -> bool;
}

/// What can be chosen when a disk is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskOptions {
    /// Size at which the next file begins. Must stay the same for the life of the directory.
    pub file_bytes: u64,
    /// Whether the page cache may be believed. It may show what the disk has refused to keep.
    pub cached: bool,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            // Every file system in use can hold such files, and few are needed.
            file_bytes: 256 << 30,
            cached: true,
        }
    }
}

/// The data files of a cluster directory.
#[derive(Debug)]
pub struct Disk {
    folder_path: PathBuf,
    folder: File,
    /// Whether a file was created since the folder was last synced.
    folder_dirty: AtomicBool,
    file_bytes: u64,
    files: RwLock<BTreeMap<FileName, Arc<DataFile>>>,
    room: Arc<Room>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileName {
    block_bytes: u32,
    number: u64,
}

impl FileName {
    fn parse(name: &str) -> Option<Self> {
        let (block_bytes, number) = name.split_once('-')?;
        let parsed = Self {
            block_bytes: block_bytes.parse().ok()?,
            number: number.parse().ok()?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl core::fmt::Display for FileName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}-{}", self.block_bytes, self.number)
    }
}

impl Disk {
    /// Opens the data files in `folder`, which exists. Files of other names are ignored.
    ///
    /// # Errors
    /// When the folder cannot be read or one of the files cannot be opened.
    pub fn open(folder_path: &Path, room: Arc<Room>, options: DiskOptions) -> Result<Self, DiskError> {
        let failed = |error| disk_error("open", folder_path, &error);
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder_path).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str().and_then(FileName::parse) {
                let file = DataFile::open(&folder_path.join(name.to_string()))?;
                file.mark_dirty();
                if !options.cached {
                    file.drop_cache()?;
                }
                files.insert(name, Arc::new(file));
            }
        }
        Ok(Self {
            folder_path: folder_path.to_owned(),
            folder: File::open(folder_path).map_err(failed)?,
            folder_dirty: AtomicBool::new(true),
            file_bytes: options.file_bytes,
            files: RwLock::new(files),
            room,
        })
    }

    /// Carries out an operation, with the memory of its leases.
    ///
    /// # Errors
    /// When it was not carried out completely.
    ///
    /// # Panics
    /// When the operation leaves its block, which the server never asks for.
    pub fn execute(&self, memory: &impl Memory, op: &DiskOp) -> Result<DiskDone, DiskError> {
        let mut crc32c = None;
        match op {
            DiskOp::Read {
                place,
                off,
                into,
                checksum,
            } => {
                let mut outcome = Ok(());
                let valid = memory.with_bytes_mut(*into, &mut |bytes| {
                    outcome = self.read(*place, *off, bytes);
                    crc32c = checksum.then(|| finish(raw(Crc::Crc32c, DATA_START, bytes)));
                });
                known(valid)?;
                outcome?;
            }
            DiskOp::Write {
                place,
                off,
                from,
                expected,
            } => {
                let mut outcome = Ok(());
                let valid = memory.with_bytes(from.leases(), &mut |slices| {
                    crc32c = expected.is_some().then(|| checksum_of(slices));
                    outcome = if crc32c == *expected {
                        self.write(*place, *off, slices)
                    } else {
                        Err(DiskError::Mismatch)
                    };
                });
                known(valid)?;
                outcome?;
            }
            DiskOp::Zero { place, off, len } => self.zero(*place, *off, *len)?,
            DiskOp::Copy { from, to, len } => self.copy(*from, *to, *len)?,
            DiskOp::Discard { place } => self.discard(*place)?,
            DiskOp::Checksum { place, off, len } => crc32c = Some(self.checksum(*place, *off, *len)?),
        }
        Ok(DiskDone { crc32c })
    }

    /// Reads `into.len()` bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    ///
    /// # Panics
    /// When they do not all lie in the block.
    pub fn read(&self, place: Place, off: u32, into: &mut [u8]) -> Result<(), DiskError> {
        let at = self.locate(place, off, into.len());
        match self.existing(at.name) {
            Some(file) => file.read(at.offset, into),
            None => {
                into.fill(0);
                Ok(())
            }
        }
    }

    /// Writes all slices one after the other.
    ///
    /// # Errors
    /// When they were not written completely.
    ///
    /// # Panics
    /// When they do not all lie in the block.
    pub fn write(&self, place: Place, off: u32, from: &[IoSlice<'_>]) -> Result<(), DiskError> {
        let len = from.iter().map(|slice| slice.len()).sum();
        let at = self.locate(place, off, len);
        if len == 0 {
            return Ok(());
        }
        self.room.take_for_data(bytes_of(len))?;
        self.file(at.name)?.write(at.offset, from)
    }

    /// Makes bytes zero.
    ///
    /// # Errors
    /// When they may not all be zero.
    ///
    /// # Panics
    /// When they do not all lie in the block.
    pub fn zero(&self, place: Place, off: u32, len: u32) -> Result<(), DiskError> {
        let at = self.locate(place, off, usize_of(len));
        match self.existing(at.name) {
            Some(file) => file.zero(at.offset, u64::from(len)),
            None => Ok(()),
        }
    }

    /// Copies the first `len` bytes of a block to another one.
    ///
    /// # Errors
    /// When they were not all copied.
    ///
    /// # Panics
    /// When one of the blocks is shorter, or both are the same.
    pub fn copy(&self, from: Place, to: Place, len: u32) -> Result<(), DiskError> {
        assert!(from != to, "the server copies to a new block");
        let source = self.locate(from, 0, usize_of(len));
        let target = self.locate(to, 0, usize_of(len));
        let Some(source_file) = self.existing(source.name) else {
            return self.zero(to, 0, len);
        };
        self.room.take_for_data(u64::from(len))?;
        let target_file = self.file(target.name)?;
        source_file.copy(source.offset, &target_file, target.offset, u64::from(len))
    }

    /// Gives the room of a block back to the file system, where that can do it.
    ///
    /// # Errors
    /// When the block may not read as zeros.
    pub fn discard(&self, place: Place) -> Result<(), DiskError> {
        let at = self.locate(place, 0, usize_of(place.block_bytes));
        match self.existing(at.name) {
            Some(file) => file.discard(at.offset, u64::from(place.block_bytes)),
            None => Ok(()),
        }
    }

    /// The CRC-32C (the usual, complemented form) of bytes.
    ///
    /// # Errors
    /// When they cannot be read.
    ///
    /// # Panics
    /// When they do not all lie in the block.
    pub fn checksum(&self, place: Place, off: u32, len: u32) -> Result<u32, DiskError> {
        let at = self.locate(place, off, usize_of(len));
        match self.existing(at.name) {
            Some(file) => file.checksum(at.offset, u64::from(len)),
            None => Ok(finish(flyer_wire::checksum::zeros(
                Crc::Crc32c,
                DATA_START,
                u64::from(len),
            ))),
        }
    }

    /// Makes everything durable whose operation had returned before the call.
    ///
    /// After an error nothing is known about what was written since the last success: the system may have dropped the
    /// pages that it could not write, and it says so only once. The files stay marked as written to; who calls must not take
    /// a later success for an answer about today's writes (`crate::sync` sees to that).
    ///
    /// # Errors
    /// The first one; all files are tried.
    pub fn sync(&self) -> Result<(), DiskError> {
        let files: Vec<Arc<DataFile>> = {
            let files = self.files.read().expect("no holder of this lock panics");
            files.values().cloned().collect()
        };
        let mut outcome = Ok(());
        for file in files {
            let synced = file.sync();
            outcome = outcome.and(synced);
        }
        // A new file is found after a power loss only if its name is durable too.
        if self.folder_dirty.swap(false, Ordering::AcqRel) {
            let synced = rustix::io::retry_on_intr(|| rustix::fs::fsync(&self.folder));
            if let Err(errno) = synced {
                self.folder_dirty.store(true, Ordering::Release);
                let failed = disk_error("sync", &self.folder_path, &errno.into());
                outcome = outcome.and(Err(failed));
            }
        }
        outcome
    }

    /// Room for data.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn space(&self) -> Result<Space, DiskError> {
        self.room.space()
    }

    /// Where a byte of a block lies.
    fn locate(&self, place: Place, off: u32, len: usize) -> Located {
        let Place { block_bytes, index } = place;
        assert!(block_bytes.is_power_of_two(), "sizes of blocks are powers of two");
        assert!(
            bytes_of(len)
                .checked_add(u64::from(off))
                .is_some_and(|end| end <= u64::from(block_bytes)),
            "operations stay inside their block"
        );
        let blocks_per_file = self.file_bytes / u64::from(block_bytes);
        assert!(blocks_per_file > 0, "a block fits into a file");
        Located {
            name: FileName {
                block_bytes,
                number: index / blocks_per_file,
            },
            offset: index % blocks_per_file * u64::from(block_bytes) + u64::from(off),
        }
    }

    fn existing(&self, name: FileName) -> Option<Arc<DataFile>> {
        let files = self.files.read().expect("no holder of this lock panics");
        files.get(&name).cloned()
    }

    fn file(&self, name: FileName) -> Result<Arc<DataFile>, DiskError> {
        if let Some(file) = self.existing(name) {
            return Ok(file);
        }
        let mut files = self.files.write().expect("no holder of this lock panics");
        if let Some(file) = files.get(&name) {
            return Ok(Arc::clone(file));
        }
        if files.len() >= FILES_MAX {
            return Err(DiskError::Io(Text::from(format!(
                "{}: there are {FILES_MAX} data files already",
                self.folder_path.display()
            ))));
        }
        let file = Arc::new(DataFile::open(&self.folder_path.join(name.to_string()))?);
        self.folder_dirty.store(true, Ordering::Release);
        files.insert(name, Arc::clone(&file));
        Ok(file)
    }
}

struct Located {
    name: FileName,
    offset: u64,
}

/// The usual form of a register.
fn finish(register: u32) -> u32 {
    !register
}

fn checksum_of(slices: &[IoSlice<'_>]) -> u32 {
    finish(
        slices
            .iter()
            .fold(DATA_START, |register, slice| raw(Crc::Crc32c, register, slice)),
    )
}

/// A lease that was given back is an answer about the world: the caller is gone, and so is its memory.
fn known(valid: bool) -> Result<(), DiskError> {
    if valid {
        Ok(())
    } else {
        Err(DiskError::Io(Text::from("the memory of the operation is gone")))
    }
}

/// What an error says.
pub(crate) fn describe(error: &DiskError) -> Text {
    match error {
        DiskError::NoSpace => Text::from("the disk is full"),
        DiskError::Io(why) => why.clone(),
        DiskError::Mismatch => Text::from("the bytes do not have the checksum that was announced"),
    }
}

fn disk_error(step: &str, path: &Path, error: &io::Error) -> DiskError {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    if matches!(errno, Some(Errno::NOSPC | Errno::DQUOT)) {
        return DiskError::NoSpace;
    }
    DiskError::Io(Text::from(format!("cannot {step} {}: {error}", path.display())))
}

fn bytes_of(len: usize) -> u64 {
    u64::try_from(len).expect("a usize fits into 64 bits")
}

fn usize_of(len: u32) -> usize {
    usize::try_from(len).expect("a usize has 32 bits at least")
}

#[cfg(test)]
mod tests;
