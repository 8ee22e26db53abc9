//! What the kernel has to forget: a queue, and the thread that tells it.
//!
//! Telling the kernel is a write that can wait for locks of the kernel, even for the answer to a request of the same inode. So who
//! decides it only puts it here, never waits, and a thread of its own does the telling.
//!
//! ```text
//!   put ──► waiting, one row per inode and per name ──thread takes the oldest──► kernel
//! ```
//!
//! Limits: one row per inode, whose ranges of pages grow into one; [`WAITING_MAX`] rows of names and attributes together, of which the
//! oldest makes room for a new one. What makes room is forgotten by the kernel when its timeout ends. Rows with pages always stay: the kernel
//! keeps pages without end; there are at most as many of them as inodes in the file system's table.

use crate::adapter::convert;
use flyer_types::Text;
use flyer_types::ids::InodeId;
use flyer_vfs::reply::Invalidate;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Most rows of names and attributes that wait for the kernel. One is about 100 bytes.
pub const WAITING_MAX: usize = 65_536;

/// Where to put what the kernel has to forget. Never waits, so it can be used anywhere.
#[derive(Clone, Debug)]
pub struct Invalidations {
    queue: Arc<Queue>,
}

/// Tells the kernel.
pub trait Kernel: Send + 'static {
    /// Drops the attributes of an inode and, with a range (`length` 0: to the end), its cached pages.
    ///
    /// # Errors
    /// The kernel refused; it does not for an inode that it does not know.
    fn forget_inode(&mut self, inode: InodeId, pages: Option<(u64, u64)>) -> io::Result<()>;

    /// Drops a name.
    ///
    /// # Errors
    /// As above.
    fn forget_entry(&mut self, parent: InodeId, name: &Text) -> io::Result<()>;
}

/// What is to be forgotten; one row each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Inode(InodeId),
    Entry(InodeId, Text),
}

/// Cached pages of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pages {
    begin: u64,
    /// `None`: the end of the file, wherever it is.
    end: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    order: u64,
    pages: Option<Pages>,
}

#[derive(Debug, Default)]
struct Waiting {
    rows: BTreeMap<Key, Row>,
    /// Rows with pages by age.
    with_pages: BTreeMap<u64, Key>,
    /// Rows without pages by age; at most [`WAITING_MAX`].
    others: BTreeMap<u64, Key>,
    order_next: u64,
    dropped: u64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

impl Default for Invalidations {
    fn default() -> Self {
        Self::new()
    }
}

impl Invalidations {
    /// A queue that nobody empties yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            queue: Arc::default(),
        }
    }

    /// Has the kernel told, soon and on another thread. Without effect after [`Self::end`].
    pub fn put(&self, invalidate: Invalidate) {
        let mut waiting = self.queue.lock();
        if waiting.ended {
            return;
        }
        waiting.put(invalidate);
        drop(waiting);
        self.queue.changed.notify_one();
    }

    /// How many rows wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().rows.len()
    }

    /// How many rows have made room for others.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue.lock().dropped
    }

    /// Lets the thread of [`Self::spawn`] end. What still waits is dropped: there is no kernel any more to tell.
    pub fn end(&self) {
        self.queue.lock().ended = true;
        self.queue.changed.notify_all();
    }

    /// Starts the thread that tells `kernel`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn spawn(&self, mut kernel: impl Kernel) -> io::Result<JoinHandle<()>> {
        let queue = Arc::clone(&self.queue);
        std::thread::Builder::new()
            .name("flyer-notify".into())
            .spawn(move || {
                while let Some((key, row)) = queue.take() {
                    let told = match &key {
                        Key::Inode(inode) => kernel.forget_inode(*inode, row.pages.map(Pages::to_range)),
                        Key::Entry(parent, name) => kernel.forget_entry(*parent, name),
                    };
                    if let Err(error) = told {
                        tracing::debug!(?key, %error, "the kernel was not told to forget");
                    }
                }
            })
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("nothing panics while it holds the queue")
    }

    /// The oldest row, when there is one; `None` at the end.
    fn take(&self) -> Option<(Key, Row)> {
        let mut waiting = self
            .changed
            .wait_while(self.lock(), |waiting| !waiting.ended && waiting.rows.is_empty())
            .expect("nothing panics while it holds the queue");
        if waiting.ended {
            return None;
        }
        waiting.take()
    }
}

impl Waiting {
    fn put(&mut self, invalidate: Invalidate) {
        let (key, pages) = match invalidate {
            Invalidate::Inode { inode, pages } => (Key::Inode(inode), pages.map(Pages::of_range)),
            Invalidate::Entry { parent, name } => (Key::Entry(parent, name), None),
        };
        if let Some(row) = self.rows.get_mut(&key) {
            // It waits already, and is told with everything that has been added.
            if let Some(added) = pages {
                if row.pages.is_none() {
                    self.others.remove(&row.order);
                    self.with_pages.insert(row.order, key);
                }
                row.pages = Some(row.pages.map_or(added, |pages| pages.and(added)));
            }
            return;
        }
        let order = self.order_next;
        self.order_next += 1;
        if pages.is_some() {
            self.with_pages.insert(order, key.clone());
        } else {
            if self.others.len() == WAITING_MAX {
                let (_, oldest) = self.others.pop_first().expect("it is full");
                self.rows.remove(&oldest);
                self.dropped += 1;
            }
            self.others.insert(order, key.clone());
        }
        self.rows.insert(key, Row { order, pages });
    }

