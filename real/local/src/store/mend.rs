//! Cuts the torn end off a journal that the database refuses.
//!
//! Owner: [`super`], when it opens a database. After a power loss, what was not synced may be on disk in any pieces. The
//! database forgives a journal that ends in half a batch, but refuses one whose last batches have the right shape and the
//! wrong bytes. Neither was promised to anybody, so both have the same remedy: the newest journal ends behind its last whole
//! batch before the damage. Only the newest journal is touched; older ones were synced as a whole, and damage to them is
//! damage. The cut is made only when the database has refused, so what it can read is never touched.
//!
//! Layout of a journal (format 3 of `fjall`), integers little-endian:
//!
//! ```text
//! batch  = start item* end
//! start  = 1 count:u32 sequence:u64
//! item   = 2 kind:u8 compression:u8 table:u64 key_len:u16 value_len:u32 stored_len:u32 key stored    hashed
//! clear  = 4 table:u64                                                                               hashed
//! end    = 3 xxh3_of_items:u64 "FJL" 3
//! ```
//!
//! Limits: a journal is read into memory as a whole; the database begins a new one at 64 MB.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const TRAILER: &[u8] = b"FJL\x03";

/// What was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mended {
    /// Bytes of whole batches that remain in the journal.
    pub kept_bytes: u64,
    /// Bytes from there to the last one that was not zero.
    pub cut_bytes: u64,
}

/// Cuts the newest journal in `folder` behind its last whole batch. `None` if there is nothing to cut.
pub(super) fn mend(folder: &Path) -> io::Result<Option<Mended>> {
    let Some(path) = newest(folder)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    File::open(&path)?.read_to_end(&mut bytes)?;
    let kept = whole_batches(&bytes);
    let Some(last) = bytes[kept..].iter().rposition(|byte| *byte != 0) else {
        return Ok(None);
    };
    let mended = Mended {
        kept_bytes: bytes_of(kept),
        cut_bytes: bytes_of(last + 1),
    };
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(mended.kept_bytes)?;
    file.sync_all()?;
    Ok(Some(mended))
}

/// The journal with the highest number.
fn newest(folder: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest: Option<(u64, PathBuf)> = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jnl") {
            continue;
        }
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let Some(number) = number
            && newest.as_ref().is_none_or(|(highest, _)| number > *highest)
        {
            newest = Some((number, path));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Length of the whole batches at the beginning.
fn whole_batches(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some(behind) = batch(rest) {
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// What follows a whole batch.
fn batch(bytes: &[u8]) -> Option<&[u8]> {
    let (&START, rest) = bytes.split_first()? else {
        return None;
    };
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let (_sequence, items) = rest.split_first_chunk::<8>()?;
    let mut rest = items;
    for _ in 0..u32::from_le_bytes(*count) {
        rest = item(rest)?;
    }
    let hashed = &items[..items.len() - rest.len()];
    let (&END, rest) = rest.split_first()? else {
        return None;
    };
    let (hash, rest) = rest.split_first_chunk::<8>()?;
    let rest = rest.strip_prefix(TRAILER)?;
    (xxhash_rust::xxh3::xxh3_64(hashed) == u64::from_le_bytes(*hash)).then_some(rest)
}

/// What follows an item.
fn item(bytes: &[u8]) -> Option<&[u8]> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        CLEAR => rest.get(8..),
        ITEM => {
            let (_kind_compression_table, rest) = rest.split_first_chunk::<10>()?;
            let (key_len, rest) = rest.split_first_chunk::<2>()?;
            let (_value_len, rest) = rest.split_first_chunk::<4>()?;
            let (stored_len, rest) = rest.split_first_chunk::<4>()?;
            let key_len = usize::from(u16::from_le_bytes(*key_len));
            let stored_len = usize::try_from(u32::from_le_bytes(*stored_len)).ok()?;
            rest.get(key_len.checked_add(stored_len)?..)
        }
        _ => None,
    }
}

fn bytes_of(len: usize) -> u64 {
    u64::try_from(len).expect("a usize fits into 64 bits")
}
