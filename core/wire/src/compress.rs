//! Compressed frame bodies: one zstd frame per body (`src/common/net/WriteItem.cc` upstream).
//!
//! Bodies to decompress come from a peer that may be broken or hostile, so nothing is taken on trust:
//!
//! * A body is exactly one frame of the current zstd format, with nothing behind it. Skippable frames, formats of
//!   zstd before 1.0 and dictionaries are refused; 3FS uses none of them.
//! * The length a frame claims only ends things early. Memory grows with the bytes that came out: the output's
//!   capacity is at most twice its length plus [`OUTPUT_STEP_BYTES`].
//! * A frame also names a window, the memory that decoding it takes. Upstream compresses a body with one call of
//!   `ZSTD_compress` at a level of the operator's choice; levels up to 19 use windows of at most 8 MiB, levels 20 to
//!   22 up to 128 MiB. Both must be readable, yet nine hostile bytes must not cost 128 MiB. So the window may have
//!   64 bytes per byte received, but always 8 MiB and never more than 128 MiB. What that refuses of upstream's
//!   output: bodies of more than 8 MiB, compressed at level 20 or above, to less than 1/64. (Upstream's default
//!   is level 1, for responses only.)
//!
//! A [`Compressor`] or [`Decompressor`] belongs to a connection and keeps its tables from frame to frame, unless
//! they grew beyond [`TABLE_BYTES_KEPT_MAX`]; neither allocates before its first frame.

use alloc::vec::Vec;
use core::fmt;

use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{CCtx, DCtx, DParameter, ErrorCode, InBuffer, OutBuffer, ResetDirective};

/// Memory for tables and windows that is kept between frames, in bytes. Enough for upstream's default level.
pub const TABLE_BYTES_KEPT_MAX: usize = 2 << 20;

/// What the output grows by at first, in bytes: the longest block of a frame.
pub const OUTPUT_STEP_BYTES: usize = 128 << 10;

/// Bytes of window that a frame may ask for with each byte of its own length.
const WINDOW_BYTES_PER_BYTE: usize = 64;
/// Log of the window that any frame may ask for, in bytes.
const WINDOW_LOG_ALWAYS: u32 = 23;
/// Log of the largest window of upstream's highest level, in bytes.
const WINDOW_LOG_MAX: u32 = 27;

/// First bytes of a frame of the current format.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a body could not be compressed or decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressError {
    /// The body does not start with a frame of the current zstd format.
    NotAFrame,
    /// The frame needs a dictionary.
    Dictionary {
        /// The dictionary's number.
        id: u32,
    },
    /// The body ends before the frame does.
    Truncated,
    /// The frame ends before the body does.
    TrailingBytes {
        /// How many bytes are left over.
        count: usize,
    },
    /// The frame holds, or says that it holds, more than the caller takes.
    TooLong {
        /// The limit that was given, in bytes.
        bytes_max: usize,
    },
    /// Decoding the frame would take more memory than a frame of its length may use.
    WindowTooLarge {
        /// The limit for a frame of this length, in bytes.
        bytes_max: u64,
    },
    /// The frame contradicts itself, or its own checksum.
    Corrupt {
        /// What zstd says about it.
        reason: &'static str,
    },
    /// Compressing failed.
    Failed {
        /// What zstd says about it.
        reason: &'static str,
    },
    /// There is no memory for the output or for zstd's tables.
    OutOfMemory,
}

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAFrame => f.write_str("not a zstd frame"),
            Self::Dictionary { id } => write!(f, "the zstd frame needs dictionary {id}"),
            Self::Truncated => f.write_str("the zstd frame is cut short"),
            Self::TrailingBytes { count } => write!(f, "{count} bytes follow the zstd frame"),
            Self::TooLong { bytes_max } => write!(f, "the zstd frame holds more than {bytes_max} bytes"),
            Self::WindowTooLarge { bytes_max } => {
                write!(f, "the zstd frame needs a window of more than {bytes_max} bytes")
            }
            Self::Corrupt { reason } => write!(f, "the zstd frame is corrupt: {reason}"),
            Self::Failed { reason } => write!(f, "zstd could not compress: {reason}"),
            Self::OutOfMemory => f.write_str("no memory to compress or decompress"),
        }
    }
}

