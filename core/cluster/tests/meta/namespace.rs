//! Names: create, mkdirs, symlink, hardLink, remove, rename, list, getRealPath, locks.

use crate::support::{ALICE, Res, World, by_id, path};
use flyer_cluster::meta::Options;
use flyer_cluster::meta::options::limits::PATH_BYTES_MAX;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Span, StatusCode, Text};
use flyer_wire::msg::meta::attr::{LockAction, LockDirectoryReq};
use flyer_wire::msg::meta::call::PathAt;
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::namespace::{GetRealPathReq, ListReq, RemoveReq, RenameReq};
use flyer_wire::service::meta::Response;

const NOT_FOUND: StatusCode = StatusCode::META_NOT_FOUND;
const NO_PERMISSION: StatusCode = StatusCode::META_NO_PERMISSION;

#[test]
fn directories_count_their_subdirectories_and_know_when_they_changed() {
    let mut w = World::new();
    w.mkdir("/a").unwrap();
    w.mkdir("/b").unwrap();
    w.pass(Span::from_secs(1));
    let b = w.mkdir("/a/b").unwrap();
    let a = w.stat("/a").unwrap().base;
    assert_eq!((a.nlink, a.mtime, a.ctime), (3, b.base.mtime, b.base.mtime));
    w.pass(Span::from_secs(1));
    w.rename("/a/b", "/b/c").unwrap();
    assert_eq!(
        [w.stat("/a").unwrap().base.nlink, w.stat("/b").unwrap().base.nlink],
        [2, 3]
    );
    let moved = w.stat("/b/c").unwrap().base;
    assert_eq!(w.stat("/a").unwrap().base.mtime, moved.ctime);
    w.rmdir("/b/c").unwrap();
    assert_eq!(w.stat("/b").unwrap().base.nlink, 2);
    let mut w = World::with(Options::upstream());
    let a = w.mkdir("/a").unwrap();
    w.pass(Span::from_secs(1));
    w.mkdir("/a/b").unwrap();
    assert_eq!(w.stat("/a").unwrap(), a);
    assert_eq!(a.base.mtime.us % 1_000_000, 0);
}

#[test]
fn mkdirs_makes_all_or_nothing() {
    let mut w = World::new();
    assert_eq!(w.mkdir("/a/b"), Err(NOT_FOUND));
    let request = w.mkdirs_req("/a/../b", 0o755, true);
    assert_eq!(w.ask(request), Err(StatusCode::INVALID_ARG));
    assert_eq!(w.names("/"), Ok(vec![]));
    let request = w.mkdirs_req("/a/b/c", 0o750, true);
    assert!(w.ask(request.clone()).is_ok());
    assert!(w.ask(request).is_ok(), "a retry");
    assert_eq!(w.mkdir("/a/b"), Err(StatusCode::META_EXISTS));
    assert_eq!(w.stat("/a/b").unwrap().base.acl.perm.0, 0o750);
    let long = "x".repeat(256);
    assert_eq!(w.mkdir(&format!("/{long}")), Err(StatusCode::META_NAME_TOO_LONG));
    let request = w.mkdirs_req(&format!("/z/{long}"), 0o755, true);
    assert_eq!(w.ask(request), Err(StatusCode::META_NAME_TOO_LONG));
    assert_eq!(w.mkdir("/a\0b"), Err(StatusCode::INVALID_ARG));
    assert_eq!(
        w.mkdir(&"/x".repeat(PATH_BYTES_MAX)),
        Err(StatusCode::META_NAME_TOO_LONG)
    );
    assert_eq!(w.names("/"), Ok(vec!["a".into()]));
}

#[test]
fn permissions_are_those_of_directories_walked_and_changed() {
    let mut w = World::new();
    w.mkdir_mode("/closed", 0o700).unwrap();
    w.create("/closed/f").unwrap();
    w.mkdir_mode("/open", 0o777).unwrap();
    w.user = ALICE;
    assert_eq!(w.stat("/closed/f"), Err(NO_PERMISSION));
    assert_eq!(w.create("/f"), Err(NO_PERMISSION));
    assert_eq!(w.create("/open/f").unwrap().base.acl.uid, ALICE);
    assert_eq!(w.names("/closed"), Err(NO_PERMISSION));
    // The parent is judged by its own mode, not by the child's.
    w.user = flyer_types::ids::Uid(0);
    w.mkdir_mode("/closed/in", 0o777).unwrap();
    let inside = w.stat("/closed/in").unwrap().id;
    w.user = ALICE;
    let up = PathAt {
        parent: inside,
        path: Some("../f".into()),
    };
    assert_eq!(w.stat_at(up, AtFlags::empty()), Err(NO_PERMISSION));
}

