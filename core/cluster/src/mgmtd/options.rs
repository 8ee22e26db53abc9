//! What a manager is told when it starts: who it is, its intervals and its limits.
//!
//! Names and defaults are those of `src/mgmtd/service/MgmtdConfig.h` upstream, except where a field says otherwise.
//! Limits are Flyer's: upstream has none.

use alloc::collections::BTreeMap;
use flyer_types::{Span, Text};
use flyer_wire::msg::common::AppInfo;

/// How a manager behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The cluster; requests for another one are refused.
    pub cluster_id: Text,
    /// The manager's own process. Its service groups have to name `Mgmtd` and an address that clients can reach: they
    /// ask there after they have found the primary anywhere.
    pub own: AppInfo,
    /// Length of the lease that a sole manager writes down.
    pub lease_length: Span,
    /// How far a heartbeat's clock may be off, in either direction; zero for any distance.
    pub heartbeat_timestamp_valid_window: Span,
    /// Register nodes with their first heartbeat. Upstream's shipped configuration says true.
    pub allow_heartbeat_from_unregistered: bool,
    /// How often sessions, new chains and heartbeats are checked.
    pub check_status_interval: Span,
    /// A node or target that was not heard of for longer has failed.
    pub heartbeat_fail_interval: Span,
    /// How long the states of a new or freshly loaded chain are frozen; zero for not at all.
    pub new_chain_bootstrap_interval: Span,
    /// A client session that was not extended for longer is dropped.
    pub client_session_timeout: Span,
    /// How long a new primary calls itself "bootstrapping"; zero for not at all.
    pub bootstrapping_length: Span,
    /// Least time between two runs of the chain updater.
    pub update_chains_interval: Span,
    /// Look at the stored lease before each write.
    pub validate_lease_on_write: bool,
    /// Longest time until a mere change of a node's status raises the routing version.
    pub bump_routing_info_version_interval: Span,
    /// Ignore a target in a heartbeat if its server knows an older version of the chain.
    pub heartbeat_ignore_stale_targets: bool,
    /// Least time between two writes of changed target locations.
    pub target_info_persist_interval: Span,
    /// Most target locations in one such write.
    pub target_info_persist_batch: usize,
    /// Bring chains that serve with all targets into their preferred order.
    pub try_adjust_target_order_as_preferred: bool,
    /// Administrators need a token of [`Options::users`].
    pub authenticate: bool,
    /// Tokens of known users, and whether the user is an administrator. Looked at with [`Options::authenticate`] only.
    pub users: BTreeMap<Text, bool>,
    /// Keep the last snapshot of the routing table for readers that are behind.
    pub enable_routinginfo_cache: bool,
    /// Refuse client ids that are no UUID.
    pub only_accept_client_uuid: bool,
    /// The limits.
    pub limits: Limits,
}

impl Options {
    /// Upstream's defaults.
    #[must_use]
    pub fn new(cluster_id: Text, own: AppInfo) -> Self {
        Self {
            cluster_id,
            own,
            lease_length: Span::from_secs(60),
            heartbeat_timestamp_valid_window: Span::from_secs(30),
            allow_heartbeat_from_unregistered: false,
            check_status_interval: Span::from_secs(10),
            heartbeat_fail_interval: Span::from_secs(60),
            new_chain_bootstrap_interval: Span::from_secs(120),
            client_session_timeout: Span::from_secs(20 * 60),
            bootstrapping_length: Span::from_secs(120),
            update_chains_interval: Span::from_secs(1),
            validate_lease_on_write: true,
            bump_routing_info_version_interval: Span::from_secs(5),
            heartbeat_ignore_stale_targets: true,
            target_info_persist_interval: Span::from_secs(1),
            target_info_persist_batch: 1000,
            try_adjust_target_order_as_preferred: false,
            authenticate: false,
            users: BTreeMap::new(),
            enable_routinginfo_cache: true,
            only_accept_client_uuid: false,
            limits: Limits::default(),
        }
    }

    /// For a cluster inside one process: nodes register themselves, and nothing waits for nodes that were started
    /// together with the manager.
    #[must_use]
    pub fn embedded(cluster_id: Text, own: AppInfo) -> Self {
        Self {
            allow_heartbeat_from_unregistered: true,
            new_chain_bootstrap_interval: Span::ZERO,
            bootstrapping_length: Span::ZERO,
            ..Self::new(cluster_id, own)
        }
    }
}

/// Most of everything that a manager keeps, inclusive. A request beyond them is answered with an error: too much in one
/// request is [`INVALID_ARG`](flyer_types::StatusCode::INVALID_ARG), a full table is
/// [`NOT_ENOUGH_MEMORY`](flyer_types::StatusCode::NOT_ENOUGH_MEMORY).
///
/// The defaults bound memory to about a gigabyte for the worst set of peers, and each stored value to
/// [`VALUE_BYTES_MAX`](crate::store::VALUE_BYTES_MAX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nodes, this manager included.
    pub nodes_max: usize,
    /// Encoded bytes of what a node or client says about its process.
    pub app_bytes_max: usize,
    /// Targets in one heartbeat.
    pub heartbeat_targets_max: usize,
    /// Targets without a chain, over all nodes; those beyond are forgotten.
    pub orphans_max: usize,
    /// Chains.
    pub chains_max: usize,
    /// Targets of a chain.
    pub chain_targets_max: usize,
    /// Versions of chain tables, over all tables. Old versions are kept for ever: layouts refer to them.
    pub chain_tables_max: usize,
    /// Chains in a table.
    pub table_chains_max: usize,
    /// Bytes of a description of a table or configuration.
    pub desc_bytes_max: usize,
    /// Bytes of a configuration.
    pub config_bytes_max: usize,
    /// Versions of a configuration that are kept, per kind of node; older ones are forgotten.
    pub config_versions_max: usize,
    /// Client sessions.
    pub sessions_max: usize,
    /// Bytes of a client id.
    pub client_id_bytes_max: usize,
    /// Tags of a node or of a universal id.
    pub tags_max: usize,
    /// Bytes of a tag, key and value.
    pub tag_bytes_max: usize,
    /// Universal ids with tags.
    pub universal_ids_max: usize,
    /// Bytes of a universal id.
    pub universal_id_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes_max: 8 << 10,
            app_bytes_max: 16 << 10,
            heartbeat_targets_max: 16 << 10,
            orphans_max: 128 << 10,
            chains_max: 64 << 10,
            chain_targets_max: 16,
            chain_tables_max: 256,
            table_chains_max: 64 << 10,
            desc_bytes_max: 4 << 10,
            config_bytes_max: 512 << 10,
            config_versions_max: 32,
            sessions_max: 64 << 10,
            client_id_bytes_max: 128,
            tags_max: 64,
            tag_bytes_max: 4 << 10,
            universal_ids_max: 64 << 10,
            universal_id_bytes_max: 512,
        }
    }
}

// What fits the limits fits a store: a table, a configuration, tags.
const _: () = {
    let limits = 4 * (64 << 10) + (4 << 10) + 64;
    assert!(limits <= crate::store::VALUE_BYTES_MAX);
    assert!((512 << 10) + (4 << 10) + 64 <= crate::store::VALUE_BYTES_MAX);
    assert!(64 * ((4 << 10) + 16) <= crate::store::VALUE_BYTES_MAX);
};
