//! Ioctls, with inputs as no sane program makes them.

use crate::common::{ALICE, BOB, O_RDONLY, O_RDWR, ROOT_USER, Setup};
use crate::kit::Kernel;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Text};
use flyer_vfs::config::UserConfig;
use flyer_vfs::reply::Invalidate;
use flyer_vfs::{Caller, Config, Reply, Request};
use flyer_wire::service::meta;
use flyer_wire::usrbio::ioctl;
use proptest::prelude::*;

const ROOT: InodeId = InodeId::ROOT;
const GET_FLAGS: u32 = 0x8008_6601;
const SET_FLAGS: u32 = 0x4008_6602;
const GET_FSXATTR: u32 = 0x801c_581f;
const NO_HANDLE: HandleId = HandleId::new(0, 0);
const COMMANDS: [u32; 13] = [
    GET_FLAGS,
    SET_FLAGS,
    GET_FSXATTR,
    ioctl::GET_MOUNT_NAME,
    ioctl::GET_PATH_OFFSET,
    ioctl::GET_MAGIC_NUM,
    ioctl::GET_IOCTL_VERSION,
    ioctl::RECURSIVE_RM,
    ioctl::FSYNC,
    ioctl::HARDLINK,
    ioctl::PUNCH_HOLE,
    ioctl::MOVE,
    ioctl::REMOVE,
];

fn kernel() -> Kernel {
    Kernel::new(&Setup {
        shards: 3,
        config: Config {
            mount_point: Text::from("/mnt/fs"),
            cluster: Text::from("cluster-1"),
            ..Config::default()
        },
        ..Setup::default()
    })
}

fn request(inode: InodeId, handle: HandleId, command: u32, input: &[u8], output_bytes: u32) -> Request {
    Request::Ioctl {
        inode,
        handle,
        command,
        input: Text::from(input),
        output_bytes,
    }
}

/// The output of an ioctl.
fn call(k: &mut Kernel, caller: Caller, request: Request) -> Result<Vec<u8>, Errno> {
    match k.call(caller, request)? {
        Reply::Ioctl(0, output) => Ok(output.as_bytes().to_vec()),
        other => panic!("{other:?}"),
    }
}

fn ask(k: &mut Kernel, inode: InodeId, command: u32, output_bytes: u32) -> Result<Vec<u8>, Errno> {
    call(k, ALICE, request(inode, NO_HANDLE, command, b"", output_bytes))
}

fn tell(k: &mut Kernel, inode: InodeId, command: u32, input: &[u8]) -> Result<Vec<u8>, Errno> {
    call(k, ALICE, request(inode, NO_HANDLE, command, input, 0))
}

/// The number that `stat` shows.
fn number(inode: InodeId) -> [u8; 8] {
    let number = match inode {
        InodeId::ROOT => 1,
        InodeId::GC_ROOT => 2,
        InodeId(number) => number,
    };
    number.to_le_bytes()
}

fn name<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    bytes
}

fn link_arg(parent: InodeId, to: &str) -> Vec<u8> {
    [&number(parent)[..], &name::<255>(to), &[0xaa]].concat()
}

fn move_arg(from: (InodeId, &str), to: (InodeId, &str), trash: u8) -> Vec<u8> {
    let (from_name, to_name) = (name::<256>(from.1), name::<256>(to.1));
    [
        &number(from.0)[..],
        &from_name,
        &number(to.0),
        &to_name,
        &[trash],
        &[0xaa; 7],
    ]
    .concat()
}

fn remove_arg(parent: InodeId, what: &str, recursive: u8) -> Vec<u8> {
    [&number(parent)[..], &name::<256>(what), &[recursive], &[0xaa; 7]].concat()
}

fn punch_arg(count: i32, flags: u64, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut starts = vec![0u64; 1000];
    let mut ends = vec![0u64; 1000];
    for (at, (start, end)) in ranges.iter().enumerate() {
        (starts[at], ends[at]) = (*start, *end);
    }
    let mut bytes = count.to_le_bytes().to_vec();
    bytes.extend([0xaa; 4]);
    bytes.extend(flags.to_le_bytes());
    bytes.extend(starts.iter().chain(&ends).flat_map(|number| number.to_le_bytes()));
    bytes
}

fn entry(parent: InodeId, name: &str) -> Invalidate {
    Invalidate::Entry {
        parent,
        name: Text::from(name),
    }
}

