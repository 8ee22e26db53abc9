//! Names of chunks.
//!
//! To the storage service a chunk id is an opaque byte string ordered byte by byte. Files use 16 bytes whose order is
//! that of (inode, track, index):
//!
//! ```text
//! 0      1         2                 10            12                16
//! tenant reserved  inode, big-endian track, b.-e.  index, big-endian
//! ```
//!
//! Source: `src/fbs/storage/Common.h`, `src/fbs/meta/Schema.h` upstream.

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::msg::storage::chunk::ChunkIdRange;
use crate::reflect::{Leaf, Reflect, Visitor};
use core::fmt;
use flyer_types::ids::InodeId;
use smallvec::SmallVec;

/// Bytes of a file's chunk id.
const FILE_CHUNK_ID_BYTES: usize = 16;

/// The name of a chunk. Ids of files are stored without an allocation.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(SmallVec<[u8; FILE_CHUNK_ID_BYTES]>);

/// What the id of a file's chunk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileChunk {
    /// The file.
    pub inode: InodeId,
    /// 0 for ordinary files.
    pub track: u16,
    /// Position in the file, in chunks.
    pub index: u32,
}

impl FileChunk {
    /// The chunk's id.
    #[must_use]
    pub fn id(self) -> ChunkId {
        let [i0, i1, i2, i3, i4, i5, i6, i7] = self.inode.0.to_be_bytes();
        let [t0, t1] = self.track.to_be_bytes();
        let [c0, c1, c2, c3] = self.index.to_be_bytes();
        ChunkId(SmallVec::from_buf([
            0, 0, i0, i1, i2, i3, i4, i5, i6, i7, t0, t1, c0, c1, c2, c3,
        ]))
    }
}

impl ChunkId {
    /// An id with these bytes.
    #[must_use]
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the id has no bytes; no chunk has that name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// File, track and index, if this is the id of a file's chunk.
    #[must_use]
    pub fn file_chunk(&self) -> Option<FileChunk> {
        let bytes = <&[u8; FILE_CHUNK_ID_BYTES]>::try_from(self.as_bytes()).ok()?;
        let [0, 0, inode @ .., t0, t1, c0, c1, c2, c3] = *bytes else {
            return None;
        };
        Some(FileChunk {
            inode: InodeId(u64::from_be_bytes(inode)),
            track: u16::from_be_bytes([t0, t1]),
            index: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }

    /// The id one above, as a big-endian number of the same length; the highest wraps to zero.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut next = self.clone();
        for byte in next.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        next
    }

    /// The chunks of `inode` from index `first` on, with at most `count_max` of them to be looked at (0: no limit).
    #[must_use]
    pub fn range_of_file(inode: InodeId, first: u32, count_max: u32) -> ChunkIdRange {
        ChunkIdRange {
            begin: FileChunk {
                inode,
                track: 0,
                index: first,
            }
            .id(),
            end: FileChunk {
                inode,
                track: 1,
                index: 0,
            }
            .id(),
            max_num_chunk_ids_to_process: count_max,
        }
    }
}

/// Upper-case hex, a dash before every fourth byte.
impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if at > 0 && at % 4 == 0 {
                f.write_str("-")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({self})")
    }
}

impl Wire for ChunkId {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self::default()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        if let Ok(file_chunk) = <&[u8; FILE_CHUNK_ID_BYTES]>::try_from(self.as_bytes()) {
            w.put(*file_chunk);
            w.put_varint(FILE_CHUNK_ID_BYTES as u64);
            return;
        }
        w.put_bytes(&self.0);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let bytes = r.bytes()?;
        if let Ok(file_chunk) = <[u8; FILE_CHUNK_ID_BYTES]>::try_from(bytes) {
            self.0 = SmallVec::from_buf(file_chunk);
            return Ok(());
        }
        r.claim(bytes.len())?;
        *self = Self::new(bytes);
        Ok(())
    }
}

impl Reflect for ChunkId {
    fn reflect(&self, v: &mut dyn Visitor) {
        v.leaf(Leaf::ChunkId(self.as_bytes()));
    }
}

#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for ChunkId {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        if u.ratio(3, 4)? {
            return Ok(Self::new(&u.arbitrary::<[u8; FILE_CHUNK_ID_BYTES]>()?));
        }
        Ok(Self::new(&u.arbitrary::<alloc::vec::Vec<u8>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_files_order_like_their_places() {
        let id = |inode, track, index| {
            FileChunk {
                inode: InodeId(inode),
                track,
                index,
            }
            .id()
        };
        let sorted = [
            id(1, 0, 0),
            id(1, 0, 255),
            id(1, 0, 256),
            id(1, 1, 0),
            id(2, 0, 0),
            id(256, 0, 0),
        ];
        assert!(sorted.is_sorted());
        for chunk in &sorted {
            assert_eq!(chunk.file_chunk().map(FileChunk::id).as_ref(), Some(chunk));
        }
        assert_eq!(ChunkId::new(&[0; 15]).file_chunk(), None);
        let mut foreign = [0; 16];
        foreign[0] = 1;
        assert_eq!(
            ChunkId::new(&foreign).file_chunk(),
            None,
            "another tenant is not a file of ours"
        );
    }

    #[test]
    fn a_range_holds_the_whole_file_and_nothing_else() {
        let range = ChunkId::range_of_file(InodeId(7), 3, 0);
        let holds = |id: ChunkId| range.begin <= id && id < range.end;
        let id = |inode, index| {
            FileChunk {
                inode: InodeId(inode),
                track: 0,
                index,
            }
            .id()
        };
        assert!(holds(id(7, 3)) && holds(id(7, u32::MAX)));
        assert!(!holds(id(7, 2)) && !holds(id(8, 0)) && !holds(id(6, u32::MAX)));
    }
}
