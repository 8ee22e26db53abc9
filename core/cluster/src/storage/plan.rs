//! How an update changes a chunk: which block, what is copied, zeroed and written, and what the record says afterwards.
//!
//! Owner: an [update](super::update). Nothing here has state: a plan is made from the record and the update.
//!
//! ```text
//!   record, update ──► block: the same | a new one | none
//!                      steps: Copy ─► Zero ─► Write      (those that are needed, one after the other)
//!                      record: length, checksum
//! ```
//!
//! A chunk begins in the smallest block that holds it and grows to 64 KiB, then to its full size: data files are sparse, so a block
//! that is not full costs no space, and a chunk is copied twice at most while it grows. When it shrinks to a quarter of its
//! block it moves to a smaller one, so that the space comes back.
//!
//! Which updates may not happen in place is said in [`super::epochs`].
//!
//! Limits: a chunk fits the largest block.

use super::blocks::{BLOCK_BYTES_MIN, block_for};
use super::epochs::Epochs;
use super::options::limits::CHUNK_BYTES_MAX;
use super::record::{NO_CHECKSUM, Record};
use flyer_types::StatusCode;
use flyer_types::ids::{ChainVersion, ChunkVersion};
use flyer_wire::checksum::{self, Crc};
use flyer_wire::msg::storage::chunk::{ChecksumInfo, ChecksumType};

/// Chunks that are longer have blocks of their full size.
const SMALL_BYTES_MAX: u32 = 64 << 10;

/// A chunk that would fill no more than this part of its block moves to a smaller one.
const SHRINK_FACTOR: u32 = 4;

/// What an update does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Writes bytes.
    Write,
    /// Sets the length.
    Truncate,
    /// Makes the chunk at least so long.
    Extend,
    /// Removes the chunk.
    Remove,
}

/// An update as far as the chunk is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// What it does.
    pub(super) kind: Kind,
    /// First byte written.
    pub(super) offset: u32,
    /// Bytes written, or the new length.
    pub(super) length: u32,
    /// Bytes of a full chunk.
    pub(super) chunk_size: u32,
    /// The version it makes; 0 for the next.
    pub(super) version: ChunkVersion,
    /// Chain version under which it is made.
    pub(super) chain_ver: ChainVersion,
    /// Of the bytes written.
    pub(super) checksum: ChecksumInfo,
}

/// Where the content is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Where it was.
    Same,
    /// In a new block of this size.
    New(u32),
    /// Nowhere: there is none.
    None,
}

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Where the content is afterwards.
    pub(super) block: Block,
    /// Bytes to be copied to a new block.
    pub(super) copy: u32,
    /// Bytes to be made zero: the first, and how many.
    pub(super) zero: (u32, u32),
    /// Where the bytes of the update are written.
    pub(super) write: Option<u32>,
    /// A record without checksum is committed before anything is written.
    pub(super) drop_first: bool,
    /// Bytes of the chunk afterwards.
    pub(super) length: u32,
    /// Of the chunk afterwards.
    pub(super) checksum: ChecksumInfo,
    /// What the answer gives as length.
    pub(super) answer: u32,
    /// Bytes of the disk that it takes, at most.
    pub(super) needs: u32,
}

/// What becomes of the version of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The update makes this one.
    New(ChunkVersion),
    /// The update was made and committed before.
    Committed,
}

