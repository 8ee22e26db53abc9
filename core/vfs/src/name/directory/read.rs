//! Reading a directory.
//!
//! ```text
//!   Queued ──► Listing ──► rows that fit ─ plain ──────────────────────────────────────────► answer
//!                 ▲                      └ plus ──► Stat ──► Entering: one task per shard ──► answer
//!                 └─────────── all of them are gone ──┘
//! ```
//!
//! One answer holds rows of one page at most, after `.` and `..` at the beginning and before `3fs-virt` at the end of the root. With attributes, only
//! the inodes of this answer are asked for, and those that were removed in the meantime are left out. References are counted by the
//! inodes' shards; what a shard refuses is left out, too.
//!
//! Limits: the bytes asked for, in the kernel's format; a request too small for one entry is `EINVAL`.

use super::super::rules::{VIRTUAL_NAME, check_entry, errno, is_hidden, is_virtual, response};
use super::super::{Op, calls, wait};
use super::WAITING_MAX;
use super::cookie::Resume;
use super::stream::{Behind, PAGE_ENTRIES, Row, Taken};
use crate::reply::{Attributes, DirectoryItem, Entry, Reply};
use crate::shard::{Context, Event, Outcome, Step, Task, shard_of};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::ids::{HandleId, InodeId};
use flyer_types::{Errno, Text};
use flyer_wire::msg::meta::inode::{Inode, InodeType};

/// Cookies of `.` and `..`.
const DOT: u64 = 1;
const DOT_DOT: u64 = 2;
/// Cookie of the virtual directory, behind which the root ends.
const VIRTUAL: u64 = 3;

/// What is waited for.
#[derive(Debug)]
enum State {
    /// The read before this one.
    Queued,
    /// A page; `searches`: on the way to a cookie that this handle did not give.
    Listing { resume: Resume, searches: bool },
    /// Inodes of rows.
    Stat(Picked),
    /// The shards of inodes.
    Entering {
        picked: Picked,
        outstanding: usize,
        entered: BTreeMap<InodeId, Attributes>,
        refused: Option<Errno>,
    },
}

/// Rows that fit in the answer.
#[derive(Debug)]
struct Picked {
    rows: Vec<Row>,
    /// The next one did not fit.
    full: bool,
    /// They are the last of the directory.
    ended: bool,
}

/// A read of a directory.
#[derive(Debug)]
pub(crate) struct Read {
    inode: InodeId,
    handle: HandleId,
    /// Where to go on.
    cookie: u64,
    /// Bytes left for items.
    room: usize,
    plus: bool,
    items: Vec<DirectoryItem>,
    state: State,
}

impl Read {
    pub(in crate::name) fn begin(
        cx: &mut Context<'_>,
        inode: InodeId,
        handle: HandleId,
        cookie: u64,
        bytes: u32,
        plus: bool,
    ) -> Result<Step, Errno> {
        let this = Box::new(Self {
            inode,
            handle,
            cookie,
            room: usize::try_from(bytes).unwrap_or(usize::MAX),
            plus,
            items: Vec::new(),
            state: State::Queued,
        });
        let op = cx.op;
        let opened = cx.state.names.directories.get(inode, handle)?;
        if opened.reading.is_none() {
            opened.reading = Some(op);
            let step = this.start(cx);
            return leave_unless_waiting(cx, inode, handle, step);
        }
        if opened.waiting.len() >= WAITING_MAX {
            flyer_types::mark!("vfs.directory_reads_full");
            return Err(Errno::EAGAIN);
        }
        opened.waiting.push_back(op);
        Ok(wait(Op::Read(this)))
    }

    pub(in crate::name) fn step(self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        let (inode, handle) = (self.inode, self.handle);
        let step = self.proceed(cx, event);
        leave_unless_waiting(cx, inode, handle, step)
    }

    fn proceed(mut self: Box<Self>, cx: &mut Context<'_>, event: Event) -> Result<Step, Errno> {
        match core::mem::replace(&mut self.state, State::Queued) {
            State::Queued => self.start(cx),
            State::Listing { resume, searches } => {
                let page = response!(event, List).map_err(|status| errno(&status))?;
                let handle = cx.state.names.directories.get(self.inode, self.handle)?;
                match handle.stream.take(resume, page.entries, page.more)? {
                    Taken::List(resume) => Ok(self.list(cx, resume, searches)),
                    Taken::Rows(_) if searches => self.go_on(cx),
                    Taken::Rows(first) => self.pick(cx, first),
                }
            }
            State::Stat(picked) => {
                let found = response!(event, BatchStat).map_err(|status| errno(&status))?;
                self.enter(cx, picked, found.inodes)
            }
            State::Entering {
                picked,
                outstanding,
                entered,
                refused,
            } => self.take_entered(cx, event, picked, outstanding, entered, refused),
        }
    }

