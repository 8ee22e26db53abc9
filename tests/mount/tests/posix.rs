//! POSIX suites of others: every case of pjdfstest, and fsx.
//!
//! The programs are `pjdfstest` 0.2.2 and `fsx` 0.3.2 of their crates, found in `FLYER_TOOLS` or `target/tools/bin`, where the stage
//! `mount` of `tests/run` puts them. `FLYER_FSX_OPS` sets the number of operations of fsx (100,000), `FLYER_FSX_SEED` the first seed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::{Place, program, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Cases that do not pass, each with the reason why 3FS cannot express it.
const UNEXPRESSIBLE: &str = include_str!("../pjdfstest-unexpressible.txt");

/// Users and groups that every Debian has, and features that need no option of the suite.
const CONFIGURATION: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.01
allow_remount = false

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

fn tool(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLYER_TOOLS").map_or_else(
        || {
            let program = program();
            let target = program.parent().and_then(|profile| profile.parent());
            target
                .expect("the program lies in a target folder")
                .join("tools/bin")
        },
        PathBuf::from,
    );
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} does not exist; install it: cargo install --locked --root target/tools {name}",
        path.display()
    );
    path
}

/// The outcome of each case, by name.
fn outcomes(said: &str) -> BTreeMap<String, String> {
    let mut outcomes = BTreeMap::new();
    for line in said.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(outcome @ ("ok" | "FAILED" | "skipped"))) = (words.next(), words.next()) {
            outcomes.insert(name.to_owned(), outcome.to_owned());
        }
    }
    outcomes
}

#[test]
fn pjdfstest_passes_whatever_3fs_can_express() {
    let place = Place::new();
    let mount = place.mount_with(&["--allow-other"]);
    let configuration = place.beside("pjdfstest.toml");
    std::fs::write(&configuration, CONFIGURATION).expect("a new file");
    let work = mount.at("suite");
    std::fs::create_dir(&work).expect("a new directory");
    let output = Command::new(tool("pjdfstest"))
        .arg("-c")
        .arg(&configuration)
        .arg("-p")
        .arg(&work)
        .output()
        .expect("it starts");
    let said = text(&output);
    let outcomes = outcomes(&said);
    assert_eq!(outcomes.len(), 398, "cases of pjdfstest 0.2.2; it said:\n{said}");
    let listed: BTreeMap<&str, &str> = UNEXPRESSIBLE
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| line.split_once(char::is_whitespace).expect("a name and a reason"))
        .collect();
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| *outcome == "FAILED")
        .map(|(name, _)| name.as_str())
        .collect();
    let unlisted: Vec<&&str> = failed
        .iter()
        .filter(|name| !listed.contains_key(**name))
        .collect();
    let passing: Vec<&&str> = listed
        .keys()
        .filter(|name| outcomes.get(**name).is_none_or(|outcome| outcome == "ok"))
        .collect();
    let count = |wanted: &str| outcomes.values().filter(|outcome| *outcome == wanted).count();
    println!(
        "{} passed, {} skipped, {} failed as listed",
        count("ok"),
        count("skipped"),
        failed.len()
    );
    assert!(
        unlisted.is_empty(),
        "failed without being listed: {unlisted:#?}\n{said}"
    );
    assert!(
        passing.is_empty(),
        "listed as unexpressible, but they pass or do not exist: {passing:#?}"
    );
    mount.unmount();
}

/// Random operations on one file, of which several run side by side on one mount.
struct Profile {
    name: &'static str,
    /// Longest file and longest operation, in bytes.
    file_bytes: u32,
    operation_bytes: u32,
    /// A change through mapped memory is followed by `msync`, which is as slow as `fsync`.
    msync: bool,
    /// Of a hundred operations, so many.
    share: u64,
}

/// Chunks have 1 MiB: `plain` and `wide` cross their borders, `dense` hits the same pages and blocks again and again.
const PROFILES: [Profile; 4] = [
    Profile {
        name: "plain",
        file_bytes: 3 << 20,
        operation_bytes: 64 << 10,
        msync: false,
        share: 50,
    },
    Profile {
        name: "dense",
        file_bytes: 128 << 10,
        operation_bytes: 8 << 10,
        msync: false,
        share: 35,
    },
    Profile {
        name: "wide",
        file_bytes: 8 << 20,
        operation_bytes: 512 << 10,
        msync: false,
        share: 5,
    },
    Profile {
        name: "synced",
        file_bytes: 1 << 20,
        operation_bytes: 32 << 10,
        msync: true,
        share: 10,
    },
];

