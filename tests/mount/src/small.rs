//! A disk that is soon full.
//!
//! Owner: a test. It is a file system in memory; root may mount one anywhere. Limits: memory.

use std::ffi::CString;
use std::path::{Path, PathBuf};

/// A file system in memory. Dropping it takes it away.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Room for so many MiB at `path`, a directory.
    #[must_use]
    pub fn new(path: &Path, mib: u32) -> Self {
        let options = CString::new(format!("size={mib}m,mode=755")).expect("it holds no zero");
        let none = rustix::mount::MountFlags::empty();
        rustix::mount::mount("small", path, "tmpfs", none, options.as_c_str()).expect("root may mount");
        Self {
            path: path.to_owned(),
        }
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.path).expect("it is mounted");
        found.f_bavail * found.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        crate::detach(&self.path);
    }
}
