//! Typed ids: a bare integer never crosses a boundary between machines.
//!
//! Two families. *Domain ids* are 3FS's own numbers (`src/fbs/mgmtd/MgmtdTypes.h`, `src/fbs/meta/Common.h`,
//! `src/fbs/storage/Common.h` upstream); they travel on the wire with the width shown here. *Slot ids* name a
//! row of a local table: the generation is bumped each time a slot is reused, so an id that outlived its row is
//! recognised instead of hitting a stranger.

use core::fmt;

/// Declares newtypes over an unsigned integer that print as the number.
macro_rules! domain_ids {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl From<$int> for $name {
            fn from(raw: $int) -> Self {
                Self(raw)
            }
        }
    )*};
}

domain_ids! {
    /// A replication chain.
    ChainId(u32);
    /// Version of a chain's membership; a request carries the one its sender knows.
    ChainVersion(u32);
    /// A table of chains that file layouts refer to.
    ChainTableId(u32);
    /// Version of a chain table; 0 in a layout means "the newest".
    ChainTableVersion(u32);
    /// One replica of one chain on one disk.
    TargetId(u64);
    /// A server process known to the manager.
    NodeId(u32);
    /// Version of a chunk's content.
    ChunkVersion(u32);
    /// Version of a configuration kept by the manager.
    ConfigVersion(u64);
    /// Version of the routing table kept by the manager.
    RoutingVersion(u64);
    /// Grows with each heartbeat of a node.
    HeartbeatVersion(u64);
    /// Grows with each extension of a client session.
    ClientSessionVersion(u64);
    /// A logical storage request; kept over its retries.
    RequestId(u64);
    /// An update channel of a client; 0 means "no channel".
    ChannelId(u16);
    /// Position of an update within its channel; strictly grows.
    ChannelSeq(u64);
    /// A user.
    Uid(u32);
    /// A group.
    Gid(u32);
    /// The low 12 mode bits (`07777`).
    Permission(u32);
    /// Number of an RPC service.
    ServiceId(u16);
    /// Number of a method within its service.
    MethodId(u16);
    /// Number a requester gives a packet; echoed by the response.
    PacketId(u64);
}

/// An inode. Ids from `0xfd00_0000_0000_0000` up are local to a mount and never reach a server.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct InodeId(pub u64);

impl InodeId {
    /// The root directory.
    pub const ROOT: Self = Self(0);
    /// The root of the garbage collector's tree.
    pub const GC_ROOT: Self = Self(1);
    /// The largest id a server hands out.
    pub const NORMAL_MAX: Self = Self(0x01ff_ffff_ffff_ffff);
    /// Set in ids of files whose chunks live in the new chunk engine.
    pub const NEW_CHUNK_ENGINE: u64 = 1 << 56;
    /// The virtual directory `3fs-virt`.
    pub const VIRT: Self = Self::below_zero(2);
    /// The virtual directory `3fs-virt/rm-rf`.
    pub const RM_RF: Self = Self::below_zero(3);
    /// The virtual directory `3fs-virt/iovs`.
    pub const IOV_DIR: Self = Self::below_zero(2 << 30);
    /// The virtual directory `3fs-virt/get-conf`.
    pub const GET_CONF: Self = Self::below_zero(4 << 30);
    /// The virtual directory `3fs-virt/set-conf`.
    pub const SET_CONF: Self = Self::below_zero(6 << 30);
    /// Never a real inode.
    pub const INVALID: Self = Self::below_zero(1);

    /// Ids local to the mount count down from zero.
    const fn below_zero(distance: u64) -> Self {
        Self(0u64.wrapping_sub(distance))
    }

    /// Whether this is one of the two tree roots.
    #[must_use]
    pub const fn is_tree_root(self) -> bool {
        self.0 <= 1
    }

    /// Whether the file's chunks live in the new chunk engine.
    #[must_use]
    pub const fn uses_new_chunk_engine(self) -> bool {
        self.0 <= Self::NORMAL_MAX.0 && self.0 & Self::NEW_CHUNK_ENGINE != 0
    }

    /// The same id, marked as living in the new chunk engine.
    #[must_use]
    pub const fn with_new_chunk_engine(self) -> Self {
        Self(self.0 | Self::NEW_CHUNK_ENGINE)
    }

