//! Limits that are reached from outside.

use crate::kit::{Host, chunk, code, none, range};
use flyer_cluster::storage::In;
use flyer_cluster::storage::options::limits::{
    OPERATIONS_PER_REQUEST_MAX, READS_MAX, REMOVALS_PER_OPERATION_MAX, REQUESTS_MAX, WAITERS_FOR_SPACE_MAX,
    WAITERS_PER_CHUNK_MAX,
};
use flyer_types::{Segments, StatusCode};
use flyer_wire::service::storage::Request;

#[test]
fn one_request_has_so_many_operations() {
    let mut host = Host::new();
    let many = vec![(0, 0, 0); OPERATIONS_PER_REQUEST_MAX + 1];
    let (request, memory) = host.read_request(&many);
    let call = host.send(Request::BatchRead(request), memory);
    assert_eq!(host.take(call).unwrap_err().code, StatusCode::INVALID_ARG);
    let mut request = host.truncate_request(0, 1, false);
    request.payloads = vec![request.payloads[0].clone(); OPERATIONS_PER_REQUEST_MAX + 1];
    assert_eq!(
        host.call(Request::TruncateChunks(request)).unwrap_err().code,
        StatusCode::INVALID_ARG
    );
    let mut request = host.remove_request(range(0, 1, 1));
    request.payloads = vec![request.payloads[0].clone(); OPERATIONS_PER_REQUEST_MAX + 1];
    assert_eq!(
        host.call(Request::RemoveChunks(request)).unwrap_err().code,
        StatusCode::INVALID_ARG
    );
}

#[test]
fn one_chunk_has_so_many_waiters() {
    let mut host = Host::new();
    let request = host.write_request(0, 0, b"x", none());
    let first = host.send_write(request, b"x");
    let reads = vec![(0, 0, 1); WAITERS_PER_CHUNK_MAX + 1];
    let (call, memory) = host.send_read(&reads);
    let request = host.write_request(0, 0, b"y", none());
    let refused = host.send_write(request, b"y");
    assert_eq!(code(&host.written(first)), StatusCode::OK);
    let results = host.read_results(call, &memory);
    let busy = |result: &&(flyer_wire::msg::storage::io::IoResult, Vec<u8>)| {
        code(&result.0) == StatusCode::STORAGE_CLIENT_RESOURCE_BUSY
    };
    assert_eq!(results.iter().filter(busy).count(), 1);
    assert_eq!(
        code(&host.written(refused)),
        StatusCode::STORAGE_CLIENT_RESOURCE_BUSY
    );
}

#[test]
fn so_many_updates_wait_for_room() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 8192]);
    host.remove(range(0, 1, 1));
    host.input(In::Space {
        capacity: 1 << 30,
        free: 0,
    });
    let most = u32::try_from(WAITERS_FOR_SPACE_MAX).unwrap();
    let mut calls = Vec::new();
    for index in 0..=most {
        let request = host.write_request(index, 0, b"x", none());
        calls.push(host.send_write(request, b"x"));
    }
    let last = *calls.last().unwrap();
    assert_eq!(host.answers.keys().copied().collect::<Vec<_>>(), [last]);
    host.answers.clear();
    host.input(In::Space {
        capacity: 1 << 30,
        free: 1 << 30,
    });
    host.run();
    assert_eq!(host.answers.len(), WAITERS_FOR_SPACE_MAX);
}

#[test]
fn so_many_chunks_are_removed_at_once() {
    let mut host = Host::new();
    // Records alone do for this.
    host.truncate(0, 0, false);
    let (key, value) = host.store.entries(b"SCHK").remove(0);
    let prefix = &key[..12];
    let batch = (0..=REMOVALS_PER_OPERATION_MAX).map(|index| {
        let key = [prefix, chunk(index).as_bytes()].concat();
        (key, Some(value.clone()))
    });
    flyer_cluster::store::Store::commit(&mut host.store, batch.collect()).unwrap();
    // The invariants are checked after each step, not after each removal.
    let removed = host.remove(range(0, u32::MAX, 0));
    assert_eq!(
        (removed.num_chunks_removed, removed.more_chunks_in_range),
        (REMOVALS_PER_OPERATION_MAX, true)
    );
    let removed = host.remove(range(0, u32::MAX, 0));
    assert_eq!(
        (removed.num_chunks_removed, removed.more_chunks_in_range),
        (1, false)
    );
}

/// Without the checks after each step: they look at everything under way.
fn unchecked(host: &mut Host, request: Request, memory: Segments) -> usize {
    let mut out = flyer_types::Effects::new();
    let input = In::Request {
        call: 0,
        request,
        memory,
    };
    let now = flyer_types::Time::ZERO;
    flyer_types::Machine::handle(host.server.inner_mut(), now, input, &mut out);
    out.drain().filter(is_refusal).count()
}

fn is_refusal(effect: &flyer_cluster::storage::Out<u32>) -> bool {
    use flyer_cluster::storage::Out;
    matches!(effect, Out::Answer { answer: Err(status), .. } if status.code == StatusCode::RPC_REQUEST_REFUSED)
}

#[test]
fn so_many_requests_are_under_way() {
    let mut host = Host::new();
    for index in 0..REQUESTS_MAX {
        let request = host.write_request(index, 0, b"x", none());
        let memory = host.lend(b"x".to_vec());
        assert_eq!(unchecked(&mut host, Request::Write(request), memory.into()), 0);
    }
    assert_eq!(host.server.inner().requests_under_way(), REQUESTS_MAX as usize);
    let write = Request::Write(host.write_request(0, 0, b"x", none()));
    let truncate = Request::TruncateChunks(host.truncate_request(0, 0, false));
    let remove = Request::RemoveChunks(host.remove_request(range(0, 1, 1)));
    let (read, memory) = host.read_request(&[(0, 0, 1)]);
    for (request, memory) in [
        (write, Segments::new()),
        (truncate, Segments::new()),
        (remove, Segments::new()),
        (Request::BatchRead(read), memory),
    ] {
        assert_eq!(unchecked(&mut host, request, memory), 1);
    }
}

#[test]
fn so_many_reads_are_under_way() {
    let mut host = Host::new();
    for index in 0..READS_MAX / 256 {
        host.write(index, 0, b"x");
        let reads = vec![(index, 0, 1); 256];
        let (request, memory) = host.read_request(&reads);
        assert_eq!(unchecked(&mut host, Request::BatchRead(request), memory), 0);
    }
    let (request, memory) = host.read_request(&[(0, 0, 1)]);
    assert_eq!(unchecked(&mut host, Request::BatchRead(request), memory), 1);
}
