//! The storage server: chunks with versions, applied once, in chains of one replica.
//!
//! Owner: a host, which hands it requests and routing, carries out its disk operations, and stores what it commits.
//!
//! ```text
//!              ┌─ batchRead ─► chunk (shared) ─► Disk(Read) ... ─────────────────────────────────► Answer
//!   Request ───┼─ write, truncate, remove ─► channel ─► chunk (alone) ─► Disk(...) ─► commit ─► Answer
//!              └─ queries ───────────────────────────────────────────────────────────────────────► Answer
//!   DataDurable ──► moved chunks have arrived ─► commit
//!   SyncEnded ──► freed blocks ─► Disk(Discard) ─► SyncEnded ─► clean blocks
//! ```
//!
//! | module | content |
//! |---|---|
//! | `read`, `calls`, `query` | requests |
//! | `update`, `plan`, `commit` | one update of one chunk, how it changes the block, and its record |
//! | `chunks`, `record` | records at hand, who works on which chunk |
//! | `channels` | updates are applied once |
//! | `epochs` | what is durable; which checksums can be trusted |
//! | `moves` | content that changed its block is not lost |
//! | `blocks`, `group`, `space` | which blocks are free; room on the disk |
//! | `targets` | targets and routing |
//!
//! # After a crash
//!
//! Data are written in place, and the record is committed when they are written. The store may lose the newest commits, never older
//! ones. When the process is killed, the disk keeps what was written: each chunk holds what its record says, where bytes of updates
//! that were not answered (or whose commits were lost) may be new or old. When power fails, that goes for all bytes written since
//! the last sync that ended well. In both cases a chunk shows only bytes that were written to it, or zeros: see
//! [`blocks`](self) and [`epochs`](self) for how.
//!
//! A server is opened without looking at its chunks: what is read is one small entry per 1024 blocks.
//!
//! Limits: [`options::limits`].
//!
//! Source: `src/storage` upstream, as one store with the rules of the old engine. Departures: a disk error fails one update and not
//! the disk; a failed update uses up no version, so a retry takes the next one.

mod answers;
mod blocks;
mod calls;
mod channels;
mod check;
mod chunks;
mod commit;
mod epochs;
mod group;
mod keys;
mod moves;
pub mod options;
mod plan;
mod port;
mod query;
mod read;
mod record;
mod space;
mod targets;
mod update;

pub use options::Options;
pub use port::{DiskDone, DiskError, DiskOp, In, Out, Place};

use crate::store::{Batch, Store, StoreError};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use blocks::{Blocks, Freed};
use channels::Channels;
use chunks::{Chunks, Waiter};
use epochs::Epochs;
use flyer_types::ids::OpId;
use flyer_types::parts::Slots;
use flyer_types::{Effects, Machine, Reason, Segments, Status, StatusCode, Time, WallTime};
use flyer_wire::msg::storage::io::MessageTag;
use flyer_wire::service::storage::{Request, Response};
use keys::ChunkKey;
use moves::Moves;
use options::limits::{DISCARDS_MAX, READS_MAX, REQUESTS_MAX};
use record::Record;
use space::Space;
use targets::Targets;

/// The time of day at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    at: Time,
    wall: WallTime,
}

/// A request under way.
#[derive(Debug)]
struct Call<C> {
    call: C,
    kind: CallKind,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most requests are of the larger kinds")]
enum CallKind {
    Read(read::ReadCall),
    Write(MessageTag),
    Truncate(calls::TruncateCall),
    Remove(calls::RemoveCall),
}

/// Who works on a chunk or waits for it.
#[derive(Clone, Copy, Debug)]
enum Who {
    Read(read::Reader),
    Update(OpId),
}

impl Waiter for Who {
    fn is_reader(&self) -> bool {
        matches!(self, Self::Read(_))
    }
}

/// What can go on.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// The read has its chunk.
    Read(read::Reader),
    /// The update has its chunk.
    Apply(OpId),
    /// The update was carried out, and could be committed now.
    Commit(OpId),
    /// The request can begin its next update.
    Next(OpId),
}

