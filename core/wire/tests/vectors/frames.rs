//! Whole frames, and header checksums.

use crate::layout_low;
use crate::types::gather;
use crate::value::{hex, same, to_value};
use crate::{Types, bytes, number};
use flyer_types::Lease;
use flyer_wire::checksum::{self, Crc, FRAME_START};
use flyer_wire::codec::Writer;
use flyer_wire::compress;
use flyer_wire::frame::{FrameHeader, FrameStream, seal};
use flyer_wire::packet::{Packet, PacketFlags};
use serde_json::Value;

/// Checks a line of `packet.jsonl`.
pub(crate) fn check(types: &Types, line: &Value) -> Result<(), String> {
    match line["type"].as_str() {
        Some("frame") => check_frame(types, line),
        Some("header_checksum") => layout_low::header_checksum(line),
        _ => Err("is a kind of line this test does not know".into()),
    }
}

/// Opens a frame; gives the plain body.
pub(crate) fn open(frame: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = FrameStream::new(1 << 20);
    let mut input = frame;
    let body = stream
        .next_body(&mut input)
        .map_err(|e| e.to_string())?
        .ok_or("is not complete")?
        .to_vec();
    if input.is_empty() {
        Ok(body)
    } else {
        Err(format!("{} bytes are left over", input.len()))
    }
}

/// Encodes a packet with this payload, and the frame around it.
pub(crate) fn reproduce(packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    packet.encode_with(&mut w, |w| w.put_slice(payload));
    seal(&mut w, &mut |_| unreachable!("nothing is lent")).expect("small");
    gather(&w, &[])
}

fn check_frame(types: &Types, line: &Value) -> Result<(), String> {
    let frame = bytes(line, "hex")?;
    let header =
        FrameHeader::parse(*frame.first_chunk().ok_or("is too short")?).map_err(|e| e.to_string())?;
    let compressed = line["compressed"]
        .as_bool()
        .ok_or("does not tell whether it is compressed")?;
    if header.is_compressed() != compressed || header.body_bytes() as u64 != number(line, "size")? {
        return Err(format!("has the header {header:?}"));
    }
    let body = open(&frame)?;
    if body != bytes(line, "message_hex")? {
        return Err("opens to another message".into());
    }
    let memory = Lease {
        len: 1 << 20,
        ..Lease::EMPTY
    };
    let packet = Packet::decode(&body, memory).map_err(|e| e.to_string())?;
    check_packet(&packet, line)?;
    let payload = packet
        .payload_in(&body, memory)
        .ok_or("has its payload elsewhere")?;
    if payload != bytes(line, "payload_hex")? {
        return Err("has another payload".into());
    }
    check_payload(types, line, payload)?;
    let rebuilt = reproduce(&packet, payload);
    if rebuilt[8..] != body {
        return Err(format!("encodes to {}", hex(&rebuilt[8..])));
    }
    if compressed {
        recompress(&body)
    } else {
        compare_frames(&rebuilt, &frame)
    }
}

fn compare_frames(ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("has the frame {}", hex(ours)))
    }
}

/// Compressed bytes need not be those of the original, but what we compress we must be able to open.
fn recompress(body: &[u8]) -> Result<(), String> {
    let sent = compress::compress(1, body).map_err(|e| e.to_string())?;
    let register = checksum::raw(Crc::Crc32c, FRAME_START, &sent);
    let header = flyer_wire::frame::header(sent.len(), register, true).expect("small");
    let opened = open(&[&header[..], &sent].concat())?;
    if opened == body {
        Ok(())
    } else {
        Err("does not survive compression".into())
    }
}

fn check_packet(packet: &Packet, line: &Value) -> Result<(), String> {
    let known = PacketFlags::all().bits();
    let ids = [
        ("uuid", packet.uuid.0),
        ("serviceId", packet.service_id.0.into()),
        ("methodId", packet.method_id.0.into()),
        ("flags", (packet.flags.bits() & known).into()),
    ];
    for (column, ours) in ids {
        if ours != number(line, column)? {
            return Err(format!("has the {column} {ours}"));
        }
    }
    for (column, ours) in [
        ("version", to_value(&packet.version, &[])),
        ("timestamp", to_value(&packet.timestamp, &[])),
    ] {
        if !same(&ours, &line[column]) {
            return Err(format!("has the {column} {ours}"));
        }
    }
    Ok(())
}

/// The payload decodes to its value and encodes to its bytes.
fn check_payload(types: &Types, line: &Value, payload: &[u8]) -> Result<(), String> {
    let name = line["payload_type"].as_str().ok_or("has no payload type")?;
    check_typed(types, name, payload, &line["payload_value"], false)
}

/// Checks bytes of a named type. `any_order`: the value may list the members of maps in another order than the bytes.
pub(crate) fn check_typed(
    types: &Types,
    name: &str,
    bytes: &[u8],
    expected: &Value,
    any_order: bool,
) -> Result<(), String> {
    let codec = types
        .get(name)
        .ok_or_else(|| format!("has a type this test does not know: {name}"))?;
    let shown = (codec.decode)(bytes).map_err(|e| format!("{name} does not decode: {e}"))?;
    let equal = if any_order {
        same(&sorted_pairs(&shown.value), &sorted_pairs(expected))
    } else {
        same(&shown.value, expected)
    };
    if !equal {
        return Err(format!("{name} decodes to {}", shown.value));
    }
    if !equal_but_for_meaningless(&shown.encoded, bytes) {
        return Err(format!("{name} encodes to {}", hex(&shown.encoded)));
    }
    Ok(())
}

/// Whether the bytes are equal. The one byte after the name of the alternative `Empty` of a layout has no meaning (see
/// `any_bytes` in the vectors' README) and may differ.
fn equal_but_for_meaningless(ours: &[u8], theirs: &[u8]) -> bool {
    let equal_at = |at: usize| ours[at] == theirs[at] || theirs[..at].ends_with(b"\x05Empty");
    ours.len() == theirs.len() && (0..ours.len()).all(equal_at)
}

/// The value with all lists of pairs in one order.
fn sorted_pairs(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let mut list: Vec<_> = list.iter().map(sorted_pairs).collect();
            if list
                .iter()
                .all(|e| e.as_array().is_some_and(|pair| pair.len() == 2))
            {
                list.sort_by_key(|pair| pair[0].to_string());
            }
            Value::Array(list)
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), sorted_pairs(value)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}
