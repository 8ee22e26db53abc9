//! Where services listen (`src/common/utils/Address.h` upstream).

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::reflect::{Leaf, Reflect, Visitor};
use core::fmt;
use core::net::Ipv4Addr;

/// Kind of network an address belongs to. Only [`AddressKind::RDMA`] is not a byte stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct AddressKind(pub u16);

impl AddressKind {
    /// Plain TCP.
    pub const TCP: Self = Self(0);
    /// RDMA; the same ip and port speak TCP for the handshake, and for all calls where a client asks for it.
    pub const RDMA: Self = Self(1);
    /// TCP over an InfiniBand interface.
    pub const IPOIB: Self = Self(2);
    /// TCP over the loopback interface.
    pub const LOCAL: Self = Self(3);
    /// A Unix socket; see [`Address`].
    pub const UNIX: Self = Self(4);

    /// Upstream's spelling, if the kind is known.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::TCP => Some("TCP"),
            Self::RDMA => Some("RDMA"),
            Self::IPOIB => Some("IPoIB"),
            Self::LOCAL => Some("LOCAL"),
            Self::UNIX => Some("UNIX"),
            _ => None,
        }
    }
}

/// An IPv4 address, a port and the kind of network: 8 bytes on the wire. All zero means "no address".
///
/// For [`AddressKind::UNIX`] the port is the number in the socket's path. IPv6 does not exist in 3FS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Address {
    /// Network address.
    pub ip: Ipv4Addr,
    /// Port in host order.
    pub port: u16,
    /// Kind of network.
    pub kind: AddressKind,
}

impl Address {
    /// "No address".
    pub const NONE: Self = Self {
        ip: Ipv4Addr::UNSPECIFIED,
        port: 0,
        kind: AddressKind::TCP,
    };

    /// Reads `KIND://a.b.c.d:port` or `a.b.c.d:port` (TCP). Unlike upstream, text behind the port is refused.
    /// `None` if the text is not an address, or is "no address".
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let known = (0..=AddressKind::UNIX.0).map(AddressKind);
                let kind = known
                    .into_iter()
                    .find(|kind| kind.name().is_some_and(|name| name.eq_ignore_ascii_case(scheme)))?;
                (kind, rest)
            }
            None => (AddressKind::TCP, text),
        };
        let (ip, port) = rest.split_once(':')?;
        let address = Self {
            ip: ip.parse().ok()?,
            port: port.parse().ok()?,
            kind,
        };
        (address.ip != Ipv4Addr::UNSPECIFIED || address.port != 0).then_some(address)
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.name() {
            Some(kind) => write!(f, "{kind}://{}:{}", self.ip, self.port),
            None => write!(f, "kind {}://{}:{}", self.kind.0, self.ip, self.port),
        }
    }
}

impl Wire for Address {
    const BYTES_MIN: usize = 8;

    #[inline]
    fn initial() -> Self {
        Self::NONE
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        w.put(self.kind.0.to_le_bytes());
        w.put(self.port.to_le_bytes());
        w.put(self.ip.octets());
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.ip = Ipv4Addr::from(r.array::<4>()?);
        self.port = u16::from_le_bytes(r.array()?);
        self.kind = AddressKind(u16::from_le_bytes(r.array()?));
        Ok(())
    }
}

impl Reflect for Address {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::Address(*self));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn text_round_trips_and_bad_text_is_refused() {
        for text in [
            "TCP://192.168.1.1:8000",
            "RDMA://10.0.0.1:1",
            "IPoIB://1.2.3.4:65535",
            "UNIX://0.0.0.1:7",
        ] {
            assert_eq!(Address::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(
            Address::parse("rdma://1.2.3.4:5").map(|a| a.kind),
            Some(AddressKind::RDMA)
        );
        assert_eq!(
            Address::parse("1.2.3.4:5").map(|a| a.kind),
            Some(AddressKind::TCP)
        );
        for bad in [
            "",
            "1.2.3.4",
            "TCP://1.2.3:4",
            "TCP://1.2.3.4:70000",
            "FOO://1.2.3.4:5",
            "0.0.0.0:0",
            "1.2.3.4:5x",
        ] {
            assert_eq!(Address::parse(bad), None, "{bad}");
        }
    }
}
