//! Mounting and unmounting: by `mount(2)` where that is allowed, else through the set-uid helper `fusermount3`.
//!
//! fuser could mount too. Its version 0.18 does not pass the subtype to the kernel, takes commas in names for new options, and when it
//! unmounts it may hit a stranger that has been mounted on the same path since. Here a mount is known by its device number, and only
//! that is ever unmounted.

use super::mountinfo::{self, FILE_SYSTEM_TYPE};
use super::options::MountOptions;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
/// The helper sends the descriptor to the socket that this variable names.
const HELPER_SOCKET: &str = "_FUSE_COMMFD";
/// Read-ahead of the kernel in KiB; its own default is 128.
const READ_AHEAD_KIB: u32 = 1024;

/// Why something could not be mounted or unmounted.
#[derive(Debug)]
pub enum MountError {
    /// There is no `/dev/fuse`.
    NoDevice,
    /// `/dev/fuse` cannot be opened.
    Device(io::Error),
    /// Only root may use `mount(2)`, and the helper for others is not there.
    NoHelper,
    /// What the helper said.
    Helper(String),
    /// The helper does not let this user mount there.
    Foreign(PathBuf),
    /// The mount point cannot be used.
    MountPoint(PathBuf, io::Error),
    /// Something of FUSE is mounted there already.
    Mounted(PathBuf, String),
    /// It is in use.
    Busy(PathBuf),
    /// The kernel refused.
    Kernel(&'static str, PathBuf, io::Error),
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDevice => write!(
                f,
                "{DEVICE} does not exist; load the kernel's FUSE with 'modprobe fuse', or give the container the device \
                 (--device {DEVICE} --cap-add SYS_ADMIN)"
            ),
            Self::Device(error) => write!(
                f,
                "cannot open {DEVICE}: {error}; its usual mode is 0666, which 'chmod 666 {DEVICE}' gives it back as root"
            ),
            Self::NoHelper => write!(
                f,
                "only root may mount and unmount by itself, and {HELPER} is not installed; install the package 'fuse3' or run as root"
            ),
            Self::Helper(said) if said.contains("/etc/mtab") => write!(
                f,
                "{HELPER} refused: {said}; as root make it with 'ln -s ../proc/self/mounts /etc/mtab'"
            ),
            Self::Helper(said) => write!(f, "{HELPER} refused: {said}"),
            Self::Foreign(path) => write!(
                f,
                "you may not mount at {}, because it is not yours; choose a directory of your own, or run as root",
                path.display()
            ),
            Self::MountPoint(path, error) => {
                write!(f, "cannot use {} as mount point: {error}", path.display())
            }
            Self::Mounted(path, kind) => write!(
                f,
                "{0} is a mount point already ({kind}); unmount it with 'flyer umount {0}' or choose another directory",
                path.display()
            ),
            Self::Busy(path) => write!(
                f,
                "{0} is in use; close the files and leave the directories in it ('fuser -vm {0}' lists who), or detach it with \
                 'flyer umount --lazy {0}'",
                path.display()
            ),
            Self::Kernel(call, path, error) => write!(f, "{call} of {} failed: {error}", path.display()),
        }
    }
}

impl std::error::Error for MountError {}

/// A mount, known by its device number, so that no other can be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    mount_point: PathBuf,
    device: String,
}

impl Mounted {
    /// A mount that was found.
    #[must_use]
    pub fn of(mount: &mountinfo::Mount) -> Self {
        Self {
            mount_point: mount.mount_point.clone(),
            device: mount.device.clone(),
        }
    }

    /// Where it is, without symbolic links.
    #[must_use]
    pub fn mount_point(&self) -> &Path {
        &self.mount_point
    }

