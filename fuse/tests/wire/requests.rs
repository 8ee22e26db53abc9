//! Each request of the kernel arrives in our terms, and its answer leaves in the kernel's.

use crate::kernel::{ALL_CAPABILITIES, Body, GID, Kernel, PID, UID, op};
use crate::scripted::Scripted;
use flyer::adapter::Tuning;
use flyer_types::ids::{Gid, HandleId, InodeId, Permission, Uid};
use flyer_types::{Errno, Span, Text, WallTime};
use flyer_vfs::reply::{Attributes, Entry, Opened, Space};
use flyer_vfs::request::{Seek, SetAttributes, SetTime};
use flyer_vfs::{Caller, Reply, Request};
use flyer_wire::msg::meta::inode::InodeType;
use std::sync::{Arc, Mutex, mpsc};

pub(crate) const INODE: u64 = 0x0100_0000_0000_0042;

pub(crate) fn attributes(inode: InodeId) -> Attributes {
    Attributes {
        inode,
        kind: InodeType::FILE,
        permission: Permission(0o4755),
        links: 3,
        uid: Uid(7),
        gid: Gid(8),
        size: 0x1_0000_0001,
        blocks: 9,
        block_bytes: 512 << 10,
        atime: WallTime::from_us(1_500_000),
        mtime: WallTime::from_us(-1_700_000),
        ctime: WallTime::from_us(0),
    }
}

pub(crate) fn attributes_on_wire(node: u64) -> Body {
    Body::new()
        .u64(node)
        .u64(0x1_0000_0001)
        .u64(9)
        .u64(1)
        .u64((-2_i64).cast_unsigned())
        .u64(0)
        .u32(500_000_000)
        .u32(300_000_000)
        .u32(0)
        .u32(0o104_755)
        .u32(3)
        .u32(7)
        .u32(8)
        .u32(0)
        .u32(512 << 10)
        .u32(0)
}

pub(crate) fn entry(inode: InodeId) -> Entry {
    Entry {
        attributes: Some(attributes(inode)),
        entry_timeout: Span::from_ms(2_500),
        attributes_timeout: Span::from_ms(1_250),
    }
}

fn entry_on_wire(node: u64) -> Body {
    Body::new()
        .u64(node)
        .u64(0)
        .u64(2)
        .u64(1)
        .u32(500_000_000)
        .u32(250_000_000)
        .bytes(&attributes_on_wire(node).0)
}

struct Case {
    opcode: u32,
    node: u64,
    body: Body,
    request: Request,
    answer: Reply,
    on_wire: Body,
}

fn case(opcode: u32, node: u64, body: Body, request: Request, answer: Reply, on_wire: Body) -> Case {
    Case {
        opcode,
        node,
        body,
        request,
        answer,
        on_wire,
    }
}

fn done(opcode: u32, node: u64, body: Body, request: Request) -> Case {
    case(opcode, node, body, request, Reply::Done, Body::new())
}

const HANDLE: HandleId = HandleId::new(5, 9);
const HANDLE_ON_WIRE: u64 = 9 << 32 | 5;

fn run(cases: Vec<Case>) {
    let (seen, requests) = mpsc::channel();
    let next = Arc::new(Mutex::new(None));
    let answer = Arc::clone(&next);
    let file_system = Scripted::new(move |caller, request, reply, payload| {
        seen.send((caller, request)).expect("the test listens");
        let answer: Reply = answer
            .lock()
            .expect("no panic")
            .take()
            .expect("the test has set it");
        reply.send(Ok(answer), &**payload);
    });
    let (mut kernel, session, _) =
        Kernel::start(Arc::new(file_system), 1, Tuning::default(), ALL_CAPABILITIES);
    let caller = Caller {
        uid: Uid(UID),
        gid: Gid(GID),
        pid: PID,
    };
    for case in cases {
        *next.lock().expect("no panic") = Some(case.answer);
        let answer = kernel.ask(case.opcode, case.node, &case.body);
        assert_eq!(requests.recv().expect("a request"), (caller, case.request));
        assert_eq!(answer.error, 0, "operation {}", case.opcode);
        assert_eq!(answer.body, case.on_wire.0, "operation {}", case.opcode);
    }
    kernel.destroy();
    drop(session.wait());
}

fn name() -> Text {
    Text::from("n\u{e4}me")
}

// One request in each row, so rows are not broken up further.

