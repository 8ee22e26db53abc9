//! `sync` and `close`: the length of a file, its times, and the end of a write session.
//!
//! ```text
//!   submit ──► no job for the file ──► plan ─ length known ──────────────────────────────► apply: answers
//!         │                              └─ unknown ──► job: last chunk of each chain ─ all there ─┘
//!         └──► job under way ──► waiting; one batch when the job is over
//!   deadline: all of the job are answered OperationTimeout
//! ```
//!
//! Requests that wait together are one batch: one query serves all, and all get the same inode. A query always begins after
//! the request that needs it arrived.
//!
//! Limits: `WAITING_PER_INODE_MAX`, `WAITING_MAX`, `STORAGE_CALLS_MAX`.
//!
//! Source: `src/meta/store/ops/BatchOperation.cc`, `src/meta/components/FileHelper.cc` upstream.

use super::batch::{Need, Waiter, apply_batch, need, slots_in_use};
use super::chains::chains_of;
use super::ops::stat::BASE;
use super::options::limits::{STORAGE_CALLS_MAX, WAITING_MAX, WAITING_PER_INODE_MAX};
use super::tx::{Res, Tx, fail};
use super::{CallOwner, MetaServer, Out, StorageCall};
use crate::store::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, OpId};
use flyer_types::parts::Deadlines;
use flyer_types::{Effects, Status, StatusCode, Time};
use flyer_wire::msg::meta::file::{CloseRsp, SyncRsp};
use flyer_wire::msg::meta::inode::{Inode, InodeKind};
use flyer_wire::msg::storage::chunk::VersionedChainId;
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::range::QueryLastChunkResult;
use flyer_wire::service::meta::Response;

/// The query for the length of one file, and who waits for it.
#[derive(Debug)]
struct Job<C> {
    batch: Vec<Waiter<C>>,
    to_ask: VecDeque<VersionedChainId>,
    outstanding: usize,
    /// Only so many chains are in use, if that is fewer than the file has.
    slots_limit: Option<u32>,
    chunk_size: u32,
    length: u64,
    failed: Option<Status>,
    /// Came while the query was under way.
    waiting: Vec<Waiter<C>>,
}

/// All queries for lengths.
#[derive(Debug)]
pub(super) struct Lengths<C> {
    jobs: BTreeMap<InodeId, Job<C>>,
    /// Jobs with chains that have not been asked, in order of arrival.
    asking: VecDeque<InodeId>,
    deadlines: Deadlines<InodeId>,
    /// All that wait, in all jobs.
    waiting: usize,
}

