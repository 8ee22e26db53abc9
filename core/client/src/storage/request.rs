//! Requests of storage servers, made from parts.
//!
//! Owner: [`StorageIo`](super::StorageIo).

use super::options::Options;
use super::part::{Body, Update};
use super::plan::CHUNKS_END;
use flyer_types::ids::{ChannelId, ChannelSeq, Gid, InodeId, RequestId, Uid};
use flyer_types::{Lease, Segments, Text, Token};
use flyer_wire::msg::common::{ClientId, UserInfo};
use flyer_wire::msg::remote_buf::RemoteBuf;
use flyer_wire::msg::storage::chunk::{
    ChecksumInfo, ChecksumType, ChunkIdRange, GlobalKey, VersionedChainId,
};
use flyer_wire::msg::storage::chunk_id::{ChunkId, FileChunk};
use flyer_wire::msg::storage::flags::FeatureFlags;
use flyer_wire::msg::storage::io::{
    BatchReadReq, DebugFlags, InlineData, MessageTag, ReadIo, UpdateChannel, UpdateIo, UpdateType, WriteReq,
};
use flyer_wire::msg::storage::range::{
    QueryLastChunkOp, QueryLastChunkReq, RemoveChunksOp, RemoveChunksReq, TruncateChunkOp, TruncateChunksReq,
};
use flyer_wire::service::storage::Request;

/// Who asks, and how.
pub(super) struct Asker<'a> {
    pub(super) client: &'a ClientId,
    pub(super) options: &'a Options,
    /// How often this was tried before.
    pub(super) retry_count: u32,
}

/// The file and chain that a part is about.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) inode: InodeId,
    pub(super) chain: VersionedChainId,
    pub(super) chunk_size: u32,
}

fn chunk_id(inode: InodeId, index: u32) -> ChunkId {
    FileChunk {
        inode,
        track: 0,
        index,
    }
    .id()
}

/// Storage servers do not check it.
fn nobody() -> UserInfo {
    UserInfo {
        uid: Uid(0),
        gid: Gid(0),
        groups: alloc::vec::Vec::new(),
        token: Token::new(Text::default()),
    }
}

const NO_DEBUG: DebugFlags = DebugFlags {
    inject_random_server_error: false,
    inject_random_client_error: false,
    num_of_inject_pts_before_fail: 0,
};

const fn checksum_kind(wanted: bool) -> ChecksumType {
    if wanted {
        ChecksumType::CRC32C
    } else {
        ChecksumType::NONE
    }
}

/// Chunks `from <= index < to` of a file, at most `count_max` of them to be looked at.
pub(super) fn range(inode: InodeId, from: u32, to: u64, count_max: u32) -> ChunkIdRange {
    let mut range = ChunkId::range_of_file(inode, from, count_max);
    if let Ok(to) = u32::try_from(to) {
        range.end = chunk_id(inode, to);
    }
    range
}

