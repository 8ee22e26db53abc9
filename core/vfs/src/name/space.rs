//! Space of the file system.
//!
//! `df` divides by the size of a block and some of its users count blocks in 32 bits, so blocks are as small as that allows: 4 KiB up to
//! 16 TiB, 2 MiB (upstream's) from 8 PiB on.
//!
//! When no server answers, what the shard was told last is told again: a `df` over all mounts should not fail for one.

use super::rules::{errno, response};
use crate::reply::{Reply, Space};
use crate::shard::{Context, Event, Step};
use flyer_types::Errno;
use flyer_types::limits::NAME_BYTES_MAX;
use flyer_wire::msg::meta::attr::StatFsReq;

const BLOCK_BYTES_MIN: u32 = 4 << 10;
const BLOCK_BYTES_MAX: u32 = 2 << 20;

/// Asks.
pub(super) fn begin(cx: &mut Context<'_>) {
    let base = cx.base();
    cx.meta(StatFsReq { base });
}

/// Answers.
pub(super) fn step(cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
    match response!(event, StatFs) {
        Ok(response) => cx.state.names.space = Some(space(response.capacity, response.free)),
        Err(status) if cx.state.names.space.is_none() => return Err(errno(&status)),
        Err(_) => flyer_types::mark!("vfs.space_as_before"),
    }
    let space = cx.state.names.space.expect("it was just told, or before");
    Ok(Step::reply(Reply::Space(space)))
}

fn space(capacity: u64, free: u64) -> Space {
    let mut block_bytes = BLOCK_BYTES_MIN;
    while block_bytes < BLOCK_BYTES_MAX && capacity / u64::from(block_bytes) > u64::from(u32::MAX) {
        block_bytes *= 2;
    }
    let bytes = u64::from(block_bytes);
    Space {
        block_bytes,
        blocks: capacity / bytes,
        blocks_free: free.min(capacity) / bytes,
        name_bytes_max: u32::try_from(NAME_BYTES_MAX).expect("names have some hundred bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_small_where_32_bits_can_count_them() {
        assert_eq!(space(10 << 30, 3 << 30).block_bytes, 4 << 10);
        assert_eq!(space(10 << 30, 3 << 30).blocks_free, 3 << 18);
        assert_eq!(space(16 << 40, 0).block_bytes, 8 << 10);
        assert_eq!(space(1 << 60, 1 << 59).block_bytes, 2 << 20);
        assert_eq!(space(1 << 60, 1 << 59).blocks, 1 << 39);
        assert_eq!(space(5, 7), space(5, 5), "no more is free than there is");
    }
}
