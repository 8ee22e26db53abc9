//! Writes, truncations and removals, and that each is done once.

use crate::kit::{CHAIN, CHUNK, Host, TARGET, chunk, code, crc, none, range, routing};
use flyer_cluster::storage::{DiskOp, In};
use flyer_types::ids::{ChainVersion, ChannelId, ChunkVersion, RequestId, TargetId};
use flyer_types::{Segments, StatusCode};
use flyer_wire::msg::mgmtd::routing::PublicTargetState;
use flyer_wire::msg::storage::chunk_id::ChunkId;
use flyer_wire::msg::storage::io::{UpdateType, WriteReq};
use flyer_wire::service::storage::{Request, Response};
use std::sync::Arc;

#[test]
fn gaps_are_zero_and_chunks_grow() {
    let mut host = Host::new();
    host.write(0, 5000, b"abc");
    assert_eq!(host.content(0), [&[0; 5000], &b"abc"[..]].concat());
    host.write(0, 3, b"xy");
    let far = host.write(0, 200_000, b"far");
    assert_eq!((far.length_info, far.update_ver.0), (Ok(3), 3));
    let content = host.content(0);
    assert_eq!(
        (&content[..6], &content[5000..5003], content.len()),
        (&b"\0\0\0xy\0"[..], &b"abc"[..], 200_003)
    );
    assert_eq!(&content[200_000..], b"far");
    let empty = host.write(1, 0, b"");
    assert_eq!((empty.length_info, empty.update_ver.0), (Ok(0), 1));
    assert_eq!(host.content(1), b"");
}

#[test]
fn bytes_that_were_cut_off_do_not_come_back() {
    let mut host = Host::new();
    host.write(0, 0, &[9; 4000]);
    assert_eq!(host.truncate(0, 10, false).length_info, Ok(10));
    assert_eq!(host.truncate(0, 100, false).length_info, Ok(100));
    assert_eq!(host.content(0), [[9; 10].as_slice(), &[0; 90]].concat());
    let kept = host.truncate(0, 50, true);
    assert_eq!(
        (kept.length_info, kept.update_ver.0),
        (Ok(100), 4),
        "an extension never shortens, and is a version"
    );
    assert_eq!(host.truncate(0, 0, false).length_info, Ok(0));
    assert_eq!(host.content(0), b"");
    assert_eq!(host.truncate(5, 7000, false).update_ver.0, 1);
    assert_eq!(host.content(5), [0; 7000]);
}

#[test]
fn a_chunk_that_shrinks_gives_its_block_back() {
    let mut host = Host::new();
    host.write(0, 0, &vec![1; CHUNK as usize]);
    host.truncate(0, 5, false);
    assert!(
        host.disk.places().iter().any(|place| place.block_bytes == 4096),
        "it lies in a small block now"
    );
    host.sync();
    host.sync();
    assert!(
        host.pending
            .iter()
            .any(|(_, op)| matches!(op, DiskOp::Discard { place } if place.block_bytes == CHUNK))
    );
    host.run();
    assert_eq!(host.content(0), [1; 5]);
}

#[test]
fn refusals_of_writes() {
    let mut host = Host::new();
    host.write(0, 0, b"x");
    let mut refused = |change: &dyn Fn(&mut WriteReq)| {
        let mut request = host.write_request(0, 0, b"y", none());
        change(&mut request);
        code(&host.write_with(request, b"y"))
    };
    assert_eq!(
        refused(&|r| r.payload.key.chunk_id = ChunkId::default()),
        StatusCode::INVALID_ARG
    );
    assert_eq!(
        refused(&|r| r.payload.key.chunk_id = ChunkId::new(&[1; 300])),
        StatusCode::INVALID_ARG
    );
    assert_eq!(refused(&|r| r.payload.offset = CHUNK), StatusCode::INVALID_ARG);
    assert_eq!(
        refused(&|r| r.payload.update_type = UpdateType::REMOVE),
        StatusCode::INVALID_ARG
    );
    assert_eq!(
        refused(&|r| r.payload.length = 2),
        StatusCode::STORAGE_CLIENT_FOUND_BUG
    );
    assert_eq!(
        refused(&|r| r.payload.chunk_size = CHUNK / 2),
        StatusCode::STORAGE_CHUNK_SIZE_MISMATCH
    );
    assert_eq!(
        refused(&|r| r.payload.chunk_size = 0),
        StatusCode::STORAGE_CHUNK_INVALID_CHUNK_SIZE
    );
    assert_eq!(
        refused(&|r| r.tag.channel.id = ChannelId(0)),
        StatusCode::STORAGE_CLIENT_FOUND_BUG
    );
    assert_eq!(
        refused(&|r| r.payload.update_ver = ChunkVersion(9)),
        StatusCode::STORAGE_CHUNK_MISSING_UPDATE
    );
    assert_eq!(
        refused(&|r| r.payload.update_ver = ChunkVersion(1)),
        StatusCode::OK,
        "committed before"
    );
    assert_eq!(
        refused(&|r| r.payload.key.chain.chain_ver = ChainVersion(1)),
        StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH
    );
    assert_eq!(
        refused(&|r| r.payload.checksum = crc(b"z")),
        StatusCode::STORAGE_CHECKSUM_MISMATCH
    );
    assert_eq!(host.content(0), b"x");
}

