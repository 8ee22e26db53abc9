//! What is mounted where, as `/proc/self/mountinfo` says. Reading it asks no file system anything, so it works when one hangs.
//!
//! Source: `proc_pid_mountinfo(5)`.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The type of our mounts; the user-space I/O library of 3FS looks for it.
pub const FILE_SYSTEM_TYPE: &str = "fuse.hf3fs";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is.
    pub mount_point: PathBuf,
    /// `major:minor`; no other live file system has the same.
    pub device: String,
    /// Type, with the part behind the dot.
    pub file_system_type: String,
    /// What `mount` and `df` show as the device.
    pub source: String,
    /// The user who mounted it, for FUSE.
    pub user: Option<u32>,
}

impl Mount {
    /// Whether it is a mount of 3FS.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.file_system_type == FILE_SYSTEM_TYPE
    }
}

/// What is mounted at exactly `mount_point` and not hidden by another mount there.
///
/// # Errors
/// `/proc` is not there.
pub fn at(mount_point: &Path) -> io::Result<Option<Mount>> {
    Ok(all()?
        .into_iter()
        .rev()
        .find(|mount| mount.mount_point == mount_point))
}

/// Everything that is mounted, the newest last.
///
/// # Errors
/// `/proc` is not there.
pub fn all() -> io::Result<Vec<Mount>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

/// `id parent major:minor root mount-point options [tag...] - type source super-options`
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = text(fields.nth(2)?);
    let mount_point = PathBuf::from(OsString::from_vec(unescape(fields.nth(1)?)));
    fields.find(|field| *field == b"-")?;
    let file_system_type = text(fields.next()?);
    let source = text(fields.next()?);
    let user = fields.next().and_then(|options| {
        text(options)
            .split(',')
            .find_map(|option| option.strip_prefix("user_id=")?.parse().ok())
    });
    Some(Mount {
        mount_point,
        device,
        file_system_type,
        source,
        user,
    })
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(field)).into_owned()
}

/// Blanks, line ends and backslashes are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'\\').then(|| tail.get(..3).and_then(octal)).flatten();
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let line = b"36 35 0:53 / /mnt/a\\040b\\134c rw,nosuid shared:1 master:2 - fuse.hf3fs flyer rw,user_id=1000,group_id=7";
        let mount = parse(line).expect("a mount");
        assert_eq!(
            mount,
            Mount {
                mount_point: "/mnt/a b\\c".into(),
                device: "0:53".into(),
                file_system_type: "fuse.hf3fs".into(),
                source: "flyer".into(),
                user: Some(1000),
            }
        );
        assert!(mount.is_ours());
    }

    #[test]
    fn other_lines_are_passed_over() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"36 35 0:53 / /mnt rw"), None);
        let plain = parse(b"1 0 8:1 / / rw - ext4 /dev/sda1 rw").expect("a mount");
        assert_eq!((plain.user, plain.is_ours()), (None, false));
        assert_eq!(unescape(b"a\\04"), b"a\\04");
        assert_eq!(unescape(b"a\\9999"), b"a\\9999");
    }

    #[test]
    fn what_is_read_is_mounted() {
        assert!(at(Path::new("/proc")).expect("/proc").is_some());
        assert_eq!(at(Path::new("/proc/self")).expect("/proc"), None);
    }
}
