//! Checksums of frames and of data, as raw CRC registers.
//!
//! 3FS puts a CRC *register* on the wire: reflected polynomial, a start value of its own choice and no final
//! inversion. (The standard CRC-32C of the same bytes starts at all ones and is inverted at the end.) Everything
//! here takes and gives registers, so that the two uses differ only in where they start:
//!
//! | use | polynomial | start | source |
//! |---|---|---|---|
//! | frame header | CRC-32C | [`FRAME_START`] | `src/common/net/MessageHeader.h` |
//! | data (`ChecksumInfo`) | CRC-32C, seldom CRC-32 | [`DATA_START`] | `src/fbs/storage/Common.h` |
//!
//! A register over pieces that lie in different memory need not be computed front to back: [`concat()`] joins the
//! registers of two neighbours, whatever start each of them had.
//!
//! Limits: lengths are `u64`; nothing allocates. With the feature `hardware-crc` the processor's own instructions are
//! used where it has them, ten and more times as fast as the tables that serve without it (32 KiB of them).

/// Where the register of a frame checksum starts.
pub const FRAME_START: u32 = 0;

/// Where the register of a data checksum starts.
pub const DATA_START: u32 = u32::MAX;

/// Lowest byte of a frame's checksum word when the body was sent as it is.
pub const FRAME_MARK_PLAIN: u8 = 0x86;

/// Lowest byte of a frame's checksum word when the body is one zstd frame.
pub const FRAME_MARK_ZSTD: u8 = 0x87;

/// The two polynomials 3FS knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crc {
    /// Castagnoli, reflected `0x82f63b78`: all frames, and data unless asked otherwise.
    Crc32c,
    /// ISO-HDLC ("the" CRC-32 of zip and Ethernet), reflected `0xedb88320`.
    Crc32,
}

impl Crc {
    /// The polynomial without its leading term, bit 31 being `x^0`.
    const fn polynomial(self) -> u32 {
        match self {
            Self::Crc32c => CRC32C_POLYNOMIAL,
            Self::Crc32 => CRC32_POLYNOMIAL,
        }
    }

    const fn zero_steps(self) -> &'static [u32; 64] {
        match self {
            Self::Crc32c => &CRC32C_ZERO_STEPS,
            Self::Crc32 => &CRC32_ZERO_STEPS,
        }
    }
}

/// The register after `bytes`, having been `register` before them. No inversion at either end, so feeding pieces
/// one after the other equals feeding them at once.
#[must_use]
pub fn raw(crc: Crc, register: u32, bytes: &[u8]) -> u32 {
    #[cfg(feature = "hardware-crc")]
    return hardware::raw(crc, register, bytes);
    #[cfg(not(feature = "hardware-crc"))]
    return tables::raw(crc, register, bytes);
}

/// The register after `count` zero bytes, having been `register` before them, in `O(log count)`.
#[must_use]
pub const fn zeros(crc: Crc, register: u32, count: u64) -> u32 {
    let steps = crc.zero_steps();
    let mut register = register;
    let mut left = count;
    let mut power = 0;
    // Zero stays zero: joining onto a piece that began where the second one did costs nothing.
    while left != 0 && register != 0 {
        if left & 1 == 1 {
            register = multiply(crc.polynomial(), register, steps[power]);
        }
        left >>= 1;
        power += 1;
    }
    register
}

/// The register after bytes `A` then `B`.
///
/// `first` is the register after `A`, from any start; the result has that same start. `second` is the register
/// after the `second_len` bytes of `B` when it was `second_start` before them. Linearity does the rest: the
/// difference between the register `B` should have started from and the one it did start from, carried over
/// `second_len` zero bytes, is the correction.
#[must_use]
pub const fn concat(crc: Crc, first: u32, second: u32, second_len: u64, second_start: u32) -> u32 {
    zeros(crc, first ^ second_start, second_len) ^ second
}

