//! From a request to its operation, its transaction and its answer; and the file system of a new store.

use super::batch::Waiter;
use super::idempotent;
use super::op::{Core, Op};
use super::ops::stat::BASE;
use super::ops::{list, lock, make, open, remove, rename, setattr, stat};
use super::tx::{Res, Tx, fail};
use super::{MetaServer, Out};
use crate::store::Store;
use alloc::format;
use flyer_types::ids::{ChainTableId, ChainTableVersion, Gid, InodeId, Permission, Uid, Uuid};
use flyer_types::{Effects, StatusCode, Text, Time, WallTime};
use flyer_wire::codec::{Void, Wire};
use flyer_wire::msg::meta::attr::{AuthRsp, DropUserCacheRsp, StatFsReq, StatFsRsp, TestRpcRsp};
use flyer_wire::msg::meta::call::ReqBase;
use flyer_wire::msg::meta::flags::{EmptyChains, IFlags};
use flyer_wire::msg::meta::inode::{
    Acl, DirEntryData, Directory, Inode, InodeData, InodeKind, InodeType, Layout, LayoutChains,
};
use flyer_wire::service::meta::{Request, Response};

impl<S: Store, C: Copy + core::fmt::Debug> MetaServer<S, C> {
    /// Serves a request, at once or later.
    pub(super) fn handle_request(&mut self, now: Time, call: C, request: Request, out: &mut Effects<Out<C>>) {
        if self.core.options.read_only && changes_state(&request) {
            let answer = fail(StatusCode::READ_ONLY_MODE);
            return out.push(Out::Answer {
                call,
                answer,
                durable: false,
            });
        }
        #[allow(clippy::wildcard_enum_match_arm, reason = "all others are served at once")]
        match request {
            Request::Sync(request) => self.submit(now, Waiter::Sync { call, request }, out),
            Request::Close(request) => self.submit(now, Waiter::Close { call, request }, out),
            request => {
                let answer = self.run(now, &request);
                let durable = self.core.ids.take_reserved();
                out.push(Out::Answer {
                    call,
                    answer,
                    durable,
                });
            }
        }
    }

    /// Runs one operation in one transaction.
    fn run(&mut self, now: Time, request: &Request) -> Res<Response> {
        if let Request::StatFs(request) = request {
            return self.stat_fs(now, request);
        }
        let clock = self.wall(now);
        let ids = self.core.ids;
        let base = base_of(request);
        let key = idempotent::key(request, &self.core.options)?;
        let mut op = Op {
            tx: Tx::new(&mut self.store),
            now: self.core.options.rounded(clock),
            clock,
            core: &mut self.core,
            base,
        };
        if let Some(answer) = idempotent::stored(&op.tx, key.as_ref(), request)? {
            return answer;
        }
        let result = dispatch(&mut op, request);
        let key = key.filter(|_| idempotent::is_kept(&result));
        op.core.record_added |= key.is_some();
        let record = key.map(|key| key.record(clock, &result));
        let committed = if result.is_ok() {
            if let Some(record) = &record {
                op.tx.put_record(record);
            }
            op.tx.commit()
        } else {
            // What a failed operation has written and allocated is forgotten.
            op.core.ids = ids;
            let mut tx = Tx::new(&mut self.store);
            if let Some(record) = &record {
                tx.put_record(record);
            }
            tx.commit()
        };
        if committed.is_err() {
            self.core.ids = ids;
        }
        committed.and(result)
    }

    fn stat_fs(&self, now: Time, _: &StatFsReq) -> Res<Response> {
        let expire = self.core.options.space_expire;
        match self.space {
            Some(space) if now.since(space.at) <= expire => Ok(Response::StatFs(StatFsRsp {
                base: BASE,
                capacity: space.capacity,
                used: space.capacity - space.free,
                free: space.free,
            })),
            Some(_) | None => fail(StatusCode::STORAGE_CLIENT_RESOURCE_BUSY),
        }
    }
}

/// Whether a request may change something.
fn changes_state(request: &Request) -> bool {
    use flyer_wire::msg::meta::flags::OpenFlags;
    match request {
        Request::Open(open) => {
            open.session.is_some()
                || open.flags.writes()
                || open.flags.intersects(OpenFlags::TRUNC | OpenFlags::CREAT)
        }
        Request::StatFs(_)
        | Request::Stat(_)
        | Request::List(_)
        | Request::GetRealPath(_)
        | Request::DropUserCache(_)
        | Request::Authenticate(_)
        | Request::BatchStat(_)
        | Request::BatchStatByPath(_)
        | Request::Truncate(_)
        | Request::TestRpc(_) => false,
        Request::Create(_)
        | Request::Mkdirs(_)
        | Request::Symlink(_)
        | Request::HardLink(_)
        | Request::Remove(_)
        | Request::Sync(_)
        | Request::Close(_)
        | Request::Rename(_)
        | Request::SetAttr(_)
        | Request::PruneSession(_)
        | Request::LockDirectory(_) => true,
    }
}

/// Who asks.
const fn base_of(request: &Request) -> &ReqBase {
    match request {
        Request::StatFs(r) => &r.base,
        Request::Stat(r) => &r.base,
        Request::Create(r) => &r.base,
        Request::Mkdirs(r) => &r.base,
        Request::Symlink(r) => &r.base,
        Request::HardLink(r) => &r.base,
        Request::Remove(r) => &r.base,
        Request::Open(r) => &r.base,
        Request::Sync(r) => &r.base,
        Request::Close(r) => &r.base,
        Request::Rename(r) => &r.base,
        Request::List(r) => &r.base,
        Request::Truncate(r) => &r.base,
        Request::GetRealPath(r) => &r.base,
        Request::SetAttr(r) => &r.base,
        Request::PruneSession(r) => &r.base,
        Request::DropUserCache(r) => &r.base,
        Request::Authenticate(r) => &r.base,
        Request::LockDirectory(r) => &r.base,
        Request::BatchStat(r) => &r.base,
        Request::BatchStatByPath(r) => &r.base,
        Request::TestRpc(r) => &r.base,
    }
}