impl Asker<'_> {
    const fn data_flags(&self) -> FeatureFlags {
        if self.options.inline {
            FeatureFlags::SEND_DATA_INLINE
        } else {
            FeatureFlags::empty()
        }
    }

    fn tag(&self, request: RequestId, channel: Option<&Update>) -> MessageTag {
        MessageTag {
            client_id: self.client.clone(),
            request_id: request,
            channel: channel.map_or(
                UpdateChannel {
                    id: ChannelId(0),
                    seqnum: ChannelSeq(0),
                },
                |update| UpdateChannel {
                    id: update.channel,
                    seqnum: update.seq,
                },
            ),
        }
    }

    /// Reads of several chunks.
    pub(super) fn read<'b>(
        &self,
        request: RequestId,
        parts: impl Iterator<Item = (Place, &'b Body)>,
    ) -> (Request, Segments) {
        let mut memory = Segments::new();
        let payloads = parts
            .map(|(place, body)| {
                let Body::Read { chunk, off, into } = body else {
                    unreachable!("{body:?} travels with reads");
                };
                memory.push(*into);
                ReadIo {
                    offset: *off,
                    length: into.len,
                    key: GlobalKey {
                        chain: place.chain,
                        chunk_id: chunk_id(place.inode, *chunk),
                    },
                    rdmabuf: RemoteBuf::without_memory(u64::from(into.len)),
                }
            })
            .collect();
        let request = BatchReadReq {
            payloads,
            tag: self.tag(request, None),
            retry_count: self.retry_count,
            user_info: nobody(),
            feature_flags: self.data_flags(),
            checksum_type: checksum_kind(self.options.read_checksum),
            debug_flags: NO_DEBUG,
        };
        (Request::BatchRead(request), memory)
    }

    /// Queries of several chains.
    pub(super) fn query<'b>(
        &self,
        request: RequestId,
        parts: impl Iterator<Item = (Place, &'b Body)>,
    ) -> Request {
        let payloads = parts
            .map(|(place, body)| {
                let (from, to) = match body {
                    Body::Last { .. } => (0, CHUNKS_END),
                    Body::Exists { chunk } => (*chunk, u64::from(*chunk) + 1),
                    Body::Read { .. } | Body::Write { .. } | Body::Cut { .. } | Body::Remove { .. } => {
                        unreachable!("{body:?} travels with queries")
                    }
                };
                QueryLastChunkOp {
                    chain: place.chain,
                    chunk_id_range: range(place.inode, from, to, 1),
                }
            })
            .collect();
        Request::QueryLastChunk(QueryLastChunkReq {
            payloads,
            tag: self.tag(request, None),
            retry_count: self.retry_count,
            user_info: nobody(),
            feature_flags: FeatureFlags::empty(),
            debug_flags: NO_DEBUG,
        })
    }

    /// One update.
    pub(super) fn update(&self, place: Place, update: &Update, body: &Body) -> (Request, Segments) {
        let tag = self.tag(update.request, Some(update));
        match body {
            Body::Write { chunk, off, memory } => {
                let request = self.write(place, tag, *chunk, *off, memory);
                (Request::Write(request), memory.clone())
            }
            Body::Cut { chunk, length } => (self.cut(place, tag, (*chunk, *length), false), Segments::new()),
            Body::Remove {
                trace: Some(chunk), ..
            } => (self.cut(place, tag, (*chunk, 0), true), Segments::new()),
            Body::Remove { chunks, until, .. } => {
                let count_max = self.options.remove_chunks_max;
                let op = RemoveChunksOp {
                    chain: place.chain,
                    chunk_id_range: range(place.inode, chunks.from, *until, count_max),
                    tag,
                    retry_count: self.retry_count,
                };
                let request = RemoveChunksReq {
                    payloads: alloc::vec![op],
                    user_info: nobody(),
                    feature_flags: FeatureFlags::empty(),
                    debug_flags: NO_DEBUG,
                };
                (Request::RemoveChunks(request), Segments::new())
            }
            Body::Read { .. } | Body::Last { .. } | Body::Exists { .. } => {
                unreachable!("{body:?} updates nothing")
            }
        }
    }

    fn cut(&self, place: Place, tag: MessageTag, (chunk, length): (u32, u32), only_extend: bool) -> Request {
        let op = TruncateChunkOp {
            chain: place.chain,
            chunk_id: chunk_id(place.inode, chunk),
            chunk_len: length,
            chunk_size: place.chunk_size,
            only_extend_chunk: only_extend,
            tag,
            retry_count: self.retry_count,
        };
        Request::TruncateChunks(TruncateChunksReq {
            payloads: alloc::vec![op],
            user_info: nobody(),
            feature_flags: FeatureFlags::empty(),
            debug_flags: NO_DEBUG,
        })
    }

    fn write(&self, place: Place, tag: MessageTag, chunk: u32, off: u32, memory: &Segments) -> WriteReq {
        let length = u32::try_from(memory.len_bytes()).expect("a piece is not longer than one request takes");
        let inline = match memory.leases() {
            [lease] if self.options.inline => *lease,
            _ => Lease::EMPTY,
        };
        WriteReq {
            payload: UpdateIo {
                offset: off,
                length,
                chunk_size: place.chunk_size,
                key: GlobalKey {
                    chain: place.chain,
                    chunk_id: chunk_id(place.inode, chunk),
                },
                rdmabuf: RemoteBuf::without_memory(u64::from(length)),
                update_ver: 0.into(),
                update_type: UpdateType::WRITE,
                checksum: ChecksumInfo {
                    kind: checksum_kind(self.options.write_checksum),
                    value: 0,
                },
                inlinebuf: InlineData { data: inline },
            },
            tag,
            retry_count: self.retry_count,
            user_info: nobody(),
            feature_flags: self.data_flags(),
            debug_flags: NO_DEBUG,
        }
    }
}
