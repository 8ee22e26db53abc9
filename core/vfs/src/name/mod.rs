//! Operations on names, directories and the virtual tree.
//!
//! Owner: a shard. Each operation runs in the shard of the inode that its request names first, mostly a directory.
//!
//! | module | content |
//! |---|---|
//! | [`rules`] | what holds for all of them |
//! | [`calls`] | requests that several of them make |
//! | [`look`] | lookup, readlink |
//! | [`make`] | mknod, mkdir, symlink, link, create |
//! | [`remove`], [`rename`] | what takes names away |
//! | [`directory`] | opendir, readdir, releasedir, fsyncdir |
//! | [`space`], [`xattr`], [`access`], [`ioctl`] | statfs, extended attributes, access, ioctls |
//! | [`virt`] | the tree `3fs-virt` |
//!
//! Limits: those of [`directory`].

mod access;
mod calls;
mod directory;
mod ioctl;
mod look;
mod make;
mod remove;
mod rename;
mod rules;
mod space;
mod virt;
mod xattr;

pub(crate) use rules::{errno, is_virtual};

use crate::reply::Space;
use crate::request::Request;
use crate::shard::{Context, Event, Step, Task};
use alloc::boxed::Box;
use flyer_types::Errno;
use rules::Ending;

/// What a shard keeps for names.
#[derive(Debug)]
pub(crate) struct Names {
    directories: directory::Directories,
    /// What was said of the space last.
    space: Option<Space>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self {
            directories: directory::Directories::new(),
            space: None,
        }
    }

    pub(crate) fn check(&self) {
        self.directories.check();
    }
}

/// Op machines of this module.
#[derive(Debug)]
pub(crate) enum Op {
    Look(look::Look),
    Make(make::Make),
    Remove(remove::Remove),
    Rename(rename::Rename),
    Manage(directory::Manage),
    Read(Box<directory::Read>),
    Space,
    Xattr(xattr::Xattr),
    Access(access::Wanted),
    Ioctl(ioctl::Ioctl),
    Holes(ioctl::Holes),
    Via(virt::Via),
}

impl From<Op> for crate::shard::Op {
    fn from(op: Op) -> Self {
        Self::Name(op)
    }
}

/// Goes on waiting.
fn wait(op: Op) -> Step {
    Step::Wait(op.into())
}

/// The first step.
pub(crate) fn begin(cx: &mut Context<'_>, task: Task) -> Step {
    let step = match task {
        Task::Kernel(request) => begin_request(cx, request),
        Task::Enter(_)
        | Task::EnterCreated { .. }
        | Task::EnterMany(_)
        | Task::Pin(_)
        | Task::Changed(_)
        | Task::File(_) => Err(Errno::EIO),
    };
    step.unwrap_or_else(Step::fail)
}