/// Checks an update against the chunk, in upstream's order.
///
/// # Errors
/// 4024, 3, 4015, 4081, 4007, 4012.
pub(super) fn admit(record: Option<&Record>, change: &Change) -> Result<Version, StatusCode> {
    let is_removal = change.kind == Kind::Remove;
    if !is_removal {
        if change.chunk_size == 0 || change.chunk_size > CHUNK_BYTES_MAX {
            return Err(StatusCode::STORAGE_CHUNK_INVALID_CHUNK_SIZE);
        }
        let end = u64::from(change.offset) + u64::from(change.length);
        if change.offset >= change.chunk_size || end > u64::from(change.chunk_size) {
            return Err(StatusCode::INVALID_ARG);
        }
        if record.is_some_and(|record| record.chunk_size != change.chunk_size) {
            return Err(StatusCode::STORAGE_CHUNK_SIZE_MISMATCH);
        }
    }
    if record.is_some_and(|record| change.chain_ver < record.chain_ver) {
        return Err(StatusCode::STORAGE_CHAIN_VERSION_MISMATCH);
    }
    let (applied, committed) = record.map_or((0, 0), |record| (record.update_ver.0, record.commit_ver.0));
    let next = applied
        .checked_add(1)
        .ok_or(StatusCode::STORAGE_CHUNK_ADVANCE_UPDATE)?;
    match change.version.0 {
        0 => Ok(Version::New(ChunkVersion(next))),
        // A chunk that is gone has no version to compare with.
        demanded if record.is_none() && is_removal => Ok(Version::New(ChunkVersion(demanded))),
        demanded if demanded <= committed => Ok(Version::Committed),
        demanded if demanded > next => Err(StatusCode::STORAGE_CHUNK_MISSING_UPDATE),
        demanded => Ok(Version::New(ChunkVersion(demanded))),
    }
}

/// The plan of a write, truncation or extension that was [admitted](admit).
pub(super) fn plan(record: Option<&Record>, change: &Change, epochs: &Epochs) -> Plan {
    let old = Old::of(record, epochs);
    let wanted = change.length;
    match change.kind {
        Kind::Write => old.write(change, epochs),
        Kind::Truncate if wanted < old.length => old.shrink(wanted),
        Kind::Truncate | Kind::Extend if wanted > old.length => old.grow(wanted, change, epochs),
        Kind::Truncate | Kind::Extend => Plan {
            answer: old.length,
            ..old.unchanged()
        },
        Kind::Remove => unreachable!("a removal needs no plan"),
    }
}

/// The bytes rounded up to what a disk gives out.
fn pages(bytes: u32) -> u32 {
    bytes.next_multiple_of(BLOCK_BYTES_MIN)
}

/// The chunk as it is.
struct Old<'a> {
    record: Option<&'a Record>,
    length: u32,
    /// Its checksum, unless a crash has made that doubtful.
    checksum: ChecksumInfo,
    block_bytes: u32,
}

impl<'a> Old<'a> {
    fn of(record: Option<&'a Record>, epochs: &Epochs) -> Self {
        let trusted = record.filter(|record| !epochs.is_doubtful(record.epoch));
        Self {
            record,
            length: record.map_or(0, |record| record.length),
            checksum: trusted.map_or(NO_CHECKSUM, |record| record.checksum),
            block_bytes: record
                .and_then(|record| record.place)
                .map_or(0, |place| place.block_bytes),
        }
    }

    fn has_checksum(&self) -> bool {
        self.checksum.kind == ChecksumType::CRC32C
    }

    fn unchanged(&self) -> Plan {
        Plan {
            block: if self.block_bytes == 0 {
                Block::None
            } else {
                Block::Same
            },
            copy: 0,
            zero: (0, 0),
            write: None,
            drop_first: false,
            length: self.length,
            checksum: self.checksum,
            answer: 0,
            needs: 0,
        }
    }

