//! From a range of a file to parts: a plan is made of steps, and each step yields parts one by one.
//!
//! ```text
//!   read, write      one part per piece of a chunk
//!   truncate         removal per chain ── all done ──► length of the last chunk
//!   punch            zeros over both ends, removal per chain of what lies between
//!   length           last chunk per chain
//!   chunks           one query per index
//! ```
//!
//! Owner: [`StorageIo`](super::StorageIo). Source: `src/fuse/PioV.cc`, `src/fbs/meta/FileOperation.cc` upstream, with 64-bit
//! arithmetic throughout.

use super::options::Options;
use super::options::limits_fixed::{CHUNKS_QUERIED_MAX, STRIPE_CHAINS_MAX};
use super::order::Chunks;
use super::part::Body;
use super::{FileView, Want};
use flyer_types::{Lease, Segments, Status, StatusCode};
use flyer_wire::msg::meta::inode::LayoutChains;
use smallvec::SmallVec;

/// One more than the largest index of a chunk.
pub(super) const CHUNKS_END: u64 = 1 << 32;

/// Something that yields parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Read {
        at: u64,
        into: Lease,
    },
    Write {
        at: u64,
        from: Segments,
        done: u64,
    },
    Zero {
        at: u64,
        end: u64,
    },
    /// Of the `count` slots from that of the first chunk on, those from the `next`-th on.
    Remove {
        next: u32,
        count: u32,
        chunks: Chunks,
    },
    /// Nothing before all parts so far have ended.
    Barrier,
    Cut {
        chunk: u32,
        length: u32,
    },
    Last {
        next: u32,
    },
    Exists {
        next: u64,
        end: u64,
    },
}

/// Steps, the first one last.
pub(super) type Steps = SmallVec<[Step; 1]>;

/// What an operation will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) steps: Steps,
    /// The chunks that it changes.
    pub(super) claim: Option<Chunks>,
}

/// The arithmetic of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    chunk_size: u64,
    pub(super) stripe_size: u32,
    /// Slots that may hold chunks.
    pub(super) slots: u32,
}

fn fail<T>(code: StatusCode, why: &str) -> Result<T, Status> {
    Err(Status::with_message(code, why))
}

impl Shape {
    /// # Errors
    /// If the layout is none that chunks can be found with.
    pub(super) fn new(file: &FileView) -> Result<Self, Status> {
        let layout = &file.layout;
        let stripe = 1..=STRIPE_CHAINS_MAX;
        let empty = matches!(layout.chains, LayoutChains::Empty(_));
        if empty || !layout.chunk_size.is_power_of_two() || !stripe.contains(&layout.stripe_size) {
            return Err(Status::new(StatusCode::META_INVALID_FILE_LAYOUT));
        }
        Ok(Self {
            chunk_size: u64::from(layout.chunk_size),
            stripe_size: layout.stripe_size,
            slots: match file.stripe {
                0 => layout.stripe_size,
                stripe => stripe.min(layout.stripe_size),
            },
        })
    }

    /// Index of the chunk that holds a byte, and the byte's place in it.
    fn place(self, at: u64) -> (u32, u32) {
        let chunk =
            u32::try_from(at / self.chunk_size).expect("plans end before the last possible chunk does");
        let off = u32::try_from(at % self.chunk_size).expect("a chunk size has 32 bits");
        (chunk, off)
    }

    /// Whether a byte is not the first of its chunk.
    pub(super) const fn is_inside_chunk(self, at: u64) -> bool {
        !at.is_multiple_of(self.chunk_size)
    }

    /// Chunks that hold the bytes from `at` up to `end`, which is behind `at`.
    fn chunks(self, at: u64, end: u64) -> Chunks {
        Chunks {
            from: self.place(at).0,
            to: end.div_ceil(self.chunk_size),
        }
    }

    /// # Errors
    /// If no chunk can reach that far.
    fn end_of(self, at: u64, length: u64) -> Result<u64, Status> {
        let too_large = || Status::new(StatusCode::META_FILE_TOO_LARGE);
        let end = at.checked_add(length).ok_or_else(too_large)?;
        if end > self.chunk_size * CHUNKS_END {
            return Err(too_large());
        }
        Ok(end)
    }

