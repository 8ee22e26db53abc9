//! Directories that change while they are read, against a model of what a reader has to see.

use crate::common::{ALICE, Fault, Setup};
use crate::kit::Kernel;
use flyer_types::Errno;
use flyer_types::ids::{HandleId, InodeId};
use flyer_vfs::reply::DirectoryItem;
use flyer_vfs::{Reply, Request};
use flyer_wire::msg::meta::inode::InodeType;
use flyer_wire::service::meta;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const ROOT: InodeId = InodeId::ROOT;

/// One thing that happens to an open directory.
#[derive(Clone, Debug)]
enum Act {
    Read {
        bytes: u32,
        plus: bool,
    },
    Rewind,
    /// Back to a cookie that was given since the last rewind.
    Seek(prop::sample::Index),
    Make(u16),
    Remove(prop::sample::Index),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (64..20_000u32, any::<bool>()).prop_map(|(bytes, plus)| Act::Read { bytes, plus }),
        1 => Just(Act::Rewind),
        3 => any::<prop::sample::Index>().prop_map(Act::Seek),
        3 => (0..4000u16).prop_map(Act::Make),
        3 => any::<prop::sample::Index>().prop_map(Act::Remove),
    ]
}

fn name(number: u16) -> String {
    // Two groups with different beginnings; neighbours differ in the last characters only.
    if number.is_multiple_of(3) {
        format!("{number:04}")
    } else {
        format!("some-longer-name-{number:05}")
    }
}

/// A reader, and what it has to see.
struct Reader {
    directory: InodeId,
    handle: HandleId,
    cookie: u64,
    /// Behind which name the reader stands; "" before the first.
    behind: String,
    ended: bool,
    /// Names given since the last rewind, by cookie.
    given: BTreeMap<u64, String>,
    /// What is in the directory.
    present: BTreeSet<String>,
    /// What has been there since the last rewind, all the time.
    steady: BTreeSet<String>,
    /// What was there at some time since the last rewind.
    ever: BTreeSet<String>,
}

impl Reader {
    fn rewind(&mut self) {
        self.cookie = 0;
        self.behind = String::new();
        self.ended = false;
        self.given.clear();
        self.steady = self.present.clone();
        self.ever = self.present.clone();
    }

    fn read(&mut self, k: &mut Kernel, bytes: u32, plus: bool) -> Result<(), TestCaseError> {
        let least = if plus { 192 } else { 64 };
        let items = k.read_directory(self.directory, self.handle, self.cookie, bytes.max(least), plus);
        let items = items.unwrap();
        if self.cookie == 0 {
            let first: Vec<_> = items.iter().take(1).map(|item| item.name.to_string()).collect();
            prop_assert_eq!(first, ["."]);
        }
        let Some(last) = items.last() else {
            self.must_have_been_shown("\u{7f}")?;
            self.ended = true;
            return Ok(());
        };
        let end = last.cookie;
        for item in items {
            self.take(&item, plus)?;
        }
        self.cookie = end;
        Ok(())
    }

    fn take(&mut self, item: &DirectoryItem, plus: bool) -> Result<(), TestCaseError> {
        prop_assert!(item.cookie != 0);
        let name = item.name.to_string();
        if name == "." || name == ".." {
            prop_assert!(self.behind.is_empty() && item.entry.is_none());
            prop_assert_eq!(item.kind, InodeType::DIRECTORY);
            let known = self.given.insert(item.cookie, String::new());
            prop_assert!(known.is_none_or(|known| known.is_empty()));
            return Ok(());
        }
        prop_assert!(name > self.behind, "{} after {}", name, self.behind);
        prop_assert!(self.ever.contains(&name), "{} was never there", name);
        self.must_have_been_shown(&name)?;
        if plus {
            let attributes = item.entry.as_ref().and_then(|entry| entry.attributes);
            prop_assert!(attributes.is_some_and(|attributes| attributes.inode == item.inode));
        }
        if let Some(known) = self.given.insert(item.cookie, name.clone()) {
            prop_assert!(known == name, "{} and {} have one cookie", known, name);
        }
        self.behind = name;
        Ok(())
    }

