//! Open and create.

use crate::support::{ALICE, World, by_id, path};
use flyer_cluster::meta::{In, Options, RoutingView};
use flyer_types::StatusCode;
use flyer_types::ids::{InodeId, Permission, Uid};
use flyer_wire::msg::meta::attr::SetAttrReq;
use flyer_wire::msg::meta::flags::{IFlags, OpenFlags};
use flyer_wire::msg::meta::inode::{ChainList, InodeKind, LayoutChains};
use flyer_wire::service::meta::Response;
use flyer_wire::shuffle::is_safe_seed;
use std::sync::Arc;

const NO_PERMISSION: StatusCode = StatusCode::META_NO_PERMISSION;

#[test]
fn open_checks_kind_mode_and_flags() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    let f = w.create("/f").unwrap();
    w.symlink("/l", "f").unwrap();
    let s = w.symlink("/s", "nowhere").unwrap();
    let rdonly = OpenFlags::empty();
    assert!(w.open("/d", rdonly).is_ok());
    assert_eq!(
        w.open("/d", OpenFlags::WRONLY),
        Err(StatusCode::META_IS_DIRECTORY)
    );
    assert_eq!(
        w.open("/f", OpenFlags::DIRECTORY),
        Err(StatusCode::META_NOT_DIRECTORY)
    );
    assert_eq!(w.open("/f", OpenFlags::TRUNC), Err(StatusCode::INVALID_ARG));
    assert_eq!(
        w.open("/f", OpenFlags::WRONLY | OpenFlags::DIRECTORY),
        Err(StatusCode::INVALID_ARG)
    );
    assert_eq!(w.open("/f", OpenFlags::EXCL), Err(StatusCode::META_EXISTS));
    assert_eq!(w.open("/s", rdonly), Err(StatusCode::META_NOT_FOUND));
    assert_eq!(w.open("/l", rdonly).unwrap().0.id, f.id);
    assert!(w.open("/f", OpenFlags::RDWR | OpenFlags::TRUNC).unwrap().1);
    let request = w.open_req(by_id(s.id), rdonly);
    assert_eq!(w.ask(request), Err(StatusCode::META_NOT_FILE));
    let mut request = w.open_req(path("/f"), OpenFlags::WRONLY);
    request.session = None;
    assert_eq!(w.ask(request), Err(StatusCode::INVALID_ARG));
    w.user = ALICE;
    assert_eq!(w.open("/f", OpenFlags::WRONLY), Err(NO_PERMISSION));
    assert!(w.open("/f", rdonly).is_ok());
    w.user = Uid(0);
    w.unlink("/f").unwrap();
    let request = w.open_req(by_id(f.id), rdonly);
    assert_eq!(w.ask(request), Err(StatusCode::META_NOT_FOUND));
}

#[test]
fn writing_by_others_clears_set_id_bits() {
    let mut w = World::new();
    w.mkdir_mode("/d", 0o777).unwrap();
    w.user = ALICE;
    w.create("/d/f").unwrap();
    w.chmod("/d/f", 0o6777).unwrap();
    assert_eq!(
        w.open("/d/f", OpenFlags::WRONLY).unwrap().0.base.acl.perm.0,
        0o6777
    );
    w.user = Uid(0);
    assert_eq!(
        w.open("/d/f", OpenFlags::WRONLY).unwrap().0.base.acl.perm.0,
        0o777
    );
}

#[test]
fn create_finds_makes_and_retries() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    let request = w.create_req("/d/f", 0o644);
    let Ok(Response::Create(first)) = w.ask(request.clone()) else {
        panic!("no file")
    };
    assert_eq!(w.ask(request), Ok(Response::Create(first.clone())), "a retry");
    assert_eq!(w.create("/d/f"), Err(StatusCode::META_EXISTS));
    let mut again = w.create_req("/d/f", 0o644);
    again.flags = OpenFlags::CREAT | OpenFlags::TRUNC | OpenFlags::WRONLY;
    again.session = Some(w.session());
    assert!(matches!(w.ask(again), Ok(Response::Create(r)) if r.need_truncate && r.stat.id == first.stat.id));
    let mut directory = w.create_req("/d", 0o644);
    directory.flags = OpenFlags::CREAT;
    assert_eq!(w.ask(directory), Err(StatusCode::META_IS_DIRECTORY));
    assert_eq!(w.create("/d/"), Err(StatusCode::INVALID_ARG));
    assert_eq!(w.create("/x/y"), Err(StatusCode::META_NOT_FOUND));
}

