//! Plans mean what updates mean.

use super::super::port::Place;
use super::*;
use alloc::vec;
use alloc::vec::Vec;
use flyer_types::WallTime;
use flyer_types::ids::RequestId;
use proptest::prelude::*;

const CHUNK: u32 = 1 << 20;

fn change(kind: Kind, offset: u32, length: u32) -> Change {
    Change {
        kind,
        offset,
        length,
        chunk_size: CHUNK,
        version: ChunkVersion(0),
        chain_ver: ChainVersion(1),
        checksum: NO_CHECKSUM,
    }
}

fn record(block_bytes: u32, length: u32) -> Record {
    Record {
        place: (block_bytes > 0).then_some(Place {
            block_bytes,
            index: 0,
        }),
        length,
        chunk_size: CHUNK,
        update_ver: ChunkVersion(3),
        commit_ver: ChunkVersion(3),
        chain_ver: ChainVersion(1),
        checksum: NO_CHECKSUM,
        epoch: 1,
        seal: None,
        timestamp: WallTime::default(),
        request: RequestId(0),
    }
}

#[test]
fn updates_are_admitted_like_upstream() {
    let have = record(4096, 10);
    let code = |change: Change| admit(Some(&have), &change);
    let write = change(Kind::Write, 0, 5);
    assert_eq!(code(write), Ok(Version::New(ChunkVersion(4))));
    assert_eq!(admit(None, &write), Ok(Version::New(ChunkVersion(1))));
    let sized = |chunk_size| Change { chunk_size, ..write };
    assert_eq!(code(sized(0)), Err(StatusCode::STORAGE_CHUNK_INVALID_CHUNK_SIZE));
    assert_eq!(
        code(sized(CHUNK_BYTES_MAX + 1)),
        Err(StatusCode::STORAGE_CHUNK_INVALID_CHUNK_SIZE)
    );
    assert_eq!(
        code(sized(CHUNK / 2)),
        Err(StatusCode::STORAGE_CHUNK_SIZE_MISMATCH)
    );
    assert_eq!(code(change(Kind::Write, CHUNK, 0)), Err(StatusCode::INVALID_ARG));
    assert_eq!(code(change(Kind::Write, 1, CHUNK)), Err(StatusCode::INVALID_ARG));
    assert_eq!(
        code(change(Kind::Write, 1, u32::MAX)),
        Err(StatusCode::INVALID_ARG)
    );
    assert!(code(change(Kind::Truncate, 0, CHUNK)).is_ok());
    let old_chain = Change {
        chain_ver: ChainVersion(0),
        ..write
    };
    assert_eq!(code(old_chain), Err(StatusCode::STORAGE_CHAIN_VERSION_MISMATCH));
    let demanded = |version| Change {
        version: ChunkVersion(version),
        ..write
    };
    assert_eq!(code(demanded(3)), Ok(Version::Committed));
    assert_eq!(code(demanded(4)), Ok(Version::New(ChunkVersion(4))));
    assert_eq!(code(demanded(5)), Err(StatusCode::STORAGE_CHUNK_MISSING_UPDATE));
    let last = Record {
        update_ver: ChunkVersion(u32::MAX),
        ..have
    };
    assert_eq!(
        admit(Some(&last), &write),
        Err(StatusCode::STORAGE_CHUNK_ADVANCE_UPDATE)
    );
}

#[test]
fn blocks_grow_in_three_steps_and_shrink() {
    let epochs = Epochs::new();
    let block = |have: &Record, change| plan(Some(have), &change, &epochs).block;
    let create = |length| plan(None, &change(Kind::Write, 0, length), &epochs).block;
    assert_eq!(create(1), Block::New(4096));
    assert_eq!(create(64 << 10), Block::New(64 << 10));
    assert_eq!(create((64 << 10) + 1), Block::New(CHUNK));
    let small = record(4096, 4096);
    assert_eq!(block(&small, change(Kind::Write, 4096, 1)), Block::New(64 << 10));
    assert_eq!(
        block(&small, change(Kind::Write, 4096, 128 << 10)),
        Block::New(CHUNK)
    );
    assert_eq!(block(&small, change(Kind::Extend, 0, CHUNK)), Block::New(CHUNK));
    assert_eq!(block(&small, change(Kind::Write, 100, 1)), Block::Same);
    let full = record(CHUNK, CHUNK);
    assert_eq!(block(&full, change(Kind::Truncate, 0, 5)), Block::New(4096));
    assert_eq!(block(&full, change(Kind::Truncate, 0, CHUNK / 2)), Block::Same);
    assert_eq!(block(&full, change(Kind::Truncate, 0, 0)), Block::None);
    assert_eq!(
        plan(None, &change(Kind::Truncate, 0, 0), &epochs).block,
        Block::None
    );
}

