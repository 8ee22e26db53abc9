//! The threads that nobody lends, and their end.
//!
//! Owner: the program. Posters run cells on their own threads; a runtime adds one thread that wakes cells at their
//! deadlines and a few workers for what posters leave over.
//!
//! ```text
//!   running ── end: cells accept nothing new from outside ──► timer joined ──► workers empty their queue, joined
//! ```
//!
//! After the end a cell still accepts messages of other cells and the ends of what was under way, and whoever sends
//! them runs them; only time has stopped.
//!
//! Limits: [`Options`], and `timer::CELLS_MAX` cells.

use crate::cell::{Cell, Host};
use crate::inbox::{Limits, Watch};
use crate::sync::{Clock, JoinHandle, spawn};
use crate::timer::Timer;
use crate::workers::Workers;
use flyer_types::{Machine, Time};
use std::fmt;
use std::io;
use std::sync::Arc;

/// Sizes of a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Threads for cells that were handed over and for timeouts; at least one. A leaf that takes long occupies one.
    pub workers: usize,
    /// Inputs that a thread handles, its own and those of others, before it hands what is left to the workers.
    pub turn_inputs_max: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: 2,
            turn_inputs_max: 256,
        }
    }
}

/// No room for another cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime has as many cells as it can have")
    }
}

impl std::error::Error for Full {}

/// Threads of the runtime that ended by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// How many.
    pub threads: usize,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} threads of the runtime ended by a panic", self.threads)
    }
}

impl std::error::Error for Panicked {}

/// What cells and threads share.
pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) timer: Timer,
    pub(crate) workers: Workers,
    pub(crate) options: Options,
}

/// The threads behind the cells. Ends them when dropped.
pub struct Runtime {
    pub(crate) core: Arc<Core>,
    timer: Option<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no room for them.
    ///
    /// # Panics
    /// If an option is zero.
    pub fn start(options: Options) -> io::Result<Self> {
        assert!(options.workers > 0, "without workers nothing would ever time out");
        assert!(
            options.turn_inputs_max > 0,
            "a turn that handles nothing would never end"
        );
        let core = Arc::new(Core {
            clock: Clock::start(),
            timer: Timer::default(),
            workers: Workers::default(),
            options,
        });
        let mut this = Self {
            core: Arc::clone(&core),
            timer: None,
            workers: Vec::new(),
        };
        for index in 0..options.workers {
            let core = Arc::clone(&core);
            let body = move || core.workers.work(core.options.turn_inputs_max);
            this.workers.push(spawn(&format!("cells-{index}"), body)?);
        }
        this.timer = Some(spawn("cell-timer", move || core.timer.work(&core.clock))?);
        Ok(this)
    }

    /// Puts a machine into a cell. The name is for the watchdog.
    ///
    /// # Errors
    /// There is no room for another cell.
    pub fn cell<M, H>(
        &self,
        name: &'static str,
        machine: M,
        host: H,
        limits: Limits,
    ) -> Result<Cell<M, H>, Full>
    where
        M: Machine + Send + 'static,
        M::In: Send + 'static,
        M::Out: Send + 'static,
        H: Host<M>,
    {
        Cell::new(&self.core, name, machine, host, limits).ok_or(Full)
    }

    /// Monotonic time since the start: what the machines are told.
    #[must_use]
    pub fn now(&self) -> Time {
        self.core.clock.now()
    }

    /// What a watchdog wants to know about each cell.
    #[must_use]
    pub fn watch(&self) -> Vec<Watch> {
        self.core.timer.cells().iter().map(|cell| cell.watch()).collect()
    }

    /// Closes all cells to the outside, lets the workers finish what they were handed and joins all threads. Posters
    /// that wait for room get their input back. A cell made during the call may stay open.
    ///
    /// # Errors
    /// Threads that had panicked.
    ///
    /// # Panics
    /// If called by a thread of this runtime, which cannot wait for itself.
    pub fn end(mut self) -> Result<(), Panicked> {
        self.join_all()
    }

    fn join_all(&mut self) -> Result<(), Panicked> {
        for cell in self.core.timer.cells() {
            cell.close();
        }
        self.core.timer.end();
        let timer = self.timer.take().into_iter();
        let mut threads = timer.map(|thread| usize::from(thread.join().is_err())).sum();
        self.core.workers.end();
        for worker in self.workers.drain(..) {
            threads += usize::from(worker.join().is_err());
        }
        if threads == 0 {
            Ok(())
        } else {
            Err(Panicked { threads })
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Whoever wants to know about panics calls `end`.
        let _: Result<(), Panicked> = self.join_all();
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("options", &self.core.options)
            .finish_non_exhaustive()
    }
}
