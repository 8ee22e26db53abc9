//! The reading side: a cursor over untrusted bytes.

use core::fmt;
use core::mem::size_of;
use flyer_types::limits::{DECODE_MEMORY_BYTES_FLOOR, DECODE_MEMORY_FACTOR_MAX};
use flyer_types::{Lease, StatusCode};

/// Why bytes are not a value of the wanted type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What was wrong.
    pub kind: DecodeErrorKind,
    /// How many bytes of the innermost table were left when it was noticed.
    pub bytes_left: usize,
}

/// The ways in which bytes can fail to be a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeErrorKind {
    /// A value, length or count reaches beyond the bytes that hold it.
    Short,
    /// A variant names an alternative this side does not know.
    UnknownVariant,
    /// A part whose size is fixed by the protocol has another one; the text names the part.
    BadPart(&'static str),
    /// The value would take more memory than its bytes justify.
    TooLarge,
}

impl DecodeError {
    /// The status a peer would answer with (`src/common/serde/Serde.h` upstream).
    #[must_use]
    pub fn status_code(self) -> StatusCode {
        match self.kind {
            DecodeErrorKind::Short => StatusCode::SERDE_INSUFFICIENT_LENGTH,
            DecodeErrorKind::UnknownVariant => StatusCode::SERDE_VARIANT_INDEX_EXCEEDED,
            DecodeErrorKind::BadPart(_) | DecodeErrorKind::TooLarge => StatusCode::DATA_CORRUPTION,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DecodeErrorKind::Short => f.write_str("a length or value reaches beyond the bytes present")?,
            DecodeErrorKind::UnknownVariant => f.write_str("unknown alternative of a variant")?,
            DecodeErrorKind::BadPart(part) => write!(f, "{part} has an impossible size")?,
            DecodeErrorKind::TooLarge => {
                f.write_str("the value would take far more memory than its bytes")?;
            }
        }
        write!(f, " ({} bytes left in its table)", self.bytes_left)
    }
}

impl core::error::Error for DecodeError {}

