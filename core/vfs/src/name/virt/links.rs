//! Links that are not made but carried out: those in `3fs-virt/rm-rf` remove what they point to, `mv:` links elsewhere rename it.
//!
//! ```text
//!   path ──► stat(its directory) ──► Remove, Rename ──► entry of a link that lives no longer than the answer
//! ```
//!
//! Whose command line the caller has is not looked at: a path outside the mount is refused whoever writes it.

use super::paths::{Inside, inside};
use crate::name::calls::{at, stat};
use crate::name::remove::{Remove, What};
use crate::name::rename::{Place, Rename};
use crate::name::rules::{Ending, VIRTUAL_NAME, check_writable, errno, response};
use crate::name::{Op, wait};
use crate::reply::{Attributes, Entry, Invalidate, Reply};
use crate::shard::{Context, Event, Step};
use alloc::vec::Vec;
use flyer_types::ids::{Gid, InodeId, Permission, Uid};
use flyer_types::{Errno, Span, Text};
use flyer_wire::msg::meta::inode::{InodeKind, InodeType};

/// What a link to be renamed begins with.
const MOVE_PREFIX: &[u8] = b"mv:";

/// What is to be done with the entry at a path.
#[derive(Debug)]
enum Deed {
    /// Remove it with all below it.
    RemoveTree,
    /// Give it another name.
    Move(Place),
}

/// A link whose path is being resolved.
#[derive(Debug)]
pub(crate) struct Via {
    name: Text,
    deed: Deed,
    /// Length of the target that the link is said to have.
    target_bytes: usize,
}

/// Removes the tree that a link in `rm-rf` points to.
pub(super) fn remove_tree(cx: &mut Context<'_>, target: Text) -> Result<Step, Errno> {
    check_writable(cx)?;
    let place = inside(&cx.state.config, target.as_bytes())?;
    Via::begin(cx, place, Deed::RemoveTree, target.len())
}

impl Via {
    /// Renames what a link points to, if it is one of those.
    pub(in crate::name) fn rename(
        cx: &mut Context<'_>,
        parent: InodeId,
        name: &Text,
        target: &Text,
    ) -> Option<Result<Step, Errno>> {
        let path = target.as_bytes().strip_prefix(MOVE_PREFIX)?;
        if !cx.state.config.mv_links {
            return None;
        }
        let to = Place {
            parent,
            name: name.clone(),
        };
        let begun = check_writable(cx)
            .and_then(|()| inside(&cx.state.config, path))
            .and_then(|place| Self::begin(cx, place, Deed::Move(to), path.len()));
        Some(begun)
    }

    fn begin(cx: &mut Context<'_>, place: Inside, deed: Deed, target_bytes: usize) -> Result<Step, Errno> {
        let this = Self {
            name: place.name,
            deed,
            target_bytes,
        };
        let Some(parent) = place.parent else {
            return this.carry_out(cx, InodeId::ROOT);
        };
        let first = parent.as_bytes().split(|byte| *byte == b'/').next();
        if first == Some(VIRTUAL_NAME.as_bytes()) {
            return Err(Errno::EPERM);
        }
        stat(cx, at(InodeId::ROOT, parent));
        Ok(wait(Op::Via(this)))
    }

    pub(in crate::name) fn step(self, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        let found = response!(event, Stat).map_err(|status| errno(&status))?;
        match found.stat.base.kind {
            InodeKind::Directory(_) => self.carry_out(cx, found.stat.id),
            InodeKind::File(_) | InodeKind::Symlink(_) => Err(Errno::ENOTDIR),
        }
    }

    fn carry_out(self, cx: &mut Context<'_>, parent: InodeId) -> Result<Step, Errno> {
        let link = InodeId::virtual_symlink_of(parent);
        let entry = |parent: InodeId, name: &Text| Invalidate::Entry {
            parent,
            name: name.clone(),
        };
        let mut forget = alloc::vec![entry(parent, &self.name)];
        if let Deed::Move(to) = &self.deed {
            forget.push(entry(to.parent, &to.name));
            forget.push(Invalidate::Inode {
                inode: link,
                pages: None,
            });
        }
        let ending = ending(cx, link, self.target_bytes, forget);
        match self.deed {
            Deed::RemoveTree => {
                let remove = Remove::entry(cx, parent, self.name, What::Tree, ending)?;
                Ok(wait(Op::Remove(remove)))
            }
            Deed::Move(to) => {
                let from = Place {
                    parent,
                    name: self.name,
                };
                let rename = Rename::begin(cx, from, to, false, ending)?;
                Ok(wait(Op::Rename(rename)))
            }
        }
    }
}

/// The kernel wants a link for an answer. It is gone as soon as it is looked at again.
fn ending(cx: &Context<'_>, link: InodeId, target_bytes: usize, forget: Vec<Invalidate>) -> Ending {
    let now = cx.wall();
    let attributes = Attributes {
        inode: link,
        kind: InodeType::SYMLINK,
        permission: Permission(0),
        links: 1,
        uid: Uid(0),
        gid: Gid(0),
        size: u64::try_from(target_bytes).expect("a path is short"),
        blocks: 0,
        block_bytes: 0,
        atime: now,
        mtime: now,
        ctime: now,
    };
    Ending {
        forget,
        reply: Reply::Entry(Entry {
            attributes: Some(attributes),
            entry_timeout: Span::ZERO,
            attributes_timeout: Span::ZERO,
        }),
    }
}
