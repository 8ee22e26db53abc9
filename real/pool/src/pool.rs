//! Takes and frees leases within a budget.
//!
//! Owner: the host. The budget covers blocks in use and idle ones. A block is looked for in this order: an idle block
//! of the right size; a new one, if the budget allows; a new one after idle blocks of other sizes were given
//! back to the system. Then the taker waits or is refused.
//!
//! A lease has the smallest block that holds it, and its bytes count as the whole block.
//!
//! Limits: the budget; [`Options::idle_bytes_max`]; [`Options::waiters_max`]; [`LEASE_BYTES_MAX`].

use crate::borrows::Borrows;
use crate::class::{BLOCKS_MAX, Class};
use crate::memory::PAGE_BYTES;
use crate::stats::{ClassStats, Stats};
use crate::wait::Waiters;
use crate::{BLOCK_BYTES, LEASE_BYTES_MAX};
use flyer_types::{Lease, LeaseId};
use std::fmt;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Most bytes that one call of [`Pool::free`] gives back to the system; bounds what the call costs.
pub(crate) const TRIM_STEP_BYTES: usize = 4 << 20;

/// Bits of a slot number that name the block; the others name the class.
const BLOCK_BITS: u32 = BLOCKS_MAX.trailing_zeros();

/// Sizes of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most bytes of blocks, in use and idle together.
    pub budget_bytes: usize,
    /// Idle bytes above which freeing gives memory back to the system, those sizes first that were used least lately.
    pub idle_bytes_max: usize,
    /// Most callers that may wait for memory.
    pub waiters_max: usize,
}

impl Options {
    /// The usual sizes for a budget: a quarter may idle, and as many threads as a program has may wait.
    #[must_use]
    pub const fn of_budget(budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            idle_bytes_max: budget_bytes / 4,
            waiters_max: 4096,
        }
    }
}

/// Why there is no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError {
    /// No block is as large, or the whole budget is smaller than the block.
    TooLarge,
    /// The budget is in use, or others have been waiting for longer.
    Exhausted,
    /// The budget was in use all the time.
    TimedOut,
    /// As many callers as may wait are waiting.
    TooManyWaiters,
    /// The budget would allow it, but the system has no memory.
    System,
}

impl fmt::Display for TakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "no block of payload memory is as large",
            Self::Exhausted => "all payload memory is in use",
            Self::TimedOut => "no payload memory became free in time",
            Self::TooManyWaiters => "too many callers wait for payload memory",
            Self::System => "the system has no memory",
        })
    }
}

impl std::error::Error for TakeError {}

/// A lease that is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleLease(pub LeaseId);

impl fmt::Display for StaleLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not in use", self.0)
    }
}

impl std::error::Error for StaleLease {}

/// Payload memory, shared by all threads.
#[derive(Debug)]
pub struct Pool {
    options: Options,
    /// One per size; `None` where not even one block fits into the budget.
    classes: [Option<Class>; BLOCK_BYTES.len()],
    pub(crate) borrows: Borrows,
    waiters: Waiters,
    /// Bytes of blocks in use or warm, or about to be.
    memory_bytes: AtomicUsize,
    in_use_bytes: AtomicUsize,
    in_use_bytes_peak: AtomicUsize,
    /// How much each class is used. One thread at a time gives back what exceeds the bound.
    trimming: Mutex<[Use; BLOCK_BYTES.len()]>,
    pub(crate) counters: Counters,
}

/// How much a class was used lately.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    /// Takes at the last look.
    takes: u64,
    /// Bytes taken; halved at each look.
    bytes: u64,
}

impl Use {
    /// Looks at a class again.
    fn look(&mut self, class: &Class) -> u64 {
        let takes = class.takes.load(Ordering::Relaxed);
        let taken = (takes - self.takes).saturating_mul(class.block_bytes as u64);
        self.takes = takes;
        self.bytes = (self.bytes / 2).saturating_add(taken);
        self.bytes
    }
}

/// What happened how often.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) stale_frees: AtomicU64,
    pub(crate) stale_accesses: AtomicU64,
    pub(crate) busy_accesses: AtomicU64,
    pub(crate) deferred_frees: AtomicU64,
    system_refusals: AtomicU64,
    given_back_bytes: AtomicU64,
}

