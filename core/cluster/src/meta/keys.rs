//! Keys of the metadata in the store, byte for byte upstream's.
//!
//! | bytes | value |
//! |---|---|
//! | `INOD` + inode (8, little endian) | `InodeData` |
//! | `DENT` + directory (8, little endian) + name | `DirEntryData` |
//! | `INOS` + inode (8, little endian) + session (16) | [`FileSession`](super::records::FileSession) |
//! | `IDEM` + request (16) + client (16) | [`IdempotentRecord`](super::records::IdempotentRecord) |
//! | `SING-inode-alloc-<n>` | counter of shard `n`, u64 little endian |
//!
//! Source: `src/common/kv/KeyPrefix-def.h`, `src/meta/store/{Inode,DirEntry,FileSession}.cc`, `src/meta/store/Idempotent.h`,
//! `src/common/utils/IdAllocator.h` upstream.

use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{InodeId, Uuid};

/// Begins the keys of inodes.
pub(super) const INODE: &[u8; 4] = b"INOD";
/// Begins the keys of directory entries.
pub(super) const ENTRY: &[u8; 4] = b"DENT";
/// Begins the keys of write sessions.
pub(super) const SESSION: &[u8; 4] = b"INOS";
/// Begins the keys of answers kept for retries.
pub(super) const RECORD: &[u8; 4] = b"IDEM";

/// Sessions that clients asked to drop are kept under this inode, which never exists.
pub(super) const PRUNE_INODE: InodeId = InodeId::INVALID;

/// The key of an inode.
pub(super) fn inode(id: InodeId) -> Vec<u8> {
    join(INODE, &id.0.to_le_bytes(), &[])
}

/// The key of an entry; with an empty name the prefix of all entries of the directory.
pub(super) fn entry(directory: InodeId, name: &[u8]) -> Vec<u8> {
    join(ENTRY, &directory.0.to_le_bytes(), name)
}

/// The key of a session.
pub(super) fn session(inode: InodeId, session: Uuid) -> Vec<u8> {
    join(SESSION, &inode.0.to_le_bytes(), &session.0)
}

/// The prefix of all sessions of an inode.
pub(super) fn sessions_of(inode: InodeId) -> Vec<u8> {
    join(SESSION, &inode.0.to_le_bytes(), &[])
}

/// The key of the answer kept for a request.
pub(super) fn record(request: Uuid, client: Uuid) -> Vec<u8> {
    join(RECORD, &request.0, &client.0)
}

/// The key of a shard of the inode id counter.
pub(super) fn id_counter(shard: u64) -> Vec<u8> {
    format!("SING-inode-alloc-{shard}").into_bytes()
}

/// The inode of an `INOD`, `DENT` or `INOS` key, and what follows it. `None` if the key is too short.
pub(super) fn split(key: &[u8]) -> Option<(InodeId, &[u8])> {
    let (id, rest) = key.get(4..)?.split_first_chunk::<8>()?;
    Some((InodeId(u64::from_le_bytes(*id)), rest))
}

fn join(prefix: &[u8; 4], first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + first.len() + second.len());
    key.extend_from_slice(prefix);
    key.extend_from_slice(first);
    key.extend_from_slice(second);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_upstreams() {
        assert_eq!(inode(InodeId(0x1000)), b"INOD\x00\x10\x00\x00\x00\x00\x00\x00");
        assert_eq!(
            entry(InodeId(1), b"ab"),
            b"DENT\x01\x00\x00\x00\x00\x00\x00\x00ab"
        );
        assert_eq!(session(InodeId(2), Uuid([7; 16])).len(), 28);
        assert_eq!(record(Uuid([1; 16]), Uuid([2; 16])).len(), 36);
        assert_eq!(id_counter(31), b"SING-inode-alloc-31");
        assert_eq!(split(&entry(InodeId(9), b"x")), Some((InodeId(9), &b"x"[..])));
        assert_eq!(split(b"DENT123"), None);
    }
}
