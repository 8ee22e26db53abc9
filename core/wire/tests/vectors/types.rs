//! Which Rust type stands for which type name of the vectors, and what to check of a line with such a type.

use crate::value::{hex, same, to_value};
use flyer_types::ids::{ChainVersion, InodeId, NodeId, TargetId, Uuid};
use flyer_types::{Status, Text, WallTime};
use flyer_wire::address::Address;
use flyer_wire::codec::{DecodeError, Segment, SignedDuration, Size};
use flyer_wire::codec::{Map, Message, Reader, Set, Void, Wire, Writer, decode};
use flyer_wire::json::to_json;
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::{common, mgmtd, monitor, remote_buf};
use flyer_wire::reflect::Reflect;
use flyer_wire_derive::Wire;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a type can do with bytes.
#[derive(Clone, Copy)]
pub(crate) struct Codec {
    /// Decodes all of the bytes; gives the value column, the readable form, and the bytes encoded again.
    pub decode: fn(&[u8]) -> Result<Shown, DecodeError>,
    /// Decodes into a fresh value whatever the bytes are; gives the outcome and the value afterwards.
    pub parse: fn(&[u8]) -> Parsed,
    /// Encoding of the default value.
    pub initial: fn() -> Vec<u8>,
}

/// The outcome of parsing, and the value afterwards.
pub(crate) type Parsed = (Result<(), DecodeError>, Value);

/// A decoded value in all its forms.
pub(crate) struct Shown {
    pub value: Value,
    pub readable: String,
    pub encoded: Vec<u8>,
}

/// Encodes `value`; `inline` holds the bytes that leases point into.
pub(crate) fn encode<T: Wire>(value: &T, inline: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    value.encode(&mut w);
    gather(&w, inline)
}

/// The bytes of an encoding; `inline` holds the bytes that leases point into.
pub(crate) fn gather(w: &Writer, inline: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for segment in w.segments() {
        match segment {
            Segment::Bytes(made) => bytes.extend_from_slice(made),
            Segment::Lease(lent) => {
                bytes.extend_from_slice(&inline[lent.off as usize..][..lent.len as usize]);
            }
        }
    }
    assert_eq!(bytes.len(), w.len(), "the writer counts what it lends");
    bytes
}

fn codec<T: Wire + Reflect>() -> Codec {
    Codec {
        decode: |bytes| {
            let value: T = decode(bytes)?;
            Ok(Shown {
                value: to_value(&value, bytes),
                readable: to_json(&value),
                encoded: encode(&value, bytes),
            })
        },
        parse: |bytes| parse_into(T::initial(), bytes),
        initial: || encode(&T::initial(), &[]),
    }
}

fn parse_into<T: Wire + Reflect>(mut value: T, bytes: &[u8]) -> Parsed {
    let memory = flyer_types::Lease {
        len: 1 << 20,
        ..Default::default()
    };
    let outcome = value.decode_from(&mut Reader::new(bytes, memory));
    (outcome, to_value(&value, bytes))
}

