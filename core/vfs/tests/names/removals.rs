//! Unlink, rmdir, rename.

use crate::common::{ALICE, Fault, Setup};
use crate::kit::Kernel;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Span, Status, StatusCode, Text};
use flyer_vfs::reply::Attributes;
use flyer_vfs::request::SetAttributes;
use flyer_vfs::{Reply, Request};
use flyer_wire::msg::meta::attr::SetAttrReq;
use flyer_wire::msg::meta::call::PathAt;
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::service::meta;
use std::sync::{Arc, Mutex};

const ROOT: InodeId = InodeId::ROOT;

fn kernel() -> Kernel {
    Kernel::new(&Setup {
        shards: 3,
        ..Setup::default()
    })
}

fn links(k: &mut Kernel, inode: InodeId) -> u32 {
    let request = Request::GetAttributes { inode, handle: None };
    match k.call(ALICE, request) {
        Ok(Reply::Attributes(attributes, _)) => attributes.links,
        other => panic!("{other:?}"),
    }
}

fn immutable(k: &mut Kernel, inode: InodeId) {
    let request = |base| {
        SetAttrReq {
            base,
            path: PathAt {
                parent: inode,
                path: None,
            },
            flags: AtFlags::empty(),
            uid: None,
            gid: None,
            perm: None,
            atime: None,
            mtime: None,
            layout: None,
            iflags: Some(IFlags::IMMUTABLE),
            dyn_stripe: 0,
        }
        .into()
    };
    k.elsewhere(request).unwrap();
}

#[test]
fn each_kind_has_its_own_removal() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    k.mknod(d, "f").unwrap();
    k.symlink(ALICE, d, "l", "f").unwrap();
    assert_eq!(k.unlink(ROOT, "d"), Err(Errno::EISDIR));
    assert_eq!(k.rmdir(ROOT, "d"), Err(Errno::ENOTEMPTY));
    assert_eq!(k.rmdir(d, "f"), Err(Errno::ENOTDIR));
    assert_eq!(k.rmdir(d, "l"), Err(Errno::ENOTDIR));
    assert_eq!(k.unlink(d, "nothing"), Err(Errno::ENOENT));
    assert_eq!(k.rmdir(d, "nothing"), Err(Errno::ENOENT));
    assert_eq!(k.unlink(d, "f"), Ok(Reply::Done));
    assert_eq!(k.unlink(d, "l"), Ok(Reply::Done));
    assert_eq!(k.rmdir(ROOT, "d"), Ok(Reply::Done));
    assert!(!k.has(ROOT, "d"));
    k.check_references();
}

#[test]
fn what_the_kernel_refers_to_is_remembered_without_its_name() {
    let mut k = kernel();
    let directory = k.mkdir(ROOT, "d").unwrap();
    let below = k.mkdir(directory, "below").unwrap();
    let link = k.symlink(ALICE, directory, "l", "target").unwrap();
    let link = link.attributes.unwrap();
    // Nothing of a directory is told by the creation of what is in it: this is what was told last.
    let request = |inode| Request::GetAttributes { inode, handle: None };
    let before = k.call(ALICE, request(directory)).unwrap();
    assert_eq!(k.unlink(directory, "l"), Ok(Reply::Done));
    assert_eq!(k.rmdir(directory, "below"), Ok(Reply::Done));
    assert_eq!(k.rmdir(ROOT, "d"), Ok(Reply::Done));
    let Reply::Attributes(before, _) = before else {
        panic!("{before:?}")
    };
    for inode in [directory, below, link.inode] {
        assert_eq!(links(&mut k, inode), 0);
    }
    for expected in [before, link] {
        let expected = Attributes { links: 0, ..expected };
        // For no time at all: what nobody can be asked about is not cached.
        assert_eq!(
            k.call(ALICE, request(expected.inode)),
            Ok(Reply::Attributes(expected, Span::ZERO))
        );
    }
    let (set, inode) = (SetAttributes::default(), directory);
    assert_eq!(
        k.call(ALICE, Request::SetAttributes { inode, set }),
        Err(Errno::ENOENT)
    );
    k.forget(directory, 1);
    assert_eq!(k.call(ALICE, request(directory)), Err(Errno::ENOENT));
    k.check_references();
}

