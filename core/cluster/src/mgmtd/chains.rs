//! Administration of chains and chain tables.
//!
//! Source: `src/mgmtd/ops/{SetChains,SetChainTable,UpdateChain,RotateLastSrv,RotateAsPreferredOrder,
//! SetPreferredTargetOrder}Operation.cc`, `src/mgmtd/service/updateChain.cc` upstream.

use super::records::Writes;
use super::tasks::with_targets;
use super::{At, Manager, chain, fail, full, too_much};
use crate::store::Store;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainTableVersion, ChainVersion, TargetId};
use flyer_types::{Status, StatusCode};
use flyer_wire::codec::Void;
use flyer_wire::msg::mgmtd::admin::{
    RotateAsPreferredOrderReq, RotateAsPreferredOrderRsp, RotateLastSrvReq, RotateLastSrvRsp,
    SetChainTableReq, SetChainTableRsp, SetChainsReq, SetChainsRsp, SetPreferredTargetOrderReq,
    SetPreferredTargetOrderRsp, UpdateChainMode, UpdateChainReq, UpdateChainRsp,
};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainSetting, ChainTable, ChainTargetInfo, PublicTargetState,
};

impl<S: Store> Manager<S> {
    /// `setChains`.
    pub(super) fn set_chains(&mut self, at: At, request: &SetChainsReq) -> Result<SetChainsRsp, Status> {
        let limits = self.options.limits;
        if request.chains.is_empty() {
            return Err(invalid("no chains"));
        }
        for chain in &request.chains {
            let id = chain.chain_id;
            if id.0 == 0 || chain.targets.is_empty() {
                return Err(invalid(&format!("chain {id} has no id or no targets")));
            }
            if chain.targets.len() > limits.chain_targets_max {
                return Err(too_much("targets of a chain", limits.chain_targets_max));
            }
        }
        self.require_primary(at.now)?;
        let created = self.new_chains(&request.chains)?;
        if self.state.chains.len() + created.len() > limits.chains_max {
            return Err(full("chains", limits.chains_max));
        }
        let mut writes = Writes::default();
        for chain in &created {
            writes.chain(chain);
        }
        self.commit(writes, !created.is_empty())?;
        for chain in created {
            let id = chain.chain_id;
            self.state.put_chain(chain, at.now);
            self.freeze_or_stir(at.now, id);
        }
        Ok(SetChainsRsp { dummy: Void })
    }

    /// Those of the chains that do not exist yet.
    fn new_chains(&self, settings: &[ChainSetting]) -> Result<Vec<ChainInfo>, Status> {
        let mut created = Vec::new();
        let (mut ids, mut targets) = (BTreeSet::new(), BTreeSet::new());
        for setting in settings {
            let id = setting.chain_id;
            if !ids.insert(id) {
                return Err(invalid(&format!("chain {id} is given twice")));
            }
            if let Some(known) = self.state.chains.get(&id) {
                let mut before: Vec<TargetId> = known.targets.iter().map(|target| target.target_id).collect();
                let mut given: Vec<TargetId> =
                    setting.targets.iter().map(|target| target.target_id).collect();
                before.sort_unstable();
                given.sort_unstable();
                if before != given {
                    return Err(invalid(&format!("chain {id} exists with other targets")));
                }
                continue;
            }
            for target in setting.targets.iter().map(|target| target.target_id) {
                if target.0 == 0 || self.state.targets.contains_key(&target) || !targets.insert(target) {
                    return Err(invalid(&format!(
                        "chain {id}: target {target} is invalid or in use"
                    )));
                }
            }
            created.push(new_chain(setting));
        }
        Ok(created)
    }