#[test]
fn sticky_immutable_and_set_group_id() {
    let mut w = World::new();
    w.mkdir_mode("/tmp", 0o1777).unwrap();
    w.create("/tmp/root").unwrap();
    w.mkdir_mode("/group", 0o2777).unwrap();
    w.user = ALICE;
    assert_eq!(w.unlink("/tmp/root"), Err(NO_PERMISSION));
    assert_eq!(w.rename("/tmp/root", "/tmp/x"), Err(NO_PERMISSION));
    w.create("/tmp/mine").unwrap();
    w.rename("/tmp/mine", "/tmp/still mine").unwrap();
    assert_eq!(w.rename("/tmp/still mine", "/tmp/root"), Err(NO_PERMISSION));
    w.unlink("/tmp/still mine").unwrap();
    let directory = w.mkdir("/group/d").unwrap().base.acl;
    assert_eq!((directory.gid.0, directory.perm.0), (0, 0o2755));
    let file = w.create("/group/f").unwrap().base.acl;
    assert_eq!((file.gid.0, file.perm.0), (0, 0o644));
    w.user = flyer_types::ids::Uid(0);
    let mut request = w.set_attr_req("/tmp/root");
    request.iflags = Some(IFlags::IMMUTABLE);
    w.set_attr(request).unwrap();
    assert_eq!(w.unlink("/tmp/root"), Err(NO_PERMISSION));
    assert_eq!(w.link("/tmp/root", "/l").map(|_| ()), Err(NO_PERMISSION));
    assert_eq!(w.rename("/tmp/root", "/x"), Err(NO_PERMISSION));
}

#[test]
fn paths_lead_where_upstreams_tests_say() {
    let mut w = World::new();
    let request = w.mkdirs_req("/a/b/c", 0o755, true);
    w.ask(request).unwrap();
    w.create("/file").unwrap();
    w.symlink("/a/b/c/f", "/file").unwrap();
    w.symlink("/self", "self").unwrap();
    let b = w.stat("/a/b").unwrap().id;
    let root = w.stat("/").unwrap();
    assert_eq!(root.id, InodeId::ROOT);
    for up in ["/a/..", "/a/../../..", "/a/b/../..", "/."] {
        assert_eq!(w.stat(up), Ok(root.clone()), "{up}");
    }
    assert_eq!(w.stat("/a/b/c/f/xyz"), Err(StatusCode::META_NOT_DIRECTORY));
    assert_eq!(w.stat("/self/x"), Err(StatusCode::META_TOO_MANY_SYMLINKS));
    assert_eq!(w.stat(""), Err(NOT_FOUND));
    assert_eq!(w.stat("/a/"), w.stat("/a"));
    assert_eq!(w.stat("/file/"), Err(StatusCode::META_NOT_DIRECTORY));
    let mut real = |at: PathAt, absolute| -> Res<String> {
        let request = GetRealPathReq {
            base: w.base(),
            path: at,
            absolute,
        };
        match w.ask(request)? {
            Response::GetRealPath(r) => Ok(r.path.to_string()),
            other => panic!("{other:?}"),
        }
    };
    let from_b = |text: &str| PathAt {
        parent: b,
        path: Some(text.into()),
    };
    assert_eq!(real(from_b("c/.."), false).as_deref(), Ok("."));
    assert_eq!(real(from_b("c/.."), true).as_deref(), Ok("/a/b"));
    assert_eq!(real(from_b("c/f"), true).as_deref(), Ok("/file"));
    assert_eq!(real(from_b("c/f"), false).as_deref(), Ok("/file"));
    assert_eq!(real(by_id(b), true).as_deref(), Ok("/a/b"));
    assert_eq!(real(by_id(InodeId::ROOT), true).as_deref(), Ok("/"));
    assert_eq!(real(path("/missing"), true), Err(NOT_FOUND));
}

#[test]
fn chains_of_links_have_a_length_and_a_depth() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    w.symlink("/l0", "d").unwrap();
    for n in 1..=10 {
        w.symlink(&format!("/l{n}"), &format!("l{}", n - 1)).unwrap();
    }
    assert!(w.stat_at(path("/l9"), AtFlags::SYMLINK_FOLLOW).is_ok());
    let too_many = Err(StatusCode::META_TOO_MANY_SYMLINKS);
    assert_eq!(w.stat_at(path("/l10"), AtFlags::SYMLINK_FOLLOW), too_many);
    assert!(w.stat("/l10").is_ok(), "not followed");
    w.mkdir("/d/d").unwrap();
    w.symlink("/n0", "d/.").unwrap();
    for n in 1..=6 {
        w.symlink(&format!("/n{n}"), &format!("n{}/.", n - 1)).unwrap();
    }
    assert!(w.stat("/n3/d").is_ok());
    assert_eq!(w.stat("/n6/d"), too_many);
}

