//! The storage service's messages.

pub mod chunk;
pub mod chunk_id;
pub mod flags;
pub mod io;
pub mod range;
pub mod target;
