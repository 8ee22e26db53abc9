//! What an op machine sees of its shard during a step.

use super::op::{Event, Task};
use super::state::State;
use crate::config::UserConfig;
use crate::reply::Invalidate;
use crate::request::Caller;
use alloc::vec::Vec;
use flyer_client::storage::{FileView, Want};
use flyer_types::ids::{NodeId, OpId, Uuid};
use flyer_types::{Lease, LeaseId, Time, WallTime};
use flyer_wire::msg::common::UserInfo;
use flyer_wire::msg::meta::call::ReqBase;
use flyer_wire::service::meta;

/// An effect of a step that does not name the host's reply tokens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// See [`Out::Copy`](super::Out::Copy).
    Copy { from: Lease, to: Lease },
    /// See [`Out::Free`](super::Out::Free).
    Free(LeaseId),
    /// See [`Out::Invalidate`](super::Out::Invalidate).
    Invalidate(Invalidate),
    /// See [`Out::Config`](super::Out::Config).
    Config(crate::Config),
    /// Ask the shard of the task's inode; the answer comes back to this operation as [`Event::Asked`].
    Ask { op: OpId, caller: Caller, task: Task },
    /// Carry out a task that nobody waits for.
    Spawn { caller: Caller, task: Task },
}

/// A shard as the op machine `op` sees it.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// Everything that belongs to the shard, other op machines excepted.
    pub(crate) state: &'a mut State,
    /// The op machine that is stepping.
    pub(crate) op: OpId,
    /// For whom.
    pub(crate) caller: Caller,
    /// When.
    pub(crate) now: Time,
}

impl Context<'_> {
    /// The options of the caller.
    pub(crate) fn user(&self) -> &UserConfig {
        self.state.config.of(self.caller.uid)
    }

    /// The time of day.
    pub(crate) fn wall(&self) -> WallTime {
        self.state.clock.wall_at(self.now)
    }

    /// What every request to a metadata server begins with. The client machine fills in the rest.
    pub(crate) fn base(&self) -> ReqBase {
        ReqBase {
            user: UserInfo {
                uid: self.caller.uid,
                gid: self.caller.gid,
                groups: Vec::new(),
                token: self.state.config.token.clone(),
            },
            client: self.state.client.clone(),
            forward: NodeId(0),
            uuid: Uuid::ZERO,
        }
    }

    /// Calls a metadata server; [`Event::Meta`] comes back.
    pub(crate) fn meta(&mut self, request: impl Into<meta::Request>) {
        let start = flyer_client::meta::In::Start {
            op: self.op,
            request: request.into(),
        };
        self.state.call_meta(self.now, start);
    }

    /// Calls a metadata server for nobody: a close or the end of sessions.
    pub(crate) fn meta_in_background(&mut self, request: impl Into<meta::Request>) {
        let background = flyer_client::meta::In::Background(request.into());
        self.state.call_meta(self.now, background);
    }

    /// Does something with the chunks of a file; [`Event::Storage`] comes back.
    pub(crate) fn storage(&mut self, file: FileView, want: Want) {
        let op = self.op;
        self.state
            .call_storage(self.now, flyer_client::storage::In::Start { op, file, want });
    }

    /// Asks the shard of an inode to carry out a task; [`Event::Asked`] comes back.
    pub(crate) fn ask(&mut self, task: Task) {
        let (op, caller) = (self.op, self.caller);
        self.state.effects.push(Effect::Ask { op, caller, task });
    }

    /// Has a task carried out, by the shard of its inode, that nobody waits for.
    pub(crate) fn spawn(&mut self, task: Task) {
        let caller = self.caller;
        self.state.effects.push(Effect::Spawn { caller, task });
    }

    /// Makes an operation of this shard take a step, after the present one.
    pub(crate) fn wake(&mut self, op: OpId) {
        self.state.ready.push_back((op, Event::Turn));
    }

    /// Tells the kernel to forget something.
    pub(crate) fn invalidate(&mut self, what: Invalidate) {
        self.state.effects.push(Effect::Invalidate(what));
    }

    /// Gives memory back to the host.
    pub(crate) fn free(&mut self, memory: LeaseId) {
        self.state.effects.push(Effect::Free(memory));
    }

    /// A random id.
    pub(crate) fn draw_uuid(&mut self) -> Uuid {
        self.state.rng.uuid()
    }
}
