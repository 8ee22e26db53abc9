//! One sparse data file: whole reads and writes at an offset, zeros, copies, and what is left to sync.
//!
//! Owner: [`super::Disk`]. Each call of the system that does less than it was asked to, or is interrupted by a signal, goes
//! on where it stopped. Behind its end a file reads as zeros.
//!
//! ```text
//! clean ──write, zero, discard, copy to it (done or failed)──► dirty ──fdatasync begins──► clean
//!                                                                ▲──── it fails ─────────────┘
//! ```
//!
//! A file is marked after the system took the bytes and before the caller hears of it. So a sync that begins after the
//! caller heard finds the mark; and a sync that takes the mark away runs after the bytes were taken.

use super::{STEP_BYTES, bytes_of, disk_error, finish};
use flyer_cluster::storage::DiskError;
use flyer_wire::checksum::{Crc, DATA_START, raw};
use rustix::fs::FallocateFlags;
use rustix::io::{Errno, retry_on_intr};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Most slices that one call of the system takes.
const SLICES_MAX: usize = 1024;

/// From this length on, zeros are made by a hole; below, a hole costs more than the write and breaks the file into pieces.
const HOLE_BYTES_MIN: u64 = 64 << 10;

const ZEROS: &[u8] = &[0; STEP_BYTES];

#[derive(Debug)]
pub(super) struct DataFile {
    file: File,
    path: PathBuf,
    dirty: AtomicBool,
    /// False once the file system said that it cannot make holes.
    holes: AtomicBool,
    /// False once the system said that it cannot copy between these files.
    copies: AtomicBool,
}

