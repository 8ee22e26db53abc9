//! A machine that threads share: who runs it, and the order of what it wants done.
//!
//! Owner: the host, which keeps [`Cell`]s wherever it has inputs for them.
//!
//! ```text
//!   post / try_post / send ──► inbox ──► machine idle and this thread in no turn? ── yes ──► run ──► finish the turn
//!                                │              │ no
//!                                │              └── owner looks again, or this thread has promised to run it
//!
//!   run:  ┌─► handle each input ──► due? handle_timeout ──► set the alarm ──► look into the inbox again ──┐
//!         └────────────────────────────── inputs left ◄───────────────────────────────────────────────────┤
//!           after each step: Host::route(effect), which enqueues messages to other cells                  ▼
//!                                                                                         let the machine go;
//!                                                                                       Host::perform(leaf) each
//! ```
//!
//! The order of messages and leaves, and what may wait for what, is on the front page of the crate.
//!
//! Limits: [`Limits`] of the inbox; the budget of a turn (`turn`).

use crate::inbox::{Admitted, Entry, Inbox, Limits, Next, Origin, Refused, Watch};
use crate::runtime::Core;
use crate::sync::{Condvar, Mutex, lock, wait};
use crate::timer::CellIndex;
use crate::turn::{self, Budget, Leaves, Runnable, Turn};
use flyer_types::{Effects, Machine, Reason, Time};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Does what a machine wants done.
pub trait Host<M: Machine>: Send + Sync + 'static {
    /// What is done only after the machine was let go: a reply to the kernel, an access to a disk.
    type Leaf: Send + 'static;

    /// Takes one effect, in the order in which the machine emitted them, while the machine is still owned.
    ///
    /// A message to another cell is [sent](Cell::send) here: only this keeps the order of messages. It must do
    /// nothing that waits. Whatever else is to be done is pushed to `leaves`.
    fn route(&self, now: Time, effect: M::Out, leaves: &mut Vec<Self::Leaf>);

    /// Does one thing that may take its time, after the machine was let go. What comes of it is [sent](Cell::send)
    /// back as an input. It must not wait for another leaf.
    fn perform(&self, leaf: Self::Leaf);
}

impl<M: Machine, H: Host<M>> Host<M> for Arc<H> {
    type Leaf = H::Leaf;

    fn route(&self, now: Time, effect: M::Out, leaves: &mut Vec<H::Leaf>) {
        self.as_ref().route(now, effect, leaves);
    }

    fn perform(&self, leaf: H::Leaf) {
        self.as_ref().perform(leaf);
    }
}

/// A handle of a cell. Clones are the same cell.
///
/// Cells whose hosts hold handles of each other keep each other alive: a host that wants them dropped lets go of its
/// handles after [`Runtime::end`](crate::Runtime::end).
pub struct Cell<M: Machine, H: Host<M>> {
    shared: Arc<Shared<M, H>>,
}

impl<M, H> Cell<M, H>
where
    M: Machine + Send + 'static,
    M::In: Send + 'static,
    M::Out: Send + 'static,
    H: Host<M>,
{
    /// A cell of the runtime that owns `core`. An alarm is set if the machine has a deadline already.
    pub(crate) fn new(
        core: &Arc<Core>,
        name: &'static str,
        machine: M,
        host: H,
        limits: Limits,
    ) -> Option<Self> {
        let deadline = machine.poll_timeout();
        let state = Box::new(State {
            machine,
            effects: Effects::new(),
            batch: VecDeque::new(),
            now: Time::ZERO,
            alarm: deadline.map_or(Time::NEVER, |(at, _)| at),
        });
        let alarm = state.alarm;
        let shared = core.timer.add(|index| {
            Arc::new(Shared {
                inbox: Mutex::new(Inbox::new(limits, state)),
                has_room: Condvar::new(),
                core: Arc::clone(core),
                host,
                index,
                name,
            })
        })?;
        if alarm < Time::NEVER {
            core.timer.set(shared.index, alarm);
        }
        Some(Self { shared })
    }

    /// Hands in an input from outside, such as a request of the kernel. If the inbox is full this waits for room.
    /// If the machine is idle this thread runs it, and does whatever comes of it, before the call returns.
    ///
    /// # Errors
    /// Hands the input back if the cell is closed.
    ///
    /// # Panics
    /// If called from within a [`Host`]: the room might have to be made by this thread.
    pub fn post(&self, input: M::In) -> Result<(), Refused<M::In>> {
        assert!(
            !turn::is_running(),
            "a host must not wait: send to cell {} instead",
            self.shared.name
        );
        let mut now = self.shared.core.clock.now();
        let mut input = input;
        let mut inbox = lock(&self.shared.inbox);
        let admitted = loop {
            match inbox.admit(now, Origin::External, input, true) {
                Ok(admitted) => break admitted,
                Err(Refused::Full(returned)) => input = returned,
                Err(closed @ Refused::Closed(_)) => return Err(closed),
            }
            inbox.waiting += 1;
            inbox = wait(&self.shared.has_room, inbox);
            inbox.waiting -= 1;
            now = self.shared.core.clock.now();
        };
        drop(inbox);
        self.shared.follow_up(now, admitted);
        Ok(())
    }

    /// Like [`Cell::post`], but never waits and may be called from everywhere.
    ///
    /// # Errors
    /// Hands the input back if the inbox is full or the cell is closed.
    pub fn try_post(&self, input: M::In) -> Result<(), Refused<M::In>> {
        self.hand_in(Origin::External, input)
    }

    /// Hands in a message of another cell, or the end of something that was under way. Never waits. From within a
    /// [`Host`] it only enqueues; the thread runs the cell later in its turn.
    ///
    /// # Errors
    /// Hands the input back if the machine is dead, or if the limit for inputs of this kind is reached: then less was
    /// accounted for than is under way, a mistake of the host.
    pub fn send(&self, input: M::In) -> Result<(), Refused<M::In>> {
        self.hand_in(Origin::Internal, input)
    }

    /// What a watchdog wants to know about this cell now.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.shared.watch()
    }

    fn hand_in(&self, origin: Origin, input: M::In) -> Result<(), Refused<M::In>> {
        let in_turn = turn::is_running();
        let now = if in_turn {
            turn::now()
        } else {
            self.shared.core.clock.now()
        };
        let admitted = lock(&self.shared.inbox).admit(now, origin, input, !in_turn)?;
        self.shared.follow_up(now, admitted);
        Ok(())
    }
}