/// Does what is asked.
fn dispatch<S: Store>(op: &mut Op<'_, S>, request: &Request) -> Res<Response> {
    match request {
        Request::Stat(r) => stat::stat(op, r).map(Response::Stat),
        Request::Create(r) => open::create(op, r).map(Response::Create),
        Request::Mkdirs(r) => make::mkdirs(op, r).map(Response::Mkdirs),
        Request::Symlink(r) => make::symlink(op, r).map(Response::Symlink),
        Request::HardLink(r) => make::hard_link(op, r).map(Response::HardLink),
        Request::Remove(r) => remove::remove(op, r).map(Response::Remove),
        Request::Open(r) => open::open(op, r).map(Response::Open),
        Request::Rename(r) => rename::rename(op, r).map(Response::Rename),
        Request::List(r) => list::list(op, r).map(Response::List),
        Request::GetRealPath(r) => stat::real_path(op, r).map(Response::GetRealPath),
        Request::SetAttr(r) => setattr::set_attr(op, r).map(Response::SetAttr),
        Request::PruneSession(r) => lock::prune_session(op, r).map(Response::PruneSession),
        Request::LockDirectory(r) => lock::lock_directory(op, r).map(Response::LockDirectory),
        Request::BatchStat(r) => stat::batch_stat(op, r).map(Response::BatchStat),
        Request::BatchStatByPath(r) => stat::batch_stat_by_path(op, r).map(Response::BatchStatByPath),
        // Users are believed, and there is no cache of them.
        Request::DropUserCache(_) => Ok(Response::DropUserCache(DropUserCacheRsp {
            base: BASE,
            dummy: Void,
        })),
        Request::Authenticate(r) => Ok(Response::Authenticate(AuthRsp {
            base: BASE,
            user: r.base.user.clone(),
        })),
        Request::TestRpc(_) => Ok(Response::TestRpc(TestRpcRsp {
            base: BASE,
            stat: Inode::initial(),
        })),
        // Clients cut files themselves.
        Request::Truncate(_) => fail(StatusCode::NOT_IMPLEMENTED),
        Request::StatFs(_) | Request::Sync(_) | Request::Close(_) => fail(StatusCode::META_FOUND_BUG),
    }
}

/// Makes the roots and the collector's directory where they are missing.
pub(super) fn bootstrap<S: Store>(store: &mut S, core: &mut Core) -> Res<()> {
    let mut tx = Tx::new(store);
    let roots = (tx.find_inode(InodeId::ROOT)?, tx.find_inode(InodeId::GC_ROOT)?);
    let acl = core.options.root_acl;
    let gc_acl = Acl {
        uid: Uid(0),
        gid: Gid(0),
        perm: Permission(0o700),
        iflags: IFlags::IMMUTABLE,
    };
    let links = if core.options.quirks.directories_have_one_link {
        1
    } else {
        2
    };
    match roots {
        (Some(_), Some(_)) => {}
        (None, None) => {
            let layout = core.options.root_layout.clone();
            tx.put_inode(&directory(InodeId::ROOT, InodeId::ROOT, b"/", acl, layout, links));
            tx.put_inode(&directory(
                InodeId::GC_ROOT,
                InodeId::GC_ROOT,
                b"/",
                gc_acl,
                no_layout(),
                links,
            ));
        }
        (Some(_), None) | (None, Some(_)) => return fail(StatusCode::META_BAD_FILE_SYSTEM),
    }
    let name = format!("GC-Node-{}.1", core.options.node).into_bytes();
    core.gc_directory = match tx.entry(InodeId::GC_ROOT, &name)? {
        Some(entry) => entry.id,
        None => {
            let id = core.ids.allocate(&mut tx, &mut core.rng)?;
            let entry = DirEntryData {
                id,
                kind: InodeType::DIRECTORY,
                dir_acl: Some(gc_acl),
                uuid: Uuid::ZERO,
                gc_info: None,
            };
            tx.put_entry(InodeId::GC_ROOT, &name, &entry);
            tx.put_inode(&directory(
                id,
                InodeId::GC_ROOT,
                &name,
                gc_acl,
                no_layout(),
                links,
            ));
            id
        }
    };
    debug_assert!(
        core.gc_directory.0 >= 0x1000,
        "{} is not an allocated inode",
        core.gc_directory
    );
    tx.commit()
}

/// The layout of directories that hold no files of users.
const fn no_layout() -> Layout {
    Layout {
        table_id: ChainTableId(0),
        table_version: ChainTableVersion(0),
        chunk_size: 0,
        stripe_size: 0,
        chains: LayoutChains::Empty(EmptyChains),
    }
}

fn directory(id: InodeId, parent: InodeId, name: &[u8], acl: Acl, layout: Layout, nlink: u16) -> Inode {
    let kind = InodeKind::Directory(Directory {
        parent,
        layout,
        name: Text::from(name),
        chain_alloc_counter: super::chains::COUNTER_UNSET,
        lock: None,
    });
    let time = WallTime::default();
    Inode {
        base: InodeData {
            kind,
            acl,
            nlink,
            atime: time,
            ctime: time,
            mtime: time,
        },
        id,
    }
}
