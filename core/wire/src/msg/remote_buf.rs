//! Addresses of memory and ports in messages about RDMA.
//!
//! Source: `src/common/net/ib/RDMABuf.h`, `src/common/net/ib/IBConnect.h` upstream.

use crate::codec::{DecodeError, DecodeErrorKind, Reader, Wire, Writer};
use crate::reflect::{Leaf, Reflect, Shape, Visitor};
use flyer_types::limits::RDMA_DEVICES_MAX;

/// The right to reach a piece of memory through one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct RemoteKey {
    /// Remote key of the registration.
    pub rkey: u32,
    /// Device at the owner of the memory.
    pub device: i32,
}

/// A piece of a peer's memory, with a key for each of its devices. No table around it: `addr`, `size`, a count byte,
/// and that many keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RemoteBuf {
    /// Virtual address in the owner's process.
    pub addr: u64,
    /// Bytes.
    pub size: u64,
    key_count: u8,
    keys: [RemoteKey; RDMA_DEVICES_MAX],
}

impl RemoteBuf {
    /// No memory, but a size: what a request over TCP carries, since servers check the size all the same.
    #[must_use]
    pub fn without_memory(size: u64) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    /// Memory reachable with `keys`; `None` if there are more keys than a process may have devices.
    #[must_use]
    pub fn new(addr: u64, size: u64, keys: &[RemoteKey]) -> Option<Self> {
        let mut made = Self {
            addr,
            size,
            ..Self::default()
        };
        made.keys.get_mut(..keys.len())?.copy_from_slice(keys);
        made.key_count = u8::try_from(keys.len()).ok()?;
        Some(made)
    }

    /// The keys, in the order of the owner's devices.
    #[must_use]
    #[inline]
    pub fn keys(&self) -> &[RemoteKey] {
        &self.keys[..usize::from(self.key_count)]
    }
}

impl Wire for RemoteBuf {
    const BYTES_MIN: usize = 17;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        for key in self.keys().iter().rev() {
            w.put(key.device.to_le_bytes());
            w.put(key.rkey.to_le_bytes());
        }
        w.put_with(17, |slot| {
            slot[..8].copy_from_slice(&self.addr.to_le_bytes());
            slot[8..16].copy_from_slice(&self.size.to_le_bytes());
            slot[16] = self.key_count;
        });
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.addr = u64::from_le_bytes(r.array()?);
        self.size = u64::from_le_bytes(r.array()?);
        let [count] = r.array()?;
        if usize::from(count) > RDMA_DEVICES_MAX {
            return Err(r.error(DecodeErrorKind::BadPart("the key list of a remote buffer")));
        }
        self.key_count = count;
        for key in &mut self.keys[..usize::from(count)] {
            key.rkey = u32::from_le_bytes(r.array()?);
            key.device = i32::from_le_bytes(r.array()?);
        }
        Ok(())
    }
}

impl Reflect for RemoteBuf {
    fn reflect(&self, v: &mut dyn Visitor) {
        if !v.begin(Shape::Struct(None)) {
            return;
        }
        if v.begin(Shape::Table("hf3fs::net::RDMARemoteBuf")) {
            v.field("addr");
            self.addr.reflect(v);
            v.field("size");
            self.size.reflect(v);
            v.field("rkeys");
            if v.begin(Shape::List) {
                self.keys().iter().for_each(|key| key.reflect(v));
                v.end();
            }
            v.end();
        }
        v.end();
    }
}

impl Reflect for RemoteKey {
    fn reflect(&self, v: &mut dyn Visitor) {
        if !v.begin(Shape::Struct(None)) {
            return;
        }
        if v.begin(Shape::Table("hf3fs::net::RDMARemoteBuf::Rkey")) {
            v.field("rkey");
            self.rkey.reflect(v);
            v.field("devId");
            self.device.reflect(v);
            v.end();
        }
        v.end();
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for RemoteBuf {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let keys: [RemoteKey; RDMA_DEVICES_MAX] = u.arbitrary()?;
        let count = u.int_in_range(0..=RDMA_DEVICES_MAX)?;
        Ok(Self::new(u.arbitrary()?, u.arbitrary()?, &keys[..count]).expect("no more keys than devices"))
    }
}

/// The 16-byte address of an RDMA port. It travels as a string of exactly that length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct LinkGid(pub [u8; 16]);

impl Wire for LinkGid {
    const BYTES_MIN: usize = 17;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put_bytes(&self.0);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let bytes = r.bytes()?;
        self.0 = bytes
            .try_into()
            .map_err(|_| r.error(DecodeErrorKind::BadPart("a port's GID")))?;
        Ok(())
    }
}

impl Reflect for LinkGid {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Gid(&self.0));
    }
}
