//! Conversions of [`proto`](crate::proto) that fields alone do not say.

use crate::mirror::Mirror;
use crate::proto::{Address, Empty, InodeKind, Key, LayoutChains, LengthInfo, RemoteBuf, Uuid};
use flyer_types::{Status, Text, Token};
use flyer_wire::address;
use flyer_wire::codec::Void;
use flyer_wire::msg::meta::{flags::EmptyChains, inode};
use flyer_wire::msg::remote_buf::{RemoteBuf as OurRemoteBuf, RemoteKey};
use flyer_wire::msg::storage::chunk_id::ChunkId;
use prost::bytes::Bytes;

impl Mirror<Void> for Option<Empty> {
    fn of(_ours: &Void) -> Self {
        None
    }

    fn back(&self) -> Void {
        Void
    }
}

impl Mirror<EmptyChains> for Empty {
    fn of(_ours: &EmptyChains) -> Self {
        Self {}
    }

    fn back(&self) -> EmptyChains {
        EmptyChains
    }
}

impl Mirror<Text> for Vec<u8> {
    fn of(ours: &Text) -> Self {
        ours.as_bytes().to_vec()
    }

    fn back(&self) -> Text {
        Text::from(self.as_slice())
    }
}

impl Mirror<Token> for Vec<u8> {
    fn of(ours: &Token) -> Self {
        Self::of(ours.expose())
    }

    fn back(&self) -> Token {
        Token::new(self.back())
    }
}

impl Mirror<ChunkId> for Bytes {
    fn of(ours: &ChunkId) -> Self {
        Self::copy_from_slice(ours.as_bytes())
    }

    fn back(&self) -> ChunkId {
        ChunkId::new(self)
    }
}

impl Mirror<flyer_types::ids::Uuid> for Uuid {
    fn of(ours: &flyer_types::ids::Uuid) -> Self {
        let [high, low] = [0, 8].map(|at| {
            let half = ours.0[at..at + 8].try_into().expect("half of 16 bytes");
            u64::from_le_bytes(half)
        });
        Self { high, low }
    }

    fn back(&self) -> flyer_types::ids::Uuid {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.high.to_le_bytes());
        bytes[8..].copy_from_slice(&self.low.to_le_bytes());
        flyer_types::ids::Uuid(bytes)
    }
}

impl Mirror<OurRemoteBuf> for RemoteBuf {
    fn of(ours: &OurRemoteBuf) -> Self {
        let keys = ours.keys().iter();
        Self {
            addr: ours.addr,
            size: ours.size,
            keys: keys
                .map(|key| Key {
                    rkey: key.rkey,
                    device: key.device,
                })
                .collect(),
        }
    }

    fn back(&self) -> OurRemoteBuf {
        let keys = self.keys.iter();
        let keys: Vec<_> = keys
            .map(|key| RemoteKey {
                rkey: key.rkey,
                device: key.device,
            })
            .collect();
        OurRemoteBuf::new(self.addr, self.size, &keys).expect("no more keys than ours has")
    }
}

impl Mirror<address::Address> for Address {
    fn of(ours: &address::Address) -> Self {
        Self {
            ip: ours.ip.to_bits(),
            port: ours.port.into(),
            kind: ours.kind.0.into(),
        }
    }

    fn back(&self) -> address::Address {
        address::Address {
            ip: self.ip.into(),
            port: Mirror::<u16>::back(&self.port),
            kind: address::AddressKind(Mirror::<u16>::back(&self.kind)),
        }
    }
}

impl Mirror<inode::InodeKind> for Option<InodeKind> {
    fn of(ours: &inode::InodeKind) -> Self {
        Some(match ours {
            inode::InodeKind::File(file) => InodeKind::File(Mirror::of(file)),
            inode::InodeKind::Directory(directory) => InodeKind::Directory(Mirror::of(directory)),
            inode::InodeKind::Symlink(link) => InodeKind::Symlink(Mirror::of(link)),
        })
    }

    fn back(&self) -> inode::InodeKind {
        match self.as_ref().expect("always set") {
            InodeKind::File(file) => inode::InodeKind::File(file.back()),
            InodeKind::Directory(directory) => inode::InodeKind::Directory(directory.back()),
            InodeKind::Symlink(link) => inode::InodeKind::Symlink(link.back()),
        }
    }
}

impl Mirror<inode::LayoutChains> for Option<LayoutChains> {
    fn of(ours: &inode::LayoutChains) -> Self {
        Some(match ours {
            inode::LayoutChains::Empty(nothing) => LayoutChains::Empty(Mirror::of(nothing)),
            inode::LayoutChains::ChainRange(range) => LayoutChains::ChainRange(Mirror::of(range)),
            inode::LayoutChains::ChainList(list) => LayoutChains::ChainList(Mirror::of(list)),
        })
    }

    fn back(&self) -> inode::LayoutChains {
        match self.as_ref().expect("always set") {
            LayoutChains::Empty(nothing) => inode::LayoutChains::Empty(nothing.back()),
            LayoutChains::ChainRange(range) => inode::LayoutChains::ChainRange(range.back()),
            LayoutChains::ChainList(list) => inode::LayoutChains::ChainList(list.back()),
        }
    }
}

impl Mirror<Result<u32, Status>> for Option<LengthInfo> {
    fn of(ours: &Result<u32, Status>) -> Self {
        Some(match ours {
            Ok(length) => LengthInfo::Length(*length),
            Err(status) => LengthInfo::Failed(Mirror::of(status)),
        })
    }

    fn back(&self) -> Result<u32, Status> {
        match self.as_ref().expect("always set") {
            LengthInfo::Length(length) => Ok(*length),
            LengthInfo::Failed(status) => Err(status.back()),
        }
    }
}