    fn write(&self, change: &Change, epochs: &Epochs) -> Plan {
        let (offset, bytes) = (change.offset, change.length);
        if bytes == 0 {
            return match offset > self.length {
                true => Plan {
                    answer: 0,
                    ..self.grow(offset, change, epochs)
                },
                false => self.unchanged(),
            };
        }
        let length = self.length.max(offset + bytes);
        let overwrites = offset < self.length;
        let is_whole = offset == 0 && bytes >= self.length;
        let touched = offset.min(self.length);
        let in_place = self.fits(length)
            && !self.is_sealed(touched, epochs)
            && !(overwrites && self.has_checksum() && (is_whole || self.is_settled(epochs)));
        let gap = offset.saturating_sub(self.length);
        let mut plan = Plan {
            zero: (self.length.min(offset), gap),
            write: Some(offset),
            drop_first: in_place && overwrites && self.has_checksum(),
            length,
            checksum: self.checksum_after(change, is_whole, gap),
            answer: bytes,
            needs: pages(bytes),
            ..self.unchanged()
        };
        if in_place {
            plan.block = Block::Same;
            let taken = pages(self.length).saturating_sub(offset);
            plan.needs = pages(bytes.saturating_sub(taken));
        } else {
            plan.block = Block::New(self.block_for(length, change.chunk_size));
            plan.copy = if is_whole { 0 } else { self.length };
            plan.needs = pages(bytes) + pages(plan.copy);
        }
        plan
    }

    fn checksum_after(&self, change: &Change, is_whole: bool, gap: u32) -> ChecksumInfo {
        let data = change.checksum;
        if data.kind != ChecksumType::CRC32C {
            return NO_CHECKSUM;
        }
        if is_whole {
            return data;
        }
        if change.offset < self.length || (self.length > 0 && !self.has_checksum()) {
            return NO_CHECKSUM;
        }
        self.with_zeros(gap)
            .followed_by(data, u64::from(change.length))
            .expect("both are CRC-32C")
    }

    /// The checksum of the content, which has one or is empty, with zeros behind it.
    fn with_zeros(&self, count: u32) -> ChecksumInfo {
        let before = if self.length == 0 {
            checksum::DATA_START
        } else {
            self.checksum.value
        };
        ChecksumInfo {
            kind: ChecksumType::CRC32C,
            value: checksum::zeros(Crc::Crc32c, before, u64::from(count)),
        }
    }

    fn grow(&self, length: u32, change: &Change, epochs: &Epochs) -> Plan {
        let in_place = self.fits(length) && !self.is_sealed(self.length, epochs);
        let checksum = match self.has_checksum() {
            true => self.with_zeros(length - self.length),
            false => NO_CHECKSUM,
        };
        let plan = Plan {
            zero: (self.length, length - self.length),
            length,
            checksum,
            answer: length,
            ..self.unchanged()
        };
        if in_place {
            return plan;
        }
        Plan {
            block: Block::New(self.block_for(length, change.chunk_size)),
            copy: self.length,
            needs: pages(self.length),
            ..plan
        }
    }

    fn shrink(&self, length: u32) -> Plan {
        let plan = Plan {
            length,
            checksum: NO_CHECKSUM,
            answer: length,
            ..self.unchanged()
        };
        let smaller = block_for(length);
        if length == 0 {
            return Plan {
                block: Block::None,
                ..plan
            };
        }
        if smaller > self.block_bytes / SHRINK_FACTOR {
            return plan;
        }
        Plan {
            block: Block::New(smaller),
            copy: length,
            needs: pages(length),
            ..plan
        }
    }

    fn fits(&self, length: u32) -> bool {
        length <= self.block_bytes
    }

    fn is_sealed(&self, offset: u32, epochs: &Epochs) -> bool {
        self.record.is_some_and(|record| epochs.is_sealed(record, offset))
    }

    fn is_settled(&self, epochs: &Epochs) -> bool {
        self.record.is_some_and(|record| epochs.is_settled(record))
    }

    /// The size of a new block.
    fn block_for(&self, length: u32, chunk_size: u32) -> u32 {
        let full = block_for(chunk_size.max(length));
        if self.fits(length) {
            return self.block_bytes;
        }
        if length > SMALL_BYTES_MAX {
            return full;
        }
        let small = if self.block_bytes == 0 {
            block_for(length)
        } else {
            SMALL_BYTES_MAX
        };
        small.min(full)
    }
}

#[cfg(test)]
mod tests;
