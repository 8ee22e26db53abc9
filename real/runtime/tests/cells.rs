//! Cells on real threads and by a real clock: limits, who runs what, panics, and a stress of all together.

#![allow(clippy::disallowed_methods, reason = "threads live here")]

use flyer_runtime::{Cell, Full, Host, Limits, Options, Panicked, Phase, Refused, Runtime};
use flyer_types::{Checked, Effects, Machine, Reason, Span, Time};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, ThreadId};

/// What the test machine is told.
#[derive(Debug, PartialEq, Eq)]
enum In {
    /// Pass this on until no hops are left, then report it.
    Hop { hops: u32, value: u64 },
    /// Report when this much time has passed.
    Arm(Span),
    /// A bug.
    Panic,
}

#[derive(Debug)]
enum Out {
    Send { hops: u32, value: u64 },
    Report(u64),
}

/// Reported when a deadline has passed.
const RANG: u64 = u64::MAX;

#[derive(Default)]
struct Hopper {
    deadline: Option<Time>,
}

impl Machine for Hopper {
    type In = In;
    type Out = Out;

    fn handle(&mut self, now: Time, input: In, out: &mut Effects<Out>) {
        match input {
            In::Hop { hops: 0, value } => out.push(Out::Report(value)),
            In::Hop { hops, value } => out.push(Out::Send {
                hops: hops - 1,
                value,
            }),
            In::Arm(after) => self.deadline = Some(now + after),
            In::Panic => panic!("a bug of the machine"),
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out>) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.deadline = None;
            out.push(Out::Report(RANG));
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        Some((self.deadline?, Reason::named("armed")))
    }

    fn check(&self) {}
}

/// A value and the thread that reported it.
type Report = (u64, ThreadId);

struct Link {
    next: OnceLock<Cell<Checked<Hopper>, Arc<Link>>>,
    reports: Mutex<Sender<Report>>,
    /// What else a leaf does.
    on_leaf: fn(&Link),
}

impl Host<Checked<Hopper>> for Link {
    type Leaf = u64;

    fn route(&self, _now: Time, effect: Out, leaves: &mut Vec<u64>) {
        match effect {
            Out::Send { hops, value } => {
                let next = self.next.get().expect("linked");
                next.send(In::Hop { hops, value }).expect("there is room");
            }
            Out::Report(value) => leaves.push(value),
        }
    }

    fn perform(&self, leaf: u64) {
        (self.on_leaf)(self);
        let reports = self.reports.lock().expect("nobody panics here");
        // The test may have stopped listening.
        let _: Result<(), _> = reports.send((leaf, thread::current().id()));
    }
}

type TestCell = Cell<Checked<Hopper>, Arc<Link>>;

fn cell_with(
    runtime: &Runtime,
    limits: Limits,
    on_leaf: fn(&Link),
) -> (TestCell, Arc<Link>, Receiver<Report>) {
    let (reports, received) = channel();
    let link = Arc::new(Link {
        next: OnceLock::new(),
        reports: Mutex::new(reports),
        on_leaf,
    });
    let machine = Checked::new(Hopper::default());
    let cell = runtime
        .cell("hopper", machine, Arc::clone(&link), limits)
        .expect("there is room");
    (cell, link, received)
}

fn cell(runtime: &Runtime) -> (TestCell, Arc<Link>, Receiver<Report>) {
    cell_with(runtime, Limits::default(), |_| ())
}

fn start() -> Runtime {
    Runtime::start(Options::default()).expect("threads can be started")
}

#[test]
fn an_idle_cell_is_run_by_the_poster_before_the_post_returns() {
    let runtime = start();
    let (a, link, reports) = cell(&runtime);
    let (b, _, reports_of_b) = cell(&runtime);
    link.next.set(b).expect("set once");
    a.post(In::Hop { hops: 0, value: 1 }).expect("open");
    assert_eq!(reports.try_recv(), Ok((1, thread::current().id())));
    a.post(In::Hop { hops: 1, value: 2 }).expect("open");
    assert_eq!(reports_of_b.try_recv(), Ok((2, thread::current().id())));
    assert_eq!(a.watch().handled, 2);
}

#[test]
fn a_long_chain_of_messages_needs_no_stack_and_ends_on_a_worker() {
    let runtime = start();
    let (a, link_a, reports_a) = cell(&runtime);
    let (b, link_b, _reports) = cell(&runtime);
    link_a.next.set(b).expect("set once");
    link_b.next.set(a.clone()).expect("set once");
    a.post(In::Hop {
        hops: 200_000,
        value: 3,
    })
    .expect("open");
    let (value, by) = reports_a.recv().expect("the chain ends");
    assert_eq!(value, 3);
    assert_ne!(
        by,
        thread::current().id(),
        "the poster was kept beyond its budget"
    );
    runtime.end().expect("nobody panicked");
}

