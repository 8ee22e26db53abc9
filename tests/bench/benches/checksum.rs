//! Checksums, ours beside the crates that compute one polynomial each.

use core::hint::black_box;
use flyer_bench::{Case, Required, Run};
use flyer_wire::checksum::{Crc, DATA_START, FRAME_START, raw};

/// What the project asks of CRC-32C on one core, in bytes per second.
const CRC32C_MIN: f64 = 5e9;

fn main() {
    let mut run = Run::from_args();
    let data: Vec<u8> = (0..1u32 << 20)
        .map(|at| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0])
        .collect();
    for (name, len) in [("64 B", 64), ("4 KiB", 4 << 10), ("1 MiB", 1 << 20)] {
        let bytes = &data[..len];
        // Short pieces are dominated by the price of a call; the speed is asked of what has data.
        let required = if len > 64 {
            Required::BytesPerSecondMin(CRC32C_MIN)
        } else {
            Required::Nothing
        };
        run.case(
            Case::new(format!("crc32c {name}"), required)
                .with_speed()
                .with("flyer, data", len, || {
                    _ = black_box(raw(Crc::Crc32c, DATA_START, black_box(bytes)));
                })
                .with("flyer, frame", len, || {
                    _ = black_box(raw(Crc::Crc32c, FRAME_START, black_box(bytes)));
                })
                .with("crc32c", len, || _ = black_box(crc32c::crc32c(black_box(bytes)))),
        );
        run.case(
            Case::new(format!("crc32 {name}"), Required::Nothing)
                .with_speed()
                .with("flyer, data", len, || {
                    _ = black_box(raw(Crc::Crc32, DATA_START, black_box(bytes)));
                })
                .with("crc32fast", len, || {
                    _ = black_box(crc32fast::hash(black_box(bytes)));
                }),
        );
    }
    run.finish();
}
