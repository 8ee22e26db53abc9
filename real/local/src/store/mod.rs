//! The records of the servers in one embedded database (`fjall`: log-structured tables behind one journal).
//!
//! Owner: the embedded cluster; each server has the [`LocalStore`] of its table for itself.
//!
//! ```text
//! absent ──create──► database.new/ with its tables ──rename──► database/ ──open──► serving ──failed commit or sync──► stopped
//!                        └ a crash: removed, begun again          ▲   │
//!                                                                 │   └ torn journal: mended ([`mend`]), opened again
//!                                                                 └──── the process opens the directory again ◄───────────┘
//! ```
//!
//! * A commit is visible at once. It goes to the journal with others, a few milliseconds later at most (`group`), and survives
//!   the process from then on, and the machine from the next [`Database::sync`] on. The tables share the journal, so after a crash
//!   all of them together hold a prefix of all commits.
//! * A write to the journal that fails stops the database: the journal may end in half a batch now. Reads go on and show what
//!   was committed; each further commit and sync fails until the directory is opened again. Whether the failed batch is there then
//!   is open, as with any write that failed. A disk that fills up is not such a failure: [`Room`] refuses before.
//! * Reads go through a cache of values, because a lookup in the tables costs a few microseconds and servers ask for the
//!   same inodes and directories again and again. Commits write it through.
//!
//! Limits: [`StoreOptions`]; the journals have at most [`JOURNALS_BYTES_MAX`], which bounds the time of an open; commits wait for the
//! journal for [`PERIOD`] and with [`GROUP_BYTES_MAX`] at most, then for the disk while four full tables of [`TABLE_BYTES`] wait.

mod cache;
mod group;
mod mend;

pub use group::{GROUP_BYTES_MAX, PERIOD};
pub use mend::Mended;

use crate::directory::Directory;
use crate::disk::{self, Room};
use cache::Cache;
use core::cell::RefCell;
use fjall::config::{HashRatioPolicy, PinningPolicy, RestartIntervalPolicy};
use fjall::{Guard, Keyspace, KeyspaceCreateOptions, PersistMode};
use flyer_cluster::storage::DiskError;
use flyer_cluster::store::{Batch, Store, StoreError, Visit};
use flyer_types::Text;
use group::{Gathered, Group};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// Most bytes of journals, which an open reads.
pub const JOURNALS_BYTES_MAX: u64 = 128 << 20;

/// Bytes of a table in memory before it goes to disk.
pub const TABLE_BYTES: u64 = 16 << 20;

/// What a record costs in the journal beside its key and value, at most.
const RECORD_BYTES: usize = 64;

const TABLES: usize = 3;
const NAMES: [&str; TABLES] = ["meta", "storage", "manager"];

/// What can be chosen when a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for blocks of tables, shared by all stores.
    pub block_cache_bytes: u64,
    /// Memory for values of each store.
    pub value_cache_bytes: usize,
    /// Threads that write tables to disk and merge them.
    pub workers: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            block_cache_bytes: 128 << 20,
            value_cache_bytes: 64 << 20,
            workers: 2,
        }
    }
}

/// The database of a cluster directory. It stays open until this, all its clones and all stores are gone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Arc<Journal>,
    room: Arc<Room>,
    mended: Option<Mended>,
    /// Hands over what was gathered, again and again.
    flusher: Option<JoinHandle<()>>,
}

/// What commits go to.
struct Journal {
    fjall: fjall::Database,
    tables: [Keyspace; TABLES],
    group: Group,
    /// Why the database stopped.
    stopped: OnceLock<StoreError>,
}

/// One store for each server. There is one of each, because a store answers from its cache.
#[derive(Debug)]
pub struct Stores {
    /// The metadata server's.
    pub meta: LocalStore,
    /// The storage server's.
    pub storage: LocalStore,
    /// The manager's.
    pub manager: LocalStore,
}

/// The records of one server.
pub struct LocalStore {
    database: Database,
    /// Index of its table.
    table: usize,
    cache: RefCell<Cache>,
}

impl Database {
    /// Opens the database of a directory, creating it in a new one.
    ///
    /// # Errors
    /// When it cannot be created or read, or is damaged.
    pub fn open(
        directory: &Directory,
        room: Arc<Room>,
        options: StoreOptions,
    ) -> Result<(Self, Stores), StoreError> {
        let path = directory.database();
        if !exists(&path)? {
            if !is_empty(&directory.data())? {
                let what = format!(
                    "{} is missing, but there are data files; restore it from a backup",
                    path.display()
                );
                return Err(StoreError::Corrupt(Text::from(what)));
            }
            create(directory.path(), &path, options)?;
        }
        let (fjall, mended) = open_mended(&path, options)?;
        let mut tables = Vec::with_capacity(TABLES);
        for name in NAMES {
            tables.push(table(&fjall, name)?);
        }
        let journal = Arc::new(Journal {
            fjall,
            tables: tables
                .try_into()
                .unwrap_or_else(|_| unreachable!("one for each name")),
            group: Group::default(),
            stopped: OnceLock::new(),
        });
        let database = Self {
            inner: Arc::new(Inner {
                flusher: Some(journal.start_flusher()?),
                journal,
                room,
                mended,
            }),
        };
        let [meta, storage, manager] = [0, 1, 2].map(|table| LocalStore {
            database: database.clone(),
            table,
            cache: RefCell::new(Cache::new(options.value_cache_bytes)),
        });
        let stores = Stores {
            meta,
            storage,
            manager,
        };
        Ok((database, stores))
    }

