//! What is done regularly: telling servers how much room there is and what time it is, making durable what nobody has asked for, and
//! giving idle memory back.
//!
//! Owner: a mount. Ends with it.

use super::durability::Waiter;
use super::hosts::describe;
use super::links::Links;
use super::{KernelSide, mount};
use flyer_cluster::{meta, storage};
use flyer_vfs::shard;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often servers hear of room and time.
const REPORT: Duration = Duration::from_secs(1);

/// Reports between two rounds of making everything durable: what a power loss may cost who never asks for durability.
const REPORTS_PER_SYNC: u32 = 5;

/// Payload memory that an idle mount keeps.
const IDLE_BYTES: usize = 8 << 20;

/// The thread. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Janitor {
    end: Option<Sender<()>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Janitor {
    /// Starts the thread.
    pub(crate) fn start<K: KernelSide>(links: Arc<Links<K>>) -> io::Result<Self> {
        let (end, ended) = channel();
        let body = move || {
            let mut reports = 0;
            while ended.recv_timeout(REPORT) == Err(RecvTimeoutError::Timeout) {
                report(&links);
                reports += 1;
                if reports % REPORTS_PER_SYNC == 0 {
                    links.make_durable(Waiter::Nobody);
                    links.pool.trim(IDLE_BYTES);
                }
            }
        };
        #[allow(clippy::disallowed_methods, reason = "a host owns threads")]
        let thread = std::thread::Builder::new()
            .name("janitor".to_owned())
            .spawn(body)?;
        Ok(Self {
            end: Some(end),
            thread: Mutex::new(Some(thread)),
        })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.end.take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the janitor has panicked");
        }
    }
}

/// Tells everybody how much room there is and what time it is.
pub(crate) fn report<K: KernelSide>(links: &Links<K>) {
    let wall = mount::wall_clock();
    links.to_meta(meta::In::Clock(wall));
    links.to_storage(storage::In::Clock(wall));
    for to in 0..links.shards() {
        links.to_shard(to, shard::In::Clock(wall));
    }
    match links.files.space() {
        Ok(space) => {
            let (capacity, free) = (space.capacity, space.free);
            links.to_meta(meta::In::Space { capacity, free });
            links.to_storage(storage::In::Space { capacity, free });
        }
        Err(error) => tracing::warn!("the room for data is not known: {}", describe(&error)),
    }
}
