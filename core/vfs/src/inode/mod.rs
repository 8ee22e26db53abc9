//! The table of inodes that the kernel knows, or that hold something that has to be written.
//!
//! Owner: a shard.
//!
//! ```text
//!            enter                       forget, nothing live
//!   absent ─────────► known (lookups) ────────────────────────► absent
//!                      │        ▲
//!         opened, dirty│        │ closed and clean
//!                      ▼        │
//!                    live (also without lookups, until clean)
//! ```
//!
//! A record holds what answers reads without a server: kind, length, layout. Attributes for `stat` are asked for each time; those told
//! last are kept for the time after the last name is gone, when an open descriptor or a working directory still refers to the inode and
//! no server knows it. What only open or dirty files need is boxed in [`Live`]. A length is believed by its truncate version: within one version a file only grows,
//! and a later version wins whatever it says; so an answer that was overtaken by another does no harm.
//!
//! The root is known from the start and never forgotten.
//!
//! Limits: as many records as the kernel holds references to inodes, and those of dirty files (`file::DIRTY_INODES_MAX`).
//!
//! Source: the protocol notes on inodes (section 2 of the mount, section 9 of the metadata client).

mod layouts;
mod live;
mod table;

pub(crate) use live::{Live, NO_NEWS};

use crate::reply::Attributes;
use alloc::boxed::Box;
use alloc::vec::Vec;
use flyer_client::storage::FileView;
use flyer_types::Time;
use flyer_types::ids::InodeId;
use flyer_wire::msg::meta::inode::{File, Inode, InodeKind, InodeType};
use layouts::{FileLayout, Layouts};
use table::Table;

/// What is kept of a file.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Length the server has told.
    pub(crate) length: u64,
    /// The version it belongs to.
    pub(crate) truncate_ver: u64,
    /// Where the chunks are.
    pub(crate) layout: FileLayout,
    /// When the server was heard last; [`Time::ZERO`] if that is outdated.
    pub(crate) told: Time,
    /// Chains in use; 0 for all.
    pub(crate) stripe: u32,
    /// Attributes as told last, for when nobody can be asked any more.
    pub(crate) last: Attributes,
}

impl Facts {
    fn new(now: Time, inode: &Inode, file: &File, layout: FileLayout) -> Self {
        Self {
            length: file.length,
            truncate_ver: file.truncate_ver,
            layout,
            told: now,
            stripe: file.dyn_stripe,
            last: plain(inode),
        }
    }

    /// Takes over what the server tells.
    fn update(&mut self, now: Time, inode: &Inode, file: &File) {
        self.last = plain(inode);
        if file.truncate_ver < self.truncate_ver {
            flyer_types::mark!("vfs.overtaken_answer");
            return;
        }
        if file.truncate_ver > self.truncate_ver || file.length > self.length {
            self.length = file.length;
            self.truncate_ver = file.truncate_ver;
        }
        // A stripe only grows, and 0 is the largest.
        if file.dyn_stripe == 0 || self.stripe != 0 && file.dyn_stripe > self.stripe {
            self.stripe = file.dyn_stripe;
        }
        self.told = now;
    }

    /// Bytes beyond the longest file.
    pub(crate) fn length_max(&self) -> u64 {
        // 2^32 chunks.
        u64::from(self.layout.chunk_size).saturating_mul(1 << 32)
    }

    /// How many chains are needed for content that ends at `end`, if these are more than are in use.
    pub(crate) fn stripe_wanted(&self, end: u64) -> Option<u32> {
        let chunks = end.div_ceil(u64::from(self.layout.chunk_size.max(1)));
        let wanted = u32::try_from(chunks)
            .unwrap_or(u32::MAX)
            .min(self.layout.stripe_size);
        (self.stripe != 0 && self.stripe < wanted).then_some(wanted)
    }

    pub(crate) fn view(&self, inode: InodeId) -> FileView {
        FileView {
            inode,
            layout: self.layout.shared(),
            stripe: self.stripe,
        }
    }
}

/// What an inode is. Directories and links come with their attributes as told last; nobody was told of the root yet in the beginning.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(Facts),
    Directory(Option<Attributes>),
    Symlink(Attributes),
}