#[test]
fn constants_are_told_of_every_inode() {
    let mut k = kernel();
    let file = k.mknod(ROOT, "f").unwrap();
    for inode in [ROOT, file, InodeId::VIRT] {
        let mut mount = b"cluster-1".to_vec();
        mount.resize(32, 0);
        assert_eq!(ask(&mut k, inode, ioctl::GET_MOUNT_NAME, 32), Ok(mount));
        assert_eq!(
            ask(&mut k, inode, ioctl::GET_PATH_OFFSET, 4),
            Ok(vec![7, 0, 0, 0])
        );
        assert_eq!(
            ask(&mut k, inode, ioctl::GET_MAGIC_NUM, 4),
            Ok(vec![0xff, 0x5f, 0x3f, 0x8f])
        );
        assert_eq!(
            ask(&mut k, inode, ioctl::GET_IOCTL_VERSION, 4),
            Ok(vec![1, 0, 0, 0])
        );
    }
    for wrong in [0, 3, 5, 31, 33] {
        assert_eq!(
            ask(&mut k, ROOT, ioctl::GET_MOUNT_NAME, wrong),
            Err(Errno::EINVAL)
        );
        assert_eq!(ask(&mut k, ROOT, ioctl::GET_MAGIC_NUM, wrong), Err(Errno::EINVAL));
        assert_eq!(ask(&mut k, ROOT, GET_FLAGS, wrong), Err(Errno::EINVAL));
        assert_eq!(ask(&mut k, ROOT, GET_FSXATTR, wrong), Err(Errno::EINVAL));
    }
    assert_eq!(
        ask(&mut k, ROOT, 0x5401, 4),
        Err(Errno::EINVAL),
        "a terminal it is not"
    );
}

#[test]
fn a_long_name_of_a_cluster_is_cut() {
    let mut k = Kernel::new(&Setup {
        config: Config {
            cluster: Text::from("c".repeat(40).as_str()),
            ..Config::default()
        },
        ..Setup::default()
    });
    let name = ask(&mut k, ROOT, ioctl::GET_MOUNT_NAME, 32).unwrap();
    assert_eq!((name.len(), name[30], name[31]), (32, b'c', 0));
}

#[test]
fn flags_are_read_and_set() {
    let mut k = kernel();
    let file = k.mknod(ROOT, "f").unwrap();
    assert_eq!(ask(&mut k, file, GET_FLAGS, 4), Ok(vec![0; 4]));
    assert_eq!(ask(&mut k, file, GET_FSXATTR, 28), Ok(vec![0; 28]));
    let immutable = 0x10u32.to_le_bytes();
    assert_eq!(
        tell(&mut k, file, SET_FLAGS, &immutable),
        Err(Errno::EPERM),
        "root only"
    );
    for short in [0, 1, 3, 5, 8] {
        assert_eq!(tell(&mut k, file, SET_FLAGS, &vec![0; short]), Err(Errno::EINVAL));
    }
    let set = request(file, NO_HANDLE, SET_FLAGS, &immutable, 0);
    assert_eq!(call(&mut k, ROOT_USER, set), Ok(Vec::new()));
    assert_eq!(ask(&mut k, file, GET_FLAGS, 4), Ok(immutable.to_vec()));
    let mut extended = vec![8];
    extended.resize(28, 0);
    assert_eq!(ask(&mut k, file, GET_FSXATTR, 28), Ok(extended));
    let told = Invalidate::Inode {
        inode: file,
        pages: None,
    };
    assert!(k.host.invalidated.contains(&told));
    let unknown = request(file, NO_HANDLE, SET_FLAGS, &2u32.to_le_bytes(), 0);
    assert_eq!(call(&mut k, ROOT_USER, unknown), Err(Errno::EINVAL));
    assert_eq!(k.unlink(ROOT, "f"), Err(Errno::EPERM));
}

