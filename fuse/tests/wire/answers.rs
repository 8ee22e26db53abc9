//! Payload, pages of directories, errors, and what happens to requests that nobody answers.

use crate::kernel::{ALL_CAPABILITIES, Answer, Body, Kernel, op};
use crate::requests::{INODE, attributes, attributes_on_wire, entry};
use crate::scripted::{LEASE_BYTES_MAX, Scripted};
use flyer::adapter::Tuning;
use flyer::session::Session;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Lease, Span, Text};
use flyer_vfs::reply::{DirectoryItem, Entry, Invalidate};
use flyer_vfs::{Reply, Request};
use flyer_wire::msg::meta::inode::InodeType;
use std::sync::{Arc, Mutex, mpsc};

fn start(file_system: Scripted) -> (Kernel, Session, Arc<Scripted>) {
    let file_system = Arc::new(file_system);
    let shared = Arc::clone(&file_system);
    let (kernel, session, _) = Kernel::start(shared, 1, Tuning::default(), ALL_CAPABILITIES);
    (kernel, session, file_system)
}

fn end(kernel: Kernel, session: Session) {
    kernel.destroy();
    drop(session.wait());
}

fn read_body(bytes: u32) -> Body {
    Body::new().u64(77).u64(4096).u32(bytes).zeros(20)
}

fn write_body(bytes: &[u8]) -> Body {
    let length = u32::try_from(bytes.len()).expect("short");
    Body::new()
        .u64(77)
        .u64(1 << 33)
        .u32(length)
        .zeros(20)
        .bytes(bytes)
}

#[test]
fn capabilities_are_asked_for_one_by_one_and_never_the_harmful_ones() {
    let start = |tuning, offered| {
        let file_system = Arc::new(Scripted::new(|_, _, _, _| {}));
        let (kernel, session, init) = Kernel::start(file_system, 1, tuning, offered);
        end(kernel, session);
        (
            u64::from(init.u32_at(12)) | u64::from(init.u32_at(32)) << 32,
            init,
        )
    };
    let always = [0, 3, 5, 11, 12, 13, 14, 15, 18, 22, 23, 36];
    let always: u64 = always.into_iter().map(|bit| 1 << bit).sum();
    // FUSE_INIT_EXT says that there is a second word.
    let extended = 1 << 30;
    let (asked, init) = start(Tuning::default(), ALL_CAPABILITIES);
    assert_eq!(asked & !extended, always, "{asked:#x}");
    assert_eq!(init.u32_at(16) & 0xffff, 64, "background requests");
    assert_eq!(init.u32_at(20), 1 << 20, "largest write");
    assert_eq!(init.u32_at(24), 1, "times are exact to the nanosecond");
    assert_eq!(init.u32_at(28) & 0xffff, 256, "pages of a request");
    let (asked, _) = start(
        Tuning {
            writeback_cache: true,
        },
        ALL_CAPABILITIES,
    );
    assert_eq!(asked & !extended, always | 1 << 16);
    // A kernel that lacks one gets the others.
    let (asked, _) = start(Tuning::default(), ALL_CAPABILITIES & !(1 << 13));
    assert_eq!(asked & !extended, always & !(1 << 13));
}

#[test]
fn a_read_is_answered_from_its_lease_which_is_free_afterwards() {
    let answers = Arc::new(Mutex::new(vec![Err(Errno::EIO), Ok(0), Ok(5), Ok(100_000)]));
    let file_system = Scripted::new(move |_, request, reply, payload| {
        let Request::Read { offset, into, .. } = request else {
            panic!("{request:?} is no read");
        };
        assert_eq!(offset, 4096);
        let bytes: Vec<u8> = (0..into.len).map(|at| at.to_le_bytes()[0]).collect();
        payload.copy_in(into, &bytes);
        let answer = answers.lock().expect("no panic").pop().expect("a script");
        reply.send(answer.map(|len| Reply::Data(Lease { len, ..into })), &**payload);
    });
    let (mut kernel, session, file_system) = start(file_system);
    let expected: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    assert_eq!(kernel.ask(op::READ, INODE, &read_body(100_000)).body, expected);
    assert_eq!(kernel.ask(op::READ, INODE, &read_body(4096)).body, expected[..5]);
    assert_eq!(kernel.ask(op::READ, INODE, &read_body(4096)).body, []);
    assert_eq!(kernel.ask(op::READ, INODE, &read_body(4096)).error, -Errno::EIO.0);
    // The session has ended, so nothing is on its way.
    end(kernel, session);
    assert_eq!(file_system.memory.taken(), 0);
}

