//! The machine of the models, and its host: it numbers what it gets and passes it on.

use crate::cell::{Cell, Host};
use crate::turn;
use flyer_types::{Effects, Machine, Reason, Time};
use std::sync::{Arc, Mutex, OnceLock};

/// What a relay is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum In {
    /// Pass this on: `hops` times to the next cell, then perform a leaf.
    Item(Item),
    /// Ring at this time.
    Arm(Time),
    /// A leaf was performed.
    Done(Item),
}

/// Something that is passed from cell to cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) producer: usize,
    pub(crate) seq: usize,
    pub(crate) hops: usize,
}

/// What a relay wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// A message to the next cell, with its number.
    Send(Item, usize),
    /// A leaf, with its number.
    Leaf(Item, usize),
    /// Comes after each of the above, with the next number.
    Note(usize),
    /// A deadline has passed.
    Rang(Time),
    /// An item is finished.
    Finished(Item),
}

/// Numbers what it emits. While it handles something, other threads get a chance.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    emitted: usize,
    deadlines: Vec<Time>,
}

impl Relay {
    /// A relay with a deadline.
    pub(crate) fn armed(at: Time) -> Self {
        Self {
            emitted: 0,
            deadlines: vec![at],
        }
    }
}

impl Machine for Relay {
    type In = In;
    type Out = Out;

    fn handle(&mut self, _now: Time, input: In, out: &mut Effects<Out>) {
        shuttle::thread::yield_now();
        match input {
            In::Item(item) if item.hops > 0 => {
                let hops = item.hops - 1;
                out.push(Out::Send(Item { hops, ..item }, self.emitted));
                out.push(Out::Note(self.emitted + 1));
                self.emitted += 2;
            }
            In::Item(item) => {
                out.push(Out::Leaf(item, self.emitted));
                out.push(Out::Note(self.emitted + 1));
                self.emitted += 2;
            }
            In::Arm(at) => self.deadlines.push(at),
            In::Done(item) => out.push(Out::Finished(item)),
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out>) {
        for at in self.deadlines.extract_if(.., |at| *at <= now) {
            out.push(Out::Rang(at));
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let at = self.deadlines.iter().min()?;
        Some((*at, Reason::named("armed")))
    }

    fn check(&self) {}
}

/// What happened at one cell, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Effects, in the order in which they were routed.
    pub(crate) routed: Vec<Out>,
    /// Leaves, in the order in which they were performed.
    pub(crate) performed: Vec<Item>,
}

/// Routes and performs, and writes everything down. Never held locked where the checker could switch threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) log: Arc<Mutex<Log>>,
    /// Where messages go, by default nowhere.
    pub(crate) next: Arc<OnceLock<Cell<Relay, Recorder>>>,
    /// Where the ends of leaves go, by default nowhere.
    pub(crate) done: Arc<OnceLock<Cell<Relay, Recorder>>>,
    /// Told of each deadline that passed and of each leaf that was performed.
    pub(crate) signal: Signal,
}

impl Host<Relay> for Recorder {
    type Leaf = Item;

    fn route(&self, _now: Time, effect: Out, leaves: &mut Vec<Item>) {
        self.log.lock().expect("nobody panics").routed.push(effect);
        match effect {
            Out::Send(item, _) => {
                let next = self.next.get().expect("the model has a next cell");
                next.send(In::Item(item)).expect("there is room");
            }
            Out::Leaf(item, _) => leaves.push(item),
            Out::Note(_) => {}
            Out::Rang(_) | Out::Finished(_) => self.signal.raise(),
        }
    }

    fn perform(&self, leaf: Item) {
        assert!(
            !turn::is_owing(),
            "a leaf was performed while a cell waited for this thread"
        );
        shuttle::thread::yield_now();
        self.log.lock().expect("nobody panics").performed.push(leaf);
        if let Some(done) = self.done.get() {
            done.send(In::Done(leaf)).expect("there is room");
        }
    }
}

impl Recorder {
    /// Checks that everything was emitted in the order of its numbers and returns the items in that order.
    pub(crate) fn items(&self) -> Vec<Item> {
        let log = self.log.lock().expect("nobody panics");
        let (mut numbers, mut items) = (Vec::new(), Vec::new());
        for out in &log.routed {
            match *out {
                Out::Send(item, number) | Out::Leaf(item, number) => {
                    numbers.push(number);
                    items.push(item);
                }
                Out::Note(number) => numbers.push(number),
                Out::Rang(_) | Out::Finished(_) => {}
            }
        }
        assert!(numbers.iter().copied().eq(0..numbers.len()), "{numbers:?}");
        items
    }
}

/// A counter to wait for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signal {
    shared: Arc<(shuttle::sync::Mutex<usize>, shuttle::sync::Condvar)>,
}

impl Signal {
    pub(crate) fn raise(&self) {
        *crate::sync::lock(&self.shared.0) += 1;
        self.shared.1.notify_all();
    }

    /// Waits until raised `count` times. If that never happens the checker finds a deadlock.
    pub(crate) fn wait_for(&self, count: usize) {
        let mut raised = crate::sync::lock(&self.shared.0);
        while *raised < count {
            raised = crate::sync::wait(&self.shared.1, raised);
        }
    }
}
