//! From a path to an object: the walk through directories and symbolic links.
//!
//! ```text
//!   start ──► component ──► component ──► ... ──► last: entry, directory itself, or missing
//!                 │ symbolic link: its target's components are walked first
//!                 └─ missing: `rest` tells what would have to be made
//! ```
//!
//! A link is followed relative to the directory that holds it. What is missing behind a link at the end is reported in the
//! directory that the link leads to, under the name it has there. Directories are judged by their own inode, never by a copy.
//!
//! Limits: `Options::symlinks_max`, `Options::symlink_depth_max`; the number of components is bounded by the length of the
//! path and of the targets.
//!
//! Source: `src/meta/store/PathResolve.cc` upstream; its defects 1 and 2 are not kept.

use super::names::{Part, check_path, split};
use super::op::{Op, directory};
use super::tx::{Res, fail};
use crate::store::Store;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use flyer_types::StatusCode;
use flyer_types::ids::InodeId;
use flyer_types::limits::NAME_BYTES_MAX;
use flyer_wire::msg::meta::access::Access;
use flyer_wire::msg::meta::call::PathAt;
use flyer_wire::msg::meta::flags::AtFlags;
use flyer_wire::msg::meta::inode::{DirEntryData, Inode, InodeKind, InodeType};

/// Where a path leads.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The directory with the last component, as far as the walk got.
    pub(super) parent: Inode,
    /// The last component, or the first that is missing.
    pub(super) name: Vec<u8>,
    /// What is there.
    pub(super) found: Found,
    /// The way that was walked, links replaced; `..` not collapsed.
    pub(super) trace: Vec<Part>,
}

/// What is at the end of a path.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// An entry of the parent.
    Entry(DirEntryData),
    /// The path ends with `.`, `..` or `/`: no entry, but this directory.
    Itself(Inode),
    /// Nothing; behind the name these would follow.
    Missing(Vec<Part>),
}

impl Place {
    /// The entry, or nothing. More than one missing component is `Meta::NotFound`.
    pub(super) fn at_most_one_missing(self) -> Res<Self> {
        match &self.found {
            Found::Missing(rest) if !rest.is_empty() => fail(StatusCode::META_NOT_FOUND),
            Found::Missing(_) | Found::Entry(_) | Found::Itself(_) => Ok(self),
        }
    }
}

/// A step that is still to be made.
enum Step {
    Part(Part),
    /// The target of a link ends here.
    EndOfTarget,
}

/// A walk under way.
struct Walk {
    current: Inode,
    steps: VecDeque<Step>,
    follow_last: bool,
    links: u32,
    trace: Vec<Part>,
}

