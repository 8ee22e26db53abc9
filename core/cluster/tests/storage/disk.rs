//! A disk and a store that can lose what was not synced.

use flyer_cluster::storage::{DiskOp, Place};
use flyer_cluster::store::{Batch, MemoryStore, Store, StoreError, Visit};
use flyer_types::Rng;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

const SECTOR: usize = 512;

type Sectors = BTreeMap<(Place, usize), [u8; SECTOR]>;

/// Blocks in sectors of 512 bytes, as they are seen and as they are on the medium.
#[derive(Default)]
pub(crate) struct Disk {
    seen: Sectors,
    durable: Sectors,
    /// Sectors written since, in order.
    log: Vec<((Place, usize), [u8; SECTOR])>,
    /// Number of writes before those.
    before: usize,
}

impl Disk {
    pub(crate) fn read(&self, place: Place, off: u32, len: u32) -> Vec<u8> {
        assert!(off + len <= place.block_bytes, "outside the block");
        let (off, len) = (off as usize, len as usize);
        let sectors = off / SECTOR..(off + len).div_ceil(SECTOR);
        let bytes = sectors.flat_map(|s| self.seen.get(&(place, s)).copied().unwrap_or([0; SECTOR]));
        bytes.skip(off % SECTOR).take(len).collect()
    }

    pub(crate) fn write(&mut self, place: Place, off: u32, bytes: &[u8]) {
        assert!(
            off as usize + bytes.len() <= place.block_bytes as usize,
            "outside the block"
        );
        let mut at = off as usize;
        let mut left = bytes;
        while !left.is_empty() {
            let key = (place, at / SECTOR);
            let taken = left.len().min(SECTOR - at % SECTOR);
            let sector = self.seen.entry(key).or_insert([0; SECTOR]);
            sector[at % SECTOR..at % SECTOR + taken].copy_from_slice(&left[..taken]);
            self.log.push((key, *sector));
            left = &left[taken..];
            at += taken;
        }
    }

    fn zero(&mut self, place: Place, off: u32, len: u32) {
        // What was never written is zero already.
        let (first, end) = (off as usize, (off + len) as usize);
        let range = (place, first / SECTOR)..(place, end.div_ceil(SECTOR));
        let known: Vec<usize> = self.seen.range(range).map(|((_, sector), _)| *sector).collect();
        for sector in known {
            let from = first.max(sector * SECTOR);
            let to = end.min((sector + 1) * SECTOR);
            self.write(place, u32::try_from(from).unwrap(), &vec![0; to - from]);
        }
    }

    /// Carries out an operation, or only the first `bytes` of it. `data` are the bytes of a write.
    pub(crate) fn carry_out(&mut self, op: &DiskOp, data: &[u8], bytes: Option<u32>) {
        let part = |len: u32| bytes.map_or(len, |bytes| bytes.min(len));
        match op {
            DiskOp::Read { .. } | DiskOp::Checksum { .. } => {}
            DiskOp::Write { place, off, .. } => {
                let len = part(u32::try_from(data.len()).unwrap());
                self.write(*place, *off, &data[..len as usize]);
            }
            DiskOp::Zero { place, off, len } => self.zero(*place, *off, part(*len)),
            DiskOp::Copy { from, to, len } => {
                let bytes = self.read(*from, 0, part(*len));
                self.write(*to, 0, &bytes);
            }
            DiskOp::Discard { place } => self.zero(*place, 0, part(place.block_bytes)),
        }
    }

    /// What a sync that begins now will make durable.
    pub(crate) fn mark(&self) -> usize {
        self.before + self.log.len()
    }

    /// Makes the writes up to a mark durable.
    pub(crate) fn make_durable(&mut self, mark: usize) {
        let count = mark.saturating_sub(self.before);
        self.durable.extend(self.log.drain(..count));
        self.before += count;
    }

    /// What was not durable is lost, or not, sector by sector.
    pub(crate) fn fail_power(&mut self, rng: &mut Rng) {
        for (key, sector) in self.log.drain(..) {
            if rng.chance(1, 2) {
                self.durable.insert(key, sector);
            }
        }
        self.seen = self.durable.clone();
    }