    /// Makes all commits durable that had returned before the call. Those that come meanwhile are not held up.
    ///
    /// # Errors
    /// When they may not be durable. The database has stopped then.
    pub fn sync(&self) -> Result<(), StoreError> {
        let journal = &self.inner.journal;
        journal.flush()?;
        let synced = journal.fjall.persist(PersistMode::SyncData);
        synced.map_err(|error| journal.stop(&error))
    }

    /// What was cut off when the database was opened: the unsynced end of a journal that a power loss had torn.
    #[must_use]
    pub fn mended(&self) -> Option<Mended> {
        self.inner.mended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.journal.group.end();
        if let Some(flusher) = self.flusher.take() {
            // Its panic was reported when it happened.
            let _ended = flusher.join();
        }
        if let Err(error) = self.journal.flush() {
            tracing::error!("the last changes were not written: {error}");
        }
    }
}

impl Journal {
    fn start_flusher(self: &Arc<Self>) -> Result<JoinHandle<()>, StoreError> {
        let journal = Arc::clone(self);
        let run = move || {
            while journal.group.wait() {
                if let Err(error) = journal.flush() {
                    tracing::error!("changes cannot be written any more: {error}");
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("journal".into()).spawn(run);
        started.map_err(|error| {
            let why = format!("cannot start a thread: {error}; raise the limit of processes (ulimit -u)");
            StoreError::Io(Text::from(why))
        })
    }

    fn running(&self) -> Result<(), StoreError> {
        match self.stopped.get() {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }

    /// Hands over what was gathered.
    fn flush(&self) -> Result<(), StoreError> {
        self.group
            .flush(|| self.running(), |gathered| self.write(gathered))
    }

    /// The batch goes to the operating system before it is visible in the tables (`manual_journal_persist` is off).
    fn write(&self, gathered: &Gathered) -> Result<(), StoreError> {
        let mut writes = self.fjall.batch();
        for (table, batch) in self.tables.iter().zip(&gathered.tables) {
            for (key, value) in batch {
                match value {
                    Some(value) => writes.insert(table, key.as_slice(), value.as_slice()),
                    None => writes.remove(table, key.as_slice()),
                }
            }
        }
        writes.commit().map_err(|error| self.stop(&error))
    }

    /// Records the first failure of a write, which all later writes answer with.
    fn stop(&self, error: &fjall::Error) -> StoreError {
        let why = match store_error(error) {
            // What the reserve was to prevent: there is room again some day, but the journal has to be read first.
            StoreError::NoSpace => "the disk is full".to_owned(),
            StoreError::Io(why) | StoreError::Corrupt(why) => why.to_string(),
        };
        let why = format!("{why}; the database has stopped, start again once the cause is gone");
        let stopped = StoreError::Io(Text::from(why));
        self.stopped.get_or_init(|| stopped).clone()
    }
}

impl LocalStore {
    fn journal(&self) -> &Journal {
        &self.database.inner.journal
    }

    fn below(&self) -> &Keyspace {
        &self.journal().tables[self.table]
    }

    fn scan_layers(
        &self,
        range: (&[u8], &[u8]),
        reverse: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), StoreError> {
        let (from, to) = range;
        if from >= to {
            return Ok(());
        }
        let entry = |guard: Guard| guard.into_inner().map_err(|error| store_error(&error));
        let group = &self.journal().group;
        if reverse {
            let below = || self.below().range(from..to).rev().map(entry);
            group.scan(self.table, range, reverse, below, visit)
        } else {
            let below = || self.below().range(from..to).map(entry);
            group.scan(self.table, range, reverse, below, visit)
        }
    }
}

impl Store for LocalStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(known) = self.cache.borrow_mut().get(key) {
            return Ok(known);
        }
        let value = match self.journal().group.get(self.table, key) {
            Some(on_its_way) => on_its_way,
            None => {
                let found = self.below().get(key).map_err(|error| store_error(&error))?;
                found.map(|value| value.to_vec())
            }
        };
        self.cache.borrow_mut().put(key, value.as_deref());
        Ok(value)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.scan_layers((from, to), false, visit)
    }

    fn scan_reverse(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.scan_layers((from, to), true, visit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.journal().running()?;
        let sizes = batch
            .iter()
            .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len) + RECORD_BYTES);
        let bytes = u64::try_from(sizes.sum::<usize>()).expect("a usize fits into 64 bits");
        let room = self.database.inner.room.take_for_database(bytes);
        room.map_err(|error| match error {
            DiskError::NoSpace => StoreError::NoSpace,
            DiskError::Io(_) | DiskError::Mismatch => StoreError::Io(disk::describe(&error)),
        })?;
        let cache = self.cache.get_mut();
        for (key, value) in &batch {
            cache.put(key, value.as_deref());
        }
        if self.journal().group.put(self.table, batch) {
            // It is visible by now, so a failure is for the next commit and for whoever syncs.
            let _full = self.journal().flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.journal().flush()
    }
}

/// Creates a database under another name and moves it to its place, so that a crash leaves none or a whole one.
fn create(folder: &Path, path: &Path, options: StoreOptions) -> Result<(), StoreError> {
    let new = path.with_extension("new");
    match std::fs::remove_dir_all(&new) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(&new, &error)),
    }
    let fjall = open(&new, options).map_err(|error| store_error(&error))?;
    for name in NAMES {
        table(&fjall, name)?;
    }
    fjall
        .persist(PersistMode::SyncAll)
        .map_err(|error| store_error(&error))?;
    drop(fjall);
    std::fs::rename(&new, path).map_err(|error| io_error(&new, &error))?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(folder, &error))
}

