//! Layouts of files, in little memory.
//!
//! Owner: the table of inodes. A layout that is a range of chains is kept where it is: each file has a seed of its own, so hardly two are
//! equal, and it takes less room than a reference and what that leads to. Equal lists of chains are kept once.
//!
//! Limit: one entry for each list in use, and as many again that operations held when the inode was forgotten, which are swept later.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::cell::OnceCell;
use core::ops::Deref;
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

    /// The layout as an inode keeps it.
    pub(super) fn keep(&mut self, layout: &Layout) -> FileLayout {
        match &layout.chains {
            LayoutChains::ChainRange(_) => FileLayout::Own {
                layout: layout.clone(),
                used: OnceCell::new(),
            },
            LayoutChains::Empty(_) | LayoutChains::ChainList(_) => FileLayout::Shared(self.shared(layout)),
        }
    }

    /// An inode is forgotten.
    pub(super) fn give_back(&mut self, layout: FileLayout) {
        let FileLayout::Shared(layout) = layout else {
            return;
        };
        let key = key(&layout);
        let is_known = |known: &Weak<Layout>| Weak::as_ptr(known) == Arc::as_ptr(&layout);
        if Arc::strong_count(&layout) == 1 && self.known.get(&key).is_some_and(is_known) {
            self.known.remove(&key);
        }
    }

    /// The layout, shared with all who have an equal one.
    fn shared(&mut self, layout: &Layout) -> Arc<Layout> {
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

/// The layout of a file.
#[derive(Clone, Debug)]
pub(crate) enum FileLayout {
    /// The inode's own.
    Own {
        layout: Layout,
        /// For those who use it; they know it again by its address.
        used: OnceCell<Arc<Layout>>,
    },
    /// That of all with an equal one.
    Shared(Arc<Layout>),
}

impl FileLayout {
    /// For who keeps it; the same each time.
    pub(super) fn shared(&self) -> Arc<Layout> {
        match self {
            Self::Own { layout, used } => Arc::clone(used.get_or_init(|| Arc::new(layout.clone()))),
            Self::Shared(layout) => Arc::clone(layout),
        }
    }
}

impl Deref for FileLayout {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        match self {
            Self::Own { layout, .. } => layout,
            Self::Shared(layout) => layout,
        }
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
    use alloc::vec::Vec;
    use flyer_types::ids::{ChainTableId, ChainTableVersion};
    use flyer_wire::msg::meta::inode::{ChainList, ChainRange, Shuffle};

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

    #[test]
    fn nothing_is_left_of_inodes_that_are_forgotten() {
        let mut layouts = Layouts::new();
        let kept: Vec<_> = (0..1000).map(|first| layouts.keep(&layout(first))).collect();
        let again = layouts.keep(&layout(7));
        assert!(Arc::ptr_eq(&again.shared(), &kept[7].shared()));
        // An operation may still use one.
        let used = kept[9].shared();
        for layout in kept {
            layouts.give_back(layout);
        }
        assert_eq!(layouts.known.len(), 2);
        layouts.give_back(again);
        assert_eq!(layouts.known.len(), 1);
        assert!(Arc::ptr_eq(&used, &layouts.keep(&layout(9)).shared()));
    }

    #[test]
    fn a_range_is_the_inodes_own_and_known_by_its_address() {
        let mut layouts = Layouts::new();
        let range = ChainRange {
            base_index: 1,
            shuffle: Shuffle::STD_SHUFFLE_MT19937,
            seed: 5,
        };
        let layout = Layout {
            chains: LayoutChains::ChainRange(range),
            ..layout(1)
        };
        let kept = layouts.keep(&layout);
        assert!(layouts.known.is_empty());
        assert_eq!((&*kept, &*kept.shared()), (&layout, &layout));
        assert!(Arc::ptr_eq(&kept.shared(), &kept.shared()));
    }
}
