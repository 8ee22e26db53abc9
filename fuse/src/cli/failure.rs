//! Why a command failed: one line for a person, one number for a script.

use crate::session::MountError;
use std::fmt;
use std::process::ExitCode;

/// What kind of failure it is; each kind has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something else.
    Other,
    /// The command line is wrong.
    Usage,
    /// FUSE cannot be used.
    Fuse,
    /// The mount point cannot be used.
    MountPoint,
    /// The local directory cannot be used.
    Local,
    /// Data could not be written out and is lost.
    DataLost,
    /// Ended by a second signal.
    Forced,
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    /// What happened and what to do about it, in one line.
    text: String,
}

impl Failure {
    /// `text` says in one line what happened and what to do about it.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        // What others said may have several lines.
        let text = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        Self { kind, text }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Other => 1,
            Kind::Usage => 2,
            Kind::Fuse => 3,
            Kind::MountPoint => 4,
            Kind::Local => 5,
            Kind::DataLost => 6,
            Kind::Forced => 130,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<MountError> for Failure {
    fn from(error: MountError) -> Self {
        let kind = match &error {
            MountError::NoDevice
            | MountError::Device(_)
            | MountError::NoHelper
            | MountError::Helper(_)
            | MountError::Kernel(..) => Kind::Fuse,
            MountError::Foreign(_)
            | MountError::MountPoint(..)
            | MountError::Mounted(..)
            | MountError::Busy(_) => Kind::MountPoint,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new(Kind::Other, "fusermount3: \n  not allowed\n");
        assert_eq!(failure.to_string(), "fusermount3:; not allowed");
        let busy: Failure = MountError::Busy("/mnt".into()).into();
        assert_eq!(busy.kind(), Kind::MountPoint);
        assert!(busy.to_string().contains("--lazy /mnt"));
    }
}
