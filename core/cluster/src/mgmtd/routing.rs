//! The routing table for clients and servers. An answer holds everything or nothing.
//!
//! Source: `src/mgmtd/ops/{GetRoutingInfo,ListOrphanTargets}Operation.cc`, `src/mgmtd/service/MgmtdData.cc` upstream.

use super::{At, Manager, fail};
use crate::store::Store;
use alloc::format;
use flyer_types::ids::ChainId;
use flyer_types::{Status, StatusCode};
use flyer_wire::codec::Map;
use flyer_wire::msg::mgmtd::query::{GetRoutingInfoReq, GetRoutingInfoRsp, ListOrphanTargetsRsp};
use flyer_wire::msg::mgmtd::routing::{PublicTargetState, RoutingInfo, TargetInfo};

impl<S: Store> Manager<S> {
    /// `getRoutingInfo`.
    ///
    /// Version 0 is always answered with a fresh snapshot. Others that are behind may be answered with the last one of the
    /// same version, in which what changes without a new version (heartbeat times, sizes) may be old.
    pub(super) fn routing_info(
        &mut self,
        at: At,
        request: &GetRoutingInfoReq,
    ) -> Result<GetRoutingInfoRsp, Status> {
        self.require_primary(at.now)?;
        let (known, version) = (request.routing_info_version, self.state.routing_version);
        if known > version {
            let why = format!("routing info version {known} is newer than {version}");
            return Err(fail(StatusCode::MGMTD_INVALID_ROUTING_INFO_VERSION, &why));
        }
        if known == version {
            return Ok(GetRoutingInfoRsp { info: None });
        }
        let bootstrapping = self.is_bootstrapping(at.now);
        let kept = self
            .state
            .snapshot
            .as_ref()
            .filter(|kept| kept.routing_info_version == version);
        if let Some(kept) = kept.filter(|_| known.0 > 0 && self.options.enable_routinginfo_cache) {
            let info = RoutingInfo {
                bootstrapping,
                ..kept.clone()
            };
            return Ok(GetRoutingInfoRsp { info: Some(info) });
        }
        let info = self.snapshot(bootstrapping);
        if self.options.enable_routinginfo_cache {
            self.state.snapshot = Some(info.clone());
        }
        Ok(GetRoutingInfoRsp { info: Some(info) })
    }

    fn snapshot(&self, bootstrapping: bool) -> RoutingInfo {
        let state = &self.state;
        let tables = state.chain_tables.iter().map(|(id, versions)| {
            let versions = versions.iter().map(|(version, table)| (*version, table.clone()));
            (*id, Map::from_pairs(versions))
        });
        RoutingInfo {
            routing_info_version: state.routing_version,
            bootstrapping,
            nodes: Map::from_pairs(state.nodes.iter().map(|(id, node)| (*id, node.info.clone()))),
            chain_tables: Map::from_pairs(tables),
            chains: Map::from_pairs(state.chains.iter().map(|(id, chain)| (*id, chain.clone()))),
            targets: Map::from_pairs(
                state
                    .targets
                    .iter()
                    .map(|(id, target)| (*id, state.target_info(*id, target))),
            ),
        }
    }

    /// `listOrphanTargets`.
    pub(super) fn list_orphans(&self, at: At) -> Result<ListOrphanTargetsRsp, Status> {
        self.require_primary(at.now)?;
        let orphans = self.state.orphans.iter().flat_map(|(node, targets)| {
            let unused = targets
                .iter()
                .filter(|info| !self.state.targets.contains_key(&info.target_id));
            unused.map(|info| TargetInfo {
                target_id: info.target_id,
                public_state: PublicTargetState::INVALID,
                local_state: info.local_state,
                chain_id: ChainId(0),
                node_id: Some(*node),
                disk_index: info.disk_index,
                used_size: info.used_size,
            })
        });
        Ok(ListOrphanTargetsRsp {
            targets: orphans.collect(),
        })
    }
}
