//! The collector of what was removed.
//!
//! ```text
//!   file:       waiting ──due──► removing chunks, round by round ──none left──► inode and entry deleted
//!                  ▲  │ write session: later                │ storage fails: later
//!                  └──┴─────────────────────────────────────┘
//!   directory:  waiting ──due──► a batch of entries unlinked, again and again ──none left──► inode and entry deleted
//! ```
//!
//! What waits is an entry of the collector's directory, in the order of the times in their names; "later" is another name.
//! Permissions were looked at when a tree was removed, and are not looked at again.
//!
//! Limits: `GC_FILES_MAX`, `STORAGE_CALLS_MAX`.
//!
//! Source: `src/meta/components/GcManager.cc` upstream.

use super::batch::slots_in_use;
use super::chains::chains_of;
use super::op::{Op, own_base};
use super::ops::unlink::{GcClass, gc_name, gc_since, unlink};
use super::options::limits::{GC_FILES_MAX, STORAGE_CALLS_MAX};
use super::tx::{Named, Res, Tx};
use super::{CallOwner, MetaServer, Out, STEP, StorageCall};
use crate::store::Store;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::{Effects, Span, Status, StatusCode, Time, WallTime};
use flyer_wire::msg::meta::inode::{DirEntryData, InodeKind, InodeType};
use flyer_wire::msg::storage::chunk::VersionedChainId;
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::range::RemoveChunksResult;

/// A file whose chunks are being removed.
#[derive(Debug)]
struct FileJob {
    /// Its entry.
    name: Vec<u8>,
    entry: DirEntryData,
    class: GcClass,
    /// Chains with chunks that nobody removes right now.
    to_ask: VecDeque<VersionedChainId>,
    outstanding: usize,
    failed: bool,
    /// Its first call has gone out.
    began: bool,
}

/// The collector.
#[derive(Debug)]
pub(super) struct Collector {
    /// When to look for work.
    pub(super) wake: Option<Time>,
    files: BTreeMap<InodeId, FileJob>,
}

impl Collector {
    pub(super) const fn new() -> Self {
        Self {
            wake: None,
            files: BTreeMap::new(),
        }
    }

    /// Looks for work not later than that.
    pub(super) fn wake_at(&mut self, at: Time) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// Begins what is due, and plans the next look.
    pub(super) fn collect(&mut self, now: Time) {
        self.collector.wake = None;
        if !self.core.options.gc.enable {
            return;
        }
        for class in GcClass::ALL {
            let next = match self.collect_class(now, class) {
                Ok(next) => next,
                // The store fails: later.
                Err(_) => Some(now + self.core.options.gc.storage_retry_delay.max(STEP)),
            };
            if let Some(next) = next {
                self.collector.wake_at(next);
            }
        }
    }

    /// Begins what is due of one class. When there is more, if it is known.
    fn collect_class(&mut self, now: Time, class: GcClass) -> Res<Option<Time>> {
        let prefix = [u8::try_from(class.letter()).unwrap_or(b'?'), b'-'];
        let directory = self.core.gc_directory;
        let page = Tx::new(&mut self.store).entries_of(directory, &prefix, &[], 2 * GC_FILES_MAX)?;
        let delay = self.gc_delay(class);
        let wall = self.wall(now);
        for (name, entry) in page.0 {
            if self.collector.files.contains_key(&entry.id) {
                continue;
            }
            let since = gc_since(&name).unwrap_or_default();
            let due_in = i128::from(since.us) + i128::from(delay.as_us()) - i128::from(wall.us);
            if let Ok(due_in @ 1..) = u64::try_from(due_in) {
                return Ok(Some(now + Span::from_us(due_in).max(STEP)));
            }
            if class == GcClass::Directory {
                self.collect_directory(now, &name, &entry)?;
                return Ok(Some(now + STEP));
            }
            if self.collector.files.len() >= GC_FILES_MAX {
                // The end of a file looks again.
                return Ok(None);
            }
            self.begin_file(now, class, name, entry)?;
        }
        Ok(page
            .1
            .then_some(now + STEP)
            .filter(|_| self.collector.files.len() < GC_FILES_MAX))
    }

    fn gc_delay(&self, class: GcClass) -> Span {
        if self.is_space_short() {
            return Span::ZERO;
        }
        self.core.options.gc.delay(class == GcClass::Directory)
    }

    /// Unlinks a batch of what a directory holds; deletes it when it is empty.
    fn collect_directory(&mut self, now: Time, name: &[u8], entry: &DirEntryData) -> Res<()> {
        let base = own_base();
        let clock = self.wall(now);
        let gc_directory = self.core.gc_directory;
        let batch = self.core.options.gc.entries_per_batch.max(1);
        let mut op = Op {
            tx: Tx::new(&mut self.store),
            now: self.core.options.rounded(clock),
            clock,
            core: &mut self.core,
            base: &base,
        };
        let (children, _) = op.tx.entries(entry.id, &[], batch)?;
        if children.is_empty() {
            op.tx.delete_entry(gc_directory, name);
            op.tx.delete_inode(entry.id);
        }
        for (child_name, child) in children {
            op.tx.delete_entry(entry.id, &child_name);
            unlink_child(&mut op, &child, entry)?;
        }
        op.tx.commit()
    }