    fn take(&mut self) -> Option<(Key, Row)> {
        let pages_first = match (self.with_pages.first_key_value(), self.others.first_key_value()) {
            (Some((pages, _)), Some((other, _))) => pages < other,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let order = if pages_first {
            &mut self.with_pages
        } else {
            &mut self.others
        };
        let (_, key) = order.pop_first()?;
        let row = self.rows.remove(&key).expect("each key in order has a row");
        Some((key, row))
    }
}

impl Pages {
    fn of_range((begin, length): (u64, u64)) -> Self {
        let end = (length != 0).then(|| begin.saturating_add(length));
        Self { begin, end }
    }

    fn to_range(self) -> (u64, u64) {
        let length = self.end.map_or(0, |end| end - self.begin);
        (self.begin, length)
    }

    /// The smallest range that covers both.
    fn and(self, other: Self) -> Self {
        Self {
            begin: self.begin.min(other.begin),
            end: self.end.zip(other.end).map(|(one, two)| one.max(two)),
        }
    }
}

impl Kernel for fuser::Notifier {
    fn forget_inode(&mut self, inode: InodeId, pages: Option<(u64, u64)>) -> io::Result<()> {
        // A negative offset means "attributes only" to the kernel.
        let (offset, length) = match pages {
            None => (-1, 0),
            Some((offset, length)) => match (i64::try_from(offset), i64::try_from(length)) {
                (Ok(offset), Ok(length)) => (offset, length),
                // It ends behind the end of the longest file.
                (Ok(offset), Err(_)) => (offset, 0),
                // No file has pages there.
                (Err(_), _) => (-1, 0),
            },
        };
        self.inval_inode(convert::node_of(inode), offset, length)
    }

    fn forget_entry(&mut self, parent: InodeId, name: &Text) -> io::Result<()> {
        self.inval_entry(convert::node_of(parent), convert::name_of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn inode(id: u64, pages: Option<(u64, u64)>) -> Invalidate {
        Invalidate::Inode {
            inode: InodeId(id),
            pages,
        }
    }

    fn entry(parent: u64, name: &str) -> Invalidate {
        Invalidate::Entry {
            parent: InodeId(parent),
            name: Text::from(name),
        }
    }

    fn drain(waiting: &mut Waiting) -> Vec<Invalidate> {
        std::iter::from_fn(|| waiting.take())
            .map(|(key, row)| match key {
                Key::Inode(inode) => Invalidate::Inode {
                    inode,
                    pages: row.pages.map(Pages::to_range),
                },
                Key::Entry(parent, name) => Invalidate::Entry { parent, name },
            })
            .collect()
    }

    #[test]
    fn what_waits_for_the_same_inode_or_name_is_told_once() {
        let mut waiting = Waiting::default();
        for put in [
            inode(7, None),
            entry(1, "a"),
            inode(7, Some((4096, 4096))),
            entry(1, "a"),
            inode(7, Some((0, 100))),
            inode(8, Some((10, 5))),
            inode(7, None),
            inode(8, Some((4, 0))),
        ] {
            waiting.put(put);
        }
        assert_eq!(
            drain(&mut waiting),
            [inode(7, Some((0, 8192))), entry(1, "a"), inode(8, Some((4, 0)))]
        );
        assert!(waiting.with_pages.is_empty() && waiting.others.is_empty() && waiting.rows.is_empty());
    }

    #[test]
    fn the_oldest_without_pages_makes_room_and_pages_never_do() {
        let mut waiting = Waiting::default();
        waiting.put(inode(1, Some((0, 0))));
        for id in 0..WAITING_MAX as u64 {
            waiting.put(inode(100 + id, None));
        }
        assert_eq!((waiting.others.len(), waiting.dropped), (WAITING_MAX, 0));
        waiting.put(entry(1, "late"));
        waiting.put(inode(2, Some((0, 0))));
        assert_eq!((waiting.others.len(), waiting.dropped), (WAITING_MAX, 1));
        let told = drain(&mut waiting);
        assert_eq!(told[..2], [inode(1, Some((0, 0))), inode(101, None)]);
        assert_eq!(told[told.len() - 2..], [entry(1, "late"), inode(2, Some((0, 0)))]);
        assert_eq!(told.len(), WAITING_MAX + 2);
    }

    struct Told(mpsc::Sender<String>);

    impl Kernel for Told {
        fn forget_inode(&mut self, inode: InodeId, pages: Option<(u64, u64)>) -> io::Result<()> {
            self.0
                .send(format!("{inode:?} {pages:?}"))
                .map_err(io::Error::other)?;
            Err(io::Error::other("refused"))
        }

        fn forget_entry(&mut self, parent: InodeId, name: &Text) -> io::Result<()> {
            self.0
                .send(format!("{parent:?} {name}"))
                .map_err(io::Error::other)
        }
    }

    #[test]
    fn the_thread_tells_goes_on_after_a_refusal_and_ends() {
        let (told, heard) = mpsc::channel();
        let invalidations = Invalidations::new();
        invalidations.put(inode(7, None));
        let thread = invalidations.spawn(Told(told)).expect("a thread");
        invalidations.put(entry(1, "a"));
        let first = heard.recv().expect("told");
        assert!(first.ends_with("None"), "{first}");
        assert!(heard.recv().expect("told").ends_with(" a"));
        invalidations.end();
        thread.join().expect("the thread ends");
        invalidations.put(inode(9, None));
        assert_eq!(invalidations.waiting(), 0);
    }
}
