//! Answers kept for retries, and their sweep.
//!
//! The answer of a removal or of a move to the trash is stored in the transaction that does the work, so a retry gets the same
//! answer and does nothing. Failures that no retry can change are kept, too, in a transaction of their own.
//!
//! Source: `src/meta/store/Idempotent.h` upstream.

use super::keys;
use super::options::Options;
use super::options::limits::RECORDS_PER_STEP;
use super::records::IdempotentRecord;
use super::tx::{Res, Tx, decode, fail};
use super::{MetaServer, STEP};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::ids::Uuid;
use flyer_types::status::MetaRetry;
use flyer_types::{StatusCode, Text, Time, WallTime};
use flyer_wire::codec;
use flyer_wire::service::meta::{Request, Response};

/// Names the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    request: Uuid,
    client: Uuid,
}

/// The key of a request whose answer is kept. Without a uuid, requests that need one are `InvalidArg`.
pub(super) fn key(request: &Request, options: &Options) -> Res<Option<Key>> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "only these two keep their answers")]
    let (base, needed, wanted) = match request {
        Request::Remove(r) => (&r.base, r.recursive, options.idempotent_remove),
        Request::Rename(r) => (&r.base, r.move_to_trash, options.idempotent_rename),
        _ => return Ok(None),
    };
    let key = Key {
        request: base.uuid,
        client: base.client.uuid,
    };
    let is_set = !key.request.is_zero() && !key.client.is_zero();
    match (needed, wanted) {
        (true, _) if !is_set => fail(StatusCode::INVALID_ARG),
        (true, _) | (false, true) if is_set => Ok(Some(key)),
        _ => Ok(None),
    }
}

/// The answer that is kept for a request.
pub(super) fn stored<S: Store>(
    tx: &Tx<'_, S>,
    key: Option<&Key>,
    request: &Request,
) -> Res<Option<Res<Response>>> {
    let Some(key) = key else {
        return Ok(None);
    };
    let Some(record) = tx.record(key.request, key.client)? else {
        return Ok(None);
    };
    let bytes = record.result.as_bytes();
    #[allow(clippy::wildcard_enum_match_arm, reason = "only these two keep their answers")]
    match request {
        Request::Remove(_) => Ok(Some(decode::<Res<_>>(bytes)?.map(Response::Remove))),
        Request::Rename(_) => Ok(Some(decode::<Res<_>>(bytes)?.map(Response::Rename))),
        _ => fail(StatusCode::META_FOUND_BUG),
    }
}

/// Whether an answer is kept: successes, and failures that say something about the request.
pub(super) fn is_kept(result: &Res<Response>) -> bool {
    match result {
        Ok(_) => true,
        Err(status) => status.code.meta_retry() == MetaRetry::Final,
    }
}

impl Key {
    /// What is stored.
    pub(super) fn record(self, now: WallTime, result: &Res<Response>) -> IdempotentRecord {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only these two keep their answers")]
        let bytes = match result {
            Ok(Response::Remove(response)) => codec::encode_to_vec(&Res::Ok(response.clone())),
            Ok(Response::Rename(response)) => codec::encode_to_vec(&Res::Ok(response.clone())),
            Ok(_) => Vec::new(),
            // A failure looks alike for all.
            Err(status) => codec::encode_to_vec(&Res::<codec::Void>::Err(status.clone())),
        };
        IdempotentRecord {
            client: self.client,
            request: self.request,
            timestamp: now,
            result: Text::from(bytes),
        }
    }
}

/// The sweep of expired answers.
///
/// ```text
///   idle ──answer kept──► waiting ──due──► at(key) ──end──► waiting, or idle if nothing is left
/// ```
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    /// When to go on.
    pub(super) wake: Option<Time>,
    /// Where to go on.
    at: Vec<u8>,
}

impl Sweep {
    pub(super) const fn new() -> Self {
        Self {
            wake: None,
            at: Vec::new(),
        }
    }

    /// Makes sure that there is a sweep not later than that, unless one is planned.
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = self.wake.or(Some(at));
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// Deletes expired answers: one page.
    pub(super) fn sweep_records(&mut self, now: Time) {
        let expire_us = i64::try_from(self.core.options.idempotent_expire.as_us()).unwrap_or(i64::MAX);
        let expired = self.wall(now).us.saturating_sub(expire_us);
        let from = core::mem::take(&mut self.sweep.at).max(keys::RECORD.to_vec());
        let mut tx = Tx::new(&mut self.store);
        let mut old = Vec::new();
        let mut last = Vec::new();
        let mut kept = 0usize;
        let scanned = tx.scan(&from, keys::RECORD, RECORDS_PER_STEP, &mut |key, value| {
            let record: IdempotentRecord = decode(value)?;
            if record.timestamp.us < expired {
                old.push(key.to_vec());
            } else {
                kept += 1;
            }
            last = key.to_vec();
            Ok(())
        });
        let began_before = from.len() > keys::RECORD.len();
        for key in old {
            tx.delete_raw(key);
        }
        // A failure of the store is met again by the next sweep.
        let more = scanned.and_then(|more| tx.commit().map(|()| more));
        let interval = self.core.options.idempotent_sweep_interval.max(STEP);
        self.sweep.wake = match more {
            Ok(true) => {
                last.push(0);
                self.sweep.at = last;
                Some(now + STEP)
            }
            Ok(false) if kept == 0 && !began_before => None,
            Ok(false) | Err(_) => Some(now + interval),
        };
    }
}
