//! What is measured: each file system mounted in a directory of its own, and taken away again. A plain directory on the same
//! disk shows what is below them all.

use super::super::failure::{Failure, Kind};
use crate::session::{Mounted, mountinfo};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A file system to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Stub,
    Local,
    Bindfs,
    /// No mount: the file system that holds the data of the others.
    Disk,
}

impl Peer {
    pub(super) const ALL: [Self; 4] = [Self::Stub, Self::Local, Self::Bindfs, Self::Disk];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Local => "local",
            Self::Bindfs => "bindfs",
            Self::Disk => "disk",
        }
    }
}

/// A directory for everything, removed in the end.
#[derive(Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn new(parent: Option<PathBuf>) -> Result<Self, Failure> {
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        let path = parent.join(format!("flyer-bench-{}", std::process::id()));
        let made = fs::create_dir_all(&path).and_then(|()| path.canonicalize());
        made.map(Self)
            .map_err(|error| Failure::new(Kind::Other, format!("cannot make {}: {error}", path.display())))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Never through a mount: what is still mounted stays.
        let mounted =
            mountinfo::all().is_ok_and(|all| all.iter().any(|mount| mount.mount_point.starts_with(&self.0)));
        if !mounted && let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} is left behind", self.0.display());
        }
    }
}

/// A file system that is mounted; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Mount {
    pub(super) peer: Peer,
    pub(super) path: PathBuf,
}

impl Mount {
    /// `None`: it is not installed here.
    pub(super) fn start(peer: Peer, directory: &Directory) -> Result<Option<Self>, Failure> {
        let failed =
            |error: io::Error| Failure::new(Kind::Other, format!("cannot mount {}: {error}", peer.name()));
        let path = directory.0.join(peer.name());
        let data = directory.0.join(format!("{}-data", peer.name()));
        fs::create_dir_all(&path).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = match peer {
            Peer::Stub => own(&program, &["--stub"]),
            Peer::Local => {
                let mut command = own(&program, &["--local"]);
                command.arg(&data);
                command
            }
            Peer::Bindfs => {
                fs::create_dir_all(&data).map_err(failed)?;
                let mut command = Command::new("bindfs");
                command.arg(&data);
                command
            }
            Peer::Disk => return Ok(Some(Self { peer, path })),
        };
        let output = command.arg(&path).stdin(Stdio::null()).output();
        match output {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
            Ok(output) if !output.status.success() => {
                let said = String::from_utf8_lossy(&output.stderr);
                Err(failed(io::Error::other(said.trim().to_owned())))
            }
            Ok(_) => Ok(Some(Self { peer, path })),
        }
    }

    /// Unmounts, and waits until everything is written out.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self.peer {
            Peer::Stub | Peer::Local => return super::super::umount::unmount(&self.path),
            Peer::Bindfs => {}
            Peer::Disk => return Ok(()),
        }
        let unmounted = mountinfo::at(&self.path)
            .map_err(|error| Failure::new(Kind::Other, error.to_string()))?
            .map(|mount| Mounted::of(&mount).unmount());
        unmounted.unwrap_or(Ok(())).map_err(Failure::from)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mounted = mountinfo::at(&self.path)
            .ok()
            .flatten()
            .map(|mount| Mounted::of(&mount));
        if let Some(Err(error)) = mounted.map(|mounted| mounted.detach()) {
            tracing::warn!(%error, "a mount is left behind");
        }
    }
}

fn own(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["mount", "--background"]).args(arguments);
    command
}
