//! What the cells of a mount want done, and how it is done.

use super::KernelSide;
use super::durability::Waiter;
use super::links::{Links, MetaCaller, ReplyRight, StorageCaller};
use super::mount::wall_clock;
use crate::disk::Memory;
use crate::store::LocalStore;
use flyer_client::routing::RoutingView;
use flyer_client::session;
use flyer_cluster::meta::{StorageAnswer, StorageCall};
use flyer_cluster::storage::{DiskError, DiskOp};
use flyer_cluster::{meta, mgmtd, storage};
use flyer_pool::Pool;
use flyer_runtime::Host;
use flyer_types::ids::{CallId, OpId, RequestId};
use flyer_types::{Errno, Lease, Segments, Status, StatusCode, Text, Time};
use flyer_vfs::reply::{Invalidate, Reply};
use flyer_vfs::{Shard, shard};
use flyer_wire::codec::Wire;
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::msg::storage::io::MessageTag;
use flyer_wire::msg::storage::range::{QueryLastChunkOp, QueryLastChunkReq, RemoveChunksOp, RemoveChunksReq};
use flyer_wire::service::{mgmtd as manager_service, storage as storage_service};
use std::io::IoSlice;
use std::sync::{Arc, Weak};

/// Of a shard.
pub(crate) struct ShardHost<K: KernelSide> {
    pub(crate) index: u32,
    pub(crate) links: Weak<Links<K>>,
}

/// What of a shard's effects may take its time.
pub(crate) enum ShardLeaf<R> {
    Reply(ReplyRight<R>, Result<Reply, Errno>),
    Invalidate(Invalidate),
}

impl<K: KernelSide> Host<Shard<ReplyRight<K::Reply>>> for ShardHost<K> {
    type Leaf = ShardLeaf<K::Reply>;

    fn route(&self, _now: Time, effect: shard::Out<ReplyRight<K::Reply>>, leaves: &mut Vec<Self::Leaf>) {
        let Some(links) = self.links.upgrade() else { return };
        match effect {
            shard::Out::Reply { reply, answer } => leaves.push(ShardLeaf::Reply(reply, answer)),
            shard::Out::Invalidate(what) => leaves.push(ShardLeaf::Invalidate(what)),
            shard::Out::Message { to, message } => links.to_shard(to, shard::In::Message(message)),
            shard::Out::Meta { call, request, .. } => {
                let call = MetaCaller {
                    shard: self.index,
                    call,
                };
                links.to_meta(meta::In::Request { call, request });
            }
            shard::Out::Storage {
                call,
                request,
                memory,
                ..
            } => {
                let call = StorageCaller::Shard {
                    shard: self.index,
                    call,
                };
                links.to_storage(storage::In::Request {
                    call,
                    request,
                    memory,
                });
            }
            shard::Out::Copy { from, to } => expect_access(links.pool.copy_between(from, to)),
            shard::Out::Zero(lease) => expect_access(links.pool.zero(lease)),
            shard::Out::Free(memory) => expect_access(links.pool.free(memory)),
            shard::Out::Config(config) => {
                let config = Arc::new(config);
                for to in 0..links.shards() {
                    links.to_shard(to, shard::In::Config(Arc::clone(&config)));
                }
            }
            shard::Out::RoutingWanted => links.to_session(session::In::RoutingWanted),
        }
    }

    fn perform(&self, leaf: Self::Leaf) {
        let Some(links) = self.links.upgrade() else { return };
        match leaf {
            ShardLeaf::Reply(ReplyRight::Kernel(reply), answer) => links.kernel.reply(reply, answer),
            ShardLeaf::Reply(ReplyRight::End(waiting), answer) => {
                // Who does not wait any more has given up on the mount.
                let _unheard = waiting.send(answer.map(drop));
            }
            ShardLeaf::Invalidate(what) => links.kernel.invalidate(what),
        }
    }
}

/// Of the metadata server.
pub(crate) struct MetaHost<K: KernelSide> {
    pub(crate) links: Weak<Links<K>>,
}

impl<K: KernelSide> Host<meta::MetaServer<LocalStore, MetaCaller>> for MetaHost<K> {
    type Leaf = Waiter;

