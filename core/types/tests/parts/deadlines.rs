//! The deadline set: the model is the last word about each key.

use alloc::collections::BTreeMap;
use flyer_types::Time;
use flyer_types::parts::Deadlines;
use flyer_types::parts::deadlines::DeadlinesFull;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Set(u8, u64),
    Remove(u8),
    PopDue(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let time = || prop_oneof![9 => 0u64..20, 1 => Just(u64::MAX)];
    prop_oneof![
        4 => (0u8..8, time()).prop_map(|(key, at)| Op::Set(key, at)),
        2 => (0u8..8).prop_map(Op::Remove),
        2 => time().prop_map(Op::PopDue),
    ]
}

/// What happened to a key: it got a time, or lost it.
type History = Vec<(u8, Option<Time>)>;

/// The keys with a time.
fn recompute(history: &History) -> BTreeMap<u8, Time> {
    let mut times = BTreeMap::new();
    for key in 0..8 {
        let last = history.iter().rev().find(|(of, _)| *of == key);
        if let Some((_, Some(at))) = last {
            times.insert(key, *at);
        }
    }
    times
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn keys_come_out_by_time_then_by_key(limit in 0usize..6, ops in vec(op(), 0..60)) {
        let mut deadlines = Deadlines::new(limit);
        let mut history = History::new();
        for op in ops {
            let expected = recompute(&history);
            let first = expected.iter().map(|(key, at)| (*at, *key)).min();
            prop_assert_eq!(deadlines.next(), first);
            match op {
                Op::Set(key, at) => {
                    let at = Time::from_ns(at);
                    let before = expected.get(&key).copied();
                    if before.is_none() && expected.len() == limit {
                        prop_assert_eq!(deadlines.set(key, at), Err(DeadlinesFull { limit }));
                    } else {
                        prop_assert_eq!(deadlines.set(key, at), Ok(before));
                        history.push((key, Some(at)));
                    }
                }
                Op::Remove(key) => {
                    prop_assert_eq!(deadlines.remove(key), expected.get(&key).copied());
                    history.push((key, None));
                }
                Op::PopDue(now) => {
                    let now = Time::from_ns(now);
                    let due = first.filter(|(at, _)| *at <= now);
                    prop_assert_eq!(deadlines.pop_due(now), due);
                    history.extend(due.map(|(_, key)| (key, None)));
                }
            }
            deadlines.check();
            let expected = recompute(&history);
            for key in 0..8 {
                prop_assert_eq!(deadlines.get(key), expected.get(&key).copied());
            }
            prop_assert_eq!((deadlines.len(), deadlines.is_empty()), (expected.len(), expected.is_empty()));
        }
        prop_assert_eq!(deadlines.limit(), limit);
    }
}

#[test]
fn a_full_set_still_moves_the_keys_it_has() {
    let mut deadlines = Deadlines::new(1);
    assert_eq!(deadlines.set('a', Time::from_ns(5)), Ok(None));
    assert_eq!(
        deadlines.set('b', Time::from_ns(1)),
        Err(DeadlinesFull { limit: 1 })
    );
    assert_eq!(deadlines.set('a', Time::from_ns(9)), Ok(Some(Time::from_ns(5))));
    assert_eq!(deadlines.pop_due(Time::from_ns(8)), None);
    assert_eq!(deadlines.pop_due(Time::from_ns(9)), Some((Time::from_ns(9), 'a')));
}
