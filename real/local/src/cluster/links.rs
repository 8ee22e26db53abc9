//! Who is connected with whom: every cell of a mount, and what they share.
//!
//! ```text
//!                    ┌────────────► metadata server ───────────┐ last chunks, removals
//!   kernel ─► shards ┤   ◄──────────── answers                  ▼
//!                    └──────────────────────────────────► storage server ─► data files
//!   session ─► manager
//! ```
//!
//! The fabric loses nothing, so each call is answered once without a timer. Hosts of cells hold the links weakly: with the mount the
//! links go, and with them cells, servers and the database.

use super::boot::Boot;
use super::durability::Durability;
use super::{KernelSide, hosts};
use crate::disk::Disk;
use crate::store::{Database, LocalStore};
use flyer_client::session::{self, Session};
use flyer_cluster::meta::MetaServer;
use flyer_cluster::mgmtd::{self, Manager};
use flyer_cluster::storage::StorageServer;
use flyer_pool::Pool;
use flyer_runtime::{Cell, Refused};
use flyer_types::Lease;
use flyer_types::ids::{CallId, OpId};
use flyer_vfs::Shard;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Who waits for a metadata server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetaCaller {
    /// Index of the shard.
    pub(crate) shard: u32,
    /// Its call.
    pub(crate) call: CallId,
}

/// Who waits for the storage server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StorageCaller {
    /// A shard.
    Shard {
        /// Its index.
        shard: u32,
        /// Its call.
        call: CallId,
    },
    /// The metadata server, for this call of its own.
    Meta(OpId),
}

/// The right to answer, as shards of this mount know it.
#[derive(Debug)]
pub enum ReplyRight<R> {
    /// The kernel waits.
    Kernel(R),
    /// The end of the mount waits, for the shard that the sender belongs to.
    End(std::sync::mpsc::Sender<Result<(), flyer_types::Errno>>),
}

pub(crate) type ShardCell<K> = Cell<Shard<ReplyRight<<K as KernelSide>::Reply>>, hosts::ShardHost<K>>;
pub(crate) type MetaCell<K> = Cell<MetaServer<LocalStore, MetaCaller>, hosts::MetaHost<K>>;
pub(crate) type StorageCell<K> = Cell<StorageServer<LocalStore, StorageCaller>, hosts::StorageHost<K>>;
pub(crate) type SessionCell<K> = Cell<Session, hosts::SessionHost<K>>;
pub(crate) type ManagerCell<K> = Cell<Manager<LocalStore>, hosts::ManagerHost<K>>;

/// Says that an input was not taken. After the end that is in order; before it, more was under way than was accounted for, and whoever
/// waits for the input waits in vain: a mistake of ours that has to be seen.
fn report<T>(to: &dyn fmt::Display, sent: Result<(), Refused<T>>) {
    match sent {
        Ok(()) => {}
        Err(Refused::Closed(_)) => tracing::debug!("an input of {to} came after its end"),
        Err(Refused::Full(_)) => tracing::error!("the inbox of {to} is full; an operation will not end"),
    }
}

/// Every cell of a mount, and what they share.
pub(crate) struct Links<K: KernelSide> {
    pub(crate) kernel: K,
    pub(crate) pool: Arc<Pool>,
    pub(crate) files: Disk,
    pub(crate) database: Database,
    /// Memory that holds zeros.
    pub(crate) zeros: Lease,
    pub(crate) durability: Durability,
    pub(crate) boot: Boot,
    pub(crate) cells: OnceLock<Cells<K>>,
}

/// The cells.
pub(crate) struct Cells<K: KernelSide> {
    pub(crate) shards: Vec<ShardCell<K>>,
    pub(crate) meta: MetaCell<K>,
    pub(crate) storage: StorageCell<K>,
    pub(crate) manager: ManagerCell<K>,
    pub(crate) session: SessionCell<K>,
}

impl<K: KernelSide> Links<K> {
    /// The cells, which exist before anything runs.
    pub(crate) fn cells(&self) -> &Cells<K> {
        self.cells.get().expect("cells are linked before the first input")
    }

    /// Something for a shard.
    pub(crate) fn to_shard(&self, shard: u32, input: flyer_vfs::shard::In<ReplyRight<K::Reply>>) {
        let index = usize::try_from(shard).expect("shards are few");
        report(
            &format_args!("shard {shard}"),
            self.cells().shards[index].send(input),
        );
    }

    /// Something for the metadata server.
    pub(crate) fn to_meta(&self, input: flyer_cluster::meta::In<MetaCaller>) {
        report(&"the metadata server", self.cells().meta.send(input));
    }

    /// Something for the storage server.
    pub(crate) fn to_storage(&self, input: flyer_cluster::storage::In<StorageCaller>) {
        report(&"the storage server", self.cells().storage.send(input));
    }

    /// Something for the manager.
    pub(crate) fn to_manager(&self, input: mgmtd::In) {
        report(&"the manager", self.cells().manager.send(input));
    }

    /// Something for the session with the manager.
    pub(crate) fn to_session(&self, input: session::In) {
        report(&"the session", self.cells().session.send(input));
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> u32 {
        u32::try_from(self.cells().shards.len()).expect("shards are few")
    }
}
