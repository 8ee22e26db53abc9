//! Requests of the kernel in the terms of `flyer-vfs`, and back. No logic.
//!
//! Each request is converted on the reader thread, gets its payload memory and goes to the file system together with the right to answer
//! it. A panic in there costs its caller an `EIO` and not the mount a reader thread.
//!
//! Not asked for: locks (the kernel keeps them for this host), `bmap`, `poll`.

pub(crate) mod convert;
pub(crate) mod directory;
pub(crate) mod init;
mod reply;

pub use init::Tuning;
pub use reply::ReplyTo;

use crate::file_system::FileSystem;
use convert::{PERMISSION_MASK, caller_of, errno_to_kernel, handle_of, inode_of, set_time_of, text_of};
use flyer_types::ids::{Gid, Permission, Uid};
use flyer_types::{Errno, Text};
use flyer_vfs::Request;
use flyer_vfs::request::{Seek, SetAttributes};
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, FileHandle, INodeNo, IoctlFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
    TimeOrNow, WriteFlags,
};
use reply::Sink;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// A [`FileSystem`] as fuser calls it.
pub struct Adapter {
    file_system: Arc<dyn FileSystem>,
    tuning: Tuning,
    reader_ended: ReaderEnded,
}

/// Called on a reader thread that ends.
pub type ReaderEnded = Arc<dyn Fn() + Send + Sync>;

impl Adapter {
    /// Calls go to `file_system`; `tuning` is negotiated with the kernel; `reader_ended` is called by each reader thread that has had
    /// a request, when it ends for whatever reason: fuser tells only when all of them have ended.
    pub fn new(file_system: Arc<dyn FileSystem>, tuning: Tuning, reader_ended: ReaderEnded) -> Self {
        Self {
            file_system,
            tuning,
            reader_ended,
        }
    }