#[test]
fn a_hard_link_into_the_root_goes_into_the_root() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let file = k.mknod(d, "f").unwrap();
    k.host.invalidated.clear();
    assert_eq!(
        tell(&mut k, file, ioctl::HARDLINK, &link_arg(ROOT, "linked")),
        Ok(Vec::new())
    );
    assert!(
        k.host.invalidated.contains(&entry(ROOT, "linked")),
        "the kernel may remember its absence"
    );
    let told = Invalidate::Inode {
        inode: file,
        pages: None,
    };
    assert!(k.host.invalidated.contains(&told), "it has one link more");
    assert_eq!(k.find(ROOT, "linked"), file);
    let before = k.host.cluster().meta_log.len();
    let mut unended = link_arg(ROOT, "x");
    unended[8..263].fill(b'x');
    for (input, errno) in [
        (link_arg(ROOT, ""), Errno::EINVAL),
        (link_arg(ROOT, "a/b"), Errno::EINVAL),
        (link_arg(ROOT, ".."), Errno::EINVAL),
        (link_arg(ROOT, "3fs-virt"), Errno::EPERM),
        (link_arg(InodeId::RM_RF, "x"), Errno::EPERM),
        (unended, Errno::EINVAL),
        (link_arg(ROOT, "x")[1..].to_vec(), Errno::EINVAL),
        ([link_arg(ROOT, "x"), vec![0]].concat(), Errno::EINVAL),
    ] {
        assert_eq!(
            tell(&mut k, file, ioctl::HARDLINK, &input),
            Err(errno),
            "{input:?}"
        );
    }
    assert_eq!(k.host.cluster().meta_log.len(), before);
    assert_eq!(
        tell(&mut k, file, ioctl::HARDLINK, &link_arg(ROOT, "d")),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        tell(&mut k, d, ioctl::HARDLINK, &link_arg(ROOT, "x")),
        Err(Errno::EISDIR)
    );
    k.check_references();
}

#[test]
fn moves_rename_and_refuse_what_is_none_of_theirs() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let file = k.mknod(d, "f").unwrap();
    k.host.invalidated.clear();
    assert_eq!(
        tell(&mut k, d, ioctl::MOVE, &move_arg((d, "f"), (ROOT, "g"), 0)),
        Ok(Vec::new())
    );
    for what in [entry(d, "f"), entry(ROOT, "g")] {
        assert!(k.host.invalidated.contains(&what), "{what:?}");
    }
    assert_eq!(k.find(ROOT, "g"), file);
    let before = k.host.cluster().meta_log.len();
    let mut unended = move_arg((d, "f"), (ROOT, "g"), 0);
    unended[8..264].fill(b'x');
    for (input, errno) in [
        (move_arg((ROOT, "g"), (d, "f"), 0), Errno::EINVAL),
        (move_arg((d, "a/b"), (d, "f"), 0), Errno::EINVAL),
        (move_arg((d, "f"), (d, "."), 0), Errno::EINVAL),
        (move_arg((d, "f"), (d, "g"), 2), Errno::EINVAL),
        (move_arg((d, "f"), (InodeId::RM_RF, "g"), 0), Errno::EPERM),
        (move_arg((d, "f"), (ROOT, "3fs-virt"), 0), Errno::EPERM),
        (move_arg((d, &"x".repeat(255)), (d, ""), 0), Errno::EINVAL),
        (unended, Errno::EINVAL),
        (Vec::new(), Errno::EINVAL),
    ] {
        assert_eq!(tell(&mut k, d, ioctl::MOVE, &input), Err(errno));
    }
    assert_eq!(k.host.cluster().meta_log.len(), before);
    k.check_references();
}

#[test]
fn moves_into_the_trash_replace_no_file() {
    let mut k = kernel();
    let trash = k.mkdir(ROOT, "trash").unwrap();
    let d = k.mkdir(ROOT, "d").unwrap();
    let file = k.mknod(d, "f").unwrap();
    k.mknod(trash, "f").unwrap();
    assert_eq!(
        tell(&mut k, d, ioctl::MOVE, &move_arg((d, "f"), (trash, "f"), 1)),
        Err(Errno::EEXIST)
    );
    assert_eq!(
        tell(&mut k, d, ioctl::MOVE, &move_arg((d, "f"), (trash, "g"), 1)),
        Ok(Vec::new())
    );
    assert_eq!(k.find(trash, "g"), file);
    let log = k.host.cluster().meta_log.clone();
    let moved = log.iter().rev().find_map(|request| match request {
        meta::Request::Rename(rename) => Some((rename.move_to_trash, rename.inode_id)),
        _ => None,
    });
    assert_eq!(
        moved,
        Some((true, Some(file))),
        "only what was looked at is moved"
    );
    assert_eq!(
        tell(&mut k, d, ioctl::MOVE, &move_arg((d, "f"), (trash, "h"), 1)),
        Err(Errno::ENOENT)
    );
}

