//! The operations, one file per family. Each is a function of the [`Op`](super::op::Op) at hand and its request; it reads and
//! writes one transaction, which is committed if it succeeds.
//!
//! Source: `src/meta/store/ops` upstream.

pub(super) mod list;
pub(super) mod lock;
pub(super) mod make;
pub(super) mod open;
pub(super) mod remove;
pub(super) mod rename;
pub(super) mod setattr;
pub(super) mod stat;
pub(super) mod unlink;
