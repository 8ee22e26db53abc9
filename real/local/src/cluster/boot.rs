//! Whether what was written last may be lost.
//!
//! Owner: a mount of an embedded cluster. The directory notes in which start of the system it was last open. What an earlier one had
//! not written to the disk is lost, and so may be what the disk has refused: the page cache goes on showing it, but forgets that it has
//! to be written.
//!
//! ```text
//!   noted ──another start of the system, or a sync that failed──► power failed ──opened, servers have dealt with it──► noted
//! ```

use crate::directory::Directory;
use std::io;
use std::path::PathBuf;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Boot {
    path: PathBuf,
    now: Vec<u8>,
    power_failed: bool,
}

impl Boot {
    pub(crate) fn of(directory: &Directory) -> Self {
        let path = directory.path().join("boot");
        let now = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        // A directory that does not tell counts as one that has seen a failure.
        let then = std::fs::read(&path).unwrap_or_default();
        let power_failed = !directory.is_new() && (now.is_empty() || now != then);
        Self {
            path,
            now,
            power_failed,
        }
    }

    /// Notes the present start. Only when the servers have dealt with a failure of power: an opening that did not come so far must
    /// not make the next one believe that there was none.
    pub(crate) fn note(&self) -> io::Result<()> {
        std::fs::write(&self.path, &self.now)
    }

    /// Whether writes may have been lost since the directory was last open.
    pub(crate) const fn power_failed(&self) -> bool {
        self.power_failed
    }

    /// Has the next opening believe that power failed: the disk has refused to keep what was written, and says so only once.
    pub(crate) fn forget(&self) {
        match std::fs::remove_file(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(
                "cannot remove {}: {error}; remove it by hand",
                self.path.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Identity;
    use flyer_types::WallTime;

    #[test]
    fn a_failure_of_power_is_remembered_until_it_was_dealt_with() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let open = || {
            let fresh = Identity {
                cluster: flyer_types::ids::Uuid([1; 16]),
                created: WallTime::from_secs(0),
            };
            Directory::open(folder.path(), fresh).expect("it is ours")
        };
        let first = Boot::of(&open());
        assert!(!first.power_failed, "a new directory has lost nothing");
        first.note().expect("the folder can be written");
        assert!(!Boot::of(&open()).power_failed, "the system was not started anew");
        std::fs::write(folder.path().join("boot"), "another start").expect("the folder can be written");
        for _ in 0..2 {
            assert!(Boot::of(&open()).power_failed, "nobody has dealt with it yet");
        }
        let boot = Boot::of(&open());
        boot.note().expect("the folder can be written");
        assert!(!Boot::of(&open()).power_failed);
        boot.forget();
        boot.forget();
        assert!(Boot::of(&open()).power_failed, "a sync has failed");
    }
}
