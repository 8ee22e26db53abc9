//! What a file system offers to the adapter.
//!
//! The adapter calls [`FileSystem::submit`] on the reader thread that has the request. An implementation may answer before it
//! returns or later from any thread; it answers each request once through its [`ReplyTo`].
//!
//! ```text
//!   start ──► submit, submit, ... sync ... submit ──► stop
//! ```

use crate::adapter::ReplyTo;
use crate::notify::Invalidations;
use flyer_types::Lease;
use flyer_vfs::{Caller, Request};
use std::fmt;
use std::sync::Arc;

/// A file system that can be mounted.
pub trait FileSystem: Send + Sync + 'static {
    /// Carries out a request and answers it, now or later.
    fn submit(&self, caller: Caller, request: Request, reply: ReplyTo);

    /// The memory of reads and writes.
    fn payload(&self) -> &Arc<dyn Payload>;

    /// Called once, before the first request. Whatever the kernel has to forget goes into `invalidations`.
    fn start(&self, invalidations: Invalidations) {
        let _ = invalidations;
    }

    /// Writes out everything that is buffered, while requests go on. Returns when that is done.
    ///
    /// # Errors
    /// What could not be written; it is still buffered.
    fn sync(&self) -> Result<(), StopError> {
        Ok(())
    }

    /// Called once, when no request comes any more; handles may still be open, since the kernel does not release them when a mount
    /// is taken away by force. Writes out everything and gives back what is held. Requests that are not yet answered are answered.
    ///
    /// # Errors
    /// What could not be written and is lost.
    fn stop(&self) -> Result<(), StopError> {
        Ok(())
    }
}

/// Payload memory, handed out in leases. All of it belongs to the host.
pub trait Payload: Send + Sync + 'static {
    /// Memory for `bytes` bytes to read into; `None` if the budget is used up.
    fn take_read(&self, bytes: u32) -> Option<Lease>;

    /// Memory that begins with `bytes` bytes to be written, and how many it has in total from the beginning of the lease; `None` if
    /// the budget is used up.
    fn take_write(&self, bytes: u32) -> Option<(Lease, u32)>;

    /// Fills `lease`, which is as long as `bytes`.
    fn copy_in(&self, lease: Lease, bytes: &[u8]);

    /// Shows the bytes of `lease`, once.
    fn with(&self, lease: Lease, use_bytes: &mut dyn FnMut(&[u8]));

    /// Gives back the memory that `lease` is in.
    fn free(&self, lease: Lease);
}

/// Why not everything could be written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopError(pub String);

impl fmt::Display for StopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StopError {}
