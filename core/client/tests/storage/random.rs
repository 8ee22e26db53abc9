//! Random operations with random failures, compared with a byte model after each event.
//!
//! The model holds for each byte of a file the values it may have. An update adds its value when it starts; when it is acknowledged
//! only its value, and those of updates that started later, remain; when it fails, old and new remain. So acknowledged writes
//! are exact, failed ones old-or-new, and a late request that undid an acknowledged write would be seen at once.

use crate::world::{CHUNK, World};
use flyer_client::storage::{Options, Outcome, Want};
use flyer_types::ids::{ChainId, InodeId};
use flyer_types::{Lease, Span, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const FILE_BYTES: u64 = 16 * CHUNK as u64;
const FILES: u64 = 2;

/// What an operation in flight does.
#[derive(Clone, Debug)]
enum Doing {
    /// Writes these bytes from there on.
    Bytes(u64, Vec<u8>),
    /// Makes a range zero.
    Zeros(u64, u64),
    /// Reads to there.
    Read(u64, Lease),
    /// Looks for something, which can be checked if nothing else went on meanwhile.
    Look(bool),
}

#[derive(Clone, Debug)]
struct InFlight {
    inode: u64,
    doing: Doing,
    started: Time,
    /// Removal may take longer as long as it makes progress.
    may_take_long: bool,
    /// Reads: values that each byte had at some time since the start.
    seen: Vec<BTreeSet<u8>>,
}

impl InFlight {
    fn effect(&self, inode: u64, at: u64) -> Option<u8> {
        match &self.doing {
            _ if self.inode != inode => None,
            Doing::Bytes(from, bytes) => bytes
                .get(usize::try_from(at.checked_sub(*from)?).unwrap())
                .copied(),
            Doing::Zeros(from, to) => (*from..*to).contains(&at).then_some(0),
            Doing::Read(..) | Doing::Look(_) => None,
        }
    }
}

struct Model {
    world: World,
    possible: BTreeMap<(u64, u64), BTreeSet<u8>>,
    in_flight: BTreeMap<u64, InFlight>,
    budget: Span,
    value: u8,
}

impl Model {
    fn new(seed: u64, trouble_percent: u64) -> Self {
        let options = Options {
            ops_max: 12,
            calls_max: 4,
            node_calls_max: 2,
            remove_chunks_max: 2,
            io_bytes_max: if seed.is_multiple_of(2) { 5 } else { 1 << 20 },
            batch_ios_max: 3,
            ..Options::default()
        };
        let mut world = World::new(seed, options, 5..=10);
        world.trouble_percent = trouble_percent;
        let zero = BTreeSet::from([0]);
        let bytes = (1..=FILES).flat_map(|inode| (0..FILE_BYTES).map(move |at| (inode, at)));
        Self {
            world,
            possible: bytes.map(|byte| (byte, zero.clone())).collect(),
            in_flight: BTreeMap::new(),
            budget: options.retry.budget,
            value: 0,
        }
    }

    /// Starts a random operation.
    fn start(&mut self) {
        let inode = self.world.rng.range(1..=FILES);
        let at = self.world.rng.below(FILE_BYTES);
        let len = self
            .world
            .rng
            .range(1..=(FILE_BYTES - at).min(4 * u64::from(CHUNK)));
        self.value = self.value % 250 + 1;
        let quiet = self.in_flight.is_empty();
        let (doing, want, may_take_long) = match self.world.rng.below(12) {
            0..5 => {
                let bytes = vec![self.value; usize::try_from(len).unwrap()];
                let middle = self.world.rng.index(bytes.len() + 1);
                let (front, back) = bytes.split_at(middle);
                let from = [self.world.lease(front.to_vec()), self.world.lease(back.to_vec())];
                let from = from.into_iter().collect();
                (Doing::Bytes(at, bytes), Want::Write { offset: at, from }, false)
            }
            5..8 => {
                let into = self.world.lease(vec![0xee; usize::try_from(len).unwrap()]);
                (Doing::Read(at, into), Want::Read { offset: at, into }, false)
            }
            8 => (Doing::Zeros(at, FILE_BYTES), Want::Truncate { length: at }, true),
            9 => {
                let want = Want::Punch {
                    offset: at,
                    length: len,
                    file_length: FILE_BYTES,
                };
                (Doing::Zeros(at, at + len), want, true)
            }
            10 => (Doing::Look(quiet), Want::Length, false),
            _ => (Doing::Look(quiet), Want::Chunks { from: 0, to: 40 }, false),
        };
        for other in self.in_flight.values_mut() {
            if matches!(other.doing, Doing::Look(_)) {
                other.doing = Doing::Look(false);
            }
        }
        let seen = match doing {
            Doing::Read(at, into) => (at..at + u64::from(into.len))
                .map(|at| self.possible[&(inode, at)].clone())
                .collect(),
            Doing::Bytes(..) | Doing::Zeros(..) | Doing::Look(_) => Vec::new(),
        };
        let started = self.world.now;
        let new = InFlight {
            inode,
            doing,
            started,
            may_take_long,
            seen,
        };
        for ((_, at), values) in self.possible.range_mut((inode, 0)..=(inode, FILE_BYTES)) {
            values.extend(new.effect(inode, *at));
        }
        self.widen_reads();
        let op = self.world.start(World::file(inode), want);
        self.in_flight.insert(op, new);
        self.settle();
    }

    /// Reads may see what became possible since they started.
    fn widen_reads(&mut self) {
        let possible = &self.possible;
        for read in self.in_flight.values_mut() {
            if let Doing::Read(at, _) = &read.doing {
                for (seen, at) in read.seen.iter_mut().zip(*at..) {
                    seen.extend(&possible[&(read.inode, at)]);
                }
            }
        }
    }

    /// Looks at what has ended, and at all bytes.
    fn settle(&mut self) {
        let ended: Vec<u64> = self
            .in_flight
            .keys()
            .copied()
            .filter(|op| self.world.done.contains_key(op))
            .collect();
        for op in ended {
            let one = self.in_flight.remove(&op).unwrap();
            let (at, outcome) = self.world.done[&op].clone();
            let late = at.since(one.started);
            assert!(
                one.may_take_long || late <= self.budget,
                "operation {op} took {late}"
            );
            match (&one.doing, outcome) {
                (Doing::Bytes(..) | Doing::Zeros(..), Ok(_)) => self.acknowledged(op, &one),
                (Doing::Read(at, into), Ok(_)) => {
                    let read = self.world.bytes(*into).to_vec();
                    for ((value, seen), at) in read.iter().zip(&one.seen).zip(*at..) {
                        assert!(
                            seen.contains(value),
                            "byte {at} was read as {value}, possible were {seen:?}"
                        );
                    }
                }
                (Doing::Look(true), Ok(outcome)) => self.looked(&one, &outcome),
                (_, _) => {}
            }
        }
        self.check_bytes();
    }

    fn acknowledged(&mut self, op: u64, one: &InFlight) {
        for ((inode, at), values) in &mut self.possible {
            if let Some(value) = one.effect(*inode, *at) {
                let later = self
                    .in_flight
                    .range(op..)
                    .filter_map(|(_, later)| later.effect(*inode, *at));
                *values = later.chain([value]).collect();
            }
        }
    }

    /// What was found while nothing else was in flight; late requests may have come in between, so only what holds with and
    /// without them is checked.
    fn looked(&self, one: &InFlight, outcome: &Outcome) {
        if self.world.trouble_percent > 0 {
            return;
        }
        let file = self.world.servers.file(InodeId(one.inode));
        match outcome {
            Outcome::Length(length) => {
                let ends = file
                    .iter()
                    .map(|(index, bytes)| u64::from(index * CHUNK) + bytes.len() as u64);
                assert_eq!(*length, ends.max().unwrap_or(0));
            }
            Outcome::Chunks(chunks) => {
                let there: Vec<_> = file
                    .iter()
                    .map(|(index, bytes)| (*index, bytes.len() as u32))
                    .collect();
                assert_eq!(*chunks, there);
            }
            Outcome::Done => panic!("nothing was found out"),
        }
    }

    /// Every byte has a value that it may have.
    fn check_bytes(&self) {
        for inode in 1..=FILES {
            let file = self.world.servers.file(InodeId(inode));
            for at in 0..FILE_BYTES {
                let (index, off) = (
                    u32::try_from(at).unwrap() / CHUNK,
                    u32::try_from(at).unwrap() % CHUNK,
                );
                let value = file
                    .get(&index)
                    .and_then(|chunk| chunk.get(off as usize))
                    .copied()
                    .unwrap_or(0);
                let possible = &self.possible[&(inode, at)];
                assert!(
                    possible.contains(&value),
                    "byte {at} of file {inode} is {value}, possible are {possible:?}"
                );
            }
        }
    }

    fn step(&mut self) -> bool {
        let more = self.world.step();
        self.settle();
        more
    }

    fn run(&mut self, ops: u32) {
        for _ in 0..ops {
            if self.world.trouble_percent > 0 && self.world.rng.chance(1, 10) {
                let chain = self.world.rng.range(1..=u64::from(crate::server::CHAINS));
                self.world.servers.bump(ChainId(u32::try_from(chain).unwrap()));
            }
            self.start();
            for _ in 0..self.world.rng.below(12) {
                self.step();
            }
            while self.in_flight.len() >= 6 {
                assert!(self.step(), "operations hang: {:?}", self.in_flight);
            }
        }
        while !self.in_flight.is_empty() {
            assert!(self.step(), "operations hang: {:?}", self.in_flight);
        }
    }

    /// Without failures everything succeeds, and the content is what was written last.
    fn heal(&mut self) {
        self.world.trouble_percent = 0;
        for inode in 1..=FILES {
            let bytes: Vec<u8> = (0..FILE_BYTES)
                .map(|at| u8::try_from(at % 251).unwrap())
                .collect();
            self.world.write(inode, 0, &bytes).unwrap();
            // Whatever is still late must not undo it.
            while self.world.step() {
                let chunks = self.world.servers.file(InodeId(inode));
                let content: Vec<u8> = chunks
                    .values()
                    .take(16)
                    .flat_map(|chunk| chunk.iter().copied())
                    .collect();
                assert_eq!(content, bytes);
            }
            assert_eq!(self.world.read(inode, 0, bytes.len()).unwrap(), bytes);
        }
        assert!(self.world.io.inner().is_idle());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn files_hold_what_was_acknowledged(seed: u64, trouble in prop_oneof![Just(0u64), 5u64..60]) {
        let mut model = Model::new(seed, trouble);
        model.run(40);
        model.heal();
    }
}
