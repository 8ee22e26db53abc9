//! Storage servers as a model: chunks per chain, the memory of channels, and chains whose version and head change. It asserts what
//! a client owes its servers.

use flyer_client::routing::RoutingView;
use flyer_types::ids::{
    ChainId, ChainTableId, ChainTableVersion, ChainVersion, ChannelId, InodeId, NodeId, RequestId,
    RoutingVersion, TargetId,
};
use flyer_types::{Status, StatusCode, Text, WallTime};
use flyer_wire::codec::{Map, Void, Wire};
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, NodeType};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainTable, ChainTargetInfo, LocalTargetState, PublicTargetState, RoutingInfo, TargetInfo,
};
use flyer_wire::msg::storage::chunk::{ChunkIdRange, VersionedChainId};
use flyer_wire::msg::storage::chunk_id::{ChunkId, FileChunk};
use flyer_wire::msg::storage::io::{BatchReadRsp, IoResult, MessageTag, WriteRsp};
use flyer_wire::msg::storage::range::{
    QueryLastChunkResult, QueryLastChunkRsp, RemoveChunksResult, RemoveChunksRsp, TruncateChunksRsp,
};
use flyer_wire::service::storage::{Request, Response};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const NODES: u32 = 3;
pub(crate) const CHAINS: u32 = 4;
pub(crate) const TABLE: ChainTableId = ChainTableId(1);

/// What a server remembers of a channel on a chain.
#[derive(Clone, Debug)]
struct Remembered {
    seq: u64,
    request: RequestId,
    length: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Servers {
    pub(crate) chunks: BTreeMap<(ChainId, ChunkId), Vec<u8>>,
    memory: BTreeMap<(ChainId, ChannelId), Remembered>,
    /// Version of each chain; the head is the replica at this number.
    versions: BTreeMap<ChainId, u32>,
    routing_version: u64,
}

fn target_of(chain: ChainId, replica: u32) -> TargetId {
    TargetId(u64::from(chain.0) * 100 + u64::from(replica))
}

fn node_of(chain: ChainId, replica: u32) -> NodeId {
    NodeId(1 + (chain.0 + replica) % NODES)
}

impl Servers {
    pub(crate) fn new() -> Self {
        Self {
            versions: (1..=CHAINS).map(|n| (ChainId(n), 1)).collect(),
            routing_version: 1,
            ..Self::default()
        }
    }

    /// The replicas of a chain, head first.
    fn replicas(&self, chain: ChainId) -> [u32; 2] {
        let head = self.versions[&chain] % 2;
        [head, 1 - head]
    }

    /// The head of a chain changes.
    pub(crate) fn bump(&mut self, chain: ChainId) {
        *self.versions.get_mut(&chain).unwrap() += 1;
        self.routing_version += 1;
    }

    pub(crate) fn routing(&self) -> Arc<RoutingView> {
        let nodes = (1..=NODES).map(|n| {
            let mut node = NodeInfo::initial();
            node.kind = NodeType::STORAGE;
            node.status = NodeStatus::HEARTBEAT_CONNECTED;
            node.app.node_id = NodeId(n);
            node.last_heartbeat_ts = WallTime::from_secs(0);
            (NodeId(n), node)
        });
        let chain = |id: ChainId| ChainInfo {
            chain_id: id,
            chain_version: ChainVersion(self.versions[&id]),
            targets: self
                .replicas(id)
                .map(|replica| ChainTargetInfo {
                    target_id: target_of(id, replica),
                    public_state: PublicTargetState::SERVING,
                })
                .to_vec(),
            preferred_target_order: Vec::new(),
        };
        let target = |id: ChainId, replica: u32| TargetInfo {
            target_id: target_of(id, replica),
            public_state: PublicTargetState::SERVING,
            local_state: LocalTargetState::UPTODATE,
            chain_id: id,
            node_id: Some(node_of(id, replica)),
            disk_index: None,
            used_size: 0,
        };
        let ids: Vec<_> = (1..=CHAINS).map(ChainId).collect();
        let table = ChainTable {
            chain_table_id: TABLE,
            chain_table_version: ChainTableVersion(1),
            chains: ids.clone(),
            desc: Text::default(),
        };
        let versions = Map::from_pairs([(ChainTableVersion(1), table)]);
        let targets = ids
            .iter()
            .flat_map(|id| [target(*id, 0), target(*id, 1)])
            .map(|target| (target.target_id, target));
        Arc::new(RoutingView::new(RoutingInfo {
            routing_info_version: RoutingVersion(self.routing_version),
            bootstrapping: false,
            nodes: Map::from_pairs(nodes),
            chain_tables: Map::from_pairs([(TABLE, versions)]),
            chains: Map::from_pairs(ids.iter().map(|id| (*id, chain(*id)))),
            targets: Map::from_pairs(targets),
        }))
    }

