//! Commits on their way to the journal.
//!
//! Owner: the database. A commit is visible at once and goes to the journal with those around it, as one write: what a server
//! changes again and again, such as the directory that files are created in, is written once for many of its commits.
//!
//! ```text
//!   commit ──► gathering ──flush, or PERIOD later, or full──► flying ──► journal
//!                  └────────────── readers see both on top of the tables ──┘ failed: stays visible, the database has stopped
//! ```
//!
//! One flush takes everything that was committed before it to any table, so what the journal holds is always a prefix of all
//! commits. Flushes go one after the other.
//!
//! Limits: a commit that makes the gathering [`GROUP_BYTES_MAX`] large flushes itself.

use super::TABLES;
use flyer_cluster::store::{Batch, StoreError, Visit};
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a commit waits for others at most, so that the death of the process costs no more than that.
pub const PERIOD: Duration = Duration::from_millis(5);

/// Bytes of keys and values that are gathered.
pub const GROUP_BYTES_MAX: usize = 4 << 20;

/// The newest values of keys, by table.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) tables: [Batch; TABLES],
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    gathering: Gathered,
    /// What a flush has taken and the tables may not show yet.
    flying: Option<Arc<Gathered>>,
    ended: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
    /// The gathering is not empty any more, or the end has come.
    changed: Condvar,
    /// Held by the flush that is under way.
    flushing: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Group {
    /// Takes a batch in. Whether it is time to flush.
    pub(super) fn put(&self, table: usize, batch: Batch) -> bool {
        let mut state = lock(&self.state);
        let gathering = &mut state.gathering;
        let was_empty = gathering.bytes == 0;
        for (key, value) in batch {
            gathering.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
            gathering.tables[table].insert(key, value);
        }
        let is_full = gathering.bytes >= GROUP_BYTES_MAX;
        drop(state);
        if was_empty {
            self.changed.notify_one();
        }
        is_full
    }

    /// What is on its way for a key: its value, or that it has none.
    pub(super) fn get(&self, table: usize, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let state = lock(&self.state);
        let gathering = state.gathering.tables[table].get(key);
        let flying = || {
            state
                .flying
                .as_ref()
                .and_then(|flying| flying.tables[table].get(key))
        };
        gathering.or_else(flying).cloned()
    }

    /// Shows a range with what is on its way on top of what `below` finds in the tables, both in the given direction. The server that
    /// scans is the only one to commit to its table, so the range does not change meanwhile.
    pub(super) fn scan<E>(
        &self,
        table: usize,
        range: (&[u8], &[u8]),
        reverse: bool,
        below: impl FnOnce() -> E,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError>
    where
        E: Iterator<Item = Result<(fjall::Slice, fjall::Slice), StoreError>>,
    {
        let bounds = (Bound::Included(range.0), Bound::Excluded(range.1));
        // The tables are read without the lock: that may take a disk's time, and other servers want to commit. What is flying may
        // reach the tables meanwhile; it is the same there.
        let (gathering, flying) = {
            let state = lock(&self.state);
            let gathering = state.gathering.tables[table].range::<[u8], _>(bounds);
            let gathering: Vec<_> = gathering
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            (gathering, state.flying.clone())
        };
        let gathering = gathering.iter().map(|(key, value)| (key, value));
        let none = Batch::new();
        let flying = flying.as_ref().map_or(&none, |flying| &flying.tables[table]);
        let flying = flying.range::<[u8], _>(bounds);
        if reverse {
            merge(gathering.rev(), flying.rev(), below(), |a, b| a > b, visit)
        } else {
            merge(gathering, flying, below(), |a, b| a < b, visit)
        }
    }

    /// Has `write` put everything gathered so far into the journal, if `check` finds nothing against it: after a failure nothing may
    /// follow. What failed stays visible.
    pub(super) fn flush(
        &self,
        check: impl FnOnce() -> Result<(), StoreError>,
        write: impl FnOnce(&Gathered) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = lock(&self.flushing);
        check()?;
        let taken = {
            let mut state = lock(&self.state);
            if state.gathering.bytes == 0 {
                return Ok(());
            }
            let taken = Arc::new(std::mem::take(&mut state.gathering));
            state.flying = Some(Arc::clone(&taken));
            taken
        };
        write(&taken)?;
        lock(&self.state).flying = None;
        Ok(())
    }

    /// Waits until it is time to flush; false at the end.
    pub(super) fn wait(&self) -> bool {
        let is_quiet = |state: &mut State| state.gathering.bytes == 0 && !state.ended;
        let begun = self.changed.wait_while(lock(&self.state), is_quiet);
        let begun = begun.unwrap_or_else(PoisonError::into_inner);
        let goes_on = |state: &mut State| !state.ended;
        let waited = self.changed.wait_timeout_while(begun, PERIOD, goes_on);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.ended
    }

    /// Lets the thread that waits go.
    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }
}

/// One entry of the upper layers: `None` for a key that was deleted.
type Over<'a> = (&'a Vec<u8>, &'a Option<Vec<u8>>);