/// Options of the mounts, in turn.
const FSX_MOUNTS: [&[&str]; 2] = [&[], &["-o", "writeback_cache"]];

/// Every operation that fsx knows. Syncing waits for a disk, so it is rare enough that the rest gets on.
const FSX_WEIGHTS: &str = "close_open = 1\nread = 10\nwrite = 10\nmapread = 10\nmapwrite = 10\ntruncate = 10\nfsync = 0.1\n\
    fdatasync = 0.1\npunch_hole = 5\nposix_fallocate = 3\ncopy_file_range = 5\nsendfile = 2\ninvalidate = 1\nposix_fadvise = 3\n";

/// Operations between two mounts. Each pair of mounts has new files.
const FSX_ROUND_OPS: u64 = 20_000;

/// Fewest mounts: with each kind of options one.
const FSX_ROUNDS_MIN: u64 = 2;

impl Profile {
    /// What fsx has to know.
    fn configuration(&self) -> String {
        format!(
            "flen = {}\nnomsyncafterwrite = {}\n[opsize]\nmin = 1\nmax = {}\n[weights]\n{FSX_WEIGHTS}",
            self.file_bytes, !self.msync, self.operation_bytes
        )
    }

    /// The same seed is the same operations, whatever the file system.
    fn start(&self, place: &Place, folder: &Path, seed: u64, operations: u64) -> Child {
        let configuration = place.beside(&format!("{}.toml", self.name));
        std::fs::write(&configuration, self.configuration()).expect("a place for it");
        let mut command = Command::new(tool("fsx"));
        command.args(["-q", "-S", &seed.to_string(), "-N", &operations.to_string(), "-f"]);
        command.arg(configuration).arg("-P").arg(place.beside("."));
        command.arg(folder.join(self.name));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().expect("it starts")
    }

    fn finish(&self, run: Child, seed: u64) {
        let output = run.wait_with_output().expect("it is our child");
        let said = text(&output);
        assert!(
            output.status.success() && said.contains("A-OK"),
            "fsx '{}' with the seed {seed} ended with {}:\n{}\n{said}",
            self.name,
            output.status,
            self.configuration()
        );
    }
}

/// Files are changed side by side, compared operation by operation while they are in use, and compared behind a remount with files of
/// the local file system to which the same was done.
#[test]
fn fsx_finds_no_difference() {
    let number = |name: &str, default: u64| {
        let set = std::env::var(name).ok();
        set.map_or(default, |text| text.parse().expect("a number"))
    };
    let operations = number("FLYER_FSX_OPS", 100_000);
    let first_seed = number("FLYER_FSX_SEED", 7);
    let rounds = operations.div_ceil(FSX_ROUND_OPS).max(FSX_ROUNDS_MIN);
    let place = Place::new();
    let local = place.beside("local");
    std::fs::create_dir(&local).expect("a new directory");
    let seeds = (first_seed..).step_by(PROFILES.len());
    for (options, seed) in FSX_MOUNTS.iter().cycle().zip(seeds).take(index(rounds)) {
        let jobs = || PROFILES.iter().zip(seed..);
        let start = |folder: &Path| -> Vec<Child> {
            let one = |(profile, seed): (&Profile, u64)| {
                let share = (operations * profile.share).div_ceil(100 * rounds);
                profile.start(&place, folder, seed, share)
            };
            jobs().map(one).collect()
        };
        let finish = |runs: Vec<Child>| {
            for ((profile, seed), run) in jobs().zip(runs) {
                profile.finish(run, seed);
            }
        };
        let mount = place.mount_with(options);
        finish(start(mount.path()));
        mount.unmount();
        finish(start(&local));
        let mount = place.mount_with(options);
        for (profile, seed) in jobs() {
            let kept = std::fs::read(mount.at(profile.name)).expect("it is there");
            let wanted = std::fs::read(local.join(profile.name)).expect("it is there");
            assert!(
                kept == wanted,
                "fsx '{}' with the seed {seed}: the file is another one behind a remount ({} and {} bytes)",
                profile.name,
                kept.len(),
                wanted.len()
            );
            std::fs::remove_file(mount.at(profile.name)).expect("it is there");
        }
        mount.unmount();
        println!("seeds from {seed} with {options:?}: no difference");
    }
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("64 bits")
}
