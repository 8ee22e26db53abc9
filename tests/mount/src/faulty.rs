//! A disk that fails when a test wants it: a directory shown at another place, where each kind of operation can be made to fail.
//!
//! Owner: a test. It is a FUSE mount below the cluster's directory, so root and `/dev/fuse` are all it needs. A fault begins and ends at a
//! known moment. Nothing is cached on the way: each `read`, `write`, `fdatasync` and `fallocate` of the program comes here, and an error
//! that is answered here is what the program is told.
//!
//! ```text
//!   test ─► mount of flyer ─► flyer ─► mount of the faulty disk ─► threads of the test ─► directory below
//! ```
//!
//! A test that is killed in the middle of a fault leaves flyer waiting for a disk that nobody serves: `umount -f` of the faulty disk
//! frees it. Limits: what a cluster's directory needs, and no more: files and directories, no links, no attributes to set but the length.

use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long the kernel may believe what it was told; nobody else changes anything.
const VALID: Duration = Duration::from_secs(1);

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// `read`.
    Read,
    /// `write`, and giving a file another length.
    Write,
    /// `fsync` and `fdatasync`.
    Sync,
    /// `fallocate`, which makes holes.
    Hole,
}

/// Where it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// In the files that hold the chunks.
    Data,
    /// In everything else: the database.
    Database,
}

/// A failure, as long as it lasts.
#[derive(Clone, Copy, Debug)]
struct Fault {
    errno: i32,
    /// How often it was met.
    met: u64,
}

type Faults = Arc<Mutex<BTreeMap<(Act, Part), Fault>>>;

/// See the [module](self). Dropping it takes it away.
#[derive(Debug)]
pub struct FaultyDisk {
    path: PathBuf,
    faults: Faults,
}

impl FaultyDisk {
    /// Shows the directory `below` at `path`; both exist.
    #[must_use]
    pub fn new(below: &Path, path: &Path) -> Self {
        let faults = Faults::default();
        let file_system = Through::new(below, Arc::clone(&faults)).expect("the directory can be opened");
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let device: OwnedFd =
            rustix::fs::open("/dev/fuse", flags, Mode::empty()).expect("/dev/fuse can be opened");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
        let options = CString::new(options).expect("it holds no zero");
        let none = rustix::mount::MountFlags::empty();
        rustix::mount::mount("faulty", path, "fuse.faulty", none, options.as_c_str())
            .expect("root may mount");
        let disk = Self {
            path: path.to_owned(),
            faults,
        };
        let mut config = fuser::Config::default();
        config.n_threads = Some(2);
        let session = fuser::Session::from_fd(file_system, device, fuser::SessionACL::All, config);
        // It ends with the mount.
        drop(
            session
                .and_then(fuser::Session::spawn)
                .expect("the kernel speaks to us"),
        );
        disk
    }

    /// From now on, such operations fail.
    pub fn fail(&self, act: Act, part: Part, errno: rustix::io::Errno) {
        let errno = errno.raw_os_error();
        lock(&self.faults).insert((act, part), Fault { errno, met: 0 });
    }

    /// From now on, everything works. Returns how many operations had failed.
    pub fn heal(&self) -> u64 {
        let faults = std::mem::take(&mut *lock(&self.faults));
        faults.values().map(|fault| fault.met).sum()
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        crate::detach(&self.path);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open file.
struct Open {
    file: File,
    part: Part,
}

/// What the kernel may refer to: never forgotten, tests are short.
struct Known {
    /// By inode number; opened as a place only.
    nodes: BTreeMap<u64, Arc<File>>,
    files: BTreeMap<u64, Arc<Open>>,
    files_opened: u64,
}

/// The file system.
struct Through {
    known: Mutex<Known>,
    faults: Faults,
}

impl Through {
    fn new(below: &Path, faults: Faults) -> io::Result<Self> {
        let nodes = BTreeMap::from([(INodeNo::ROOT.0, Arc::new(place(below)?))]);
        let known = Known {
            nodes,
            files: BTreeMap::new(),
            files_opened: 0,
        };
        Ok(Self {
            known: Mutex::new(known),
            faults,
        })
    }

    /// Where a node is, whatever its name is by now.
    fn path(&self, node: INodeNo) -> io::Result<PathBuf> {
        let known = lock(&self.known);
        let file = known.nodes.get(&node.0).ok_or(io::ErrorKind::NotFound)?;
        Ok(PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())))
    }

    fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    fn attr(&self, node: INodeNo) -> io::Result<FileAttr> {
        let found = std::fs::metadata(self.path(node)?)?;
        Ok(attr_of(node, &found))
    }

    fn look_up(&self, parent: INodeNo, name: &OsStr) -> io::Result<FileAttr> {
        let file = place(&self.child(parent, name)?)?;
        let found = file.metadata()?;
        let node = INodeNo(found.ino());
        assert!(node != INodeNo::ROOT, "the root of a file system is not below it");
        lock(&self.known)
            .nodes
            .entry(node.0)
            .or_insert_with(|| Arc::new(file));
        Ok(attr_of(node, &found))
    }

    fn open_file(&self, path: &Path, options: &OpenOptions) -> io::Result<FileHandle> {
        let file = options.open(path)?;
        let now_at = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let is_data = now_at.parent().is_some_and(|folder| folder.ends_with("data"));
        let part = if is_data { Part::Data } else { Part::Database };
        let mut known = lock(&self.known);
        known.files_opened += 1;
        let handle = known.files_opened;
        known.files.insert(handle, Arc::new(Open { file, part }));
        Ok(FileHandle(handle))
    }

