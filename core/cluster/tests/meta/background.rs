//! Write sessions, garbage collection, kept answers.

use crate::support::{World, by_id};
use flyer_cluster::meta::{In, Options};
use flyer_types::ids::Uuid;
use flyer_types::{Machine, Span, Status, StatusCode};
use flyer_wire::msg::meta::file::PruneSessionReq;
use flyer_wire::msg::meta::flags::{AtFlags, OpenFlags};
use flyer_wire::msg::meta::namespace::RemoveReq;

const HOUR: Span = Span::from_secs(3600);

#[test]
fn a_removed_file_keeps_its_chunks_for_a_while() {
    let mut w = World::new();
    let file = w.create("/f").unwrap();
    w.write(&file, 100 << 20);
    w.unlink("/f").unwrap();
    w.pass(Span::from_secs(299));
    assert_eq!(w.chunks.len(), 100);
    assert_eq!(w.stat_at(by_id(file.id), AtFlags::empty()).unwrap().base.nlink, 0);
    w.pass(Span::from_secs(2));
    assert_eq!(w.chunks.len(), 0);
    assert_eq!(
        w.stat_at(by_id(file.id), AtFlags::empty()),
        Err(StatusCode::META_NOT_FOUND)
    );
}

#[test]
fn an_idle_server_sleeps() {
    let mut w = World::new();
    let file = w.create("/f").unwrap();
    w.write(&file, 1);
    w.unlink("/f").unwrap();
    w.pass(HOUR);
    w.pass(HOUR);
    assert_eq!(w.server.poll_timeout(), None);
}

#[test]
fn a_write_session_keeps_a_removed_file() {
    let mut w = World::new();
    let (file, session) = w.create_open("/f");
    w.write(&file, 1);
    w.unlink("/f").unwrap();
    w.pass(HOUR);
    assert_eq!(w.chunks.len(), 1);
    w.close(file.id, &session).unwrap();
    w.pass(HOUR);
    assert_eq!(w.chunks.len(), 0);
}

#[test]
fn a_read_session_keeps_a_removed_file_too() {
    for (keeps, left) in [(true, 1), (false, 0)] {
        let mut w = World::with(Options {
            read_sessions: keeps,
            ..Options::default()
        });
        let file = w.create("/f").unwrap();
        w.write(&file, 1);
        let session = w.session();
        let mut request = w.open_req(by_id(file.id), OpenFlags::empty());
        request.session = Some(session.clone());
        w.ask(request).unwrap();
        w.unlink("/f").unwrap();
        w.pass(HOUR);
        assert_eq!(w.chunks.len(), left, "read sessions: {keeps}");
        // Closing tells nothing of the length: the reader has not changed it.
        let mut close = w.close_req(file.id, &session);
        close.update_length = false;
        if keeps {
            w.ask(close).unwrap();
            w.pass(HOUR);
            assert_eq!(w.chunks.len(), 0);
        }
    }
}

#[test]
fn a_storage_that_fails_is_asked_again() {
    let _guard = flyer_types::mark::require(["meta.gc_put_off"]);
    let mut w = World::new();
    let file = w.create("/f").unwrap();
    w.write(&file, 1);
    w.unlink("/f").unwrap();
    w.storage_answers = false;
    w.pass(Span::from_secs(301));
    let (id, _) = w.calls.remove(0);
    w.put(In::StorageAnswer {
        id,
        answer: Err(Status::new(StatusCode::READ_ONLY_MODE)),
    });
    w.pass(Span::from_secs(9));
    assert!(w.calls.is_empty());
    w.pass(Span::from_secs(2));
    w.answer_storage();
    assert!(w.chunks.is_empty());
    w.pass(HOUR);
    assert_eq!(
        w.stat_at(by_id(file.id), AtFlags::empty()),
        Err(StatusCode::META_NOT_FOUND)
    );
}

