//! Decodes bytes as a message.
//!
//! ```text
//! u16 selector | u8 mode | bytes        mode: bit 0 set: a result of the message
//! ```
//!
//! The selector names a type by a hash of its class name, so that a corpus keeps its meaning when types are added: an
//! unknown selector means the next known one.

use flyer_types::{Lease, Status};
use flyer_wire::codec::{Message, Segment, Wire, Writer, decode};
use flyer_wire::json::to_json;
use flyer_wire::reflect::Reflect;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What to do with bytes, by selector and mode.
static TYPES: LazyLock<BTreeMap<u16, Tries>> = LazyLock::new(all);

/// Tries bytes as the message, or as a result of it.
#[derive(Clone, Copy)]
struct Tries {
    plain: fn(&[u8]),
    result: fn(&[u8]),
}

/// The selector of a class: the folded FNV-1a hash of its name.
#[must_use]
pub fn selector(class: &str) -> u16 {
    let hash = class.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let [a, b, c, d] = hash.to_le_bytes();
    u16::from_le_bytes([a ^ c, b ^ d])
}

/// See the module.
pub fn run(data: &[u8]) {
    let Some(([low, high, mode], bytes)) = data.split_first_chunk::<3>() else {
        return;
    };
    let wanted = u16::from_le_bytes([*low, *high]);
    let tries = TYPES
        .range(wanted..)
        .chain(TYPES.iter())
        .next()
        .expect("there are messages")
        .1;
    let with = if mode & 1 == 0 { tries.plain } else { tries.result };
    with(bytes);
}

/// What decodes encodes to bytes that decode to the same, and can be shown.
fn try_as<T: Wire + Reflect>(bytes: &[u8]) {
    let value: T = match decode(bytes) {
        Ok(value) => value,
        Err(error) => {
            assert!(
                error.bytes_left <= bytes.len(),
                "an error is about the bytes that were there"
            );
            return;
        }
    };
    let first = encode(&value, bytes);
    let again: T = decode(&first).expect("what was encoded decodes");
    let second = encode(&again, &first);
    assert_eq!(first, second, "a second round trip changes nothing");
    let shown = to_json(&value);
    assert!(!shown.is_empty(), "every value has a readable form");
}

/// Encodes; inline data are parts of `memory`.
fn encode<T: Wire>(value: &T, memory: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    value.encode(&mut w);
    let mut bytes = Vec::with_capacity(w.len());
    for segment in w.segments() {
        match segment {
            Segment::Bytes(made) => bytes.extend_from_slice(made),
            Segment::Lease(lease) => bytes.extend_from_slice(resolve(lease, memory)),
        }
    }
    assert_eq!(bytes.len(), w.len(), "the writer counts what it lends");
    bytes
}

fn resolve(lease: Lease, memory: &[u8]) -> &[u8] {
    let start = usize::try_from(lease.off).expect("fits");
    &memory[start..][..usize::try_from(lease.len).expect("fits")]
}

macro_rules! insert_all {
    ($($message:ty,)*) => {
        fn all() -> BTreeMap<u16, Tries> {
            let mut all = BTreeMap::new();
            $(
                let tries = Tries {
                    plain: try_as::<$message>,
                    result: try_as::<Result<$message, Status>>,
                };
                let class = <$message as Message>::CLASS;
                assert!(all.insert(selector(class), tries).is_none(), "{class} has the selector of another class");
            )*
            let samples = Tries {
                plain: try_as::<Vec<flyer_wire::msg::monitor::Sample>>,
                result: try_as::<flyer_wire::codec::Map<flyer_types::Text, u64>>,
            };
            assert!(all.insert(selector("vector<hf3fs::monitor::Sample>"), samples).is_none());
            all
        }
    };
}
flyer_wire::for_each_message!(insert_all);
