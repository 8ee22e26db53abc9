//! One update of one chunk.
//!
//! Owner: [`StorageServer`]. A chain of one target: the head is the tail, so an update is committed as soon as it is applied.
//! Forwarding belongs between the two.
//!
//! ```text
//!   begin: target, channel, head? ──► wait for the chunk ──► apply: target again, version, plan
//!                                                              │        │
//!                                        room is missing: park ◄┘        ▼
//!                                                                  Copy ─► Zero ─► Write
//!                                                                                    │ all of them well
//!                                          (here an update would be forwarded)       ▼
//!                          answer ◄── release the chunk ◄── remember ◄────────── commit the record
//! ```
//!
//! A failure anywhere leaves the old record. The record is committed after the data are written.
//!
//! Limits: one update per request at a time, so [`REQUESTS_MAX`](super::options::limits::REQUESTS_MAX);
//! [`WAITERS_PER_CHUNK_MAX`](super::options::limits::WAITERS_PER_CHUNK_MAX); [`WAITERS_FOR_SPACE_MAX`].

use super::answers;
use super::channels::{Begin, ChannelKey};
use super::chunks::{Entered, Row};
use super::keys::ChunkKey;
use super::options::limits::{CHUNK_ID_BYTES_MAX, MOVES_MAX, WAITERS_FOR_SPACE_MAX};
use super::plan::{self, Block, Change, Kind, Plan, Version};
use super::port::{DiskDone, DiskError, DiskOp, Out, Place};
use super::record::{NO_CHECKSUM, Record};
use super::{Io, StorageServer, Who, Work};
use crate::store::Store;
use flyer_types::ids::{ChainId, ChunkVersion, OpId, RequestId, TargetId};
use flyer_types::{Effects, Segments, Status, StatusCode, Time};
use flyer_wire::msg::storage::chunk::{ChecksumType, VersionedChainId};
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::io::{IoResult, MessageTag};

/// An update that arrives.
#[derive(Debug)]
pub(super) struct Arrival<'a> {
    /// The chain.
    pub(super) chain: VersionedChainId,
    /// The chunk.
    pub(super) chunk: ChunkId,
    /// Who sends it.
    pub(super) tag: &'a MessageTag,
    /// What it does; the chain version is filled in.
    pub(super) change: Change,
    /// The bytes.
    pub(super) memory: Segments,
    /// Answer as if it were done.
    pub(super) bypass: bool,
}

/// An update under way.
#[derive(Debug)]
pub(super) struct Job {
    /// The request that it belongs to.
    pub(super) call: OpId,
    pub(super) row: Row,
    target: TargetId,
    chain: VersionedChainId,
    channel: Option<ChannelKey>,
    request: RequestId,
    change: Change,
    memory: Segments,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Waits for the chunk.
    Waits,
    /// Has the chunk, waits for room.
    Parked,
    /// Changes the block.
    Runs(Progress),
}