    /// Where a request must not go is refused.
    fn check(&self, node: NodeId, chain: VersionedChainId, update: bool) -> Result<(), Status> {
        let replicas = self.replicas(chain.chain_id);
        if chain.chain_ver.0 != self.versions[&chain.chain_id] {
            return Err(StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH.into());
        }
        let nodes = replicas.map(|replica| node_of(chain.chain_id, replica));
        assert!(
            nodes.contains(&node),
            "{node} has no replica of {}",
            chain.chain_id
        );
        assert!(
            !update || nodes[0] == node,
            "an update goes to {node}, the head is on {}",
            nodes[0]
        );
        Ok(())
    }

    /// Carries a request out. `data` is what is written; what is read comes back.
    pub(crate) fn carry_out(
        &mut self,
        node: NodeId,
        request: &Request,
        data: &[u8],
    ) -> (Result<Response, Status>, Vec<Vec<u8>>) {
        let mut read = Vec::new();
        let answer = match request {
            Request::BatchRead(r) => {
                let refused = r
                    .payloads
                    .iter()
                    .find_map(|io| self.check(node, io.key.chain, false).err());
                if let Some(status) = refused {
                    return (Err(status), read);
                }
                let mut results = Vec::new();
                for io in &r.payloads {
                    let chunk = self.chunks.get(&(io.key.chain.chain_id, io.key.chunk_id.clone()));
                    let bytes = chunk.map(|chunk| {
                        let from = (io.offset as usize).min(chunk.len());
                        let to = (from + io.length as usize).min(chunk.len());
                        chunk[from..to].to_vec()
                    });
                    let missing = Status::new(StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND);
                    results.push(result(bytes.as_ref().map(|b| b.len() as u32).ok_or(missing)));
                    read.push(bytes.unwrap_or_default());
                }
                let mut rsp = BatchReadRsp::initial();
                rsp.results = results;
                Response::BatchRead(rsp)
            }
            Request::Write(r) => {
                let io = &r.payload;
                assert!(io.offset + io.length <= io.chunk_size && io.length > 0);
                assert_eq!(data.len(), io.length as usize);
                let done = self.update(
                    node,
                    &io.key.chain,
                    &io.key.chunk_id,
                    &r.tag,
                    io.length,
                    |chunk| {
                        let (from, to) = (io.offset as usize, (io.offset + io.length) as usize);
                        chunk.resize(chunk.len().max(to), 0);
                        chunk[from..to].copy_from_slice(data);
                    },
                );
                let mut rsp = WriteRsp::initial();
                rsp.result = result(done);
                Response::Write(rsp)
            }
            Request::TruncateChunks(r) => {
                let results = r.payloads.iter().map(|op| {
                    let (length, only_extend) = (op.chunk_len, op.only_extend_chunk);
                    result(
                        self.update(node, &op.chain, &op.chunk_id, &op.tag, length, |chunk| {
                            let kept = if only_extend { chunk.len() } else { 0 };
                            chunk.resize(kept.max(length as usize), 0);
                        }),
                    )
                });
                Response::TruncateChunks(TruncateChunksRsp {
                    results: results.collect(),
                })
            }
            other => self.carry_out_ranges(node, other),
        };
        (Ok(answer), read)
    }

