//! Bytes that wait to be written, as ranges of leases that do not overlap.
//!
//! Owner: the write buffer of an inode.
//!
//! A large write is adopted: its memory becomes the buffer's. A small one is copied: over bytes that wait already, if it lies within
//! them, or else into spare room of memory that was adopted before, wherever in the file it belongs. Of overlapping writes the later
//! wins, by cutting the earlier. Memory is freed with the whole, never in parts.
//!
//! Limit: the owner stops at [`EXTENTS_MAX`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::{Lease, LeaseId, Segments};

/// Ranges of one buffer; a writer that needs one more waits for a flush.
pub(crate) const EXTENTS_MAX: usize = 4096;

/// Longest write that is copied; beyond it memory is worth more than the copy.
pub(crate) const COPY_BYTES_MAX: u32 = 32 << 10;

/// Where the bytes of a write have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a copy has to be made"]
pub(crate) enum Placed {
    /// The memory belongs to the buffer now, and takes so much of it.
    Adopted(u64),
    /// They have to be copied there; their memory is free afterwards.
    Copied(Lease),
}

#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// By offset in the file.
    ranges: BTreeMap<u64, Lease>,
    /// All memory adopted.
    memory: Vec<LeaseId>,
    /// Bytes of the ranges.
    bytes: u64,
    /// Bytes of the memory.
    held: u64,
    /// Room in that memory which no range uses.
    spare: Option<Lease>,
}

impl Extents {
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory that are held for it.
    pub(crate) const fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn into_memory(self) -> Vec<LeaseId> {
        self.memory
    }

    /// Where the last range ends.
    pub(crate) fn end(&self) -> u64 {
        (self.ranges.last_key_value()).map_or(0, |(offset, lease)| offset + u64::from(lease.len))
    }

    /// Whether a byte of `offset .. end` waits.
    pub(crate) fn overlaps(&self, offset: u64, end: u64) -> bool {
        (self.ranges.range(..end).next_back())
            .is_some_and(|(start, lease)| start + u64::from(lease.len) > offset)
    }

    /// Bytes of memory that a write would add.
    pub(crate) fn cost(&self, offset: u64, data: Lease, room: u32) -> u64 {
        if self.place_of_copy(offset, data.len).is_some() {
            0
        } else {
            u64::from(room.max(data.len))
        }
    }

    /// Takes the bytes `data` for `offset`. Their memory has `room` bytes from the beginning of the lease.
    pub(crate) fn put(&mut self, offset: u64, data: Lease, room: u32) -> Placed {
        assert!(data.len > 0, "nothing to write");
        if data.len <= COPY_BYTES_MAX
            && let Some(to) = self.inside(offset, data.len)
        {
            return Placed::Copied(to);
        }
        let place = self.place_of_copy(offset, data.len);
        self.cut(offset, offset + u64::from(data.len));
        if let Some(to) = place {
            let spare = self.spare.take().expect("the place is part of it");
            self.spare = Some(Lease {
                off: spare.off + data.len,
                len: spare.len - data.len,
                ..spare
            });
            self.insert(offset, to);
            return Placed::Copied(to);
        }
        let room = room.max(data.len);
        let rest = Lease {
            id: data.id,
            off: data.off + data.len,
            len: room - data.len,
        };
        if self.spare.is_none_or(|spare| spare.len < rest.len) {
            self.spare = Some(rest);
        }
        self.memory.push(data.id);
        self.held += u64::from(room);
        self.insert(offset, data);
        Placed::Adopted(u64::from(room))
    }

    /// Ranges that follow each other in the file, together.
    pub(crate) fn runs(&self) -> Vec<(u64, Segments)> {
        let mut runs: Vec<(u64, u64, Segments)> = Vec::new();
        for (offset, lease) in &self.ranges {
            let end = offset + u64::from(lease.len);
            match runs.last_mut() {
                Some((_, reached, segments)) if *reached == *offset => {
                    segments.push(*lease);
                    *reached = end;
                }
                Some(_) | None => runs.push((*offset, end, Segments::from(*lease))),
            }
        }
        (runs.into_iter())
            .map(|(offset, _, segments)| (offset, segments))
            .collect()
    }

    /// The memory of bytes that wait already and that a write of `len` bytes only changes.
    fn inside(&self, offset: u64, len: u32) -> Option<Lease> {
        let (start, lease) = self.ranges.range(..=offset).next_back()?;
        let skip = u32::try_from(offset - start).ok()?;
        lease.slice(skip, len)
    }

    fn place_of_copy(&self, offset: u64, len: u32) -> Option<Lease> {
        if len > COPY_BYTES_MAX {
            return None;
        }
        (self.inside(offset, len)).or_else(|| self.spare?.slice(0, len))
    }

    /// Adds a range that overlaps no other, to the one before if it goes on there in the file and in memory.
    fn insert(&mut self, offset: u64, lease: Lease) {
        self.bytes += u64::from(lease.len);
        if let Some((start, before)) = self.ranges.range_mut(..offset).next_back()
            && start + u64::from(before.len) == offset
            && before.id == lease.id
            && before.off + before.len == lease.off
        {
            before.len += lease.len;
            return;
        }
        self.ranges.insert(offset, lease);
    }

    /// Drops what waits for `offset .. end`.
    fn cut(&mut self, offset: u64, end: u64) {
        let start = match self.ranges.range(..=offset).next_back() {
            Some((start, lease)) if start + u64::from(lease.len) > offset => *start,
            Some(_) | None => offset,
        };
        let hit: Vec<_> = (self.ranges.range(start..end)).map(|(k, v)| (*k, *v)).collect();
        for (start, lease) in hit {
            self.ranges.remove(&start);
            self.bytes -= u64::from(lease.len);
            let keep = |from: u64, to: u64| {
                let skip = u32::try_from(from - start).expect("within a lease");
                let len = u32::try_from(to - from).expect("within a lease");
                lease.slice(skip, len).expect("within a lease")
            };
            let reached = start + u64::from(lease.len);
            if start < offset {
                self.ranges.insert(start, keep(start, offset));
                self.bytes += offset - start;
            }
            if reached > end {
                self.ranges.insert(end, keep(end, reached));
                self.bytes += reached - end;
            }
        }
    }

    pub(crate) fn check(&self) {
        let mut reached = 0;
        let mut bytes = 0;
        for (offset, lease) in &self.ranges {
            assert!(*offset >= reached, "ranges overlap at {offset}");
            assert!(lease.len > 0, "an empty range");
            assert!(self.memory.contains(&lease.id), "memory that is not ours");
            reached = offset + u64::from(lease.len);
            bytes += u64::from(lease.len);
        }
        assert!(bytes == self.bytes, "{bytes} bytes, counted {}", self.bytes);
        assert!(self.ranges.len() <= EXTENTS_MAX + 2, "too many ranges");
        assert!(
            self.ranges.is_empty() == self.memory.is_empty(),
            "memory without ranges"
        );
    }
}