#[test]
fn deadlines_are_kept_by_a_worker_and_show_in_the_watch() {
    let runtime = start();
    let (cell, _link, reports) = cell(&runtime);
    let before = runtime.now();
    cell.post(In::Arm(Span::from_secs(3600))).expect("open");
    let (at, reason) = cell.watch().deadline.expect("armed");
    assert_eq!(reason, Reason::named("armed"));
    assert!(at >= before + Span::from_secs(3600));
    cell.post(In::Arm(Span::from_ms(2))).expect("open");
    let (value, by) = reports.recv().expect("the deadline passes");
    assert_eq!(value, RANG);
    assert_ne!(by, thread::current().id());
    assert!(runtime.now() >= before + Span::from_ms(2));
    assert_eq!(runtime.watch().len(), 1);
}

/// Posts, from within a leaf, to the cell that is `next`, whose machine is idle but cannot be run by this thread now.
fn fill_next(link: &Link) {
    let Some(next) = link.next.get() else { return };
    let hop = |value| In::Hop { hops: 0, value };
    assert_eq!(next.try_post(hop(10)), Ok(()));
    assert_eq!(next.try_post(hop(11)), Ok(()));
    assert_eq!(next.try_post(hop(12)), Err(Refused::Full(hop(12))));
    for value in 20..23 {
        assert_eq!(next.send(hop(value)), Ok(()));
    }
    assert_eq!(next.send(hop(23)), Err(Refused::Full(hop(23))));
    let watch = next.watch();
    assert_eq!(
        (watch.queued, watch.is_running, watch.phase),
        (5, false, Phase::Open)
    );
    assert!(watch.oldest.is_some());
}

#[test]
fn each_limit_of_an_inbox_is_reached_and_answered() {
    let runtime = start();
    let limits = Limits {
        external_max: 2,
        internal_max: 3,
    };
    let (full, _link, reports) = cell_with(&runtime, limits, |_| ());
    let (filler, link, reports_of_filler) = cell_with(&runtime, Limits::default(), fill_next);
    link.next.set(full.clone()).expect("set once");
    filler.post(In::Hop { hops: 0, value: 1 }).expect("open");
    assert!(
        reports_of_filler.try_recv().is_ok(),
        "the leaf found everything as it should be"
    );
    let values: Vec<_> = reports.try_iter().map(|(value, _)| value).collect();
    assert_eq!(values, [10, 11, 20, 21, 22]);
    assert_eq!((full.watch().queued, full.watch().oldest), (0, None));
}

#[test]
fn a_runtime_has_room_for_so_many_cells_and_for_new_ones_when_old_ones_go() {
    let runtime = start();
    let mut cells: Vec<_> = (0..1 << 14).map(|_| cell(&runtime)).collect();
    let (reports, _received) = channel();
    let link = || {
        Arc::new(Link {
            next: OnceLock::new(),
            reports: Mutex::new(reports.clone()),
            on_leaf: |_| (),
        })
    };
    let refused = runtime.cell("more", Checked::new(Hopper::default()), link(), Limits::default());
    assert_eq!(refused.err(), Some(Full));
    let (old, ..) = cells.swap_remove(77);
    old.post(In::Arm(Span::from_ms(1))).expect("open");
    drop(old);
    let (new, _link, reports) = cell(&runtime);
    new.post(In::Arm(Span::from_ms(2))).expect("open");
    assert_eq!(reports.recv().map(|(value, _)| value), Ok(RANG));
}

#[test]
fn a_panic_kills_its_cell_only() {
    let runtime = start();
    let (bad, link, _reports) = cell(&runtime);
    let (good, _, good_reports) = cell(&runtime);
    link.next.set(good.clone()).expect("set once");
    let poster = bad.clone();
    let result = thread::spawn(move || poster.post(In::Panic)).join();
    assert!(result.is_err(), "the poster ran the machine");
    assert_eq!(bad.post(In::Panic), Err(Refused::Closed(In::Panic)));
    assert_eq!(bad.send(In::Panic), Err(Refused::Closed(In::Panic)));
    assert_eq!((bad.watch().phase, bad.watch().is_running), (Phase::Dead, false));
    good.post(In::Hop { hops: 0, value: 4 }).expect("open");
    assert_eq!(good_reports.recv().map(|(value, _)| value), Ok(4));
    assert_eq!(runtime.end(), Ok(()));
}

