//! What can be set about storage I/O, and the limits that cannot.

use flyer_types::parts::retry::RetryPolicy;
use flyer_types::{Lease, Span, limits};
use flyer_wire::shuffle::ShuffleMethod;

/// Limits that are no options.
pub mod limits_fixed {
    /// Parts (chunk pieces, chains) of one operation that exist at a time; the rest is made when some of them end. Bounds memory,
    /// and the time of one call of the machine.
    pub const OP_PARTS_MAX: usize = 64;
    /// Most chains of a layout; servers make layouts of far fewer.
    pub const STRIPE_CHAINS_MAX: u32 = 4096;
    /// Layouts whose order of chains is remembered.
    pub const LAYOUTS_MAX: usize = 1024;
    /// Chunks that one [`Want::Chunks`](super::super::Want::Chunks) may ask for.
    pub const CHUNKS_QUERIED_MAX: u32 = 1 << 16;
    /// Ranges of one channel whose late updates are fenced off; beyond it the channel takes only updates of these ranges.
    pub const CHANNEL_FENCES_MAX: usize = 8;
}

/// Which replica reads go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// The one with the fewest calls of this client under way; ties are broken at random.
    Any,
    /// The last of the chain: it is the first to commit, so that no read sees less than an earlier one did, whoever writes.
    Tail,
}

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// How often and how long an operation on a chunk is tried. The budget is the time for an operation as a whole; removing the
    /// chunks of a large file gets it anew with each round that removes something.
    pub retry: RetryPolicy,
    /// Operations at a time, those that wait included; beyond it they end with `StorageClient::ResourceBusy`.
    pub ops_max: u32,
    /// Calls under way at a time.
    pub calls_max: u32,
    /// Calls under way at a time to one node.
    pub node_calls_max: u32,
    /// Most bytes of one read or write. A piece of a chunk that is longer is cut, and may then mix versions of the chunk: keep it
    /// at the largest chunk size.
    pub io_bytes_max: u32,
    /// Most reads or queries of one request.
    pub batch_ios_max: usize,
    /// Most bytes of one request with several reads; one read may be longer.
    pub batch_bytes_max: u64,
    /// Most chunks that one request removes.
    pub remove_chunks_max: u32,
    /// Which replica reads go to.
    pub read_from: ReadFrom,
    /// Ask for checksums of data that are read; the host verifies them, and answers `StorageClient::ChecksumMismatch` in place of
    /// a result that does not fit.
    pub read_checksum: bool,
    /// Have the host compute checksums of data that are written.
    pub write_checksum: bool,
    /// Data travel inside the messages. Off for hosts that move data with RDMA and fill in the remote buffers.
    pub inline: bool,
    /// Memory that holds zeros, and always will: what parts of chunks are overwritten with when a hole is punched. Holes without
    /// it have to consist of whole chunks.
    pub zeros: Lease,
    /// How long a channel is kept apart whose last update may still be under way, if no newer update of its chain comes along.
    pub quarantine: Span,
    /// How old layouts with an unsafe seed are read.
    pub shuffle: ShuffleMethod,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retry: RetryPolicy {
                attempt_timeout: Span::from_secs(10),
                attempt_min: Span::from_ms(10),
                attempts_max: None,
                budget: Span::from_secs(60),
                wait_first: Span::from_ms(5),
                wait_factor: 2,
                wait_max: Span::from_secs(1),
                wait_fast: Span::from_ms(20),
                jitter_percent: 50,
            },
            ops_max: 1024,
            calls_max: 256,
            node_calls_max: 32,
            io_bytes_max: limits::STORAGE_IO_BYTES_MAX,
            batch_ios_max: 128,
            batch_bytes_max: 4 << 20,
            remove_chunks_max: 32,
            read_from: ReadFrom::Any,
            read_checksum: true,
            write_checksum: true,
            inline: true,
            zeros: Lease::EMPTY,
            quarantine: Span::from_secs(600),
            shuffle: ShuffleMethod::Gpp11,
        }
    }
}

impl Options {
    /// Panics if the options cannot work: whoever read the configuration has to check it.
    pub(super) fn assert_valid(&self) {
        if let Err(error) = self.retry.validate() {
            panic!("the retry policy of storage I/O was not validated: {error}");
        }
        let positive = [
            self.ops_max,
            self.calls_max,
            self.node_calls_max,
            self.io_bytes_max,
            self.remove_chunks_max,
        ];
        assert!(
            positive.iter().all(|limit| *limit > 0) && self.batch_ios_max > 0,
            "a limit of storage I/O is zero"
        );
        assert!(
            self.quarantine > Span::ZERO,
            "a quarantine of no time would be due at once"
        );
    }
}
