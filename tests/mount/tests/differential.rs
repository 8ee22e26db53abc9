//! The same random operations on the mount and on a local directory: every result, every error number and, in the end, every byte and
//! attribute is the same.
//!
//! `FLYER_DIFFERENTIAL_OPS` sets the number of operations (20,000), `FLYER_DIFFERENTIAL_SEED` the seed (1).
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::Place;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Operations, if nobody says otherwise.
const OPS: u64 = 20_000;

/// Files that may be open at the same time.
const HANDLES: usize = 8;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut z = self.0;
        z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        z ^ (z >> 33)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// So many bytes of one value.
#[derive(Clone, Copy, Debug)]
struct Fill {
    byte: u8,
    len: usize,
}

impl Fill {
    fn bytes(self) -> Vec<u8> {
        vec![self.byte; self.len]
    }
}

/// An operation; carried out twice.
#[derive(Clone, Debug)]
enum Op {
    Create(PathBuf, u64, u32),
    Open(PathBuf, usize, bool, bool, bool),
    Close(usize),
    WriteAt(usize, u64, Fill),
    Append(usize, Fill),
    ReadAt(usize, u64, usize),
    SetLen(usize, u64),
    Truncate(PathBuf, u64),
    Sync(usize),
    Mkdir(PathBuf),
    Rmdir(PathBuf),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    ReadLink(PathBuf),
    Chmod(PathBuf, u32),
    Stat(PathBuf),
    List(PathBuf),
    Slurp(PathBuf),
}

impl Op {
    /// The open file that it is about.
    fn slot(&self) -> Option<usize> {
        match self {
            Self::WriteAt(slot, ..)
            | Self::Append(slot, _)
            | Self::ReadAt(slot, ..)
            | Self::SetLen(slot, _)
            | Self::Sync(slot) => Some(*slot),
            Self::Create(..)
            | Self::Open(..)
            | Self::Close(_)
            | Self::Truncate(..)
            | Self::Mkdir(_)
            | Self::Rmdir(_)
            | Self::Unlink(_)
            | Self::Rename(..)
            | Self::Link(..)
            | Self::Symlink(..)
            | Self::ReadLink(_)
            | Self::Chmod(..)
            | Self::Stat(_)
            | Self::List(_)
            | Self::Slurp(_) => None,
        }
    }

    /// What kind it is.
    fn kind(&self) -> &'static str {
        match self {
            Self::Create(..) => "create",
            Self::Open(..) => "open",
            Self::Close(_) => "close",
            Self::WriteAt(..) => "write",
            Self::Append(..) => "append",
            Self::ReadAt(..) => "read",
            Self::SetLen(..) => "set length",
            Self::Truncate(..) => "truncate",
            Self::Sync(_) => "sync",
            Self::Mkdir(_) => "mkdir",
            Self::Rmdir(_) => "rmdir",
            Self::Unlink(_) => "unlink",
            Self::Rename(..) => "rename",
            Self::Link(..) => "link",
            Self::Symlink(..) => "symlink",
            Self::ReadLink(_) => "read link",
            Self::Chmod(..) => "chmod",
            Self::Stat(_) => "stat",
            Self::List(_) => "list",
            Self::Slurp(_) => "slurp",
        }
    }
}

/// Operations that have to succeed at least once in a run of [`OPS`], or it compares nothing but refusals.
const KINDS: usize = 20;

/// The same of those on open files that have no name any more: write, append, read, set length, sync.
const KINDS_UNLINKED: usize = 5;

/// A tree with its open files.
struct Side {
    root: PathBuf,
    open: Vec<Option<File>>,
    /// How many operations have succeeded, by kind and by whether the open file had lost its last name.
    succeeded: BTreeMap<(&'static str, bool), u64>,
}

/// What an operation said, in a form that can be compared.
fn show<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("errno {:?}", error.raw_os_error()),
    }
}

