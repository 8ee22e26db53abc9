//! A mount at work: reader threads, signals, and the end.
//!
//! ```text
//!   start ──► serving ──signal, lost reader──► writing out, unmounting ──► readers ended ──► stop ──► ended
//!                │                                  │                            ▲             │
//!                ├──unmounted by somebody───────────┼────────────────────────────┘             │
//!                └──────────────────────────────────┴──────second signal───────────────────────┴──► forced
//! ```
//!
//! One thread waits for what happens; whatever may hang runs on another one, so that a second signal always gets through.
//!
//! Limits: [`THREADS_MAX`] reader threads.

pub mod mount;
pub mod mountinfo;
pub mod options;
pub mod record;
pub mod signals;

pub use mount::{MountError, Mounted, mount_at};
pub use options::{MountOptions, OptionError};

use crate::adapter::{Adapter, Tuning};
use crate::file_system::{FileSystem, StopError};
use crate::notify::Invalidations;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Most reader threads; each has 16 MiB of address space for requests.
pub const THREADS_MAX: usize = 256;

/// How a session works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Reader threads, from 1 to [`THREADS_MAX`].
    pub threads: usize,
    /// Each reader has its own descriptor of the device.
    pub clone_device: bool,
    /// What is negotiated with the kernel.
    pub tuning: Tuning,
}

/// Something that happened to a session.
#[derive(Debug)]
enum Event {
    /// Somebody wants it to end; the second time at once.
    StopWanted,
    /// A reader thread ended.
    ReaderEnded,
    /// All reader threads ended.
    ReadersEnded(io::Result<()>),
    /// The file system has stopped.
    Stopped(Result<(), StopError>),
}

/// How a session ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything is written out.
    Clean,
    /// Data is lost.
    DataLost(StopError),
    /// A second signal ended it before everything was written out.
    Forced,
    /// Everything is written out, but it ended because of a failure.
    Failed(io::Error),
}

/// A mount at work.
pub struct Session {
    file_system: Arc<dyn FileSystem>,
    mount: Option<Mounted>,
    /// Tells whether the connection is alive.
    device: OwnedFd,
    invalidations: Invalidations,
    notifier: JoinHandle<()>,
    events: Receiver<Event>,
    sender: Sender<Event>,
}

/// Ends a session from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    /// Writes everything out and unmounts; the second time: gives up what is not written, at once.
    pub fn stop(&self) {
        // Nobody listens to a session that has ended.
        let _ended = self.0.send(Event::StopWanted);
    }
}

impl Session {
    /// Answers the kernel's first request on `device` and starts the reader threads. `mount` is what to unmount in the end; without one
    /// the session ends with the device.
    ///
    /// # Errors
    /// The kernel and we do not understand each other, or there are no threads left. `mount` is still there then.
    pub fn start(
        file_system: Arc<dyn FileSystem>,
        device: OwnedFd,
        mount: Option<Mounted>,
        settings: Settings,
    ) -> io::Result<Self> {
        assert!(
            (1..=THREADS_MAX).contains(&settings.threads),
            "the command line has checked the number of threads"
        );
        let (sender, events) = channel();
        let invalidations = Invalidations::new();
        file_system.start(invalidations.clone());

        let alive = device.try_clone()?;
        let reader_ended = {
            let sender = sender.clone();
            // The thread that listened may be gone when a forced end leaves readers behind.
            Arc::new(move || drop(sender.send(Event::ReaderEnded)))
        };
        let adapter = Adapter::new(Arc::clone(&file_system), settings.tuning, reader_ended);
        let mut config = fuser::Config::default();
        config.n_threads = Some(settings.threads);
        config.clone_fd = settings.clone_device;
        // Who may use the mount is decided by the kernel; see `allow_other`.
        let session = fuser::Session::from_fd(adapter, device, fuser::SessionACL::All, config)?;
        let notifier = invalidations.spawn(session.notifier())?;
        let readers = sender.clone();
        std::thread::Builder::new()
            .name("flyer-session".into())
            .spawn(move || drop(readers.send(Event::ReadersEnded(session.run()))))?;
        Ok(Self {
            file_system,
            mount,
            device: alive,
            invalidations,
            notifier,
            events,
            sender,
        })
    }

