//! Equal layouts are kept once.
//!
//! Owner: the table of inodes. Limit: one entry for each layout in use, and as many again that are swept later.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use flyer_wire::msg::meta::inode::{Layout, LayoutChains};

/// Table, version, bytes of a chunk, chains, and a digest of which.
type Key = (u32, u32, u32, u32, u64);

/// Sweeping waits for at least so many entries.
const SWEEP_MIN: usize = 64;

#[derive(Debug)]
pub(super) struct Layouts {
    known: BTreeMap<Key, Weak<Layout>>,
    sweep_at: usize,
}

impl Layouts {
    pub(super) const fn new() -> Self {
        Self {
            known: BTreeMap::new(),
            sweep_at: SWEEP_MIN,
        }
    }

    /// The layout, shared with all who have an equal one.
    pub(super) fn shared(&mut self, layout: &Layout) -> Arc<Layout> {
        let key = key(layout);
        let known = self.known.get(&key).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| **known == *layout) {
            return known;
        }
        let layout = Arc::new(layout.clone());
        // Of two layouts with the same key the newer one is shared.
        self.known.insert(key, Arc::downgrade(&layout));
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, layout| layout.strong_count() > 0);
            self.sweep_at = SWEEP_MIN.max(2 * self.known.len());
        }
        layout
    }

    pub(super) fn check(&self) {
        assert!(self.known.len() < self.sweep_at, "layouts are not swept");
    }
}

fn key(layout: &Layout) -> Key {
    let digest = match &layout.chains {
        LayoutChains::Empty(_) => 0,
        LayoutChains::ChainRange(range) => {
            fold(range.seed, &[u32::from(range.shuffle.0) + 1, range.base_index])
        }
        LayoutChains::ChainList(list) => fold(1, &list.chain_indexes),
    };
    (
        layout.table_id.0,
        layout.table_version.0,
        layout.chunk_size,
        layout.stripe_size,
        digest,
    )
}

/// FNV-1a with words for bytes. Collisions cost memory only.
fn fold(seed: u64, words: &[u32]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed;
    words.iter().fold(start, |digest, word| {
        (digest ^ u64::from(*word)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_types::ids::{ChainTableId, ChainTableVersion};
    use flyer_wire::msg::meta::inode::ChainList;

    fn layout(first: u32) -> Layout {
        let chain_indexes = alloc::vec![first, 2];
        Layout {
            table_id: ChainTableId(1),
            table_version: ChainTableVersion(1),
            chunk_size: 4096,
            stripe_size: 2,
            chains: LayoutChains::ChainList(ChainList { chain_indexes }),
        }
    }

    #[test]
    fn equal_layouts_are_one_and_unused_ones_are_swept() {
        let mut layouts = Layouts::new();
        let one = layouts.shared(&layout(1));
        assert!(Arc::ptr_eq(&one, &layouts.shared(&layout(1))));
        assert!(!Arc::ptr_eq(&one, &layouts.shared(&layout(3))));
        for first in 10..10_000 {
            drop(layouts.shared(&layout(first)));
            layouts.check();
        }
        assert!(layouts.known.len() <= SWEEP_MIN);
        assert!(Arc::ptr_eq(&one, &layouts.shared(&layout(1))));
    }
}