    /// Chunks that may exist: all, or the first ones while the stripe is not complete.
    pub(super) const fn indexes_end(self) -> u64 {
        if self.slots < self.stripe_size {
            self.slots as u64
        } else {
            CHUNKS_END
        }
    }

    /// # Errors
    /// If chunks would be written that the stripe does not allow: nobody would find them again.
    fn check_stripe(self, chunks: Chunks) -> Result<(), Status> {
        if chunks.to > self.indexes_end() {
            return fail(
                StatusCode::STORAGE_CLIENT_INVALID_ARG,
                "the stripe of the file does not reach that far",
            );
        }
        Ok(())
    }
}

/// The plan for what is wanted.
///
/// # Errors
/// If it is not possible with this layout.
pub(super) fn plan(file: &FileView, want: Want, options: &Options) -> Result<Plan, Status> {
    let shape = Shape::new(file)?;
    let mut plan = Plan {
        steps: Steps::new(),
        claim: None,
    };
    match want {
        Want::Read { offset, into } => {
            shape.end_of(offset, u64::from(into.len))?;
            if !into.is_empty() {
                plan.steps.push(Step::Read { at: offset, into });
            }
        }
        Want::Write { offset, from } => {
            let end = shape.end_of(offset, from.len_bytes())?;
            if end > offset {
                let chunks = shape.chunks(offset, end);
                shape.check_stripe(chunks)?;
                plan.claim = Some(chunks);
                plan.steps.push(Step::Write {
                    at: offset,
                    from,
                    done: 0,
                });
            }
        }
        Want::Truncate { length } => truncate(shape, length, &mut plan)?,
        Want::Punch {
            offset,
            length,
            file_length,
        } => punch(shape, (offset, length, file_length), options, &mut plan)?,
        Want::Length => plan.steps.push(Step::Last { next: 0 }),
        Want::Chunks { from, to } => {
            if to.saturating_sub(from) > CHUNKS_QUERIED_MAX {
                return fail(
                    StatusCode::STORAGE_CLIENT_INVALID_ARG,
                    "too many chunks are asked for",
                );
            }
            let end = u64::from(to).min(shape.indexes_end());
            plan.steps.push(Step::Exists {
                next: u64::from(from),
                end,
            });
        }
    }
    Ok(plan)
}

fn truncate(shape: Shape, length: u64, plan: &mut Plan) -> Result<(), Status> {
    shape.end_of(0, length)?;
    let keep = length.div_ceil(shape.chunk_size);
    let mut claim = Chunks {
        from: 0,
        to: CHUNKS_END,
    };
    if let Some(last) = keep.checked_sub(1) {
        let (chunk, _) = shape.place(last * shape.chunk_size);
        let kept = Chunks {
            from: chunk,
            to: keep,
        };
        shape.check_stripe(kept)?;
        claim.from = chunk;
        let length = u32::try_from(length - last * shape.chunk_size).expect("a chunk size has 32 bits");
        plan.steps.push(Step::Cut { chunk, length });
        plan.steps.push(Step::Barrier);
    }
    plan.claim = Some(claim);
    // Behind the last possible chunk there is nothing to remove.
    if let Ok(from) = u32::try_from(keep) {
        plan.steps.push(remove(shape, Chunks { from, to: CHUNKS_END }));
    }
    Ok(())
}

fn punch(
    shape: Shape,
    (offset, length, file_length): (u64, u64, u64),
    options: &Options,
    plan: &mut Plan,
) -> Result<(), Status> {
    let end = offset.saturating_add(length).min(file_length);
    shape.end_of(0, end)?;
    if offset >= end {
        return Ok(());
    }
    let chunks = shape.chunks(offset, end);
    shape.check_stripe(chunks)?;
    plan.claim = Some(chunks);
    // The last chunk says how long the file is: it stays.
    let last = file_length.div_ceil(shape.chunk_size) - 1;
    let whole_to = (end / shape.chunk_size).min(last);
    let whole_from = offset.div_ceil(shape.chunk_size);
    let mut zero = |at: u64, end: u64| {
        if at < end {
            plan.steps.push(Step::Zero { at, end });
        }
    };
    if whole_from < whole_to {
        zero(offset, whole_from * shape.chunk_size);
        zero(whole_to * shape.chunk_size, end);
    } else {
        zero(offset, end);
    }
    if !plan.steps.is_empty() && options.zeros.is_empty() {
        return fail(
            StatusCode::STORAGE_CLIENT_INVALID_ARG,
            "the range has to consist of whole chunks",
        );
    }
    if whole_from < whole_to {
        let (from, _) = shape.place(whole_from * shape.chunk_size);
        plan.steps.push(remove(shape, Chunks { from, to: whole_to }));
    }
    Ok(())
}

