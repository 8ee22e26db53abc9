//! Paths from the command line, and sizes.

use super::failure::{Failure, Kind};
use std::io;
use std::path::{Path, PathBuf};

/// The path as an absolute one, without symbolic links as far as it exists.
pub(super) fn settle(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    let mut rest = PathBuf::new();
    for ancestor in absolute.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            // Joining an empty path would add a slash.
            let whole = if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(&rest)
            };
            return Ok(whole);
        }
        if let Some(name) = ancestor.file_name() {
            rest = if rest.as_os_str().is_empty() {
                PathBuf::from(name)
            } else {
                Path::new(name).join(&rest)
            };
        }
    }
    Ok(absolute)
}

/// A mount over its own data could not be reached any more, nor the data below a mount.
pub(super) fn check_apart(directory: &Path, mount_point: &Path) -> Result<(), Failure> {
    if directory.starts_with(mount_point) || mount_point.starts_with(directory) {
        let text = format!(
            "the data in {} and the mount point {} lie within each other; choose two separate directories",
            directory.display(),
            mount_point.display()
        );
        return Err(Failure::new(Kind::Usage, text));
    }
    Ok(())
}

/// A number of bytes such as `4096`, `64K`, `256M` or `2G`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        Some(_) | None => (text, 0),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a number of bytes, such as 4096, 64K, 256M or 2G".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too many bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("64K"), Ok(64 << 10));
        assert_eq!(bytes("2g"), Ok(2 << 30));
        for bad in ["", "K", "-1", "1T", "1.5G", "99999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_do_not_exist_yet_are_settled() {
        assert_eq!(
            settle(Path::new("/proc/self/../no/such")).expect("a path"),
            Path::new("/proc/no/such")
        );
        assert_eq!(settle(Path::new("/")).expect("a path"), Path::new("/"));
        let here = std::env::current_dir()
            .and_then(|here| here.canonicalize())
            .expect("a directory");
        assert_eq!(
            settle(Path::new("no-such")).expect("a path"),
            here.join("no-such")
        );
    }

    #[test]
    fn data_and_mount_point_lie_apart() {
        let check =
            |directory: &str, mount_point: &str| check_apart(Path::new(directory), Path::new(mount_point));
        assert!(check("/a/b", "/a/bc").is_ok());
        for (directory, mount_point) in [("/a", "/a"), ("/a", "/a/b"), ("/a/b", "/a")] {
            let failure = check(directory, mount_point).expect_err("within each other");
            assert_eq!(failure.kind(), Kind::Usage);
        }
    }
}
