//! Write sessions that nobody will close: those of dead clients, and those that a client has asked to drop.
//!
//! ```text
//!   idle ──due──► running(position) ──page by page──► finishing ──last length known──► idle
//!                     │  ▲                               requests to drop that all matched are deleted
//!                     └──┘ waits while too many lengths are asked for
//! ```
//!
//! A session is dropped in the transaction that brings the length of its file up to date, so that a crashed client loses
//! nothing that reached the storage. If that fails the session stays for the next scan.
//!
//! Limits: `SESSIONS_PER_STEP`, `PRUNES_RUNNING_MAX`, `PRUNE_LOADED_MAX`.
//!
//! Source: `src/meta/components/SessionManager.cc` upstream, with `sync_on_prune_session`.

use super::batch::Waiter;
use super::keys::{self, PRUNE_INODE};
use super::options::limits::{PRUNE_LOADED_MAX, PRUNES_RUNNING_MAX, SESSIONS_PER_STEP};
use super::records::FileSession;
use super::tx::{Res, Tx, decode};
use super::{MetaServer, Out, STEP};
use crate::store::{Store, prefix_end};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Effects, Time};

/// A session that nobody will close, and its file.
type Dead = (InodeId, Uuid);

/// The scan of sessions.
#[derive(Debug)]
pub(super) struct Scan {
    /// When to go on.
    pub(super) wake: Option<Time>,
    /// A scan under way.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    /// Where to go on; `None` at the end.
    at: Option<Vec<u8>>,
    /// Sessions that clients asked to drop.
    asked: BTreeSet<Uuid>,
    /// A session that should have been dropped was not.
    failed: bool,
}

impl Scan {
    pub(super) const fn new() -> Self {
        Self {
            wake: None,
            running: None,
        }
    }

    /// Makes sure that there is a scan not later than that.
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// A session was dropped, or could not be.
    pub(super) fn pruned(&mut self, dropped: bool) {
        if let Some(running) = &mut self.running {
            running.failed |= !dropped;
        }
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// One step of a scan.
    pub(super) fn scan_sessions(&mut self, now: Time, out: &mut Effects<Out<C>>) {
        let interval = self.core.options.session.scan_interval.max(STEP);
        match self.scan_step(now, out) {
            Ok(true) => self.scan.wake = Some(now + STEP),
            Ok(false) => self.scan.wake = Some(now + interval).filter(|_| self.has_sessions()),
            Err(_) => {
                self.scan.running = None;
                self.scan.wake = Some(now + interval);
            }
        }
    }

    /// Whether there is anything to scan, so that an idle server sleeps. Requests look again.
    fn has_sessions(&mut self) -> bool {
        let mut found = false;
        let scanned = Tx::new(&mut self.store).scan(keys::SESSION, keys::SESSION, 1, &mut |_, _| {
            found = true;
            Ok(())
        });
        found || scanned.is_err()
    }

    /// Whether the scan goes on.
    fn scan_step(&mut self, now: Time, out: &mut Effects<Out<C>>) -> Res<bool> {
        let busy = self.prunes_under_way();
        let mut running = match self.scan.running.take() {
            Some(running) => running,
            None => self.begin_scan()?,
        };
        let Some(from) = running.at.take() else {
            if busy == 0 {
                return self.end_scan(&running).map(|()| false);
            }
            self.scan.running = Some(running);
            return Ok(true);
        };
        if busy >= PRUNES_RUNNING_MAX {
            running.at = Some(from);
            self.scan.running = Some(running);
            return Ok(true);
        }
        let (dead, next) = self.find_dead(now, from, &running.asked, PRUNES_RUNNING_MAX - busy)?;
        running.at = next;
        self.scan.running = Some(running);
        for (inode, session) in dead {
            self.drop_session(now, inode, session, out)?;
        }
        Ok(true)
    }

    fn begin_scan(&mut self) -> Res<Running> {
        let mut asked = BTreeSet::new();
        let prefix = keys::sessions_of(PRUNE_INODE);
        Tx::new(&mut self.store).scan(&prefix, &prefix, PRUNE_LOADED_MAX, &mut |_, value| {
            asked.insert(decode::<FileSession>(value)?.session);
            Ok(())
        })?;
        Ok(Running {
            at: Some(keys::SESSION.to_vec()),
            asked,
            failed: false,
        })
    }

    /// At most `limit` sessions of one page that nobody will close, and where the next page begins.
    fn find_dead(
        &mut self,
        now: Time,
        from: Vec<u8>,
        asked: &BTreeSet<Uuid>,
        limit: usize,
    ) -> Res<(Vec<Dead>, Option<Vec<u8>>)> {
        let age_us = i64::try_from(self.core.options.session.age_min.as_us()).unwrap_or(i64::MAX);
        let born_before = self.wall(now).us.saturating_sub(age_us);
        let clients = self.clients.as_ref();
        let mut dead = Vec::new();
        let mut next = None;
        let tx = Tx::new(&mut self.store);
        let more = tx.scan(&from, keys::SESSION, SESSIONS_PER_STEP, &mut |key, value| {
            if next.is_some() {
                return Ok(());
            }
            let session: FileSession = decode(value)?;
            let is_dead = clients.is_some_and(|clients| !clients.contains(&session.client.uuid))
                && session.timestamp.us < born_before;
            if session.inode != PRUNE_INODE && (is_dead || asked.contains(&session.session)) {
                if dead.len() == limit {
                    next = Some(key.to_vec());
                    return Ok(());
                }
                dead.push((session.inode, session.session));
            }
            Ok(())
        })?;
        if next.is_none() && more {
            next = self.key_after_page(&from)?;
        }
        Ok((dead, next))
    }

    /// The first key behind the page that begins at `from`.
    fn key_after_page(&mut self, from: &[u8]) -> Res<Option<Vec<u8>>> {
        let mut last = None;
        let tx = Tx::new(&mut self.store);
        tx.scan(from, keys::SESSION, SESSIONS_PER_STEP, &mut |key, _| {
            last = Some(key.to_vec());
            Ok(())
        })?;
        debug_assert!(prefix_end(keys::SESSION).is_some(), "the prefix is text");
        Ok(last.map(|mut key| {
            key.push(0);
            key
        }))
    }

    /// Drops one session, after the length of its file is known if the options want that.
    fn drop_session(
        &mut self,
        now: Time,
        inode: InodeId,
        session: Uuid,
        out: &mut Effects<Out<C>>,
    ) -> Res<()> {
        let is_there = Tx::new(&mut self.store).find_inode(inode)?.is_some();
        if is_there && self.core.options.session.sync_on_prune {
            self.submit(now, Waiter::Prune { inode, session }, out);
            return Ok(());
        }
        let mut tx = Tx::new(&mut self.store);
        tx.delete_raw(keys::session(inode, session));
        tx.commit()
    }

    /// Requests to drop sessions are done with, if they could be fulfilled.
    fn end_scan(&mut self, running: &Running) -> Res<()> {
        if running.failed {
            return Ok(());
        }
        let mut tx = Tx::new(&mut self.store);
        for session in &running.asked {
            tx.delete_raw(keys::session(PRUNE_INODE, *session));
        }
        tx.commit()
    }
}
