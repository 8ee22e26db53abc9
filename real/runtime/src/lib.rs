//! Shard cells: machines shared by threads without a global lock.
//!
//! A [`Cell`] is a bounded inbox around one [`Machine`](flyer_types::Machine). Whoever posts an input to an idle cell
//! runs the machine at once, on its own thread; whoever posts to a busy one returns at once, since the thread that
//! runs it looks into the inbox again before it lets go. What the machine wants done goes to a [`Host`]. A [`Runtime`]
//! owns the threads that nobody lends: one for timers, some for what is left over.
//!
//! | module | content |
//! |---|---|
//! | `cell` | [`Cell`], [`Host`]: who runs the machine, and the order of what it wants done |
//! | `inbox` | what the lock of a cell protects: queued inputs, limits, the idle machine |
//! | `turn` | what one thread has to do before it returns from a post: cells to run, leaves to perform |
//! | `timer` | when which cell wants to be woken |
//! | `workers` | cells handed over by threads that have done enough for others |
//! | `runtime` | [`Runtime`]: the threads and their end |
//! | `sync` | locks, threads and the clock; replaced when the algorithm is model-checked (`tests/model`) |
//!
//! # Order
//!
//! 1. Inputs of one producer to one cell are handled in the order in which they were posted, each exactly once.
//! 2. Messages from one cell to another arrive in the order in which the machine emitted them, whichever threads ran
//!    it: they are enqueued while the machine is still owned.
//! 3. The leaves of one run of a cell are performed by one thread, in the order in which they were emitted, after all
//!    messages of that run were enqueued. A run is what one thread does between acquiring the machine and releasing it.
//! 4. Leaves of different runs of the same cell may be performed at the same time by different threads, in any order.
//!    A machine that needs one leaf to happen after another emits the second when told that the first is done.
//!
//! # Progress
//!
//! Nothing waits while it owns a machine, and a thread performs leaves only when it has run, or handed to a worker,
//! every cell that it promised to run. So a leaf may take long (a read from a disk), but it must not wait for
//! another leaf: both may be up to the same thread. A message between cells never waits for room in an inbox.
//!
//! A panic of a machine closes its cell for good: what was queued there is lost, and so are the leaves that its thread
//! had yet to perform. Other cells go on. Hosts for production abort on panics.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "clocks and threads live here")]

mod cell;
mod inbox;
mod runtime;
mod sync;
mod timer;
mod turn;
mod workers;

pub use cell::{Cell, Host};
pub use inbox::{Limits, Phase, Refused, Watch};
pub use runtime::{Full, Options, Panicked, Runtime};
