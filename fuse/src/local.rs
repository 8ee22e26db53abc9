//! The embedded cluster as a file system that can be mounted.

use crate::adapter::ReplyTo;
use crate::file_system::{FileSystem, Payload, StopError};
use crate::notify::Invalidations;
use flyer_local::cluster::{KernelSide, Mount, OpenError, Options};
use flyer_pool::Pool;
use flyer_types::{Errno, Lease};
use flyer_vfs::reply::{Invalidate, Reply};
use flyer_vfs::{Caller, Request};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// An embedded cluster.
pub struct Local {
    mount: Mount<Kernel>,
    payload: Arc<dyn Payload>,
    invalidations: Arc<OnceLock<Invalidations>>,
}

/// The kernel as the cluster sees it.
struct Kernel {
    payload: Arc<dyn Payload>,
    invalidations: Arc<OnceLock<Invalidations>>,
}

impl Local {
    /// Opens the cluster in `directory`, and makes one where there is none. `pool` is the memory of reads and writes.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path, options: &Options, pool: Arc<Pool>) -> Result<Self, OpenError> {
        let payload: Arc<dyn Payload> = Arc::new(PoolPayload(Arc::clone(&pool)));
        let invalidations = Arc::new(OnceLock::new());
        let kernel = Kernel {
            payload: Arc::clone(&payload),
            invalidations: Arc::clone(&invalidations),
        };
        let mount = Mount::open(directory, options, pool, kernel)?;
        Ok(Self {
            mount,
            payload,
            invalidations,
        })
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("mount", &self.mount)
            .finish_non_exhaustive()
    }
}

impl FileSystem for Local {
    fn submit(&self, caller: Caller, request: Request, reply: ReplyTo) {
        self.mount.submit(caller, request, reply);
    }

    fn payload(&self) -> &Arc<dyn Payload> {
        &self.payload
    }

    fn start(&self, invalidations: Invalidations) {
        assert!(
            self.invalidations.set(invalidations).is_ok(),
            "a file system is started once"
        );
    }

    fn sync(&self) -> Result<(), StopError> {
        self.mount.sync().map_err(|error| StopError(error.to_string()))
    }

    fn stop(&self) -> Result<(), StopError> {
        self.mount.end().map_err(|error| StopError(error.to_string()))
    }
}

impl KernelSide for Kernel {
    type Reply = ReplyTo;

    fn reply(&self, reply: ReplyTo, answer: Result<Reply, Errno>) {
        reply.send(answer, &*self.payload);
    }

    fn invalidate(&self, what: Invalidate) {
        // Before the start the kernel knows nothing that it could forget.
        if let Some(invalidations) = self.invalidations.get() {
            invalidations.put(what);
        }
    }
}

/// Payload memory from a pool.
struct PoolPayload(Arc<Pool>);

impl PoolPayload {
    fn take(&self, bytes: u32) -> Option<Lease> {
        let bytes = usize::try_from(bytes).expect("32 bits");
        match self.0.take(bytes) {
            Ok(lease) => Some(lease),
            Err(error) => {
                tracing::error!("no payload memory: {error}");
                None
            }
        }
    }
}

impl Payload for PoolPayload {
    fn take_read(&self, bytes: u32) -> Option<Lease> {
        self.take(bytes)
    }

    fn take_write(&self, bytes: u32) -> Option<(Lease, u32)> {
        let lease = self.take(bytes)?;
        let room = self.0.room(lease).unwrap_or(bytes);
        Some((lease, room))
    }

    fn copy_in(&self, lease: Lease, bytes: &[u8]) {
        if let Err(error) = self.0.copy_in(lease, bytes) {
            tracing::error!("payload memory was not used as agreed: {error}");
        }
    }

    fn with(&self, lease: Lease, use_bytes: &mut dyn FnMut(&[u8])) {
        if let Err(error) = self.0.with_read(lease, &mut *use_bytes) {
            tracing::error!("payload memory was not used as agreed: {error}");
            use_bytes(&[]);
        }
    }

    fn free(&self, lease: Lease) {
        if let Err(error) = self.0.free(lease.id) {
            tracing::error!("payload memory was not used as agreed: {error}");
        }
    }
}