#[test]
fn removals_take_one_entry_or_a_tree() {
    let mut k = kernel();
    let d = k.mkdir(ROOT, "d").unwrap();
    let inner = k.mkdir(d, "in").unwrap();
    k.mknod(inner, "f").unwrap();
    k.mknod(d, "g").unwrap();
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(d, "in", 0)),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(ROOT, "d", 1)),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(d, "in", 2)),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(d, "..", 1)),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        tell(&mut k, ROOT, ioctl::REMOVE, &remove_arg(ROOT, "3fs-virt", 1)),
        Err(Errno::EPERM)
    );
    k.host.invalidated.clear();
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(d, "in", 1)),
        Ok(Vec::new())
    );
    assert!(k.host.invalidated.contains(&entry(d, "in")));
    assert_eq!(
        tell(&mut k, d, ioctl::REMOVE, &remove_arg(d, "g", 0)),
        Ok(Vec::new())
    );
    assert_eq!(k.names(d), [".", ".."]);
    assert_eq!(
        tell(&mut k, ROOT, ioctl::REMOVE, &remove_arg(ROOT, "d", 0)),
        Ok(Vec::new())
    );
    k.check_references();
}

#[test]
fn a_directory_is_removed_by_its_inode_wherever_it_is_by_then() {
    let mut k = kernel();
    let a = k.mkdir(ROOT, "a").unwrap();
    let d = k.mkdir(a, "d").unwrap();
    k.mknod(d, "f").unwrap();
    let file = k.mknod(a, "g").unwrap();
    let bob = request(d, NO_HANDLE, ioctl::RECURSIVE_RM, b"", 4);
    assert_eq!(call(&mut k, BOB, bob), Err(Errno::EACCES));
    k.rename_elsewhere((a, "d"), (ROOT, "moved"));
    k.mkdir(a, "d").unwrap();
    k.host.invalidated.clear();
    assert_eq!(ask(&mut k, d, ioctl::RECURSIVE_RM, 4), Ok(Vec::new()));
    assert!(k.host.invalidated.contains(&entry(ROOT, "moved")));
    assert_eq!(k.names(a), [".", "..", "d", "g"], "what has its old path stays");
    assert!(!k.has(ROOT, "moved"));
    assert_eq!(ask(&mut k, file, ioctl::RECURSIVE_RM, 4), Err(Errno::ENOTDIR));
    assert_eq!(ask(&mut k, ROOT, ioctl::RECURSIVE_RM, 4), Err(Errno::EPERM));
    assert_eq!(
        ask(&mut k, InodeId::VIRT, ioctl::RECURSIVE_RM, 4),
        Err(Errno::EPERM)
    );
    k.check_references();
}

#[test]
fn fsync_asks_a_server_for_files_and_directories() {
    let mut k = kernel();
    let (file, handle) = k.create(ROOT, "f").unwrap();
    assert_eq!(k.host.write(file, handle, 0, b"content"), Ok(7));
    let sync = request(file, handle, ioctl::FSYNC, b"", 4);
    assert_eq!(call(&mut k, ALICE, sync), Ok(Vec::new()));
    let synced = |k: &Kernel, inode| {
        let log = k.host.cluster().meta_log.clone();
        log.iter()
            .any(|request| matches!(request, meta::Request::Sync(sync) if sync.inode == inode))
    };
    assert!(synced(&k, file));
    assert_eq!(ask(&mut k, ROOT, ioctl::FSYNC, 4), Ok(Vec::new()));
    assert!(synced(&k, ROOT));
}

