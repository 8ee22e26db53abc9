//! What one operation does, step by step.

use crate::server::TABLE;
use crate::world::{CHUNK, Fate, STRIPE, World, layout};
use flyer_client::storage::{FileView, Options, Outcome, ReadFrom, Want};
use flyer_types::ids::{ChainId, ChainTableVersion, InodeId};
use flyer_types::{Lease, Segments, Span, StatusCode, Time};
use flyer_wire::msg::meta::inode::Layout;
use flyer_wire::msg::storage::chunk::ChecksumType;
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::service::storage::Request;
use std::collections::BTreeSet;
use std::sync::Arc;

fn world() -> World {
    World::new(1, Options::default(), 1..=64)
}

fn no_earlier_than_a_second(world: &World) -> bool {
    world.now >= Time::ZERO + Span::from_secs(1)
}

#[test]
fn a_read_in_one_chunk_is_one_call_and_holes_are_zero() {
    let mut world = world();
    world.write(1, 0, b"abc").unwrap();
    world.calls_made.clear();
    assert_eq!(world.read(1, 1, 6).unwrap(), b"bc\0\0\0\0");
    let [(_, Request::BatchRead(read))] = &world.calls_made[..] else {
        panic!("{:?}", world.calls_made);
    };
    assert_eq!(read.payloads.len(), 1);
    assert_eq!((read.payloads[0].offset, read.payloads[0].length), (1, 6));
    assert_eq!(read.payloads[0].rdmabuf.size, 6, "servers check it inline, too");
    assert_eq!(read.feature_flags, FeatureFlags::SEND_DATA_INLINE);
    assert_eq!(read.checksum_type, ChecksumType::CRC32C);
    assert_eq!(read.tag.channel.id.0, 0);
    assert_eq!(world.read(2, 0, 3).unwrap(), [0; 3], "no chunk at all");
}

#[test]
fn what_is_not_wanted_is_not_asked_for() {
    let mut options = Options::default();
    (options.read_checksum, options.write_checksum, options.inline) = (false, false, false);
    let mut world = World::new(1, options, 1..=1);
    world.write(1, 0, b"abc").unwrap();
    world.read(1, 0, 3).unwrap();
    let (Request::Write(write), Request::BatchRead(read)) = (&world.calls_made[0].1, &world.calls_made[1].1)
    else {
        panic!("{:?}", world.calls_made);
    };
    assert_eq!(write.payload.checksum.kind, ChecksumType::NONE);
    assert_eq!(write.feature_flags, FeatureFlags::empty());
    assert_eq!(write.payload.inlinebuf.data, Lease::EMPTY);
    assert_eq!(read.checksum_type, ChecksumType::NONE);
    assert_eq!(read.feature_flags, FeatureFlags::empty());
}

