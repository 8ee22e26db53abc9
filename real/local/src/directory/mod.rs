//! The directory of an embedded cluster: whose it is, what version it has, and who has it open.
//!
//! Owner: the embedded cluster; one process at a time.
//!
//! ```text
//! cluster directory
//! ├── FLYER          the format file: magic line, format version, cluster id, time of creation, checksum
//! ├── FLYER.new      a format file that is being written; a leftover of a crash, replaced by the next open
//! ├── flyer.lock     locked while a process has the directory open; holds its pid
//! ├── database/      records of the servers                                          (`crate::store`)
//! └── data/          blocks of chunks                                                (`crate::disk`)
//! ```
//!
//! ```text
//! absent ──► empty ──► locked ──► format file written under another name ──► renamed ──► open
//!              │          │                                                               ▲
//!              └─ foreign └─ held by another process        format file there already ────┘
//! ```
//!
//! A crash between any two steps leaves a directory that opens: nothing but the lock file and a half-written format file can
//! be there before the rename, and both are recognised. A directory that holds anything else and no format file is somebody
//! else's and stays untouched. The lock is an `flock`: it ends with the process, however that ends. A process that forks
//! keeps it as long as one of the two lives.
//!
//! Limits: [`FORMAT_BYTES_MAX`].

mod error;
mod format;

pub use error::DirectoryError;
pub use format::{FORMAT_BYTES_MAX, FORMAT_VERSION, Identity};

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

const FORMAT: &str = "FLYER";
const FORMAT_NEW: &str = "FLYER.new";
const LOCK: &str = "flyer.lock";
const DATABASE: &str = "database";
const DATA: &str = "data";

/// What may lie in a directory that is not a cluster's yet: our own first steps, and what `mkfs` leaves in a fresh mount.
const HARMLESS: &[&str] = &[FORMAT_NEW, LOCK, "lost+found"];

/// A cluster directory that this process has locked. Dropping it gives it free.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    identity: Identity,
    is_new: bool,
    /// Locked as long as it is open.
    _lock: File,
}

impl Directory {
    /// Opens the cluster directory at `path`. Where there is nothing, or an empty directory, it creates one that is `fresh`.
    ///
    /// # Errors
    /// See [`DirectoryError`]. A directory that is not a cluster's is left as it was.
    pub fn open(path: &Path, fresh: Identity) -> Result<Self, DirectoryError> {
        create_folder(path)?;
        if !has_format(path)? {
            refuse_foreign(path)?;
        }
        let lock = lock(path)?;
        let (identity, is_new) = match read_format(path)? {
            Some(identity) => (identity, false),
            None => {
                // Another process may have filled the directory before the lock was ours.
                refuse_foreign(path)?;
                write_format(path, fresh)?;
                (fresh, true)
            }
        };
        create_folder(&path.join(DATA))?;
        sync_folder(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            is_new,
            _lock: lock,
        })
    }

    /// Where the directory is, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose data it holds.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether it was created by this call of [`Directory::open`].
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Where the database goes. It creates its folder itself.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// The folder of the data files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path.join(DATA)
    }
}

/// Creates a folder with everything above it that is missing, durably.
fn create_folder(path: &Path) -> Result<(), DirectoryError> {
    let mut missing = Vec::new();
    let mut at = Some(path);
    while let Some(folder) = at {
        match folder.metadata() {
            Ok(found) if found.is_dir() => break,
            Ok(_) => {
                return Err(DirectoryError::NotADirectory {
                    path: folder.to_owned(),
                });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(folder),
            Err(error) => return Err(DirectoryError::io(folder, "look at it", error)),
        }
        at = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    }
    for folder in missing.iter().rev() {
        match std::fs::create_dir(folder) {
            Ok(()) => {}
            // Somebody was faster. If it is not a folder, the next step finds out.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DirectoryError::io(folder, "create it", error)),
        }
        sync_folder(folder.parent().unwrap_or(folder))?;
    }
    Ok(())
}

/// Makes the entries of a folder durable.
fn sync_folder(path: &Path) -> Result<(), DirectoryError> {
    // The parent of a relative path with one part is the empty path.
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| DirectoryError::io(path, "sync it", error))
}

fn has_format(path: &Path) -> Result<bool, DirectoryError> {
    let format = path.join(FORMAT);
    format
        .try_exists()
        .map_err(|error| DirectoryError::io(&format, "look at it", error))
}

/// Without a format file, only what we may have left ourselves may be there.
fn refuse_foreign(path: &Path) -> Result<(), DirectoryError> {
    let failed = |error| DirectoryError::io(path, "list it", error);
    let mut found_first: Option<String> = None;
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if HARMLESS.iter().any(|harmless| name == **harmless) {
            continue;
        }
        let name = name.to_string_lossy().into_owned();
        // The first by name, so that the message does not depend on the order on disk.
        if found_first.as_ref().is_none_or(|first| name < *first) {
            found_first = Some(name);
        }
    }
    // A process that was faster than us may have finished in between.
    match found_first {
        Some(found) if !has_format(path)? => Err(DirectoryError::Foreign {
            path: path.to_owned(),
            found,
        }),
        Some(_) | None => Ok(()),
    }
}

fn lock(path: &Path) -> Result<File, DirectoryError> {
    let name = path.join(LOCK);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|error| DirectoryError::io(&name, "open it", error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The holder writes its pid just after it has the lock, so there may be none yet.
            let pid = match file.take(32).read_to_string(&mut text) {
                Ok(_) => text.trim().parse().ok(),
                Err(_) => None,
            };
            return Err(DirectoryError::Locked {
                path: path.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(error)) => return Err(DirectoryError::io(&name, "lock it", error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| DirectoryError::io(&name, "write to it", error))?;
    Ok(file)
}

fn read_format(path: &Path) -> Result<Option<Identity>, DirectoryError> {
    let name = path.join(FORMAT);
    let mut bytes = Vec::new();
    let read = File::open(&name).and_then(|file| {
        // One more than is allowed, to tell a file that is too long.
        let bytes_max = u64::try_from(FORMAT_BYTES_MAX).expect("the limit is small") + 1;
        file.take(bytes_max).read_to_end(&mut bytes)
    });
    match read {
        Ok(_) => format::parse(&bytes)
            .map(Some)
            .map_err(|problem| problem.at(&name)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DirectoryError::io(&name, "read it", error)),
    }
}

fn write_format(path: &Path, identity: Identity) -> Result<(), DirectoryError> {
    let new = path.join(FORMAT_NEW);
    File::create(&new)
        .and_then(|mut file| {
            file.write_all(format::print(identity).as_bytes())?;
            file.sync_all()
        })
        .map_err(|error| DirectoryError::io(&new, "write it", error))?;
    std::fs::rename(&new, path.join(FORMAT)).map_err(|error| DirectoryError::io(&new, "rename it", error))?;
    sync_folder(path)
}