/// How far a plan was carried out.
#[derive(Clone, Copy, Debug)]
struct Progress {
    plan: Plan,
    version: ChunkVersion,
    /// Where the content is afterwards.
    place: Option<Place>,
    /// Whether that block is lent.
    is_lent: bool,
    next: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Copy,
    Zero,
    Write,
    Commit,
}

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    /// Takes an update; its result goes to the request `call`.
    pub(super) fn begin_update(&mut self, call: OpId, arrival: Arrival<'_>, out: &mut Effects<Out<C>>) {
        let fail = |code| Err(answers::refused(code));
        let begun = match self.targets.find(arrival.chain) {
            Err(code) => fail(code),
            Ok((id, target)) => {
                let (incarnation, chain) = (target.incarnation, arrival.chain.chain_id);
                self.open_channel(chain, incarnation, &arrival)
                    .map(|channel| (id, channel))
            }
        };
        let (target, channel) = match begun {
            Ok(begun) => begun,
            Err(result) => return self.deliver(call, result, out),
        };
        if let Err(result) = self.check_arrival(target, &arrival) {
            return self.reject(call, channel, result, out);
        }
        let key = ChunkKey {
            target,
            chunk: arrival.chunk,
        };
        let row = match self.chunks.find(key, &self.store) {
            Ok(row) => row,
            Err(error) => {
                return self.reject(call, channel, answers::failed(answers::unreadable(error)), out);
            }
        };
        let job = Job {
            call,
            row,
            target,
            chain: arrival.chain,
            channel,
            request: arrival.tag.request_id,
            change: arrival.change,
            memory: arrival.memory,
            stage: Stage::Waits,
        };
        let id = self.jobs.insert(job).expect("a request has one update at a time");
        match self.chunks.enter(row, Who::Update(id)) {
            Entered::Now(_) => self.work.push_back(Work::Apply(id)),
            Entered::Waits => flyer_types::mark!("storage.update_waits"),
            Entered::Full(_) => {
                self.jobs.remove(id);
                let result = answers::refused(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY);
                self.reject(call, channel, result, out);
            }
        }
    }

    /// The channel of an update that is new; the result of one that is not.
    fn open_channel(
        &mut self,
        chain: ChainId,
        incarnation: u64,
        arrival: &Arrival<'_>,
    ) -> Result<Option<ChannelKey>, IoResult> {
        if arrival.change.kind == Kind::Remove && arrival.tag.channel.id.0 == 0 {
            return Ok(None);
        }
        let version = arrival.change.version;
        match self.channels.begin(chain, arrival.tag, version, incarnation) {
            Begin::Run(channel) => Ok(Some(channel)),
            Begin::Refused(status) => Err(answers::failed(status)),
            Begin::Answered(mut result) => {
                flyer_types::mark!("storage.update_answered_again");
                if arrival.change.kind != Kind::Extend {
                    result.length_info = Ok(arrival.change.length);
                }
                Err(result)
            }
        }
    }

    /// What can be said of an update without its chunk: `Err` is the result.
    fn check_arrival(&self, target: TargetId, arrival: &Arrival<'_>) -> Result<(), IoResult> {
        let target = self.targets.get(target).expect("the target was found");
        let change = &arrival.change;
        if !target.is_head {
            return Err(answers::refused(StatusCode::STORAGE_CLIENT_ROUTING_ERROR));
        }
        if !target.is_tail() {
            let why = "this server does not forward updates along a chain";
            return Err(answers::failed(Status::with_message(
                StatusCode::NOT_IMPLEMENTED,
                why,
            )));
        }
        if self.options.read_only {
            return Err(answers::refused(StatusCode::READ_ONLY_MODE));
        }
        let bytes = arrival.chunk.as_bytes().len();
        if bytes == 0 || bytes > CHUNK_ID_BYTES_MAX {
            return Err(answers::refused(StatusCode::INVALID_ARG));
        }
        if arrival.bypass {
            return Err(answers::done(change.length));
        }
        if change.kind == Kind::Write && arrival.memory.len_bytes() != u64::from(change.length) {
            let why = "the data are not as long as the request says";
            return Err(answers::failed(Status::with_message(
                StatusCode::STORAGE_CLIENT_FOUND_BUG,
                why,
            )));
        }
        Ok(())
    }

    /// Answers an update that never got its chunk.
    fn reject(
        &mut self,
        call: OpId,
        channel: Option<ChannelKey>,
        result: IoResult,
        out: &mut Effects<Out<C>>,
    ) {
        if let Some(channel) = channel {
            self.channels.end(channel, &result);
        }
        self.deliver(call, result, out);
    }

    /// An update has its chunk, or tries again to find room.
    pub(super) fn apply(&mut self, now: Time, id: OpId, out: &mut Effects<Out<C>>) {
        let job = self
            .jobs
            .get(id)
            .expect("updates that have their chunk are under way");
        let (row, target) = (job.row, job.target);
        let current = match self.targets.find(job.chain) {
            Ok((_, target)) => target.chain_ver,
            Err(code) => return self.finish(id, answers::refused(code), out),
        };
        let change = Change {
            chain_ver: current,
            ..job.change
        };
        debug_assert!(self.chunks.key(row).target == target, "the row is the chunk's");
        let record = self.chunks.record(row);
        if change.kind == Kind::Remove && record.is_none() {
            let mut result = answers::done(0);
            (result.update_ver, result.commit_ver) = (change.version, change.version);
            return self.finish(id, result, out);
        }
        let version = match plan::admit(record, &change) {
            Ok(Version::New(version)) => version,
            Ok(Version::Committed) => {
                let result = IoResult {
                    length_info: Ok(change.length),
                    commit_ver: change.version,
                    update_ver: change.version,
                    checksum: record.map_or(NO_CHECKSUM, |record| record.checksum),
                    commit_chain_ver: current,
                };
                return self.finish(id, result, out);
            }
            Err(code) => return self.finish(id, answers::refused(code), out),
        };
        if change.kind == Kind::Remove {
            let result = self.commit_removal(row, version, &change);
            return self.finish(id, result, out);
        }
        let plan = plan::plan(record, &change, &self.epochs);
        self.start(now, id, plan, version, out);
    }

    /// Finds room and a block for a plan, and begins to carry it out.
    fn start(&mut self, now: Time, id: OpId, plan: Plan, version: ChunkVersion, out: &mut Effects<Out<C>>) {
        let moves = matches!(plan.block, Block::New(_));
        if moves && self.moves.len() >= MOVES_MAX / 2 {
            self.want_sync(out);
        }
        let row = self.jobs.get(id).expect("under way").row;
        let kept = self.moves.get(self.chunks.key(row));
        if moves && kept.is_some_and(|kept| self.epochs.is_being_settled(kept.epoch)) {
            flyer_types::mark!("storage.move_waits");
            return self.park(id, true, out);
        }
        if (moves && kept.is_none() && self.moves.len() >= MOVES_MAX) || !self.space.reserve(plan.needs) {
            return self.park(id, false, out);
        }
        let old = self.chunks.record(row).and_then(|record| record.place);
        let place = match plan.block {
            Block::Same => Ok(old),
            Block::None => Ok(None),
            Block::New(bytes) => self.blocks.alloc(bytes, &mut self.store).map(Some),
        };
        let place = match place {
            Ok(place) => place,
            Err(error) => {
                self.space.end(plan.needs, false);
                return self.finish(id, answers::failed(answers::unwritable(error)), out);
            }
        };
        let job = self.jobs.get_mut(id).expect("under way");
        job.stage = Stage::Runs(Progress {
            plan,
            version,
            place,
            is_lent: matches!(plan.block, Block::New(_)),
            next: Step::Copy,
        });
        if plan.drop_first
            && let Err(status) = self.drop_checksum(row)
        {
            return self.abandon(id, status, out);
        }
        self.step(now, id, out);
    }

    /// An update waits for the data of an open sync, or for room if there is some to come.
    fn park(&mut self, id: OpId, waits_for_data: bool, out: &mut Effects<Out<C>>) {
        let waits_for_sync = self.blocks.waits_for_sync() || self.moves.len() > 0;
        let is_to_come = self.blocks.has_discards() || (waits_for_sync && !self.sync_failed);
        let is_hopeless = !waits_for_data && !is_to_come;
        if is_hopeless || self.parked.len() >= WAITERS_FOR_SPACE_MAX {
            return self.finish(id, answers::refused(StatusCode::STORAGE_CLIENT_NO_SPACE), out);
        }
        self.jobs.get_mut(id).expect("under way").stage = Stage::Parked;
        self.parked.push_back(id);
        if waits_for_sync && !waits_for_data {
            flyer_types::mark!("storage.update_waits_for_room");
            self.want_sync(out);
        }
    }

    /// Lets the updates that wait for room or for a sync go on or try again.
    pub(super) fn unpark(&mut self) {
        self.work.extend(self.held.drain(..).map(Work::Commit));
        self.work.extend(self.parked.drain(..).map(Work::Apply));
    }

    /// Does what comes next in a plan.
    fn step(&mut self, now: Time, id: OpId, out: &mut Effects<Out<C>>) {
        let job = self.jobs.get_mut(id).expect("under way");
        let Stage::Runs(progress) = &mut job.stage else {
            unreachable!("only plans that run have steps");
        };
        let plan = progress.plan;
        loop {
            let step = progress.next;
            progress.next = match step {
                Step::Copy => Step::Zero,
                Step::Zero => Step::Write,
                Step::Write | Step::Commit => Step::Commit,
            };
            let place = progress.place;
            let op = match step {
                Step::Copy => (plan.copy > 0).then(|| DiskOp::Copy {
                    from: self
                        .chunks
                        .record(job.row)
                        .and_then(|record| record.place)
                        .expect("what is copied has a block"),
                    to: place.expect("a copy has a destination"),
                    len: plan.copy,
                }),
                Step::Zero => (plan.zero.1 > 0).then(|| DiskOp::Zero {
                    place: place.expect("a gap lies in a block"),
                    off: plan.zero.0,
                    len: plan.zero.1,
                }),
                Step::Write => plan.write.map(|off| DiskOp::Write {
                    place: place.expect("bytes are written to a block"),
                    off,
                    from: core::mem::take(&mut job.memory),
                    // On the disk's side the usual form is used, on the wire the raw register.
                    expected: (job.change.checksum.kind == ChecksumType::CRC32C)
                        .then_some(!job.change.checksum.value),
                }),
                Step::Commit => return self.commit_in_turn(now, id, out),
            };
            if let Some(op) = op {
                let io = self
                    .disk
                    .insert(Io::Update(id))
                    .expect("the table holds all operations there can be");
                return out.push(Out::Disk { id: io, op });
            }
        }
    }

    /// An operation of a plan has ended.
    pub(super) fn update_moved(
        &mut self,
        now: Time,
        id: OpId,
        done: Result<DiskDone, DiskError>,
        out: &mut Effects<Out<C>>,
    ) {
        match done {
            Ok(_) => self.step(now, id, out),
            Err(error) => {
                let status = match error {
                    DiskError::NoSpace => Status::new(StatusCode::STORAGE_CLIENT_NO_SPACE),
                    DiskError::Io(why) => Status::with_message(StatusCode::STORAGE_CHUNK_WRITE_FAILED, why),
                    DiskError::Mismatch => Status::new(StatusCode::STORAGE_CHECKSUM_MISMATCH),
                };
                if status.code == StatusCode::STORAGE_CLIENT_NO_SPACE && self.blocks.waits_for_sync() {
                    self.want_sync(out);
                }
                self.abandon(id, status, out);
            }
        }
    }

    /// Ends an update whose plan could not be carried out.
    fn abandon(&mut self, id: OpId, status: Status, out: &mut Effects<Out<C>>) {
        let job = self.jobs.get(id).expect("under way");
        let Stage::Runs(progress) = &job.stage else {
            unreachable!("only plans that run are abandoned");
        };
        self.space.end(progress.plan.needs, false);
        if let (true, Some(place)) = (progress.is_lent, progress.place) {
            self.blocks.give_back(place);
        }
        self.finish(id, answers::failed(status), out);
    }

    /// Commits, unless the chunk moves again while a sync settles its last move: see [`moves`](super::moves). The sync may have begun
    /// when this update was under way already.
    pub(super) fn commit_in_turn(&mut self, now: Time, id: OpId, out: &mut Effects<Out<C>>) {
        let job = self.jobs.get(id).expect("under way");
        let Stage::Runs(progress) = &job.stage else {
            unreachable!("only plans that run are committed");
        };
        let kept = self.moves.get(self.chunks.key(job.row));
        let moves = matches!(progress.plan.block, Block::New(_));
        if moves && kept.is_some_and(|kept| self.epochs.is_being_settled(kept.epoch)) {
            flyer_types::mark!("storage.move_commit_waits");
            return self.held.push_back(id);
        }
        self.commit_job(now, id, out);
    }

    /// Commits the record of a plan that was carried out.
    fn commit_job(&mut self, now: Time, id: OpId, out: &mut Effects<Out<C>>) {
        let job = self.jobs.get(id).expect("under way");
        let Stage::Runs(progress) = job.stage else {
            unreachable!("only plans that run are committed");
        };
        let (row, plan) = (job.row, progress.plan);
        let old = self.chunks.record(row).copied();
        let chain_ver = self.targets.get(job.target).expect("targets stay").chain_ver;
        let seal = match (plan.block, &old) {
            (Block::Same, Some(old)) => self.epochs.seal_after(old),
            (Block::Same | Block::New(_) | Block::None, _) => None,
        };
        let record = Record {
            place: progress.place,
            length: plan.length,
            chunk_size: job.change.chunk_size,
            update_ver: progress.version,
            commit_ver: progress.version,
            chain_ver,
            checksum: plan.checksum,
            epoch: self.epochs.enter(),
            seal,
            timestamp: self.wall(now),
            request: job.request,
        };
        debug_assert!(record.is_sound(), "a plan leaves a sound record");
        if let Err(status) = self.put_record(row, Some(record)) {
            return self.abandon(id, status, out);
        }
        self.space.end(plan.needs, true);
        let result = IoResult {
            length_info: Ok(plan.answer),
            commit_ver: record.commit_ver,
            update_ver: record.update_ver,
            checksum: record.checksum,
            commit_chain_ver: chain_ver,
        };
        self.finish(id, result, out);
    }

    fn commit_removal(&mut self, row: Row, version: ChunkVersion, change: &Change) -> IoResult {
        if let Err(status) = self.put_record(row, None) {
            return answers::failed(status);
        }
        IoResult {
            length_info: Ok(0),
            commit_ver: version,
            update_ver: version,
            checksum: NO_CHECKSUM,
            commit_chain_ver: change.chain_ver,
        }
    }

    /// Remembers the result of an update, lets the next one have the chunk, and hands the result on.
    fn finish(&mut self, id: OpId, result: IoResult, out: &mut Effects<Out<C>>) {
        let job = self.jobs.remove(id).expect("an update ends once");
        if let Some(channel) = job.channel {
            self.channels.end(channel, &result);
        }
        let work = &mut self.work;
        self.chunks
            .leave_exclusive(job.row, |who| work.push_back(who.into()));
        self.deliver(job.call, result, out);
    }
}
