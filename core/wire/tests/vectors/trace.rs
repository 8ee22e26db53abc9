//! Calls recorded from a running cluster of original servers and clients.

use crate::frames::{check_typed, open, reproduce};
use crate::value::hex;
use crate::{Types, bytes, number};
use flyer_types::Lease;
use flyer_types::ids::{MethodId, ServiceId};
use flyer_wire::packet::{Packet, PacketFlags};
use flyer_wire::service::name_of;
use serde_json::Value;

/// Checks a line of `trace.jsonl`.
pub(crate) fn check(types: &Types, line: &Value) -> Result<(), String> {
    if line["type"] != "call" {
        return Err("is a kind of line this test does not know".into());
    }
    let ids = (number(line, "serviceId")?, number(line, "methodId")?);
    let service = ServiceId(u16::try_from(ids.0).map_err(|e| e.to_string())?);
    let method = MethodId(u16::try_from(ids.1).map_err(|e| e.to_string())?);
    let (service_name, method_name) =
        name_of(service, method).ok_or("is a call the service table does not know")?;
    if line["method"] != format!("{service_name}.{method_name}") {
        return Err(format!("is {service_name}.{method_name} here"));
    }
    let request = check_side(types, line, "request", service, method)?;
    let response = check_side(types, line, "response", service, method)?;
    if !request.flags.contains(PacketFlags::IS_REQUEST) {
        return Err("has a request that is not marked as one".into());
    }
    let expected = Packet {
        payload: response.payload,
        timestamp: response.timestamp,
        ..request.response()
    };
    if response != expected {
        return Err(format!("is answered with the head {response:?}"));
    }
    let ok = bytes(line, "response_payload_hex")?.first() == Some(&1);
    if line["ok"] != ok {
        Err("does not agree about its outcome".into())
    } else {
        Ok(())
    }
}

fn check_side(
    types: &Types,
    line: &Value,
    side: &str,
    service: ServiceId,
    method: MethodId,
) -> Result<Packet, String> {
    let column = |what: &str| format!("{side}_{what}");
    let frame = bytes(line, &column("frame_hex"))?;
    let body = open(&frame)?;
    let memory = Lease {
        len: 1 << 28,
        ..Lease::EMPTY
    };
    let packet = Packet::decode(&body, memory).map_err(|e| e.to_string())?;
    if (packet.service_id, packet.method_id) != (service, method) {
        return Err(format!("has a {side} of another call"));
    }
    let payload = packet
        .payload_in(&body, memory)
        .ok_or("has its payload elsewhere")?;
    if payload != bytes(line, &column("payload_hex"))? {
        return Err(format!("has another {side} payload"));
    }
    let name = line[column("type")].as_str().ok_or("has no type")?;
    check_typed(types, name, payload, &line[column("value")], true)?;
    let rebuilt = reproduce(&packet, payload);
    if rebuilt != frame {
        return Err(format!("has the {side} frame {}", hex(&rebuilt)));
    }
    Ok(packet)
}
