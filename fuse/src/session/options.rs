//! Options of a mount, as `mount(8)` takes them behind `-o`.

use crate::adapter::init::REQUEST_BYTES_MAX;
use nix::mount::MsFlags;
use nix::unistd::Uid;
use std::fmt;

/// Longest name of a mount in bytes: `mount(2)` takes one page for all of its text.
pub const NAME_BYTES_MAX: usize = 255;

/// Options of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// Nothing can be changed.
    pub read_only: bool,
    /// Other users than the one who mounted may use it.
    pub allow_other: bool,
    /// The kernel checks permissions itself even on a mount that only root can enter.
    pub default_permissions: bool,
    /// What `df` and `mount` show as the device.
    pub fsname: String,
    /// Largest read in bytes.
    pub max_read: u32,
    /// Flags that the kernel keeps for each mount: `noatime`, `nosuid` and the like.
    pub flags: MsFlags,
    /// Small writes gather in the page cache of the kernel.
    pub writeback_cache: bool,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            allow_other: false,
            default_permissions: false,
            fsname: "flyer".into(),
            max_read: REQUEST_BYTES_MAX,
            flags: MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            writeback_cache: false,
        }
    }
}

/// Why options are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(String);

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionError {}

/// Words that switch a flag on or off, and the one that `fusermount3` knows for each flag.
const FLAGS: &[(&str, &str, MsFlags)] = &[
    ("nosuid", "suid", MsFlags::MS_NOSUID),
    ("nodev", "dev", MsFlags::MS_NODEV),
    ("noexec", "exec", MsFlags::MS_NOEXEC),
    ("noatime", "atime", MsFlags::MS_NOATIME),
    ("nodiratime", "diratime", MsFlags::MS_NODIRATIME),
    ("relatime", "norelatime", MsFlags::MS_RELATIME),
    ("strictatime", "nostrictatime", MsFlags::MS_STRICTATIME),
    ("sync", "async", MsFlags::MS_SYNCHRONOUS),
    ("dirsync", "nodirsync", MsFlags::MS_DIRSYNC),
];

/// Words that say what is so anyway, or that concern only `/etc/fstab`.
const WITHOUT_EFFECT: &[&str] = &[
    "defaults", "auto", "noauto", "user", "nouser", "users", "nofail", "_netdev", "rw",
];

impl MountOptions {
    /// Takes in a list such as `ro,noatime,fsname=data`; later words win.
    ///
    /// # Errors
    /// A word that is not known, or a value that is not allowed.
    pub fn apply(&mut self, list: &str) -> Result<(), OptionError> {
        list.split(',')
            .filter(|word| !word.is_empty())
            .try_for_each(|word| self.apply_word(word))
    }

    fn apply_word(&mut self, word: &str) -> Result<(), OptionError> {
        if word == "rw" {
            self.read_only = false;
        }
        if WITHOUT_EFFECT.contains(&word) || word.starts_with("x-") || word.starts_with("comment=") {
            return Ok(());
        }
        for (on, off, flag) in FLAGS {
            if word == *on || word == *off {
                self.flags.set(*flag, word == *on);
                return Ok(());
            }
        }
        match word.split_once('=') {
            None if word == "ro" => self.read_only = true,
            None if word == "allow_other" => self.allow_other = true,
            None if word == "default_permissions" => self.default_permissions = true,
            None if word == "writeback_cache" => self.writeback_cache = true,
            Some(("fsname", name)) => self.fsname = checked_name(name)?,
            Some(("max_read", bytes)) => self.max_read = checked_max_read(bytes)?,
            Some(_) | None => return Err(unknown(word)),
        }
        Ok(())
    }

    /// All flags of `mount(2)`.
    pub(crate) fn all_flags(&self) -> MsFlags {
        if self.read_only {
            self.flags | MsFlags::MS_RDONLY
        } else {
            self.flags
        }
    }

    /// The text that the kernel's FUSE takes, without what only the caller of `mount(2)` knows.
    ///
    /// With `default_permissions` the kernel checks each step of a path against the attributes it has, which the servers cannot do
    /// for names in its cache. The price is one request more for each change of a directory: the kernel then asks for the
    /// attributes that its owner has now. A mount that only root can enter does without, since root passes every such check.
    pub(crate) fn kernel_text(&self, mounter: Uid) -> String {
        let checked = self.default_permissions || self.allow_other || !mounter.is_root();
        let checked = if checked { "default_permissions," } else { "" };
        let other = if self.allow_other { ",allow_other" } else { "" };
        format!("{checked}max_read={}{other}", self.max_read)
    }

