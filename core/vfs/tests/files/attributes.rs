//! Attributes, sessions, references, the end.

use crate::common::*;
use crate::kit::*;
use flyer_types::ids::{InodeId, NodeId, Permission, Uuid};
use flyer_types::mark::require;
use flyer_types::{Errno, Span, Text, WallTime};
use flyer_vfs::reply::{Attributes, Invalidate};
use flyer_vfs::request::{SetAttributes, SetTime};
use flyer_vfs::{Reply, Request};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::meta::call::{PathAt, ReqBase};
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::namespace::RemoveReq;
use flyer_wire::service::meta::Request as Meta;
use std::collections::BTreeSet;

/// Sessions that were opened and not closed.
fn sessions(host: &Host) -> BTreeSet<Uuid> {
    let mut open = BTreeSet::new();
    for request in &host.cluster().meta_log {
        match request {
            Meta::Open(request) => open.extend(request.session.as_ref().map(|session| session.session)),
            Meta::Create(request) => open.extend(request.session.as_ref().map(|session| session.session)),
            Meta::Close(request) => {
                if let Some(session) = &request.session {
                    open.remove(&session.session);
                }
            }
            _ => {}
        }
    }
    open
}

#[test]
fn times_that_were_set_outlive_the_close() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    let old = WallTime::from_secs(1_000_000);
    let set = SetAttributes {
        mtime: Some(SetTime::To(old)),
        atime: Some(SetTime::To(old)),
        handle: Some(handle),
        ..SetAttributes::default()
    };
    let attributes = host.set(inode, set).unwrap();
    assert_eq!((attributes.mtime, attributes.size), (old, 5));
    host.flush(inode, handle).unwrap();
    host.release(inode, handle).unwrap();
    assert_eq!(host.server_inode(inode).unwrap().base.mtime, old);
    assert_eq!(host.stat(inode).unwrap().mtime, old);
}

#[test]
fn mode_owner_and_times_are_one_request() {
    let mut host = host();
    let (inode, _) = host.create(ALICE, "a", O_RDWR).unwrap();
    let set = SetAttributes {
        permission: Some(Permission(0o600)),
        gid: Some(flyer_types::ids::Gid(1000)),
        mtime: Some(SetTime::Now),
        ..SetAttributes::default()
    };
    assert_eq!(host.set(inode, set).unwrap().permission, Permission(0o600));
    assert_eq!(count(&host, |request| matches!(request, Meta::SetAttr(_))), 1);
    let nobody = InodeId(0x7777);
    assert_eq!(host.truncate(nobody, 0), Err(Errno::ENOENT));
    assert_eq!(host.truncate(InodeId::ROOT, 0), Err(Errno::EISDIR));
}

/// The server does not know any inode any more.
fn forget_inodes(host: &Host) {
    let gone = Fault::Refused(flyer_types::Status::new(flyer_types::StatusCode::META_NOT_FOUND));
    host.cluster().meta_fault = Some(Box::new(move |request| {
        matches!(request, Meta::Stat(_)).then(|| gone.clone())
    }));
}

