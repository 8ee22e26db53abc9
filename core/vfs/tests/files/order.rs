//! What may happen at the same time, and what may not.

use crate::common::*;
use crate::kit::*;
use flyer_client::storage::Want;
use flyer_types::ids::InodeId;
use flyer_types::mark::require;
use flyer_types::{Errno, Span};
use flyer_vfs::reply::Invalidate;
use flyer_vfs::{Reply, Request};

#[test]
fn appends_of_all_handles_follow_each_other() {
    for flags in [O_WRONLY | O_APPEND, O_WRONLY | O_APPEND | O_DIRECT] {
        let mut host = host();
        host.cluster().delay = (Span::from_us(10), Span::from_us(3000));
        let (inode, first) = host.create(ALICE, "log", flags).unwrap();
        let mut handles = vec![first];
        for _ in 0..3 {
            handles.push(host.open(ALICE, inode, flags).unwrap().handle);
        }
        let mut asked = Vec::new();
        let mut expected = Vec::new();
        for round in 0..20u8 {
            for (handle, tag) in handles.iter().zip(b'a'..) {
                let record = vec![tag, round, tag];
                // The kernel's idea of the end is old.
                let request = host.write_request(inode, *handle, 0, &record, 64);
                asked.push(host.send(ALICE, request));
                expected.push(record);
            }
        }
        for reply in asked {
            assert_eq!(host.wait(reply), Ok(Reply::Written(3)));
        }
        host.fsync(inode, first).unwrap();
        let stored = host.stored(inode);
        let records: Vec<_> = stored.chunks(3).map(<[u8]>::to_vec).collect();
        assert_eq!(records, expected, "all of them, whole, in order");
        let told = host.invalidated.iter().any(|what| {
            matches!(
                what,
                Invalidate::Inode {
                    pages: Some((0, 0)),
                    ..
                }
            )
        });
        assert!(told, "the kernel has cached them elsewhere");
    }
}

#[test]
fn an_append_goes_behind_what_another_host_has_written() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "log", O_WRONLY | O_APPEND).unwrap();
    host.write(inode, handle, 0, b"one").unwrap();
    host.fsync(inode, handle).unwrap();
    // Someone else: bytes at the storage that this mount has not been told of.
    {
        let mut cluster = host.cluster();
        let content = cluster.chunks.values_mut().next().unwrap();
        content.extend_from_slice(b"other");
    }
    host.write(inode, handle, 3, b"two").unwrap();
    host.fsync(inode, handle).unwrap();
    assert_eq!(host.stored(inode), b"oneothertwo");
}

#[test]
fn nothing_slips_between_a_flush_and_the_cut_behind_it() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, &bytes(1, 9000)).unwrap();
    let set = flyer_vfs::request::SetAttributes {
        size: Some(5000),
        ..Default::default()
    };
    let cut = host.send(ALICE, Request::SetAttributes { inode, set });
    let request = host.write_request(inode, handle, 6000, b"behind", 0);
    let write = host.send(ALICE, request);
    let (request, into) = host.read_request(inode, handle, 0, 20_000);
    let read = host.send(ALICE, request);
    assert_eq!(host.answer(write), None, "it waits for its turn");
    assert!(host.wait(cut).is_ok());
    assert_eq!(host.wait(write), Ok(Reply::Written(6)));
    let answer = host.wait(read);
    let mut expected = bytes(1, 9000);
    expected.truncate(5000);
    expected.resize(6000, 0);
    expected.extend_from_slice(b"behind");
    assert_eq!(host.take_data(into, answer), Ok(expected.clone()));
    host.fsync(inode, handle).unwrap();
    assert_eq!(host.stored(inode), expected);
    assert_eq!(host.told(inode).1, 1);
}

#[test]
fn old_bytes_do_not_come_back_after_a_file_was_cut_to_nothing() {
    for by_open in [false, true] {
        let mut host = host();
        let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
        host.write(inode, handle, 0, &bytes(1, 70_000)).unwrap();
        // A batch is on its way, and more waits behind it.
        host.write(inode, handle, 70_000, &bytes(2, 100)).unwrap();
        if by_open {
            host.open(ALICE, inode, O_RDWR | O_TRUNC).unwrap();
        } else {
            host.truncate(inode, 0).unwrap();
        }
        assert_eq!(host.stat(inode).unwrap().size, 0);
        host.write(inode, handle, 0, b"new").unwrap();
        assert_eq!(host.fsync(inode, handle), Ok(()));
        assert_eq!(host.stored(inode), b"new");
        assert_eq!(host.read(inode, handle, 0, 100), Ok(b"new".to_vec()));
        assert!(host.cluster().memory.is_empty());
    }
}