#[test]
fn written_bytes_are_copied_into_a_lease_with_its_room() {
    let (seen, writes) = mpsc::channel();
    let file_system = Scripted::new(move |_, request, reply, payload| {
        let Request::Write {
            offset, data, room, ..
        } = request
        else {
            panic!("{request:?} is no write");
        };
        seen.send((offset, data, room)).expect("the test listens");
        reply.send(Ok(Reply::Written(data.len)), &**payload);
    });
    let (mut kernel, session, file_system) = start(file_system);
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| at.to_le_bytes()[1]).collect();
    let answer = kernel.ask(op::WRITE, INODE, &write_body(&bytes));
    assert_eq!(answer.body, Body::new().u32(100_000).u32(0).0);
    let (offset, data, room) = writes.recv().expect("a write");
    assert_eq!((offset, data.len, room), (1 << 33, 100_000, 100_011));
    assert_eq!(file_system.memory.bytes(data), bytes);
    assert_eq!(file_system.memory.taken(), 1, "the request owns it");
    end(kernel, session);
}

#[test]
fn without_memory_reads_and_writes_fail_and_the_rest_goes_on() {
    let file_system = Scripted::new(|_, request, reply, payload| {
        assert!(matches!(request, Request::ReadLink { .. }), "{request:?}");
        reply.send(Ok(Reply::Target(Text::from("t"))), &**payload);
    });
    let (mut kernel, session, _) = start(file_system);
    assert_eq!(
        kernel.ask(op::READ, INODE, &read_body(LEASE_BYTES_MAX + 1)).error,
        -Errno::ENOMEM.0
    );
    assert_eq!(kernel.ask(op::READLINK, INODE, &Body::new()).body, b"t");
    end(kernel, session);
}

/// One request of each kind of answer.
fn one_of_each() -> Vec<(u32, Body)> {
    let name = || Body::new().name("n");
    vec![
        (op::LOOKUP, name()),
        (op::UNLINK, name()),
        (op::MKDIR, Body::new().u32(0).u32(0).name("n")),
        (op::GETATTR, Body::new().zeros(16)),
        (op::READLINK, Body::new()),
        (op::OPEN, Body::new().zeros(8)),
        (op::CREATE, Body::new().zeros(16).name("n")),
        (op::READ, read_body(16)),
        (op::WRITE, write_body(b"x")),
        (op::FLUSH, Body::new().zeros(24)),
        (op::FSYNC, Body::new().zeros(16)),
        (op::OPENDIR, Body::new().zeros(8)),
        (op::READDIR, read_body(4096)),
        (op::READDIRPLUS, read_body(4096)),
        (op::FSYNCDIR, Body::new().zeros(16)),
        (op::STATFS, Body::new()),
        (op::GETXATTR, Body::new().zeros(8).name("n")),
        (op::IOCTL, Body::new().zeros(32)),
        (op::LSEEK, Body::new().zeros(16).u32(3).u32(0)),
    ]
}

fn ask_each(kernel: &mut Kernel) -> Vec<(u32, Answer)> {
    let ask = |(opcode, body): (u32, Body)| (opcode, kernel.ask(opcode, INODE, &body));
    one_of_each().into_iter().map(ask).collect()
}

#[test]
fn a_request_that_is_dropped_or_panics_or_gets_nonsense_fails_with_eio() {
    let file_systems = [
        Scripted::new(|_, _, reply, _| drop(reply)),
        Scripted::new(|_, _, _, _| panic!("on purpose")),
        // No request has both forms of answer.
        Scripted::new(|_, request, reply, payload| {
            let plain = matches!(
                request,
                Request::Unlink { .. }
                    | Request::Flush { .. }
                    | Request::Fsync { .. }
                    | Request::FsyncDirectory { .. }
            );
            let nonsense = if plain { Reply::Written(1) } else { Reply::Done };
            reply.send(Ok(nonsense), &**payload);
        }),
    ];
    for file_system in file_systems {
        let (mut kernel, session, _) = start(file_system);
        // All on the one reader thread, which therefore goes on each time.
        for (opcode, answer) in ask_each(&mut kernel) {
            assert_eq!(
                (answer.error, answer.body.len()),
                (-Errno::EIO.0, 0),
                "operation {opcode}"
            );
        }
        end(kernel, session);
    }
}

