//! What a mount with many files takes: memory for each inode that the kernel knows, memory for a listing, and time to start.
//!
//! One cluster holds `FLYER_SCALE_FILES` files (20,000) in one directory and as many spread over directories. On few files fixed costs
//! are larger than what is measured, so bounds have a slack up to [`SLACK_UNTIL`] files; each line says what its bound is.
//!
//! Memory of the program is what the kernel counts: resident pages, peaks included. Caches are part of it. They are bounded, and full
//! after much work whatever the kernel knows; so inodes are measured against a mount that has just worked and whose inodes are
//! forgotten, and the mount that has done nothing is shown beside it.
//!
//! `FLYER_SCALE_DIR` is where the cluster is made and kept, or found from an earlier run. `FLYER_SCALE_ASSERT=1` drops all caches of
//! the system before the start and asserts its time.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests are not `in tests` for clippy; figures are what this is for"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a program that is watched from outside takes time, and threads to keep it busy"
)]

use flyer_mount_tests::{Mount, Place};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// Most memory for an inode that the kernel knows.
const INODE_BYTES_MAX: u64 = 400;
/// Most memory for a listing.
const LISTING_BYTES_MAX: u64 = 64 * MIB;
/// Longest start.
const START_MAX: Duration = Duration::from_secs(1);
/// What caches, threads and the allocator may take more from one moment to another.
const SLACK_BYTES: u64 = 24 * MIB;
/// From so many files on there is no slack.
const SLACK_UNTIL: u64 = 500_000;
const FILES_PER_DIRECTORY: u64 = 1000;
const WORKERS: u64 = 3;
/// How often everything is looked up before inodes are measured.
const WARM_ROUNDS: u32 = 2;

/// What is measured.
struct Scale {
    files: u64,
    assert_start: bool,
    place: Place,
}

impl Scale {
    fn from_environment() -> Self {
        let files = std::env::var("FLYER_SCALE_FILES").map_or(20_000, |files| {
            files.parse().expect("FLYER_SCALE_FILES is a number")
        });
        let kept = std::env::var_os("FLYER_SCALE_DIR");
        Self {
            files,
            assert_start: std::env::var("FLYER_SCALE_ASSERT").is_ok_and(|value| value == "1"),
            place: kept.map_or_else(Place::new, |path| Place::with_data(PathBuf::from(path))),
        }
    }

    const fn slack_bytes(&self) -> u64 {
        if self.files < SLACK_UNTIL { SLACK_BYTES } else { 0 }
    }

    /// A file of the directory that holds all.
    fn flat(number: u64) -> String {
        format!("flat/file{number:07}")
    }

    /// A file of the many directories.
    fn spread(number: u64) -> String {
        let (directory, file) = (number / FILES_PER_DIRECTORY, number % FILES_PER_DIRECTORY);
        format!("tree/{directory:04}/file{file:03}")
    }

