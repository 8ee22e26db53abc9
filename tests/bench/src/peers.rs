//! The codecs behind one interface: encode into memory that is used again, decode from a slice.
//!
//! Each peer writes the way that is fastest for it: postcard and bincode into a slice that is large enough, so that they
//! never grow a buffer; prost into a cleared `Vec`. Ours writes into a cleared `Writer`.

use bincode::config::{Configuration, Fixint, LittleEndian, NoLimit, Varint};
use core::hint::black_box;
use flyer_wire::codec::{Wire, Writer, decode};
use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};

/// bincode's own default: integers of variable length.
pub const BINCODE_VARINT: Configuration<LittleEndian, Varint, NoLimit> = bincode::config::standard();

/// bincode with integers of natural width, as bincode 1 had them: the fastest there is.
pub const BINCODE_FIXED: Configuration<LittleEndian, Fixint, NoLimit> = bincode::config::legacy();

/// Room that every sample fits into.
const ROOM_BYTES: usize = 32 << 20;

/// Half a page. A store that crosses from one page into the next takes about 25 cycles: as much as half of a small message.
const PAGE_BYTES_HALF: usize = 2 << 10;

/// Zeroed memory for one peer's encodings. Being large, it is a mapping of its own, which begins near the start of a page:
/// short encodings do not cross into another page, whatever was allocated before.
#[must_use]
pub fn room() -> Vec<u8> {
    vec![0; ROOM_BYTES]
}

/// The same for prost, which wants an empty `Vec`.
#[must_use]
pub fn room_empty() -> Vec<u8> {
    Vec::with_capacity(ROOM_BYTES)
}

/// The same for ours, which fills its memory from the end: that is in the middle of a page.
#[must_use]
pub fn room_writer() -> Writer {
    let mut w = Writer::new();
    w.put_with(ROOM_BYTES - PAGE_BYTES_HALF, |_| ());
    w.clear();
    w
}

/// Ours, into `w`.
pub fn flyer_encode<T: Wire>(value: &T, w: &mut Writer) {
    w.clear();
    black_box(value).encode(w);
    black_box(&w);
}

/// Ours.
///
/// # Panics
/// If the bytes are not a value.
pub fn flyer_decode<T: Wire>(bytes: &[u8]) {
    let value = decode::<T>(black_box(bytes)).expect("own bytes");
    black_box(&value);
}

/// How many bytes postcard writes.
///
/// # Panics
/// If the room is too small.
pub fn postcard_encode<T: Serialize>(value: &T, room: &mut [u8]) -> usize {
    let made = postcard::to_slice(black_box(value), room).expect("room for it");
    black_box(made).len()
}

/// postcard.
///
/// # Panics
/// If the bytes are not a value.
pub fn postcard_decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) {
    let value: T = postcard::from_bytes(black_box(bytes)).expect("own bytes");
    black_box(&value);
}

/// How many bytes bincode writes.
///
/// # Panics
/// If the room is too small.
pub fn bincode_encode<T: bincode::Encode>(
    value: &T,
    room: &mut [u8],
    config: impl bincode::config::Config,
) -> usize {
    let length = bincode::encode_into_slice(black_box(value), room, config).expect("room for it");
    black_box(&*room);
    length
}

/// bincode.
///
/// # Panics
/// If the bytes are not a value.
pub fn bincode_decode<T: bincode::Decode<()>>(bytes: &[u8], config: impl bincode::config::Config) {
    let value: (T, usize) = bincode::decode_from_slice(black_box(bytes), config).expect("own bytes");
    black_box(&value);
}

/// bincode, leaving data where they are.
///
/// # Panics
/// If the bytes are not a value.
pub fn bincode_borrow<'a, T: bincode::BorrowDecode<'a, ()>>(
    bytes: &'a [u8],
    config: impl bincode::config::Config,
) {
    let value: (T, usize) = bincode::borrow_decode_from_slice(black_box(bytes), config).expect("own bytes");
    black_box(&value);
}

/// How many bytes prost writes.
///
/// # Panics
/// Never: a `Vec` grows.
pub fn prost_encode<T: prost::Message>(value: &T, out: &mut Vec<u8>) -> usize {
    out.clear();
    black_box(value).encode(out).expect("a `Vec` grows");
    black_box(&*out).len()
}

/// prost, from memory that it may keep parts of.
///
/// # Panics
/// If the bytes are not a value.
pub fn prost_decode<T: prost::Message + Default>(bytes: &Bytes) {
    let value = T::decode(black_box(bytes).clone()).expect("own bytes");
    black_box(&value);
}

/// prost, from a slice: it has to copy.
///
/// # Panics
/// If the bytes are not a value.
pub fn prost_decode_slice<T: prost::Message + Default>(bytes: &[u8]) {
    let value = T::decode(black_box(bytes)).expect("own bytes");
    black_box(&value);
}
