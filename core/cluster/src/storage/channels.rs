//! Updates are applied once: what was answered on each channel of each client.
//!
//! Owner: [`StorageServer`](super::StorageServer). A client has at most one update under way on a channel of a chain, and gives each
//! new one a higher number; a retry has the same number.
//!
//! ```text
//!              begin: new number             end
//!   (none) ──────────────────────► running ──────► answered ─┐ begin: same number, succeeded: the same answer
//!      ▲                             ▲  │ begin:      │   ▲   │ begin: lower number: 7013
//!      │ forgotten for another       │  │ 4090        │   └───┘
//!      └─────────────────────────────┼──┼─────────────┤
//!                                    │  └►            │
//!                                    └────────────────┘ begin: higher number, or the same after a failure
//! ```
//!
//! The memory is lost with the process, as upstream's. A retry after a restart is a new update.
//!
//! Limits: [`CLIENTS_MAX`], [`CHANNELS_PER_CLIENT_MAX`].

use super::options::limits::{CHANNELS_PER_CLIENT_MAX, CLIENTS_MAX};
use alloc::collections::BTreeMap;
use core::ops::Bound;
use flyer_types::ids::{ChainId, ChannelId, ChannelSeq, ChunkVersion, RequestId, Uuid};
use flyer_types::{Status, StatusCode};
use flyer_wire::msg::storage::io::{IoResult, MessageTag};

/// A channel of a client on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelKey {
    client: Uuid,
    lane: Lane,
}

type Lane = (ChainId, ChannelId);

/// What is remembered of a channel.
#[derive(Debug)]
struct Channel {
    seq: ChannelSeq,
    request: RequestId,
    /// The load of the target that it belongs to.
    incarnation: u64,
    /// The answer; `None` while the update runs.
    result: Option<IoResult>,
}

#[derive(Debug, Default)]
struct Client {
    /// When it was last heard of, in updates.
    heard: u64,
    running: usize,
    lanes: BTreeMap<Lane, Channel>,
    /// Where the search for a channel to be forgotten goes on.
    hand: Option<Lane>,
}

/// What to do with an update.
#[derive(Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "moved once and never kept")]
pub(super) enum Begin {
    /// It is new: do it, and tell the answer to [`Channels::end`].
    Run(ChannelKey),
    /// It was done: this is the answer.
    Answered(IoResult),
    /// It is refused.
    Refused(Status),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Channels {
    clients: BTreeMap<Uuid, Client>,
    updates: u64,
}

impl Channels {
    /// An update arrives. `version` is the one that it demands, if not 0.
    pub(super) fn begin(
        &mut self,
        chain: ChainId,
        tag: &MessageTag,
        version: ChunkVersion,
        incarnation: u64,
    ) -> Begin {
        let refused = |code| Begin::Refused(Status::new(code));
        let (channel, seq) = (tag.channel.id, tag.channel.seqnum);
        if channel.0 == 0 {
            return refused(StatusCode::STORAGE_CLIENT_FOUND_BUG);
        }
        let client_id = tag.client_id.uuid;
        if !self.clients.contains_key(&client_id) && !self.make_room() {
            return refused(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY);
        }
        self.updates += 1;
        let client = self.clients.entry(client_id).or_default();
        client.heard = self.updates;
        let lane = (chain, channel);
        if let Some(known) = client.lanes.get(&lane) {
            let Some(result) = &known.result else {
                return refused(StatusCode::STORAGE_CHANNEL_IS_LOCKED);
            };
            if seq < known.seq {
                return refused(StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE);
            }
            if seq == known.seq && incarnation == known.incarnation {
                if tag.request_id != known.request {
                    return refused(StatusCode::STORAGE_CLIENT_FOUND_BUG);
                }
                if result.length_info.is_ok() && (version.0 == 0 || version == result.update_ver) {
                    return Begin::Answered(result.clone());
                }
            }
        } else if client.lanes.len() >= CHANNELS_PER_CLIENT_MAX && !client.forget_one() {
            return refused(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY);
        }
        client.running += 1;
        let running = Channel {
            seq,
            request: tag.request_id,
            incarnation,
            result: None,
        };
        client.lanes.insert(lane, running);
        Begin::Run(ChannelKey {
            client: client_id,
            lane,
        })
    }

