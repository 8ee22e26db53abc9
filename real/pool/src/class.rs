//! The blocks of one size.
//!
//! Owner: the pool, which keeps the budget: it asks for a cold block only after it has reserved the bytes.
//!
//! ```text
//!             take_cold                    push_warm
//!     cold ───────────────► in use ───────────────────► warm
//!      ▲                      ▲                          │ │
//!      │                      └──────── pop_warm ────────┘ │
//!      └────────────────────── make_cold ──────────────────┘
//! ```
//!
//! Warm blocks are in memory and wait on a stack without a lock, the last one freed on top. Cold blocks use no memory;
//! taking one costs page faults anyway, so they are behind a lock.
//!
//! The generation of a block is odd while it is in use and even otherwise, and grows with each step, so an id that
//! was handed out names one use of one block. After 2^31 uses of a block its ids repeat.
//!
//! Limits: as many blocks as the budget could pay if there were no other sizes.

use crate::memory::Region;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most blocks of one class: what the number of a slot has room for.
pub(crate) const BLOCKS_MAX: usize = 1 << 29;

/// Bytes made accessible at once, or one block if that is more: a system call for each page would cost more.
const ACCESSIBLE_STEP_BYTES: usize = 2 << 20;

/// No block, in the links of the stack.
const NONE: u32 = u32::MAX;

/// What is known about a block beside its bytes.
#[derive(Debug)]
struct Row {
    generation: AtomicU32,
    /// The block below this one on the stack of warm blocks.
    below: AtomicU32,
}

/// Blocks of one size.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) block_bytes: usize,
    region: Region,
    rows: Box<[Row]>,
    /// Top of the stack of warm blocks: how often it was changed, and the block.
    warm: AtomicU64,
    cold: Mutex<Cold>,
    pub(crate) takes: AtomicU64,
    pub(crate) frees: AtomicU64,
}

#[derive(Debug, Default)]
struct Cold {
    /// Blocks that were in memory once.
    used: Vec<u32>,
    /// Blocks from this one on never were.
    fresh: u32,
    /// The first bytes of the region that are accessible.
    accessible_bytes: usize,
}

impl Class {
    /// As many blocks as fit into `budget_bytes`, all cold; `None` if that is not even one.
    pub(crate) fn new(block_bytes: usize, budget_bytes: usize) -> io::Result<Option<Self>> {
        let blocks = (budget_bytes / block_bytes).min(BLOCKS_MAX);
        if blocks == 0 {
            return Ok(None);
        }
        // Fresh zeros cost no memory until they are used: a large budget makes many rows.
        let rows = Box::<[Row]>::new_zeroed_slice(blocks);
        // SAFETY: a row is two atomic integers, for which zero is a value: generation 0, and a link that is written
        // before it is read.
        let rows = unsafe { rows.assume_init() };
        Ok(Some(Self {
            block_bytes,
            region: Region::reserve(blocks * block_bytes, block_bytes >= 2 * ACCESSIBLE_STEP_BYTES)?,
            rows,
            warm: AtomicU64::new(pack(0, NONE)),
            cold: Mutex::default(),
            takes: AtomicU64::new(0),
            frees: AtomicU64::new(0),
        }))
    }

    /// Address of the first byte of a block; the rest of the block follows.
    pub(crate) fn address(&self, block: u32) -> std::ptr::NonNull<u8> {
        self.region.at(self.offset(block))
    }

    /// The generation of a block in use; `None` if it is not, or does not exist.
    pub(crate) fn generation_in_use(&self, block: u32) -> Option<u32> {
        let row = self.rows.get(index(block))?;
        Some(row.generation.load(Ordering::Acquire)).filter(|generation| generation % 2 == 1)
    }

    /// A block that nobody uses becomes one that is used. Returns its new generation.
    pub(crate) fn begin_use(&self, block: u32) -> u32 {
        self.takes.fetch_add(1, Ordering::Relaxed);
        self.step(block, 0)
    }

