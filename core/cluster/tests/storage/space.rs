//! Room on the disk, and blocks that come back.

use crate::kit::{Host, code, none, range};
use flyer_cluster::storage::{DiskError, DiskOp, In, Options};
use flyer_types::StatusCode;
use flyer_wire::codec::Wire;
use flyer_wire::msg::storage::target::SpaceInfoReq;
use flyer_wire::service::storage::{Request, Response};

const MIN: u64 = 16 << 20;

fn space(host: &mut Host) -> (u64, u64) {
    match host.call(Request::SpaceInfo(SpaceInfoReq::initial())) {
        Ok(Response::SpaceInfo(response)) => {
            (response.space_infos[0].free, response.space_infos[0].available)
        }
        other => panic!("no space info: {other:?}"),
    }
}

#[test]
fn the_disk_can_be_full() {
    let mut host = Host::new();
    assert_eq!(Options::default().free_bytes_min, MIN);
    host.input(In::Space {
        capacity: 1 << 30,
        free: MIN + 8192,
    });
    assert_eq!(code(&host.write(0, 0, &[1; 4096])), StatusCode::OK);
    assert_eq!(
        code(&host.write(1, 0, &[1; 8192])),
        StatusCode::STORAGE_CLIENT_NO_SPACE
    );
    assert_eq!(
        code(&host.write(0, 0, &[2; 4096])),
        StatusCode::OK,
        "as much as is left"
    );
    let request = host.write_request(0, 100, &[3; 10], none());
    assert_eq!(
        code(&host.write_with(request, &[3; 10])),
        StatusCode::OK,
        "in place, which needs nothing"
    );
    assert_eq!(
        host.truncate(5, 1 << 20, false).length_info,
        Ok(1 << 20),
        "zeros need nothing either"
    );
}

#[test]
fn updates_wait_for_room_that_is_to_come() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 8192]);
    host.input(In::Space {
        capacity: 1 << 30,
        free: MIN,
    });
    host.remove(range(0, 1, 1));
    assert_eq!(space(&mut host), (MIN + 8192, MIN));
    let request = host.write_request(1, 0, &[2; 8192], none());
    let call = host.send_write(request, &[2; 8192]);
    assert!(host.pending.is_empty() && host.syncs_wanted == 1);
    let request = host.write_request(2, 0, &[2; 8192], none());
    let second = host.send_write(request, &[2; 8192]);
    assert_eq!(host.syncs_wanted, 1, "asked once");
    host.sync();
    assert!(
        matches!(host.pending[..], [(_, DiskOp::Discard { .. })]),
        "the removal is durable"
    );
    assert_eq!(code(&host.written(call)), StatusCode::OK);
    assert_eq!(
        code(&host.written(second)),
        StatusCode::STORAGE_CLIENT_NO_SPACE,
        "there was room for one"
    );
    assert_eq!(space(&mut host), (MIN, MIN));
}

#[test]
fn when_the_sync_fails_they_fail() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 8192]);
    host.input(In::Space {
        capacity: 1 << 30,
        free: MIN,
    });
    host.remove(range(0, 1, 1));
    let request = host.write_request(1, 0, &[2; 8192], none());
    let call = host.send_write(request, &[2; 8192]);
    host.input(In::SyncBegun);
    host.input(In::SyncEnded(false));
    assert_eq!(code(&host.written(call)), StatusCode::STORAGE_CLIENT_NO_SPACE);
}

#[test]
fn a_disk_without_room_fails_the_update_and_asks_for_a_sync() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 4096]);
    host.remove(range(0, 1, 1));
    let request = host.write_request(1, 0, &[2; 100], none());
    let call = host.send_write(request, &[2; 100]);
    host.fail_disk = Some(DiskError::NoSpace);
    assert_eq!(code(&host.written(call)), StatusCode::STORAGE_CLIENT_NO_SPACE);
    assert_eq!(host.syncs_wanted, 1);
    assert_eq!(
        code(&host.read(1, 0, 1).0),
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND
    );
}

#[test]
fn a_block_has_no_new_owner_before_it_is_durably_empty() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 4096]);
    let place = host.disk.places()[0];
    host.remove(range(0, 1, 1));
    host.sync();
    host.run();
    // Enough for all that are reserved.
    for index in 1..40 {
        host.write(index, 0, &[2; 100]);
    }
    assert_eq!(
        host.disk.read(place, 0, 4096),
        [0; 4096],
        "emptied, but not durably"
    );
    host.sync();
    for index in 40..140 {
        host.write(index, 0, &[3; 100]);
    }
    assert_eq!(host.disk.read(place, 0, 100), [3; 100]);
}