#[test]
fn a_tree_is_removed_at_once_and_collected_later() {
    let mut w = World::new();
    let request = w.mkdirs_req("/a/b/c", 0o755, true);
    w.ask(request).unwrap();
    for n in 0..100 {
        let file = w.create(&format!("/a/b/f{n}")).unwrap();
        w.write(&file, 1);
    }
    w.symlink("/a/l", "b").unwrap();
    let request = RemoveReq {
        recursive: true,
        ..w.remove_req("/a")
    };
    w.ask(request.clone()).unwrap();
    assert_eq!(w.names("/"), Ok(vec![]));
    assert!(w.ask(request).is_ok(), "the answer is kept");
    w.pass(HOUR);
    assert!(w.chunks.is_empty());
    let left = w.server.inner().store().len();
    // Roots, the collector's directory with its entry, the counter of ids.
    assert_eq!(left, 5);
}

#[test]
fn little_space_hurries_the_collector() {
    let mut w = World::new();
    let file = w.create("/f").unwrap();
    w.write(&file, 1);
    w.unlink("/f").unwrap();
    w.put(In::Space {
        capacity: 100,
        free: 4,
    });
    w.pass(Span::from_secs(1));
    assert!(w.chunks.is_empty());
}

#[test]
fn sessions_of_dead_clients_are_dropped_with_the_length_brought_up_to_date() {
    let mut w = World::new();
    let (file, _) = w.create_open("/f");
    w.write(&file, 1234);
    let mine = w.client;
    w.put(In::ClientSessions(vec![mine]));
    w.pass(HOUR);
    assert_eq!(
        crate::support::length_of(&w.stat("/f").unwrap()).0,
        0,
        "the client lives"
    );
    w.put(In::ClientSessions(vec![Uuid([1; 16])]));
    w.pass(HOUR);
    assert_eq!(crate::support::length_of(&w.stat("/f").unwrap()), (1234, 0));
    w.unlink("/f").unwrap();
    w.pass(HOUR);
    assert!(w.chunks.is_empty(), "no session keeps it");
}

#[test]
fn sessions_are_dropped_when_their_client_asks() {
    let mut w = World::new();
    let (file, session) = w.create_open("/f");
    w.write(&file, 5);
    let request = PruneSessionReq {
        base: w.base(),
        client: session.client.clone(),
        sessions: vec![session.session, Uuid([3; 16])],
        need_sync: Vec::new(),
    };
    let mut many = request.clone();
    many.sessions = vec![Uuid([3; 16]); 1 << 17];
    assert_eq!(w.ask(many), Err(StatusCode::INVALID_ARG));
    w.ask(request).unwrap();
    w.pass(Span::from_secs(10));
    assert_eq!(crate::support::length_of(&w.stat("/f").unwrap()), (5, 0));
    w.pass(HOUR);
    assert_eq!(w.server.poll_timeout(), None, "nothing is left to scan");
}

#[test]
fn kept_answers_expire() {
    let mut w = World::new();
    let request = w.remove_req("/missing");
    assert_eq!(w.ask(request.clone()), Err(StatusCode::META_NOT_FOUND));
    w.create("/missing").unwrap();
    assert_eq!(
        w.ask(request.clone()),
        Err(StatusCode::META_NOT_FOUND),
        "the first answer is kept"
    );
    w.pass(HOUR);
    assert!(w.ask(request).is_ok());
}

#[test]
fn ids_are_never_used_again_and_wait_for_durability() {
    let mut w = World::new();
    let request = w.create_req("/a", 0o644);
    let call = w.send(request);
    assert!(w.answer_of(call).unwrap().1, "the block of ids is new");
    let request = w.create_req("/b", 0o644);
    let call = w.send(request);
    assert!(!w.answer_of(call).unwrap().1);
    let b = w.stat("/b").unwrap().id;
    let store = w.server.into_inner().into_store();
    let mut w = World::over(store, Options::default());
    assert_eq!(w.stat("/b").unwrap().id, b);
    let c = w.create("/c").unwrap().id;
    assert!(c != b && c.0 >= 0x1000 && c.0 < 1 << 56);
    assert!(w.open("/c", OpenFlags::WRONLY).is_ok());
}
