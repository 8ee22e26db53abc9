//! The writing side: a buffer that is filled from its end towards its front.

use alloc::vec::Vec;
use flyer_types::Lease;

/// First allocation of a writer in bytes; most messages fit.
const WRITER_BYTES_INITIAL: usize = 512;

/// Builds one encoding back to front. Inline data is not copied: the writer remembers where the host has to send
/// the lease's bytes, and counts them into the lengths around it.
#[derive(Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    /// Index of the first byte in use; `buf[head..]` is the encoding without the lent parts.
    head: usize,
    /// Lent parts in the order they were written, i.e. last one first.
    lent: Vec<Lent>,
    /// Length of `buf` and of the lent parts: that of the encoding if `head` were 0.
    bound: usize,
}

/// A part of the encoding that lives in host memory.
#[derive(Clone, Copy, Debug)]
struct Lent {
    /// How many bytes of `buf` come after it.
    behind: usize,
    lease: Lease,
}

/// One contiguous part of an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Bytes made by the writer.
    Bytes(&'a [u8]),
    /// Bytes in host memory.
    Lease(Lease),
}

/// A finished encoding, taken out of its writer.
#[derive(Debug, Default)]
pub struct Encoded(Writer);

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Empties the writer and keeps its memory.
    #[inline]
    pub fn clear(&mut self) {
        self.head = self.buf.len();
        self.lent.clear();
        self.bound = self.buf.len();
    }

    /// Bytes of the encoding so far, lent parts included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.bound - self.head
    }

    /// Whether nothing has been written.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts bytes in front.
    #[inline]
    pub fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_with(N, |slot| slot.copy_from_slice(&bytes));
    }

    /// Puts `count` bytes in front, which `fill` writes.
    #[inline]
    pub fn put_with(&mut self, count: usize, fill: impl FnOnce(&mut [u8])) {
        // As a loop, because all of this is compiled into every encoder: `fill` once, and nothing is tested again that
        // holds anyway when there was room.
        loop {
            if let Some(at) = self.head.checked_sub(count)
                && let Some(slot) = self.buf.get_mut(at..self.head)
            {
                fill(slot);
                // Last: bytes written after it could be those of `head` for all the compiler knows, and it would load
                // `head` again for what comes next.
                self.head = at;
                return;
            }
            self.grow(count);
        }
    }

    /// Puts bytes in front.
    #[inline]
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.put_with(bytes.len(), |slot| slot.copy_from_slice(bytes));
    }

    /// Puts a length and the bytes in front.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        if bytes.len() < 0x80 {
            self.put_with(1 + bytes.len(), |slot| {
                if let [first, content @ ..] = slot {
                    *first = bytes.len().to_le_bytes()[0];
                    content.copy_from_slice(bytes);
                }
            });
        } else {
            self.put_bytes_long(bytes);
        }
    }

    #[cold]
    #[inline]
    fn put_bytes_long(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
        self.put_varint_long(bytes.len() as u64);
    }

    /// Puts a varint in its shortest form in front.
    #[inline]
    pub fn put_varint(&mut self, value: u64) {
        if value < 0x80 {
            self.put([value.to_le_bytes()[0]]);
        } else {
            self.put_varint_long(value);
        }
    }

    #[cold]
    #[inline]
    fn put_varint_long(&mut self, mut value: u64) {
        let mut bytes = [0u8; 10];
        let mut length = 0;
        loop {
            let group = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            bytes[length] = group | if value == 0 { 0 } else { 0x80 };
            length += 1;
            if value == 0 {
                break;
            }
        }
        self.put_slice(&bytes[..length]);
    }

    /// Closes a table whose content was written since [`Writer::len`] was `end`.
    #[inline]
    pub fn close_table(&mut self, end: usize) {
        debug_assert!(
            end <= self.len(),
            "a table cannot end before the writer's current front"
        );
        self.put_varint((self.len() - end) as u64);
    }

    /// Puts `count` bytes in front, which `fill` writes, and closes the table that they begin. Nearly all tables are short
    /// enough for a length of one byte; it goes along with the rest.
    #[inline]
    pub fn close_table_with(&mut self, end: usize, count: usize, fill: impl FnOnce(&mut [u8])) {
        let length = self.len() - end + count;
        if length < 0x80 {
            self.put_with(1 + count, |slot| {
                if let [first, content @ ..] = slot {
                    *first = length.to_le_bytes()[0];
                    fill(content);
                }
            });
        } else {
            self.close_long_table_with(length, count, fill);
        }
    }

    #[cold]
    #[inline]
    fn close_long_table_with(&mut self, length: usize, count: usize, fill: impl FnOnce(&mut [u8])) {
        self.put_with(count, fill);
        self.put_varint_long(length as u64);
    }

    /// Puts inline data in front: its length, and a mark that the host sends `lease` here.
    pub fn put_lease(&mut self, lease: Lease) {
        if !lease.is_empty() {
            self.lent.push(Lent {
                behind: self.buf.len() - self.head,
                lease,
            });
            self.bound += lease.len as usize;
        }
        self.put_varint(u64::from(lease.len));
    }

    /// The encoding, if all of it was made by the writer.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.lent.is_empty().then(|| &self.buf[self.head..])
    }

    /// The encoding from front to back.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let made = &self.buf[self.head..];
        let mut at = 0;
        let parts = self.lent.iter().rev().flat_map(move |lent| {
            let bytes = &made[at..made.len() - lent.behind];
            at = made.len() - lent.behind;
            [Segment::Bytes(bytes), Segment::Lease(lent.lease)]
        });
        let last = self.lent.first().map_or(made.len(), |lent| lent.behind);
        parts
            .chain([Segment::Bytes(&made[made.len() - last..])])
            .filter(|part| *part != Segment::Bytes(&[]))
    }

    /// Takes the encoding out, leaving an empty writer without memory.
    #[must_use]
    pub fn finish(&mut self) -> Encoded {
        Encoded(core::mem::take(self))
    }

    #[cold]
    #[inline]
    fn grow(&mut self, needed: usize) {
        let used = self.buf.len() - self.head;
        let capacity = (used + needed).max(self.buf.len() * 2).max(WRITER_BYTES_INITIAL);
        let mut buf = alloc::vec![0; capacity];
        buf[capacity - used..].copy_from_slice(&self.buf[self.head..]);
        self.head = capacity - used;
        self.bound += capacity - self.buf.len();
        self.buf = buf;
    }
}