#[test]
fn a_file_gone_from_the_server_is_remembered_while_the_kernel_refers_to_it() {
    let _guard = require(["vfs.attributes_remembered"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.fsync(inode, handle).unwrap();
    let before = host.stat(inode).unwrap();
    forget_inodes(&host);
    let remembered = Attributes { links: 0, ..before };
    assert_eq!((before.size, before.links), (5, 1));
    assert_eq!(host.stat(inode), Ok(remembered), "it is open");
    host.release(inode, handle).unwrap();
    assert_eq!(host.stat(inode), Ok(remembered), "a descriptor without a handle");
    assert_eq!(host.stat(InodeId(0x7777)), Err(Errno::ENOENT));
    assert_eq!(
        host.stat(InodeId::ROOT),
        Err(Errno::ENOENT),
        "nothing was told of it"
    );
    host.forget(inode, 1);
    assert_eq!(host.stat(inode), Err(Errno::ENOENT), "nobody refers to it");
}

#[test]
fn only_what_is_gone_is_remembered() {
    let mut host = host();
    let (inode, _) = host.create(ALICE, "a", O_RDWR).unwrap();
    let refused = Fault::Refused(flyer_types::Status::new(
        flyer_types::StatusCode::META_NO_PERMISSION,
    ));
    for (fault, errno) in [(refused, Errno::EPERM), (Fault::transient(), Errno::EREMOTEIO)] {
        host.cluster().meta_fault = Some(Box::new(move |_| Some(fault.clone())));
        assert_eq!(host.stat(inode), Err(errno));
    }
}

/// Removes a name as another client would: no shard hears of it.
fn remove_elsewhere(host: &Host, name: &str) {
    let request = RemoveReq {
        base: ReqBase {
            user: UserInfo {
                uid: ROOT_USER.uid,
                gid: ROOT_USER.gid,
                groups: Vec::new(),
                token: flyer_types::Token::default(),
            },
            client: ClientId {
                uuid: Uuid([8; 16]),
                hostname: Text::from("elsewhere"),
            },
            forward: NodeId(0),
            uuid: Uuid([9; 16]),
        },
        path: PathAt {
            parent: InodeId::ROOT,
            path: Some(Text::from(name)),
        },
        at_flags: AtFlags::empty(),
        recursive: false,
        check_type: true,
        inode_id: None,
    };
    let now = host.now;
    host.cluster().ask(now, request.into()).unwrap();
}

#[test]
fn a_reader_goes_on_reading_what_another_host_has_removed() {
    let mut host = host();
    let (inode, writer) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, writer, 0, b"hello").unwrap();
    host.release(inode, writer).unwrap();
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    remove_elsewhere(&host, "a");
    forget_inodes(&host);
    // What is known of the file is old now, and the server has no more to say.
    host.run_for(Span::from_secs(60));
    assert_eq!(host.stat(inode).unwrap().links, 0);
    assert_eq!(host.read(inode, reader, 1, 3), Ok(b"ell".to_vec()));
    assert_eq!(
        host.read(inode, reader, 0, 9),
        Ok(b"hello".to_vec()),
        "past the end"
    );
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(5));
    assert!(sessions(&host).is_empty());
}

#[test]
fn a_file_is_kept_readable_by_right_of_its_reader_whoever_unlinks_it() {
    let mut host = host();
    let (inode, writer) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, writer, 0, b"hello").unwrap();
    host.release(inode, writer).unwrap();
    let set = SetAttributes {
        permission: Some(Permission(0o600)),
        ..SetAttributes::default()
    };
    host.set(inode, set).unwrap();
    assert_eq!(host.open(BOB, inode, O_RDWR), Err(Errno::EACCES));
    let before = sessions(&host);
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    // All may write to the directory, so all may remove the file.
    let parent = InodeId::ROOT;
    let name = Text::from("a");
    assert_eq!(host.call(BOB, Request::Unlink { parent, name }), Ok(Reply::Done));
    let mut askers = Vec::new();
    for request in &host.cluster().meta_log {
        if let Meta::Open(request) = request {
            askers.push(request.base.user.uid);
        }
    }
    assert_eq!(
        askers,
        [BOB.uid, ALICE.uid],
        "the refused open, and the session that keeps it"
    );
    assert_eq!(sessions(&host).len(), before.len() + 1);
    assert_eq!(host.read(inode, reader, 0, 9), Ok(b"hello".to_vec()));
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(5));
    assert_eq!(sessions(&host), before, "and gives it back");
}

