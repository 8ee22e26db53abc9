//! The program is killed at random points under a mixed load; what it promised must still be there.
//!
//! Each worker has a directory of its own and notes every operation before it begins and when it is acknowledged. After the kill the
//! cluster is opened again, without any repair, and compared:
//!
//! * the names of a directory are those behind a prefix of the worker's operations, which holds everything that was made durable;
//! * each word of a file is the one that was there at its last `fsync`, or one that was written later, never anything else.
//!
//! `FLYER_CRASH_ROUNDS` sets the number of rounds (20), `FLYER_CRASH_SEED` the seed (1).
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "the program is killed after a random time, under threads that work"
)]

use flyer_mount_tests::{Mount, Place};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WORKERS: u64 = 4;
const WORD: usize = 8;
/// Longest file in words.
const WORDS_MAX: u64 = 40_000;

/// A generator whose sequence depends on the seed alone.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// One write to a file: `words` words from `at` on, each with the value of its version.
#[derive(Clone, Copy)]
struct Write {
    at: u64,
    words: u64,
    version: u64,
}

/// What is known of a file's content.
#[derive(Clone, Default)]
struct Content {
    /// What was there when the cluster was last opened: a kill loses nothing of it.
    base: Vec<u64>,
    /// Since then, in the order in which they were begun.
    writes: Vec<Write>,
    /// That many writes were there when an acknowledged `fsync` began.
    synced: usize,
}

/// A worker's directory.
#[derive(Default)]
struct History {
    /// Files by their number.
    files: BTreeMap<u64, Content>,
    /// Names with the file behind them, after each change of names. The first is the empty directory.
    names: Vec<BTreeMap<u64, u64>>,
    /// That many changes of names are durable for certain.
    names_synced: usize,
    /// Whether the last of `names` was acknowledged.
    last_acknowledged: bool,
    files_made: u64,
    versions: u64,
}

fn value(file: u64, version: u64) -> u64 {
    (file << 32 | version) + 1
}

struct Worker {
    directory: PathBuf,
    random: Random,
    history: History,
}

impl Worker {
    fn path(&self, name: u64) -> PathBuf {
        self.directory.join(format!("n{name}"))
    }

    fn names(&self) -> &BTreeMap<u64, u64> {
        self.history.names.last().expect("there is a first state")
    }

    fn pick(&mut self) -> Option<(u64, u64)> {
        let len = u64::try_from(self.names().len()).expect("few");
        if len == 0 {
            return None;
        }
        let nth = usize::try_from(self.random.below(len)).expect("few");
        self.names().iter().nth(nth).map(|(name, file)| (*name, *file))
    }

    /// Notes that a change of names begins, carries it out, and notes that it was acknowledged.
    fn change(
        &mut self,
        after: BTreeMap<u64, u64>,
        act: impl FnOnce(&Self) -> io::Result<()>,
    ) -> io::Result<()> {
        self.history.names.push(after);
        self.history.last_acknowledged = false;
        act(self)?;
        self.history.last_acknowledged = true;
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        match self.random.below(16) {
            0..4 => self.create(),
            4..9 => self.write(),
            9..12 => self.sync(),
            12 => self.sync_names(),
            13 | 14 => self.rename(),
            _ => self.unlink(),
        }
    }

    fn create(&mut self) -> io::Result<()> {
        let name = self.random.below(40);
        if self.names().contains_key(&name) {
            return Ok(());
        }
        let file = self.history.files_made;
        self.history.files_made += 1;
        self.history.files.insert(file, Content::default());
        let mut after = self.names().clone();
        after.insert(name, file);
        self.change(after, |worker| File::create_new(worker.path(name)).map(drop))
    }