#[test]
fn memory_of_a_forgotten_read_is_not_used_again() {
    let (mut kernel, session, file_system) = start(Scripted::new(|_, _, reply, _| drop(reply)));
    assert_eq!(kernel.ask(op::READ, INODE, &read_body(16)).error, -Errno::EIO.0);
    end(kernel, session);
    assert_eq!(file_system.memory.taken(), 1);
}

#[test]
fn the_kernel_never_hears_what_makes_it_stop_asking() {
    let answer_all = |errno| Scripted::new(move |_, _, reply, payload| reply.send(Err(errno), &**payload));
    let (mut kernel, session, _) = start(answer_all(Errno::ENOSYS));
    let careful = [
        op::OPEN,
        op::CREATE,
        op::FLUSH,
        op::FSYNC,
        op::OPENDIR,
        op::READDIR,
        op::READDIRPLUS,
        op::FSYNCDIR,
    ];
    for (opcode, answer) in ask_each(&mut kernel) {
        let expected = if careful.contains(&opcode) {
            Errno::EOPNOTSUPP
        } else {
            Errno::ENOSYS
        };
        assert_eq!(answer.error, -expected.0, "operation {opcode}");
    }
    end(kernel, session);
    // An error is an error, whatever its number.
    for (errno, heard) in [
        (Errno(0), 5),
        (Errno(-3), 5),
        (Errno(4000), 5),
        (Errno::ENOSPC, 28),
    ] {
        let (mut kernel, session, _) = start(answer_all(errno));
        for (opcode, answer) in ask_each(&mut kernel) {
            assert_eq!(answer.error, -heard, "operation {opcode}, {errno:?}");
        }
        end(kernel, session);
    }
}

#[test]
fn locks_are_the_kernels_and_foreign_requests_are_refused() {
    let (mut kernel, session, _) = start(Scripted::new(|_, request, _, _| panic!("{request:?}")));
    assert_eq!(
        kernel.ask(op::GETLK, INODE, &Body::new().zeros(48)).error,
        -Errno::ENOSYS.0
    );
    let seek = |offset: i64, whence| Body::new().u64(0).u64(offset.cast_unsigned()).u32(whence).u32(0);
    assert_eq!(kernel.ask(op::LSEEK, INODE, &seek(0, 2)).error, -Errno::EINVAL.0);
    assert_eq!(kernel.ask(op::LSEEK, INODE, &seek(-1, 3)).error, -Errno::ENXIO.0);
    // FUSE_IOCTL_COMPAT.
    let compat = Body::new().u64(0).u32(1).u32(0x8004_6802).u64(0).u32(0).u32(4);
    assert_eq!(kernel.ask(op::IOCTL, INODE, &compat).error, -Errno::ENOSYS.0);
    end(kernel, session);
}

fn item(name: &str, inode: u64, cookie: u64, entry: Option<Entry>) -> DirectoryItem {
    DirectoryItem {
        name: Text::from(name),
        inode: InodeId(inode),
        kind: InodeType::FILE,
        cookie,
        entry,
    }
}

#[test]
fn a_page_may_fill_every_byte_that_the_kernel_asked_for() {
    let (seen, asked) = mpsc::channel();
    let file_system = Scripted::new(move |_, request, reply, payload| {
        let Request::ReadDirectory {
            bytes, plus, cookie, ..
        } = request
        else {
            panic!("{request:?} reads no directory");
        };
        seen.send((bytes, plus, cookie)).expect("the test listens");
        let (name_bytes, item_bytes) = if plus { (8, 160) } else { (8, 32) };
        let name = "x".repeat(name_bytes);
        let items = (1..=u64::from(bytes / item_bytes)).map(|cookie| {
            let known = plus.then(|| entry(InodeId(INODE)));
            item(&name, INODE, cookie, known)
        });
        reply.send(Ok(Reply::Directory(items.collect())), &**payload);
    });
    let (mut kernel, session, _) = start(file_system);
    // Both are multiples of 32 and of 160.
    for bytes in [4160, 32_640, 160_000] {
        for (opcode, plus) in [(op::READDIR, false), (op::READDIRPLUS, true)] {
            let answer = kernel.ask(opcode, INODE, &read_body(bytes));
            assert_eq!(asked.recv().expect("a request"), (bytes, plus, 4096));
            assert_eq!(answer.body.len(), bytes as usize, "operation {opcode}");
        }
    }
    end(kernel, session);
}

