//! Codecs of integers, ids, strings, time and status.

use super::{DecodeError, Reader, Wire, Writer};
use crate::reflect::{Leaf, Reflect, Shape, Visitor};
use core::mem::size_of;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, ChannelId, ChannelSeq, ChunkVersion,
    ClientSessionVersion, ConfigVersion, Gid, HeartbeatVersion, InodeId, MethodId, NodeId, PacketId,
    Permission, RequestId, RoutingVersion, ServiceId, TargetId, Uid, Uuid,
};
use flyer_types::{Lease, Status, StatusCode, Text, Token, WallTime};

/// Little-endian numbers.
macro_rules! numbers {
    ($($int:ty => $leaf:ident;)*) => {$(
        impl Wire for $int {
            const BYTES_MIN: usize = size_of::<$int>();
            const FIXED: Option<usize> = Some(size_of::<$int>());

            #[inline]
            fn initial() -> Self {
                Self::default()
            }

            #[inline]
            fn encode(&self, w: &mut Writer) {
                w.put(self.to_le_bytes());
            }

            #[inline]
            fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
                *self = Self::from_le_bytes(r.array()?);
                Ok(())
            }

            #[inline]
            fn encode_fixed(&self, slot: &mut [u8]) {
                slot.copy_from_slice(&self.to_le_bytes());
            }

            #[inline]
            fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
                let Ok(bytes) = bytes.try_into() else {
                    return false;
                };
                *self = Self::from_le_bytes(bytes);
                true
            }
        }

        impl Reflect for $int {
            fn reflect(&self, v: &mut dyn Visitor) {
                v.leaf(Leaf::$leaf((*self).into()));
            }
        }
    )*};
}

numbers! {
    u8 => Unsigned;
    u16 => Unsigned;
    u32 => Unsigned;
    u64 => Unsigned;
    i8 => Signed;
    i16 => Signed;
    i32 => Signed;
    i64 => Signed;
    f32 => Float;
    f64 => Float;
}

/// Newtypes that travel as the value they wrap.
macro_rules! transparent {
    ($($name:ident { $field:tt } => $leaf:expr;)*) => {$(
        impl Wire for $name {
            const BYTES_MIN: usize = size_of::<$name>();
            const FIXED: Option<usize> = Some(size_of::<$name>());

            #[inline]
            fn initial() -> Self {
                Self::default()
            }

            #[inline]
            fn encode(&self, w: &mut Writer) {
                self.$field.encode(w);
            }

            #[inline]
            fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
                self.$field.decode_from(r)
            }

            #[inline]
            fn encode_fixed(&self, slot: &mut [u8]) {
                self.$field.encode_fixed(slot);
            }

            #[inline]
            fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
                self.$field.decode_fixed(bytes)
            }
        }

        impl Reflect for $name {
            fn reflect(&self, v: &mut dyn Visitor) {
                let leaf: fn(&Self) -> Leaf<'_> = $leaf;
                v.leaf(leaf(self));
            }
        }
    )*};
}

transparent! {
    ChainId { 0 } => |id| Leaf::Unsigned(id.0.into());
    ChainVersion { 0 } => |id| Leaf::Unsigned(id.0.into());
    ChainTableId { 0 } => |id| Leaf::Unsigned(id.0.into());
    ChainTableVersion { 0 } => |id| Leaf::Unsigned(id.0.into());
    TargetId { 0 } => |id| Leaf::Unsigned(id.0);
    NodeId { 0 } => |id| Leaf::Unsigned(id.0.into());
    ChunkVersion { 0 } => |id| Leaf::Unsigned(id.0.into());
    ConfigVersion { 0 } => |id| Leaf::Unsigned(id.0);
    RoutingVersion { 0 } => |id| Leaf::Unsigned(id.0);
    HeartbeatVersion { 0 } => |id| Leaf::Unsigned(id.0);
    ClientSessionVersion { 0 } => |id| Leaf::Unsigned(id.0);
    RequestId { 0 } => |id| Leaf::Unsigned(id.0);
    ChannelId { 0 } => |id| Leaf::Unsigned(id.0.into());
    ChannelSeq { 0 } => |id| Leaf::Unsigned(id.0);
    Uid { 0 } => |id| Leaf::Unsigned(id.0.into());
    Gid { 0 } => |id| Leaf::Unsigned(id.0.into());
    Permission { 0 } => |id| Leaf::Unsigned(id.0.into());
    ServiceId { 0 } => |id| Leaf::Unsigned(id.0.into());
    MethodId { 0 } => |id| Leaf::Unsigned(id.0.into());
    PacketId { 0 } => |id| Leaf::Unsigned(id.0);
    InodeId { 0 } => |id| Leaf::Inode(*id);
    StatusCode { 0 } => |code| Leaf::Unsigned(code.0.into());
    WallTime { us } => |time| Leaf::WallTime(*time);
    Size { 0 } => |size| Leaf::Size(size.0);
    SignedDuration { ns } => |duration| Leaf::Duration(duration.ns);
}

