//! Listing a directory.
//!
//! Source: `src/meta/store/ops/List.cc` upstream.

use super::stat::BASE;
use crate::meta::op::{Op, directory};
use crate::meta::options::limits::LIST_ENTRIES_MAX;
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::limits::NAME_BYTES_MAX;
use flyer_types::{StatusCode, Text};
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::inode::DirEntry;
use flyer_wire::msg::meta::namespace::{ListReq, ListRsp};

/// `list`. A page without entries is the last.
pub(in crate::meta) fn list<S: Store>(op: &Op<'_, S>, request: &ListReq) -> Res<ListRsp> {
    let inode = op.object(&request.path, true)?;
    if inode.base.nlink == 0 {
        return fail(StatusCode::META_NOT_FOUND);
    }
    directory(&inode)?;
    op.check(&inode.base.acl, Access::READ)?;
    if request.prev.len() > NAME_BYTES_MAX {
        return fail(StatusCode::META_NAME_TOO_LONG);
    }
    let limit = match usize::try_from(request.limit) {
        Ok(limit) if limit > 0 => limit.min(LIST_ENTRIES_MAX),
        Ok(_) | Err(_) => op.core.options.list_entries_default.clamp(1, LIST_ENTRIES_MAX),
    };
    let (named, more) = op.tx.entries(inode.id, request.prev.as_bytes(), limit)?;
    let mut inodes = Vec::new();
    if request.status {
        inodes = named
            .iter()
            .map(|(_, entry)| op.tx.inode_of(entry))
            .collect::<Res<_>>()?;
    }
    let entries: Vec<_> = named
        .into_iter()
        .map(|(name, base)| DirEntry {
            base,
            parent: inode.id,
            name: Text::from(name),
        })
        .collect();
    debug_assert!(!more || !entries.is_empty(), "clients go on behind the last name");
    Ok(ListRsp {
        base: BASE,
        entries,
        inodes,
        more,
    })
}
