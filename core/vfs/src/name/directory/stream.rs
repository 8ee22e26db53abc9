//! The part of a directory that a handle keeps while it is read.
//!
//! ```text
//!            ┌──── rows: at most two pages ────┐
//!   names ───┤ .. | cookie of the last request │ .. more at the server, unless `ended`
//!            └─────────────────────────────────┘
//! ```
//!
//! A request that goes on inside the rows is served from them. Any other is listed anew from the place that its cookie names, so an entry that
//! exists all the time is shown exactly once between a beginning and the end, whatever comes and goes around it.
//!
//! Limits: [`ROWS_MAX`] rows, and those of [`cookie`](super::cookie).

use super::cookie::{ENTRY_MIN, PREFIXES_MAX, Prefixes, Resume};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Text};
use flyer_wire::msg::meta::inode::{DirEntry, InodeType};

/// Entries asked for at a time; upstream's number.
pub(super) const PAGE_ENTRIES: usize = 256;
/// Rows kept.
pub(super) const ROWS_MAX: usize = 2 * PAGE_ENTRIES;

/// An entry that was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Text,
    pub(super) inode: InodeId,
    pub(super) kind: InodeType,
    pub(super) cookie: u64,
}

/// What comes behind a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// The rows from this one on; there is at least one.
    Rows(usize),
    /// What a server lists from there.
    List(Resume),
    /// Not known before a server has listed on from there.
    Search(Resume),
    /// Nothing.
    Nothing,
}

/// What a page was good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// What was wanted begins with this row; there may be none.
    Rows(usize),
    /// What is wanted lies further on.
    List(Resume),
}

