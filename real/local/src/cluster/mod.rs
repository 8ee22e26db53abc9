//! An embedded cluster with one mount: three servers and the shards of a file system in one process.
//!
//! | module | content |
//! |---|---|
//! | `boot` | whether what was written last may be lost |
//! | [`bootstrap`] | the manager, and what it is told at the start |
//! | `durability` | making things durable for many at once |
//! | `hosts` | what the cells want done, and how it is done |
//! | `janitor` | what is done regularly |
//! | `links` | who is connected with whom |
//! | `mount` | opening, requests, and the end |

mod boot;
pub mod bootstrap;
mod durability;
mod hosts;
mod janitor;
mod links;
mod mount;

pub use links::ReplyRight;
pub use mount::{EndError, Mount, OpenError, Options};

use flyer_types::Errno;
use flyer_vfs::reply::{Invalidate, Reply};

/// The kernel's side of a mount.
pub trait KernelSide: Send + Sync + 'static {
    /// The right to answer one request.
    type Reply: Send + core::fmt::Debug + 'static;

    /// Answers a request. Data of a [`Reply::Data`] are freed here when they are no longer needed.
    fn reply(&self, reply: Self::Reply, answer: Result<Reply, Errno>);

    /// Has the kernel forget something; does not wait for it.
    fn invalidate(&self, what: Invalidate);
}