#[test]
fn an_unlinked_file_stays_readable_where_it_is_open() {
    let mut host = host();
    let (inode, writer) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, writer, 0, b"hello").unwrap();
    host.flush(inode, writer).unwrap();
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    host.release(inode, writer).unwrap();
    assert!(sessions(&host).is_empty());
    let parent = InodeId::ROOT;
    let name = Text::from("a");
    assert_eq!(
        host.call(ALICE, Request::Unlink { parent, name }),
        Ok(Reply::Done)
    );
    assert_eq!(sessions(&host).len(), 1, "its reader has a session now");
    assert_eq!(host.read(inode, reader, 0, 9), Ok(b"hello".to_vec()));
    assert_eq!(host.stat(inode).unwrap().links, 0);
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(5));
    assert!(sessions(&host).is_empty(), "and gives it back");
}

#[test]
fn every_session_is_closed_once_whatever_goes_wrong() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    // To cut it fails: no handle, no session.
    let broken = Fault::no_space();
    host.cluster().storage_fault = Some(Box::new(move |_, want| {
        matches!(want, flyer_client::storage::Want::Truncate { .. }).then(|| broken.clone())
    }));
    assert_eq!(host.open(ALICE, inode, O_RDWR | O_TRUNC), Err(Errno::ENOSPC));
    let create = host.create(ALICE, "a", O_RDWR | O_TRUNC);
    assert_eq!(create.map(|_| ()), Err(Errno::ENOSPC));
    host.run_for(Span::from_secs(5));
    assert_eq!(sessions(&host).len(), 1);
    heal(&host);
    // Who only reads may cut it, and keeps no session.
    let reader = host.open(ALICE, inode, O_RDONLY | O_TRUNC).unwrap().handle;
    assert_eq!(host.read(inode, reader, 0, 9), Ok(Vec::new()));
    assert!(host.stored(inode).is_empty());
    // A close that gets lost is repeated.
    let mut left = 2;
    host.cluster().meta_fault = Some(Box::new(move |request| {
        let hit = is_close(request) && left > 0;
        left -= i32::from(hit);
        hit.then(Fault::transient)
    }));
    let _ = host.release(inode, handle);
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(10));
    assert!(sessions(&host).is_empty());
    host.forget(inode, 1);
    assert_eq!(
        host.shards[0].inner().inodes_len(),
        1,
        "the failed creation has left no reference"
    );
}

#[test]
fn a_mount_that_may_only_be_read_opens_nothing_for_writing() {
    let mut setup = setup();
    setup.config.user.readonly = true;
    let mut host = Host::new(&setup);
    let flags = [O_WRONLY, O_RDWR, O_TRUNC, O_APPEND, O_CREAT];
    for flags in flags {
        let open = Request::Open {
            inode: InodeId(0x7777),
            flags,
        };
        assert_eq!(host.call(ALICE, open), Err(Errno::EROFS));
    }
    assert_eq!(host.truncate(InodeId(0x7777), 0), Err(Errno::EROFS));
    assert_eq!(host.open(ALICE, InodeId(0x7777), O_RDONLY), Err(Errno::ENOENT));
    assert_eq!(host.open(ALICE, InodeId::ROOT, O_RDONLY), Err(Errno::EISDIR));
}

#[test]
fn a_lookup_counts_once_and_is_never_undone_by_unwritten_bytes() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    fail_writes(&host, Fault::no_space());
    host.cluster().meta_fault = Some(Box::new(|request| is_sync(request).then(Fault::transient)));
    for _ in 0..3 {
        host.lookup(ALICE, InodeId::ROOT, "a").unwrap();
    }
    heal(&host);
    let _ = host.flush(inode, handle);
    let _ = host.release(inode, handle);
    host.run_for(Span::from_secs(5));
    host.forget(inode, 3);
    assert_eq!(
        host.shards[0].inner().inodes_len(),
        2,
        "the reference of the creation is left"
    );
    host.forget(inode, 1);
    assert_eq!(host.shards[0].inner().inodes_len(), 1);
}