    /// Makes all files, unless an earlier run has.
    fn make(&self) {
        let mount = self.place.mount();
        if mount.at(&Self::spread(self.files - 1)).exists() {
            return mount.unmount();
        }
        let begun = Instant::now();
        fs::create_dir(mount.at("flat")).expect("it is new");
        fs::create_dir(mount.at("tree")).expect("it is new");
        for directory in 0..self.files.div_ceil(FILES_PER_DIRECTORY) {
            fs::create_dir(mount.at(&format!("tree/{directory:04}"))).expect("it is new");
        }
        for name in [Self::flat, Self::spread] {
            in_parallel(self.files, |number| {
                // One request, where opening and closing are three.
                mknodat(CWD, mount.at(&name(number)), FileType::RegularFile, Mode::RUSR, 0)
                    .expect("it is new");
            });
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("made twice {} files in {seconds:.1} s", self.files);
        mount.unmount();
    }

    /// Starts on the full directory, and shows how long that took.
    fn start(&self) -> Mount {
        let data = self.place.data();
        if self.assert_start {
            rustix::fs::sync();
            fs::write("/proc/sys/vm/drop_caches", "3").expect("root may do that");
        }
        drop_pages(&data);
        let begun = Instant::now();
        let mount = self.place.mount();
        let mounted = begun.elapsed();
        let middle = fs::symlink_metadata(mount.at(&Self::flat(self.files / 2)));
        let answered = begun.elapsed();
        assert!(middle.is_ok(), "{middle:?}");
        println!("start: mounted after {mounted:.1?}, the first file known after {answered:.1?}");
        if self.assert_start {
            assert!(answered < START_MAX, "the bound is {START_MAX:?}");
        }
        mount
    }

    /// Lists the directory that holds all. The first time, caches grow by what is read.
    fn list(&self, mount: &Mount, time: &str) {
        mount.settle();
        let before = restart_peak(mount);
        let begun = Instant::now();
        let mut count = 0;
        for name in fs::read_dir(mount.at("flat")).expect("it is there") {
            name.expect("it is readable");
            count += 1;
        }
        assert_eq!(count, self.files);
        let seconds = begun.elapsed().as_secs_f64();
        let growth = peak(mount).saturating_sub(before);
        let bound = LISTING_BYTES_MAX / MIB;
        println!(
            "listing, {time}: {seconds:.2} s, {} more at its peak (bound {bound} MiB)",
            mib(growth)
        );
        assert!(growth < LISTING_BYTES_MAX, "a listing takes {}", mib(growth));
    }

    /// Lists it with attributes: the kernel then knows all inodes, so there is no bound but theirs.
    fn list_with_attributes(&self, mount: &Mount) {
        let before = restart_peak(mount);
        let begun = Instant::now();
        let mut count = 0;
        for name in fs::read_dir(mount.at("flat")).expect("it is there") {
            let name = name.expect("it is readable");
            name.metadata().expect("nobody removes it");
            count += 1;
        }
        assert_eq!(count, self.files);
        let seconds = begun.elapsed().as_secs_f64();
        let growth = peak(mount).saturating_sub(before);
        println!(
            "listing with attributes: {seconds:.2} s, {} more at its peak, caches and all inodes included",
            mib(growth)
        );
        mount.make_kernel_forget();
        mount.settle();
    }

    /// Has the kernel learn inodes of the many directories.
    fn look_up(mount: &Mount, numbers: core::ops::Range<u64>) {
        in_parallel(numbers.end - numbers.start, |number| {
            let found = fs::symlink_metadata(mount.at(&Self::spread(numbers.start + number)));
            assert!(found.is_ok(), "{number}: {found:?}");
        });
    }

    /// Fills the caches of a mount while the kernel knows few inodes at a time.
    fn warm_up(&self, mount: &Mount) {
        let slice = (self.files / 50).max(5000);
        // Once does not bring the allocator to rest.
        for round in 0..WARM_ROUNDS {
            let mut at = 0;
            while at < self.files {
                let end = self.files.min(at + slice);
                Self::look_up(mount, at..end);
                mount.make_kernel_forget();
                mount.settle();
                at = end;
            }
            println!("caches after round {round}: {}", mib(resident(mount)));
        }
    }

    /// Has the kernel know all inodes of the many directories, then none. The mount is new: memory that it has used for inodes before
    /// would not show.
    fn know_and_forget(&self, mount: &Mount) {
        mount.settle();
        let idle = resident(mount);
        self.warm_up(mount);
        let empty = restart_peak(mount);
        let begun = Instant::now();
        Self::look_up(mount, 0..self.files);
        let seconds = begun.elapsed().as_secs_f64();
        let peak = peak(mount);
        let asked = mount.proc("io", "syscr");
        Self::look_up(mount, 0..self.files);
        let asked = mount.proc("io", "syscr") - asked;
        assert!(
            asked < self.files / 10,
            "the kernel has forgotten {asked} inodes already"
        );
        mount.make_kernel_forget();
        mount.settle();
        let after = resident(mount);

        let each = |above: u64| peak.saturating_sub(above) / self.files;
        println!(
            "inodes: idle at first {}, caches full {}, all known {} (in {seconds:.1} s), all forgotten {}",
            mib(idle),
            mib(empty),
            mib(peak),
            mib(after)
        );
        let slack = self.slack_bytes();
        println!(
            "inodes: {} bytes each above full caches (bound {INODE_BYTES_MAX} and {} in all), {} above the idle mount",
            each(empty),
            mib(slack),
            each(idle)
        );
        let inodes = peak.saturating_sub(empty);
        assert!(
            inodes < self.files * INODE_BYTES_MAX + slack,
            "inodes take {}",
            mib(inodes)
        );
        let back = empty + empty / 10 + slack;
        println!(
            "inodes: {} kept when all are forgotten (bound {})",
            mib(after),
            mib(back)
        );
        assert!(
            after <= back,
            "{} of inodes that are forgotten",
            mib(after - empty)
        );
        // It really had forgotten them.
        let asked = mount.proc("io", "syscr");
        Self::look_up(mount, 0..1000);
        assert!(
            mount.proc("io", "syscr") >= asked + 1000,
            "the kernel still knew inodes"
        );
    }
}

#[test]
fn memory_follows_what_the_kernel_knows() {
    let scale = Scale::from_environment();
    println!("{} files", scale.files);
    scale.make();
    let mount = scale.start();
    scale.list(&mount, "caches empty");
    scale.list(&mount, "again");
    scale.list_with_attributes(&mount);
    mount.unmount();
    let mount = scale.place.mount();
    scale.know_and_forget(&mount);
    mount.unmount();
}

/// Does something with all numbers below a bound, in several threads.
fn in_parallel(below: u64, body: impl Fn(u64) + Sync) {
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let body = &body;
            scope.spawn(move || {
                let mut number = worker;
                while number < below {
                    body(number);
                    number += WORKERS;
                }
            });
        }
    });
}

/// Memory of the program now.
fn resident(mount: &Mount) -> u64 {
    mount.proc("status", "VmRSS") << 10
}

/// Most memory of the program since [`restart_peak`].
fn peak(mount: &Mount) -> u64 {
    mount.proc("status", "VmHWM") << 10
}

/// Memory of the program now, which is its peak from now on.
fn restart_peak(mount: &Mount) -> u64 {
    fs::write(format!("/proc/{}/clear_refs", mount.pid()), "5").expect("it is our child");
    resident(mount)
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / MIB as f64)
}

/// Drops what the system has cached of the files below a directory; what is dirty goes to the disk before.
fn drop_pages(directory: &Path) {
    for entry in fs::read_dir(directory).expect("it is there") {
        let entry = entry.expect("it is readable");
        if entry.file_type().expect("nobody removes it").is_dir() {
            drop_pages(&entry.path());
            continue;
        }
        let file = fs::File::open(entry.path()).expect("nobody removes it");
        file.sync_all().expect("the disk works");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("it is a file");
    }
}
