//! Round trips: for every message, decoding what was encoded gives it back, and the list of messages is complete.

use arbitrary::{Arbitrary, Unstructured};
use flyer_types::{Lease, Status};
use flyer_wire::codec::{Message, Segment, Wire, Writer, decode};
use flyer_wire::reflect::{Leaf, Reflect, Shape, Visitor};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

/// The memory that inline data of random messages lie in.
fn host_memory(lease: Lease) -> Vec<u8> {
    (0..lease.len)
        .map(|at| (lease.off + at).to_le_bytes()[0] ^ lease.id.slot.to_le_bytes()[0])
        .collect()
}

fn gather(w: &Writer) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in w.segments() {
        match segment {
            Segment::Bytes(made) => bytes.extend_from_slice(made),
            Segment::Lease(lease) => bytes.extend(host_memory(lease)),
        }
    }
    bytes
}

fn encode<T: Wire>(value: &T) -> Vec<u8> {
    let mut w = Writer::new();
    value.encode(&mut w);
    assert_eq!(gather(&w).len(), w.len());
    gather(&w)
}

/// A value written down completely: floats as bits, secrets in clear, inline data as their bytes.
struct Facts<'a> {
    resolve: &'a dyn Fn(Lease) -> Vec<u8>,
    text: String,
}

impl Visitor for Facts<'_> {
    fn leaf(&mut self, leaf: Leaf<'_>) {
        self.text += &match leaf {
            Leaf::Void => "void;".into(),
            Leaf::Absent => "absent;".into(),
            Leaf::Bool(value) => format!("{value};"),
            Leaf::Unsigned(n) | Leaf::Size(n) | Leaf::Enum(n, _) => format!("{n};"),
            Leaf::Signed(n) | Leaf::Flags(n) | Leaf::Duration(n) => format!("{n};"),
            Leaf::Float(n) => format!("{:x};", n.to_bits()),
            Leaf::Text(bytes) | Leaf::ChunkId(bytes) => format!("{bytes:?};"),
            Leaf::Secret(token) => format!("{:?};", token.expose()),
            Leaf::Inode(id) => format!("{id};"),
            Leaf::Uuid(uuid) => format!("{uuid};"),
            Leaf::WallTime(time) => format!("{};", time.us),
            Leaf::Address(address) => format!("{address};"),
            Leaf::EmptyChains => "empty;".into(),
            Leaf::Gid(bytes) => format!("{bytes:?};"),
            Leaf::Lease(lease) => format!("{:?};", (self.resolve)(lease)),
        };
    }

    fn begin(&mut self, shape: Shape<'_>) -> bool {
        self.text += &match shape {
            Shape::Struct(_) => "{".into(),
            Shape::Table(class) => format!("{class}("),
            Shape::List => "[".into(),
            Shape::Map => "map[".into(),
            Shape::Variant(name) => format!("{name}:"),
            Shape::Ok => "ok:".into(),
            Shape::Err => "err:".into(),
            Shape::Status(status) => {
                self.text += &format!("{}{:?};", status.code.0, status.message);
                return false;
            }
        };
        true
    }

    fn field(&mut self, name: &'static str) {
        self.text += name;
        self.text += "=";
    }

    fn end(&mut self) {
        self.text += ")";
    }
}

fn facts(value: &dyn Reflect, resolve: &dyn Fn(Lease) -> Vec<u8>) -> String {
    let mut facts = Facts {
        resolve,
        text: String::new(),
    };
    value.reflect(&mut facts);
    facts.text
}

/// Encodes, decodes, and compares; then lets a newer peer append bytes to the value, which must change nothing.
fn survives<T: Wire + Reflect>(value: &T) -> Result<(), TestCaseError> {
    let mut bytes = encode(value);
    let before = facts(value, &host_memory);
    bytes.push(0xee);
    let back: T = decode(&bytes).map_err(|e| TestCaseError::fail(format!("{e}: {before}")))?;
    bytes.pop();
    let in_bytes = |lease: Lease| bytes[lease.off as usize..][..lease.len as usize].to_vec();
    prop_assert_eq!(&facts(&back, &in_bytes), &before);
    let mut w = Writer::new();
    back.encode(&mut w);
    let again: Vec<u8> = w
        .segments()
        .flat_map(|segment| match segment {
            Segment::Bytes(made) => made.to_vec(),
            Segment::Lease(lease) => in_bytes(lease),
        })
        .collect();
    prop_assert_eq!(again, bytes);
    Ok(())
}

