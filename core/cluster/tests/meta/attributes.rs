//! Attributes, users, and calls on the file system as a whole.

use crate::support::{ALICE, World, by_id, path};
use flyer_cluster::meta::{In, Options, REFUSED_BY_MODE};
use flyer_types::ids::{Gid, InodeId, Permission, Uid};
use flyer_types::{Span, StatusCode, WallTime};
use flyer_wire::msg::meta::attr::{
    AuthReq, BatchStatByPathReq, BatchStatReq, SetAttrReq, StatFsReq, TestRpcReq,
};
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::inode::InodeKind;
use flyer_wire::service::meta::Response;

const NO_PERMISSION: StatusCode = StatusCode::META_NO_PERMISSION;

#[test]
fn who_may_change_what() {
    let mut w = World::new();
    w.mkdir_mode("/d", 0o777).unwrap();
    w.create("/d/roots").unwrap();
    w.user = ALICE;
    w.create("/d/f").unwrap();
    assert_eq!(w.chmod("/d/roots", 0o777), Err(NO_PERMISSION));
    assert_eq!(w.chmod("/d/f", 0o107_777).unwrap().base.acl.perm.0, 0o7777);
    let request = SetAttrReq {
        uid: Some(Uid(0)),
        ..w.set_attr_req("/d/f")
    };
    assert_eq!(w.set_attr(request), Err(NO_PERMISSION));
    let request = SetAttrReq {
        gid: Some(Gid(5)),
        ..w.set_attr_req("/d/f")
    };
    assert_eq!(w.set_attr(request), Err(NO_PERMISSION));
    let mut request = SetAttrReq {
        gid: Some(Gid(5)),
        uid: Some(ALICE),
        ..w.set_attr_req("/d/f")
    };
    request.base.user.groups = vec![Gid(5)];
    let acl = w.set_attr(request).unwrap().base.acl;
    assert_eq!(
        (acl.gid, acl.perm.0),
        (Gid(5), 0o1777),
        "the set-id bits go with the owner"
    );
    assert_eq!(
        w.chmod("/d/f", 0o2755).unwrap().base.acl.perm.0,
        0o755,
        "not a member of the group"
    );
}

#[test]
fn times_are_set_by_owners_or_to_now_by_writers() {
    let mut w = World::new();
    w.create("/f").unwrap();
    w.pass(Span::from_us(1));
    let old = WallTime::from_us(1_234_567);
    let request = SetAttrReq {
        mtime: Some(old),
        atime: Some(WallTime::SERVER_NOW),
        ..w.set_attr_req("/f")
    };
    let base = w.set_attr(request).unwrap().base;
    let now = WallTime::from_us(1_700_000_000_000_001);
    assert_eq!((base.mtime, base.atime, base.ctime), (old, now, now));
    w.user = ALICE;
    let request = SetAttrReq {
        mtime: Some(old),
        ..w.set_attr_req("/f")
    };
    assert_eq!(w.set_attr(request), Err(NO_PERMISSION));
    let request = SetAttrReq {
        mtime: Some(WallTime::SERVER_NOW),
        ..w.set_attr_req("/f")
    };
    let call = w.send(request.clone());
    let status = w.answer_of(call).unwrap().0.unwrap_err();
    assert_eq!(status.message.to_string(), REFUSED_BY_MODE, "this is EACCES");
    w.user = Uid(0);
    w.chmod("/f", 0o666).unwrap();
    w.user = ALICE;
    let request = SetAttrReq {
        base: w.base(),
        ..request
    };
    assert!(w.set_attr(request).is_ok());
}

#[test]
fn immutable_means_everything_but_the_flag() {
    let mut w = World::new();
    w.create("/f").unwrap();
    let request = SetAttrReq {
        iflags: Some(IFlags::IMMUTABLE),
        ..w.set_attr_req("/f")
    };
    w.set_attr(request).unwrap();
    assert_eq!(w.chmod("/f", 0o600), Err(NO_PERMISSION));
    let request = SetAttrReq {
        mtime: Some(WallTime::SERVER_NOW),
        ..w.set_attr_req("/f")
    };
    assert_eq!(w.set_attr(request), Err(NO_PERMISSION));
    let f = w.stat("/f").unwrap().id;
    assert_eq!(w.sync(f, Some((0, 0)), true), Err(NO_PERMISSION));
    let request = SetAttrReq {
        iflags: Some(IFlags::from_bits_retain(2)),
        ..w.set_attr_req("/f")
    };
    assert_eq!(w.set_attr(request), Err(StatusCode::INVALID_ARG));
    let request = SetAttrReq {
        iflags: Some(IFlags::CHAIN_ALLOCATION),
        ..w.set_attr_req("/f")
    };
    assert_eq!(w.set_attr(request), Err(NO_PERMISSION), "switched off");
    let request = SetAttrReq {
        iflags: Some(IFlags::empty()),
        ..w.set_attr_req("/f")
    };
    w.set_attr(request).unwrap();
    w.chmod("/f", 0o600).unwrap();
}

#[test]
fn the_root_can_be_given_away_unless_upstream_is_asked_for() {
    let mut w = World::new();
    let request = SetAttrReq {
        uid: Some(ALICE),
        ..w.set_attr_req("/")
    };
    assert_eq!(w.set_attr(request).unwrap().base.acl.uid, ALICE);
    w.user = ALICE;
    w.create("/f").unwrap();
    let mut w = World::with(Options::upstream());
    assert_eq!(w.chmod("/", 0o777), Err(NO_PERMISSION));
}

