//! Everything that belongs to a shard, op machines excepted.

use super::context::Effect;
use super::op::Event;
use crate::config::Config;
use crate::file;
use crate::inode::Inodes;
use crate::name;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;
use flyer_client::{meta, storage};
use flyer_types::ids::OpId;
use flyer_types::{Effects, Machine, Rng, Time, WallTime};
use flyer_wire::msg::common::ClientId;

/// The machine that carries metadata calls; a trait object, so that tests can play the servers at this seam.
pub type MetaMachine = dyn Machine<In = meta::In<OpId>, Out = meta::Out<OpId>> + Send;

/// The machine that carries storage I/O.
pub type StorageMachine = dyn Machine<In = storage::In<OpId>, Out = storage::Out<OpId>> + Send;

/// The time of day at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    pub(crate) at: Time,
    pub(crate) wall: WallTime,
}

impl Clock {
    /// The time of day at `now`.
    pub(crate) fn wall_at(&self, now: Time) -> WallTime {
        let since_us = i64::try_from(now.since(self.at).as_us()).unwrap_or(i64::MAX);
        WallTime::from_us(self.wall.us.saturating_add(since_us))
    }
}

/// Everything that belongs to a shard, op machines excepted.
pub(crate) struct State {
    /// Which shard this is, of how many.
    pub(crate) index: u32,
    pub(crate) shards: u32,
    pub(crate) client: ClientId,
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) rng: Rng,
    /// Inodes that the kernel knows or that hold something that has to be written.
    pub(crate) inodes: Inodes,
    /// What `file` keeps: open files, buffers, the dirty set.
    pub(crate) files: file::Files,
    /// What `name` keeps: open directories, the virtual tree.
    pub(crate) names: name::Names,
    /// Effects of the present step, in order.
    pub(crate) effects: Effects<Effect>,
    /// Steps that are due.
    pub(crate) ready: VecDeque<(OpId, Event)>,
    pub(crate) meta: Box<MetaMachine>,
    pub(crate) meta_out: Effects<meta::Out<OpId>>,
    pub(crate) storage: Box<StorageMachine>,
    pub(crate) storage_out: Effects<storage::Out<OpId>>,
}

impl State {
    pub(crate) fn call_meta(&mut self, now: Time, input: meta::In<OpId>) {
        self.meta.handle(now, input, &mut self.meta_out);
    }

    pub(crate) fn call_storage(&mut self, now: Time, input: storage::In<OpId>) {
        self.storage.handle(now, input, &mut self.storage_out);
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("index", &self.index)
            .field("inodes", &self.inodes)
            .field("files", &self.files)
            .field("names", &self.names)
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}