    /// The turn has come.
    fn start(mut self: Box<Self>, cx: &mut Context<'_>) -> Result<Step, Errno> {
        let handle = cx.state.names.directories.get(self.inode, self.handle)?;
        if self.cookie == 0 {
            handle.stream.rewind();
        }
        let parent = handle.parent;
        for (cookie, name, inode) in [(DOT, ".", self.inode), (DOT_DOT, "..", parent)] {
            if self.cookie < cookie && !self.put_plain(Text::from(name), inode, InodeType::DIRECTORY, cookie)
            {
                return self.answer();
            }
        }
        if self.inode == InodeId::ROOT && self.cookie == VIRTUAL {
            return Ok(Step::reply(Reply::Directory(Vec::new())));
        }
        self.go_on(cx)
    }

    /// Looks for the rows behind the cookie.
    fn go_on(self: Box<Self>, cx: &mut Context<'_>) -> Result<Step, Errno> {
        let handle = cx.state.names.directories.get(self.inode, self.handle)?;
        match handle.stream.behind(self.cookie) {
            Behind::Rows(first) => self.pick(cx, first),
            Behind::List(resume) => Ok(self.list(cx, resume, false)),
            Behind::Search(resume) => Ok(self.list(cx, resume, true)),
            Behind::Nothing => self.settle(cx, Vec::new(), false, true),
        }
    }

    fn list(mut self: Box<Self>, cx: &mut Context<'_>, resume: Resume, searches: bool) -> Step {
        let limit = i32::try_from(PAGE_ENTRIES).expect("a page has some hundred entries");
        calls::list(cx, self.inode, resume.after.clone(), limit);
        self.state = State::Listing { resume, searches };
        wait(Op::Read(self))
    }

    /// Chooses the rows of this answer.
    fn pick(mut self: Box<Self>, cx: &mut Context<'_>, first: usize) -> Result<Step, Errno> {
        let handle = cx.state.names.directories.get(self.inode, self.handle)?;
        let mut room = self.room;
        let mut picked = Picked {
            rows: Vec::new(),
            full: false,
            ended: handle.stream.is_ended(),
        };
        for row in handle.stream.rows_from(first) {
            if is_shown(self.inode, row) {
                let bytes = item_bytes(&row.name, self.plus);
                if bytes > room {
                    picked.full = true;
                    picked.ended = false;
                    break;
                }
                room -= bytes;
                picked.rows.push(row.clone());
            }
            self.cookie = row.cookie;
        }
        if picked.rows.is_empty() && picked.full {
            return self.answer();
        }
        if picked.rows.is_empty() || !self.plus {
            let items = picked.rows.into_iter().map(plain_item).collect();
            return self.settle(cx, items, picked.full, picked.ended);
        }
        calls::stat_many(cx, picked.rows.iter().map(|row| row.inode).collect());
        self.state = State::Stat(picked);
        Ok(wait(Op::Read(self)))
    }

    /// Asks the shards of the inodes that are still there.
    fn enter(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        mut picked: Picked,
        found: Vec<Option<Inode>>,
    ) -> Result<Step, Errno> {
        if found.len() != picked.rows.len() {
            return Err(Errno::EIO);
        }
        let mut by_shard: BTreeMap<u32, Vec<Inode>> = BTreeMap::new();
        let mut rows = Vec::with_capacity(found.len());
        for (row, inode) in picked.rows.into_iter().zip(found) {
            // An inode without links waits for its removal.
            let Some(inode) = inode.filter(|inode| inode.base.nlink > 0 && inode.id == row.inode) else {
                flyer_types::mark!("vfs.listed_inode_gone");
                continue;
            };
            let shard = shard_of(inode.id, cx.state.shards);
            by_shard.entry(shard).or_default().push(inode);
            rows.push(row);
        }
        picked.rows = rows;
        if picked.rows.is_empty() {
            return self.settle(cx, Vec::new(), picked.full, picked.ended);
        }
        let outstanding = by_shard.len();
        for inodes in by_shard.into_values() {
            cx.ask(Task::EnterMany(inodes));
        }
        self.state = State::Entering {
            picked,
            outstanding,
            entered: BTreeMap::new(),
            refused: None,
        };
        Ok(wait(Op::Read(self)))
    }