    /// `major:minor`.
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Whether it is still there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let top = mountinfo::at(&self.mount_point);
        top.is_ok_and(|top| top.is_some_and(|top| top.device == self.device))
    }

    /// Unmounts it, if it is still there. Everything that the kernel has to write reaches the file system first.
    ///
    /// # Errors
    /// [`MountError::Busy`] if it is in use.
    pub fn unmount(&self) -> Result<(), MountError> {
        self.unmount_by(MntFlags::empty(), &["-u"])
    }

    /// Takes it out of the tree of names, if it is still there. Files that are open stay usable, and the session ends when the last
    /// one is closed.
    ///
    /// # Errors
    /// Not allowed.
    pub fn detach(&self) -> Result<(), MountError> {
        self.unmount_by(MntFlags::MNT_DETACH, &["-u", "-z"])
    }

    /// Ends all requests by an error and detaches it. What the kernel has not written is lost.
    ///
    /// # Errors
    /// Not allowed.
    pub fn abort(&self) -> Result<(), MountError> {
        if let Some((_, minor)) = self.device.split_once(':') {
            // Not there where the control file system is not mounted; then the forced unmount has to do.
            let control = format!("/sys/fs/fuse/connections/{minor}/abort");
            let _may_be_missing = fs::write(control, "1");
        }
        self.unmount_by(MntFlags::MNT_FORCE | MntFlags::MNT_DETACH, &["-u", "-z"])
    }

    fn unmount_by(&self, flags: MntFlags, helper_arguments: &[&str]) -> Result<(), MountError> {
        if !self.is_there() {
            return Ok(());
        }
        match umount2(&self.mount_point, flags | MntFlags::UMOUNT_NOFOLLOW) {
            // Another one was quicker.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            Err(Errno::EBUSY) => Err(MountError::Busy(self.mount_point.clone())),
            Err(Errno::EPERM) => self.unmount_by_helper(helper_arguments),
            Err(error) => Err(MountError::Kernel(
                "umount",
                self.mount_point.clone(),
                error.into(),
            )),
        }
    }

    fn unmount_by_helper(&self, arguments: &[&str]) -> Result<(), MountError> {
        let mut command = Command::new(HELPER);
        command.args(arguments).arg("--").arg(&self.mount_point);
        command.stdin(Stdio::null());
        let output = command.output().map_err(helper_missing)?;
        if output.status.success() || !self.is_there() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if said.contains("busy") {
            return Err(MountError::Busy(self.mount_point.clone()));
        }
        Err(MountError::Helper(said))
    }
}

/// Mounts at `mount_point`, which exists. The descriptor is the device of the new mount; nothing answers there yet.
///
/// # Errors
/// Nothing was mounted.
pub fn mount_at(mount_point: &Path, options: &MountOptions) -> Result<(OwnedFd, Mounted), MountError> {
    let mount_point = usable(mount_point)?;
    let device = match by_kernel(&mount_point, options)? {
        Some(device) => device,
        None => by_helper(&mount_point, options)?,
    };
    let found = mountinfo::at(&mount_point);
    match found {
        Ok(Some(mount)) if mount.is_ours() => {
            set_read_ahead(&mount.device);
            Ok((device, Mounted::of(&mount)))
        }
        Ok(_) => Err(MountError::Kernel(
            "mount",
            mount_point,
            io::Error::other("it vanished at once"),
        )),
        Err(error) => Err(MountError::Kernel("mount", mount_point, error)),
    }
}

/// Whether each reader thread can have a descriptor of its own.
#[must_use]
pub fn can_clone_device() -> bool {
    open_device().is_ok()
}

/// The mount point without symbolic links, if something can be mounted there.
fn usable(mount_point: &Path) -> Result<PathBuf, MountError> {
    let refused = |error| MountError::MountPoint(mount_point.to_owned(), error);
    let path = resolve(mount_point).map_err(refused)?;
    // Asked before the directory itself is: a dead mount would answer for it.
    let there = mountinfo::at(&path).map_err(refused)?;
    if let Some(there) = there.filter(|there| there.file_system_type.starts_with("fuse")) {
        return Err(MountError::Mounted(path, there.file_system_type));
    }
    let metadata = fs::metadata(&path).map_err(refused)?;
    if !metadata.is_dir() {
        return Err(refused(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    Ok(path)
}

/// The path without symbolic links; its last part is not asked anything unless it has to be, since what is mounted there may hang.
///
/// # Errors
/// A directory on the way is not there.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    if let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) {
        let resolved = fs::canonicalize(parent)?.join(name);
        if mountinfo::at(&resolved)?.is_some() {
            return Ok(resolved);
        }
    }
    fs::canonicalize(absolute)
}

fn open_device() -> Result<File, MountError> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(device) => Ok(device),
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::ENOENT | nix::libc::ENODEV)) => {
            Err(MountError::NoDevice)
        }
        Err(error) => Err(MountError::Device(error)),
    }
}

