//! Frames: how packets lie in a byte stream (`src/common/net/MessageHeader.h`, `src/common/net/Processor.cc` upstream).
//!
//! ```text
//! u32 checksum word | u32 size of the body as sent | body: a packet, or one zstd frame that holds a packet
//! ```
//!
//! [`seal`] finishes a frame that is sent, [`FrameStream`] takes a received stream apart however it was cut. A stream
//! that breaks a rule cannot be trusted any further: the connection has to go.
//!
//! ```text
//!            8 bytes                    size bytes
//! Header ───────────────▶ Body ───────────────────────▶ a frame, back to Header
//!    │ bad mark or size    │ bad checksum, bad zstd
//!    └─────────────────────┴──────────▶ FrameError (for good)
//! ```
//!
//! Limits: `FRAME_BODY_BYTES_MAX` as sent; `body_bytes_max` of the stream for bodies after decompression. Memory grows
//! with the bytes that really came, not with the size a header claims.

use crate::checksum::{self, Crc, FRAME_MARK_PLAIN, FRAME_MARK_ZSTD, FRAME_START};
use crate::codec::{Segment, Writer};
use crate::compress::{CompressError, Decompressor};
use alloc::vec::Vec;
use core::fmt;
use flyer_types::Lease;
use flyer_types::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES};

/// A frame's header, checked as far as it can be without the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    word: u32,
    size: u32,
}

/// Why a byte stream is not a sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The checksum word carries neither of the two marks: this is not the start of a frame.
    BadMark {
        /// The word.
        word: u32,
    },
    /// The body would be larger than any frame may be.
    TooLarge {
        /// Its size in bytes as the header tells it.
        size: u32,
    },
    /// The body is not what the sender sent.
    BadChecksum {
        /// The word in the header.
        claimed: u32,
        /// The word of the body that came.
        computed: u32,
    },
    /// The compressed body cannot be decompressed.
    BadBody(CompressError),
    /// The stream broke a rule before; nothing behind that can be trusted.
    Broken,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMark { word } => {
                write!(
                    f,
                    "not a frame: its first word is {word:#010x}; is the peer a 3FS server?"
                )
            }
            Self::TooLarge { size } => {
                write!(
                    f,
                    "a frame of {size} bytes; the largest is {FRAME_BODY_BYTES_MAX}"
                )
            }
            Self::BadChecksum { claimed, computed } => {
                write!(
                    f,
                    "frame checksum {computed:#010x} instead of {claimed:#010x}: bytes changed on the way"
                )
            }
            Self::BadBody(error) => write!(f, "compressed frame: {error}"),
            Self::Broken => f.write_str("the stream was broken before"),
        }
    }
}

impl core::error::Error for FrameError {}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// When the mark or the size is impossible.
    pub fn parse(bytes: [u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let [w0, w1, w2, w3, s0, s1, s2, s3] = bytes;
        let word = u32::from_le_bytes([w0, w1, w2, w3]);
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        if w0 != FRAME_MARK_PLAIN && w0 != FRAME_MARK_ZSTD {
            return Err(FrameError::BadMark { word });
        }
        if usize::try_from(size).map_or(true, |size| size > FRAME_BODY_BYTES_MAX) {
            return Err(FrameError::TooLarge { size });
        }
        Ok(Self { word, size })
    }

    /// Bytes of the body as sent.
    #[must_use]
    pub fn body_bytes(self) -> usize {
        usize::try_from(self.size).expect("below FRAME_BODY_BYTES_MAX")
    }

    /// Whether the body is a zstd frame.
    #[must_use]
    pub fn is_compressed(self) -> bool {
        self.word.to_le_bytes()[0] == FRAME_MARK_ZSTD
    }

    /// Compares with the CRC-32C register of the body as sent, started at [`FRAME_START`].
    ///
    /// # Errors
    /// When they differ.
    pub fn verify(self, register: u32) -> Result<(), FrameError> {
        let computed = checksum::frame_word(register, self.is_compressed());
        if computed == self.word {
            return Ok(());
        }
        Err(FrameError::BadChecksum {
            claimed: self.word,
            computed,
        })
    }
}

