//! The embedded database as a store: against the store in memory, across new starts, with torn journals and failing writes.

#![allow(
    clippy::unwrap_used,
    reason = "helper functions of integration tests are not 'in tests' for clippy"
)]

use flyer_cluster::store::{Batch, MemoryStore, Store, StoreError};
use flyer_local::directory::{Directory, Identity};
use flyer_local::disk::{Disk, DiskOptions, Room};
use flyer_local::store::{Database, StoreOptions, Stores};
use flyer_types::WallTime;
use flyer_types::ids::Uuid;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

type Opened = (Directory, Database, Stores);

fn directory(path: &Path) -> Directory {
    let fresh = Identity {
        cluster: Uuid([7; 16]),
        created: WallTime::from_secs(0),
    };
    Directory::open(path, fresh).unwrap()
}

fn try_open(path: &Path) -> Result<Opened, StoreError> {
    let directory = directory(path);
    let room = Arc::new(Room::open(path, 0).unwrap());
    let options = StoreOptions {
        block_cache_bytes: 1 << 20,
        value_cache_bytes: 2000,
        workers: 1,
    };
    let (database, stores) = Database::open(&directory, room, options)?;
    Ok((directory, database, stores))
}

fn open(path: &Path) -> Opened {
    try_open(path).unwrap()
}

fn all(store: &impl Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        true
    };
    store.scan(&[], &[0xff; 40], &mut visit).unwrap();
    entries
}

#[derive(Clone, Debug)]
enum Step {
    Commit(usize, Vec<(Vec<u8>, Option<u16>)>),
    Get(usize, Vec<u8>),
    Scan(usize, Vec<u8>, Vec<u8>, usize, bool),
    Flush(usize),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || prop::collection::vec(0u8..4, 1..4);
    let write = (key(), prop::option::of(0u16..600));
    prop_oneof![
        6 => (0usize..3, prop::collection::vec(write, 0..6)).prop_map(|(store, writes)| Step::Commit(store, writes)),
        6 => (0usize..3, key()).prop_map(|(store, key)| Step::Get(store, key)),
        4 => (0usize..3, key(), key(), 0usize..20, any::<bool>())
            .prop_map(|(store, from, to, wanted, reverse)| Step::Scan(store, from, to, wanted, reverse)),
        1 => (0usize..3).prop_map(Step::Flush),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

/// The entries that a scan shows until it has `wanted` of them.
fn scan(store: &dyn Store, from: &[u8], to: &[u8], wanted: usize, reverse: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        seen.push((key.to_vec(), value.to_vec()));
        seen.len() < wanted
    };
    if reverse {
        store.scan_reverse(from, to, &mut visit).unwrap();
    } else {
        store.scan(from, to, &mut visit).unwrap();
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Three stores in one database are three stores in memory, with caches small enough to forget, and across new starts.
    #[test]
    fn a_store_is_a_map(steps in prop::collection::vec(step(), 1..120)) {
        let folder = tempfile::tempdir().unwrap();
        let mut opened = Some(open(folder.path()));
        let mut models = [MemoryStore::new(), MemoryStore::new(), MemoryStore::new()];
        for (at, step) in steps.into_iter().enumerate() {
            if matches!(step, Step::Reopen) {
                drop(opened.take());
                opened = Some(open(folder.path()));
            }
            let (_, database, stores) = opened.as_mut().expect("it was opened again");
            let stores: [&mut dyn Store; 3] = [&mut stores.meta, &mut stores.storage, &mut stores.manager];
            match step {
                Step::Commit(store, writes) => {
                    let fill = u8::try_from(at).expect("at most 120 steps");
                    let value = |len: u16| vec![fill; usize::from(len)];
                    let batch: Batch = writes.into_iter().map(|(key, len)| (key, len.map(value))).collect();
                    prop_assert_eq!(stores.into_iter().nth(store).expect("one of three").commit(batch.clone()), Ok(()));
                    models[store].commit(batch).expect("memory");
                }
                Step::Get(store, key) => prop_assert_eq!(stores[store].get(&key), models[store].get(&key)),
                Step::Scan(store, from, to, wanted, reverse) => prop_assert_eq!(
                    scan(stores[store], &from, &to, wanted, reverse),
                    scan(&models[store], &from, &to, wanted, reverse)
                ),
                Step::Flush(store) => {
                    prop_assert_eq!(stores.into_iter().nth(store).expect("one of three").flush(), Ok(()));
                }
                Step::Sync => prop_assert_eq!(database.sync(), Ok(())),
                Step::Reopen => {}
            }
        }
        drop(opened);
        let (_, _, stores) = open(folder.path());
        for (store, model) in [&stores.meta, &stores.storage, &stores.manager].into_iter().zip(&models) {
            prop_assert_eq!(all(store), all(model));
        }
    }
}

#[test]
fn a_database_whose_creation_was_cut_short_is_created_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(directory(folder.path()));
    fs::create_dir_all(folder.path().join("database.new/keyspaces")).unwrap();
    fs::write(folder.path().join("database.new/0.jnl"), "half").unwrap();
    let (_directory, _database, stores) = open(folder.path());
    assert_eq!(all(&stores.meta), []);
    assert!(!folder.path().join("database.new").exists());
}

#[test]
fn data_without_their_database_are_not_given_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    fs::remove_dir_all(folder.path().join("database")).unwrap();
    drop(open(folder.path()));
    fs::remove_dir_all(folder.path().join("database")).unwrap();
    fs::write(folder.path().join("data/4096-0"), "x").unwrap();
    let refused = try_open(folder.path()).err();
    assert!(
        matches!(&refused, Some(StoreError::Corrupt(why)) if why.to_string().contains("missing")),
        "{refused:?}"
    );
    assert!(!folder.path().join("database").exists());
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path());
    let room = Arc::new(Room::open(folder.path(), u64::MAX).unwrap());
    let (_database, mut stores) = Database::open(&directory, room, StoreOptions::default()).unwrap();
    let batch = Batch::from([(b"k".to_vec(), Some(b"v".to_vec()))]);
    assert_eq!(stores.meta.commit(batch.clone()), Err(StoreError::NoSpace));
    assert_eq!(stores.meta.get(b"k"), Ok(None));
    assert_eq!(all(&stores.meta), []);
    drop((stores, _database, directory));
    let (_directory, database, mut stores) = open(folder.path());
    stores.meta.commit(batch).unwrap();
    assert_eq!(stores.meta.get(b"k"), Ok(Some(b"v".to_vec())));
    database.sync().unwrap();
}

