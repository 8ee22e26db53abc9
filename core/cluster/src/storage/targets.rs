//! The targets of the server, and what the routing says of them.
//!
//! Owner: [`StorageServer`](super::StorageServer).
//!
//! ```text
//!              routing: SERVING                  offlineTarget
//!   ONLINE ────────────────────────► UPTODATE ────────────────► OFFLINE until the server is opened again
//!      ▲                                │
//!      └────────────────────────────────┘
//!          routing: OFFLINE, LASTSRV or WAITING
//! ```
//!
//! Upstream goes through OFFLINE on the way back, to drop its store and open it again; there is nothing to drop here.
//!
//! Limits: [`TARGETS_MAX`].

use super::keys;
use super::options::limits::TARGETS_MAX;
use crate::store::{Batch, Store, StoreError, prefix_end};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainVersion, RoutingVersion, TargetId};
use flyer_types::{Status, StatusCode};
use flyer_wire::msg::mgmtd::routing::{ChainInfo, LocalTargetState, PublicTargetState, RoutingInfo};
use flyer_wire::msg::storage::chunk::VersionedChainId;

/// A target of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its chain.
    pub(super) chain: ChainId,
    /// Version of the chain; 0 while no routing has it.
    pub(super) chain_ver: ChainVersion,
    /// As the manager publishes it.
    pub(super) public: PublicTargetState,
    /// As this server sees it.
    pub(super) local: LocalTargetState,
    /// Whether it is the first of its chain.
    pub(super) is_head: bool,
    /// The next of its chain, if that takes updates.
    pub(super) successor: Option<TargetId>,
    /// Taken offline by an administrator.
    pub(super) offline_upon_request: bool,
    /// Grows with each load.
    pub(super) incarnation: u64,
}

impl Target {
    /// Whether it is the last of its chain.
    pub(super) fn is_tail(&self) -> bool {
        is_active(self.public) && self.successor.is_none()
    }

    /// Chain and version.
    pub(super) const fn versioned_chain(&self) -> VersionedChainId {
        VersionedChainId {
            chain_id: self.chain,
            chain_ver: self.chain_ver,
        }
    }
}