/// The header of a body whose CRC-32C register (started at [`FRAME_START`]) is known; `None` if the body is too large
/// for a frame.
#[must_use]
pub fn header(body_bytes: usize, register: u32, compressed: bool) -> Option<[u8; FRAME_HEADER_BYTES]> {
    if body_bytes > FRAME_BODY_BYTES_MAX {
        return None;
    }
    let [s0, s1, s2, s3] = u32::try_from(body_bytes).ok()?.to_le_bytes();
    let [w0, w1, w2, w3] = checksum::frame_word(register, compressed).to_le_bytes();
    Some([w0, w1, w2, w3, s0, s1, s2, s3])
}

/// A body that is larger than any frame may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyTooLarge {
    /// Its size in bytes.
    pub bytes: usize,
}

/// Puts the header in front of the plain body in `w`.
///
/// `lent_register` gives the CRC-32C register of a lent part, started at [`FRAME_START`]; the host computes it where the
/// bytes are.
///
/// # Errors
/// When the body is too large. `w` is unchanged then.
pub fn seal(w: &mut Writer, lent_register: &mut dyn FnMut(Lease) -> u32) -> Result<(), BodyTooLarge> {
    let mut register = FRAME_START;
    for segment in w.segments() {
        register = match segment {
            Segment::Bytes(bytes) => checksum::raw(Crc::Crc32c, register, bytes),
            Segment::Lease(lease) => checksum::concat(
                Crc::Crc32c,
                register,
                lent_register(lease),
                u64::from(lease.len),
                FRAME_START,
            ),
        };
    }
    let Some(header) = header(w.len(), register, false) else {
        return Err(BodyTooLarge { bytes: w.len() });
    };
    w.put(header);
    Ok(())
}

/// Takes a received byte stream apart into frames.
pub struct FrameStream {
    state: State,
    /// Of a body after decompression.
    body_bytes_max: usize,
    decompressor: Decompressor,
    /// What came of the body, as sent.
    sent: Vec<u8>,
    /// The body after decompression.
    plain: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    /// So many bytes of the header are there.
    Header([u8; FRAME_HEADER_BYTES], usize),
    /// Collecting the body; `sent` tells how far, and the register is that of what is there.
    Body(FrameHeader, u32),
    Broken,
}