impl<S: Store> Op<'_, S> {
    /// Walks along a path. An absent path is `InvalidArg`.
    pub(super) fn resolve(&self, path: &PathAt, follow_last: bool) -> Res<Place> {
        check_path(path)?;
        let Some(text) = &path.path else {
            return fail(StatusCode::INVALID_ARG);
        };
        let parts = split(text.as_bytes());
        let start = match parts.first() {
            None => return fail(StatusCode::META_NOT_FOUND),
            Some(Part::Root) => InodeId::ROOT,
            Some(Part::Here | Part::Up | Part::Name(_)) => path.parent,
        };
        let mut walk = Walk {
            current: self.tx.inode(start)?,
            steps: parts.into_iter().map(Step::Part).collect(),
            follow_last,
            links: 0,
            trace: Vec::new(),
        };
        loop {
            if let Some(place) = self.walk_step(&mut walk)? {
                return Ok(place);
            }
        }
    }

    /// The object of a request that takes an inode or a path: `Meta::NotFound` if there is none.
    pub(super) fn object(&self, path: &PathAt, follow_last: bool) -> Res<Inode> {
        if path.path.is_none() {
            return self.tx.inode(path.parent);
        }
        self.object_at(&self.resolve(path, follow_last)?)
    }

    /// The same, with the rules of `AT_*` flags.
    pub(super) fn object_by_flags(&self, path: &PathAt, flags: AtFlags) -> Res<Inode> {
        let is_empty = path.path.as_ref().is_some_and(flyer_types::Text::is_empty);
        if is_empty && flags.contains(AtFlags::EMPTY_PATH) {
            return self.tx.inode(path.parent);
        }
        self.object(path, flags.follows_last())
    }

    /// The object at a place: `Meta::NotFound` if there is none.
    pub(super) fn object_at(&self, place: &Place) -> Res<Inode> {
        match &place.found {
            Found::Entry(entry) => self.tx.inode_of(entry),
            Found::Itself(inode) => Ok(inode.clone()),
            Found::Missing(_) => fail(StatusCode::META_NOT_FOUND),
        }
    }

    fn walk_step(&self, walk: &mut Walk) -> Res<Option<Place>> {
        let part = match walk.steps.pop_front() {
            Some(Step::Part(part)) => part,
            Some(Step::EndOfTarget) => return Ok(None),
            // Targets are not empty and a walk ends at its last component.
            None => return fail(StatusCode::META_FOUND_BUG),
        };
        match part {
            Part::Root => {
                walk.current = self.tx.inode(InodeId::ROOT)?;
                walk.trace = alloc::vec![Part::Root];
                Ok(walk.is_over().then(|| walk.end_itself(b"/")))
            }
            Part::Here if !walk.is_over() => Ok(None),
            Part::Here => {
                self.check_walk(&walk.current)?;
                Ok(Some(walk.end_itself(b".")))
            }
            Part::Up => {
                let parent = self.check_walk(&walk.current)?;
                walk.current = self.tx.inode(parent)?;
                directory(&walk.current)?;
                walk.trace.push(Part::Up);
                Ok(walk.is_over().then(|| walk.end_itself(b"..")))
            }
            Part::Name(name) => self.walk_name(walk, name),
        }
    }

    fn walk_name(&self, walk: &mut Walk, name: Vec<u8>) -> Res<Option<Place>> {
        self.check_walk(&walk.current)?;
        if name.len() > NAME_BYTES_MAX {
            return fail(StatusCode::META_NAME_TOO_LONG);
        }
        let Some(entry) = self.tx.entry(walk.current.id, &name)? else {
            return walk.end_missing(name).map(Some);
        };
        let is_last = walk.is_over();
        if entry.kind == InodeType::SYMLINK && (!is_last || walk.follow_last) {
            let link = self.tx.inode_of(&entry)?;
            self.follow(walk, &link)?;
            return Ok(None);
        }
        walk.trace.push(Part::Name(name.clone()));
        if is_last {
            return Ok(Some(walk.end(name, Found::Entry(entry))));
        }
        if entry.kind != InodeType::DIRECTORY {
            return fail(StatusCode::META_NOT_DIRECTORY);
        }
        walk.current = self.tx.inode_of(&entry)?;
        Ok(None)
    }

    /// Puts the target's components before what is left.
    fn follow(&self, walk: &mut Walk, link: &Inode) -> Res<()> {
        let InodeKind::Symlink(symlink) = &link.base.kind else {
            return fail(StatusCode::META_INCONSISTENT);
        };
        walk.links += 1;
        // A link at the end of a target takes the place of that target: chains of links do not nest.
        while matches!(walk.steps.front(), Some(Step::EndOfTarget)) {
            walk.steps.pop_front();
        }
        let open = walk
            .steps
            .iter()
            .filter(|step| matches!(step, Step::EndOfTarget))
            .count();
        let depth = u32::try_from(open).unwrap_or(u32::MAX);
        let options = &self.core.options;
        if walk.links > options.symlinks_max || depth > options.symlink_depth_max {
            return fail(StatusCode::META_TOO_MANY_SYMLINKS);
        }
        let parts = split(symlink.target.as_bytes());
        if parts.is_empty() {
            return fail(StatusCode::META_NOT_FOUND);
        }
        walk.steps.push_front(Step::EndOfTarget);
        for part in parts.into_iter().rev() {
            walk.steps.push_front(Step::Part(part));
        }
        Ok(())
    }

    /// Checks that the user may walk through it; its parent.
    fn check_walk(&self, inode: &Inode) -> Res<InodeId> {
        let parent = directory(inode)?.parent;
        self.check(&inode.base.acl, Access::EXEC)?;
        Ok(parent)
    }
}

impl Walk {
    /// Whether no component is left.
    fn is_over(&self) -> bool {
        self.steps.iter().all(|step| matches!(step, Step::EndOfTarget))
    }

    fn end(&self, name: Vec<u8>, found: Found) -> Place {
        Place {
            parent: self.current.clone(),
            name,
            found,
            trace: self.trace.clone(),
        }
    }

    fn end_itself(&self, name: &[u8]) -> Place {
        self.end(name.to_vec(), Found::Itself(self.current.clone()))
    }

    /// Nothing is there. Within a target, unless at its very end, that is an error: nobody makes what a link lacks.
    fn end_missing(&self, name: Vec<u8>) -> Res<Place> {
        let mut rest = Vec::new();
        let mut in_target = false;
        for step in &self.steps {
            match step {
                Step::EndOfTarget => in_target = true,
                Step::Part(part) => rest.push(part.clone()),
            }
        }
        if in_target && !rest.is_empty() {
            return fail(StatusCode::META_NOT_FOUND);
        }
        Ok(self.end(name, Found::Missing(rest)))
    }
}
