//! What `docs/semantics.md` says, where only a real kernel can tell; and that each of its rows names tests that exist.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::{Mount, Place, shell};
use rustix::fs::{CWD, FallocateFlags, FileType, Mode, OFlags, RenameFlags, SeekFrom, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const SEMANTICS: &str = include_str!("../../../docs/semantics.md");

/// Chunks of an embedded cluster.
const CHUNK: u64 = 1 << 20;

/// A new file that can be read and written.
fn create(path: &Path) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    options.open(path).expect("a new file")
}

/// A new file with these bytes in it, which the servers know of.
fn written(path: &Path, bytes: &[u8]) -> File {
    let file = create(path);
    file.write_all_at(bytes, 0).expect("it takes them");
    file.sync_all().expect("they are kept");
    file
}

fn length(file: &File) -> u64 {
    file.metadata().expect("it is open").size()
}

#[test]
fn a_file_begins_with_a_name() {
    let place = Place::new();
    let mount = place.mount();
    let flags = OFlags::TMPFILE | OFlags::RDWR;
    let opened = rustix::fs::open(mount.path(), flags, Mode::RUSR | Mode::WUSR);
    assert_eq!(opened.expect_err("no file without a name"), Errno::OPNOTSUPP);
    mount.unmount();
}

#[test]
fn pipes_sockets_and_devices_are_refused() {
    let place = Place::new();
    let mount = place.mount();
    for kind in [
        FileType::Fifo,
        FileType::Socket,
        FileType::CharacterDevice,
        FileType::BlockDevice,
    ] {
        let made = rustix::fs::mknodat(CWD, mount.at("node"), kind, Mode::RUSR, 0);
        assert_eq!(made, Err(Errno::PERM), "{kind:?}");
    }
    let made = rustix::fs::mknodat(CWD, mount.at("node"), FileType::RegularFile, Mode::RUSR, 0);
    assert_eq!(made, Ok(()));
    mount.unmount();
}

#[test]
fn a_listing_has_the_directory_itself_and_its_parent() {
    let place = Place::new();
    let mount = place.mount();
    shell(mount.path(), "mkdir -p d/sub && touch d/file");
    assert_eq!(shell(&mount.at("d"), "ls -a -U | sort"), ".\n..\nfile\nsub\n");
    // Their numbers are those of the directories, as programs find them that climb to the root.
    let numbers = "test \"$(ls -aid . ..)\" = \"$(ls -ai | grep -E ' [.]+$')\"";
    shell(&mount.at("d/sub"), numbers);
    shell(&mount.at("d"), numbers);
    mount.unmount();
}

/// Before and behind a remount: first the kernel knows the length, then only the server.
#[test]
fn blocks_are_the_length_rounded_up() {
    let place = Place::new();
    let lengths = [0, 1, 512, 513, CHUNK + 1, 5_000_000_000];
    let check = |mount: &Mount| {
        for length in lengths {
            let metadata = std::fs::metadata(mount.at(&length.to_string())).expect("it is there");
            assert_eq!(metadata.size(), length);
            assert_eq!(metadata.blocks(), length.div_ceil(512), "of {length} bytes");
        }
        let said = shell(mount.path(), "du -B1 5000000000");
        assert!(
            said.starts_with("5000000000") || said.starts_with("5000000512"),
            "{said}"
        );
    };
    let mount = place.mount();
    for length in lengths {
        let file = create(&mount.at(&length.to_string()));
        if let Some(last) = length.checked_sub(1) {
            file.write_all_at(&[1], last).expect("most of it is a hole");
        }
    }
    check(&mount);
    mount.unmount();
    let mount = place.mount();
    check(&mount);
    mount.unmount();
}

#[test]
fn a_rename_with_flags_is_refused_and_programs_fall_back() {
    let place = Place::new();
    let mount = place.mount();
    let (a, b, c) = (mount.at("a"), mount.at("b"), mount.at("c"));
    std::fs::write(&a, "a").expect("a new file");
    std::fs::write(&b, "b").expect("a new file");
    let rename = |from: &Path, to: &Path, flags| rustix::fs::renameat_with(CWD, from, CWD, to, flags);
    assert_eq!(rename(&a, &c, RenameFlags::NOREPLACE), Err(Errno::INVAL));
    assert_eq!(
        rename(&a, &b, RenameFlags::NOREPLACE),
        Err(Errno::EXIST),
        "the kernel sees this itself"
    );
    assert_eq!(rename(&a, &b, RenameFlags::EXCHANGE), Err(Errno::INVAL));
    let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");
    assert_eq!((read(&a), read(&b), c.exists()), ("a".into(), "b".into(), false));
    // It ends well or not when it does nothing, depending on its version.
    shell(
        mount.path(),
        "mv -n a b || true; test -e a && mv -n a c && test ! -e a",
    );
    assert_eq!((read(&b), read(&c)), ("b".into(), "a".into()));
    mount.unmount();
}