    /// One shard has counted its inodes. Answers of shards come in any order, and say themselves which inodes they are about.
    fn take_entered(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        event: Event,
        picked: Picked,
        outstanding: usize,
        mut entered: BTreeMap<InodeId, Attributes>,
        mut refused: Option<Errno>,
    ) -> Result<Step, Errno> {
        match event {
            Event::Asked(Ok(Outcome::Entered(all))) => {
                entered.extend(all.into_iter().map(|attributes| (attributes.inode, attributes)));
            }
            Event::Asked(Err(errno)) => refused = Some(errno),
            Event::Asked(Ok(_)) | Event::Meta(_) | Event::Storage(_) | Event::Turn => {
                unreachable!("the read waits for shards to enter inodes")
            }
        }
        let outstanding = outstanding - 1;
        if outstanding > 0 {
            self.state = State::Entering {
                picked,
                outstanding,
                entered,
                refused,
            };
            return Ok(wait(Op::Read(self)));
        }
        let rows = picked.rows.into_iter();
        let items: Vec<_> = rows
            .filter_map(|row| Some(full_item(cx, &row, *entered.get(&row.inode)?)))
            .collect();
        match refused {
            Some(errno) if items.is_empty() && self.items.is_empty() => Err(errno),
            Some(_) | None => self.settle(cx, items, picked.full, picked.ended),
        }
    }

    /// Takes items into the answer. An answer without items would say that the directory ends.
    fn settle(
        mut self: Box<Self>,
        cx: &mut Context<'_>,
        items: Vec<DirectoryItem>,
        full: bool,
        ended: bool,
    ) -> Result<Step, Errno> {
        for item in items {
            self.room -= item_bytes(&item.name, self.plus);
            self.items.push(item);
        }
        if ended && !full && self.inode == InodeId::ROOT {
            let name = Text::from(VIRTUAL_NAME);
            if !self.put_plain(name, InodeId::VIRT, InodeType::DIRECTORY, VIRTUAL) {
                return self.answer();
            }
        }
        if self.items.is_empty() && !ended {
            return self.go_on(cx);
        }
        Ok(Step::reply(Reply::Directory(self.items)))
    }

    /// Adds an item without attributes if there is room.
    fn put_plain(&mut self, name: Text, inode: InodeId, kind: InodeType, cookie: u64) -> bool {
        let bytes = item_bytes(&name, self.plus);
        if bytes > self.room {
            return false;
        }
        self.room -= bytes;
        self.items.push(DirectoryItem {
            name,
            inode,
            kind,
            cookie,
            entry: None,
        });
        true
    }

    /// The answer is full, if it can hold anything at all.
    fn answer(&mut self) -> Result<Step, Errno> {
        let items = core::mem::take(&mut self.items);
        if items.is_empty() {
            return Err(Errno::EINVAL);
        }
        Ok(Step::reply(Reply::Directory(items)))
    }
}

/// Gives the turn on if the read is over.
fn leave_unless_waiting(
    cx: &mut Context<'_>,
    inode: InodeId,
    handle: HandleId,
    step: Result<Step, Errno>,
) -> Result<Step, Errno> {
    if matches!(step, Ok(Step::Wait(_))) {
        return step;
    }
    let op = cx.op;
    if let Ok(opened) = cx.state.names.directories.get(inode, handle)
        && opened.reading == Some(op)
    {
        opened.reading = opened.waiting.pop_front();
        if let Some(next) = opened.reading {
            cx.wake(next);
        }
    }
    step
}

/// Whether the kernel is told of a row: it refuses a whole answer for one name that it would not accept itself.
fn is_shown(directory: InodeId, row: &Row) -> bool {
    check_entry(&row.name).is_ok() && !is_hidden(directory, &row.name) && !is_virtual(row.inode)
}

fn plain_item(row: Row) -> DirectoryItem {
    DirectoryItem {
        name: row.name,
        inode: row.inode,
        kind: row.kind,
        cookie: row.cookie,
        entry: None,
    }
}

fn full_item(cx: &Context<'_>, row: &Row, attributes: Attributes) -> DirectoryItem {
    let user = cx.user();
    let is_link = attributes.kind == InodeType::SYMLINK;
    let (entry_timeout, attributes_timeout) = if is_link {
        (user.symlink_timeout, user.symlink_timeout)
    } else {
        (user.entry_timeout, user.attr_timeout)
    };
    DirectoryItem {
        name: row.name.clone(),
        inode: attributes.inode,
        kind: attributes.kind,
        cookie: row.cookie,
        entry: Some(Entry {
            attributes: Some(attributes),
            entry_timeout,
            attributes_timeout,
        }),
    }
}

/// Answers from a directory whose entries are all at hand.
pub(in crate::name) fn answer_from(
    all: Vec<DirectoryItem>,
    cookie: u64,
    bytes: u32,
    plus: bool,
) -> Result<Step, Errno> {
    let mut room = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut items = Vec::new();
    for item in all.into_iter().filter(|item| item.cookie > cookie) {
        let Some(left) = room.checked_sub(item_bytes(&item.name, plus)) else {
            if items.is_empty() {
                return Err(Errno::EINVAL);
            }
            break;
        };
        room = left;
        items.push(item);
    }
    Ok(Step::reply(Reply::Directory(items)))
}

/// Bytes of an entry in the kernel's format.
fn item_bytes(name: &Text, plus: bool) -> usize {
    let header = if plus { 152 } else { 24 };
    (header + name.len()).next_multiple_of(8)
}
