//! Being primary or not.
//!
//! Who holds the lease is decided outside: a sole manager holds it for ever, among several the host tells the outcome of
//! each election with [`In::Lease`](super::In). The record of the lease is written when a manager becomes primary, and looked
//! at before each write.
//!
//! ```text
//!   NotPrimary ──── own lease ───► Primary ──── own lease, same start: extended ────┐
//!       ▲                           │   ▲                                           │
//!       └── another's, none ────────┘   └───────────────────────────────────────────┘
//!                                       (own lease with another start: loads again)
//! ```
//!
//! A lease counts while `now < trusted_until`. Behind that a primary answers `NotPrimary` and does nothing on its own, but
//! forgets nothing: an extension of the same lease lets it go on.
//!
//! Source: `src/mgmtd/service/{MgmtdState,helpers}.cc`, `src/mgmtd/background/MgmtdLeaseExtender.cc` upstream.

use super::records::{self, Records, Writes};
use super::state::{Node, State};
use super::{At, Event, Manager, Options, fail, store_failure};
use crate::store::Store;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::RoutingVersion;
use flyer_types::{Status, StatusCode, Time, WallTime};
use flyer_wire::msg::mgmtd::node::{MgmtdLeaseInfo, NodeInfo, NodeStatus, NodeType, PersistentNodeInfo};
use flyer_wire::msg::mgmtd::query::GetPrimaryMgmtdRsp;

/// A lease as the host knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it, and since when.
    pub info: MgmtdLeaseInfo,
    /// Until when it counts: its end less a margin for clocks that differ (`suspicious_lease_interval` upstream).
    pub trusted_until: Time,
}

impl Lease {
    /// The lease of a manager without rivals.
    pub(super) fn forever(options: &Options, wall: WallTime) -> Self {
        let length_us = i64::try_from(options.lease_length.as_us()).unwrap_or(i64::MAX);
        let info = MgmtdLeaseInfo {
            primary: own_record(options, Vec::new()),
            lease_start: wall,
            lease_end: WallTime {
                us: wall.us.saturating_add(length_us),
            },
            release_version: options.own.release_version,
        };
        Self {
            info,
            trusted_until: Time::NEVER,
        }
    }
}

/// Whether this manager decides.
#[derive(Debug)]
pub(super) enum Role {
    /// It does, while its lease counts.
    Primary {
        lease: Lease,
        /// When it became primary.
        since: Time,
    },
    /// It does not.
    NotPrimary {
        /// Who does, as far as known.
        known: Option<Lease>,
    },
}

impl<S: Store> Manager<S> {
    /// Refuses unless this manager is primary, as a client can understand it.
    pub(super) fn require_primary(&self, now: Time) -> Result<(), Status> {
        match &self.role {
            Role::Primary { lease, .. } if now < lease.trusted_until => Ok(()),
            Role::NotPrimary { known: Some(lease) } if now < lease.trusted_until => {
                let primary = lease.info.primary.node_id;
                Err(fail(StatusCode::MGMTD_NOT_PRIMARY, &format!("{primary}")))
            }
            Role::Primary { .. } | Role::NotPrimary { .. } => Err(StatusCode::MGMTD_NOT_PRIMARY.into()),
        }
    }

    /// Whether nodes and clients may not have found this primary yet.
    pub(super) fn is_bootstrapping(&self, now: Time) -> bool {
        match self.role {
            Role::Primary { since, .. } => now.since(since) < self.options.bootstrapping_length,
            Role::NotPrimary { .. } => false,
        }
    }

    /// Who is primary: by the lease that counts, or else by the record, expired or not.
    pub(super) fn primary_mgmtd(&self, at: At) -> Result<GetPrimaryMgmtdRsp, Status> {
        let trusted = match &self.role {
            Role::Primary { lease, .. } | Role::NotPrimary { known: Some(lease) } => {
                Some(lease).filter(|lease| at.now < lease.trusted_until)
            }
            Role::NotPrimary { known: None } => None,
        };
        let primary = match trusted {
            Some(lease) => Some(lease.info.primary.clone()),
            None => records::load_lease(&self.store)?.map(|lease| lease.primary),
        };
        Ok(GetPrimaryMgmtdRsp { primary })
    }

    /// The outcome of an election.
    pub(super) fn handle_lease(&mut self, now: Time, lease: Option<Lease>) {
        let own = self.options.own.node_id;
        match lease {
            Some(lease) if lease.info.primary.node_id == own => {
                if let Role::Primary { lease: held, .. } = &mut self.role
                    && held.info.lease_start == lease.info.lease_start
                {
                    *held = lease;
                    return;
                }
                self.lose(None);
                let result = self.become_primary(now, lease);
                self.report_failure(result);
            }
            other => self.lose(other),
        }
    }

    /// Forgets everything but who is primary.
    fn lose(&mut self, known: Option<Lease>) {
        if matches!(self.role, Role::Primary { .. }) {
            self.events.push(Event::LostPrimary);
        }
        self.role = Role::NotPrimary { known };
        self.state = State::empty();
        while let Some((_, task)) = self.tasks.next() {
            self.tasks.remove(task);
        }
    }

    /// Loads everything, and starts with the next routing version.
    pub(super) fn become_primary(&mut self, now: Time, lease: Lease) -> Result<(), Status> {
        debug_assert!(
            matches!(self.role, Role::NotPrimary { .. }),
            "a primary loses its role first"
        );
        let records = Records::load(&self.store).map_err(store_failure)?;
        let own = self.options.own.node_id;
        if own.0 == 0 {
            return Err(fail(StatusCode::INVALID_CONFIG, "a manager needs a node id"));
        }
        let stored = records.nodes.iter().find(|node| node.node_id == own).cloned();
        let mut state = State::from_records(records, now).map_err(store_failure)?;
        let tags = stored
            .as_ref()
            .map(|stored| stored.tags.clone())
            .unwrap_or_default();
        let record = own_record(&self.options, tags);
        let mut node = Node::loaded(record.clone(), now);
        node.info = NodeInfo {
            app: self.options.own.clone(),
            status: NodeStatus::PRIMARY_MGMTD,
            ..node.info
        };
        state.nodes.insert(own, node);
        state.routing_version = RoutingVersion(state.routing_version.0.saturating_add(1));
        let mut writes = Writes::default();
        writes.lease(&lease.info);
        writes.routing_version(state.routing_version);
        if stored.as_ref() != Some(&record) {
            writes.node(&record);
        }
        self.store.commit(writes.into_batch())?;
        self.unsynced = true;
        let chains: Vec<_> = state.chains.keys().copied().collect();
        self.state = state;
        for chain in chains {
            self.freeze_or_stir(now, chain);
        }
        self.role = Role::Primary { lease, since: now };
        self.chains_updated = now;
        self.targets_persisted = now;
        let routing_version = self.state.routing_version;
        self.events.push(Event::BecamePrimary { routing_version });
        Ok(())
    }
}

/// What is stored about this manager.
fn own_record(options: &Options, tags: Vec<flyer_wire::msg::common::TagPair>) -> PersistentNodeInfo {
    PersistentNodeInfo {
        node_id: options.own.node_id,
        kind: NodeType::MGMTD,
        service_groups: options.own.service_groups.clone(),
        tags,
        hostname: options.own.hostname.clone(),
    }
}
