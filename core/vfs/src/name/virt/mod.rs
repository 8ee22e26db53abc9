//! The tree `3fs-virt`, which exists in the mount only: what users do there are requests in disguise.
//!
//! ```text
//!   3fs-virt ─┬─ get-conf/KEY    reads an option
//!             ├─ iovs/           rings; empty, and nothing can be registered yet: that comes with USRBIO
//!             ├─ rm-rf/          a link made here, or what is moved here, removes a tree
//!             └─ set-conf/KEY    a link made here sets an option
//! ```
//!
//! Owner: a shard. Nothing here is counted or kept: inodes are numbers, and all about them is made up from the number. Options of a user
//! show different values to different users, so the kernel must not cache them: their timeouts are zero.
//!
//! Source: `fuse-semantics` of the protocol notes, section 4.

mod keys;
mod links;
mod paths;

pub(crate) use links::Via;

use super::directory;
use super::look::Look;
use super::remove::{Remove, What};
use super::rules::{Ending, VIRTUAL_NAME, check_name, check_writable, is_virtual};
use super::{Op, Step, space, wait};
use crate::reply::{Attributes, DirectoryItem, Entry, Invalidate, Reply};
use crate::request::Request;
use crate::shard::{Context, Effect};
use alloc::sync::Arc;
use alloc::vec::Vec;
use flyer_types::ids::{Gid, InodeId, Permission, Uid};
use flyer_types::{Errno, Span, Text};
use flyer_wire::msg::meta::flags::TIME_UNSET;
use flyer_wire::msg::meta::inode::InodeType;
use keys::{KEYS, Key};

/// Names in the virtual directory, in the order of bytes.
const PLACES: [(&str, InodeId); 4] = [
    ("get-conf", InodeId::GET_CONF),
    ("iovs", InodeId::IOV_DIR),
    ("rm-rf", InodeId::RM_RF),
    ("set-conf", InodeId::SET_CONF),
];

/// Whether a request is about the virtual tree.
pub(super) fn concerns(request: &Request) -> bool {
    let to = match request {
        Request::Rename { to_parent, .. } => Some(*to_parent),
        Request::Link { parent, .. } => Some(*parent),
        Request::Lookup { .. }
        | Request::Forget { .. }
        | Request::GetAttributes { .. }
        | Request::SetAttributes { .. }
        | Request::ReadLink { .. }
        | Request::MakeNode { .. }
        | Request::MakeDirectory { .. }
        | Request::Unlink { .. }
        | Request::RemoveDirectory { .. }
        | Request::Symlink { .. }
        | Request::Open { .. }
        | Request::Create { .. }
        | Request::Read { .. }
        | Request::Write { .. }
        | Request::Flush { .. }
        | Request::Release { .. }
        | Request::Fsync { .. }
        | Request::Fallocate { .. }
        | Request::Seek { .. }
        | Request::CopyRange { .. }
        | Request::OpenDirectory { .. }
        | Request::ReadDirectory { .. }
        | Request::ReleaseDirectory { .. }
        | Request::FsyncDirectory { .. }
        | Request::StatFs { .. }
        | Request::SetXattr { .. }
        | Request::GetXattr { .. }
        | Request::ListXattr { .. }
        | Request::RemoveXattr { .. }
        | Request::Access { .. }
        | Request::Ioctl { .. } => None,
    };
    is_virtual(request.inode()) || to.is_some_and(is_virtual)
}

/// Carries out a request about the virtual tree.
pub(super) fn begin(cx: &mut Context<'_>, request: Request) -> Result<Step, Errno> {
    match request {
        Request::Lookup { parent, name } => lookup(cx, parent, name),
        Request::Forget { .. } | Request::FsyncDirectory { .. } => Ok(Step::reply(Reply::Done)),
        Request::GetAttributes { inode, .. } => {
            let attributes = attributes(cx, inode).ok_or(Errno::ENOENT)?;
            let timeout = timeout(cx, inode);
            Ok(Step::reply(Reply::Attributes(attributes, timeout)))
        }
        Request::ReadLink { inode } => match (is_directory(inode), value(cx, inode)) {
            (true, _) => Err(Errno::EINVAL),
            (false, value) => Ok(Step::reply(Reply::Target(value.ok_or(Errno::ENOENT)?))),
        },
        Request::Symlink { parent, name, target } => symlink(cx, parent, &name, target),
        Request::Unlink { parent, .. } => {
            check_writable(cx)?;
            Err(if parent == InodeId::IOV_DIR {
                Errno::ENOENT
            } else {
                Errno::EPERM
            })
        }
        Request::Rename {
            parent,
            name,
            to_parent,
            to_name,
            flags,
        } => rename(cx, (parent, name), (to_parent, to_name), flags),
        Request::Link { inode, .. } => {
            check_writable(cx)?;
            Err(if is_directory(inode) {
                Errno::EISDIR
            } else {
                Errno::EPERM
            })
        }
        Request::SetAttributes { .. }
        | Request::MakeNode { .. }
        | Request::MakeDirectory { .. }
        | Request::RemoveDirectory { .. }
        | Request::Create { .. }
        | Request::RemoveXattr { .. } => Err(Errno::EPERM),
        Request::Open { inode, .. } => Err(match (is_directory(inode), value(cx, inode)) {
            (true, _) => Errno::EISDIR,
            (false, Some(_)) => Errno::ELOOP,
            (false, None) => Errno::ENOENT,
        }),
        Request::Write { data, .. } => {
            cx.free(data.id);
            Err(Errno::EBADF)
        }
        Request::Read { .. }
        | Request::Flush { .. }
        | Request::Release { .. }
        | Request::Fsync { .. }
        | Request::Fallocate { .. }
        | Request::Seek { .. }
        | Request::CopyRange { .. } => Err(Errno::EBADF),
        Request::OpenDirectory { .. } | Request::ReadDirectory { .. } | Request::ReleaseDirectory { .. } => {
            begin_listing(cx, request)
        }
        Request::StatFs { .. }
        | Request::SetXattr { .. }
        | Request::GetXattr { .. }
        | Request::ListXattr { .. }
        | Request::Access { .. }
        | Request::Ioctl { .. } => begin_other(cx, request),
    }
}

