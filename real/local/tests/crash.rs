//! Data files and database together, killed at any point: what was acknowledged is a prefix, and nothing is damaged.
//!
//! A child process writes blocks and commits what they are, one after the other, and prints a line for each step that was
//! acknowledged. The parent kills it after a number of lines that it draws, opens the directory itself and compares. The
//! rounds build on one another. `FLYER_TEST_KILLS` sets their number.

#![allow(
    clippy::unwrap_used,
    reason = "helper functions of integration tests are not 'in tests' for clippy"
)]

use flyer_cluster::storage::Place;
use flyer_cluster::store::{Batch, Store};
use flyer_local::directory::{Directory, Identity};
use flyer_local::disk::{Disk, DiskOptions, Room};
use flyer_local::store::{Database, StoreOptions, Stores};
use flyer_types::ids::Uuid;
use flyer_types::{Rng, WallTime};
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The environment variable that makes [`child_that_writes`] do something: the directory.
const CHILD: &str = "FLYER_TEST_CRASH";

/// How many kills.
const KILLS: &str = "FLYER_TEST_KILLS";

const BLOCK_BYTES: u32 = 16 << 10;

/// Blocks are written again and again, each time for another chunk.
const BLOCKS: u64 = 64;

struct Cluster {
    _directory: Directory,
    disk: Disk,
    database: Database,
    stores: Stores,
}

fn open(path: &Path) -> Cluster {
    let fresh = Identity {
        cluster: Uuid([9; 16]),
        created: WallTime::from_secs(0),
    };
    let directory = Directory::open(path, fresh).unwrap();
    let room = Arc::new(Room::open(path, 0).unwrap());
    // Several files, so that a sync has more than one to visit.
    let options = DiskOptions {
        file_bytes: 16 * u64::from(BLOCK_BYTES),
        ..DiskOptions::default()
    };
    let disk = Disk::open(&directory.data(), Arc::clone(&room), options).unwrap();
    let (database, stores) = Database::open(&directory, room, StoreOptions::default()).unwrap();
    Cluster {
        _directory: directory,
        disk,
        database,
        stores,
    }
}

/// What chunk `number` holds: something else for each number, and as long as the number says.
fn content(number: u64) -> Vec<u8> {
    let mut rng = Rng::from_seed(number);
    let len = usize::try_from(rng.range(1..=u64::from(BLOCK_BYTES))).unwrap();
    let mut bytes = vec![0; len];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn place(number: u64) -> Place {
    Place {
        block_bytes: BLOCK_BYTES,
        index: number % BLOCKS,
    }
}

fn number_of(value: Option<Vec<u8>>) -> u64 {
    value.map_or(0, |value| {
        u64::from_be_bytes(value.try_into().expect("eight bytes were stored"))
    })
}

/// Says that a step is done. One write each, so a line is there as a whole or not at all.
fn acknowledge(what: &str, number: u64) {
    let line = format!("{what} {number}\n");
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

/// Not a test by itself: writes until it is killed.
#[test]
#[ignore = "the process that the other test starts and kills"]
fn child_that_writes() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let mut cluster = open(&path);
    let first = number_of(cluster.stores.storage.get(b"last").unwrap()) + 1;
    // The step that the child before may not have come to.
    let name = Batch::from([(b"last".to_vec(), Some((first - 1).to_be_bytes().to_vec()))]);
    cluster.stores.meta.commit(name).unwrap();
    acknowledge("open", first - 1);
    let mut rng = Rng::from_seed(first);
    for number in first.. {
        let bytes = content(number);
        let halves = bytes.split_at(bytes.len() / 2);
        // The block loses its old chunk before it is written to, as a server would do it.
        let before = number.saturating_sub(BLOCKS).to_be_bytes().to_vec();
        let storage = &mut cluster.stores.storage;
        storage.commit(Batch::from([(before, None)])).unwrap();
        storage.flush().unwrap();
        let slices = [IoSlice::new(halves.0), IoSlice::new(halves.1)];
        cluster.disk.write(place(number), 0, &slices).unwrap();
        let len = u32::try_from(bytes.len()).unwrap();
        let crc = cluster.disk.checksum(place(number), 0, len).unwrap();
        let record = [crc.to_be_bytes(), len.to_be_bytes()].concat();
        let chunk = Batch::from([
            (number.to_be_bytes().to_vec(), Some(record)),
            (b"last".to_vec(), Some(number.to_be_bytes().to_vec())),
        ]);
        cluster.stores.storage.commit(chunk).unwrap();
        acknowledge("chunk", number);
        // Another server behind the same journal: always one step behind.
        let name = Batch::from([(b"last".to_vec(), Some(number.to_be_bytes().to_vec()))]);
        cluster.stores.meta.commit(name).unwrap();
        acknowledge("name", number);
        if rng.chance(1, 8) {
            cluster.disk.sync().unwrap();
            cluster.database.sync().unwrap();
            acknowledge("sync", number);
        }
    }
}

/// What the child acknowledged last, of each kind.
#[derive(Debug, Default)]
struct Acknowledged {
    chunk: u64,
    name: u64,
    sync: u64,
}

impl Acknowledged {
    fn note(&mut self, line: &str) -> bool {
        let Some((what, number)) = line.split_once(' ') else {
            return false;
        };
        let Ok(number) = number.parse() else {
            return false;
        };
        match what {
            // The harness writes without a line break before the child's first line.
            what if what.ends_with("open") => {}
            "chunk" => self.chunk = number,
            "name" => self.name = number,
            "sync" => self.sync = number,
            _ => return false,
        }
        true
    }
}

/// Runs the child and kills it after `lines` lines.
fn run_and_kill(path: &Path, lines: u64) -> Acknowledged {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "child_that_writes", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut seen = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if acknowledged.note(&line.unwrap()) {
            seen += 1;
            if seen == lines {
                // What is in the pipe by then still counts as acknowledged: it is read to its end.
                child.kill().unwrap();
            }
        }
    }
    let status = child.wait().unwrap();
    assert!(
        seen >= lines && !status.success(),
        "the child ended by itself: {status}"
    );
    acknowledged
}