    /// Nothing that was there all the time lies between where the reader stands and `name`.
    fn must_have_been_shown(&self, name: &str) -> Result<(), TestCaseError> {
        use std::ops::Bound::Excluded;
        let range = (Excluded(self.behind.clone()), Excluded(name.to_string()));
        let missed = self.steady.range(range).next();
        prop_assert!(
            missed.is_none(),
            "{:?} was left out behind {:?}",
            missed,
            self.behind
        );
        Ok(())
    }
}

/// Does one thing, and keeps the model up to date.
fn carry_out(k: &mut Kernel, reader: &mut Reader, act: &Act) -> Result<(), TestCaseError> {
    match act {
        Act::Read { bytes, plus } => reader.read(k, *bytes, *plus)?,
        Act::Rewind => reader.rewind(),
        Act::Seek(which) => {
            if reader.given.is_empty() {
                return Ok(());
            }
            let at = which.index(reader.given.len());
            let (cookie, name) = reader.given.iter().nth(at).unwrap();
            (reader.cookie, reader.behind) = (*cookie, name.clone());
            if *cookie <= 2 {
                reader.behind = String::new();
            }
        }
        Act::Make(number) => {
            let name = name(*number);
            if reader.present.insert(name.clone()) {
                k.link_elsewhere(reader.directory, &name);
                reader.ever.insert(name);
            }
        }
        Act::Remove(which) => {
            if reader.present.is_empty() {
                return Ok(());
            }
            let name = reader
                .present
                .iter()
                .nth(which.index(reader.present.len()))
                .unwrap()
                .clone();
            k.remove_elsewhere(reader.directory, &name).unwrap();
            reader.present.remove(&name);
            reader.steady.remove(&name);
        }
    }
    Ok(())
}

fn run(initial: &BTreeSet<u16>, acts: &[Act], shards: u32) -> Result<(), TestCaseError> {
    let mut k = Kernel::new(&Setup {
        shards,
        ..Setup::default()
    });
    let directory = k.mkdir(ROOT, "d").unwrap();
    let present: BTreeSet<String> = initial.iter().map(|number| name(*number)).collect();
    for name in &present {
        k.link_elsewhere(directory, name);
    }
    let handle = k.open_directory(directory).unwrap();
    let mut reader = Reader {
        directory,
        handle,
        cookie: 0,
        behind: String::new(),
        ended: false,
        given: BTreeMap::new(),
        steady: present.clone(),
        ever: present.clone(),
        present,
    };
    for act in acts {
        carry_out(&mut k, &mut reader, act)?;
    }
    // To the end from where it stands, then all of it afresh.
    while !reader.ended {
        reader.read(&mut k, 8192, false)?;
    }
    reader.rewind();
    while !reader.ended {
        reader.read(&mut k, 8192, true)?;
    }
    let shown: BTreeSet<_> = reader
        .given
        .values()
        .filter(|name| !name.is_empty())
        .cloned()
        .collect();
    prop_assert_eq!(&shown, &reader.present);
    k.check_references();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn what_is_there_all_the_time_is_shown_once(
        initial in prop::collection::btree_set(0..4000u16, 0..60),
        acts in prop::collection::vec(act(), 1..60),
        shards in 1..4u32,
    ) {
        run(&initial, &acts, shards)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn large_directories_are_read_the_same_way(
        initial in prop::collection::btree_set(0..4000u16, 700..1500),
        acts in prop::collection::vec(act(), 30..90),
    ) {
        run(&initial, &acts, 2)?;
    }
}

fn lists(k: &Kernel) -> usize {
    let log = &k.host.cluster().meta_log;
    log.iter()
        .filter(|request| matches!(request, meta::Request::List(_)))
        .count()
}

#[test]
fn a_plain_listing_asks_for_no_attributes_and_a_full_one_for_its_own_only() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    for at in 0..600 {
        k.link_elsewhere(d, &format!("{at:03}"));
    }
    let handle = k.open_directory(d).unwrap();
    let plain = k.read_all(d, handle, 0, false);
    assert_eq!(plain.len(), 602);
    assert_eq!(lists(&k), 3, "pages of 256");
    let stats = |k: &Kernel| -> Vec<usize> {
        let log = k.host.cluster().meta_log.clone();
        log.iter()
            .filter_map(|request| match request {
                meta::Request::BatchStat(stat) => Some(stat.inode_ids.len()),
                _ => None,
            })
            .collect()
    };
    assert!(stats(&k).is_empty());
    let items = k.read_directory(d, handle, 0, 2000, true).unwrap();
    assert_eq!(items.len(), 12, "160 bytes each");
    assert_eq!(stats(&k), [10]);
    assert_eq!(lists(&k), 4);
}