    /// The text behind `-o` of `fusermount3`. No name in it needs an escape: [`checked_name`] has seen to that.
    pub(crate) fn helper_text(&self, subtype: &str, mounter: Uid) -> String {
        let mut text = self.kernel_text(mounter);
        text.push_str(&format!(",fsname={},subtype={subtype}", self.fsname));
        text.push_str(if self.read_only { ",ro" } else { ",rw" });
        // The helper sets `nosuid` and `nodev` itself, and lets only root do without.
        for (on, _, flag) in FLAGS.iter().skip(2) {
            if self.flags.contains(*flag) && HELPER_KNOWS.contains(on) {
                text.push(',');
                text.push_str(on);
            }
        }
        text
    }
}

const HELPER_KNOWS: &[&str] = &[
    "noexec",
    "noatime",
    "nodiratime",
    "relatime",
    "strictatime",
    "sync",
    "dirsync",
];

fn unknown(word: &str) -> OptionError {
    OptionError(format!(
        "unknown mount option '{word}'; known are ro, rw, allow_other, default_permissions, fsname=NAME, \
         max_read=BYTES, writeback_cache, noatime, relatime, strictatime, nodiratime, nosuid, nodev, noexec, sync, dirsync and their opposites"
    ))
}

/// A name may not break out of the comma list that `fusermount3` takes, nor out of `/proc/self/mountinfo`.
fn checked_name(name: &str) -> Result<String, OptionError> {
    let allowed = |c: char| !c.is_control() && !matches!(c, ',' | '\\');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(allowed) {
        return Err(OptionError(format!(
            "'{}' cannot be the name of a mount: 1 to {NAME_BYTES_MAX} bytes, without commas, backslashes and control characters",
            name.escape_debug()
        )));
    }
    Ok(name.into())
}

fn checked_max_read(text: &str) -> Result<u32, OptionError> {
    match text.parse() {
        Ok(bytes) if (4096..=REQUEST_BYTES_MAX).contains(&bytes) => Ok(bytes),
        Ok(_) | Err(_) => Err(OptionError(format!(
            "max_read={text} is not a number of bytes from 4096 to {REQUEST_BYTES_MAX}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(list: &str) -> Result<MountOptions, OptionError> {
        let mut options = MountOptions::default();
        options.apply(list)?;
        Ok(options)
    }

    #[test]
    fn words_of_mount_are_understood_and_the_last_wins() {
        let options = applied("ro,rw,noatime,suid,,x-systemd.automount,sync,fsname=my data,max_read=131072")
            .expect("known");
        assert!(!options.read_only && !options.allow_other);
        assert_eq!(
            options.flags,
            MsFlags::MS_NODEV | MsFlags::MS_NOATIME | MsFlags::MS_SYNCHRONOUS
        );
        assert_eq!((options.fsname.as_str(), options.max_read), ("my data", 131_072));
        assert_eq!(applied("").expect("nothing"), MountOptions::default());
        let read_only = applied("allow_other,ro").expect("known");
        assert!(read_only.all_flags().contains(MsFlags::MS_RDONLY));
        assert_eq!(
            read_only.helper_text("hf3fs", Uid::from_raw(0)),
            "default_permissions,max_read=1048576,allow_other,fsname=flyer,subtype=hf3fs,ro"
        );
    }

    #[test]
    fn the_kernel_checks_permissions_unless_only_root_can_enter() {
        let (root, somebody) = (Uid::from_raw(0), Uid::from_raw(1000));
        let checks = |list: &str, mounter| {
            let text = applied(list).expect("known").kernel_text(mounter);
            text.contains("default_permissions")
        };
        assert!(!checks("", root));
        assert!(checks("", somebody) && checks("allow_other", root) && checks("default_permissions", root));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for (list, part) in [
            ("rro", "unknown mount option 'rro'"),
            ("ro=1", "unknown mount option 'ro=1'"),
            ("fsname", "unknown mount option 'fsname'"),
            ("fsname=", "cannot be the name"),
            ("fsname=a\\b", "cannot be the name"),
            ("fsname=a\nb", "cannot be the name"),
            ("max_read=17", "4096 to 1048576"),
            ("max_read=much", "4096 to 1048576"),
        ] {
            let error = applied(list).expect_err(list).to_string();
            assert!(error.contains(part), "{list}: {error}");
        }
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        assert!(applied(&format!("fsname={long}")).is_err());
        assert!(applied(&format!("fsname={}", &long[1..])).is_ok());
    }
}
