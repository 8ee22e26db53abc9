//! What a chunk may hold after the process was killed or power failed, under random updates, syncs and crashes.

use crate::disk::Disk;
use crate::kit::{Host, code, crc, none, range};
use flyer_cluster::storage::{DiskOp, In, Place};
use flyer_types::{Rng, StatusCode};
use flyer_wire::service::storage::Request;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const CHUNKS: u32 = 3;
/// Large enough to move from 4 KiB to a full block.
const CHUNK_BYTES: u32 = 12 << 10;

/// What a chunk holds; `None`: it does not exist.
type Content = Option<Vec<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Write {
        chunk: u32,
        off: u32,
        len: u32,
        checksum: bool,
    },
    Overwrite {
        chunk: u32,
        checksum: bool,
    },
    Truncate {
        chunk: u32,
        len: u32,
        extend: bool,
    },
    Remove {
        chunk: u32,
    },
    Read {
        chunk: u32,
    },
    /// Completes an operation of the disk, any of those under way.
    Complete {
        at: usize,
    },
    Run,
    SyncBegin,
    DataDurable,
    SyncEnd {
        well: bool,
    },
    Sync,
    Crash {
        power: bool,
        lose_commits: bool,
        seed: u64,
    },
}

/// An update that was not answered.
struct Pending {
    call: u32,
    op: Op,
    data: Vec<u8>,
}

#[derive(Default)]
struct Chunk {
    /// What it held since the last sync, oldest first; the last is what it holds.
    states: Vec<Content>,
    pending: VecDeque<Pending>,
    /// All bytes ever written at each offset.
    history: Vec<BTreeSet<u8>>,
}

impl Chunk {
    fn new() -> Self {
        Self {
            states: vec![None],
            history: vec![BTreeSet::new(); CHUNK_BYTES as usize],
            ..Self::default()
        }
    }

    fn now(&self) -> &Content {
        self.states.last().unwrap()
    }

    fn after(state: &Content, pending: &Pending) -> Content {
        let mut bytes = state.clone().unwrap_or_default();
        match &pending.op {
            Op::Write { off, .. } => {
                let end = *off as usize + pending.data.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*off as usize..end].copy_from_slice(&pending.data);
            }
            Op::Truncate {
                len, extend: false, ..
            } => bytes.resize(*len as usize, 0),
            Op::Truncate { len, .. } => bytes.resize(bytes.len().max(*len as usize), 0),
            Op::Remove { .. } => return None,
            other => unreachable!("not an update: {other:?}"),
        }
        Some(bytes)
    }

    fn expected(&self) -> Content {
        self.pending
            .iter()
            .fold(self.now().clone(), |state, pending| Self::after(&state, pending))
    }

    /// The bytes that the first pending update may have put there already.
    fn half_written(&self, at: usize) -> Option<u8> {
        let first = self.pending.front()?;
        let Op::Write { off, .. } = first.op else {
            return None;
        };
        first.data.get(at.checked_sub(off as usize)?).copied()
    }

    fn check_after_kill(&self, found: &Content) -> Result<(), String> {
        let (Some(found), Some(now)) = (found, self.now()) else {
            return (found == self.now())
                .then_some(())
                .ok_or_else(|| "it came or went".to_owned());
        };
        if found.len() != now.len() {
            return Err(format!("{} bytes instead of {}", found.len(), now.len()));
        }
        for (at, (found, now)) in found.iter().zip(now).enumerate() {
            if found != now && self.half_written(at) != Some(*found) {
                return Err(format!("byte {at} is {found} instead of {now}"));
            }
        }
        Ok(())
    }

    fn check_after_power_failure(&self, found: &Content) -> Result<(), String> {
        let Some(found) = found else {
            let went = self.states.iter().any(Option::is_none);
            return went.then_some(()).ok_or_else(|| "it is gone".to_owned());
        };
        let lengths: Vec<usize> = self.states.iter().flatten().map(Vec::len).collect();
        if !lengths.contains(&found.len()) {
            return Err(format!("{} bytes is none of {lengths:?}", found.len()));
        }
        for (at, found) in found.iter().enumerate() {
            let held: Vec<Option<u8>> = self
                .states
                .iter()
                .map(|state| state.as_ref().and_then(|bytes| bytes.get(at)).copied())
                .collect();
            let was_always = held.iter().all(Option::is_some);
            let is_known = held.contains(&Some(*found)) || self.half_written(at) == Some(*found);
            let is_old = !was_always && (*found == 0 || self.history[at].contains(found));
            if !is_known && !is_old {
                return Err(format!("byte {at} is {found}, of {held:?}"));
            }
        }
        Ok(())
    }
}

