//! The end of a runtime: nothing accepted is lost, nobody waits for ever.

use crate::inbox::Refused;
use crate::relay::{In, Item, Recorder, Relay};
use crate::{Limits, Options, Runtime, check};
use shuttle::thread;

/// Producers post while the runtime ends. What was accepted is handled, what was refused is not.
fn end_while_posting(options: Options) {
    let runtime = Runtime::start(options).expect("threads can be started");
    let recorder = Recorder::default();
    let limits = Limits {
        external_max: 1,
        internal_max: 8,
    };
    let cell = runtime
        .cell("ending", Relay::default(), recorder.clone(), limits)
        .expect("there is room");
    let producers = [0, 1, 2].map(|producer| {
        let cell = cell.clone();
        thread::spawn(move || {
            let items = (0..2).map(|seq| Item {
                producer,
                seq,
                hops: 0,
            });
            let mut accepted = Vec::new();
            for item in items {
                match cell.post(In::Item(item)) {
                    Ok(()) => accepted.push(item),
                    Err(Refused::Closed(In::Item(back))) => assert_eq!(back, item),
                    Err(other) => panic!("{other}"),
                }
            }
            accepted
        })
    });
    runtime.end().expect("no thread panicked");
    let accepted = producers.map(|producer| producer.join().expect("the producer ends"));
    let handled = recorder.items();
    for (producer, accepted) in accepted.iter().enumerate() {
        let of_producer: Vec<_> = handled
            .iter()
            .filter(|item| item.producer == producer)
            .copied()
            .collect();
        assert_eq!(of_producer, *accepted);
    }
    let performed = recorder.log.lock().expect("nobody panics").performed.len();
    assert_eq!(performed, handled.len());
    assert_eq!(cell.watch().queued, 0);
}

#[test]
fn the_end_loses_nothing_that_was_accepted() {
    check(|| end_while_posting(Options::default()));
}

#[test]
fn the_end_loses_nothing_that_was_handed_over() {
    let options = Options {
        workers: 1,
        turn_inputs_max: 1,
    };
    check(move || end_while_posting(options));
}

#[test]
fn cells_may_be_dropped_while_the_runtime_ends() {
    check(|| {
        let runtime = Runtime::start(Options::default()).expect("threads can be started");
        let cell = runtime
            .cell("short", Relay::default(), Recorder::default(), Limits::default())
            .expect("there is room");
        let user = thread::spawn(move || {
            let item = Item {
                producer: 0,
                seq: 0,
                hops: 0,
            };
            let _: Result<(), _> = cell.post(In::Item(item));
        });
        runtime.end().expect("no thread panicked");
        user.join().expect("the thread ends");
    });
}
