//! Looking at inodes: `stat`, `batchStat`, `batchStatByPath`, `getRealPath`.
//!
//! Source: `src/meta/store/ops/{Stat,GetRealPath}.cc` upstream.

use crate::meta::names::Part;
use crate::meta::op::{Op, directory};
use crate::meta::options::limits::{BATCH_STAT_MAX, CLIMB_DIRECTORIES_MAX};
use crate::meta::resolve::Found;
use crate::meta::tx::{Res, fail};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::status::MetaRetry;
use flyer_types::{StatusCode, Text};
use flyer_wire::codec::Void;
use flyer_wire::msg::meta::attr::{
    BatchStatByPathReq, BatchStatByPathRsp, BatchStatReq, BatchStatRsp, StatReq, StatRsp,
};
use flyer_wire::msg::meta::call::{PathAt, RspBase};
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::msg::meta::namespace::{GetRealPathReq, GetRealPathRsp};

/// The empty part that all answers have.
pub(in crate::meta) const BASE: RspBase = RspBase { dummy: Void };

/// `stat`.
pub(in crate::meta) fn stat<S: Store>(op: &Op<'_, S>, request: &StatReq) -> Res<StatRsp> {
    let stat = one(op, &request.path, request.flags)?;
    Ok(StatRsp { base: BASE, stat })
}

/// `batchStat`.
pub(in crate::meta) fn batch_stat<S: Store>(op: &Op<'_, S>, request: &BatchStatReq) -> Res<BatchStatRsp> {
    if request.inode_ids.len() > BATCH_STAT_MAX {
        return fail(StatusCode::INVALID_ARG);
    }
    let inodes = request
        .inode_ids
        .iter()
        .map(|id| op.tx.find_inode(*id))
        .collect::<Res<Vec<_>>>()?;
    Ok(BatchStatRsp { base: BASE, inodes })
}

/// `batchStatByPath`. Answers that say something about the path are its result; other failures fail the call.
pub(in crate::meta) fn batch_stat_by_path<S: Store>(
    op: &Op<'_, S>,
    request: &BatchStatByPathReq,
) -> Res<BatchStatByPathRsp> {
    if request.paths.len() > BATCH_STAT_MAX {
        return fail(StatusCode::INVALID_ARG);
    }
    let mut inodes = Vec::with_capacity(request.paths.len());
    for path in &request.paths {
        match one(op, path, request.flags) {
            Err(status) if status.code.meta_retry() != MetaRetry::Final => return Err(status),
            result => inodes.push(result),
        }
    }
    Ok(BatchStatByPathRsp { base: BASE, inodes })
}

fn one<S: Store>(op: &Op<'_, S>, path: &PathAt, flags: AtFlags) -> Res<Inode> {
    let inode = op.object_by_flags(path, flags)?;
    if inode.base.nlink == 0 && !op.core.options.stat_deleted {
        return fail(StatusCode::META_NOT_FOUND);
    }
    Ok(inode)
}

/// `getRealPath`.
pub(in crate::meta) fn real_path<S: Store>(op: &Op<'_, S>, request: &GetRealPathReq) -> Res<GetRealPathRsp> {
    let path = if request.path.path.is_none() {
        let inode = op.tx.inode(request.path.parent)?;
        climb(op, &inode, Vec::new())?
    } else {
        let place = op.resolve(&request.path, true)?;
        match (&place.found, request.absolute) {
            (Found::Missing(_), _) => return fail(StatusCode::META_NOT_FOUND),
            (_, false) => normalised(&place.trace),
            (Found::Entry(_), true) => climb(op, &place.parent, alloc::vec![place.name])?,
            (Found::Itself(inode), true) => climb(op, inode, Vec::new())?,
        }
    };
    Ok(GetRealPathRsp {
        base: BASE,
        path: Text::from(path),
    })
}

/// The path from the root to `names`, which are below `inode`, the last first.
fn climb<S: Store>(op: &Op<'_, S>, inode: &Inode, mut names: Vec<Vec<u8>>) -> Res<Vec<u8>> {
    let mut at = directory(inode)?.clone();
    let mut id = inode.id;
    while !id.is_tree_root() {
        if names.len() > CLIMB_DIRECTORIES_MAX {
            return fail(StatusCode::META_INCONSISTENT);
        }
        names.push(at.name.as_bytes().to_vec());
        id = at.parent;
        at = directory(&op.tx.inode(id)?)?.clone();
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Ok(path)
}

/// The path of a directory from the root.
pub(in crate::meta) fn path_of<S: Store>(op: &Op<'_, S>, id: InodeId) -> Res<Vec<u8>> {
    let inode = op.tx.inode(id)?;
    climb(op, &inode, Vec::new())
}

/// `.` removed, `..` collapsed by name; the empty path is `.`.
fn normalised(trace: &[Part]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let absolute = trace.first() == Some(&Part::Root);
    for part in trace {
        match part {
            Part::Root | Part::Here => {}
            Part::Up if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            Part::Up if absolute => {}
            Part::Up => kept.push(b".."),
            Part::Name(name) => kept.push(name),
        }
    }
    let joined = kept.join(&b'/');
    match (absolute, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
