//! The stub behind the whole way: the life of a file.

use crate::kernel::{ALL_CAPABILITIES, Body, Kernel, op};
use flyer::adapter::Tuning;
use flyer::session::Outcome;
use flyer::stub::{FILE_NAME, Stub, StubOptions};
use flyer_types::Span;
use std::sync::Arc;

const FILE_BYTES: u64 = 3 << 30;

#[test]
fn a_file_lives_from_its_creation_to_the_last_reference() {
    let stub = Stub::new(StubOptions {
        file_bytes: FILE_BYTES,
        timeout: Span::from_secs(1),
    });
    let (mut kernel, session, _) = Kernel::start(Arc::new(stub), 2, Tuning::default(), ALL_CAPABILITIES);

    let found = kernel.ask(op::LOOKUP, 1, &Body::new().name(FILE_NAME));
    assert_eq!(found.u64_at(48), FILE_BYTES);
    let create = Body::new().u32(2).u32(0o100_600).u32(0).u32(0).name("new");
    let created = kernel.ask(op::CREATE, 1, &create);
    assert_eq!(created.error, 0);
    let (node, handle) = (created.u64_at(0), created.u64_at(128));
    assert_eq!(kernel.ask(op::CREATE, 1, &create).error, -17);

    let bytes = [7; 5000];
    let write = Body::new()
        .u64(handle)
        .u64(8192)
        .u32(5000)
        .zeros(20)
        .bytes(&bytes);
    assert_eq!(kernel.ask(op::WRITE, node, &write).u32_at(0), 5000);
    let shown = kernel.ask(op::GETATTR, node, &Body::new().zeros(16));
    assert_eq!((shown.u64_at(16 + 8), shown.u32_at(16 + 60)), (13_192, 0o100_600));
    // At the end of the file a read is short.
    let read = Body::new().u64(handle).u64(13_000).u32(4096).zeros(20);
    assert_eq!(kernel.ask(op::READ, node, &read).body.len(), 192);

    let opened = kernel.ask(op::OPENDIR, 1, &Body::new().zeros(8));
    let list = |cookie: u64| Body::new().u64(opened.u64_at(0)).u64(cookie).u32(4096).zeros(20);
    let page = kernel.ask(op::READDIRPLUS, 1, &list(0));
    // Each of the four names takes 160 bytes.
    let names: Vec<_> = page.body.chunks(160).map(|item| &item[152..155]).collect();
    assert_eq!(names, [b".\0\0", b"..\0", b"fil", b"new"]);
    let last_cookie = page.u64_at(3 * 160 + 136);
    assert_eq!(kernel.ask(op::READDIRPLUS, 1, &list(last_cookie)).body, []);

    assert_eq!(kernel.ask(op::UNLINK, 1, &Body::new().name("new")).error, 0);
    // Still open.
    assert_eq!(kernel.ask(op::READ, node, &read).body.len(), 192);
    assert_eq!(
        kernel
            .ask(op::RELEASE, node, &Body::new().u64(handle).zeros(16))
            .error,
        0
    );
    // One reference came from the creation and one from the listing.
    kernel.send(op::FORGET, node, &Body::new().u64(2));
    // With two readers it may be overtaken by the next request, but not by one behind the answer to another on the same thread; so ask until
    // it is gone.
    while kernel.ask(op::GETATTR, node, &Body::new().zeros(16)).error == 0 {}
    let missing = kernel.ask(op::LOOKUP, 1, &Body::new().name("new"));
    assert_eq!(
        (missing.error, missing.u64_at(0)),
        (0, 0),
        "absence may be cached"
    );

    drop(kernel);
    assert!(matches!(session.wait(), Outcome::Failed(_)));
}
