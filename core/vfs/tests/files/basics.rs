//! The common path: open, read, write, close, attributes.

use crate::common::*;
use crate::kit::*;
use flyer_types::Errno;
use flyer_types::ids::HandleId;
use flyer_vfs::Reply;

#[test]
fn what_is_written_is_read_and_reaches_the_storage() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let data = bytes(1, 10_000);
    assert_eq!(host.write(inode, handle, 0, &data), Ok(10_000));
    assert!(
        host.stored(inode).is_empty(),
        "nothing is written before it has to be"
    );
    assert_eq!(host.read(inode, handle, 0, 20_000), Ok(data.clone()));
    assert_eq!(host.stored(inode), data);
    assert_eq!(host.stat(inode).unwrap().size, 10_000);
    assert_eq!(host.fsync(inode, handle), Ok(()));
    assert_eq!(host.told(inode), (10_000, 0));
    assert_eq!(host.flush(inode, handle), Ok(()));
    assert_eq!(host.release(inode, handle), Ok(()));
    assert_eq!(count(&host, is_close), 1);
    assert!(host.cluster().memory.is_empty(), "memory is left");
    host.forget(inode, 1);
    assert_eq!(host.shards[0].inner().inodes_len(), 1, "only the root is known");
    assert_eq!(host.shards[0].inner().ops_len(), 0);
}

#[test]
fn small_writes_are_gathered() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let data = bytes(1, 8000);
    for (at, part) in data.chunks(100).enumerate() {
        let request = host.write_request(inode, handle, at as u64 * 100, part, 8192);
        assert_eq!(host.call(ALICE, request), Ok(Reply::Written(100)));
    }
    assert_eq!(host.cluster().memory.len(), 1, "all of it fits behind the first");
    assert_eq!(host.fsync(inode, handle), Ok(()));
    assert_eq!(host.stored(inode), data);
    assert_eq!(host.cluster().storage_log.len(), 1);
}

#[test]
fn handles_are_never_trusted() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_WRONLY).unwrap();
    let (other, _) = host.create(ALICE, "b", O_RDWR).unwrap();
    let stale = HandleId::new(handle.slot, handle.generation + 1);
    for (inode, handle) in [(inode, stale), (other, handle), (inode, HandleId::new(99, 1))] {
        assert_eq!(host.read(inode, handle, 0, 10), Err(Errno::EBADF));
        assert_eq!(host.write(inode, handle, 0, b"x"), Err(Errno::EBADF));
        assert_eq!(host.fsync(inode, handle), Err(Errno::EBADF));
        assert_eq!(host.flush(inode, handle), Err(Errno::EBADF));
        assert_eq!(host.release(inode, handle), Err(Errno::EBADF));
    }
    assert_eq!(
        host.read(inode, handle, 0, 10),
        Err(Errno::EBADF),
        "it only writes"
    );
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    assert_eq!(
        host.write(inode, reader, 0, b"x"),
        Err(Errno::EBADF),
        "it only reads"
    );
    assert!(host.cluster().memory.is_empty(), "memory is left");
}
