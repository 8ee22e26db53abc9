//! What a metadata server can be told, and its limits.
//!
//! Defaults are upstream's (`src/meta/base/Config.h`), except where upstream departs from POSIX only by choice of the server:
//! those choices are [`Quirks`], and off.

use flyer_types::ids::NodeId;
use flyer_types::ids::{ChainTableId, ChainTableVersion, Gid, Permission, Uid};
use flyer_types::{Span, WallTime};
use flyer_wire::msg::meta::flags::{EmptyChains, IFlags};
use flyer_wire::msg::meta::inode::{Acl, Layout, LayoutChains};

/// Where upstream departs from POSIX. All off is POSIX, see [`Quirks::UPSTREAM`] for the contrary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Quirks {
    /// A directory's times do not change with its entries.
    pub directory_times_ignore_entries: bool,
    /// Setting times and renaming do not change the ctime.
    pub ctime_ignores_utimes_and_rename: bool,
    /// Directories have one link, whatever they hold. (Otherwise two, and one more for each directory inside.)
    pub directories_have_one_link: bool,
    /// Changing the owner keeps the set-id bits, and changing the mode keeps a set-group-id bit for a group the user is not in.
    pub owner_change_keeps_set_id: bool,
    /// A directory can be moved to another parent without write permission on itself.
    pub move_ignores_directory_mode: bool,
    /// The root directory keeps its owner, group and mode.
    pub root_acl_is_fixed: bool,
}

impl Quirks {
    /// As upstream.
    pub const UPSTREAM: Self = Self {
        directory_times_ignore_entries: true,
        ctime_ignores_utimes_and_rename: true,
        directories_have_one_link: true,
        owner_change_keeps_set_id: true,
        move_ignores_directory_mode: true,
        root_acl_is_fixed: true,
    };
}

/// Options of the garbage collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcOptions {
    /// Whether there is any.
    pub enable: bool,
    /// How long a removed file keeps its chunks.
    pub file_delay: Span,
    /// How long a removed directory keeps its entries.
    pub directory_delay: Span,
    /// How long to wait when an object cannot be collected yet, such as a file with write sessions.
    pub retry_delay: Span,
    /// How long to wait when the storage does not answer or refuses.
    pub storage_retry_delay: Span,
    /// No delay while less than this part of the space is free, in percent.
    pub hurry_below_free_percent: u64,
    /// Entries of a directory that are unlinked in one transaction.
    pub entries_per_batch: usize,
    /// Chunks that one call may remove.
    pub chunks_per_call: u32,
    /// Whether write sessions keep a removed file.
    pub check_session: bool,
}

/// Options of the write sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// How often sessions of dead clients are looked for.
    pub scan_interval: Span,
    /// Younger sessions are kept even if their client is not known.
    pub age_min: Span,
    /// Whether the length is brought up to date when a session is dropped. (Upstream's default is not to.)
    pub sync_on_prune: bool,
}

/// Options of a metadata server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "independent switches")]
pub struct Options {
    /// The server's number; part of the name of its garbage collection directory.
    pub node: NodeId,
    /// Departures from POSIX.
    pub quirks: Quirks,
    /// Owner and mode of the root directory of a new file system. Upstream: root, 0755, immutable.
    pub root_acl: Acl,
    /// Layout of the root directory of a new file system.
    pub root_layout: Layout,
    /// Refuse changes.
    pub read_only: bool,
    /// Symbolic links followed in one resolution, at most.
    pub symlinks_max: u32,
    /// Symbolic links inside targets of symbolic links, at most.
    pub symlink_depth_max: u32,
    /// Entries of a page whose size the client leaves open.
    pub list_entries_default: usize,
    /// Whether removed inodes can be asked for.
    pub stat_deleted: bool,
    /// Always ask the storage for lengths.
    pub ignore_length_hint: bool,
    /// Stored times are multiples of this. Upstream: one second.
    pub time_granularity: Span,
    /// Whether new files start with few chains if the client can extend.
    pub dynamic_stripe: bool,
    /// How many chains such a file starts with.
    pub dynamic_stripe_initial: u32,
    /// Factor by which it grows, at least 2.
    pub dynamic_stripe_growth: u32,
    /// All new files live in the new chunk engine.
    pub new_chunk_engine: bool,
    /// Refuse to open files for reading that are marked to have holes.
    pub check_file_hole: bool,
    /// The owner, too, may make a file immutable.
    pub owner_changes_immutable: bool,
    /// Directories may get a chain counter of their own.
    pub allow_chain_allocation_flag: bool,
    /// Directories may be marked for the new chunk engine.
    pub allow_chunk_engine_flag: bool,
    /// Only the owner may remove a directory with all it holds.
    pub recursive_remove_checks_owner: bool,
    /// Pages of entries looked at before that, at most; 0 to look at none.
    pub recursive_remove_pages_max: u32,
    /// Directories may be moved to the trash without `move_to_trash`.
    pub allow_move_to_trash_directly: bool,
    /// Keep the answers to all removals.
    pub idempotent_remove: bool,
    /// Keep the answers to all renames, not only of those into the trash. Upstream does not, and a retry may find that another
    /// client has renamed the object on.
    pub idempotent_rename: bool,
    /// How long answers are kept.
    pub idempotent_expire: Span,
    /// How often expired answers are swept.
    pub idempotent_sweep_interval: Span,
    /// How long an operation may wait for the storage.
    pub operation_timeout: Span,
    /// How long the reported space is believed.
    pub space_expire: Span,
    /// Keep the sessions of files that are opened for reading only, too, so that such a file stays readable when its last name goes.
    /// Upstream does not.
    pub read_sessions: bool,
    /// Make a close durable before it is answered. POSIX asks that of `fsync` only.
    pub durable_close: bool,
    /// Garbage collection.
    pub gc: GcOptions,
    /// Write sessions.
    pub session: SessionOptions,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            enable: true,
            file_delay: Span::from_secs(300),
            directory_delay: Span::ZERO,
            retry_delay: Span::from_secs(600),
            storage_retry_delay: Span::from_secs(10),
            hurry_below_free_percent: 5,
            entries_per_batch: 32,
            chunks_per_call: 32,
            check_session: true,
        }
    }
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            scan_interval: Span::from_secs(300),
            age_min: Span::from_secs(60),
            sync_on_prune: true,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            node: NodeId(1),
            quirks: Quirks::default(),
            root_acl: Acl {
                uid: Uid(0),
                gid: Gid(0),
                perm: Permission(0o755),
                iflags: IFlags::IMMUTABLE,
            },
            root_layout: Layout {
                table_id: ChainTableId(1),
                table_version: ChainTableVersion(0),
                chunk_size: 1 << 20,
                stripe_size: 1,
                chains: LayoutChains::Empty(EmptyChains),
            },
            read_only: false,
            symlinks_max: 10,
            symlink_depth_max: 4,
            list_entries_default: 128,
            stat_deleted: true,
            ignore_length_hint: false,
            time_granularity: Span::from_us(1),
            dynamic_stripe: false,
            dynamic_stripe_initial: 16,
            dynamic_stripe_growth: 2,
            new_chunk_engine: false,
            check_file_hole: false,
            owner_changes_immutable: false,
            allow_chain_allocation_flag: false,
            allow_chunk_engine_flag: true,
            recursive_remove_checks_owner: true,
            recursive_remove_pages_max: 1024,
            allow_move_to_trash_directly: false,
            idempotent_remove: true,
            idempotent_rename: true,
            idempotent_expire: Span::from_secs(1800),
            idempotent_sweep_interval: Span::from_secs(60),
            operation_timeout: Span::from_secs(5),
            space_expire: Span::from_secs(60),
            read_sessions: true,
            durable_close: false,
            gc: GcOptions::default(),
            session: SessionOptions::default(),
        }
    }
}

