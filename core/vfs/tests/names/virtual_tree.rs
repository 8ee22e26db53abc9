//! What users do below `3fs-virt`.

use crate::common::{ALICE, BOB, Fault, ROOT_USER, Setup};
use crate::kit::Kernel;
use flyer_types::ids::{HandleId, InodeId, Permission, Uid};
use flyer_types::{Errno, Span, Text};
use flyer_vfs::reply::Invalidate;
use flyer_vfs::request::SetAttributes;
use flyer_vfs::{Caller, Config, Reply, Request};
use flyer_wire::msg::meta::inode::InodeType;
use flyer_wire::service::meta;

const ROOT: InodeId = InodeId::ROOT;
const DIRECTORIES: [InodeId; 5] = [
    InodeId::VIRT,
    InodeId::RM_RF,
    InodeId::IOV_DIR,
    InodeId::GET_CONF,
    InodeId::SET_CONF,
];

fn kernel() -> Kernel {
    Kernel::new(&Setup {
        shards: 3,
        config: Config {
            mount_point: Text::from("/mnt"),
            remount_prefix: Some(Text::from("/alias")),
            ..Config::default()
        },
        ..Setup::default()
    })
}

fn target(k: &mut Kernel, caller: Caller, inode: InodeId) -> Result<String, Errno> {
    match k.call(caller, Request::ReadLink { inode })? {
        Reply::Target(target) => Ok(target.to_string()),
        other => panic!("{other:?}"),
    }
}

/// The value of an option as a user sees it.
fn option(k: &mut Kernel, caller: Caller, key: &str) -> Result<String, Errno> {
    let request = Request::Lookup {
        parent: InodeId::GET_CONF,
        name: Text::from(key),
    };
    let inode = k.entry(caller, request)?.attributes.unwrap().inode;
    target(k, caller, inode)
}

fn entry(parent: InodeId, name: &str) -> Invalidate {
    Invalidate::Entry {
        parent,
        name: Text::from(name),
    }
}

#[test]
fn the_tree_is_there() {
    let mut k = kernel();
    assert_eq!(k.find(ROOT, "3fs-virt"), InodeId::VIRT);
    for (name, inode, mode) in [
        ("rm-rf", InodeId::RM_RF, 0o777),
        ("iovs", InodeId::IOV_DIR, 0o777),
        ("get-conf", InodeId::GET_CONF, 0o555),
        ("set-conf", InodeId::SET_CONF, 0o777),
    ] {
        let entry = k.lookup(InodeId::VIRT, name).unwrap();
        assert_eq!(entry.entry_timeout, Span::from_secs(30));
        let attributes = entry.attributes.unwrap();
        assert_eq!(
            (attributes.inode, attributes.permission),
            (inode, Permission(mode))
        );
        assert_eq!((attributes.kind, attributes.links), (InodeType::DIRECTORY, 1));
        assert_eq!(k.find(inode, "."), inode);
        assert_eq!(k.find(inode, ".."), InodeId::VIRT);
        let asked = k.call(ALICE, Request::GetAttributes { inode, handle: None });
        assert_eq!(asked, Ok(Reply::Attributes(attributes, Span::from_secs(30))));
    }
    assert_eq!(k.find(InodeId::VIRT, ".."), ROOT);
    assert_eq!(
        k.names(InodeId::VIRT),
        [".", "..", "get-conf", "iovs", "rm-rf", "set-conf"]
    );
    for empty in [InodeId::RM_RF, InodeId::IOV_DIR, InodeId::SET_CONF] {
        assert_eq!(k.names(empty), [".", ".."]);
    }
    for parent in [InodeId::VIRT, InodeId::RM_RF, InodeId::IOV_DIR, InodeId::SET_CONF] {
        assert_eq!(k.lookup(parent, "nothing"), Err(Errno::ENOENT));
    }
    assert_eq!(
        k.lookup(InodeId::VIRT, &"x".repeat(256)),
        Err(Errno::ENAMETOOLONG)
    );
    k.check_references();
}

