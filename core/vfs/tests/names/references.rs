//! The mount counts exactly the references that its kernel holds.

use crate::common::{ALICE, Fault, Setup};
use crate::kit::Kernel;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Span, Text};
use flyer_vfs::{Reply, Request};
use flyer_wire::service::meta;
use proptest::prelude::*;

const ROOT: InodeId = InodeId::ROOT;

/// One thing that a kernel does.
#[derive(Clone, Debug)]
enum Act {
    Lookup(u8),
    Mkdir(u8),
    Mknod(u8),
    Symlink(u8),
    Link(u8, u8),
    Remove(u8),
    RemoveElsewhere(u8),
    Rename(u8, u8),
    List { plus: bool, bytes: u32 },
    Virtual(u8),
    Forget(prop::sample::Index, u64),
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..12u8;
    prop_oneof![
        4 => name.clone().prop_map(Act::Lookup),
        1 => name.clone().prop_map(Act::Mkdir),
        3 => name.clone().prop_map(Act::Mknod),
        1 => name.clone().prop_map(Act::Symlink),
        2 => (name.clone(), name.clone()).prop_map(|(from, to)| Act::Link(from, to)),
        2 => name.clone().prop_map(Act::Remove),
        1 => name.clone().prop_map(Act::RemoveElsewhere),
        2 => (name.clone(), name).prop_map(|(from, to)| Act::Rename(from, to)),
        4 => (any::<bool>(), 200..3000u32).prop_map(|(plus, bytes)| Act::List { plus, bytes }),
        1 => (0..6u8).prop_map(Act::Virtual),
        3 => (any::<prop::sample::Index>(), 1..4u64).prop_map(|(which, count)| Act::Forget(which, count)),
    ]
}

fn name(number: u8) -> String {
    format!("name-{number}")
}

