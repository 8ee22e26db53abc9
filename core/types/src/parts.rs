//! Shapes that recur in machines, each with its own limits and tests.
//!
//! | part | what it decides |
//! |---|---|
//! | [`retry`] | whether and when a failed call is tried again |
//! | [`single_flight`] | who starts a shared call and who only waits for it |
//! | [`credits`] | who may use a scarce thing, and who is next |
//! | [`deadlines`] | what is due |
//! | [`slots`] | which row an id names, and whether that id is stale |
//!
//! None of them is a [`Machine`](crate::Machine): they have one owner, no messages of their own and no wish to be
//! woken that their owner does not turn into its own deadline. They keep the same discipline: time and randomness
//! are arguments, what happened is a return value or goes into an [`Effects`](crate::Effects) sink at once,
//! nothing deliverable is ever held back, and `check` asserts all invariants.

pub mod credits;
pub mod deadlines;
pub mod retry;
pub mod single_flight;
pub mod slots;

pub use credits::Credits;
pub use deadlines::Deadlines;
pub use retry::Retry;
pub use single_flight::SingleFlight;
pub use slots::Slots;