    /// `setChainTable`.
    pub(super) fn set_chain_table(
        &mut self,
        at: At,
        request: SetChainTableReq,
    ) -> Result<SetChainTableRsp, Status> {
        let limits = self.options.limits;
        if request.chains.is_empty() {
            return Err(invalid("a table without chains"));
        }
        if request.chains.len() > limits.table_chains_max {
            return Err(too_much("chains of a table", limits.table_chains_max));
        }
        if request.desc.len() > limits.desc_bytes_max {
            return Err(too_much("bytes of the description", limits.desc_bytes_max));
        }
        self.require_primary(at.now)?;
        self.check_table_chains(&request.chains)?;
        let versions = self.state.chain_tables.get(&request.chain_table_id);
        let newest = versions
            .and_then(|versions| versions.last_key_value())
            .map(|(_, table)| table);
        let table = next_table(newest, request);
        let chain_table_version = table.chain_table_version;
        if newest != Some(&table) {
            let grows = newest.map(|newest| newest.chain_table_version) != Some(chain_table_version);
            if grows && self.state.chain_tables_count() >= limits.chain_tables_max {
                return Err(full("versions of chain tables", limits.chain_tables_max));
            }
            let mut writes = Writes::default();
            writes.chain_table(&table);
            self.commit(writes, true)?;
            let versions = self.state.chain_tables.entry(table.chain_table_id).or_default();
            versions.insert(chain_table_version, table);
        }
        Ok(SetChainTableRsp { chain_table_version })
    }

    /// The chains of a table exist and have equally many targets.
    fn check_table_chains(&self, chains: &[ChainId]) -> Result<(), Status> {
        let mut width = None;
        for id in chains {
            let targets = self.chain(*id)?.targets.len();
            if *width.get_or_insert(targets) != targets {
                return Err(invalid(&format!(
                    "chain {id} has {targets} targets, others have not"
                )));
            }
        }
        Ok(())
    }

    /// `updateChain`.
    pub(super) fn update_chain(
        &mut self,
        at: At,
        request: &UpdateChainReq,
    ) -> Result<UpdateChainRsp, Status> {
        let target = request.target_id;
        if request.chain_id.0 == 0 || target.0 == 0 {
            return Err(fail(StatusCode::INVALID_ARG, "chain or target 0"));
        }
        if !matches!(request.mode, UpdateChainMode::ADD | UpdateChainMode::REMOVE) {
            return Err(fail(StatusCode::INVALID_ARG, "unknown mode"));
        }
        self.require_primary(at.now)?;
        let known = self.chain(request.chain_id)?;
        let mut writes = Writes::default();
        let chain = if request.mode == UpdateChainMode::ADD {
            if self.state.targets.contains_key(&target) {
                return Err(StatusCode::MGMTD_TARGET_EXISTED.into());
            }
            if known.targets.len() >= self.options.limits.chain_targets_max {
                return Err(full(
                    "targets in the chain",
                    self.options.limits.chain_targets_max,
                ));
            }
            with_target(known, target)
        } else {
            writes.remove_target_location(target);
            without_target(known, target)?
        };
        writes.chain(&chain);
        self.commit(writes, true)?;
        self.state.put_chain(chain.clone(), at.now);
        Ok(UpdateChainRsp { chain })
    }

    /// `rotateLastSrv`.
    pub(super) fn rotate_lastsrv(
        &mut self,
        at: At,
        request: &RotateLastSrvReq,
    ) -> Result<RotateLastSrvRsp, Status> {
        self.require_primary(at.now)?;
        let known = self.chain(request.chain_id)?;
        let rotated = chain::rotate_lastsrv(&known.targets);
        let chain = self.apply_rotation(at, request.chain_id, rotated)?;
        Ok(RotateLastSrvRsp { chain })
    }

    /// `rotateAsPreferredOrder`.
    pub(super) fn rotate_preferred(
        &mut self,
        at: At,
        request: &RotateAsPreferredOrderReq,
    ) -> Result<RotateAsPreferredOrderRsp, Status> {
        self.require_primary(at.now)?;
        let known = self.chain(request.chain_id)?;
        let rotated = chain::rotate_preferred(&known.targets, &known.preferred_target_order);
        let chain = self.apply_rotation(at, request.chain_id, rotated)?;
        Ok(RotateAsPreferredOrderRsp { chain })
    }

    /// The chain with the rotated targets, or as it is if there was nothing to rotate.
    fn apply_rotation(
        &mut self,
        at: At,
        id: ChainId,
        rotated: Option<Vec<ChainTargetInfo>>,
    ) -> Result<ChainInfo, Status> {
        let known = self.chain(id)?;
        let Some(targets) = rotated else {
            return Ok(known.clone());
        };
        debug_assert!(
            chain::fault(&targets).is_none(),
            "a rotation keeps the order of states"
        );
        let chain = with_targets(known, targets);
        let mut writes = Writes::default();
        writes.chain(&chain);
        self.commit(writes, true)?;
        self.state.put_chain(chain.clone(), at.now);
        Ok(chain)
    }

