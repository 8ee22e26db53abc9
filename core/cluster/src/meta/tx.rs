//! A transaction in terms of the metadata: inodes, entries, sessions and records instead of bytes.

use super::keys;
use super::records::{FileSession, IdempotentRecord};
use crate::store::{Store, Transaction, prefix_end};
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Status, StatusCode};
use flyer_wire::codec::{self, Wire};
use flyer_wire::msg::meta::inode::{DirEntryData, Inode, InodeData, InodeKind, InodeType};

/// Outcome of a step of an operation.
pub(super) type Res<T> = Result<T, Status>;

/// The failure with this code.
pub(super) fn fail<T>(code: StatusCode) -> Res<T> {
    Err(Status::new(code))
}

/// An entry with its name.
pub(super) type Named = (Vec<u8>, DirEntryData);

/// Looks at an entry of the store; a failure ends the scan.
pub(super) type Show<'a> = dyn FnMut(&[u8], &[u8]) -> Res<()> + 'a;

/// Reads and writes of one operation.
#[derive(Debug)]
pub(super) struct Tx<'a, S> {
    t: Transaction<'a, S>,
}

/// The kind of an inode, as entries note it.
pub(super) fn type_of(inode: &InodeData) -> InodeType {
    match inode.kind {
        InodeKind::File(_) => InodeType::FILE,
        InodeKind::Directory(_) => InodeType::DIRECTORY,
        InodeKind::Symlink(_) => InodeType::SYMLINK,
    }
}

/// Reads a stored value.
pub(super) fn decode<T: Wire>(bytes: &[u8]) -> Res<T> {
    codec::decode(bytes)
        .map_err(|error| Status::with_message(StatusCode::DATA_CORRUPTION, format!("{error}")))
}

impl<'a, S: Store> Tx<'a, S> {
    /// A transaction without writes.
    pub(super) fn new(store: &'a mut S) -> Self {
        Self {
            t: Transaction::new(store),
        }
    }

    /// Makes the writes real, all or none.
    pub(super) fn commit(self) -> Res<()> {
        self.t.commit().map_err(Status::from)
    }

    /// A raw value.
    pub(super) fn raw(&self, key: &[u8]) -> Res<Option<Vec<u8>>> {
        self.t.get(key).map_err(Status::from)
    }

    /// Puts a raw value.
    pub(super) fn put_raw(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.t.put(key, value);
    }

    /// Deletes a key.
    pub(super) fn delete_raw(&mut self, key: Vec<u8>) {
        self.t.delete(key);
    }

    fn value<T: Wire>(&self, key: &[u8]) -> Res<Option<T>> {
        self.raw(key)?.map(|bytes| decode(&bytes)).transpose()
    }

    /// An inode, if there is one.
    pub(super) fn find_inode(&self, id: InodeId) -> Res<Option<Inode>> {
        Ok(self.value(&keys::inode(id))?.map(|base| Inode { base, id }))
    }

    /// An inode that has to be there: `Meta::NotFound` otherwise.
    pub(super) fn inode(&self, id: InodeId) -> Res<Inode> {
        self.find_inode(id)?
            .ok_or_else(|| Status::new(StatusCode::META_NOT_FOUND))
    }

    /// The inode that an entry names: `Meta::Inconsistent` if it is missing or of another kind.
    pub(super) fn inode_of(&self, entry: &DirEntryData) -> Res<Inode> {
        match self.find_inode(entry.id)? {
            Some(inode) if type_of(&inode.base) == entry.kind => Ok(inode),
            Some(_) | None => fail(StatusCode::META_INCONSISTENT),
        }
    }

    /// Stores an inode.
    pub(super) fn put_inode(&mut self, inode: &Inode) {
        debug_assert!(
            !inode.id.is_tree_root() || matches!(inode.base.kind, InodeKind::Directory(_)),
            "tree roots are directories"
        );
        self.t
            .put(keys::inode(inode.id), codec::encode_to_vec(&inode.base));
    }

    /// Deletes an inode.
    pub(super) fn delete_inode(&mut self, id: InodeId) {
        debug_assert!(!id.is_tree_root(), "tree roots stay");
        self.t.delete(keys::inode(id));
    }

