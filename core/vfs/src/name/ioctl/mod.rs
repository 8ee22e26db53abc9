//! Ioctls.
//!
//! ```text
//!   constant ─────────────────────────────────────────────────────────► answer
//!   flags ────► stat, setAttr ─────────────────────────────────────────► answer
//!   move, remove, hardlink, recursive rm ──► the operation of that name ► invalidations, answer
//!   fsync, punch hole ──► tasks of the inode's shard ───────────────────► answer
//! ```
//!
//! Inputs come from the calling process: lengths have to match exactly, names have to end with a zero inside their array and to be one component,
//! numbers are those that `stat` shows (the root is 1).
//!
//! Source: `src/lib/api/fuse.h`, `src/fuse/FuseOps.cc` upstream.

mod args;
mod holes;

pub(crate) use holes::Holes;

use super::calls::{link, of, stat};
use super::remove::{Remove, What};
use super::rename::{Place, Rename};
use super::rules::{Ending, check_entry, check_writable, errno, is_hidden, is_virtual, response};
use super::{Op, wait};
use crate::file;
use crate::reply::{Invalidate, Reply};
use crate::request::Request;
use crate::shard::{Context, Event, Step, Task};
use alloc::vec::Vec;
use args::{Link, Move, Removal};
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Text};
use flyer_wire::msg::meta::attr::SetAttrReq;
use flyer_wire::msg::meta::flags::{AtFlags, IFlags};
use flyer_wire::msg::meta::inode::InodeKind;
use flyer_wire::usrbio::ioctl;

/// `FS_IOC_GETFLAGS`; the kernel hands over 4 bytes, whatever the number says.
const GET_FLAGS: u32 = 0x8008_6601;
/// `FS_IOC_SETFLAGS`, likewise.
const SET_FLAGS: u32 = 0x4008_6602;
/// `FS_IOC_FSGETXATTR`.
const GET_FSXATTR: u32 = 0x801c_581f;
/// Bytes of `struct fsxattr`.
const FSXATTR_BYTES: usize = 28;
/// `FS_XFLAG_IMMUTABLE`.
const XFLAG_IMMUTABLE: u32 = 0x8;
/// Bytes of the name of a mount, the zero behind it included.
const MOUNT_NAME_BYTES: usize = size_of::<ioctl::MountNameArg>();

/// What is waited for.
#[derive(Debug)]
pub(crate) enum Ioctl {
    /// The inode whose flags are asked for.
    GetFlags,
    /// The same, in the other form.
    GetXflags,
    /// The inode whose flags were set.
    SetFlags(InodeId),
    /// The inode that got another name.
    Link(InodeId, Link),
    /// The directory that is to go with all below it.
    FindTree(InodeId),
    /// The inode to sync.
    Find(InodeId, HandleId),
    /// Its content to be durable.
    Sync,
}

/// Carries one out.
pub(super) fn begin(
    cx: &mut Context<'_>,
    inode: InodeId,
    handle: HandleId,
    command: u32,
    input: &Text,
    output_bytes: u32,
) -> Result<Step, Errno> {
    if let Some(value) = constant(cx, command) {
        return answer(value, output_bytes);
    }
    let known = [
        GET_FLAGS,
        SET_FLAGS,
        GET_FSXATTR,
        ioctl::RECURSIVE_RM,
        ioctl::FSYNC,
        ioctl::HARDLINK,
        ioctl::PUNCH_HOLE,
        ioctl::MOVE,
        ioctl::REMOVE,
    ];
    if !known.contains(&command) {
        return Err(Errno::EINVAL);
    }
    if is_virtual(inode) {
        return Err(Errno::EPERM);
    }
    match command {
        GET_FLAGS => look(cx, inode, 4, output_bytes, Ioctl::GetFlags),
        GET_FSXATTR => look(cx, inode, FSXATTR_BYTES, output_bytes, Ioctl::GetXflags),
        SET_FLAGS => set_flags(cx, inode, input),
        ioctl::HARDLINK => hard_link(cx, inode, input),
        ioctl::MOVE => rename(cx, inode, input),
        ioctl::REMOVE => remove(cx, inode, input),
        ioctl::PUNCH_HOLE => Holes::begin(cx, inode, handle, input),
        ioctl::FSYNC => {
            stat(cx, of(inode));
            Ok(wait(Op::Ioctl(Ioctl::Find(inode, handle))))
        }
        _ => {
            check_writable(cx)?;
            stat(cx, of(inode));
            Ok(wait(Op::Ioctl(Ioctl::FindTree(inode))))
        }
    }
}

/// What is said of every inode.
fn constant(cx: &Context<'_>, command: u32) -> Option<Vec<u8>> {
    let config = &cx.state.config;
    match command {
        ioctl::GET_MAGIC_NUM => Some(ioctl::SUPER_MAGIC.to_le_bytes().to_vec()),
        ioctl::GET_IOCTL_VERSION => Some(ioctl::IOCTL_VERSION.to_le_bytes().to_vec()),
        ioctl::GET_PATH_OFFSET => {
            let length = u32::try_from(config.mount_point.len()).expect("a path is short");
            Some(length.to_le_bytes().to_vec())
        }
        ioctl::GET_MOUNT_NAME => {
            let name = config.cluster.as_bytes();
            let mut value = name[..name.len().min(MOUNT_NAME_BYTES - 1)].to_vec();
            value.resize(MOUNT_NAME_BYTES, 0);
            Some(value)
        }
        _ => None,
    }
}

/// An output, if it is exactly what the caller has room for.
fn answer(value: Vec<u8>, output_bytes: u32) -> Result<Step, Errno> {
    if usize::try_from(output_bytes) != Ok(value.len()) {
        return Err(Errno::EINVAL);
    }
    Ok(Step::reply(Reply::Ioctl(0, Text::from(value))))
}