    /// The entry of the I/O vector with this index under `3fs-virt/iovs`; `None` from
    /// [`IOV_INDEXES_MAX`](crate::limits::IOV_INDEXES_MAX) on.
    #[must_use]
    pub const fn iov(index: u32) -> Option<Self> {
        if index >= crate::limits::IOV_INDEXES_MAX {
            return None;
        }
        Some(Self(Self::IOV_DIR.0 - u16::MAX as u64 - index as u64))
    }

    /// The submit semaphore of a ring priority (0 high, 1 normal, 2 low) under `3fs-virt/iovs`; `None` for
    /// any other priority.
    #[must_use]
    pub const fn submit_semaphore(priority: u8) -> Option<Self> {
        if priority > 2 {
            return None;
        }
        Some(Self(Self::IOV_DIR.0 - 1 - priority as u64))
    }

    /// The short-lived symlink shown for an inode handed to `3fs-virt/rm-rf`.
    #[must_use]
    pub const fn virtual_symlink_of(inode: Self) -> Self {
        Self(Self::below_zero(100 << 30).0.wrapping_sub(inode.0))
    }
}

impl fmt::Display for InodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:016x}", self.0)
    }
}

impl fmt::Debug for InodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InodeId({self})")
    }
}

/// 16 random bytes that name a client, a session or a request.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// All zero: "not set".
    pub const ZERO: Self = Self([0; 16]);

    /// Whether all bytes are zero, which 3FS reads as "not set".
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// Reads the canonical `8-4-4-4-12` form, either case; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0u8; 16];
        let mut digits = 0usize;
        for (at, c) in text.bytes().enumerate() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if c != b'-' {
                    return None;
                }
                continue;
            }
            let digit = u8::try_from(char::from(c).to_digit(16)?).ok()?;
            let byte = bytes.get_mut(digits / 2)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        (digits == 32).then_some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

/// An id made of a row and how often that row was reused; what [`Slots`](crate::parts::Slots) hands out.
pub trait SlotId: Copy + Eq + fmt::Debug {
    /// The id of `slot` in its `generation`.
    fn from_parts(slot: u32, generation: u32) -> Self;
    /// Row of the owner's table.
    fn slot(self) -> u32;
    /// How often that row had been reused when the id was made.
    fn generation(self) -> u32;
}

/// Declares slot + generation ids.
macro_rules! slot_ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
        pub struct $name {
            /// Row of the owner's table.
            pub slot: u32,
            /// How often that row had been reused when the id was made.
            pub generation: u32,
        }

        impl $name {
            /// The id of `slot` in its `generation`.
            #[must_use]
            pub const fn new(slot: u32, generation: u32) -> Self {
                Self { slot, generation }
            }
        }

        impl SlotId for $name {
            fn from_parts(slot: u32, generation: u32) -> Self {
                Self::new(slot, generation)
            }

            fn slot(self) -> u32 {
                self.slot
            }

            fn generation(self) -> u32 {
                self.generation
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({}.{})"), self.slot, self.generation)
            }
        }
    )*};
}

slot_ids! {
    /// An operation a machine is working on.
    OpId;
    /// A connection to a peer.
    ConnId;
    /// A work request posted to an RDMA queue.
    WorkId;
    /// The right to answer one kernel request; see design rule 6.
    ReplyToken;
    /// A piece of host memory; see [`crate::lease`].
    LeaseId;
    /// A call to a peer that its caller waits for.
    CallId;
    /// An open file or directory of the mount.
    HandleId;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn uuid_text_round_trips_and_rejects_everything_else() {
        let text = "c11e0000-1111-2222-3333-444455556666";
        let uuid = Uuid::parse(text).expect("canonical form");
        assert_eq!(format!("{uuid}"), text);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Some(uuid));
        let spare_digit = format!("{text}0");
        for bad in [
            "",
            "c11e0000",
            "c11e0000-1111-2222-3333-44445555666",
            &spare_digit,
            &text.replace('-', "0"),
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn virtual_ids_stay_above_every_id_a_server_hands_out() {
        let last_iov = InodeId::iov(crate::limits::IOV_INDEXES_MAX - 1).expect("below the limit");
        assert_eq!(InodeId::iov(crate::limits::IOV_INDEXES_MAX), None);
        for id in [
            last_iov,
            InodeId::SET_CONF,
            InodeId::virtual_symlink_of(InodeId::NORMAL_MAX),
        ] {
            assert!(id.0 >= 0xfd00_0000_0000_0000, "{id}");
            assert!(!id.uses_new_chunk_engine(), "{id}");
        }
        assert_eq!(InodeId::submit_semaphore(3), None);
    }
}