/// Whether a target in this state takes updates.
fn is_active(state: PublicTargetState) -> bool {
    state == PublicTargetState::SERVING || state == PublicTargetState::SYNCING
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Targets {
    targets: BTreeMap<TargetId, Target>,
    chains: BTreeMap<ChainId, TargetId>,
    version: RoutingVersion,
    incarnations: u64,
}

impl Targets {
    /// Reads the targets of a store.
    ///
    /// # Errors
    /// What the store says; that an entry is damaged.
    pub(super) fn open<S: Store>(store: &S) -> Result<Self, StoreError> {
        let mut this = Self {
            targets: BTreeMap::new(),
            chains: BTreeMap::new(),
            version: RoutingVersion(0),
            incarnations: 0,
        };
        let end = prefix_end(keys::TARGET).expect("the prefix has bytes below ff");
        let mut is_sound = true;
        store.scan(keys::TARGET, &end, &mut |key, value| {
            is_sound = this.load(key, value).is_some();
            is_sound
        })?;
        if !is_sound {
            return Err(StoreError::Corrupt("a target cannot be read".into()));
        }
        Ok(this)
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let id = TargetId(u64::from_be_bytes(key.get(4..)?.try_into().ok()?));
        let chain = ChainId(u32::from_le_bytes(value.try_into().ok()?));
        (self.targets.len() < TARGETS_MAX).then(|| self.add(id, chain))
    }

    fn add(&mut self, id: TargetId, chain: ChainId) {
        self.incarnations += 1;
        let target = Target {
            chain,
            chain_ver: ChainVersion(0),
            public: PublicTargetState::INVALID,
            local: LocalTargetState::ONLINE,
            is_head: false,
            successor: None,
            offline_upon_request: false,
            incarnation: self.incarnations,
        };
        self.targets.insert(id, target);
        self.chains.insert(chain, id);
    }

    /// Makes a target.
    ///
    /// # Errors
    /// 3: no chain, or the chain or the target has another; 4031: too many; what the store says.
    pub(super) fn create<S: Store>(
        &mut self,
        id: TargetId,
        chain: ChainId,
        may_exist: bool,
        store: &mut S,
    ) -> Result<(), Status> {
        let refuse = |why: &str| Err(Status::with_message(StatusCode::INVALID_ARG, why));
        if chain.0 == 0 {
            return refuse("a target needs a chain");
        }
        if let Some(target) = self.targets.get(&id) {
            return match may_exist && target.chain == chain {
                true => Ok(()),
                false => refuse("the target exists"),
            };
        }
        if self.chains.contains_key(&chain) {
            return refuse("the chain has another target on this node");
        }
        if self.targets.len() >= TARGETS_MAX {
            return Err(Status::with_message(
                StatusCode::STORAGE_CLIENT_NO_SPACE,
                "the node has as many targets as it may",
            ));
        }
        store.commit(Batch::from([(
            keys::target(id),
            Some(chain.0.to_le_bytes().to_vec()),
        )]))?;
        self.add(id, chain);
        Ok(())
    }

    /// Takes over a routing, unless it is older than the one known. False: it was.
    pub(super) fn route(&mut self, routing: &RoutingInfo) -> bool {
        if routing.routing_info_version < self.version {
            return false;
        }
        self.version = routing.routing_info_version;
        for (id, chain) in &routing.chains.0 {
            let Some(target_id) = self.chains.get(id) else {
                continue;
            };
            let target = self.targets.get_mut(target_id).expect("chains name targets");
            target.take_over(*target_id, chain);
        }
        true
    }

    /// The target of a chain.
    ///
    /// # Errors
    /// 7004: none here; 7014: another version of the chain; 4030: offline.
    pub(super) fn find(&self, chain: VersionedChainId) -> Result<(TargetId, &Target), StatusCode> {
        let (id, target) = self.find_any_version(chain.chain_id)?;
        if target.chain_ver != chain.chain_ver {
            return Err(StatusCode::STORAGE_CLIENT_ROUTING_VERSION_MISMATCH);
        }
        if target.local == LocalTargetState::OFFLINE {
            return Err(StatusCode::STORAGE_TARGET_OFFLINE);
        }
        Ok((id, target))
    }

    /// The target of a chain, whatever its version and state.
    ///
    /// # Errors
    /// 7004: none here.
    pub(super) fn find_any_version(&self, chain: ChainId) -> Result<(TargetId, &Target), StatusCode> {
        let Some(id) = self.chains.get(&chain) else {
            return Err(StatusCode::STORAGE_CLIENT_ROUTING_ERROR);
        };
        Ok((*id, self.targets.get(id).expect("chains name targets")))
    }

    /// The target with this id.
    pub(super) fn get(&self, id: TargetId) -> Option<&Target> {
        self.targets.get(&id)
    }

    /// Takes a target out of service until the server is opened again.
    ///
    /// # Errors
    /// 4031: there is none; 4032: it is the only one of its chain, and `force` is not set.
    pub(super) fn take_offline(&mut self, id: TargetId, force: bool) -> Result<(), StatusCode> {
        let target = self
            .targets
            .get_mut(&id)
            .ok_or(StatusCode::STORAGE_TARGET_NOT_FOUND)?;
        if target.is_head && target.is_tail() && !force {
            return Err(StatusCode::STORAGE_TARGET_STATE_INVALID);
        }
        target.local = LocalTargetState::OFFLINE;
        target.offline_upon_request = true;
        Ok(())
    }

    /// All targets by id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TargetId, &Target)> {
        self.targets.iter().map(|(id, target)| (*id, target))
    }

    /// The ids of all targets.
    pub(super) fn ids(&self) -> Vec<TargetId> {
        self.targets.keys().copied().collect()
    }

    /// Asserts the invariants.
    pub(super) fn check(&self) {
        assert!(self.targets.len() <= TARGETS_MAX, "too many targets");
        assert!(
            self.chains.len() == self.targets.len(),
            "a chain has two targets here"
        );
        for (chain, id) in &self.chains {
            assert!(
                self.targets.get(id).is_some_and(|target| target.chain == *chain),
                "chain {chain} is misfiled"
            );
        }
    }
}

impl Target {
    /// What a routing says of the chain.
    fn take_over(&mut self, id: TargetId, chain: &ChainInfo) {
        let Some(at) = chain.targets.iter().position(|member| member.target_id == id) else {
            self.public = PublicTargetState::INVALID;
            self.is_head = false;
            self.successor = None;
            return;
        };
        self.chain_ver = chain.chain_version;
        self.public = chain.targets[at].public_state;
        self.is_head = at == 0 && is_active(self.public);
        let next = chain
            .targets
            .get(at + 1)
            .filter(|next| is_active(next.public_state));
        self.successor = next.filter(|_| is_active(self.public)).map(|next| next.target_id);
        let is_out = [
            PublicTargetState::OFFLINE,
            PublicTargetState::LASTSRV,
            PublicTargetState::WAITING,
        ]
        .contains(&self.public);
        if self.local == LocalTargetState::UPTODATE && is_out {
            self.local = LocalTargetState::ONLINE;
        } else if self.local == LocalTargetState::ONLINE && self.public == PublicTargetState::SERVING {
            self.local = LocalTargetState::UPTODATE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn targets_are_limited_and_kept() {
        let mut store = MemoryStore::new();
        let mut targets = Targets::open(&store).expect("memory");
        let last = u32::try_from(TARGETS_MAX).expect("small");
        for n in 1..=last {
            let made = targets.create(TargetId(n.into()), ChainId(n), false, &mut store);
            assert_eq!(made, Ok(()));
        }
        let refused = targets.create(TargetId(0), ChainId(last + 1), false, &mut store);
        assert_eq!(
            refused.map_err(|status| status.code),
            Err(StatusCode::STORAGE_CLIENT_NO_SPACE)
        );
        let again = Targets::open(&store).expect("memory");
        again.check();
        assert_eq!(again.ids(), targets.ids());
    }
}
