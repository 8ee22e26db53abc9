//! What the sources of the crate take from `sync`, as the checker has it. The clock stands still until a model moves it.

use crate::runtime::Runtime;
use flyer_types::Time;
use shuttle::sync::LockResult;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use shuttle::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use shuttle::thread::JoinHandle;
pub(crate) use shuttle::thread_local;

/// A clock that a model moves.
#[derive(Debug)]
pub(crate) struct Clock {
    ns: AtomicU64,
}

impl Clock {
    pub(crate) const fn start() -> Self {
        Self {
            ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_ns(self.ns.load(Ordering::SeqCst))
    }

    /// Waits until notified: by whom there is news, or by who moves the clock.
    pub(crate) fn wait_until<'a, T>(
        &self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        _at: Time,
    ) -> MutexGuard<'a, T> {
        wait(condvar, guard)
    }
}

/// Moves the clock of a runtime and lets its timer look at it, as time itself would.
pub(crate) fn move_clock(runtime: &Runtime, ns: u64) {
    let core = &runtime.core;
    core.clock.ns.store(ns, Ordering::SeqCst);
    drop(lock(&core.timer.plan));
    core.timer.changed.notify_all();
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    unpoisoned(mutex.lock())
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    unpoisoned(condvar.wait(guard))
}

fn unpoisoned<T>(result: LockResult<T>) -> T {
    result.unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    shuttle::thread::Builder::new().name(name.into()).spawn(body)
}
