//! Random operations against a small model of POSIX names, their retries, and the store after each commit.

use crate::support::{ALICE, Res, World, by_id};
use flyer_cluster::meta::{In, MetaServer, Options, Out};
use flyer_cluster::store::{Batch, MemoryStore, Store, StoreError, Visit};
use flyer_types::ids::{InodeId, Permission, Uid};
use flyer_types::{Effects, Machine, Rng, Span, StatusCode, Time, WallTime};
use flyer_wire::msg::meta::attr::{SetAttrReq, StatReq};
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::inode::Inode;
use flyer_wire::msg::meta::namespace::{RemoveReq, SymlinkReq};
use flyer_wire::service::meta::{Request, Response};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// One operation on paths.
#[derive(Clone, Debug)]
enum Action {
    Mkdir(String, u32),
    Create(String, u32),
    Symlink(String, String),
    Link(String, String),
    Unlink(String),
    Rmdir(String),
    Rename(String, String),
    Chmod(String, u32),
    Stat(String),
}

#[derive(Clone, Debug)]
enum Kind {
    Directory(BTreeMap<String, InodeId>, InodeId),
    File,
    Symlink(String),
}

#[derive(Clone, Debug)]
struct Node {
    kind: Kind,
    uid: Uid,
    mode: u32,
    links: u16,
}

/// Names, recomputed.
struct Model {
    nodes: BTreeMap<InodeId, Node>,
    user: Uid,
}

/// Where a path leads: its directory, its last name, and what is there.
type Walked = (InodeId, String, Option<InodeId>);

const LINKS_MAX: u32 = 10;

impl Model {
    fn new() -> Self {
        let root = Node {
            kind: Kind::Directory(BTreeMap::new(), InodeId::ROOT),
            uid: Uid(0),
            mode: 0o777,
            links: 2,
        };
        Self {
            nodes: BTreeMap::from([(InodeId::ROOT, root)]),
            user: Uid(0),
        }
    }

    fn children(&self, id: InodeId) -> Res<(&BTreeMap<String, InodeId>, InodeId)> {
        match &self.nodes[&id].kind {
            Kind::Directory(children, parent) => Ok((children, *parent)),
            Kind::File | Kind::Symlink(_) => Err(StatusCode::META_NOT_DIRECTORY),
        }
    }

    fn children_mut(&mut self, id: InodeId) -> &mut BTreeMap<String, InodeId> {
        match &mut self.nodes.get_mut(&id).unwrap().kind {
            Kind::Directory(children, _) => children,
            other => panic!("{other:?}"),
        }
    }

    fn is_directory(&self, id: InodeId) -> bool {
        self.children(id).is_ok()
    }

    /// Users and groups have the same numbers here.
    fn allows(&self, id: InodeId, bits: u32) -> Res<()> {
        let node = &self.nodes[&id];
        let shift = if node.uid == self.user { 6 } else { 0 };
        let fine = self.user == Uid(0) || node.mode >> shift & bits == bits;
        if fine {
            Ok(())
        } else {
            Err(StatusCode::META_NO_PERMISSION)
        }
    }

