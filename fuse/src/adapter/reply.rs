//! The right to answer one request, used once.
//!
//! ```text
//!   made with the request ──send──► answered
//!              │
//!              └──dropped──► answered with EIO, and logged: somebody forgot it
//! ```

use super::convert::{
    attributes_to_kernel, duration_of, errno_not_remembered, errno_to_kernel, handle_to_kernel, no_inode,
    open_flags,
};
use super::directory;
use crate::file_system::Payload;
use flyer_types::{Errno, Lease};
use flyer_vfs::Reply;
use flyer_vfs::reply::{Entry, Opened, Space};
use fuser::{
    FileType, Generation, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty,
    ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr,
};
use std::fmt;

/// Who gets an answer that does not go to the kernel.
type Function = Box<dyn FnOnce(Result<Reply, Errno>) + Send>;

/// The kernel's side of a request, one kind for each form of answer.
pub(crate) enum Sink {
    /// The kernel hears nothing.
    Nothing,
    Empty(ReplyEmpty),
    /// As above, for operations of which the kernel would remember `ENOSYS`.
    EmptyNotRemembered(ReplyEmpty),
    /// A name that may be missing.
    Lookup(ReplyEntry),
    Entry(ReplyEntry),
    Attributes(ReplyAttr),
    /// The lease that is read into goes back once the answer has left.
    Data(ReplyData, Lease),
    Target(ReplyData),
    Opened(ReplyOpen),
    Created(ReplyCreate),
    Written(ReplyWrite),
    Offset(ReplyLseek),
    Directory(ReplyDirectory),
    DirectoryPlus(ReplyDirectoryPlus),
    Space(ReplyStatfs),
    Xattr(ReplyXattr),
    Ioctl(ReplyIoctl),
    Function(Function),
}

/// The right to answer one request. Whoever drops it unused answers `EIO`.
#[must_use = "a request that is not answered fails with EIO"]
pub struct ReplyTo {
    request: &'static str,
    sink: Option<Sink>,
}

impl ReplyTo {
    pub(crate) const fn new(request: &'static str, sink: Sink) -> Self {
        Self {
            request,
            sink: Some(sink),
        }
    }

    /// Answers that go to `function`: for file systems that are used without a kernel. `request` is for the log.
    pub fn to_function(
        request: &'static str,
        function: impl FnOnce(Result<Reply, Errno>) + Send + 'static,
    ) -> Self {
        Self::new(request, Sink::Function(Box::new(function)))
    }

    /// The kind of request, for logs.
    #[must_use]
    pub const fn request(&self) -> &'static str {
        self.request
    }

    /// Answers. `payload` is the memory that leases of the request and the answer are in. A read may be answered only when nothing
    /// writes into its memory any more: it is free afterwards, after an error too.
    pub fn send(mut self, answer: Result<Reply, Errno>, payload: &dyn Payload) {
        let sink = self
            .sink
            .take()
            .expect("only sending and dropping take it, and each is the end");
        let request = self.request;
        match answer {
            Ok(reply) => send_reply(sink, request, reply, payload),
            Err(errno) => send_errno(sink, errno, Some(payload)),
        }
    }
}

impl Drop for ReplyTo {
    fn drop(&mut self) {
        // Memory of a forgotten read is not freed: whoever forgot it may still write there.
        if let Some(sink) = self.sink.take() {
            if !matches!(sink, Sink::Nothing) {
                tracing::error!(
                    request = self.request,
                    "a request was not answered; its caller gets EIO"
                );
            }
            send_errno(sink, Errno::EIO, None);
        }
    }
}

impl fmt::Debug for ReplyTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplyTo").field(&self.request).finish()
    }
}

fn send_errno(sink: Sink, errno: Errno, payload: Option<&dyn Payload>) {
    let plain = errno_to_kernel(errno);
    let careful = errno_not_remembered(errno);
    match sink {
        Sink::Nothing => {}
        Sink::Empty(kernel) => kernel.error(plain),
        Sink::EmptyNotRemembered(kernel) => kernel.error(careful),
        Sink::Lookup(kernel) | Sink::Entry(kernel) => kernel.error(plain),
        Sink::Attributes(kernel) => kernel.error(plain),
        Sink::Data(kernel, lease) => {
            kernel.error(plain);
            if let Some(payload) = payload {
                payload.free(lease);
            }
        }
        Sink::Target(kernel) => kernel.error(plain),
        Sink::Opened(kernel) => kernel.error(careful),
        Sink::Created(kernel) => kernel.error(careful),
        Sink::Written(kernel) => kernel.error(plain),
        Sink::Offset(kernel) => kernel.error(plain),
        Sink::Directory(kernel) => kernel.error(careful),
        Sink::DirectoryPlus(kernel) => kernel.error(careful),
        Sink::Space(kernel) => kernel.error(plain),
        Sink::Xattr(kernel) => kernel.error(plain),
        Sink::Ioctl(kernel) => kernel.error(plain),
        Sink::Function(function) => function(Err(errno)),
    }
}

