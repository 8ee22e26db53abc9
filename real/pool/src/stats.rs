//! What a pool says about itself. The counts are read one after another while other threads go on.

/// Numbers of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Most bytes of blocks, in use and idle together.
    pub budget_bytes: usize,
    /// Bytes of blocks that are in use, or idle but not yet given back to the system. At most the budget.
    pub memory_bytes: usize,
    /// Bytes of blocks in use.
    pub in_use_bytes: usize,
    /// The most there ever was in use.
    pub in_use_bytes_peak: usize,
    /// Callers that wait for memory.
    pub waiters: usize,
    /// Leases that were freed although they were not in use: mistakes of the callers.
    pub stale_frees: u64,
    /// Accesses through leases that were not in use.
    pub stale_accesses: u64,
    /// Accesses that were refused because they overlapped others: mistakes of the callers.
    pub busy_accesses: u64,
    /// Leases that were freed during an access; their blocks were reused after it.
    pub deferred_frees: u64,
    /// Blocks that the system did not provide.
    pub system_refusals: u64,
    /// Bytes of idle blocks given back to the system.
    pub given_back_bytes: u64,
    /// The same for each size, smallest first.
    pub classes: Vec<ClassStats>,
}

/// Numbers of one size of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassStats {
    /// Size of a block.
    pub block_bytes: usize,
    /// Blocks in use.
    pub in_use: u64,
    /// Blocks in memory and free.
    pub idle: u64,
    /// How often a block was taken.
    pub takes: u64,
}
