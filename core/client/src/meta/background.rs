//! Metadata calls that nobody waits for: closes, and the pruning of sessions that may have been left behind.
//!
//! ```text
//!   waiting ── room ──► calling ── done, or refused for good ──► gone
//!      ▲                   │ may pass
//!      └──── sleeping ◄────┘
//! ```
//!
//! Owner: [`MetaCalls`]. Limits: [`Options`](super::Options); at the limit the oldest that is not under way goes, and the owner
//! is told.

use super::{Background, BackgroundId, For, Key, MetaCalls, Out, Stage, request};
use flyer_types::ids::Uuid;
use flyer_types::parts::Retry;
use flyer_types::parts::credits::{Acquire, Claim};
use flyer_types::parts::retry::{Decision, Pace};
use flyer_types::status::MetaRetry;
use flyer_types::{Effects, Status, StatusCode, Time};
use flyer_wire::service::meta::{Request, Response};

impl<O> MetaCalls<O> {
    pub(super) fn add_prune(&mut self, now: Time, session: Uuid, out: &mut Effects<Out<O>>) {
        flyer_types::mark!("client.session_pruned");
        self.prune.push(session);
        if self.prune.len() >= self.options.prune_sessions_max {
            self.flush_prune(now, out);
        } else if self.prune.len() == 1 {
            self.set_deadline(Key::Prune, now + self.options.prune_interval);
        }
    }

    pub(super) fn flush_prune(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        self.deadlines.remove(Key::Prune);
        let sessions = core::mem::take(&mut self.prune);
        if !sessions.is_empty() {
            self.add_background(now, request::prune(self.client.clone(), sessions), out);
        }
    }

    pub(super) fn add_background(&mut self, now: Time, mut request: Request, out: &mut Effects<Out<O>>) {
        if self.background.len() >= self.options.background_max as usize {
            self.drop_oldest(out);
        }
        request::stamp(&mut request, &self.client, self.rng.uuid());
        self.background_count += 1;
        let id = BackgroundId(self.background_count);
        let background = Background {
            request,
            retry: Retry::new(self.options.background_retry, now),
            stage: Stage::Waiting,
        };
        self.background.insert(id, background);
        self.background_acquire(now, id, out);
    }

    /// Makes place for a call in the background.
    fn drop_oldest(&mut self, out: &mut Effects<Out<O>>) {
        let idle = |(_, background): &(&BackgroundId, &Background)| background.stage != Stage::Calling;
        // If all are under way, the number of calls is as large as that of rows, and the newest waits beyond the limit.
        let Some(oldest) = self.background.iter().find(idle).map(|(id, _)| *id) else {
            return;
        };
        flyer_types::mark!("client.background_dropped");
        let mut granted = Effects::new();
        self.background_room
            .leave(|waiter| *waiter == oldest, &mut granted);
        assert!(
            granted.is_empty(),
            "who waits behind one credit waits for one, too"
        );
        self.deadlines.remove(Key::Background(oldest));
        if let Some(dropped) = self.background.remove(&oldest) {
            out.push(Out::Dropped {
                request: dropped.request,
                status: Status::with_message(StatusCode::META_BUSY, "too many calls in the background"),
            });
        }
    }

    pub(super) fn background_acquire(&mut self, now: Time, id: BackgroundId, out: &mut Effects<Out<O>>) {
        let Some(background) = self.background.get_mut(&id) else {
            return;
        };
        background.stage = Stage::Waiting;
        match self.background_room.acquire(1, id) {
            Acquire::Granted(id) => self.background_attempt(now, id, out),
            Acquire::Queued => {}
            Acquire::Full(_) | Acquire::Impossible(_) => unreachable!("every call may queue for one credit"),
        }
    }

    fn background_attempt(&mut self, now: Time, id: BackgroundId, out: &mut Effects<Out<O>>) {
        let Some(background) = self.background.get_mut(&id) else {
            unreachable!("{id:?} has room and is gone");
        };
        let Some(node) = self.servers.choose() else {
            self.routing_wanted = true;
            self.background_retry(now, id);
            return self.background_release(now, out);
        };
        background.stage = Stage::Calling;
        let (deadline, request) = (background.retry.attempt_deadline(now), background.request.clone());
        self.send(For::Background(id), node, request, deadline, out);
    }

    pub(super) fn background_answered(
        &mut self,
        now: Time,
        id: BackgroundId,
        class: MetaRetry,
        answer: Result<Response, Status>,
        out: &mut Effects<Out<O>>,
    ) {
        match (class, answer) {
            (MetaRetry::Retryable, _) => self.background_retry(now, id),
            (MetaRetry::Final, _) | (MetaRetry::Permanent, Ok(_)) => {
                self.background.remove(&id);
            }
            (MetaRetry::Permanent, Err(status)) => {
                if let Some(Background { request, .. }) = self.background.remove(&id) {
                    out.push(Out::Dropped { request, status });
                }
            }
        }
    }

    fn background_retry(&mut self, now: Time, id: BackgroundId) {
        flyer_types::mark!("client.background_retried");
        let Some(background) = self.background.get_mut(&id) else {
            return;
        };
        background.stage = Stage::Sleeping;
        let until = match background.retry.failed(now, Pace::Full, &mut self.rng) {
            Decision::Wait(until) => until,
            // A budget with an end begins anew: nobody else would do this.
            Decision::GiveUp(_) => {
                background.retry.succeeded(now);
                now + self.options.background_retry.wait_max
            }
        };
        self.set_deadline(Key::Background(id), until);
    }

    pub(super) fn background_release(&mut self, now: Time, out: &mut Effects<Out<O>>) {
        let mut granted: Effects<Claim<BackgroundId>> = Effects::new();
        self.background_room
            .release(1, &mut granted)
            .expect("an attempt holds one credit");
        for claim in granted.drain() {
            self.background_attempt(now, claim.waiter, out);
        }
    }
}