/// What a shard knows of one inode.
#[derive(Debug)]
pub(crate) struct Record {
    /// References that the kernel holds.
    pub(crate) lookups: u64,
    pub(crate) kind: Kind,
    /// Only of files that are open or dirty.
    pub(crate) live: Option<Box<Live>>,
}

impl Record {
    pub(crate) fn facts(&self) -> Option<&Facts> {
        match &self.kind {
            Kind::File(facts) => Some(facts),
            Kind::Directory(_) | Kind::Symlink(_) => None,
        }
    }

    /// The length of a file as it appears on this mount.
    pub(crate) fn length(&self) -> u64 {
        let told = self.facts().map_or(0, |facts| facts.length);
        let written = self.live.as_ref().map_or(0, |live| live.dynamic.end);
        told.max(written)
    }

    /// Attributes with times that only this mount knows.
    fn with_news(&self, mut attributes: Attributes) -> Attributes {
        if let Some(live) = &self.live {
            let dynamic = &live.dynamic;
            attributes.atime = attributes.atime.max(dynamic.atime.unwrap_or(attributes.atime));
            attributes.mtime = attributes.mtime.max(dynamic.mtime.unwrap_or(attributes.mtime));
            attributes.ctime = attributes.ctime.max(dynamic.mtime.unwrap_or(attributes.ctime));
        }
        attributes
    }
}

/// All inodes of a shard.
#[derive(Debug)]
pub(crate) struct Inodes {
    records: Table<Record>,
    layouts: Layouts,
    /// Lives so far; tells them apart.
    lives: u64,
}