fn begin_request(cx: &mut Context<'_>, request: Request) -> Result<Step, Errno> {
    if virt::concerns(&request) {
        return virt::begin(cx, request);
    }
    let op = match request {
        Request::Lookup { parent, name } if rules::is_hidden(parent, &name) => {
            return Ok(virt::root_entry(cx));
        }
        Request::Lookup { parent, name } => Op::Look(look::Look::lookup(cx, parent, name)?),
        Request::ReadLink { inode } => Op::Look(look::Look::read_link(cx, inode)),
        Request::MakeNode { parent, name, mode } => Op::Make(make::Make::node(cx, parent, name, mode)?),
        Request::MakeDirectory {
            parent,
            name,
            permission,
        } => Op::Make(make::Make::directory(cx, parent, name, permission)?),
        Request::Symlink { parent, name, target } => {
            if let Some(step) = virt::Via::rename(cx, parent, &name, &target) {
                return step;
            }
            Op::Make(make::Make::symlink(cx, parent, name, target)?)
        }
        Request::Link { inode, parent, name } => Op::Make(make::Make::link(cx, inode, parent, name)?),
        Request::Create {
            parent,
            name,
            mode,
            flags,
        } => Op::Make(make::Make::file(cx, parent, name, mode, flags)?),
        Request::Unlink { parent, name } => Op::Remove(remove::Remove::unlink(cx, parent, name)?),
        Request::RemoveDirectory { parent, name } => Op::Remove(remove::Remove::directory(cx, parent, name)?),
        Request::Rename {
            parent,
            name,
            to_parent,
            to_name,
            flags,
        } => {
            rename::check_flags(flags)?;
            let from = rename::Place { parent, name };
            let to = rename::Place::new(to_parent, to_name);
            Op::Rename(rename::Rename::begin(cx, from, to, false, Ending::DONE)?)
        }
        Request::OpenDirectory { .. }
        | Request::ReadDirectory { .. }
        | Request::ReleaseDirectory { .. }
        | Request::FsyncDirectory { .. }
        | Request::StatFs { .. }
        | Request::SetXattr { .. }
        | Request::GetXattr { .. }
        | Request::ListXattr { .. }
        | Request::RemoveXattr { .. }
        | Request::Access { .. }
        | Request::Ioctl { .. } => return begin_on_inode(cx, request),
        Request::Forget { .. }
        | Request::GetAttributes { .. }
        | Request::SetAttributes { .. }
        | Request::Open { .. }
        | Request::Read { .. }
        | Request::Write { .. }
        | Request::Flush { .. }
        | Request::Release { .. }
        | Request::Fsync { .. }
        | Request::Fallocate { .. }
        | Request::Seek { .. }
        | Request::CopyRange { .. } => return Err(Errno::EBADF),
    };
    Ok(wait(op))
}

/// Requests that name an inode and no name in it.
fn begin_on_inode(cx: &mut Context<'_>, request: Request) -> Result<Step, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has chosen")]
    let op = match request {
        Request::OpenDirectory { inode, .. } => Op::Manage(directory::Manage::open(cx, inode)),
        Request::ReadDirectory {
            inode,
            handle,
            cookie,
            bytes,
            plus,
        } => return directory::Read::begin(cx, inode, handle, cookie, bytes, plus),
        Request::ReleaseDirectory { inode, handle } => return directory::release(cx, inode, handle),
        Request::FsyncDirectory { inode, .. } => Op::Manage(directory::Manage::sync(cx, inode)),
        Request::StatFs { .. } => {
            space::begin(cx);
            Op::Space
        }
        Request::SetXattr {
            inode, name, value, ..
        } => Op::Xattr(xattr::Xattr::set(cx, inode, &name, &value)?),
        Request::GetXattr { inode, name, bytes } => Op::Xattr(xattr::Xattr::get(cx, inode, &name, bytes)?),
        Request::ListXattr { inode, bytes } => Op::Xattr(xattr::Xattr::list(cx, inode, bytes)),
        Request::RemoveXattr { inode, name } => Op::Xattr(xattr::Xattr::remove(cx, inode, &name)?),
        Request::Access { inode, mask } => Op::Access(access::Wanted::begin(cx, inode, mask)?),
        Request::Ioctl {
            inode,
            handle,
            command,
            input,
            output_bytes,
        } => return ioctl::begin(cx, inode, handle, command, &input, output_bytes),
        other => unreachable!("{other:?} is about a name"),
    };
    Ok(wait(op))
}

impl Op {
    pub(crate) fn step(self, cx: &mut Context<'_>, event: Event) -> Step {
        let step = match self {
            Self::Look(op) => op.step(cx, event),
            Self::Make(op) => op.step(event),
            Self::Remove(op) => op.step(cx, event),
            Self::Rename(op) => op.step(cx, event),
            Self::Manage(op) => op.step(cx, event),
            Self::Read(op) => op.step(cx, event),
            Self::Space => space::step(cx, event),
            Self::Xattr(op) => op.step(cx, event),
            Self::Access(op) => op.step(cx, event),
            Self::Ioctl(op) => op.step(cx, event),
            Self::Holes(op) => op.step(cx, event),
            Self::Via(op) => op.step(cx, event),
        };
        step.unwrap_or_else(Step::fail)
    }
}
