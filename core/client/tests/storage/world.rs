//! A host for storage I/O: time, memory, calls under way, and what may go wrong with them. The host asserts what the client
//! promises: channels carry one update at a time, numbers grow, retries keep theirs.

use crate::server::{Servers, TABLE};
use flyer_client::storage::{FileView, In, Options, Out, Outcome, StorageIo, Want};
use flyer_types::ids::{CallId, ChainTableVersion, ChannelId, InodeId, LeaseId, NodeId, RequestId, Uuid};
use flyer_types::{Checked, Effects, Lease, Machine, Rng, Segments, Span, Status, StatusCode, Text, Time};
use flyer_wire::msg::common::ClientId;
use flyer_wire::msg::meta::inode::{ChainRange, Layout, LayoutChains, Shuffle};
use flyer_wire::msg::storage::io::MessageTag;
use flyer_wire::service::storage::{Request, Response};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

pub(crate) const CHUNK: u32 = 8;
pub(crate) const STRIPE: u32 = 5;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It works.
    Works,
    /// The request is lost.
    RequestLost,
    /// The reply is lost.
    ReplyLost,
    /// The request arrives long after everybody has given up on it.
    Late,
    /// It is refused with this code.
    Refused(StatusCode),
    /// It works, and the answer is told twice.
    ToldTwice,
    /// It works, and the answer is nonsense.
    Nonsense,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a test")]
enum Event {
    /// The request reaches its server; an answer goes back after a while, if there is a call.
    Arrives { sent: Sent, fate: Fate },
    /// The host tells the outcome.
    Told {
        call: CallId,
        answer: Result<Response, Status>,
    },
    /// New routing reaches the client.
    Routing,
}

#[derive(Clone, Debug)]
struct Sent {
    call: CallId,
    node: NodeId,
    request: Request,
    memory: Segments,
    deadline: Time,
    /// What the memory held when the call was made.
    data: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) io: Checked<StorageIo<u64>>,
    pub(crate) now: Time,
    pub(crate) servers: Servers,
    pub(crate) memory: BTreeMap<u32, Vec<u8>>,
    events: BTreeMap<(Time, u64), Event>,
    event_count: u64,
    pub(crate) rng: Rng,
    /// Percent of calls that do not simply work.
    pub(crate) trouble_percent: u64,
    /// Fates of the next calls, before chance decides.
    pub(crate) fates: Vec<Fate>,
    pub(crate) done: BTreeMap<u64, (Time, Result<Outcome, Status>)>,
    pub(crate) calls_made: Vec<(NodeId, Request)>,
    pub(crate) routing_wanted: u32,
    /// Whether wishes for routing are granted.
    pub(crate) routing_comes: bool,
    /// Calls under way, and the channel they use.
    under_way: BTreeMap<CallId, Option<ChannelId>>,
    channel_last: BTreeMap<ChannelId, (u64, RequestId)>,
    ops: u64,
}

pub(crate) fn layout() -> Arc<Layout> {
    Arc::new(Layout {
        table_id: TABLE,
        table_version: ChainTableVersion(1),
        chunk_size: CHUNK,
        stripe_size: STRIPE,
        chains: LayoutChains::ChainRange(ChainRange {
            base_index: 1,
            shuffle: Shuffle::STD_SHUFFLE_MT19937,
            seed: 42,
        }),
    })
}

impl World {
    pub(crate) fn new(seed: u64, options: Options, channels: RangeInclusive<u16>) -> Self {
        let rng = Rng::from_seed(seed);
        let client = ClientId {
            uuid: Uuid([7; 16]),
            hostname: Text::from("host"),
        };
        let zeros = Lease {
            id: LeaseId::new(0, 1),
            off: 0,
            len: 3,
        };
        let options = Options { zeros, ..options };
        let io = StorageIo::new(options, client, channels, rng.split("io"));
        let mut world = Self {
            io: Checked::new(io),
            now: Time::ZERO,
            servers: Servers::new(),
            memory: BTreeMap::from([(0, vec![0; 3])]),
            events: BTreeMap::new(),
            event_count: 0,
            rng: rng.split("world"),
            trouble_percent: 0,
            fates: Vec::new(),
            done: BTreeMap::new(),
            calls_made: Vec::new(),
            routing_wanted: 0,
            routing_comes: true,
            under_way: BTreeMap::new(),
            channel_last: BTreeMap::new(),
            ops: 0,
        };
        let routing = world.servers.routing();
        world.put(In::Routing(routing));
        world
    }

    pub(crate) fn file(inode: u64) -> FileView {
        FileView {
            inode: InodeId(inode),
            layout: layout(),
            stripe: 0,
        }
    }

