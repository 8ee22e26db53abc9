//! A file for each mount that says which process serves it and how that ended.
//!
//! The process holds a lock on it for as long as it lives. Whoever unmounts waits for that lock and then knows that everything is written
//! out, or reads why not. A process that is killed loses the lock too, so nobody waits in vain.
//!
//! The file is named after the device number of the mount, in the first of these directories that its user may write to: `/run/flyer`,
//! `$XDG_RUNTIME_DIR/flyer`, `/tmp/flyer-UID`.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

/// The record of a mount of this process.
#[derive(Debug)]
pub struct Record {
    file: Flock<File>,
    path: PathBuf,
}

/// The record of a mount of another process.
#[derive(Debug)]
pub struct Watch {
    file: File,
    /// Process that serves the mount.
    pub pid: Option<u32>,
}

impl Record {
    /// Says that this process serves the mount with the number `device`.
    ///
    /// The kernel gives the number of a mount away again as soon as it is unmounted, while its process may still write out: the record
    /// of that one then has no name any more. Who waits has it open.
    ///
    /// # Errors
    /// No directory for it can be written to.
    pub fn create(device: &str) -> io::Result<Self> {
        let uid = nix::unistd::geteuid().as_raw();
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for directory in directories(uid) {
            match Self::create_in(directory, uid, device) {
                Ok(record) => return Ok(record),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    fn create_in(directory: PathBuf, uid: u32, device: &str) -> io::Result<Self> {
        let made = DirBuilder::new().mode(0o755).create(&directory);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        check_owner(&fs::symlink_metadata(&directory)?, uid)?;
        let path = directory.join(file_name(device));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o644);
        // What is left is of a process that was killed, or that serves no mount with this number any more.
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = options.open(&path)?;
        let mut file = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { file, path })
    }

    /// Says how it ended; whoever waits hears that now.
    pub fn end(mut self, result: Result<(), &str>) {
        let text = result.err().unwrap_or_default();
        if let Err(error) = writeln!(self.file, "{}", text.replace('\n', " ")) {
            tracing::warn!(%error, "cannot record how the mount ended");
        }
        let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own = self.file.metadata().map(number).ok();
        // Another mount may have the name by now.
        if own.is_some() && own == fs::symlink_metadata(&self.path).map(number).ok() {
            // Who waits has it open.
            let _may_be_gone = fs::remove_file(&self.path);
        }
    }
}

impl Watch {
    /// The record of the mount with the number `device` that `user` made, one of a living process first; `None` if there is none.
    #[must_use]
    pub fn find(device: &str, user: u32) -> Option<Self> {
        let read = |directory: PathBuf| {
            let mut file = File::open(directory.join(file_name(device))).ok()?;
            // Names below /tmp are for anybody to take.
            check_owner(&file.metadata().ok()?, user).ok()?;
            let mut text = String::new();
            file.read_to_string(&mut text).ok()?;
            let pid = text.lines().next().and_then(|line| line.parse().ok());
            Some(Self { file, pid })
        };
        let found = directories(user).into_iter().filter_map(read);
        found.min_by_key(|watch| !watch.is_alive())
    }

    /// Whether the process still lives.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let Ok(file) = self.file.try_clone() else {
            return false;
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            // Unlocked again when dropped.
            Ok(_lock) => false,
            Err((_, error)) => error == nix::errno::Errno::EWOULDBLOCK,
        }
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// What it could not write out, or that it ended without saying anything.
    pub fn wait(self) -> Result<(), String> {
        let mut file = Flock::lock(self.file, FlockArg::LockShared)
            .map_err(|(_, error)| format!("cannot wait for it: {error}"))?;
        let mut text = String::new();
        file.rewind()
            .and_then(|()| file.read_to_string(&mut text))
            .map_err(|error| format!("cannot read how it ended: {error}"))?;
        match text.lines().nth(1) {
            Some("") => Ok(()),
            Some(lost) => Err(lost.to_owned()),
            None => Err("it was killed; what it had not written is lost".into()),
        }
    }
}

fn directories(uid: u32) -> Vec<PathBuf> {
    let mut directories = Vec::new();
    if uid == 0 {
        directories.push(PathBuf::from("/run/flyer"));
    } else {
        if let Some(own) = std::env::var_os("XDG_RUNTIME_DIR") {
            directories.push(PathBuf::from(own).join("flyer"));
        }
        directories.push(PathBuf::from(format!("/run/user/{uid}/flyer")));
    }
    directories.push(PathBuf::from(format!("/tmp/flyer-{uid}")));
    directories
}

fn file_name(device: &str) -> String {
    device.replace(':', "-")
}

fn check_owner(metadata: &fs::Metadata, uid: u32) -> io::Result<()> {
    if metadata.uid() == uid && !metadata.file_type().is_symlink() {
        Ok(())
    } else {
        Err(io::Error::other("it belongs to somebody else"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Numbers that no mount has.
    const ENDED: &str = "4095:1048574";
    const KILLED: &str = "4095:1048573";

    #[test]
    fn who_waits_hears_how_it_ended() {
        let uid = nix::unistd::geteuid().as_raw();
        let record = Record::create(ENDED).expect("a directory");
        let watch = Watch::find(ENDED, uid).expect("just made");
        assert_eq!(watch.pid, Some(std::process::id()));
        assert!(watch.is_alive() && watch.is_alive());
        // The number has another owner before the end of the first one.
        let next = Record::create(ENDED).expect("a directory");
        record.end(Err("disk\nfull"));
        assert!(!watch.is_alive());
        assert_eq!(watch.wait(), Err("disk full".into()));
        let watch = Watch::find(ENDED, uid).expect("the name is the next one's");
        assert!(watch.is_alive());
        next.end(Ok(()));
        assert_eq!(watch.wait(), Ok(()));
        assert!(Watch::find(ENDED, uid).is_none());
    }

    #[test]
    fn a_process_that_was_killed_is_not_waited_for() {
        let uid = nix::unistd::geteuid().as_raw();
        let record = Record::create(KILLED).expect("a directory");
        let watch = Watch::find(KILLED, uid).expect("just made");
        drop(record);
        assert!(!watch.is_alive());
        assert!(watch.wait().expect_err("no word").contains("killed"));
        Record::create(KILLED).expect("the place is free").end(Ok(()));
    }
}