    fn route(&self, _now: Time, effect: meta::Out<MetaCaller>, leaves: &mut Vec<Waiter>) {
        let Some(links) = self.links.upgrade() else { return };
        match effect {
            meta::Out::Answer {
                call,
                answer,
                durable: false,
            } => {
                let MetaCaller { shard, call } = call;
                links.to_shard(shard, shard::In::Meta { call, answer });
            }
            meta::Out::Answer {
                call,
                answer,
                durable: true,
            } => leaves.push(Waiter::Meta(call, Box::new(answer))),
            // Names and chunks have one journal: the removal of a chunk is not durable before that of its name.
            meta::Out::Storage { id, call, durable: _ } => {
                let request = storage_request(id, call);
                links.to_storage(storage::In::Request {
                    call: StorageCaller::Meta(id),
                    request,
                    memory: Segments::new(),
                });
            }
        }
    }

    fn perform(&self, waiter: Waiter) {
        let Some(links) = self.links.upgrade() else { return };
        links.make_durable(waiter);
    }
}

/// The request behind a call of the metadata server.
fn storage_request(id: OpId, call: StorageCall) -> storage_service::Request {
    let tag = MessageTag {
        request_id: RequestId(u64::from(id.generation) << 32 | u64::from(id.slot)),
        ..MessageTag::initial()
    };
    match call {
        StorageCall::LastChunk { chain, range } => {
            storage_service::Request::QueryLastChunk(QueryLastChunkReq {
                payloads: vec![QueryLastChunkOp {
                    chain,
                    chunk_id_range: range,
                }],
                tag,
                ..QueryLastChunkReq::initial()
            })
        }
        StorageCall::RemoveChunks { chain, range } => {
            storage_service::Request::RemoveChunks(RemoveChunksReq {
                payloads: vec![RemoveChunksOp {
                    chain,
                    chunk_id_range: range,
                    tag,
                    retry_count: 0,
                }],
                ..RemoveChunksReq::initial()
            })
        }
    }
}

/// The only result of an answer to the metadata server.
fn storage_answer(response: storage_service::Response) -> Result<StorageAnswer, Status> {
    let mismatch = || Status::new(StatusCode::RPC_VERIFY_RESPONSE_FAILED);
    match response {
        storage_service::Response::QueryLastChunk(mut response) => response
            .results
            .pop()
            .map(StorageAnswer::LastChunk)
            .ok_or_else(mismatch),
        storage_service::Response::RemoveChunks(mut response) => response
            .results
            .pop()
            .map(StorageAnswer::RemoveChunks)
            .ok_or_else(mismatch),
        storage_service::Response::BatchRead(_)
        | storage_service::Response::Write(_)
        | storage_service::Response::Update(_)
        | storage_service::Response::TruncateChunks(_)
        | storage_service::Response::SyncStart(_)
        | storage_service::Response::SyncDone(_)
        | storage_service::Response::SpaceInfo(_)
        | storage_service::Response::CreateTarget(_)
        | storage_service::Response::QueryChunk(_)
        | storage_service::Response::GetAllChunkMetadata(_)
        | storage_service::Response::OfflineTarget(_)
        | storage_service::Response::RemoveTarget(_) => Err(mismatch()),
    }
}

/// Of the storage server.
pub(crate) struct StorageHost<K: KernelSide> {
    pub(crate) links: Weak<Links<K>>,
}

/// What of the storage server's effects may take its time.
pub(crate) enum StorageLeaf {
    Disk(OpId, DiskOp),
    /// Somebody should make things durable some time.
    SyncWanted,
    /// The round that was begun runs now: data files first.
    SyncData,
    /// Then the database.
    SyncStore,
}

impl<K: KernelSide> Host<storage::StorageServer<LocalStore, StorageCaller>> for StorageHost<K> {
    type Leaf = StorageLeaf;

    fn route(&self, _now: Time, effect: storage::Out<StorageCaller>, leaves: &mut Vec<StorageLeaf>) {
        let Some(links) = self.links.upgrade() else { return };
        match effect {
            storage::Out::Answer {
                call: StorageCaller::Shard { shard, call },
                answer,
            } => {
                tracing::trace!("storage answers shard {shard}: {answer:?}");
                links.to_shard(shard, shard::In::Storage { call, answer });
            }
            storage::Out::Answer {
                call: StorageCaller::Meta(id),
                answer,
            } => {
                let answer = answer.and_then(storage_answer);
                links.to_meta(meta::In::StorageAnswer { id, answer });
            }
            storage::Out::Disk { id, op } => leaves.push(StorageLeaf::Disk(id, op)),
            storage::Out::SyncWanted => leaves.push(StorageLeaf::SyncWanted),
            storage::Out::SyncData => leaves.push(StorageLeaf::SyncData),
            storage::Out::SyncStore => leaves.push(StorageLeaf::SyncStore),
        }
    }

