//! The migration service: jobs that move files. Flyer does not serve it; the messages are here so that the wire is whole.
//!
//! Source: `src/fbs/migration/SerdeService.h` upstream.

use crate::msg::open_enums;
use alloc::vec::Vec;
use flyer_types::ids::Uuid;
use flyer_types::{Text, WallTime};
use flyer_wire_derive::Wire;

open_enums! {
    /// State of a migration job.
    pub JobStatus(u32) {
        /// Not known yet.
        NOT_SUBMITTED = 0, "NotSubmitted";
        /// Waiting.
        PENDING = 1, "Pending";
        /// At work.
        RUNNING = 2, "Running";
        /// Ended with an error.
        FAILED = 3, "Failed";
        /// Ended by request.
        STOPPED = 4, "Stopped";
        /// Done.
        SUCCEEDED = 5, "Succeeded";
    }
}

/// A migration job.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::JobInfo")]
pub struct JobInfo {
    /// The job.
    pub id: Uuid,
    /// What is moved.
    pub path: Text,
    /// Modification time of what is moved.
    pub mtime: WallTime,
    /// State of the job.
    pub status: JobStatus,
    /// When it began.
    pub start_time: WallTime,
    /// When it ended.
    pub finish_time: WallTime,
    /// Files to copy.
    pub num_files_found: u64,
    /// Files copied.
    pub num_files_copied: u64,
    /// Source files removed.
    pub num_src_files_removed: u64,
    /// Bytes to copy.
    pub bytes_of_files_found: u64,
    /// Bytes copied.
    pub bytes_of_files_copied: u64,
}

/// Request of `start` (migration service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::StartJobReq")]
pub struct StartJobReq {
    /// The job.
    pub id: Uuid,
    /// What to move.
    pub path: Text,
    /// Modification time of what is moved.
    pub mtime: WallTime,
}

/// Answer of `start` (migration service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::StartJobRsp")]
pub struct StartJobRsp {
    /// State of the job.
    pub status: JobStatus,
}

/// Request of `stop` (migration service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::StopJobReq")]
pub struct StopJobReq {
    /// The job.
    pub id: Uuid,
}

/// Answer of `stop` (migration service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::StopJobRsp")]
pub struct StopJobRsp {
    /// State of the job.
    pub status: JobStatus,
}

/// Request of `list` (migration service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::ListJobsReq")]
pub struct ListJobsReq {
    /// Only jobs on this path.
    pub path: Text,
    /// Only these jobs.
    pub ids: Vec<Uuid>,
    /// Only jobs in this state.
    #[wire(default = JobStatus::RUNNING)]
    pub status: JobStatus,
    /// Only jobs that changed after this.
    pub after: WallTime,
    /// Jobs wanted at most.
    #[wire(default = 10)]
    pub limit: u32,
}

/// Answer of `list` (migration service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::migration::ListJobsRsp")]
pub struct ListJobsRsp {
    /// The jobs.
    pub jobs: Vec<JobInfo>,
}