impl<M: Machine, H: Host<M>> Clone for Cell<M, H> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Machine, H: Host<M>> fmt::Debug for Cell<M, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cell({})", self.shared.name)
    }
}

/// What only the owner of the machine touches.
struct State<M: Machine> {
    machine: M,
    effects: Effects<M::Out>,
    /// Inputs taken out of the inbox.
    batch: VecDeque<Entry<M::In>>,
    /// The latest time the machine has seen.
    now: Time,
    /// When the timer wakes the cell, or "never". Not later than the machine's deadline once the machine is let go.
    alarm: Time,
}

/// The cell itself.
struct Shared<M: Machine, H: Host<M>> {
    inbox: Mutex<Inbox<M::In, Box<State<M>>>>,
    /// Posters from outside wait here.
    has_room: Condvar,
    core: Arc<Core>,
    host: H,
    index: CellIndex,
    name: &'static str,
}

impl<M, H> Shared<M, H>
where
    M: Machine + Send + 'static,
    M::In: Send + 'static,
    M::Out: Send + 'static,
    H: Host<M>,
{
    /// Does what admitting an input has left to its poster.
    fn follow_up(self: &Arc<Self>, now: Time, admitted: Admitted<M::In, Box<State<M>>>) {
        match admitted {
            Admitted::Direct(input, state) => self.take_turn(state, Some((now, input))),
            Admitted::Owner(state) => self.take_turn(state, None),
            Admitted::Promise => turn::promise(self),
            Admitted::Queued => {}
        }
    }

    /// Runs the machine, which this thread has acquired outside of a turn, and does what comes of it.
    fn take_turn(self: &Arc<Self>, state: Box<State<M>>, first: Option<(Time, M::In)>) {
        let turn = Turn::begin();
        let mut budget = Budget::new(self.core.options.turn_inputs_max);
        let mut leaves = self.run_owned(state, first, &mut budget).into_iter();
        // The usual case, without an allocation for the rest: no other cell was woken.
        while !turn::is_owing() {
            match leaves.next() {
                Some(leaf) => self.host.perform(leaf),
                None => return,
            }
        }
        turn.finish(&mut budget, self.box_leaves(leaves));
    }

    /// Runs the machine until the inbox is empty or the budget used up, lets it go and hands back the leaves.
    fn run_owned(
        self: &Arc<Self>,
        mut state: Box<State<M>>,
        first: Option<(Time, M::In)>,
        budget: &mut Budget,
    ) -> Vec<H::Leaf> {
        let mut leaves = Vec::new();
        let abandoned = Abandoned(self);
        let mut handled = 0;
        if let Some((now, input)) = first {
            self.step(&mut state, now, Some(input), &mut leaves);
            handled = 1;
        } else {
            self.take_batch(&mut lock(&self.inbox), &mut state, budget);
            handled += self.run_batch(&mut state, &mut leaves);
        }
        loop {
            budget.inputs = budget.inputs.saturating_sub(handled);
            let deadline = state.machine.poll_timeout();
            self.set_alarm(&mut state, deadline);
            let mut inbox = lock(&self.inbox);
            match inbox.look_again(state, handled, budget.inputs, deadline) {
                Next::Continue(owned) => state = owned,
                Next::Released => break,
                Next::ReleasedWithRest => {
                    drop(inbox);
                    turn::promise(self);
                    break;
                }
            }
            self.take_batch(&mut inbox, &mut state, budget);
            drop(inbox);
            handled = self.run_batch(&mut state, &mut leaves);
        }
        std::mem::forget(abandoned);
        leaves
    }

    /// Takes the next inputs, and the ring of the timer, out of the inbox.
    fn take_batch(&self, inbox: &mut Inbox<M::In, Box<State<M>>>, state: &mut State<M>, budget: &Budget) {
        if inbox.take_ring() {
            state.alarm = Time::NEVER;
        }
        if inbox.take_batch(&mut state.batch, budget.inputs) {
            self.has_room.notify_all();
        }
    }

    /// Handles the batch and what is due. Returns the number of inputs.
    fn run_batch(&self, state: &mut State<M>, leaves: &mut Vec<H::Leaf>) -> u32 {
        let now = self.core.clock.now();
        let mut handled = 0;
        while let Some(entry) = state.batch.pop_front() {
            self.handle(state, now, entry.input, leaves);
            handled += 1;
        }
        self.step(state, now, None, leaves);
        handled
    }

    /// Handles an input, if there is one, and what is due.
    fn step(&self, state: &mut State<M>, now: Time, input: Option<M::In>, leaves: &mut Vec<H::Leaf>) {
        if let Some(input) = input {
            self.handle(state, now, input, leaves);
        }
        let now = state.advance(now);
        if state.machine.poll_timeout().is_some_and(|(at, _)| at <= now) {
            state.machine.handle_timeout(now, &mut state.effects);
            self.route(state, now, leaves);
        }
    }

    fn handle(&self, state: &mut State<M>, now: Time, input: M::In, leaves: &mut Vec<H::Leaf>) {
        let now = state.advance(now);
        turn::set_now(now);
        state.machine.handle(now, input, &mut state.effects);
        self.route(state, now, leaves);
    }

    fn route(&self, state: &mut State<M>, now: Time, leaves: &mut Vec<H::Leaf>) {
        for effect in state.effects.drain() {
            self.host.route(now, effect, leaves);
        }
    }

    /// Has the timer wake this cell at the machine's deadline or before.
    fn set_alarm(&self, state: &mut State<M>, deadline: Option<(Time, Reason)>) {
        if let Some((at, _)) = deadline
            && at < state.alarm
        {
            state.alarm = at;
            self.core.timer.set(self.index, at);
        }
    }

    fn box_leaves(self: &Arc<Self>, leaves: std::vec::IntoIter<H::Leaf>) -> Option<Box<dyn Leaves>> {
        if leaves.as_slice().is_empty() {
            return None;
        }
        Some(Box::new(Pending {
            shared: Arc::clone(self),
            leaves,
        }))
    }
}

