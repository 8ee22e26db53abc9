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

/// What one user has set; what is `None` is as for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of `UserConfig`")]
pub struct UserOverrides {
    pub readonly: Option<bool>,
    pub enable_read_cache: Option<bool>,
    pub dryrun_bench_mode: Option<bool>,
    pub flush_on_stat: Option<bool>,
    pub sync_on_stat: Option<bool>,
    pub attr_timeout: Option<Span>,
    pub entry_timeout: Option<Span>,
    pub negative_timeout: Option<Span>,
    pub symlink_timeout: Option<Span>,
}

impl UserOverrides {
    /// What a user gets who has set this. Nobody writes where nobody may.
    #[must_use]
    pub fn over(&self, base: &UserConfig) -> UserConfig {
        UserConfig {
            readonly: base.readonly || self.readonly.unwrap_or(false),
            enable_read_cache: self.enable_read_cache.unwrap_or(base.enable_read_cache),
            dryrun_bench_mode: self.dryrun_bench_mode.unwrap_or(base.dryrun_bench_mode),
            flush_on_stat: self.flush_on_stat.unwrap_or(base.flush_on_stat),
            sync_on_stat: self.sync_on_stat.unwrap_or(base.sync_on_stat),
            attr_timeout: self.attr_timeout.unwrap_or(base.attr_timeout),
            entry_timeout: self.entry_timeout.unwrap_or(base.entry_timeout),
            negative_timeout: self.negative_timeout.unwrap_or(base.negative_timeout),
            symlink_timeout: self.symlink_timeout.unwrap_or(base.symlink_timeout),
        }
    }
}

/// What users have set, and what they get by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(BTreeMap<Uid, (UserOverrides, UserConfig)>);

impl Users {
    /// What a user has set.
    #[must_use]
    pub fn overrides(&self, uid: Uid) -> UserOverrides {
        self.0
            .get(&uid)
            .map_or_else(UserOverrides::default, |(own, _)| *own)
    }

    /// Number of users that have set something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody has set anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

/// Options of shared-memory rings and of the network below, which users see in `3fs-virt/get-conf`. A host applies them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// RDMA transmissions at a time, as the mount was started.
    pub transmissions_configured: u32,
    /// RDMA transmissions at a time now; from 1 to twice what was configured.
    pub transmissions: u32,
    /// Workers for jobs of high priority.
    pub io_workers_high: u32,
    /// Workers for jobs of low priority.
    pub io_workers_low: u32,
    /// Jobs that are taken from a ring at a time.
    pub jobs_per_ring_max: u32,
    /// How long a worker waits for a job of its priority before it takes others.
    pub job_wait: Span,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            transmissions_configured: 64,
            transmissions: 64,
            io_workers_high: 8,
            io_workers_low: 8,
            jobs_per_ring_max: 32,
            job_wait: Span::from_ms(1),
        }
    }
}

/// Options of a mount. Immutable: a changed one is handed to each shard anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What every user gets who has set nothing.
    pub user: UserConfig,
    /// What users have set.
    pub users: Users,
    /// Options of rings and network.
    pub tuning: Tuning,
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
        self.users.0.get(&uid).map_or(&self.user, |(_, config)| config)
    }

    /// Changes what every user gets who has set nothing; what users have set goes on to hold.
    pub fn set_user(&mut self, user: UserConfig) {
        self.user = user;
        for (own, config) in self.users.0.values_mut() {
            *config = own.over(&user);
        }
    }

    /// Changes what one user has set.
    pub fn set_own(&mut self, uid: Uid, own: UserOverrides) {
        self.users.0.insert(uid, (own, own.over(&self.user)));
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user: UserConfig::default(),
            users: Users::default(),
            tuning: Tuning::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_has_set_outlives_a_change_for_everybody() {
        let (alice, bob) = (Uid(1), Uid(2));
        let mut config = Config::default();
        let own = UserOverrides {
            attr_timeout: Some(Span::ZERO),
            readonly: Some(false),
            ..config.users.overrides(alice)
        };
        config.set_own(alice, own);
        config.set_user(UserConfig {
            readonly: true,
            attr_timeout: Span::from_secs(1),
            entry_timeout: Span::from_secs(2),
            ..config.user
        });
        assert_eq!(config.of(alice).attr_timeout, Span::ZERO);
        assert_eq!(config.of(alice).entry_timeout, Span::from_secs(2));
        assert!(config.of(alice).readonly, "nobody writes where nobody may");
        assert_eq!(config.of(bob), &config.user);
        assert_eq!(
            (config.users.len(), config.users.overrides(bob)),
            (1, UserOverrides::default())
        );
    }
}
