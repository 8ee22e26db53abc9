//! Limits are reached, and have defined answers.

use crate::common::*;
use crate::kit::*;
use flyer_types::mark::require;
use flyer_types::{Errno, Span};
use flyer_vfs::{Reply, Request};

#[test]
fn writers_wait_for_room_and_get_it_in_order() {
    let _guard = require(["vfs.waits_for_room"]);
    let mut setup = setup();
    setup.config.write_buf_bytes = 1 << 20;
    setup.config.dirty_bytes_max = 40_000;
    let mut host = Host::new(&setup);
    host.cluster().delay = (Span::from_ms(5), Span::from_ms(5));
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let mut asked = Vec::new();
    for at in 0..20u8 {
        let request = host.write_request(inode, handle, u64::from(at) * 9000, &bytes(at, 9000), 0);
        asked.push(host.send(ALICE, request));
    }
    let waiting = asked.iter().filter(|reply| host.peek(**reply).is_none()).count();
    assert!(waiting > 10, "only so much is taken at once");
    for (at, reply) in asked.iter().enumerate() {
        assert_eq!(host.wait(*reply), Ok(Reply::Written(9000)));
        let answered = asked
            .iter()
            .skip(at + 1)
            .take_while(|reply| host.peek(**reply).is_some());
        let answered = answered.count();
        let all = asked
            .iter()
            .skip(at + 1)
            .filter(|reply| host.peek(**reply).is_some());
        assert_eq!(answered, all.count(), "one has overtaken another");
        let held: usize = host.cluster().memory.values().map(Vec::len).sum();
        let waiting = 20 - 1 - at - answered;
        assert!(held <= 40_000 + waiting * 9000, "{held} bytes are held");
    }
    host.fsync(inode, handle).unwrap();
    let expected: Vec<_> = (0..20).flat_map(|at| bytes(at, 9000)).collect();
    assert!(host.stored(inode) == expected);
}

#[test]
fn pressure_flushes_the_oldest_before_anybody_waits() {
    let mut setup = setup();
    setup.config.write_buf_bytes = 1 << 20;
    setup.config.dirty_bytes_max = 100_000;
    let mut host = Host::new(&setup);
    let (old, old_handle) = host.create(ALICE, "old", O_RDWR).unwrap();
    let (new, new_handle) = host.create(ALICE, "new", O_RDWR).unwrap();
    host.write(old, old_handle, 0, &bytes(1, 30_000)).unwrap();
    host.write(new, new_handle, 0, &bytes(2, 30_000)).unwrap();
    host.run_for(Span::from_secs(1));
    assert_eq!(host.stored(old).len(), 30_000);
    assert!(host.stored(new).is_empty());
}

#[test]
fn nobody_waits_for_room_that_cannot_come() {
    let _guard = require(["vfs.no_room"]);
    let mut setup = setup();
    setup.config.dirty_bytes_max = 20_000;
    let mut host = Host::new(&setup);
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    fail_writes(&host, Fault::transient());
    let mut asked = Vec::new();
    for at in 0..5 {
        let request = host.write_request(inode, handle, at * 9000, &bytes(1, 9000), 0);
        asked.push(host.send(ALICE, request));
    }
    let answers: Vec<_> = asked.into_iter().map(|reply| host.wait(reply)).collect();
    let refused = answers
        .iter()
        .filter(|answer| **answer == Err(Errno::EIO))
        .count();
    assert_eq!(refused, 3, "two were taken: {answers:?}");
    heal(&host);
    let _ = host.fsync(inode, handle);
    assert_eq!(host.fsync(inode, handle), Ok(()));
    assert_eq!(host.stored(inode).len(), 18_000);
    assert!(host.cluster().memory.is_empty());
}

#[test]
fn a_write_larger_than_all_room_is_taken_alone() {
    let mut setup = setup();
    setup.config.dirty_bytes_max = 1000;
    let mut host = Host::new(&setup);
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    for at in 0..3 {
        assert_eq!(host.write(inode, handle, at * 5000, &bytes(1, 5000)), Ok(5000));
    }
    host.fsync(inode, handle).unwrap();
    assert_eq!(host.stored(inode).len(), 15_000);
}

#[test]
fn many_small_ranges_are_flushed_before_they_are_too_many() {
    let mut setup = setup();
    setup.config.write_buf_bytes = 1 << 20;
    let mut host = Host::new(&setup);
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    for at in 0..4100u64 {
        let request = host.write_request(inode, handle, at * 2, b"x", 8192);
        assert_eq!(host.call(ALICE, request), Ok(Reply::Written(1)));
    }
    assert!(
        !host.stored(inode).is_empty(),
        "the limit of ranges has written them"
    );
    host.fsync(inode, handle).unwrap();
    assert_eq!(
        host.stored(inode).iter().filter(|byte| **byte == b'x').count(),
        4100
    );
}

#[test]
fn too_many_who_wait_for_a_turn_are_refused() {
    let _guard = require(["vfs.turns_full"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let set = flyer_vfs::request::SetAttributes {
        size: Some(5),
        ..Default::default()
    };
    let cut = host.send(ALICE, Request::SetAttributes { inode, set });
    let mut asked = Vec::new();
    for _ in 0..1030 {
        let request = host.write_request(inode, handle, 0, b"x", 0);
        asked.push(host.send(ALICE, request));
    }
    let refused = asked
        .iter()
        .filter(|reply| host.peek(**reply) == Some(&Err(Errno::EAGAIN)));
    assert_eq!(refused.count(), 6);
    assert!(host.wait(cut).is_ok());
    let written = asked
        .iter()
        .map(|reply| host.wait(*reply))
        .filter(Result::is_ok)
        .count();
    assert_eq!(written, 1024);
    host.fsync(inode, handle).unwrap();
    assert!(host.cluster().memory.is_empty());
}

#[test]
fn a_round_is_bounded_and_the_next_goes_on_behind_it() {
    let mut setup = setup();
    setup.config.periodic_sync.interval = Span::from_secs(10);
    setup.config.periodic_sync.limit = 3;
    setup.config.periodic_sync.workers = 2;
    let mut host = Host::new(&setup);
    let mut files = Vec::new();
    for at in 0..8 {
        let (inode, handle) = host.create(ALICE, &format!("f{at}"), O_RDWR).unwrap();
        host.write(inode, handle, 0, b"x").unwrap();
        files.push(inode);
    }
    files.sort_unstable();
    let written = |host: &Host| -> Vec<bool> {
        files
            .iter()
            .map(|inode| !host.stored(*inode).is_empty())
            .collect()
    };
    // Rounds are 7 to 13 seconds apart.
    host.run_for(Span::from_secs(13));
    let first = written(&host).iter().filter(|is_written| **is_written).count();
    assert_eq!(first, 3);
    assert!(
        written(&host)[..3].iter().all(|is_written| *is_written),
        "by number"
    );
    host.run_for(Span::from_secs(40));
    assert!(written(&host).iter().all(|is_written| *is_written));
}
