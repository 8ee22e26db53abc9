//! Free room on the file system, shared by data and database.
//!
//! Owner: the embedded cluster. A database that meets a full disk in the middle of a commit has to be opened again, and a
//! full cluster must still be able to delete files. So both ask here first, and data are refused earlier than the database:
//!
//! ```text
//! free room:  ├── database only ──┼── data and database ─────────────────────────►
//!             0   reserve / 4     reserve
//!             └ nobody ┘
//! ```
//!
//! Asking the system costs a microsecond, so an answer is good for some bytes: [`LOOK_BYTES_MAX`], or what was free if that
//! is less. Others who fill the disk in the meantime eat into the reserve; that is what it is for.
//!
//! Limits: `reserve_bytes`.

use super::disk_error;
use flyer_cluster::storage::DiskError;
use rustix::io::retry_on_intr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes that are written before the system is asked again.
pub const LOOK_BYTES_MAX: u64 = 16 << 20;

/// Reserve of a disk unless said otherwise: a few rewrites of the database's largest tables.
pub const RESERVE_BYTES_DEFAULT: u64 = 256 << 20;

/// Room for data, as the storage server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// In total, in bytes.
    pub capacity: u64,
    /// Free, in bytes, without the reserve.
    pub free: u64,
}

/// Keeps the reserve of a file system free.
#[derive(Debug)]
pub struct Room {
    folder: File,
    path: PathBuf,
    reserve_bytes: u64,
    /// How much each of the two may still write before it asks the system again.
    data_bytes: AtomicU64,
    database_bytes: AtomicU64,
}

impl Room {
    /// The room around a folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn open(path: &Path, reserve_bytes: u64) -> Result<Self, DiskError> {
        Ok(Self {
            folder: File::open(path).map_err(|error| disk_error("open", path, &error))?,
            path: path.to_owned(),
            reserve_bytes,
            data_bytes: AtomicU64::new(0),
            database_bytes: AtomicU64::new(0),
        })
    }

    /// Asks for room for data.
    ///
    /// # Errors
    /// `NoSpace` when there is not enough beyond the reserve.
    pub fn take_for_data(&self, bytes: u64) -> Result<(), DiskError> {
        self.take(&self.data_bytes, self.reserve_bytes, bytes)
    }

    /// Asks for room for a commit.
    ///
    /// # Errors
    /// `NoSpace` when there is not enough beyond a quarter of the reserve.
    pub fn take_for_database(&self, bytes: u64) -> Result<(), DiskError> {
        self.take(&self.database_bytes, self.reserve_bytes / 4, bytes)
    }

    /// Room for data.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn space(&self) -> Result<Space, DiskError> {
        let (capacity, free) = self.look()?;
        Ok(Space {
            capacity,
            free: free.saturating_sub(self.reserve_bytes),
        })
    }

    fn take(&self, budget: &AtomicU64, reserve_bytes: u64, bytes: u64) -> Result<(), DiskError> {
        let less = |left: u64| left.checked_sub(bytes);
        if budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
        {
            return Ok(());
        }
        let (_, free) = self.look()?;
        let usable = free.saturating_sub(reserve_bytes);
        let Some(left) = usable.checked_sub(bytes) else {
            return Err(DiskError::NoSpace);
        };
        budget.store(left.min(LOOK_BYTES_MAX), Ordering::Relaxed);
        Ok(())
    }

    /// Bytes in total and free for this user.
    fn look(&self) -> Result<(u64, u64), DiskError> {
        let stat = retry_on_intr(|| rustix::fs::fstatvfs(&self.folder))
            .map_err(|errno| disk_error("ask for the free room of", &self.path, &errno.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok((bytes(stat.f_blocks), bytes(stat.f_bavail)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_refused_before_the_database_is() {
        let folder = tempfile::tempdir().unwrap();
        let all = Room::open(folder.path(), 0).unwrap();
        let Space { capacity, free } = all.space().unwrap();
        assert!(
            free <= capacity && free > LOOK_BYTES_MAX,
            "the tests need some room"
        );
        all.take_for_data(1).unwrap();
        assert_eq!(all.take_for_data(u64::MAX), Err(DiskError::NoSpace));

        // Twice what is free: nothing for data, half of it for the database.
        let tight = Room::open(folder.path(), free.saturating_mul(2)).unwrap();
        assert_eq!(tight.space().unwrap(), Space { capacity, free: 0 });
        assert_eq!(tight.take_for_data(1), Err(DiskError::NoSpace));
        tight.take_for_database(1).unwrap();
        let full = Room::open(folder.path(), u64::MAX).unwrap();
        assert_eq!(full.take_for_database(1), Err(DiskError::NoSpace));
    }

    #[test]
    fn an_answer_is_good_for_a_limited_number_of_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::open(folder.path(), 0).unwrap();
        room.take_for_data(1).unwrap();
        assert_eq!(room.data_bytes.load(Ordering::Relaxed), LOOK_BYTES_MAX);
        room.take_for_data(LOOK_BYTES_MAX).unwrap();
        assert_eq!(room.data_bytes.load(Ordering::Relaxed), 0);
        room.take_for_data(5).unwrap();
        assert_eq!(room.data_bytes.load(Ordering::Relaxed), LOOK_BYTES_MAX);
    }
}
