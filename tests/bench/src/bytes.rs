//! Byte strings, chunk ids, uuids and key lists for the peers, with the memory strategies of `flyer-wire`.

use crate::mirror::Mirror;
use bincode::de::{BorrowDecoder, Decoder, read::Reader as _};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Decode, Encode};
use core::fmt;
use flyer_types::{Text, Token};
use flyer_wire::msg::remote_buf::RemoteKey;
use flyer_wire::msg::storage::chunk_id;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

/// Like `Text`: owned bytes without spare room.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Bytes(pub Box<[u8]>);

/// Like `ChunkId`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkId(pub SmallVec<[u8; 16]>);

/// Like `Uuid`.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Uuid(pub [u8; 16]);

/// Data that stay where they were received.
#[derive(Clone, Copy, Debug, PartialEq, Encode, BorrowDecode)]
pub struct Borrowed<'a>(pub &'a [u8]);

/// Key and device, like `RemoteKey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Encode, Decode)]
pub struct Key(pub u32, pub i32);

/// Like the key list of `RemoteBuf`: a count and room for four.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keys {
    count: u8,
    keys: [Key; 4],
}

/// A visitor that makes a value from bytes.
struct Of<T>(T, fn(&[u8]) -> Option<T>);

impl<T> Visitor<'_> for Of<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    #[inline]
    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        (self.1)(bytes).ok_or_else(|| E::invalid_length(bytes.len(), &"bytes of the right length"))
    }
}

/// `serde` by bytes.
macro_rules! by_bytes {
    ($($name:ident: $make:expr;)*) => {$(
        impl Serialize for $name {
            #[inline]
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            #[inline]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_bytes(Of(Self::default(), $make))
            }
        }
    )*};
}

by_bytes! {
    Bytes: |bytes| Some(Self(bytes.into()));
    ChunkId: |bytes| Some(Self(match <[u8; 16]>::try_from(bytes) {
        Ok(array) => SmallVec::from_buf(array),
        Err(_) => SmallVec::from_slice(bytes),
    }));
    Uuid: |bytes| bytes.try_into().ok().map(Self);
}

impl Serialize for Borrowed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Borrowed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `serde` borrows where a byte slice is asked for.
        <&[u8]>::deserialize(deserializer).map(Borrowed)
    }
}

impl Encode for ChunkId {
    #[inline]
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0[..].encode(encoder)
    }
}

impl<Context> Decode<Context> for ChunkId {
    #[inline]
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let length = u64::decode(decoder)?;
        if length == 16 {
            let mut bytes = [0; 16];
            decoder.reader().read(&mut bytes)?;
            return Ok(Self(SmallVec::from_buf(bytes)));
        }
        let length = usize::try_from(length).map_err(|_| DecodeError::OutsideUsizeRange(length))?;
        let mut bytes = vec![0; length];
        decoder.reader().read(&mut bytes)?;
        Ok(Self(bytes.into()))
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for ChunkId {
    #[inline]
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl Keys {
    /// The same keys as ours.
    pub fn of(ours: &[RemoteKey]) -> Self {
        let mut made = Self {
            count: u8::try_from(ours.len()).expect("four at most"),
            ..Self::default()
        };
        for (place, key) in made.keys.iter_mut().zip(ours) {
            *place = Key(key.rkey, key.device);
        }
        made
    }

    /// Ours again.
    pub fn back(&self) -> Vec<RemoteKey> {
        let keys = self.as_slice().iter();
        keys.map(|key| RemoteKey {
            rkey: key.0,
            device: key.1,
        })
        .collect()
    }

    #[inline]
    fn as_slice(&self) -> &[Key] {
        &self.keys[..usize::from(self.count)]
    }
}

impl Encode for Keys {
    #[inline]
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.count.encode(encoder)?;
        self.as_slice().iter().try_for_each(|key| key.encode(encoder))
    }
}

impl<Context> Decode<Context> for Keys {
    #[inline]
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let mut made = Self {
            count: u8::decode(decoder)?,
            ..Self::default()
        };
        let Some(keys) = made.keys.get_mut(..usize::from(made.count)) else {
            return Err(DecodeError::Other("too many keys"));
        };
        for key in keys {
            *key = Key::decode(decoder)?;
        }
        Ok(made)
    }
}

impl<'de, Context> BorrowDecode<'de, Context> for Keys {
    #[inline]
    fn borrow_decode<D: BorrowDecoder<'de, Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Self::decode(decoder)
    }
}

impl Serialize for Keys {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_slice().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Keys {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(KeysVisitor)
    }
}

struct KeysVisitor;

impl<'de> Visitor<'de> for KeysVisitor {
    type Value = Keys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("up to four keys")
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Keys, A::Error> {
        let mut made = Keys::default();
        while let Some(key) = list.next_element()? {
            let Some(place) = made.keys.get_mut(usize::from(made.count)) else {
                return Err(A::Error::invalid_length(5, &self));
            };
            *place = key;
            made.count += 1;
        }
        Ok(made)
    }
}

impl Mirror<Text> for Bytes {
    fn of(ours: &Text) -> Self {
        Self(ours.as_bytes().into())
    }

    fn back(&self) -> Text {
        Text::from(&*self.0)
    }
}

impl Mirror<Token> for Bytes {
    fn of(ours: &Token) -> Self {
        Self::of(ours.expose())
    }

    fn back(&self) -> Token {
        Token::new(self.back())
    }
}

impl Mirror<chunk_id::ChunkId> for ChunkId {
    fn of(ours: &chunk_id::ChunkId) -> Self {
        Self(SmallVec::from_slice(ours.as_bytes()))
    }

    fn back(&self) -> chunk_id::ChunkId {
        chunk_id::ChunkId::new(&self.0)
    }
}

impl Mirror<flyer_types::ids::Uuid> for Uuid {
    fn of(ours: &flyer_types::ids::Uuid) -> Self {
        Self(ours.0)
    }

    fn back(&self) -> flyer_types::ids::Uuid {
        flyer_types::ids::Uuid(self.0)
    }
}
