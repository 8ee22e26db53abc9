//! The 3FS binary format: the [`Wire`] trait, its reader and writer, and the codecs of basic types.
//!
//! Source: `src/common/serde/Serde.h`, `src/common/utils/DownwardBytes.h`, `src/common/utils/Varint32.h` upstream.
//!
//! ```text
//! table    varint length | field | field | ...       one table per class of an inheritance chain, base first
//! integer  little endian, natural width              string    varint length | bytes
//! optional 00 | 01 value                             container varint count | elements
//! variant  string type name | value                  result    01 value | 00 status
//! ```
//!
//! The writer fills its buffer from the back, so a length is known when it is written in front of its content. The
//! reader never recurses deeper than the message types nest (none of them is recursive), never trusts a length and
//! never allocates more than a budget derived from the bytes present; see [`Reader`].

mod basic;
mod container;
mod reader;
pub mod run;
mod writer;

pub use basic::{SignedDuration, Size, Void};
pub use container::{Map, Set};
pub use reader::{DecodeError, DecodeErrorKind, Reader};
pub use writer::{Encoded, Segment, Writer};

use alloc::vec::Vec;
use flyer_types::{Lease, LeaseId};

/// A type with a 3FS binary form. Message types get it from `#[derive(Wire)]`.
pub trait Wire: Sized {
    /// The fewest bytes any encoding of this type has. Bounds how many elements a count can honestly claim.
    const BYTES_MIN: usize;

    /// The size that all encodings made by this side have; `None` if sizes differ. Fields of fixed size that follow
    /// each other are written and read in one go, see [`crate::codec::run`].
    const FIXED: Option<usize> = None;

    /// The value a field has when its table ends before it: upstream's default-constructed value.
    fn initial() -> Self;

    /// Puts the encoding in front of what `w` already holds.
    fn encode(&self, w: &mut Writer);

    /// Reads the value from the front of `r`. Parts that the input does not hold keep what `self` has: that is how
    /// fields added by newer peers get their defaults when an older peer writes.
    ///
    /// # Errors
    /// When the input ends inside the value or cannot be a value of this type. `self` is then partly overwritten.
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError>;

    /// Fills `slot`, which has the fixed size, with what [`Wire::encode`] would put.
    #[inline]
    fn encode_fixed(&self, slot: &mut [u8]) {
        debug_assert!(
            Self::FIXED.is_none(),
            "a type of fixed size says how it is written"
        );
        let _ = slot;
    }

    /// Reads the value from `bytes`, which have the fixed size. False if they are not what this side would write: then
    /// some of the value may have been read, and [`Wire::decode_from`] has to read all of it.
    #[inline]
    fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
        debug_assert!(Self::FIXED.is_none(), "a type of fixed size says how it is read");
        let _ = bytes;
        false
    }
}

/// A message: a class of upstream with fields. Implemented by `#[derive(Wire)]` on structs.
pub trait Message: Wire {
    /// Upstream's class name, with its namespace.
    const CLASS: &'static str;
}

/// Decodes a value from `bytes`; what follows the value is ignored, as peers do. Inline data becomes a lease of
/// [`LeaseId::THIS_BUFFER`] whose offset counts from the start of `bytes`.
///
/// # Errors
/// See [`Wire::decode_from`].
pub fn decode<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let whole = Lease {
        id: LeaseId::THIS_BUFFER,
        off: 0,
        len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
    };
    decode_in(bytes, whole)
}

/// Decodes a value from `bytes`, which the host knows as `memory`: inline data becomes a part of that lease.
///
/// # Errors
/// See [`Wire::decode_from`].
pub fn decode_in<T: Wire>(bytes: &[u8], memory: Lease) -> Result<T, DecodeError> {
    let mut value = T::initial();
    value.decode_from(&mut Reader::new(bytes, memory))?;
    Ok(value)
}

/// Encodes a value that lends no inline data into fresh memory.
///
/// # Panics
/// If the value holds a non-empty [`Lease`]: its bytes are the host's, use [`Writer`] and send the segments.
#[must_use]
pub fn encode_to_vec<T: Wire>(value: &T) -> Vec<u8> {
    let mut w = Writer::new();
    value.encode(&mut w);
    w.as_bytes()
        .expect("the value lends inline data; only the host can gather it")
        .to_vec()
}