#[test]
fn too_many_references_given_back_do_no_harm() {
    let _guard = require(["vfs.forget_of_too_many", "vfs.forget_of_unknown"]);
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.forget(inode, 5);
    assert_eq!(host.fsync(inode, handle), Ok(()), "it is open");
    host.release(inode, handle).unwrap();
    assert_eq!(host.shards[0].inner().inodes_len(), 1);
    host.forget(inode, 1);
    host.forget(InodeId::ROOT, 7);
    assert_eq!(host.shards[0].inner().inodes_len(), 1);
}

#[test]
fn set_id_bits_are_dropped_by_a_writer() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    let permission = Some(Permission(0o6755));
    let set = SetAttributes {
        permission,
        ..SetAttributes::default()
    };
    host.set(inode, set).unwrap();
    host.write(inode, handle, 0, b"x").unwrap();
    assert_eq!(host.stat(inode).unwrap().permission, Permission(0o755));
}

#[test]
fn an_access_is_noted_once_and_reported_by_the_last_reader() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.release(inode, handle).unwrap();
    host.run_for(Span::from_secs(100));
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    host.read(inode, reader, 0, 5).unwrap();
    let atime = host.stat(inode).unwrap().atime;
    assert!(atime >= WallTime::from_us(START.us + 100_000_000));
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(1));
    assert_eq!(host.server_inode(inode).unwrap().base.atime, atime);
    let closes = count(&host, is_close);
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    host.read(inode, reader, 0, 5).unwrap();
    host.release(inode, reader).unwrap();
    host.run_for(Span::from_secs(1));
    assert_eq!(count(&host, is_close), closes, "nothing was modified since");
}

#[test]
fn a_length_that_another_host_has_grown_is_seen() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.release(inode, handle).unwrap();
    let reader = host.open(ALICE, inode, O_RDONLY).unwrap().handle;
    for content in host.cluster().chunks.values_mut() {
        content.extend_from_slice(b" world");
    }
    let sync = Request::Open { inode, flags: O_RDWR };
    let Ok(Reply::Opened(opened)) = host.call(ALICE, sync) else {
        panic!("it is there")
    };
    // The other host has its length determined.
    host.cluster().sync(host.now, inode);
    assert_eq!(
        host.read(inode, reader, 0, 20),
        Ok(b"hello".to_vec()),
        "as far as is known"
    );
    host.run_for(Span::from_secs(31));
    assert_eq!(host.read(inode, reader, 0, 20), Ok(b"hello world".to_vec()));
    host.release(inode, opened.handle).unwrap();
}

#[test]
fn what_the_kernel_is_told_to_forget() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"hello").unwrap();
    host.stat(inode).unwrap();
    host.lookup(ALICE, InodeId::ROOT, "a").unwrap();
    assert!(host.invalidated.is_empty(), "never by getattr or lookup itself");
    host.fsync(inode, handle).unwrap();
    assert_eq!(host.invalidated, [Invalidate::Inode { inode, pages: None }]);
}

#[test]
fn a_shutdown_writes_everything_and_closes_every_session() {
    let mut host = host();
    let mut files = Vec::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let (inode, handle) = host.create(ALICE, name, O_RDWR).unwrap();
        host.write(inode, handle, 0, name.as_bytes()).unwrap();
        files.push((inode, name));
    }
    assert_eq!(host.shutdown(), Ok(()));
    for (inode, name) in &files {
        assert_eq!(host.stored(*inode), name.as_bytes());
        assert_eq!(host.told(*inode).0, 1);
    }
    assert!(sessions(&host).is_empty());
    assert!(host.cluster().memory.is_empty());
}

#[test]
fn a_shutdown_tells_what_could_not_be_written() {
    let mut host = host();
    let (inode, handle) = host.create(ALICE, "a", O_RDWR).unwrap();
    host.write(inode, handle, 0, b"lost").unwrap();
    fail_writes(&host, Fault::transient());
    assert_eq!(host.shutdown(), Err(Errno::EIO));
    assert!(sessions(&host).is_empty());
}