    /// The file of a handle, unless such operations fail.
    fn file(&self, handle: FileHandle, act: Act) -> io::Result<Arc<Open>> {
        let open = lock(&self.known).files.get(&handle.0).cloned();
        let open = open.ok_or(io::ErrorKind::NotFound)?;
        match lock(&self.faults).get_mut(&(act, open.part)) {
            Some(fault) => {
                fault.met += 1;
                Err(io::Error::from_raw_os_error(fault.errno))
            }
            None => Ok(open),
        }
    }

    fn read_at(&self, handle: FileHandle, offset: u64, len: u32) -> io::Result<Vec<u8>> {
        let open = self.file(handle, Act::Read)?;
        let mut bytes = vec![0; usize::try_from(len).expect("a usize has 32 bits at least")];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + u64::try_from(filled).expect("it is less than the length");
            match open.file.read_at(&mut bytes[filled..], at)? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn names(&self, node: INodeNo) -> io::Result<Vec<(u64, FileType, std::ffi::OsString)>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.path(node)?)? {
            let entry = entry?;
            let found = entry.metadata()?;
            names.push((found.ino(), kind_of(&found), entry.file_name()));
        }
        names.sort_by(|one, other| one.2.cmp(&other.2));
        Ok(names)
    }
}

/// Opens a path without a right to anything in it.
fn place(path: &Path) -> io::Result<File> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn kind_of(found: &std::fs::Metadata) -> FileType {
    if found.is_dir() {
        FileType::Directory
    } else {
        FileType::RegularFile
    }
}

fn attr_of(node: INodeNo, found: &std::fs::Metadata) -> FileAttr {
    FileAttr {
        ino: node,
        size: found.len(),
        blocks: found.blocks(),
        atime: found.accessed().unwrap_or(SystemTime::UNIX_EPOCH),
        mtime: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        ctime: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind_of(found),
        perm: u16::try_from(found.permissions().mode() & 0o7777).expect("12 bits"),
        nlink: u32::try_from(found.nlink()).unwrap_or(u32::MAX),
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

/// Answers with what was found, or with the error.
macro_rules! answer {
    ($reply:ident, $done:expr, $found:pat => $good:expr) => {
        match $done {
            Ok($found) => $good,
            Err(error) => $reply.error(Errno::from(error)),
        }
    };
}

impl fuser::Filesystem for Through {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.look_up(parent, name), attr => reply.entry(&VALID, &attr, Generation(0)));
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.attr(node), attr => reply.attr(&VALID, &attr));
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resize = |size| {
            let handle = self.open_file(&self.path(node)?, OpenOptions::new().write(true))?;
            let resized = self
                .file(handle, Act::Write)
                .and_then(|open| open.file.set_len(size));
            lock(&self.known).files.remove(&handle.0);
            resized
        };
        let done = size.map_or(Ok(()), resize).and_then(|()| self.attr(node));
        answer!(reply, done, attr => reply.attr(&VALID, &attr));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _mode: u32, _umask: u32, reply: ReplyEntry) {
        let made = self.child(parent, name).and_then(std::fs::create_dir);
        let done = made.and_then(|()| self.look_up(parent, name));
        answer!(reply, done, attr => reply.entry(&VALID, &attr, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.child(parent, name).and_then(std::fs::remove_file), () => reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, self.child(parent, name).and_then(std::fs::remove_dir), () => reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        from: INodeNo,
        name: &OsStr,
        to: INodeNo,
        new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let paths = self
            .child(from, name)
            .and_then(|from| Ok((from, self.child(to, new_name)?)));
        answer!(reply, paths.and_then(|(from, to)| std::fs::rename(from, to)), () => reply.ok());
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // The kernel keeps to the flags; here a file is read and written whatever they are.
        let options = OpenOptions::new().read(true).write(true).clone();
        let opened = self.path(node).and_then(|path| self.open_file(&path, &options));
        answer!(reply, opened, handle => reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .clone();
        let created = self
            .child(parent, name)
            .and_then(|path| self.open_file(&path, &options))
            .and_then(|handle| Ok((handle, self.look_up(parent, name)?)));
        answer!(reply, created, (handle, attr) => {
            reply.created(&VALID, &attr, Generation(0), handle, FopenFlags::FOPEN_DIRECT_IO);
        });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        answer!(reply, self.read_at(handle, offset, len), bytes => reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self
            .file(handle, Act::Write)
            .and_then(|open| open.file.write_all_at(bytes, offset));
        let len = u32::try_from(bytes.len()).expect("requests are short");
        answer!(reply, written, () => reply.written(len));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        lock(&self.known).files.remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        // Where the files really lie nothing is lost, so nothing has to be waited for.
        answer!(reply, self.file(handle, Act::Sync), _ => reply.ok());
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(&self, _: &Request, node: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        answer!(reply, self.names(node), names => {
            for (next, (inode, kind, name)) in (1u64..).zip(names) {
                if next > offset && reply.add(INodeNo(inode), next, kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let found = self
            .path(INodeNo::ROOT)
            .and_then(|path| Ok(rustix::fs::statvfs(path)?));
        answer!(reply, found, at => {
            let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
            let (names, bytes) = (size(at.f_namemax), size(at.f_frsize));
            reply.statfs(at.f_blocks, at.f_bfree, at.f_bavail, at.f_files, at.f_ffree, bytes, names, bytes);
        });
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = FallocateFlags::from_bits_retain(mode.cast_unsigned());
        let done = self
            .file(handle, Act::Hole)
            .and_then(|open| Ok(rustix::fs::fallocate(&open.file, flags, offset, len)?));
        answer!(reply, done, () => reply.ok());
    }
}