    /// Begins to remove the chunks of a file, or puts it off.
    fn begin_file(&mut self, now: Time, class: GcClass, name: Vec<u8>, entry: DirEntryData) -> Res<()> {
        let gc = self.core.options.gc;
        let gc_directory = self.core.gc_directory;
        let mut tx = Tx::new(&mut self.store);
        let Some(inode) = tx.find_inode(entry.id)? else {
            tx.delete_entry(gc_directory, &name);
            return tx.commit();
        };
        let has_session = gc.check_session && tx.has_session(entry.id)?;
        let file = match &inode.base.kind {
            InodeKind::File(file) if inode.base.nlink == 0 && !has_session => file,
            InodeKind::File(_) | InodeKind::Directory(_) | InodeKind::Symlink(_) => {
                return self.put_off(now, class, (name, entry), gc.retry_delay);
            }
        };
        let slots = slots_in_use(file, &self.core.options);
        match chains_of(&file.layout, slots, &self.core.routing) {
            Ok(chains) if !chains.is_empty() => {
                let job = FileJob {
                    name,
                    class,
                    to_ask: chains.into(),
                    outstanding: 0,
                    failed: false,
                    began: false,
                    entry: entry.clone(),
                };
                self.collector.files.insert(entry.id, job);
                Ok(())
            }
            Ok(_) | Err(_) => self.put_off(now, class, (name, entry), gc.storage_retry_delay),
        }
    }

    /// Gives what waits a name with which it is due after `wait`.
    fn put_off(&mut self, now: Time, class: GcClass, (name, entry): Named, wait: Span) -> Res<()> {
        flyer_types::mark!("meta.gc_put_off");
        let delay = self.core.options.gc.delay(class == GcClass::Directory);
        // With no delay (space is short) it is due after `wait`, otherwise the delay is part of it.
        let ahead = if self.is_space_short() {
            wait
        } else {
            wait.saturating_sub(delay)
        };
        let behind = if self.is_space_short() {
            Span::ZERO
        } else {
            delay.saturating_sub(wait)
        };
        let us = |span: Span| i64::try_from(span.as_us()).unwrap_or(i64::MAX);
        let since = self
            .wall(now)
            .us
            .saturating_add(us(ahead))
            .saturating_sub(us(behind));
        let mut tx = Tx::new(&mut self.store);
        tx.delete_entry(self.core.gc_directory, &name);
        tx.put_entry(
            self.core.gc_directory,
            &gc_name(class, WallTime::from_us(since), entry.id),
            &entry,
        );
        tx.commit()?;
        self.collector.wake_at(now + wait.max(STEP));
        Ok(())
    }

    /// Calls the storage, as far as the limit of calls allows.
    pub(super) fn ask_for_removals(&mut self, _now: Time, out: &mut Effects<Out<C>>) {
        let mut free = STORAGE_CALLS_MAX.saturating_sub(self.calls_under_way(false));
        let count_max = self.core.options.gc.chunks_per_call.max(1);
        for (id, job) in &mut self.collector.files {
            while free > 0
                && let Some(mut chain) = job.to_ask.pop_front()
            {
                // The chain may have changed since the file was begun.
                if let Some(view) = self.core.routing.chains.get(&chain.chain_id) {
                    chain.chain_ver = view.version;
                }
                let Ok(call_id) = self.calls.insert(CallOwner::Removal(*id, chain)) else {
                    job.to_ask.push_front(chain);
                    return;
                };
                free -= 1;
                job.outstanding += 1;
                let durable = !core::mem::replace(&mut job.began, true);
                let call = StorageCall::RemoveChunks {
                    chain,
                    range: ChunkId::range_of_file(*id, 0, count_max),
                };
                out.push(Out::Storage {
                    id: call_id,
                    call,
                    durable,
                });
            }
        }
    }

    /// One chain has removed some chunks.
    pub(super) fn handle_removed(
        &mut self,
        now: Time,
        id: InodeId,
        chain: VersionedChainId,
        result: Result<RemoveChunksResult, Status>,
    ) {
        let Some(job) = self.collector.files.get_mut(&id) else {
            return;
        };
        debug_assert!(job.outstanding > 0, "nobody was asked");
        job.outstanding -= 1;
        let more = result.and_then(|result| result.status_code.map(|_| result.more_chunks_in_range));
        match more {
            Ok(true) if !job.failed => job.to_ask.push_back(chain),
            Ok(_) => {}
            Err(_) => {
                job.failed = true;
                job.to_ask.clear();
            }
        }
        if job.outstanding > 0 || !job.to_ask.is_empty() {
            return;
        }
        let Some(job) = self.collector.files.remove(&id) else {
            return;
        };
        let wait = self.core.options.gc.storage_retry_delay;
        let ended = if job.failed {
            self.put_off(now, job.class, (job.name, job.entry), wait)
        } else {
            self.end_file(id, &job.name)
        };
        // There may be more to do; a store that fails is tried again.
        self.collector
            .wake_at(now + if ended.is_ok() { STEP } else { wait.max(STEP) });
    }

    /// A file without chunks is gone.
    fn end_file(&mut self, id: InodeId, name: &[u8]) -> Res<()> {
        let mut tx = Tx::new(&mut self.store);
        tx.delete_entry(self.core.gc_directory, name);
        tx.delete_inode(id);
        tx.commit()
    }
}

/// Unlinks what a removed directory holds.
fn unlink_child<S: Store>(op: &mut Op<'_, S>, child: &DirEntryData, directory: &DirEntryData) -> Res<()> {
    let inode = match op.tx.inode_of(child) {
        Ok(inode) => inode,
        Err(status) if status.code == StatusCode::META_INCONSISTENT => return Ok(()),
        Err(status) => return Err(status),
    };
    if child.kind == InodeType::DIRECTORY && op.tx.is_empty(child.id)? {
        op.tx.delete_inode(child.id);
        return Ok(());
    }
    let info = if child.kind == InodeType::DIRECTORY {
        directory.gc_info.clone()
    } else {
        None
    };
    unlink(op, inode, info)
}
