//! Takes a byte stream apart, however it is cut.
//!
//! ```text
//! input   sequence of steps: u8 kind | u8 length | that many bytes (or what is left)
//! kind    bits 0..2: 0 a sealed plain frame with these bytes as its body
//!                    1 a frame that is sealed as compressed, its body being these bytes
//!                    2 a frame with these bytes compressed
//!                    3 the bytes as they are (headers, garbage)
//!         bits 2..:  how many bytes a cut takes, for all that follows (0: all)
//! ```
//!
//! The stream is fed in those cuts, and again at once: bodies and the error must be the same. What comes out is decoded
//! as a packet, and its payload as what the service table says.

use flyer_types::limits::FRAME_HEADER_BYTES;
use flyer_types::{Lease, Status};
use flyer_wire::checksum::{self, Crc, FRAME_START};
use flyer_wire::codec::Wire;
use flyer_wire::compress::compress;
use flyer_wire::frame::{FrameError, FrameStream, header};
use flyer_wire::packet::{Packet, PacketFlags};
use flyer_wire::service::Call;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Bodies after decompression; small, so that the search is not about bulk.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What came out of a stream.
type Outcome = (Vec<Vec<u8>>, Option<FrameError>);

/// See the module.
pub fn run(data: &[u8]) {
    let (stream, cut) = build(data);
    let in_cuts = feed(&stream, cut);
    let at_once = feed(&stream, stream.len());
    assert_eq!(in_cuts, at_once, "how a stream is cut changes nothing");
    for body in &in_cuts.0 {
        try_packet(body);
    }
}

/// The stream that the steps describe, and the size of a cut.
fn build(mut data: &[u8]) -> (Vec<u8>, usize) {
    let mut stream = Vec::new();
    let mut cut = 0;
    while let [kind, length, rest @ ..] = data {
        let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        data = rest;
        cut = usize::from(kind >> 2);
        match kind & 3 {
            0 => put_frame(&mut stream, bytes, false),
            1 => put_frame(&mut stream, bytes, true),
            2 => put_frame(&mut stream, &compress(1, bytes).expect("there is memory"), true),
            _ => stream.extend_from_slice(bytes),
        }
    }
    (stream, cut)
}

fn put_frame(stream: &mut Vec<u8>, body: &[u8], compressed: bool) {
    let register = checksum::raw(Crc::Crc32c, FRAME_START, body);
    stream.extend(header(body.len(), register, compressed).expect("small"));
    stream.extend_from_slice(body);
}

fn feed(stream: &[u8], cut: usize) -> Outcome {
    let mut frames = FrameStream::new(BODY_BYTES_MAX);
    let mut bodies = Vec::new();
    for mut part in stream.chunks(cut.max(1)) {
        loop {
            match frames.next_body(&mut part) {
                Ok(Some(body)) => bodies.push(body.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        frames.next_body(&mut &[][..]),
                        Err(FrameError::Broken),
                        "broken for good"
                    );
                    return (bodies, Some(error));
                }
            }
        }
        assert!(part.is_empty(), "a stream without an error takes everything");
    }
    assert!(
        bodies.len() * FRAME_HEADER_BYTES <= stream.len(),
        "each body has a header"
    );
    (bodies, None)
}

/// Decodes payloads by service and method: the request, and the answer.
static CALLS: LazyLock<BTreeMap<(u16, u16), Tries>> = LazyLock::new(all);

type Try = fn(&Packet, &[u8], Lease);

#[derive(Clone, Copy)]
struct Tries {
    request: Try,
    answer: Try,
}

fn try_packet(body: &[u8]) {
    let memory = Lease {
        len: u32::try_from(body.len()).expect("small"),
        ..Lease::EMPTY
    };
    let Ok(packet) = Packet::decode(body, memory) else {
        return;
    };
    let payload = packet
        .payload_in(body, memory)
        .expect("the payload is a part of the body");
    assert!(payload.len() <= body.len());
    if let Some(tries) = CALLS.get(&(packet.service_id.0, packet.method_id.0)) {
        let request = packet.flags.contains(PacketFlags::IS_REQUEST);
        let with = if request { tries.request } else { tries.answer };
        with(&packet, body, memory);
    }
}

/// What decodes again from what it encodes to is checked by the other target; here it must only not break.
fn try_payload<T: Wire>(packet: &Packet, body: &[u8], memory: Lease) {
    drop(packet.decode_payload::<T>(body, memory));
}

macro_rules! insert_all {
    ($($call:ty,)*) => {
        fn all() -> BTreeMap<(u16, u16), Tries> {
            BTreeMap::from([$((
                (<$call>::SERVICE.0, <$call>::METHOD.0),
                Tries {
                    request: try_payload::<<$call as Call>::Request>,
                    answer: try_payload::<Result<<$call as Call>::Response, Status>>,
                },
            )),*])
        }
    };
}
flyer_wire::for_each_call!(insert_all);
