//! Each way in which a cluster directory can be wrong, and each point at which its creation can stop.

#![allow(
    clippy::unwrap_used,
    reason = "helper functions of integration tests are not 'in tests' for clippy"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a directory is opened by several threads at once"
)]

use flyer_local::directory::{Directory, DirectoryError, Identity};
use flyer_types::WallTime;
use flyer_types::ids::Uuid;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn identity(byte: u8) -> Identity {
    Identity {
        cluster: Uuid([byte; 16]),
        created: WallTime::from_secs(1_764_000_000 + i64::from(byte)),
    }
}

fn open(path: &Path) -> Result<Directory, DirectoryError> {
    Directory::open(path, identity(1))
}

/// Names and content of everything in a directory.
fn content(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let bytes = fs::read(entry.path()).unwrap_or_default();
        (entry.file_name().into_string().unwrap(), bytes)
    };
    fs::read_dir(path).unwrap().map(entry).collect()
}

#[test]
fn a_directory_keeps_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/below/cluster");
    let first = Directory::open(&path, identity(1)).unwrap();
    assert!(first.is_new());
    assert_eq!(first.identity(), identity(1));
    assert_eq!(first.path(), path);
    assert!(first.data().is_dir() && !first.database().exists());
    drop(first);
    let again = Directory::open(&path, identity(2)).unwrap();
    assert!(!again.is_new());
    assert_eq!(again.identity(), identity(1));
    let text = fs::read_to_string(path.join("FLYER")).unwrap();
    assert!(
        text.starts_with("Flyer local cluster\nformat 1\ncluster 01010101-0101-"),
        "{text}"
    );
}

#[test]
fn a_relative_path_will_do() {
    let folder = tempfile::tempdir_in(".").unwrap();
    let name = folder.path().file_name().unwrap();
    drop(open(&Path::new(name).join("cluster")).unwrap());
    assert!(folder.path().join("cluster/FLYER").exists());
}

/// After a crash at any point of the creation the directory opens as a new one.
#[test]
fn a_creation_that_was_cut_short_begins_again() {
    let whole = {
        let folder = tempfile::tempdir().unwrap();
        drop(open(folder.path()).unwrap());
        fs::read(folder.path().join("FLYER")).unwrap()
    };
    let halves: &[&[(&str, &[u8])]] = &[
        &[],
        &[("flyer.lock", b"")],
        &[("flyer.lock", b"4711\n")],
        &[("flyer.lock", b"4711\n"), ("FLYER.new", b"")],
        &[("flyer.lock", b"4711\n"), ("FLYER.new", &whole[..20])],
        &[
            ("flyer.lock", b"4711\n"),
            ("FLYER.new", &whole),
            ("lost+found", b""),
        ],
    ];
    for left in halves {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in *left {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let directory = Directory::open(folder.path(), identity(3)).unwrap();
        assert!(directory.is_new());
        assert_eq!(directory.identity(), identity(3));
        assert!(!folder.path().join("FLYER.new").exists());
    }
    // The last steps: the format file is there, the folders may not be.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("FLYER"), &whole).unwrap();
    let directory = Directory::open(folder.path(), identity(3)).unwrap();
    assert!(!directory.is_new() && directory.data().is_dir());
    assert_eq!(directory.identity(), identity(1));
}

#[test]
fn of_those_who_create_it_at_the_same_time_one_has_it() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let opened: Vec<_> = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..4u8)
                .map(|byte| {
                    scope.spawn({
                        let path = &path;
                        move || Directory::open(path, identity(byte))
                    })
                })
                .collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 1);
        for result in &opened {
            assert!(
                matches!(result, Ok(_) | Err(DirectoryError::Locked { .. })),
                "{result:?}"
            );
        }
        let winner = opened.into_iter().find_map(Result::ok).unwrap();
        assert!(winner.is_new());
        let identity = winner.identity();
        drop(winner);
        assert_eq!(open(&path).unwrap().identity(), identity);
    }
}

#[test]
fn a_locked_directory_names_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let held = open(folder.path()).unwrap();
    let error = open(folder.path()).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, DirectoryError::Locked { pid: Some(found), .. } if found == pid));
    let text = error.to_string();
    assert!(
        text.contains(&format!("open in process {pid}")) && text.contains("stop that process"),
        "{text}"
    );
    assert!(text.contains(&folder.path().display().to_string()));
    // Between the lock and the pid.
    fs::write(folder.path().join("flyer.lock"), "").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, DirectoryError::Locked { pid: None, .. }));
    drop(held);
    open(folder.path()).unwrap();
}

#[test]
fn something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = open(&path).unwrap_err();
        assert!(matches!(error, DirectoryError::NotADirectory { .. }), "{error:?}");
        assert!(
            error.to_string().contains("file is not a directory")
                || error.to_string().contains("below is not")
        );
    }
    let before = content(folder.path());
    let error = open(folder.path()).unwrap_err();
    assert!(
        matches!(&error, DirectoryError::Foreign { found, .. } if found == "file"),
        "{error:?}"
    );
    assert!(error.to_string().contains("holds \"file\""));
    assert_eq!(
        content(folder.path()),
        before,
        "not even a lock file is left behind"
    );
}

#[test]
fn a_format_file_of_a_later_version_or_with_damage_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let name = folder.path().join("FLYER");
    let whole = fs::read(&name).unwrap();
    fs::write(&name, "Flyer local cluster\nformat 7\nwhatever comes then\n").unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(
        matches!(error, DirectoryError::Newer { found: 7, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("has format 7") && error.to_string().contains("use the version"));
    for damage in [&b""[..], &whole[..30], b"hello", &[0xff; 5000]] {
        fs::write(&name, damage).unwrap();
        let error = open(folder.path()).unwrap_err();
        assert!(matches!(error, DirectoryError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains("FLYER is damaged: ") && error.to_string().contains("backup"));
        assert_eq!(fs::read(&name).unwrap(), damage);
    }
    fs::write(&name, &whole).unwrap();
    open(folder.path()).unwrap();
}

#[test]
fn a_directory_without_permission_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("closed");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o500)).unwrap();
    // Root may write everywhere, so it becomes somebody else for the time of the attempt; the kernel knows that for each thread.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = path.join("flyer");
    let error = std::thread::scope(|scope| {
        let attempt = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                rustix::thread::set_thread_uid(rustix::process::Uid::from_raw(65534)).unwrap();
            }
            open(&place).unwrap_err()
        });
        attempt.join().unwrap()
    });
    assert!(matches!(error, DirectoryError::NoPermission { .. }), "{error:?}");
    assert!(error.to_string().contains(&place.display().to_string()));
}
