//! How a session ends: unmounted, stopped, forced, broken.

use crate::kernel::{ALL_CAPABILITIES, Body, Kernel, op};
use crate::requests::INODE;
use crate::scripted::Scripted;
use flyer::StopError;
use flyer::adapter::Tuning;
use flyer::session::{Outcome, Session};
use flyer_types::Text;
use flyer_vfs::{Reply, Request};
use std::sync::{Arc, Barrier, Mutex, mpsc};

/// Answers everything as a link; says when it is synced and stopped.
fn file_system() -> (Scripted, mpsc::Receiver<&'static str>) {
    let (said, heard) = mpsc::channel();
    let mut file_system = Scripted::new(|_, _, reply, payload| {
        reply.send(Ok(Reply::Target(Text::from("t"))), &**payload);
    });
    let also_said = said.clone();
    file_system.sync = Box::new(move || {
        said.send("sync").expect("the test listens");
        Ok(())
    });
    file_system.stop = Box::new(move || {
        also_said.send("stop").expect("the test listens");
        Ok(())
    });
    (file_system, heard)
}

fn start(file_system: Scripted, threads: usize) -> (Kernel, Session) {
    let (kernel, session, _) = Kernel::start(
        Arc::new(file_system),
        threads,
        Tuning::default(),
        ALL_CAPABILITIES,
    );
    (kernel, session)
}

#[test]
fn an_unmount_from_outside_stops_the_file_system_once() {
    let (file_system, heard) = file_system();
    let (mut kernel, session) = start(file_system, 1);
    assert_eq!(kernel.ask(op::READLINK, INODE, &Body::new()).body, b"t");
    kernel.destroy();
    let outcome = session.wait();
    assert!(matches!(outcome, Outcome::Clean), "{outcome:?}");
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["stop"]);
}

#[test]
fn a_stop_writes_out_while_requests_go_on_and_then_waits_for_the_kernel() {
    let (file_system, heard) = file_system();
    let (mut kernel, session) = start(file_system, 1);
    session.stopper().stop();
    let waiting = std::thread::spawn(move || session.wait());
    assert_eq!(heard.recv().expect("it syncs"), "sync");
    assert_eq!(kernel.ask(op::READLINK, INODE, &Body::new()).body, b"t");
    kernel.destroy();
    let outcome = waiting.join().expect("it ends");
    assert!(matches!(outcome, Outcome::Clean), "{outcome:?}");
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["stop"]);
}

#[test]
fn a_second_stop_gets_through_whatever_hangs() {
    // Nobody else comes to the barriers: both hang for ever.
    let (mut hanging_sync, _heard) = file_system();
    hanging_sync.sync = Box::new(|| {
        Barrier::new(2).wait();
        Ok(())
    });
    let (_kernel, session) = start(hanging_sync, 2);
    session.stopper().stop();
    session.stopper().stop();
    assert!(matches!(session.wait(), Outcome::Forced));

    let (mut hanging_stop, _heard) = file_system();
    let (stopping, stopped) = mpsc::channel();
    hanging_stop.stop = Box::new(move || {
        stopping.send(()).expect("the test listens");
        Barrier::new(2).wait();
        Ok(())
    });
    let (kernel, session) = start(hanging_stop, 1);
    let stopper = session.stopper();
    let waiting = std::thread::spawn(move || session.wait());
    kernel.destroy();
    stopped.recv().expect("it stops");
    stopper.stop();
    stopper.stop();
    assert!(matches!(waiting.join().expect("it ends"), Outcome::Forced));
}

#[test]
fn data_that_is_lost_is_told() {
    let (mut file_system, _heard) = file_system();
    file_system.stop = Box::new(|| Err(StopError("disk full".into())));
    let (kernel, session) = start(file_system, 1);
    kernel.destroy();
    match session.wait() {
        Outcome::DataLost(lost) => assert_eq!(lost.to_string(), "disk full"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_breaks_is_a_failure_after_everything_is_written_out() {
    let (file_system, heard) = file_system();
    let (kernel, session) = start(file_system, 1);
    drop(kernel);
    let outcome = session.wait();
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["stop"]);
}

#[test]
fn a_reader_that_is_lost_is_noticed_and_ends_the_mount() {
    // Two requests meet, so that each of the two readers has had one.
    let meeting = Barrier::new(2);
    let (mut file_system, heard) = file_system();
    file_system.submit = Box::new(move |_, request, reply, payload| {
        if matches!(request, Request::Unlink { .. }) {
            meeting.wait();
        }
        reply.send(Ok(Reply::Done), &**payload);
    });
    let (mut kernel, session) = start(file_system, 2);
    let waiting = std::thread::spawn(move || session.wait());
    for _ in 0..2 {
        kernel.send(op::UNLINK, 1, &Body::new().name("n"));
    }
    for _ in 0..2 {
        assert_eq!(kernel.receive().error, 0);
    }
    // fuser ends a reader over a request that is shorter than its header says.
    kernel.send_cut_short();
    assert_eq!(heard.recv().expect("it is noticed"), "sync");
    // The other one goes on until the kernel ends the session.
    assert_eq!(kernel.ask(op::FLUSH, INODE, &Body::new().zeros(24)).error, 0);
    kernel.destroy();
    match waiting.join().expect("it ends") {
        Outcome::Failed(error) => assert!(error.to_string().contains("reader"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(heard.iter().collect::<Vec<_>>(), ["stop"]);
}

#[test]
fn several_readers_and_foreign_threads_answer_each_request_once() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 200;
    let (given, replies) = mpsc::channel();
    let given = Mutex::new(given);
    let file_system = Scripted::new(move |_, _, reply, payload| {
        let given = given.lock().expect("no panic");
        given
            .send((reply, Arc::clone(payload)))
            .expect("the answering thread listens");
    });
    let (mut kernel, session) = start(file_system, THREADS);
    let answering = std::thread::spawn(move || {
        for (reply, payload) in replies {
            reply.send(Ok(Reply::Target(Text::from("t"))), &*payload);
        }
    });
    let mut open = std::collections::BTreeSet::new();
    for _ in 0..REQUESTS {
        open.insert(kernel.send(op::READLINK, INODE, &Body::new()));
        if open.len() == 2 * THREADS {
            let answer = kernel.receive();
            assert!(open.remove(&answer.unique), "answered twice or never asked");
            assert_eq!(answer.body, b"t");
        }
    }
    while !open.is_empty() {
        let answer = kernel.receive();
        assert!(open.remove(&answer.unique), "answered twice or never asked");
    }
    drop(kernel);
    drop(session.wait());
    answering.join().expect("no panic");
}
