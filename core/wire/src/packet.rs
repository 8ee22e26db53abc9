//! The packet: what a frame's body holds (`src/common/serde/MessagePacket.h` upstream).
//!
//! ```text
//! table { uuid, service, method, flags, version, payload: varint length + bytes, timestamp }
//! ```
//!
//! The payload of a request is the request; that of a response is a result: `01` and the response, or `00` and a
//! status. A response repeats number, service, method and version of its request and has no flags.

use crate::codec::{DecodeError, DecodeErrorKind, Reader, Wire, Writer, decode_in};
use crate::msg::wire_flags;
use flyer_types::ids::{MethodId, PacketId, ServiceId};
use flyer_types::{Lease, Status, WallTime};
use flyer_wire_derive::Wire;

use crate::service::Call;

bitflags::bitflags! {
    /// What a packet is, and what its sender wants.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PacketFlags: u16 {
        /// A request; otherwise a response.
        const IS_REQUEST = 0x1;
        /// The response may be compressed.
        const USE_COMPRESS = 0x2;
        /// Ask before moving data by RDMA.
        const CONTROL_RDMA = 0x4;
    }
}

wire_flags! {
    PacketFlags(u16) => Unsigned;
}

/// Never set and never looked at by upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::serde::Version")]
pub struct PacketVersion {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Patch version.
    pub patch: u8,
    /// Commit.
    pub hash: u32,
}

/// When the stages of a call happened. Present if the requester wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::serde::Timestamp")]
pub struct Timestamp {
    /// The caller called.
    pub client_called: WallTime,
    /// The request was encoded.
    pub client_serialized: WallTime,
    /// The request arrived.
    pub server_received: WallTime,
    /// Its handler began.
    pub server_waked: WallTime,
    /// Its handler ended.
    pub server_processed: WallTime,
    /// The response was encoded.
    pub server_serialized: WallTime,
    /// The response arrived.
    pub client_received: WallTime,
    /// The caller went on.
    pub client_waked: WallTime,
}

/// A packet whose payload is still bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::serde::MessagePacket")]
pub struct Packet {
    /// Number of the request; the two directions of a connection count on their own.
    pub uuid: PacketId,
    /// Number of the service.
    pub service_id: ServiceId,
    /// Number of the method.
    pub method_id: MethodId,
    /// What it is.
    pub flags: PacketFlags,
    /// Zero.
    pub version: PacketVersion,
    /// Where the payload is in the memory of the frame.
    pub payload: Lease,
    /// When things happened.
    pub timestamp: Option<Timestamp>,
}

impl Packet {
    /// The head of a request for `C`. The payload is given to [`Packet::encode_around`].
    #[must_use]
    pub fn request<C: Call>(uuid: PacketId) -> Self {
        Self {
            uuid,
            service_id: C::SERVICE,
            method_id: C::METHOD,
            flags: PacketFlags::IS_REQUEST,
            ..Self::default()
        }
    }

    /// The head of the response to this request.
    #[must_use]
    pub fn response(&self) -> Self {
        Self {
            flags: PacketFlags::empty(),
            payload: Lease::EMPTY,
            ..*self
        }
    }

    /// Puts the packet with `payload` in front of `w`: one pass, no copy. `self.payload` is not looked at.
    pub fn encode_around<T: Wire>(&self, payload: &T, w: &mut Writer) {
        self.encode_with(w, |w| payload.encode(w));
    }

    /// Like [`Packet::encode_around`], for payloads that are not one value: `payload` puts them in front.
    pub fn encode_with(&self, w: &mut Writer, payload: impl FnOnce(&mut Writer)) {
        let packet_end = w.len();
        self.timestamp.encode(w);
        let payload_end = w.len();
        payload(w);
        w.close_table(payload_end);
        self.version.encode(w);
        self.flags.encode(w);
        self.method_id.encode(w);
        self.service_id.encode(w);
        self.uuid.encode(w);
        w.close_table(packet_end);
    }

    /// Reads the payload of a packet that was decoded from `body`, which the host knows as `memory`.
    ///
    /// # Errors
    /// When the payload is not a `T`.
    pub fn decode_payload<T: Wire>(&self, body: &[u8], memory: Lease) -> Result<T, DecodeError> {
        let Some(bytes) = self.payload_in(body, memory) else {
            let kind = DecodeErrorKind::BadPart("the payload of a packet");
            return Err(DecodeError {
                kind,
                bytes_left: body.len(),
            });
        };
        let mut value = T::initial();
        value.decode_from(&mut Reader::of_part(bytes, body, memory))?;
        Ok(value)
    }

    /// The bytes of the payload of a packet that was decoded from `body`, which the host knows as `memory`; `None`
    /// if the packet was not decoded from there.
    #[must_use]
    pub fn payload_in<'a>(&self, body: &'a [u8], memory: Lease) -> Option<&'a [u8]> {
        if self.payload.is_empty() {
            return Some(&[]);
        }
        let start = usize::try_from(self.payload.off.checked_sub(memory.off)?).ok()?;
        let end = start.checked_add(usize::try_from(self.payload.len).ok()?)?;
        body.get(start..end)
    }

    /// Reads a packet from a frame's body, which the host knows as `memory`.
    ///
    /// # Errors
    /// When the body is not a packet.
    pub fn decode(body: &[u8], memory: Lease) -> Result<Self, DecodeError> {
        decode_in(body, memory)
    }
}

/// What a response's payload holds.
pub type Answer<T> = Result<T, Status>;