    /// The update that [`Begin::Run`] let through has been answered, be it with a failure.
    pub(super) fn end(&mut self, key: ChannelKey, result: &IoResult) {
        let client = self
            .clients
            .get_mut(&key.client)
            .expect("clients with running updates are not forgotten");
        client.running -= 1;
        let channel = client
            .lanes
            .get_mut(&key.lane)
            .expect("running channels are not forgotten");
        assert!(channel.result.is_none(), "the channel runs one update at a time");
        channel.result = Some(result.clone());
    }

    /// Forgets the client that was silent longest if there are as many as may be. False if all have updates running.
    fn make_room(&mut self) -> bool {
        if self.clients.len() < CLIENTS_MAX {
            return true;
        }
        let idle = self.clients.iter().filter(|(_, client)| client.running == 0);
        let Some(oldest) = idle.min_by_key(|(_, client)| client.heard).map(|(id, _)| *id) else {
            return false;
        };
        flyer_types::mark!("storage.client_forgotten");
        self.clients.remove(&oldest);
        true
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert!(self.clients.len() <= CLIENTS_MAX, "too many clients");
        for client in self.clients.values() {
            assert!(client.lanes.len() <= CHANNELS_PER_CLIENT_MAX, "too many channels");
            let running = client.lanes.values().filter(|channel| channel.result.is_none());
            assert!(
                running.count() == client.running,
                "running updates are miscounted"
            );
        }
    }

