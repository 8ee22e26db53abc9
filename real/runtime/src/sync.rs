//! Locks, threads and the clock of the cells.
//!
//! Owner: this crate. The other modules take them from here only, so that `tests/model` can put a scheduler of its own
//! in their place: a clock that the test moves and locks whose every use is a point where threads may be switched.

use flyer_types::Time;
use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::JoinHandle;
pub(crate) use std::thread_local;

/// The monotonic clock of a runtime; zero is when it was made.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that shows zero now.
    pub(crate) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Time {
        // 584 years fit.
        Time::from_ns(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Waits until notified or, at the latest, about `at`. May return early.
    pub(crate) fn wait_until<'a, T>(
        &self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        at: Time,
    ) -> MutexGuard<'a, T> {
        let left = Duration::from_nanos(at.since(self.now()).as_ns());
        condvar
            .wait_timeout(guard, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// Locks. A panic while a lock is held leaves nothing half done in this crate, so poison is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until notified. May return early.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread.
///
/// # Errors
/// The system has no room for another thread.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(body)
}