fn counted(number: u32) -> Batch {
    let value = Some(vec![number.to_le_bytes()[0]; 900]);
    Batch::from([
        (number.to_be_bytes().to_vec(), value.clone()),
        (b"last".to_vec(), Some(number.to_be_bytes().to_vec())),
        ([b"x", number.to_be_bytes().as_slice()].concat(), value),
    ])
}

/// Checks that a store holds commits 1 to n of [`counted`], whole, and returns n.
fn prefix(store: &impl Store) -> u32 {
    let last = store.get(b"last").unwrap().map_or(0, |last| {
        u32::from_be_bytes(last.try_into().expect("four bytes were stored"))
    });
    let mut expected = MemoryStore::new();
    for number in 1..=last {
        expected.commit(counted(number)).unwrap();
    }
    assert_eq!(all(store), all(&expected));
    last
}

fn journal(path: &Path) -> PathBuf {
    let journals = fs::read_dir(path.join("database"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut journals: Vec<_> = journals
        .filter(|path| path.extension().is_some_and(|e| e == "jnl"))
        .collect();
    assert_eq!(journals.len(), 1);
    journals.remove(0)
}

/// Whatever a power loss makes of the bytes behind the last sync, the database opens with a prefix that holds everything
/// synced.
#[test]
fn a_torn_journal_loses_only_what_was_not_synced() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, database, mut stores) = open(folder.path());
    (1..=20).for_each(|number| stores.meta.commit(counted(number)).unwrap());
    database.sync().unwrap();
    let end = |journal: &Path| {
        let bytes = fs::read(journal).unwrap();
        bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1)
    };
    let journal = journal(folder.path());
    let synced = end(&journal);
    // One after the other, so that there is something between whole batches.
    for number in 21..=40 {
        stores.meta.commit(counted(number)).unwrap();
        stores.meta.flush().unwrap();
    }
    let written = end(&journal);
    drop((stores, database, directory));
    // Closing may cut the journal to its length.
    let whole = fs::read(&journal).unwrap()[..written].to_vec();
    let mut mended = 0;
    let mut damage = |at: usize, len: usize, byte: u8| {
        let mut torn = whole.clone();
        let to = (at + len).min(written);
        torn[at..to].fill(byte);
        torn.resize(written + 10_000, 0);
        fs::write(&journal, torn).unwrap();
        let (_directory, database, stores) = open(folder.path());
        let last = prefix(&stores.meta);
        assert!((20..=40).contains(&last), "{last} after damage at {at}");
        mended += u32::from(database.mended().is_some());
        // It goes on from there.
        drop((stores, database, _directory));
        assert_eq!(prefix(&open(folder.path()).2.meta), last);
    };
    let step = (written - synced) / 23;
    for sector in 0..23 {
        damage(synced + sector * step, 512, 0);
    }
    damage(synced, written, 0);
    damage(synced + 700, 1, 0xa5);
    damage(written - 1, 1, 0xa5);
    assert!(
        mended >= 10,
        "only {mended} of them needed mending: the test does not reach the case it is for"
    );
}

