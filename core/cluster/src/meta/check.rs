//! Invariants of the store. Slow: reads everything.
//!
//! 1. Each entry lies in a directory, and names an inode of its kind; entries of directories have its ACL.
//! 2. A file or symbolic link has as many links as entries. A directory has one entry, which its inode knows, and counts its
//!    subdirectories unless it counts nothing.
//! 3. What has no links is a file or directory, and has one entry in the collector's directory.
//! 4. Each session is of an inode that exists, or is a request to drop one.

use super::MetaServer;
use super::keys::{self, PRUNE_INODE};
use super::ops::unlink::gc_since;
use super::records::{FileSession, IdempotentRecord};
use super::tx::{Named, decode, type_of};
use crate::store::{Store, prefix_end};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_wire::codec::Wire;
use flyer_wire::msg::meta::inode::{DirEntryData, InodeData, InodeKind, InodeType};

/// All that is stored.
#[derive(Default)]
struct Content {
    inodes: BTreeMap<InodeId, InodeData>,
    entries: BTreeMap<InodeId, Vec<Named>>,
}

impl<S: Store, C> MetaServer<S, C> {
    /// Asserts the invariants of the store.
    pub(super) fn check_store(&self) {
        let mut content = Content::default();
        self.each(keys::INODE, &mut |key, data: InodeData| {
            let (id, rest) = keys::split(key).expect("keys of inodes have an id");
            assert!(rest.is_empty(), "the key of {id} is too long");
            content.inodes.insert(id, data);
        });
        self.each(keys::ENTRY, &mut |key, entry: DirEntryData| {
            let (parent, name) = keys::split(key).expect("keys of entries have a directory");
            content
                .entries
                .entry(parent)
                .or_default()
                .push((name.to_vec(), entry));
        });
        self.each(keys::SESSION, &mut |key, session: FileSession| {
            let (id, _) = keys::split(key).expect("keys of sessions have an inode");
            assert!(
                id == session.inode,
                "a session of {} is stored under {id}",
                session.inode
            );
            assert!(
                id == PRUNE_INODE || content.inodes.contains_key(&id),
                "a session of {id}, which is gone"
            );
        });
        self.each(keys::RECORD, &mut |_, record: IdempotentRecord| {
            assert!(!record.request.is_zero(), "an answer to nobody");
        });
        content.check_entries();
        for (id, data) in &content.inodes {
            self.check_links(*id, data, &content);
        }
    }

    fn each<T: Wire>(&self, prefix: &[u8], show: &mut dyn FnMut(&[u8], T)) {
        let to = prefix_end(prefix).expect("the prefix is text");
        self.store
            .scan(prefix, &to, &mut |key, value| {
                show(key, decode(value).expect("what is stored can be read"));
                true
            })
            .expect("the store can be read");
    }

    fn check_links(&self, id: InodeId, data: &InodeData, content: &Content) {
        let gc = self.core.gc_directory;
        let named =
            |parent: &InodeId, entry: &Named| (*parent == gc) == (data.nlink == 0) && entry.1.id == id;
        let all = content
            .entries
            .iter()
            .flat_map(|(parent, entries)| entries.iter().map(move |entry| (parent, entry)));
        let names: Vec<_> = all.filter(|(_, entry)| entry.1.id == id).collect();
        let fitting = names
            .iter()
            .filter(|(parent, entry)| named(parent, entry))
            .count();
        assert!(
            fitting == names.len(),
            "{id} has {} links, and a name at the wrong place",
            data.nlink
        );
        if data.nlink == 0 {
            assert!(
                names.len() == 1,
                "{id} was removed and waits {} times",
                names.len()
            );
            assert!(
                !matches!(data.kind, InodeKind::Symlink(_)),
                "the link {id} was removed and is still there"
            );
            assert!(
                names.iter().all(|(_, entry)| gc_since(&entry.0).is_some()),
                "{id} waits since never"
            );
            return;
        }
        let InodeKind::Directory(directory) = &data.kind else {
            assert!(
                names.len() == usize::from(data.nlink),
                "{id} has {} links, {} names",
                data.nlink,
                names.len()
            );
            return;
        };
        if id.is_tree_root() {
            assert!(names.is_empty() && directory.parent == id, "a root has a parent");
        } else {
            let known = |(parent, entry): &(&InodeId, &Named)| {
                **parent == directory.parent && entry.0 == directory.name.as_bytes()
            };
            assert!(
                names.len() == 1 && names.iter().all(known),
                "the directory {id} does not know its name"
            );
        }
        let inside = content.entries.get(&id).map_or(0, |entries| {
            entries
                .iter()
                .filter(|entry| entry.1.kind == InodeType::DIRECTORY)
                .count()
        });
        let counted = usize::from(data.nlink);
        assert!(
            counted == 1 || counted == inside + 2 || id == gc || id == InodeId::GC_ROOT,
            "the directory {id} has {counted} links and holds {inside} directories"
        );
    }
}

impl Content {
    fn check_entries(&self) {
        for (parent, entries) in &self.entries {
            let holder = self.inodes.get(parent).map(type_of);
            assert!(
                holder == Some(InodeType::DIRECTORY),
                "entries of {parent}, which is {holder:?}"
            );
            for (name, entry) in entries {
                let data = self.inodes.get(&entry.id);
                let kind = data.map(type_of);
                assert!(
                    kind == Some(entry.kind),
                    "{name:?} in {parent} names {}, which is {kind:?}",
                    entry.id
                );
                let acl = data
                    .filter(|_| entry.kind == InodeType::DIRECTORY)
                    .map(|data| data.acl);
                assert!(
                    entry.dir_acl == acl || *parent == InodeId::GC_ROOT,
                    "{name:?} in {parent} has another ACL"
                );
            }
        }
    }
}
