//! The order of chains of the layouts in use. It depends on the layout alone, and shuffling is expensive.
//!
//! Owner: [`StorageIo`](super::StorageIo). Keyed by the identity of the shared layout, which is held, so that the address
//! names no other one. Only shuffled ranges are remembered; the rest is arithmetic. Limit: [`LAYOUTS_MAX`], beyond which the one
//! that was not used for the longest time goes.

use super::options::limits_fixed::LAYOUTS_MAX;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use flyer_wire::msg::meta::inode::{Layout, LayoutChains, Shuffle};
use flyer_wire::shuffle::ShuffleMethod;

/// One layout.
#[derive(Clone, Debug)]
struct Known {
    /// Keeps the address taken.
    layout: Arc<Layout>,
    /// Indexes of the chains by slot.
    indexes: Vec<u32>,
    /// When it was used last; no two are equal.
    used: u64,
}

/// The orders that are remembered.
#[derive(Clone, Debug)]
pub(super) struct Layouts {
    /// By address. Addresses differ from run to run, so this is only looked into, never walked in order.
    known: BTreeMap<usize, Known>,
    uses: u64,
    method: ShuffleMethod,
}

impl Layouts {
    pub(super) const fn new(method: ShuffleMethod) -> Self {
        Self {
            known: BTreeMap::new(),
            uses: 0,
            method,
        }
    }

    /// The index of the chain of a slot; `None` if the layout has no such slot.
    pub(super) fn index(&mut self, layout: &Arc<Layout>, slot: u32) -> Option<u32> {
        let at = usize::try_from(slot).ok()?;
        match &layout.chains {
            LayoutChains::Empty(_) => None,
            LayoutChains::ChainList(list) => list.chain_indexes.get(at).copied(),
            LayoutChains::ChainRange(range) if range.shuffle != Shuffle::STD_SHUFFLE_MT19937 => {
                (slot < layout.stripe_size).then(|| range.base_index.wrapping_add(slot))
            }
            LayoutChains::ChainRange(_) => self.shuffled(layout).get(at).copied(),
        }
    }

    /// The order of a shuffled layout.
    fn shuffled(&mut self, layout: &Arc<Layout>) -> &[u32] {
        self.uses += 1;
        let address = Arc::as_ptr(layout).addr();
        if !self.known.contains_key(&address) && self.known.len() >= LAYOUTS_MAX {
            self.forget_oldest();
        }
        let method = self.method;
        let known = self.known.entry(address).or_insert_with(|| Known {
            layout: Arc::clone(layout),
            indexes: layout.chain_indexes(method),
            used: 0,
        });
        debug_assert!(Arc::ptr_eq(&known.layout, layout), "an address names two layouts");
        known.used = self.uses;
        &known.indexes
    }

    /// The minimum is the same in whatever order one looks.
    fn forget_oldest(&mut self) {
        flyer_types::mark!("client.layout_forgotten");
        let oldest = self
            .known
            .iter()
            .min_by_key(|(_, known)| known.used)
            .map(|(at, _)| *at);
        if let Some(address) = oldest {
            self.known.remove(&address);
        }
    }

    pub(super) fn check(&self) {
        assert!(self.known.len() <= LAYOUTS_MAX, "more layouts than the limit");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_types::ids::{ChainTableId, ChainTableVersion};
    use flyer_wire::msg::meta::inode::ChainRange;

    fn layout(seed: u64) -> Arc<Layout> {
        Arc::new(Layout {
            table_id: ChainTableId(1),
            table_version: ChainTableVersion(1),
            chunk_size: 4096,
            stripe_size: 16,
            chains: LayoutChains::ChainRange(ChainRange {
                base_index: 17,
                shuffle: Shuffle::STD_SHUFFLE_MT19937,
                seed,
            }),
        })
    }

    #[test]
    fn no_more_layouts_are_kept_than_the_limit_and_the_oldest_goes() {
        let _guard = flyer_types::mark::require(["client.layout_forgotten"]);
        let mut layouts = Layouts::new(ShuffleMethod::Gpp11);
        let kept: Vec<_> = (0..LAYOUTS_MAX as u64 + 1).map(layout).collect();
        for layout in &kept[..LAYOUTS_MAX] {
            assert_eq!(
                layouts.index(layout, 3),
                layout.chain_indexes(ShuffleMethod::Gpp11).get(3).copied()
            );
        }
        assert!(layouts.index(&kept[0], 0).is_some());
        assert!(layouts.index(&kept[LAYOUTS_MAX], 0).is_some());
        layouts.check();
        assert_eq!(layouts.known.len(), LAYOUTS_MAX);
        assert_eq!(Arc::strong_count(&kept[0]), 2, "used again, so it stays");
        assert_eq!(Arc::strong_count(&kept[1]), 1, "unused for the longest time");
        assert_eq!(layouts.index(&kept[0], 16), None);
    }
}