#[test]
#[rustfmt::skip]
fn names_that_are_found() {
    let found = |parent| Request::Lookup { parent, name: name() };
    let missing = Reply::Entry(Entry {
        attributes: None,
        entry_timeout: Span::from_secs(5),
        attributes_timeout: Span::ZERO,
    });
    let not_there = Body::new().zeros(16).u64(5).zeros(16).zeros(60).u32(0o100_000).zeros(24);
    let (inode, body) = (InodeId(INODE), || Body::new().name("n\u{e4}me"));
    run(vec![
        case(op::LOOKUP, 1, body(), found(InodeId::ROOT), Reply::Entry(entry(inode)), entry_on_wire(INODE)),
        case(op::LOOKUP, INODE, body(), found(inode), Reply::Entry(entry(InodeId::ROOT)), entry_on_wire(1)),
        case(op::LOOKUP, 2, body(), found(InodeId::GC_ROOT), missing, not_there),
        case(
            op::READLINK, INODE, Body::new(), Request::ReadLink { inode },
            Reply::Target(Text::from("tar/get")), Body::new().bytes(b"tar/get"),
        ),
    ]);
}

#[test]
#[rustfmt::skip]
fn names_that_are_made() {
    let (parent, inode) = (InodeId::ROOT, InodeId(INODE));
    let made = |opcode, body: Body, request| {
        case(opcode, 1, body, request, Reply::Entry(entry(inode)), entry_on_wire(INODE))
    };
    run(vec![
        made(
            op::MKNOD, Body::new().u32(0o100_640).u32(0).u32(0o022).u32(0).name("n\u{e4}me"),
            Request::MakeNode { parent, name: name(), mode: 0o100_640 },
        ),
        made(
            op::MKDIR, Body::new().u32(0o41_777).u32(0o022).name("n\u{e4}me"),
            Request::MakeDirectory { parent, name: name(), permission: Permission(0o1777) },
        ),
        made(
            op::SYMLINK, Body::new().name("n\u{e4}me").name("tar/get"),
            Request::Symlink { parent, name: name(), target: Text::from("tar/get") },
        ),
        made(
            op::LINK, Body::new().u64(INODE).name("n\u{e4}me"),
            Request::Link { inode, parent, name: name() },
        ),
    ]);
}

#[test]
#[rustfmt::skip]
fn names_that_go() {
    let (parent, to_parent) = (InodeId::ROOT, InodeId(INODE));
    let body = || Body::new().name("n\u{e4}me");
    run(vec![
        done(op::UNLINK, 1, body(), Request::Unlink { parent, name: name() }),
        done(op::RMDIR, 1, body(), Request::RemoveDirectory { parent, name: name() }),
        done(
            op::RENAME2, 1, Body::new().u64(INODE).u32(2).u32(0).name("n\u{e4}me").name("new"),
            Request::Rename { parent, name: name(), to_parent, to_name: Text::from("new"), flags: 2 },
        ),
    ]);
}

fn shown() -> (Reply, Body) {
    let on_wire = Body::new()
        .u64(1)
        .u32(250_000_000)
        .u32(0)
        .bytes(&attributes_on_wire(INODE).0);
    (
        Reply::Attributes(attributes(InodeId(INODE)), Span::from_ms(1_250)),
        on_wire,
    )
}

#[test]
#[rustfmt::skip]
fn attributes_that_are_asked_for() {
    let inode = InodeId(INODE);
    let get = |body: Body, handle| {
        let (reply, on_wire) = shown();
        case(op::GETATTR, INODE, body, Request::GetAttributes { inode, handle }, reply, on_wire)
    };
    let space = Reply::Space(Space { block_bytes: 2 << 20, blocks: 1000, blocks_free: 900, name_bytes_max: 255 });
    let space_on_wire = Body::new().u64(1000).u64(900).u64(900).zeros(16).u32(2 << 20).u32(255).u32(2 << 20).zeros(28);
    run(vec![
        get(Body::new().u32(0).u32(0).u64(0), None),
        get(Body::new().u32(1).u32(0).u64(HANDLE_ON_WIRE), Some(HANDLE)),
        case(op::STATFS, 1, Body::new(), Request::StatFs { inode: InodeId::ROOT }, space, space_on_wire),
        done(op::ACCESS, INODE, Body::new().u32(5).u32(0), Request::Access { inode, mask: 5 }),
    ]);
}

/// `valid` says which fields count: FATTR_MODE 1, UID 2, GID 4, SIZE 8, ATIME 16, MTIME 32, FH 64, ATIME_NOW 128, MTIME_NOW 256.
#[rustfmt::skip]
fn set_body(valid: u32) -> Body {
    let times = (-2_i64).cast_unsigned();
    Body::new()
        .u32(valid).u32(0).u64(HANDLE_ON_WIRE).u64(0x1_2345_6789).u64(0)
        .u64(times).u64(3).u64(0).u32(300_000_000).u32(250_000_000).u32(0)
        .u32(0o104_711).u32(0).u32(11).u32(12).u32(0)
}

