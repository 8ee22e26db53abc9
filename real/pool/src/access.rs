//! Reading and writing the bytes of a lease.
//!
//! Owner: whoever holds the lease. The bytes are reached through guards, or copied. A guard registers the range
//! (`borrows`) and takes it back when dropped; a guard that is forgotten keeps its block out of use, nothing worse.
//!
//! ```text
//!   lease ── read / write: in use, inside, no overlap ──► guard ── drop ──► over; the last one of a freed block puts it back
//! ```
//!
//! Limits: `borrows::BORROWS_MAX`; beyond it an access is refused as busy.

use crate::borrows::Borrow;
use crate::pool::Pool;
use flyer_types::Lease;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// Why the bytes cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// The lease is not in use: freed, or never handed out.
    Stale,
    /// The range is not inside the memory of the lease.
    OutOfBounds,
    /// The range overlaps one that is being written, or is to be written and being read: two parties use it at once.
    Busy,
    /// The ranges of a copy differ in length.
    LengthMismatch,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stale => "the lease is not in use",
            Self::OutOfBounds => "the range is not inside the memory of the lease",
            Self::Busy => "another access to the same bytes is under way",
            Self::LengthMismatch => "the ranges of a copy differ in length",
        })
    }
}

impl std::error::Error for AccessError {}

impl Pool {
    /// The bytes of a lease, to be read until the guard is dropped: to answer the kernel, to write to a disk.
    ///
    /// # Errors
    /// Why not. An empty range can always be read.
    pub fn read(&self, lease: Lease) -> Result<ReadGuard<'_>, AccessError> {
        Ok(ReadGuard(self.access(lease, false)?))
    }

    /// The bytes of a lease, to be written until the guard is dropped: to read from a disk or a socket.
    ///
    /// # Errors
    /// Why not. An empty range can always be written.
    pub fn write(&self, lease: Lease) -> Result<WriteGuard<'_>, AccessError> {
        Ok(WriteGuard(self.access(lease, true)?))
    }

    /// Runs `f` on the bytes of a lease.
    ///
    /// # Errors
    /// As [`Pool::read`].
    pub fn with_read<R>(&self, lease: Lease, f: impl FnOnce(&[u8]) -> R) -> Result<R, AccessError> {
        Ok(f(&self.read(lease)?))
    }

    /// Runs `f` on the bytes of a lease, which it may change.
    ///
    /// # Errors
    /// As [`Pool::write`].
    pub fn with_write<R>(&self, lease: Lease, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, AccessError> {
        Ok(f(&mut self.write(lease)?))
    }

    /// Copies `bytes` into a lease of the same length.
    ///
    /// # Errors
    /// Why not; nothing was copied then.
    pub fn copy_in(&self, lease: Lease, bytes: &[u8]) -> Result<(), AccessError> {
        let mut to = self.write(lease)?;
        if to.len() != bytes.len() {
            return Err(AccessError::LengthMismatch);
        }
        to.copy_from_slice(bytes);
        Ok(())
    }

    /// Copies the bytes of a lease into a slice of the same length.
    ///
    /// # Errors
    /// Why not; nothing was copied then.
    pub fn copy_out(&self, lease: Lease, bytes: &mut [u8]) -> Result<(), AccessError> {
        let from = self.read(lease)?;
        if from.len() != bytes.len() {
            return Err(AccessError::LengthMismatch);
        }
        bytes.copy_from_slice(&from);
        Ok(())
    }

    /// Copies bytes between two leases of the same length that do not overlap.
    ///
    /// # Errors
    /// Why not; nothing was copied then.
    pub fn copy_between(&self, from: Lease, to: Lease) -> Result<(), AccessError> {
        self.copy_in(to, &self.read(from)?)
    }

    /// Fills a lease with zeros.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub fn zero(&self, lease: Lease) -> Result<(), AccessError> {
        self.write(lease)?.fill(0);
        Ok(())
    }

    /// Registers an access.
    fn access(&self, lease: Lease, is_write: bool) -> Result<Access<'_>, AccessError> {
        if lease.is_empty() {
            return Ok(Access {
                pool: self,
                lease,
                start: NonNull::dangling(),
                is_write,
            });
        }
        let (class, block) = self.locate(lease.id).ok_or(AccessError::Stale)?;
        let borrow = borrow(lease, is_write)?;
        let mut borrows = self.borrows.lock(lease.id.slot);
        if class.generation_in_use(block) != Some(lease.id.generation) {
            self.counters.stale_accesses.fetch_add(1, Ordering::Relaxed);
            return Err(AccessError::Stale);
        }
        if size(borrow.end) > class.block_bytes {
            return Err(AccessError::OutOfBounds);
        }
        if !borrows.enter(borrow) {
            self.counters.busy_accesses.fetch_add(1, Ordering::Relaxed);
            return Err(AccessError::Busy);
        }
        drop(borrows);
        // SAFETY: the range lies inside the block, as was checked, and so inside the mapping.
        let start = unsafe { class.address(block).add(size(borrow.start)) };
        Ok(Access {
            pool: self,
            lease,
            start,
            is_write,
        })
    }
}

