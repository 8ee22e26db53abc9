//! A deadline that has passed wakes its cell, whatever else goes on.

use crate::relay::{In, Out, Recorder, Relay};
use crate::sync::move_clock;
use crate::{Limits, Options, Runtime, check};
use flyer_types::Time;
use shuttle::thread;
use std::sync::Arc;

const ONE_WORKER: Options = Options {
    workers: 1,
    turn_inputs_max: 2,
};

/// Deadlines that passed, in the order in which the machine was told.
fn rang(recorder: &Recorder) -> Vec<u64> {
    let log = recorder.log.lock().expect("nobody panics");
    log.routed
        .iter()
        .filter_map(|out| match out {
            Out::Rang(at) => Some(at.as_ns()),
            Out::Send(..) | Out::Leaf(..) | Out::Note(_) | Out::Finished(_) => None,
        })
        .collect()
}

#[test]
fn a_deadline_wakes_its_cell_and_an_earlier_one_wakes_it_earlier() {
    check(|| {
        let runtime = Arc::new(Runtime::start(ONE_WORKER).expect("threads can be started"));
        let recorder = Recorder::default();
        let cell = runtime
            .cell("timed", Relay::default(), recorder.clone(), Limits::default())
            .expect("there is room");
        let armers = [100, 50].map(|at| {
            let cell = cell.clone();
            thread::spawn(move || cell.post(In::Arm(Time::from_ns(at))).expect("the cell is open"))
        });
        for armer in armers {
            armer.join().expect("the thread ends");
        }
        move_clock(&runtime, 60);
        recorder.signal.wait_for(1);
        assert_eq!(rang(&recorder), [50]);
        move_clock(&runtime, 100);
        recorder.signal.wait_for(2);
        Arc::into_inner(runtime)
            .expect("the last handle")
            .end()
            .expect("no thread panicked");
        assert_eq!(rang(&recorder), [50, 100]);
    });
}

#[test]
fn a_ring_while_the_machine_runs_and_sets_deadlines_is_not_lost() {
    check(|| {
        let runtime = Arc::new(Runtime::start(ONE_WORKER).expect("threads can be started"));
        let recorder = Recorder::default();
        let cell = runtime
            .cell("timed", Relay::default(), recorder.clone(), Limits::default())
            .expect("there is room");
        cell.post(In::Arm(Time::from_ns(10))).expect("the cell is open");
        let armers = [30, 20].map(|at| {
            let cell = cell.clone();
            thread::spawn(move || cell.post(In::Arm(Time::from_ns(at))).expect("the cell is open"))
        });
        // The first deadline passes while the others are being set.
        move_clock(&runtime, 10);
        for armer in armers {
            armer.join().expect("the thread ends");
        }
        recorder.signal.wait_for(1);
        move_clock(&runtime, 20);
        recorder.signal.wait_for(2);
        move_clock(&runtime, 30);
        recorder.signal.wait_for(3);
        Arc::into_inner(runtime)
            .expect("the last handle")
            .end()
            .expect("no thread panicked");
        assert_eq!(rang(&recorder), [10, 20, 30]);
        assert_eq!(cell.watch().deadline, None);
    });
}

#[test]
fn a_machine_that_is_born_with_a_deadline_is_woken() {
    check(|| {
        let runtime = Arc::new(Runtime::start(ONE_WORKER).expect("threads can be started"));
        let recorder = Recorder::default();
        let relay = Relay::armed(Time::from_ns(5));
        let mover = {
            let runtime = Arc::clone(&runtime);
            thread::spawn(move || move_clock(&runtime, 5))
        };
        let cell = runtime
            .cell("timed", relay, recorder.clone(), Limits::default())
            .expect("there is room");
        recorder.signal.wait_for(1);
        mover.join().expect("the thread ends");
        drop(cell);
        Arc::into_inner(runtime)
            .expect("the last handle")
            .end()
            .expect("no thread panicked");
    });
}
