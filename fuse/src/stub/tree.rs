//! A tree of names in memory: just enough of a file system to measure the way to it.
//!
//! Files have attributes and a length, and no content of their own. An inode lives as long as a name or a reference of the kernel.
//!
//! Limits: memory.

use flyer_types::ids::{Gid, InodeId, Permission, Uid};
use flyer_types::{Errno, Text, WallTime};
use flyer_vfs::Caller;
use flyer_vfs::reply::{Attributes, DirectoryItem};
use flyer_vfs::request::{SetAttributes, SetTime};
use flyer_wire::msg::meta::inode::InodeType;
use std::collections::BTreeMap;

const BLOCK_BYTES: u32 = 1 << 20;
/// Cookies of names begin behind those of `.` and `..`.
const COOKIE_SELF: u64 = 1;
const COOKIE_PARENT: u64 = 2;
/// Flags of `renameat2`.
const RENAME_NOREPLACE: u32 = 1;
const RENAME_EXCHANGE: u32 = 2;

/// The names below one directory. Cookies are given in the order in which names are made, so that a name keeps its own.
#[derive(Debug, Default)]
struct Directory {
    parent: InodeId,
    names: BTreeMap<Text, (InodeId, u64)>,
    by_cookie: BTreeMap<u64, Text>,
    cookie_last: u64,
}

#[derive(Debug)]
enum Content {
    File,
    Directory(Directory),
    Symlink(Text),
}

#[derive(Debug)]
struct Node {
    attributes: Attributes,
    content: Content,
    /// References that the kernel holds.
    references: u64,
}

/// The tree. Each change gets the time at which it happens.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<InodeId, Node>,
    inode_next: u64,
}

impl Directory {
    fn add(&mut self, name: Text, inode: InodeId) {
        self.cookie_last += 1;
        self.by_cookie.insert(self.cookie_last, name.clone());
        let before = self.names.insert(name, (inode, self.cookie_last));
        assert!(before.is_none(), "callers have looked for the name");
    }

    fn remove(&mut self, name: &Text) -> InodeId {
        let (inode, cookie) = self.names.remove(name).expect("callers have looked for the name");
        self.by_cookie.remove(&cookie);
        inode
    }
}

impl Tree {
    pub(super) fn new(uid: Uid, gid: Gid, now: WallTime) -> Self {
        let caller = Caller { uid, gid, pid: 0 };
        let content = Content::Directory(Directory {
            parent: InodeId::ROOT,
            cookie_last: COOKIE_PARENT,
            ..Directory::default()
        });
        let mut root = node(InodeId::ROOT, content, Permission(0o755), caller, now);
        root.references = 1;
        Self {
            nodes: BTreeMap::from([(InodeId::ROOT, root)]),
            inode_next: InodeId::GC_ROOT.0 + 2,
        }
    }

    pub(super) fn attributes(&self, inode: InodeId) -> Result<Attributes, Errno> {
        Ok(self.node(inode)?.attributes)
    }

    /// Counts as a reference.
    pub(super) fn lookup(&mut self, parent: InodeId, name: &Text) -> Result<Attributes, Errno> {
        let (inode, _) = *self.directory(parent)?.names.get(name).ok_or(Errno::ENOENT)?;
        self.refer(inode)
    }

    pub(super) fn refer(&mut self, inode: InodeId) -> Result<Attributes, Errno> {
        let node = self.node_mut(inode)?;
        node.references += 1;
        Ok(node.attributes)
    }