#[test]
fn a_panic_of_a_thread_of_the_runtime_is_reported_at_the_end() {
    let runtime = Runtime::start(Options {
        workers: 1,
        turn_inputs_max: 1,
    })
    .expect("threads can be started");
    let (a, link, _reports) = cell_with(&runtime, Limits::default(), |link| {
        let next = link.next.get().expect("linked");
        next.send(In::Panic).expect("there is room");
    });
    let (bad, ..) = cell(&runtime);
    link.next.set(bad.clone()).expect("set once");
    // The budget of one input is used up, so a worker gets the bad one.
    a.post(In::Hop { hops: 0, value: 5 }).expect("open");
    assert_eq!(runtime.end(), Err(Panicked { threads: 1 }));
    assert_eq!(bad.watch().phase, Phase::Dead);
}

#[test]
fn what_a_panicking_thread_promised_is_kept_by_a_worker() {
    let runtime = start();
    let (a, link, _reports) = cell_with(&runtime, Limits::default(), |link| {
        let next = link.next.get().expect("linked");
        next.send(In::Hop { hops: 0, value: 8 }).expect("there is room");
        panic!("a bug of the host");
    });
    let (b, _, reports) = cell(&runtime);
    link.next.set(b).expect("set once");
    let poster = thread::spawn(move || a.post(In::Hop { hops: 0, value: 1 }));
    assert!(poster.join().is_err());
    assert_eq!(reports.recv().map(|(value, _)| value), Ok(8));
}

#[test]
fn a_host_that_would_wait_is_told_so() {
    let runtime = start();
    let (a, link, _reports) = cell_with(&runtime, Limits::default(), |link| {
        let next = link.next.get().expect("linked");
        drop(next.post(In::Hop { hops: 0, value: 7 }));
    });
    let (b, ..) = cell(&runtime);
    link.next.set(b).expect("set once");
    let result = thread::spawn(move || a.post(In::Hop { hops: 0, value: 6 })).join();
    let message = result.expect_err("the post inside the leaf panics");
    let message = message.downcast_ref::<String>().expect("a message");
    assert!(message.contains("must not wait"), "{message}");
}

#[test]
fn after_the_end_cells_take_messages_but_no_requests() {
    let runtime = start();
    let (cell, _link, reports) = cell(&runtime);
    runtime.end().expect("nobody panicked");
    let hop = |value| In::Hop { hops: 0, value };
    assert_eq!(cell.post(hop(1)), Err(Refused::Closed(hop(1))));
    assert_eq!(cell.try_post(hop(2)), Err(Refused::Closed(hop(2))));
    assert_eq!(cell.send(hop(3)), Ok(()));
    assert_eq!(
        reports.try_iter().map(|(value, _)| value).collect::<Vec<_>>(),
        [3]
    );
    assert_eq!(cell.watch().phase, Phase::Closing);
}

#[test]
fn many_threads_and_a_ring_of_cells_lose_nothing() {
    const THREADS: u64 = 6;
    const EACH: u64 = 3000;
    let runtime = Runtime::start(Options {
        workers: 2,
        turn_inputs_max: 8,
    })
    .expect("threads can be started");
    let limits = Limits {
        external_max: 4,
        internal_max: 1 << 16,
    };
    let ring: Vec<_> = (0..3).map(|_| cell_with(&runtime, limits, |_| ())).collect();
    for (at, (_, link, _)) in ring.iter().enumerate() {
        link.next
            .set(ring[(at + 1) % ring.len()].0.clone())
            .expect("set once");
    }
    thread::scope(|scope| {
        for number in 0..THREADS {
            let ring = &ring;
            let cells: Vec<_> = ring.iter().map(|(cell, ..)| cell.clone()).collect();
            scope.spawn(move || {
                for seq in 0..EACH {
                    let cell = &cells[usize::try_from(seq).expect("small") % cells.len()];
                    let input = In::Hop {
                        hops: u32::try_from(seq % 5).expect("small"),
                        value: number * EACH + seq,
                    };
                    cell.post(input).expect("open");
                }
            });
        }
    });
    runtime.end().expect("nobody panicked");
    let mut values: Vec<u64> = ring
        .iter()
        .flat_map(|(_, _, reports)| reports.try_iter())
        .map(|(v, _)| v)
        .collect();
    values.sort_unstable();
    assert!(
        values.iter().copied().eq(0..THREADS * EACH),
        "{} values",
        values.len()
    );
}
