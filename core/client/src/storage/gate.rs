//! How many calls may be under way: in total, and to each node.
//!
//! Owner: [`StorageIo`](super::StorageIo). A part waits in the lane of its node and holds nothing meanwhile, so a slow node never keeps
//! others from their share of the total. Among nodes with room the part that has waited longest goes first; within a lane nobody
//! overtakes.
//!
//! ```text
//!   enter ── room ──► under way ── leave ──► ready lanes: grant
//!     └─ no room ──► wait in the lane ──────────┘
//! ```
//!
//! Limits: both numbers of calls; waiting parts are bounded by the parts there are, lanes by the nodes of the routing.

use super::part::PartId;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use flyer_types::ids::NodeId;

#[derive(Clone, Debug, Default)]
struct Lane {
    under_way: u32,
    /// With the number that says how long they have waited.
    waiting: VecDeque<(u64, PartId)>,
}

/// The counters and queues.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    free: u32,
    total: u32,
    lane_max: u32,
    lanes: BTreeMap<NodeId, Lane>,
    /// Lanes with room whose first part waits for the total, longest wait first.
    ready: BTreeSet<(u64, NodeId)>,
    tickets: u64,
}

impl Gate {
    pub(super) const fn new(total: u32, lane_max: u32) -> Self {
        Self {
            free: total,
            total,
            lane_max,
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            tickets: 0,
        }
    }

    /// Calls under way to a node.
    pub(super) fn under_way(&self, node: NodeId) -> u32 {
        self.lanes.get(&node).map_or(0, |lane| lane.under_way)
    }

    /// Starts a call if there is room and nobody waits for it.
    pub(super) fn enter(&mut self, node: NodeId) -> bool {
        let lane = self.lanes.entry(node).or_default();
        if self.free == 0 || lane.under_way >= self.lane_max || !lane.waiting.is_empty() {
            return false;
        }
        self.free -= 1;
        lane.under_way += 1;
        true
    }

    /// Queues a part for which there was no room.
    pub(super) fn wait(&mut self, node: NodeId, part: PartId) {
        self.tickets += 1;
        let lane = self.lanes.entry(node).or_default();
        lane.waiting.push_back((self.tickets, part));
        if lane.waiting.len() == 1 && lane.under_way < self.lane_max {
            self.ready.insert((self.tickets, node));
        }
    }

    /// Ends a call.
    pub(super) fn leave(&mut self, node: NodeId) {
        let Some(lane) = self.lanes.get_mut(&node) else {
            unreachable!("a call to node {node} ends that has no lane");
        };
        assert!(lane.under_way > 0, "more calls to node {node} ended than began");
        lane.under_way -= 1;
        self.free += 1;
        if let Some((ticket, _)) = lane.waiting.front() {
            self.ready.insert((*ticket, node));
        }
    }

    /// The part that may go next; its call is under way then.
    pub(super) fn grant(&mut self) -> Option<(NodeId, PartId)> {
        if self.free == 0 {
            return None;
        }
        let (_, node) = self.ready.first().copied()?;
        let part = self.pop(node)?;
        self.free -= 1;
        let lane = self.lanes.get_mut(&node)?;
        lane.under_way += 1;
        if lane.under_way >= self.lane_max {
            self.unready(node);
        }
        Some((node, part))
    }

    /// The part behind the one that was granted last, to travel with it.
    pub(super) fn front(&self, node: NodeId) -> Option<PartId> {
        self.lanes.get(&node)?.waiting.front().map(|(_, part)| *part)
    }

    /// Takes that part.
    pub(super) fn pop(&mut self, node: NodeId) -> Option<PartId> {
        self.unready(node);
        let lane = self.lanes.get_mut(&node)?;
        let (_, part) = lane.waiting.pop_front()?;
        if let Some((ticket, _)) = lane.waiting.front()
            && lane.under_way < self.lane_max
        {
            self.ready.insert((*ticket, node));
        }
        Some(part)
    }

    /// Takes a part out of its queue, because it is no longer wanted.
    pub(super) fn forget(&mut self, node: NodeId, part: PartId) {
        self.unready(node);
        let Some(lane) = self.lanes.get_mut(&node) else {
            return;
        };
        lane.waiting.retain(|(_, waiting)| *waiting != part);
        if let Some((ticket, _)) = lane.waiting.front()
            && lane.under_way < self.lane_max
        {
            self.ready.insert((*ticket, node));
        }
    }

    /// Takes all waiting parts out, by node: they have to choose again. Idle lanes are forgotten.
    pub(super) fn take_waiting(&mut self, mut taken: impl FnMut(PartId)) {
        self.ready.clear();
        for lane in self.lanes.values_mut() {
            for (_, part) in lane.waiting.drain(..) {
                taken(part);
            }
        }
        self.lanes.retain(|_, lane| lane.under_way > 0);
    }

    /// The lane's first part no longer waits for the total alone.
    fn unready(&mut self, node: NodeId) {
        if let Some((ticket, _)) = self.lanes.get(&node).and_then(|lane| lane.waiting.front()) {
            self.ready.remove(&(*ticket, node));
        }
    }

    pub(super) fn waiting_len(&self) -> usize {
        self.lanes.values().map(|lane| lane.waiting.len()).sum()
    }

    pub(super) fn check(&self) {
        let under_way: u32 = self.lanes.values().map(|lane| lane.under_way).sum();
        assert!(
            under_way + self.free == self.total,
            "{under_way} calls under way and {} free of {}",
            self.free,
            self.total
        );
        for (node, lane) in &self.lanes {
            assert!(lane.under_way <= self.lane_max, "too many calls to node {node}");
            let front = lane.waiting.front().map(|(ticket, _)| *ticket);
            let ready = front.filter(|_| lane.under_way < self.lane_max);
            assert!(
                self.ready
                    .iter()
                    .find(|(_, at)| at == node)
                    .map(|(ticket, _)| *ticket)
                    == ready,
                "node {node} is ready although it must not be, or the other way round"
            );
        }
        assert!(
            self.free == 0 || self.ready.is_empty(),
            "a part could go and waits"
        );
    }
}