#[test]
fn what_is_kept_needs_no_server_and_what_is_not_one_call() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    for at in 0..2000 {
        k.link_elsewhere(d, &format!("{at:04}"));
    }
    let handle = k.open_directory(d).unwrap();
    let all = k.read_all(d, handle, 0, false);
    let before = lists(&k);
    for at in (2002 - 464..2002).rev() {
        let items = k.read_directory(d, handle, all[at].cookie, 64, false).unwrap();
        assert_eq!(items.first(), all.get(at + 1), "{at}");
    }
    assert_eq!(lists(&k), before, "the last two pages are kept");
    let items = k.read_directory(d, handle, all[700].cookie, 64, false).unwrap();
    assert_eq!(items[0].name, all[701].name);
    assert_eq!(lists(&k), before + 1);
}

#[test]
fn a_rewind_shows_what_is_new() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    let handle = k.open_directory(d).unwrap();
    assert_eq!(k.read_all(d, handle, 0, true).len(), 2);
    k.mknod(d, "new").unwrap();
    assert_eq!(k.read_all(d, handle, 0, true).len(), 3);
    k.unlink(d, "new").unwrap();
    assert_eq!(k.read_all(d, handle, 0, false).len(), 2);
}

#[test]
fn another_handle_understands_a_cookie() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    for at in 0..1000 {
        k.link_elsewhere(d, &format!("prefix-{at:04}-suffix"));
    }
    let first = k.open_directory(d).unwrap();
    let all = k.read_all(d, first, 0, false);
    for at in [2, 255, 256, 257, 258, 600, 1001] {
        let other = k.open_directory(d).unwrap();
        let rest = k.read_all(d, other, all[at].cookie, false);
        let names = |items: &[DirectoryItem]| -> Vec<String> {
            items.iter().map(|item| item.name.to_string()).collect()
        };
        assert_eq!(names(&rest), names(&all[at + 1..]), "{at}");
    }
    // Any number is some place, or the end.
    for cookie in [3, 4, 1 << 32, 1 << 51, u64::MAX >> 1, u64::MAX] {
        let other = k.open_directory(d).unwrap();
        k.read_directory(d, other, cookie, 4096, false).unwrap();
    }
}

#[test]
fn dots_name_the_directory_and_its_parent() {
    let mut k = Kernel::new(&Setup::default());
    let a = k.mkdir(ROOT, "a").unwrap();
    let b = k.mkdir(a, "b").unwrap();
    let dots = |k: &mut Kernel, inode| {
        let handle = k.open_directory(inode).unwrap();
        let items = k.read_all(inode, handle, 0, false);
        (items[0].inode, items[1].inode)
    };
    assert_eq!(dots(&mut k, b), (b, a));
    assert_eq!(dots(&mut k, a), (a, ROOT));
    assert_eq!(dots(&mut k, ROOT), (ROOT, ROOT));
    assert_eq!(dots(&mut k, InodeId::VIRT), (InodeId::VIRT, ROOT));
    assert_eq!(dots(&mut k, InodeId::RM_RF), (InodeId::RM_RF, InodeId::VIRT));
}

#[test]
fn the_root_ends_with_the_virtual_directory_and_hides_another_one() {
    let mut k = Kernel::new(&Setup::default());
    k.mkdir_elsewhere(ROOT, "3fs-virt");
    k.mkdir_elsewhere(ROOT, "zzz");
    assert_eq!(k.names(ROOT), [".", "..", "zzz", "3fs-virt"]);
    let handle = k.open_directory(ROOT).unwrap();
    let all = k.read_all(ROOT, handle, 0, true);
    assert_eq!(all.last().unwrap().inode, InodeId::VIRT);
    // A buffer that everything but the last entry fits in.
    let bytes = 160 + 160 + 160;
    let first = k.read_directory(ROOT, handle, 0, bytes, true).unwrap();
    assert_eq!(first.len(), 3);
    let rest = k
        .read_directory(ROOT, handle, first[2].cookie, bytes, true)
        .unwrap();
    assert_eq!(rest, all[3..]);
    assert_eq!(
        k.read_directory(ROOT, handle, rest[0].cookie, bytes, true),
        Ok(Vec::new())
    );
    assert_eq!(k.find(ROOT, "3fs-virt"), InodeId::VIRT);
}