impl Inodes {
    /// A table of the root, if this shard has it, and nothing else.
    pub(crate) fn new(has_root: bool) -> Self {
        let mut records = Table::new();
        if has_root {
            let root = Record {
                lookups: 1,
                kind: Kind::Directory(None),
                live: None,
            };
            records.insert(InodeId::ROOT, root);
        }
        Self {
            records,
            layouts: Layouts::new(),
            lives: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn get(&self, id: InodeId) -> Option<&Record> {
        self.records.get(id)
    }

    /// What is kept of a file; `None` if the inode is unknown or something else.
    pub(crate) fn facts(&self, id: InodeId) -> Option<&Facts> {
        self.records.get(id)?.facts()
    }

    pub(crate) fn facts_mut(&mut self, id: InodeId) -> Option<&mut Facts> {
        match &mut self.records.get_mut(id)?.kind {
            Kind::File(facts) => Some(facts),
            Kind::Directory(_) | Kind::Symlink(_) => None,
        }
    }

    /// What is live of a file, if anything is.
    pub(crate) fn live(&self, id: InodeId) -> Option<&Live> {
        self.records.get(id)?.live.as_deref()
    }

    pub(crate) fn live_mut(&mut self, id: InodeId) -> Option<&mut Live> {
        self.records.get_mut(id)?.live.as_deref_mut()
    }

    /// Brings a known file to life.
    pub(crate) fn revive(&mut self, id: InodeId) -> Option<&mut Live> {
        let record = self.records.get_mut(id)?;
        match record.kind {
            Kind::File(_) => {}
            Kind::Directory(_) | Kind::Symlink(_) => return None,
        }
        let lives = &mut self.lives;
        let live = record.live.get_or_insert_with(|| {
            *lives += 1;
            Box::new(Live::new(*lives))
        });
        Some(live)
    }

    /// The kernel is told of an inode: one more reference.
    pub(crate) fn enter(&mut self, now: Time, inode: &Inode) {
        if let Some(record) = self.records.get_mut(inode.id) {
            record.lookups += 1;
            self.learn(now, inode);
            return;
        }
        let kind = match &inode.base.kind {
            InodeKind::File(file) => {
                let layout = self.layouts.keep(&file.layout);
                Kind::File(Facts::new(now, inode, file, layout))
            }
            InodeKind::Directory(_) => Kind::Directory(Some(plain(inode))),
            InodeKind::Symlink(_) => Kind::Symlink(plain(inode)),
        };
        let record = Record {
            lookups: 1,
            kind,
            live: None,
        };
        self.records.insert(inode.id, record);
    }

    /// A server tells of an inode. One that is not known stays unknown.
    pub(crate) fn learn(&mut self, now: Time, inode: &Inode) {
        let Some(record) = self.records.get_mut(inode.id) else {
            return;
        };
        match (&mut record.kind, &inode.base.kind) {
            (Kind::File(facts), InodeKind::File(file)) => facts.update(now, inode, file),
            (Kind::Directory(last), InodeKind::Directory(_)) => *last = Some(plain(inode)),
            (Kind::Symlink(last), InodeKind::Symlink(_)) => *last = plain(inode),
            // An inode never changes what it is: the server is wrong about one of them, and who asked finds out.
            (Kind::File(_) | Kind::Directory(_) | Kind::Symlink(_), _) => {}
        }
    }

    /// Nothing that is known of the inode can be relied on any more.
    pub(crate) fn doubt(&mut self, id: InodeId) {
        if let Some(facts) = self.facts_mut(id) {
            facts.told = Time::ZERO;
        }
    }

    /// The kernel gives back references.
    pub(crate) fn forget(&mut self, id: InodeId, count: u64) {
        let Some(record) = self.records.get_mut(id) else {
            flyer_types::mark!("vfs.forget_of_unknown");
            return;
        };
        if record.lookups < count {
            flyer_types::mark!("vfs.forget_of_too_many");
        }
        let least = u64::from(id == InodeId::ROOT);
        record.lookups = record.lookups.saturating_sub(count).max(least);
        self.drop_unused(id);
    }

    /// Drops what nobody needs: the live part of a file that is closed and clean, the record of an inode without references.
    pub(crate) fn drop_unused(&mut self, id: InodeId) {
        let Some(record) = self.records.get_mut(id) else {
            return;
        };
        if record.live.as_ref().is_some_and(|live| live.is_idle()) {
            record.live = None;
        }
        if record.lookups == 0 && record.live.is_none() && id != InodeId::ROOT {
            let record = self.records.remove(id).expect("it was just found");
            if let Kind::File(facts) = record.kind {
                self.layouts.give_back(facts.layout);
            }
        }
    }

    /// Files with something live, by id.
    pub(crate) fn all_live(&self) -> impl Iterator<Item = (InodeId, &Live)> {
        let live = (self.records.iter()).filter_map(|(id, record)| Some((id, record.live.as_deref()?)));
        let mut live: Vec<_> = live.collect();
        live.sort_unstable_by_key(|(id, _)| *id);
        live.into_iter()
    }

    /// What a server says of an inode, with what only this mount knows of it.
    pub(crate) fn attributes(&self, inode: &Inode) -> Attributes {
        let mut attributes = plain(inode);
        let Some(record) = self.records.get(inode.id) else {
            return attributes;
        };
        if let InodeKind::File(file) = &inode.base.kind
            && let Some(facts) = record.facts()
        {
            let written = record.live.as_ref().map_or(0, |live| live.dynamic.end);
            let told = if facts.truncate_ver > file.truncate_ver {
                facts.length
            } else {
                file.length
            };
            attributes.size = told.max(written);
            attributes.blocks = attributes.size.div_ceil(BLOCK_BYTES);
        }
        record.with_news(attributes)
    }

    /// What is remembered of an inode that the server does not have any more: without a name, and else as it was told last.
    pub(crate) fn remembered(&self, id: InodeId) -> Option<Attributes> {
        let record = self.records.get(id)?;
        let mut attributes = match &record.kind {
            Kind::File(facts) => facts.last,
            Kind::Directory(last) => (*last)?,
            Kind::Symlink(last) => *last,
        };
        attributes.links = 0;
        if attributes.kind == InodeType::FILE {
            attributes.size = record.length();
            attributes.blocks = attributes.size.div_ceil(BLOCK_BYTES);
        }
        Some(record.with_news(attributes))
    }

    pub(crate) fn check(&self) {
        for (id, record) in self.records.iter() {
            let Some(live) = &record.live else {
                assert!(
                    record.lookups > 0,
                    "{id:?} is kept though nobody refers to it and nothing of it is live"
                );
                continue;
            };
            assert!(record.facts().is_some(), "{id:?} is live and no file");
            assert!(!live.is_idle(), "{id:?} is live for nothing");
            live.check();
        }
        self.layouts.check();
    }
}

/// Units that `stat` counts space in.
const BLOCK_BYTES: u64 = 512;

/// Attributes as the server tells them.
fn plain(inode: &Inode) -> Attributes {
    let base = &inode.base;
    let (kind, size, block_bytes) = match &base.kind {
        InodeKind::File(file) => (InodeType::FILE, file.length, file.layout.chunk_size),
        InodeKind::Directory(directory) => (InodeType::DIRECTORY, 0, directory.layout.chunk_size),
        InodeKind::Symlink(link) => (InodeType::SYMLINK, link.target.as_bytes().len() as u64, 0),
    };
    Attributes {
        inode: inode.id,
        kind,
        permission: base.acl.perm,
        links: u32::from(base.nlink),
        uid: base.acl.uid,
        gid: base.acl.gid,
        size,
        blocks: if kind == InodeType::FILE {
            size.div_ceil(BLOCK_BYTES)
        } else {
            0
        },
        block_bytes,
        atime: base.atime,
        mtime: base.mtime,
        ctime: base.ctime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use flyer_types::Span;
    use flyer_types::ids::{ChainTableId, ChainTableVersion, Gid, Permission, Uid};
    use flyer_wire::msg::meta::flags::{FileFlags, IFlags, TIME_UNSET};
    use flyer_wire::msg::meta::inode::{Acl, ChainList, InodeData, Layout, LayoutChains};

    fn inode(length: u64, truncate_ver: u64, dyn_stripe: u32) -> Inode {
        let chain_indexes = vec![1, 2, 3, 4];
        let layout = Layout {
            table_id: ChainTableId(1),
            table_version: ChainTableVersion(1),
            chunk_size: 4096,
            stripe_size: 4,
            chains: LayoutChains::ChainList(ChainList { chain_indexes }),
        };
        let file = File {
            length,
            truncate_ver,
            layout,
            flags: FileFlags::empty(),
            dyn_stripe,
        };
        let acl = Acl {
            uid: Uid(1),
            gid: Gid(1),
            perm: Permission(0o644),
            iflags: IFlags::empty(),
        };
        let base = InodeData {
            kind: InodeKind::File(file),
            acl,
            nlink: 1,
            atime: TIME_UNSET,
            ctime: TIME_UNSET,
            mtime: TIME_UNSET,
        };
        Inode {
            base,
            id: InodeId(0x1000),
        }
    }

    #[test]
    fn answers_that_were_overtaken_change_nothing() {
        let mut inodes = Inodes::new(true);
        let now = Time::ZERO + Span::from_secs(1);
        let id = InodeId(0x1000);
        inodes.enter(now, &inode(100, 0, 1));
        // A cut has come to its end, and an answer from before arrives.
        inodes.learn(now, &inode(0, 1, 2));
        inodes.learn(now, &inode(100, 0, 1));
        let facts = inodes.facts(id).expect("it is known");
        assert_eq!((facts.length, facts.truncate_ver, facts.stripe), (0, 1, 2));
        assert_eq!(inodes.attributes(&inode(100, 0, 1)).size, 0);
        // Within one version the longest is the newest.
        inodes.learn(now, &inode(50, 1, 2));
        inodes.learn(now, &inode(20, 1, 2));
        let facts = inodes.facts(id).expect("it is known");
        assert_eq!(facts.length, 50);
        assert_eq!(facts.stripe_wanted(3 * 4096), Some(3));
        inodes.check();
        inodes.forget(id, 1);
        assert_eq!(inodes.len(), 1);
    }

    #[test]
    fn a_record_is_small() {
        let bytes = size_of::<(InodeId, Record)>();
        // A row has its hash beside it, and an entry of nine bytes in an index that is half full just after it has grown.
        assert!(bytes + 8 + 18 < 220, "{bytes} bytes");
    }
}
