//! Which metadata server a call goes to.
//!
//! Owner: [`MetaCalls`](super::MetaCalls). Servers that failed are passed over until a call to them works, or a probe does; if all
//! failed, all are tried. An update of the routing without any server is taken for an accident and ignored.
//!
//! Limits: servers of the routing. Source: `src/client/meta/ServerSelectionStrategy.cc` upstream; the order of preference of
//! [`Selection::RandomFollow`] is the client's own affair, so it is drawn, not hashed.

use super::options::Selection;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use flyer_types::Rng;
use flyer_types::ids::NodeId;

/// The servers.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    selection: Selection,
    /// Ascending.
    nodes: Vec<NodeId>,
    /// Some of them: those that failed.
    failed: BTreeSet<NodeId>,
    /// Servers chosen so far.
    turns: usize,
    /// For choices.
    rng: Rng,
    /// The name of the order of preference.
    preference: Rng,
}

impl Servers {
    pub(super) fn new(selection: Selection, rng: &Rng) -> Self {
        Self {
            selection,
            nodes: Vec::new(),
            failed: BTreeSet::new(),
            turns: 0,
            rng: rng.split("choice"),
            preference: rng.split("preference"),
        }
    }

    /// The servers as they are now. True if there were none before.
    pub(super) fn set(&mut self, nodes: &[NodeId]) -> bool {
        if nodes.is_empty() {
            return false;
        }
        let first = self.nodes.is_empty();
        self.nodes = nodes.to_vec();
        self.failed.retain(|node| nodes.contains(node));
        first
    }

    /// A server for a new call, or for one whose server failed.
    pub(super) fn choose(&mut self) -> Option<NodeId> {
        let good: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| !self.failed.contains(node))
            .copied()
            .collect();
        let all_failed = good.is_empty();
        let from = if all_failed { &self.nodes } else { &good };
        if from.is_empty() {
            return None;
        }
        self.turns = self.turns.wrapping_add(1);
        match self.selection {
            Selection::RoundRobin => from.get(self.turns % from.len()).copied(),
            Selection::RandomFollow if !all_failed => {
                from.iter().max_by_key(|node| self.weight(**node)).copied()
            }
            Selection::RandomFollow | Selection::UniformRandom => self.rng.pick(from).copied(),
        }
    }

    /// The preference for a server; does not depend on which others there are.
    fn weight(&self, node: NodeId) -> u64 {
        self.preference.split_index("node", u64::from(node.0)).next_u64()
    }

    /// A call to the server failed. True if that is news.
    pub(super) fn fail(&mut self, node: NodeId) -> bool {
        self.nodes.contains(&node) && self.failed.insert(node)
    }

    /// A call to the server worked.
    pub(super) fn work(&mut self, node: NodeId) {
        self.failed.remove(&node);
    }

    pub(super) fn has_failed(&self, node: NodeId) -> bool {
        self.failed.contains(&node)
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    pub(super) fn check(&self) {
        assert!(
            self.failed.iter().all(|node| self.nodes.contains(node)),
            "a server failed that is gone"
        );
    }
}
