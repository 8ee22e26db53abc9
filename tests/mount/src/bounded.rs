//! Operations on a mount that may hang, tried without hanging with them.
//!
//! Owner: a test. Whoever waits for a FUSE mount cannot be interrupted, and neither can a test that ends and closes its files. So an
//! operation runs in a thread of its own, and if it is not answered the program is killed, which answers everything.

use crate::{Mount, Place};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::Cell;
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long an operation may take. A flush that the storage refuses takes about three seconds, and a program that starts another one
/// may wait for several of them.
pub const PATIENCE: Duration = Duration::from_secs(25);

thread_local! {
    /// The program that the test of this thread has started last.
    static PROGRAM: Cell<Option<Pid>> = const { Cell::new(None) };
}

/// Mounts, for [`bounded`] operations of this thread.
#[must_use]
pub fn start(place: &Place) -> Mount {
    let mount = place.mount();
    PROGRAM.set(i32::try_from(mount.pid()).ok().and_then(Pid::from_raw));
    mount
}

/// Carries out an operation. Panics and kills the program if it is not answered within [`PATIENCE`], or panics.
pub fn bounded<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = channel();
    std::thread::spawn(move || drop(done.send(act())));
    match outcome.recv_timeout(PATIENCE) {
        Ok(outcome) => outcome,
        Err(why) => {
            if let Some(pid) = PROGRAM.take() {
                // It may be gone already.
                let _gone = kill_process(pid, Signal::KILL);
            }
            panic!("{what} was not answered: {why}")
        }
    }
}