#[test]
fn nothing_else_is_done_there() {
    let mut k = kernel();
    let file = k.mknod(ROOT, "f").unwrap();
    let before = k.host.cluster().meta_log.len();
    for inode in DIRECTORIES {
        assert_eq!(k.mkdir(inode, "x"), Err(Errno::EPERM));
        assert_eq!(k.mknod(inode, "x"), Err(Errno::EPERM));
        assert_eq!(k.create(inode, "x"), Err(Errno::EPERM));
        assert_eq!(k.rmdir(inode, "x"), Err(Errno::EPERM));
        let unlinked = if inode == InodeId::IOV_DIR {
            Errno::ENOENT
        } else {
            Errno::EPERM
        };
        assert_eq!(k.unlink(inode, "x"), Err(unlinked));
        assert_eq!(k.rename((inode, "x"), (ROOT, "y"), 0), Err(Errno::EPERM));
        assert_eq!(
            k.rename((inode, "x"), (InodeId::RM_RF, "y"), 0),
            Err(Errno::EPERM)
        );
        if inode != InodeId::RM_RF {
            assert_eq!(k.rename((ROOT, "f"), (inode, "y"), 0), Err(Errno::EPERM));
        }
        let link = |inode, parent| Request::Link {
            inode,
            parent,
            name: Text::from("x"),
        };
        assert_eq!(k.call(ALICE, link(inode, ROOT)), Err(Errno::EISDIR));
        assert_eq!(k.call(ALICE, link(file, inode)), Err(Errno::EPERM));
        let set = SetAttributes::default();
        assert_eq!(
            k.call(ALICE, Request::SetAttributes { inode, set }),
            Err(Errno::EPERM)
        );
        assert_eq!(target(&mut k, ALICE, inode), Err(Errno::EINVAL));
        assert_eq!(
            k.call(ALICE, Request::Open { inode, flags: 0 }),
            Err(Errno::EISDIR)
        );
    }
    for inode in [InodeId::VIRT, InodeId::GET_CONF, InodeId::IOV_DIR] {
        assert_eq!(k.symlink(ALICE, inode, "x", "y"), Err(Errno::EPERM));
    }
    assert_eq!(k.host.cluster().meta_log.len(), before);
}

#[test]
fn requests_for_numbers_that_are_nothing_are_answered() {
    let mut k = kernel();
    let handle = HandleId::new(0, 1);
    let key = InodeId(InodeId::GET_CONF.0 - 1);
    let past = InodeId(InodeId::GET_CONF.0 - 18);
    let fake = InodeId::virtual_symlink_of(ROOT);
    let semaphore = InodeId::submit_semaphore(0).unwrap();
    for inode in [past, fake, semaphore, InodeId::INVALID, InodeId(1 << 60)] {
        let get = Request::GetAttributes { inode, handle: None };
        assert_eq!(k.call(ALICE, get), Err(Errno::ENOENT), "{inode}");
        assert_eq!(target(&mut k, ALICE, inode), Err(Errno::ENOENT));
        assert_eq!(
            k.call(ALICE, Request::Open { inode, flags: 0 }),
            Err(Errno::ENOENT)
        );
        assert_eq!(k.lookup(inode, "x"), Err(Errno::ENOTDIR));
        let set = SetAttributes {
            size: Some(0),
            ..SetAttributes::default()
        };
        assert_eq!(
            k.call(ALICE, Request::SetAttributes { inode, set }),
            Err(Errno::EPERM)
        );
    }
    for inode in [key, fake, InodeId::VIRT] {
        let data = k.host.lease(b"bytes", 0);
        let into = k.host.lease(b"bytes", 0);
        let write = Request::Write {
            inode,
            handle,
            offset: 0,
            data,
            room: 5,
        };
        assert_eq!(k.call(ALICE, write), Err(Errno::EBADF));
        assert!(
            !k.host.cluster().memory.contains_key(&data.id),
            "the memory of a write is given back"
        );
        let read = Request::Read {
            inode,
            handle,
            offset: 0,
            into,
        };
        assert_eq!(k.call(ALICE, read), Err(Errno::EBADF));
        assert_eq!(k.call(ALICE, Request::Flush { inode, handle }), Err(Errno::EBADF));
        assert_eq!(
            k.call(ALICE, Request::Release { inode, handle }),
            Err(Errno::EBADF)
        );
        let fsync = Request::Fsync {
            inode,
            handle,
            data_only: false,
        };
        assert_eq!(k.call(ALICE, fsync), Err(Errno::EBADF));
        assert_eq!(
            k.call(ALICE, Request::Forget { inode, count: 7 }),
            Ok(Reply::Done)
        );
    }
    assert_eq!(
        k.call(ALICE, Request::Open { inode: key, flags: 0 }),
        Err(Errno::ELOOP)
    );
    assert_eq!(k.open_directory(key), Err(Errno::ENOTDIR));
    k.check_references();
}

