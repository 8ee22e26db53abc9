//! Lookup, readlink, new names, space.

use crate::common::{ALICE, BOB, Fault, O_CREAT, O_EXCL, O_RDWR, O_TRUNC, ROOT_USER, Setup};
use crate::kit::Kernel;
use flyer_types::ids::{InodeId, Permission, Uid};
use flyer_types::{Errno, Span, Status, StatusCode, Text};
use flyer_vfs::config::UserConfig;
use flyer_vfs::reply::Entry;
use flyer_vfs::{Config, Reply, Request};
use flyer_wire::msg::meta::flags::OpenFlags;
use flyer_wire::msg::meta::inode::InodeType;
use flyer_wire::service::meta;

const ROOT: InodeId = InodeId::ROOT;

fn kernel() -> Kernel {
    Kernel::new(&Setup {
        shards: 3,
        ..Setup::default()
    })
}

/// A mount whose users may do this.
fn kernel_with(user: UserConfig) -> Kernel {
    Kernel::new(&Setup {
        config: Config {
            user,
            ..Config::default()
        },
        ..Setup::default()
    })
}

#[test]
fn absence_is_remembered_as_long_as_the_user_wants() {
    let mut k = kernel();
    let absent = Entry {
        attributes: None,
        entry_timeout: Span::from_secs(5),
        attributes_timeout: Span::from_secs(5),
    };
    assert_eq!(k.lookup(ROOT, "nothing"), Ok(absent));
    let mut k = kernel_with(UserConfig {
        negative_timeout: Span::ZERO,
        ..UserConfig::default()
    });
    assert_eq!(k.lookup(ROOT, "nothing"), Err(Errno::ENOENT));
}

#[test]
fn entries_say_how_long_they_hold() {
    let mut k = kernel_with(UserConfig {
        attr_timeout: Span::from_secs(1),
        entry_timeout: Span::from_secs(2),
        symlink_timeout: Span::from_secs(3),
        ..UserConfig::default()
    });
    k.mkdir(ROOT, "d").unwrap();
    k.symlink(ALICE, ROOT, "l", "target").unwrap();
    let timeouts = |entry: Entry| (entry.attributes_timeout, entry.entry_timeout);
    let directory = k.lookup(ROOT, "d").unwrap();
    assert_eq!(timeouts(directory), (Span::from_secs(1), Span::from_secs(2)));
    let link = k.lookup(ROOT, "l").unwrap();
    assert_eq!(timeouts(link), (Span::from_secs(3), Span::from_secs(3)));
    let attributes = link.attributes.unwrap();
    assert_eq!((attributes.kind, attributes.size), (InodeType::SYMLINK, 6));
    let inode = attributes.inode;
    let read = k.call(ALICE, Request::ReadLink { inode });
    assert_eq!(read, Ok(Reply::Target(Text::from("target"))));
    let inode = directory.attributes.unwrap().inode;
    assert_eq!(k.call(ALICE, Request::ReadLink { inode }), Err(Errno::EINVAL));
    k.check_references();
}

#[test]
fn dots_are_found_for_exports() {
    let mut k = kernel();
    let a = k.mkdir(ROOT, "a").unwrap();
    let b = k.mkdir(a, "b").unwrap();
    let file = k.mknod(a, "f").unwrap();
    assert_eq!(k.find(b, "."), b);
    assert_eq!(k.find(b, ".."), a);
    assert_eq!(k.find(a, ".."), ROOT);
    assert_eq!(k.find(ROOT, ".."), ROOT);
    assert_eq!(k.lookup(file, ".."), Err(Errno::ENOTDIR));
    assert_eq!(k.lookup(file, "x"), Err(Errno::ENOTDIR));
    k.check_references();
}