#[test]
fn a_file_that_loses_a_name_is_pinned_first_and_known_to_have_changed() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let file = k.mknod(ROOT, "f").unwrap();
    let link = Request::Link {
        inode: file,
        parent: d,
        name: Text::from("g"),
    };
    k.entry(ALICE, link).unwrap();
    assert_eq!(links(&mut k, file), 2);
    assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
    assert_eq!(links(&mut k, file), 1);
    k.mknod(ROOT, "h").unwrap();
    assert_eq!(k.rename((ROOT, "h"), (d, "g"), 0), Ok(Reply::Done));
    assert_eq!(links(&mut k, file), 0);
    k.check_references();
}

#[test]
fn an_open_file_stays_readable_when_its_last_name_goes() {
    for replaced in [false, true] {
        let mut k = kernel();
        let (writer, handle) = k.create(ROOT, "f").unwrap();
        assert_eq!(k.host.write(writer, handle, 0, b"content"), Ok(7));
        let close = Request::Release {
            inode: writer,
            handle,
        };
        assert_eq!(k.call(ALICE, close), Ok(Reply::Done));
        let reader = k.host.open(ALICE, writer, 0).unwrap().handle;
        if replaced {
            k.mknod(ROOT, "g").unwrap();
            assert_eq!(k.rename((ROOT, "g"), (ROOT, "f"), 0), Ok(Reply::Done));
        } else {
            assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
        }
        // The server has been asked to keep it: a session was opened before the name went.
        let log = k.host.cluster().meta_log.clone();
        let position = |wanted: fn(&meta::Request) -> bool| log.iter().rposition(wanted);
        let opened =
            position(|request| matches!(request, meta::Request::Open(open) if open.session.is_some()));
        let removed =
            position(|request| matches!(request, meta::Request::Remove(_) | meta::Request::Rename(_)));
        assert!(opened.is_some() && opened < removed, "{opened:?} {removed:?}");
        assert_eq!(k.host.read(writer, reader, 0, 10), Ok(b"content".to_vec()));
    }
}

#[test]
fn what_cannot_be_pinned_loses_its_name_all_the_same() {
    let mut k = kernel();
    let (file, handle) = k.create(ROOT, "f").unwrap();
    let close = Request::Release { inode: file, handle };
    assert_eq!(k.call(ALICE, close), Ok(Reply::Done));
    k.host.open(ALICE, file, 0).unwrap();
    let refuse_open = |request: &meta::Request| {
        let refused = Fault::Refused(Status::new(StatusCode::META_NO_PERMISSION));
        matches!(request, meta::Request::Open(_)).then_some(refused)
    };
    k.host.cluster().meta_fault = Some(Box::new(refuse_open));
    assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
    assert!(!k.has(ROOT, "f"));
}

/// Each removal that expects an inode finds another one, so many times.
fn replace_before_removals(k: &Kernel, times: usize) -> Arc<Mutex<usize>> {
    let removals = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&removals);
    let fault = move |request: &meta::Request| {
        let meta::Request::Remove(remove) = request else {
            return None;
        };
        let mut seen = seen.lock().unwrap();
        *seen += 1;
        let moved = Fault::Refused(Status::new(StatusCode::META_NOT_FOUND));
        (*seen <= times && remove.inode_id.is_some()).then_some(moved)
    };
    k.host.cluster().meta_fault = Some(Box::new(fault));
    removals
}