impl Side {
    fn new(root: PathBuf) -> Self {
        Self {
            root,
            open: (0..HANDLES).map(|_| None).collect(),
            succeeded: BTreeMap::new(),
        }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// Carries out an operation, and takes note of a success.
    fn act(&mut self, op: &Op) -> String {
        let said = self.act_on_handle(op);
        let is_refused = said.is_empty() && !matches!(op, Op::Close(_)) || said.starts_with("errno");
        if !is_refused {
            let open = op.slot().and_then(|slot| self.open[slot].as_ref());
            let stat = open.and_then(|file| file.metadata().ok());
            let is_unlinked = stat.is_some_and(|stat| stat.is_file() && stat.nlink() == 0);
            *self.succeeded.entry((op.kind(), is_unlinked)).or_default() += 1;
        }
        said
    }

    fn act_on_handle(&mut self, op: &Op) -> String {
        match op {
            Op::Create(path, slot, mode) => {
                let made = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .mode(*mode)
                    .open(self.at(path));
                let slot = usize::try_from(*slot).expect("small");
                show(made.map(|file| self.open[slot] = Some(file)))
            }
            Op::Open(path, slot, write, append, truncate) => {
                let mut options = OpenOptions::new();
                options
                    .read(true)
                    .write(*write)
                    .append(*append)
                    .truncate(*truncate && *write && !*append);
                show(
                    options
                        .open(self.at(path))
                        .map(|file| self.open[*slot] = Some(file)),
                )
            }
            Op::Close(slot) => {
                self.open[*slot] = None;
                String::new()
            }
            Op::WriteAt(slot, offset, fill) => {
                self.with(*slot, |file| file.write_all_at(&fill.bytes(), *offset))
            }
            Op::Append(slot, fill) => self.with(*slot, |mut file| {
                file.seek(SeekFrom::End(0))?;
                file.write_all(&fill.bytes())
            }),
            Op::ReadAt(slot, offset, len) => self.with(*slot, |file| {
                let mut bytes = vec![0; *len];
                let mut got = 0;
                while got < bytes.len() {
                    let n = file.read_at(&mut bytes[got..], offset + u64::try_from(got).expect("small"))?;
                    if n == 0 {
                        break;
                    }
                    got += n;
                }
                bytes.truncate(got);
                Ok((got, digest(&bytes)))
            }),
            Op::SetLen(slot, len) => self.with(*slot, |file| file.set_len(*len)),
            Op::Sync(slot) => self.with(*slot, |file| file.sync_all()),
            Op::Truncate(..)
            | Op::Mkdir(_)
            | Op::Rmdir(_)
            | Op::Unlink(_)
            | Op::Rename(..)
            | Op::Link(..)
            | Op::Symlink(..)
            | Op::ReadLink(_)
            | Op::Chmod(..)
            | Op::Stat(_)
            | Op::List(_)
            | Op::Slurp(_) => self.act_on_name(op),
        }
    }

    fn with<T: std::fmt::Debug>(&self, slot: usize, act: impl FnOnce(&File) -> io::Result<T>) -> String {
        self.open[slot].as_ref().map_or_else(String::new, |file| {
            let said = show(act(file));
            let stat = file.metadata().map(|metadata| visible(&metadata));
            format!("{said} {}", show(stat))
        })
    }

    fn act_on_name(&self, op: &Op) -> String {
        match op {
            Op::Truncate(path, len) => {
                let opened = OpenOptions::new().write(true).open(self.at(path));
                show(opened.and_then(|file| file.set_len(*len)))
            }
            Op::Mkdir(path) => show(fs::create_dir(self.at(path))),
            Op::Rmdir(path) => show(fs::remove_dir(self.at(path))),
            Op::Unlink(path) => show(fs::remove_file(self.at(path))),
            Op::Rename(from, to) => show(fs::rename(self.at(from), self.at(to))),
            Op::Link(from, to) => show(fs::hard_link(self.at(from), self.at(to))),
            Op::Symlink(target, path) => show(symlink(target, self.at(path))),
            Op::ReadLink(path) => show(fs::read_link(self.at(path))),
            Op::Chmod(path, mode) => show(fs::set_permissions(
                self.at(path),
                fs::Permissions::from_mode(*mode),
            )),
            Op::Stat(path) => show(fs::symlink_metadata(self.at(path)).map(|metadata| visible(&metadata))),
            Op::List(path) => show(list(&self.at(path))),
            Op::Slurp(path) => {
                let mut bytes = Vec::new();
                let read = File::open(self.at(path)).and_then(|mut file| file.read_to_end(&mut bytes));
                show(read.map(|got| (got, digest(&bytes))))
            }
            Op::Create(..)
            | Op::Open(..)
            | Op::Close(_)
            | Op::WriteAt(..)
            | Op::Append(..)
            | Op::ReadAt(..)
            | Op::SetLen(..)
            | Op::Sync(_) => unreachable!("{op:?} is about an open file"),
        }
    }
}

/// What of an inode has to be equal: for directories the length is each file system's own business.
fn visible(metadata: &fs::Metadata) -> (u32, u64, u64, u32, u32) {
    let len = if metadata.is_dir() { 0 } else { metadata.len() };
    (
        metadata.mode(),
        metadata.nlink(),
        len,
        metadata.uid(),
        metadata.gid(),
    )
}

fn list(path: &Path) -> io::Result<Vec<(OsString, bool)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // The virtual directory is there only on the mount.
        if entry.file_name() != "3fs-virt" {
            names.push((entry.file_name(), entry.file_type()?.is_dir()));
        }
    }
    names.sort();
    Ok(names)
}

fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn draw(random: &mut Random) -> Op {
    let slot = usize::try_from(random.below(HANDLES as u64)).expect("small");
    let path = draw_path(random);
    let offset = match random.below(3) {
        0 => random.below(4096),
        1 => random.below(300_000),
        _ => random.below(5_000_000),
    };
    let len = if random.below(4) == 0 {
        random.below(200_000)
    } else {
        random.below(5000)
    };
    let fill = Fill {
        byte: u8::try_from(offset % 251 + 1).expect("small"),
        len: usize::try_from(len).expect("small"),
    };
    match random.below(30) {
        0..3 => Op::Create(
            path,
            random.below(HANDLES as u64),
            [0o644, 0o600, 0o444, 0o777][usize::try_from(len % 4).expect("small")],
        ),
        3..5 => Op::Open(
            path,
            slot,
            random.below(2) == 0,
            random.below(4) == 0,
            random.below(4) == 0,
        ),
        5 => Op::Close(slot),
        6..10 => Op::WriteAt(slot, offset, fill),
        10 => Op::Append(slot, fill),
        11..14 => Op::ReadAt(slot, offset, usize::try_from(len).expect("small")),
        14 => Op::SetLen(slot, offset),
        15 => Op::Truncate(path, offset),
        16 => Op::Sync(slot),
        17 | 18 => Op::Mkdir(path),
        19 => Op::Rmdir(path),
        20 => Op::Unlink(path),
        21 | 22 => Op::Rename(path, draw_path(random)),
        23 => Op::Link(path, draw_path(random)),
        24 => Op::Symlink(draw_path(random), path),
        25 => Op::ReadLink(path),
        26 => Op::Chmod(path, u32::try_from(random.below(0o1000)).expect("small") | 0o400),
        27 => Op::Stat(path),
        28 => Op::List(path),
        _ => Op::Slurp(path),
    }
}

fn draw_path(random: &mut Random) -> PathBuf {
    let mut path = PathBuf::new();
    for _ in 0..random.below(3) {
        path.push(format!("d{}", random.below(3)));
    }
    path.push(format!(
        "{}{}",
        if random.below(3) == 0 { "d" } else { "f" },
        random.below(6)
    ));
    path
}

/// Everything below a directory.
fn everything(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(directory) = pending.pop() {
        for (name, is_directory) in list(&root.join(&directory)).expect("a directory can be listed") {
            let path = directory.join(name);
            let full = root.join(&path);
            let metadata = fs::symlink_metadata(&full).expect("it is listed");
            let content = if metadata.is_file() {
                digest(&fs::read(&full).expect("root may read")).to_string()
            } else {
                show(fs::read_link(&full))
            };
            all.insert(path.clone(), format!("{:?} {content}", visible(&metadata)));
            if is_directory {
                pending.push(path);
            }
        }
    }
    all
}

#[test]
fn the_mount_behaves_like_a_local_directory() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| {
            text.parse()
                .unwrap_or_else(|_| panic!("{name}={text} is no number"))
        })
    };
    let ops = number("FLYER_DIFFERENTIAL_OPS", OPS);
    let seed = number("FLYER_DIFFERENTIAL_SEED", 1);
    let mut random = Random(seed);
    let place = Place::new();
    let mount = place.mount();
    let local = place.beside("local");
    fs::create_dir(&local).expect("a new directory");
    let mounted = mount.at("tree");
    fs::create_dir(&mounted).expect("a new directory");
    let mut sides = [Side::new(local.clone()), Side::new(mounted.clone())];
    for count in 0..ops {
        let op = draw(&mut random);
        let [expected, said] = sides.each_mut().map(|side| side.act(&op));
        assert_eq!(said, expected, "operation {count} of seed {seed}: {op:?}");
    }
    let [reached, _] = sides.map(|side| side.succeeded);
    println!("succeeded, of {ops}: {reached:?}");
    if ops >= OPS {
        let unlinked = reached.keys().filter(|(_, is_unlinked)| *is_unlinked).count();
        assert_eq!(unlinked, KINDS_UNLINKED, "{reached:?}");
        assert_eq!(reached.len(), KINDS + KINDS_UNLINKED, "{reached:?}");
    }
    assert_eq!(everything(&mounted), everything(&local), "seed {seed}");
    mount.unmount();
    let mount = place.mount();
    assert_eq!(
        everything(&mounted),
        everything(&local),
        "seed {seed}, mounted again"
    );
    mount.unmount();
}