/// Shows three layers as one, the first on top.
fn merge<'a, E>(
    gathering: impl Iterator<Item = Over<'a>>,
    flying: impl Iterator<Item = Over<'a>>,
    below: E,
    is_before: fn(&[u8], &[u8]) -> bool,
    visit: &mut Visit<'_>,
) -> Result<(), StoreError>
where
    E: Iterator<Item = Result<(fjall::Slice, fjall::Slice), StoreError>>,
{
    let mut upper = Upper {
        gathering: gathering.peekable(),
        flying: flying.peekable(),
        is_before,
    };
    for entry in below {
        let (key, value) = entry?;
        let mut is_hidden = false;
        while let Some((own, own_value)) = upper.next_if(|own| !is_before(&key, own)) {
            is_hidden |= own.as_slice() == &*key;
            if own_value.as_ref().is_some_and(|own_value| !visit(own, own_value)) {
                return Ok(());
            }
        }
        if !is_hidden && !visit(&key, &value) {
            return Ok(());
        }
    }
    while let Some((own, own_value)) = upper.next_if(|_| true) {
        if own_value.as_ref().is_some_and(|own_value| !visit(own, own_value)) {
            break;
        }
    }
    Ok(())
}

/// The two upper layers as one.
struct Upper<G: Iterator, F: Iterator> {
    gathering: Peekable<G>,
    flying: Peekable<F>,
    is_before: fn(&[u8], &[u8]) -> bool,
}

impl<'a, G: Iterator<Item = Over<'a>>, F: Iterator<Item = Over<'a>>> Upper<G, F> {
    /// The next entry, if its key is wanted.
    fn next_if(&mut self, is_wanted: impl Fn(&[u8]) -> bool) -> Option<Over<'a>> {
        let is_flying = match (self.gathering.peek(), self.flying.peek()) {
            (Some((newer, _)), Some((older, _))) if newer == older => {
                self.flying.next();
                false
            }
            (Some((gathering, _)), Some((flying, _))) => (self.is_before)(flying, gathering),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if is_flying {
            self.flying.next_if(|(key, _)| is_wanted(key))
        } else {
            self.gathering.next_if(|(key, _)| is_wanted(key))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Entries = Vec<(Vec<u8>, Vec<u8>)>;

    fn batch(entries: &[(u8, Option<u8>)]) -> Batch {
        let entries = entries
            .iter()
            .map(|(key, value)| (vec![*key], value.map(|value| vec![value])));
        entries.collect()
    }

    /// What a scan shows on top of tables that hold `below`.
    fn seen(group: &Group, below: &[(u8, u8)], reverse: bool, wanted: usize) -> Entries {
        let mut seen = Entries::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            // Nobody waits for a scan: another server commits while it goes on.
            group.put(2, batch(&[(1, None)]));
            seen.push((key.to_vec(), value.to_vec()));
            seen.len() < wanted
        };
        let mut below: Vec<_> = below
            .iter()
            .map(|(key, value)| Ok(([*key].into(), [*value].into())))
            .collect();
        if reverse {
            below.reverse();
        }
        group
            .scan(1, (&[0], &[100]), reverse, || below.into_iter(), &mut visit)
            .expect("nothing fails");
        seen
    }

    fn entries(entries: &[(u8, u8)]) -> Entries {
        entries
            .iter()
            .map(|(key, value)| (vec![*key], vec![*value]))
            .collect()
    }

    #[test]
    fn readers_see_three_layers_as_one() {
        let group = Group::default();
        group.put(1, batch(&[(1, Some(1)), (3, None), (5, Some(5)), (7, Some(7))]));
        group.put(0, batch(&[(2, Some(99))]));
        let write = |gathered: &Gathered| {
            assert_eq!(gathered.tables[1].len(), 4);
            // While these fly, more are committed.
            group.put(1, batch(&[(1, None), (5, Some(55)), (6, Some(6))]));
            assert_eq!(group.get(1, &[1]), Some(None), "deleted above, put below");
            assert_eq!(group.get(1, &[7]), Some(Some(vec![7])));
            assert_eq!(group.get(1, &[2]), None, "that is another table");
            let below = [(0, 100), (3, 103), (5, 105), (8, 108)];
            let expected = entries(&[(0, 100), (5, 55), (6, 6), (7, 7), (8, 108)]);
            assert_eq!(seen(&group, &below, false, 100), expected);
            assert_eq!(seen(&group, &below, false, 2), expected[..2]);
            let backwards: Entries = expected.into_iter().rev().collect();
            assert_eq!(seen(&group, &below, true, 100), backwards);
            assert_eq!(seen(&group, &below, true, 3), backwards[..3]);
            Ok(())
        };
        group.flush(|| Ok(()), write).expect("nothing fails");
        assert_eq!(group.get(1, &[7]), None, "it is in the tables now");
        assert_eq!(
            seen(&group, &[(7, 7)], false, 100),
            entries(&[(5, 55), (6, 6), (7, 7)])
        );
    }

    #[test]
    fn what_failed_stays_visible_and_nothing_follows_it() {
        let group = Group::default();
        group.put(1, batch(&[(1, Some(1))]));
        let failed = || Err(StoreError::NoSpace);
        assert_eq!(group.flush(|| Ok(()), |_| failed()), failed());
        group.put(1, batch(&[(2, Some(2))]));
        assert_eq!(group.flush(failed, |_| unreachable!("it has stopped")), failed());
        assert_eq!(seen(&group, &[], false, 100), entries(&[(1, 1), (2, 2)]));
    }

    #[test]
    fn a_full_group_wants_to_be_flushed_and_an_empty_one_is_not_written() {
        let group = Group::default();
        group
            .flush(|| Ok(()), |_| unreachable!("it is empty"))
            .expect("nothing fails");
        let large = |key: u8| Batch::from([(vec![key], Some(vec![0; GROUP_BYTES_MAX / 2]))]);
        assert!(!group.put(0, large(1)));
        assert!(group.put(0, large(2)));
        group.end();
        assert!(!group.wait(), "the end is not waited out");
    }
}
