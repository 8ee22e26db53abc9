//! Why a directory cannot be used, and what to do about it.

use super::FORMAT_VERSION;
use core::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why a cluster directory cannot be opened. The text names the place and the remedy.
#[derive(Debug)]
pub enum DirectoryError {
    /// Something that is not a directory is there.
    NotADirectory {
        /// What is there.
        path: PathBuf,
    },
    /// The directory is in use for something else.
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Something in it.
        found: String,
    },
    /// A later version of Flyer wrote it.
    Newer {
        /// The format file.
        path: PathBuf,
        /// Its format version.
        found: u32,
    },
    /// The format file is not what was written.
    Damaged {
        /// The format file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A process has it open.
    Locked {
        /// The directory.
        path: PathBuf,
        /// Which process, if it has said so yet.
        pid: Option<u32>,
    },
    /// The user may not use it.
    NoPermission {
        /// What may not be used.
        path: PathBuf,
        /// For what.
        step: &'static str,
    },
    /// The file system cannot be written to.
    ReadOnly {
        /// Where it was tried.
        path: PathBuf,
    },
    /// The file system is full.
    NoSpace {
        /// Where it was tried.
        path: PathBuf,
    },
    /// Anything else that the system refused.
    Io {
        /// Where.
        path: PathBuf,
        /// What was to be done.
        step: &'static str,
        /// What the system said.
        error: io::Error,
    },
}

impl DirectoryError {
    /// Sorts an error of the system.
    pub(super) fn io(path: &Path, step: &'static str, error: io::Error) -> Self {
        let path = path.to_owned();
        let kind = error.kind();
        if kind == ErrorKind::NotADirectory {
            Self::NotADirectory { path }
        } else if kind == ErrorKind::PermissionDenied {
            Self::NoPermission { path, step }
        } else if kind == ErrorKind::ReadOnlyFilesystem {
            Self::ReadOnly { path }
        } else if matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Self::NoSpace { path }
        } else {
            Self::Io { path, step, error }
        }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADirectory { path } => {
                write!(
                    f,
                    "{} is not a directory; name another place, or remove it",
                    path.display()
                )
            }
            Self::Foreign { path, found } => write!(
                f,
                "{} is in use for something else (it holds \"{found}\" and no cluster); name an empty or a new directory",
                path.display()
            ),
            Self::Newer { path, found } => write!(
                f,
                "{} has format {found}, this version of Flyer knows formats up to {FORMAT_VERSION}; use the version that \
                 created it, or a later one",
                path.display()
            ),
            Self::Damaged { path, why } => write!(
                f,
                "{} is damaged: {why}; restore this file from a backup, or name another directory (the data beside it are \
                 untouched)",
                path.display()
            ),
            Self::Locked { path, pid: Some(pid) } => write!(
                f,
                "{} is open in process {pid}; stop that process, or name another directory",
                path.display()
            ),
            Self::Locked { path, pid: None } => write!(
                f,
                "{} is open in another process; stop it, or name another directory",
                path.display()
            ),
            Self::NoPermission { path, step } => write!(
                f,
                "{}: no permission to {step}; change its owner or mode, or name another directory",
                path.display()
            ),
            Self::ReadOnly { path } => write!(
                f,
                "{} is on a read-only file system; mount it writable, or name another directory",
                path.display()
            ),
            Self::NoSpace { path } => write!(
                f,
                "{} is on a full file system; free some space, or name another directory",
                path.display()
            ),
            Self::Io { path, step, error } => write!(
                f,
                "{}: cannot {step}: {error}; look at the system's log, or name another directory",
                path.display()
            ),
        }
    }
}

impl core::error::Error for DirectoryError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::NotADirectory { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Damaged { .. }
            | Self::Locked { .. }
            | Self::NoPermission { .. }
            | Self::ReadOnly { .. }
            | Self::NoSpace { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each answer of the system that has a remedy of its own gets it.
    #[test]
    fn answers_of_the_system_are_sorted() {
        let of = |errno| {
            let error = DirectoryError::io(Path::new("/x"), "write it", io::Error::from_raw_os_error(errno));
            error.to_string()
        };
        assert!(of(rustix::io::Errno::ACCESS.raw_os_error()).contains("no permission to write it"));
        assert!(of(rustix::io::Errno::PERM.raw_os_error()).contains("no permission"));
        assert!(of(rustix::io::Errno::ROFS.raw_os_error()).contains("read-only"));
        assert!(of(rustix::io::Errno::NOSPC.raw_os_error()).contains("full file system"));
        assert!(of(rustix::io::Errno::DQUOT.raw_os_error()).contains("full file system"));
        assert!(of(rustix::io::Errno::NOTDIR.raw_os_error()).contains("is not a directory"));
        let other = of(rustix::io::Errno::IO.raw_os_error());
        assert!(other.starts_with("/x: cannot write it: ") && other.contains("name another directory"));
    }
}