    /// Number of updates that run.
    pub(super) fn running(&self) -> usize {
        self.clients.values().map(|client| client.running).sum()
    }
}

impl Client {
    /// Forgets an idle channel, each in turn. False if none is idle.
    fn forget_one(&mut self) -> bool {
        let from = self.hand.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.lanes.range((from, Bound::Unbounded));
        let mut around = behind.chain(self.lanes.iter());
        let Some(lane) = around
            .find(|(_, channel)| channel.result.is_some())
            .map(|(lane, _)| *lane)
        else {
            return false;
        };
        flyer_types::mark!("storage.channel_forgotten");
        self.lanes.remove(&lane);
        self.hand = Some(lane);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers;
    use super::*;
    use flyer_wire::codec::Wire;
    use flyer_wire::msg::storage::io::UpdateChannel;

    const CHAIN: ChainId = ChainId(1);

    fn tag(client: u32, channel: u16, seq: u64, request: u64) -> MessageTag {
        let mut tag = MessageTag::initial();
        tag.client_id.uuid.0[..4].copy_from_slice(&client.to_be_bytes());
        tag.request_id = RequestId(request);
        tag.channel = UpdateChannel {
            id: ChannelId(channel),
            seqnum: ChannelSeq(seq),
        };
        tag
    }

    fn begin(channels: &mut Channels, tag: &MessageTag) -> Begin {
        let begin = channels.begin(CHAIN, tag, ChunkVersion(0), 1);
        channels.check();
        begin
    }

    fn run(channels: &mut Channels, tag: &MessageTag) -> ChannelKey {
        match begin(channels, tag) {
            Begin::Run(key) => key,
            Begin::Answered(_) | Begin::Refused(_) => panic!("{tag:?} is new"),
        }
    }

    fn done(version: u32) -> IoResult {
        IoResult {
            length_info: Ok(5),
            update_ver: ChunkVersion(version),
            commit_ver: ChunkVersion(version),
            ..IoResult::initial()
        }
    }

    fn refused(code: StatusCode) -> Begin {
        Begin::Refused(Status::new(code))
    }

    #[test]
    fn each_row_of_the_table() {
        let mut c = Channels::default();
        assert_eq!(
            begin(&mut c, &tag(1, 0, 1, 1)),
            refused(StatusCode::STORAGE_CLIENT_FOUND_BUG)
        );
        let key = run(&mut c, &tag(1, 3, 9, 1));
        assert_eq!(
            begin(&mut c, &tag(1, 3, 9, 1)),
            refused(StatusCode::STORAGE_CHANNEL_IS_LOCKED)
        );
        assert_eq!(
            begin(&mut c, &tag(1, 3, 10, 2)),
            refused(StatusCode::STORAGE_CHANNEL_IS_LOCKED)
        );
        c.end(key, &done(4));
        assert_eq!(
            begin(&mut c, &tag(1, 3, 8, 3)),
            refused(StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE)
        );
        assert_eq!(
            begin(&mut c, &tag(1, 3, 9, 2)),
            refused(StatusCode::STORAGE_CLIENT_FOUND_BUG)
        );
        assert_eq!(begin(&mut c, &tag(1, 3, 9, 1)), Begin::Answered(done(4)));
        assert_eq!(
            c.begin(CHAIN, &tag(1, 3, 9, 1), ChunkVersion(4), 1),
            Begin::Answered(done(4))
        );
        let failed = run(&mut c, &tag(1, 3, 10, 4));
        c.end(
            failed,
            &answers::failed(Status::new(StatusCode::STORAGE_CHUNK_WRITE_FAILED)),
        );
        let again = run(&mut c, &tag(1, 3, 10, 4));
        c.end(again, &done(5));
        assert!(
            matches!(
                c.begin(CHAIN, &tag(1, 3, 10, 4), ChunkVersion(6), 1),
                Begin::Run(_)
            ),
            "another version"
        );
        assert!(matches!(
            c.begin(ChainId(2), &tag(1, 3, 1, 9), ChunkVersion(0), 1),
            Begin::Run(_)
        ));
        assert!(
            matches!(begin(&mut c, &tag(1, 4, 1, 9)), Begin::Run(_)),
            "another channel"
        );
        assert!(
            matches!(begin(&mut c, &tag(2, 3, 1, 9)), Begin::Run(_)),
            "another client"
        );
        assert_eq!(c.running(), 4);
    }

    #[test]
    fn another_incarnation_of_the_target_remembers_nothing() {
        let mut c = Channels::default();
        let key = run(&mut c, &tag(1, 3, 9, 1));
        c.end(key, &done(4));
        assert!(matches!(
            c.begin(CHAIN, &tag(1, 3, 9, 7), ChunkVersion(0), 2),
            Begin::Run(_)
        ));
    }

    #[test]
    fn the_client_silent_longest_is_forgotten() {
        let mut c = Channels::default();
        let clients = u32::try_from(CLIENTS_MAX).expect("small");
        let busy = run(&mut c, &tag(0, 1, 1, 1));
        for client in 1..clients {
            let key = run(&mut c, &tag(client, 1, 1, 1));
            c.end(key, &done(client));
        }
        assert_eq!(
            begin(&mut c, &tag(1, 1, 1, 1)),
            Begin::Answered(done(1)),
            "heard of again"
        );
        run(&mut c, &tag(clients, 1, 1, 1));
        assert_eq!(c.clients.len(), CLIENTS_MAX);
        assert_eq!(begin(&mut c, &tag(1, 1, 1, 1)), Begin::Answered(done(1)));
        c.end(busy, &done(9));
        assert_eq!(
            begin(&mut c, &tag(0, 1, 1, 1)),
            Begin::Answered(done(9)),
            "was not forgotten while it ran"
        );
        run(&mut c, &tag(2, 1, 1, 1));
    }

    #[test]
    fn when_all_clients_are_busy_new_ones_are_refused() {
        let mut c = Channels::default();
        let clients = u32::try_from(CLIENTS_MAX).expect("small");
        for client in 0..clients {
            let begun = c.begin(CHAIN, &tag(client, 1, 1, 1), ChunkVersion(0), 1);
            assert!(matches!(begun, Begin::Run(_)));
        }
        assert_eq!(
            begin(&mut c, &tag(clients, 1, 1, 1)),
            refused(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY)
        );
    }

    #[test]
    fn idle_channels_of_a_client_are_forgotten_in_turn() {
        let mut c = Channels::default();
        let lanes = u32::try_from(CHANNELS_PER_CLIENT_MAX).expect("small");
        for lane in 0..lanes + 2 {
            let tag = tag(1, 1, 1, 1);
            let Begin::Run(key) = c.begin(ChainId(lane), &tag, ChunkVersion(0), 1) else {
                panic!("chain {lane} is new");
            };
            if lane > 0 {
                c.end(key, &done(1));
            }
        }
        c.check();
        let client = c.clients.values().next().expect("one client");
        assert_eq!(client.lanes.len(), CHANNELS_PER_CLIENT_MAX);
        assert!(client.lanes.contains_key(&(ChainId(0), ChannelId(1))), "it runs");
        assert!(!client.lanes.contains_key(&(ChainId(1), ChannelId(1))));
        assert!(!client.lanes.contains_key(&(ChainId(2), ChannelId(1))));
    }
}
