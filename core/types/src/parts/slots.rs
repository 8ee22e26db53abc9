//! A table whose rows are named by slot + generation, so that an id which outlived its row names nothing.
//!
//! Owner: the machine that hands out the ids. Limit: an argument; at the limit the value is handed back.
//!
//! ```text
//!              insert                     remove
//!  vacant(g) ──────────► occupied(g) ──────────────► vacant(g + 1)
//!      ▲                                                  │
//!      └──────────────────────────────────────────────────┘
//! ```
//!
//! The row freed last is reused first: it is the one in the processor's cache. Generations start at 1 and skip 0 when
//! they wrap, so a default id (0.0) never names a row. A stale id can hit a stranger only after exactly 4294967295
//! reuses of its row: more than an hour at a million reuses of that row per second, while a stale id is at most as old
//! as the longest deadline.

use crate::ids::SlotId;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

/// The first generation of a row, and the one after the last.
const GENERATION_FIRST: u32 = 1;

/// The value that did not fit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the table is full")
    }
}

impl<T> core::error::Error for Full<T> {}

/// One row.
#[derive(Clone, Debug)]
enum Row<T> {
    /// Free; `generation` is that of the next value, `next` the row to be reused after this one.
    Vacant { generation: u32, next: Option<u32> },
    /// In use.
    Occupied { generation: u32, value: T },
}

/// Values named by ids of type `I`.
#[derive(Clone, Debug)]
pub struct Slots<I, T> {
    rows: Vec<Row<T>>,
    /// The vacant row to be reused next.
    free: Option<u32>,
    /// Occupied rows.
    len: usize,
    /// Most rows.
    limit: u32,
    ids: PhantomData<fn() -> I>,
}

