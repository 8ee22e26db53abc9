//! A failing store or disk leaves what was.

use crate::kit::{Host, code, none, range};
use flyer_cluster::storage::{DiskError, In, Options, StorageServer};
use flyer_cluster::store::{Store, StoreError};
use flyer_types::StatusCode;

#[test]
fn a_write_that_fails_on_the_disk_leaves_the_record() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    for error in [DiskError::Io("bad sector".into()), DiskError::NoSpace] {
        let expected = match &error {
            DiskError::NoSpace => StatusCode::STORAGE_CLIENT_NO_SPACE,
            _ => StatusCode::STORAGE_CHUNK_WRITE_FAILED,
        };
        let request = host.write_request(0, 100, &[2; 100], none());
        let call = host.send_write(request.clone(), &[2; 100]);
        host.fail_disk = Some(error);
        assert_eq!(code(&host.written(call)), expected);
        assert_eq!(host.content(0), [1; 100]);
        let retried = host.write_with(request, &[2; 100]);
        assert_eq!(
            code(&retried),
            StatusCode::OK,
            "a failure is not remembered as an answer"
        );
        host.truncate(0, 100, false);
    }
}

#[test]
fn a_move_that_fails_leaves_the_content_where_it_was() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 4000]);
    for completed in 0..2 {
        let request = host.write_request(0, 5000, &[2; 100], none());
        let call = host.send_write(request, &[2; 100]);
        for _ in 0..completed {
            host.complete(0);
        }
        host.fail_disk = Some(DiskError::Io("bad sector".into()));
        assert_eq!(code(&host.written(call)), StatusCode::STORAGE_CHUNK_WRITE_FAILED);
        assert_eq!(host.content(0), [1; 4000]);
    }
}

#[test]
fn a_store_that_does_not_take_a_record_fails_the_update() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 4000]);
    for (error, expected) in [
        (StoreError::NoSpace, StatusCode::STORAGE_CLIENT_NO_SPACE),
        (
            StoreError::Io("broken".into()),
            StatusCode::STORAGE_CHUNK_METADATA_SET_ERROR,
        ),
    ] {
        host.store.0.borrow_mut().fail_commits = Some(error);
        assert_eq!(code(&host.write(0, 4000, &[2; 50])), expected, "in place");
        assert_eq!(
            code(&host.write(0, 10, &[2; 50])),
            expected,
            "the drop of the checksum"
        );
        assert_eq!(code(&host.write(0, 0, &[2; 4000])), expected, "in another block");
        assert_eq!(code(&host.write(0, 0, &[2; 5000])), expected, "in a new group");
        assert_eq!(code(&host.truncate(0, 0, false)), expected);
        assert_eq!(
            host.remove(range(0, 1, 1)).status_code.unwrap_err().code,
            expected
        );
        host.sync();
        host.store.0.borrow_mut().fail_commits = None;
        assert_eq!(host.content(0), [1; 4000]);
    }
    assert_eq!(host.write(0, 0, &[3; 5000]).length_info, Ok(5000));
}

#[test]
fn a_store_that_cannot_be_read_fails_what_needs_it() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    host.store.0.borrow_mut().fail_reads = Some(StoreError::Io("broken".into()));
    assert_eq!(
        code(&host.read(9, 0, 1).0),
        StatusCode::STORAGE_CHUNK_METADATA_GET_ERROR
    );
    assert_eq!(
        code(&host.write(9, 0, b"x")),
        StatusCode::STORAGE_CHUNK_METADATA_GET_ERROR
    );
    let removed = host.remove(range(0, 1, 1)).status_code.unwrap_err();
    assert_eq!(removed.code, StatusCode::STORAGE_CHUNK_METADATA_GET_ERROR);
    let queried = host.last_chunk(range(0, 1, 1)).status_code.unwrap_err();
    assert_eq!(queried.code, StatusCode::STORAGE_CHUNK_METADATA_GET_ERROR);
    assert!(StorageServer::<_, u32>::open(host.store.clone(), Options::default()).is_err());
}

#[test]
fn moves_settle_with_a_later_sync_if_the_store_fails_during_one() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 4000]);
    host.sync();
    host.write(0, 4000, &[2; 4000]);
    host.input(In::SyncBegun);
    host.disk.make_durable(host.disk.mark());
    host.store.0.borrow_mut().fail_commits = Some(StoreError::Io("broken".into()));
    host.input(In::DataDurable);
    host.store.0.borrow_mut().fail_commits = None;
    host.input(In::SyncEnded(false));
    assert_eq!(host.store.entries(b"SMOV").len(), 1);
    host.write(1, 0, b"x");
    host.sync();
    assert_eq!(host.store.entries(b"SMOV").len(), 0);
    let mut host = host.reopen(true);
    assert_eq!(host.content(0).len(), 8000);
}

#[test]
fn a_damaged_record_is_told() {
    let mut host = Host::new();
    host.write(0, 0, &[1; 100]);
    host.sync();
    let mut host = host.reopen(false);
    let key = host.store.entries(b"SCHK")[0].0.clone();
    let good = host.store.get(&key).unwrap();
    host.store
        .commit([(key.clone(), Some(vec![1, 2]))].into())
        .unwrap();
    let mut server = StorageServer::<_, u32>::open(host.store.clone(), Options::default()).unwrap();
    let mut out = flyer_types::Effects::new();
    let now = flyer_types::Time::ZERO;
    flyer_types::Machine::handle(
        &mut server,
        now,
        In::Routing(std::sync::Arc::new(crate::kit::serving())),
        &mut out,
    );
    let (request, memory) = host.read_request(&[(0, 0, 10)]);
    let request = flyer_wire::service::storage::Request::BatchRead(request);
    flyer_types::Machine::handle(
        &mut server,
        now,
        In::Request {
            call: 1,
            request,
            memory,
        },
        &mut out,
    );
    let told = format!("{:?}", out.drain().next_back().unwrap());
    assert!(
        told.contains("ChunkMetadataUnpackError") || told.contains("4000"),
        "{told}"
    );
    host.store.commit([(key, good)].into()).unwrap();
}
