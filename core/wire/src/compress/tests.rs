//! Tests of compression: honest frames of every level, and every kind of hostile one.

use super::*;
use alloc::string::ToString;
use alloc::vec;

/// Compressible, but not by much: text made of a small alphabet, without long repeats.
fn text(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        b'a' + state.to_be_bytes()[0] % 16
    };
    (0..len).map(|_| next()).collect()
}

/// A frame made by hand: magic, a descriptor byte, the rest of the header, then blocks.
fn frame(descriptor: u8, header: &[u8], blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    frame.push(descriptor);
    frame.extend_from_slice(header);
    blocks.iter().for_each(|block| frame.extend_from_slice(block));
    frame
}

/// A block header: bit 0 last, bits 1 and 2 the kind (0 raw, 1 run), then the size.
fn block(last: bool, kind: u32, size: u32, content: &[u8]) -> Vec<u8> {
    let header = (u32::from(last) | kind << 1 | size << 3).to_le_bytes();
    [&header[..3], content].concat()
}

fn raw(last: bool, content: &[u8]) -> Vec<u8> {
    block(last, 0, u32::try_from(content.len()).expect("short"), content)
}

fn run(last: bool, size: u32) -> Vec<u8> {
    block(last, 1, size, b"r")
}

/// A window byte for a power of two; 0x58 is 2 MiB.
fn window(log: u8) -> u8 {
    (log - 10) << 3
}

#[test]
fn every_level_round_trips_and_records_the_length() {
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    for len in [0, 1, 255, 256, 20_000, 300_000] {
        let body = text(len);
        for level in [-5, 0, 1, 2, 3, 9, 15, 19, 20, 22] {
            let frame = compressor.compress(level, &body).expect("compresses");
            let claimed = zstd_safe::get_frame_content_size(&frame).expect("a frame");
            assert_eq!(claimed, u64::try_from(len).ok(), "level {level}");
            assert!(frame.len() < body.len().max(1) + 20);
            let back = decompressor.decompress(&frame, len).expect("decompresses");
            assert!(back == body, "level {level} length {len}");
        }
    }
}

#[test]
fn output_is_exact_and_limited() {
    let body = text(300_000);
    let frame = compress(1, &body).expect("compresses");
    assert_eq!(
        decompress(&frame, body.len() - 1),
        Err(CompressError::TooLong { bytes_max: 299_999 })
    );
    assert_eq!(
        decompress(&frame, 0),
        Err(CompressError::TooLong { bytes_max: 0 })
    );
    let mut out = Vec::new();
    Decompressor::new()
        .decompress_into(&frame, usize::MAX, &mut out)
        .expect("fits");
    assert_eq!(out.capacity(), body.len() + 1);
}

#[test]
fn a_missing_length_is_fine() {
    let blocks = [raw(false, b"hello "), run(true, 3)];
    let frame = frame(0, &[window(20)], &blocks);
    assert_eq!(decompress(&frame, 9).as_deref(), Ok(&b"hello rrr"[..]));
    assert_eq!(
        decompress(&frame, 8),
        Err(CompressError::TooLong { bytes_max: 8 })
    );
    assert_eq!(decompress(&frame, usize::MAX).as_deref(), Ok(&b"hello rrr"[..]));
}

#[test]
fn every_cut_is_noticed() {
    for body in [text(40), text(200_000)] {
        let frame = compress(3, &body).expect("compresses");
        let mut decompressor = Decompressor::new();
        let cuts = (0..frame.len()).rev().step_by(frame.len() / 50 + 1).chain(0..30);
        for cut in cuts {
            let cut_short = decompressor.decompress(&frame[..cut], body.len());
            assert_eq!(cut_short, Err(CompressError::Truncated), "at {cut}");
        }
        assert_eq!(decompressor.decompress(&frame, body.len()), Ok(body));
    }
    let unsized_frame = frame(0, &[window(20)], &[raw(false, b"hello "), run(true, 3)]);
    for cut in 0..unsized_frame.len() {
        assert_eq!(
            decompress(&unsized_frame[..cut], 100),
            Err(CompressError::Truncated),
            "at {cut}"
        );
    }
}

#[test]
fn nothing_may_follow() {
    let whole = compress(1, b"body").expect("compresses");
    // Decoded piece by piece, as its length is not announced.
    let piecewise = frame(0, &[window(20)], &[raw(true, b"body")]);
    for tail in [&b"x"[..], &whole, &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]] {
        let expected = Err(CompressError::TrailingBytes { count: tail.len() });
        assert_eq!(decompress(&[&whole, tail].concat(), 100), expected);
        assert_eq!(decompress(&[&piecewise, tail].concat(), 100), expected);
    }
}