/// Test types of the vectors (`vgp::*` in schema.json).
macro_rules! test_types {
    ($($class:literal $name:ident { $($(#[$attr:meta])* $field:ident: $ty:ty,)* })*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Wire)]
            #[wire(class = $class)]
            struct $name { $($(#[$attr])* $field: $ty,)* }
        )*
        fn insert_test_types(all: &mut BTreeMap<String, Codec>) {
            $(insert_message::<$name>(all);)*
        }
    };
}

test_types! {
    "vgp::Inner" Inner { a: u8, b: Text, }
    "vgp::Nested" Nested { x: u16, inner: Inner, list: Vec<Inner>, opt: Option<Inner>, }
    "vgp::Base" Base { b1: u32, b2: Text, }
    "vgp::Derived" Derived { #[wire(base)] base: Base, d1: u64, d2: bool, }
    "vgp::Derived2" Derived2 { #[wire(base)] base: Derived, e1: u8, }
    "vgp::DerivedNoField" DerivedNoField { #[wire(base)] base: Base, }
    "vgp::EmptyBase" EmptyBase { dummy: Void, }
    "vgp::DerivedOfEmpty" DerivedOfEmpty { #[wire(base)] base: EmptyBase, v: u32, }
    "vgp::V1" V1 { a: u32, }
    "vgp::V2" V2 { a: u32, #[wire(default = 77)] b: u32, }
}

#[derive(Clone, Debug, PartialEq, Wire)]
enum IntStringInner {
    #[wire(name = "int")]
    Int(u32),
    #[wire(name = "basic_string")]
    Text(Text),
    Inner(Inner),
}

#[derive(Clone, Debug, PartialEq, Wire)]
enum IntString {
    #[wire(name = "int")]
    Int(u32),
    #[wire(name = "basic_string")]
    Text(Text),
}

#[derive(Clone, Debug, PartialEq, Wire)]
enum Scalars {
    #[wire(name = "long")]
    Long(i64),
    #[wire(name = "double")]
    Double(f64),
    #[wire(name = "bool")]
    Bool(bool),
    #[wire(name = "char")]
    Char(u8),
}

/// A number that travels as a varint.
macro_rules! varints {
    ($($name:ident($int:ty) $read:ident;)*) => {$(
        #[derive(Clone, Copy, Debug, PartialEq)]
        struct $name($int);

        impl Wire for $name {
            const BYTES_MIN: usize = 1;
            fn initial() -> Self {
                Self(0)
            }
            fn encode(&self, w: &mut Writer) {
                w.put_varint(self.0.into());
            }
            fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
                self.0 = r.$read()?;
                Ok(())
            }
        }

        impl Reflect for $name {
            fn reflect(&self, v: &mut dyn flyer_wire::reflect::Visitor) {
                self.0.reflect(v);
            }
        }
    )*};
}

varints! {
    Varint32(u32) varint32;
    Varint64(u64) varint;
}

fn insert_message<T: Message + Reflect>(all: &mut BTreeMap<String, Codec>) {
    let twice = all.insert(T::CLASS.to_string(), codec::<T>()).is_some();
    assert!(!twice, "{} is registered twice", T::CLASS);
    all.insert(format!("Result<{}>", T::CLASS), codec::<Result<T, Status>>());
}

macro_rules! insert_all {
    ($($message:ty,)*) => {
        fn insert_messages(all: &mut BTreeMap<String, Codec>) {
            $(insert_message::<$message>(all);)*
        }
    };
}
flyer_wire::for_each_message!(insert_all);

macro_rules! basic {
    ($all:ident: $($name:literal => $ty:ty;)*) => {
        $($all.insert($name.to_string(), codec::<$ty>());)*
    };
}

/// All types by their name in the vectors.
pub(crate) fn all() -> BTreeMap<String, Codec> {
    let mut all = BTreeMap::new();
    insert_messages(&mut all);
    insert_test_types(&mut all);
    basic! { all:
        "Varint32" => Varint32; "Varint64" => Varint64; "bool" => bool;
        "u8" => u8; "u16" => u16; "u32" => u32; "u64" => u64;
        "i8" => i8; "i16" => i16; "i32" => i32; "i64" => i64; "f32" => f32; "f64" => f64;
        "string" => Text; "Path" => Text; "Void" => Void;
        "optional<u32>" => Option<u32>; "optional<string>" => Option<Text>; "optional<bool>" => Option<bool>;
        "optional<optional<u8>>" => Option<Option<u8>>; "ptr<u32>" => Option<u32>;
        "vector<u8>" => Vec<u8>; "vector<u32>" => Vec<u32>; "vector<u64>" => Vec<u64>; "vector<bool>" => Vec<bool>;
        "vector<string>" => Vec<Text>; "vector<vector<u16>>" => Vec<Vec<u16>>;
        "vector<optional<u32>>" => Vec<Option<u32>>;
        "set<string>" => Set<Text>; "set<u32>" => Set<u32>;
        "map<string,u32>" => Map<Text, u32>; "map<u32,string>" => Map<u32, Text>;
        "map<string,string>" => Map<Text, Text>; "map<u32,u32>" => Map<u32, u32>; "map<string,u64>" => Map<Text, u64>;
        "pair<u32,string>" => (u32, Text);
        "variant<u32,string,vgp::Inner>" => IntStringInner; "variant<u32,string>" => IntString;
        "variant<i64,f64,bool,u8>" => Scalars;
        "Result<Void>" => Result<Void, Status>; "Result<u32>" => Result<u32, Status>;
        "Result<string>" => Result<Text, Status>;
        "hf3fs::Status" => Status; "hf3fs::Uuid" => Uuid; "hf3fs::Duration" => SignedDuration;
        "hf3fs::UtcTime" => WallTime; "hf3fs::Size" => Size; "hf3fs::net::Address" => Address;
        "NodeId:u32" => NodeId; "TargetId:u64" => TargetId; "ChainVersion:u32" => ChainVersion;
        "enum hf3fs::flat::PublicTargetState" => mgmtd::routing::PublicTargetState;
        "enum hf3fs::flat::LocalTargetState" => mgmtd::routing::LocalTargetState;
        "enum hf3fs::flat::NodeType" => mgmtd::node::NodeType;
        "enum hf3fs::ConfigStatus" => common::ConfigStatus;
        "hf3fs::meta::InodeId" => InodeId; "hf3fs::storage::ChunkId" => ChunkId;
        "hf3fs::net::RDMARemoteBuf" => remote_buf::RemoteBuf;
        "vector<hf3fs::monitor::Sample>" => Vec<monitor::Sample>;
    }
    all
}

/// Checks a line that has a type, a value and its bytes.
pub(crate) fn check(codec: &Codec, line: &Value) -> Result<(), String> {
    let bytes = crate::bytes(line, "hex")?;
    if line["parse_only"] == true {
        return check_parse_only(codec, line, &bytes);
    }
    let shown = (codec.decode)(&bytes).map_err(|e| format!("does not decode: {e}"))?;
    if shown.encoded != bytes {
        return Err(format!("encodes to {}", hex(&shown.encoded)));
    }
    check_value(&shown.value, line)?;
    check_readable(&shown.readable, line)?;
    check_any_bytes(codec, line, bytes)?;
    check_default(codec, line)
}

fn check_value(value: &Value, line: &Value) -> Result<(), String> {
    let expected = line.get("value").ok_or("has no value")?;
    let bytes_as_hex = || {
        let list = value
            .as_array()?
            .iter()
            .map(|v| u8::try_from(v.as_u64()?).ok())
            .collect::<Option<Vec<_>>>()?;
        Some(serde_json::json!({ "hex": hex(&list) }))
    };
    let value = match line["type"].as_str() {
        Some("vector<u8>") => bytes_as_hex().ok_or("is not a list of bytes")?,
        _ => value.clone(),
    };
    if same(&value, expected) {
        Ok(())
    } else {
        Err(format!("decodes to {value}"))
    }
}

/// The readable form, where the original has one that says anything.
fn check_readable(readable: &str, line: &Value) -> Result<(), String> {
    let shown: Value =
        serde_json::from_str(readable).map_err(|e| format!("readable form {readable}: {e}"))?;
    let expected = &line["json"];
    if expected.is_null() || same_readable(&shown, expected) {
        return Ok(());
    }
    Err(format!("reads {readable}"))
}

/// Like [`same`], but for what [`flyer_wire::json`] shows better than upstream: inline data as their length and not as a
/// C++ type, GIDs in hex and not as raw characters, and numbers above `i64::MAX` as themselves and not as negative ones.
fn same_readable(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(k, a)| b.get(k).is_some_and(|b| same_readable(a, b)))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_readable(a, b))
        }
        (Value::String(a), Value::String(b)) if b.starts_with("std::vector<uint8_t>(") => {
            a.split(' ').next() == b.trim_end_matches(')').split('(').next_back()
        }
        (Value::String(a), Value::String(b)) if a != b => b.len() == 16 && *a == hex(b.as_bytes()),
        (Value::Number(a), Value::Number(b)) if b.is_i64() && a.as_i64().is_none() => {
            a.as_u64() == b.as_i64().map(i64::cast_unsigned)
        }
        _ => same(ours, theirs),
    }
}

/// Bytes without meaning: any value reads the same.
fn check_any_bytes(codec: &Codec, line: &Value, mut bytes: Vec<u8>) -> Result<(), String> {
    let Some(offsets) = line.get("any_bytes") else {
        return Ok(());
    };
    for offset in offsets.as_array().ok_or("any_bytes is not a list")? {
        let offset =
            usize::try_from(offset.as_u64().ok_or("an offset is a number")?).map_err(|e| e.to_string())?;
        *bytes.get_mut(offset).ok_or("an offset is outside of the bytes")? ^= 0xa5;
    }
    let shown = (codec.decode)(&bytes).map_err(|e| format!("with other meaningless bytes: {e}"))?;
    check_value(&shown.value, line)
}

/// Our defaults are the original's. (Client ids that are random there have no default to compare, and results are
/// never left at one.)
fn check_default(codec: &Codec, line: &Value) -> Result<(), String> {
    let text = line["hex"].as_str().unwrap_or_default();
    let is_result = line["type"]
        .as_str()
        .is_some_and(|name| name.starts_with("Result<"));
    if line["case"] != "default" || is_result || text.contains("c11e0000111122223333444455556666") {
        return Ok(());
    }
    let ours = hex(&(codec.initial)());
    if ours == text {
        Ok(())
    } else {
        Err(format!("our default is {ours}"))
    }
}

fn check_parse_only(codec: &Codec, line: &Value, bytes: &[u8]) -> Result<(), String> {
    let (outcome, value) = match line.get("note").and_then(Value::as_str) {
        None => (codec.parse)(bytes),
        Some("before parsing: x=9, inner.b=keep") => {
            let inner = Inner {
                a: 0,
                b: Text::from("keep"),
            };
            parse_into(
                Nested {
                    x: 9,
                    inner,
                    ..Nested::default()
                },
                bytes,
            )
        }
        Some(note) => return Err(format!("has a note this test does not know: {note}")),
    };
    let expected = line["parse_ok"].as_bool().ok_or("has no outcome")?;
    if outcome.is_ok() != expected {
        return Err(format!("parses to {outcome:?}"));
    }
    if let Err(error) = outcome {
        let code = error.status_code().0;
        if line["error_code"] != code {
            return Err(format!("fails with {code}: {error}"));
        }
    }
    check_value(&value, line)
}