#[test]
fn hard_links_count() {
    let mut w = World::new();
    w.create("/f").unwrap();
    let request = w.link_req("/f", "/g");
    for _ in 0..2 {
        assert!(matches!(w.ask(request.clone()), Ok(Response::HardLink(r)) if r.stat.base.nlink == 2));
    }
    assert_eq!(w.link("/f", "/g"), Err(StatusCode::META_EXISTS));
    w.mkdir("/d").unwrap();
    assert_eq!(w.link("/d", "/e"), Err(StatusCode::META_IS_DIRECTORY));
    w.unlink("/f").unwrap();
    assert_eq!(w.stat("/g").unwrap().base.nlink, 1);
    w.rename("/g", "/g").unwrap();
    let linked = w.link("/g", "/h").unwrap();
    w.rename("/g", "/h").unwrap();
    assert_eq!(
        (w.stat("/g"), w.stat("/h")),
        (Ok(linked.clone()), Ok(linked)),
        "two names of one inode"
    );
}

#[test]
fn removal_looks_at_the_kind() {
    let mut w = World::new();
    w.create("/f").unwrap();
    w.mkdir("/d").unwrap();
    w.symlink("/l", "d").unwrap();
    assert_eq!(w.rmdir("/f"), Err(StatusCode::META_NOT_DIRECTORY));
    assert_eq!(w.rmdir("/l"), Err(StatusCode::META_NOT_DIRECTORY));
    assert_eq!(w.unlink("/d"), Err(StatusCode::META_IS_DIRECTORY));
    w.create("/d/x").unwrap();
    assert_eq!(w.rmdir("/d"), Err(StatusCode::META_NOT_EMPTY));
    let mut request = w.remove_req("/f");
    request.inode_id = Some(InodeId(1));
    assert_eq!(w.ask(request), Err(NOT_FOUND));
    let mut request = w.remove_req("/");
    request.path = by_id(InodeId::ROOT);
    assert_eq!(w.ask(request), Err(NO_PERMISSION));
    w.unlink("/l").unwrap();
    w.unlink("/d/x").unwrap();
    let d = w.stat("/d").unwrap().id;
    let mut request = w.remove_req("/d");
    request.path = by_id(d);
    assert!(w.ask(request.clone()).is_ok());
    assert!(w.ask(request).is_ok(), "a retry");
    assert_eq!(w.names("/"), Ok(vec!["f".into()]));
    assert_eq!(w.create_in(d), Err(NOT_FOUND));
}

impl World {
    fn create_in(&mut self, parent: InodeId) -> Res<()> {
        let request = self.create_req("x", 0o644);
        let path = PathAt {
            parent,
            path: Some("x".into()),
        };
        self.ask(flyer_wire::msg::meta::namespace::CreateReq { path, ..request })
            .map(|_| ())
    }
}

#[test]
fn renames_replace_what_posix_lets_them() {
    let mut w = World::new();
    w.create("/f").unwrap();
    w.mkdir("/d").unwrap();
    w.mkdir("/e").unwrap();
    w.symlink("/l", "x").unwrap();
    assert_eq!(w.rename("/f", "/d"), Err(StatusCode::META_IS_DIRECTORY));
    assert_eq!(w.rename("/d", "/f"), Err(StatusCode::META_NOT_DIRECTORY));
    assert_eq!(w.rename("/d", "/d/x"), Err(StatusCode::INVALID_ARG));
    assert_eq!(w.rename("/x", "/y"), Err(NOT_FOUND));
    w.rename("/d", "/e").unwrap();
    w.rename("/f", "/l").unwrap();
    assert_eq!(w.names("/"), Ok(vec!["e".into(), "l".into()]));
    let request = w.rename_req("/l", "/m");
    w.ask(request.clone()).unwrap();
    w.create("/l").unwrap();
    assert!(w.ask(request).is_ok(), "a retry does not move the new one");
    assert_eq!(w.names("/"), Ok(vec!["e".into(), "l".into(), "m".into()]));
    w.create("/e/x").unwrap();
    w.mkdir("/n").unwrap();
    assert_eq!(w.rename("/n", "/e"), Err(StatusCode::META_NOT_EMPTY));
}

#[test]
fn moving_a_directory_needs_write_permission_on_it() {
    let mut w = World::new();
    w.mkdir_mode("/p", 0o777).unwrap();
    w.mkdir_mode("/p/q", 0o777).unwrap();
    w.mkdir_mode("/p/d", 0o555).unwrap();
    w.user = ALICE;
    assert_eq!(w.rename("/p/d", "/p/q/d"), Err(NO_PERMISSION));
    w.rename("/p/d", "/p/d2").unwrap();
}