impl DataFile {
    /// Opens the file, creating it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, DiskError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| disk_error("open", path, &error))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            dirty: AtomicBool::new(false),
            holes: AtomicBool::new(true),
            copies: AtomicBool::new(true),
        })
    }

    /// From now on reads show what is on the medium, and what the page cache has yet to write.
    pub(super) fn drop_cache(&self) -> Result<(), DiskError> {
        let dropped = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        dropped.map_err(|errno| disk_error("read", &self.path, &errno.into()))
    }

    pub(super) fn mark_dirty(&self) {
        self.dirty.store(true, Ordering::Release);
    }

    /// Fills `into`, with zeros behind the end of the file.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let mut filled = 0;
        while filled < into.len() {
            match self.file.read_at(&mut into[filled..], offset + bytes_of(filled)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(disk_error("read", &self.path, &error)),
            }
        }
        into[filled..].fill(0);
        Ok(())
    }

    pub(super) fn write(&self, offset: u64, from: &[IoSlice<'_>]) -> Result<(), DiskError> {
        let written = match from {
            [one] => self.file.write_all_at(one, offset),
            several => self.write_vectored(offset, several),
        };
        // What failed may have written a part.
        self.mark_dirty();
        written.map_err(|error| disk_error("write", &self.path, &error))
    }

    fn write_vectored(&self, mut offset: u64, from: &[IoSlice<'_>]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = from.iter().copied().filter(|slice| !slice.is_empty()).collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            let batch = &left[..left.len().min(SLICES_MAX)];
            let count = retry_on_intr(|| rustix::io::pwritev(&self.file, batch, offset))?;
            if count == 0 {
                return Err(io::Error::from(ErrorKind::WriteZero));
            }
            IoSlice::advance_slices(&mut left, count);
            offset += bytes_of(count);
        }
        Ok(())
    }

    /// Makes bytes zero.
    pub(super) fn zero(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if len >= HOLE_BYTES_MIN {
            self.discard(offset, len)
        } else {
            self.write_zeros(offset, len)
        }
    }

    /// Makes bytes zero and gives their room back if the file system can.
    pub(super) fn discard(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        if len > 0 && self.holes.load(Ordering::Relaxed) {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let punched = retry_on_intr(|| rustix::fs::fallocate(&self.file, hole, offset, len));
            self.mark_dirty();
            match punched {
                Ok(()) => return Ok(()),
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.holes.store(false, Ordering::Relaxed),
                Err(errno) => return Err(disk_error("discard a part of", &self.path, &errno.into())),
            }
        }
        self.write_zeros(offset, len)
    }

    /// Writes zeros as far as the file goes: behind its end there are some.
    fn write_zeros(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        let failed = |error: &io::Error| disk_error("clear a part of", &self.path, error);
        let file_len = self.file.metadata().map_err(|error| failed(&error))?.len();
        let end = file_len.min(offset.saturating_add(len));
        let mut at = offset;
        while at < end {
            let step = usize::try_from(end - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            let written = self.file.write_all_at(&ZEROS[..step], at);
            self.mark_dirty();
            written.map_err(|error| failed(&error))?;
            at += bytes_of(step);
        }
        Ok(())
    }

    /// Copies `len` bytes to another file, or to another range of this one.
    pub(super) fn copy(
        &self,
        offset: u64,
        target: &Self,
        target_offset: u64,
        len: u64,
    ) -> Result<(), DiskError> {
        let mut done = 0;
        while done < len && self.copies.load(Ordering::Relaxed) {
            match self.copy_some(offset + done, target, target_offset + done, len - done) {
                Ok(0) => break,
                Ok(count) => done += count,
                // Each file system has its own way to say that it cannot; the other way will find out what really fails.
                Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                    self.copies.store(false, Ordering::Relaxed);
                }
                Err(errno) => return Err(disk_error("copy to", &target.path, &errno.into())),
            }
        }
        // Behind the end of this file, or where the system does not copy.
        let mut step = vec![0; if done < len { STEP_BYTES } else { 0 }];
        while done < len {
            let count = usize::try_from(len - done).map_or(step.len(), |left| left.min(step.len()));
            self.read(offset + done, &mut step[..count])?;
            target.write(target_offset + done, &[IoSlice::new(&step[..count])])?;
            done += bytes_of(count);
        }
        Ok(())
    }

    fn copy_some(&self, offset: u64, target: &Self, target_offset: u64, len: u64) -> Result<u64, Errno> {
        let (mut from, mut to) = (offset, target_offset);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let copied = retry_on_intr(|| {
            rustix::fs::copy_file_range(&self.file, Some(&mut from), &target.file, Some(&mut to), len)
        });
        target.mark_dirty();
        copied.map(bytes_of)
    }

    /// CRC-32C (the usual form) of bytes.
    pub(super) fn checksum(&self, offset: u64, len: u64) -> Result<u32, DiskError> {
        let mut step = vec![0; usize::try_from(len).map_or(STEP_BYTES, |len| len.min(STEP_BYTES))];
        let mut register = DATA_START;
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).map_or(step.len(), |left| left.min(step.len()));
            self.read(offset + done, &mut step[..count])?;
            register = raw(Crc::Crc32c, register, &step[..count]);
            done += bytes_of(count);
        }
        Ok(finish(register))
    }

    /// Makes durable what was written. After a failure the file stays marked.
    pub(super) fn sync(&self) -> Result<(), DiskError> {
        if !self.dirty.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        retry_on_intr(|| rustix::fs::fdatasync(&self.file)).map_err(|errno| {
            self.mark_dirty();
            disk_error("sync", &self.path, &errno.into())
        })
    }

    /// Whether there is something to sync.
    #[cfg(test)]
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Whether the file system has not refused to make holes yet.
    #[cfg(test)]
    pub(super) fn makes_holes(&self) -> bool {
        self.holes.load(Ordering::Relaxed)
    }

    /// As if the system had said that it can neither make holes nor copy.
    #[cfg(test)]
    pub(super) fn do_without_help(&self) {
        self.holes.store(false, Ordering::Relaxed);
        self.copies.store(false, Ordering::Relaxed);
    }
}
