//! Turns at an inode: who only reads and writes shares it, who cuts it or appends to it has it alone.
//!
//! Owner: the live part of an inode.
//!
//! ```text
//!            take: nobody in the way                 give
//!   (none) ──────────────────────────► has its turn ──────► (none)
//!      └── take: someone is, or waits ─► waits ──┘  (in the order of asking)
//! ```
//!
//! Limit: [`WAITING_MAX`].

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use flyer_types::ids::OpId;

/// Operations that wait for their turn at one inode; one more is refused.
pub(crate) const WAITING_MAX: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Alone,
}

/// What came of asking for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Taken {
    Now,
    /// It comes later.
    Later,
    /// Too many wait.
    Refused,
}

#[derive(Debug)]
pub(crate) struct Turns {
    shared: u32,
    alone: bool,
    waiting: VecDeque<(OpId, Mode)>,
}

impl Turns {
    pub(crate) const fn new() -> Self {
        Self {
            shared: 0,
            alone: false,
            waiting: VecDeque::new(),
        }
    }

    pub(crate) fn take(&mut self, op: OpId, mode: Mode) -> Taken {
        if self.waiting.is_empty() && self.is_free_for(mode) {
            self.count(mode);
            return Taken::Now;
        }
        if self.waiting.len() >= WAITING_MAX {
            flyer_types::mark!("vfs.turns_full");
            return Taken::Refused;
        }
        self.waiting.push_back((op, mode));
        Taken::Later
    }

    /// Gives a turn back; those who have it now.
    pub(crate) fn give(&mut self, mode: Mode) -> Vec<OpId> {
        match mode {
            Mode::Shared => {
                assert!(self.shared > 0, "a turn is given back that nobody had");
                self.shared -= 1;
            }
            Mode::Alone => {
                assert!(self.alone, "a turn is given back that nobody had");
                self.alone = false;
            }
        }
        let mut next = Vec::new();
        while let Some((op, mode)) = self.waiting.front().copied()
            && self.is_free_for(mode)
        {
            self.count(mode);
            self.waiting.pop_front();
            next.push(op);
        }
        next
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.shared == 0 && !self.alone && self.waiting.is_empty()
    }

    const fn is_free_for(&self, mode: Mode) -> bool {
        match mode {
            Mode::Shared => !self.alone,
            Mode::Alone => !self.alone && self.shared == 0,
        }
    }

    const fn count(&mut self, mode: Mode) {
        match mode {
            Mode::Shared => self.shared += 1,
            Mode::Alone => self.alone = true,
        }
    }

    pub(crate) fn check(&self) {
        assert!(!self.alone || self.shared == 0, "not alone");
        assert!(self.waiting.len() <= WAITING_MAX, "too many wait for a turn");
        if let Some((op, mode)) = self.waiting.front() {
            assert!(!self.is_free_for(*mode), "{op:?} waits for nothing");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(slot: u32) -> OpId {
        OpId::new(slot, 1)
    }

    #[test]
    fn turns_come_in_the_order_of_asking() {
        let mut turns = Turns::new();
        assert_eq!(turns.take(op(1), Mode::Shared), Taken::Now);
        assert_eq!(turns.take(op(2), Mode::Alone), Taken::Later);
        // Who shares does not overtake who waits to be alone, or that one would wait forever.
        assert_eq!(turns.take(op(3), Mode::Shared), Taken::Later);
        assert_eq!(turns.take(op(4), Mode::Shared), Taken::Later);
        turns.check();
        assert_eq!(turns.give(Mode::Shared), [op(2)]);
        assert_eq!(turns.give(Mode::Alone), [op(3), op(4)]);
        assert!(turns.give(Mode::Shared).is_empty());
        assert!(!turns.is_idle());
        assert!(turns.give(Mode::Shared).is_empty());
        assert!(turns.is_idle());
    }

    #[test]
    fn too_many_waiters_are_refused() {
        let mut turns = Turns::new();
        assert_eq!(turns.take(op(0), Mode::Alone), Taken::Now);
        for slot in 0..WAITING_MAX {
            let slot = u32::try_from(slot).expect("small");
            assert_eq!(turns.take(op(slot), Mode::Shared), Taken::Later);
        }
        assert_eq!(turns.take(op(9), Mode::Shared), Taken::Refused);
        turns.check();
        assert_eq!(turns.give(Mode::Alone).len(), WAITING_MAX);
    }
}