/// A cursor over the bytes of one value.
///
/// Memory: all containers and strings of one decode together may claim at most
/// `max(DECODE_MEMORY_BYTES_FLOOR, DECODE_MEMORY_FACTOR_MAX * bytes present)`, and a container never claims more
/// elements than the bytes behind its count could hold.
#[derive(Debug)]
pub struct Reader<'a> {
    /// What is left of the innermost table.
    left: &'a [u8],
    /// Address of the first byte of the value, to tell offsets of inline data.
    start: usize,
    /// The host's name of the memory that is being read.
    memory: Lease,
    /// Bytes of memory that may still be claimed.
    budget: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`, which the host knows as `memory`.
    #[must_use]
    pub fn new(bytes: &'a [u8], memory: Lease) -> Self {
        let budget = bytes.len().saturating_mul(DECODE_MEMORY_FACTOR_MAX);
        Self {
            left: bytes,
            start: bytes.as_ptr().addr(),
            memory,
            budget: budget.max(DECODE_MEMORY_BYTES_FLOOR),
        }
    }

    /// A cursor at the start of `part` of `whole`; `memory` is the host's name of the whole.
    #[must_use]
    pub fn of_part(part: &'a [u8], whole: &[u8], memory: Lease) -> Self {
        Self {
            start: whole.as_ptr().addr(),
            ..Self::new(part, memory)
        }
    }

    /// Whether the innermost table has no bytes left.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// Bytes left in the innermost table.
    #[must_use]
    #[inline]
    pub fn bytes_left(&self) -> usize {
        self.left.len()
    }

    /// An error at this place.
    #[cold]
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError {
            kind,
            bytes_left: self.left.len(),
        }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let Some((bytes, rest)) = self.left.split_first_chunk::<N>() else {
            return Err(self.error(DecodeErrorKind::Short));
        };
        self.left = rest;
        Ok(*bytes)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// When fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((bytes, rest)) = self.left.split_at_checked(count) else {
            return Err(self.error(DecodeErrorKind::Short));
        };
        self.left = rest;
        Ok(bytes)
    }

    /// Reads the next `count` bytes with `read`, which says whether it could; if not, or if fewer are left, nothing has
    /// been taken.
    #[inline]
    pub fn take_if(&mut self, count: usize, read: impl FnOnce(&[u8]) -> bool) -> bool {
        let Some((bytes, rest)) = self.left.split_at_checked(count) else {
            return false;
        };
        let done = read(bytes);
        if done {
            self.left = rest;
        }
        done
    }

    /// A varint of up to ten bytes. Bits beyond the 64th are dropped, as upstream does.
    ///
    /// # Errors
    /// When the input ends inside it or the tenth byte asks for more.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match *self.left {
            [first, ref rest @ ..] if first < 0x80 => {
                self.left = rest;
                Ok(u64::from(first))
            }
            _ => self.varint_long(10),
        }
    }

    /// A varint of up to five bytes; bits beyond the 32nd are dropped.
    ///
    /// # Errors
    /// When the input ends inside it or the fifth byte asks for more.
    pub fn varint32(&mut self) -> Result<u32, DecodeError> {
        let value = self.varint_long(5)?;
        Ok(u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits"))
    }

    fn varint_long(&mut self, bytes_max: u32) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for at in 0..bytes_max {
            let [byte] = self.array::<1>()?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::Short))
    }

    /// A length, and as many bytes.
    ///
    /// # Errors
    /// When fewer are left than the length says.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.varint()?;
        let Ok(length) = usize::try_from(length) else {
            return Err(self.error(DecodeErrorKind::Short));
        };
        self.take(length)
    }

    /// Enters a table: reads its length, and makes its content all that is left. Hand what is returned to
    /// [`Reader::leave`].
    ///
    /// # Errors
    /// When the table reaches beyond what holds it.
    #[inline]
    pub fn enter(&mut self) -> Result<&'a [u8], DecodeError> {
        let content = self.bytes()?;
        Ok(core::mem::replace(&mut self.left, content))
    }

    /// Leaves a table, skipping what a newer peer appended to it.
    #[inline]
    pub fn leave(&mut self, rest: &'a [u8]) {
        self.left = rest;
    }

    /// A count of elements of type `T`, each of at least `element_bytes_min` bytes. The memory for them is claimed.
    ///
    /// # Errors
    /// When the bytes left cannot hold that many, or the budget is used up.
    #[inline]
    pub fn count<T>(&mut self, element_bytes_min: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if count > self.left.len() / element_bytes_min.max(1) {
            return Err(self.error(DecodeErrorKind::Short));
        }
        self.claim(count.saturating_mul(size_of::<T>()))?;
        Ok(count)
    }

    /// Claims `bytes` of memory for the value.
    ///
    /// # Errors
    /// When the budget does not allow it.
    #[inline]
    pub fn claim(&mut self, bytes: usize) -> Result<(), DecodeError> {
        let Some(budget) = self.budget.checked_sub(bytes) else {
            return Err(self.error(DecodeErrorKind::TooLarge));
        };
        self.budget = budget;
        Ok(())
    }

    /// Inline data: a length, and that part of the memory being read. No data are [`Lease::EMPTY`].
    ///
    /// # Errors
    /// When the data reach beyond the innermost table, or the host's lease does not cover them.
    pub fn lease(&mut self) -> Result<Lease, DecodeError> {
        let bytes = self.bytes()?;
        if bytes.is_empty() {
            return Ok(Lease::EMPTY);
        }
        let offset = bytes.as_ptr().addr().wrapping_sub(self.start);
        let part = u32::try_from(offset)
            .ok()
            .zip(u32::try_from(bytes.len()).ok())
            .and_then(|(offset, length)| self.memory.slice(offset, length));
        part.ok_or_else(|| self.error(DecodeErrorKind::Short))
    }
}