    fn write(&mut self) -> io::Result<()> {
        let Some((name, file)) = self.pick() else {
            return Ok(());
        };
        self.history.versions += 1;
        let words = 1 + if self.random.below(3) == 0 {
            self.random.below(20_000)
        } else {
            self.random.below(600)
        };
        let write = Write {
            at: self.random.below(WORDS_MAX - words),
            words,
            version: self.history.versions,
        };
        let content = self.history.files.get_mut(&file).expect("it was made");
        content.writes.push(write);
        let word = value(file, write.version).to_le_bytes();
        let bytes: Vec<u8> = word
            .iter()
            .copied()
            .cycle()
            .take(usize::try_from(words).expect("small") * WORD)
            .collect();
        let handle = OpenOptions::new().write(true).open(self.path(name))?;
        handle.write_all_at(&bytes, write.at * WORD as u64)
    }

    fn sync(&mut self) -> io::Result<()> {
        let Some((name, file)) = self.pick() else {
            return Ok(());
        };
        let synced = self.history.files[&file].writes.len();
        File::open(self.path(name))?.sync_all()?;
        self.history.files.get_mut(&file).expect("it was made").synced = synced;
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let synced = self.history.names.len();
        File::open(&self.directory)?.sync_all()?;
        self.history.names_synced = synced;
        Ok(())
    }

    fn rename(&mut self) -> io::Result<()> {
        let Some((from, file)) = self.pick() else {
            return Ok(());
        };
        let to = self.random.below(40);
        if from == to {
            return Ok(());
        }
        let mut after = self.names().clone();
        after.remove(&from);
        after.insert(to, file);
        self.change(after, |worker| fs::rename(worker.path(from), worker.path(to)))
    }

    fn unlink(&mut self) -> io::Result<()> {
        let Some((name, _)) = self.pick() else {
            return Ok(());
        };
        let mut after = self.names().clone();
        after.remove(&name);
        self.change(after, |worker| fs::remove_file(worker.path(name)))
    }
}

/// Runs a worker until the mount dies under it. From a moment before that on, `dying` is set.
fn work(mut worker: Worker, dying: &AtomicBool) -> Worker {
    loop {
        if let Err(error) = worker.step() {
            // Whatever happens to an operation whose file system is dying or gone, an operation before that does not fail.
            assert!(
                dying.load(Ordering::SeqCst),
                "an operation failed though nothing was wrong yet: {error}"
            );
            return worker;
        }
    }
}

/// Compares a directory with its history; returns the state of names that it is in.
fn verify(worker: &Worker) -> (BTreeMap<u64, u64>, BTreeMap<u64, Vec<u64>>) {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(&worker.directory).expect("the directory is there") {
        let name = entry.expect("it can be listed").file_name();
        let name = name
            .to_str()
            .and_then(|name| name.strip_prefix('n'))
            .expect("a name of ours");
        found.insert(name.parse::<u64>().expect("a name of ours"));
    }
    let contents: BTreeMap<u64, Vec<u64>> = found
        .iter()
        .map(|name| (*name, words_of(&worker.path(*name))))
        .collect();
    let fits = |state: &&BTreeMap<u64, u64>| {
        state.keys().copied().collect::<BTreeSet<_>>() == found
            && state.iter().all(|(name, file)| {
                contents[name]
                    .iter()
                    .all(|word| *word == 0 || (word - 1) >> 32 == *file)
            })
    };
    let least = worker.history.names_synced.saturating_sub(1);
    let state = worker.history.names[least..]
        .iter()
        .rev()
        .find(fits)
        .unwrap_or_else(|| {
            panic!(
                "{}: {found:?} is no state from {least} to {}, the last of which is {:?} (acknowledged: {})",
                worker.directory.display(),
                worker.history.names.len() - 1,
                worker.names(),
                worker.history.last_acknowledged,
            )
        });
    for (name, file) in state {
        verify_content(*file, &worker.history.files[file], &contents[name]);
    }
    (state.clone(), contents)
}

