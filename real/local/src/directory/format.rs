//! The text of the format file.
//!
//! ```text
//! Flyer local cluster
//! format 1
//! cluster 6d1f0c0e-0a4f-4a57-9a55-d6b7f3a4a1c2
//! created 1764000000
//! check 0f3a99c1
//! ```
//!
//! The first two lines stay as they are for ever, so that each version recognises the files of later ones. The time is in
//! seconds since the Unix epoch. `check` is the CRC-32C of all bytes before its line.

use super::DirectoryError;
use core::fmt;
use flyer_types::WallTime;
use flyer_types::ids::Uuid;
use flyer_wire::checksum::{Crc, DATA_START, raw};
use std::path::Path;

/// The format that this version reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// Longest format file in bytes.
pub const FORMAT_BYTES_MAX: usize = 4096;

const MAGIC: &str = "Flyer local cluster";

/// Whose data a directory holds, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Drawn when the directory was created.
    pub cluster: Uuid,
    /// When the directory was created; kept in whole seconds.
    pub created: WallTime,
}

/// What is wrong with the text of a format file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Damaged(&'static str),
    Newer(u32),
}

impl Problem {
    pub(super) fn at(self, name: &Path) -> DirectoryError {
        let path = name.to_owned();
        match self {
            Self::Damaged(why) => DirectoryError::Damaged { path, why },
            Self::Newer(found) => DirectoryError::Newer { path, found },
        }
    }
}

/// The text for a directory.
pub(super) fn print(identity: Identity) -> String {
    let body = Body(identity).to_string();
    let check = check(&body);
    format!("{body}check {check:08x}\n")
}

/// The reverse of [`print`], for any bytes.
pub(super) fn parse(bytes: &[u8]) -> Result<Identity, Problem> {
    if bytes.is_empty() {
        return Err(Problem::Damaged("it is empty"));
    }
    if bytes.len() > FORMAT_BYTES_MAX {
        return Err(Problem::Damaged("it is too long"));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| Problem::Damaged("it is not text"))?;
    let mut lines = text.split('\n');
    if lines.next() != Some(MAGIC) {
        return Err(Problem::Damaged("the first line is not that of a cluster"));
    }
    let version = value(lines.next(), "format ").and_then(|version| version.parse().ok());
    let version: u32 = version.ok_or(Problem::Damaged("the format version is missing"))?;
    if version > FORMAT_VERSION {
        return Err(Problem::Newer(version));
    }
    if version != FORMAT_VERSION {
        return Err(Problem::Damaged("there was never such a format version"));
    }
    let cluster = value(lines.next(), "cluster ").and_then(Uuid::parse);
    let cluster = cluster.ok_or(Problem::Damaged("the cluster id is missing"))?;
    let created = value(lines.next(), "created ").and_then(|created| created.parse().ok());
    let created = created.ok_or(Problem::Damaged("the time of creation is missing"))?;
    let identity = Identity {
        cluster,
        created: WallTime::from_secs(created),
    };
    // What was read is written again and compared, so there is one form only, and the checksum covers all of it.
    if print(identity) != text {
        return Err(Problem::Damaged("its checksum is wrong"));
    }
    Ok(identity)
}

fn value<'a>(line: Option<&'a str>, key: &str) -> Option<&'a str> {
    line?.strip_prefix(key)
}

fn check(text: &str) -> u32 {
    !raw(Crc::Crc32c, DATA_START, text.as_bytes())
}

/// Everything above the last line.
struct Body(Identity);

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.created.us.div_euclid(1_000_000);
        writeln!(f, "{MAGIC}")?;
        writeln!(f, "format {FORMAT_VERSION}")?;
        writeln!(f, "cluster {}", self.0.cluster)?;
        writeln!(f, "created {seconds}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            cluster: Uuid([0xab; 16]),
            created: WallTime::from_secs(1_764_000_000),
        }
    }

    #[test]
    fn what_is_printed_is_read_back() {
        assert_eq!(parse(print(identity()).as_bytes()), Ok(identity()));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_damage() {
        let text = print(identity());
        for at in 0..text.len() {
            assert!(
                matches!(parse(&text.as_bytes()[..at]), Err(Problem::Damaged(_))),
                "cut at {at}"
            );
            for flip in [1, 0x20, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= flip;
                // A digit of the version may become a greater one.
                assert!(parse(&bytes).is_err(), "byte {at} flipped by {flip:#x}");
            }
        }
        let long = text.clone() + &" ".repeat(FORMAT_BYTES_MAX);
        assert_eq!(parse(long.as_bytes()), Err(Problem::Damaged("it is too long")));
        assert!(parse((text + "x").as_bytes()).is_err());
    }

    #[test]
    fn later_formats_are_recognised_whatever_follows() {
        assert_eq!(
            parse(b"Flyer local cluster\nformat 2\nanything"),
            Err(Problem::Newer(2))
        );
        assert!(matches!(
            parse(b"Flyer local cluster\nformat 0\n"),
            Err(Problem::Damaged(_))
        ));
    }
}