impl<I: SlotId, T> Slots<I, T> {
    /// An empty table for at most `limit` values. Allocates as it fills.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self {
            rows: Vec::new(),
            free: None,
            len: 0,
            limit,
            ids: PhantomData,
        }
    }

    /// Adds a value and names it.
    ///
    /// # Errors
    /// Hands the value back if the table is full.
    pub fn insert(&mut self, value: T) -> Result<I, Full<T>> {
        let Some(slot) = self.free else {
            return self.insert_in_new_row(value);
        };
        let row = &mut self.rows[slot as usize];
        let Row::Vacant { generation, next } = *row else {
            unreachable!("the free list leads to row {slot}, which is occupied");
        };
        *row = Row::Occupied { generation, value };
        self.free = next;
        self.len += 1;
        Ok(I::from_parts(slot, generation))
    }

    /// Adds a value that wants to know its name.
    ///
    /// # Errors
    /// If the table is full; the value is not made then.
    pub fn insert_with(&mut self, make: impl FnOnce(I) -> T) -> Result<I, Full<()>> {
        let Some(id) = self.next_id() else {
            return Err(Full(()));
        };
        match self.insert(make(id)) {
            Ok(given) => {
                assert!(given == id, "the next id was foretold as {id:?} and is {given:?}");
                Ok(id)
            }
            Err(Full(_)) => unreachable!("the table foretold the id {id:?} but is full"),
        }
    }

    /// The value with this id; `None` if the id is stale or was never handed out.
    #[must_use]
    pub fn get(&self, id: I) -> Option<&T> {
        match self.rows.get(id.slot() as usize) {
            Some(Row::Occupied { generation, value }) if *generation == id.generation() => Some(value),
            _ => None,
        }
    }

    /// The value with this id; `None` if the id is stale or was never handed out.
    #[must_use]
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        match self.rows.get_mut(id.slot() as usize) {
            Some(Row::Occupied { generation, value }) if *generation == id.generation() => Some(value),
            _ => None,
        }
    }

    /// Whether the id names a value.
    #[must_use]
    pub fn contains(&self, id: I) -> bool {
        self.get(id).is_some()
    }

    /// Removes the value with this id; `None` if the id is stale or was never handed out.
    pub fn remove(&mut self, id: I) -> Option<T> {
        if !self.contains(id) {
            return None;
        }
        let vacant = Row::Vacant {
            generation: generation_after(id.generation()),
            next: self.free,
        };
        let row = core::mem::replace(&mut self.rows[id.slot() as usize], vacant);
        let Row::Occupied { generation, value } = row else {
            unreachable!("row of {id:?} was found occupied and is vacant");
        };
        debug_assert!(generation == id.generation());
        self.free = Some(id.slot());
        self.len -= 1;
        Some(value)
    }

    /// All values with their ids, by slot.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        (0u32..).zip(&self.rows).filter_map(|(slot, row)| match row {
            Row::Occupied { generation, value } => Some((I::from_parts(slot, *generation), value)),
            Row::Vacant { .. } => None,
        })
    }

    /// All values with their ids, by slot.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (I, &mut T)> {
        (0u32..).zip(&mut self.rows).filter_map(|(slot, row)| match row {
            Row::Occupied { generation, value } => Some((I::from_parts(slot, *generation), value)),
            Row::Vacant { .. } => None,
        })
    }

    /// Number of values.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the next insertion will be refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.next_id().is_none()
    }

    /// Most values.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// Asserts the invariants: each row is occupied or on the free list, once, and no generation is 0.
    ///
    /// # Panics
    /// If one does not hold.
    pub fn check(&self) {
        assert!(self.rows.len() <= self.limit as usize, "more rows than the limit");
        let mut occupied = 0;
        for row in &self.rows {
            let (Row::Occupied { generation, .. } | Row::Vacant { generation, .. }) = row;
            assert!(*generation != 0, "a row is in generation 0");
            occupied += usize::from(matches!(row, Row::Occupied { .. }));
        }
        assert!(occupied == self.len, "{occupied} values, {} counted", self.len);
        let mut vacant = 0;
        let mut at = self.free;
        while let Some(slot) = at {
            vacant += 1;
            assert!(vacant + occupied <= self.rows.len(), "the free list has a loop");
            let Row::Vacant { next, .. } = &self.rows[slot as usize] else {
                panic!("the free list leads to row {slot}, which is occupied");
            };
            at = *next;
        }
        assert!(
            vacant + occupied == self.rows.len(),
            "a vacant row is not on the free list"
        );
    }

    /// The id that the next insertion will hand out; `None` if the table is full.
    fn next_id(&self) -> Option<I> {
        let Some(slot) = self.free else {
            let slot = u32::try_from(self.rows.len()).ok()?;
            return (slot < self.limit).then(|| I::from_parts(slot, GENERATION_FIRST));
        };
        match &self.rows[slot as usize] {
            Row::Vacant { generation, .. } => Some(I::from_parts(slot, *generation)),
            Row::Occupied { .. } => unreachable!("the free list leads to row {slot}, which is occupied"),
        }
    }

    /// Adds a value when no row is vacant.
    fn insert_in_new_row(&mut self, value: T) -> Result<I, Full<T>> {
        let Some(id) = self.next_id() else {
            return Err(Full(value));
        };
        self.rows.push(Row::Occupied {
            generation: id.generation(),
            value,
        });
        self.len += 1;
        Ok(id)
    }
}

/// The generation after this one; 0 is nobody's.
const fn generation_after(generation: u32) -> u32 {
    match generation.checked_add(1) {
        Some(next) => next,
        None => GENERATION_FIRST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OpId;

    #[test]
    fn generations_wrap_past_zero() {
        let mut slots: Slots<OpId, u8> = Slots::new(1);
        slots.rows.push(Row::Vacant {
            generation: u32::MAX,
            next: None,
        });
        slots.free = Some(0);
        slots.check();
        let last = slots.insert(1).expect("one row is free");
        assert_eq!(last, OpId::new(0, u32::MAX));
        assert_eq!(slots.remove(last), Some(1));
        slots.check();
        let first = slots.insert(2).expect("one row is free");
        assert_eq!(first, OpId::new(0, 1));
        assert_eq!(slots.get(last), None);
        assert_eq!(slots.get(OpId::default()), None);
    }
}