fn words_of(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).expect("a file that is listed can be read");
    assert_eq!(
        bytes.len() % WORD,
        0,
        "{}: words are written whole",
        path.display()
    );
    bytes
        .chunks_exact(WORD)
        .map(|word| u64::from_le_bytes(word.try_into().expect("eight bytes")))
        .collect()
}

fn verify_content(file: u64, content: &Content, words: &[u64]) {
    let at = |position: u64, writes: &[Write]| {
        let write = writes
            .iter()
            .rev()
            .find(|write| (write.at..write.at + write.words).contains(&position));
        let base = || {
            usize::try_from(position)
                .ok()
                .and_then(|position| content.base.get(position))
        };
        write.map_or_else(
            || base().copied().unwrap_or(0),
            |write| value(file, write.version),
        )
    };
    let (synced, later) = content.writes.split_at(content.synced);
    let base_len = u64::try_from(content.base.len()).expect("small");
    let synced_len = synced
        .iter()
        .map(|write| write.at + write.words)
        .fold(base_len, u64::max);
    let len = u64::try_from(words.len()).expect("small");
    assert!(
        len >= synced_len,
        "file {file}: {len} words, but {synced_len} were fsynced"
    );
    for (position, word) in (0..).zip(words) {
        let allowed = *word == at(position, synced)
            || later.iter().any(|write| {
                (write.at..write.at + write.words).contains(&position) && *word == value(file, write.version)
            });
        assert!(
            allowed,
            "file {file}, word {position}: {word:#x}; fsynced was {:#x}",
            at(position, synced)
        );
    }
}

/// What is there is where the next round begins. A write that was under way at the kill may have been lost altogether.
fn adopt(worker: &mut Worker, state: BTreeMap<u64, u64>, mut contents: BTreeMap<u64, Vec<u64>>) {
    worker.history.files.clear();
    for (name, file) in &state {
        let content = Content {
            base: contents.remove(name).unwrap_or_default(),
            ..Content::default()
        };
        worker.history.files.insert(*file, content);
    }
    worker.history.names = vec![state];
    worker.history.names_synced = 1;
}

fn load(mount: Mount, workers: Vec<Worker>, delay: Duration) -> Vec<Worker> {
    let dying = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let handles: Vec<_> = workers
            .into_iter()
            .map(|worker| scope.spawn(|| work(worker, &dying)))
            .collect();
        // Not synchronisation: the point of the kill is meant to be anywhere.
        std::thread::sleep(delay);
        dying.store(true, Ordering::SeqCst);
        mount.kill();
        handles
            .into_iter()
            .map(|handle| handle.join().expect("the worker did not panic"))
            .collect()
    })
}

#[test]
fn what_was_promised_survives_kills() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text} is no number"))
        })
    };
    let rounds = number("FLYER_CRASH_ROUNDS", 20);
    let mut random = Random(number("FLYER_CRASH_SEED", 1));
    let place = Place::new();
    let mut workers: Vec<Worker> = (0..WORKERS)
        .map(|n| Worker {
            directory: place.mount_point().join(format!("w{n}")),
            random: Random(random.next()),
            history: History {
                names: vec![BTreeMap::new()],
                names_synced: 1,
                ..History::default()
            },
        })
        .collect();
    let mount = place.mount();
    for worker in &workers {
        fs::create_dir(&worker.directory).expect("a new directory");
    }
    File::open(mount.path())
        .and_then(|root| root.sync_all())
        .expect("the root can be synced");
    let mut mount = mount;
    for round in 0..rounds {
        let delay = Duration::from_millis(20 + random.below(600));
        workers = load(mount, workers, delay);
        mount = place.mount();
        for worker in &mut workers {
            let (state, contents) = verify(worker);
            adopt(worker, state, contents);
        }
        let versions: u64 = workers.iter().map(|worker| worker.history.versions).sum();
        println!("round {round}: killed after {delay:?}, {versions} writes so far");
    }
    mount.unmount();
}
