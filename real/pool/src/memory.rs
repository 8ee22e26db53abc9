//! Address space of the system: reserved at once, used bit by bit, given back page by page.
//!
//! Owner: one class of blocks. Addresses stay reserved until the region is dropped, so a block never moves and its
//! address follows from its index.
//!
//! ```text
//!   reserved (no access) ── make_accessible ──► accessible, reads as zero until written ── write ──► in memory
//!                                                     ▲                                                 │
//!                                                     └────────────────── discard ──────────────────────┘
//! ```
//!
//! Source: `mmap(2)`, `mprotect(2)`, `madvise(2)`. Under Miri, which has no such calls, the region is one allocation.

use std::io;
use std::ptr::NonNull;

/// Smallest page of the supported systems; blocks are multiples of it.
pub(crate) const PAGE_BYTES: usize = 4 << 10;

/// A range of addresses.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: a region is only numbers; whoever makes references from its pointers has to order accesses.
unsafe impl Send for Region {}
// SAFETY: as above; its methods are system calls, which may be made by several threads at once.
unsafe impl Sync for Region {}

impl Region {
    /// Number of bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of a byte. It stays valid as long as the region.
    pub(crate) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(
            offset <= self.bytes,
            "byte {offset} of a region of {} bytes",
            self.bytes
        );
        // SAFETY: the offset lies inside the one mapping (or one past its end), which is smaller than isize::MAX.
        unsafe { self.base.add(offset) }
    }
}

#[cfg(not(miri))]
impl Region {
    /// Reserves addresses, page-aligned. No memory is used yet.
    ///
    /// # Errors
    /// The system refuses, for example because of a limit of the process.
    pub(crate) fn reserve(bytes: usize, with_huge_pages: bool) -> io::Result<Self> {
        assert!(
            bytes > 0 && bytes.is_multiple_of(PAGE_BYTES),
            "a region of {bytes} bytes"
        );
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the system's choice touches nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base =
            NonNull::new(base.cast::<u8>()).ok_or_else(|| io::Error::other("the system mapped address 0"))?;
        if !with_huge_pages {
            // One page in use must not cost the memory of 512. Systems without huge pages refuse, and need not know.
            // SAFETY: the range is the mapping just made, and the advice changes no content.
            let _: i32 = unsafe { libc::madvise(base.as_ptr().cast(), bytes, libc::MADV_NOHUGEPAGE) };
        }
        Ok(Self { base, bytes })
    }

    /// Makes bytes accessible; they read as zero.
    ///
    /// # Errors
    /// The system does not promise the memory.
    pub(crate) fn make_accessible(&self, offset: usize, bytes: usize) -> io::Result<()> {
        let start = self.range(offset, bytes);
        // SAFETY: the range lies inside the mapping; allowing more access breaks no reference.
        let result = unsafe { libc::mprotect(start, bytes, libc::PROT_READ | libc::PROT_WRITE) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Gives the memory behind bytes back to the system; they read as zero again.
    ///
    /// # Safety
    /// No reference to any of these bytes exists.
    ///
    /// # Errors
    /// The memory cannot be given back, for example because a device holds it.
    pub(crate) unsafe fn discard(&self, offset: usize, bytes: usize) -> io::Result<()> {
        let start = self.range(offset, bytes);
        // SAFETY: the range lies inside the private anonymous mapping, and by contract nobody looks at it.
        let result = unsafe { libc::madvise(start, bytes, libc::MADV_DONTNEED) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn range(&self, offset: usize, bytes: usize) -> *mut libc::c_void {
        assert!(
            offset.checked_add(bytes).is_some_and(|end| end <= self.bytes),
            "{bytes} bytes from {offset} of a region of {} bytes",
            self.bytes
        );
        self.at(offset).as_ptr().cast()
    }
}

#[cfg(not(miri))]
impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and whoever made references to it borrowed the region.
        let result = unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
        assert!(
            result == 0,
            "a whole mapping is always unmapped: {}",
            io::Error::last_os_error()
        );
    }
}

#[cfg(miri)]
impl Region {
    fn layout(bytes: usize) -> std::alloc::Layout {
        std::alloc::Layout::from_size_align(bytes, PAGE_BYTES).expect("regions are smaller than isize::MAX")
    }

    pub(crate) fn reserve(bytes: usize, _with_huge_pages: bool) -> io::Result<Self> {
        assert!(
            bytes > 0 && bytes.is_multiple_of(PAGE_BYTES),
            "a region of {bytes} bytes"
        );
        // SAFETY: the layout is not empty.
        let base = unsafe { std::alloc::alloc_zeroed(Self::layout(bytes)) };
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, bytes })
    }

    pub(crate) fn make_accessible(&self, _offset: usize, _bytes: usize) -> io::Result<()> {
        Ok(())
    }

    /// # Safety
    /// No reference to any of these bytes exists.
    pub(crate) unsafe fn discard(&self, offset: usize, bytes: usize) -> io::Result<()> {
        assert!(offset + bytes <= self.bytes, "{bytes} bytes from {offset}");
        // SAFETY: the range lies inside the allocation, and by contract nobody looks at it.
        unsafe { self.at(offset).write_bytes(0, bytes) };
        Ok(())
    }
}

#[cfg(miri)]
impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), Self::layout(self.bytes)) };
    }
}
