//! Status: what a 3FS server, the transport or Flyer itself says about a call.
//!
//! [`StatusCode`] is the number on the wire; numbers this build does not know are legal and kept. [`Status`] adds the
//! message. [`StatusCode::errno`] is what the kernel is told, and [`retry`] how a caller reacts.
//!
//! Source: `src/common/utils/{StatusCodeDetails.h,StatusCode.cc,StatusCodeConversion.cc}` upstream.

use crate::text::Text;
use core::fmt;

pub mod errno;
pub mod retry;
mod table;

pub use errno::Errno;
pub use retry::{ManagerRetry, MetaRetry, StorageCall, StorageRetry};

/// The number of a status on the wire. Any number is legal.
///
/// Constants are named `GROUP_NAME`, such as [`StatusCode::META_NOT_FOUND`]; those of the `Common` group have no
/// prefix, such as [`StatusCode::INVALID_ARG`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct StatusCode(pub u16);

/// The family a code belongs to: blocks of 1000 numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// 0..=999: used by every service.
    Common,
    /// 1000..=1999: the key-value store under meta and manager.
    Transaction,
    /// 2000..=2999: transport and RPC layer.
    Rpc,
    /// 3000..=3999: metadata service.
    Meta,
    /// 4000..=4999: storage service.
    Storage,
    /// 5000..=5999: manager.
    Mgmtd,
    /// 6000..=6999: the manager's client.
    MgmtdClient,
    /// 7000..=7999: the storage client, and what storage servers say in its terms.
    StorageClient,
    /// 8000..=8999: the client agent (FUSE daemon, USRBIO).
    ClientAgent,
    /// 10000..=10999: command line tools.
    Cli,
    /// 11000..=11999: key-value service.
    KvService,
    /// Every other number.
    Unknown,
}

impl Group {
    /// The group of a number, known or not: a newer server's RPC error is still an RPC error.
    #[must_use]
    pub const fn of(code: u16) -> Self {
        match code / 1000 {
            0 => Self::Common,
            1 => Self::Transaction,
            2 => Self::Rpc,
            3 => Self::Meta,
            4 => Self::Storage,
            5 => Self::Mgmtd,
            6 => Self::MgmtdClient,
            7 => Self::StorageClient,
            8 => Self::ClientAgent,
            10 => Self::Cli,
            11 => Self::KvService,
            _ => Self::Unknown,
        }
    }

    /// The name as 3FS spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Common => "Common",
            Self::Transaction => "Transaction",
            Self::Rpc => "RPC",
            Self::Meta => "Meta",
            Self::Storage => "Storage",
            Self::Mgmtd => "Mgmtd",
            Self::MgmtdClient => "MgmtdClient",
            Self::StorageClient => "StorageClient",
            Self::ClientAgent => "ClientAgent",
            Self::Cli => "Cli",
            Self::KvService => "KvService",
            Self::Unknown => "Unknown",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl StatusCode {
    /// Whether the code says "success".
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == Self::OK.0
    }

    /// Whether this build has a constant for the code.
    #[must_use]
    pub fn is_known(self) -> bool {
        self.row().is_some()
    }

