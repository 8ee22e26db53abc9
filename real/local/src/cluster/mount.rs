//! A mount of an embedded cluster: opening it, handing in requests, and the end.
//!
//! ```text
//!   open: directory locked ─► database ─► manager ─► servers, shards in cells ─► routing, time, room ─► requests
//!   end:  shards write everything out and close their sessions ─► everything durable ─► cells end ─► directory free
//! ```

use super::boot::Boot;
use super::durability::{Durability, Waiter};
use super::hosts::{ManagerHost, MetaHost, SessionHost, ShardHost, StorageHost, describe};
use super::janitor::{self, Janitor};
use super::links::{Cells, Links, ReplyRight, StorageCaller};
use super::{KernelSide, bootstrap};
use crate::directory::{Directory, DirectoryError, Identity};
use crate::disk::room::RESERVE_BYTES_DEFAULT;
use crate::disk::{Disk, DiskOptions, Room};
use crate::store::{Database, StoreOptions, Stores};
use core::fmt;
use flyer_client::meta::MetaCalls;
use flyer_client::routing::RoutingView;
use flyer_client::session::{self, Session};
use flyer_client::storage::StorageIo;
use flyer_cluster::meta::MetaServer;
use flyer_cluster::storage::StorageServer;
use flyer_cluster::{meta, storage};
use flyer_pool::Pool;
use flyer_runtime::{Limits, Runtime};
use flyer_types::ids::{Gid, OpId, Uid};
use flyer_types::{Errno, Lease, Rng, Status, Text, WallTime};
use flyer_vfs::shard::{Parts, shard_of};
use flyer_vfs::{Caller, Config, Request, Shard, shard};
use flyer_wire::codec::Wire;
use flyer_wire::msg::common::ClientId;
use flyer_wire::msg::mgmtd::node::NodeType;
use flyer_wire::msg::mgmtd::session::ClientSessionData;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How often what the storage server refuses is asked for again. Nothing is lost between here and there and there is no other copy, so
/// further attempts find the same disk: half a second is for what passes, everything longer is for users to hear of.
const STORAGE_ATTEMPTS_MAX: u32 = 8;

/// Memory that holds zeros, for holes within chunks.
const ZEROS_BYTES: usize = 1 << 20;

/// What can be chosen when a cluster is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Options of the file system.
    pub config: Config,
    /// Slices that inodes are divided into.
    pub shards: u32,
    /// Threads for what nobody else does.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            config: Config::default(),
            shards: u32::try_from(cores).unwrap_or(u32::MAX).min(16),
            workers: cores.clamp(1, 4),
        }
    }
}

/// Why a cluster could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// The directory cannot be used.
    Directory(DirectoryError),
    /// The content of the directory cannot be read or written.
    Content {
        /// The directory.
        path: PathBuf,
        /// What cannot, and why.
        what: String,
    },
    /// The system has no room for threads.
    Threads(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(error) => error.fmt(f),
            Self::Content { path, what } => {
                write!(f, "cannot open the cluster in {}: {what}", path.display())
            }
            Self::Threads(error) => write!(
                f,
                "cannot start threads: {error}; raise the limit of processes (ulimit -u)"
            ),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<DirectoryError> for OpenError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

/// What could not be saved at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndError {
    /// Some data could not be written; this is the first error.
    Unwritten(Errno),
    /// Everything was written, but it may not survive a power loss.
    NotDurable,
}

impl fmt::Display for EndError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritten(errno) => write!(f, "some data could not be written and are lost: {errno}"),
            Self::NotDurable => f.write_str(
                "what was written last may not survive a power loss: the disk has reported an error",
            ),
        }
    }
}

impl std::error::Error for EndError {}

/// A mount of an embedded cluster.
pub struct Mount<K: KernelSide> {
    links: Arc<Links<K>>,
    /// Taken at the end.
    running: Mutex<Option<Running>>,
}

/// What ends with the mount, in this order.
struct Running {
    janitor: Janitor,
    runtime: Runtime,
    /// Locked until the very end.
    _directory: Directory,
}