/// The environment variable that makes [`child_that_hits_a_limit`] do something.
const CHILD: &str = "FLYER_TEST_STORE";

/// Not a test by itself: commits until the system refuses, and checks what is visible then.
#[test]
#[ignore = "the process that another test starts under a limit"]
fn child_that_hits_a_limit() {
    let Some(path) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let (directory, database, mut stores) = open(&path);
    let before = prefix(&stores.meta);
    let failed = (before + 1..100_000).find_map(|number| {
        let committed = stores.meta.commit(counted(number));
        committed
            .and_then(|()| stores.meta.flush())
            .err()
            .map(|refused| (number, refused))
    });
    let (number, refused) = failed.expect("the limit is lower");
    assert!(
        matches!(&refused, StoreError::Io(why) if why.to_string().contains("stopped")),
        "{refused}"
    );
    let visible = prefix(&stores.meta);
    assert!(
        (number - 1..=number).contains(&visible),
        "{visible} of {number}: what was committed stays visible"
    );
    for _ in 0..2 {
        assert_eq!(
            stores.meta.commit(counted(number)),
            Err(refused.clone()),
            "it stays stopped"
        );
        assert_eq!(database.sync(), Err(refused.clone()));
    }
    fs::write(path.join("data/acknowledged"), (number - 1).to_string()).unwrap();
    drop((stores, database, directory));
}

/// After a write that failed nothing more is accepted, and a new start has all that was flushed before.
#[test]
fn a_write_that_fails_stops_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, database, mut stores) = open(folder.path());
    (1..=50).for_each(|number| stores.meta.commit(counted(number)).unwrap());
    drop((stores, database, directory));
    // The limit is on the size of files; the signal that goes with it is ignored, so that the write fails.
    let child = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 600; exec \"$0\" --ignored --exact child_that_hits_a_limit --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, folder.path())
        .output()
        .unwrap();
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stderr)
    );
    let acknowledged: u32 = fs::read_to_string(folder.path().join("data/acknowledged"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(acknowledged > 50, "it got beyond what was there");
    let (_directory, _database, mut stores) = open(folder.path());
    let found = prefix(&stores.meta);
    assert!(
        (acknowledged..=acknowledged + 1).contains(&found),
        "{found} of {acknowledged}"
    );
    stores.meta.commit(counted(found + 1)).unwrap();
}

#[test]
fn one_room_serves_data_and_database() {
    let folder = tempfile::tempdir().unwrap();
    let directory = directory(folder.path());
    let room = Arc::new(Room::open(folder.path(), 0).unwrap());
    let disk = Disk::open(&directory.data(), Arc::clone(&room), DiskOptions::default()).unwrap();
    let (_database, _stores) = Database::open(&directory, room, StoreOptions::default()).unwrap();
    let space = disk.space().unwrap();
    assert!(space.free > 0 && space.free <= space.capacity);
}
