//! Sync and close: hints, queries, batches, overload.

use crate::support::World;
use flyer_cluster::meta::options::limits::{STORAGE_CALLS_MAX, WAITING_PER_INODE_MAX};
use flyer_cluster::meta::{In, Options, StorageAnswer, StorageCall};
use flyer_types::{Span, Status, StatusCode};
use flyer_wire::codec::{Void, Wire};
use flyer_wire::msg::storage::range::QueryLastChunkResult;
use flyer_wire::service::meta::Response;

#[test]
fn the_vectors_of_upstream() {
    let mut w = World::new();
    let (file, session) = w.create_open("/f");
    assert_eq!(w.sync(file.id, Some((100, 0)), true), Ok((0, 1)));
    assert_eq!(w.sync(file.id, Some((1024, 1)), false), Ok((1024, 1)));
    assert_eq!(w.sync(file.id, Some((6000, 0)), false), Ok((0, 2)), "outdated");
    assert_eq!(w.sync(file.id, Some((6000, 2)), false), Ok((6000, 2)));
    assert_eq!(w.close(file.id, &session), Ok((0, 3)));
}

#[test]
fn hints_are_believed_or_not() {
    let mut w = World::new();
    let (file, _) = w.create_open("/f");
    assert_eq!(w.sync(file.id, Some((10, 0)), false), Ok((10, 0)));
    assert_eq!(
        w.sync(file.id, Some((5, 0)), false),
        Ok((10, 0)),
        "a shorter hint says nothing"
    );
    assert_eq!(
        w.sync(file.id, Some((5, 1)), false),
        Err(StatusCode::META_FOUND_BUG)
    );
    assert_eq!(w.sync(file.id, Some((0, 0)), false), Ok((10, 0)));
    let mut w = World::with(Options {
        ignore_length_hint: true,
        ..Options::default()
    });
    let (file, _) = w.create_open("/f");
    assert_eq!(w.sync(file.id, Some((10, 0)), false), Ok((0, 0)));
}

#[test]
fn a_length_is_the_end_of_the_last_chunk_of_any_chain() {
    let mut options = Options::default();
    options.root_layout.stripe_size = 3;
    let mut w = World::with(options);
    let (file, session) = w.create_open("/f");
    w.write(&file, (5 << 20) + 17);
    assert_eq!(w.sync(file.id, None, false), Ok(((5 << 20) + 17, 0)));
    w.chunks.clear();
    assert_eq!(w.close(file.id, &session), Ok((0, 1)), "shrunk");
}

#[test]
fn bad_requests_are_refused() {
    let mut w = World::new();
    let (file, session) = w.create_open("/f");
    let mut sync = w.sync_req(file.id, None, true);
    sync.update_length = false;
    assert_eq!(w.ask(sync), Err(StatusCode::INVALID_ARG));
    let mut close = w.close_req(file.id, &session);
    close.session = None;
    assert_eq!(w.ask(close), Err(StatusCode::INVALID_ARG));
    let directory = w.mkdir("/d").unwrap();
    assert_eq!(w.sync(directory.id, None, false), Err(StatusCode::META_NOT_FILE));
    assert_eq!(
        w.sync(flyer_types::ids::InodeId(77), None, false),
        Err(StatusCode::META_NOT_FOUND)
    );
    let mut sync = w.sync_req(directory.id, None, false);
    sync.update_length = false;
    let call = w.send(sync);
    let (answer, durable) = w.answer_of(call).unwrap();
    assert!(
        answer.is_ok() && durable,
        "the way to make the names of a directory durable"
    );
}

#[test]
fn requests_that_wait_together_are_one_batch() {
    let mut w = World::new();
    let (file, _) = w.create_open("/f");
    w.write(&file, 100);
    w.storage_answers = false;
    let request = w.sync_req(file.id, None, false);
    let calls: Vec<u64> = (0..4).map(|_| w.send(request.clone())).collect();
    assert_eq!(w.calls.len(), 1);
    w.answer_storage();
    assert!(w.answer_of(calls[0]).is_some());
    assert!(w.answer_of(calls[1]).is_none(), "its query began after it came");
    assert_eq!(w.calls.len(), 1);
    w.answer_storage();
    for call in &calls[1..] {
        assert!(matches!(w.answer_of(*call), Some((Ok(Response::Sync(_)), true))));
    }
    assert!(w.calls.is_empty());
}