    /// Carries out a request on ranges of chunks.
    fn carry_out_ranges(&mut self, node: NodeId, request: &Request) -> Response {
        match request {
            Request::RemoveChunks(r) => {
                let results = r.payloads.iter().map(|op| {
                    let done = self.check(node, op.chain, true);
                    done.map_or_else(refused_removal, |()| {
                        self.remove(op.chain.chain_id, &op.chunk_id_range, &op.tag)
                    })
                });
                Response::RemoveChunks(RemoveChunksRsp {
                    results: results.collect(),
                })
            }
            Request::QueryLastChunk(r) => {
                let results = r.payloads.iter().map(|op| {
                    let done = self.check(node, op.chain, false);
                    let mut result = QueryLastChunkResult::initial();
                    result.status_code = done.map(|()| Void);
                    let range = self.of_range(op.chain.chain_id, &op.chunk_id_range);
                    if let Some((id, bytes)) = range.last() {
                        result.last_chunk_id = (*id).clone();
                        result.last_chunk_len = bytes.len() as u32;
                        result.more_chunks_in_range = range.len() > 1;
                    }
                    result
                });
                Response::QueryLastChunk(QueryLastChunkRsp {
                    results: results.collect(),
                })
            }
            other => panic!("no client asks for this: {other:?}"),
        }
    }

    /// Decides by the memory of the channel whether an update happens.
    fn is_new(&self, chain: ChainId, tag: &MessageTag, seq: u64) -> Result<Option<u32>, Status> {
        assert!(tag.channel.id.0 > 0, "an update without a channel");
        match self.memory.get(&(chain, tag.channel.id)) {
            Some(known) if seq < known.seq => Err(StatusCode::STORAGE_CLIENT_DUPLICATE_UPDATE.into()),
            Some(known) if seq == known.seq => {
                assert_eq!(tag.request_id, known.request, "two requests with one number");
                Ok(Some(known.length))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn update(
        &mut self,
        node: NodeId,
        chain: &VersionedChainId,
        id: &ChunkId,
        tag: &MessageTag,
        length: u32,
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u32, Status> {
        self.check(node, *chain, true)?;
        let (chain, seq) = (chain.chain_id, tag.channel.seqnum.0);
        if let Some(length) = self.is_new(chain, tag, seq)? {
            return Ok(length);
        }
        change(self.chunks.entry((chain, id.clone())).or_default());
        self.remember(chain, tag, seq, length);
        Ok(length)
    }

    fn remember(&mut self, chain: ChainId, tag: &MessageTag, seq: u64, length: u32) {
        let request = tag.request_id;
        let known = Remembered { seq, request, length };
        self.memory.insert((chain, tag.channel.id), known);
    }

    fn of_range(&self, chain: ChainId, range: &ChunkIdRange) -> Vec<(&ChunkId, &Vec<u8>)> {
        let (from, to) = ((chain, range.begin.clone()), (chain, range.end.clone()));
        self.chunks
            .range(from..to)
            .map(|((_, id), bytes)| (id, bytes))
            .collect()
    }

    fn remove(&mut self, chain: ChainId, range: &ChunkIdRange, tag: &MessageTag) -> RemoveChunksResult {
        let ids: Vec<_> = self
            .of_range(chain, range)
            .into_iter()
            .map(|(id, _)| id.clone())
            .collect();
        let count_max = range.max_num_chunk_ids_to_process as usize;
        let mut done = RemoveChunksResult::initial();
        done.status_code = Ok(Void);
        done.more_chunks_in_range = ids.len() > count_max;
        for (at, id) in ids.into_iter().rev().take(count_max).enumerate() {
            let seq = tag.channel.seqnum.0 + at as u64;
            if let Err(status) = self.is_new(chain, tag, seq) {
                done.status_code = Err(status);
                return done;
            }
            self.chunks.remove(&(chain, id));
            self.remember(chain, tag, seq, 0);
            done.num_chunks_removed += 1;
        }
        done
    }

    /// The chunks of a file with their bytes, by index.
    pub(crate) fn file(&self, inode: InodeId) -> BTreeMap<u32, &Vec<u8>> {
        let of_file = |chunk: FileChunk| (chunk.inode == inode).then_some(chunk.index);
        let chunks = self.chunks.iter();
        chunks
            .filter_map(|((_, id), bytes)| Some((of_file(id.file_chunk()?)?, bytes)))
            .collect()
    }
}

fn refused_removal(status: Status) -> RemoveChunksResult {
    let mut refused = RemoveChunksResult::initial();
    refused.status_code = Err(status);
    refused
}

pub(crate) fn result(length_info: Result<u32, Status>) -> IoResult {
    let mut result = IoResult::initial();
    result.length_info = length_info;
    result
}