#[test]
fn a_directory_acl_is_copied_to_its_entry() {
    let mut w = World::new();
    let d = w.mkdir("/d").unwrap().id;
    // `check` compares the copies after each step.
    let request = SetAttrReq {
        path: by_id(d),
        perm: Some(Permission(0o700)),
        ..w.set_attr_req("")
    };
    w.set_attr(request).unwrap();
    w.user = ALICE;
    assert_eq!(w.stat("/d/x"), Err(NO_PERMISSION));
}

#[test]
fn layouts_and_stripes() {
    let mut options = Options {
        dynamic_stripe: true,
        dynamic_stripe_initial: 1,
        ..Options::default()
    };
    options.root_layout.stripe_size = 4;
    let mut w = World::with(options);
    let mut request = w.create_req("/f", 0o644);
    request.dyn_stripe = true;
    w.ask(request).unwrap();
    let mut stripe = |wanted| {
        let request = SetAttrReq {
            dyn_stripe: wanted,
            ..w.set_attr_req("/f")
        };
        match w.set_attr(request).unwrap().base.kind {
            InodeKind::File(file) => file.dyn_stripe,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([stripe(0), stripe(2), stripe(3), stripe(99)], [1, 2, 4, 4]);
    let mut layout = Options::default().root_layout;
    layout.chunk_size = 3;
    let request = SetAttrReq {
        layout: Some(layout.clone()),
        ..w.set_attr_req("/")
    };
    assert_eq!(w.set_attr(request), Err(StatusCode::META_INVALID_FILE_LAYOUT));
    layout.chunk_size = 4096;
    let request = SetAttrReq {
        layout: Some(layout.clone()),
        ..w.set_attr_req("/f")
    };
    assert_eq!(w.set_attr(request), Err(StatusCode::META_NOT_DIRECTORY));
    let request = SetAttrReq {
        layout: Some(layout.clone()),
        ..w.set_attr_req("/")
    };
    w.set_attr(request).unwrap();
    match w.create("/g").unwrap().base.kind {
        InodeKind::File(file) => assert_eq!((file.layout.chunk_size, file.layout.table_version.0), (4096, 1)),
        other => panic!("{other:?}"),
    }
    layout.stripe_size = u32::MAX;
    let request = SetAttrReq {
        layout: Some(layout),
        ..w.set_attr_req("/")
    };
    assert_eq!(w.set_attr(request), Err(StatusCode::META_INVALID_FILE_LAYOUT));
}

#[test]
fn batches_keep_their_order() {
    let mut w = World::new();
    let f = w.create("/f").unwrap();
    let request = BatchStatReq {
        base: w.base(),
        inode_ids: vec![InodeId(5), f.id, InodeId::ROOT],
    };
    let Ok(Response::BatchStat(r)) = w.ask(request) else {
        panic!("no answer")
    };
    assert_eq!(
        r.inodes.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true, true]
    );
    let paths = vec![path("/f"), path("/x"), path("/f/x")];
    let request = BatchStatByPathReq {
        base: w.base(),
        paths,
        flags: AtFlags::empty(),
    };
    let Ok(Response::BatchStatByPath(r)) = w.ask(request) else {
        panic!("no answer")
    };
    let codes: Vec<_> = r
        .inodes
        .into_iter()
        .map(|inode| inode.err().map(|status| status.code))
        .collect();
    assert_eq!(
        codes,
        [
            None,
            Some(StatusCode::META_NOT_FOUND),
            Some(StatusCode::META_NOT_DIRECTORY)
        ]
    );
    let request = BatchStatReq {
        base: w.base(),
        inode_ids: vec![f.id; 1 << 20],
    };
    assert_eq!(w.ask(request), Err(StatusCode::INVALID_ARG));
}

#[test]
fn calls_on_the_file_system() {
    let mut w = World::new();
    let request = StatFsReq { base: w.base() };
    assert_eq!(
        w.ask(request.clone()),
        Err(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY)
    );
    w.put(In::Space {
        capacity: 100,
        free: 30,
    });
    assert!(
        matches!(w.ask(request.clone()), Ok(Response::StatFs(r)) if (r.capacity, r.used, r.free) == (100, 70, 30))
    );
    w.pass(Span::from_secs(61));
    assert_eq!(
        w.ask(request),
        Err(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY),
        "too old"
    );
    let request = TestRpcReq {
        base: w.base(),
        path: path("x"),
        flags: 0,
    };
    assert!(w.ask(request).is_ok());
    w.user = ALICE;
    let request = AuthReq {
        base: w.base(),
        dummy: flyer_wire::codec::Void,
    };
    assert!(matches!(w.ask(request), Ok(Response::Authenticate(r)) if r.user.uid == ALICE));
    let request = flyer_wire::msg::meta::file::TruncateReq {
        base: w.base(),
        inode: InodeId(1),
        length: 0,
        remove_chunks_batch_size: 1,
    };
    assert_eq!(w.ask(request), Err(StatusCode::NOT_IMPLEMENTED));
    let mut w = World::with(Options {
        read_only: true,
        ..Options::default()
    });
    assert_eq!(w.create("/f"), Err(StatusCode::READ_ONLY_MODE));
    assert_eq!(w.names("/"), Ok(vec![]));
}