#[test]
fn a_name_that_changes_hands_is_looked_at_again() {
    let mut k = kernel();
    k.mknod(ROOT, "f").unwrap();
    let removals = replace_before_removals(&k, 2);
    assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
    assert_eq!(*removals.lock().unwrap(), 3);
    k.mknod(ROOT, "f").unwrap();
    // If that never ends, the name goes whatever it stands for.
    let removals = replace_before_removals(&k, usize::MAX);
    assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
    assert_eq!(*removals.lock().unwrap(), 5);
    assert!(!k.has(ROOT, "f"));
    k.check_references();
}

#[test]
fn only_the_file_that_was_looked_at_is_removed() {
    let mut k = kernel();
    k.mknod(ROOT, "f").unwrap();
    assert_eq!(k.unlink(ROOT, "f"), Ok(Reply::Done));
    let log = k.host.cluster().meta_log.clone();
    let removed = log.iter().find_map(|request| match request {
        meta::Request::Remove(remove) => Some(remove.clone()),
        _ => None,
    });
    let removed = removed.unwrap();
    assert!(removed.inode_id.is_some() && removed.check_type && !removed.recursive);
}

#[test]
fn immutable_objects_stay_where_they_are() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let f = k.mknod(d, "f").unwrap();
    k.mknod(d, "g").unwrap();
    immutable(&mut k, f);
    assert_eq!(k.unlink(d, "f"), Err(Errno::EPERM));
    assert_eq!(k.rename((d, "f"), (d, "h"), 0), Err(Errno::EPERM));
    assert_eq!(k.rename((d, "g"), (d, "f"), 0), Err(Errno::EPERM));
    let link = Request::Link {
        inode: f,
        parent: d,
        name: Text::from("h"),
    };
    assert_eq!(k.call(ALICE, link), Err(Errno::EPERM));
    assert_eq!(k.names(d), [".", "..", "f", "g"]);
}

#[test]
fn renames_follow_posix() {
    let mut k = kernel();
    let a = k.mkdir(ROOT, "a").unwrap();
    let b = k.mkdir(a, "b").unwrap();
    let f = k.mknod(a, "f").unwrap();
    k.mknod(a, "g").unwrap();
    assert_eq!(
        k.rename((ROOT, "a"), (b, "c"), 0),
        Err(Errno::EINVAL),
        "into itself"
    );
    assert_eq!(k.rename((a, "f"), (a, "b"), 0), Err(Errno::EISDIR));
    assert_eq!(k.rename((a, "b"), (a, "f"), 0), Err(Errno::ENOTDIR));
    assert_eq!(k.rename((a, "x"), (a, "y"), 0), Err(Errno::ENOENT));
    assert_eq!(k.rename((a, "x"), (f, "y"), 0), Err(Errno::ENOTDIR));
    k.mknod(b, "inside").unwrap();
    let c = k.mkdir(a, "c").unwrap();
    assert_eq!(k.rename((a, "c"), (a, "b"), 0), Err(Errno::ENOTEMPTY));
    assert_eq!(
        k.rename((a, "b"), (a, "c"), 0),
        Ok(Reply::Done),
        "over an empty directory"
    );
    assert_eq!(k.find(a, "c"), b);
    assert_ne!(b, c);
    assert_eq!(k.rename((a, "f"), (a, "f"), 0), Ok(Reply::Done));
    assert_eq!(k.rename((a, "f"), (a, "g"), 0), Ok(Reply::Done));
    assert_eq!(k.names(a), [".", "..", "c", "g"]);
    assert_eq!(k.find(a, "g"), f);
    k.check_references();
}

#[test]
fn flags_that_no_server_can_keep_are_refused() {
    let mut k = kernel();
    k.mknod(ROOT, "f").unwrap();
    let before = k.host.cluster().meta_log.len();
    for flags in [1, 2, 4, 1 << 31] {
        assert_eq!(k.rename((ROOT, "f"), (ROOT, "g"), flags), Err(Errno::EINVAL));
        assert_eq!(
            k.rename((ROOT, "f"), (InodeId::RM_RF, "g"), flags),
            Err(Errno::EINVAL)
        );
    }
    assert_eq!(k.host.cluster().meta_log.len(), before);
}