    fn perform(&self, leaf: StorageLeaf) {
        let Some(links) = self.links.upgrade() else { return };
        match leaf {
            StorageLeaf::Disk(id, op) => {
                let done = links.files.execute(&PoolMemory(&links.pool), &op);
                links.to_storage(storage::In::Disk { id, done });
            }
            StorageLeaf::SyncWanted => links.make_durable(Waiter::Nobody),
            StorageLeaf::SyncData => links.sync_data(),
            StorageLeaf::SyncStore => links.sync_store(),
        }
    }
}

impl<K: KernelSide> Links<K> {
    /// Has everything so far made durable for somebody.
    pub(crate) fn make_durable(&self, waiter: Waiter) {
        if self.durability.wait(waiter) {
            self.to_storage(storage::In::SyncBegun);
        }
    }

    /// The first half of a round.
    fn sync_data(&self) {
        let synced = self.durability.run().and_then(|()| {
            self.files
                .sync()
                .map_err(|error| Text::from(describe(&error).as_str()))
        });
        match synced {
            Ok(()) => self.to_storage(storage::In::DataDurable),
            Err(why) => self.end_round(&Err(why)),
        }
    }

    /// The second half.
    fn sync_store(&self) {
        let synced = self.database.sync();
        self.end_round(&synced.map_err(|error| Text::from(error.to_string().as_str())));
    }

    fn end_round(&self, outcome: &Result<(), Text>) {
        self.to_storage(storage::In::SyncEnded(outcome.is_ok()));
        let (served, again) = self.durability.end(outcome);
        if let Err(why) = outcome {
            self.boot.forget();
            tracing::error!("what was written last may not survive a power loss: {why}");
        }
        for waiter in served {
            match waiter {
                Waiter::Meta(MetaCaller { shard, call }, answer) => {
                    let answer = match outcome {
                        Ok(()) => *answer,
                        Err(why) => Err(Status::with_message(StatusCode::IO_ERROR, why.clone())),
                    };
                    self.to_shard(shard, shard::In::Meta { call, answer });
                }
                Waiter::Manager(call, answer) => {
                    let answer = match outcome {
                        Ok(()) => *answer,
                        Err(why) => Err(Status::with_message(StatusCode::IO_ERROR, why.clone())),
                    };
                    self.answer_session(call, answer);
                }
                // Who does not wait any more has given up on the mount.
                Waiter::Thread(thread) => drop(thread.send(outcome.is_ok())),
                Waiter::Nobody => {}
            }
        }
        if again {
            self.to_storage(storage::In::SyncBegun);
        }
    }
}

/// What a disk says, for people.
pub(crate) fn describe(error: &DiskError) -> String {
    match error {
        DiskError::NoSpace => "the disk is full".to_owned(),
        DiskError::Mismatch => "the data do not have the checksum that came with them".to_owned(),
        DiskError::Io(why) => why.to_string(),
    }
}

/// What the pool holds, as the disk wants to see it.
struct PoolMemory<'a>(&'a Pool);