fn open(path: &Path, options: StoreOptions) -> Result<fjall::Database, fjall::Error> {
    fjall::Database::builder(path)
        .cache_size(options.block_cache_bytes)
        .max_journaling_size(JOURNALS_BYTES_MAX)
        .worker_threads(options.workers)
        .open()
}

/// Opens the database; if it refuses its journal, mends that once.
fn open_mended(path: &Path, options: StoreOptions) -> Result<(fjall::Database, Option<Mended>), StoreError> {
    let refused = match open(path, options) {
        Ok(database) => return Ok((database, None)),
        Err(error) => error,
    };
    if !matches!(refused, fjall::Error::JournalRecovery(_)) {
        return Err(store_error(&refused));
    }
    let Some(mended) = mend::mend(path).map_err(|error| io_error(path, &error))? else {
        return Err(store_error(&refused));
    };
    let database = open(path, options).map_err(|error| store_error(&error))?;
    Ok((database, Some(mended)))
}

/// Opens a table. Its options are chosen for small values that are read one by one, and hold from its creation on.
fn table(fjall: &fjall::Database, name: &str) -> Result<Keyspace, StoreError> {
    let options = || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(TABLE_BYTES)
            .data_block_hash_ratio_policy(HashRatioPolicy::all(1.33))
            .data_block_restart_interval_policy(RestartIntervalPolicy::all(4))
            .index_block_pinning_policy(PinningPolicy::all(true))
            .filter_block_pinning_policy(PinningPolicy::all(true))
            .index_block_partitioning_policy(PinningPolicy::all(false))
            .filter_block_partitioning_policy(PinningPolicy::all(false))
    };
    fjall.keyspace(name, options).map_err(|error| store_error(&error))
}

fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(|error| io_error(path, &error))
}

fn is_empty(folder: &Path) -> Result<bool, StoreError> {
    let mut entries = std::fs::read_dir(folder).map_err(|error| io_error(folder, &error))?;
    Ok(entries.next().is_none())
}

fn io_error(path: &Path, error: &io::Error) -> StoreError {
    if is_full(error) {
        return StoreError::NoSpace;
    }
    StoreError::Io(Text::from(format!("{}: {error}", path.display())))
}

fn is_full(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOSPC | Errno::DQUOT))
}

/// Sorts an error of the database: the first error of the system below it decides; without one, something on disk is wrong.
fn store_error(error: &fjall::Error) -> StoreError {
    let mut below: Option<&(dyn core::error::Error + 'static)> = Some(error);
    while let Some(at) = below {
        if let Some(io) = at.downcast_ref::<io::Error>() {
            return if is_full(io) {
                StoreError::NoSpace
            } else {
                StoreError::Io(Text::from(io.to_string()))
            };
        }
        below = at.source();
    }
    if matches!(error, fjall::Error::Poisoned) {
        return StoreError::Io(Text::from("an earlier write in the background failed"));
    }
    if matches!(error, fjall::Error::Locked) {
        return StoreError::Io(Text::from("the database is open somewhere else"));
    }
    StoreError::Corrupt(Text::from(error.to_string()))
}

impl core::fmt::Debug for Database {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let stopped = self.inner.journal.stopped.get();
        f.debug_struct("Database")
            .field("stopped", &stopped)
            .finish_non_exhaustive()
    }
}

impl core::fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LocalStore").finish_non_exhaustive()
    }
}