#[test]
fn the_virtual_directory_cannot_be_removed_or_made() {
    let mut k = kernel();
    k.mknod(ROOT, "f").unwrap();
    assert_eq!(k.unlink(ROOT, "3fs-virt"), Err(Errno::EPERM));
    assert_eq!(k.rmdir(ROOT, "3fs-virt"), Err(Errno::EPERM));
    assert_eq!(k.rename((ROOT, "3fs-virt"), (ROOT, "g"), 0), Err(Errno::EPERM));
    assert_eq!(k.rename((ROOT, "f"), (ROOT, "3fs-virt"), 0), Err(Errno::EPERM));
    assert_eq!(k.mkdir(ROOT, "3fs-virt"), Err(Errno::EEXIST));
    assert_eq!(k.create(ROOT, "3fs-virt"), Err(Errno::EEXIST));
    assert_eq!(k.mknod(ROOT, "3fs-virt"), Err(Errno::EEXIST));
    let d = k.mkdir(ROOT, "d").unwrap();
    k.mkdir(d, "3fs-virt").unwrap();
    assert_eq!(
        k.rmdir(d, "3fs-virt"),
        Ok(Reply::Done),
        "elsewhere it is a name like others"
    );
    k.check_references();
}

#[test]
fn a_failure_that_may_have_removed_leaves_no_outdated_attributes() {
    let mut k = kernel();
    let file = k.mknod(ROOT, "f").unwrap();
    let link = Request::Link {
        inode: file,
        parent: ROOT,
        name: Text::from("g"),
    };
    k.entry(ALICE, link).unwrap();
    let lose = |request: &meta::Request| {
        let is_it = matches!(request, meta::Request::Remove(_) | meta::Request::Rename(_));
        is_it.then(|| Fault::Lost(Status::new(StatusCode::RPC_TIMEOUT)))
    };
    k.host.cluster().meta_fault = Some(Box::new(lose));
    assert_eq!(k.unlink(ROOT, "f"), Err(Errno::EREMOTEIO));
    assert_eq!(links(&mut k, file), 1);
    k.mknod(ROOT, "h").unwrap();
    assert_eq!(k.rename((ROOT, "h"), (ROOT, "g"), 0), Err(Errno::EREMOTEIO));
    assert_eq!(links(&mut k, file), 0);
}

/// Requests for one inode by its number.
fn asked(k: &Kernel, inode: InodeId) -> usize {
    let log = k.host.cluster().meta_log.clone();
    let by_number = |request: &&meta::Request| matches!(request, meta::Request::Stat(stat) if stat.path.parent == inode && stat.path.path.is_none());
    log.iter().filter(by_number).count()
}

#[test]
fn what_is_known_of_an_inode_is_outdated_when_its_names_change() {
    let mut k = kernel();
    let file = k.mknod(ROOT, "a").unwrap();
    for (name, number) in [("b", 2), ("c", 3)] {
        let link = Request::Link {
            inode: file,
            parent: ROOT,
            name: Text::from(name),
        };
        assert_eq!(k.entry(ALICE, link).unwrap().attributes.unwrap().links, number);
    }
    k.mknod(ROOT, "d").unwrap();
    let opens = |k: &mut Kernel| {
        let before = asked(k, file);
        k.host.open(ALICE, file, 0).unwrap();
        asked(k, file) - before
    };
    assert_eq!(opens(&mut k), 0, "a fresh file is opened without asking");
    k.unlink(ROOT, "a").unwrap();
    assert_eq!(opens(&mut k), 1, "it lost a name");
    assert_eq!(opens(&mut k), 0);
    k.rename((ROOT, "d"), (ROOT, "b"), 0).unwrap();
    assert_eq!(opens(&mut k), 1, "another took its name");
    k.rename((ROOT, "c"), (ROOT, "e"), 0).unwrap();
    assert_eq!(opens(&mut k), 1, "it was moved");
}
