//! When which cell wants to be woken.
//!
//! Owner: the runtime. Each cell has at most one alarm. The owner of a machine sets it before it lets the machine go,
//! and only if the machine's deadline lies before the alarm that is set: deadlines that move back leave the alarm
//! alone. It rings too early then, the cell finds nothing due and sets it anew. So the lock in here is taken about
//! once per ring, not once per input.
//!
//! ```text
//!   none ── set(at) ──► set ── ring: handed to a worker, which sets it anew if need be ──► none
//!                      └──┘ set(earlier)
//! ```
//!
//! Limits: [`CELLS_MAX`] cells.

use crate::sync::{Clock, Condvar, Mutex, lock, wait};
use crate::turn::Runnable;
use flyer_types::Time;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

/// Most cells of a runtime: thousands of connections and a few shards per processor.
pub(crate) const CELLS_MAX: usize = 1 << 14;

/// A cell, as the timer knows it.
pub(crate) type CellIndex = usize;

/// The alarms of all cells.
#[derive(Default)]
pub(crate) struct Timer {
    pub(crate) plan: Mutex<Plan>,
    pub(crate) changed: Condvar,
}

/// What is behind the lock.
#[derive(Default)]
pub(crate) struct Plan {
    cells: Vec<Alarm>,
    by_time: BTreeSet<(Time, CellIndex)>,
    /// Rows of cells that are gone.
    vacant: Vec<CellIndex>,
    has_ended: bool,
}

/// The alarm of one cell.
struct Alarm {
    cell: Weak<dyn Runnable>,
    at: Option<Time>,
}

impl Timer {
    /// Adds a cell that is made from its index; `None` at the limit.
    pub(crate) fn add<R: Runnable + 'static>(
        &self,
        make: impl FnOnce(CellIndex) -> Arc<R>,
    ) -> Option<Arc<R>> {
        let mut plan = lock(&self.plan);
        let index = plan.vacant_index()?;
        let cell = make(index);
        let weak: Weak<R> = Arc::downgrade(&cell);
        let alarm = Alarm { cell: weak, at: None };
        match plan.cells.get_mut(index) {
            Some(vacant) => *vacant = alarm,
            None => plan.cells.push(alarm),
        }
        Some(cell)
    }

    /// Removes a cell that is being dropped.
    pub(crate) fn remove(&self, index: CellIndex) {
        let mut plan = lock(&self.plan);
        plan.take_alarm(index);
        plan.vacant.push(index);
    }

    /// Sets the alarm of a cell, in place of the one that is set.
    pub(crate) fn set(&self, index: CellIndex, at: Time) {
        let mut plan = lock(&self.plan);
        plan.take_alarm(index);
        plan.cells[index].at = Some(at);
        plan.by_time.insert((at, index));
        let is_first = plan.by_time.first() == Some(&(at, index));
        drop(plan);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// What the thread of the timer does until the end.
    pub(crate) fn work(&self, clock: &Clock) {
        let mut plan = lock(&self.plan);
        while !plan.has_ended {
            let Some((at, _)) = plan.by_time.first().copied() else {
                plan = wait(&self.changed, plan);
                continue;
            };
            let now = clock.now();
            if now < at {
                plan = clock.wait_until(&self.changed, plan, at);
                continue;
            }
            let due = plan.take_due(now);
            // The cells have locks of their own, whose owners set alarms.
            drop(plan);
            for cell in due {
                if cell.ring() {
                    // Once the workers have ended nothing is timed any more.
                    drop(cell.hand_over());
                }
            }
            plan = lock(&self.plan);
        }
    }

    /// Lets the thread of the timer leave.
    pub(crate) fn end(&self) {
        lock(&self.plan).has_ended = true;
        self.changed.notify_all();
    }

    /// All cells that still exist.
    pub(crate) fn cells(&self) -> Vec<Arc<dyn Runnable>> {
        lock(&self.plan)
            .cells
            .iter()
            .filter_map(|alarm| alarm.cell.upgrade())
            .collect()
    }
}

impl Plan {
    /// The index of a cell that is gone, or a new one.
    fn vacant_index(&mut self) -> Option<CellIndex> {
        let len = self.cells.len();
        self.vacant.pop().or_else(|| (len < CELLS_MAX).then_some(len))
    }

    /// Takes the alarm of a cell back.
    fn take_alarm(&mut self, index: CellIndex) {
        if let Some(at) = self.cells[index].at.take() {
            let was_planned = self.by_time.remove(&(at, index));
            assert!(
                was_planned,
                "the alarm of cell {index} at {at} was not in the plan"
            );
        }
    }

    /// Takes the alarms that are due, earliest first.
    fn take_due(&mut self, now: Time) -> Vec<Arc<dyn Runnable>> {
        let mut due = Vec::new();
        while let Some((at, index)) = self.by_time.first().copied()
            && at <= now
        {
            self.take_alarm(index);
            due.extend(self.cells[index].cell.upgrade());
        }
        due
    }
}
