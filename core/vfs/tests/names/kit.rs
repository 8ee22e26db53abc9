//! Short forms of requests, a kernel that counts references, and another client that changes things behind the mount's back.

use crate::common::{ALICE, Host, O_CREAT, O_RDWR, ROOT_USER, Setup};
use flyer_types::ids::{HandleId, InodeId, Permission, Uuid};
use flyer_types::{Errno, Status, Text};
use flyer_vfs::reply::{DirectoryItem, Entry};
use flyer_vfs::{Caller, Reply, Request};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::call::{PathAt, ReqBase};
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::msg::meta::namespace::{MkdirsReq, RemoveReq, RenameReq, SymlinkReq};
use flyer_wire::service::meta;
use std::collections::BTreeMap;

/// A mount, and the references that its kernel holds.
pub(crate) struct Kernel {
    pub(crate) host: Host,
    pub(crate) held: BTreeMap<InodeId, u64>,
    /// Inodes that are known without any reference.
    pub(crate) baseline: usize,
    requests: u8,
}

impl Kernel {
    pub(crate) fn new(setup: &Setup) -> Self {
        let host = Host::new(setup);
        let baseline = known(&host);
        Self {
            host,
            held: BTreeMap::new(),
            baseline,
            requests: 0,
        }
    }

    /// Asks, waits, and takes note of references.
    pub(crate) fn call(&mut self, caller: Caller, request: Request) -> Result<Reply, Errno> {
        let answer = self.host.call(caller, request);
        if let Ok(reply) = &answer {
            self.note(reply);
        }
        answer
    }

    pub(crate) fn note(&mut self, reply: &Reply) {
        match reply {
            Reply::Entry(entry) | Reply::Created(entry, _) => self.hold(entry),
            Reply::Directory(items) => {
                for item in items {
                    if let Some(entry) = &item.entry {
                        self.hold(entry);
                    }
                }
            }
            Reply::Done
            | Reply::Attributes(..)
            | Reply::Target(_)
            | Reply::Opened(_)
            | Reply::Data(_)
            | Reply::Written(_)
            | Reply::Offset(_)
            | Reply::Space(_)
            | Reply::Bytes(_)
            | Reply::Length(_)
            | Reply::Ioctl(..) => {}
        }
    }

    fn hold(&mut self, entry: &Entry) {
        if let Some(attributes) = &entry.attributes {
            *self.held.entry(attributes.inode).or_default() += 1;
        }
    }

    /// Gives references back.
    pub(crate) fn forget(&mut self, inode: InodeId, count: u64) {
        let held = self
            .held
            .get_mut(&inode)
            .expect("the kernel gives back what it holds");
        *held -= count;
        if *held == 0 {
            self.held.remove(&inode);
        }
        assert_eq!(
            self.host.call(ALICE, Request::Forget { inode, count }),
            Ok(Reply::Done)
        );
    }

    /// Gives all references back but one of each inode, then these, and checks that the mount counts the same.
    pub(crate) fn check_references(&mut self) {
        for (inode, count) in self.held.clone() {
            if count > 1 {
                self.forget(inode, count - 1);
            }
        }
        let real = self.held.keys().filter(|inode| inode.0 >> 60 == 0).count();
        let root = usize::from(self.held.contains_key(&InodeId::ROOT));
        assert_eq!(
            known(&self.host),
            self.baseline + real - root,
            "an inode with a reference is not known"
        );
        for (inode, count) in self.held.clone() {
            self.forget(inode, count);
        }
        assert_eq!(
            known(&self.host),
            self.baseline,
            "an inode without a reference is known"
        );
    }