/// A sync that is open.
struct Sync {
    states: Vec<usize>,
    disk: usize,
    store: Option<usize>,
}

struct World {
    host: Option<Host>,
    chunks: Vec<Chunk>,
    reads: Vec<(u32, flyer_types::Segments, u32, Content)>,
    syncs: VecDeque<Sync>,
    fill: u8,
}

impl World {
    fn new() -> Self {
        let mut host = Host::new();
        host.chunk_size = CHUNK_BYTES;
        host.sync();
        Self {
            host: Some(host),
            chunks: (0..CHUNKS).map(|_| Chunk::new()).collect(),
            reads: Vec::new(),
            syncs: VecDeque::new(),
            fill: 0,
        }
    }

    fn host(&mut self) -> &mut Host {
        self.host.as_mut().unwrap()
    }

    /// Bytes that differ from those of the last updates.
    fn data(&mut self, len: u32) -> Vec<u8> {
        self.fill = self.fill % 250 + 1;
        let fill = self.fill;
        (0..len)
            .map(|at| fill.wrapping_add(u8::try_from(at % 3).unwrap()))
            .collect()
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Write {
                chunk,
                off,
                len,
                checksum,
            } => self.write(chunk, off, len, checksum),
            Op::Overwrite { chunk, checksum } => {
                let len = self.chunks[chunk as usize]
                    .expected()
                    .map_or(100, |bytes| bytes.len().max(1));
                self.write(chunk, 0, u32::try_from(len).unwrap(), checksum);
            }
            Op::Truncate { chunk, len, extend } => {
                let request = self.host().truncate_request(chunk, len, extend);
                let call = self
                    .host()
                    .send(Request::TruncateChunks(request), Default::default());
                self.pend(chunk, call, op, Vec::new());
            }
            Op::Remove { chunk } => {
                let request = self.host().remove_request(range(chunk, chunk + 1, 1));
                let exists = self.chunks[chunk as usize].now().is_some();
                let call = self
                    .host()
                    .send(Request::RemoveChunks(request), Default::default());
                // Only chunks that exist when the range is looked at are removed.
                match exists {
                    true => self.pend(chunk, call, op, Vec::new()),
                    false => assert!(self.host().answers.remove(&call).is_some()),
                }
            }
            Op::Read { chunk } => {
                let (call, memory) = self.host().send_read(&[(chunk, 0, CHUNK_BYTES)]);
                let expected = self.chunks[chunk as usize].expected();
                self.reads.push((call, memory, chunk, expected));
            }
            Op::Complete { at } => {
                let under_way = self.host().pending.len();
                if under_way > 0 {
                    self.host().complete(at % under_way);
                }
            }
            Op::Run => self.host().run(),
            Op::SyncBegin => self.begin_sync(),
            Op::DataDurable => self.settle(),
            Op::SyncEnd { well } => self.end_sync(well),
            Op::Sync => {
                self.begin_sync();
                while !self.syncs.is_empty() {
                    self.end_sync(true);
                }
            }
            Op::Crash {
                power,
                lose_commits,
                seed,
            } => self.crash(power, lose_commits, seed),
        }
        self.collect();
    }

    fn write(&mut self, chunk: u32, off: u32, len: u32, checksum: bool) {
        let data = self.data(len);
        for (at, byte) in data.iter().enumerate() {
            self.chunks[chunk as usize].history[off as usize + at].insert(*byte);
        }
        let sum = if checksum { crc(&data) } else { none() };
        let request = self.host().write_request(chunk, off, &data, sum);
        let call = self.host().send_write(request, &data);
        self.pend(
            chunk,
            call,
            Op::Write {
                chunk,
                off,
                len,
                checksum,
            },
            data,
        );
    }

    fn pend(&mut self, chunk: u32, call: u32, op: Op, data: Vec<u8>) {
        self.chunks[chunk as usize]
            .pending
            .push_back(Pending { call, op, data });
    }

    /// Takes note of what was answered.
    fn collect(&mut self) {
        let host = self.host.as_mut().unwrap();
        for chunk in &mut self.chunks {
            while let Some(first) = chunk.pending.front() {
                let Some(answer) = host.answers.remove(&first.call) else {
                    break;
                };
                let result = format!("{answer:?}");
                assert!(
                    answer.is_ok() && !result.contains("Err("),
                    "{:?}: {result}",
                    first.op
                );
                let state = Chunk::after(chunk.now(), first);
                chunk.states.push(state);
                chunk.pending.pop_front();
            }
            let unordered = chunk
                .pending
                .iter()
                .any(|pending| host.answers.contains_key(&pending.call));
            assert!(!unordered, "updates of a chunk are done in order");
        }
        let reads = std::mem::take(&mut self.reads);
        for (call, memory, chunk, expected) in reads {
            if !host.answers.contains_key(&call) {
                self.reads.push((call, memory, chunk, expected));
                continue;
            }
            let (result, bytes) = host.read_results_now(call, &memory).remove(0);
            assert_eq!(found(code(&result), bytes), expected, "chunk {chunk}");
        }
    }

    fn begin_sync(&mut self) {
        if self.syncs.len() >= 3 {
            return;
        }
        self.host().input(In::SyncBegun);
        let states = self.chunks.iter().map(|chunk| chunk.states.len() - 1).collect();
        let disk = self.host().disk.mark();
        self.syncs.push_back(Sync {
            states,
            disk,
            store: None,
        });
    }

    fn settle(&mut self) {
        let Some(at) = self.syncs.iter().position(|sync| sync.store.is_none()) else {
            return;
        };
        let disk = self.syncs[at].disk;
        self.host().disk.make_durable(disk);
        self.host().input(In::DataDurable);
        let store = self.host().store.mark();
        self.syncs[at].store = Some(store);
    }

    fn end_sync(&mut self, well: bool) {
        if self.syncs.is_empty() {
            return;
        }
        if well && self.syncs[0].store.is_none() {
            self.settle();
        }
        let sync = self.syncs.pop_front().unwrap();
        if well {
            self.host().store.make_durable(sync.store.unwrap());
        }
        self.host().input(In::SyncEnded(well));
        if well {
            self.forget_states(&sync.states);
        }
    }

    /// States before those of a sync cannot come back.
    fn forget_states(&mut self, first: &[usize]) {
        for (chunk, first) in self.chunks.iter_mut().zip(first) {
            chunk.states.drain(..first);
        }
        for sync in &mut self.syncs {
            for (state, first) in sync.states.iter_mut().zip(first) {
                *state -= first;
            }
        }
    }

    fn crash(&mut self, power: bool, lose_commits: bool, seed: u64) {
        let mut rng = Rng::from_seed(seed);
        let mut host = self.host.take().unwrap();
        for (_, op) in std::mem::take(&mut host.pending) {
            let data = match &op {
                DiskOp::Write { from, .. } => host.bytes_of(from),
                _ => Vec::new(),
            };
            let bytes = u32::try_from(rng.below(u64::from(2 * CHUNK_BYTES))).unwrap();
            host.disk.carry_out(&op, &data, Some(bytes));
        }
        if power {
            host.store.lose_commits(&mut rng);
            host.disk.fail_power(&mut rng);
            scrub_forgotten(&mut host);
        } else if lose_commits {
            host.store.kill(&mut rng);
        }
        let loses = power || lose_commits;
        let mut host = host.reopen(power);
        self.syncs.clear();
        self.reads.clear();
        for (index, chunk) in (0u32..).zip(&mut self.chunks) {
            let (result, bytes) = host.read(index, 0, CHUNK_BYTES);
            let found = found(code(&result), bytes);
            let verdict = match loses {
                true => chunk.check_after_power_failure(&found),
                false => chunk.check_after_kill(&found),
            };
            if let Err(why) = verdict {
                panic!("chunk {index} after power {power}, lost commits {lose_commits}: {why}");
            }
            chunk.pending.clear();
            if power {
                chunk.states.clear();
            }
            chunk.states.push(found);
        }
        self.host = Some(host);
        if power {
            // What survived is on the medium, and the doubts about it are, too, with the first sync.
            self.step(Op::Sync);
        }
    }
}