    /// Ends it from elsewhere.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(self.sender.clone())
    }

    /// Waits for the end, whoever brings it about.
    #[must_use]
    pub fn wait(self) -> Outcome {
        let mut stops = 0_u32;
        let mut failure = None;
        loop {
            match self.next() {
                Event::StopWanted => {
                    stops += 1;
                    if stops > 1 {
                        return self.forced();
                    }
                    self.begin_end();
                }
                Event::ReaderEnded => {
                    if failure.is_none() && stops == 0 && self.is_connected() {
                        tracing::error!("a reader thread was lost; the mount ends");
                        failure = Some(io::Error::other("a reader thread was lost"));
                        stops += 1;
                        self.begin_end();
                    }
                }
                Event::ReadersEnded(result) => {
                    failure = failure.or_else(|| result.err());
                    return self.stop(stops, failure);
                }
                Event::Stopped(_) => unreachable!("it is stopped only when all readers have ended"),
            }
        }
    }

    fn next(&self) -> Event {
        self.events.recv().expect("the session itself holds a sender")
    }

    /// Writes out and unmounts on another thread: both may hang.
    fn begin_end(&self) {
        let file_system = Arc::clone(&self.file_system);
        let mount = self.mount.clone();
        let end = move || {
            // A second signal then loses little.
            if let Err(error) = file_system.sync() {
                tracing::warn!(%error, "not everything could be written out before unmounting; it is tried again");
            }
            // This thread may outlive the session, whose end says that the file system is closed.
            drop(file_system);
            if let Some(mount) = mount {
                unmount_or_detach(&mount);
            }
        };
        let started = std::thread::Builder::new()
            .name("flyer-unmount".into())
            .spawn(end);
        if let Err(error) = started {
            tracing::error!(%error, "no thread to unmount; a second signal ends by force");
        }
    }

    /// All readers have ended: what is buffered is written out.
    fn stop(self, mut stops: u32, failure: Option<io::Error>) -> Outcome {
        self.invalidations.end();
        if let Some(mount) = &self.mount {
            // After a failure it may still be there, dead.
            unmount_or_detach(mount);
        }
        let file_system = Arc::clone(&self.file_system);
        let sender = self.sender.clone();
        let started = std::thread::Builder::new()
            .name("flyer-stop".into())
            .spawn(move || {
                let stopped = file_system.stop();
                drop(file_system);
                drop(sender.send(Event::Stopped(stopped)));
            });
        if let Err(error) = started {
            tracing::warn!(%error, "no thread to stop on; signals have to wait");
            return ended(self.file_system.stop(), failure);
        }
        loop {
            match self.next() {
                Event::StopWanted => {
                    stops += 1;
                    if stops > 1 {
                        return self.forced();
                    }
                }
                Event::ReaderEnded => {}
                Event::ReadersEnded(_) => unreachable!("that has happened, once"),
                Event::Stopped(result) => {
                    if self.notifier.join().is_err() {
                        tracing::error!("the notifier thread panicked; this is a bug");
                    }
                    return ended(result, failure);
                }
            }
        }
    }

    fn forced(self) -> Outcome {
        tracing::warn!("ended by force; what was not yet written is lost");
        // When the connection has ended, its number may belong to another mount by now.
        if self.is_connected()
            && let Some(mount) = &self.mount
            && let Err(error) = mount.abort()
        {
            tracing::warn!(%error, "the mount is left behind");
        }
        Outcome::Forced
    }

    /// Whether the kernel still sends requests.
    fn is_connected(&self) -> bool {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let mut devices = [PollFd::new(self.device.as_fd(), PollFlags::empty())];
        let ended = PollFlags::POLLERR | PollFlags::POLLHUP;
        match poll(&mut devices, PollTimeout::ZERO) {
            Ok(_) => !devices[0].revents().is_some_and(|seen| seen.intersects(ended)),
            Err(_) => false,
        }
    }
}

fn ended(stopped: Result<(), StopError>, failure: Option<io::Error>) -> Outcome {
    match (stopped, failure) {
        (Err(lost), _) => Outcome::DataLost(lost),
        (Ok(()), Some(failure)) => Outcome::Failed(failure),
        (Ok(()), None) => Outcome::Clean,
    }
}

/// A mount that is in use is detached: nobody can enter it any more, and the session ends with the last open file.
fn unmount_or_detach(mount: &Mounted) {
    let unmounted = mount.unmount().or_else(|error| {
        if matches!(error, MountError::Busy(_)) {
            tracing::warn!(
                "{} is in use; it is detached, and flyer ends when the last file in it is closed",
                mount.mount_point().display()
            );
            return mount.detach();
        }
        Err(error)
    });
    if let Err(error) = unmounted {
        tracing::error!(%error, "cannot unmount");
    }
}