#[test]
fn holes_need_a_handle_that_writes_and_whole_chunks() {
    let mut k = kernel();
    let (file, handle) = k.create(ROOT, "f").unwrap();
    let chunk = 4096;
    assert_eq!(k.host.write(file, handle, 0, &vec![7; 3 * 4096]), Ok(3 * 4096));
    let punch = |k: &mut Kernel, inode, handle, input: &[u8]| {
        call(k, ALICE, request(inode, handle, ioctl::PUNCH_HOLE, input, 0))
    };
    let fine = punch_arg(1, 0, &[(chunk, 2 * chunk)]);
    for (input, errno) in [
        (punch_arg(-1, 0, &[]), Errno::EINVAL),
        (punch_arg(1001, 0, &[]), Errno::EINVAL),
        (punch_arg(i32::MIN, 0, &[]), Errno::EINVAL),
        (punch_arg(1, 1, &[(0, chunk)]), Errno::EINVAL),
        (punch_arg(1, 0, &[(1, chunk)]), Errno::EINVAL),
        (punch_arg(1, 0, &[(0, chunk + 1)]), Errno::EINVAL),
        (punch_arg(1, 0, &[(chunk, 0)]), Errno::EINVAL),
        (fine[..16_015].to_vec(), Errno::EINVAL),
        (Vec::new(), Errno::EINVAL),
    ] {
        assert_eq!(punch(&mut k, file, handle, &input), Err(errno));
    }
    assert_eq!(
        punch(&mut k, ROOT, handle, &fine),
        Err(Errno::EINVAL),
        "not a file"
    );
    assert_eq!(punch(&mut k, InodeId(0x7777), handle, &fine), Err(Errno::ENOENT));
    assert_eq!(punch(&mut k, file, NO_HANDLE, &fine), Err(Errno::EBADF));
    let reader = k.host.open(ALICE, file, O_RDONLY).unwrap().handle;
    assert_eq!(punch(&mut k, file, reader, &fine), Err(Errno::EBADF));
    let writer = k.host.open(ALICE, file, O_RDWR).unwrap().handle;
    assert_eq!(punch(&mut k, file, writer, &fine), Ok(Vec::new()));
    let expected = [vec![7; 4096], vec![0; 4096], vec![7; 4096]].concat();
    assert_eq!(k.host.read(file, writer, 0, 3 * 4096), Ok(expected));
    let tail = punch_arg(2, 0, &[(2 * chunk, 3 * chunk), (0, 0)]);
    assert_eq!(punch(&mut k, file, writer, &tail), Ok(Vec::new()));
    let Ok(bytes) = k.host.read(file, writer, 0, 3 * 4096) else {
        panic!("unreadable");
    };
    assert_eq!(bytes.len(), 3 * 4096, "the length stays");
    assert!(bytes[4096..].iter().all(|byte| *byte == 0));
}

#[test]
fn who_may_only_read_changes_nothing_this_way_either() {
    let mut k = Kernel::new(&Setup {
        config: Config {
            user: UserConfig {
                readonly: true,
                ..UserConfig::default()
            },
            ..Config::default()
        },
        ..Setup::default()
    });
    for (command, input) in [
        (SET_FLAGS, vec![0; 4]),
        (ioctl::HARDLINK, link_arg(ROOT, "x")),
        (ioctl::MOVE, move_arg((ROOT, "x"), (ROOT, "y"), 0)),
        (ioctl::REMOVE, remove_arg(ROOT, "x", 0)),
        (ioctl::PUNCH_HOLE, punch_arg(0, 0, &[])),
        (ioctl::RECURSIVE_RM, Vec::new()),
    ] {
        assert_eq!(
            tell(&mut k, ROOT, command, &input),
            Err(Errno::EROFS),
            "{command:#x}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Random bytes are answered, and what is meant to be impossible does not happen: the virtual directory stays.
    #[test]
    fn random_input_is_answered(
        command in prop::sample::select(COMMANDS.to_vec()),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..600),
            prop::collection::vec(any::<u8>(), 4),
            prop::collection::vec(any::<u8>(), 264),
            prop::collection::vec(any::<u8>(), 272),
            prop::collection::vec(any::<u8>(), 536),
            prop::collection::vec(prop_oneof![9 => Just(0u8), 1 => any::<u8>()], 16_016),
        ],
        output_bytes in prop_oneof![0..64u32, any::<u32>()],
        which in 0..4usize,
        root: bool,
    ) {
        let mut k = kernel();
        let d = k.mkdir(ROOT, "d").unwrap();
        let (file, handle) = k.create(d, "f").unwrap();
        let inode = [ROOT, d, file, InodeId::VIRT][which];
        let mut bytes = bytes;
        if bytes.len() >= 272 && bytes[0] % 2 == 0 {
            bytes[..8].copy_from_slice(&number(inode));
        }
        let caller = if root { ROOT_USER } else { ALICE };
        let _ = k.call(caller, request(inode, handle, command, &bytes, output_bytes));
        prop_assert_eq!(k.find(ROOT, "3fs-virt"), InodeId::VIRT);
        k.held.clear();
    }

    /// Every command at every length but its own is refused before a server hears of it.
    #[test]
    fn inputs_have_one_length(command in prop::sample::select(vec![
        (ioctl::HARDLINK, 264), (ioctl::PUNCH_HOLE, 16_016), (ioctl::MOVE, 536), (ioctl::REMOVE, 272), (SET_FLAGS, 4),
    ]), length in 0..17_000usize) {
        prop_assume!(length != command.1);
        let mut k = kernel();
        let before = k.host.cluster().meta_log.len();
        prop_assert_eq!(tell(&mut k, ROOT, command.0, &vec![b'a'; length]), Err(Errno::EINVAL));
        prop_assert_eq!(k.host.cluster().meta_log.len(), before);
    }
}
