//! Extended attributes.

use crate::common::{ALICE, BOB, Setup};
use crate::kit::Kernel;
use flyer_types::ids::{InodeId, Uuid};
use flyer_types::{Errno, Text};
use flyer_vfs::{Caller, Reply, Request};
use flyer_wire::msg::common::ClientId;
use flyer_wire::msg::meta::attr::{LockAction, LockDirectoryReq};

const ROOT: InodeId = InodeId::ROOT;
const LOCK: &str = "hf3fs.lock";

struct Rig {
    k: Kernel,
    directory: InodeId,
    file: InodeId,
    link: InodeId,
}

fn rig() -> Rig {
    let mut k = Kernel::new(&Setup::default());
    let directory = k.mkdir(ROOT, "d").unwrap();
    let file = k.mknod(ROOT, "f").unwrap();
    let link = k
        .symlink(ALICE, ROOT, "l", "f")
        .unwrap()
        .attributes
        .unwrap()
        .inode;
    Rig {
        k,
        directory,
        file,
        link,
    }
}

impl Rig {
    fn set(&mut self, caller: Caller, inode: InodeId, name: &str, value: &str) -> Result<Reply, Errno> {
        let request = Request::SetXattr {
            inode,
            name: Text::from(name),
            value: Text::from(value),
            flags: 0,
        };
        self.k.call(caller, request)
    }

    fn get(&mut self, inode: InodeId, name: &str, bytes: u32) -> Result<Reply, Errno> {
        let name = Text::from(name);
        self.k.call(ALICE, Request::GetXattr { inode, name, bytes })
    }

    fn list(&mut self, inode: InodeId, bytes: u32) -> Result<Reply, Errno> {
        self.k.call(ALICE, Request::ListXattr { inode, bytes })
    }

    fn remove(&mut self, inode: InodeId, name: &str) -> Result<Reply, Errno> {
        let name = Text::from(name);
        self.k.call(ALICE, Request::RemoveXattr { inode, name })
    }

    fn lock_elsewhere(&mut self, inode: InodeId) {
        let request = |mut base: flyer_wire::msg::meta::call::ReqBase| {
            base.client = ClientId {
                uuid: Uuid([1; 16]),
                hostname: Text::from("quote\"d"),
            };
            LockDirectoryReq {
                base,
                inode,
                action: LockAction::PREEMPT_LOCK,
            }
            .into()
        };
        self.k.elsewhere(request).unwrap();
    }
}

#[test]
fn directories_are_locked_and_unlocked() {
    let mut r = rig();
    let d = r.directory;
    assert_eq!(r.get(d, LOCK, 0), Err(Errno::ENODATA));
    assert_eq!(r.set(ALICE, d, LOCK, "try_lock"), Ok(Reply::Done));
    let value = r#"{"client":{"uuid":"07070707-0707-0707-0707-070707070707","hostname":"host"}}"#;
    let length = u32::try_from(value.len()).unwrap();
    assert_eq!(r.get(d, LOCK, 0), Ok(Reply::Length(length)));
    assert_eq!(r.get(d, LOCK, length - 1), Err(Errno::ERANGE));
    assert_eq!(r.get(d, LOCK, length), Ok(Reply::Bytes(Text::from(value))));
    assert_eq!(r.list(d, 0), Ok(Reply::Length(11)));
    assert_eq!(r.list(d, 10), Err(Errno::ERANGE));
    assert_eq!(r.list(d, 11), Ok(Reply::Bytes(Text::from("hf3fs.lock\0"))));
    assert_eq!(r.set(ALICE, d, LOCK, "unlock"), Ok(Reply::Done));
    assert_eq!(r.get(d, LOCK, 100), Err(Errno::ENODATA));
    assert_eq!(r.list(d, 100), Ok(Reply::Bytes(Text::default())));
}

#[test]
fn a_lock_of_another_client_holds_until_it_is_taken_or_cleared() {
    let mut r = rig();
    let d = r.directory;
    r.lock_elsewhere(d);
    assert_eq!(r.set(ALICE, d, LOCK, "try_lock"), Err(Errno::ENOLCK));
    assert_eq!(r.set(ALICE, d, LOCK, "unlock"), Err(Errno::ENOLCK));
    assert_eq!(r.k.mkdir(d, "x"), Err(Errno::ENOLCK));
    let Ok(Reply::Bytes(value)) = r.get(d, LOCK, 200) else {
        panic!("no value");
    };
    assert!(value.to_string().contains(r#""hostname":"quote\"d""#), "{value}");
    assert_eq!(r.set(ALICE, d, LOCK, "preempt_lock"), Ok(Reply::Done));
    r.k.mkdir(d, "x").unwrap();
    r.lock_elsewhere(d);
    assert_eq!(r.set(ALICE, d, LOCK, "clear"), Ok(Reply::Done));
    r.lock_elsewhere(d);
    assert_eq!(r.remove(d, LOCK), Ok(Reply::Done));
    assert_eq!(r.get(d, LOCK, 0), Err(Errno::ENODATA));
}

#[test]
fn the_root_can_be_locked_too() {
    let mut r = rig();
    assert_eq!(r.set(ALICE, ROOT, LOCK, "try_lock"), Ok(Reply::Done));
    assert!(matches!(r.get(ROOT, LOCK, 200), Ok(Reply::Bytes(_))));
    assert_eq!(r.remove(ROOT, LOCK), Ok(Reply::Done));
    assert_eq!(r.get(ROOT, LOCK, 200), Err(Errno::ENODATA));
}

#[test]
fn everything_else_is_refused() {
    let mut r = rig();
    let Rig {
        directory,
        file,
        link,
        ..
    } = r;
    let virt = InodeId::RM_RF;
    assert_eq!(r.set(ALICE, directory, LOCK, "try_lock\0"), Err(Errno::EINVAL));
    assert_eq!(r.set(ALICE, directory, LOCK, ""), Err(Errno::EINVAL));
    assert_eq!(r.set(BOB, directory, LOCK, "try_lock"), Err(Errno::EACCES));
    for (inode, name) in [
        (directory, "user.x"),
        (directory, "hf3fs.other"),
        (file, LOCK),
        (link, LOCK),
        (virt, LOCK),
    ] {
        assert_eq!(
            r.set(ALICE, inode, name, "try_lock"),
            Err(Errno::EOPNOTSUPP),
            "{inode} {name}"
        );
    }
    assert_eq!(r.get(file, LOCK, 0), Err(Errno::ENODATA));
    assert_eq!(r.get(link, LOCK, 0), Err(Errno::EOPNOTSUPP));
    assert_eq!(r.get(virt, LOCK, 0), Err(Errno::EOPNOTSUPP));
    let before = r.k.host.cluster().meta_log.len();
    assert_eq!(r.get(file, "security.capability", 0), Err(Errno::ENODATA));
    assert_eq!(
        r.k.host.cluster().meta_log.len(),
        before,
        "asked for with each write"
    );
    assert_eq!(r.list(file, 0), Ok(Reply::Length(0)));
    assert_eq!(r.list(link, 10), Ok(Reply::Bytes(Text::default())));
    assert_eq!(r.list(virt, 0), Ok(Reply::Length(0)));
    assert_eq!(r.remove(file, LOCK), Err(Errno::ENOTDIR));
    assert_eq!(r.remove(link, LOCK), Err(Errno::EPERM));
    assert_eq!(r.remove(virt, LOCK), Err(Errno::EPERM));
    assert_eq!(r.remove(directory, "user.x"), Err(Errno::EPERM));
    assert_eq!(r.get(InodeId(0x7777), LOCK, 0), Err(Errno::ENOENT));
}
