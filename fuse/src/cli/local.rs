//! Where the embedded cluster plugs in.

use super::failure::{Failure, Kind};
use crate::file_system::FileSystem;
use crate::local::Local;
use flyer_local::cluster::Options;
use flyer_pool::Pool;
use flyer_types::{Span, Text};
use flyer_vfs::Config;
use flyer_vfs::config::UserConfig;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How long the kernel may cache what it was told: nobody else can change it.
const CACHED: Span = Span::from_secs(3600);

/// Part of the payload memory that may hold data which were not written yet: the rest is for what is on its way.
const DIRTY_PART: u64 = 4;

/// What a file system in a local directory is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOptions {
    /// Where it keeps everything; made if it is not there. Absolute.
    pub directory: PathBuf,
    /// Where it will be mounted. Absolute.
    pub mount_point: PathBuf,
    /// Budget for payload memory in bytes.
    pub memory_bytes: u64,
    /// Nothing is changed.
    pub read_only: bool,
}

/// Opens it, after making what is missing. Nobody else can open it until it has stopped.
///
/// # Errors
/// [`Kind::Local`], with the remedy: it is locked by another process, is not Flyer's, or has another version.
pub fn open(options: &LocalOptions) -> Result<Arc<dyn FileSystem>, Failure> {
    let budget = usize::try_from(options.memory_bytes).unwrap_or(usize::MAX);
    let pool = Pool::new(budget).map_err(|error| {
        let text = format!("cannot reserve {budget} bytes of memory: {error}; choose less with --memory");
        Failure::new(Kind::Other, text)
    })?;
    let defaults = Options::default();
    let user = UserConfig {
        readonly: options.read_only,
        attr_timeout: CACHED,
        entry_timeout: CACHED,
        negative_timeout: CACHED,
        symlink_timeout: CACHED,
        ..UserConfig::default()
    };
    let config = Config {
        user,
        mount_point: Text::from(options.mount_point.as_os_str().as_bytes().to_vec()),
        dirty_bytes_max: options.memory_bytes / DIRTY_PART / u64::from(defaults.shards),
        ..Config::default()
    };
    let opened = Local::open(
        &options.directory,
        &Options { config, ..defaults },
        Arc::new(pool),
    );
    match opened {
        Ok(local) => Ok(Arc::new(local)),
        Err(error) => Err(Failure::new(Kind::Local, error.to_string())),
    }
}