/// Removal from every chain that may hold some of these chunks.
fn remove(shape: Shape, chunks: Chunks) -> Step {
    let count = chunks.to - u64::from(chunks.from);
    Step::Remove {
        next: 0,
        count: u32::try_from(count).map_or(shape.stripe_size, |count| count.min(shape.stripe_size)),
        chunks,
    }
}

/// The next part of a step; `None` if there is none any more.
pub(super) fn next_part(step: &mut Step, shape: Shape, options: &Options) -> Option<Body> {
    match step {
        Step::Read { at, into } => {
            if into.is_empty() {
                return None;
            }
            let (chunk, off) = shape.place(*at);
            let len = piece(shape, off, u64::from(into.len), options);
            let body = Body::Read {
                chunk,
                off,
                into: into.slice(0, len).expect("a piece is not longer than the rest"),
            };
            *at += u64::from(len);
            *into = into
                .slice(len, into.len - len)
                .expect("the rest lies behind the piece");
            Some(body)
        }
        Step::Write { at, from, done } => {
            let left = from.len_bytes() - *done;
            if left == 0 {
                return None;
            }
            let (chunk, off) = shape.place(*at);
            let len = u64::from(piece(shape, off, left, options));
            let memory = from
                .slice(*done, len)
                .expect("a piece is not longer than the rest");
            *at += len;
            *done += len;
            Some(Body::Write { chunk, off, memory })
        }
        Step::Zero { at, end } => {
            if at == end {
                return None;
            }
            let (chunk, off) = shape.place(*at);
            let len = piece(shape, off, *end - *at, options);
            *at += u64::from(len);
            let memory = zeros(options.zeros, len);
            Some(Body::Write { chunk, off, memory })
        }
        Step::Remove { next, count, chunks } => next_removal(shape, next, *count, *chunks),
        Step::Last { next } => {
            let slot = *next;
            *next = slot + 1;
            (slot < shape.slots).then_some(Body::Last { slot })
        }
        Step::Exists { next, end } => {
            let chunk = u32::try_from(*next).ok().filter(|_| *next < *end)?;
            *next += 1;
            Some(Body::Exists { chunk })
        }
        Step::Barrier | Step::Cut { .. } => None,
    }
}

/// Removal from the chain of the next slot that may hold chunks.
fn next_removal(shape: Shape, next: &mut u32, count: u32, chunks: Chunks) -> Option<Body> {
    while *next < count {
        let slot = (u64::from(chunks.from) + u64::from(*next)) % u64::from(shape.stripe_size);
        let slot = u32::try_from(slot).expect("a remainder is smaller than the stripe size");
        *next += 1;
        if slot < shape.slots {
            return Some(Body::Remove {
                slot,
                chunks,
                until: chunks.to,
                trace: None,
            });
        }
    }
    None
}

/// Bytes of the next piece: up to the end of the chunk, of the range, or of what one request takes.
fn piece(shape: Shape, off: u32, left: u64, options: &Options) -> u32 {
    let room = shape.chunk_size - u64::from(off);
    let len = room.min(left).min(u64::from(options.io_bytes_max));
    u32::try_from(len).expect("a piece is not longer than one request takes")
}

/// So many zeros, from memory that may be shorter.
fn zeros(memory: Lease, len: u32) -> Segments {
    let mut left = len;
    core::iter::from_fn(|| {
        let taken = left.min(memory.len);
        left -= taken;
        (taken > 0).then(|| memory.slice(0, taken).expect("taken from the front"))
    })
    .collect()
}
