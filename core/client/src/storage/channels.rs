//! Update channels: which one an update travels on, and which ones have to rest.
//!
//! Owner: [`StorageIo`](super::StorageIo). A channel carries one update at a time. Servers remember the last sequence number per client,
//! chain and channel, and refuse older ones; that is what makes a retry happen once.
//!
//! ```text
//!            take                 acknowledged, or failed for certain
//!   free ──────────► in use ────────────────────────────────────────► free
//!                      │ given up, and a request may still be under way
//!                      ▼
//!                   resting, with a fence around the chunks concerned
//!                      │ take, by an update inside the fence (it must travel here), or by another of the same chain (it may)
//!                      ▼
//!               in use, resting ── acknowledged ──► free, fence gone: the server refuses the old request from now on
//! ```
//!
//! A removal inside a fence that finds nothing leaves no trace at the server, and so keeps nothing out. If the late request could make
//! a chunk, the removal makes an empty one first, on the same channel.
//!
//! Why: a request that was given up can still arrive, even behind a newer write of the same chunk on another channel, and would
//! then undo that write. On the same channel the newer sequence number keeps it out. (Section "weaknesses" of upstream's storage
//! client notes; `src/client/storage/UpdateChannelAllocator.h` frees the channel at once.) A channel that nothing comes along for
//! rests for a limited time only.
//!
//! Limits: the channels are an argument, fences per channel [`CHANNEL_FENCES_MAX`], waiters are bounded by the parts there are.

use super::options::limits_fixed::CHANNEL_FENCES_MAX;
use super::order::Chunks;
use super::part::PartId;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use flyer_types::ids::{ChainId, ChannelId, ChannelSeq, InodeId};

/// What an update touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) chain: ChainId,
    pub(super) inode: InodeId,
    pub(super) chunks: Chunks,
    /// A chunk that it makes if there is none.
    pub(super) creates: Option<u32>,
}

/// A channel to travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) channel: ChannelId,
    /// The update must not touch chunks from here on: they are behind another fence.
    pub(super) to: u64,
}

/// How an update ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server has taken note of its sequence number.
    Acknowledged,
    /// It failed, and no request of it is under way.
    Settled,
    /// A request of it may still be under way.
    Unknown(Touched),
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    chain: ChainId,
    in_use: bool,
}

#[derive(Clone, Copy, Debug)]
struct Fence {
    channel: ChannelId,
    touched: Touched,
}

/// The channels of a shard.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    /// The one freed last is used first.
    free: Vec<ChannelId>,
    resting: BTreeMap<ChannelId, Resting>,
    fences: Vec<Fence>,
    waiting: VecDeque<(PartId, Touched)>,
    /// Channels in use that do not rest.
    in_use: usize,
    total: usize,
    /// The next sequence number: one counter for all channels, so that it grows in each.
    next: u64,
}

impl Channels {
    /// All channels with these ids, which nobody else of this client uses.
    ///
    /// # Panics
    /// If there is none, or one is 0, which means "no channel".
    pub(super) fn new(ids: &RangeInclusive<u16>) -> Self {
        let free: Vec<_> = ids.clone().rev().map(ChannelId).collect();
        assert!(
            !free.is_empty() && *ids.start() > 0,
            "storage I/O needs channels, and 0 is none"
        );
        Self {
            total: free.len(),
            free,
            resting: BTreeMap::new(),
            fences: Vec::new(),
            waiting: VecDeque::new(),
            in_use: 0,
            next: 1,
        }
    }

    /// Takes a channel for an update, if there is one.
    pub(super) fn take(&mut self, touched: &Touched) -> Option<Grant> {
        if let Some(grant) = self.behind_fence(touched) {
            let resting = self.resting.get_mut(&grant.channel)?;
            if resting.in_use {
                flyer_types::mark!("client.fenced_channel_busy");
                return None;
            }
            resting.in_use = true;
            return Some(grant);
        }
        let to = touched.chunks.to;
        // Resting channels are freed by being used; many of them are a shortage to come.
        let scarce = self.free.is_empty() || self.resting.len() * 4 > self.total;
        let rested = if scarce {
            self.take_rested(touched.chain)
        } else {
            None
        };
        let channel = rested.or_else(|| {
            let channel = self.free.pop()?;
            self.in_use += 1;
            Some(channel)
        })?;
        Some(Grant { channel, to })
    }