    /// `Group::Name`, bare `Name` in the `Common` group, `UnknownStatusCode` if this build does not know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("UnknownStatusCode", |row| row.name)
    }

    /// The family of the code, from the number alone.
    #[must_use]
    pub const fn group(self) -> Group {
        Group::of(self.0)
    }

    /// What the kernel is told (`src/common/utils/StatusCode.cc` upstream).
    ///
    /// Like upstream this is `EIO` for [`StatusCode::OK`] too: who asks for the errno of a success has a bug, and
    /// must not pass it on as one. An unknown RPC code is `EREMOTEIO` like all of its group, any other unknown code
    /// `EIO`.
    #[must_use]
    pub fn errno(self) -> Errno {
        match (self.row(), self.group()) {
            (Some(row), _) => row.errno,
            (None, Group::Rpc) => Errno::EREMOTEIO,
            (None, _) => Errno::EIO,
        }
    }

    /// The code in the storage client's terms (`src/common/utils/StatusCodeConversion.cc` upstream). As upstream, everything without a row
    /// of its own becomes `ServerError`, also `OK`: convert failures only.
    #[must_use]
    pub const fn to_storage_client(self) -> Self {
        match self {
            Self::INVALID_ARG => Self::STORAGE_CLIENT_INVALID_ARG,
            Self::RPC_TIMEOUT => Self::STORAGE_CLIENT_TIMEOUT,
            Self::RPC_SEND_FAILED | Self::RPC_REQUEST_REFUSED => Self::STORAGE_CLIENT_COMM_ERROR,
            Self::RPC_VERIFY_REQUEST_FAILED | Self::RPC_VERIFY_RESPONSE_FAILED => {
                Self::STORAGE_CLIENT_PROTOCOL_MISMATCH
            }
            Self::STORAGE_CHUNK_METADATA_NOT_FOUND => Self::STORAGE_CLIENT_CHUNK_NOT_FOUND,
            Self::STORAGE_CHUNK_READ_FAILED => Self::STORAGE_CLIENT_REMOTE_IO_ERROR,
            Self::STORAGE_CHECKSUM_MISMATCH => Self::STORAGE_CLIENT_CHECKSUM_MISMATCH,
            Self::STORAGE_CHAIN_VERSION_MISMATCH => Self::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH,
            Self::STORAGE_CHUNK_NOT_COMMIT => Self::STORAGE_CLIENT_CHUNK_NOT_COMMIT,
            Self::STORAGE_CHANNEL_IS_LOCKED => Self::STORAGE_CLIENT_RESOURCE_BUSY,
            Self::READ_ONLY_MODE => Self::STORAGE_CLIENT_READ_ONLY_SERVER,
            other if matches!(other.group(), Group::StorageClient) => other,
            _ => Self::STORAGE_CLIENT_SERVER_ERROR,
        }
    }

    /// All codes that have a constant, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        table::ROWS.iter().map(|row| Self(row.code))
    }

    /// What the table says about the code.
    fn row(self) -> Option<&'static table::Row> {
        let at = table::ROWS.binary_search_by_key(&self.0, |row| row.code).ok()?;
        table::ROWS.get(at)
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

impl fmt::Debug for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<u16> for StatusCode {
    fn from(raw: u16) -> Self {
        Self(raw)
    }
}

/// A code and a message for humans. Prints as 3FS prints it: `Meta::NotFound(3000) no such name`.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Status {
    /// What happened.
    pub code: StatusCode,
    /// Details; empty if there are none. Never to be parsed, except for the node id in `Mgmtd::NotPrimary`.
    pub message: Text,
}

// A `Result<(), Status>` is returned everywhere: it has to stay three words.
const _: () = assert!(size_of::<Status>() <= 24);

impl Status {
    /// A status without a message.
    #[must_use]
    pub fn new(code: StatusCode) -> Self {
        Self {
            code,
            message: Text::default(),
        }
    }

    /// A status with a message.
    #[must_use]
    pub fn with_message(code: StatusCode, message: impl Into<Text>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Whether the code says "success".
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.code.is_ok()
    }

    /// What the kernel is told; see [`StatusCode::errno`].
    #[must_use]
    pub fn errno(&self) -> Errno {
        self.code.errno()
    }

    /// The same failure in the storage client's terms, message kept; see [`StatusCode::to_storage_client`].
    #[must_use]
    pub fn to_storage_client(self) -> Self {
        Self {
            code: self.code.to_storage_client(),
            message: self.message,
        }
    }
}

impl From<StatusCode> for Status {
    fn from(code: StatusCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.code, f)?;
        if self.message.is_empty() {
            return Ok(());
        }
        write!(f, " {}", self.message)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Status {}