/// Random messages of every kind from one string of random bytes.
fn random<'a, T: Arbitrary<'a>>(bytes: &'a [u8]) -> T {
    T::arbitrary(&mut Unstructured::new(bytes)).expect("these types can be made of any bytes")
}

macro_rules! round_trips {
    ($($message:ty,)*) => {
        /// Messages that went through a round trip here.
        fn round_tripped() -> Vec<&'static str> {
            vec![$(<$message as Message>::CLASS),*]
        }

        fn all_survive(bytes: &[u8]) -> Result<(), TestCaseError> {
            $(
                survives(&random::<$message>(bytes))?;
                survives(&random::<Result<$message, Status>>(bytes))?;
            )*
            survives(&random::<Vec<flyer_wire::msg::monitor::Sample>>(bytes))
        }
    };
}
flyer_wire::for_each_message!(round_trips);

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_message_survives_a_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        all_survive(&bytes)?;
    }
}

/// `#[derive(... Wire ...)] #[wire(class = "...")]` in the sources, and the list that tests and tools go by.
#[test]
fn no_message_is_missing_from_the_list() {
    let mut declared = BTreeSet::new();
    classes_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut declared);
    let listed: BTreeSet<String> = round_tripped().into_iter().map(str::to_string).collect();
    assert_eq!(listed.len(), round_tripped().len(), "a class is listed twice");
    let missing: Vec<_> = declared.symmetric_difference(&listed).collect();
    assert!(
        missing.is_empty(),
        "in the sources or in src/registry.rs, but not in both: {missing:?}"
    );
}

fn classes_below(folder: &Path, classes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            classes_below(&path, classes);
        } else {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("#[wire(class = \"") {
                    let class = rest.split('"').next().expect("a closing quote");
                    assert!(classes.insert(class.to_string()), "{class} is declared twice");
                }
            }
        }
    }
}

/// Requests and answers of a service travel as enumerations, too.
macro_rules! service_round_trip {
    ($test:ident, $module:ident) => {
        #[test]
        fn $test() {
            use flyer_wire::packet::Packet;
            use flyer_wire::service::{SERVICES, $module};
            let service = SERVICES
                .iter()
                .find(|s| s.id == $module::SERVICE)
                .expect("it is in the table");
            let memory = Lease {
                len: u32::MAX,
                ..Lease::EMPTY
            };
            for method in service.methods {
                let head = Packet {
                    service_id: service.id,
                    method_id: method.id,
                    ..Packet::default()
                };
                // An empty table for each level decodes as a request with nothing but defaults.
                let mut w = Writer::new();
                head.encode_with(&mut w, |w| w.put([0; 8]));
                let body = gather(&w);
                let packet = Packet::decode(&body, memory).expect("a packet");
                let request = $module::Request::decode(&packet, &body, memory).expect("defaults");
                assert_eq!(request.method(), method.id);
                let mut w = Writer::new();
                request.encode_in(&head, &mut w);
                let body = gather(&w);
                let packet = Packet::decode(&body, memory).expect("a packet");
                assert_eq!(
                    $module::Request::decode(&packet, &body, memory).as_ref(),
                    Ok(&request)
                );

                let mut w = Writer::new();
                head.encode_with(&mut w, |w| w.put([1, 0, 0, 0, 0, 0, 0, 0, 0]));
                let body = gather(&w);
                let packet = Packet::decode(&body, memory).expect("a packet");
                let answer = $module::Response::decode(&packet, &body, memory);
                assert_eq!(
                    answer.as_ref().map($module::Response::method),
                    Ok(method.id)
                );
                for answer in [
                    answer,
                    Err(Status::with_message(
                        flyer_types::StatusCode::META_BUSY,
                        "try again",
                    )),
                ] {
                    let mut w = Writer::new();
                    $module::encode_answer(&answer, &head, &mut w);
                    let body = gather(&w);
                    let packet = Packet::decode(&body, memory).expect("a packet");
                    assert_eq!($module::Response::decode(&packet, &body, memory), answer);
                }
            }
            let mut stranger = Packet::default();
            stranger.method_id.0 = 9_999;
            let refused = $module::Request::decode(&stranger, &[], memory).expect_err("no such method");
            assert_eq!(refused.code, flyer_types::StatusCode::RPC_INVALID_METHOD_ID);
        }
    };
}

service_round_trip!(metadata_calls_survive, meta);
service_round_trip!(storage_calls_survive, storage);
service_round_trip!(manager_calls_survive, mgmtd);
