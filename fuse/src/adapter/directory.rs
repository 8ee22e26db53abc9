//! Pages of a directory.
//!
//! fuser 0.18 keeps the size that the kernel asked for to itself: only the `Debug` form of the reply shows it. Without it a page would
//! have to be as small as the smallest that a kernel asks for. So it is read there, and when that fails, the page is small.

use super::convert::{attributes_to_kernel, duration_of, name_of, no_inode, node_of, type_to_kernel};
use flyer_vfs::reply::DirectoryItem;
use fuser::{Generation, ReplyDirectory, ReplyDirectoryPlus};
use std::fmt::{self, Write};
use std::time::Duration;

/// No kernel asks for less than a page of memory.
const BYTES_MIN: u32 = 4096;
/// What precedes the size in the `Debug` form.
const MARKER: &[u8] = b"max_size: ";

/// Bytes that the kernel wants at most; `reply` is a reply to `readdir` or `readdirplus`.
pub(crate) fn capacity(reply: &impl fmt::Debug) -> u32 {
    let mut scan = Scan::default();
    // The scan ends the formatting early by an error once it has seen the number.
    let _ended_early = write!(scan, "{reply:?}");
    match scan.number {
        Some(bytes) if scan.matched == MARKER.len() && bytes >= BYTES_MIN => bytes,
        Some(_) | None => BYTES_MIN,
    }
}

/// Takes in text and keeps the number behind [`MARKER`].
#[derive(Default)]
struct Scan {
    matched: usize,
    number: Option<u32>,
}

impl Write for Scan {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.matched < MARKER.len() {
                let expected = byte == MARKER[self.matched];
                // The first byte of the marker occurs only once in its beginning, so that one step back is enough.
                self.matched = if expected {
                    self.matched + 1
                } else {
                    usize::from(byte == MARKER[0])
                };
            } else if byte.is_ascii_digit() {
                let digit = u32::from(byte - b'0');
                let number = self.number.unwrap_or(0);
                self.number = Some(number.saturating_mul(10).saturating_add(digit));
            } else {
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

pub(crate) fn send(mut kernel: ReplyDirectory, items: &[DirectoryItem]) {
    for item in items {
        assert!(item.cookie != 0, "0 is the cookie of the beginning");
        let full = kernel.add(
            node_of(item.inode),
            item.cookie,
            type_to_kernel(item.kind),
            name_of(&item.name),
        );
        assert!(!full, "a page fits into the bytes asked for");
    }
    kernel.ok();
}

pub(crate) fn send_plus(mut kernel: ReplyDirectoryPlus, items: &[DirectoryItem]) {
    for item in items {
        assert!(item.cookie != 0, "0 is the cookie of the beginning");
        let known = item.entry.as_ref().and_then(|entry| {
            // fuser sends one time for the name and the attributes: the shorter one.
            let timeout = entry.entry_timeout.min(entry.attributes_timeout);
            Some((
                attributes_to_kernel(entry.attributes.as_ref()?),
                duration_of(timeout),
            ))
        });
        // Node 0 tells the kernel to take the name and no inode. fuser makes it the number that programs see as well, and the C
        // library leaves out names with the number 0. Of these two the kernel never takes an inode, whatever the node is.
        let (attributes, timeout) = known.unwrap_or_else(|| {
            let mut attributes = no_inode(type_to_kernel(item.kind));
            if matches!(item.name.as_bytes(), b"." | b"..") {
                attributes.ino = node_of(item.inode);
            }
            (attributes, Duration::ZERO)
        });
        let full = kernel.add(
            attributes.ino,
            item.cookie,
            name_of(&item.name),
            &timeout,
            &attributes,
            Generation(0),
        );
        assert!(!full, "a page fits into the bytes asked for");
    }
    kernel.ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown(&'static str);

    impl fmt::Debug for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // In pieces, as derived forms are written.
            for byte in self.0.chars() {
                f.write_char(byte)?;
            }
            Ok(())
        }
    }

    #[test]
    fn the_size_is_read_where_it_is_shown() {
        let capacity_of = |text| capacity(&Shown(text));
        assert_eq!(capacity_of("R { buf: L { max_size: 32768, buf: [] } }"), 32_768);
        assert_eq!(capacity_of("mmax_size: 8192 }"), 8192);
        assert_eq!(capacity_of("max max_size: 8192 }"), 8192);
        assert_eq!(capacity_of("max_size: 99999999999 }"), u32::MAX);
    }

    #[test]
    fn a_size_that_is_not_shown_is_the_smallest() {
        for text in [
            "R { buf: [] }",
            "max_size: ",
            "max_size: None",
            "max_size: 16 }",
            "",
        ] {
            assert_eq!(capacity(&Shown(text)), BYTES_MIN, "{text}");
        }
    }
}
