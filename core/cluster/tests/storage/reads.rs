//! Reads, alone, in batches and beside updates.

use crate::kit::{CHAIN, CHUNK, Host, TARGET, chunk, code, crc, none, routing};
use flyer_cluster::storage::{DiskError, DiskOp, In};
use flyer_types::StatusCode;
use flyer_types::ids::{ChainId, ChainVersion};
use flyer_wire::msg::mgmtd::routing::PublicTargetState;
use flyer_wire::msg::remote_buf::RemoteBuf;
use flyer_wire::msg::storage::chunk::ChecksumType;
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::service::storage::{Request, Response};
use std::sync::Arc;

#[test]
fn reads_end_with_the_chunk() {
    let mut host = Host::new();
    let written = host.write(0, 0, b"0123456789");
    assert_eq!(
        (written.length_info, written.update_ver.0, written.checksum),
        (Ok(10), 1, crc(b"0123456789"))
    );
    let (result, bytes) = host.read(0, 4, 100);
    assert_eq!((result.length_info, &bytes[..]), (Ok(6), &b"456789"[..]));
    assert_eq!(
        (result.update_ver.0, result.commit_ver.0, result.commit_chain_ver),
        (1, 1, CHAIN.chain_ver)
    );
    assert_eq!(host.read(0, 10, 5).0.length_info, Ok(0));
    assert_eq!(host.read(0, u32::MAX, 5).0.length_info, Ok(0));
    assert_eq!(host.read(0, 3, 0).0.length_info, Ok(0));
    assert_eq!(
        code(&host.read(1, 0, 5).0),
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND
    );
}

#[test]
fn results_of_a_batch_keep_their_order_whatever_ends_first() {
    let mut host = Host::new();
    for index in 0..3 {
        host.write(index, 0, &[u8::try_from(index).unwrap() + 1; 100]);
    }
    let (call, memory) = host.send_read(&[(0, 0, 10), (9, 0, 10), (1, 0, 20), (2, 0, 30), (0, 5, 10)]);
    assert_eq!(host.pending.len(), 4, "all are on the disk together");
    while !host.pending.is_empty() {
        host.complete(host.pending.len() - 1);
    }
    let results = host.read_results(call, &memory);
    let lengths: Vec<_> = results
        .iter()
        .map(|(result, _)| result.length_info.clone().unwrap_or(99))
        .collect();
    assert_eq!(lengths, [10, 99, 20, 30, 10]);
    assert_eq!(results[3].1, [3; 30]);
    let empty = host.send_read(&[]);
    assert!(host.read_results(empty.0, &empty.1).is_empty());
}

#[test]
fn a_read_waits_for_an_update_and_an_update_for_reads() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let (before, before_memory) = host.send_read(&[(0, 0, 100)]);
    let request = host.write_request(0, 50, &[2; 100], none());
    let write = host.send_write(request, &[2; 100]);
    let (after, after_memory) = host.send_read(&[(0, 0, 200)]);
    assert!(
        matches!(host.pending[..], [(_, DiskOp::Read { .. })]),
        "the update waits for the read, and the next read for it"
    );
    host.complete(0);
    assert!(host.answers.contains_key(&before) && !host.answers.contains_key(&write));
    host.run();
    assert_eq!(host.read_results(before, &before_memory)[0].1, [1; 100]);
    assert_eq!(
        host.read_results(after, &after_memory)[0].1,
        [[1; 50].as_slice(), &[2; 100]].concat()
    );
    assert_eq!(host.written(write).update_ver.0, 2);
}

#[test]
fn what_fails_a_whole_request() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let mut refused = |change: &dyn Fn(&mut flyer_wire::msg::storage::io::BatchReadReq)| {
        let (mut request, memory) = host.read_request(&[(0, 0, 10)]);
        change(&mut request);
        let call = host.send(Request::BatchRead(request), memory);
        host.take(call).unwrap_err().code
    };
    assert_eq!(
        refused(&|r| r.payloads[0].key.chain.chain_id = ChainId(6)),
        StatusCode::STORAGE_CLIENT_ROUTING_ERROR
    );
    assert_eq!(
        refused(&|r| r.payloads[0].key.chain.chain_ver = ChainVersion(6)),
        StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH
    );
    assert_eq!(
        refused(&|r| r.payloads[0].rdmabuf = RemoteBuf::without_memory(9)),
        StatusCode::INVALID_ARG
    );
    assert_eq!(refused(&|r| r.payloads[0].length = 11), StatusCode::INVALID_ARG);
    assert_eq!(
        refused(&|r| r.checksum_type = ChecksumType::CRC32),
        StatusCode::INVALID_ARG
    );
    assert_eq!(
        refused(&|r| r.payloads.push(r.payloads[0].clone())),
        StatusCode::INVALID_ARG
    );
    let waiting = routing(2, CHAIN, &[(TARGET, PublicTargetState::WAITING)]);
    host.input(In::Routing(Arc::new(waiting)));
    let (request, memory) = host.read_request(&[(0, 0, 10)]);
    let call = host.send(Request::BatchRead(request), memory);
    assert_eq!(
        host.take(call).unwrap_err().code,
        StatusCode::STORAGE_TARGET_STATE_INVALID
    );
}

#[test]
fn a_failing_disk_fails_only_that_read() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    host.write(1, 0, &[2; 100]);
    let (call, memory) = host.send_read(&[(0, 0, 100), (1, 0, 100)]);
    host.fail_disk = Some(DiskError::Io("bad sector".into()));
    let results = host.read_results(call, &memory);
    assert_eq!(code(&results[0].0), StatusCode::STORAGE_CHUNK_READ_FAILED);
    assert_eq!(results[1].1, [2; 100]);
}

#[test]
fn the_disk_can_be_bypassed() {
    let mut host = Host::new();
    let (mut request, memory) = host.read_request(&[(0, 0, 10)]);
    request.feature_flags = FeatureFlags::BYPASS_DISKIO;
    let call = host.send(Request::BatchRead(request), memory);
    let Ok(Response::BatchRead(response)) = host.take(call) else {
        panic!("not read");
    };
    assert_eq!(
        (
            response.results[0].length_info.clone(),
            response.results[0].update_ver.0
        ),
        (Ok(10), 0)
    );
    let mut request = host.write_request(0, 0, b"x", none());
    request.feature_flags = FeatureFlags::BYPASS_DISKIO;
    assert_eq!(host.write_with(request, b"x").length_info, Ok(1));
    assert_eq!(
        code(&host.read(0, 0, 5).0),
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND
    );
}

#[test]
fn late_and_unknown_answers_of_the_disk_are_ignored() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    let (call, memory) = host.send_read(&[(0, 0, 10)]);
    let id = host.pending[0].0;
    host.run();
    host.input(In::Disk {
        id,
        done: Err(DiskError::NoSpace),
    });
    assert_eq!(host.read_results(call, &memory)[0].1, [1; 10]);
    assert_eq!(chunk(0).as_bytes().len(), 16);
    assert!(host.content(0).len() < CHUNK as usize);
}