impl From<Who> for Work {
    fn from(who: Who) -> Self {
        match who {
            Who::Read(reader) => Self::Read(reader),
            Who::Update(job) => Self::Apply(job),
        }
    }
}

/// What is under way on the disk.
#[derive(Clone, Copy, Debug)]
enum Io {
    Read(read::Reading),
    Update(OpId),
    Discard(Freed),
}

/// A storage server over its store; see the [module](self).
#[derive(Debug)]
pub struct StorageServer<S, C> {
    store: S,
    options: Options,
    epochs: Epochs,
    blocks: Blocks,
    moves: Moves,
    space: Space,
    targets: Targets,
    channels: Channels,
    chunks: Chunks<Who>,
    calls: Slots<OpId, Call<C>>,
    jobs: Slots<OpId, update::Job>,
    disk: Slots<OpId, Io>,
    /// Reads that have not ended.
    reads: u32,
    /// Empty between inputs.
    work: VecDeque<Work>,
    /// Updates that wait for room.
    parked: VecDeque<OpId>,
    /// Updates whose commit waits for the data of an open sync; at most one for each update under way.
    held: VecDeque<OpId>,
    /// Whether the host was asked for a sync that has not begun.
    sync_wanted: bool,
    /// Whether the last sync failed.
    sync_failed: bool,
    clock: Clock,
}

impl<S: Store, C: Copy + core::fmt::Debug> StorageServer<S, C> {
    /// Opens the chunks in a store, which may be empty. It has no targets then: `createTarget` makes them.
    ///
    /// # Errors
    /// What the store says, or that it is damaged.
    pub fn open(store: S, options: Options) -> Result<Self, Status> {
        let epochs = match store.get(keys::EPOCHS)? {
            None => Epochs::new(),
            Some(bytes) => Epochs::reopen(&bytes)
                .ok_or_else(|| StoreError::Corrupt("the record of what is durable cannot be read".into()))?,
        };
        // What is in the store now is durable once any sync has ended.
        let blocks = Blocks::open(&store, epochs.last())?;
        let (moves, kept) = Moves::open(&store, epochs.last())?;
        let mut this = Self {
            space: Space::new(&options),
            targets: Targets::open(&store)?,
            store,
            options,
            epochs,
            blocks,
            moves,
            channels: Channels::default(),
            chunks: Chunks::new(),
            calls: Slots::new(REQUESTS_MAX),
            jobs: Slots::new(REQUESTS_MAX),
            disk: Slots::new(READS_MAX + REQUESTS_MAX + DISCARDS_MAX),
            reads: 0,
            work: VecDeque::new(),
            parked: VecDeque::new(),
            held: VecDeque::new(),
            sync_wanted: false,
            sync_failed: false,
            clock: Clock::default(),
        };
        // The doubts come before anything that could be mistaken for their subject.
        let mut batch = Batch::new();
        this.blocks.durable(this.epochs.durable(), &mut batch);
        this.commit(batch)?;
        if this.options.power_failed {
            this.move_back(kept)?;
        }
        Ok(this)
    }