impl FrameStream {
    /// A stream at its beginning. Bodies may have `body_bytes_max` bytes after decompression.
    #[must_use]
    pub fn new(body_bytes_max: usize) -> Self {
        Self {
            state: State::Header([0; FRAME_HEADER_BYTES], 0),
            body_bytes_max,
            decompressor: Decompressor::new(),
            sent: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` until a frame is complete, and gives its body, plain. `None` when the
    /// input is used up. Call again with what is left of the input.
    ///
    /// # Errors
    /// When the stream breaks a rule. It stays broken.
    pub fn next_body(&mut self, input: &mut &[u8]) -> Result<Option<&[u8]>, FrameError> {
        match self.advance(input) {
            Ok(None) => Ok(None),
            Ok(Some(true)) => Ok(Some(&self.plain)),
            Ok(Some(false)) => Ok(Some(&self.sent)),
            Err(error) => {
                self.state = State::Broken;
                Err(error)
            }
        }
    }

    /// Some when a body is complete: in `plain` if true, in `sent` if false.
    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<bool>, FrameError> {
        loop {
            match &mut self.state {
                State::Broken => return Err(FrameError::Broken),
                State::Header(bytes, filled) => {
                    let wanted = FRAME_HEADER_BYTES - *filled;
                    let part = take(input, wanted);
                    bytes[*filled..*filled + part.len()].copy_from_slice(part);
                    *filled += part.len();
                    if part.len() < wanted {
                        return Ok(None);
                    }
                    self.state = State::Body(FrameHeader::parse(*bytes)?, FRAME_START);
                    self.sent.clear();
                }
                State::Body(header, register) => {
                    let wanted = header.body_bytes() - self.sent.len();
                    let part = take(input, wanted);
                    *register = checksum::raw(Crc::Crc32c, *register, part);
                    self.sent.extend_from_slice(part);
                    if part.len() < wanted {
                        return Ok(None);
                    }
                    let (header, register) = (*header, *register);
                    self.state = State::Header([0; FRAME_HEADER_BYTES], 0);
                    return self.complete(header, register).map(Some);
                }
            }
        }
    }

    fn complete(&mut self, header: FrameHeader, register: u32) -> Result<bool, FrameError> {
        header.verify(register)?;
        if !header.is_compressed() {
            return Ok(false);
        }
        self.plain.clear();
        self.decompressor
            .decompress_into(&self.sent, self.body_bytes_max, &mut self.plain)
            .map_err(FrameError::BadBody)?;
        Ok(true)
    }
}

/// Takes at most `count` bytes from the front of `input`.
fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (part, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut w = Writer::new();
        w.put_slice(body);
        seal(&mut w, &mut |_| 0).expect("small");
        w.as_bytes().expect("nothing lent").to_vec()
    }

    #[test]
    fn a_header_tells_marks_and_sizes_apart() {
        assert_eq!(
            FrameHeader::parse([0x88, 0, 0, 0, 0, 0, 0, 0]),
            Err(FrameError::BadMark { word: 0x88 })
        );
        let sized = |size: u32| {
            let [a, b, c, d] = size.to_le_bytes();
            FrameHeader::parse([0x86, 0, 0, 0, a, b, c, d])
        };
        assert_eq!(sized(512 << 20), Err(FrameError::TooLarge { size: 512 << 20 }));
        assert_eq!(
            sized((512 << 20) - 1).map(FrameHeader::body_bytes),
            Ok((512 << 20) - 1)
        );
    }

    #[test]
    fn a_flipped_bit_breaks_the_stream_for_good() {
        let good = frame(b"hello");
        let mut bad = good.clone();
        bad[10] ^= 1;
        let mut stream = FrameStream::new(100);
        assert!(matches!(
            stream.next_body(&mut &bad[..]),
            Err(FrameError::BadChecksum { .. })
        ));
        assert_eq!(stream.next_body(&mut &good[..]), Err(FrameError::Broken));
    }

    #[test]
    fn a_claimed_size_allocates_nothing() {
        let [a, b, c, d] = u32::try_from(FRAME_BODY_BYTES_MAX).expect("fits").to_le_bytes();
        let mut stream = FrameStream::new(100);
        let mut input: &[u8] = &[0x86, 0, 0, 0, a, b, c, d, 1, 2, 3];
        assert_eq!(stream.next_body(&mut input), Ok(None));
        assert!(stream.sent.capacity() < 100);
    }

    #[test]
    fn lent_parts_are_part_of_the_checksum() {
        let payload = vec![7u8; 1000];
        let mut w = Writer::new();
        w.put([1, 2, 3]);
        w.put_lease(Lease {
            len: 1000,
            ..Lease::EMPTY
        });
        w.put([4, 5]);
        seal(&mut w, &mut |_| checksum::raw(Crc::Crc32c, FRAME_START, &payload)).expect("small");
        let mut sent = Vec::new();
        for segment in w.segments() {
            match segment {
                Segment::Bytes(bytes) => sent.extend_from_slice(bytes),
                Segment::Lease(_) => sent.extend_from_slice(&payload),
            }
        }
        let mut stream = FrameStream::new(10_000);
        let mut input = &sent[..];
        let body = stream
            .next_body(&mut input)
            .expect("a valid frame")
            .expect("all of it")
            .to_vec();
        assert_eq!(body, sent[FRAME_HEADER_BYTES..]);
        assert!(input.is_empty());
    }
}
