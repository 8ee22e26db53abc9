//! The program against the real kernel. Where there is a `/dev/fuse`, mounting has to work: a test that cannot mount fails.
#![allow(clippy::disallowed_methods, reason = "programs that are watched take time")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flyer");

/// A directory to mount at, which is unmounted and removed whatever becomes of the test.
struct Place(PathBuf);

impl Place {
    /// `None` where there is no FUSE at all.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !Path::new("/dev/fuse").exists() {
            return None;
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("flyer-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a directory");
        Some(Self(path))
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn text(&self) -> &str {
        self.0.to_str().expect("plain characters")
    }

    fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
        mounts.contains(&format!(" {} ", self.text()))
    }

    /// Mounts in the background.
    fn mount(&self, options: &[&str]) {
        let output = flyer(&[&["mount", "--stub", "--background", self.text()], options].concat());
        assert!(output.status.success(), "{output:?}");
        assert!(self.is_mounted());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_mounted() {
            drop(flyer(&["umount", "--lazy", self.text()]));
        }
        // What is left behind when a test fails does not hide why.
        let _left_behind = fs::remove_dir(&self.0);
    }
}

/// A mount in the foreground, ended whatever becomes of the test.
struct Foreground {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Foreground {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["mount", "--stub", place.text()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let mut foreground = Self { child, output };
        let mut line = String::new();
        foreground.output.read_line(&mut line).expect("a line");
        assert!(
            line.contains(place.text()) && line.contains("flyer umount"),
            "{line}"
        );
        foreground
    }

    fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(self.child.id().cast_signed());
        kill(process, signal).expect("it runs");
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("it was started")
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn flyer(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn fails(arguments: &[&str], code: i32, part: &str) {
    let output = flyer(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(part), "{arguments:?}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "one line: {said}");
}

#[test]
fn a_mount_works_until_it_is_unmounted() {
    let Some(place) = Place::new() else { return };
    place.mount(&[]);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(place.join("new"))
        .expect("created");
    file.write_all(&[1; 300_000]).expect("written");
    assert_eq!(file.stream_position().expect("an offset"), 300_000);
    file.sync_all().expect("synced");
    assert_eq!(file.metadata().expect("attributes").size(), 300_000);
    drop(file);
    fs::create_dir(place.join("d")).expect("made");
    fs::rename(place.join("new"), place.join("d/old")).expect("renamed");
    std::os::unix::fs::symlink("d/old", place.join("link")).expect("linked");
    assert_eq!(fs::read(place.join("link")).expect("read").len(), 300_000);
    for number in 0..500 {
        File::create(place.join(&format!("d/{number}"))).expect("created");
    }
    assert_eq!(fs::read_dir(place.join("d")).expect("listed").count(), 501);
    fs::remove_dir_all(place.join("d")).expect("removed");
    assert!(fs::metadata(place.join("d")).is_err());

    let big = File::open(place.join("file")).expect("there from the beginning");
    let mut bytes = vec![0; 3 << 20];
    big.read_exact_at(&mut bytes, 1 << 30).expect("read");
    assert!(bytes.iter().any(|byte| *byte != 0));
    drop(big);
    let output = flyer(&["umount", place.text()]);
    assert!(output.status.success(), "{output:?}");
    assert!(!place.is_mounted());
    fails(&["umount", place.text()], 4, "nothing is mounted");
}

#[test]
fn options_reach_the_kernel() {
    let Some(place) = Place::new() else { return };
    place.mount(&[
        "--read-only",
        "--allow-other",
        "-o",
        "noatime,noexec,fsname=some name",
    ]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("/proc");
    let line = mounts
        .lines()
        .find(|line| line.contains(place.text()))
        .expect("it is mounted");
    for part in [
        " ro,",
        "nosuid",
        "nodev",
        "noexec",
        "noatime",
        "fuse.hf3fs",
        "some\\040name",
        "default_permissions",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    let error = File::create(place.join("new")).expect_err("read-only");
    assert_eq!(error.raw_os_error(), Some(30));
    assert!(flyer(&["umount", place.text()]).status.success());
}

#[test]
fn a_mount_in_use_is_not_unmounted_but_can_be_detached() {
    let Some(place) = Place::new() else { return };
    place.mount(&[]);
    let mut file = File::open(place.join("file")).expect("opened");
    fails(&["umount", place.text()], 4, "is in use");
    let output = flyer(&["umount", "--lazy", place.text()]);
    assert!(output.status.success(), "{output:?}");
    assert!(!place.is_mounted());
    let mut byte = [0];
    file.read_exact(&mut byte).expect("open files stay usable");
}

#[test]
fn a_place_that_cannot_be_used_is_refused_with_a_remedy() {
    let Some(place) = Place::new() else { return };
    place.mount(&[]);
    fails(&["mount", "--stub", place.text()], 4, "flyer umount");
    fails(
        &["mount", "--stub", place.join("file").to_str().expect("plain")],
        4,
        "as mount point",
    );
    fails(&["mount", "--stub", place.text(), "-o", "bogus"], 2, "bogus");
    fails(&["umount", "/proc"], 4, "not a mount of flyer");
    fails(
        &["mount", "--stub", "--background", place.text()],
        4,
        "flyer umount",
    );
    assert!(flyer(&["umount", place.text()]).status.success());
    let missing = place.join("a/b");
    let output = flyer(&[
        "mount",
        "--stub",
        "--background",
        missing.to_str().expect("plain"),
    ]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        flyer(&["umount", missing.to_str().expect("plain")])
            .status
            .success()
    );
    fs::remove_dir_all(place.join("a")).expect("it was made");
}

#[test]
fn signals_and_unmounting_end_the_program() {
    let Some(place) = Place::new() else { return };
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut mount = Foreground::start(&place);
        mount.signal(signal);
        assert_eq!(mount.wait().code(), Some(0), "{signal}");
        assert!(!place.is_mounted(), "{signal}");
    }
    let mut mount = Foreground::start(&place);
    let status = Command::new("umount").arg(&place.0).status().expect("umount");
    assert!(status.success());
    assert_eq!(mount.wait().code(), Some(0));
}

#[test]
fn a_second_signal_ends_a_mount_in_use() {
    let Some(place) = Place::new() else { return };
    let mut mount = Foreground::start(&place);
    let mut file = File::open(place.join("file")).expect("opened");
    mount.signal(Signal::SIGINT);
    // It is detached, and goes on for the open file.
    while place.is_mounted() {
        std::thread::yield_now();
    }
    let mut byte = [0];
    file.read_exact(&mut byte).expect("open files stay usable");
    mount.signal(Signal::SIGTERM);
    assert_eq!(mount.wait().code(), Some(130));
    file.seek(SeekFrom::Start(1 << 30)).expect("seeked");
    assert!(file.read_exact(&mut byte).is_err(), "nobody answers any more");
}

#[test]
fn what_a_killed_program_leaves_can_be_unmounted() {
    let Some(place) = Place::new() else { return };
    let mut mount = Foreground::start(&place);
    mount.signal(Signal::SIGKILL);
    assert_eq!(mount.wait().code(), None);
    fails(&["mount", "--stub", place.text()], 4, "flyer umount");
    let output = flyer(&["umount", place.text()]);
    assert!(output.status.success(), "{output:?}");
    assert!(!place.is_mounted());
}

#[test]
fn unmounting_waits_for_the_program_to_end() {
    let Some(place) = Place::new() else { return };
    let mut mount = Foreground::start(&place);
    let output = flyer(&["umount", place.text()]);
    assert!(output.status.success(), "{output:?}");
    // It has let go of its record by then; all that is left is the end of the process.
    assert_eq!(mount.wait().code(), Some(0));
}