/// `None`: only the helper may.
fn by_kernel(mount_point: &Path, options: &MountOptions) -> Result<Option<OwnedFd>, MountError> {
    let device = open_device()?;
    let text = format!(
        "fd={},rootmode=40000,user_id={},group_id={},{}",
        device.as_raw_fd(),
        nix::unistd::getuid(),
        nix::unistd::getgid(),
        options.kernel_text(nix::unistd::getuid())
    );
    let flags: MsFlags = options.all_flags();
    let source = Some(options.fsname.as_str());
    match mount(
        source,
        mount_point,
        Some(FILE_SYSTEM_TYPE),
        flags,
        Some(text.as_str()),
    ) {
        Ok(()) => Ok(Some(device.into())),
        Err(Errno::EPERM) => Ok(None),
        Err(Errno::ENODEV) => Err(MountError::NoDevice),
        Err(error) => Err(MountError::Kernel("mount", mount_point.to_owned(), error.into())),
    }
}

/// The helper mounts with its own rights and sends the descriptor through a socket, which it gets as its standard input.
fn by_helper(mount_point: &Path, options: &MountOptions) -> Result<OwnedFd, MountError> {
    let failed = |error| MountError::Kernel("mount", mount_point.to_owned(), error);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let subtype = FILE_SYSTEM_TYPE
        .strip_prefix("fuse.")
        .expect("types of FUSE begin with it");
    let mut command = Command::new(HELPER);
    command
        .arg("-o")
        .arg(options.helper_text(subtype, nix::unistd::getuid()));
    command.arg("--").arg(mount_point);
    command.env(HELPER_SOCKET, "0").stdin(OwnedFd::from(theirs));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().map_err(helper_missing)?;
    // The command holds the other end open, and its end is how we hear that the helper gave up.
    drop(command);
    let device = receive_descriptor(&ours).map_err(failed)?;
    let output = child.wait_with_output().map_err(failed)?;
    device.ok_or_else(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        // The words of the helper of libfuse for a directory without write permission, and for one in another's sticky directory.
        if said.contains("no write access to mountpoint") || said.contains("not owned by user") {
            return MountError::Foreign(mount_point.to_owned());
        }
        let remedy = if said.contains("user_allow_other") {
            " (put the line 'user_allow_other' into /etc/fuse.conf, or leave out --allow-other)"
        } else {
            ""
        };
        MountError::Helper(format!("{}{remedy}", said.trim()))
    })
}

fn helper_missing(error: io::Error) -> MountError {
    if error.kind() == io::ErrorKind::NotFound {
        MountError::NoHelper
    } else {
        MountError::Helper(error.to_string())
    }
}

/// `None`: the other end was closed without one.
fn receive_descriptor(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0_u8];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let mut room = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = loop {
        match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control
            && let Some(descriptor) = descriptors.first()
        {
            // SAFETY: the kernel has just made this descriptor for this message, so nobody else owns it. There is room for one only.
            return Ok(Some(unsafe { OwnedFd::from_raw_fd(*descriptor) }));
        }
    }
    Ok(None)
}

/// Larger read-ahead than the kernel lets a file system ask for. Only root may; without it reads are slower and nothing else.
fn set_read_ahead(device: &str) {
    let path = format!("/sys/class/bdi/{device}/read_ahead_kb");
    if let Err(error) = fs::write(&path, READ_AHEAD_KIB.to_string()) {
        tracing::debug!(path, %error, "read-ahead stays at the kernel's default");
    }
}