/// The checksum word of a frame header: the upper 24 bits of the body's CRC-32C register (start
/// [`FRAME_START`], over the body as sent) and a mark that tells whether the body is compressed.
#[must_use]
pub const fn frame_word(crc32c_register: u32, compressed: bool) -> u32 {
    let mark = if compressed {
        FRAME_MARK_ZSTD
    } else {
        FRAME_MARK_PLAIN
    };
    let [_, b1, b2, b3] = crc32c_register.to_le_bytes();
    u32::from_le_bytes([mark, b1, b2, b3])
}

const CRC32C_POLYNOMIAL: u32 = 0x82f6_3b78;
const CRC32_POLYNOMIAL: u32 = 0xedb8_8320;

/// Entry `k` carries a register over `2^k` zero bytes when multiplied with it.
static CRC32C_ZERO_STEPS: [u32; 64] = zero_steps(CRC32C_POLYNOMIAL);
static CRC32_ZERO_STEPS: [u32; 64] = zero_steps(CRC32_POLYNOMIAL);

/// `x^(8 * 2^k)` modulo the polynomial, for each `k`.
const fn zero_steps(polynomial: u32) -> [u32; 64] {
    let mut steps = [0; 64];
    // Bit 31 is x^0, so this is x^8: one zero byte.
    steps[0] = 1 << 23;
    let mut power = 1;
    while power < steps.len() {
        steps[power] = multiply(polynomial, steps[power - 1], steps[power - 1]);
        power += 1;
    }
    steps
}

/// The product of two polynomials over GF(2) modulo `polynomial`; bit 31 is `x^0` in all of them.
const fn multiply(polynomial: u32, left: u32, right: u32) -> u32 {
    let mut product = 0;
    let mut bits = left;
    let mut shifted = right;
    while bits != 0 {
        // Masks instead of branches: the bits are as good as random.
        product ^= shifted & 0u32.wrapping_sub(bits >> 31);
        shifted = (shifted >> 1) ^ (polynomial & 0u32.wrapping_sub(shifted & 1));
        bits <<= 1;
    }
    product
}

/// [`raw`] by what the processor has for it.
#[cfg(feature = "hardware-crc")]
mod hardware {
    use super::Crc;
    use crc_fast::{CrcAlgorithm, Digest};

    pub(super) fn raw(crc: Crc, register: u32, bytes: &[u8]) -> u32 {
        match crc {
            Crc::Crc32c => by(CrcAlgorithm::Crc32Iscsi, register, bytes),
            Crc::Crc32 => by(CrcAlgorithm::Crc32IsoHdlc, register, bytes),
        }
    }

    /// Inlined for the constant: with an algorithm chosen at run time a short piece takes three times as long.
    #[inline(always)]
    fn by(algorithm: CrcAlgorithm, register: u32, bytes: &[u8]) -> u32 {
        if register == u32::MAX {
            // The one-shot call starts here anyway, and saves the copy of keys that a `Digest` makes: about
            // 6 ns, half the price of a short piece. It inverts at the end; undo that.
            return !low_half(crc_fast::checksum(algorithm, bytes));
        }
        // The state of a digest is the register as it is.
        let mut digest = Digest::new_with_init_state(algorithm, u64::from(register));
        digest.update(bytes);
        low_half(digest.get_state())
    }

    /// The low 32 bits, where the crate keeps registers of 32 bits.
    fn low_half(state: u64) -> u32 {
        debug_assert!(state >> 32 == 0, "a 32-bit register in the low half");
        let [b0, b1, b2, b3, ..] = state.to_le_bytes();
        u32::from_le_bytes([b0, b1, b2, b3])
    }
}

/// [`raw`] by tables, anywhere.
#[cfg(any(test, not(feature = "hardware-crc")))]
mod tables {
    use super::Crc;
    use crc::{Algorithm, CRC_32_ISCSI, CRC_32_ISO_HDLC, Table};

    static CRC32C: crc::Crc<u32, Table<16>> = crc::Crc::<u32, Table<16>>::new(&CRC32C_REGISTER);
    static CRC32: crc::Crc<u32, Table<16>> = crc::Crc::<u32, Table<16>>::new(&CRC32_REGISTER);

    const CRC32C_REGISTER: Algorithm<u32> = Algorithm {
        xorout: 0,
        ..CRC_32_ISCSI
    };
    const CRC32_REGISTER: Algorithm<u32> = Algorithm {
        xorout: 0,
        ..CRC_32_ISO_HDLC
    };