#[test]
fn the_trash_takes_directories_by_their_own_request() {
    let mut w = World::new();
    w.mkdir_mode("/trash", 0o777).unwrap();
    w.mkdir_mode("/users", 0o777).unwrap();
    w.user = ALICE;
    w.mkdir("/users/d").unwrap();
    w.create("/users/f").unwrap();
    assert_eq!(w.rename("/users/d", "/trash/d"), Err(NO_PERMISSION));
    w.rename("/users/f", "/trash/f").unwrap();
    let request = RenameReq {
        move_to_trash: true,
        ..w.rename_req("/users/d", "/trash/d")
    };
    assert!(w.ask(request.clone()).is_ok());
    w.mkdir("/users/d").unwrap();
    assert!(w.ask(request).is_ok(), "the answer is kept");
    assert_eq!(w.names("/users"), Ok(vec!["d".into()]));
    let mut request = RenameReq {
        move_to_trash: true,
        ..w.rename_req("/users/d", "/trash/e")
    };
    request.base.uuid = Uuid::ZERO;
    assert_eq!(w.ask(request), Err(StatusCode::INVALID_ARG));
    w.create("/users/g").unwrap();
    let request = RenameReq {
        move_to_trash: true,
        ..w.rename_req("/users/g", "/trash/f")
    };
    assert_eq!(w.ask(request), Err(StatusCode::META_EXISTS));
}

#[test]
fn recursive_removal_asks_for_the_whole_tree() {
    let mut w = World::new();
    w.mkdir_mode("/p", 0o777).unwrap();
    w.user = ALICE;
    let request = w.mkdirs_req("/p/a/b", 0o777, true);
    w.ask(request).unwrap();
    w.user = flyer_types::ids::Uid(0);
    w.mkdir_mode("/p/a/b/roots", 0o755).unwrap();
    w.create("/p/a/b/roots/f").unwrap();
    w.user = ALICE;
    let request = RemoveReq {
        recursive: true,
        ..w.remove_req("/p/a")
    };
    assert_eq!(w.ask(request), Err(NO_PERMISSION));
    w.user = flyer_types::ids::Uid(0);
    w.unlink("/p/a/b/roots/f").unwrap();
    w.user = ALICE;
    let request = RemoveReq {
        recursive: true,
        ..w.remove_req("/p/a")
    };
    assert!(w.ask(request).is_ok(), "what is empty could be removed by hand");
}

#[test]
fn pages_of_a_directory_follow_each_other() {
    let mut w = World::new();
    for n in 0..300 {
        w.create(&format!("/{n:03}")).unwrap();
    }
    let mut prev = Text::default();
    let mut pages = Vec::new();
    loop {
        let request = ListReq {
            base: w.base(),
            path: path("/"),
            prev: prev.clone(),
            limit: -1,
            status: false,
        };
        let Ok(Response::List(page)) = w.ask(request) else {
            panic!("no page")
        };
        pages.push(page.entries.len());
        prev = page
            .entries
            .last()
            .map(|entry| entry.name.clone())
            .unwrap_or_default();
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, [128, 128, 44]);
    assert_eq!(prev, Text::from("299"));
}

#[test]
fn locks_keep_other_clients_out() {
    let mut w = World::new();
    let d = w.mkdir("/d").unwrap().id;
    let lock = |w: &mut World, action| {
        let request = LockDirectoryReq {
            base: w.base(),
            inode: d,
            action,
        };
        w.ask(request).map(|_| ())
    };
    lock(&mut w, LockAction::TRY_LOCK).unwrap();
    lock(&mut w, LockAction::TRY_LOCK).unwrap();
    w.create("/d/mine").unwrap();
    w.client = Uuid([1; 16]);
    assert_eq!(w.create("/d/x"), Err(StatusCode::META_NO_LOCK));
    assert_eq!(w.unlink("/d/mine"), Err(StatusCode::META_NO_LOCK));
    assert_eq!(lock(&mut w, LockAction::TRY_LOCK), Err(StatusCode::META_NO_LOCK));
    assert_eq!(lock(&mut w, LockAction::UNLOCK), Err(StatusCode::META_NO_LOCK));
    lock(&mut w, LockAction::PREEMPT_LOCK).unwrap();
    w.create("/d/x").unwrap();
    lock(&mut w, LockAction::UNLOCK).unwrap();
    lock(&mut w, LockAction::UNLOCK).unwrap();
    lock(&mut w, LockAction::CLEAR).unwrap();
    assert_eq!(lock(&mut w, LockAction(9)), Err(StatusCode::META_FOUND_BUG));
}