    /// An entry, if there is one.
    pub(super) fn entry(&self, directory: InodeId, name: &[u8]) -> Res<Option<DirEntryData>> {
        self.value(&keys::entry(directory, name))
    }

    /// Stores an entry.
    pub(super) fn put_entry(&mut self, directory: InodeId, name: &[u8], entry: &DirEntryData) {
        debug_assert!(
            !name.is_empty() && !name.contains(&b'/'),
            "names are checked before they are stored"
        );
        debug_assert!(
            entry.dir_acl.is_some() == (entry.kind == InodeType::DIRECTORY),
            "directories, and only they, have a copy"
        );
        debug_assert!(!entry.id.is_tree_root(), "no entry names a tree root");
        self.t
            .put(keys::entry(directory, name), codec::encode_to_vec(entry));
    }

    /// Deletes an entry.
    pub(super) fn delete_entry(&mut self, directory: InodeId, name: &[u8]) {
        self.t.delete(keys::entry(directory, name));
    }

    /// At most `limit` entries of a directory behind the name `after`, in byte order, and whether there are more.
    pub(super) fn entries(&self, directory: InodeId, after: &[u8], limit: usize) -> Res<(Vec<Named>, bool)> {
        self.entries_of(directory, &[], after, limit)
    }

    /// The same, only names with this prefix.
    pub(super) fn entries_of(
        &self,
        directory: InodeId,
        prefix: &[u8],
        after: &[u8],
        limit: usize,
    ) -> Res<(Vec<Named>, bool)> {
        let key_prefix = keys::entry(directory, prefix);
        let mut from = keys::entry(directory, after);
        // The first key behind a key is the key with a zero byte appended; without a name there is no key to skip.
        if !after.is_empty() {
            from.push(0);
        }
        let from = from.max(key_prefix.clone());
        let skip = keys::entry(directory, &[]).len();
        let mut found = Vec::new();
        let more = self.scan(&from, &key_prefix, limit, &mut |key, value| {
            found.push((key.get(skip..).unwrap_or_default().to_vec(), decode(value)?));
            Ok(())
        })?;
        Ok((found, more))
    }

    /// Shows at most `limit` values from `from` on whose keys begin with `prefix`; whether there are more.
    pub(super) fn scan(&self, from: &[u8], prefix: &[u8], limit: usize, show: &mut Show<'_>) -> Res<bool> {
        let Some(to) = prefix_end(prefix) else {
            return fail(StatusCode::META_FOUND_BUG);
        };
        let mut outcome = Ok(());
        let mut shown = 0;
        let mut more = false;
        self.t
            .scan(from, &to, &mut |key, value| {
                if shown == limit {
                    more = true;
                    return false;
                }
                shown += 1;
                outcome = show(key, value);
                outcome.is_ok()
            })
            .map_err(Status::from)?;
        outcome.map(|()| more)
    }

    /// Whether a directory has no entries.
    pub(super) fn is_empty(&self, directory: InodeId) -> Res<bool> {
        let (found, _) = self.entries(directory, &[], 1)?;
        Ok(found.is_empty())
    }

    /// Whether there are write sessions of the inode.
    pub(super) fn has_session(&self, inode: InodeId) -> Res<bool> {
        let prefix = keys::sessions_of(inode);
        let mut found = false;
        self.scan(&prefix, &prefix, 1, &mut |_, _| {
            found = true;
            Ok(())
        })?;
        Ok(found)
    }

    /// Stores a write session.
    pub(super) fn put_session(&mut self, session: &FileSession) {
        self.t.put(
            keys::session(session.inode, session.session),
            codec::encode_to_vec(session),
        );
    }

    /// The answer kept for a request.
    pub(super) fn record(&self, request: Uuid, client: Uuid) -> Res<Option<IdempotentRecord>> {
        self.value(&keys::record(request, client))
    }

    /// Keeps the answer to a request.
    pub(super) fn put_record(&mut self, record: &IdempotentRecord) {
        self.t.put(
            keys::record(record.request, record.client),
            codec::encode_to_vec(record),
        );
    }
}
