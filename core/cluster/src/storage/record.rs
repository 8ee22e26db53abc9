//! What is stored of a chunk.
//!
//! Limits: a record has a fixed size, [`RECORD_BYTES`].

use super::port::Place;
use flyer_types::WallTime;
use flyer_types::ids::{ChainVersion, ChunkVersion, RequestId};
use flyer_wire::msg::storage::chunk::{ChecksumInfo, ChecksumType};

/// First byte of a record; another one is another format.
const FORMAT: u8 = 1;

/// Bytes of an encoded record.
pub(super) const RECORD_BYTES: usize = 74;

/// No checksum.
pub(super) const NO_CHECKSUM: ChecksumInfo = ChecksumInfo {
    kind: ChecksumType::NONE,
    value: 0,
};

/// Bytes of the block that an older record vouches for, which may still come back; see [`super::epochs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    /// Bytes from the beginning of the block.
    pub(super) length: u32,
    /// The older record cannot come back once this epoch is durable.
    pub(super) epoch: u64,
}

/// What is stored of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Where the content is; `None` only without content.
    pub(super) place: Option<Place>,
    /// Bytes.
    pub(super) length: u32,
    /// Bytes of a full chunk of its file.
    pub(super) chunk_size: u32,
    /// Newest version applied.
    pub(super) update_ver: ChunkVersion,
    /// Newest version known to be on all replicas.
    pub(super) commit_ver: ChunkVersion,
    /// Chain version under which it was written.
    pub(super) chain_ver: ChainVersion,
    /// Of the whole content.
    pub(super) checksum: ChecksumInfo,
    /// When the record was made.
    pub(super) epoch: u64,
    /// What must not be overwritten in place.
    pub(super) seal: Option<Seal>,
    /// When it was last updated.
    pub(super) timestamp: WallTime,
    /// The request that did.
    pub(super) request: RequestId,
}

/// Takes fixed parts off the front of bytes that are long enough.
struct Parts<'a>(&'a [u8]);

impl Parts<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (part, rest) = self
            .0
            .split_first_chunk::<N>()
            .expect("the length was compared with the sum of the parts");
        self.0 = rest;
        *part
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }
}

/// Fills bytes from the front.
struct Fill<'a>(&'a mut [u8]);

impl Fill<'_> {
    fn put<const N: usize>(&mut self, part: [u8; N]) {
        let (slot, rest) = core::mem::take(&mut self.0)
            .split_first_chunk_mut::<N>()
            .expect("the parts fill the record exactly");
        *slot = part;
        self.0 = rest;
    }
}

impl Record {
    /// The stored form.
    pub(super) fn to_bytes(self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        let mut fill = Fill(&mut bytes);
        fill.put([FORMAT]);
        fill.put(self.place.map_or(0, |place| place.block_bytes).to_le_bytes());
        fill.put(self.place.map_or(0, |place| place.index).to_le_bytes());
        fill.put(self.length.to_le_bytes());
        fill.put(self.chunk_size.to_le_bytes());
        fill.put(self.update_ver.0.to_le_bytes());
        fill.put(self.commit_ver.0.to_le_bytes());
        fill.put(self.chain_ver.0.to_le_bytes());
        fill.put([self.checksum.kind.0]);
        fill.put(self.checksum.value.to_le_bytes());
        fill.put(self.epoch.to_le_bytes());
        fill.put(self.seal.map_or(0, |seal| seal.length).to_le_bytes());
        fill.put(self.seal.map_or(0, |seal| seal.epoch).to_le_bytes());
        fill.put(self.timestamp.us.to_le_bytes());
        fill.put(self.request.0.to_le_bytes());
        debug_assert!(fill.0.is_empty(), "the parts fill the record exactly");
        bytes
    }

    /// Reads the stored form; `None` if it is damaged or of another format.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != RECORD_BYTES || bytes.first() != Some(&FORMAT) {
            return None;
        }
        let mut parts = Parts(&bytes[1..]);
        let place = Place {
            block_bytes: parts.u32(),
            index: parts.u64(),
        };
        let record = Self {
            place: (place.block_bytes != 0).then_some(place),
            length: parts.u32(),
            chunk_size: parts.u32(),
            update_ver: ChunkVersion(parts.u32()),
            commit_ver: ChunkVersion(parts.u32()),
            chain_ver: ChainVersion(parts.u32()),
            checksum: ChecksumInfo {
                kind: ChecksumType(parts.take::<1>()[0]),
                value: parts.u32(),
            },
            epoch: parts.u64(),
            seal: {
                let seal = Seal {
                    length: parts.u32(),
                    epoch: parts.u64(),
                };
                (seal.length != 0).then_some(seal)
            },
            timestamp: WallTime::from_us(i64::from_le_bytes(parts.take())),
            request: RequestId(parts.u64()),
        };
        record.is_sound().then_some(record)
    }

    /// Whether the parts fit each other.
    pub(super) fn is_sound(&self) -> bool {
        let room = self.place.map_or(0, |place| place.block_bytes);
        self.length <= room
            && self
                .place
                .is_none_or(|place| super::blocks::is_block_size(place.block_bytes))
            && self.commit_ver <= self.update_ver
    }

    /// The checksum, if there is one.
    pub(super) fn crc(&self) -> Option<u32> {
        (self.checksum.kind == ChecksumType::CRC32C).then_some(self.checksum.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn sample() -> Record {
        Record {
            place: Some(Place {
                block_bytes: 8192,
                index: 1 << 40,
            }),
            length: 8000,
            chunk_size: 1 << 20,
            update_ver: ChunkVersion(7),
            commit_ver: ChunkVersion(6),
            chain_ver: ChainVersion(5),
            checksum: ChecksumInfo {
                kind: ChecksumType::CRC32C,
                value: 0x1234_5678,
            },
            epoch: 1 << 33,
            seal: Some(Seal { length: 9, epoch: 4 }),
            timestamp: WallTime::from_us(-5),
            request: RequestId(77),
        }
    }

    #[test]
    fn records_round_trip() {
        let full = sample();
        assert_eq!(Record::of(&full.to_bytes()), Some(full));
        let empty = Record {
            place: None,
            length: 0,
            seal: None,
            checksum: NO_CHECKSUM,
            ..full
        };
        assert_eq!(Record::of(&empty.to_bytes()), Some(empty));
    }

    #[test]
    fn damaged_records_are_recognised() {
        let good = sample().to_bytes();
        assert_eq!(Record::of(&good[1..]), None);
        // Format; block size; the highest bytes of the length; a commit version above the update version.
        for (at, bad) in [(0, 2), (1, 1), (15, 0xff), (16, 1), (28, 0xff)] {
            let mut bytes = good;
            bytes[at] = bad;
            assert_eq!(Record::of(&bytes), None, "byte {at}");
        }
    }
}
