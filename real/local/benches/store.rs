//! The embedded database beside the one that was not chosen, under the load of a metadata server.
//!
//! Owner: whoever decides on the database again. Keys of 20 to 40 bytes, values of 150 bytes that do not compress, three
//! records for each file created. Times include what a server pays: copies of values, one commit for each operation.
//!
//! ```text
//! cargo bench -p flyer-local --bench store -- [records [runs]]       1,000,000 records and 3 runs unless said otherwise
//! ```
//!
//! Each run is a child process in a new directory, which ends with 20,000 commits that are not synced and kills itself; a
//! second child opens what is left. Printed is the median of the runs.
//!
//! Limits: a few gigabytes of disk for three million records.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first error")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use flyer_cluster::store::{Batch, Store};
use flyer_local::directory::{Directory, Identity};
use flyer_local::disk::Room;
use flyer_local::store::{Database, LocalStore, StoreOptions};
use flyer_types::WallTime;
use flyer_types::ids::Uuid;
use redb::{Durability, ReadableDatabase, TableDefinition};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

const UNSYNCED: u64 = 20_000;
const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("meta");

/// What both databases are asked for.
trait Engine {
    fn commit(&mut self, from: u64, to: u64);
    fn get(&self, key: &[u8]) -> bool;
    fn scan(&self, from: &[u8], to: &[u8]) -> u64;
    fn sync(&mut self);
}

/// Ours: `fjall` with the cache of values.
struct Ours {
    store: LocalStore,
    database: Database,
    _directory: Directory,
}

impl Ours {
    fn open(path: &Path, value_cache_bytes: usize) -> Self {
        let fresh = Identity {
            cluster: Uuid([1; 16]),
            created: WallTime::from_secs(0),
        };
        let directory = Directory::open(path, fresh).unwrap();
        let room = Arc::new(Room::open(path, 0).unwrap());
        let options = StoreOptions {
            value_cache_bytes,
            ..StoreOptions::default()
        };
        let (database, stores) = Database::open(&directory, room, options).unwrap();
        Self {
            store: stores.meta,
            database,
            _directory: directory,
        }
    }
}

impl Engine for Ours {
    fn commit(&mut self, from: u64, to: u64) {
        let batch: Batch = (from..to)
            .map(|number| (key(number), Some(value(number))))
            .collect();
        self.store.commit(batch).unwrap();
    }

    fn get(&self, key: &[u8]) -> bool {
        self.store.get(key).unwrap().is_some()
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> u64 {
        let mut count = 0;
        let mut visit = |key: &[u8], value: &[u8]| {
            count += 1;
            black_box((key.len(), value.len())) != (0, 0)
        };
        self.store.scan(from, to, &mut visit).unwrap();
        count
    }

    fn sync(&mut self) {
        self.database.sync().unwrap();
    }
}

struct Redb(redb::Database);

impl Redb {
    fn open(path: &Path) -> Self {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(StoreOptions::default().value_cache_bytes * 3);
        std::fs::create_dir_all(path).unwrap();
        Self(builder.create(path.join("redb")).unwrap())
    }
}

impl Engine for Redb {
    fn commit(&mut self, from: u64, to: u64) {
        let mut writes = self.0.begin_write().unwrap();
        writes.set_durability(Durability::None).unwrap();
        let mut table = writes.open_table(TABLE).unwrap();
        for number in from..to {
            table
                .insert(key(number).as_slice(), value(number).as_slice())
                .unwrap();
        }
        drop(table);
        writes.commit().unwrap();
    }

    fn get(&self, key: &[u8]) -> bool {
        let table = self.0.begin_read().unwrap().open_table(TABLE).unwrap();
        let value = redb::ReadableTable::get(&table, key).unwrap();
        value.map(|value| value.value().to_vec()).is_some()
    }

    fn scan(&self, from: &[u8], to: &[u8]) -> u64 {
        let table = self.0.begin_read().unwrap().open_table(TABLE).unwrap();
        let entries = redb::ReadableTable::range(&table, from..to).unwrap();
        let entries = entries.map(|entry| {
            let (key, value) = entry.unwrap();
            black_box((key.value().len(), value.value().len()));
            1
        });
        entries.sum()
    }