    pub(super) fn raw(crc: Crc, register: u32, bytes: &[u8]) -> u32 {
        let table = match crc {
            Crc::Crc32c => &CRC32C,
            Crc::Crc32 => &CRC32,
        };
        // The crate takes start values the way the CRC catalogue writes them, not reflected.
        let mut digest = table.digest_with_initial(register.reverse_bits());
        digest.update(bytes);
        digest.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const BOTH: [Crc; 2] = [Crc::Crc32c, Crc::Crc32];

    /// The definition, one bit at a time.
    fn reference(crc: Crc, register: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(register, |register, byte| {
            (0..8).fold(register ^ u32::from(*byte), |register, _| {
                (register >> 1) ^ if register & 1 == 1 { crc.polynomial() } else { 0 }
            })
        })
    }

    fn sample(len: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn known_values() {
        let text = b"123456789";
        assert_eq!(raw(Crc::Crc32c, FRAME_START, text), 0x58e3_fa20);
        assert_eq!(raw(Crc::Crc32c, DATA_START, text), !0xe306_9283);
        assert_eq!(raw(Crc::Crc32, DATA_START, text), !0xcbf4_3926);
        assert_eq!(frame_word(0x58e3_fa20, false), 0x58e3_fa86);
        assert_eq!(frame_word(0x58e3_fa20, true), 0x58e3_fa87);
    }

    /// Every length up to where the longest stride of the vector code has been passed twice, at every alignment
    /// that matters, from every kind of start.
    #[test]
    fn equals_the_definition_at_every_length() {
        let bytes = sample(1_200);
        for crc in BOTH {
            for len in 0..1_100 {
                let off = len % 17;
                let piece = &bytes[off..off + len];
                for start in [FRAME_START, DATA_START, 0x1234_5678] {
                    let expected = reference(crc, start, piece);
                    assert_eq!(raw(crc, start, piece), expected, "{crc:?} {start:#x} {len}");
                    assert_eq!(
                        tables::raw(crc, start, piece),
                        expected,
                        "{crc:?} {start:#x} {len}"
                    );
                }
            }
        }
    }

    #[test]
    fn pieces_join_from_any_start_in_any_order() {
        let bytes = sample(700);
        for crc in BOTH {
            for start in [FRAME_START, DATA_START, 0xdead_beef] {
                let whole = raw(crc, start, &bytes);
                for cut in (0..=bytes.len()).step_by(7) {
                    let (a, b) = bytes.split_at(cut);
                    let len = u64::try_from(b.len()).expect("short");
                    let first = raw(crc, start, a);
                    for second_start in [FRAME_START, DATA_START, first, 77] {
                        let second = raw(crc, second_start, b);
                        assert_eq!(concat(crc, first, second, len, second_start), whole);
                    }
                }
                // Back to front: the last two pieces first.
                let (a, rest) = bytes.split_at(100);
                let (b, c) = rest.split_at(250);
                let tail = concat(crc, raw(crc, 0, b), raw(crc, 0, c), 350, 0);
                assert_eq!(concat(crc, raw(crc, start, a), tail, 600, 0), whole);
            }
        }
    }

    #[test]
    fn zeros_are_zero_bytes_and_lengths_add_up() {
        let nothing = [0u8; 1_000];
        for crc in BOTH {
            for count in [0usize, 1, 2, 3, 8, 255, 256, 1_000] {
                let expected = reference(crc, 0x8765_4321, &nothing[..count]);
                let count = u64::try_from(count).expect("short");
                assert_eq!(zeros(crc, 0x8765_4321, count), expected, "{crc:?} {count}");
            }
            // Too long to feed: the step must be additive all the way to the top.
            for (a, b) in [(1 << 40, 12_345), (u64::MAX - 9, 9), (1 << 63, (1 << 63) - 1)] {
                assert_eq!(zeros(crc, zeros(crc, 5, a), b), zeros(crc, 5, a + b));
            }
            assert_eq!(zeros(crc, 0, u64::MAX), 0);
        }
    }
}