    /// The channel that an update has to travel on because of a fence, and how far it may reach.
    fn behind_fence(&self, touched: &Touched) -> Option<Grant> {
        if self.fences.is_empty() {
            return None;
        }
        let same_file = |fence: &&Fence| {
            fence.touched.chain == touched.chain
                && fence.touched.inode == touched.inode
                && fence.touched.chunks.overlaps(touched.chunks)
        };
        let first = self
            .fences
            .iter()
            .filter(same_file)
            .min_by_key(|fence| fence.touched.chunks.from)?;
        let others = self
            .fences
            .iter()
            .filter(same_file)
            .filter(|fence| fence.channel != first.channel);
        let to = others
            .map(|fence| u64::from(fence.touched.chunks.from))
            .min()
            .unwrap_or(touched.chunks.to);
        Some(Grant {
            channel: first.channel,
            to: to.clamp(u64::from(touched.chunks.from) + 1, touched.chunks.to),
        })
    }

    /// An idle resting channel of the chain, without too many fences.
    fn take_rested(&mut self, chain: ChainId) -> Option<ChannelId> {
        let fences = &self.fences;
        let usable = |channel: ChannelId| {
            fences.iter().filter(|fence| fence.channel == channel).count() < CHANNEL_FENCES_MAX
        };
        let (channel, resting) = self
            .resting
            .iter_mut()
            .find(|(channel, resting)| resting.chain == chain && !resting.in_use && usable(**channel))?;
        resting.in_use = true;
        Some(*channel)
    }

    /// The first of `count` sequence numbers, larger than all before.
    pub(super) fn sequence(&mut self, count: u32) -> ChannelSeq {
        let first = self.next;
        self.next += u64::from(count);
        ChannelSeq(first)
    }

    /// Queues a part until [`Channels::next_waiter`] has a channel for it.
    pub(super) fn wait(&mut self, part: PartId, touched: Touched) {
        self.waiting.push_back((part, touched));
    }

    /// Takes a part out of the queue, because it is no longer wanted.
    pub(super) fn forget(&mut self, part: PartId) {
        self.waiting.retain(|(waiting, _)| *waiting != part);
    }

    /// The longest waiting part that a channel can be given to.
    pub(super) fn next_waiter(&mut self) -> Option<(PartId, Grant)> {
        let idle = !self.free.is_empty() || self.resting.values().any(|resting| !resting.in_use);
        if !idle || self.waiting.is_empty() {
            return None;
        }
        for at in 0..self.waiting.len() {
            let (part, touched) = self.waiting[at];
            if let Some(grant) = self.take(&touched) {
                self.waiting.remove(at);
                return Some((part, grant));
            }
        }
        None
    }

    /// Gives a channel back. True if it begins to rest, or rests anew.
    pub(super) fn give_back(&mut self, channel: ChannelId, ended: Ended) -> bool {
        let rests = self.resting.contains_key(&channel);
        match ended {
            Ended::Acknowledged if rests => {
                flyer_types::mark!("client.fence_acknowledged");
                self.end_rest(channel);
            }
            Ended::Settled if rests => self.set_idle(channel),
            Ended::Acknowledged | Ended::Settled => {
                self.in_use -= 1;
                self.free.push(channel);
            }
            Ended::Unknown(touched) => {
                flyer_types::mark!("client.channel_rests");
                if rests {
                    self.set_idle(channel);
                } else {
                    self.in_use -= 1;
                    self.resting.insert(
                        channel,
                        Resting {
                            chain: touched.chain,
                            in_use: false,
                        },
                    );
                }
                self.fence_off(channel, touched);
                return true;
            }
        }
        false
    }

    /// The time of rest is over. False if the channel is in use: ask again later.
    pub(super) fn rest_is_over(&mut self, channel: ChannelId) -> bool {
        match self.resting.get(&channel) {
            Some(resting) if resting.in_use => false,
            Some(_) => {
                self.end_rest(channel);
                true
            }
            None => true,
        }
    }

    fn set_idle(&mut self, channel: ChannelId) {
        if let Some(resting) = self.resting.get_mut(&channel) {
            assert!(resting.in_use, "channel {channel} came back and was not in use");
            resting.in_use = false;
        }
    }

    fn end_rest(&mut self, channel: ChannelId) {
        self.resting.remove(&channel);
        self.fences.retain(|fence| fence.channel != channel);
        self.free.push(channel);
    }

    /// The chunk that a late request on a resting channel could make anew, although everything in the range is removed.
    pub(super) fn creates_within(&self, channel: ChannelId, touched: &Touched) -> Option<u32> {
        let of_channel = |fence: &&Fence| fence.channel == channel && fence.touched.inode == touched.inode;
        let mut creates = self
            .fences
            .iter()
            .filter(of_channel)
            .filter_map(|fence| fence.touched.creates);
        let range = u64::from(touched.chunks.from)..touched.chunks.to;
        creates.find(|index| range.contains(&u64::from(*index)))
    }

