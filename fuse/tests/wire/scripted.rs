//! A file system that does what a test says, and payload memory that counts.

use flyer::{FileSystem, Invalidations, Payload, ReplyTo, StopError};
use flyer_types::Lease;
use flyer_types::ids::{LeaseId, SlotId};
use flyer_vfs::{Caller, Request};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Submit = dyn Fn(Caller, Request, ReplyTo, &Arc<dyn Payload>) + Send + Sync;
type End = dyn Fn() -> Result<(), StopError> + Send + Sync;

pub(crate) struct Scripted {
    pub(crate) submit: Box<Submit>,
    payload: Arc<dyn Payload>,
    /// The same, with what only tests may see.
    pub(crate) memory: Arc<Memory>,
    pub(crate) sync: Box<End>,
    pub(crate) stop: Box<End>,
    pub(crate) invalidations: Mutex<Option<Invalidations>>,
}

impl Scripted {
    pub(crate) fn new(
        submit: impl Fn(Caller, Request, ReplyTo, &Arc<dyn Payload>) + Send + Sync + 'static,
    ) -> Self {
        let memory = Arc::new(Memory::default());
        Self {
            submit: Box::new(submit),
            payload: Arc::clone(&memory) as Arc<dyn Payload>,
            memory,
            sync: Box::new(|| Ok(())),
            stop: Box::new(|| Ok(())),
            invalidations: Mutex::new(None),
        }
    }
}

impl FileSystem for Scripted {
    fn submit(&self, caller: Caller, request: Request, reply: ReplyTo) {
        (self.submit)(caller, request, reply, &self.payload);
    }

    fn payload(&self) -> &Arc<dyn Payload> {
        &self.payload
    }

    fn start(&self, invalidations: Invalidations) {
        *self.invalidations.lock().expect("no panic") = Some(invalidations);
    }

    fn sync(&self) -> Result<(), StopError> {
        (self.sync)()
    }

    fn stop(&self) -> Result<(), StopError> {
        (self.stop)()
    }
}

/// Bytes that the budget of a test allows in one lease.
pub(crate) const LEASE_BYTES_MAX: u32 = 256 << 10;

/// Memory by the slot of its lease. Each lease begins at an odd place, so that nobody may take it for 0.
#[derive(Default)]
pub(crate) struct Memory {
    slots: Mutex<(u32, BTreeMap<u32, Vec<u8>>)>,
}

const OFF: u32 = 3;
/// More than asked for, as a pool of fixed sizes gives.
const SPARE: u32 = 11;

impl Memory {
    pub(crate) fn taken(&self) -> usize {
        self.slots.lock().expect("no panic").1.len()
    }

    pub(crate) fn bytes(&self, lease: Lease) -> Vec<u8> {
        let slots = self.slots.lock().expect("no panic");
        let begin = lease.off as usize;
        slots.1[&lease.id.slot()][begin..begin + lease.len as usize].to_vec()
    }

    fn take(&self, bytes: u32) -> Option<Lease> {
        if bytes > LEASE_BYTES_MAX {
            return None;
        }
        let mut slots = self.slots.lock().expect("no panic");
        slots.0 += 1;
        let slot = slots.0;
        slots.1.insert(slot, vec![0xee; (OFF + bytes + SPARE) as usize]);
        Some(Lease {
            id: LeaseId::new(slot, 1),
            off: OFF,
            len: bytes,
        })
    }
}

impl Payload for Memory {
    fn take_read(&self, bytes: u32) -> Option<Lease> {
        self.take(bytes)
    }

    fn take_write(&self, bytes: u32) -> Option<(Lease, u32)> {
        Some((self.take(bytes)?, bytes + SPARE))
    }

    fn copy_in(&self, lease: Lease, bytes: &[u8]) {
        let mut slots = self.slots.lock().expect("no panic");
        let begin = lease.off as usize;
        let memory = slots.1.get_mut(&lease.id.slot()).expect("it is taken");
        memory[begin..begin + lease.len as usize].copy_from_slice(bytes);
    }

    fn with(&self, lease: Lease, use_bytes: &mut dyn FnMut(&[u8])) {
        use_bytes(&self.bytes(lease));
    }

    fn free(&self, lease: Lease) {
        let freed = self.slots.lock().expect("no panic").1.remove(&lease.id.slot());
        assert!(freed.is_some(), "freed twice: {lease:?}");
    }
}