/// Directories.
fn begin_listing(cx: &mut Context<'_>, request: Request) -> Result<Step, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has chosen")]
    match request {
        Request::OpenDirectory { inode, .. } => {
            let parent = parent_of(inode).ok_or(Errno::ENOTDIR)?;
            cx.state.names.directories.open(inode, parent).map(Step::reply)
        }
        Request::ReadDirectory {
            inode,
            handle,
            cookie,
            bytes,
            plus,
        } => {
            let parent = cx.state.names.directories.parent(inode, handle)?;
            directory::answer_from(listing(inode, parent), cookie, bytes, plus)
        }
        Request::ReleaseDirectory { inode, handle } => directory::release(cx, inode, handle),
        other => unreachable!("{other:?} is not about a listing"),
    }
}

/// Space, extended attributes, access, ioctls.
fn begin_other(cx: &mut Context<'_>, request: Request) -> Result<Step, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller has chosen")]
    match request {
        Request::StatFs { .. } => {
            space::begin(cx);
            Ok(wait(Op::Space))
        }
        Request::SetXattr { .. } | Request::GetXattr { .. } => Err(Errno::EOPNOTSUPP),
        Request::ListXattr { .. } => Ok(Step::reply(Reply::Length(0))),
        Request::Access { inode, mask } => {
            let attributes = attributes(cx, inode).ok_or(Errno::ENOENT)?;
            super::access::check_attributes(cx, &attributes, mask)?;
            Ok(Step::reply(Reply::Done))
        }
        Request::Ioctl {
            inode,
            handle,
            command,
            input,
            output_bytes,
        } => super::ioctl::begin(cx, inode, handle, command, &input, output_bytes),
        other => unreachable!("{other:?} is about names"),
    }
}

/// The entry of the virtual directory in the root.
pub(super) fn root_entry(cx: &Context<'_>) -> Step {
    entry(cx, InodeId::VIRT)
}

/// The entry of an inode that exists.
fn entry(cx: &Context<'_>, inode: InodeId) -> Step {
    let attributes = attributes(cx, inode).expect("the caller has made up the number");
    let attributes_timeout = timeout(cx, inode);
    let entry_timeout = if is_directory(inode) {
        cx.user().entry_timeout
    } else {
        Span::ZERO
    };
    Step::reply(Reply::Entry(Entry {
        attributes: Some(attributes),
        entry_timeout,
        attributes_timeout,
    }))
}

/// How long the kernel may remember attributes.
fn timeout(cx: &Context<'_>, inode: InodeId) -> Span {
    if is_directory(inode) {
        cx.user().attr_timeout
    } else {
        Span::ZERO
    }
}

fn lookup(cx: &mut Context<'_>, parent: InodeId, name: Text) -> Result<Step, Errno> {
    check_name(&name)?;
    let up = parent_of(parent).ok_or(Errno::ENOTDIR)?;
    match name.as_bytes() {
        b"." => return Ok(entry(cx, parent)),
        b".." if up == InodeId::ROOT => {
            let look = Look::lookup(cx, InodeId::ROOT, Text::from("."))?;
            return Ok(wait(Op::Look(look)));
        }
        b".." => return Ok(entry(cx, up)),
        _ => {}
    }
    match parent {
        InodeId::VIRT => {
            let mut places = PLACES.iter();
            let place = places.find(|(place, _)| place.as_bytes() == name.as_bytes());
            let (_, inode) = place.ok_or(Errno::ENOENT)?;
            Ok(entry(cx, *inode))
        }
        InodeId::GET_CONF => {
            let (_, number) = Key::find(name.as_bytes()).ok_or(Errno::EINVAL)?;
            Ok(entry(cx, numbered(InodeId::GET_CONF, number)))
        }
        // Nothing that is made in the others stays.
        _ => Err(Errno::ENOENT),
    }
}