/// Any pair that is not listed is a bug of the file system; the caller gets `EIO` instead of nonsense.
fn send_reply(sink: Sink, request: &'static str, reply: Reply, payload: &dyn Payload) {
    match (sink, reply) {
        (Sink::Nothing, Reply::Done) => {}
        (Sink::Empty(kernel) | Sink::EmptyNotRemembered(kernel), Reply::Done) => kernel.ok(),
        (Sink::Lookup(kernel), Reply::Entry(entry)) => send_entry(kernel, &entry),
        (Sink::Entry(kernel), Reply::Entry(entry)) if entry.attributes.is_some() => {
            send_entry(kernel, &entry);
        }
        (Sink::Attributes(kernel), Reply::Attributes(attributes, timeout)) => {
            kernel.attr(&duration_of(timeout), &attributes_to_kernel(&attributes));
        }
        (Sink::Data(kernel, lease), Reply::Data(data)) => send_data(kernel, lease, data, payload),
        (Sink::Target(kernel), Reply::Target(target)) => kernel.data(target.as_bytes()),
        (Sink::Opened(kernel), Reply::Opened(opened)) => {
            kernel.opened(handle_to_kernel(opened.handle), open_flags(&opened));
        }
        (Sink::Created(kernel), Reply::Created(entry, opened)) if entry.attributes.is_some() => {
            send_created(kernel, &entry, &opened);
        }
        (Sink::Written(kernel), Reply::Written(bytes)) => kernel.written(bytes),
        (Sink::Offset(kernel), Reply::Offset(offset)) => match i64::try_from(offset) {
            Ok(offset) => kernel.offset(offset),
            Err(_) => kernel.error(fuser::Errno::EOVERFLOW),
        },
        (Sink::Directory(kernel), Reply::Directory(items)) => directory::send(kernel, &items),
        (Sink::DirectoryPlus(kernel), Reply::Directory(items)) => directory::send_plus(kernel, &items),
        (Sink::Space(kernel), Reply::Space(space)) => send_space(kernel, &space),
        (Sink::Xattr(kernel), Reply::Bytes(bytes)) => kernel.data(bytes.as_bytes()),
        (Sink::Xattr(kernel), Reply::Length(length)) => kernel.size(length),
        (Sink::Ioctl(kernel), Reply::Ioctl(result, output)) => kernel.ioctl(result, output.as_bytes()),
        (Sink::Function(function), reply) => function(Ok(reply)),
        (sink, reply) => {
            tracing::error!(
                request,
                ?reply,
                "this is no answer to such a request; its caller gets EIO"
            );
            send_errno(sink, Errno::EIO, Some(payload));
        }
    }
}

fn send_entry(kernel: ReplyEntry, entry: &Entry) {
    let missing = no_inode(FileType::RegularFile);
    let attributes = entry.attributes.as_ref().map_or(missing, attributes_to_kernel);
    kernel.entry_with_ttls(
        &duration_of(entry.attributes_timeout),
        &duration_of(entry.entry_timeout),
        &attributes,
        Generation(0),
    );
}

/// fuser sends one time for the name and the attributes of a new file: the shorter one.
fn send_created(kernel: ReplyCreate, entry: &Entry, opened: &Opened) {
    let attributes = entry.attributes.as_ref().expect("checked by the caller");
    kernel.created(
        &duration_of(entry.entry_timeout.min(entry.attributes_timeout)),
        &attributes_to_kernel(attributes),
        Generation(0),
        handle_to_kernel(opened.handle),
        open_flags(opened),
    );
}

/// One `writev` from the leased memory, which is free afterwards.
fn send_data(kernel: ReplyData, lease: Lease, data: Lease, payload: &dyn Payload) {
    let inside = data.is_empty() || (data.id == lease.id && data.off == lease.off && data.len <= lease.len);
    assert!(inside, "the answer {data:?} to a read is the front of {lease:?}");
    if data.is_empty() {
        kernel.data(&[]);
    } else {
        let mut kernel = Some(kernel);
        payload.with(data, &mut |bytes| {
            let kernel = kernel.take().expect("a payload shows its bytes once");
            kernel.data(bytes);
        });
        assert!(kernel.is_none(), "a payload shows its bytes once");
    }
    payload.free(lease);
}

fn send_space(kernel: ReplyStatfs, space: &Space) {
    // Available to others than root is all that is free; inodes are not counted.
    kernel.statfs(
        space.blocks,
        space.blocks_free,
        space.blocks_free,
        0,
        0,
        space.block_bytes,
        space.name_bytes_max,
        space.block_bytes,
    );
}