impl Memory for PoolMemory<'_> {
    fn with_bytes(&self, leases: &[Lease], look: &mut dyn FnMut(&[IoSlice<'_>])) -> bool {
        // One lease is the rule: no list is allocated for it.
        if let [lease] = leases {
            return self
                .0
                .with_read(*lease, |bytes| look(&[IoSlice::new(bytes)]))
                .is_ok();
        }
        let guards: Result<Vec<_>, _> = leases.iter().map(|lease| self.0.read(*lease)).collect();
        let Ok(guards) = guards else { return false };
        let slices: Vec<IoSlice<'_>> = guards.iter().map(|guard| IoSlice::new(guard)).collect();
        look(&slices);
        true
    }

    fn with_bytes_mut(&self, lease: Lease, fill: &mut dyn FnMut(&mut [u8])) -> bool {
        self.0.with_write(lease, fill).is_ok()
    }
}

/// Says that memory was not used as agreed: a mistake of ours, which must not go unnoticed.
fn expect_access<E: std::fmt::Display>(done: Result<(), E>) {
    if let Err(error) = done {
        debug_assert!(false, "payload memory: {error}");
        tracing::error!("payload memory was not used as agreed: {error}");
    }
}

/// Of the manager.
pub(crate) struct ManagerHost<K: KernelSide> {
    pub(crate) links: Weak<Links<K>>,
}

impl<K: KernelSide> Host<mgmtd::Manager<LocalStore>> for ManagerHost<K> {
    type Leaf = Waiter;

    fn route(&self, _now: Time, effect: mgmtd::Out, leaves: &mut Vec<Waiter>) {
        let Some(links) = self.links.upgrade() else { return };
        match effect {
            mgmtd::Out::Answer {
                call,
                answer,
                durable: false,
            } => links.answer_session(call, answer),
            mgmtd::Out::Answer {
                call,
                answer,
                durable: true,
            } => leaves.push(Waiter::Manager(call, Box::new(answer))),
            mgmtd::Out::Event(event) => tracing::debug!("manager: {event:?}"),
        }
    }

    fn perform(&self, waiter: Waiter) {
        let Some(links) = self.links.upgrade() else { return };
        links.make_durable(waiter);
    }
}

/// Of the session with the manager.
pub(crate) struct SessionHost<K: KernelSide> {
    pub(crate) links: Weak<Links<K>>,
}

impl<K: KernelSide> Host<session::Session> for SessionHost<K> {
    type Leaf = std::convert::Infallible;

    fn route(&self, _now: Time, effect: session::Out, _leaves: &mut Vec<Self::Leaf>) {
        let Some(links) = self.links.upgrade() else { return };
        match effect {
            session::Out::Call { call, request, .. } => links.to_manager(mgmtd::In::Request {
                call: mgmtd::CallToken(u64::from(call.generation) << 32 | u64::from(call.slot)),
                request,
                wall: wall_clock(),
            }),
            session::Out::Routing(routing) => links.hand_out(&routing),
            session::Out::Config(config) => {
                // Nobody configures an embedded cluster through its manager; saying so ends the repetition.
                links.to_session(session::In::Configured {
                    version: config.config_version,
                    status: flyer_wire::msg::common::ConfigStatus::NORMAL,
                });
            }
            session::Out::Established => tracing::debug!("the manager knows the client"),
            session::Out::Lost(status) | session::Out::Failed(status) => {
                tracing::warn!("the session with the embedded manager: {status}");
            }
        }
    }

    fn perform(&self, leaf: Self::Leaf) {
        match leaf {}
    }
}

impl<K: KernelSide> Links<K> {
    fn answer_session(&self, call: mgmtd::CallToken, answer: Result<manager_service::Response, Status>) {
        let low = |word: u64| u32::try_from(word & u64::from(u32::MAX)).expect("32 bits");
        let call = CallId::new(low(call.0), low(call.0 >> 32));
        self.to_session(session::In::Answer { call, answer });
    }

    /// Gives routing to everybody.
    pub(crate) fn hand_out(&self, routing: &Arc<RoutingView>) {
        let info = Arc::new(routing.info().clone());
        self.to_storage(storage::In::Routing(Arc::clone(&info)));
        self.to_meta(meta::In::Routing(Arc::new(meta_view(&info))));
        for to in 0..self.shards() {
            self.to_shard(to, shard::In::Routing(Arc::clone(routing)));
        }
    }
}

/// The chains as a metadata server sees them.
fn meta_view(routing: &RoutingInfo) -> meta::RoutingView {
    let tables = routing.chain_tables.0.iter().map(|(id, versions)| {
        let versions = versions
            .0
            .iter()
            .map(|(version, table)| (*version, table.chains.clone()));
        (*id, versions.collect())
    });
    let chains = routing.chains.0.iter().map(|(id, chain)| {
        let view = meta::routing::ChainView {
            version: chain.chain_version,
            targets: u32::try_from(chain.targets.len()).unwrap_or(u32::MAX),
        };
        (*id, view)
    });
    meta::RoutingView {
        tables: tables.collect(),
        chains: chains.collect(),
    }
}
