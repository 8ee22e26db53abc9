//! Error numbers as the Linux kernel counts them.
//!
//! `core` links no libc, and an answer to the kernel must carry Linux's numbers wherever the code runs. The
//! numbers are those of `asm-generic/errno-base.h` and `asm-generic/errno.h` (x86-64, aarch64, riscv64).

use core::fmt;

/// A positive Linux error number; 0 and unknown numbers are representable and print as the bare number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Errno(pub i32);

/// Declares the constants and their names.
macro_rules! errnos {
    ($($name:ident $number:literal $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self($number);)*

            /// The symbol, such as `EIO`; `None` for a number that has no constant here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM 1 "Operation not permitted.";
    ENOENT 2 "No such file or directory.";
    EINTR 4 "Interrupted.";
    EIO 5 "Input/output error.";
    ENXIO 6 "No such device or address; for `SEEK_DATA`: no data after the offset.";
    E2BIG 7 "Argument list too long.";
    EBADF 9 "Bad file descriptor.";
    EAGAIN 11 "Try again.";
    ENOMEM 12 "Out of memory.";
    EACCES 13 "Permission denied.";
    EFAULT 14 "Bad address.";
    EBUSY 16 "Device or resource busy.";
    EEXIST 17 "File exists.";
    EXDEV 18 "Link across devices.";
    ENODEV 19 "No such device.";
    ENOTDIR 20 "Not a directory.";
    EISDIR 21 "Is a directory.";
    EINVAL 22 "Invalid argument.";
    ENFILE 23 "Too many open files in the system.";
    EMFILE 24 "Too many open files.";
    ENOTTY 25 "Inappropriate ioctl.";
    EFBIG 27 "File too large.";
    ENOSPC 28 "No space left.";
    ESPIPE 29 "Illegal seek.";
    EROFS 30 "Read-only file system.";
    EMLINK 31 "Too many links.";
    ERANGE 34 "Result does not fit.";
    ENAMETOOLONG 36 "File name too long.";
    ENOLCK 37 "No locks available.";
    ENOSYS 38 "Function not implemented.";
    ENOTEMPTY 39 "Directory not empty.";
    ELOOP 40 "Too many symbolic links.";
    ENODATA 61 "No data.";
    EPROTO 71 "Protocol error.";
    EOVERFLOW 75 "Value too large.";
    EOPNOTSUPP 95 "Operation not supported; Linux's `ENOTSUP` is the same number.";
    ENOBUFS 105 "No buffer space.";
    ENOTCONN 107 "Not connected; a mount whose server is gone.";
    ETIMEDOUT 110 "Timed out.";
    ESTALE 116 "Stale file handle.";
    EREMOTEIO 121 "Remote input/output error.";
    EDQUOT 122 "Quota exceeded.";
    ECANCELED 125 "Canceled.";
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