#[test]
fn create_through_a_dangling_link_makes_the_target() {
    let mut w = World::new();
    w.mkdir("/d").unwrap();
    w.symlink("/l", "d/target").unwrap();
    assert_eq!(
        w.create("/l"),
        Err(StatusCode::META_EXISTS),
        "O_EXCL does not follow"
    );
    let mut request = w.create_req("/l", 0o644);
    request.flags = OpenFlags::CREAT;
    w.ask(request).unwrap();
    assert_eq!(w.names("/d"), Ok(vec!["target".into()]));
    let mut single = w.create_req("l", 0o644);
    single.flags = OpenFlags::CREAT;
    assert_eq!(
        w.ask(single),
        Err(StatusCode::META_BUSY),
        "the kernel looks again"
    );
}

#[test]
fn cutting_needs_write_permission() {
    let mut w = World::new();
    w.create("/f").unwrap();
    w.user = ALICE;
    let mut request = w.create_req("/f", 0o644);
    request.flags = OpenFlags::CREAT | OpenFlags::TRUNC;
    assert_eq!(w.ask(request), Err(NO_PERMISSION));
}

#[test]
fn chains_take_turns_and_seeds_are_safe() {
    let mut options = Options {
        allow_chain_allocation_flag: true,
        ..Options::default()
    };
    options.root_layout.stripe_size = 2;
    let mut w = World::with(options);
    w.mkdir("/d").unwrap();
    let request = SetAttrReq {
        iflags: Some(IFlags::CHAIN_ALLOCATION),
        ..w.set_attr_req("/d")
    };
    w.set_attr(request).unwrap();
    for parent in ["", "/d"] {
        let mut bases = Vec::new();
        for n in 0..4 {
            let InodeKind::File(file) = w.create(&format!("{parent}/{n}")).unwrap().base.kind else {
                panic!("no file")
            };
            let LayoutChains::ChainRange(range) = file.layout.chains else {
                panic!("no range")
            };
            assert!(is_safe_seed(2, range.seed));
            bases.push(range.base_index);
        }
        assert_eq!((bases[0], bases[1]), (bases[2], bases[3]));
        bases.sort_unstable();
        assert_eq!(bases, [1, 1, 3, 3]);
    }
}

#[test]
fn layouts_must_fit_the_chains() {
    let mut w = World::new();
    let mut layout = Options::default().root_layout;
    layout.stripe_size = 5;
    let mut request = w.create_req("/f", 0o644);
    request.layout = Some(layout.clone());
    assert_eq!(
        w.ask(request),
        Err(StatusCode::META_INVALID_FILE_LAYOUT),
        "four chains only"
    );
    layout.stripe_size = 2;
    layout.table_version.0 = 1;
    layout.chains = LayoutChains::ChainList(ChainList {
        chain_indexes: vec![4, 2],
    });
    let mut request = w.create_req("/f", 0o644);
    request.layout = Some(layout);
    assert!(w.ask(request.clone()).is_ok());
    w.put(In::Routing(Arc::new(RoutingView::default())));
    request.path = path("/g");
    assert_eq!(w.ask(request), Err(StatusCode::META_INVALID_FILE_LAYOUT));
    assert_eq!(w.create("/h"), Err(StatusCode::META_INVALID_FILE_LAYOUT));
    let f = w.stat("/f").unwrap().id;
    assert_eq!(
        w.sync(f, None, false),
        Err(StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY)
    );
}

#[test]
fn files_of_the_new_engine_have_their_own_ids() {
    let mut w = World::new();
    let request = SetAttrReq {
        iflags: Some(IFlags::IMMUTABLE | IFlags::NEW_CHUNK_ENGINE),
        ..w.set_attr_req("/")
    };
    w.set_attr(request).unwrap();
    assert!(w.create("/f").unwrap().id.uses_new_chunk_engine());
    let d = w.mkdir_mode("/d", 0o777).unwrap();
    assert!(!d.id.uses_new_chunk_engine());
    assert_eq!(d.base.acl.iflags, IFlags::NEW_CHUNK_ENGINE, "inherited");
    assert!(w.create("/d/f").unwrap().id.uses_new_chunk_engine());
    let mut request = w.create_req("/f2", 0o7777);
    request.path.parent = InodeId(12345);
    assert!(matches!(w.ask(request), Ok(Response::Create(r)) if r.stat.base.acl.perm == Permission(0o7777)));
}
