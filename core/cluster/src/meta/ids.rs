//! Inode ids: unique, never used again, from `0x1000` on.
//!
//! A counter in the store hands out blocks of 4096 ids; a block is reserved in the transaction of the operation that needs
//! it. What is left of a block when the server stops is lost. The answer that shows the first id of a block has to wait
//! until the reservation is durable: otherwise a crash could hand the id out again while chunks of the first file with that id
//! are in the storage.
//!
//! ```text
//!            next() < end                     block used up: counter c of shard s, value c * 32 + s
//!  in use ──────────────────► in use          in use ─────────────► in use (value << 12 ..= value << 12 | 4095)
//! ```
//!
//! Source: `src/meta/components/InodeIdAllocator.{h,cc}`, `src/common/utils/IdAllocator.h` upstream.

use super::keys;
use super::tx::{Res, Tx, fail};
use crate::store::Store;
use flyer_types::ids::InodeId;
use flyer_types::{Rng, StatusCode};

/// Shards of the counter.
const SHARDS: u64 = 32;
/// Ids of a block.
const BLOCK_IDS: u64 = 4096;

/// The block in use. Copied before each operation, and put back if the operation fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InodeIds {
    /// The next id.
    next: u64,
    /// End of the block, not included.
    end: u64,
    /// A block was reserved, and no answer has asked for durability since.
    reserved: bool,
}

impl InodeIds {
    /// An id nobody has.
    pub(super) fn allocate<S: Store>(&mut self, tx: &mut Tx<'_, S>, rng: &mut Rng) -> Res<InodeId> {
        if self.next == self.end {
            self.reserve(tx, rng)?;
        }
        let id = InodeId(self.next);
        self.next += 1;
        if tx.find_inode(id)?.is_some() || tx.find_inode(id.with_new_chunk_engine())?.is_some() {
            return fail(StatusCode::META_INODE_ID_ALLOC_FAILED);
        }
        Ok(id)
    }

    /// Whether the answer under way has to be durable; asks once per block.
    pub(super) fn take_reserved(&mut self) -> bool {
        core::mem::take(&mut self.reserved)
    }

    fn reserve<S: Store>(&mut self, tx: &mut Tx<'_, S>, rng: &mut Rng) -> Res<()> {
        let shard = rng.below(SHARDS);
        let key = keys::id_counter(shard);
        let counter = match tx.raw(&key)? {
            None => u64::from(shard == 0),
            Some(bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
                Ok(bytes) => u64::from_le_bytes(bytes),
                Err(_) => return fail(StatusCode::DATA_CORRUPTION),
            },
        };
        let start = counter
            .checked_mul(SHARDS)
            .and_then(|value| value.checked_add(shard))
            .and_then(|value| value.checked_mul(BLOCK_IDS));
        let Some(start) = start.filter(|start| *start < InodeId::NEW_CHUNK_ENGINE) else {
            return fail(StatusCode::META_INODE_ID_ALLOC_FAILED);
        };
        debug_assert!(start >= 0x1000, "the first value of shard 0 is 1");
        tx.put_raw(key, (counter + 1).to_le_bytes().to_vec());
        *self = Self {
            next: start,
            end: start + BLOCK_IDS,
            reserved: true,
        };
        Ok(())
    }
}