#[test]
fn entries_of_a_directory_are_as_the_kernel_wants_them() {
    let unknown = Entry {
        attributes: None,
        entry_timeout: Span::ZERO,
        attributes_timeout: Span::ZERO,
    };
    let items = vec![
        item("root", 0, 3, Some(entry(InodeId::ROOT))),
        item("gone", 9, 4, None),
        item("gone", 9, 5, Some(unknown)),
    ];
    let file_system = Scripted::new(move |_, _, reply, payload| {
        reply.send(Ok(Reply::Directory(items.clone())), &**payload);
    });
    let (mut kernel, session, _) = start(file_system);
    let plain = |inode: u64, cookie: u64, name: &str| {
        Body::new()
            .u64(inode)
            .u64(cookie)
            .u32(4)
            .u32(8)
            .bytes(name.as_bytes())
            .zeros(4)
    };
    let expected = [plain(1, 3, "root"), plain(9, 4, "gone"), plain(9, 5, "gone")];
    let expected: Vec<u8> = expected.into_iter().flat_map(|body| body.0).collect();
    assert_eq!(kernel.ask(op::READDIR, INODE, &read_body(4096)).body, expected);

    let answer = kernel.ask(op::READDIRPLUS, INODE, &read_body(4096));
    assert_eq!(answer.body.len(), 3 * 160);
    // One time for the name and the attributes: the shorter one.
    let root = Body::new()
        .u64(1)
        .u64(0)
        .u64(1)
        .u64(1)
        .u32(250_000_000)
        .u32(250_000_000);
    let root = root.bytes(&attributes_on_wire(1).0).bytes(&plain(1, 3, "root").0);
    assert_eq!(answer.body[..160], root.0);
    for at in [160, 320] {
        assert_eq!(answer.u64_at(at), 0, "no inode for the kernel to hold");
        assert_eq!(answer.u32_at(at + 128 + 16), 4, "but a name");
    }
    assert_eq!(attributes(InodeId(1)).inode, InodeId(1));
    end(kernel, session);
}

#[test]
fn an_interrupt_is_answered_and_the_request_stays_answerable_from_elsewhere() {
    let (given, replies) = mpsc::channel();
    let file_system = Scripted::new(move |_, _, reply, _| given.send(reply).expect("the test listens"));
    let (mut kernel, session, file_system) = start(file_system);
    let unique = kernel.send(op::READLINK, INODE, &Body::new());
    let interrupt = kernel.ask(op::INTERRUPT, 0, &Body::new().u64(unique));
    assert_eq!(interrupt.error, -Errno::ENOSYS.0);
    let reply = replies.recv().expect("the request");
    assert_eq!(reply.request(), "readlink");
    reply.send(Ok(Reply::Target(Text::from("late"))), &*file_system.memory);
    let answer = kernel.receive();
    assert_eq!((answer.unique, answer.body.as_slice()), (unique, &b"late"[..]));
    end(kernel, session);
}

#[test]
fn what_is_to_be_forgotten_reaches_the_kernel() {
    let (kernel, session, file_system) = start(Scripted::new(|_, _, _, _| {}));
    let invalidations = file_system
        .invalidations
        .lock()
        .expect("no panic")
        .clone()
        .expect("it was started");
    let inode = |pages| Invalidate::Inode {
        inode: InodeId::ROOT,
        pages,
    };
    let told = |put: Invalidate| {
        invalidations.put(put);
        let told = kernel.receive();
        assert_eq!(told.unique, 0, "nobody asked");
        (told.error, told.body)
    };
    let inval_inode =
        |offset: i64, length: u64| (2, Body::new().u64(1).u64(offset.cast_unsigned()).u64(length).0);
    assert_eq!(told(inode(None)), inval_inode(-1, 0));
    assert_eq!(told(inode(Some((4096, 100)))), inval_inode(4096, 100));
    assert_eq!(told(inode(Some((4096, 0)))), inval_inode(4096, 0));
    assert_eq!(told(inode(Some((4096, u64::MAX)))), inval_inode(4096, 0));
    let name = Invalidate::Entry {
        parent: InodeId(INODE),
        name: Text::from("name"),
    };
    assert_eq!(
        told(name),
        (3, Body::new().u64(INODE).u32(4).u32(0).name("name").0)
    );
    end(kernel, session);
}