#[test]
fn options_are_read_and_set() {
    let mut k = kernel();
    let keys = k.names(InodeId::GET_CONF);
    assert_eq!(keys.len(), 2 + 17);
    for key in &keys[2..] {
        let value = option(&mut k, ALICE, key).unwrap();
        let caller = if key.starts_with("sys.") { ROOT_USER } else { ALICE };
        let entry = k.symlink(caller, InodeId::SET_CONF, key, &value).unwrap();
        assert_eq!(option(&mut k, ALICE, key).unwrap(), value, "{key}");
        let attributes = entry.attributes.unwrap();
        assert_eq!(
            (entry.entry_timeout, entry.attributes_timeout),
            (Span::ZERO, Span::ZERO)
        );
        assert_eq!(
            (attributes.kind, attributes.permission),
            (InodeType::SYMLINK, Permission(0o400))
        );
        assert_eq!(usize::try_from(attributes.size), Ok(value.len()));
        assert_eq!(target(&mut k, ALICE, attributes.inode).unwrap(), value);
    }
    assert_eq!(k.host.configs.len(), 17, "each change is told to all shards");
    k.check_references();
}

#[test]
fn what_a_user_sets_is_its_own() {
    let mut k = kernel();
    k.symlink(ALICE, InodeId::SET_CONF, "usr.readonly", "true")
        .unwrap();
    k.symlink(ALICE, InodeId::SET_CONF, "usr.entry_timeout", "1.5")
        .unwrap();
    assert_eq!(option(&mut k, ALICE, "usr.readonly").unwrap(), "true");
    assert_eq!(option(&mut k, ALICE, "usr.entry_timeout").unwrap(), "1.5");
    assert_eq!(option(&mut k, BOB, "usr.readonly").unwrap(), "false");
    assert_eq!(k.mkdir(ROOT, "x"), Err(Errno::EROFS));
    let make = Request::MakeDirectory {
        parent: ROOT,
        name: Text::from("x"),
        permission: Permission(0o755),
    };
    k.entry(BOB, make).unwrap();
    assert_eq!(k.lookup(ROOT, "x").unwrap().entry_timeout, Span::from_ms(1500));
    // Who may not write may still make himself a writer again.
    k.symlink(ALICE, InodeId::SET_CONF, "usr.readonly", "false")
        .unwrap();
    k.mkdir(ROOT, "y").unwrap();
    let config = k.host.configs.last().unwrap();
    assert_eq!((config.users.len(), config.of(Uid(1000)).readonly), (1, false));
}

#[test]
fn only_root_sets_options_of_the_mount() {
    let mut k = kernel();
    let key = "sys.periodic_sync.interval";
    assert_eq!(k.symlink(ALICE, InodeId::SET_CONF, key, "5s"), Err(Errno::EPERM));
    assert_eq!(option(&mut k, ALICE, key).unwrap(), "30s");
    assert!(k.host.configs.is_empty());
    k.symlink(ROOT_USER, InodeId::SET_CONF, key, "1min 30s").unwrap();
    assert_eq!(option(&mut k, ALICE, key).unwrap(), "1min 30s");
    assert_eq!(k.host.configs[0].periodic_sync.interval, Span::from_secs(90));
    for (name, value) in [
        ("usr.nothing", "1"),
        ("nothing", "1"),
        ("usr.readonly", "maybe"),
        (key, "soon"),
    ] {
        assert_eq!(
            k.symlink(ROOT_USER, InodeId::SET_CONF, name, value),
            Err(Errno::EINVAL),
            "{name}"
        );
    }
    assert_eq!(k.lookup(InodeId::GET_CONF, "usr.nothing"), Err(Errno::EINVAL));
    let request = Request::GetAttributes {
        inode: InodeId(InodeId::GET_CONF.0 - 1),
        handle: None,
    };
    let Ok(Reply::Attributes(attributes, timeout)) = k.call(BOB, request) else {
        panic!("no attributes");
    };
    assert_eq!(
        (attributes.permission, attributes.uid, timeout),
        (Permission(0o444), BOB.uid, Span::ZERO)
    );
}

