//! The rules of the game, each broken by a machine that is faulty in one way.

use flyer_types::machine::{Checked, Effects, Machine, Reason};
use flyer_types::{Span, Time};

/// What is wrong with an [`Echo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// Stays due after it was served.
    StaysDue,
    /// Holds output without saying that it is due.
    HidesOutput,
    /// Answers before it is due.
    ActsEarly,
    /// Moves its deadline when woken without need.
    MovesDeadline,
    /// Removes effects of others.
    ClearsSink,
    /// Breaks its own invariant on the second input.
    BreaksInvariant,
}

/// Gives each number back after a second; 0 at once, but only through `handle_timeout`.
struct Echo {
    waiting: Vec<(Time, u64)>,
    fault: Fault,
}

const DELAY: Span = Span::from_secs(1);

impl Machine for Echo {
    type In = u64;
    type Out = u64;

    fn handle(&mut self, now: Time, input: u64, out: &mut Effects<u64>) {
        let at = if input == 0 { now } else { now + DELAY };
        self.waiting.push((at, input));
        self.waiting.sort_unstable();
        if self.fault == Fault::ClearsSink {
            out.clear();
        }
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<u64>) {
        match self.fault {
            Fault::StaysDue => return,
            Fault::ActsEarly => out.extend(self.waiting.iter().map(|(_, n)| *n)),
            Fault::MovesDeadline => self
                .waiting
                .iter_mut()
                .for_each(|(at, _)| *at = (*at).max(now + DELAY)),
            Fault::None | Fault::HidesOutput | Fault::ClearsSink | Fault::BreaksInvariant => {}
        }
        while let Some((at, n)) = self.waiting.first().copied()
            && at <= now
        {
            out.push(n);
            self.waiting.remove(0);
        }
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        let (at, n) = *self.waiting.first()?;
        if n != 0 {
            return Some((at, Reason::named("echo")));
        }
        (self.fault != Fault::HidesOutput).then_some((at, Reason::QUEUED_OUTPUT))
    }

    fn check(&self) {
        assert!(
            self.fault != Fault::BreaksInvariant || self.waiting.len() < 2,
            "the echo remembers too much"
        );
    }

    fn holds_deliverable(&self) -> bool {
        self.waiting.first().is_some_and(|(_, n)| *n == 0)
    }
}

fn echo(fault: Fault) -> Checked<Echo> {
    let waiting = Vec::new();
    Checked::new(Echo { waiting, fault })
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Span::from_secs(seconds)
}

/// A run that touches every rule.
fn run(mut machine: Checked<Echo>) -> Vec<u64> {
    let mut out = Effects::new();
    out.push(99);
    machine.handle_timeout(at(0), &mut out);
    machine.handle(at(1), 5, &mut out);
    machine.handle_timeout(at(1), &mut out);
    machine.handle(at(1), 6, &mut out);
    machine.handle_timeout(at(2), &mut out);
    machine.handle_timeout(at(2), &mut out);
    machine.handle(at(3), 0, &mut out);
    machine.handle_timeout(at(3), &mut out);
    assert_eq!(machine.poll_timeout(), None);
    machine.into_inner();
    out.drain().collect()
}

#[test]
fn a_good_machine_passes_and_its_effects_arrive_in_order() {
    assert_eq!(run(echo(Fault::None)), [99, 5, 6, 0]);
}

#[test]
fn the_wrapper_is_a_machine_that_says_what_its_machine_says() {
    let mut machine = echo(Fault::None);
    let mut out = Effects::new();
    machine.handle(at(1), 0, &mut out);
    assert_eq!(machine.poll_timeout(), Some((at(1), Reason::QUEUED_OUTPUT)));
    assert!(machine.holds_deliverable());
    machine.check();
    assert_eq!(machine.inner().waiting.len(), 1);
    machine.inner_mut().waiting.clear();
    assert!(!machine.holds_deliverable());
    assert!(out.is_empty());
}

#[cfg(debug_assertions)]
mod faults {
    use super::*;

    #[test]
    #[should_panic(expected = "the machine was woken at 2.000000000 and is still due")]
    fn staying_due_would_spin() {
        run(echo(Fault::StaysDue));
    }

    #[test]
    #[should_panic(expected = "holds something deliverable at 3.000000000 but wants to be woken at None")]
    fn hidden_output_would_sleep() {
        run(echo(Fault::HidesOutput));
    }

    #[test]
    #[should_panic(expected = "without need (its deadline was Some((2.000000000, Reason(echo))))")]
    fn acting_early_is_a_hidden_clock() {
        run(echo(Fault::ActsEarly));
    }

    #[test]
    #[should_panic(expected = "without need")]
    fn moving_a_deadline_without_need_starves_it() {
        let mut machine = echo(Fault::MovesDeadline);
        let mut out = Effects::new();
        machine.handle(at(1), 5, &mut out);
        machine.handle_timeout(at(1) + Span::from_ms(1), &mut out);
    }

    #[test]
    #[should_panic(expected = "the machine removed effects from the sink: 1 before, 0 after")]
    fn effects_of_others_are_not_to_be_touched() {
        run(echo(Fault::ClearsSink));
    }

    #[test]
    #[should_panic(expected = "the echo remembers too much")]
    fn invariants_are_checked_after_each_step() {
        run(echo(Fault::BreaksInvariant));
    }

    #[test]
    #[should_panic(expected = "time went backwards: from 2.000000000 to 1.000000000")]
    fn time_does_not_go_backwards_for_inputs() {
        let mut machine = echo(Fault::None);
        let mut out = Effects::new();
        machine.handle_timeout(at(2), &mut out);
        machine.handle(at(1), 5, &mut out);
    }

    #[test]
    #[should_panic(expected = "time went backwards: from 2.000000000 to 1.000000000")]
    fn time_does_not_go_backwards_for_timeouts() {
        let mut machine = echo(Fault::None);
        let mut out = Effects::new();
        machine.handle(at(2), 5, &mut out);
        machine.handle_timeout(at(1), &mut out);
    }

    #[test]
    #[should_panic(expected = "the echo remembers too much")]
    fn invariants_are_checked_at_the_start() {
        let waiting = vec![(at(1), 1), (at(1), 2)];
        let _ = Checked::new(Echo {
            waiting,
            fault: Fault::BreaksInvariant,
        });
    }
}

#[cfg(not(debug_assertions))]
#[test]
fn without_debug_assertions_faults_pass() {
    let mut machine = echo(Fault::HidesOutput);
    let mut out = Effects::new();
    machine.handle(at(2), 0, &mut out);
    machine.handle_timeout(at(1), &mut out);
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn effects_keep_their_memory_and_their_order() {
    let mut out = Effects::with_capacity(3);
    out.extend([1, 2]);
    out.push(3);
    assert_eq!((out.len(), out.is_empty()), (3, false));
    let place = out.iter().as_slice().as_ptr();
    assert_eq!(out.drain().collect::<Vec<_>>(), [1, 2, 3]);
    out.extend([4, 5, 6]);
    assert_eq!((&out).into_iter().copied().collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(out.iter().as_slice().as_ptr(), place, "the memory was given up");
    out.clear();
    assert!(out.is_empty());
}

#[test]
fn reasons_print_their_words() {
    assert_eq!(Reason::named("a.b").to_string(), "a.b");
    assert_eq!(format!("{:?}", Reason::QUEUED_OUTPUT), "Reason(queued output)");
    assert_eq!(Reason::named("queued output"), Reason::QUEUED_OUTPUT);
    assert_eq!(Reason::QUEUED_OUTPUT.name(), "queued output");
}
