//! The blocks of one part of a data file, two bits each.
//!
//! Owner: [`Blocks`](super::blocks::Blocks). Stored whole, in the batch that changes it.
//!
//! ```text
//!                 reserve                 record                  record gone
//!   clean (00) ───────────► dirty (01) ───────────► used (11) ───────────────► dirty (01)
//!      ▲                                                                           │
//!      └────────────── durably free, discarded, discard durable ───────────────────┘
//! ```
//!
//! A block is made dirty before anything is written to it, so a crash never leaves bytes of one chunk in a block that counts as
//! clean. Limit: [`GROUP_BLOCKS`].

/// Blocks of a group.
pub(super) const GROUP_BLOCKS: u32 = 1024;

const WORDS: usize = 16;

/// Bytes of an encoded group.
const GROUP_BYTES: usize = 2 * WORDS * 8;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    used: [u64; WORDS],
    dirty: [u64; WORDS],
}

/// Word and bit of a block.
fn place_of(block: u32) -> (usize, u64) {
    debug_assert!(block < GROUP_BLOCKS, "a block of the group");
    (block as usize / 64, 1 << (block % 64))
}

impl Group {
    /// A group without content.
    pub(super) const EMPTY: Self = Self {
        used: [0; WORDS],
        dirty: [0; WORDS],
    };

    /// The stored form.
    pub(super) fn to_bytes(&self) -> [u8; GROUP_BYTES] {
        let mut bytes = [0; GROUP_BYTES];
        let (slots, _) = bytes.as_chunks_mut::<8>();
        for (slot, word) in slots.iter_mut().zip(self.used.iter().chain(&self.dirty)) {
            *slot = word.to_le_bytes();
        }
        bytes
    }

    /// Reads the stored form; `None` if it is damaged.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; GROUP_BYTES] = bytes.try_into().ok()?;
        let (words, _) = bytes.as_chunks::<8>();
        let mut group = Self::EMPTY;
        let slots = group.used.iter_mut().chain(&mut group.dirty);
        for (slot, word) in slots.zip(words) {
            *slot = u64::from_le_bytes(*word);
        }
        group.is_sound().then_some(group)
    }

    /// Whether all used blocks are dirty.
    pub(super) fn is_sound(&self) -> bool {
        self.used
            .iter()
            .zip(&self.dirty)
            .all(|(used, dirty)| used & !dirty == 0)
    }

    /// Makes up to `count` clean blocks dirty, lowest first, and shows them.
    pub(super) fn reserve(&mut self, count: usize, mut take: impl FnMut(u32)) {
        let mut left = count;
        for (at, dirty) in (0u32..).zip(&mut self.dirty) {
            while left > 0 && *dirty != u64::MAX {
                let bit = dirty.trailing_ones();
                *dirty |= 1 << bit;
                take(at * 64 + bit);
                left -= 1;
            }
        }
    }

    /// Whether a clean block is left.
    pub(super) fn has_clean(&self) -> bool {
        self.dirty.iter().any(|dirty| *dirty != u64::MAX)
    }

    /// A record points to the block, or none any more.
    pub(super) fn set_used(&mut self, block: u32, used: bool) {
        let (word, bit) = place_of(block);
        assert!(self.dirty[word] & bit != 0, "block {block} was not reserved");
        assert!(
            (self.used[word] & bit != 0) != used,
            "block {block} is used twice or freed twice"
        );
        self.used[word] ^= bit;
    }

    /// The block is durably empty.
    pub(super) fn set_clean(&mut self, block: u32) {
        let (word, bit) = place_of(block);
        assert!(self.used[word] & bit == 0, "block {block} is in use");
        self.dirty[word] &= !bit;
    }

    /// Whether a record points to the block.
    pub(super) fn is_used(&self, block: u32) -> bool {
        let (word, bit) = place_of(block);
        self.used[word] & bit != 0
    }

    /// The blocks that no record points to and that may hold something.
    pub(super) fn left_over(&self) -> impl Iterator<Item = u32> {
        let words = (0u32..).zip(self.used.iter().zip(&self.dirty));
        words.flat_map(|(at, (used, dirty))| {
            let left = dirty & !used;
            (0..64u32)
                .filter(move |bit| left >> bit & 1 == 1)
                .map(move |bit| at * 64 + bit)
        })
    }

    /// Number of used blocks.
    pub(super) fn used_len(&self) -> u32 {
        self.used.iter().map(|word| word.count_ones()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn blocks_are_reserved_once_and_come_back_clean() {
        let mut group = Group::EMPTY;
        let mut taken = Vec::new();
        group.reserve(70, |block| taken.push(block));
        assert_eq!(taken, (0..70).collect::<Vec<_>>());
        group.set_used(65, true);
        group.set_clean(3);
        assert_eq!(group.left_over().count(), 68);
        assert_eq!(Group::of(&group.to_bytes()), Some(group.clone()));
        let mut more = Vec::new();
        group.reserve(2000, |block| more.push(block));
        assert_eq!((more[0], more[1], more.len()), (3, 70, 1024 - 69));
        assert!(!group.has_clean() && group.is_used(65) && group.used_len() == 1);
    }

    #[test]
    fn damaged_groups_are_recognised() {
        let mut bytes = Group::EMPTY.to_bytes();
        assert_eq!(Group::of(&bytes[1..]), None);
        bytes[0] = 1;
        assert_eq!(Group::of(&bytes), None, "used and clean");
    }
}