impl<M: Machine> State<M> {
    /// The time to tell the machine: threads read the clock before they acquire it, and time must not go backwards.
    fn advance(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }
}

impl<M, H> Runnable for Shared<M, H>
where
    M: Machine + Send + 'static,
    M::In: Send + 'static,
    M::Out: Send + 'static,
    H: Host<M>,
{
    fn run(self: Arc<Self>, budget: &mut Budget) -> Option<Box<dyn Leaves>> {
        let state = lock(&self.inbox).acquire()?;
        let leaves = self.run_owned(state, None, budget);
        self.box_leaves(leaves.into_iter())
    }

    fn hand_over(self: Arc<Self>) -> Result<(), Arc<dyn Runnable>> {
        let mut inbox = lock(&self.inbox);
        if !inbox.is_handed_over {
            self.core.workers.push(Arc::clone(&self) as Arc<dyn Runnable>)?;
            inbox.is_handed_over = true;
        }
        Ok(())
    }

    fn ring(&self) -> bool {
        lock(&self.inbox).ring()
    }

    fn close(&self) {
        lock(&self.inbox).close();
        self.has_room.notify_all();
    }

    fn watch(&self) -> Watch {
        lock(&self.inbox).watch(self.name)
    }
}

impl<M: Machine, H: Host<M>> Drop for Shared<M, H> {
    fn drop(&mut self) {
        self.core.timer.remove(self.index);
    }
}

/// Leaves of one run that wait for cells to be run first.
struct Pending<M: Machine, H: Host<M>> {
    shared: Arc<Shared<M, H>>,
    leaves: std::vec::IntoIter<H::Leaf>,
}

impl<M: Machine, H: Host<M>> Leaves for Pending<M, H> {
    fn perform_next(&mut self) -> bool {
        let Some(leaf) = self.leaves.next() else {
            return false;
        };
        self.shared.host.perform(leaf);
        true
    }
}

/// Marks a cell as dead when its owner panics.
struct Abandoned<'a, M: Machine, H: Host<M>>(&'a Shared<M, H>);

impl<M: Machine, H: Host<M>> Drop for Abandoned<'_, M, H> {
    fn drop(&mut self) {
        lock(&self.0.inbox).die();
        self.0.has_room.notify_all();
    }
}
