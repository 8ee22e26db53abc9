//! Arguments of ioctls, from bytes of the calling process.
//!
//! Layouts are those of `flyer_wire::usrbio::ioctl`; numbers are little-endian, as on all machines that Flyer runs on. Padding is not
//! looked at: it is what the caller's stack held.
//!
//! Limits: inputs of exactly the length of their structure.

use alloc::vec::Vec;
use core::mem::offset_of;
use flyer_types::ids::InodeId;
use flyer_types::{Errno, Text};
use flyer_wire::usrbio::ioctl::{HardlinkArg, MoveArg, PUNCH_HOLE_RANGES_MAX, PunchHoleArg, RemoveArg};

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) parent: InodeId,
    pub(super) name: Text,
}

/// Where a new name goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(super) parent: InodeId,
    pub(super) name: Text,
}

/// A rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: At,
    pub(super) to: At,
    pub(super) to_trash: bool,
}

/// A removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    pub(super) at: At,
    pub(super) recursive: bool,
}

/// Bytes of exactly one structure.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn of<T>(bytes: &'a [u8]) -> Result<Self, Errno> {
        if bytes.len() != size_of::<T>() {
            return Err(Errno::EINVAL);
        }
        Ok(Self(bytes))
    }

    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
        bytes.expect("fields lie inside the structure, whose length was checked")
    }

    fn number(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.bytes(at))
    }

    /// A number as `stat` shows it.
    fn inode(&self, at: usize) -> InodeId {
        match self.number(at) {
            1 => InodeId::ROOT,
            2 => InodeId::GC_ROOT,
            number => InodeId(number),
        }
    }

    /// What stands before the zero in an array.
    fn name<const N: usize>(&self, at: usize) -> Result<Text, Errno> {
        let bytes: [u8; N] = self.bytes(at);
        let end = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::EINVAL)?;
        Ok(Text::from(&bytes[..end]))
    }

    fn flag(&self, at: usize) -> Result<bool, Errno> {
        match self.bytes(at) {
            [0] => Ok(false),
            [1] => Ok(true),
            [_] => Err(Errno::EINVAL),
        }
    }
}

impl Link {
    pub(super) fn parse(input: &[u8]) -> Result<Self, Errno> {
        let input = Input::of::<HardlinkArg>(input)?;
        Ok(Self {
            parent: input.inode(offset_of!(HardlinkArg, parent)),
            name: input.name::<255>(offset_of!(HardlinkArg, name))?,
        })
    }
}

impl Move {
    pub(super) fn parse(input: &[u8]) -> Result<Self, Errno> {
        let input = Input::of::<MoveArg>(input)?;
        Ok(Self {
            from: At {
                parent: input.inode(offset_of!(MoveArg, source_parent)),
                name: input.name::<256>(offset_of!(MoveArg, source_name))?,
            },
            to: At {
                parent: input.inode(offset_of!(MoveArg, target_parent)),
                name: input.name::<256>(offset_of!(MoveArg, target_name))?,
            },
            to_trash: input.flag(offset_of!(MoveArg, to_trash))?,
        })
    }
}

impl Removal {
    pub(super) fn parse(input: &[u8]) -> Result<Self, Errno> {
        let input = Input::of::<RemoveArg>(input)?;
        Ok(Self {
            at: At {
                parent: input.inode(offset_of!(RemoveArg, parent)),
                name: input.name::<256>(offset_of!(RemoveArg, name))?,
            },
            recursive: input.flag(offset_of!(RemoveArg, recursive))?,
        })
    }
}

/// The ranges of a request to punch holes, from start to end.
pub(super) fn ranges(input: &[u8]) -> Result<Vec<(u64, u64)>, Errno> {
    let input = Input::of::<PunchHoleArg>(input)?;
    let count = i32::from_le_bytes(input.bytes(offset_of!(PunchHoleArg, count)));
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > PUNCH_HOLE_RANGES_MAX || input.number(offset_of!(PunchHoleArg, flags)) != 0 {
        return Err(Errno::EINVAL);
    }
    let range = |at: usize| {
        let start = input.number(offset_of!(PunchHoleArg, starts) + at * size_of::<u64>());
        let end = input.number(offset_of!(PunchHoleArg, ends) + at * size_of::<u64>());
        if start > end {
            return Err(Errno::EINVAL);
        }
        Ok((start, end))
    };
    (0..count).map(range).collect()
}
