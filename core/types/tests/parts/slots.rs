//! The slot table: the model is the list of everything that was ever inserted.

use flyer_types::ids::{OpId, SlotId};
use flyer_types::parts::Slots;
use flyer_types::parts::slots::Full;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Insert,
    InsertWith,
    /// Removes what the n-th insertion (modulo their number) made, which may be gone.
    Remove(usize),
    /// Changes it.
    Change(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Insert),
        1 => Just(Op::InsertWith),
        3 => any::<usize>().prop_map(Op::Remove),
        1 => any::<usize>().prop_map(Op::Change),
    ]
}

/// An insertion that worked.
struct Entry {
    id: OpId,
    value: usize,
    removed: bool,
}

/// Compares everything the table says with the history.
fn compare(slots: &Slots<OpId, usize>, history: &[Entry]) {
    slots.check();
    let mut live: Vec<(OpId, usize)> = Vec::new();
    for (at, entry) in history.iter().enumerate() {
        let twin = history[..at].iter().find(|earlier| earlier.id == entry.id);
        assert!(twin.is_none(), "{:?} was handed out twice", entry.id);
        let expected = (!entry.removed).then_some(&entry.value);
        assert_eq!(slots.get(entry.id), expected, "{:?}", entry.id);
        assert_eq!(slots.contains(entry.id), expected.is_some());
        live.extend(expected.map(|value| (entry.id, *value)));
    }
    live.sort_unstable_by_key(|(id, _)| id.slot);
    assert!(
        live.windows(2).all(|pair| pair[0].0.slot < pair[1].0.slot),
        "two values in one row"
    );
    assert_eq!(
        slots.iter().map(|(id, value)| (id, *value)).collect::<Vec<_>>(),
        live
    );
    assert_eq!((slots.len(), slots.is_empty()), (live.len(), live.is_empty()));
    assert_eq!(slots.is_full(), live.len() == slots.limit() as usize);
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn ids_name_their_value_and_nothing_else(limit in 0u32..6, ops in vec(op(), 0..60)) {
        let mut slots: Slots<OpId, usize> = Slots::new(limit);
        let mut history: Vec<Entry> = Vec::new();
        for (value, op) in ops.into_iter().enumerate() {
            let full = slots.len() == limit as usize;
            let count = history.len().max(1);
            match op {
                Op::Insert => match slots.insert(value) {
                    Ok(id) => history.push(Entry { id, value, removed: false }),
                    Err(Full(back)) => prop_assert!(full && back == value),
                },
                Op::InsertWith => {
                    let mut told = None;
                    let given = slots.insert_with(|id| { told = Some(id); value });
                    prop_assert_eq!(given.ok(), told);
                    prop_assert_eq!(told.is_none(), full, "made for a full table, or not made");
                    history.extend(told.map(|id| Entry { id, value, removed: false }));
                }
                Op::Remove(n) => if let Some(entry) = history.get_mut(n % count) {
                    let expected = (!entry.removed).then_some(entry.value);
                    prop_assert_eq!(slots.remove(entry.id), expected);
                    entry.removed = true;
                },
                Op::Change(n) => if let Some(entry) = history.get_mut(n % count) {
                    prop_assert_eq!(slots.get_mut(entry.id).is_some(), !entry.removed);
                    for (id, stored) in slots.iter_mut() {
                        if id == entry.id {
                            *stored = value;
                            entry.value = value;
                        }
                    }
                },
            }
            compare(&slots, &history);
        }
    }
}

#[test]
fn ids_that_were_never_handed_out_name_nothing() {
    let mut slots: Slots<OpId, &str> = Slots::new(2);
    assert_eq!(slots.get(OpId::default()), None);
    let id = slots.insert("a").expect("two rows are free");
    for stranger in [
        OpId::default(),
        OpId::new(id.slot, 0),
        OpId::new(id.slot, id.generation + 1),
        OpId::new(id.slot + 1, id.generation),
        OpId::new(u32::MAX, u32::MAX),
    ] {
        assert_eq!(slots.get(stranger), None, "{stranger:?}");
        assert_eq!(slots.get_mut(stranger), None, "{stranger:?}");
        assert_eq!(slots.remove(stranger), None, "{stranger:?}");
    }
    assert_eq!(slots.get(id), Some(&"a"));
}

#[test]
fn an_id_can_be_taken_apart_and_put_together() {
    let id = OpId::new(3, 9);
    assert_eq!(OpId::from_parts(SlotId::slot(id), SlotId::generation(id)), id);
}
