//! The flyer program from outside: real mounts of an embedded cluster in temporary directories.
//!
//! A mount is a child process in the foreground, so that a test can kill it; dropping a [`Mount`] unmounts whatever happens. Tests
//! fail where `/dev/fuse` exists and a mount does not work; they never skip.
#![allow(clippy::expect_used, reason = "everything here is a helper of tests")]
#![allow(
    clippy::disallowed_methods,
    reason = "a program that is watched from outside takes time"
)]

pub mod bounded;
pub mod faulty;
pub mod small;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a mount may take until it is usable, or until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test: `FLYER_BIN`, or the one built beside the tests.
#[must_use]
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("FLYER_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test knows where it is");
    let profile = own.parent().and_then(Path::parent).expect("tests lie in deps/");
    let path = profile.join("flyer");
    assert!(
        path.exists(),
        "{} does not exist; build it first: cargo build --release -p flyer",
        path.display()
    );
    path
}

/// A command line of the program.
#[must_use]
pub fn flyer<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(args: I) -> Command {
    let mut command = Command::new(program());
    command.args(args);
    command
}

/// A directory for data and a directory to mount at, below one temporary directory.
#[derive(Debug)]
pub struct Place {
    /// Removed in the end.
    root: tempfile::TempDir,
    /// Where the data lie if not in `root`.
    kept: Option<PathBuf>,
}

impl Place {
    /// A new one, reachable by other users.
    #[must_use]
    pub fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("flyer-")
            .tempdir()
            .expect("a temporary directory");
        rustix::fs::chmod(root.path(), rustix::fs::Mode::from_raw_mode(0o755)).expect("it is ours");
        Self { root, kept: None }
    }

    /// A new one, whose data lie in `directory` and stay there.
    #[must_use]
    pub fn with_data(directory: PathBuf) -> Self {
        Self {
            kept: Some(directory),
            ..Self::new()
        }
    }

    /// Where the cluster keeps its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.kept.clone().unwrap_or_else(|| self.root.path().join("data"))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn mount_point(&self) -> PathBuf {
        self.root.path().join("mnt")
    }

    /// Room for other things, on the local file system.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Mounts with further arguments, and waits until the mount is usable.
    #[must_use]
    pub fn mount_with(&self, args: &[&str]) -> Mount {
        let mut command = flyer(["mount", "--local"]);
        command.arg(self.data()).arg(self.mount_point()).args(args);
        Mount::start(command, self.mount_point())
    }

    /// Mounts, and waits until the mount is usable.
    #[must_use]
    pub fn mount(&self) -> Mount {
        self.mount_with(&[])
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

/// A mount in a child process.
#[derive(Debug)]
pub struct Mount {
    child: Option<Child>,
    path: PathBuf,
}

impl Mount {
    fn start(mut command: Command, path: PathBuf) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it was piped");
        let mut mount = Self {
            child: Some(child),
            path,
        };
        let mut line = String::new();
        let mut reader = BufReader::new(stdout);
        reader.read_line(&mut line).expect("a pipe can be read");
        if !line.contains("mounted at") {
            let status = mount.wait();
            panic!("the mount did not come up ({status}); it said: {line}");
        }
        // The rest is of no interest, but a full pipe would stop the program.
        std::thread::spawn(move || drop(reader.read_to_end(&mut Vec::new())));
        mount
    }

    /// The mounted directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in it.
    #[must_use]
    pub fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Process id of the program.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What `/proc` says of the program in a file of lines `name: number`.
    #[must_use]
    pub fn proc(&self, file: &str, name: &str) -> u64 {
        let path = format!("/proc/{}/{file}", self.pid());
        let lines = std::fs::read_to_string(&path).expect("it runs");
        let mut rows = lines.lines().filter_map(|line| line.split_once(':'));
        let row = rows.find(|row| row.0 == name);
        let number = row.and_then(|row| row.1.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{path} says no number of {name}"))
    }

    /// Has the kernel forget every inode of the mount that is not in use; the program may still be taking note of it. Root only.
    pub fn make_kernel_forget(&self) {
        // Mounting anew what is mounted drops the cached names of this mount and of no other. An inode of FUSE goes with its last name.
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        rustix::mount::mount_remount(&self.path, flags, "").expect("root may remount");
    }

    /// Waits until the program has taken everything that the kernel wants of it.
    pub fn settle(&self) {
        let begun = Instant::now();
        let mut before = None;
        loop {
            // Readers of the device take request after request and sleep when there is none; nothing else reads that often.
            let now = self.proc("io", "syscr");
            if before == Some(now) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the program does not come to rest");
            before = Some(now);
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Ends the program without a warning, and removes what is left of the mount.
    pub fn kill(mut self) {
        let child = self.child.as_mut().expect("it runs");
        child.kill().expect("it is our child");
        self.wait();
        detach(&self.path);
    }

    /// Unmounts as a user would, and returns how the program ended. What it could not save is a matter of its exit code.
    #[must_use]
    pub fn end(mut self) -> ExitStatus {
        // The command ends as the program does; why, both have said.
        flyer(["umount"]).arg(&self.path).output().expect("it starts");
        self.wait()
    }

    /// Unmounts as a user would, and waits for the program to end.
    pub fn unmount(mut self) {
        let output = flyer(["umount"]).arg(&self.path).output().expect("it starts");
        assert!(output.status.success(), "umount: {}", text(&output));
        let status = self.wait();
        assert!(status.success(), "the program ended with {status}");
    }

    fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it was not waited for yet");
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("it is our child") {
                return status;
            }
            if begun.elapsed() > PATIENCE {
                child.kill().expect("it is our child");
                panic!("the program did not end within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            detach(&self.path);
            drop(child.kill());
            drop(child.wait());
        }
        detach(&self.path);
    }
}

/// Takes a mount away, whatever is going on in it. A path that is not mounted is left as it is.
fn detach(path: &Path) {
    let _ = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
}

/// Everything a command said.
#[must_use]
pub fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// Runs a shell script in a directory; panics with its output if it fails.
pub fn shell(directory: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("bash starts");
    let said = text(&output);
    assert!(
        output.status.success(),
        "{script}\nfailed with {}:\n{said}",
        output.status
    );
    said
}
