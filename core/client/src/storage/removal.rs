//! Removal of the chunks of one chain: round by round, and around fences.
//!
//! ```text
//!            some removed, more there          nothing left            next fence
//!   round ──────────────────────────► round ─────────────────► done ◄─────────────► round of the rest
//!                                        │ nothing found, but a late request could make a chunk
//!                                        └──► trace: an empty chunk is made ──► round
//! ```
//!
//! Owner: [`StorageIo`]. The count of a server is not trusted to be complete, only to tell whether there was anything.

use super::answer::Failure;
use super::channels::{Ended, Touched};
use super::order::Chunks;
use super::part::{Body, PartId, Stage};
use super::{StorageIo, Work};
use flyer_types::ids::InodeId;
use flyer_types::status::StorageCall;
use flyer_types::{Status, StatusCode, Time};
use flyer_wire::msg::storage::io::IoResult;
use flyer_wire::msg::storage::range::RemoveChunksResult;

impl<O> StorageIo<O> {
    /// A round of a removal.
    pub(super) fn removal_done(&mut self, now: Time, id: PartId, result: RemoveChunksResult) {
        let removed = result.num_chunks_removed > 0;
        if let Err(status) = result.status_code {
            return self.part_failed(now, id, Failure::answered(status, StorageCall::Update));
        }
        if result.more_chunks_in_range && !removed {
            let status = Status::with_message(
                StatusCode::STORAGE_CLIENT_SERVER_ERROR,
                "no chunk was removed although there are some",
            );
            return self.part_failed(now, id, Failure::answered(status, StorageCall::Update));
        }
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        let Some(op) = self.ops.get_mut(part.op) else {
            return;
        };
        if removed {
            // The server knows a newer number now: what is still under way comes too late.
            part.retry.succeeded(now);
            op.deadline = op.deadline.max(part.retry.deadline());
            if let Some(update) = &mut part.update {
                update.unsettled = false;
                update.noted = true;
            }
        }
        if op.failed.is_some() {
            return self.part_done(now, id);
        }
        let inode = op.file.inode;
        if result.more_chunks_in_range {
            part.stage = Stage::Going;
            self.work.push_back(Work::Part(id));
            return;
        }
        self.range_removed(now, id, inode);
    }

    /// Nothing is left of what the removal could reach; chunks behind another fence come next.
    fn range_removed(&mut self, now: Time, id: PartId, inode: InodeId) {
        let Some(Body::Remove { chunks, until, .. }) = self.parts.get(id).map(|part| &part.body) else {
            unreachable!("a removal was answered that is none");
        };
        let (all, until) = (*chunks, *until);
        let removed = Chunks {
            from: all.from,
            to: until,
        };
        if self.leave_trace(id, inode, removed) {
            return;
        }
        let noted = self
            .parts
            .get(id)
            .and_then(|part| part.update)
            .is_some_and(|update| update.noted);
        let ended = if noted {
            Ended::Acknowledged
        } else {
            Ended::Settled
        };
        self.release_channel(now, id, ended);
        let Some(from) = u32::try_from(until).ok().filter(|_| until < all.to) else {
            return self.part_done(now, id);
        };
        flyer_types::mark!("client.removal_around_fence");
        if let Some(part) = self.parts.get_mut(id) {
            part.body = Body::Remove {
                slot: part.body.slot(1),
                chunks: Chunks { from, to: all.to },
                until: all.to,
                trace: None,
            };
            part.stage = Stage::Going;
            self.work.push_back(Work::Part(id));
        }
    }

    /// A removal found nothing, and so the server took no note of its channel. If a late request on that channel could make a chunk
    /// in the range, the server has to take note: an empty chunk is made, and removed in the next round.
    fn leave_trace(&mut self, id: PartId, inode: InodeId, removed: Chunks) -> bool {
        let request = self.next_request();
        let Some(part) = self.parts.get_mut(id) else {
            return false;
        };
        let (Some(update), Some(chain)) = (&mut part.update, part.chain) else {
            return false;
        };
        let touched = Touched {
            chain,
            inode,
            chunks: removed,
            creates: None,
        };
        let Some(chunk) = self.channels.creates_within(update.channel, &touched) else {
            return false;
        };
        if update.noted {
            return false;
        }
        flyer_types::mark!("client.removal_leaves_trace");
        update.request = request;
        update.seq = self.channels.sequence(1);
        if let Body::Remove { trace, .. } = &mut part.body {
            *trace = Some(chunk);
        }
        part.stage = Stage::Going;
        self.work.push_back(Work::Part(id));
        true
    }

    /// The empty chunk was made: the server has taken note of the channel, and the removal goes on.
    pub(super) fn trace_left(&mut self, now: Time, id: PartId, result: IoResult) {
        if let Err(status) = result.length_info {
            return self.part_failed(now, id, Failure::answered(status, StorageCall::Update));
        }
        let Some(part) = self.parts.get_mut(id) else {
            return;
        };
        if let Body::Remove { trace, .. } = &mut part.body {
            *trace = None;
        }
        if let Some(update) = &mut part.update {
            update.unsettled = false;
            update.noted = true;
        }
        if self.ops.get(part.op).is_none_or(|op| op.failed.is_some()) {
            self.release_channel(now, id, Ended::Acknowledged);
            return self.part_done(now, id);
        }
        part.stage = Stage::Going;
        self.work.push_back(Work::Part(id));
    }
}