fn look(
    cx: &mut Context<'_>,
    inode: InodeId,
    bytes: usize,
    output_bytes: u32,
    next: Ioctl,
) -> Result<Step, Errno> {
    if usize::try_from(output_bytes) != Ok(bytes) {
        return Err(Errno::EINVAL);
    }
    stat(cx, of(inode));
    Ok(wait(Op::Ioctl(next)))
}

fn set_flags(cx: &mut Context<'_>, inode: InodeId, input: &Text) -> Result<Step, Errno> {
    check_writable(cx)?;
    let bytes: [u8; 4] = input.as_bytes().try_into().map_err(|_| Errno::EINVAL)?;
    let base = cx.base();
    cx.meta(SetAttrReq {
        base,
        path: of(inode),
        flags: AtFlags::empty(),
        uid: None,
        gid: None,
        perm: None,
        atime: None,
        mtime: None,
        layout: None,
        iflags: Some(IFlags::from_bits_retain(u32::from_le_bytes(bytes))),
        dyn_stripe: 0,
    });
    Ok(wait(Op::Ioctl(Ioctl::SetFlags(inode))))
}

/// Checks a directory that a caller has named by number, with a name in it.
fn check_place(parent: InodeId, name: &Text) -> Result<(), Errno> {
    check_entry(name)?;
    if is_virtual(parent) || is_hidden(parent, name) {
        return Err(Errno::EPERM);
    }
    Ok(())
}

fn hard_link(cx: &mut Context<'_>, inode: InodeId, input: &Text) -> Result<Step, Errno> {
    check_writable(cx)?;
    let arg = Link::parse(input.as_bytes())?;
    check_place(arg.parent, &arg.name)?;
    link(cx, inode, arg.parent, arg.name.clone());
    Ok(wait(Op::Ioctl(Ioctl::Link(inode, arg))))
}

fn rename(cx: &mut Context<'_>, inode: InodeId, input: &Text) -> Result<Step, Errno> {
    check_writable(cx)?;
    let arg = Move::parse(input.as_bytes())?;
    if arg.from.parent != inode {
        return Err(Errno::EINVAL);
    }
    check_place(arg.from.parent, &arg.from.name)?;
    check_place(arg.to.parent, &arg.to.name)?;
    let places = [&arg.from, &arg.to].map(|place| (place.parent, place.name.clone()));
    let place = |at: args::At| Place {
        parent: at.parent,
        name: at.name,
    };
    let ending = Ending::of_ioctl(places);
    let rename = Rename::begin(cx, place(arg.from), place(arg.to), arg.to_trash, ending)?;
    Ok(wait(Op::Rename(rename)))
}

fn remove(cx: &mut Context<'_>, inode: InodeId, input: &Text) -> Result<Step, Errno> {
    check_writable(cx)?;
    let arg = Removal::parse(input.as_bytes())?;
    if arg.at.parent != inode {
        return Err(Errno::EINVAL);
    }
    check_place(arg.at.parent, &arg.at.name)?;
    let ending = Ending::of_ioctl([(arg.at.parent, arg.at.name.clone())]);
    let what = if arg.recursive { What::Tree } else { What::Any };
    let remove = Remove::entry(cx, inode, arg.at.name, what, ending)?;
    Ok(wait(Op::Remove(remove)))
}

impl Ioctl {
    pub(super) fn step(self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        match self {
            Self::GetFlags => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
                answer(found.base.acl.iflags.bits().to_le_bytes().to_vec(), 4)
            }
            Self::GetXflags => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
                let immutable = found.base.acl.iflags.contains(IFlags::IMMUTABLE);
                let flags = if immutable { XFLAG_IMMUTABLE } else { 0 };
                let mut value = flags.to_le_bytes().to_vec();
                value.resize(FSXATTR_BYTES, 0);
                Ok(Step::reply(Reply::Ioctl(0, Text::from(value))))
            }
            Self::SetFlags(inode) => {
                response!(event, SetAttr).map_err(|status| errno(&status))?;
                cx.spawn(Task::Changed(inode));
                cx.invalidate(Invalidate::Inode { inode, pages: None });
                Ok(Ending::of_ioctl([]).step(cx))
            }
            Self::Link(inode, arg) => {
                response!(event, HardLink).map_err(|status| errno(&status))?;
                cx.spawn(Task::Changed(inode));
                cx.invalidate(Invalidate::Inode { inode, pages: None });
                Ok(Ending::of_ioctl([(arg.parent, arg.name)]).step(cx))
            }
            Self::FindTree(inode) => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
                let InodeKind::Directory(directory) = found.base.kind else {
                    return Err(Errno::ENOTDIR);
                };
                let ending = Ending::of_ioctl([(directory.parent, directory.name)]);
                let remove = Remove::tree(cx, inode, ending)?;
                Ok(wait(Op::Remove(remove)))
            }
            Self::Find(inode, handle) => {
                let found = response!(event, Stat).map_err(|status| errno(&status))?.stat;
                cx.ask(match found.base.kind {
                    InodeKind::File(_) => Task::File(file::Task::Fsync { inode }),
                    InodeKind::Directory(_) | InodeKind::Symlink(_) => {
                        Task::Kernel(Request::FsyncDirectory { inode, handle })
                    }
                });
                Ok(wait(Op::Ioctl(Self::Sync)))
            }
            Self::Sync => match event {
                Event::Asked(result) => result.map(|_| Ending::of_ioctl([]).step(cx)),
                Event::Meta(_) | Event::Storage(_) | Event::Turn => {
                    unreachable!("the ioctl waits for the inode's shard")
                }
            },
        }
    }
}
