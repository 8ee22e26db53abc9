//! The 3FS wire format.
//!
//! | module | content |
//! |---|---|
//! | [`codec`] | the binary format: reader, writer, basic types |
//! | [`msg`], [`service`] | every message, and which call it belongs to |
//! | [`packet`], [`frame`] | from messages to a byte stream and back |
//! | [`checksum`], [`compress`] | CRC registers, zstd bodies |
//! | [`layout`], [`shuffle`] | from an offset in a file to a chunk and its chain |
//! | [`usrbio`] | the shared-memory rings of USRBIO and its ioctls |
//! | [`address`] | where services listen |
//! | [`reflect`], [`json`] | showing messages to people and tests |
//! | [`registry`] | the list of all messages |
//!
//! Payload is never copied: inline data of a message is a [`Lease`](flyer_types::Lease) of the memory the message came
//! in or goes out from.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
// For tests and fuzzers only: derived `Arbitrary` needs thread locals.
#[cfg(feature = "arbitrary")]
extern crate std;

pub mod address;
pub mod checksum;
pub mod codec;
pub mod compress;
pub mod frame;
pub mod json;
pub mod layout;
pub mod msg;
pub mod packet;
pub mod reflect;
pub mod registry;
pub mod service;
pub mod shuffle;
pub mod usrbio;
