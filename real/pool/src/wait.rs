//! Who waits for memory: first come, first served.
//!
//! Owner: the pool. While anybody waits, nobody else is served, whatever the sizes: a large lease does not starve
//! behind small ones. What is freed goes to the first waiter; if it is not enough, the next one waits as well.
//!
//! ```text
//!   join ──► waiting ── serve: memory found, or the system refused ──► settled ── collect ──► gone
//!               └─────────────────── time is up: leave ─────────────────────────────────────► gone
//! ```
//!
//! No wake-up is lost: a waiter first counts itself and then looks for memory; whoever frees memory first offers it and
//! then looks at the count. Both steps of both are sequentially consistent, so one of them sees the other.
//!
//! Limits: [`Options::waiters_max`](crate::Options::waiters_max).

use crate::pool::TakeError;
use flyer_types::LeaseId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often anybody joined before a waiter.
type Ticket = u64;

/// The line of waiters.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Number of those that wait and are not settled.
    waiting: AtomicUsize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
pub(crate) struct Line {
    next: Ticket,
    waiting: VecDeque<Waiting>,
    settled: BTreeMap<Ticket, Result<LeaseId, TakeError>>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    class: usize,
    wake: Arc<Condvar>,
}

impl Waiters {
    /// Number of waiters that are not served yet.
    pub(crate) fn count(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Serves waiters in order until `grab` finds nothing (`None`) for the first of them.
    pub(crate) fn serve(&self, grab: impl FnMut(usize) -> Option<Result<LeaseId, TakeError>>) {
        self.serve_line(&mut self.lock(), grab);
    }

    /// Waits for a block of a class until `until`, or for ever.
    ///
    /// # Errors
    /// Time is up, the line is full, or what `grab` said.
    pub(crate) fn wait(
        &self,
        class: usize,
        until: Option<Instant>,
        waiters_max: usize,
        mut grab: impl FnMut(usize) -> Option<Result<LeaseId, TakeError>>,
    ) -> Result<LeaseId, TakeError> {
        let mut line = self.lock();
        if line.waiting.len() >= waiters_max {
            return Err(TakeError::TooManyWaiters);
        }
        let ticket = line.next;
        line.next += 1;
        let wake = Arc::new(Condvar::new());
        line.waiting.push_back(Waiting {
            ticket,
            class,
            wake: Arc::clone(&wake),
        });
        self.publish(&line);
        self.serve_line(&mut line, &mut grab);
        loop {
            if let Some(result) = line.settled.remove(&ticket) {
                return result;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                line.waiting.retain(|waiting| waiting.ticket != ticket);
                self.publish(&line);
                // It may have been the only one that could not be served.
                self.serve_line(&mut line, &mut grab);
                return Err(TakeError::TimedOut);
            }
            line = match left {
                None => wake.wait(line).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    wake.wait_timeout(line, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
    }

    fn serve_line(&self, line: &mut Line, mut grab: impl FnMut(usize) -> Option<Result<LeaseId, TakeError>>) {
        while let Some(first) = line.waiting.front() {
            let Some(result) = grab(first.class) else { break };
            let first = line.waiting.pop_front().expect("there is a first waiter");
            line.settled.insert(first.ticket, result);
            first.wake.notify_one();
        }
        self.publish(line);
    }

    fn publish(&self, line: &Line) {
        self.waiting.store(line.waiting.len(), Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