    pub(super) fn forget(&mut self, inode: InodeId, count: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.references = node.references.saturating_sub(count);
            self.drop_if_unused(inode);
        }
    }

    /// Counts as a reference. `target` makes a symbolic link.
    pub(super) fn make(
        &mut self,
        caller: Caller,
        (parent, name): (InodeId, Text),
        kind: InodeType,
        permission: Permission,
        target: Option<Text>,
        now: WallTime,
    ) -> Result<Attributes, Errno> {
        if self.directory(parent)?.names.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        let inode = InodeId(self.inode_next);
        self.inode_next += 1;
        let content = match (kind, target) {
            (InodeType::DIRECTORY, _) => Content::Directory(Directory {
                parent,
                cookie_last: COOKIE_PARENT,
                ..Directory::default()
            }),
            (_, Some(target)) => Content::Symlink(target),
            (_, None) => Content::File,
        };
        self.nodes
            .insert(inode, node(inode, content, permission, caller, now));
        self.add_name(parent, name, inode, now);
        self.refer(inode)
    }

    /// Counts as a reference.
    pub(super) fn link(
        &mut self,
        inode: InodeId,
        parent: InodeId,
        name: Text,
        now: WallTime,
    ) -> Result<Attributes, Errno> {
        if self.directory(parent)?.names.contains_key(&name) {
            return Err(Errno::EEXIST);
        }
        let node = self.node_mut(inode)?;
        node.attributes.links += 1;
        node.attributes.ctime = now;
        self.add_name(parent, name, inode, now);
        self.refer(inode)
    }

    pub(super) fn remove(
        &mut self,
        parent: InodeId,
        name: &Text,
        directory: bool,
        now: WallTime,
    ) -> Result<(), Errno> {
        let (inode, _) = *self.directory(parent)?.names.get(name).ok_or(Errno::ENOENT)?;
        match &self.node(inode)?.content {
            Content::Directory(_) if !directory => return Err(Errno::EISDIR),
            Content::Directory(there) if !there.names.is_empty() => return Err(Errno::ENOTEMPTY),
            Content::File | Content::Symlink(_) if directory => return Err(Errno::ENOTDIR),
            Content::Directory(_) | Content::File | Content::Symlink(_) => {}
        }
        self.remove_name(parent, name, now);
        let attributes = &mut self.node_mut(inode)?.attributes;
        attributes.links = if directory { 0 } else { attributes.links - 1 };
        attributes.ctime = now;
        self.drop_if_unused(inode);
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        (parent, name): (InodeId, Text),
        (to_parent, to_name): (InodeId, Text),
        flags: u32,
        now: WallTime,
    ) -> Result<(), Errno> {
        let (inode, _) = *self.directory(parent)?.names.get(&name).ok_or(Errno::ENOENT)?;
        let there = self
            .directory(to_parent)?
            .names
            .get(&to_name)
            .map(|(inode, _)| *inode);
        match (flags, there) {
            (0, None) | (RENAME_NOREPLACE, None) => {}
            (0, Some(there)) if there == inode => return Ok(()),
            (0, Some(_)) => {
                let directory = matches!(self.node(inode)?.content, Content::Directory(_));
                self.remove(to_parent, &to_name, directory, now)?;
            }
            (RENAME_NOREPLACE, Some(_)) => return Err(Errno::EEXIST),
            (RENAME_EXCHANGE, Some(there)) => {
                self.remove_name(to_parent, &to_name, now);
                self.remove_name(parent, &name, now);
                self.add_name(parent, name, there, now);
                self.add_name(to_parent, to_name, inode, now);
                return Ok(());
            }
            (RENAME_EXCHANGE, None) => return Err(Errno::ENOENT),
            (_, _) => return Err(Errno::EINVAL),
        }
        self.remove_name(parent, &name, now);
        self.add_name(to_parent, to_name, inode, now);
        self.node_mut(inode)?.attributes.ctime = now;
        Ok(())
    }

    pub(super) fn set(
        &mut self,
        inode: InodeId,
        set: &SetAttributes,
        now: WallTime,
    ) -> Result<Attributes, Errno> {
        let time = |set: SetTime| match set {
            SetTime::Now => now,
            SetTime::To(time) => time,
        };
        let attributes = &mut self.node_mut(inode)?.attributes;
        attributes.permission = set.permission.unwrap_or(attributes.permission);
        attributes.uid = set.uid.unwrap_or(attributes.uid);
        attributes.gid = set.gid.unwrap_or(attributes.gid);
        if let Some(size) = set.size {
            resize(attributes, size);
            attributes.mtime = now;
        }
        attributes.atime = set.atime.map_or(attributes.atime, time);
        attributes.mtime = set.mtime.map_or(attributes.mtime, time);
        attributes.ctime = now;
        Ok(*attributes)
    }

    /// A write or an allocation reaches up to `end`.
    pub(super) fn grow(&mut self, inode: InodeId, end: u64, now: WallTime) -> Result<(), Errno> {
        let attributes = &mut self.node_mut(inode)?.attributes;
        resize(attributes, attributes.size.max(end));
        attributes.mtime = now;
        attributes.ctime = now;
        Ok(())
    }

    pub(super) fn target(&self, inode: InodeId) -> Result<Text, Errno> {
        match &self.node(inode)?.content {
            Content::Symlink(target) => Ok(target.clone()),
            Content::File | Content::Directory(_) => Err(Errno::EINVAL),
        }
    }

    /// Names behind `cookie` in the order of their cookies, for as long as `take` wants more. Without attributes.
    pub(super) fn list(
        &self,
        inode: InodeId,
        cookie: u64,
        mut take: impl FnMut(DirectoryItem) -> bool,
    ) -> Result<(), Errno> {
        let directory = self.directory(inode)?;
        let item = |name: Text, inode: InodeId, cookie: u64| -> Result<DirectoryItem, Errno> {
            let kind = self.node(inode)?.attributes.kind;
            Ok(DirectoryItem {
                name,
                inode,
                kind,
                cookie,
                entry: None,
            })
        };
        let own = [(".", inode, COOKIE_SELF), ("..", directory.parent, COOKIE_PARENT)];
        for (name, inode, own_cookie) in own {
            if own_cookie > cookie && !take(item(Text::from(name), inode, own_cookie)?) {
                return Ok(());
            }
        }
        for (cookie, name) in directory.by_cookie.range(cookie.saturating_add(1)..) {
            let (inode, _) = directory.names[name.as_bytes()];
            if !take(item(name.clone(), inode, *cookie)?) {
                break;
            }
        }
        Ok(())
    }

    /// How many inodes there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn node(&self, inode: InodeId) -> Result<&Node, Errno> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    fn node_mut(&mut self, inode: InodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    fn directory(&self, inode: InodeId) -> Result<&Directory, Errno> {
        match &self.node(inode)?.content {
            Content::Directory(directory) => Ok(directory),
            Content::File | Content::Symlink(_) => Err(Errno::ENOTDIR),
        }
    }

    /// The caller has looked: it is a directory.
    fn change_directory(&mut self, inode: InodeId, now: WallTime) -> (&mut Attributes, &mut Directory) {
        let node = self
            .nodes
            .get_mut(&inode)
            .expect("callers have looked for the directory");
        node.attributes.mtime = now;
        node.attributes.ctime = now;
        match &mut node.content {
            Content::Directory(directory) => (&mut node.attributes, directory),
            Content::File | Content::Symlink(_) => unreachable!("callers have looked for the directory"),
        }
    }

    fn add_name(&mut self, parent: InodeId, name: Text, inode: InodeId, now: WallTime) {
        let moved = self.nodes.get_mut(&inode).expect("it has just been there");
        let is_directory = match &mut moved.content {
            Content::Directory(directory) => {
                directory.parent = parent;
                true
            }
            Content::File | Content::Symlink(_) => false,
        };
        let (attributes, directory) = self.change_directory(parent, now);
        attributes.links += u32::from(is_directory);
        directory.add(name, inode);
    }

    fn remove_name(&mut self, parent: InodeId, name: &Text, now: WallTime) {
        let (_, directory) = self.change_directory(parent, now);
        let inode = directory.remove(name);
        if self.nodes[&inode].attributes.kind == InodeType::DIRECTORY {
            let (attributes, _) = self.change_directory(parent, now);
            attributes.links -= 1;
        }
    }

    fn drop_if_unused(&mut self, inode: InodeId) {
        let unused = self
            .nodes
            .get(&inode)
            .is_some_and(|node| node.references == 0 && node.attributes.links == 0);
        if unused {
            self.nodes.remove(&inode);
        }
    }
}

fn resize(attributes: &mut Attributes, size: u64) {
    attributes.size = size;
    attributes.blocks = size.div_ceil(512);
}

fn node(inode: InodeId, content: Content, permission: Permission, caller: Caller, now: WallTime) -> Node {
    let (kind, links, size) = match &content {
        Content::File => (InodeType::FILE, 1, 0),
        Content::Directory(_) => (InodeType::DIRECTORY, 2, 0),
        Content::Symlink(target) => (InodeType::SYMLINK, 1, target.len() as u64),
    };
    let attributes = Attributes {
        inode,
        kind,
        permission,
        links,
        uid: caller.uid,
        gid: caller.gid,
        size,
        blocks: 0,
        block_bytes: BLOCK_BYTES,
        atime: now,
        mtime: now,
        ctime: now,
    };
    Node {
        attributes,
        content,
        references: 0,
    }
}