/// Compares what is there with what was acknowledged; returns the last chunk.
fn compare(path: &Path, acknowledged: &Acknowledged) -> u64 {
    let cluster = open(path);
    assert_eq!(cluster.database.mended(), None, "a kill tears no journal");
    let last = number_of(cluster.stores.storage.get(b"last").unwrap());
    let name = number_of(cluster.stores.meta.get(b"last").unwrap());
    assert!(
        acknowledged.sync <= last,
        "{acknowledged:?}, but only {last} is there"
    );
    // Stronger than what is promised: the system has what was flushed, and each step flushes the one before.
    assert!(
        last + 1 >= acknowledged.chunk && last <= acknowledged.chunk + 1,
        "{last} {acknowledged:?}"
    );
    assert!(name + 1 >= acknowledged.name, "{name} {acknowledged:?}");
    // The order of commits holds across stores.
    assert!(name == last || name + 1 == last, "name {name}, chunk {last}");
    let mut chunks = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        chunks.push((u64::from_be_bytes(key.try_into().unwrap()), value.to_vec()));
        true
    };
    cluster.stores.storage.scan(&[0], &[1], &mut visit).unwrap();
    let oldest = chunks.first().map_or(last, |(number, _)| *number);
    let expected: Vec<u64> = (oldest..=last).collect();
    assert_eq!(
        chunks.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        expected
    );
    assert!(last - oldest + 1 >= last.min(BLOCKS - 1), "{oldest} {last}");
    for (number, record) in chunks {
        let bytes = content(number);
        let mut read = vec![0; bytes.len()];
        cluster.disk.read(place(number), 0, &mut read).unwrap();
        assert!(read == bytes, "chunk {number} of {last} is damaged");
        let len = u32::try_from(bytes.len()).unwrap();
        let crc = cluster.disk.checksum(place(number), 0, len).unwrap();
        assert_eq!(record, [crc.to_be_bytes(), len.to_be_bytes()].concat());
    }
    last
}

#[test]
fn what_was_acknowledged_survives_kills() {
    let kills = std::env::var(KILLS).map_or(30, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cluster");
    let mut rng = Rng::from_seed(1);
    let mut last = 0;
    for _ in 0..kills {
        let lines = rng.range(1..=400);
        let acknowledged = run_and_kill(&path, lines);
        // A child that died before its first chunk acknowledged what was there.
        let acknowledged = Acknowledged {
            chunk: acknowledged.chunk.max(last),
            name: acknowledged.name,
            sync: acknowledged.sync,
        };
        last = compare(&path, &acknowledged);
    }
    assert!(last > 50 * kills, "the children got somewhere");
}