    /// A block in use becomes one that nobody uses; it still has to be pushed to a stack.
    pub(crate) fn end_use(&self, block: u32) {
        self.step(block, 1);
    }

    /// Takes the block freed last. Sequentially consistent, like all changes of what can be taken: see `wait`.
    pub(crate) fn pop_warm(&self) -> Option<u32> {
        let mut top = self.warm.load(Ordering::SeqCst);
        loop {
            let (changes, block) = unpack(top);
            if block == NONE {
                return None;
            }
            // The block may be gone by now and this link out of date; the number of changes differs then.
            let below = self.rows[index(block)].below.load(Ordering::Relaxed);
            let next = pack(changes.wrapping_add(1), below);
            match self
                .warm
                .compare_exchange_weak(top, next, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => return Some(block),
                Err(now) => top = now,
            }
        }
    }

    /// Puts a block that nobody uses, and whose bytes nobody looks at, on the stack.
    pub(crate) fn push_warm(&self, block: u32) {
        let mut top = self.warm.load(Ordering::Relaxed);
        loop {
            let (changes, below) = unpack(top);
            self.rows[index(block)].below.store(below, Ordering::Relaxed);
            let next = pack(changes.wrapping_add(1), block);
            match self
                .warm
                .compare_exchange_weak(top, next, Ordering::SeqCst, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => top = now,
            }
        }
    }

    /// Takes a block that is not in memory. The budget has room for it.
    ///
    /// # Errors
    /// The system does not promise the memory.
    pub(crate) fn take_cold(&self) -> io::Result<u32> {
        let mut cold = self.lock_cold();
        if let Some(block) = cold.used.pop() {
            return Ok(block);
        }
        let block = cold.fresh;
        let end = self.offset(block) + self.block_bytes;
        assert!(
            end <= self.region.bytes(),
            "the budget allows more blocks than there are"
        );
        if end > cold.accessible_bytes {
            let step = ACCESSIBLE_STEP_BYTES.max(self.block_bytes);
            let bytes = step.min(self.region.bytes() - cold.accessible_bytes);
            self.region.make_accessible(cold.accessible_bytes, bytes)?;
            cold.accessible_bytes += bytes;
        }
        cold.fresh += 1;
        Ok(block)
    }

    /// Gives the memory of a block that was popped back to the system. The caller returns the bytes to the budget.
    ///
    /// # Errors
    /// The system does not take it; the block is warm again.
    pub(crate) fn make_cold(&self, block: u32) -> io::Result<()> {
        // SAFETY: the block was popped, so nobody uses it and nobody else can take it; and who pushed it
        // (`push_warm`) knew that no access was under way.
        let result = unsafe { self.region.discard(self.offset(block), self.block_bytes) };
        if result.is_err() {
            self.push_warm(block);
            return result;
        }
        self.lock_cold().used.push(block);
        Ok(())
    }

    /// Blocks in use or warm.
    pub(crate) fn blocks_in_memory(&self) -> u64 {
        let cold = self.lock_cold();
        u64::from(cold.fresh) - cold.used.len() as u64
    }

    /// Moves the generation of a block on from one of the given parity.
    fn step(&self, block: u32, parity: u32) -> u32 {
        let generation = &self.rows[index(block)].generation;
        let next = generation.load(Ordering::Relaxed).wrapping_add(1);
        assert!(next % 2 != parity, "block {block} is taken or freed twice");
        generation.store(next, Ordering::Release);
        next
    }

    fn offset(&self, block: u32) -> usize {
        index(block) * self.block_bytes
    }

    fn lock_cold(&self) -> MutexGuard<'_, Cold> {
        self.cold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number of a block as an index.
fn index(block: u32) -> usize {
    usize::try_from(block).expect("addresses have at least 32 bits")
}

fn pack(changes: u32, block: u32) -> u64 {
    u64::from(changes) << 32 | u64::from(block)
}

fn unpack(top: u64) -> (u32, u32) {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits were kept");
    (half(top >> 32), half(top))
}
