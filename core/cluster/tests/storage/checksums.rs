//! Checksums: kept where that is cheap, verified where they are kept, and never wrong after a crash.

use crate::kit::{Host, code, crc, none};
use flyer_cluster::storage::DiskOp;
use flyer_types::{Rng, StatusCode};

#[test]
fn whole_writes_and_appends_have_a_checksum_and_overwrites_have_none() {
    let mut host = Host::new();
    assert_eq!(host.write(0, 0, b"abc").checksum, crc(b"abc"));
    assert_eq!(host.write(0, 3, b"def").checksum, crc(b"abcdef"));
    assert_eq!(host.write(0, 8, b"gh").checksum, crc(b"abcdef\0\0gh"));
    assert_eq!(host.truncate(0, 12, true).checksum, crc(b"abcdef\0\0gh\0\0"));
    assert_eq!(host.write(0, 1, b"X").checksum, none());
    assert_eq!(host.write(0, 12, b"Y").checksum, none());
    assert_eq!(
        host.write(0, 0, b"all of it, anew").checksum,
        crc(b"all of it, anew")
    );
    assert_eq!(host.truncate(0, 3, false).checksum, none());
    let request = host.write_request(1, 0, b"abc", none());
    assert_eq!(host.write_with(request, b"abc").checksum, none());
}

#[test]
fn bytes_that_changed_on_the_disk_are_not_served() {
    let mut host = Host::new();
    host.write(0, 0, &[7; 1000]);
    let place = host.disk.places()[0];
    host.disk.corrupt(place, 500);
    let (result, _) = host.read(0, 0, 1000);
    assert_eq!(code(&result), StatusCode::STORAGE_CHECKSUM_MISMATCH);
    assert_eq!(
        code(&host.read(0, 0, 5000).0),
        StatusCode::STORAGE_CHECKSUM_MISMATCH,
        "longer than the chunk is whole, too"
    );
    host.sync();
    let mut host = host.reopen(true);
    assert_eq!(
        code(&host.read(0, 0, 1000).0),
        StatusCode::STORAGE_CHECKSUM_MISMATCH,
        "it was synced"
    );
    host.write(0, 0, &[8; 1000]);
    assert_eq!(host.content(0), [8; 1000]);
}

#[test]
fn data_lost_with_the_power_are_not_accused_ever() {
    let mut host = Host::new();
    host.sync();
    host.write(0, 0, &[7; 1000]);
    host.store.make_durable(host.store.mark());
    host.disk.scrub_unsynced();
    let mut host = host.reopen(true);
    assert_eq!(
        host.content(0),
        [0; 1000],
        "the record survived, the data did not"
    );
    host.write(0, 1000, b"more");
    host.sync();
    let mut host = host.reopen(true);
    assert_eq!(host.content(0).len(), 1004);
}

#[test]
fn an_overwrite_under_a_durable_checksum_goes_elsewhere() {
    let mut host = Host::new();
    host.write(0, 0, &[7; 1000]);
    host.sync();
    let request = host.write_request(0, 10, &[8; 10], none());
    let call = host.send_write(request, &[8; 10]);
    assert!(matches!(host.pending[..], [(_, DiskOp::Copy { len: 1000, .. })]));
    host.written(call);
    let request = host.write_request(0, 30, &[9; 10], none());
    let call = host.send_write(request, &[9; 10]);
    assert!(
        matches!(host.pending[..], [(_, DiskOp::Write { .. })]),
        "without a checksum it happens in place"
    );
    host.written(call);
}

#[test]
fn a_checksum_is_dropped_before_the_bytes_below_it_change() {
    let mut host = Host::new();
    host.write(0, 0, &[7; 1000]);
    let commits = host.store.0.borrow().commits;
    let request = host.write_request(0, 10, &[8; 10], none());
    host.send_write(request, &[8; 10]);
    assert!(matches!(host.pending[..], [(_, DiskOp::Write { .. })]));
    assert_eq!(
        host.store.0.borrow().commits,
        commits + 1,
        "the drop comes before the write"
    );
    // Killed in the middle of the write.
    let (_, op) = host.pending.remove(0);
    host.disk.carry_out(&op, &[8; 10], Some(5));
    let mut host = host.reopen(false);
    let content = host.content(0);
    assert_eq!((&content[..10], content.len()), (&[7; 10][..], 1000));
}

#[test]
fn bytes_sealed_by_a_truncated_record_are_not_overwritten_in_place() {
    let mut host = Host::new();
    host.write(0, 0, &[7; 4000]);
    host.sync();
    host.truncate(0, 2000, false);
    let request = host.write_request(0, 2000, &[8; 10], crc(&[8; 10]));
    let call = host.send_write(request, &[8; 10]);
    assert!(matches!(host.pending[..], [(_, DiskOp::Copy { len: 2000, .. })]));
    host.written(call);
    // Both commits are lost, the bytes are not: the old record must still be true.
    host.store.lose_commits(&mut Rng::from_seed(0));
    host.disk.make_durable(host.disk.mark());
    let mut host = host.reopen(true);
    let content = host.content(0);
    assert!(content == [7; 4000] || content == [7; 2000]);
}
