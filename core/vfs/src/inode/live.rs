//! What only open or dirty files need.
//!
//! Owner: a record of the table of inodes. Limit: those of its parts.

use crate::file::turn::Turns;
use crate::file::write_back::WriteBack;
use crate::request::Caller;
use alloc::vec::Vec;
use flyer_types::WallTime;
use flyer_types::ids::{HandleId, OpId, Uuid};
use flyer_wire::msg::meta::call::VersionedLength;

/// What this mount has changed, and how much of it the server has been told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dynamic {
    /// Finished changes of the content.
    pub(crate) written: u64,
    /// Of these, those before the last report of the length.
    pub(crate) synced: u64,
    /// Of these, those before the last time that the length was determined exactly.
    pub(crate) fsynced: u64,
    /// "The length is at least this"; absent if that cannot be said.
    pub(crate) hint: Option<VersionedLength>,
    /// Last access, not yet reported.
    pub(crate) atime: Option<WallTime>,
    /// Last modification, not yet reported.
    pub(crate) mtime: Option<WallTime>,
    /// End of what was written here and the server may not know of; 0 if there is nothing.
    pub(crate) end: u64,
}

/// The hint of a file that has not been written to since its length was reported.
pub(crate) const NO_NEWS: Option<VersionedLength> = Some(VersionedLength {
    length: 0,
    truncate_ver: 0,
});

impl Dynamic {
    /// A change of the content has ended, well or badly.
    pub(crate) fn finish(&mut self, reached: Option<VersionedLength>) {
        self.written += 1;
        self.hint = match (self.hint, reached) {
            (Some(ours), Some(theirs)) if theirs.length > ours.length => Some(theirs),
            (Some(ours), Some(_)) => Some(ours),
            (None, _) | (_, None) => None,
        };
    }

    /// Whether the server has not heard of a change.
    pub(crate) const fn has_news(&self) -> bool {
        self.written > self.synced
    }
}

/// Calls for more chains of a file.
#[derive(Debug, Default)]
pub(crate) struct Extension {
    /// One is under way.
    pub(crate) runs: bool,
    /// Who waits for it.
    pub(crate) waiters: Vec<OpId>,
}

#[derive(Debug)]
pub(crate) struct Live {
    /// Tells it from an earlier life of the same inode.
    pub(crate) life: u64,
    pub(crate) handles: Vec<HandleId>,
    pub(crate) turns: Turns,
    pub(crate) back: WriteBack,
    pub(crate) dynamic: Dynamic,
    pub(crate) extension: Extension,
    /// Who wrote last.
    pub(crate) writer: Caller,
    /// Sessions of handles that were closed before their data were written.
    pub(crate) orphans: Vec<Uuid>,
    /// Handles that are being closed: what is left to report belongs to them.
    pub(crate) closing: u32,
    /// Keeps an unlinked file readable.
    pub(crate) pin: Option<Uuid>,
}

impl Live {
    pub(super) fn new(life: u64) -> Self {
        Self {
            life,
            handles: Vec::new(),
            turns: Turns::new(),
            back: WriteBack::new(),
            dynamic: Dynamic {
                written: 0,
                synced: 0,
                fsynced: 0,
                hint: NO_NEWS,
                atime: None,
                mtime: None,
                end: 0,
            },
            extension: Extension::default(),
            writer: Caller::default(),
            orphans: Vec::new(),
            closing: 0,
            pin: None,
        }
    }

    /// Whether something has to be written or reported.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.back.is_empty() || self.dynamic.has_news() || !self.orphans.is_empty()
    }

    /// Whether nobody needs it.
    pub(crate) fn is_idle(&self) -> bool {
        self.handles.is_empty()
            && self.closing == 0
            && !self.is_dirty()
            && self.turns.is_idle()
            && self.back.is_idle()
            && self.pin.is_none()
            && !self.extension.runs
            && self.extension.waiters.is_empty()
    }

    pub(super) fn check(&self) {
        let dynamic = &self.dynamic;
        assert!(
            dynamic.synced <= dynamic.written && dynamic.fsynced <= dynamic.synced,
            "{dynamic:?} counts more reports than changes"
        );
        self.turns.check();
        self.back.check();
    }
}
