//! What goes over the device, byte by byte, without a kernel: a test plays the kernel over a pair of sockets.
#![allow(
    clippy::disallowed_methods,
    reason = "a session is waited for on a thread of its own"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "any other outcome is wrong")]
#![allow(
    clippy::unwrap_used,
    clippy::identity_op,
    reason = "fields of a message are spelt out"
)]

mod answers;
mod ends;
mod kernel;
mod requests;
mod scripted;
mod stub;