    /// Nothing of what was not durable arrives.
    pub(crate) fn scrub_unsynced(&mut self) {
        self.before += self.log.len();
        self.log.clear();
        self.seen = self.durable.clone();
    }

    /// Overwrites a byte behind the server's back.
    pub(crate) fn corrupt(&mut self, place: Place, off: u32) {
        let byte = self.read(place, off, 1)[0];
        self.write(place, off, &[!byte]);
    }

    /// Makes blocks zero that `keep` does not want, durably.
    pub(crate) fn scrub(&mut self, keep: impl Fn(Place) -> bool) {
        self.seen.retain(|(place, _), _| keep(*place));
        self.durable.retain(|(place, _), _| keep(*place));
        assert!(self.log.is_empty(), "a crash leaves nothing half durable");
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.seen.keys().map(|(place, _)| *place).collect();
        places.dedup();
        places
    }
}

#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) seen: MemoryStore,
    durable: MemoryStore,
    log: Vec<Batch>,
    /// Number of commits before those.
    before: usize,
    /// Number of commits that the operating system has.
    flushed: usize,
    /// What the next calls answer.
    pub(crate) fail_reads: Option<StoreError>,
    pub(crate) fail_commits: Option<StoreError>,
    pub(crate) commits: usize,
}

/// A store shared between a server and the test.
#[derive(Clone, Default)]
pub(crate) struct SharedStore(pub(crate) Rc<RefCell<StoreState>>);

impl SharedStore {
    pub(crate) fn mark(&self) -> usize {
        let state = self.0.borrow();
        state.before + state.log.len()
    }

    pub(crate) fn make_durable(&self, mark: usize) {
        let state = &mut *self.0.borrow_mut();
        let count = mark.saturating_sub(state.before);
        state.before += count;
        for batch in state.log.drain(..count) {
            state.durable.commit(batch).unwrap();
        }
    }

    /// Keeps some of the commits that are not durable, in order.
    pub(crate) fn lose_commits(&self, rng: &mut Rng) {
        let state = &mut *self.0.borrow_mut();
        let kept = rng.below(u64::try_from(state.log.len()).unwrap() + 1);
        let kept = usize::try_from(kept).unwrap();
        for batch in state.log.drain(..).take(kept) {
            state.durable.commit(batch).unwrap();
        }
        state.flushed = state.before;
        state.seen = state.durable.clone();
    }

    /// The process dies: some of the last commits did not reach the operating system. The others are not durable by that.
    pub(crate) fn kill(&self, rng: &mut Rng) {
        let state = &mut *self.0.borrow_mut();
        let flushed = state.flushed.saturating_sub(state.before);
        let lost = rng.below(u64::try_from(state.log.len() - flushed).unwrap() + 1);
        state
            .log
            .truncate(state.log.len() - usize::try_from(lost).unwrap());
        state.flushed = state.before + state.log.len();
        state.seen = state.durable.clone();
        for batch in &state.log {
            state.seen.commit(batch.clone()).unwrap();
        }
    }

    /// The entries whose keys begin with `prefix`.
    pub(crate) fn entries(&self, prefix: &[u8; 4]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut entries = Vec::new();
        let end = flyer_cluster::store::prefix_end(prefix).unwrap();
        let state = self.0.borrow();
        let visit: &mut Visit<'_> = &mut |key, value| {
            entries.push((key.to_vec(), value.to_vec()));
            true
        };
        state.seen.scan(prefix, &end, visit).unwrap();
        entries
    }

    fn readable(&self) -> Result<(), StoreError> {
        match &self.0.borrow().fail_reads {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl Store for SharedStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.readable()?;
        self.0.borrow().seen.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.readable()?;
        self.0.borrow().seen.scan(from, to, visit)
    }

    fn scan_reverse(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        self.readable()?;
        self.0.borrow().seen.scan_reverse(from, to, visit)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let state = &mut *self.0.borrow_mut();
        if let Some(error) = &state.fail_commits {
            return Err(error.clone());
        }
        state.commits += 1;
        state.log.push(batch.clone());
        state.seen.commit(batch)
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        let mark = self.mark();
        self.0.borrow_mut().flushed = mark;
        Ok(())
    }
}