#[test]
fn a_retry_is_answered_and_not_done_again() {
    let mut host = Host::new();
    let request = host.write_request(0, 0, b"one", none());
    let first = host.write_with(request.clone(), b"one");
    host.write(0, 0, b"two");
    let again = host.write_with(request.clone(), b"one");
    assert_eq!(
        (again.length_info.clone(), again.update_ver),
        (first.length_info, first.update_ver)
    );
    assert_eq!(host.content(0), b"two");
    let mut stranger = request.clone();
    stranger.tag.request_id = RequestId(999);
    assert_eq!(
        code(&host.write_with(stranger, b"one")),
        StatusCode::STORAGE_CLIENT_FOUND_BUG
    );
    let mut older = request;
    older.tag.channel.seqnum.0 -= 1;
    assert_eq!(
        code(&host.write_with(older, b"one")),
        StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE
    );
}

#[test]
fn a_retry_while_the_first_runs_is_refused() {
    let mut host = Host::new();
    let request = host.write_request(0, 0, b"one", none());
    let first = host.send_write(request.clone(), b"one");
    let second = host.send_write(request, b"one");
    let Some(Ok(Response::Write(response))) = host.answers.remove(&second) else {
        panic!("refused at once");
    };
    assert_eq!(code(&response.result), StatusCode::STORAGE_CHANNEL_IS_LOCKED);
    assert_eq!(host.written(first).update_ver.0, 1);
}

#[test]
fn a_retry_of_a_truncation_tells_the_length_as_before() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let request = host.truncate_request(0, 50, true);
    for _ in 0..2 {
        let Ok(Response::TruncateChunks(response)) = host.call(Request::TruncateChunks(request.clone()))
        else {
            panic!("not truncated");
        };
        assert_eq!(
            (
                response.results[0].length_info.clone(),
                response.results[0].update_ver.0
            ),
            (Ok(100), 2)
        );
    }
}

#[test]
fn chunks_are_removed_from_the_top() {
    let mut host = Host::new();
    for index in 0..10 {
        host.write(index, 0, &[1; 100]);
    }
    let some = host.remove(range(2, 9, 3));
    assert_eq!((some.num_chunks_removed, some.more_chunks_in_range), (3, true));
    let left = host.last_chunk(range(0, 9, 0));
    assert_eq!(
        (
            left.last_chunk_id,
            left.total_num_chunks,
            left.more_chunks_in_range
        ),
        (chunk(5), 6, false)
    );
    let rest = host.remove(range(0, 100, 0));
    assert_eq!((rest.num_chunks_removed, rest.more_chunks_in_range), (7, false));
    assert_eq!(host.last_chunk(range(0, 100, 0)).total_num_chunks, 0);
    assert_eq!(
        host.write(3, 0, b"new").update_ver.0,
        1,
        "a chunk that was removed begins again"
    );
    assert_eq!(host.content(3), b"new");
}

#[test]
fn a_removal_waits_for_its_turn_and_chunks_gone_meanwhile_do_not_count() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let (read, memory) = host.send_read(&[(0, 0, 100)]);
    let first = host.remove_request(range(0, 1, 1));
    let second = host.remove_request(range(0, 1, 1));
    let calls = [first, second].map(|request| host.send(Request::RemoveChunks(request), Segments::new()));
    assert_eq!(host.read_results(read, &memory)[0].1, [1; 100]);
    let removed = calls.map(|call| match host.take(call) {
        Ok(Response::RemoveChunks(response)) => response.results[0].num_chunks_removed,
        other => panic!("not removed: {other:?}"),
    });
    assert_eq!(removed, [1, 0]);
}

#[test]
fn the_last_chunk_and_the_sum_of_lengths() {
    let mut host = Host::new();
    for (index, length) in [(0, 100), (3, 200), (7, 50)] {
        host.write(index, 0, &vec![1; length]);
    }
    let all = host.last_chunk(range(0, 100, 0));
    assert_eq!(all.last_chunk_id, chunk(7));
    assert_eq!(
        (all.last_chunk_len, all.total_chunk_len, all.total_num_chunks),
        (50, 350, 3)
    );
    let one = host.last_chunk(range(0, 7, 1));
    assert_eq!(
        (one.last_chunk_len, one.total_num_chunks, one.more_chunks_in_range),
        (200, 1, true)
    );
}

#[test]
fn updates_need_a_head_that_is_the_tail() {
    let mut host = Host::new();
    let other = TargetId(51);
    let states = |a, b| {
        routing(
            2,
            CHAIN,
            &[(a, PublicTargetState::SERVING), (b, PublicTargetState::SERVING)],
        )
    };
    host.input(In::Routing(Arc::new(states(other, TARGET))));
    assert_eq!(
        code(&host.write(0, 0, b"x")),
        StatusCode::STORAGE_CLIENT_ROUTING_ERROR
    );
    host.input(In::Routing(Arc::new(states(TARGET, other))));
    assert_eq!(code(&host.write(0, 0, b"x")), StatusCode::NOT_IMPLEMENTED);
}

#[test]
fn a_chain_that_changes_while_an_update_waits_refuses_it() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let (read, memory) = host.send_read(&[(0, 0, 100)]);
    let request = host.write_request(0, 0, b"late", none());
    let write = host.send_write(request, b"late");
    let mut newer = CHAIN;
    newer.chain_ver = ChainVersion(8);
    host.input(In::Routing(Arc::new(routing(
        2,
        newer,
        &[(TARGET, PublicTargetState::SERVING)],
    ))));
    host.read_results(read, &memory);
    assert_eq!(
        code(&host.written(write)),
        StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH
    );
}
