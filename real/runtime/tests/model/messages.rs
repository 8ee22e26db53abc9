//! Inputs are neither lost nor doubled nor reordered, and neither are messages between cells.

use crate::cell::Cell;
use crate::inbox::Refused;
use crate::relay::{In, Item, Recorder, Relay};
use crate::{Limits, Options, Runtime, check};
use shuttle::thread;

/// A turn of `inputs` inputs, one worker.
const fn short_turns(inputs: u32) -> Options {
    Options {
        workers: 1,
        turn_inputs_max: inputs,
    }
}

fn item(producer: usize, seq: usize, hops: usize) -> Item {
    Item { producer, seq, hops }
}

/// How a producer hands in.
#[derive(Clone, Copy, Debug)]
enum By {
    Post,
    TryPost,
    Send,
}

/// Hands in `count` items.
fn produce(cell: &Cell<Relay, Recorder>, by: By, producer: usize, count: usize, hops: usize) {
    for seq in 0..count {
        let mut input = In::Item(item(producer, seq, hops));
        loop {
            let result = match by {
                By::Post => cell.post(input),
                By::TryPost => cell.try_post(input),
                By::Send => cell.send(input),
            };
            match result {
                Ok(()) => break,
                Err(Refused::Full(back)) => input = back,
                Err(Refused::Closed(_)) => panic!("the cell is open"),
            }
            thread::yield_now();
        }
    }
}

/// Asserts that `items` are `count` of each of `producers`, each producer's in order.
fn assert_complete(items: &[Item], producers: usize, count: usize) {
    assert_eq!(items.len(), producers * count, "{items:?}");
    for producer in 0..producers {
        let seqs: Vec<_> = items
            .iter()
            .filter(|i| i.producer == producer)
            .map(|i| i.seq)
            .collect();
        assert!(seqs.iter().copied().eq(0..count), "producer {producer}: {seqs:?}");
    }
}

fn one_cell(options: Options, external_max: usize) {
    let runtime = Runtime::start(options).expect("threads can be started");
    let recorder = Recorder::default();
    let limits = Limits {
        external_max,
        internal_max: 8,
    };
    let cell = runtime
        .cell("one", Relay::default(), recorder.clone(), limits)
        .expect("there is room");
    let producers: Vec<_> = [By::Post, By::TryPost, By::Send]
        .into_iter()
        .enumerate()
        .map(|(producer, by)| {
            let cell = cell.clone();
            thread::spawn(move || produce(&cell, by, producer, 2, 0))
        })
        .collect();
    for producer in producers {
        producer.join().expect("the producer ends");
    }
    runtime.end().expect("no thread panicked");
    assert_complete(&recorder.items(), 3, 2);
    let performed = recorder.log.lock().expect("nobody panics").performed.clone();
    assert_eq!(performed.len(), 6, "{performed:?}");
    let watch = cell.watch();
    assert_eq!(
        (watch.queued, watch.handled, watch.is_running, watch.oldest),
        (0, 6, false, None)
    );
}

#[test]
fn inputs_are_handled_once_and_in_the_order_of_their_producer() {
    check(|| one_cell(Options::default(), 4));
}

#[test]
fn a_full_inbox_and_handing_over_after_each_input_lose_nothing() {
    check(|| one_cell(short_turns(1), 1));
}

/// Two producers post to `a`, which passes everything on to `b`, which performs leaves and tells `a` of their end.
fn two_cells(options: Options, hops: usize) {
    let runtime = Runtime::start(options).expect("threads can be started");
    let (at_a, at_b) = (Recorder::default(), Recorder::default());
    let a = runtime
        .cell("a", Relay::default(), at_a.clone(), Limits::default())
        .expect("there is room");
    let b = runtime
        .cell("b", Relay::default(), at_b.clone(), Limits::default())
        .expect("there is room");
    at_a.next.set(b).expect("set once");
    at_b.next.set(a.clone()).expect("set once");
    at_b.done.set(a.clone()).expect("set once");
    let producers = [0, 1].map(|producer| {
        let a = a.clone();
        thread::spawn(move || produce(&a, By::Post, producer, 2, hops))
    });
    for producer in producers {
        producer.join().expect("the producer ends");
    }
    // An odd number of hops ends at b.
    at_a.signal.wait_for(4);
    runtime.end().expect("no thread panicked");
    let (sent, received) = (at_a.items(), at_b.items());
    let names = |items: &[Item]| {
        items
            .iter()
            .map(|item| (item.producer, item.seq))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&sent),
        names(&received),
        "b got what a sent in another order"
    );
    let finished: Vec<_> = received.iter().filter(|item| item.hops == 0).copied().collect();
    assert_complete(&finished, 2, 2);
    assert_eq!(received.len(), 4 * hops.div_ceil(2));
}

#[test]
fn messages_arrive_in_the_order_in_which_they_were_emitted() {
    check(|| two_cells(Options::default(), 1));
}

#[test]
fn messages_keep_their_order_when_turns_are_cut_short() {
    check(|| two_cells(short_turns(1), 1));
}

#[test]
fn cells_that_answer_each_other_come_to_an_end() {
    check(|| two_cells(short_turns(2), 3));
}