impl<K: KernelSide> Mount<K> {
    /// Opens the cluster in a directory, and makes a new one where there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path, options: &Options, pool: Arc<Pool>, kernel: K) -> Result<Self, OpenError> {
        let content = |what: String| OpenError::Content {
            path: path.to_owned(),
            what,
        };
        let mut rng = Rng::from_seed(entropy());
        let identity = Identity {
            cluster: rng.uuid(),
            created: wall_clock(),
        };
        let directory = Directory::open(path, identity)?;
        let room =
            Room::open(directory.path(), RESERVE_BYTES_DEFAULT).map_err(|error| content(describe(&error)))?;
        let room = Arc::new(room);
        let boot = Boot::of(&directory);
        let disk_options = DiskOptions {
            cached: !boot.power_failed(),
            ..DiskOptions::default()
        };
        let files = Disk::open(&directory.data(), Arc::clone(&room), disk_options)
            .map_err(|error| content(describe(&error)))?;
        let (database, stores) = Database::open(&directory, room, StoreOptions::default())
            .map_err(|error| content(error.to_string()))?;
        if let Some(mended) = database.mended() {
            tracing::warn!("the end of the journal was torn by a power loss and is cut off: {mended:?}");
        }
        let runtime = Runtime::start(flyer_runtime::Options {
            workers: options.workers,
            ..flyer_runtime::Options::default()
        })
        .map_err(OpenError::Threads)?;
        let zeros = zeros(&pool).map_err(content)?;
        let links = Arc::new(Links {
            kernel,
            pool,
            files,
            database,
            zeros,
            durability: Durability::default(),
            boot: boot.clone(),
            cells: OnceLock::new(),
        });
        let builder = Builder {
            runtime: &runtime,
            links: &links,
            options,
            power_failed: boot.power_failed(),
            client: ClientId {
                uuid: rng.uuid(),
                hostname: Text::from("localhost"),
            },
            cluster: Text::from(directory.identity().cluster.to_string().as_str()),
            rng,
        };
        builder
            .build(stores)
            .map_err(|status| content(status.to_string()))?;
        boot.note().map_err(|error| content(error.to_string()))?;
        let janitor = Janitor::start(Arc::clone(&links)).map_err(OpenError::Threads)?;
        let running = Running {
            janitor,
            runtime,
            _directory: directory,
        };
        Ok(Self {
            links,
            running: Mutex::new(Some(running)),
        })
    }

    /// Hands in a request of the kernel. Waits while there are too many already. The answer may come before this returns.
    pub fn submit(&self, caller: Caller, request: Request, reply: K::Reply) {
        let to = shard_of(request.inode(), self.links.shards());
        let index = usize::try_from(to).expect("shards are few");
        let input = shard::In::Request {
            reply: ReplyRight::Kernel(reply),
            caller,
            request,
        };
        if let Err(refused) = self.links.cells().shards[index].post(input)
            && let shard::In::Request {
                reply: ReplyRight::Kernel(reply),
                ..
            } = refused.into_inner()
        {
            self.links.kernel.reply(reply, Err(Errno::EIO));
        }
    }

    /// The memory of reads and writes.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.links.pool
    }

    /// Makes durable whatever servers have been told so far.
    ///
    /// # Errors
    /// It may not be.
    pub fn sync(&self) -> Result<(), EndError> {
        let (told, durable) = channel();
        self.links.make_durable(Waiter::Thread(told));
        match durable.recv() {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(EndError::NotDurable),
        }
    }

    /// Writes everything out, makes it durable and frees the directory. Requests are answered with `EIO` from now on. A second call
    /// does nothing.
    ///
    /// # Errors
    /// What could not be saved.
    pub fn end(&self) -> Result<(), EndError> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return Ok(()) };
        // What could be written is made durable even if something could not.
        let written = self.write_out();
        let durable = self.sync();
        let outcome = written.and(durable);
        let Running {
            janitor,
            runtime,
            _directory,
        } = running;
        drop(janitor);
        if let Err(panicked) = runtime.end() {
            tracing::error!("{panicked}");
        }
        outcome
    }

    /// Has each shard write everything out and close its sessions.
    fn write_out(&self) -> Result<(), EndError> {
        let (told, written) = channel();
        for cell in &self.links.cells().shards {
            let reply = ReplyRight::End(told.clone());
            if cell.post(shard::In::Shutdown { reply }).is_err() {
                return Err(EndError::Unwritten(Errno::EIO));
            }
        }
        drop(told);
        let mut outcome = Ok(());
        for answer in written {
            let answer = answer.map_err(EndError::Unwritten);
            outcome = outcome.and(answer);
        }
        outcome
    }
}

impl<K: KernelSide> Drop for Mount<K> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!("{error}");
        }
    }
}

impl<K: KernelSide> fmt::Debug for Mount<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").finish_non_exhaustive()
    }
}

/// Memory that stays zero.
fn zeros(pool: &Pool) -> Result<Lease, String> {
    let zeros = pool.take(ZEROS_BYTES).map_err(|error| error.to_string())?;
    pool.zero(zeros).map_err(|error| error.to_string())?;
    Ok(zeros)
}

/// Puts machines into cells and tells them what they begin with.
struct Builder<'a, K: KernelSide> {
    runtime: &'a Runtime,
    links: &'a Arc<Links<K>>,
    options: &'a Options,
    power_failed: bool,
    client: ClientId,
    cluster: Text,
    rng: Rng,
}