#[test]
fn bytes_that_cannot_be_written_do_not_keep_a_file_from_being_cut_to_nothing() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"old").unwrap();
    fail_writes(&host, Fault::transient());
    let fsync = host.send(
        ALICE,
        Request::Fsync {
            inode,
            handle,
            data_only: false,
        },
    );
    host.run_for(Span::from_ms(20));
    assert_eq!(host.answer(fsync), None, "it is tried again");
    assert!(host.truncate(inode, 7).is_err(), "three bytes have to be there");
    assert!(host.truncate(inode, 0).is_ok());
    let _ = host.wait(fsync);
    assert!(host.cluster().memory.is_empty());
    heal(&host);
    let _ = host.fsync(inode, handle);
    assert_eq!(host.fsync(inode, handle), Ok(()));
    assert!(host.stored(inode).is_empty());
}

#[test]
fn writes_go_on_during_a_flush_and_the_later_wins() {
    let mut host = host();
    host.cluster().delay = (Span::from_ms(10), Span::from_ms(10));
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"aaaaaaaa").unwrap();
    let fsync = host.send(
        ALICE,
        Request::Fsync {
            inode,
            handle,
            data_only: true,
        },
    );
    let before = host.now;
    assert_eq!(host.write(inode, handle, 2, b"bb"), Ok(2));
    assert_eq!(host.now, before, "nobody waits");
    assert_eq!(host.wait(fsync), Ok(Reply::Done));
    assert_eq!(host.stored(inode), b"aaaaaaaa", "it was for what came before it");
    assert_eq!(host.read(inode, handle, 0, 8), Ok(b"aabbaaaa".to_vec()));
    assert_eq!(host.stored(inode), b"aabbaaaa");
}

#[test]
fn a_write_through_waits_for_older_bytes_of_its_range() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let direct = host.open(ALICE, inode, O_RDWR | O_DIRECT).unwrap();
    assert!(direct.direct_io);
    host.write(inode, handle, 0, b"aaaaaaaa").unwrap();
    host.write(inode, direct.handle, 2, b"bb").unwrap();
    assert_eq!(host.stored(inode), b"aabbaaaa");
    host.write(inode, handle, 100, b"far").unwrap();
    host.write(inode, direct.handle, 4, b"cc").unwrap();
    assert_eq!(host.stored(inode), b"aabbccaa", "what lies elsewhere can wait");
}

#[test]
fn the_longest_file_is_known_before_anything_is_touched() {
    let _guard = require(["vfs.file_too_large"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let max = CHUNK << 32;
    host.write(inode, handle, 0, b"hello").unwrap();
    host.fsync(inode, handle).unwrap();
    assert_eq!(host.truncate(inode, max + 1), Err(Errno::EFBIG));
    assert_eq!(host.stored(inode), b"hello");
    assert_eq!(host.write(inode, handle, max, b"x"), Err(Errno::EFBIG));
    assert_eq!(
        host.write(inode, handle, max - 2, b"xyz"),
        Ok(2),
        "as much as fits"
    );
    assert!(
        !host
            .cluster()
            .storage_log
            .iter()
            .any(|(_, want)| matches!(want, Want::Truncate { .. }))
    );
}

#[test]
fn holes_and_allocation() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let seek = |host: &mut Host, offset, whence| {
        let request = Request::Seek {
            inode,
            handle,
            offset,
            whence,
        };
        match host.call(ALICE, request)? {
            Reply::Offset(at) => Ok(at),
            other => panic!("{other:?}"),
        }
    };
    use flyer_vfs::request::Seek::{Data, Hole};
    host.write(inode, handle, 2 * CHUNK, &bytes(1, 100)).unwrap();
    host.write(inode, handle, 20_000 * CHUNK, b"x").unwrap();
    assert_eq!(seek(&mut host, 0, Data), Ok(2 * CHUNK));
    assert_eq!(seek(&mut host, 2 * CHUNK + 5, Data), Ok(2 * CHUNK + 5));
    assert_eq!(seek(&mut host, 0, Hole), Ok(0));
    assert_eq!(seek(&mut host, 2 * CHUNK, Hole), Ok(2 * CHUNK + 100));
    assert_eq!(
        seek(&mut host, 3 * CHUNK, Data),
        Ok(20_000 * CHUNK),
        "many windows further"
    );
    assert_eq!(
        seek(&mut host, 20_000 * CHUNK, Hole),
        Ok(20_000 * CHUNK + 1),
        "the end"
    );
    assert_eq!(seek(&mut host, 20_000 * CHUNK + 1, Data), Err(Errno::ENXIO));
    let mut allocate = |mode| {
        host.call(
            ALICE,
            Request::Fallocate {
                inode,
                handle,
                offset: 0,
                length: 50,
                mode,
            },
        )
    };
    assert_eq!(allocate(1), Ok(Reply::Done));
    assert_eq!(allocate(3), Ok(Reply::Done));
    for unknown in [2, 8, 0x20, 0x40, 0x13] {
        assert_eq!(allocate(unknown), Err(Errno::EOPNOTSUPP), "{unknown:#x}");
    }
    let copy = Request::CopyRange {
        inode,
        handle,
        offset: 0,
        to_inode: InodeId(5),
        to_handle: handle,
        to_offset: 0,
        length: 1,
    };
    assert_eq!(host.call(ALICE, copy), Err(Errno::EOPNOTSUPP));
}
