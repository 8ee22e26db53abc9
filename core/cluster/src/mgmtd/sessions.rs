//! Client sessions. They live in the primary's memory only and are created and extended by the same call.
//!
//! ```text
//!   absent ── extend ──► held ── extend, newer version, same client ──► held
//!      ▲                  │
//!      └── not extended for client_session_timeout, or another primary
//! ```
//!
//! Source: `src/mgmtd/ops/{ExtendClientSession,ListClientSessions,GetClientSession}Operation.cc`,
//! `src/mgmtd/service/ClientSession.h` upstream.

use super::state::Session;
use super::{At, Manager, fail, full, too_much};
use crate::store::Store;
use alloc::format;
use flyer_types::ids::{ClientSessionVersion, Uuid};
use flyer_types::{Status, StatusCode, WallTime};
use flyer_wire::codec::{Map, encode_to_vec};
use flyer_wire::msg::mgmtd::node::NodeType;
use flyer_wire::msg::mgmtd::session::{
    ClientSession, ExtendClientSessionReq, ExtendClientSessionRsp, GetClientSessionReq, GetClientSessionRsp,
    ListClientSessionsRsp,
};

impl<S: Store> Manager<S> {
    /// `extendClientSession`.
    pub(super) fn extend_session(
        &mut self,
        at: At,
        request: ExtendClientSessionReq,
    ) -> Result<ExtendClientSessionRsp, Status> {
        let limits = self.options.limits;
        if request.client_id.is_empty() {
            return Err(fail(StatusCode::INVALID_ARG, "Empty clientId"));
        }
        if request.client_id.len() > limits.client_id_bytes_max {
            return Err(too_much("bytes of the client id", limits.client_id_bytes_max));
        }
        let is_uuid = core::str::from_utf8(request.client_id.as_bytes())
            .ok()
            .and_then(Uuid::parse)
            .is_some();
        if self.options.only_accept_client_uuid && !is_uuid {
            return Err(fail(StatusCode::INVALID_ARG, "clientId is not a UUID"));
        }
        self.require_primary(at.now)?;
        if !matches!(request.kind, NodeType::CLIENT | NodeType::FUSE) {
            return Err(fail(
                StatusCode::INVALID_ARG,
                "only clients and mounts have sessions",
            ));
        }
        let config = self.newer_config(request.kind, request.config_version)?;
        let tags = self.state.tags_of(&request.data.universal_id);
        if let Some(session) = self.state.sessions.get_mut(&request.client_id) {
            extend(session, at, &request)?;
        } else {
            if self.state.sessions.len() >= limits.sessions_max {
                return Err(full("client sessions", limits.sessions_max));
            }
            if encode_to_vec(&request.data).len() > limits.app_bytes_max {
                return Err(too_much(
                    "bytes of the client's description",
                    limits.app_bytes_max,
                ));
            }
            let client_id = request.client_id.clone();
            // The version of the request that creates a session is not remembered.
            let version = ClientSessionVersion(0);
            let session = Session {
                info: session_of(request, at.wall),
                version,
                extended: at.now,
            };
            self.state.sessions.insert(client_id, session);
        }
        Ok(ExtendClientSessionRsp { config, tags })
    }

    /// `listClientSessions`.
    pub(super) fn list_sessions(&self, at: At) -> Result<ListClientSessionsRsp, Status> {
        self.require_primary(at.now)?;
        let sessions = self.state.sessions.values().map(|session| session.info.clone());
        let ids = self
            .state
            .sessions
            .values()
            .map(|session| &session.info.universal_id);
        Ok(ListClientSessionsRsp {
            bootstrapping: self.is_bootstrapping(at.now),
            sessions: sessions.collect(),
            referenced_tags: Map::from_pairs(ids.map(|id| (id.clone(), self.state.tags_of(id)))),
        })
    }

    /// `getClientSession`.
    pub(super) fn session(
        &self,
        at: At,
        request: &GetClientSessionReq,
    ) -> Result<GetClientSessionRsp, Status> {
        if request.client_id.is_empty() {
            return Err(fail(StatusCode::INVALID_ARG, "Empty clientId"));
        }
        self.require_primary(at.now)?;
        let session = self
            .state
            .sessions
            .get(&request.client_id)
            .map(|session| session.info.clone());
        let tags = session
            .as_ref()
            .map(|session| self.state.tags_of(&session.universal_id));
        Ok(GetClientSessionRsp {
            bootstrapping: self.is_bootstrapping(at.now),
            session,
            referenced_tags: tags.unwrap_or_default(),
        })
    }
}

/// Extends a session that exists.
fn extend(session: &mut Session, at: At, request: &ExtendClientSessionReq) -> Result<(), Status> {
    let stored = session.version;
    if stored >= request.client_session_version {
        return Err(fail(
            StatusCode::MGMTD_CLIENT_SESSION_VERSION_STALE,
            &format!("{stored}"),
        ));
    }
    if let Some(field) = difference(&session.info, request) {
        let why = format!("{field} differs from the session's");
        return Err(fail(StatusCode::MGMTD_EXTEND_CLIENT_SESSION_MISMATCH, &why));
    }
    session.version = request.client_session_version;
    session.extended = at.now;
    session.info.config_version = request.config_version;
    session.info.config_status = request.config_status;
    session.info.last_extend = at.wall;
    Ok(())
}

/// What a client must not change for the life of its id, but did.
fn difference(held: &ClientSession, request: &ExtendClientSessionReq) -> Option<&'static str> {
    let data = &request.data;
    let fields = [
        ("universalId", held.universal_id == data.universal_id),
        ("description", held.description == data.description),
        ("serviceGroups", held.service_groups == data.service_groups),
        ("releaseVersion", held.release_version == data.release_version),
        ("type", held.kind == request.kind),
        ("clientStart", held.client_start == request.client_start),
    ];
    fields.iter().find(|(_, same)| !same).map(|(name, _)| *name)
}

fn session_of(request: ExtendClientSessionReq, wall: WallTime) -> ClientSession {
    ClientSession {
        client_id: request.client_id,
        config_version: request.config_version,
        start: wall,
        last_extend: wall,
        universal_id: request.data.universal_id,
        description: request.data.description,
        service_groups: request.data.service_groups,
        release_version: request.data.release_version,
        config_status: request.config_status,
        kind: request.kind,
        client_start: request.client_start,
    }
}