#[test]
fn a_range_is_copied_within_a_file_and_between_files() {
    let place = Place::new();
    let mount = place.mount();
    let bytes: Vec<u8> = (0..3_u32 << 20)
        .flat_map(|number| number.to_le_bytes().into_iter().take(1))
        .collect();
    let from = written(&mount.at("from"), &bytes);
    let to = create(&mount.at("to"));
    let copy = |to: &File, mut from_offset: u64, mut to_offset: u64, mut left: usize| {
        while left > 0 {
            let copied =
                rustix::fs::copy_file_range(&from, Some(&mut from_offset), to, Some(&mut to_offset), left);
            match copied.expect("the kernel does it") {
                0 => break,
                copied => left -= copied,
            }
        }
        left
    };
    // Across the border of two chunks, from and to odd places.
    assert_eq!(copy(&to, 1_000_001, 99, 1_500_000), 0);
    assert_eq!(length(&to), 1_500_099);
    let mut copied = vec![1; 1_500_099];
    to.read_exact_at(&mut copied, 0).expect("it is as long");
    assert!(
        copied[..99].iter().all(|byte| *byte == 0),
        "nothing was copied to there"
    );
    assert!(copied[99..] == bytes[1_000_001..2_500_001]);
    // What is behind the end is not copied.
    assert_eq!(
        copy(&to, 3_000_000, 0, 1 << 20),
        (1 << 20) - (bytes.len() - 3_000_000)
    );
    // Within one file.
    assert_eq!(copy(&from, 0, 2_000_000, 1_000_000), 0);
    let mut moved = vec![0; 1_000_000];
    from.read_exact_at(&mut moved, 2_000_000).expect("it is as long");
    assert!(moved == bytes[..1_000_000]);
    drop((from, to));
    mount.unmount();
}

#[test]
fn fallocate_extends_and_makes_zeros_and_knows_nothing_else() {
    let place = Place::new();
    let mount = place.mount();
    let file = written(&mount.at("file"), &[7; 10_000]);
    let allocate = |flags, offset, bytes| rustix::fs::fallocate(&file, flags, offset, bytes);
    let (punch, zero, keep) = (
        FallocateFlags::PUNCH_HOLE,
        FallocateFlags::ZERO_RANGE,
        FallocateFlags::KEEP_SIZE,
    );
    let mut expected = vec![7; 10_000];
    assert_eq!(allocate(FallocateFlags::empty(), 0, 20_000), Ok(()));
    expected.resize(20_000, 0);
    assert_eq!(allocate(keep, 0, 50_000), Ok(()), "advice without effect");
    assert_eq!(allocate(punch | keep, 1000, 500), Ok(()));
    expected[1000..1500].fill(0);
    assert_eq!(allocate(zero, 9_000, 20_000), Ok(()));
    expected.resize(29_000, 0);
    expected[9_000..].fill(0);
    assert_eq!(allocate(zero | keep, 5_000, 1), Ok(()));
    expected[5_000] = 0;
    for refused in [
        punch,
        FallocateFlags::COLLAPSE_RANGE,
        FallocateFlags::INSERT_RANGE,
        FallocateFlags::UNSHARE_RANGE,
    ] {
        assert_eq!(
            allocate(refused, 4096, 4096),
            Err(Errno::OPNOTSUPP),
            "{refused:?}"
        );
    }
    assert_eq!(allocate(keep, 0, 0), Err(Errno::INVAL));
    assert_eq!(length(&file), 29_000);
    let content = std::fs::read(mount.at("file")).expect("it is there");
    assert!(content == expected);
    drop(file);
    mount.unmount();
    let mount = place.mount();
    let content = std::fs::read(mount.at("file")).expect("it is there");
    assert!(content == expected, "another content behind a remount");
    mount.unmount();
}