#[test]
fn impossible_names_never_reach_a_server() {
    let mut k = kernel();
    let long = "x".repeat(256);
    let just_right = "x".repeat(255);
    let before = k.host.cluster().meta_log.len();
    for (name, errno) in [
        (long.as_str(), Errno::ENAMETOOLONG),
        ("", Errno::EINVAL),
        ("a/b", Errno::EINVAL),
        ("a\0", Errno::EINVAL),
    ] {
        assert_eq!(k.lookup(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.mkdir(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.mknod(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.create(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.symlink(ALICE, ROOT, name, "t"), Err(errno), "{name:?}");
        assert_eq!(k.unlink(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.rmdir(ROOT, name), Err(errno), "{name:?}");
        assert_eq!(k.rename((ROOT, name), (ROOT, "b"), 0), Err(errno), "{name:?}");
        assert_eq!(k.rename((ROOT, "b"), (ROOT, name), 0), Err(errno), "{name:?}");
    }
    for dots in [".", ".."] {
        assert_eq!(k.mkdir(ROOT, dots), Err(Errno::EINVAL));
        assert_eq!(k.unlink(ROOT, dots), Err(Errno::EINVAL));
    }
    assert_eq!(k.rmdir(ROOT, "."), Err(Errno::EINVAL));
    assert_eq!(k.rmdir(ROOT, ".."), Err(Errno::ENOTEMPTY));
    let target = "t".repeat(4096);
    assert_eq!(k.symlink(ALICE, ROOT, "l", &target), Err(Errno::ENAMETOOLONG));
    assert_eq!(k.host.cluster().meta_log.len(), before);
    k.mkdir(ROOT, &just_right).unwrap();
    k.symlink(ALICE, ROOT, "l", &target[1..]).unwrap();
    k.check_references();
}

#[test]
fn making_says_what_is_in_the_way() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let f = k.mknod(ROOT, "f").unwrap();
    assert_eq!(k.mkdir(ROOT, "d"), Err(Errno::EEXIST));
    assert_eq!(k.mknod(ROOT, "f"), Err(Errno::EEXIST));
    assert_eq!(k.symlink(ALICE, ROOT, "f", "t"), Err(Errno::EEXIST));
    assert_eq!(k.mkdir(f, "x"), Err(Errno::ENOTDIR));
    assert_eq!(k.mkdir(InodeId(0x9999), "x"), Err(Errno::ENOENT));
    assert_eq!(k.create(ROOT, "d").map(|_| ()), Err(Errno::EISDIR));
    for (mode, errno) in [
        (0o010_644, Errno::EPERM),
        (0o020_644, Errno::EPERM),
        (0o040_755, Errno::EINVAL),
    ] {
        let name = Text::from("node");
        let request = Request::MakeNode {
            parent: ROOT,
            name: name.clone(),
            mode,
        };
        assert_eq!(k.call(ALICE, request), Err(errno), "{mode:o}");
        let request = Request::Create {
            parent: ROOT,
            name,
            mode,
            flags: O_CREAT,
        };
        assert_eq!(k.call(ALICE, request), Err(errno), "{mode:o}");
    }
    let link = |inode, parent, name: &str| Request::Link {
        inode,
        parent,
        name: Text::from(name),
    };
    assert_eq!(k.call(ALICE, link(f, ROOT, "d")), Err(Errno::EEXIST));
    assert_eq!(k.call(ALICE, link(d, ROOT, "e")), Err(Errno::EISDIR));
    let linked = k.entry(ALICE, link(f, d, "g")).unwrap().attributes.unwrap();
    assert_eq!((linked.inode, linked.links), (f, 2));
    k.check_references();
}

#[test]
fn refusals_by_mode_and_by_owner_differ() {
    let mut k = kernel();
    let private = k.mkdir(ROOT, "private").unwrap();
    k.mknod(private, "f").unwrap();
    let make = |parent| Request::MakeDirectory {
        parent,
        name: Text::from("x"),
        permission: Permission(0o755),
    };
    assert_eq!(k.call(BOB, make(private)), Err(Errno::EACCES), "by mode bits");
    let sticky = Request::MakeDirectory {
        parent: ROOT,
        name: Text::from("sticky"),
        permission: Permission(0o1777),
    };
    let sticky = k.entry(ALICE, sticky).unwrap().attributes.unwrap().inode;
    k.mknod(sticky, "f").unwrap();
    let unlink = Request::Unlink {
        parent: sticky,
        name: Text::from("f"),
    };
    assert_eq!(k.call(BOB, unlink), Err(Errno::EPERM), "by the sticky bit");
    k.check_references();
}

#[test]
fn the_message_of_refusals_is_that_of_the_server() {
    let by_mode = Status::with_message(
        StatusCode::META_NO_PERMISSION,
        flyer_cluster::meta::REFUSED_BY_MODE,
    );
    let mut k = kernel();
    for (status, errno) in [
        (by_mode, Errno::EACCES),
        (
            Status::with_message(StatusCode::META_NO_PERMISSION, "other"),
            Errno::EPERM,
        ),
        (Status::new(StatusCode::NOT_IMPLEMENTED), Errno::EOPNOTSUPP),
        (Status::new(StatusCode::META_NO_LOCK), Errno::ENOLCK),
        (Status::new(StatusCode::META_BUSY), Errno::EIO),
        (Status::new(StatusCode::READ_ONLY_MODE), Errno::EROFS),
    ] {
        let fault = Fault::Refused(status.clone());
        k.host.cluster().meta_fault = Some(Box::new(move |_| Some(fault.clone())));
        assert_eq!(k.mkdir(ROOT, "x"), Err(errno), "{status}");
        assert_eq!(k.lookup(ROOT, "x"), Err(errno), "{status}");
    }
}

#[test]
fn who_may_only_read_changes_nothing() {
    let mut k = kernel_with(UserConfig {
        readonly: true,
        ..UserConfig::default()
    });
    let before = k.host.cluster().meta_log.len();
    assert_eq!(k.mkdir(ROOT, "x"), Err(Errno::EROFS));
    assert_eq!(k.mknod(ROOT, "x"), Err(Errno::EROFS));
    assert_eq!(k.create(ROOT, "x"), Err(Errno::EROFS));
    assert_eq!(k.symlink(ALICE, ROOT, "x", "y"), Err(Errno::EROFS));
    assert_eq!(k.symlink(ALICE, ROOT, "x", "mv:/y"), Err(Errno::EROFS));
    assert_eq!(k.symlink(ALICE, InodeId::RM_RF, "x", "/y"), Err(Errno::EROFS));
    assert_eq!(k.unlink(ROOT, "x"), Err(Errno::EROFS));
    assert_eq!(k.unlink(InodeId::IOV_DIR, "x"), Err(Errno::EROFS));
    assert_eq!(k.rmdir(ROOT, "x"), Err(Errno::EROFS));
    assert_eq!(k.rename((ROOT, "x"), (ROOT, "y"), 0), Err(Errno::EROFS));
    assert_eq!(k.rename((ROOT, "x"), (InodeId::RM_RF, "y"), 0), Err(Errno::EROFS));
    let link = Request::Link {
        inode: InodeId(0x1000),
        parent: ROOT,
        name: Text::from("x"),
    };
    assert_eq!(k.call(ALICE, link), Err(Errno::EROFS));
    let access = |mask| Request::Access { inode: ROOT, mask };
    assert_eq!(k.host.cluster().meta_log.len(), before);
    assert_eq!(k.call(ALICE, access(2)), Err(Errno::EROFS));
    assert_eq!(k.call(ALICE, access(4)), Ok(Reply::Done));
}

#[test]
fn servers_hear_only_flags_of_their_own() {
    let mut k = kernel();
    let request = Request::Create {
        parent: ROOT,
        name: Text::from("f"),
        mode: 0o106_755,
        // With O_NOFOLLOW, O_LARGEFILE and O_CLOEXEC.
        flags: O_CREAT | O_EXCL | O_RDWR | O_TRUNC | 0o2_500_000,
    };
    assert!(matches!(k.call(ALICE, request), Ok(Reply::Created(..))));
    let log = k.host.cluster().meta_log.clone();
    let Some(meta::Request::Create(create)) = log.iter().find(|r| matches!(r, meta::Request::Create(_)))
    else {
        panic!("no create: {log:?}");
    };
    let flags = OpenFlags::RDWR | OpenFlags::CREAT | OpenFlags::EXCL | OpenFlags::TRUNC;
    assert_eq!((create.flags, create.perm), (flags, Permission(0o6755)));
    assert!(
        create
            .session
            .as_ref()
            .is_some_and(|session| !session.session.is_zero())
    );
    assert_eq!((create.remove_chunks_batch_size, create.dyn_stripe), (32, true));
    assert_eq!(create.base.user.uid, ALICE.uid);
}

#[test]
fn access_looks_at_one_class_of_bits() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let f = k.mknod(d, "f").unwrap();
    let answers = [
        (ALICE, f, 6, Ok(Reply::Done)),
        (ALICE, f, 1, Err(Errno::EACCES)),
        (BOB, f, 4, Ok(Reply::Done)),
        (BOB, f, 2, Err(Errno::EACCES)),
        (BOB, d, 5, Ok(Reply::Done)),
        (BOB, d, 2, Err(Errno::EACCES)),
        (ROOT_USER, f, 6, Ok(Reply::Done)),
        (ROOT_USER, f, 1, Err(Errno::EACCES)),
        (ROOT_USER, d, 7, Ok(Reply::Done)),
        (ALICE, f, 0, Ok(Reply::Done)),
        (ALICE, f, 8, Err(Errno::EINVAL)),
        (ALICE, InodeId(0x7777), 0, Err(Errno::ENOENT)),
        (BOB, InodeId::RM_RF, 2, Ok(Reply::Done)),
        (BOB, InodeId::GET_CONF, 2, Err(Errno::EACCES)),
    ];
    for (caller, inode, mask, answer) in answers {
        assert_eq!(
            k.call(caller, Request::Access { inode, mask }),
            answer,
            "{caller:?} {inode} {mask}"
        );
    }
}

#[test]
fn a_link_that_is_too_long_is_not_handed_out() {
    let mut k = kernel();
    let entry = k.symlink(ALICE, ROOT, "l", &"t".repeat(4095)).unwrap();
    let inode = entry.attributes.unwrap().inode;
    let target = k.call(ALICE, Request::ReadLink { inode });
    assert!(matches!(target, Ok(Reply::Target(target)) if target.len() == 4095));
}

#[test]
fn space_is_told_again_when_nobody_answers() {
    let mut k = kernel();
    let ask = Request::StatFs { inode: ROOT };
    assert_eq!(
        k.call(ALICE, ask.clone()),
        Err(Errno::EIO),
        "no server has said anything yet"
    );
    k.host.cluster().report_space(k.host.now, 1 << 40, 1 << 39);
    let told = k.call(ALICE, ask.clone()).unwrap();
    let Reply::Space(space) = &told else {
        panic!("{told:?}");
    };
    assert_eq!(space.blocks * u64::from(space.block_bytes), 1 << 40);
    assert_eq!(space.blocks_free * u64::from(space.block_bytes), 1 << 39);
    assert_eq!(space.name_bytes_max, 255);
    k.host.cluster().meta_fault = Some(Box::new(|_| Some(Fault::transient())));
    assert_eq!(k.call(ALICE, ask), Ok(told));
}

#[test]
fn users_are_told_apart() {
    let mut config = Config::default();
    let own = flyer_vfs::config::UserOverrides {
        readonly: Some(true),
        ..Default::default()
    };
    config.set_own(Uid(1000), own);
    let mut k = Kernel::new(&Setup {
        config,
        ..Setup::default()
    });
    assert_eq!(k.mkdir(ROOT, "x"), Err(Errno::EROFS));
    let make = Request::MakeDirectory {
        parent: ROOT,
        name: Text::from("x"),
        permission: Permission(0o755),
    };
    assert!(k.entry(BOB, make).is_ok());
}
