//! What one thread has to do before it returns from a post.
//!
//! Owner: the thread. A thread that runs a cell does not run another one from within: it notes the cell on its list
//! and comes back to it when the first has been released. So a chain of messages from cell to cell uses a constant
//! amount of stack, and no thread ever owns two machines.
//!
//! ```text
//!   begin ──► run the first cell ──► cells on the list? ── yes ──► run the next, or hand it to a worker ──┐
//!                                      ▲     │ no                                                         │
//!                                      │     ▼                                                            │
//!                                      │   leaves left? ── yes ──► perform one ──► ───────────────────────┤
//!                                      │     │ no                                                         │
//!                                      │     ▼                                                            │
//!                                      │    end                                                           │
//!                                      └──────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Limits: the list holds each cell at most once. A turn handles at most [`Options::turn_inputs_max`] inputs before it
//! hands what is left to the workers; once they have ended, it goes on by itself.
//!
//! [`Options::turn_inputs_max`]: crate::Options::turn_inputs_max

use crate::inbox::Watch;
use crate::sync::thread_local;
use flyer_types::Time;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// A cell, whatever its machine is.
pub(crate) trait Runnable: Send + Sync {
    /// Runs the machine if it is idle and has something to do; the leaves of this run are handed back.
    fn run(self: Arc<Self>, budget: &mut Budget) -> Option<Box<dyn Leaves>>;

    /// Queues the cell for the workers. Hands it back once they have ended.
    fn hand_over(self: Arc<Self>) -> Result<(), Arc<dyn Runnable>>;

    /// The timer of the cell rings. Says whether somebody has to be found to run it.
    fn ring(&self) -> bool;

    /// Accepts nothing from outside any more.
    fn close(&self);

    /// What a watchdog wants to know.
    fn watch(&self) -> Watch;
}

/// The leaves of one run of one cell.
pub(crate) trait Leaves {
    /// Performs the next one; `false` if there was none.
    fn perform_next(&mut self) -> bool;
}

/// How many inputs a thread still handles in this turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    pub(crate) inputs: u32,
    full: u32,
}

impl Budget {
    pub(crate) const fn new(inputs: u32) -> Self {
        Self { inputs, full: inputs }
    }
}

thread_local! {
    /// Whether this thread is in a turn.
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
    /// The time at which the batch began that this thread is handling.
    static NOW: Cell<Time> = const { Cell::new(Time::ZERO) };
    /// The cells that this thread promised to run, each once.
    static PROMISED: RefCell<VecDeque<Arc<dyn Runnable>>> = const { RefCell::new(VecDeque::new()) };
}

/// Whether this thread is in a turn: a post would have to wait until it is over.
pub(crate) fn is_running() -> bool {
    IS_RUNNING.with(Cell::get)
}

/// The time at which this thread's batch began. Saves a look at the clock for each message between cells.
pub(crate) fn now() -> Time {
    NOW.with(Cell::get)
}

/// A batch begins.
pub(crate) fn set_now(now: Time) {
    NOW.with(|cell| cell.set(now));
}

/// Puts a cell on the list of this thread.
pub(crate) fn promise<R: Runnable + 'static>(cell: &Arc<R>) {
    assert!(is_running(), "a promise outside a turn would never be kept");
    PROMISED.with(|promised| {
        let mut promised = promised.borrow_mut();
        let is_known = promised
            .iter()
            .any(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(cell)));
        if !is_known {
            promised.push_back(Arc::clone(cell) as Arc<dyn Runnable>);
        }
    });
}

/// Whether this thread owes a cell a run.
pub(crate) fn is_owing() -> bool {
    PROMISED.with(|promised| !promised.borrow().is_empty())
}

/// Takes the next cell off the list.
fn next_promised() -> Option<Arc<dyn Runnable>> {
    PROMISED.with(|promised| promised.borrow_mut().pop_front())
}

/// A turn of this thread; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn(());

impl Turn {
    /// Begins a turn on a thread that is in none.
    pub(crate) fn begin() -> Self {
        let was_running = IS_RUNNING.with(|running| running.replace(true));
        assert!(!was_running, "turns do not nest");
        Self(())
    }

    /// Does everything this thread owes: first all cells, then the leaves, and after each leaf the cells it woke.
    pub(crate) fn finish(self, budget: &mut Budget, first: Option<Box<dyn Leaves>>) {
        let mut leaves: VecDeque<Box<dyn Leaves>> = first.into_iter().collect();
        loop {
            if let Some(cell) = next_promised() {
                leaves.extend(run_or_hand_over(cell, budget));
                continue;
            }
            let Some(batch) = leaves.front_mut() else { break };
            if !batch.perform_next() {
                leaves.pop_front();
            }
        }
    }
}

/// Runs a cell, or hands it over if the budget is used up.
fn run_or_hand_over(cell: Arc<dyn Runnable>, budget: &mut Budget) -> Option<Box<dyn Leaves>> {
    if budget.inputs > 0 {
        return cell.run(budget);
    }
    let cell = cell.hand_over().err()?;
    *budget = Budget::new(budget.full);
    cell.run(budget)
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Only a panic leaves cells on the list: they belong to others, who are not to wait for this thread.
        while let Some(cell) = next_promised() {
            drop(cell.hand_over());
        }
        IS_RUNNING.with(|running| running.set(false));
    }
}