#[test]
fn data_and_holes_are_found_by_whole_chunks() {
    let place = Place::new();
    let mount = place.mount();
    let file = create(&mount.at("file"));
    file.write_all_at(&[1], 10).expect("in the first chunk");
    file.write_all_at(&[1], 3 * CHUNK + 10).expect("in the fourth");
    let end = 3 * CHUNK + 11;
    let data = |offset| rustix::fs::seek(&file, SeekFrom::Data(offset));
    let hole = |offset| rustix::fs::seek(&file, SeekFrom::Hole(offset));
    // Zeros in front of what was written in a chunk are data, what is behind it is a hole.
    assert_eq!((data(0), hole(0)), (Ok(0), Ok(11)));
    assert_eq!((data(11), hole(11)), (Ok(3 * CHUNK), Ok(11)));
    assert_eq!((data(CHUNK + 5), hole(CHUNK + 5)), (Ok(3 * CHUNK), Ok(CHUNK + 5)));
    assert_eq!(
        (data(3 * CHUNK + 5), hole(3 * CHUNK)),
        (Ok(3 * CHUNK + 5), Ok(end))
    );
    assert_eq!((data(end), hole(end)), (Err(Errno::NXIO), Err(Errno::NXIO)));
    // A copy that looks for holes has the same bytes.
    shell(
        mount.path(),
        "cp --sparse=auto file copy && cmp file copy && tar -cSf - file | tar -xOf - | cmp - file",
    );
    drop(file);
    mount.unmount();
}

#[test]
fn there_are_no_attributes_but_the_lock_of_a_directory() {
    let place = Place::new();
    let mount = place.mount();
    let file = mount.at("file");
    written(&file, b"x");
    let directory = mount.at("directory");
    std::fs::create_dir(&directory).expect("a new directory");
    let set = |path: &Path, name: &str| rustix::fs::setxattr(path, name, b"value", XattrFlags::empty());
    for name in [
        "user.any",
        "security.any",
        "trusted.any",
        "system.posix_acl_access",
    ] {
        for path in [&file, &directory] {
            assert_eq!(set(path, name), Err(Errno::OPNOTSUPP), "{name}");
            let mut value = [0; 64];
            let found = rustix::fs::getxattr(path, name, &mut value[..]);
            assert!(
                matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP)),
                "{name}: {found:?}"
            );
        }
    }
    let mut names = [0; 64];
    assert_eq!(rustix::fs::listxattr(&file, &mut names[..]), Ok(0));
    assert_eq!(rustix::fs::listxattr(&directory, &mut names[..]), Ok(0));
    // Programs that keep attributes where there are some go on without.
    shell(mount.path(), "cp -a file copy && cmp file copy");
    mount.unmount();
}

/// Where the tests of a row are: from the table at the beginning.
fn test_files() -> BTreeMap<&'static str, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = BTreeMap::new();
    for row in SEMANTICS.lines().filter_map(cells) {
        let [names, place] = row[..] else { continue };
        let Some(folder) = quoted(place).next().filter(|folder| folder.ends_with('/')) else {
            continue;
        };
        for name in quoted(names) {
            files.insert(name, root.join(folder).join(format!("{name}.rs")));
        }
    }
    files
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether a source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let begin = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&begin));
    at.is_some_and(|at| {
        let above = lines[..at].iter().rev();
        above
            .take_while(|line| line.starts_with('#') || line.starts_with("//"))
            .any(|line| *line == "#[test]")
    })
}

#[test]
fn each_row_names_tests_that_exist() {
    let files = test_files();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let source = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut rows = 0;
    let mut wrong = Vec::new();
    let (_, tables) = SEMANTICS.split_once("\n## ").expect("it has sections");
    for row in tables.lines().filter_map(cells) {
        let [behaviour, .., tests] = row[..] else { continue };
        if tests == "Test" || tests.starts_with("--") {
            continue;
        }
        rows += 1;
        if tests == "the same" {
            continue;
        }
        let mut found = 0;
        // The source that was named last, for tests that are named without a short name.
        let mut last = None;
        for word in quoted(tests) {
            if word.contains('/') {
                last = Some(root.join(word));
                if !root.join(word).exists() {
                    wrong.push(format!("{behaviour}: there is no {word}"));
                }
            } else if let Some((file, test)) = word.split_once("::") {
                let exists = files.get(file).is_some_and(|path| has_test(&source(path), test));
                found += usize::from(exists);
                if !exists {
                    wrong.push(format!("{behaviour}: there is no test {word}"));
                }
            } else if last.as_ref().is_some_and(|path| has_test(&source(path), word)) {
                found += 1;
            }
        }
        if found == 0 {
            wrong.push(format!("{behaviour}: no test"));
        }
    }
    assert!(rows > 40, "{rows} rows: the tables look different than expected");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