#[test]
fn a_buffer_too_small_for_anything_is_refused() {
    let mut k = Kernel::new(&Setup::default());
    let handle = k.open_directory(ROOT).unwrap();
    assert_eq!(k.read_directory(ROOT, handle, 0, 31, false), Err(Errno::EINVAL));
    assert_eq!(k.read_directory(ROOT, handle, 0, 32, false).unwrap().len(), 1);
    assert_eq!(k.read_directory(ROOT, handle, 2, 31, false), Err(Errno::EINVAL));
    let virt = k.open_directory(InodeId::VIRT).unwrap();
    assert_eq!(
        k.read_directory(InodeId::VIRT, virt, 0, 0, false),
        Err(Errno::EINVAL)
    );
    k.mknod(ROOT, &"x".repeat(255)).unwrap();
    k.read_directory(ROOT, handle, 0, 32, false).unwrap();
    assert_eq!(k.read_directory(ROOT, handle, 2, 279, false), Err(Errno::EINVAL));
    assert_eq!(k.read_directory(ROOT, handle, 2, 280, false).unwrap().len(), 1);
}

#[test]
fn handles_are_not_believed() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    let handle = k.open_directory(d).unwrap();
    assert_eq!(k.read_directory(ROOT, handle, 0, 4096, false), Err(Errno::EBADF));
    assert_eq!(
        k.read_directory(d, HandleId::new(9, 1), 0, 4096, false),
        Err(Errno::EBADF)
    );
    let release = Request::ReleaseDirectory { inode: d, handle };
    assert_eq!(k.call(ALICE, release.clone()), Ok(Reply::Done));
    assert_eq!(k.call(ALICE, release), Err(Errno::EBADF));
    assert_eq!(k.read_directory(d, handle, 0, 4096, false), Err(Errno::EBADF));
    let file = k.mknod(ROOT, "f").unwrap();
    assert_eq!(k.open_directory(file), Err(Errno::ENOTDIR));
    assert_eq!(k.open_directory(InodeId(0x7777)), Err(Errno::ENOENT));
}

#[test]
fn reads_of_one_handle_take_turns() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    for at in 0..10 {
        k.link_elsewhere(d, &format!("{at:03}"));
    }
    let handle = k.open_directory(d).unwrap();
    let read = |cookie| Request::ReadDirectory {
        inode: d,
        handle,
        cookie,
        bytes: 64,
        plus: false,
    };
    let sent: Vec<_> = (0..18).map(|_| k.host.send(ALICE, read(0))).collect();
    let answers: Vec<_> = sent.into_iter().map(|reply| k.host.wait(reply)).collect();
    for answer in &answers[..17] {
        assert!(
            matches!(answer, Ok(Reply::Directory(items)) if items.len() == 2),
            "{answer:?}"
        );
    }
    assert_eq!(answers[17], Err(Errno::EAGAIN), "sixteen may wait");
    // A handle that is closed has no reads.
    let sent: Vec<_> = (0..3).map(|_| k.host.send(ALICE, read(0))).collect();
    assert_eq!(
        k.call(ALICE, Request::ReleaseDirectory { inode: d, handle }),
        Ok(Reply::Done)
    );
    for reply in sent {
        assert_eq!(k.host.wait(reply), Err(Errno::EBADF));
    }
}

#[test]
fn a_removed_directory_is_gone_but_syncs() {
    let mut k = Kernel::new(&Setup::default());
    let d = k.mkdir(ROOT, "d").unwrap();
    let handle = k.open_directory(d).unwrap();
    let sync = Request::FsyncDirectory { inode: d, handle };
    assert_eq!(k.call(ALICE, sync.clone()), Ok(Reply::Done));
    let synced =
        matches!(k.host.cluster().meta_log.last(), Some(meta::Request::Sync(sync)) if sync.inode == d);
    assert!(synced);
    k.rmdir(ROOT, "d").unwrap();
    assert_eq!(k.read_directory(d, handle, 0, 4096, false), Err(Errno::ENOENT));
    assert_eq!(k.call(ALICE, sync.clone()), Ok(Reply::Done));
    k.host.cluster().meta_fault = Some(Box::new(|_| Some(Fault::transient())));
    assert_eq!(k.call(ALICE, sync), Err(Errno::EREMOTEIO));
}