#[test]
fn a_copy_is_never_longer_than_what_there_was() {
    let plan = plan(
        Some(&record(4096, 4000)),
        &change(Kind::Write, 5000, 10),
        &Epochs::new(),
    );
    assert_eq!(
        (plan.copy, plan.zero, plan.write),
        (4000, (4000, 1000), Some(5000))
    );
}

/// Does what a plan says to bytes.
fn carry_out(plan: &Plan, old: &[u8], data: &[u8]) -> Vec<u8> {
    let end = plan.length.max(plan.zero.0 + plan.zero.1) as usize;
    // What no step has touched must not be seen.
    let mut block = vec![0xee; end.max(old.len())];
    match plan.block {
        Block::Same => block[..old.len()].copy_from_slice(old),
        Block::New(bytes) => {
            assert!(plan.length <= bytes);
            let copied = plan.copy as usize;
            block[..copied].copy_from_slice(&old[..copied]);
        }
        Block::None => assert_eq!(plan.length, 0),
    }
    let (zero, count) = (plan.zero.0 as usize, plan.zero.1 as usize);
    block[zero..zero + count].fill(0);
    if let Some(at) = plan.write {
        block[at as usize..at as usize + data.len()].copy_from_slice(data);
    }
    block.truncate(plan.length as usize);
    block
}

/// What the update means.
fn expected(old: &[u8], change: &Change, data: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let (offset, length) = (change.offset as usize, change.length as usize);
    match change.kind {
        Kind::Write => {
            new.resize(old.len().max(offset + length), 0);
            new[offset..offset + length].copy_from_slice(data);
        }
        Kind::Truncate => new.resize(length, 0),
        Kind::Extend => new.resize(old.len().max(length), 0),
        Kind::Remove => unreachable!("not planned"),
    }
    new
}

proptest! {
    /// The steps of a plan make the content, and the checksum it names is that of the content.
    #[test]
    fn plans_do_what_updates_mean(
        old in prop::option::of(prop::collection::vec(1u8..4, 0..300)),
        spare in 0u32..3,
        kind in prop::sample::select(vec![Kind::Write, Kind::Truncate, Kind::Extend]),
        offset in 0u32..400,
        length in 0u32..400,
        with_checksums in any::<(bool, bool)>(),
        durable in any::<bool>(),
        sealed in prop::option::of(0u32..400),
    ) {
        let mut epochs = Epochs::new();
        let epoch = epochs.enter();
        if durable {
            epochs.sync_begun();
            epochs.data_durable();
            epochs.sync_ended(true);
        }
        let now = epochs.enter();
        let content = old.clone().unwrap_or_default();
        let have = old.as_ref().map(|old| Record {
            length: u32::try_from(old.len()).expect("short"),
            checksum: match with_checksums.0 && !old.is_empty() {
                true => ChecksumInfo::of(ChecksumType::CRC32C, old).expect("known"),
                false => NO_CHECKSUM,
            },
            epoch,
            seal: sealed.map(|length| super::super::record::Seal { length, epoch: now }),
            ..record(if old.is_empty() { 0 } else { 4096 << spare }, 0)
        });
        let data = vec![9u8; length as usize];
        let change = Change {
            offset: if kind == Kind::Write { offset } else { 0 },
            checksum: match with_checksums.1 {
                true => ChecksumInfo::of(ChecksumType::CRC32C, &data).expect("known"),
                false => NO_CHECKSUM,
            },
            ..change(kind, 0, length)
        };
        let plan = plan(have.as_ref(), &change, &epochs);
        let written: &[u8] = if plan.write.is_some() { &data } else { &[] };
        let new = carry_out(&plan, &content, written);
        prop_assert_eq!(&new, &expected(&content, &change, &data));
        if plan.checksum.kind == ChecksumType::CRC32C {
            prop_assert_eq!(Some(plan.checksum), ChecksumInfo::of(ChecksumType::CRC32C, &new));
        }
        // Nothing that an older record may vouch for is changed in place.
        let touched = plan.zero.0.min(plan.write.unwrap_or(u32::MAX));
        let touches = plan.zero.1 > 0 || plan.write.is_some();
        if let (Some(have), Block::Same, true) = (have, plan.block, touches) {
            let at = if plan.zero.1 > 0 { touched } else { plan.write.unwrap_or(0) };
            prop_assert!(!epochs.is_sealed(&have, at));
            prop_assert!(!(epochs.is_settled(&have) && at < have.length));
            prop_assert_eq!(plan.drop_first, have.crc().is_some() && at < have.length);
        }
    }
}