#[test]
fn attributes_that_are_set() {
    let set = |valid: u32, set: SetAttributes| {
        let (reply, on_wire) = shown();
        let inode = InodeId(INODE);
        let request = Request::SetAttributes { inode, set };
        case(op::SETATTR, INODE, set_body(valid), request, reply, on_wire)
    };
    let everything = SetAttributes {
        permission: Some(Permission(0o4711)),
        uid: Some(Uid(11)),
        gid: Some(Gid(12)),
        size: Some(0x1_2345_6789),
        atime: Some(SetTime::To(WallTime::from_us(-1_700_000))),
        mtime: Some(SetTime::To(WallTime::from_us(3_250_000))),
        handle: Some(HANDLE),
    };
    let both_now = SetAttributes {
        atime: Some(SetTime::Now),
        mtime: Some(SetTime::Now),
        ..SetAttributes::default()
    };
    run(vec![
        set(1 | 2 | 4 | 8 | 16 | 32 | 64, everything),
        set(0, SetAttributes::default()),
        set(16 | 32 | 128 | 256, both_now),
    ]);
}

fn opened_on_wire(flags: u32) -> Body {
    Body::new().u64(HANDLE_ON_WIRE).u32(flags).u32(0)
}

#[test]
#[rustfmt::skip]
fn files_are_opened() {
    let (inode, handle) = (InodeId(INODE), HANDLE);
    let opened = |direct_io, keep_cache| Opened { handle, direct_io, keep_cache };
    // One time for the name and the attributes: the shorter one.
    let created = Body::new()
        .u64(INODE).u64(0).u64(1).u64(1).u32(250_000_000).u32(250_000_000)
        .bytes(&attributes_on_wire(INODE).0)
        .bytes(&opened_on_wire(0).0);
    let open = |flags, opened, on_wire| {
        let body = Body::new().u32(flags).u32(0);
        case(op::OPEN, INODE, body, Request::Open { inode, flags }, Reply::Opened(opened), opened_on_wire(on_wire))
    };
    run(vec![
        open(0o100_002, opened(false, false), 0),
        // FOPEN_DIRECT_IO with FOPEN_PARALLEL_DIRECT_WRITES, and FOPEN_KEEP_CACHE.
        open(0, opened(true, false), 1 | 64),
        open(1, opened(false, true), 2),
        case(
            op::CREATE, 1, Body::new().u32(0o101).u32(0o100_600).u32(0o022).u32(0).name("n\u{e4}me"),
            Request::Create { parent: InodeId::ROOT, name: name(), mode: 0o100_600, flags: 0o101 },
            Reply::Created(entry(inode), opened(false, false)), created,
        ),
    ]);
}

#[test]
#[rustfmt::skip]
fn files_are_used() {
    let (inode, handle) = (InodeId(INODE), HANDLE);
    let fsync = |flags, data_only| {
        done(op::FSYNC, INODE, Body::new().u64(HANDLE_ON_WIRE).u32(flags).u32(0), Request::Fsync { inode, handle, data_only })
    };
    let seek = |number, whence| {
        let request = Request::Seek { inode, handle, offset: 4096, whence };
        let body = Body::new().u64(HANDLE_ON_WIRE).u64(4096).u32(number).u32(0);
        case(op::LSEEK, INODE, body, request, Reply::Offset(1 << 40), Body::new().u64(1 << 40))
    };
    let copy_body = Body::new().u64(HANDLE_ON_WIRE).u64(10).u64(7).u64(HANDLE_ON_WIRE).u64(20).u64(30).u64(0);
    let copy = Request::CopyRange {
        inode, handle, offset: 10, to_inode: InodeId(7), to_handle: handle, to_offset: 20, length: 30,
    };
    run(vec![
        done(op::FLUSH, INODE, Body::new().u64(HANDLE_ON_WIRE).zeros(16), Request::Flush { inode, handle }),
        done(op::RELEASE, INODE, Body::new().u64(HANDLE_ON_WIRE).zeros(16), Request::Release { inode, handle }),
        fsync(1, true),
        fsync(0, false),
        done(
            op::FALLOCATE, INODE, Body::new().u64(HANDLE_ON_WIRE).u64(10).u64(20).u32(3).u32(0),
            Request::Fallocate { inode, handle, offset: 10, length: 20, mode: 3 },
        ),
        seek(3, Seek::Data),
        seek(4, Seek::Hole),
        case(op::COPY_FILE_RANGE, INODE, copy_body, copy, Reply::Written(30), Body::new().u32(30).u32(0)),
    ]);
}