    /// `setPreferredTargetOrder`.
    pub(super) fn set_preferred_order(
        &mut self,
        at: At,
        request: &SetPreferredTargetOrderReq,
    ) -> Result<SetPreferredTargetOrderRsp, Status> {
        let order = &request.preferred_target_order;
        let distinct: BTreeSet<&TargetId> = order.iter().collect();
        if request.chain_id.0 == 0 || order.is_empty() || distinct.len() != order.len() {
            return Err(fail(
                StatusCode::INVALID_ARG,
                "chain 0, no targets, or a target twice",
            ));
        }
        self.require_primary(at.now)?;
        let known = self.chain(request.chain_id)?;
        let is_member = |id: &&TargetId| known.targets.iter().any(|target| target.target_id == **id);
        if let Some(stranger) = order.iter().find(|id| !is_member(id)) {
            return Err(fail(
                StatusCode::INVALID_ARG,
                &format!("target {stranger} is not in the chain"),
            ));
        }
        let chain = ChainInfo {
            preferred_target_order: order.clone(),
            ..known.clone()
        };
        if chain != *known {
            let mut writes = Writes::default();
            writes.chain(&chain);
            self.commit(writes, false)?;
            self.state.put_chain(chain.clone(), at.now);
        }
        Ok(SetPreferredTargetOrderRsp { chain })
    }

    fn chain(&self, id: ChainId) -> Result<&ChainInfo, Status> {
        let missing = || {
            fail(
                StatusCode::MGMTD_CHAIN_NOT_FOUND,
                &format!("chain {id} does not exist"),
            )
        };
        self.state.chains.get(&id).ok_or_else(missing)
    }
}

/// A chain that is set for the first time: all its targets serve.
fn new_chain(setting: &ChainSetting) -> ChainInfo {
    let ids = setting.targets.iter().map(|target| target.target_id);
    let member = |target_id| ChainTargetInfo {
        target_id,
        public_state: PublicTargetState::SERVING,
    };
    let preferred = if setting.set_preferred_target_order {
        ids.clone().collect()
    } else {
        Vec::new()
    };
    ChainInfo {
        chain_id: setting.chain_id,
        chain_version: ChainVersion(1),
        targets: ids.map(member).collect(),
        preferred_target_order: preferred,
    }
}

/// What a table becomes: another version only for another list of chains.
fn next_table(newest: Option<&ChainTable>, request: SetChainTableReq) -> ChainTable {
    let same = newest.is_some_and(|newest| newest.chains == request.chains);
    let version = newest
        .map(|newest| newest.chain_table_version)
        .unwrap_or_default();
    let old_desc = newest.filter(|_| same).map(|newest| newest.desc.clone());
    let desc = if request.desc.is_empty() {
        old_desc.unwrap_or_default()
    } else {
        request.desc
    };
    ChainTable {
        chain_table_id: request.chain_table_id,
        chain_table_version: ChainTableVersion(version.0.saturating_add(u32::from(!same))),
        chains: request.chains,
        desc,
    }
}

/// A chain with one more target, which is offline.
fn with_target(known: &ChainInfo, target_id: TargetId) -> ChainInfo {
    let mut targets = known.targets.clone();
    targets.push(ChainTargetInfo {
        target_id,
        public_state: PublicTargetState::OFFLINE,
    });
    let mut chain = with_targets(known, targets);
    if known.preferred_target_order.len() == known.targets.len() {
        chain.preferred_target_order.push(target_id);
    }
    chain
}

/// A chain without one of its offline targets. The last one stays: a chain has targets.
fn without_target(known: &ChainInfo, target_id: TargetId) -> Result<ChainInfo, Status> {
    let Some(member) = known.targets.iter().find(|target| target.target_id == target_id) else {
        return Err(StatusCode::MGMTD_TARGET_NOT_FOUND.into());
    };
    if member.public_state != PublicTargetState::OFFLINE || known.targets.len() == 1 {
        return Err(fail(
            StatusCode::INVALID_ARG,
            "the target is not offline, or the only one",
        ));
    }
    let mut targets = known.targets.clone();
    targets.retain(|target| target.target_id != target_id);
    let mut chain = with_targets(known, targets);
    chain.preferred_target_order.retain(|target| *target != target_id);
    Ok(chain)
}

fn invalid(why: &str) -> Status {
    fail(StatusCode::MGMTD_INVALID_CHAIN_TABLE, why)
}