#[test]
fn overload_is_busy_and_silence_is_a_timeout() {
    let _guard = flyer_types::mark::require(["meta.length_timeout", "meta.stale_storage_answer"]);
    let mut w = World::new();
    let (file, _) = w.create_open("/f");
    w.storage_answers = false;
    let request = w.sync_req(file.id, None, false);
    let first = w.send(request.clone());
    // One is under way. Only the invariants of the last few steps are worth their time.
    for _ in 0..WAITING_PER_INODE_MAX {
        let mut out = flyer_types::Effects::new();
        let input = In::Request {
            call: 0,
            request: request.clone().into(),
        };
        flyer_types::Machine::handle(w.server.inner_mut(), w.now, input, &mut out);
    }
    let last = w.send(request);
    assert_eq!(
        w.answer_of(last).unwrap().0.unwrap_err().code,
        StatusCode::META_BUSY
    );
    let (stale, _) = w.calls[0].clone();
    w.pass(Span::from_secs(5));
    assert_eq!(
        w.answer_of(first).unwrap().0.unwrap_err().code,
        StatusCode::META_OPERATION_TIMEOUT
    );
    let answer = Err(Status::new(StatusCode::RPC_TIMEOUT));
    let answers = w.answers.len();
    w.put(In::StorageAnswer { id: stale, answer });
    assert_eq!(w.answers.len(), answers, "a late answer changes nothing");
}

#[test]
fn failures_of_the_storage_are_passed_on() {
    let mut w = World::new();
    let (file, _) = w.create_open("/f");
    w.storage_answers = false;
    let mut foreign = QueryLastChunkResult::initial();
    foreign.status_code = Ok(Void);
    foreign.last_chunk_id = flyer_wire::msg::storage::chunk_id::ChunkId::new(&[1; 16]);
    let answers = [
        (
            Err(Status::new(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY)),
            StatusCode::STORAGE_CLIENT_RESOURCE_BUSY,
        ),
        (Ok(StorageAnswer::LastChunk(foreign)), StatusCode::DATA_CORRUPTION),
    ];
    for (answer, code) in answers {
        let request = w.sync_req(file.id, None, false);
        let call = w.send(request);
        let (id, asked) = w.calls.remove(0);
        assert!(matches!(asked, StorageCall::LastChunk { .. }));
        w.put(In::StorageAnswer { id, answer });
        assert_eq!(w.answer_of(call).unwrap().0.unwrap_err().code, code);
    }
}

#[test]
fn only_so_many_calls_are_under_way() {
    let mut w = World::new();
    w.storage_answers = false;
    let mut calls = Vec::new();
    for n in 0..STORAGE_CALLS_MAX + 10 {
        let file = w.create(&format!("/{n}")).unwrap();
        w.write(&file, 7);
        let request = w.sync_req(file.id, None, false);
        calls.push(w.send(request));
    }
    assert_eq!(w.calls.len(), STORAGE_CALLS_MAX);
    while !w.calls.is_empty() {
        w.answer_storage();
        assert!(w.calls.len() <= STORAGE_CALLS_MAX);
    }
    for call in calls {
        assert!(w.answer_of(call).unwrap().0.is_ok());
    }
}

#[test]
fn a_longer_stripe_than_known_is_busy() {
    let mut options = Options {
        dynamic_stripe: true,
        dynamic_stripe_initial: 1,
        ..Options::default()
    };
    options.root_layout.stripe_size = 4;
    let mut w = World::with(options);
    let mut request = w.create_req("/f", 0o644);
    request.dyn_stripe = true;
    w.ask(request).unwrap();
    let file = w.stat("/f").unwrap();
    w.write(&file, 1 << 20);
    assert_eq!(w.sync(file.id, None, false), Ok((1 << 20, 0)));
    w.write(&file, 5 << 20);
    assert_eq!(
        w.sync(file.id, None, false),
        Err(StatusCode::META_BUSY),
        "chunk 4 lies on the first chain"
    );
    let request = flyer_wire::msg::meta::attr::SetAttrReq {
        dyn_stripe: 4,
        ..w.set_attr_req("/f")
    };
    w.set_attr(request).unwrap();
    assert_eq!(w.sync(file.id, None, false), Ok((5 << 20, 0)));
}