impl core::error::Error for CompressError {}

/// Compresses bodies, keeping zstd's tables between them.
#[derive(Default)]
pub struct Compressor {
    context: Option<CCtx<'static>>,
}

impl Compressor {
    /// A compressor that has not allocated anything yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { context: None }
    }

    /// `body` as one frame that records its length. `level` is zstd's: 1 to 22, lower is faster; below 1 faster
    /// still; what lies outside of zstd's range counts as the nearest in it. (To 3FS level 0 means "do not
    /// compress", which is the caller's business; to zstd it is level 3.)
    ///
    /// # Errors
    ///
    /// [`CompressError::OutOfMemory`], or [`CompressError::Failed`], which has no known cause.
    pub fn compress(&mut self, level: i32, body: &[u8]) -> Result<Vec<u8>, CompressError> {
        let mut context = match self.context.take() {
            Some(context) => context,
            None => CCtx::try_create().ok_or(CompressError::OutOfMemory)?,
        };
        let mut frame = Vec::new();
        let bound = zstd_safe::compress_bound(body.len());
        frame
            .try_reserve_exact(bound)
            .map_err(|_| CompressError::OutOfMemory)?;
        context.compress(&mut frame, body, level).map_err(|code| {
            if is(code, ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
                return CompressError::OutOfMemory;
            }
            CompressError::Failed {
                reason: zstd_safe::get_error_name(code),
            }
        })?;
        // The bound is a little more than the body; what is kept should be what was made.
        frame.shrink_to_fit();
        if context.sizeof() <= TABLE_BYTES_KEPT_MAX {
            self.context = Some(context);
        }
        Ok(frame)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

/// Decompresses bodies, keeping zstd's tables between them.
#[derive(Default)]
pub struct Decompressor {
    context: Option<DCtx<'static>>,
}

impl Decompressor {
    /// A decompressor that has not allocated anything yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { context: None }
    }

    /// The content of `frame`, at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// Any [`CompressError`] but [`CompressError::Failed`]. The decompressor can be used again after each.
    pub fn decompress(&mut self, frame: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressError> {
        let mut out = Vec::new();
        self.decompress_into(frame, bytes_max, &mut out)?;
        Ok(out)
    }

    /// As [`Self::decompress`], into memory that the caller may keep for the next frame. What `out` held is
    /// dropped, its capacity is used; after an error it holds what came out until then.
    ///
    /// # Errors
    ///
    /// As [`Self::decompress`].
    pub fn decompress_into(
        &mut self,
        frame: &[u8],
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        out.clear();
        let claimed = inspect(frame, bytes_max)?;
        let mut context = match self.context.take() {
            Some(context) => context,
            None => DCtx::try_create().ok_or(CompressError::OutOfMemory)?,
        };
        let done = decode(&mut context, frame, bytes_max, claimed, out);
        if context.sizeof() <= TABLE_BYTES_KEPT_MAX {
            self.context = Some(context);
        }
        debug_assert!(done.is_err() || out.len() <= bytes_max);
        done
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").finish_non_exhaustive()
    }
}

/// [`Compressor::compress`] with tables of its own.
///
/// # Errors
///
/// As [`Compressor::compress`].
pub fn compress(level: i32, body: &[u8]) -> Result<Vec<u8>, CompressError> {
    Compressor::new().compress(level, body)
}

/// [`Decompressor::decompress`] with tables of its own.
///
/// # Errors
///
/// As [`Decompressor::decompress`].
pub fn decompress(frame: &[u8], bytes_max: usize) -> Result<Vec<u8>, CompressError> {
    Decompressor::new().decompress(frame, bytes_max)
}

/// Refuses what the first bytes give away; the length the frame claims to hold, if it does and if that fits an
/// address space.
fn inspect(frame: &[u8], bytes_max: usize) -> Result<Option<usize>, CompressError> {
    if frame.len() < MAGIC.len() && MAGIC.starts_with(frame) {
        return Err(CompressError::Truncated);
    }
    if !frame.starts_with(&MAGIC) {
        return Err(CompressError::NotAFrame);
    }
    if let Some(id) = zstd_safe::get_dict_id_from_frame(frame) {
        return Err(CompressError::Dictionary { id: id.get() });
    }
    // A header that zstd cannot read is reported with its reason when it is decoded.
    let Ok(Some(claimed)) = zstd_safe::get_frame_content_size(frame) else {
        return Ok(None);
    };
    match usize::try_from(claimed) {
        Ok(claimed) if claimed <= bytes_max => Ok(Some(claimed)),
        Ok(_) | Err(_) => Err(CompressError::TooLong { bytes_max }),
    }
}

fn decode(
    context: &mut DCtx<'static>,
    frame: &[u8],
    bytes_max: usize,
    claimed: Option<usize>,
    out: &mut Vec<u8>,
) -> Result<(), CompressError> {
    let window_log = window_log_max(frame.len());
    let refuse = |code| error_of(code, window_log);
    context
        .reset(ResetDirective::SessionAndParameters)
        .map_err(refuse)?;
    context
        .set_parameter(DParameter::WindowLogMax(window_log))
        .map_err(refuse)?;
    let limit = claimed.unwrap_or(bytes_max);
    let mut input = InBuffer::around(frame);
    loop {
        if out.len() == out.capacity() {
            grow(out, limit)?;
        }
        let produced = out.len();
        let mut output = OutBuffer::around_pos(out, produced);
        let hint = context
            .decompress_stream(&mut output, &mut input)
            .map_err(refuse)?;
        if out.len() > limit {
            return Err(match claimed {
                Some(_) => CompressError::Corrupt {
                    reason: "more content than announced",
                },
                None => CompressError::TooLong { bytes_max },
            });
        }
        if hint == 0 {
            break;
        }
        // All input was taken and room is left over: zstd waits for bytes that do not come.
        if input.pos() == frame.len() && out.len() < out.capacity() {
            return Err(CompressError::Truncated);
        }
    }
    // Decoding in pieces, zstd forgets to compare when the last block is an empty one.
    if out.len() < claimed.unwrap_or(0) {
        return Err(CompressError::Corrupt {
            reason: "less content than announced",
        });
    }
    match frame.len() - input.pos() {
        0 => Ok(()),
        count => Err(CompressError::TrailingBytes { count }),
    }
}

/// Makes room behind a full `out`: as much again as came out so far, at least a step, but not more than one byte
/// past `limit`, by which "too much" is noticed.
fn grow(out: &mut Vec<u8>, limit: usize) -> Result<(), CompressError> {
    let produced = out.len();
    debug_assert!(produced <= limit);
    let left = (limit - produced).saturating_add(1);
    let room = produced.max(OUTPUT_STEP_BYTES).min(left);
    out.try_reserve_exact(room)
        .map_err(|_| CompressError::OutOfMemory)
}

/// Log of the largest window for a frame of this many bytes.
fn window_log_max(frame_len: usize) -> u32 {
    let bytes = frame_len.saturating_mul(WINDOW_BYTES_PER_BYTE);
    let log = usize::BITS - bytes.saturating_sub(1).leading_zeros();
    log.clamp(WINDOW_LOG_ALWAYS, WINDOW_LOG_MAX)
}

fn error_of(code: ErrorCode, window_log: u32) -> CompressError {
    if is(code, ZSTD_ErrorCode::ZSTD_error_memory_allocation) {
        return CompressError::OutOfMemory;
    }
    if is(code, ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        return CompressError::WindowTooLarge {
            bytes_max: 1 << window_log,
        };
    }
    CompressError::Corrupt {
        reason: zstd_safe::get_error_name(code),
    }
}

fn is(code: ErrorCode, kind: ZSTD_ErrorCode) -> bool {
    zstd_safe::is_error_kind(code, kind)
}

#[cfg(test)]
mod tests;