impl Encoded {
    /// Bytes of the encoding, lent parts included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the encoding has no bytes.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoding from front to back.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.0.segments()
    }

    /// The encoding, if it has no lent parts.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use flyer_types::LeaseId;

    fn lease(slot: u32, len: u32) -> Lease {
        Lease {
            id: LeaseId::new(slot, 0),
            off: 0,
            len,
        }
    }

    #[test]
    fn lent_parts_are_counted_and_keep_their_places() {
        let mut w = Writer::new();
        w.put([9]);
        w.put_lease(lease(2, 300));
        w.put_lease(Lease::EMPTY);
        w.put_lease(lease(1, 5));
        w.put([1, 2]);
        assert_eq!(w.len(), 1 + 300 + 2 + 1 + 5 + 1 + 2);
        assert_eq!(w.as_bytes(), None);
        let parts: Vec<_> = w.segments().collect();
        assert_eq!(
            parts,
            vec![
                Segment::Bytes(&[1, 2, 5]),
                Segment::Lease(lease(1, 5)),
                Segment::Bytes(&[0, 0xac, 0x02]),
                Segment::Lease(lease(2, 300)),
                Segment::Bytes(&[9]),
            ]
        );
    }

    #[test]
    fn tables_close_with_their_first_bytes() {
        for (content, length) in [(127, &[127][..]), (128, &[0x80, 1][..])] {
            let mut w = Writer::new();
            w.put([7]);
            let end = w.len();
            w.put_slice(&vec![0; content - 3]);
            w.close_table_with(end, 3, |slot| slot.copy_from_slice(&[1, 2, 3]));
            let expected = [length, &[1, 2, 3], &vec![0; content - 3], &[7]].concat();
            assert_eq!(w.as_bytes(), Some(&expected[..]));
        }
    }

    #[test]
    fn growing_keeps_what_was_written() {
        let mut w = Writer::new();
        for n in 0..2_000u16 {
            w.put(n.to_le_bytes());
        }
        let bytes = w.as_bytes().expect("nothing lent");
        assert_eq!(bytes.len(), 4_000);
        for (at, pair) in bytes.chunks(2).enumerate() {
            assert_eq!(usize::from(u16::from_le_bytes([pair[0], pair[1]])), 1_999 - at);
        }
        w.clear();
        assert!(w.is_empty());
        assert_eq!(w.segments().count(), 0);
    }
}
