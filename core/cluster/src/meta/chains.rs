//! Which chains a new file gets.
//!
//! Files of one (table, stripe size) take turns on the chains of the table; the turn is kept in memory, or in the directory
//! if that has a counter of its own. The order within the stripe is shuffled by a safe seed.
//!
//! Source: `src/meta/components/ChainAllocator.h` upstream.

use super::options::limits::STRIPE_CHAINS_MAX;
use super::routing::RoutingView;
use super::tx::{Res, fail};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainTableId};
use flyer_types::{Rng, Status, StatusCode};
use flyer_wire::layout::chain_of_index;
use flyer_wire::msg::meta::inode::{ChainRange, Layout, LayoutChains, Shuffle};
use flyer_wire::msg::storage::chunk::VersionedChainId;
use flyer_wire::shuffle::{ShuffleMethod, find_safe_seed};

/// Most (table, stripe size) pairs whose turn is kept; beyond it the turns start anew.
const TURNS_MAX: usize = 4096;

/// The counter of a directory that has none yet.
pub(super) const COUNTER_UNSET: u32 = u32::MAX;

/// The turn of each table and stripe size.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainTurns {
    turns: BTreeMap<(ChainTableId, u32), u32>,
}

/// Checks a layout that a request carries.
pub(super) fn check_layout(layout: &Layout) -> Res<()> {
    layout.check(true).map_err(Status::from)?;
    if layout.stripe_size > STRIPE_CHAINS_MAX {
        return fail(StatusCode::META_INVALID_FILE_LAYOUT);
    }
    Ok(())
}

/// Checks that a file with this layout can be stored: all chains are known and have targets.
pub(super) fn check_chains(layout: &Layout, routing: &RoutingView) -> Res<()> {
    check_layout(layout)?;
    layout.check(false).map_err(Status::from)?;
    for index in layout.chain_indexes(ShuffleMethod::Gpp11) {
        let chain = chain_of_index(layout.table_id, layout.table_version, index, routing).ok();
        let view = chain.and_then(|chain| routing.chains.get(&chain));
        if view.is_none_or(|view| view.targets == 0) {
            return fail(StatusCode::META_INVALID_FILE_LAYOUT);
        }
    }
    Ok(())
}

/// The first `slots` chains of a file, each once, with the versions to send.
pub(super) fn chains_of(layout: &Layout, slots: u32, routing: &RoutingView) -> Res<Vec<VersionedChainId>> {
    if layout.stripe_size > STRIPE_CHAINS_MAX {
        return fail(StatusCode::META_INVALID_FILE_LAYOUT);
    }
    let not_ready = || Status::new(StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY);
    let mut ids: Vec<ChainId> = Vec::new();
    let slots = usize::try_from(slots).unwrap_or(usize::MAX);
    for index in layout.chain_indexes(ShuffleMethod::Gpp11).into_iter().take(slots) {
        ids.push(
            chain_of_index(layout.table_id, layout.table_version, index, routing).map_err(|_| not_ready())?,
        );
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .map(|chain_id| {
            let view = routing.chains.get(&chain_id).ok_or_else(not_ready)?;
            Ok(VersionedChainId {
                chain_id,
                chain_ver: view.version,
            })
        })
        .collect()
}

impl ChainTurns {
    /// Gives a layout without chains its chains. `own` is the counter of the directory, if it has one.
    pub(super) fn allocate(
        &mut self,
        layout: &Layout,
        own: Option<&mut u32>,
        routing: &RoutingView,
        rng: &mut Rng,
    ) -> Res<Layout> {
        debug_assert!(
            matches!(layout.chains, LayoutChains::Empty(_)),
            "the layout has chains"
        );
        check_layout(layout)?;
        let stripe = layout.stripe_size;
        let table = routing.table(layout.table_id, layout.table_version);
        let Some((version, chains)) = table.filter(|(version, _)| version.0 != 0) else {
            return fail(StatusCode::META_INVALID_FILE_LAYOUT);
        };
        let count = u32::try_from(chains.len()).unwrap_or(u32::MAX);
        if count < stripe.max(1) {
            return fail(StatusCode::META_INVALID_FILE_LAYOUT);
        }
        let start = u32::try_from(rng.below(u64::from(count))).unwrap_or(0) / stripe * stripe;
        if self.turns.len() >= TURNS_MAX {
            self.turns.clear();
        }
        let counter = match own {
            Some(own) => {
                if *own == COUNTER_UNSET {
                    *own = start;
                }
                own
            }
            None => self.turns.entry((layout.table_id, stripe)).or_insert(start),
        };
        let base_index = *counter % count + 1;
        let next = (u64::from(*counter) + u64::from(stripe)) % u64::from(count);
        *counter = u32::try_from(next).unwrap_or(0);
        let Some(seed) = find_safe_seed(stripe, &mut || rng.next_u64()) else {
            return fail(StatusCode::META_FOUND_BUG);
        };
        let range = ChainRange {
            base_index,
            shuffle: Shuffle::STD_SHUFFLE_MT19937,
            seed,
        };
        Ok(Layout {
            table_version: version,
            chains: LayoutChains::ChainRange(range),
            ..layout.clone()
        })
    }
}