fn symlink(cx: &mut Context<'_>, parent: InodeId, name: &Text, target: Text) -> Result<Step, Errno> {
    match parent {
        InodeId::RM_RF => links::remove_tree(cx, target),
        InodeId::SET_CONF => {
            let (key, number) = Key::find(name.as_bytes()).ok_or(Errno::EINVAL)?;
            let mut config = (*cx.state.config).clone();
            key.set(&mut config, cx.caller.uid, target.as_bytes())?;
            // All changes are made in this shard, each on top of the one before.
            cx.state.config = Arc::new(config.clone());
            cx.state.effects.push(Effect::Config(config));
            Ok(entry(cx, numbered(InodeId::SET_CONF, number)))
        }
        _ => Err(Errno::EPERM),
    }
}

/// Moving something into `rm-rf` removes it.
fn rename(
    cx: &mut Context<'_>,
    (parent, name): (InodeId, Text),
    (to_parent, to_name): (InodeId, Text),
    flags: u32,
) -> Result<Step, Errno> {
    check_writable(cx)?;
    if is_virtual(parent) || to_parent != InodeId::RM_RF {
        return Err(Errno::EPERM);
    }
    super::rename::check_flags(flags)?;
    // The kernel takes the entry for moved.
    let ending = Ending {
        forget: [(InodeId::RM_RF, to_name)]
            .map(|(parent, name)| Invalidate::Entry { parent, name })
            .into(),
        reply: Reply::Done,
    };
    let remove = Remove::entry(cx, parent, name, What::Tree, ending)?;
    Ok(wait(Op::Remove(remove)))
}

/// The parent of one of the five directories.
fn parent_of(inode: InodeId) -> Option<InodeId> {
    match inode {
        InodeId::VIRT => Some(InodeId::ROOT),
        InodeId::RM_RF | InodeId::IOV_DIR | InodeId::GET_CONF | InodeId::SET_CONF => Some(InodeId::VIRT),
        _ => None,
    }
}

fn is_directory(inode: InodeId) -> bool {
    parent_of(inode).is_some()
}

/// The inode of the entry with a number in one of the directories of options.
const fn numbered(directory: InodeId, number: u64) -> InodeId {
    InodeId(directory.0 - 1 - number)
}

/// Of which directory of options an inode is an entry, and of which key.
fn key_of(inode: InodeId) -> Option<(InodeId, Key)> {
    [InodeId::GET_CONF, InodeId::SET_CONF]
        .into_iter()
        .find_map(|directory| {
            let number = directory.0.checked_sub(inode.0)?.checked_sub(1)?;
            Some((directory, Key::numbered(number)?))
        })
}

/// The value that an entry of an option shows to the caller.
fn value(cx: &Context<'_>, inode: InodeId) -> Option<Text> {
    let (_, key) = key_of(inode)?;
    Some(Text::from(key.text(&cx.state.config, cx.caller.uid)))
}

fn attributes(cx: &Context<'_>, inode: InodeId) -> Option<Attributes> {
    let mode = match inode {
        InodeId::VIRT | InodeId::GET_CONF => 0o555,
        InodeId::RM_RF | InodeId::IOV_DIR | InodeId::SET_CONF => 0o777,
        _ => {
            let (directory, key) = key_of(inode)?;
            let for_all = directory == InodeId::GET_CONF && key.is_system();
            if for_all { 0o444 } else { 0o400 }
        }
    };
    let value = value(cx, inode);
    let size = value.as_ref().map_or(0, Text::len);
    let (kind, uid, gid) = if value.is_some() {
        (InodeType::SYMLINK, cx.caller.uid, cx.caller.gid)
    } else {
        (InodeType::DIRECTORY, Uid(0), Gid(0))
    };
    Some(Attributes {
        inode,
        kind,
        permission: Permission(mode),
        links: 1,
        uid,
        gid,
        size: u64::try_from(size).expect("values are short"),
        blocks: 0,
        block_bytes: 0,
        atime: TIME_UNSET,
        mtime: TIME_UNSET,
        ctime: TIME_UNSET,
    })
}

/// All entries of a directory. Their cookies are their positions: the list never changes.
fn listing(inode: InodeId, parent: InodeId) -> Vec<DirectoryItem> {
    let dots = [(".", inode), ("..", parent)].map(|(name, inode)| (name, inode, InodeType::DIRECTORY));
    let mut all = Vec::from(dots);
    match inode {
        InodeId::VIRT => all.extend(PLACES.map(|(name, inode)| (name, inode, InodeType::DIRECTORY))),
        InodeId::GET_CONF => {
            let entry = |(number, (_, name))| (name, numbered(inode, number), InodeType::SYMLINK);
            all.extend((0..).zip(KEYS).map(entry));
        }
        _ => {}
    }
    debug_assert!(!all.iter().any(|(name, ..)| *name == VIRTUAL_NAME));
    let item = |(cookie, (name, inode, kind))| DirectoryItem {
        name: Text::from(name),
        inode,
        kind,
        cookie,
        entry: None,
    };
    (1..).zip(all).map(item).collect()
}
