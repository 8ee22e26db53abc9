//! Cells handed over to the threads of the runtime.
//!
//! Owner: the runtime. A cell comes here when its timer rings, and when a thread has done enough for others. Workers
//! take turns like any thread; what a worker cannot finish within its budget goes to the end of the queue, so that
//! no cell keeps a worker from the others.
//!
//! Limits: the queue holds each cell at most once.

use crate::sync::{Condvar, Mutex, lock, wait};
use crate::turn::{Budget, Runnable, Turn};
use std::collections::VecDeque;
use std::sync::Arc;

/// The queue of the workers.
#[derive(Default)]
pub(crate) struct Workers {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    cells: VecDeque<Arc<dyn Runnable>>,
    has_ended: bool,
}

impl Workers {
    /// Queues a cell; hands it back once the workers were told to end.
    pub(crate) fn push(&self, cell: Arc<dyn Runnable>) -> Result<(), Arc<dyn Runnable>> {
        let mut queue = lock(&self.queue);
        if queue.has_ended {
            return Err(cell);
        }
        queue.cells.push_back(cell);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// What a worker does until the end: it leaves when the queue is empty.
    pub(crate) fn work(&self, turn_inputs_max: u32) {
        while let Some(cell) = self.next() {
            let turn = Turn::begin();
            let mut budget = Budget::new(turn_inputs_max);
            let leaves = cell.run(&mut budget);
            turn.finish(&mut budget, leaves);
        }
    }

    /// Accepts no more cells and lets the workers leave.
    pub(crate) fn end(&self) {
        lock(&self.queue).has_ended = true;
        self.changed.notify_all();
    }

    /// Waits for a cell; `None` at the end.
    fn next(&self) -> Option<Arc<dyn Runnable>> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(cell) = queue.cells.pop_front() {
                return Some(cell);
            }
            if queue.has_ended {
                return None;
            }
            queue = wait(&self.changed, queue);
        }
    }
}
