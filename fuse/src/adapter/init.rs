//! What is agreed with the kernel when a session begins.
//!
//! Only capabilities that fuser 0.18 carries through are asked for, and each alone, because an older kernel may lack any of them.

use fuser::{InitFlags, KernelConfig};

/// Largest write in bytes; also the largest read, by the option `max_read` of the mount.
pub(crate) const REQUEST_BYTES_MAX: u32 = 1 << 20;

/// Requests that the kernel may have outstanding without anybody waiting for them: read-ahead, asynchronous reads, write-back.
pub(crate) const BACKGROUND_MAX: u16 = 64;

/// What is asked of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tuning {
    /// Small writes gather in the page cache of the kernel. Other mounts of the same cluster see them later, and the kernel decides
    /// over length and times of an open file.
    pub writeback_cache: bool,
}

/// Asked for when the kernel has them.
const WANTED: &[InitFlags] = &[
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_HAS_IOCTL_DIR,
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
];

impl Tuning {
    pub(crate) fn negotiate(self, config: &mut KernelConfig) {
        let writeback = self.writeback_cache.then_some(InitFlags::FUSE_WRITEBACK_CACHE);
        for capability in WANTED.iter().copied().chain(writeback) {
            if config.add_capabilities(capability).is_err() {
                tracing::debug!(?capability, "this kernel does not offer it");
            }
        }
        config
            .set_max_write(REQUEST_BYTES_MAX)
            .expect("1 MiB is in the range of fuser");
        config.set_max_background(BACKGROUND_MAX).expect("it is not zero");
    }
}