/// A registered range of a block in use.
///
/// While it exists: the block is accessible memory (it was taken at least once, and the pool, which it borrows, keeps
/// the mapping); it is not given out again or given back to the system (both take it from the stack of idle blocks,
/// and it is put there only when no access is registered); and no other access overlaps it unless both only read.
struct Access<'a> {
    pool: &'a Pool,
    lease: Lease,
    start: NonNull<u8>,
    is_write: bool,
}

// SAFETY: the bytes belong to nobody's thread; which accesses exist at the same time is checked when they are made.
unsafe impl Send for Access<'_> {}
// SAFETY: as above; a shared guard only gives shared slices.
unsafe impl Sync for Access<'_> {}

impl Access<'_> {
    fn slice(&self) -> &[u8] {
        // SAFETY: the registered range is valid memory, initialised by the system, and nobody writes to it while it
        // is registered, except through `slice_mut`, which needs this access exclusively. An empty slice may dangle.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), size(self.lease.len)) }
    }

    fn slice_mut(&mut self) -> &mut [u8] {
        assert!(self.is_write, "only a guard for writing writes");
        // SAFETY: as above, and the range is registered for writing, so there is no other access to it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), size(self.lease.len)) }
    }
}

impl Drop for Access<'_> {
    fn drop(&mut self) {
        if self.lease.is_empty() {
            return;
        }
        let Lease { id, .. } = self.lease;
        let (class, block) = self
            .pool
            .locate(id)
            .expect("the block was found when the access began");
        let mut borrows = self.pool.borrows.lock(id.slot);
        borrows
            .leave(borrow(self.lease, self.is_write).expect("the range was checked when the access began"));
        // Without accesses, a block whose generation has moved on was freed meanwhile and left for us to put back.
        // Nobody can have taken it since.
        let is_last_of_freed =
            class.generation_in_use(block) != Some(id.generation) && !borrows.is_borrowed(id.slot);
        drop(borrows);
        if is_last_of_freed {
            self.pool.put_back(class, block);
        }
    }
}

/// The range of a lease, for the table of accesses.
fn borrow(lease: Lease, is_write: bool) -> Result<Borrow, AccessError> {
    Ok(Borrow {
        slot: lease.id.slot,
        start: lease.off,
        end: lease.off.checked_add(lease.len).ok_or(AccessError::OutOfBounds)?,
        is_write,
    })
}

fn size(bytes: u32) -> usize {
    usize::try_from(bytes).expect("addresses have at least 32 bits")
}

/// Bytes that nobody writes meanwhile.
pub struct ReadGuard<'a>(Access<'a>);

/// Bytes that nobody else reads or writes meanwhile.
pub struct WriteGuard<'a>(Access<'a>);

impl Deref for ReadGuard<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.slice()
    }
}

impl Deref for WriteGuard<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.slice()
    }
}

impl DerefMut for WriteGuard<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0.slice_mut()
    }
}

impl fmt::Debug for ReadGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadGuard({:?})", self.0.lease)
    }
}

impl fmt::Debug for WriteGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WriteGuard({:?})", self.0.lease)
    }
}