/// A number of bytes (`Size` upstream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Size(pub u64);

/// A length of time in nanoseconds that may be negative (`Duration` upstream).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct SignedDuration {
    /// Nanoseconds.
    pub ns: i64,
}

/// A field that carries nothing (`Void` upstream). It matters all the same: a class whose only field it is writes an
/// empty table of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Void;

impl Wire for Void {
    const BYTES_MIN: usize = 0;
    const FIXED: Option<usize> = Some(0);

    #[inline]
    fn initial() -> Self {
        Self
    }

    #[inline]
    fn encode(&self, _w: &mut Writer) {}

    #[inline]
    fn decode_from(&mut self, _r: &mut Reader<'_>) -> Result<(), DecodeError> {
        Ok(())
    }

    #[inline]
    fn encode_fixed(&self, _slot: &mut [u8]) {}

    #[inline]
    fn decode_fixed(&mut self, _bytes: &[u8]) -> bool {
        true
    }
}

impl Reflect for Void {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Void);
    }
}

/// One byte; any value but 0 is true.
impl Wire for bool {
    const BYTES_MIN: usize = 1;
    const FIXED: Option<usize> = Some(1);

    #[inline]
    fn initial() -> Self {
        false
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put([u8::from(*self)]);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let [byte] = r.array()?;
        *self = byte != 0;
        Ok(())
    }

    #[inline]
    fn encode_fixed(&self, slot: &mut [u8]) {
        u8::from(*self).encode_fixed(slot);
    }

    #[inline]
    fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
        let mut byte = 0u8;
        let read = byte.decode_fixed(bytes);
        *self = byte != 0;
        read
    }
}

impl Reflect for bool {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Bool(*self));
    }
}

impl Wire for Uuid {
    const BYTES_MIN: usize = 16;
    const FIXED: Option<usize> = Some(16);

    #[inline]
    fn initial() -> Self {
        Self::ZERO
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put(self.0);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.0 = r.array()?;
        Ok(())
    }

    #[inline]
    fn encode_fixed(&self, slot: &mut [u8]) {
        slot.copy_from_slice(&self.0);
    }

    #[inline]
    fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
        let Ok(bytes) = bytes.try_into() else {
            return false;
        };
        self.0 = bytes;
        true
    }
}

impl Reflect for Uuid {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Uuid(*self));
    }
}

impl Wire for Text {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put_bytes(self.as_bytes());
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let bytes = r.bytes()?;
        r.claim(bytes.len())?;
        *self = Self::from(bytes);
        Ok(())
    }
}

impl Reflect for Text {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Text(self.as_bytes()));
    }
}

impl Wire for Token {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.expose().encode(w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut secret = Text::default();
        secret.decode_from(r)?;
        *self = Self::new(secret);
        Ok(())
    }
}

impl Reflect for Token {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Secret(self));
    }
}

/// No table around it; an empty message is sent as absent.
impl Wire for Status {
    const BYTES_MIN: usize = 3;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        if self.message.is_empty() {
            w.put([0]);
        } else {
            self.message.encode(w);
            w.put([1]);
        }
        self.code.encode(w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.code.decode_from(r)?;
        self.message = Text::default();
        if r.array()? == [1] {
            self.message.decode_from(r)?;
        }
        Ok(())
    }
}

impl Reflect for Status {
    fn reflect(&self, v: &mut dyn Visitor) {
        if v.begin(Shape::Status(self)) {
            v.end();
        }
    }
}

/// Inline data: a length and the bytes, which stay in host memory.
impl Wire for Lease {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self::EMPTY
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put_lease(*self);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        *self = r.lease()?;
        Ok(())
    }
}

impl Reflect for Lease {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Lease(*self));
    }
}