#[test]
fn other_formats_are_refused() {
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let skipped_first = [&skippable[..], &compress(1, b"body").expect("compresses")].concat();
    // The magic of zstd 0.7, and no zstd at all.
    let legacy = [0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0, 0, 0];
    for other in [&skippable[..], &skipped_first, &legacy, b"plain", b"x"] {
        assert_eq!(decompress(other, 100), Err(CompressError::NotAFrame));
    }
    assert_eq!(decompress(b"", 100), Err(CompressError::Truncated));
    // Descriptor 1: one byte of dictionary number follows the window.
    let with_dictionary = frame(1, &[window(20), 77], &[raw(true, b"body")]);
    assert_eq!(
        decompress(&with_dictionary, 100),
        Err(CompressError::Dictionary { id: 77 })
    );
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    // 400 blocks of 4 bytes each hold 50 MiB; no length is announced.
    let blocks = vec![run(false, 128 << 10); 400];
    let bomb = frame(0, &[window(23)], &blocks);
    let (mut decompressor, mut out) = (Decompressor::new(), Vec::new());
    let limit = 1_000_000;
    let outcome = decompressor.decompress_into(&bomb, limit, &mut out);
    assert_eq!(outcome, Err(CompressError::TooLong { bytes_max: limit }));
    assert!(out.capacity() <= limit + 1, "{}", out.capacity());
    // The window was above what is kept.
    assert!(decompressor.context.is_none());
}

#[test]
fn claims_are_not_believed() {
    // Descriptor 0xc0: eight bytes of length follow the window.
    let claim = |len: u64| [&[window(20)], &len.to_le_bytes()[..]].concat();
    let huge = frame(0xc0, &claim(1 << 40), &[raw(true, b"body")]);
    assert_eq!(
        decompress(&huge, 1 << 20),
        Err(CompressError::TooLong { bytes_max: 1 << 20 })
    );
    let mut out = Vec::new();
    let outcome = Decompressor::new().decompress_into(&huge, usize::MAX, &mut out);
    assert!(
        matches!(outcome, Err(CompressError::Corrupt { .. })),
        "{outcome:?}"
    );
    assert!(out.capacity() <= 2 * 4 + OUTPUT_STEP_BYTES, "{}", out.capacity());
    // More than there is, which zstd itself lets pass when the last block is empty; whatever room there is.
    for blocks in [vec![raw(true, b"")], vec![raw(false, b"body"), raw(true, b"")]] {
        for room in [0, 1, 1 << 20] {
            let short = frame(0xc0, &claim(1 << 18), &blocks);
            let mut out = Vec::with_capacity(room);
            let outcome = Decompressor::new().decompress_into(&short, usize::MAX, &mut out);
            assert!(
                matches!(outcome, Err(CompressError::Corrupt { .. })),
                "{outcome:?}"
            );
        }
    }
    // Less than there is.
    for blocks in [vec![raw(true, b"body")], vec![run(false, 128 << 10); 400]] {
        let modest = frame(0xc0, &claim(3), &blocks);
        let outcome = Decompressor::new().decompress_into(&modest, usize::MAX, &mut out);
        assert!(
            matches!(outcome, Err(CompressError::Corrupt { .. })),
            "{outcome:?}"
        );
    }
}

#[test]
fn windows_are_limited_by_what_was_received() {
    let mib = |log: u32| (1usize << log) / WINDOW_BYTES_PER_BYTE;
    assert_eq!(window_log_max(0), 23);
    assert_eq!(window_log_max(mib(23)), 23);
    assert_eq!(window_log_max(mib(23) + 1), 24);
    assert_eq!(window_log_max(mib(27)), 27);
    assert_eq!(window_log_max(usize::MAX), 27);

    let of_window = |log| frame(0, &[window(log)], &[raw(true, b"body")]);
    assert_eq!(decompress(&of_window(23), 100).as_deref(), Ok(&b"body"[..]));
    let too_large = CompressError::WindowTooLarge { bytes_max: 8 << 20 };
    let refused = Err(too_large);
    assert_eq!(decompress(&of_window(24), 100), refused);
    assert_eq!(decompress(&of_window(41), 100), refused);
    // One segment: the window is the length, here 128 MiB (descriptor 0xa0: four bytes of length).
    let single = frame(0xa0, &(128u32 << 20).to_le_bytes(), &[raw(true, b"body")]);
    assert_eq!(decompress(&single, usize::MAX), refused);
    assert!(too_large.to_string().contains("8388608"));
}

#[test]
fn damage_never_panics_and_never_spoils_the_next_frame() {
    let body = text(3_000);
    let frame = compress(1, &body).expect("compresses");
    let mut decompressor = Decompressor::new();
    for at in 0..frame.len() {
        for bit in [1, 0x10, 0x80] {
            let mut damaged = frame.clone();
            damaged[at] ^= bit;
            if let Ok(content) = decompressor.decompress(&damaged, 1 << 20) {
                assert!(content.len() <= 1 << 20);
            }
        }
    }
    assert_eq!(decompressor.decompress(&frame, body.len()), Ok(body));
}