    /// Chunks that moved and may not have arrived are where they were; see [`moves`](self).
    fn move_back(&mut self, kept: Vec<(ChunkKey, Record)>) -> Result<(), StoreError> {
        for (key, record) in kept {
            flyer_types::mark!("storage.moved_back");
            let epoch = self.epochs.enter();
            let lost = self
                .store
                .get(&key.to_bytes())?
                .and_then(|bytes| Record::of(&bytes));
            let lost =
                lost.ok_or_else(|| StoreError::Corrupt("the record of a moved chunk cannot be read".into()))?;
            // Versions never go back: a peer may know the one that was lost.
            let record = Record {
                update_ver: lost.update_ver,
                commit_ver: lost.commit_ver,
                chain_ver: lost.chain_ver,
                ..record
            };
            let mut batch = Batch::new();
            batch.insert(key.to_bytes(), Some(record.to_bytes().to_vec()));
            batch.insert(key.to_move_bytes(), None);
            if let Some(place) = lost.place {
                self.blocks.set_used(place, false, &mut batch);
                self.blocks.free(place, lost.length, epoch);
            }
            self.moves.forget(&key);
            self.commit(batch)?;
        }
        Ok(())
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, without the server. What was not committed is lost, as in a crash.
    pub fn into_store(self) -> S {
        self.store
    }

    /// Number of requests under way: a host that wants to stop waits until there are none.
    pub fn requests_under_way(&self) -> usize {
        self.calls.len()
    }

    /// The time of day.
    fn wall(&self, now: Time) -> WallTime {
        let since_us = i64::try_from(now.since(self.clock.at).as_us()).unwrap_or(i64::MAX);
        WallTime::from_us(self.clock.wall.us.saturating_add(since_us))
    }

    /// Commits a batch, and with it what the store has to know of the epochs.
    fn commit(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let tells_epochs = !self.epochs.is_stored();
        if tells_epochs {
            batch.insert(keys::EPOCHS.to_vec(), Some(self.epochs.to_bytes()));
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit(batch)?;
        if tells_epochs {
            self.epochs.stored();
        }
        Ok(())
    }

    fn want_sync(&mut self, out: &mut Effects<Out<C>>) {
        if !core::mem::replace(&mut self.sync_wanted, true) {
            out.push(Out::SyncWanted);
        }
    }

    /// Refuses a request because too many are under way.
    fn refuse(&self, call: C, out: &mut Effects<Out<C>>) {
        out.push(Out::Answer {
            call,
            answer: Err(Status::new(StatusCode::RPC_REQUEST_REFUSED)),
        });
    }

    fn handle_request(&mut self, call: C, request: Request, memory: Segments, out: &mut Effects<Out<C>>) {
        let unbuilt = |what| Err(Status::with_message(StatusCode::NOT_IMPLEMENTED, what));
        let answer: Result<Response, Status> = match request {
            Request::BatchRead(request) => return self.batch_read(call, request, &memory, out),
            Request::Write(request) => return self.write(call, request, memory, out),
            Request::TruncateChunks(request) => return self.truncate_chunks(call, request, out),
            Request::RemoveChunks(request) => return self.remove_chunks(call, request, out),
            Request::QueryLastChunk(request) => self.query_last_chunk(&request),
            Request::QueryChunk(request) => self.query_chunk(&request),
            Request::GetAllChunkMetadata(request) => self.all_metadata(&request),
            Request::SpaceInfo(_) => Ok(self.space_info()),
            Request::CreateTarget(request) => self.create_target(&request),
            Request::OfflineTarget(request) => self.offline_target(&request),
            Request::RemoveTarget(_) => unbuilt("targets cannot be removed"),
            Request::Update(_) | Request::SyncStart(_) | Request::SyncDone(_) => {
                unbuilt("this server has no predecessors in a chain")
            }
        };
        out.push(Out::Answer { call, answer });
    }

    fn handle_disk(
        &mut self,
        now: Time,
        id: OpId,
        done: Result<DiskDone, DiskError>,
        out: &mut Effects<Out<C>>,
    ) {
        match self.disk.remove(id) {
            None => flyer_types::mark!("storage.stale_disk_answer"),
            Some(Io::Read(reading)) => self.read_done(reading, done, out),
            Some(Io::Update(job)) => self.update_moved(now, job, done, out),
            Some(Io::Discard(freed)) => {
                let epoch = self.epochs.enter();
                self.blocks.discard_ended(freed, epoch, done.is_ok());
                if done.is_ok() {
                    self.space.give_back(freed.bytes);
                }
                self.unpark();
            }
        }
    }

    fn handle_data_durable(&mut self) {
        if self.epochs.data_durable() && self.settle_moves().is_err() {
            // The next commit tells what is settled, and the next sync settles the moves.
            flyer_types::mark!("storage.settled_not_stored");
        }
        self.unpark();
    }

    /// What has arrived in its new block is not kept in the old one any longer. Stores what is settled, too.
    fn settle_moves(&mut self) -> Result<(), StoreError> {
        let settled = self.moves.settled(self.epochs.settled());
        if settled.is_empty() {
            return self.commit(Batch::new());
        }
        let epoch = self.epochs.enter();
        let mut batch = Batch::new();
        for (key, kept) in &settled {
            batch.insert(key.to_move_bytes(), None);
            self.blocks.set_used(kept.place, false, &mut batch);
        }
        if let Err(error) = self.commit(batch) {
            for (_, kept) in &settled {
                self.blocks.undo_used(kept.place, false);
            }
            return Err(error);
        }
        for (key, kept) in &settled {
            self.moves.forget(key);
            self.blocks.free(kept.place, kept.bytes, epoch);
        }
        Ok(())
    }

    fn handle_sync_ended(&mut self, well: bool) {
        if well && !self.epochs.is_oldest_settled() {
            self.handle_data_durable();
        }
        self.epochs.sync_ended(well);
        self.sync_failed = !well;
        let mut batch = Batch::new();
        self.blocks.durable(self.epochs.durable(), &mut batch);
        if self.commit(batch).is_err() {
            // Clean blocks count as dirty after a crash, no more than that.
            flyer_types::mark!("storage.clean_not_stored");
        }
        self.unpark();
    }

    /// Does whatever can go on.
    fn run(&mut self, now: Time, out: &mut Effects<Out<C>>) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Read(reader) => self.read(reader, out),
                Work::Apply(job) => self.apply(now, job, out),
                Work::Commit(job) => self.commit_in_turn(now, job, out),
                Work::Next(call) => self.next_update(call, out),
            }
        }
        while let Some(freed) = self.blocks.next_discard() {
            let id = self
                .disk
                .insert(Io::Discard(freed))
                .expect("the table holds all operations there can be");
            let place = freed.place;
            out.push(Out::Disk {
                id,
                op: DiskOp::Discard { place },
            });
        }
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> Machine for StorageServer<S, C> {
    type In = In<C>;
    type Out = Out<C>;

    fn handle(&mut self, now: Time, input: In<C>, out: &mut Effects<Out<C>>) {
        match input {
            In::Request {
                call,
                request,
                memory,
            } => self.handle_request(call, request, memory, out),
            In::Disk { id, done } => self.handle_disk(now, id, done, out),
            In::Routing(routing) => {
                if !self.targets.route(&routing) {
                    flyer_types::mark!("storage.old_routing");
                }
            }
            In::Clock(wall) => self.clock = Clock { at: now, wall },
            In::Space { capacity, free } => {
                self.space.report(capacity, free);
                self.unpark();
            }
            In::SyncBegun => {
                self.epochs.sync_begun();
                self.sync_wanted = false;
                out.push(Out::SyncData);
            }
            In::DataDurable => {
                self.handle_data_durable();
                out.push(Out::SyncStore);
            }
            In::SyncEnded(well) => self.handle_sync_ended(well),
        }
        self.run(now, out);
    }

    /// Nothing here waits for time.
    fn handle_timeout(&mut self, _now: Time, _out: &mut Effects<Out<C>>) {}

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        None
    }

    fn check(&self) {
        self.epochs.check();
        self.blocks.check();
        self.targets.check();
        self.channels.check();
        self.chunks.check();
        self.calls.check();
        self.jobs.check();
        self.disk.check();
        self.check_under_way();
        self.check_store();
    }
}