    /// Hands a request over.
    fn submit(&self, name: &'static str, from: &fuser::Request, request: Request, sink: Sink) {
        WATCH.with_borrow_mut(|watch| {
            watch.get_or_insert_with(|| Watch(Arc::clone(&self.reader_ended)));
        });
        let reply = ReplyTo::new(name, sink);
        contained(name, || self.file_system.submit(caller_of(from), request, reply));
    }
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// Lives as long as its reader thread.
struct Watch(ReaderEnded);

impl Drop for Watch {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs a part of a request. If it panics, the right to answer is dropped on the way out, which answers `EIO`.
fn contained(name: &'static str, part: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(part)).is_err() {
        tracing::error!(request = name, "a request ended by a panic; this is a bug");
    }
}

fn permission_of(mode: u32) -> Permission {
    Permission(mode & PERMISSION_MASK)
}

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _: &fuser::Request, config: &mut KernelConfig) -> std::io::Result<()> {
        self.tuning.negotiate(config);
        Ok(())
    }

    fn lookup(&self, from: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let request = Request::Lookup {
            parent: inode_of(parent),
            name: text_of(name),
        };
        self.submit("lookup", from, request, Sink::Lookup(reply));
    }

    fn forget(&self, from: &fuser::Request, node: INodeNo, count: u64) {
        let request = Request::Forget {
            inode: inode_of(node),
            count,
        };
        self.submit("forget", from, request, Sink::Nothing);
    }

    fn getattr(&self, from: &fuser::Request, node: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let request = Request::GetAttributes {
            inode: inode_of(node),
            handle: handle.map(handle_of),
        };
        self.submit("getattr", from, request, Sink::Attributes(reply));
    }

    fn setattr(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let request = Request::SetAttributes {
            inode: inode_of(node),
            set: SetAttributes {
                permission: mode.map(permission_of),
                uid: uid.map(Uid),
                gid: gid.map(Gid),
                size,
                atime: atime.map(set_time_of),
                mtime: mtime.map(set_time_of),
                handle: handle.map(handle_of),
            },
        };
        self.submit("setattr", from, request, Sink::Attributes(reply));
    }

    fn readlink(&self, from: &fuser::Request, node: INodeNo, reply: ReplyData) {
        let request = Request::ReadLink {
            inode: inode_of(node),
        };
        self.submit("readlink", from, request, Sink::Target(reply));
    }

    // The kernel has applied the umask.
    fn mknod(
        &self,
        from: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        let request = Request::MakeNode {
            parent: inode_of(parent),
            name: text_of(name),
            mode,
        };
        self.submit("mknod", from, request, Sink::Entry(reply));
    }

    fn mkdir(
        &self,
        from: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let request = Request::MakeDirectory {
            parent: inode_of(parent),
            name: text_of(name),
            permission: permission_of(mode),
        };
        self.submit("mkdir", from, request, Sink::Entry(reply));
    }

    fn unlink(&self, from: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let request = Request::Unlink {
            parent: inode_of(parent),
            name: text_of(name),
        };
        self.submit("unlink", from, request, Sink::Empty(reply));
    }

    fn rmdir(&self, from: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let request = Request::RemoveDirectory {
            parent: inode_of(parent),
            name: text_of(name),
        };
        self.submit("rmdir", from, request, Sink::Empty(reply));
    }

    fn symlink(
        &self,
        from: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let request = Request::Symlink {
            parent: inode_of(parent),
            name: text_of(name),
            target: text_of(target.as_os_str()),
        };
        self.submit("symlink", from, request, Sink::Entry(reply));
    }

    fn rename(
        &self,
        from: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        to_parent: INodeNo,
        to_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let request = Request::Rename {
            parent: inode_of(parent),
            name: text_of(name),
            to_parent: inode_of(to_parent),
            to_name: text_of(to_name),
            flags: flags.bits(),
        };
        self.submit("rename", from, request, Sink::Empty(reply));
    }

    fn link(&self, from: &fuser::Request, node: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let request = Request::Link {
            inode: inode_of(node),
            parent: inode_of(parent),
            name: text_of(name),
        };
        self.submit("link", from, request, Sink::Entry(reply));
    }

    fn open(&self, from: &fuser::Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let request = Request::Open {
            inode: inode_of(node),
            flags: flags.0.cast_unsigned(),
        };
        self.submit("open", from, request, Sink::Opened(reply));
    }

    fn create(
        &self,
        from: &fuser::Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let request = Request::Create {
            parent: inode_of(parent),
            name: text_of(name),
            mode,
            flags: flags.cast_unsigned(),
        };
        self.submit("create", from, request, Sink::Created(reply));
    }

    fn read(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        contained("read", || {
            let Some(into) = self.file_system.payload().take_read(bytes) else {
                tracing::warn!(bytes, "no memory for a read; see --memory");
                return reply.error(errno_to_kernel(Errno::ENOMEM));
            };
            assert_eq!(into.len, bytes, "a lease is as long as asked for");
            let request = Request::Read {
                inode: inode_of(node),
                handle: handle_of(handle),
                offset,
                into,
            };
            self.submit("read", from, request, Sink::Data(reply, into));
        });
    }

    fn write(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        contained("write", || {
            let payload = self.file_system.payload();
            let length = u32::try_from(bytes.len()).expect("a request has at most 16 MiB");
            let Some((data, room)) = payload.take_write(length) else {
                tracing::warn!(bytes = length, "no memory for a write; see --memory");
                return reply.error(errno_to_kernel(Errno::ENOMEM));
            };
            assert!(
                data.len == length && room >= length,
                "a lease is as long as asked for"
            );
            // The only copy: fuser's buffer takes the next request as soon as this returns.
            payload.copy_in(data, bytes);
            let request = Request::Write {
                inode: inode_of(node),
                handle: handle_of(handle),
                offset,
                data,
                room,
            };
            self.submit("write", from, request, Sink::Written(reply));
        });
    }

    fn flush(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let request = Request::Flush {
            inode: inode_of(node),
            handle: handle_of(handle),
        };
        self.submit("flush", from, request, Sink::EmptyNotRemembered(reply));
    }

    fn release(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let request = Request::Release {
            inode: inode_of(node),
            handle: handle_of(handle),
        };
        self.submit("release", from, request, Sink::Empty(reply));
    }

    fn fsync(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        data_only: bool,
        reply: ReplyEmpty,
    ) {
        let request = Request::Fsync {
            inode: inode_of(node),
            handle: handle_of(handle),
            data_only,
        };
        self.submit("fsync", from, request, Sink::EmptyNotRemembered(reply));
    }

    fn fallocate(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let request = Request::Fallocate {
            inode: inode_of(node),
            handle: handle_of(handle),
            offset,
            length,
            mode: mode.cast_unsigned(),
        };
        self.submit("fallocate", from, request, Sink::Empty(reply));
    }

    fn lseek(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let whence = match whence {
            nix::libc::SEEK_DATA => Seek::Data,
            nix::libc::SEEK_HOLE => Seek::Hole,
            _ => return reply.error(fuser::Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else {
            return reply.error(fuser::Errno::ENXIO);
        };
        let request = Request::Seek {
            inode: inode_of(node),
            handle: handle_of(handle),
            offset,
            whence,
        };
        self.submit("lseek", from, request, Sink::Offset(reply));
    }

    fn copy_file_range(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        offset: u64,
        to_node: INodeNo,
        to_handle: FileHandle,
        to_offset: u64,
        length: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let request = Request::CopyRange {
            inode: inode_of(node),
            handle: handle_of(handle),
            offset,
            to_inode: inode_of(to_node),
            to_handle: handle_of(to_handle),
            to_offset,
            length,
        };
        self.submit("copy_file_range", from, request, Sink::Written(reply));
    }

    fn opendir(&self, from: &fuser::Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let request = Request::OpenDirectory {
            inode: inode_of(node),
            flags: flags.0.cast_unsigned(),
        };
        self.submit("opendir", from, request, Sink::Opened(reply));
    }

    fn readdir(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        cookie: u64,
        reply: ReplyDirectory,
    ) {
        let request = Request::ReadDirectory {
            inode: inode_of(node),
            handle: handle_of(handle),
            cookie,
            bytes: directory::capacity(&reply),
            plus: false,
        };
        self.submit("readdir", from, request, Sink::Directory(reply));
    }

    fn readdirplus(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        cookie: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let request = Request::ReadDirectory {
            inode: inode_of(node),
            handle: handle_of(handle),
            cookie,
            bytes: directory::capacity(&reply),
            plus: true,
        };
        self.submit("readdirplus", from, request, Sink::DirectoryPlus(reply));
    }

    fn releasedir(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let request = Request::ReleaseDirectory {
            inode: inode_of(node),
            handle: handle_of(handle),
        };
        self.submit("releasedir", from, request, Sink::Empty(reply));
    }

    fn fsyncdir(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        let request = Request::FsyncDirectory {
            inode: inode_of(node),
            handle: handle_of(handle),
        };
        self.submit("fsyncdir", from, request, Sink::EmptyNotRemembered(reply));
    }

    fn statfs(&self, from: &fuser::Request, node: INodeNo, reply: ReplyStatfs) {
        let request = Request::StatFs {
            inode: inode_of(node),
        };
        self.submit("statfs", from, request, Sink::Space(reply));
    }

    fn setxattr(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let request = Request::SetXattr {
            inode: inode_of(node),
            name: Text::from(name.as_bytes()),
            value: Text::from(value),
            flags: flags.cast_unsigned(),
        };
        self.submit("setxattr", from, request, Sink::Empty(reply));
    }

    fn getxattr(&self, from: &fuser::Request, node: INodeNo, name: &OsStr, bytes: u32, reply: ReplyXattr) {
        let request = Request::GetXattr {
            inode: inode_of(node),
            name: text_of(name),
            bytes,
        };
        self.submit("getxattr", from, request, Sink::Xattr(reply));
    }

    fn listxattr(&self, from: &fuser::Request, node: INodeNo, bytes: u32, reply: ReplyXattr) {
        let request = Request::ListXattr {
            inode: inode_of(node),
            bytes,
        };
        self.submit("listxattr", from, request, Sink::Xattr(reply));
    }

    fn removexattr(&self, from: &fuser::Request, node: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let request = Request::RemoveXattr {
            inode: inode_of(node),
            name: text_of(name),
        };
        self.submit("removexattr", from, request, Sink::Empty(reply));
    }

    fn access(&self, from: &fuser::Request, node: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        let request = Request::Access {
            inode: inode_of(node),
            mask: mask.bits().cast_unsigned(),
        };
        self.submit("access", from, request, Sink::Empty(reply));
    }

    fn ioctl(
        &self,
        from: &fuser::Request,
        node: INodeNo,
        handle: FileHandle,
        flags: IoctlFlags,
        command: u32,
        input: &[u8],
        output_bytes: u32,
        reply: ReplyIoctl,
    ) {
        // Structures of 32-bit programs have other layouts, which no tool of 3FS has ever used.
        if flags.contains(IoctlFlags::FUSE_IOCTL_COMPAT) {
            return reply.error(fuser::Errno::ENOSYS);
        }
        let request = Request::Ioctl {
            inode: inode_of(node),
            handle: handle_of(handle),
            command,
            input: Text::from(input),
            output_bytes,
        };
        self.submit("ioctl", from, request, Sink::Ioctl(reply));
    }
}
