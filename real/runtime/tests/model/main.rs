//! Models of the cells: the sources of this crate, compiled over locks and threads whose order a checker chooses.
//!
//! Each model is run under thousands of schedules; a schedule in which threads wait for each other for ever fails.
//! The checker knows no weak memory; the sources use nothing but locks and condition variables.

#![allow(dead_code, unreachable_pub, reason = "the sources are those of a library")]

#[path = "../../src/cell.rs"]
mod cell;
#[path = "../../src/inbox.rs"]
mod inbox;
mod messages;
mod relay;
#[path = "../../src/runtime.rs"]
mod runtime;
mod sync;
mod threads;
#[path = "../../src/timer.rs"]
mod timer;
mod timers;
#[path = "../../src/turn.rs"]
mod turn;
#[path = "../../src/workers.rs"]
mod workers;

use crate::inbox::Limits;
use crate::runtime::{Options, Runtime};

/// Schedules per model and strategy.
const SCHEDULES: usize = 500;

/// Runs a model under random schedules, and under schedules that switch threads at a few points only, which find
/// what needs one thread to be slow.
fn check(model: impl Fn() + Send + Sync + Clone + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x4_0000;
    config.silence_warnings = true;
    let random = shuttle::scheduler::RandomScheduler::new(SCHEDULES);
    shuttle::Runner::new(random, config.clone()).run(model.clone());
    let few_switches = shuttle::scheduler::PctScheduler::new(3, SCHEDULES);
    shuttle::Runner::new(few_switches, config).run(model);
}