/// What a handle keeps.
#[derive(Debug)]
pub(super) struct Stream {
    rows: VecDeque<Row>,
    /// Everything up to the rows was listed since the beginning, so all prefixes on the way are known.
    contiguous: bool,
    /// The rows do not begin with the first name any more.
    dropped: bool,
    /// There was nothing behind the rows when they were listed.
    ended: bool,
    prefixes: Prefixes,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self {
            rows: VecDeque::new(),
            contiguous: false,
            dropped: false,
            ended: false,
            prefixes: Prefixes::new(),
        }
    }

    /// Forgets everything: the next request sees the directory as it is then.
    pub(super) fn rewind(&mut self) {
        *self = Self::new();
    }

    /// The rows from one on.
    pub(super) fn rows_from(&self, at: usize) -> impl Iterator<Item = &Row> {
        self.rows.iter().skip(at)
    }

    /// Whether the last row was the last entry of the directory.
    pub(super) const fn is_ended(&self) -> bool {
        self.ended
    }

    /// What comes behind a cookie; behind one below [`ENTRY_MIN`] come all names.
    pub(super) fn behind(&self, cookie: u64) -> Behind {
        let from = if cookie < ENTRY_MIN {
            (self.contiguous && !self.dropped).then_some(0)
        } else {
            let at = self.rows.iter().position(|row| row.cookie == cookie);
            at.map(|at| at + 1)
        };
        let last = self.rows.back().map(|row| row.name.clone());
        match (from, last) {
            (Some(from), Some(_)) if from < self.rows.len() => Behind::Rows(from),
            (Some(_), _) if self.ended => Behind::Nothing,
            (Some(_), Some(last)) => Behind::List(Resume::after(last)),
            (None, _) if cookie < ENTRY_MIN => Behind::List(Resume::start()),
            (Some(_), None) => Behind::List(Resume::start()),
            // A cookie of another handle: this one learns the prefix as it lists everything from the beginning.
            (None, last) => match (self.prefixes.resume(cookie), last) {
                (Some(resume), _) => Behind::List(resume),
                (None, _) if self.ended && self.contiguous => Behind::Nothing,
                (None, Some(last)) if self.contiguous => Behind::Search(Resume::after(last)),
                (None, _) => Behind::Search(Resume::start()),
            },
        }
    }

    /// Takes a page that was listed from `resume`.
    ///
    /// # Errors
    /// `EIO` if the server has listed nothing but says that there is more, or out of order: going on could lose entries or never end.
    pub(super) fn take(
        &mut self,
        resume: Resume,
        mut entries: Vec<DirEntry>,
        more: bool,
    ) -> Result<Taken, Errno> {
        let in_order = entries.first().is_none_or(|first| first.name > resume.after)
            && entries.windows(2).all(|pair| pair[0].name < pair[1].name);
        if !in_order || (more && entries.is_empty()) {
            flyer_types::mark!("vfs.bad_listing");
            return Err(Errno::EIO);
        }
        let more = more || entries.len() > PAGE_ENTRIES;
        entries.truncate(PAGE_ENTRIES);
        let skipped = resume.skip(entries.iter().map(|entry| &entry.name));
        let before = match entries.drain(..skipped).next_back() {
            Some(entry) => entry.name,
            None => resume.after.clone(),
        };
        let after = resume.after;
        if entries.is_empty() && more {
            return Ok(Taken::List(Resume::after(before)));
        }
        let continues = skipped == 0 && self.rows.back().is_some_and(|row| row.name == after);
        if continues {
            let surplus = self.rows.len().saturating_sub(PAGE_ENTRIES);
            self.dropped |= surplus > 0;
            self.rows.drain(..surplus);
        } else {
            self.rows.clear();
            self.contiguous = after.is_empty();
            self.dropped = false;
            self.prefixes.go_on_behind(&before);
        }
        self.ended = !more;
        let first = self.rows.len();
        let names: Vec<_> = entries.iter().map(|entry| &entry.name).collect();
        let cookies = self.prefixes.give(&names);
        let row = |(entry, cookie): (DirEntry, u64)| Row {
            name: entry.name,
            inode: entry.base.id,
            kind: entry.base.kind,
            cookie,
        };
        self.rows.extend(entries.into_iter().zip(cookies).map(row));
        Ok(Taken::Rows(first))
    }

    pub(super) fn check(&self) {
        assert!(self.rows.len() <= ROWS_MAX, "a handle keeps too many rows");
        assert!(
            self.prefixes.len() <= PREFIXES_MAX,
            "a handle knows too many prefixes"
        );
        let pairs = self.rows.iter().zip(self.rows.iter().skip(1));
        for (row, next) in pairs {
            assert!(row.name < next.name, "{} stands before {}", row.name, next.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use flyer_types::ids::Uuid;
    use flyer_wire::msg::meta::inode::DirEntryData;

    fn entry(name: &str) -> DirEntry {
        DirEntry {
            base: DirEntryData {
                id: InodeId(0x1000),
                kind: InodeType::FILE,
                dir_acl: None,
                uuid: Uuid::ZERO,
                gc_info: None,
            },
            parent: InodeId::ROOT,
            name: Text::from(name),
        }
    }

    fn entries(names: &[&str]) -> Vec<DirEntry> {
        names.iter().map(|name| entry(name)).collect()
    }

    #[test]
    fn listings_that_make_no_sense_are_errors() {
        let behind = || Resume::after(Text::from("m"));
        for (names, more) in [
            (&[][..], true),
            (&["n", "m"], false),
            (&["n", "n"], false),
            (&["m"], false),
            (&["a", "n"], true),
        ] {
            let mut stream = Stream::new();
            let taken = stream.take(behind(), entries(names), more);
            assert_eq!(taken, Err(Errno::EIO), "{names:?}");
            stream.check();
        }
        assert_eq!(
            Stream::new().take(behind(), Vec::new(), false),
            Ok(Taken::Rows(0))
        );
    }

    #[test]
    fn a_page_longer_than_asked_for_is_cut() {
        let names: Vec<_> = (0..1000).map(|at| format!("{at:04}")).collect();
        let names: Vec<_> = names.iter().map(|name| &**name).collect();
        let mut stream = Stream::new();
        assert_eq!(
            stream.take(Resume::start(), entries(&names), false),
            Ok(Taken::Rows(0))
        );
        assert_eq!(stream.rows.len(), PAGE_ENTRIES);
        assert!(!stream.is_ended());
    }

    #[test]
    fn rows_are_bounded() {
        let mut stream = Stream::new();
        let mut resume = Resume::start();
        for page in 0..5 {
            let names: Vec<_> = (0..256).map(|at| format!("{page}{at:04}")).collect();
            let names: Vec<_> = names.iter().map(|name| &**name).collect();
            let first = stream
                .take(resume, entries(&names), page < 4)
                .expect("a fine page");
            assert_eq!(first, Taken::Rows(if page == 0 { 0 } else { 256 }));
            stream.check();
            resume = Resume::after(Text::from(names[255]));
        }
        assert_eq!(stream.rows.len(), ROWS_MAX);
    }
}
