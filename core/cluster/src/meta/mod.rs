//! The metadata server: names, inodes, write sessions, lengths and the collection of what was removed.
//!
//! Owner: a host, which hands it requests and routing, carries its calls to the storage, and stores what it commits.
//!
//! ```text
//!              ┌─ names, attributes, open: one transaction ──────────────────────────────► Answer
//!   Request ───┤
//!              └─ sync, close ─ length known? ─ yes ─ one transaction ───────────────────► Answer
//!                                    └─ no ─ Storage(last chunk) per chain ─ all there ─┘
//!   timeout ──► collector: Storage(remove chunks) per chain, rounds ──► inode deleted
//!          └──► sessions of dead clients: length brought up to date, session deleted
//!          └──► expired answers swept
//! ```
//!
//! A transaction is committed before its effects are pushed. The host delivers effects **in order**: one with `durable` set
//! waits until all commits so far are durable, and holds back those behind it. It answers each call to the storage once.
//!
//! Limits: [`options::limits`].
//!
//! Source: `src/meta` upstream, as one server that owns all inodes. Where upstream departs from POSIX by choice, see
//! [`options::Quirks`].

mod batch;
mod chains;
mod check;
mod gc;
mod idempotent;
mod ids;
mod keys;
mod length;
mod names;
mod op;
mod ops;
pub mod options;
mod records;
mod resolve;
pub mod routing;
mod serve;
mod sessions;
mod tx;

pub use op::REFUSED_BY_MODE;
pub use options::Options;
pub use routing::RoutingView;

use crate::store::Store;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, OpId, Uuid};
use flyer_types::parts::Slots;
use flyer_types::{Effects, Machine, Reason, Rng, Span, Status, StatusCode, Time, WallTime};
use flyer_wire::msg::storage::chunk::{ChunkIdRange, VersionedChainId};
use flyer_wire::msg::storage::range::{QueryLastChunkResult, RemoveChunksResult};
use flyer_wire::service::meta::{Request, Response};
use op::Core;
use options::limits::{CLIENTS_MAX, STORAGE_CALLS_MAX};

/// What happens to a metadata server. `C` names a call of a client to the host.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<C> {
    /// A client asks.
    Request {
        /// Whom to answer.
        call: C,
        /// What it wants.
        request: Request,
    },
    /// The outcome of an [`Out::Storage`]. Late and repeated ones are ignored.
    StorageAnswer {
        /// Which.
        id: OpId,
        /// What the storage said.
        answer: Result<StorageAnswer, Status>,
    },
    /// The chains as they are now.
    Routing(Arc<RoutingView>),
    /// All clients that the manager takes for alive.
    ClientSessions(Vec<Uuid>),
    /// Space of the whole cluster.
    Space {
        /// Bytes in total.
        capacity: u64,
        /// Bytes free.
        free: u64,
    },
    /// The time of day; comes before the first request. It goes on from there with the host's monotonic clock; repeat it when the two drift apart.
    Clock(WallTime),
}

/// What a metadata server wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<C> {
    /// Answers a request.
    Answer {
        /// Whom.
        call: C,
        /// What.
        answer: Result<Response, Status>,
        /// All commits so far have to be durable first.
        durable: bool,
    },
    /// Calls the storage.
    Storage {
        /// Comes back with the outcome.
        id: OpId,
        /// What is wanted.
        call: StorageCall,
        /// All commits so far have to be durable first: chunks of a file whose removal could still be forgotten are kept.
        durable: bool,
    },
}

/// A call to the storage servers of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageCall {
    /// `queryLastChunk` with one operation.
    LastChunk {
        /// The chain.
        chain: VersionedChainId,
        /// Chunks of the file.
        range: ChunkIdRange,
    },
    /// `removeChunks` with one operation.
    RemoveChunks {
        /// The chain.
        chain: VersionedChainId,
        /// Chunks to remove.
        range: ChunkIdRange,
    },
}

