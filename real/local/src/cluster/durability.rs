//! Making things durable, for many at once.
//!
//! ```text
//!   idle ── somebody waits ──► begun ──► data files are synced ──► database is synced ──► answers
//!     ▲                          ▲        (the storage server          (it has committed        │
//!     │                          │         says when)                   what that means)        │
//!     └────── nobody waits ──────┴────────────────── somebody waits ◄───────────────────────────┘
//! ```
//!
//! Who comes while a round runs is served by the next one: what it wants durable may have come too late for this one. The threads that
//! carry effects of the storage server run the round; nobody waits on a lock for it.
//!
//! What data files hold reaches the disk before the database says that they hold it. The database has one journal, so names never come to
//! be durable without the chunks they depend on.
//!
//! A failed round is final. When the system cannot write a page it reports that once and may then drop the page and call it clean, so a
//! later success says nothing about what the failed round promised. What is on disk is known again only after the directory was opened
//! anew; until then nothing is called durable any more.

use super::links::MetaCaller;
use flyer_cluster::mgmtd::CallToken;
use flyer_types::{Status, Text};
use flyer_wire::service::meta::Response;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Who waits for everything so far to be durable.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A call to the metadata server, with the answer it gets then.
    Meta(MetaCaller, Box<Result<Response, Status>>),
    /// A call to the manager.
    Manager(
        CallToken,
        Box<Result<flyer_wire::service::mgmtd::Response, Status>>,
    ),
    /// A thread of the host.
    Thread(Sender<bool>),
    /// Nobody in particular: the storage server wants space back, or time has passed.
    Nobody,
}

/// Where the rounds stand.
#[derive(Debug, Default)]
pub(crate) struct Durability {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiter>,
    /// Whom the round serves that is running.
    served: Vec<Waiter>,
    /// A round is begun or running.
    busy: bool,
    /// Why nothing is durable any more.
    broken: Option<Text>,
}

impl Durability {
    /// Somebody waits. Returns whether the caller has to begin a round.
    #[must_use]
    pub(crate) fn wait(&self, waiter: Waiter) -> bool {
        let mut state = self.lock();
        state.waiting.push(waiter);
        !std::mem::replace(&mut state.busy, true)
    }

    /// A round runs from now on, for whoever waits at this moment.
    ///
    /// # Errors
    /// An earlier one has failed.
    pub(crate) fn run(&self) -> Result<(), Text> {
        let mut state = self.lock();
        debug_assert!(
            state.busy && state.served.is_empty(),
            "a round was begun, and the one before has ended"
        );
        state.served = std::mem::take(&mut state.waiting);
        state.broken.clone().map_or(Ok(()), Err)
    }

    /// The round has ended. Returns whom it served, and whether the caller has to begin another one.
    pub(crate) fn end(&self, outcome: &Result<(), Text>) -> (Vec<Waiter>, bool) {
        let mut state = self.lock();
        if let Err(why) = outcome {
            state.broken = Some(why.clone());
        }
        state.busy = !state.waiting.is_empty();
        (std::mem::take(&mut state.served), state.busy)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_during_a_round_is_served_by_the_next() {
        let durability = Durability::default();
        assert!(durability.wait(Waiter::Nobody), "the first begins a round");
        assert!(!durability.wait(Waiter::Nobody), "the second joins it");
        assert_eq!(durability.run(), Ok(()));
        assert!(!durability.wait(Waiter::Nobody), "the round runs already");
        let (served, again) = durability.end(&Ok(()));
        assert_eq!((served.len(), again), (2, true));
        assert_eq!(durability.run(), Ok(()));
        let (served, again) = durability.end(&Ok(()));
        assert_eq!((served.len(), again), (1, false));
        assert!(durability.wait(Waiter::Nobody));
    }

    #[test]
    fn after_a_failure_nothing_is_durable_any_more() {
        let durability = Durability::default();
        let failed = Err(Text::from("the disk is gone"));
        assert!(durability.wait(Waiter::Nobody));
        assert_eq!(durability.run(), Ok(()));
        assert_eq!(durability.end(&failed).0.len(), 1);
        assert!(durability.wait(Waiter::Nobody));
        assert_eq!(durability.run(), failed);
    }
}
