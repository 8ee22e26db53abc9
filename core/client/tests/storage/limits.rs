//! Each limit is reached, and has a defined answer.

use crate::world::{Fate, World};
use flyer_client::storage::{Options, Outcome, Want, limits_fixed};
use flyer_types::{Segments, Span, StatusCode};

fn start_write(world: &mut World, inode: u64) -> u64 {
    let from = Segments::from(world.lease(vec![1; 4]));
    world.start(World::file(inode), Want::Write { offset: 0, from })
}

fn start_read(world: &mut World, inode: u64, len: usize) -> u64 {
    let into = world.lease(vec![1; len]);
    world.start(World::file(inode), Want::Read { offset: 0, into })
}

#[test]
fn too_many_operations_are_told_so() {
    let _guard = flyer_types::mark::require(["client.storage_ops_full"]);
    let options = Options {
        ops_max: 2,
        ..Options::default()
    };
    let mut world = World::new(1, options, 1..=4);
    let ops = [0; 3].map(|_| start_read(&mut world, 1, 4));
    assert_eq!(world.wait(ops[2]), Err(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY));
    assert_eq!(world.done.len(), 1);
    assert_eq!(world.wait(ops[0]), Ok(Outcome::Done));
    assert_eq!(world.wait(ops[1]), Ok(Outcome::Done));
}

#[test]
fn no_more_calls_are_under_way_than_allowed() {
    let _guard = flyer_types::mark::require(["client.gate_shut"]);
    for (calls_max, node_calls_max, at_once) in [(3, 3, 3), (100, 1, 3), (1, 9, 1)] {
        let options = Options {
            calls_max,
            node_calls_max,
            ..Options::default()
        };
        let mut world = World::new(1, options, 1..=4);
        let ops: Vec<_> = (1..40).map(|inode| start_read(&mut world, inode, 30)).collect();
        assert_eq!(world.calls_made.len(), at_once);
        for op in ops {
            assert_eq!(world.wait(op), Ok(Outcome::Done));
        }
    }
}

#[test]
fn who_finds_no_room_in_time_gives_up() {
    let _guard = flyer_types::mark::require(["client.storage_gave_up"]);
    let options = Options {
        calls_max: 1,
        ..Options::default()
    };
    let mut world = World::new(1, options, 1..=4);
    world.fates = vec![Fate::RequestLost; 1000];
    let ops: Vec<_> = (1..20).map(|inode| start_read(&mut world, inode, 4)).collect();
    for op in ops {
        assert_eq!(world.wait(op), Err(StatusCode::STORAGE_CLIENT_TIMEOUT));
    }
}

#[test]
fn an_update_waits_for_a_channel() {
    let _guard = flyer_types::mark::require(["client.channel_awaited"]);
    let mut world = World::new(1, Options::default(), 9..=9);
    let ops: Vec<_> = (1..6).map(|inode| start_write(&mut world, inode)).collect();
    assert_eq!(world.calls_made.len(), 1);
    for op in ops {
        assert_eq!(world.wait(op), Ok(Outcome::Done));
    }
}

#[test]
fn an_update_that_gets_no_channel_in_time_fails() {
    let _guard = flyer_types::mark::require(["client.storage_wait_too_long"]);
    let mut world = World::new(1, Options::default(), 9..=9);
    world.fates = vec![Fate::RequestLost; 1000];
    let first = start_write(&mut world, 1);
    world.now += Span::from_secs(1);
    // On another chain, so that the channel is of no use when it rests.
    let others: Vec<_> = (2..9)
        .map(|inode| {
            let from = Segments::from(world.lease(vec![1; 4]));
            world.start(World::file(inode), Want::Write { offset: 8, from })
        })
        .collect();
    assert_eq!(world.wait(first), Err(StatusCode::STORAGE_CLIENT_TIMEOUT));
    for op in others {
        assert_eq!(world.wait(op), Err(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY));
    }
}

#[test]
fn an_operation_has_only_so_many_parts_at_a_time() {
    let options = Options {
        batch_ios_max: 1,
        node_calls_max: 1000,
        calls_max: 1000,
        ..Options::default()
    };
    let mut world = World::new(1, options, 1..=4);
    let op = start_read(&mut world, 1, 800);
    assert_eq!(world.calls_made.len(), limits_fixed::OP_PARTS_MAX);
    assert_eq!(world.wait(op), Ok(Outcome::Done));
    assert_eq!(world.calls_made.len(), 100);
}

#[test]
fn requests_are_cut_to_size() {
    let options = Options {
        batch_bytes_max: 16,
        io_bytes_max: 5,
        ..Options::default()
    };
    let mut world = World::new(1, options, 1..=64);
    let bytes: Vec<u8> = (0..64).collect();
    world.write(1, 0, &bytes).unwrap();
    assert_eq!(world.calls_made.len(), 16);
    assert_eq!(world.read(1, 0, 64).unwrap(), bytes);
    for (_, request) in &world.calls_made {
        if let flyer_wire::service::storage::Request::BatchRead(read) = request {
            let lengths: Vec<_> = read.payloads.iter().map(|io| io.length).collect();
            assert!(lengths.iter().sum::<u32>() <= 16 && lengths.iter().all(|len| *len <= 5));
        }
    }
}

#[test]
fn only_so_many_chunks_may_be_asked_for() {
    let mut world = World::new(1, Options::default(), 1..=1);
    let want = Want::Chunks {
        from: 1,
        to: limits_fixed::CHUNKS_QUERIED_MAX + 2,
    };
    assert_eq!(
        world.run(World::file(1), want),
        Err(StatusCode::STORAGE_CLIENT_INVALID_ARG)
    );
    let want = Want::Chunks {
        from: 1,
        to: limits_fixed::CHUNKS_QUERIED_MAX + 1,
    };
    assert_eq!(world.run(World::file(1), want), Ok(Outcome::Chunks(Vec::new())));
}