    fn sync(&mut self) {
        // The default durability is that of a synced commit.
        self.0.begin_write().unwrap().commit().unwrap();
    }
}

fn open(engine: &str, path: &Path) -> Box<dyn Engine> {
    match engine {
        "redb" => Box::new(Redb::open(path)),
        "fjall" => Box::new(Ours::open(path, 0)),
        _ => Box::new(Ours::open(path, StoreOptions::default().value_cache_bytes)),
    }
}

fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Three records for each file: its inode, its name in a directory of 1,000, and the answer to the request that made it.
fn key(number: u64) -> Vec<u8> {
    let file = number / 3;
    match number % 3 {
        0 => [b"INOD", file.to_le_bytes().as_slice(), &[0; 8]].concat(),
        1 => [&directory(file / 1000), format!("file-{file:08}").as_bytes()].concat(),
        _ => {
            let [a, b, c] = [1, 7, 9].map(|salt| mix(file + salt).to_be_bytes());
            [b"IDEM", a.as_slice(), &b, &c, &[0; 8]].concat()
        }
    }
}

fn directory(number: u64) -> Vec<u8> {
    [b"DENT", number.to_le_bytes().as_slice()].concat()
}

fn value(number: u64) -> Vec<u8> {
    let words = (0..19).flat_map(|word| mix(number * 31 + word).to_le_bytes());
    words.take(150).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap()
}

/// Time of each of `times` calls, sorted.
fn times(times: u64, mut call: impl FnMut(u64)) -> Vec<Duration> {
    let mut all: Vec<Duration> = (0..times)
        .map(|at| {
            let begin = Instant::now();
            call(at);
            begin.elapsed()
        })
        .collect();
    all.sort_unstable();
    all
}

fn middle(all: &[Duration]) -> f64 {
    all[all.len() / 2].as_secs_f64()
}

fn mean(begin: Instant, calls: usize) -> f64 {
    begin.elapsed().as_secs_f64() / f64::from(u32::try_from(calls).unwrap())
}

fn print(name: &str, figure: f64) {
    println!("{name}: {figure}");
}

/// The first child: fills, measures, and kills itself with unsynced commits.
fn fill(engine: &str, path: &Path, records: u64) {
    let mut database = open(engine, path);
    for from in (0..records).step_by(1000) {
        database.commit(from, records.min(from + 1000));
    }
    database.sync();
    let next = records.next_multiple_of(3);
    let begin = Instant::now();
    let commits = times(UNSYNCED, |at| database.commit(next + at * 3, next + at * 3 + 3));
    print(
        "a1 commits per second",
        f64::from(20_000) / begin.elapsed().as_secs_f64(),
    );
    print("a2 commit, median (us)", middle(&commits) * 1e6);
    print(
        "a3 commit, 99 % (us)",
        commits[commits.len() * 99 / 100].as_secs_f64() * 1e6,
    );
    let begin = Instant::now();
    database.sync();
    print("a4 sync of all of them (ms)", begin.elapsed().as_secs_f64() * 1e3);
    reads(database.as_ref(), records);
    let next = next + UNSYNCED * 3;
    let syncs = times(200, |at| {
        database.commit(next + at * 3, next + at * 3 + 3);
        database.sync();
    });
    print("d1 commit and sync, median (us)", middle(&syncs) * 1e6);
    print(
        "d2 commit and sync, 99 % (us)",
        syncs[syncs.len() * 99 / 100].as_secs_f64() * 1e6,
    );
    let size_mb = u32::try_from(disk_bytes(path) >> 20).unwrap();
    print("f  on disk (MiB)", f64::from(size_mb));
    let next = next + 600;
    for at in 0..UNSYNCED {
        database.commit(next + at * 3, next + at * 3 + 3);
    }
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}

fn reads(database: &dyn Engine, records: u64) {
    let random = |count: u64| -> Vec<_> { (0..count).map(|at| key(mix(at) % (records / 3 * 3))).collect() };
    let keys = random(200_000);
    let begin = Instant::now();
    assert!(keys.iter().all(|key| database.get(key)));
    print("b1 get, any record (us)", mean(begin, keys.len()) * 1e6);
    let hot = random(10_000);
    hot.iter().for_each(|key| _ = database.get(key));
    let begin = Instant::now();
    for _ in 0..20 {
        hot.iter().for_each(|key| _ = database.get(key));
    }
    print("b2 get, one of 10,000 (us)", mean(begin, hot.len() * 20) * 1e6);
    let absent: Vec<_> = keys
        .iter()
        .take(50_000)
        .map(|key| [key.as_slice(), b"!"].concat())
        .collect();
    let begin = Instant::now();
    assert!(!absent.iter().any(|key| database.get(key)));
    print("b3 get, absent (us)", mean(begin, absent.len()) * 1e6);
    let scans = times(200, |at| {
        let from = directory(mix(at) % (records / 3000));
        let to = [from.as_slice(), &[0xff]].concat();
        assert_eq!(database.scan(&from, &to), 1000);
    });
    print("c  scan of 1,000 (us)", middle(&scans) * 1e6);
}

/// The second child: opens what the first one left.
fn reopen(engine: &str, path: &Path, records: u64) {
    let begin = Instant::now();
    let database = open(engine, path);
    print("e1 open after kill (ms)", begin.elapsed().as_secs_f64() * 1e3);
    let next = records.next_multiple_of(3) + UNSYNCED * 3 + 600;
    let whole = |at: &u64| (0..3).all(|record| database.get(&key(next + at * 3 + record)));
    let kept = count((0..UNSYNCED).take_while(whole).count());
    assert!(!(kept..UNSYNCED).any(|at| (0..3).any(|record| database.get(&key(next + at * 3 + record)))));
    print(
        "g  unsynced commits kept",
        f64::from(u32::try_from(kept).unwrap()),
    );
    drop(database);
    let begin = Instant::now();
    drop(open(engine, path));
    print(
        "e2 open and close, clean (ms)",
        begin.elapsed().as_secs_f64() * 1e3,
    );
}

fn disk_bytes(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let below = metadata.is_dir().then(|| std::fs::read_dir(path).unwrap());
    let below: u64 = below
        .into_iter()
        .flatten()
        .map(|entry| disk_bytes(&entry.unwrap().path()))
        .sum();
    metadata.blocks() * 512 + below
}

fn child(arguments: &[&str]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.is_empty(), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [step, engine, path, records] = arguments[..] {
        let records = records.parse().unwrap();
        match step {
            "fill" => fill(engine, Path::new(path), records),
            _ => reopen(engine, Path::new(path), records),
        }
        return;
    }
    let records = arguments.first().copied().unwrap_or("1000000");
    let runs: usize = arguments.get(1).map_or(3, |runs| runs.parse().unwrap());
    let mut table: BTreeMap<String, BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    let engines = ["ours", "fjall", "redb"];
    for _ in 0..runs {
        for engine in engines {
            let folder = tempfile::tempdir_in(".").unwrap();
            let path = folder.path().join("cluster");
            let path = path.to_str().unwrap();
            let lines = child(&["fill", engine, path, records]) + &child(&["reopen", engine, path, records]);
            for (name, figure) in lines.lines().filter_map(|line| line.split_once(": ")) {
                let figures = table.entry(name.to_owned()).or_default();
                figures.entry(engine).or_default().push(figure.parse().unwrap());
            }
        }
    }
    println!(
        "{records} records, median of {runs} runs\n\n| | {} |\n|---|---|---|---|",
        engines.join(" | ")
    );
    for (name, mut figures) in table {
        let medians = engines.map(|engine| {
            let all = figures.get_mut(engine).unwrap();
            all.sort_by(f64::total_cmp);
            format!("{:.1}", all[all.len() / 2])
        });
        println!("| {name} | {} |", medians.join(" | "));
    }
}
