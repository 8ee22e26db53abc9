//! Rules of the tree that a benchmark relies on.
#![allow(clippy::wildcard_enum_match_arm, reason = "any other answer is wrong")]

use super::*;
use std::sync::mpsc;

fn ask(stub: &Stub, request: Request) -> Result<Reply, Errno> {
    let (answered, answers) = mpsc::channel();
    let reply = ReplyTo::to_function("test", move |answer| {
        answered.send(answer).expect("the test listens");
    });
    stub.submit(Caller::default(), request, reply);
    answers.recv().expect("it answers at once")
}

fn make(stub: &Stub, name: &str, directory: bool) -> InodeId {
    let (parent, name) = (InodeId::ROOT, Text::from(name));
    let request = if directory {
        Request::MakeDirectory {
            parent,
            name,
            permission: Permission(0o755),
        }
    } else {
        Request::MakeNode {
            parent,
            name,
            mode: 0o100_644,
        }
    };
    match ask(stub, request) {
        Ok(Reply::Entry(Entry {
            attributes: Some(attributes),
            ..
        })) => attributes.inode,
        other => panic!("{other:?}"),
    }
}

fn rename(stub: &Stub, name: &str, to_name: &str, flags: u32) -> Result<Reply, Errno> {
    let (parent, to_parent) = (InodeId::ROOT, InodeId::ROOT);
    let (name, to_name) = (Text::from(name), Text::from(to_name));
    ask(
        stub,
        Request::Rename {
            parent,
            name,
            to_parent,
            to_name,
            flags,
        },
    )
}

fn names(stub: &Stub, cookie: u64) -> Vec<String> {
    let request = Request::ReadDirectory {
        inode: InodeId::ROOT,
        handle: HANDLE,
        cookie,
        bytes: 1 << 20,
        plus: false,
    };
    match ask(stub, request) {
        Ok(Reply::Directory(items)) => items.iter().map(|item| item.name.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

fn links(stub: &Stub, inode: InodeId) -> Result<u32, Errno> {
    match ask(stub, Request::GetAttributes { inode, handle: None })? {
        Reply::Attributes(attributes, _) => Ok(attributes.links),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_come_and_go() {
    let stub = Stub::new(StubOptions::default());
    let file = make(&stub, "a", false);
    let directory = make(&stub, "d", true);
    assert_eq!(names(&stub, 0), [".", "..", "file", "a", "d"]);
    assert_eq!(links(&stub, InodeId::ROOT), Ok(3));
    assert_eq!(rename(&stub, "a", "b", 0), Ok(Reply::Done));
    assert_eq!(rename(&stub, "a", "c", 0), Err(Errno::ENOENT));
    assert_eq!(rename(&stub, "b", "file", 1), Err(Errno::EEXIST));
    assert_eq!(rename(&stub, "b", "d", 0), Err(Errno::EISDIR));
    assert_eq!(rename(&stub, "d", "b", 0), Err(Errno::ENOTDIR));
    assert_eq!(rename(&stub, "b", "d", 2), Ok(Reply::Done));
    assert_eq!(rename(&stub, "b", "d", 4), Err(Errno::EINVAL));
    // Cookies are given anew to what has moved; those of others stay.
    assert_eq!(names(&stub, 3), ["b", "d"]);
    let name = Text::from("b");
    assert_eq!(
        ask(
            &stub,
            Request::Unlink {
                parent: InodeId::ROOT,
                name: name.clone()
            }
        ),
        Err(Errno::EISDIR)
    );
    assert_eq!(
        ask(
            &stub,
            Request::RemoveDirectory {
                parent: InodeId::ROOT,
                name
            }
        ),
        Ok(Reply::Done)
    );
    assert_eq!(links(&stub, InodeId::ROOT), Ok(2));
    assert_eq!(links(&stub, directory), Ok(0));
    assert_eq!(links(&stub, file), Ok(1));
}

#[test]
fn an_inode_goes_with_its_last_name_and_reference() {
    let stub = Stub::new(StubOptions::default());
    let before = stub.read().len();
    let file = make(&stub, "a", false);
    let (parent, name) = (InodeId::ROOT, Text::from("b"));
    assert!(
        ask(
            &stub,
            Request::Link {
                inode: file,
                parent,
                name: name.clone()
            }
        )
        .is_ok()
    );
    assert_eq!(links(&stub, file), Ok(2));
    for name in [Text::from("a"), name] {
        assert_eq!(ask(&stub, Request::Unlink { parent, name }), Ok(Reply::Done));
    }
    assert_eq!(links(&stub, file), Ok(0));
    assert_eq!(
        ask(
            &stub,
            Request::Forget {
                inode: file,
                count: 1
            }
        ),
        Ok(Reply::Done)
    );
    assert_eq!(links(&stub, file), Ok(0));
    assert_eq!(
        ask(
            &stub,
            Request::Forget {
                inode: file,
                count: 1
            }
        ),
        Ok(Reply::Done)
    );
    assert_eq!(links(&stub, file), Err(Errno::ENOENT));
    assert_eq!(stub.read().len(), before);
}

#[test]
fn limits_are_answers() {
    let stub = Stub::new(StubOptions::default());
    let name = Text::from("n".repeat(NAME_BYTES + 1));
    let request = Request::MakeNode {
        parent: InodeId::ROOT,
        name,
        mode: 0,
    };
    assert_eq!(ask(&stub, request), Err(Errno::ENAMETOOLONG));
    make(&stub, &"n".repeat(NAME_BYTES), false);
    assert!(stub.payload().take_read(REQUEST_BYTES_MAX).is_some());
    assert_eq!(stub.payload().take_read(REQUEST_BYTES_MAX + 1), None);
    assert_eq!(stub.payload().take_write(REQUEST_BYTES_MAX + 1), None);
    let mut shown = Vec::new();
    let lease = Lease {
        off: 4096,
        ..stub.payload().take_read(8).expect("room")
    };
    stub.payload().with(lease, &mut |bytes| shown = bytes.to_vec());
    assert_ne!(shown, [0; 8], "pages are not all zeros");
}

#[test]
fn a_reply_that_is_dropped_is_an_error() {
    let (answered, answers) = mpsc::channel();
    drop(ReplyTo::to_function("test", move |answer| {
        answered.send(answer).expect("the test listens");
    }));
    assert_eq!(answers.recv().expect("an answer"), Err(Errno::EIO));
}
