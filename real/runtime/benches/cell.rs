//! What a cell costs: a post to an idle cell whose machine does next to nothing, and what comes on top of it.
//!
//! `cargo bench -p flyer-runtime --bench cell` prints the best of several rounds for each case.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

use flyer_runtime::{Cell, Host, Limits, Options, Runtime};
use flyer_types::{Effects, Machine, Reason, Span, Time};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

const ROUNDS: u32 = 7;

/// Counts, and passes on what it gets while there are hops left.
struct Counter {
    count: u64,
    has_leaf: bool,
    deadline: Option<Time>,
}

enum Out {
    Send(u32),
    Leaf(u64),
}

impl Machine for Counter {
    type In = u32;
    type Out = Out;

    fn handle(&mut self, now: Time, hops: u32, out: &mut Effects<Out>) {
        self.count += 1;
        if self.deadline.is_some() {
            self.deadline = Some(now + Span::from_secs(1));
        }
        if hops > 0 {
            out.push(Out::Send(hops - 1));
        } else if self.has_leaf {
            out.push(Out::Leaf(self.count));
        }
    }

    fn handle_timeout(&mut self, _now: Time, _out: &mut Effects<Out>) {
        self.deadline = None;
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        Some((self.deadline?, Reason::named("bench")))
    }

    fn check(&self) {}
}

/// Passes messages on and counts leaves.
#[derive(Default)]
struct Sink {
    next: OnceLock<Cell<Counter, Sink>>,
    leaves: AtomicU64,
}

impl Host<Counter> for Sink {
    type Leaf = u64;

    fn route(&self, _now: Time, effect: Out, leaves: &mut Vec<u64>) {
        match effect {
            Out::Send(hops) => {
                let next = self.next.get().expect("linked");
                next.send(hops).expect("there is room");
            }
            Out::Leaf(count) => leaves.push(count),
        }
    }

    fn perform(&self, leaf: u64) {
        self.leaves.fetch_add(black_box(leaf) & 1, Ordering::Relaxed);
    }
}

fn main() {
    let runtime = Runtime::start(Options::default()).expect("threads can be started");
    let cell = |has_leaf, deadline: Option<Time>| {
        let machine = Counter {
            count: 0,
            has_leaf,
            deadline,
        };
        runtime
            .cell("bench", machine, Sink::default(), Limits::default())
            .expect("there is room")
    };
    let silent = cell(false, None);
    report("post to an idle cell, no effect", 1_000_000, || {
        silent.post(0).expect("open");
    });
    let answering = cell(true, None);
    report("post to an idle cell, one leaf", 1_000_000, || {
        answering.post(0).expect("open");
    });
    let timed = cell(true, Some(runtime.now() + Span::from_secs(1)));
    report("the same, and a deadline that moves back", 1_000_000, || {
        timed.post(0).expect("open");
    });

    let target = cell(true, None);
    let sink = Sink::default();
    sink.next.set(target).expect("set once");
    let machine = Counter {
        count: 0,
        has_leaf: false,
        deadline: None,
    };
    let first = runtime
        .cell("bench", machine, sink, Limits::default())
        .expect("there is room");
    report("post, one message to another cell, one leaf", 1_000_000, || {
        first.post(1).expect("open");
    });

    const EACH: u32 = 500_000;
    for threads in [2, 4] {
        let shared = cell(true, None);
        let before = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                let shared = &shared;
                scope.spawn(move || (0..EACH).for_each(|_| shared.post(0).expect("open")));
            }
        });
        let each = before.elapsed().as_nanos() / u128::from(EACH * threads);
        println!(
            "{:<52} {each:>6} ns per post, wall clock",
            format!("{threads} threads post to one cell")
        );
    }
    runtime.end().expect("no thread panicked");
}

fn report(what: &str, times: u32, mut body: impl FnMut()) {
    let round = |_| {
        let before = Instant::now();
        (0..times).for_each(|_| body());
        before.elapsed().as_nanos() / u128::from(times)
    };
    let best = (0..ROUNDS).map(round).min().expect("there are rounds");
    println!("{what:<52} {best:>6} ns");
}