    fn walk(&self, from: InodeId, path: &str, follow: bool, links: &mut u32) -> Res<Walked> {
        let mut at = if path.starts_with('/') {
            InodeId::ROOT
        } else {
            from
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for (place, part) in parts.iter().enumerate() {
            let last = place + 1 == parts.len();
            let (children, parent) = self.children(at)?;
            self.allows(at, 1)?;
            let next = if *part == ".." {
                Some(parent)
            } else {
                children.get(*part).copied()
            };
            let mut found = (at, (*part).to_string(), next);
            if let Some(Kind::Symlink(target)) = next.map(|id| &self.nodes[&id].kind)
                && (!last || follow)
            {
                *links += 1;
                if *links > LINKS_MAX {
                    return Err(StatusCode::META_TOO_MANY_SYMLINKS);
                }
                found = self.walk(at, target, true, links)?;
            }
            if last {
                return Ok(found);
            }
            at = found.2.ok_or(StatusCode::META_NOT_FOUND)?;
        }
        Ok((at, "/".into(), Some(at)))
    }

    fn at(&self, path: &str, follow: bool) -> Res<Walked> {
        self.walk(InodeId::ROOT, path, follow, &mut 0)
    }

    fn spot(&self, path: &str) -> Res<(InodeId, String)> {
        match self.at(path, false)? {
            (_, _, Some(_)) => Err(StatusCode::META_EXISTS),
            (parent, name, None) => Ok((parent, name)),
        }
    }

    fn sticky(&self, parent: InodeId, id: InodeId) -> Res<()> {
        let (holder, node) = (&self.nodes[&parent], &self.nodes[&id]);
        let others = self.user != Uid(0) && self.user != holder.uid && self.user != node.uid;
        if holder.mode & 0o1000 != 0 && others {
            Err(StatusCode::META_NO_PERMISSION)
        } else {
            Ok(())
        }
    }

    fn make(&mut self, path: &str, kind: Kind, mode: u32, made: Option<&Inode>) -> Res<()> {
        let (parent, name) = self.spot(path)?;
        self.allows(parent, 2)?;
        let id = made.expect("the server must have made it").id;
        let is_directory = matches!(kind, Kind::Directory(..));
        let kind = if is_directory {
            Kind::Directory(BTreeMap::new(), parent)
        } else {
            kind
        };
        self.nodes.insert(
            id,
            Node {
                kind,
                uid: self.user,
                mode,
                links: if is_directory { 2 } else { 1 },
            },
        );
        self.nodes.get_mut(&parent).unwrap().links += u16::from(is_directory);
        self.children_mut(parent).insert(name, id);
        Ok(())
    }

    fn take(&mut self, parent: InodeId, name: &str) {
        let id = self.children_mut(parent).remove(name).unwrap();
        if self.is_directory(id) {
            self.nodes.get_mut(&parent).unwrap().links -= 1;
            self.nodes.remove(&id);
            return;
        }
        let node = self.nodes.get_mut(&id).unwrap();
        node.links -= 1;
        if node.links == 0 {
            self.nodes.remove(&id);
        }
    }

    fn remove(&mut self, path: &str, wants_directory: bool) -> Res<()> {
        let (parent, name, found) = self.at(path, false)?;
        let id = found.ok_or(StatusCode::META_NOT_FOUND)?;
        self.allows(parent, 2)?;
        match (self.is_directory(id), wants_directory) {
            (false, true) => return Err(StatusCode::META_NOT_DIRECTORY),
            (true, false) => return Err(StatusCode::META_IS_DIRECTORY),
            _ => {}
        }
        self.sticky(parent, id)?;
        if wants_directory && !self.children(id)?.0.is_empty() {
            return Err(StatusCode::META_NOT_EMPTY);
        }
        self.take(parent, &name);
        Ok(())
    }

    fn link(&mut self, old: &str, new: &str) -> Res<()> {
        let (parent, name) = self.spot(new)?;
        let id = self.at(old, false)?.2.ok_or(StatusCode::META_NOT_FOUND)?;
        self.allows(parent, 2)?;
        if self.is_directory(id) {
            return Err(StatusCode::META_IS_DIRECTORY);
        }
        self.nodes.get_mut(&id).unwrap().links += 1;
        self.children_mut(parent).insert(name, id);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Res<()> {
        let (old_parent, old_name, found) = self.at(from, false)?;
        let (parent, name, replaced) = self.at(to, false)?;
        let id = found.ok_or(StatusCode::META_NOT_FOUND)?;
        if replaced == Some(id) {
            return Ok(());
        }
        let is_directory = self.is_directory(id);
        match replaced.map(|old| (is_directory, self.is_directory(old))) {
            Some((true, false)) => return Err(StatusCode::META_NOT_DIRECTORY),
            Some((false, true)) => return Err(StatusCode::META_IS_DIRECTORY),
            _ => {}
        }
        if let Some(old) = replaced.filter(|_| is_directory)
            && !self.children(old)?.0.is_empty()
        {
            return Err(StatusCode::META_NOT_EMPTY);
        }
        let mut above = Some(parent).filter(|_| is_directory);
        while let Some(at) = above {
            if at == id {
                return Err(StatusCode::INVALID_ARG);
            }
            above = Some(self.children(at)?.1).filter(|_| at != InodeId::ROOT);
        }
        self.allows(old_parent, 2)?;
        self.sticky(old_parent, id)?;
        self.allows(parent, 2)?;
        if let Some(old) = replaced {
            self.sticky(parent, old)?;
        }
        if is_directory && parent != old_parent {
            self.allows(id, 2)?;
        }
        if replaced.is_some() {
            self.take(parent, &name);
        }
        self.children_mut(old_parent).remove(&old_name);
        self.children_mut(parent).insert(name, id);
        if let Kind::Directory(_, up) = &mut self.nodes.get_mut(&id).unwrap().kind {
            *up = parent;
            self.nodes.get_mut(&old_parent).unwrap().links -= 1;
            self.nodes.get_mut(&parent).unwrap().links += 1;
        }
        Ok(())
    }

    fn chmod(&mut self, path: &str, mode: u32) -> Res<()> {
        let id = self.at(path, true)?.2.ok_or(StatusCode::META_NOT_FOUND)?;
        let user = self.user;
        let node = self.nodes.get_mut(&id).unwrap();
        if user != Uid(0) && user != node.uid {
            return Err(StatusCode::META_NO_PERMISSION);
        }
        node.mode = mode;
        Ok(())
    }

    fn run(&mut self, action: &Action, made: Option<&Inode>) -> Res<()> {
        match action {
            Action::Mkdir(at, mode) => {
                self.make(at, Kind::Directory(BTreeMap::new(), InodeId::ROOT), *mode, made)
            }
            Action::Create(at, mode) => self.make(at, Kind::File, *mode, made),
            Action::Symlink(at, target) => self.make(at, Kind::Symlink(target.clone()), 0o777, made),
            Action::Link(old, new) => self.link(old, new),
            Action::Unlink(at) => self.remove(at, false),
            Action::Rmdir(at) => self.remove(at, true),
            Action::Rename(from, to) => self.rename(from, to),
            Action::Chmod(at, mode) => self.chmod(at, *mode),
            Action::Stat(at) => self
                .at(at, false)?
                .2
                .map(|_| ())
                .ok_or(StatusCode::META_NOT_FOUND),
        }
    }
}

fn request(w: &mut World, action: &Action) -> Request {
    match action {
        Action::Mkdir(at, mode) => w.mkdirs_req(at, *mode, false).into(),
        Action::Create(at, mode) => w.create_req(at, *mode).into(),
        Action::Symlink(at, target) => SymlinkReq {
            base: w.base(),
            path: crate::support::path(at),
            target: target.as_str().into(),
        }
        .into(),
        Action::Link(old, new) => w.link_req(old, new).into(),
        Action::Unlink(at) => RemoveReq {
            check_type: true,
            ..w.remove_req(at)
        }
        .into(),
        Action::Rmdir(at) => RemoveReq {
            check_type: true,
            at_flags: AtFlags::REMOVEDIR,
            ..w.remove_req(at)
        }
        .into(),
        Action::Rename(from, to) => w.rename_req(from, to).into(),
        Action::Chmod(at, mode) => SetAttrReq {
            perm: Some(Permission(*mode)),
            ..w.set_attr_req(at)
        }
        .into(),
        Action::Stat(at) => StatReq {
            base: w.base(),
            path: crate::support::path(at),
            flags: AtFlags::empty(),
        }
        .into(),
    }
}

fn made(answer: &Res<Response>) -> Option<&Inode> {
    match answer {
        Ok(Response::Mkdirs(r)) => Some(&r.stat),
        Ok(Response::Create(r)) => Some(&r.stat),
        Ok(Response::Symlink(r)) => Some(&r.stat),
        _ => None,
    }
}

fn paths() -> impl Strategy<Value = String> {
    let middle = prop::sample::select(vec!["a", "b", "c", ".."]);
    let last = prop::sample::select(vec!["a", "b", "c"]);
    (prop::collection::vec(middle, 0..3), last).prop_map(|(middle, last)| {
        let mut path = String::new();
        for part in middle {
            path = format!("{path}/{part}");
        }
        format!("{path}/{last}")
    })
}

fn actions() -> impl Strategy<Value = Action> {
    let mode = || prop::sample::select(vec![0o755, 0o777, 0o700, 0o1777, 0o555]);
    let target = prop::sample::select(vec!["a", "../b", "/a/b", "b/c", "/c", ".."]);
    prop_oneof![
        4 => (paths(), mode()).prop_map(|(at, mode)| Action::Mkdir(at, mode)),
        3 => (paths(), mode()).prop_map(|(at, mode)| Action::Create(at, mode)),
        1 => (paths(), target).prop_map(|(at, target)| Action::Symlink(at, target.into())),
        2 => (paths(), paths()).prop_map(|(old, new)| Action::Link(old, new)),
        2 => paths().prop_map(Action::Unlink),
        2 => paths().prop_map(Action::Rmdir),
        4 => (paths(), paths()).prop_map(|(from, to)| Action::Rename(from, to)),
        1 => (paths(), mode()).prop_map(|(at, mode)| Action::Chmod(at, mode)),
        1 => paths().prop_map(Action::Stat),
    ]
}

fn options() -> Options {
    let mut options = Options {
        symlink_depth_max: 100,
        ..Options::default()
    };
    options.root_acl.perm = Permission(0o777);
    options
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Codes are the model's, and so are the names, link counts and modes in the end. A repeated request gets the same
    /// answer and changes nothing.
    #[test]
    fn names_are_those_of_posix(
        steps in prop::collection::vec((actions(), any::<bool>(), any::<bool>()), 1..60),
    ) {
        let mut w = World::with(options());
        let mut model = Model::new();
        for (action, as_alice, repeat) in &steps {
            let user = if *as_alice { ALICE } else { Uid(0) };
            (w.user, model.user) = (user, user);
            let request = request(&mut w, action);
            let answer = w.ask(request.clone());
            let expected = model.run(action, made(&answer));
            prop_assert_eq!(answer.as_ref().map(|_| ()).map_err(|code| *code), expected, "{:?}", action);
            if *repeat {
                let before = w.server.inner().store().clone();
                prop_assert_eq!(w.ask(request), answer, "{:?} again", action);
                prop_assert_eq!(w.server.inner().store(), &before);
            }
            w.pass(Span::from_us(10));
        }
        w.user = Uid(0);
        for (id, node) in &model.nodes {
            let inode = w.stat_at(by_id(*id), AtFlags::empty()).unwrap();
            prop_assert_eq!((inode.base.nlink, inode.base.acl.perm.0, inode.base.acl.uid), (node.links, node.mode, node.uid));
            if let Kind::Directory(children, _) = &node.kind {
                let names: Vec<_> = children.keys().cloned().collect();
                let listed = w.names_by_id(*id);
                prop_assert_eq!(listed, names);
            }
        }
        w.pass(Span::from_secs(3600));
        let live = model.nodes.len();
        let left = w.server.inner().store().len();
        // Names, counter, the collector's root and directory.
        prop_assert!(left >= live, "{left} entries, {live} inodes");
    }
}

impl World {
    fn names_by_id(&mut self, id: InodeId) -> Vec<String> {
        let request = flyer_wire::msg::meta::namespace::ListReq {
            base: self.base(),
            path: by_id(id),
            prev: flyer_types::Text::default(),
            limit: 0,
            status: true,
        };
        match self.ask(request) {
            Ok(Response::List(r)) => r.entries.iter().map(|entry| entry.name.to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }
}

/// Keeps what the store was like after each commit.
struct Recorder {
    store: MemoryStore,
    after: Rc<RefCell<Vec<MemoryStore>>>,
}

impl Store for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(from, to, visit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.store.commit(batch)?;
        self.after.borrow_mut().push(self.store.clone());
        Ok(())
    }
}

/// Hands an input to the server and answers its calls to the storage.
fn drive(server: &mut MetaServer<Recorder, u64>, w: &mut World, now: Time, input: Option<In<u64>>) {
    let mut out = Effects::new();
    match input {
        Some(input) => server.handle(now, input, &mut out),
        None => server.handle_timeout(now, &mut out),
    }
    while !out.is_empty() {
        let effects: Vec<_> = out.drain().collect();
        for effect in effects {
            if let Out::Storage { id, call, .. } = effect {
                let answer = Ok(w.storage(&call));
                server.handle(now, In::StorageAnswer { id, answer }, &mut out);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// After a crash the store holds a prefix of the commits: each of them is a file system.
    #[test]
    fn each_prefix_of_the_commits_is_a_file_system(steps in prop::collection::vec(actions(), 1..60)) {
        let after = Rc::new(RefCell::new(Vec::new()));
        let store = Recorder { store: MemoryStore::new(), after: Rc::clone(&after) };
        let mut server = MetaServer::open(store, options(), Rng::from_seed(3)).unwrap();
        let mut w = World::new();
        let mut now = Time::ZERO;
        drive(&mut server, &mut w, now, Some(In::Clock(WallTime::from_secs(1_700_000_000))));
        drive(&mut server, &mut w, now, Some(In::Routing(Arc::new(crate::support::routing()))));
        for (call, action) in (0..).zip(&steps) {
            let mut request = request(&mut w, action);
            if let Request::Remove(remove) = &mut request {
                remove.recursive = true;
            }
            drive(&mut server, &mut w, now, Some(In::Request { call, request }));
        }
        for _ in 0..200 {
            let Some((at, _)) = server.poll_timeout() else { break };
            now = now.max(at);
            drive(&mut server, &mut w, now, None);
        }
        for store in after.borrow().iter() {
            let server: MetaServer<_, u64> = MetaServer::open(store.clone(), options(), Rng::from_seed(4)).unwrap();
            server.check();
        }
    }
}

/// A store that refuses commits while it is told to.
struct Failing {
    store: MemoryStore,
    fails: Rc<RefCell<bool>>,
}

impl Store for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(from, to, visit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        if *self.fails.borrow() {
            return Err(StoreError::NoSpace);
        }
        self.store.commit(batch)
    }
}

#[test]
fn success_is_answered_only_after_the_commit() {
    let fails = Rc::new(RefCell::new(false));
    let store = Failing {
        store: MemoryStore::new(),
        fails: Rc::clone(&fails),
    };
    let mut server = MetaServer::open(store, options(), Rng::from_seed(3)).unwrap();
    let mut w = World::new();
    let mut out = Effects::new();
    server.handle(
        Time::ZERO,
        In::Routing(Arc::new(crate::support::routing())),
        &mut out,
    );
    let request = w.create_req("/f", 0o644);
    for (call, fail) in [(1u64, true), (2, false)] {
        *fails.borrow_mut() = fail;
        server.handle(
            Time::ZERO,
            In::Request {
                call,
                request: request.clone().into(),
            },
            &mut out,
        );
        server.check();
        let answer = match out.drain().next() {
            Some(Out::Answer { answer, .. }) => answer.map(|_| ()).map_err(|status| status.code),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            answer,
            if fail {
                Err(StatusCode::STORAGE_CLIENT_NO_SPACE)
            } else {
                Ok(())
            }
        );
    }
}
