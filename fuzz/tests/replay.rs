//! Replays the committed corpus. `FLYER_FUZZ_SEEDS=1` first writes inputs made from the vectors into it.

use flyer_fuzz::{TARGETS, wire_decode};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

#[test]
fn the_corpus_finds_nothing() {
    if std::env::var_os("FLYER_FUZZ_SEEDS").is_some() {
        write_seeds();
    }
    for (name, run) in TARGETS {
        let mut replayed = 0;
        for entry in fs::read_dir(folder(name)).expect("the corpus is in the repository") {
            let path = entry.expect("readable").path();
            let data = fs::read(&path).expect("readable");
            // The name of the input that is being tried is in the message of a finding.
            let found = std::panic::catch_unwind(|| run(&data));
            assert!(found.is_ok(), "target {name} fails on {}", path.display());
            replayed += 1;
        }
        assert!(replayed >= 200, "target {name} has only {replayed} inputs");
    }
}

/// Every message, and every frame, that the vectors have and that is small.
fn write_seeds() {
    for file in ["core", "meta", "mgmtd", "rdma", "storage"] {
        for line in lines(file) {
            let class = line["type"].as_str().expect("a type");
            let (class, mode) = match class.strip_prefix("Result<") {
                Some(class) => (class.trim_end_matches('>'), 1),
                None => (class, 0),
            };
            let bytes = unhex(&line["hex"]);
            if line["case"] != "max" && bytes.len() < 600 {
                let [low, high] = wire_decode::selector(class).to_le_bytes();
                write("wire_decode", &[&[low, high, mode][..], &bytes].concat());
            }
        }
    }
    for (file, column) in [
        ("packet", "message_hex"),
        ("trace", "request_frame_hex"),
        ("trace", "response_frame_hex"),
    ] {
        for line in lines(file) {
            let bytes = unhex(&line[column]);
            // Frames lose their header: the target seals bodies itself.
            let body = if file == "trace" { &bytes[8..] } else { &bytes[..] };
            if let Ok(length) = u8::try_from(body.len()) {
                let kind = [0x00, 0x0d, 0x22, 0x40][usize::from(length & 3)];
                write("frame_stream", &[&[kind, length][..], body].concat());
            }
        }
    }
}

fn lines(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/vectors")
        .join(file)
        .with_extension("jsonl");
    let text = fs::read_to_string(&path).expect("the vectors are in the repository");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("vectors are JSON"))
        .collect()
}

fn unhex(column: &Value) -> Vec<u8> {
    let text = column.as_str().unwrap_or_default();
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("hex"), 16).expect("hex"))
        .collect()
}

fn write(target: &str, data: &[u8]) {
    let hash = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fs::create_dir_all(folder(target)).expect("writable");
    fs::write(folder(target).join(format!("seed-{hash:016x}")), data).expect("writable");
}
