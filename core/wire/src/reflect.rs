//! Showing a message to whoever wants to look: logs, the readable JSON form, tests.
//!
//! A message walks a [`Visitor`] through its parts. There is one walk per type (derived together with the binary
//! codec), so what people see cannot drift from what travels.

use core::fmt::Display;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Lease, Status, Token, WallTime};

use crate::address::Address;

/// A value that can show its parts.
pub trait Reflect {
    /// Walks `v` through this value.
    fn reflect(&self, v: &mut dyn Visitor);
}

/// The tables of a message, base class first, without the message around them.
pub trait Tables {
    /// Walks `v` through the tables.
    fn reflect_tables(&self, v: &mut dyn Visitor);
}

/// Looks at a value part by part.
pub trait Visitor {
    /// A value without parts.
    fn leaf(&mut self, leaf: Leaf<'_>);

    /// A value with parts begins. They follow, then [`Visitor::end`], unless this returns false.
    fn begin(&mut self, shape: Shape<'_>) -> bool;

    /// The next value is the field of this name (upstream's spelling) in the table entered last.
    fn field(&mut self, name: &'static str);

    /// The value begun last is complete.
    fn end(&mut self);
}

/// A value without parts.
#[derive(Clone, Copy)]
pub enum Leaf<'a> {
    /// A field that carries nothing.
    Void,
    /// An optional without a value.
    Absent,
    /// A flag.
    Bool(bool),
    /// A number or a numeric id.
    Unsigned(u64),
    /// A number.
    Signed(i64),
    /// A number.
    Float(f64),
    /// An enumerator: its number, and its name if this side knows it.
    Enum(u64, Option<&'static str>),
    /// A set of flags as its bits, shown in hex; signed where upstream's type is.
    Flags(i64),
    /// Bytes that are usually text.
    Text(&'a [u8]),
    /// The id of a chunk.
    ChunkId(&'a [u8]),
    /// A secret.
    Secret(&'a Token),
    /// An inode.
    Inode(InodeId),
    /// A client, session or request.
    Uuid(Uuid),
    /// A point of time.
    WallTime(WallTime),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A number of bytes.
    Size(u64),
    /// Where a service listens.
    Address(Address),
    /// A layout without chains.
    EmptyChains,
    /// A 16-byte InfiniBand address.
    Gid(&'a [u8; 16]),
    /// Inline data.
    Lease(Lease),
}

/// A value with parts.
#[derive(Clone, Copy)]
pub enum Shape<'a> {
    /// A message. Its parts are its tables, base class first. The summary, where there is one, is what people should
    /// see instead.
    Struct(Option<&'a dyn Display>),
    /// One class of a message; its parts are fields.
    Table(&'static str),
    /// Elements follow.
    List,
    /// Keys and values follow in turn.
    Map,
    /// A variant holding the alternative of this name, which follows.
    Variant(&'static str),
    /// A result with a value, which follows.
    Ok,
    /// A result with a status, which follows.
    Err,
    /// A status. It has no parts to walk; this is a shape so that visitors choose how to show it.
    Status(&'a Status),
}
