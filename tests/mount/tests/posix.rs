//! POSIX suites of others: every case of pjdfstest, and fsx.
//!
//! The programs are `pjdfstest` 0.2.2 and `fsx` 0.3.2 of their crates, found in `FLYER_TOOLS` or `target/tools/bin`, where the stage
//! `mount` of `tests/run` puts them. `FLYER_FSX_OPS` sets the number of operations of fsx (100,000).
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests are not `in tests` for clippy"
)]

use flyer_mount_tests::{Place, program, text};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

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

#[test]
fn fsx_finds_no_difference() {
    let operations = std::env::var("FLYER_FSX_OPS").unwrap_or_else(|_| "100000".to_owned());
    let place = Place::new();
    let mount = place.mount();
    let configuration = place.beside("fsx.toml");
    let weights = "flen = 1048576\n[weights]\nclose_open = 1\nread = 10\nwrite = 10\nmapread = 10\nmapwrite = 10\ntruncate = 10\n\
                   fsync = 1\nfdatasync = 1\npunch_hole = 5\ncopy_file_range = 5\nsendfile = 2\ninvalidate = 1\n";
    std::fs::write(&configuration, weights).expect("a new file");
    let output = Command::new(tool("fsx"))
        .args(["-q", "-S", "7", "-N", &operations, "-f"])
        .arg(&configuration)
        .arg("-P")
        .arg(place.beside("."))
        .arg(mount.at("file"))
        .output()
        .expect("it starts");
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    mount.unmount();
}