impl GcOptions {
    /// How long a removed object waits.
    #[must_use]
    pub const fn delay(&self, is_directory: bool) -> Span {
        if is_directory {
            self.directory_delay
        } else {
            self.file_delay
        }
    }
}

impl Options {
    /// A time as it is stored.
    #[must_use]
    pub fn rounded(&self, time: WallTime) -> WallTime {
        let granularity = i64::try_from(self.time_granularity.as_us())
            .unwrap_or(i64::MAX)
            .max(1);
        WallTime::from_us(time.us.div_euclid(granularity).saturating_mul(granularity))
    }

    /// As upstream behaves with its default configuration.
    #[must_use]
    pub fn upstream() -> Self {
        Self {
            quirks: Quirks::UPSTREAM,
            time_granularity: Span::from_secs(1),
            idempotent_rename: false,
            read_sessions: false,
            durable_close: true,
            session: SessionOptions {
                sync_on_prune: false,
                ..SessionOptions::default()
            },
            ..Self::default()
        }
    }
}

/// Limits of a metadata server. All are inclusive.
pub mod limits {
    /// Longest path of a request in bytes; a longer one is `Meta::NameTooLong`. Upstream has no limit.
    pub const PATH_BYTES_MAX: usize = 64 << 10;
    /// Longest host name of a client in bytes that is stored with sessions and locks; longer ones are `InvalidArg`.
    pub const HOSTNAME_BYTES_MAX: usize = 1024;
    /// Most chains of a layout; more are `Meta::InvalidFileLayout`. An unbounded stripe would let one request fill the memory.
    pub const STRIPE_CHAINS_MAX: u32 = 4096;
    /// Most entries of one page; a client that asks for more gets this many, and is told that there are more.
    pub const LIST_ENTRIES_MAX: usize = 4096;
    /// Most inodes or paths of one batch; more are `InvalidArg`.
    pub const BATCH_STAT_MAX: usize = 16 << 10;
    /// Most sessions of one request to prune; more are `InvalidArg`.
    pub const PRUNE_SESSIONS_MAX: usize = 64 << 10;
    /// Most requests to prune that one scan loads; upstream's number.
    pub const PRUNE_LOADED_MAX: usize = 131_072;
    /// Calls to the storage that wait for an answer, for lengths and for garbage each.
    pub const STORAGE_CALLS_MAX: usize = 64;
    /// Syncs and closes of one inode that wait for the one under way; more are `Meta::Busy`. Upstream's number.
    pub const WAITING_PER_INODE_MAX: usize = 4096;
    /// Syncs and closes under way or waiting, over all inodes; more are `Meta::Busy`.
    pub const WAITING_MAX: usize = 64 << 10;
    /// Sessions looked at in one step of a scan; upstream's number.
    pub const SESSIONS_PER_STEP: usize = 512;
    /// Dropped sessions whose file's length is being brought up to date.
    pub const PRUNES_RUNNING_MAX: usize = 64;
    /// Files whose chunks are being removed; upstream's number.
    pub const GC_FILES_MAX: usize = 32;
    /// Records looked at in one step of a sweep; upstream's number.
    pub const RECORDS_PER_STEP: usize = 2048;
    /// Directories on the way from an object to the root; a longer way is `Meta::Inconsistent`, as is a circle.
    pub const CLIMB_DIRECTORIES_MAX: usize = 1 << 17;
    /// Live clients that are taken note of; with more of them none is taken for dead.
    pub const CLIENTS_MAX: usize = 1 << 20;
    /// Longest original path that is noted of a removed directory.
    pub const ORIGINAL_PATH_BYTES_MAX: usize = 4096;
}
