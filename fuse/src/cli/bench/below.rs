//! What lies below the mounts, where that decides about figures.
//!
//! `ext4` without a journal does not give the numbers of removed files to new ones for minutes, and passes over them one by one
//! whenever it makes one. A sequence that removes files and makes others is then slower and slower on `disk` and `bindfs`, by a
//! factor of ten and more, and ratios of `create` and `mkdir` to them are too good. So are those of `ls` and `stat`, because
//! what the kernel caches of `bindfs` expires meanwhile. With a journal it does not do so.
//!
//! Sources: `recently_deleted` in `fs/ext4/ialloc.c` of Linux; `/proc/fs/ext4/DEVICE/options`, which names the way of
//! journaling as `data=`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

pub(super) const WARNING: &str = "WARNING: this disk is ext4 without a journal, which makes files and directories \
    slowly for minutes after\nothers were removed. bindfs and disk suffer from it in create and mkdir; while they make \
    files, the kernel's\ncache of bindfs expires, which slows its ls and stat. Ratios to bindfs in these rows are too \
    good, and\ngoals that hold there mean nothing. Choose a --directory on a file system with a journal.\n";

/// What to tell about the file system of `directory`, if anything is known to spoil figures there.
pub(super) fn warning(directory: &Path) -> Option<&'static str> {
    let device = fs::metadata(directory).ok()?.dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    // The kernel's name of the device; what is in the table of mounts may be another one.
    let device = fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let options = Path::new("/proc/fs/ext4")
        .join(device.file_name()?)
        .join("options");
    let options = fs::read_to_string(options).ok()?;
    (!has_journal(&options)).then_some(WARNING)
}

fn has_journal(options: &str) -> bool {
    options.lines().any(|line| line.starts_with("data="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_shows_in_the_options() {
        assert!(has_journal("rw\ndelalloc\ndata=ordered\ncommit=5\n"));
        assert!(!has_journal("rw\ndelalloc\nnojournal_checksum\ncommit=5\n"));
    }

    #[test]
    fn nothing_is_said_about_what_is_not_known() {
        assert_eq!(warning(Path::new("/proc")), None);
        assert_eq!(warning(Path::new("/no/such/directory")), None);
    }
}