    /// Adds a fence, or widens one of the same kind that overlaps.
    fn fence_off(&mut self, channel: ChannelId, touched: Touched) {
        let overlapping = self.fences.iter_mut().find(|fence| {
            fence.channel == channel
                && fence.touched.inode == touched.inode
                && fence.touched.creates == touched.creates
                && fence.touched.chunks.overlaps(touched.chunks)
        });
        if let Some(fence) = overlapping {
            let chunks = &mut fence.touched.chunks;
            chunks.from = chunks.from.min(touched.chunks.from);
            chunks.to = chunks.to.max(touched.chunks.to);
            return;
        }
        self.fences.push(Fence { channel, touched });
        if self
            .fences
            .iter()
            .filter(|fence| fence.channel == channel)
            .count()
            > CHANNEL_FENCES_MAX
        {
            self.drop_inner(channel);
        }
    }

    /// Drops a fence that lies within another of the same channel. There is one: beyond the limit a channel takes only updates
    /// inside its fences, and ranges that overlap are united.
    fn drop_inner(&mut self, channel: ChannelId) {
        let lies_within = |inner: &Touched, outer: &Touched| {
            inner.inode == outer.inode
                && inner.chunks.from >= outer.chunks.from
                && inner.chunks.to <= outer.chunks.to
        };
        let of_channel = || {
            self.fences
                .iter()
                .enumerate()
                .filter(|(_, fence)| fence.channel == channel)
        };
        let inner = of_channel().find(|(at, inner)| {
            of_channel().any(|(other, outer)| other != *at && lies_within(&inner.touched, &outer.touched))
        });
        let inner = inner.map_or_else(|| of_channel().map(|(at, _)| at).next(), |(at, _)| Some(at));
        if let Some(at) = inner {
            self.fences.remove(at);
        }
    }

    /// Number of parts that wait.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// Channels that carry an update.
    pub(super) fn in_use_len(&self) -> usize {
        self.in_use + self.resting.values().filter(|resting| resting.in_use).count()
    }

    /// Channels that rest.
    pub(super) fn resting_len(&self) -> usize {
        self.resting.len()
    }

    pub(super) fn check(&self) {
        assert!(
            self.free.len() + self.resting.len() + self.in_use == self.total,
            "{} channels free, {} resting, {} in use of {}",
            self.free.len(),
            self.resting.len(),
            self.in_use,
            self.total
        );
        for fence in &self.fences {
            let resting = self.resting.get(&fence.channel);
            assert!(
                resting.is_some_and(|resting| resting.chain == fence.touched.chain),
                "{fence:?} belongs to no resting channel of its chain"
            );
        }
        for channel in self.resting.keys() {
            let fences = self
                .fences
                .iter()
                .filter(|fence| fence.channel == *channel)
                .count();
            assert!(
                (1..=CHANNEL_FENCES_MAX).contains(&fences),
                "resting channel {channel} has {fences} fences"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(chain: u32, index: u32) -> Touched {
        Touched {
            chain: ChainId(chain),
            inode: InodeId(1),
            chunks: Chunks {
                from: index,
                to: u64::from(index) + 1,
            },
            creates: Some(index),
        }
    }

    fn range(from: u32, to: u64) -> Touched {
        Touched {
            chunks: Chunks { from, to },
            creates: None,
            ..chunk(1, 0)
        }
    }

    #[test]
    fn a_channel_has_only_so_many_fences() {
        let mut channels = Channels::new(&(1..=1));
        for index in 0..8 {
            let grant = channels.take(&chunk(1, index)).expect("the channel is idle");
            channels.give_back(grant.channel, Ended::Unknown(chunk(1, index)));
            channels.check();
        }
        assert_eq!(channels.take(&chunk(1, 8)), None, "too many fences");
        assert_eq!(channels.take(&chunk(2, 0)), None, "another chain");
        assert!(channels.take(&chunk(1, 3)).is_some(), "inside a fence");
        assert_eq!(channels.take(&chunk(1, 4)), None, "in use");
        assert!(!channels.rest_is_over(ChannelId(1)));
        channels.give_back(ChannelId(1), Ended::Acknowledged);
        channels.check();
        assert_eq!(channels.resting_len(), 0);
        assert!(channels.take(&chunk(2, 0)).is_some());
    }

    #[test]
    fn an_update_reaches_only_up_to_the_next_fence() {
        let mut channels = Channels::new(&(1..=9));
        let [low, high] = [range(10, 20), range(30, 40)].map(|touched| {
            let grant = channels.take(&touched).expect("channels are free");
            (grant.channel, touched)
        });
        for (channel, touched) in [low, high] {
            channels.give_back(channel, Ended::Unknown(touched));
        }
        let grant = channels.take(&range(0, 1 << 32)).expect("both are idle");
        assert_eq!((grant.channel, grant.to), (low.0, 30));
        let rest = channels.take(&range(30, 1 << 32)).expect("the other is idle");
        assert_eq!((rest.channel, rest.to), (high.0, 1 << 32));
        channels.check();
    }
}
