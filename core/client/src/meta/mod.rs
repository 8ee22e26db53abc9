//! Metadata calls: choice of a server, retry with the same request id, failover.
//!
//! Owner: a shard.

use crate::routing::RoutingView;
use alloc::sync::Arc;
use flyer_types::ids::{CallId, NodeId};
use flyer_types::{Status, Time};
use flyer_wire::service::meta::{Request, Response};

/// What happens to the metadata calls. `O` names an operation of the owner.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "inputs are moved once and never kept")]
pub enum In<O> {
    /// Carry out a request until it succeeds, fails for good or its time is over. The client fills in `base.client`, `base.uuid` and
    /// `base.forward`; the owner the user.
    Start {
        /// Whom to tell the outcome.
        op: O,
        /// What is wanted.
        request: Request,
    },
    /// Carry out a request (a close, or the end of sessions) in the background, retrying for as long as it makes sense. Nobody is told.
    Background(Request),
    /// The owner no longer wants to hear of it; what is under way goes on. An opened session is closed again.
    Cancel(O),
    /// The outcome of an [`Out::Call`]. Late and repeated ones are ignored.
    Answer {
        /// Which.
        call: CallId,
        /// What the server said, or why it could not be reached.
        answer: Result<Response, Status>,
    },
    /// The servers as they are now.
    Routing(Arc<RoutingView>),
}

/// What metadata calls want done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "effects are moved once and never kept")]
pub enum Out<O> {
    /// One attempt.
    Call {
        /// Comes back with the answer.
        call: CallId,
        /// The server.
        node: NodeId,
        /// The request.
        request: Request,
        /// When the host gives up on it.
        deadline: Time,
    },
    /// The outcome of an [`In::Start`].
    Done {
        /// Whose.
        op: O,
        /// What the server said in the end.
        answer: Result<Response, Status>,
    },
    /// The routing in use seems outdated: fetch a new one soon.
    RoutingWanted,
}
