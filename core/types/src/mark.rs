//! Coverage marks: the code says "this rare thing happened", a test says "this test is about that thing".
//!
//! ```
//! # #[allow(unused)] fn retry(attempt: u32) {
//! if attempt == 3 {
//!     flyer_types::mark!("rpc.third_attempt");
//! }
//! # }
//! ```
//!
//! With the cargo feature `marks` each hit is counted per thread; without it [`mark!`](crate::mark!) compiles to
//! nothing. A simulator collects the counters with [`take`] to find marks that no run ever hits; a test holds a
//! [`require`] guard, so that it fails when the case it was written for is no longer reached. Names are `area.event`.
//!
//! This is the only global state in `core`. It is written by [`mark!`](crate::mark!) and never read by a machine.

use alloc::collections::BTreeMap;

/// Counts one hit of the mark with this name; see the [module](mod@crate::mark).
///
/// Works in every crate that depends on this one, with or without `std`.
#[macro_export]
macro_rules! mark {
    ($name:literal) => {
        $crate::mark::hit($name)
    };
}

/// Counts one hit. Use [`mark!`](crate::mark!), which keeps names literal and thus searchable.
#[doc(hidden)]
#[inline(always)]
pub fn hit(name: &'static str) {
    #[cfg(feature = "marks")]
    counters::hit(name);
    #[cfg(not(feature = "marks"))]
    let _ = name;
}

/// The hits on this thread since the last call, by name; empty without the feature `marks`.
#[must_use]
pub fn take() -> BTreeMap<&'static str, u64> {
    #[cfg(feature = "marks")]
    return counters::take();
    #[cfg(not(feature = "marks"))]
    BTreeMap::new()
}

/// A guard that panics when dropped, if one of the marks was not hit on this thread in the meantime. It stays
/// quiet if the thread is panicking already, and without the feature `marks`, when nothing is known.
pub fn require<const N: usize>(names: [&'static str; N]) -> Required<N> {
    Required {
        #[cfg(feature = "marks")]
        before: names.map(counters::total),
        names,
    }
}

/// See [`require`].
#[derive(Debug)]
#[must_use = "marks are counted while the guard lives"]
pub struct Required<const N: usize> {
    /// The marks to be hit.
    names: [&'static str; N],
    /// Their counters when the guard was made.
    #[cfg(feature = "marks")]
    before: [u64; N],
}

impl<const N: usize> Drop for Required<N> {
    fn drop(&mut self) {
        #[cfg(feature = "marks")]
        {
            if std::thread::panicking() {
                return;
            }
            for (name, before) in self.names.iter().zip(self.before) {
                assert!(
                    counters::total(name) > before,
                    "the mark {name:?} was not hit on this thread"
                );
            }
        }
        #[cfg(not(feature = "marks"))]
        let _ = self.names;
    }
}

/// The counters of a thread.
#[cfg(feature = "marks")]
mod counters {
    use alloc::collections::BTreeMap;
    use core::cell::RefCell;

    /// Hits of one mark.
    #[derive(Default)]
    struct Count {
        /// Since the thread started: what guards compare, so that [`take`] does not disturb them.
        total: u64,
        /// As far as [`take`] has reported them.
        taken: u64,
    }

    std::thread_local! {
        static COUNTS: RefCell<BTreeMap<&'static str, Count>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn hit(name: &'static str) {
        COUNTS.with_borrow_mut(|counts| counts.entry(name).or_default().total += 1);
    }

    pub(super) fn total(name: &'static str) -> u64 {
        COUNTS.with_borrow(|counts| counts.get(name).map_or(0, |count| count.total))
    }

    pub(super) fn take() -> BTreeMap<&'static str, u64> {
        COUNTS.with_borrow_mut(|counts| {
            let mut news = BTreeMap::new();
            for (name, count) in counts {
                if count.total > count.taken {
                    news.insert(*name, count.total - count.taken);
                    count.taken = count.total;
                }
            }
            news
        })
    }
}
