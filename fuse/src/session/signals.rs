//! Signals that end a mount.
//!
//! They are blocked in all threads, and one thread waits for them: no code runs inside of a handler.

use super::Stopper;
use nix::sys::signal::{SigSet, Signal};
use std::io;

/// Signals that stop a mount: from the keyboard, from a service manager, from a terminal that goes away.
const STOPPING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Signals that have been blocked for this thread and those it starts.
#[derive(Debug)]
pub struct Signals(SigSet);

impl Signals {
    /// Blocks them. To be called before any thread is started, or that thread would die of them.
    ///
    /// # Errors
    /// The system refused.
    pub fn block() -> io::Result<Self> {
        let set: SigSet = STOPPING.into_iter().collect();
        set.thread_block()?;
        Ok(Self(set))
    }

    /// Starts the thread that passes each of them on, for as long as the process lives.
    ///
    /// # Errors
    /// There is no thread left.
    pub fn stop_on_each(self, stopper: Stopper) -> io::Result<()> {
        let wait = move || {
            loop {
                match self.0.wait() {
                    Ok(signal) => {
                        tracing::info!(%signal, "stopping");
                        stopper.stop();
                    }
                    Err(error) => tracing::warn!(%error, "cannot wait for signals"),
                }
            }
        };
        std::thread::Builder::new()
            .name("flyer-signals".into())
            .spawn(wait)?;
        Ok(())
    }
}