fn found(code: StatusCode, bytes: Vec<u8>) -> Content {
    match code {
        StatusCode::OK => Some(bytes),
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND => None,
        other => panic!("neither there nor missing: {other:?}"),
    }
}

/// Makes blocks zero that count as clean because their reservation was lost: a second power failure there is not promised for.
fn scrub_forgotten(host: &mut Host) {
    let mut dirty = BTreeMap::new();
    for (key, value) in host.store.entries(b"SGRP") {
        let group = u32::from_be_bytes(key[5..9].try_into().unwrap());
        dirty.insert((1u32 << key[4], u64::from(group)), value[128..].to_vec());
    }
    let is_dirty = |place: Place| {
        let group = dirty.get(&(place.block_bytes, place.index / 1024));
        group.is_some_and(|bits| {
            let block = usize::try_from(place.index % 1024).unwrap();
            bits[block / 8] >> (block % 8) & 1 == 1
        })
    };
    host.disk.make_durable(host.disk.mark());
    host.disk.scrub(is_dirty);
}

fn ops() -> impl Strategy<Value = Op> {
    let chunk = 0..CHUNKS;
    let edge = prop_oneof![
        0u32..CHUNK_BYTES,
        Just(0u32),
        (0u32..24).prop_map(|n| n * 512),
        Just(4096u32)
    ];
    prop_oneof![
        6 => (chunk.clone(), edge.clone(), 1u32..6000, any::<bool>()).prop_map(|(chunk, off, len, checksum)| {
            let off = off.min(CHUNK_BYTES - 1);
            Op::Write { chunk, off, len: len.min(CHUNK_BYTES - off), checksum }
        }),
        2 => (chunk.clone(), any::<bool>()).prop_map(|(chunk, checksum)| Op::Overwrite { chunk, checksum }),
        3 => (chunk.clone(), edge, any::<bool>()).prop_map(|(chunk, len, extend)| Op::Truncate { chunk, len, extend }),
        1 => chunk.clone().prop_map(|chunk| Op::Remove { chunk }),
        2 => chunk.prop_map(|chunk| Op::Read { chunk }),
        6 => any::<usize>().prop_map(|at| Op::Complete { at }),
        4 => Just(Op::Run),
        2 => Just(Op::SyncBegin),
        2 => Just(Op::DataDurable),
        2 => prop::bool::weighted(0.85).prop_map(|well| Op::SyncEnd { well }),
        1 => Just(Op::Sync),
        1 => (any::<bool>(), any::<bool>(), any::<u64>())
            .prop_map(|(power, lose_commits, seed)| Op::Crash { power, lose_commits, seed }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Reads see what updates before them left; after a kill nothing answered is missing, unless the store lost its last commits;
    /// after a power failure nothing synced is; never does a chunk show bytes that were not written to it, and never is a checksum
    /// wrong.
    #[test]
    fn chunks_survive_crashes(ops in prop::collection::vec(ops(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        world.step(Op::Run);
        world.step(Op::Crash { power: false, lose_commits: false, seed: 1 });
        world.step(Op::Sync);
        world.step(Op::Crash { power: true, lose_commits: true, seed: 2 });
    }
}

#[test]
fn synced_bytes_survive_a_move_that_was_not_synced() {
    let mut host = Host::new();
    host.write(0, 0, &[7; 4000]);
    host.sync();
    host.write(0, 4000, &[8; 4000]);
    // The new record is durable, the bytes in the new block are not.
    host.store.make_durable(host.store.mark());
    host.disk.fail_power(&mut Rng::from_seed(3));
    host.disk = lose_everything(host.disk, 8192);
    let mut host = host.reopen(true);
    assert_eq!(host.content(0), [7; 4000]);
}

#[test]
fn a_sync_that_begins_while_a_chunk_moves_again_keeps_its_promise() {
    let mut world = World::new();
    world.step(Op::Write {
        chunk: 0,
        off: 0,
        len: 1,
        checksum: true,
    });
    world.step(Op::Run);
    // A full write with a checksum goes to another block: the first move.
    world.step(Op::Overwrite {
        chunk: 0,
        checksum: false,
    });
    world.step(Op::Complete { at: 0 });
    // The second one, to a larger block, has not been committed when the sync begins.
    world.step(Op::Write {
        chunk: 0,
        off: 3072,
        len: 1025,
        checksum: false,
    });
    world.step(Op::SyncBegin);
    world.step(Op::Run);
    world.step(Op::SyncEnd { well: true });
    world.step(Op::Crash {
        power: true,
        lose_commits: false,
        seed: 0,
    });
}

/// A disk whose larger blocks never arrived.
fn lose_everything(mut disk: Disk, block_bytes: u32) -> Disk {
    disk.scrub(|place| place.block_bytes < block_bytes);
    disk
}

#[test]
fn opening_reads_no_records() {
    let mut host = Host::new();
    for index in 0..100 {
        host.write(index, 0, &[1; 10]);
    }
    let groups = host.store.entries(b"SGRP");
    assert_eq!(groups.len(), 1, "100 small chunks share a group");
    // Records that cannot be read do not keep a server from opening.
    let key = host.store.entries(b"SCHK")[5].0.clone();
    let damage = [(key, Some(vec![0xff]))].into();
    flyer_cluster::store::Store::commit(&mut host.store, damage).unwrap();
    let options = flyer_cluster::storage::Options::default();
    assert!(flyer_cluster::storage::StorageServer::<_, u32>::open(host.store.clone(), options).is_ok());
}