impl<C> Lengths<C> {
    pub(super) const fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            asking: VecDeque::new(),
            deadlines: Deadlines::new(WAITING_MAX),
            waiting: 0,
        }
    }

    /// When the next job runs out of time.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.deadlines.next().map(|(at, _)| at)
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        let waiting: usize = self
            .jobs
            .values()
            .map(|job| job.batch.len() + job.waiting.len())
            .sum();
        assert!(
            waiting == self.waiting,
            "{waiting} wait, {} counted",
            self.waiting
        );
        assert!(self.waiting <= WAITING_MAX, "too many wait");
        for (inode, job) in &self.jobs {
            assert!(!job.batch.is_empty(), "nobody waits for the length of {inode}");
            assert!(
                job.outstanding > 0 || !job.to_ask.is_empty(),
                "the query for {inode} is over"
            );
            assert!(
                job.to_ask.is_empty() || self.asking.contains(inode),
                "{inode} is forgotten"
            );
        }
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// Takes a request on board.
    pub(super) fn submit(&mut self, now: Time, waiter: Waiter<C>, out: &mut Effects<Out<C>>) {
        if let Err(status) = waiter.check() {
            return self.answer(waiter, Err(status), out);
        }
        let full = self.lengths.waiting >= WAITING_MAX;
        match self.lengths.jobs.get_mut(&waiter.inode()) {
            Some(job) if full || job.waiting.len() >= WAITING_PER_INODE_MAX => {
                self.answer(waiter, fail(StatusCode::META_BUSY), out);
            }
            Some(job) => {
                job.waiting.push(waiter);
                self.lengths.waiting += 1;
            }
            None if full => self.answer(waiter, fail(StatusCode::META_BUSY), out),
            None => self.start(now, waiter.inode(), alloc::vec![waiter], out),
        }
        self.ask_for_lengths(now, out);
    }

    /// Number of sessions of dead clients whose file is looked at.
    pub(super) fn prunes_under_way(&self) -> usize {
        let is_prune = |waiter: &&Waiter<C>| matches!(waiter, Waiter::Prune { .. });
        let count = |job: &Job<C>| job.batch.iter().chain(&job.waiting).filter(is_prune).count();
        self.lengths.jobs.values().map(count).sum()
    }

    /// Serves a batch at once, or begins the query that it needs.
    fn start(&mut self, now: Time, id: InodeId, batch: Vec<Waiter<C>>, out: &mut Effects<Out<C>>) {
        debug_assert!(!self.lengths.jobs.contains_key(&id), "{id} has a job already");
        let inode = match Tx::new(&mut self.store).inode(id) {
            Ok(inode) => inode,
            Err(status) => return self.fail_all(batch, &status, out),
        };
        let (batch, refused): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|waiter| waiter.check_inode(&inode).is_ok());
        for waiter in refused {
            let status = waiter.check_inode(&inode).map(|()| inode.clone());
            self.answer(waiter, status, out);
        }
        if batch.is_empty() {
            return;
        }
        let file = match &inode.base.kind {
            InodeKind::File(file) if need(&batch, file, &self.core.options) == Need::Ask => file,
            InodeKind::File(_) | InodeKind::Directory(_) | InodeKind::Symlink(_) => {
                return self.apply(now, id, batch, None, out);
            }
        };
        let slots = slots_in_use(file, &self.core.options);
        let chains = match chains_of(&file.layout, slots, &self.core.routing) {
            Ok(chains) => chains,
            Err(status) => return self.fail_all(batch, &status, out),
        };
        let timeout = self.core.options.operation_timeout.max(super::STEP);
        if chains.is_empty() || self.lengths.deadlines.set(id, now + timeout).is_err() {
            return self.fail_all(batch, &Status::new(StatusCode::META_BUSY), out);
        }
        self.lengths.waiting += batch.len();
        let job = Job {
            batch,
            to_ask: chains.into(),
            outstanding: 0,
            slots_limit: (slots < file.layout.stripe_size).then_some(slots),
            chunk_size: file.layout.chunk_size,
            length: 0,
            failed: None,
            waiting: Vec::new(),
        };
        self.lengths.jobs.insert(id, job);
        self.lengths.asking.push_back(id);
    }

    /// Asks the storage, as far as the limit of calls allows.
    pub(super) fn ask_for_lengths(&mut self, _now: Time, out: &mut Effects<Out<C>>) {
        let mut free = STORAGE_CALLS_MAX.saturating_sub(self.calls_under_way(true));
        while let Some(id) = self.lengths.asking.front().copied() {
            let Some(job) = self
                .lengths
                .jobs
                .get_mut(&id)
                .filter(|job| !job.to_ask.is_empty())
            else {
                self.lengths.asking.pop_front();
                continue;
            };
            let (true, Some(chain)) = (free > 0, job.to_ask.front().copied()) else {
                break;
            };
            let Ok(call_id) = self.calls.insert(CallOwner::Length(id)) else {
                break;
            };
            free -= 1;
            job.to_ask.pop_front();
            job.outstanding += 1;
            let call = StorageCall::LastChunk {
                chain,
                range: ChunkId::range_of_file(id, 0, 1),
            };
            out.push(Out::Storage {
                id: call_id,
                call,
                durable: false,
            });
        }
    }

    /// One chain has said what its last chunk is.
    pub(super) fn handle_last_chunk(
        &mut self,
        now: Time,
        id: InodeId,
        result: Res<QueryLastChunkResult>,
        out: &mut Effects<Out<C>>,
    ) {
        let Some(job) = self.lengths.jobs.get_mut(&id) else {
            return;
        };
        debug_assert!(job.outstanding > 0, "nobody was asked");
        job.outstanding -= 1;
        match result.and_then(|result| end_of(&result, id, job)) {
            Ok(end) => job.length = job.length.max(end),
            Err(status) => {
                job.to_ask.clear();
                job.failed.get_or_insert(status);
            }
        }
        if job.outstanding > 0 || !job.to_ask.is_empty() {
            return;
        }
        let outcome = match job.failed.take() {
            Some(status) => Err(status),
            None => Ok(job.length),
        };
        self.end_job(now, id, outcome, out);
    }

    /// Answers those whose time is up.
    pub(super) fn expire_lengths(&mut self, now: Time, out: &mut Effects<Out<C>>) {
        while let Some((_, id)) = self.lengths.deadlines.pop_due(now) {
            flyer_types::mark!("meta.length_timeout");
            let stale: Vec<OpId> = self
                .calls
                .iter()
                .filter(|(_, owner)| **owner == CallOwner::Length(id))
                .map(|(call, _)| call)
                .collect();
            for call in stale {
                self.calls.remove(call);
            }
            self.end_job(now, id, fail(StatusCode::META_OPERATION_TIMEOUT), out);
        }
        self.ask_for_lengths(now, out);
    }

    /// The query is over: serves its batch, then those that came meanwhile.
    fn end_job(&mut self, now: Time, id: InodeId, outcome: Res<u64>, out: &mut Effects<Out<C>>) {
        self.lengths.deadlines.remove(id);
        self.lengths.asking.retain(|asking| *asking != id);
        let Some(job) = self.lengths.jobs.remove(&id) else {
            return;
        };
        self.lengths.waiting -= job.batch.len() + job.waiting.len();
        match outcome {
            Ok(length) => self.apply(now, id, job.batch, Some(length), out),
            Err(status) => self.fail_all(job.batch, &status, out),
        }
        if !job.waiting.is_empty() {
            self.start(now, id, job.waiting, out);
        }
    }

    /// One transaction for the whole batch. `asked` is what the storage said.
    fn apply(
        &mut self,
        now: Time,
        id: InodeId,
        batch: Vec<Waiter<C>>,
        asked: Option<u64>,
        out: &mut Effects<Out<C>>,
    ) {
        let clock = self.core.options.rounded(self.wall(now));
        let mut tx = Tx::new(&mut self.store);
        let result = apply_batch(&mut tx, &batch, id, asked, clock, &self.core.options);
        match result.and_then(|inode| tx.commit().map(|()| inode)) {
            Ok(inode) => {
                for waiter in batch {
                    self.answer(waiter, Ok(inode.clone()), out);
                }
            }
            Err(status) => self.fail_all(batch, &status, out),
        }
    }

    fn fail_all(&mut self, batch: Vec<Waiter<C>>, status: &Status, out: &mut Effects<Out<C>>) {
        for waiter in batch {
            self.answer(waiter, Err(status.clone()), out);
        }
    }

    fn answer(&mut self, waiter: Waiter<C>, result: Res<Inode>, out: &mut Effects<Out<C>>) {
        let durable = result.is_ok();
        match waiter {
            Waiter::Sync { call, .. } => {
                let answer = result.map(|stat| {
                    Response::Sync(SyncRsp {
                        base: BASE,
                        unused: 0,
                        stat,
                    })
                });
                out.push(Out::Answer {
                    call,
                    answer,
                    durable,
                });
            }
            Waiter::Close { call, .. } => {
                let answer = result.map(|stat| {
                    Response::Close(CloseRsp {
                        base: BASE,
                        unused: 0,
                        stat,
                    })
                });
                let durable = durable && self.core.options.durable_close;
                out.push(Out::Answer {
                    call,
                    answer,
                    durable,
                });
            }
            Waiter::Prune { .. } => self.scan.pruned(result.is_ok()),
        }
    }
}

/// Where the last chunk of a chain ends in the file.
fn end_of<C>(result: &QueryLastChunkResult, inode: InodeId, job: &Job<C>) -> Res<u64> {
    if let Err(status) = &result.status_code {
        return Err(status.clone());
    }
    if result.last_chunk_id.is_empty() {
        return Ok(0);
    }
    let chunk = result
        .last_chunk_id
        .file_chunk()
        .filter(|chunk| chunk.inode == inode);
    let Some(chunk) = chunk.filter(|_| result.last_chunk_len <= job.chunk_size) else {
        return fail(StatusCode::DATA_CORRUPTION);
    };
    if job.slots_limit.is_some_and(|slots| chunk.index >= slots) {
        // Somebody makes the stripe longer right now.
        return fail(StatusCode::META_BUSY);
    }
    Ok(u64::from(chunk.index) * u64::from(job.chunk_size) + u64::from(result.last_chunk_len))
}