    /// Memory with this content.
    pub(crate) fn lease(&mut self, bytes: Vec<u8>) -> Lease {
        let slot = self.memory.len() as u32;
        let len = bytes.len() as u32;
        self.memory.insert(slot, bytes);
        Lease {
            id: LeaseId::new(slot, 1),
            off: 0,
            len,
        }
    }

    pub(crate) fn bytes(&self, lease: Lease) -> &[u8] {
        &self.memory[&lease.id.slot][lease.off as usize..][..lease.len as usize]
    }

    pub(crate) fn start(&mut self, file: FileView, want: Want) -> u64 {
        self.ops += 1;
        let op = self.ops;
        self.put(In::Start { op, file, want });
        op
    }

    pub(crate) fn put(&mut self, input: In<u64>) {
        let mut out = Effects::new();
        self.io.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn schedule(&mut self, at: Time, event: Event) {
        self.event_count += 1;
        self.events.insert((at, self.event_count), event);
    }

    fn soon(&mut self) -> Time {
        self.now + Span::from_us(self.rng.range(1..=3000))
    }

    fn take(&mut self, mut out: Effects<Out<u64>>) {
        let effects: Vec<_> = out.drain().collect();
        for effect in effects {
            match effect {
                Out::Call {
                    call,
                    node,
                    request,
                    memory,
                    deadline,
                } => self.called(call, node, request, memory, deadline),
                Out::Zero(lease) => self.fill(lease, &vec![0; lease.len as usize]),
                Out::Done { op, outcome } => {
                    let before = self.done.insert(op, (self.now, outcome));
                    assert!(before.is_none(), "operation {op} ended twice");
                }
                Out::RoutingWanted => {
                    self.routing_wanted += 1;
                    if self.routing_comes {
                        let at = self.soon();
                        self.schedule(at, Event::Routing);
                    }
                }
            }
        }
    }

    fn fill(&mut self, lease: Lease, bytes: &[u8]) {
        let memory = self.memory.get_mut(&lease.id.slot).unwrap();
        memory[lease.off as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn called(&mut self, call: CallId, node: NodeId, request: Request, memory: Segments, deadline: Time) {
        assert!(deadline > self.now, "a call without time");
        self.check_tag(call, &request);
        self.calls_made.push((node, request.clone()));
        let fate = self.fates.pop().unwrap_or_else(|| self.draw_fate(&request));
        let data = memory
            .leases()
            .iter()
            .flat_map(|lease| self.bytes(*lease).to_vec())
            .collect();
        let sent = Sent {
            call,
            node,
            request,
            memory,
            deadline,
            data,
        };
        let arrives = self.soon();
        let timeout = Event::Told {
            call,
            answer: Err(StatusCode::RPC_TIMEOUT.into()),
        };
        match fate {
            Fate::Works | Fate::ToldTwice | Fate::Nonsense => {
                self.schedule(arrives.min(deadline), Event::Arrives { sent, fate });
            }
            Fate::Refused(code) => {
                let answer = Err(code.into());
                self.schedule(arrives.min(deadline), Event::Told { call, answer });
            }
            Fate::RequestLost => self.schedule(deadline, timeout),
            Fate::ReplyLost => {
                self.schedule(arrives.min(deadline), Event::Arrives { sent, fate });
                self.schedule(deadline, timeout);
            }
            Fate::Late => {
                self.schedule(deadline, timeout);
                let at = deadline + Span::from_ms(self.rng.range(1..=100_000));
                self.schedule(at, Event::Arrives { sent, fate });
            }
        }
    }

    fn draw_fate(&mut self, request: &Request) -> Fate {
        if !self.rng.chance(self.trouble_percent, 100) {
            return Fate::Works;
        }
        let codes = [
            StatusCode::RPC_CONNECT_FAILED,
            StatusCode::RPC_REQUEST_REFUSED,
            StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH,
            StatusCode::STORAGE_TARGET_OFFLINE,
            StatusCode::STORAGE_CHUNK_NOT_COMMIT,
            StatusCode::STORAGE_CHANNEL_IS_LOCKED,
            StatusCode::STORAGE_CLIENT_CHECKSUM_MISMATCH,
            StatusCode::STORAGE_CLIENT_NO_SPACE,
        ];
        let nonsense = matches!(request, Request::BatchRead(_) | Request::Write(_));
        match self.rng.below(8) {
            0 => Fate::RequestLost,
            1 => Fate::ReplyLost,
            2 | 3 => Fate::Late,
            4 => Fate::ToldTwice,
            5 if nonsense => Fate::Nonsense,
            _ => Fate::Refused(*self.rng.pick(&codes).unwrap()),
        }
    }

    /// What a client owes its servers.
    fn check_tag(&mut self, call: CallId, request: &Request) {
        let tag: Option<(&MessageTag, bool)> = match request {
            Request::Write(r) => Some((&r.tag, false)),
            Request::TruncateChunks(r) => Some((&r.payloads[0].tag, false)),
            Request::RemoveChunks(r) => Some((&r.payloads[0].tag, true)),
            _ => None,
        };
        let channel = tag.map(|(tag, _)| tag.channel.id);
        if let Some((tag, removes)) = tag {
            assert_eq!(tag.client_id.uuid, Uuid([7; 16]));
            assert!(
                !self.under_way.values().any(|used| *used == channel),
                "channel {} carries two updates",
                tag.channel.id
            );
            let seq = tag.channel.seqnum.0;
            if let Some((last, request)) = self.channel_last.get(&tag.channel.id) {
                let again = *last == seq && *request == tag.request_id && !removes;
                assert!(
                    again || (*last < seq && (removes || *request != tag.request_id)),
                    "number {seq} of request {} follows {last} of {request}",
                    tag.request_id
                );
            }
            self.channel_last.insert(tag.channel.id, (seq, tag.request_id));
        }
        let before = self.under_way.insert(call, channel);
        assert!(before.is_none(), "{call:?} is made twice");
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Routing => {
                let routing = self.servers.routing();
                self.put(In::Routing(routing));
            }
            Event::Told { call, answer } => {
                self.under_way.remove(&call);
                self.put(In::Answer { call, answer });
            }
            Event::Arrives { sent, fate } => {
                let (mut answer, read) = self.arrives(&sent, fate);
                if matches!(fate, Fate::Late | Fate::ReplyLost) {
                    return;
                }
                if fate == Fate::Nonsense {
                    spoil(&mut answer, self.rng.chance(1, 2));
                }
                for (lease, bytes) in sent.memory.leases().iter().zip(&read) {
                    self.fill(*lease, bytes);
                }
                let (at, call) = (self.soon().min(sent.deadline), sent.call);
                if fate == Fate::ToldTwice {
                    let answer = answer.clone();
                    self.schedule(at + Span::from_ms(5), Event::Told { call, answer });
                }
                self.schedule(at, Event::Told { call, answer });
            }
        }
    }

    /// A late request goes to where it was sent; the server there refuses it if the chain has changed.
    fn arrives(&mut self, sent: &Sent, fate: Fate) -> (Result<Response, Status>, Vec<Vec<u8>>) {
        debug_assert!(fate != Fate::RequestLost);
        self.servers.carry_out(sent.node, &sent.request, &sent.data)
    }

    /// The next thing happens. False: nothing will ever happen.
    pub(crate) fn step(&mut self) -> bool {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let due = self.io.poll_timeout().map(|(at, _)| at);
        match (event, due) {
            (Some(event), due) if due.is_none_or(|due| event <= due) => {
                self.now = self.now.max(event);
                let (_, event) = self.events.pop_first().unwrap();
                self.happens(event);
            }
            (_, Some(due)) => {
                self.now = self.now.max(due);
                let mut out = Effects::new();
                self.io.handle_timeout(self.now, &mut out);
                self.take(out);
            }
            (None, None) => return false,
            (Some(_), None) => unreachable!("an event without a deadline comes first"),
        }
        true
    }

    /// Runs until an operation has ended.
    pub(crate) fn wait(&mut self, op: u64) -> Result<Outcome, StatusCode> {
        while !self.done.contains_key(&op) {
            assert!(self.step(), "operation {op} hangs");
        }
        self.done[&op].1.clone().map_err(|status| status.code)
    }

    pub(crate) fn run(&mut self, file: FileView, want: Want) -> Result<Outcome, StatusCode> {
        let op = self.start(file, want);
        self.wait(op)
    }

    pub(crate) fn write(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<Outcome, StatusCode> {
        let from = self.lease(bytes.to_vec()).into();
        self.run(Self::file(inode), Want::Write { offset, from })
    }

    pub(crate) fn read(&mut self, inode: u64, offset: u64, len: usize) -> Result<Vec<u8>, StatusCode> {
        let into = self.lease(vec![0xee; len]);
        self.run(Self::file(inode), Want::Read { offset, into })?;
        Ok(self.bytes(into).to_vec())
    }
}

/// Makes nonsense of an answer.
fn spoil(answer: &mut Result<Response, Status>, one_way: bool) {
    match answer {
        Ok(Response::BatchRead(rsp)) if one_way => rsp.results[0].length_info = Ok(1 << 20),
        Ok(Response::BatchRead(rsp)) => {
            rsp.results.pop();
        }
        Ok(Response::Write(rsp)) => rsp.result.length_info = Ok(1 << 20),
        _ => {}
    }
}
