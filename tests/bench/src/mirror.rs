//! Conversions between messages of `flyer-wire` and the structs of equal shape that the peers encode.
//!
//! Both directions exist, so that a test can show that nothing was left out of what is measured.

use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, ChannelId, ChannelSeq, ChunkVersion,
    ConfigVersion, Gid, InodeId, NodeId, Permission, RequestId, RoutingVersion, TargetId, Uid,
};
use flyer_types::{StatusCode, WallTime};
use flyer_wire::codec::{Map, Set};
use flyer_wire::msg::common::ConfigStatus;
use flyer_wire::msg::meta::flags::{FileFlags, IFlags};
use flyer_wire::msg::meta::inode::Shuffle;
use flyer_wire::msg::mgmtd::node::{NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::{LocalTargetState, PublicTargetState};
use flyer_wire::msg::storage::chunk::ChecksumType;
use flyer_wire::msg::storage::flags::FeatureFlags;

/// A type of a peer that holds what `T` holds.
pub trait Mirror<T> {
    /// The same facts as `ours`.
    fn of(ours: &T) -> Self;

    /// The message again.
    fn back(&self) -> T;
}

/// Numbers that the peer keeps in a type of this width.
macro_rules! numbers {
    ($($theirs:ty => $($ours:ty),*;)*) => {$($(
        impl Mirror<$ours> for $theirs {
            fn of(ours: &$ours) -> Self {
                (*ours).into()
            }

            fn back(&self) -> $ours {
                (*self).try_into().expect("made from a number that fitted")
            }
        }
    )*)*};
}

numbers! {
    bool => bool;
    u8 => u8;
    u16 => u16;
    u32 => u8, u16, u32;
    u64 => u64;
    i32 => i32;
    i64 => i64;
}

/// Newtypes over numbers.
macro_rules! wrapped {
    ($($theirs:ty => $($ours:ident),*;)*) => {$($(
        impl Mirror<$ours> for $theirs {
            fn of(ours: &$ours) -> Self {
                ours.0.into()
            }

            fn back(&self) -> $ours {
                $ours((*self).try_into().expect("made from a number that fitted"))
            }
        }
    )*)*};
}

wrapped! {
    u8 => Shuffle, ChecksumType, NodeType, NodeStatus, ConfigStatus, PublicTargetState, LocalTargetState;
    u16 => ChannelId, StatusCode;
    u32 => Uid, Gid, Permission, NodeId, ChainId, ChainVersion, ChainTableId, ChainTableVersion, ChunkVersion;
    u64 => InodeId, TargetId, RequestId, ChannelSeq, ConfigVersion, RoutingVersion;
    // Protocol Buffers have nothing smaller.
    u32 => Shuffle, ChecksumType, NodeType, NodeStatus, ConfigStatus, PublicTargetState, LocalTargetState;
    u32 => ChannelId, StatusCode;
}

/// Flag words.
macro_rules! flags {
    ($($ours:ident),*) => {$(
        impl Mirror<$ours> for u32 {
            fn of(ours: &$ours) -> Self {
                ours.bits()
            }

            fn back(&self) -> $ours {
                $ours::from_bits_retain(*self)
            }
        }
    )*};
}

flags!(FileFlags, IFlags, FeatureFlags);

impl Mirror<WallTime> for i64 {
    fn of(ours: &WallTime) -> Self {
        ours.us
    }

    fn back(&self) -> WallTime {
        WallTime { us: *self }
    }
}

impl<P: Mirror<T>, T> Mirror<Option<T>> for Option<P> {
    fn of(ours: &Option<T>) -> Self {
        ours.as_ref().map(P::of)
    }

    fn back(&self) -> Option<T> {
        self.as_ref().map(P::back)
    }
}

impl<P: Mirror<T>, Q: Mirror<E>, T, E> Mirror<Result<T, E>> for Result<P, Q> {
    fn of(ours: &Result<T, E>) -> Self {
        ours.as_ref().map(P::of).map_err(Q::of)
    }

    fn back(&self) -> Result<T, E> {
        self.as_ref().map(P::back).map_err(Q::back)
    }
}

impl<P: Mirror<A>, Q: Mirror<B>, A, B> Mirror<(A, B)> for (P, Q) {
    fn of(ours: &(A, B)) -> Self {
        (P::of(&ours.0), Q::of(&ours.1))
    }

    fn back(&self) -> (A, B) {
        (self.0.back(), self.1.back())
    }
}

impl<P: Mirror<T>, T> Mirror<Vec<T>> for Vec<P> {
    fn of(ours: &Vec<T>) -> Self {
        ours.iter().map(P::of).collect()
    }

    fn back(&self) -> Vec<T> {
        self.iter().map(P::back).collect()
    }
}

impl<P: Mirror<T>, T> Mirror<Set<T>> for Vec<P> {
    fn of(ours: &Set<T>) -> Self {
        Mirror::of(&ours.0)
    }

    fn back(&self) -> Set<T> {
        Set(Mirror::back(self))
    }
}

impl<P: Mirror<(K, V)>, K, V> Mirror<Map<K, V>> for Vec<P> {
    fn of(ours: &Map<K, V>) -> Self {
        Mirror::of(&ours.0)
    }

    fn back(&self) -> Map<K, V> {
        Map(Mirror::back(self))
    }
}

/// Declares structs that hold the same fields as a message, with a peer's derives and attributes.
macro_rules! mirrors {
    ($derives:tt $($(#[$attr:meta])* $name:ident = $ours:ty {
        $($(#[$field_attr:meta])* $field:ident: $type:ty,)*
    })*) => {$(
        #[derive $derives]
        $(#[$attr])*
        pub struct $name {
            $($(#[$field_attr])* pub $field: $type,)*
        }

        impl crate::mirror::Mirror<$ours> for $name {
            fn of(ours: &$ours) -> Self {
                let _ = ours;
                Self { $($field: crate::mirror::Mirror::of(&ours.$field),)* }
            }

            fn back(&self) -> $ours {
                type Ours = $ours;
                Ours { $($field: crate::mirror::Mirror::back(&self.$field),)* }
            }
        }
    )*};
}
pub(crate) use mirrors;
