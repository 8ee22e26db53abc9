//! Flushes that fail: no byte is lost silently, and every writer hears of it once.

use crate::common::*;
use crate::kit::*;
use flyer_types::mark::require;
use flyer_types::{Errno, Span};
use flyer_vfs::Request;
use flyer_wire::service::meta::Request as Meta;

#[test]
fn bytes_survive_a_failed_flush_and_are_written_by_the_next() {
    let _guard = require(["vfs.flush_gave_up"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let data = bytes(1, 5000);
    host.write(inode, handle, 0, &data).unwrap();
    fail_writes(&host, Fault::transient());
    assert_eq!(host.fsync(inode, handle), Err(Errno::EIO));
    assert_eq!(host.fsync(inode, handle), Err(Errno::EIO), "still not durable");
    assert!(host.stored(inode).is_empty());
    heal(&host);
    assert_eq!(host.fsync(inode, handle), Ok(()));
    assert_eq!(host.stored(inode), data);
    assert_eq!(host.told(inode).0, 5000);
    assert!(host.cluster().memory.is_empty());
}

#[test]
fn a_passing_failure_is_nobodys_business() {
    let _guard = require(["vfs.flush_failed"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    let mut left = 3;
    host.cluster().storage_fault = Some(Box::new(move |_, _| {
        left -= 1;
        (left >= 0).then(Fault::transient)
    }));
    assert_eq!(host.fsync(inode, handle), Ok(()), "three more tries are made");
    assert_eq!(host.stored(inode), b"hello");
    assert_eq!(host.flush(inode, handle), Ok(()));
}

#[test]
fn every_writer_hears_once_of_a_failure_in_the_background() {
    let mut setup = setup();
    setup.config.periodic_sync.interval = Span::from_secs(10);
    let mut host = Host::new(&setup);
    let (inode, one) = host.create(ALICE, "a", O_RDWR).unwrap();
    let two = host.open(ALICE, inode, O_RDWR).unwrap().handle;
    let idle = host.open(ALICE, inode, O_RDWR).unwrap().handle;
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    host.write(inode, one, 0, b"11").unwrap();
    host.write(inode, two, 2, b"22").unwrap();
    fail_writes(&host, Fault::transient());
    host.run_for(Span::from_secs(20));
    heal(&host);
    host.run_for(Span::from_secs(20));
    assert_eq!(host.stored(inode), b"1122", "the next round has written it");
    assert_eq!(
        host.write(inode, one, 4, b"x"),
        Err(Errno::EIO),
        "told at the next write"
    );
    assert_eq!(host.write(inode, one, 4, b"33"), Ok(2), "and only once");
    assert_eq!(host.fsync(inode, two), Err(Errno::EIO));
    assert_eq!(host.fsync(inode, two), Ok(()));
    assert_eq!(host.flush(inode, one), Ok(()));
    assert_eq!(host.flush(inode, two), Ok(()));
    for bystander in [idle, reader] {
        assert_eq!(host.fsync(inode, bystander), Ok(()));
        assert_eq!(host.flush(inode, bystander), Ok(()));
    }
    assert_eq!(host.stored(inode), b"112233");
}

#[test]
fn refused_bytes_are_dropped_when_every_writer_was_told_and_not_before() {
    let _guard = require(["vfs.refused_bytes_dropped"]);
    let mut host = host();
    let (inode, one) = host.create(ALICE, "a", O_RDWR).unwrap();
    let two = host.open(ALICE, inode, O_RDWR).unwrap().handle;
    host.write(inode, one, 0, b"11").unwrap();
    host.write(inode, two, 2, b"22").unwrap();
    fail_writes(&host, Fault::no_space());
    assert_eq!(host.fsync(inode, one), Err(Errno::ENOSPC));
    assert_eq!(host.cluster().memory.len(), 2, "the other one does not know yet");
    assert_eq!(host.flush(inode, two), Err(Errno::ENOSPC));
    assert_eq!(host.cluster().memory.len(), 2, "it may have another descriptor");
    host.release(inode, two).unwrap();
    host.run_for(Span::from_secs(1));
    assert!(host.cluster().memory.is_empty());
    assert_eq!(host.fsync(inode, one), Ok(()), "nothing is left to be written");
    assert_eq!(host.stat(inode).unwrap().size, 0);
    heal(&host);
    host.write(inode, one, 0, b"33").unwrap();
    assert_eq!(host.fsync(inode, one), Ok(()));
    assert_eq!(host.stored(inode), b"33");
}

/// A program that starts another one closes its descriptors there, and nobody looks at what that says.
#[test]
fn a_close_tells_what_a_handle_is_owed_and_another_descriptor_hears_of_it_too() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"11").unwrap();
    fail_writes(&host, Fault::no_space());
    assert_eq!(host.flush(inode, handle), Err(Errno::ENOSPC));
    assert_eq!(host.flush(inode, handle), Err(Errno::ENOSPC));
    assert_eq!(host.fsync(inode, handle), Err(Errno::ENOSPC), "nothing is stored");
    heal(&host);
    assert_eq!(host.fsync(inode, handle), Ok(()), "it was told and is dropped");
    assert_eq!(host.flush(inode, handle), Ok(()));
    assert_eq!(host.stat(inode).unwrap().size, 0);

    host.write(inode, handle, 0, b"22").unwrap();
    fail_writes(&host, Fault::transient());
    assert_eq!(host.flush(inode, handle), Err(Errno::EIO));
    heal(&host);
    assert_eq!(
        host.flush(inode, handle),
        Err(Errno::EIO),
        "written by now, but it was not"
    );
    assert_eq!(host.stored(inode), b"22");
    assert_eq!(host.fsync(inode, handle), Err(Errno::EIO));
    assert_eq!(host.fsync(inode, handle), Ok(()), "told");
    assert_eq!(host.flush(inode, handle), Ok(()));
}

#[test]
fn refused_bytes_are_written_after_all_if_there_is_space_again_in_time() {
    let mut host = host();
    let (inode, one) = host.create(ALICE, "a", O_RDWR).unwrap();
    let two = host.open(ALICE, inode, O_RDWR).unwrap().handle;
    host.write(inode, one, 0, b"11").unwrap();
    host.write(inode, two, 2, b"22").unwrap();
    fail_writes(&host, Fault::no_space());
    assert_eq!(host.fsync(inode, one), Err(Errno::ENOSPC));
    heal(&host);
    assert_eq!(host.fsync(inode, one), Ok(()));
    assert_eq!(host.stored(inode), b"1122");
    assert_eq!(
        host.fsync(inode, two),
        Err(Errno::ENOSPC),
        "it is told all the same"
    );
    assert_eq!(host.fsync(inode, two), Ok(()));
}

#[test]
fn others_neither_fail_nor_wait_because_of_unwritten_bytes() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    fail_writes(&host, Fault::transient());
    let before = host.now;
    assert_eq!(
        host.stat(inode).unwrap().size,
        5,
        "as far as this mount is concerned"
    );
    let entry = host.lookup(BOB, flyer_types::ids::InodeId::ROOT, "a").unwrap();
    assert_eq!(entry.attributes.unwrap().size, 5);
    assert!(
        host.now.since(before) < Span::from_ms(10),
        "it waits for one try only"
    );
    host.forget(inode, 1);
    heal(&host);
    assert_eq!(
        host.fsync(inode, handle),
        Ok(()),
        "the failure was not worth telling"
    );
    assert_eq!(host.stored(inode), b"hello");
}

#[test]
fn a_reader_fails_only_where_bytes_are_missing() {
    let _guard = require(["vfs.read_of_unwritten_bytes"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.fsync(inode, handle).unwrap();
    host.write(inode, handle, 3, b"XY").unwrap();
    fail_writes(&host, Fault::transient());
    assert_eq!(host.read(inode, handle, 0, 5), Err(Errno::EIO));
    assert_eq!(host.read(inode, handle, 0, 3), Ok(b"hel".to_vec()));
    heal(&host);
    assert_eq!(host.read(inode, handle, 0, 5), Ok(b"helXY".to_vec()));
}

#[test]
fn a_release_keeps_what_cannot_be_written_until_it_can() {
    let _guard = require(["vfs.orphan_session", "vfs.orphan_closed"]);
    let mut setup = setup();
    setup.config.periodic_sync.interval = Span::from_secs(10);
    let mut host = Host::new(&setup);
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    fail_writes(&host, Fault::transient());
    assert_eq!(host.release(inode, handle), Err(Errno::EIO));
    assert_eq!(
        host.fsync(inode, handle),
        Err(Errno::EBADF),
        "the handle is gone all the same"
    );
    host.forget(inode, 1);
    assert_eq!(
        host.shards[0].inner().inodes_len(),
        2,
        "forgotten by the kernel only"
    );
    assert_eq!(count(&host, is_close), 0);
    host.run_for(Span::from_secs(60));
    heal(&host);
    host.run_for(Span::from_secs(60));
    assert_eq!(host.stored(inode), b"hello");
    assert_eq!(host.told(inode).0, 5);
    assert_eq!(
        count(&host, is_close),
        1,
        "the session is closed when the bytes are written"
    );
    assert_eq!(host.shards[0].inner().inodes_len(), 1);
    assert!(host.cluster().memory.is_empty());
}

#[test]
fn a_release_without_a_close_before_it_writes_everything() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    let other = host.open(ALICE, inode, O_RDWR).unwrap().handle;
    assert_eq!(host.release(inode, handle), Ok(()));
    assert_eq!(host.stored(inode), b"hello");
    assert_eq!(host.told(inode).0, 5, "and the length is exact");
    assert_eq!(host.read(inode, other, 0, 9), Ok(b"hello".to_vec()));
}

#[test]
fn a_length_that_could_not_be_reported_is_reported_later() {
    let mut setup = setup();
    setup.config.periodic_sync.interval = Span::from_secs(10);
    let mut host = Host::new(&setup);
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.cluster().meta_fault = Some(Box::new(|request| is_sync(request).then(Fault::transient)));
    assert_eq!(host.fsync(inode, handle), Err(Errno::EREMOTEIO));
    assert_eq!(host.stored(inode), b"hello", "the bytes are there");
    assert_eq!(host.told(inode).0, 0);
    host.run_for(Span::from_secs(30));
    heal(&host);
    host.run_for(Span::from_secs(30));
    assert_eq!(host.told(inode).0, 5, "a round has done it");
    let hints: Vec<_> = (host.cluster().meta_log.iter())
        .filter_map(|request| match request {
            Meta::Sync(request) => Some(request.length_hint),
            _ => None,
        })
        .collect();
    assert_eq!(
        hints.first(),
        Some(&None),
        "what the server did with the failed one is not known"
    );
    let rounds = count(&host, is_sync);
    host.run_for(Span::from_secs(100));
    assert_eq!(count(&host, is_sync), rounds, "nothing is dirty any more");
    let _ = host.call(ALICE, Request::Release { inode, handle });
}

#[test]
fn a_torn_write_through_is_told_at_once() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR | O_DIRECT).unwrap();
    fail_writes(&host, Fault::no_space());
    assert_eq!(host.write(inode, handle, 0, b"hello"), Err(Errno::ENOSPC));
    assert!(host.cluster().memory.is_empty(), "nothing is kept");
    heal(&host);
    assert_eq!(host.write(inode, handle, 0, b"hello"), Ok(5));
    assert_eq!(host.stored(inode), b"hello", "before it is answered");
    assert_eq!(host.fsync(inode, handle), Ok(()));
}