/// A tree `top/in/side` with files.
fn plant(k: &mut Kernel) -> (InodeId, InodeId) {
    let top = k.mkdir(ROOT, "top").unwrap();
    let inner = k.mkdir(top, "in").unwrap();
    let side = k.mkdir(inner, "side").unwrap();
    k.mknod(side, "f").unwrap();
    k.mknod(inner, "g").unwrap();
    (top, inner)
}

#[test]
fn a_link_into_rm_rf_removes_a_tree() {
    for path in ["/mnt/top/in", "/alias/top/./in/", "/mnt/x/../top/in/side/.."] {
        let mut k = kernel();
        let (top, _) = plant(&mut k);
        k.host.invalidated.clear();
        let made = k.symlink(ALICE, InodeId::RM_RF, "any", path).unwrap();
        let attributes = made.attributes.unwrap();
        assert_eq!(attributes.inode, InodeId::virtual_symlink_of(top));
        assert_eq!(
            (attributes.kind, attributes.permission),
            (InodeType::SYMLINK, Permission(0))
        );
        assert_eq!(usize::try_from(attributes.size), Ok(path.len()));
        assert_eq!(
            (made.entry_timeout, made.attributes_timeout),
            (Span::ZERO, Span::ZERO)
        );
        assert!(
            k.host.invalidated.contains(&entry(top, "in")),
            "{:?}",
            k.host.invalidated
        );
        assert_eq!(k.names(top), [".", ".."]);
        assert_eq!(k.lookup(InodeId::RM_RF, "any"), Err(Errno::ENOENT));
        k.check_references();
    }
}

#[test]
fn rm_rf_takes_only_what_lies_in_the_mount() {
    let mut k = kernel();
    let (top, _) = plant(&mut k);
    for (path, errno) in [
        ("top/in", Errno::EINVAL),
        ("/mnt", Errno::EINVAL),
        ("/mnt/top/..", Errno::EINVAL),
        ("/other/top/in", Errno::EINVAL),
        ("/mnt/../top/in", Errno::EINVAL),
        ("/mntx/top", Errno::EINVAL),
        ("", Errno::EINVAL),
        ("/mnt/top/nothing", Errno::ENOENT),
        ("/mnt/nothing/in", Errno::ENOENT),
        ("/mnt/3fs-virt", Errno::EPERM),
        ("/mnt/3fs-virt/get-conf", Errno::EPERM),
        ("/mnt/top/in/g/x", Errno::ENOTDIR),
    ] {
        assert_eq!(k.symlink(ALICE, InodeId::RM_RF, "x", path), Err(errno), "{path}");
    }
    assert_eq!(
        k.symlink(BOB, InodeId::RM_RF, "x", "/mnt/top/in"),
        Err(Errno::EACCES)
    );
    assert_eq!(k.names(top), [".", "..", "in"]);
    k.symlink(ALICE, InodeId::RM_RF, "x", "/mnt/top/in/g").unwrap();
    let top_entry = k.symlink(ALICE, InodeId::RM_RF, "x", "/mnt/top").unwrap();
    assert_eq!(
        top_entry.attributes.unwrap().inode,
        InodeId::virtual_symlink_of(ROOT)
    );
    assert_eq!(k.names(ROOT), [".", "..", "3fs-virt"]);
}

#[test]
fn rm_rf_removes_the_tree_that_was_looked_at_and_no_other() {
    let mut k = kernel();
    let (_, inner) = plant(&mut k);
    k.mkdir(ROOT, "other").unwrap();
    k.symlink(ALICE, InodeId::RM_RF, "x", "/mnt/top/in").unwrap();
    let log = k.host.cluster().meta_log.clone();
    let removed = log.iter().find_map(|request| match request {
        meta::Request::Remove(remove) => Some((remove.recursive, remove.inode_id)),
        _ => None,
    });
    assert_eq!(removed, Some((true, Some(inner))));
}

