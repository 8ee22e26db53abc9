//! Options of a mount and of its users.
//!
//! Source: `src/fuse/FuseConfig.h`, `src/fuse/UserConfig.h` upstream; names are theirs.

use alloc::collections::BTreeMap;
use flyer_types::ids::Uid;
use flyer_types::{Span, Text, Token};

/// Options that a user may set for itself below `3fs-virt/set-conf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// Every change is refused with `EROFS`.
    pub readonly: bool,
    /// Opened files use the page cache unless they ask for direct I/O.
    pub enable_read_cache: bool,
    /// Reads and writes are faked, to measure everything else.
    pub dryrun_bench_mode: bool,
    /// `stat` and lookup write out what is buffered.
    pub flush_on_stat: bool,
    /// `stat` and lookup report the length to the metadata server.
    pub sync_on_stat: bool,
    /// How long the kernel may cache attributes.
    pub attr_timeout: Span,
    /// How long the kernel may cache a name.
    pub entry_timeout: Span,
    /// How long the kernel may cache that a name is not there; zero: not at all.
    pub negative_timeout: Span,
    /// Both times for symbolic links.
    pub symlink_timeout: Span,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self {
            readonly: false,
            enable_read_cache: true,
            dryrun_bench_mode: false,
            flush_on_stat: true,
            sync_on_stat: true,
            attr_timeout: Span::from_secs(30),
            entry_timeout: Span::from_secs(30),
            negative_timeout: Span::from_secs(5),
            symlink_timeout: Span::from_secs(5),
        }
    }
}

/// Work that is done regularly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodicSync {
    /// Whether it is done at all.
    pub enable: bool,
    /// Time between two rounds; each is drawn from 0.7 to 1.3 times this.
    pub interval: Span,
    /// Most inodes of one round; the next one goes on behind them.
    pub limit: usize,
    /// Whether buffers are written out too, and not only lengths reported.
    pub flush_write_buf: bool,
    /// Inodes that are worked on at the same time.
    pub workers: usize,
}

impl Default for PeriodicSync {
    fn default() -> Self {
        Self {
            enable: true,
            interval: Span::from_secs(30),
            limit: 1000,
            flush_write_buf: true,
            workers: 4,
        }
    }
}

/// Options of a mount. Immutable: a changed one is handed to each shard anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What every user gets who has set nothing.
    pub user: UserConfig,
    /// What users have set; complete, not only what differs.
    pub users: BTreeMap<Uid, UserConfig>,
    /// Where the mount is, as an absolute path; targets of `rm-rf` and `mv:` links have to lie in it.
    pub mount_point: Text,
    /// Another prefix accepted for such targets.
    pub remount_prefix: Option<Text>,
    /// Name of the cluster.
    pub cluster: Text,
    /// Presented to servers with each request.
    pub token: Token,
    /// Bytes that may wait in the buffer of one inode before they are written; 0: nothing waits.
    pub write_buf_bytes: u32,
    /// Bytes that may wait in all buffers of a shard. Beyond it writes are answered only when there is room again.
    pub dirty_bytes_max: u64,
    /// Regular work.
    pub periodic_sync: PeriodicSync,
    /// How often a flush that failed for a passing reason is tried again before its error is reported.
    pub flush_tries_max: u32,
    /// `fsync` may trust the length hint (for tests).
    pub fsync_length_hint: bool,
    /// `fdatasync` reports a grown length too.
    pub fdatasync_update_length: bool,
    /// Users above it cannot have options of their own.
    pub uid_max: Uid,
    /// A symbolic link to `mv:PATH` renames PATH.
    pub mv_links: bool,
    /// Files opened for reading only keep a session too, so that they stay readable when unlinked. For servers that allow it.
    pub read_sessions: bool,
}

impl Config {
    /// What `uid` gets.
    #[must_use]
    pub fn of(&self, uid: Uid) -> &UserConfig {
        self.users.get(&uid).unwrap_or(&self.user)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user: UserConfig::default(),
            users: BTreeMap::new(),
            mount_point: Text::from("/"),
            remount_prefix: None,
            cluster: Text::default(),
            token: Token::new(Text::default()),
            write_buf_bytes: 1 << 20,
            dirty_bytes_max: 256 << 20,
            periodic_sync: PeriodicSync::default(),
            flush_tries_max: 3,
            fsync_length_hint: false,
            fdatasync_update_length: true,
            uid_max: Uid(1 << 20),
            mv_links: true,
            read_sessions: false,
        }
    }
}