/// The outcome of a call to the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageAnswer {
    /// Of [`StorageCall::LastChunk`].
    LastChunk(QueryLastChunkResult),
    /// Of [`StorageCall::RemoveChunks`].
    RemoveChunks(RemoveChunksResult),
}

/// The time between two steps of work that is done in the background.
const STEP: Span = Span::from_ns(1_000_000);

/// The time of day at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Clock {
    at: Time,
    wall: WallTime,
}

/// Bytes of the cluster.
#[derive(Clone, Copy, Debug)]
struct Space {
    at: Time,
    capacity: u64,
    free: u64,
}

/// Whose call to the storage it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallOwner {
    /// The length of this file is asked for.
    Length(InodeId),
    /// Chunks of this file are removed.
    Removal(InodeId, VersionedChainId),
}

/// A metadata server over its store; see the [module](self).
#[derive(Debug)]
pub struct MetaServer<S, C> {
    store: S,
    core: Core,
    clock: Clock,
    space: Option<Space>,
    clients: Option<BTreeSet<Uuid>>,
    calls: Slots<OpId, CallOwner>,
    lengths: length::Lengths<C>,
    collector: gc::Collector,
    scan: sessions::Scan,
    sweep: idempotent::Sweep,
}

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// Opens the file system in a store, and makes it if the store has none.
    ///
    /// # Errors
    /// `Meta::BadFileSystem` if parts of it are missing; what the store says.
    pub fn open(store: S, options: Options, rng: Rng) -> Result<Self, Status> {
        let mut core = Core {
            options,
            rng,
            ids: ids::InodeIds::default(),
            turns: chains::ChainTurns::default(),
            routing: Arc::new(RoutingView::default()),
            gc_directory: InodeId::GC_ROOT,
            gc_added: None,
            prune_asked: false,
            record_added: false,
        };
        let mut store = store;
        serve::bootstrap(&mut store, &mut core)?;
        Ok(Self {
            store,
            core,
            clock: Clock::default(),
            space: None,
            clients: None,
            calls: Slots::new(u32::try_from(2 * STORAGE_CALLS_MAX).unwrap_or(u32::MAX)),
            lengths: length::Lengths::new(),
            collector: gc::Collector::new(),
            scan: sessions::Scan::new(),
            sweep: idempotent::Sweep::new(),
        })
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, without the server. What was not committed is lost, as in a crash.
    pub fn into_store(self) -> S {
        self.store
    }

    /// The time of day.
    fn wall(&self, now: Time) -> WallTime {
        let since_us = i64::try_from(now.since(self.clock.at).as_us()).unwrap_or(i64::MAX);
        WallTime::from_us(self.clock.wall.us.saturating_add(since_us))
    }

    /// Whether space is short, so that what was removed is collected without delay.
    fn is_space_short(&self) -> bool {
        let percent = u128::from(self.core.options.gc.hurry_below_free_percent);
        self.space
            .is_some_and(|space| u128::from(space.free) * 100 < u128::from(space.capacity) * percent)
    }

    /// Number of calls to the storage that are under way, for lengths or for garbage.
    fn calls_under_way(&self, for_lengths: bool) -> usize {
        let is_length = |owner: &CallOwner| matches!(owner, CallOwner::Length(_));
        self.calls
            .iter()
            .filter(|(_, owner)| is_length(owner) == for_lengths)
            .count()
    }

    fn handle_storage(
        &mut self,
        now: Time,
        id: OpId,
        answer: Result<StorageAnswer, Status>,
        out: &mut Effects<Out<C>>,
    ) {
        let mismatch = || Status::new(StatusCode::RPC_VERIFY_RESPONSE_FAILED);
        match self.calls.remove(id) {
            None => flyer_types::mark!("meta.stale_storage_answer"),
            Some(CallOwner::Length(inode)) => {
                let result = answer.and_then(|answer| match answer {
                    StorageAnswer::LastChunk(result) => Ok(result),
                    StorageAnswer::RemoveChunks(_) => Err(mismatch()),
                });
                self.handle_last_chunk(now, inode, result, out);
            }
            Some(CallOwner::Removal(inode, chain)) => {
                let result = answer.and_then(|answer| match answer {
                    StorageAnswer::RemoveChunks(result) => Ok(result),
                    StorageAnswer::LastChunk(_) => Err(mismatch()),
                });
                self.handle_removed(now, inode, chain, result);
            }
        }
        self.ask_for_lengths(now, out);
        self.ask_for_removals(now, out);
    }

    /// Takes note of what operations have left for the work in the background.
    fn take_notes(&mut self, now: Time) {
        if let Some(delay) = self.core.gc_added.take() {
            let delay = if self.is_space_short() { Span::ZERO } else { delay };
            self.collector.wake_at(now + delay.max(STEP));
        }
        if core::mem::take(&mut self.core.prune_asked) {
            self.scan.wake_at(now + STEP);
        }
        if core::mem::take(&mut self.core.record_added) {
            self.sweep
                .wake_at(now + self.core.options.idempotent_sweep_interval.max(STEP));
        }
    }

    fn deadlines(&self) -> [Option<(Time, Reason)>; 4] {
        [
            self.lengths
                .deadline()
                .map(|at| (at, Reason::named("meta.operation_timeout"))),
            self.collector.wake.map(|at| (at, Reason::named("meta.collect"))),
            self.scan.wake.map(|at| (at, Reason::named("meta.scan_sessions"))),
            self.sweep
                .wake
                .map(|at| (at, Reason::named("meta.sweep_records"))),
        ]
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> Machine for MetaServer<S, C> {
    type In = In<C>;
    type Out = Out<C>;

    fn handle(&mut self, now: Time, input: In<C>, out: &mut Effects<Out<C>>) {
        match input {
            In::Request { call, request } => self.handle_request(now, call, request, out),
            In::StorageAnswer { id, answer } => self.handle_storage(now, id, answer, out),
            In::Routing(routing) => self.core.routing = routing,
            In::ClientSessions(clients) => {
                let known = clients.len() <= CLIENTS_MAX;
                self.clients = known.then(|| clients.into_iter().collect());
                self.scan
                    .wake_at(now + self.core.options.session.scan_interval.max(STEP));
            }
            In::Space { capacity, free } => {
                self.space = Some(Space {
                    at: now,
                    capacity,
                    free: free.min(capacity),
                });
                if self.is_space_short() {
                    self.collector.wake_at(now + STEP);
                }
            }
            In::Clock(wall) => {
                if self.clock.wall == WallTime::default() {
                    // Requests to drop sessions may be left from before.
                    self.scan.wake_at(now + STEP);
                }
                self.clock = Clock { at: now, wall };
                // What is due may have changed.
                self.collector.wake_at(now + STEP);
                self.sweep.wake_at(now + STEP);
            }
        }
        self.take_notes(now);
    }

    fn handle_timeout(&mut self, now: Time, out: &mut Effects<Out<C>>) {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if due(self.lengths.deadline()) {
            self.expire_lengths(now, out);
        }
        if due(self.scan.wake) {
            self.scan_sessions(now, out);
        }
        if due(self.sweep.wake) {
            self.sweep_records(now);
        }
        if due(self.collector.wake) {
            self.collect(now);
            self.ask_for_removals(now, out);
        }
        self.take_notes(now);
        debug_assert!(
            !self.deadlines().into_iter().flatten().any(|(at, _)| at <= now),
            "still due"
        );
    }

    fn poll_timeout(&self) -> Option<(Time, Reason)> {
        self.deadlines().into_iter().flatten().min()
    }

    fn check(&self) {
        self.lengths.check();
        self.calls.check();
        assert!(
            self.calls_under_way(true) <= STORAGE_CALLS_MAX,
            "too many queries"
        );
        assert!(
            self.calls_under_way(false) <= STORAGE_CALLS_MAX,
            "too many removals"
        );
        self.check_store();
    }
}