impl Pool {
    /// A pool with the usual [options](Options::of_budget). Uses no memory yet, only addresses.
    ///
    /// # Errors
    /// The system refuses the addresses; or the budget is below a page or above 2 TiB.
    pub fn new(budget_bytes: usize) -> io::Result<Self> {
        Self::with_options(Options::of_budget(budget_bytes))
    }

    /// A pool. Uses no memory yet, only addresses.
    ///
    /// # Errors
    /// The system refuses the addresses; or the budget is below a page or above 2 TiB.
    pub fn with_options(options: Options) -> io::Result<Self> {
        let budget = options.budget_bytes;
        if budget < PAGE_BYTES || budget / PAGE_BYTES > BLOCKS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the budget of a pool is at least a page and at most 2 TiB",
            ));
        }
        let mut classes = [const { None }; BLOCK_BYTES.len()];
        for (class, block_bytes) in classes.iter_mut().zip(BLOCK_BYTES) {
            *class = Class::new(block_bytes, budget)?;
        }
        Ok(Self {
            options,
            classes,
            borrows: Borrows::new(),
            waiters: Waiters::default(),
            memory_bytes: AtomicUsize::new(0),
            in_use_bytes: AtomicUsize::new(0),
            in_use_bytes_peak: AtomicUsize::new(0),
            trimming: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// Takes a lease of `len` bytes if there is memory and nobody waits for it. Never waits.
    ///
    /// # Errors
    /// Why not.
    pub fn try_take(&self, len: usize) -> Result<Lease, TakeError> {
        let class = self.class_of(len)?;
        let id = self.try_take_class(class).unwrap_or(Err(TakeError::Exhausted))?;
        Ok(lease(id, len))
    }

    /// Takes a lease of `len` bytes, waiting as long as it takes. Callers are served in the order in which they came.
    /// Must not be called by a thread whose progress others need to free leases.
    ///
    /// # Errors
    /// Why not.
    pub fn take(&self, len: usize) -> Result<Lease, TakeError> {
        self.take_until(len, |_| None)
    }

    /// Takes a lease of `len` bytes, waiting at most `timeout`.
    ///
    /// # Errors
    /// Why not.
    pub fn take_timeout(&self, len: usize, timeout: Duration) -> Result<Lease, TakeError> {
        self.take_until(len, |now| now.checked_add(timeout))
    }

    /// Frees a lease; any part of it will do, and all of it is freed.
    ///
    /// # Errors
    /// It was not in use: a mistake of the caller, without any effect. Counted.
    pub fn free(&self, id: LeaseId) -> Result<(), StaleLease> {
        let (class, block) = self.locate(id).ok_or(StaleLease(id))?;
        let borrows = self.borrows.lock(id.slot);
        if class.generation_in_use(block) != Some(id.generation) {
            drop(borrows);
            self.counters.stale_frees.fetch_add(1, Ordering::Relaxed);
            return Err(StaleLease(id));
        }
        class.end_use(block);
        let is_borrowed = borrows.is_borrowed(id.slot);
        drop(borrows);
        if is_borrowed {
            // Whoever ends the last access puts the block back.
            self.counters.deferred_frees.fetch_add(1, Ordering::Relaxed);
        } else {
            self.put_back(class, block);
        }
        Ok(())
    }

    /// Bytes that the memory of a lease has from the beginning of the lease; `None` if it is not in use.
    #[must_use]
    pub fn room(&self, lease: Lease) -> Option<u32> {
        let (class, block) = self.locate(lease.id)?;
        if class.generation_in_use(block) != Some(lease.id.generation) {
            return None;
        }
        let block_bytes = u32::try_from(class.block_bytes).ok()?;
        block_bytes.checked_sub(lease.off)
    }

    /// Gives idle memory back to the system until at most `keep_idle_bytes` are idle. Returns the bytes given back.
    /// A host calls this from time to time with a small number, so that a mount that has become idle shrinks.
    pub fn trim(&self, keep_idle_bytes: usize) -> usize {
        let mut trimming = self
            .trimming
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let given_back = self.give_back(&mut trimming, self.idle_bytes().saturating_sub(keep_idle_bytes));
        drop(trimming);
        self.serve_waiters();
        given_back
    }

    /// Numbers to look at.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            budget_bytes: self.options.budget_bytes,
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            in_use_bytes: self.in_use_bytes.load(Ordering::Relaxed),
            in_use_bytes_peak: self.in_use_bytes_peak.load(Ordering::Relaxed),
            waiters: self.waiters.count(),
            stale_frees: read(&self.counters.stale_frees),
            stale_accesses: read(&self.counters.stale_accesses),
            busy_accesses: read(&self.counters.busy_accesses),
            deferred_frees: read(&self.counters.deferred_frees),
            system_refusals: read(&self.counters.system_refusals),
            given_back_bytes: read(&self.counters.given_back_bytes),
            classes: self.classes.iter().flatten().map(class_stats).collect(),
        }
    }

    /// The class and the block that an id names, whether in use or not.
    pub(crate) fn locate(&self, id: LeaseId) -> Option<(&Class, u32)> {
        let class = usize::try_from(id.slot >> BLOCK_BITS).ok()?;
        let block = id.slot & ((1 << BLOCK_BITS) - 1);
        Some((self.classes.get(class)?.as_ref()?, block))
    }

    /// Makes a block that is neither in use nor accessed available again.
    pub(crate) fn put_back(&self, class: &Class, block: u32) {
        class.frees.fetch_add(1, Ordering::Relaxed);
        let in_use_before = self.in_use_bytes.fetch_sub(class.block_bytes, Ordering::Relaxed);
        assert!(
            in_use_before >= class.block_bytes,
            "more bytes were freed than taken"
        );
        class.push_warm(block);
        self.serve_waiters();
        let excess = self.idle_bytes().saturating_sub(self.options.idle_bytes_max);
        if excess > 0
            && let Ok(mut trimming) = self.trimming.try_lock()
        {
            self.give_back(&mut trimming, excess.min(TRIM_STEP_BYTES));
            drop(trimming);
            self.serve_waiters();
        }
    }

    fn take_until(
        &self,
        len: usize,
        until: impl FnOnce(Instant) -> Option<Instant>,
    ) -> Result<Lease, TakeError> {
        let class = self.class_of(len)?;
        let id = match self.try_take_class(class) {
            Some(result) => result?,
            None => {
                let until = until(Instant::now());
                self.waiters
                    .wait(class, until, self.options.waiters_max, |class| self.grab(class))?
            }
        };
        Ok(lease(id, len))
    }

    /// A block, unless others wait or there is none.
    fn try_take_class(&self, class: usize) -> Option<Result<LeaseId, TakeError>> {
        if self.waiters.count() > 0 {
            return None;
        }
        let pooled = self.classes[class].as_ref()?;
        if let Some(block) = pooled.pop_warm() {
            return Some(Ok(self.hand_out(class, pooled, block)));
        }
        let result = self.grab(class);
        // On the way more may have been given back than was needed, or in vain.
        self.serve_waiters();
        result
    }

    /// A block, wherever it can be found; `None` if the budget is in use.
    fn grab(&self, class: usize) -> Option<Result<LeaseId, TakeError>> {
        let pooled = self.classes[class].as_ref()?;
        if let Some(block) = pooled.pop_warm() {
            return Some(Ok(self.hand_out(class, pooled, block)));
        }
        if !self.reserve(pooled.block_bytes) {
            return None;
        }
        match pooled.take_cold() {
            Ok(block) => Some(Ok(self.hand_out(class, pooled, block))),
            Err(_) => {
                self.memory_bytes.fetch_sub(pooled.block_bytes, Ordering::SeqCst);
                self.counters.system_refusals.fetch_add(1, Ordering::Relaxed);
                Some(Err(TakeError::System))
            }
        }
    }

    /// Reserves bytes of the budget, for which idle blocks are given back if need be.
    fn reserve(&self, bytes: usize) -> bool {
        let mut memory = self.memory_bytes.load(Ordering::SeqCst);
        loop {
            let wanted = memory + bytes;
            let Some(excess) = wanted.checked_sub(self.options.budget_bytes + 1) else {
                match self
                    .memory_bytes
                    .compare_exchange(memory, wanted, Ordering::SeqCst, Ordering::SeqCst)
                {
                    Ok(_) => return true,
                    Err(now) => memory = now,
                }
                continue;
            };
            let classes = self.classes.iter().rev().flatten();
            if self.make_cold(classes, excess + 1) == 0 {
                return false;
            }
            memory = self.memory_bytes.load(Ordering::SeqCst);
        }
    }

    fn hand_out(&self, class: usize, pooled: &Class, block: u32) -> LeaseId {
        // Counted first: from `begin_use` on it can be freed, even before anybody was told its id.
        let in_use = self.in_use_bytes.fetch_add(pooled.block_bytes, Ordering::Relaxed) + pooled.block_bytes;
        if in_use > self.in_use_bytes_peak.load(Ordering::Relaxed) {
            self.in_use_bytes_peak.fetch_max(in_use, Ordering::Relaxed);
        }
        let generation = pooled.begin_use(block);
        let class = u32::try_from(class).expect("there are seven classes");
        LeaseId::new(class << BLOCK_BITS | block, generation)
    }

    /// Gives at least `bytes` back to the system, as far as there are idle blocks, those sizes first that were used
    /// least lately.
    fn give_back(&self, uses: &mut [Use; BLOCK_BYTES.len()], bytes: usize) -> usize {
        let classes = uses.iter_mut().zip(&self.classes);
        let mut by_use: Vec<(u64, &Class)> = classes
            .filter_map(|(last, class)| class.as_ref().map(|class| (last.look(class), class)))
            .collect();
        // Among equals the largest: fewer calls of the system for the same bytes.
        by_use.sort_by_key(|(used, class)| (*used, std::cmp::Reverse(class.block_bytes)));
        self.make_cold(by_use.into_iter().map(|(_, class)| class), bytes)
    }

    /// Gives idle blocks of the classes back to the system, class by class, until that makes `bytes`.
    fn make_cold<'a>(&self, classes: impl Iterator<Item = &'a Class>, bytes: usize) -> usize {
        let mut given_back = 0;
        for class in classes {
            while given_back < bytes
                && let Some(block) = class.pop_warm()
            {
                if class.make_cold(block).is_err() {
                    break;
                }
                self.memory_bytes.fetch_sub(class.block_bytes, Ordering::SeqCst);
                given_back += class.block_bytes;
            }
        }
        self.counters
            .given_back_bytes
            .fetch_add(given_back as u64, Ordering::Relaxed);
        given_back
    }

    fn serve_waiters(&self) {
        if self.waiters.count() > 0 {
            self.waiters.serve(|class| self.grab(class));
        }
    }

    fn idle_bytes(&self) -> usize {
        let memory = self.memory_bytes.load(Ordering::Relaxed);
        memory.saturating_sub(self.in_use_bytes.load(Ordering::Relaxed))
    }

    /// The class of the smallest blocks that hold `len` bytes.
    fn class_of(&self, len: usize) -> Result<usize, TakeError> {
        if len > LEASE_BYTES_MAX {
            return Err(TakeError::TooLarge);
        }
        let class = BLOCK_BYTES.partition_point(|block_bytes| *block_bytes < len);
        if self.classes[class].is_none() {
            return Err(TakeError::TooLarge);
        }
        Ok(class)
    }
}

/// The whole of a lease that was just taken.
fn lease(id: LeaseId, len: usize) -> Lease {
    Lease {
        id,
        off: 0,
        len: u32::try_from(len).expect("the largest lease is far below 4 GiB"),
    }
}

fn class_stats(class: &Class) -> ClassStats {
    let frees = class.frees.load(Ordering::Relaxed);
    let takes = class.takes.load(Ordering::Relaxed);
    let in_use = takes.saturating_sub(frees);
    ClassStats {
        block_bytes: class.block_bytes,
        in_use,
        idle: class.blocks_in_memory().saturating_sub(in_use),
        takes,
    }
}
