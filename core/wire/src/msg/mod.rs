//! Every message of the 3FS services that Flyer speaks, as client or as server.
//!
//! Field order is wire order. Names are upstream's in Rust spelling, so that its sources and logs can be read side by
//! side. Enumerations are open: a number this side has no name for is kept and sent on, as upstream does.

pub mod common;
pub mod core_service;
pub mod meta;
pub mod mgmtd;
pub mod migration;
pub mod monitor;
pub mod rdma;
pub mod remote_buf;
pub mod storage;

/// Declares enumerations over an integer that keep unknown numbers.
macro_rules! open_enums {
    ($($(#[$doc:meta])* pub $name:ident($int:ty) {
        $($(#[$value_doc:meta])* $value:ident = $number:literal, $text:literal;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(pub $int);

        impl $name {
            $($(#[$value_doc])* pub const $value: Self = Self($number);)*

            /// Upstream's name of the enumerator, if this side knows it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($text),)*
                    _ => None,
                }
            }
        }

        impl crate::codec::Wire for $name {
            const BYTES_MIN: usize = core::mem::size_of::<$int>();
            const FIXED: Option<usize> = Some(core::mem::size_of::<$int>());

            #[inline]
            fn initial() -> Self {
                Self(0)
            }

            #[inline]
            fn encode(&self, w: &mut crate::codec::Writer) {
                self.0.encode(w);
            }

            #[inline]
            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                self.0.decode_from(r)
            }

            #[inline]
            fn encode_fixed(&self, slot: &mut [u8]) {
                self.0.encode_fixed(slot);
            }

            #[inline]
            fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
                self.0.decode_fixed(bytes)
            }
        }

        impl crate::reflect::Reflect for $name {
            fn reflect(&self, v: &mut dyn crate::reflect::Visitor) {
                v.leaf(crate::reflect::Leaf::Enum(self.0.into(), self.name()));
            }
        }
    )*};
}
pub(crate) use open_enums;

/// Gives bit sets made by `bitflags` their wire form: the bits, unknown ones included. `Flags` or `Unsigned` says how
/// upstream shows them.
macro_rules! wire_flags {
    ($($name:ident($int:ty) => $leaf:ident;)*) => {$(
        impl crate::codec::Wire for $name {
            const BYTES_MIN: usize = core::mem::size_of::<$int>();
            const FIXED: Option<usize> = Some(core::mem::size_of::<$int>());

            #[inline]
            fn initial() -> Self {
                Self::empty()
            }

            #[inline]
            fn encode(&self, w: &mut crate::codec::Writer) {
                self.bits().encode(w);
            }

            #[inline]
            fn decode_from(
                &mut self,
                r: &mut crate::codec::Reader<'_>,
            ) -> Result<(), crate::codec::DecodeError> {
                let mut bits: $int = 0;
                bits.decode_from(r)?;
                *self = Self::from_bits_retain(bits);
                Ok(())
            }

            #[inline]
            fn encode_fixed(&self, slot: &mut [u8]) {
                self.bits().encode_fixed(slot);
            }

            #[inline]
            fn decode_fixed(&mut self, bytes: &[u8]) -> bool {
                let mut bits: $int = 0;
                let read = bits.decode_fixed(bytes);
                *self = Self::from_bits_retain(bits);
                read
            }
        }

        impl crate::reflect::Reflect for $name {
            fn reflect(&self, v: &mut dyn crate::reflect::Visitor) {
                v.leaf(crate::reflect::Leaf::$leaf(self.bits().into()));
            }
        }

        #[cfg(feature = "arbitrary")]
        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self::from_bits_retain(u.arbitrary()?))
            }
        }
    )*};
}
pub(crate) use wire_flags;
