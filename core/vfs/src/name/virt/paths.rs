//! Paths that users write into links below `3fs-virt/rm-rf` and into `mv:` links.
//!
//! They are absolute paths as the user sees them and have to lie inside the mount, by name: links on the way are not followed before that
//! is decided.
//!
//! Source: `src/fuse/FuseOps.cc` upstream.

use crate::config::Config;
use alloc::vec::Vec;
use flyer_types::{Errno, Text};

/// An entry, by the path of its directory from the root of the file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// `None` for the root itself.
    pub(super) parent: Option<Text>,
    pub(super) name: Text,
}

/// The entry that a path names.
///
/// # Errors
/// `EINVAL` if the path is not absolute, not inside the mount, or is the mount itself.
pub(super) fn inside(config: &Config, path: &[u8]) -> Result<Inside, Errno> {
    let parts = normalised(path).ok_or(Errno::EINVAL)?;
    let prefixes = [Some(&config.mount_point), config.remount_prefix.as_ref()];
    let skipped = prefixes.into_iter().flatten().find_map(|prefix| {
        let prefix = normalised(prefix.as_bytes())?;
        parts.starts_with(&prefix).then_some(prefix.len())
    });
    let (name, parent) = skipped
        .map(|skipped| &parts[skipped..])
        .and_then(<[&[u8]]>::split_last)
        .ok_or(Errno::EINVAL)?;
    Ok(Inside {
        parent: (!parent.is_empty()).then(|| Text::from(parent.join(&b'/'))),
        name: Text::from(*name),
    })
}

/// The parts of an absolute path without `.` and `..`.
fn normalised(path: &[u8]) -> Option<Vec<&[u8]>> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut parts = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_mount_is_taken() {
        let config = Config {
            mount_point: Text::from("/mnt/fs/"),
            remount_prefix: Some(Text::from("/alias")),
            ..Config::default()
        };
        let taken = |path: &str| {
            let inside = inside(&config, path.as_bytes()).ok()?;
            let parent = inside.parent.map(|parent| parent.to_str_lossy().into_owned());
            Some((
                parent.unwrap_or_default(),
                inside.name.to_str_lossy().into_owned(),
            ))
        };
        let some = |parent: &str, name: &str| Some((parent.into(), name.into()));
        assert_eq!(taken("/mnt/fs/a/b/c"), some("a/b", "c"));
        assert_eq!(taken("/mnt/fs/a"), some("", "a"));
        assert_eq!(taken("//mnt/./fs//a/."), some("", "a"));
        assert_eq!(taken("/mnt/fs/a/../b/"), some("", "b"));
        assert_eq!(taken("/mnt/../mnt/fs/b"), some("", "b"));
        assert_eq!(taken("/alias/x/y"), some("x", "y"));
        for path in [
            "",
            "a",
            "mnt/fs/a",
            "/mnt/fs",
            "/mnt/fs/.",
            "/mnt/fs/a/..",
            "/mnt/fsx/a",
            "/mnt/fs/../a",
            "/",
            "/alias",
            "/alias/../mnt/a",
        ] {
            assert_eq!(taken(path), None, "{path}");
        }
        let root = Config::default();
        assert_eq!(inside(&root, b"/a").expect("all is inside").name, Text::from("a"));
    }
}