    pub(crate) fn entry(&mut self, caller: Caller, request: Request) -> Result<Entry, Errno> {
        match self.call(caller, request)? {
            Reply::Entry(entry) => Ok(entry),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn lookup(&mut self, parent: InodeId, name: &str) -> Result<Entry, Errno> {
        let name = Text::from(name);
        self.entry(ALICE, Request::Lookup { parent, name })
    }

    /// The inode with a name, which is there.
    pub(crate) fn find(&mut self, parent: InodeId, name: &str) -> InodeId {
        let entry = self.lookup(parent, name).unwrap();
        entry.attributes.unwrap_or_else(|| panic!("no {name}")).inode
    }

    /// Whether a name is there.
    pub(crate) fn has(&mut self, parent: InodeId, name: &str) -> bool {
        match self.lookup(parent, name) {
            Ok(entry) => entry.attributes.is_some(),
            Err(Errno::ENOENT) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    pub(crate) fn mkdir(&mut self, parent: InodeId, name: &str) -> Result<InodeId, Errno> {
        let request = Request::MakeDirectory {
            parent,
            name: Text::from(name),
            permission: Permission(0o755),
        };
        Ok(self.entry(ALICE, request)?.attributes.unwrap().inode)
    }

    pub(crate) fn mknod(&mut self, parent: InodeId, name: &str) -> Result<InodeId, Errno> {
        let request = Request::MakeNode {
            parent,
            name: Text::from(name),
            mode: 0o100_644,
        };
        Ok(self.entry(ALICE, request)?.attributes.unwrap().inode)
    }

    pub(crate) fn symlink(
        &mut self,
        caller: Caller,
        parent: InodeId,
        name: &str,
        target: &str,
    ) -> Result<Entry, Errno> {
        let request = Request::Symlink {
            parent,
            name: Text::from(name),
            target: Text::from(target),
        };
        self.entry(caller, request)
    }

    pub(crate) fn create(&mut self, parent: InodeId, name: &str) -> Result<(InodeId, HandleId), Errno> {
        let request = Request::Create {
            parent,
            name: Text::from(name),
            mode: 0o100_644,
            flags: O_CREAT | O_RDWR,
        };
        match self.call(ALICE, request)? {
            Reply::Created(entry, opened) => Ok((entry.attributes.unwrap().inode, opened.handle)),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn unlink(&mut self, parent: InodeId, name: &str) -> Result<Reply, Errno> {
        let name = Text::from(name);
        self.call(ALICE, Request::Unlink { parent, name })
    }

    pub(crate) fn rmdir(&mut self, parent: InodeId, name: &str) -> Result<Reply, Errno> {
        let name = Text::from(name);
        self.call(ALICE, Request::RemoveDirectory { parent, name })
    }

    pub(crate) fn rename(
        &mut self,
        from: (InodeId, &str),
        to: (InodeId, &str),
        flags: u32,
    ) -> Result<Reply, Errno> {
        self.call(ALICE, rename(from, to, flags))
    }

    pub(crate) fn open_directory(&mut self, inode: InodeId) -> Result<HandleId, Errno> {
        match self.call(ALICE, Request::OpenDirectory { inode, flags: 0 })? {
            Reply::Opened(opened) => Ok(opened.handle),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn read_directory(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        cookie: u64,
        bytes: u32,
        plus: bool,
    ) -> Result<Vec<DirectoryItem>, Errno> {
        let request = Request::ReadDirectory {
            inode,
            handle,
            cookie,
            bytes,
            plus,
        };
        match self.call(ALICE, request)? {
            Reply::Directory(items) => {
                let taken: usize = items.iter().map(|item| item_bytes(item, plus)).sum();
                assert!(taken <= bytes as usize, "{taken} of {bytes} bytes");
                Ok(items)
            }
            other => panic!("{other:?}"),
        }
    }

    /// All items from a cookie to the end.
    pub(crate) fn read_all(
        &mut self,
        inode: InodeId,
        handle: HandleId,
        mut cookie: u64,
        plus: bool,
    ) -> Vec<DirectoryItem> {
        let mut all = Vec::new();
        loop {
            let items = self.read_directory(inode, handle, cookie, 4096, plus).unwrap();
            let Some(last) = items.last() else {
                return all;
            };
            cookie = last.cookie;
            all.extend(items);
        }
    }

    /// Names of a directory, through a handle of its own.
    pub(crate) fn names(&mut self, inode: InodeId) -> Vec<String> {
        let handle = self.open_directory(inode).unwrap();
        let items = self.read_all(inode, handle, 0, false);
        let request = Request::ReleaseDirectory { inode, handle };
        assert_eq!(self.call(ALICE, request), Ok(Reply::Done));
        items.iter().map(|item| item.name.to_string()).collect()
    }

    /// What another client of the cluster asks.
    pub(crate) fn elsewhere(
        &mut self,
        request: impl FnOnce(ReqBase) -> meta::Request,
    ) -> Result<meta::Response, Status> {
        self.requests = self.requests.wrapping_add(1);
        let mut uuid = [9; 16];
        uuid[..8].copy_from_slice(&(self.host.cluster().meta_log.len() as u64 + 1).to_le_bytes());
        uuid[8] = self.requests;
        let base = ReqBase {
            user: UserInfo {
                uid: ROOT_USER.uid,
                gid: ROOT_USER.gid,
                groups: Vec::new(),
                token: flyer_types::Token::default(),
            },
            client: ClientId {
                uuid: Uuid([8; 16]),
                hostname: Text::from("elsewhere"),
            },
            forward: flyer_types::ids::NodeId(0),
            uuid: Uuid(uuid),
        };
        let now = self.host.now;
        self.host.cluster().ask(now, request(base))
    }

    pub(crate) fn link_elsewhere(&mut self, parent: InodeId, name: &str) -> Inode {
        let path = at(parent, name);
        let request = |base| {
            let target = Text::from("x");
            SymlinkReq { base, path, target }.into()
        };
        match self.elsewhere(request).unwrap() {
            meta::Response::Symlink(response) => response.stat,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn mkdir_elsewhere(&mut self, parent: InodeId, name: &str) {
        let path = at(parent, name);
        let request = |base| {
            MkdirsReq {
                base,
                path,
                perm: Permission(0o777),
                recursive: false,
                layout: None,
            }
            .into()
        };
        self.elsewhere(request).unwrap();
    }

    pub(crate) fn remove_elsewhere(&mut self, parent: InodeId, name: &str) -> Result<(), Status> {
        let path = at(parent, name);
        let request = |base| {
            RemoveReq {
                base,
                path,
                at_flags: AtFlags::empty(),
                recursive: true,
                check_type: false,
                inode_id: None,
            }
            .into()
        };
        self.elsewhere(request).map(|_| ())
    }

    pub(crate) fn rename_elsewhere(&mut self, from: (InodeId, &str), to: (InodeId, &str)) {
        let (src, dest) = (at(from.0, from.1), at(to.0, to.1));
        let request = |base| {
            RenameReq {
                base,
                src,
                dest,
                move_to_trash: false,
                inode_id: None,
            }
            .into()
        };
        self.elsewhere(request).unwrap();
    }
}

pub(crate) fn at(parent: InodeId, name: &str) -> PathAt {
    PathAt {
        parent,
        path: Some(Text::from(name)),
    }
}

pub(crate) fn rename(from: (InodeId, &str), to: (InodeId, &str), flags: u32) -> Request {
    Request::Rename {
        parent: from.0,
        name: Text::from(from.1),
        to_parent: to.0,
        to_name: Text::from(to.1),
        flags,
    }
}

/// Inodes that all shards know.
fn known(host: &Host) -> usize {
    host.shards.iter().map(|shard| shard.inner().inodes_len()).sum()
}

/// Bytes of an item in the kernel's format.
fn item_bytes(item: &DirectoryItem, plus: bool) -> usize {
    let head = if plus { 152 } else { 24 };
    (head + item.name.len()).div_ceil(8) * 8
}
