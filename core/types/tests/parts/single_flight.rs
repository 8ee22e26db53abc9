//! Single flight: the model finds the waiters in the history since the last landing.

use flyer_types::parts::SingleFlight;
use flyer_types::parts::single_flight::{FlightId, Join};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Join,
    /// Lands the n-th flight (modulo their number) that ever started.
    Land(usize),
    /// Lands the latest flight.
    LandLatest,
    /// The n-th waiter (modulo everyone who ever tried to join) leaves.
    Leave(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => Just(Op::Join),
        1 => any::<usize>().prop_map(Op::Land),
        2 => Just(Op::LandLatest),
        1 => any::<usize>().prop_map(Op::Leave),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Started(FlightId),
    Landed(FlightId),
    Joined(usize),
    Left(usize),
}

/// The flight in the air, and its waiters.
fn recompute(history: &[Event]) -> (Option<FlightId>, Vec<usize>) {
    let landed = |event: &Event| matches!(event, Event::Landed(_));
    let since = history.iter().rposition(landed).map_or(0, |at| at + 1);
    let (mut flight, mut waiters) = (None, Vec::new());
    for event in &history[since..] {
        match *event {
            Event::Started(id) => flight = Some(id),
            Event::Joined(who) if !history[since..].contains(&Event::Left(who)) => waiters.push(who),
            Event::Joined(_) | Event::Left(_) | Event::Landed(_) => {}
        }
    }
    (flight, waiters)
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn waiters_get_the_flight_they_joined(limit in 1usize..5, ops in vec(op(), 0..60)) {
        let mut flights = SingleFlight::new(limit);
        let mut history = Vec::new();
        let mut started: Vec<FlightId> = Vec::new();
        for (who, op) in ops.into_iter().enumerate() {
            let (flight, waiters) = recompute(&history);
            let land = match op {
                Op::Join => {
                    match flights.join(who) {
                        Join::Start(id) => {
                            prop_assert!(flight.is_none() && !started.contains(&id));
                            started.push(id);
                            history.extend([Event::Started(id), Event::Joined(who)]);
                        }
                        Join::Joined(id) => {
                            prop_assert_eq!(flight, Some(id));
                            prop_assert!(waiters.len() < limit);
                            history.push(Event::Joined(who));
                        }
                        Join::Full { waiter, limit: most } => {
                            prop_assert_eq!((waiter, most, waiters.len()), (who, limit, limit));
                        }
                    }
                    None
                }
                Op::Leave(n) => {
                    let leaver = n % who.max(1);
                    let expected = waiters.contains(&leaver).then_some(leaver);
                    prop_assert_eq!(flights.leave(|w| *w == leaver), expected);
                    history.extend(expected.map(Event::Left));
                    None
                }
                Op::Land(n) => started.get(n % started.len().max(1)).copied(),
                Op::LandLatest => started.last().copied(),
            };
            if let Some(id) = land {
                let expected = (flight == Some(id)).then_some(waiters);
                prop_assert_eq!(flights.land(id), expected.clone());
                history.extend(expected.map(|_| Event::Landed(id)));
            }
            flights.check();
            let (flight, waiters) = recompute(&history);
            prop_assert_eq!(flights.flight(), flight);
            prop_assert_eq!((flights.len(), flights.is_empty()), (waiters.len(), waiters.is_empty()));
        }
        prop_assert_eq!(flights.limit(), limit);
    }
}

#[test]
fn a_stale_landing_does_not_touch_the_next_flight() {
    let mut flights = SingleFlight::new(4);
    let Join::Start(first) = flights.join('a') else {
        panic!("nobody was flying");
    };
    assert_eq!(flights.join('b'), Join::Joined(first));
    assert_eq!(flights.land(first), Some(vec!['a', 'b']));
    let Join::Start(second) = flights.join('c') else {
        panic!("the flight had landed");
    };
    assert_ne!(first, second);
    assert_eq!(flights.land(first), None);
    assert_eq!(flights.land(second), Some(vec!['c']));
    assert_eq!(flights.land(second), None);
}

#[test]
fn a_flight_goes_on_without_waiters() {
    let mut flights = SingleFlight::new(1);
    let Join::Start(flight) = flights.join('a') else {
        panic!("nobody was flying");
    };
    assert_eq!(flights.leave(|_| true), Some('a'));
    assert_eq!(flights.join('b'), Join::Joined(flight));
    assert_eq!(
        flights.join('c'),
        Join::Full {
            waiter: 'c',
            limit: 1
        }
    );
}