#[test]
fn a_long_read_is_one_request_per_node() {
    let options = Options {
        read_from: ReadFrom::Tail,
        ..Options::default()
    };
    let mut world = World::new(1, options, 1..=64);
    let bytes: Vec<u8> = (0..80).collect();
    world.write(1, 0, &bytes).unwrap();
    let writes = world.calls_made.len();
    assert_eq!(writes, 10, "one write per chunk");
    assert_eq!(world.read(1, 3, 70).unwrap(), bytes[3..73]);
    let reads = &world.calls_made[writes..];
    let nodes: BTreeSet<_> = reads.iter().map(|(node, _)| *node).collect();
    assert_eq!(nodes.len(), reads.len(), "one request per node");
    let ios = reads.iter().map(|(_, request)| match request {
        Request::BatchRead(read) => read.payloads.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(ios.sum::<usize>(), 10);
}

#[test]
fn a_bad_replica_is_passed_over_soon() {
    let mut world = world();
    world.write(1, 0, b"abc").unwrap();
    world.calls_made.clear();
    world.fates = vec![
        Fate::Works,
        Fate::Refused(StatusCode::STORAGE_CLIENT_CHECKSUM_MISMATCH),
    ];
    assert_eq!(world.read(1, 0, 3).unwrap(), b"abc");
    assert_eq!(world.calls_made.len(), 2);
    assert_ne!(world.calls_made[0].0, world.calls_made[1].0);
    assert!(!no_earlier_than_a_second(&world));
}

#[test]
fn an_outdated_chain_is_asked_for_and_costs_no_time() {
    let mut world = world();
    for chain in 1..=4 {
        world.servers.bump(ChainId(chain));
    }
    world.write(1, 0, b"abc").unwrap();
    assert_eq!(world.routing_wanted, 1);
    assert_eq!(world.calls_made.len(), 2);
    assert!(!no_earlier_than_a_second(&world));
}

#[test]
fn a_lost_reply_is_settled_by_the_same_request_again() {
    let mut world = world();
    world.fates = vec![Fate::Works, Fate::ReplyLost];
    world.write(1, 0, b"abc").unwrap();
    let tags: Vec<_> = world
        .calls_made
        .iter()
        .map(|(_, request)| match request {
            Request::Write(write) => (write.tag.clone(), write.retry_count),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tags.len(), 2);
    assert_eq!(tags[0].0, tags[1].0);
    assert_eq!((tags[0].1, tags[1].1), (0, 1));
    assert_eq!(world.io.inner().channels_resting(), 0);
}

#[test]
fn what_no_attempt_changes_is_told_at_once() {
    for (refused, told) in [
        (
            StatusCode::STORAGE_CLIENT_NO_SPACE,
            StatusCode::STORAGE_CLIENT_NO_SPACE,
        ),
        (
            StatusCode::STORAGE_CHUNK_SIZE_MISMATCH,
            StatusCode::STORAGE_CLIENT_SERVER_ERROR,
        ),
        (
            StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE,
            StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE,
        ),
        (StatusCode::READ_ONLY_MODE, StatusCode::READ_ONLY_MODE),
    ] {
        let mut world = world();
        world.fates = vec![Fate::Refused(refused)];
        assert_eq!(world.write(1, 0, b"abc"), Err(told));
        assert_eq!(world.calls_made.len(), 1);
        assert_eq!(
            world.io.inner().channels_resting(),
            0,
            "the server said that it did not happen"
        );
    }
}

#[test]
fn who_gave_up_leaves_the_channel_at_rest_until_a_newer_update() {
    let _guard = flyer_types::mark::require(["client.channel_rests", "client.fence_acknowledged"]);
    let mut world = world();
    world.fates = vec![Fate::RequestLost; 20];
    assert_eq!(world.write(1, 0, b"abc"), Err(StatusCode::STORAGE_CLIENT_TIMEOUT));
    assert_eq!(world.now.since(Time::ZERO).as_ms() / 1000, 60);
    assert_eq!(world.io.inner().channels_resting(), 1);
    world.fates.clear();
    world.write(1, 8, b"other chunk").unwrap();
    assert_eq!(world.io.inner().channels_resting(), 1);
    world.write(1, 2, b"x").unwrap();
    assert_eq!(world.io.inner().channels_resting(), 0);
}

#[test]
fn a_channel_does_not_rest_for_ever() {
    let mut world = world();
    world.fates = vec![Fate::RequestLost; 20];
    assert!(world.write(1, 0, b"abc").is_err());
    while world.step() {}
    assert_eq!(world.io.inner().channels_resting(), 0);
    assert_eq!(world.now.since(Time::ZERO).as_ms() / 1000, 660);
}

#[test]
fn updates_of_one_chunk_keep_their_order_and_others_do_not_wait() {
    let mut world = world();
    let mut start = |offset: u64, byte: u8, len: usize| {
        let from = Segments::from(world.lease(vec![byte; len]));
        world.start(World::file(1), Want::Write { offset, from })
    };
    let (first, second, third) = (start(0, 1, 4), start(2, 2, 10), start(20, 3, 4));
    assert_eq!(
        world.calls_made.len(),
        2,
        "the second waits for the first, the third for nobody"
    );
    for op in [first, second, third] {
        world.wait(op).unwrap();
    }
    assert_eq!(
        world.read(1, 0, 12).unwrap(),
        [1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    );
}

#[test]
fn truncation_sets_the_length_in_both_directions() {
    let mut world = world();
    let length = |world: &mut World| world.run(World::file(1), Want::Length);
    assert_eq!(length(&mut world), Ok(Outcome::Length(0)));
    world.write(1, 0, &[7; 100]).unwrap();
    assert_eq!(length(&mut world), Ok(Outcome::Length(100)));
    for to in [61, 16, 90, 0, 1] {
        world.run(World::file(1), Want::Truncate { length: to }).unwrap();
        assert_eq!(length(&mut world), Ok(Outcome::Length(to)));
    }
    let chunks = Want::Chunks { from: 0, to: 64 };
    assert_eq!(
        world.run(World::file(1), chunks),
        Ok(Outcome::Chunks(vec![(0, 1)]))
    );
}

#[test]
fn a_length_that_no_chunk_can_reach_touches_nothing() {
    let mut world = world();
    let limit = u64::from(CHUNK) << 32;
    for want in [
        Want::Truncate { length: limit + 1 },
        Want::Read {
            offset: limit,
            into: Lease {
                len: 1,
                ..Lease::EMPTY
            },
        },
        Want::Write {
            offset: u64::MAX,
            from: Lease {
                len: 1,
                ..Lease::EMPTY
            }
            .into(),
        },
    ] {
        assert_eq!(
            world.run(World::file(1), want),
            Err(StatusCode::META_FILE_TOO_LARGE)
        );
    }
    assert_eq!(world.calls_made.len(), 0);
    world
        .run(World::file(1), Want::Truncate { length: limit })
        .unwrap();
    assert_eq!(
        world.run(World::file(1), Want::Length),
        Ok(Outcome::Length(limit))
    );
}

#[test]
fn punching_removes_whole_chunks_but_never_the_last() {
    let mut world = world();
    world.write(1, 0, &[7; 40]).unwrap();
    let punch = |offset, length| Want::Punch {
        offset,
        length,
        file_length: 40,
    };
    world.run(World::file(1), punch(5, 100)).unwrap();
    let mut expected = [0; 40];
    expected[..5].fill(7);
    assert_eq!(world.read(1, 0, 40).unwrap(), expected);
    let chunks = world.run(World::file(1), Want::Chunks { from: 0, to: 9 });
    assert_eq!(chunks, Ok(Outcome::Chunks(vec![(0, 8), (4, 8)])));
    assert_eq!(world.run(World::file(1), Want::Length), Ok(Outcome::Length(40)));
    world.calls_made.clear();
    world.run(World::file(1), punch(40, 5)).unwrap();
    world.run(World::file(1), punch(5, 0)).unwrap();
    assert_eq!(world.calls_made.len(), 0);
}

#[test]
fn a_stripe_that_is_not_complete_bounds_writes_and_queries() {
    let mut world = world();
    let file = |stripe| FileView {
        stripe,
        ..World::file(1)
    };
    let from: Segments = world.lease(vec![1; 24]).into();
    let write = Want::Write { offset: 0, from };
    assert_eq!(
        world.run(file(2), write.clone()),
        Err(StatusCode::STORAGE_CLIENT_INVALID_ARG)
    );
    assert_eq!(
        world.run(file(2), Want::Truncate { length: 17 }),
        Err(StatusCode::STORAGE_CLIENT_INVALID_ARG)
    );
    world.run(file(3), write.clone()).unwrap();
    world.run(file(STRIPE), write).unwrap();
    assert_eq!(world.run(file(3), Want::Length), Ok(Outcome::Length(24)));
    let busy = world.run(file(1), Want::Length);
    assert!(
        matches!(busy, Ok(Outcome::Length(_)) | Err(StatusCode::META_BUSY)),
        "{busy:?}"
    );
}

#[test]
fn a_layout_that_is_not_known_yet_is_waited_for() {
    let mut world = world();
    world.routing_comes = false;
    let layout = Layout {
        table_version: ChainTableVersion(2),
        ..Layout::clone(&layout())
    };
    let file = FileView {
        inode: InodeId(1),
        layout: Arc::new(layout),
        stripe: 0,
    };
    assert_eq!(
        world.run(file, Want::Length),
        Err(StatusCode::MGMTD_CLIENT_ROUTING_INFO_NOT_READY)
    );
    assert!(world.routing_wanted > 5);
    assert_eq!(world.calls_made.len(), 0);
    assert_eq!(
        world.now.since(Time::ZERO).as_ms() / 1000,
        59,
        "no attempt begins without time for it"
    );
}

#[test]
fn a_layout_without_chains_is_refused() {
    let mut world = world();
    for (chunk_size, stripe_size) in [(0, 1), (12, 1), (8, 0), (8, 4097)] {
        let layout = Layout {
            chunk_size,
            stripe_size,
            ..Layout::clone(&layout())
        };
        assert_eq!(layout.table_id, TABLE);
        let file = FileView {
            inode: InodeId(1),
            layout: Arc::new(layout),
            stripe: 0,
        };
        assert_eq!(
            world.run(file, Want::Length),
            Err(StatusCode::META_INVALID_FILE_LAYOUT)
        );
    }
}

#[test]
fn a_removal_keeps_late_writes_out_even_if_it_finds_nothing() {
    let _guard = flyer_types::mark::require(["client.removal_leaves_trace", "client.removal_around_fence"]);
    let mut world = world();
    world.fates = vec![Fate::RequestLost; 40];
    // Two chunks of one chain, on two channels.
    let ops = [0, u64::from(CHUNK * STRIPE)].map(|offset| {
        let from = Segments::from(world.lease(vec![1; 4]));
        world.start(World::file(1), Want::Write { offset, from })
    });
    for op in ops {
        assert_eq!(world.wait(op), Err(StatusCode::STORAGE_CLIENT_TIMEOUT));
    }
    assert_eq!(world.io.inner().channels_resting(), 2);
    world.fates.clear();
    world.run(World::file(1), Want::Truncate { length: 0 }).unwrap();
    assert_eq!(
        world.io.inner().channels_resting(),
        0,
        "the server has taken note of both channels"
    );
    assert!(world.servers.chunks.is_empty(), "and nothing was left behind");
}