fn carry_out(k: &mut Kernel, act: Act) {
    match act {
        Act::Lookup(at) => {
            let _ = k.lookup(ROOT, &name(at));
        }
        Act::Mkdir(at) => {
            let _ = k.mkdir(ROOT, &name(at));
        }
        Act::Mknod(at) => {
            let _ = k.mknod(ROOT, &name(at));
        }
        Act::Symlink(at) => {
            let _ = k.symlink(ALICE, ROOT, &name(at), "target");
        }
        Act::Link(from, to) => {
            let Some(found) = k.lookup(ROOT, &name(from)).unwrap().attributes else {
                return;
            };
            let request = Request::Link {
                inode: found.inode,
                parent: ROOT,
                name: Text::from(name(to)),
            };
            let _ = k.call(ALICE, request);
        }
        Act::Remove(at) => {
            if k.unlink(ROOT, &name(at)) == Err(Errno::EISDIR) {
                assert_eq!(k.rmdir(ROOT, &name(at)), Ok(Reply::Done));
            }
        }
        Act::RemoveElsewhere(at) => {
            let _ = k.remove_elsewhere(ROOT, &name(at));
        }
        Act::Rename(from, to) => {
            let _ = k.rename((ROOT, &name(from)), (ROOT, &name(to)), 0);
        }
        Act::List { plus, bytes } => {
            let handle = k.open_directory(ROOT).unwrap();
            let items = k.read_directory(ROOT, handle, 0, bytes, plus).unwrap();
            let cookie = items.last().unwrap().cookie;
            k.read_directory(ROOT, handle, cookie, bytes, plus).unwrap();
            let inode = ROOT;
            k.call(ALICE, Request::ReleaseDirectory { inode, handle })
                .unwrap();
        }
        Act::Virtual(at) => {
            let places = [
                "3fs-virt",
                "get-conf",
                "iovs",
                "rm-rf",
                "set-conf",
                "usr.readonly",
            ];
            let parent = match at {
                0 => ROOT,
                5 => InodeId::GET_CONF,
                _ => InodeId::VIRT,
            };
            k.lookup(parent, places[usize::from(at)]).unwrap();
        }
        Act::Forget(which, count) => {
            let held: Vec<_> = k.held.iter().map(|(inode, held)| (*inode, *held)).collect();
            if !held.is_empty() {
                let (inode, held) = held[which.index(held.len())];
                k.forget(inode, count.min(held));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn references_balance(acts in prop::collection::vec(act(), 1..80), shards in 1..5u32, seed: u64) {
        let mut k = Kernel::new(&Setup { shards, seed, ..Setup::default() });
        for act in acts {
            carry_out(&mut k, act);
        }
        k.check_references();
    }
}

#[test]
fn two_names_of_an_inode_in_one_listing_are_two_references() {
    let mut k = Kernel::new(&Setup::default());
    let file = k.mknod(ROOT, "a").unwrap();
    let link = Request::Link {
        inode: file,
        parent: ROOT,
        name: Text::from("b"),
    };
    k.entry(ALICE, link).unwrap();
    k.forget(file, 2);
    let handle = k.open_directory(ROOT).unwrap();
    let items = k.read_all(ROOT, handle, 0, true);
    let named: Vec<_> = items.iter().filter(|item| item.inode == file).collect();
    assert_eq!(named.len(), 2);
    assert!(named.iter().all(|item| item.entry.is_some()));
    assert_eq!(k.held.get(&file), Some(&2));
    k.check_references();
}

#[test]
fn dots_and_virtual_entries_are_not_counted() {
    let mut k = Kernel::new(&Setup::default());
    for inode in [ROOT, InodeId::VIRT, InodeId::GET_CONF] {
        let handle = k.open_directory(inode).unwrap();
        let items = k.read_all(inode, handle, 0, true);
        assert!(items.len() >= 3);
        assert!(items.iter().all(|item| item.entry.is_none()), "{items:?}");
    }
    k.check_references();
}

#[test]
fn a_lookup_that_fails_counts_nothing() {
    let mut k = Kernel::new(&Setup::default());
    let file = k.mknod(ROOT, "f").unwrap();
    k.forget(file, 1);
    k.host.cluster().meta_fault = Some(Box::new(|request| {
        matches!(request, meta::Request::BatchStat(_) | meta::Request::Stat(_)).then(Fault::transient)
    }));
    assert_eq!(k.lookup(ROOT, "f"), Err(Errno::EREMOTEIO));
    k.host.cluster().meta_fault = None;
    let handle = k.open_directory(ROOT).unwrap();
    k.host.cluster().meta_fault = Some(Box::new(|request| {
        matches!(request, meta::Request::BatchStat(_)).then(Fault::transient)
    }));
    assert_eq!(
        k.read_directory(ROOT, handle, 0, 4096, true),
        Err(Errno::EREMOTEIO)
    );
    k.host.cluster().meta_fault = None;
    assert_eq!(
        k.read_all(ROOT, handle, 0, true).len(),
        4,
        "the turn was given back"
    );
    k.check_references();
}

#[test]
fn a_removal_while_attributes_are_asked_for_leaves_the_entry_out() {
    let mut k = Kernel::new(&Setup {
        shards: 2,
        ..Setup::default()
    });
    for at in 0..4 {
        k.mknod(ROOT, &name(at)).unwrap();
    }
    let handle = k.open_directory(ROOT).unwrap();
    k.host.cluster().meta_fault = Some(Box::new(|request| {
        matches!(request, meta::Request::BatchStat(_)).then_some(Fault::Late(Span::from_secs(0)))
    }));
    let read = |cookie| Request::ReadDirectory {
        inode: ROOT,
        handle,
        cookie,
        bytes: 4096,
        plus: true,
    };
    let reply = k.host.send(ALICE, read(0));
    // The page is listed; the attributes are not asked for yet.
    while !k
        .host
        .cluster()
        .meta_log
        .iter()
        .any(|r| matches!(r, meta::Request::List(_)))
    {
        let end = k.host.now + Span::from_secs(1);
        assert!(k.host.step(end));
    }
    k.remove_elsewhere(ROOT, &name(1)).unwrap();
    k.remove_elsewhere(ROOT, &name(2)).unwrap();
    k.host.cluster().meta_fault = None;
    let answer = k.host.wait(reply).unwrap();
    k.note(&answer);
    let Reply::Directory(items) = answer else {
        panic!("{answer:?}");
    };
    let names: Vec<_> = items.iter().map(|item| item.name.to_string()).collect();
    assert_eq!(names, [".", "..", "name-0", "name-3", "3fs-virt"]);
    k.check_references();
}