impl<K: KernelSide> Builder<'_, K> {
    fn build(&self, stores: Stores) -> Result<(), Status> {
        let start = bootstrap::Start {
            now: self.runtime.now(),
            wall: wall_clock(),
        };
        let (manager, routing) = bootstrap::start(stores.manager, &self.cluster, start)?;
        let meta = MetaServer::open(stores.meta, self.meta_options(), self.rng.split("meta"))?;
        let mut storage = StorageServer::open(stores.storage, self.storage_options())?;
        let nobody = StorageCaller::Meta(OpId::default());
        bootstrap::make_target(&mut storage, nobody, start.now)?;
        let cells = Cells {
            shards: (0..self.options.shards).map(|index| self.shard(index)).collect(),
            meta: self.cell(
                "meta",
                meta,
                MetaHost {
                    links: Arc::downgrade(self.links),
                },
            ),
            storage: self.cell(
                "storage",
                storage,
                StorageHost {
                    links: Arc::downgrade(self.links),
                },
            ),
            manager: self.cell(
                "manager",
                manager,
                ManagerHost {
                    links: Arc::downgrade(self.links),
                },
            ),
            session: self.cell(
                "session",
                self.session(),
                SessionHost {
                    links: Arc::downgrade(self.links),
                },
            ),
        };
        assert!(self.links.cells.set(cells).is_ok(), "cells are linked once");
        janitor::report(self.links);
        self.links.hand_out(&Arc::new(RoutingView::new(routing)));
        self.links
            .to_meta(meta::In::ClientSessions(vec![self.client.uuid]));
        self.links.to_session(session::In::Clock(wall_clock()));
        Ok(())
    }

    fn cell<M, H>(&self, name: &'static str, machine: M, host: H) -> flyer_runtime::Cell<M, H>
    where
        M: flyer_types::Machine + Send + 'static,
        M::In: Send + 'static,
        M::Out: Send + 'static,
        H: flyer_runtime::Host<M>,
    {
        let cell = self.runtime.cell(name, machine, host, Limits::default());
        cell.expect("a mount has few cells")
    }

    fn shard(&self, index: u32) -> super::links::ShardCell<K> {
        let rng = self.rng.split_index("shard", u64::from(index));
        let meta = MetaCalls::new(
            flyer_client::meta::Options::default(),
            self.client.clone(),
            rng.split("meta"),
        );
        let each = u16::MAX / u16::try_from(self.options.shards).expect("shards are few");
        let first = 1 + each * u16::try_from(index).expect("shards are few");
        let defaults = flyer_client::storage::Options::default();
        let storage = StorageIo::new(
            flyer_client::storage::Options {
                retry: flyer_types::parts::retry::RetryPolicy {
                    attempts_max: Some(STORAGE_ATTEMPTS_MAX),
                    ..defaults.retry
                },
                // Both ends see the same memory.
                read_checksum: false,
                write_checksum: false,
                zeros: self.links.zeros,
                ..defaults
            },
            self.client.clone(),
            first..=(first - 1) + each,
            rng.split("storage"),
        );
        let parts = Parts {
            index,
            shards: self.options.shards,
            client: self.client.clone(),
            config: Arc::new(self.options.config.clone()),
            rng,
        };
        let machine = Shard::new(parts, Box::new(meta), Box::new(storage));
        let links = Arc::downgrade(self.links);
        self.cell("shard", machine, ShardHost { index, links })
    }

    fn session(&self) -> Session {
        let identity = session::Identity {
            cluster_id: self.cluster.clone(),
            uuid: self.client.uuid,
            kind: NodeType::FUSE,
            data: ClientSessionData {
                universal_id: Text::from("localhost"),
                description: Text::from("flyer mount --local"),
                ..ClientSessionData::initial()
            },
        };
        Session::new(session::Options::default(), identity, self.rng.split("session"))
    }

    fn storage_options(&self) -> storage::Options {
        storage::Options {
            node: bootstrap::STORAGE,
            power_failed: self.power_failed,
            // What the store needs is in the reserve of the room already. More would be room that is shown and never given.
            free_bytes_min: 0,
            ..storage::Options::default()
        }
    }

    fn meta_options(&self) -> meta::Options {
        let defaults = meta::Options::default();
        meta::Options {
            node: bootstrap::META,
            root_acl: flyer_wire::msg::meta::inode::Acl {
                // Whoever makes the cluster is the one who can use it; a root that belongs to root is closed to all others.
                uid: Uid(rustix::process::geteuid().as_raw()),
                gid: Gid(rustix::process::getegid().as_raw()),
                iflags: flyer_wire::msg::meta::flags::IFlags::empty(),
                ..defaults.root_acl
            },
            // Nothing is lost between the shards and the server, so no request comes twice.
            idempotent_remove: false,
            idempotent_rename: false,
            session: meta::options::SessionOptions {
                // Whatever client had a session before is gone: its process had the directory locked.
                age_min: flyer_types::Span::ZERO,
                ..defaults.session
            },
            ..defaults
        }
    }
}

/// The time of day.
pub(crate) fn wall_clock() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_us(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A seed that no other process has.
fn entropy() -> u64 {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert!(
        filled == Ok(bytes.len()),
        "the system has random bytes once it has started"
    );
    u64::from_le_bytes(bytes)
}