#[test]
fn moving_into_rm_rf_removes() {
    let mut k = kernel();
    let (top, _) = plant(&mut k);
    k.host.invalidated.clear();
    assert_eq!(k.rename((top, "in"), (InodeId::RM_RF, "in"), 0), Ok(Reply::Done));
    assert_eq!(
        k.host.invalidated,
        [entry(InodeId::RM_RF, "in")],
        "the kernel takes it for moved"
    );
    assert_eq!(k.names(top), [".", ".."]);
    assert_eq!(
        k.rename((top, "in"), (InodeId::RM_RF, "in"), 0),
        Err(Errno::ENOENT)
    );
    assert_eq!(
        k.rename((ROOT, "3fs-virt"), (InodeId::RM_RF, "x"), 0),
        Err(Errno::EPERM)
    );
    k.check_references();
}

#[test]
fn mv_links_rename() {
    let mut k = kernel();
    let (top, inner) = plant(&mut k);
    let other = k.mkdir(ROOT, "other").unwrap();
    k.host.invalidated.clear();
    let made = k.symlink(ALICE, other, "moved", "mv:/mnt/top/in").unwrap();
    let attributes = made.attributes.unwrap();
    assert_eq!(attributes.inode, InodeId::virtual_symlink_of(top));
    assert_eq!((attributes.size, made.entry_timeout), (11, Span::ZERO));
    let fake = Invalidate::Inode {
        inode: attributes.inode,
        pages: None,
    };
    for what in [entry(top, "in"), entry(other, "moved"), fake] {
        assert!(k.host.invalidated.contains(&what), "{what:?}");
    }
    assert_eq!(k.find(other, "moved"), inner);
    assert!(!k.has(top, "in"));
    for (to, name, path, errno) in [
        (other, "x", "mv:/elsewhere/y", Errno::EINVAL),
        (other, "x", "mv:relative", Errno::EINVAL),
        (other, "x", "mv:/mnt/nothing", Errno::ENOENT),
        (other, "x", "mv:/mnt/3fs-virt/get-conf", Errno::EPERM),
        (ROOT, "3fs-virt", "mv:/mnt/top", Errno::EPERM),
        (inner, "x", "mv:/mnt/other", Errno::EINVAL),
        (InodeId::VIRT, "x", "mv:/mnt/top", Errno::EPERM),
    ] {
        assert_eq!(k.symlink(ALICE, to, name, path), Err(errno), "{path}");
    }
    k.check_references();
}

#[test]
fn mv_links_can_be_switched_off() {
    let mut k = Kernel::new(&Setup {
        config: Config {
            mv_links: false,
            ..Config::default()
        },
        ..Setup::default()
    });
    k.mknod(ROOT, "f").unwrap();
    let entry = k.symlink(ALICE, ROOT, "l", "mv:/f").unwrap();
    assert_eq!(
        target(&mut k, ALICE, entry.attributes.unwrap().inode).unwrap(),
        "mv:/f"
    );
    assert!(k.has(ROOT, "f"));
    k.check_references();
}

#[test]
fn failures_leave_the_kernel_as_it_is() {
    let mut k = kernel();
    plant(&mut k);
    k.host.invalidated.clear();
    k.host.cluster().meta_fault = Some(Box::new(|request| {
        matches!(request, meta::Request::Remove(_) | meta::Request::Rename(_)).then(Fault::transient)
    }));
    assert_eq!(
        k.symlink(ALICE, InodeId::RM_RF, "x", "/mnt/top/in"),
        Err(Errno::EREMOTEIO)
    );
    assert_eq!(
        k.symlink(ALICE, ROOT, "x", "mv:/mnt/top/in"),
        Err(Errno::EREMOTEIO)
    );
    let entries = k
        .host
        .invalidated
        .iter()
        .filter(|what| matches!(what, Invalidate::Entry { .. }));
    assert_eq!(entries.count(), 0);
}