#[test]
#[rustfmt::skip]
fn extended_attributes() {
    let inode = InodeId(INODE);
    let key = || Text::from("hf3fs.lock");
    let get = |bytes| Request::GetXattr { inode, name: key(), bytes };
    let list = |bytes| Request::ListXattr { inode, bytes };
    let sized = |bytes: u32| Body::new().u32(bytes).u32(0);
    let get_body = |bytes| sized(bytes).name("hf3fs.lock");
    let names = Text::from("hf3fs.lock\0");
    run(vec![
        done(
            op::SETXATTR, INODE, Body::new().u32(8).u32(1).name("hf3fs.lock").bytes(b"try_lock"),
            Request::SetXattr { inode, name: key(), value: Text::from("try_lock"), flags: 1 },
        ),
        case(op::GETXATTR, INODE, get_body(0), get(0), Reply::Length(77), sized(77)),
        case(op::GETXATTR, INODE, get_body(99), get(99), Reply::Bytes(Text::from("{}")), Body::new().bytes(b"{}")),
        case(op::LISTXATTR, INODE, sized(0), list(0), Reply::Length(11), sized(11)),
        case(op::LISTXATTR, INODE, sized(64), list(64), Reply::Bytes(names), Body::new().bytes(b"hf3fs.lock\0")),
        done(op::REMOVEXATTR, INODE, Body::new().name("hf3fs.lock"), Request::RemoveXattr { inode, name: key() }),
    ]);
}

#[test]
#[rustfmt::skip]
fn ioctls() {
    let (inode, handle) = (InodeId(INODE), HANDLE);
    // FUSE_IOCTL_DIR is set: it is one of a directory.
    run(vec![case(
        op::IOCTL, INODE, Body::new().u64(HANDLE_ON_WIRE).u32(16).u32(0x8004_6802).u64(0xdead).u32(3).u32(4).bytes(b"abc"),
        Request::Ioctl { inode, handle, command: 0x8004_6802, input: Text::from("abc"), output_bytes: 4 },
        Reply::Ioctl(0, Text::from("wxyz")), Body::new().u32(0).u32(0).u32(1).u32(1).bytes(b"wxyz"),
    )]);
}

#[test]
fn directories() {
    let (inode, handle) = (InodeId(INODE), HANDLE);
    run(vec![
        case(
            op::OPENDIR,
            INODE,
            Body::new().u32(0o200_000).u32(0),
            Request::OpenDirectory {
                inode,
                flags: 0o200_000,
            },
            Reply::Opened(Opened {
                handle,
                direct_io: false,
                keep_cache: false,
            }),
            Body::new().u64(HANDLE_ON_WIRE).u32(0).u32(0),
        ),
        done(
            op::RELEASEDIR,
            INODE,
            Body::new().u64(HANDLE_ON_WIRE).zeros(16),
            Request::ReleaseDirectory { inode, handle },
        ),
        done(
            op::FSYNCDIR,
            INODE,
            Body::new().u64(HANDLE_ON_WIRE).u32(1).u32(0),
            Request::FsyncDirectory { inode, handle },
        ),
    ]);
}

#[test]
fn references_are_given_back_without_an_answer() {
    let (seen, requests) = mpsc::channel();
    let file_system = Scripted::new(move |_, request, reply, payload| {
        seen.send(request.clone()).expect("the test listens");
        let answer = match request {
            Request::Forget { .. } => Ok(Reply::Done),
            _ => Err(Errno::ENOENT),
        };
        reply.send(answer, &**payload);
    });
    let (mut kernel, session, _) =
        Kernel::start(Arc::new(file_system), 1, Tuning::default(), ALL_CAPABILITIES);
    kernel.send(op::FORGET, INODE, &Body::new().u64(4));
    let batch = Body::new().u32(2).u32(0).u64(1).u64(5).u64(7).u64(6);
    kernel.send(op::BATCH_FORGET, 0, &batch);
    // The next answer is the one to the next request.
    assert_eq!(kernel.ask(op::READLINK, 7, &Body::new()).error, -Errno::ENOENT.0);
    let forgotten = [(InodeId(INODE), 4), (InodeId::ROOT, 5), (InodeId(7), 6)];
    for (inode, count) in forgotten {
        assert_eq!(
            requests.recv().expect("a request"),
            Request::Forget { inode, count }
        );
    }
    kernel.destroy();
    drop(session.wait());
}
