//! The invariants of metadata calls.
//!
//! Owner: [`MetaCalls`].

use super::{For, Key, MetaCalls, Stage, key};

impl<O> MetaCalls<O> {
    pub(super) fn assert_invariants(&self) {
        self.servers.check();
        self.calls.check();
        self.attempts.check();
        self.room.check();
        self.background_room.check();
        self.deadlines.check();
        assert!(
            self.prune.len() < self.options.prune_sessions_max,
            "enough sessions wait to be pruned"
        );
        assert!(
            self.prune.is_empty() == self.deadlines.get(Key::Prune).is_none(),
            "sessions wait to be pruned without a time, or the other way round"
        );
        let of = |wanted: For| self.attempts.iter().filter(|(_, at)| at.of == wanted).count();
        for (id, call) in self.calls.iter() {
            let calling = call.stage == Stage::Calling;
            assert!(
                of(For::Call(id)) == usize::from(calling),
                "{id:?} in {:?}",
                call.stage
            );
            assert!(
                self.deadlines.get(key(id)).is_some() != calling,
                "{id:?} in {:?}",
                call.stage
            );
        }
        for (id, background) in &self.background {
            let calling = background.stage == Stage::Calling;
            assert!(
                of(For::Background(*id)) == usize::from(calling),
                "{id:?} in {:?}",
                background.stage
            );
            let sleeping = background.stage == Stage::Sleeping;
            let timed = self.deadlines.get(Key::Background(*id)).is_some();
            assert!(timed == sleeping, "{id:?} in {:?}", background.stage);
        }
        let calling = self.calls.iter().filter(|(_, call)| call.stage == Stage::Calling);
        assert!(
            calling.count() == self.room.held() as usize,
            "room is held by nobody"
        );
    }
}
