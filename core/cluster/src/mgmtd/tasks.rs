//! What a primary does without being asked.
//!
//! | task | when | what |
//! |---|---|---|
//! | `check-status` | every `check_status_interval` | nodes, targets and sessions time out; new chains are released |
//! | `update-chains` | targets were heard of or timed out, at most once per `update_chains_interval` | states of chains |
//! | `bump-routing` | within `bump_routing_info_version_interval` of a mere change of a node's status | routing version |
//! | `persist-targets` | targets moved, at most once per `target_info_persist_interval` | locations of targets |
//!
//! A run that cannot store what it decided changes nothing and is tried again after its interval. While the lease does not
//! count, runs do nothing.
//!
//! Source: `src/mgmtd/background/Mgmtd{HeartbeatChecker,ClientSessionsChecker,NewBornChainsChecker,ChainsUpdater,
//! RoutingInfoVersionUpdater,TargetInfoPersister}.cc` upstream.

use super::chain;
use super::records::Writes;
use super::role::Role;
use super::{Event, Manager};
use crate::store::Store;
use alloc::vec::Vec;
use flyer_types::ids::{ChainId, ChainVersion, TargetId};
use flyer_types::{Reason, Status, Time};
use flyer_wire::msg::mgmtd::node::NodeStatus;
use flyer_wire::msg::mgmtd::routing::{ChainInfo, ChainTargetInfo, LocalTargetState, PublicTargetState};

/// See the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    CheckStatus,
    UpdateChains,
    BumpRouting,
    PersistTargets,
}

impl Task {
    pub(super) const COUNT: usize = 4;

    pub(super) const fn reason(self) -> Reason {
        Reason::named(match self {
            Self::CheckStatus => "mgmtd.check-status",
            Self::UpdateChains => "mgmtd.update-chains",
            Self::BumpRouting => "mgmtd.bump-routing",
            Self::PersistTargets => "mgmtd.persist-targets",
        })
    }
}

impl<S: Store> Manager<S> {
    /// Does what is due. Each task runs once: it is due again after its interval.
    pub(super) fn run_due(&mut self, now: Time) {
        while let Some((_, task)) = self.tasks.pop_due(now) {
            let trusted = self.require_primary(now).is_ok();
            let result = match task {
                Task::CheckStatus if trusted => {
                    self.check_status(now);
                    Ok(())
                }
                Task::UpdateChains => {
                    self.chains_updated = now;
                    if trusted { self.update_chains() } else { Ok(()) }
                }
                Task::PersistTargets => {
                    self.targets_persisted = now;
                    if trusted { self.persist_targets() } else { Ok(()) }
                }
                Task::BumpRouting if trusted => self.commit(Writes::default(), true),
                Task::CheckStatus | Task::BumpRouting => Ok(()),
            };
            self.report_failure(result);
            self.arm(now);
        }
        debug_assert!(
            self.tasks.next().is_none_or(|(at, _)| at > now),
            "a task is due again at once"
        );
    }

    /// Gives a deadline to what there is to do and has none.
    pub(super) fn arm(&mut self, now: Time) {
        if matches!(self.role, Role::NotPrimary { .. }) {
            return;
        }
        let options = &self.options;
        let (state, tasks) = (&self.state, &mut self.tasks);
        let mut arm = |task, wanted: bool, at: Time| {
            if wanted && tasks.get(task).is_none() {
                let armed = tasks.set(task, at);
                debug_assert!(armed.is_ok(), "there is room for each task");
            }
        };
        let stirred = !state.stirred.is_empty() || state.targets_changed;
        arm(Task::CheckStatus, true, now + options.check_status_interval);
        arm(
            Task::UpdateChains,
            stirred,
            now.max(self.chains_updated + options.update_chains_interval),
        );
        arm(
            Task::BumpRouting,
            state.nodes_changed,
            now + options.bump_routing_info_version_interval,
        );
        let persist = self.targets_persisted + options.target_info_persist_interval;
        arm(Task::PersistTargets, !state.moved.is_empty(), now.max(persist));
    }

    /// Freezes a new or freshly loaded chain, so that its servers can report first.
    pub(super) fn freeze_or_stir(&mut self, now: Time, chain: ChainId) {
        if self.options.new_chain_bootstrap_interval.as_ns() > 0 {
            self.state.new_born.insert(chain, now);
        } else {
            self.state.stirred.insert(chain);
        }
    }

    fn check_status(&mut self, now: Time) {
        self.expire_sessions(now);
        self.release_new_born(now);
        self.fail_silent_nodes(now);
        self.fail_silent_targets(now);
    }

    fn expire_sessions(&mut self, now: Time) {
        let timeout = self.options.client_session_timeout;
        let events = &mut self.events;
        self.state.sessions.retain(|client_id, session| {
            let keep = now.since(session.extended) <= timeout;
            if !keep {
                flyer_types::mark!("mgmtd.session_expired");
                events.push(Event::SessionExpired {
                    client_id: client_id.clone(),
                });
            }
            keep
        });
    }

    fn release_new_born(&mut self, now: Time) {
        let interval = self.options.new_chain_bootstrap_interval;
        let stirred = &mut self.state.stirred;
        self.state.new_born.retain(|chain, since| {
            let keep = now.since(*since) <= interval;
            if !keep {
                stirred.insert(*chain);
            }
            keep
        });
    }

    fn fail_silent_nodes(&mut self, now: Time) {
        let silence = self.options.heartbeat_fail_interval;
        for (id, node) in &mut self.state.nodes {
            let spared = matches!(
                node.info.status,
                NodeStatus::DISABLED | NodeStatus::HEARTBEAT_FAILED | NodeStatus::PRIMARY_MGMTD
            );
            if spared || now.since(node.heard) <= silence {
                continue;
            }
            node.info.status = NodeStatus::HEARTBEAT_FAILED;
            self.state.nodes_changed = true;
            self.events.push(Event::NodeStatus {
                node: *id,
                status: node.info.status,
            });
        }
    }

    fn fail_silent_targets(&mut self, now: Time) {
        let silence = self.options.heartbeat_fail_interval;
        for target in self.state.targets.values_mut() {
            if target.local == LocalTargetState::OFFLINE || now.since(target.heard) <= silence {
                continue;
            }
            target.local = LocalTargetState::OFFLINE;
            self.state.targets_changed = true;
            self.state.stirred.insert(target.chain);
        }
    }

    /// Looks at all chains whose targets stirred, and stores all changes at once.
    fn update_chains(&mut self) -> Result<(), Status> {
        let state = &self.state;
        let awake = state
            .stirred
            .iter()
            .filter(|chain| !state.new_born.contains_key(chain));
        let chains = awake.filter_map(|chain| state.chains.get(chain));
        let changed: Vec<ChainInfo> = chains.filter_map(|chain| self.updated_chain(chain)).collect();
        let bump = !changed.is_empty() || state.targets_changed;
        let mut writes = Writes::default();
        for chain in &changed {
            writes.chain(chain);
        }
        self.commit(writes, bump)?;
        // Frozen chains stir again when they are released.
        self.state.stirred.clear();
        for chain in changed {
            let before = self.state.chains.get(&chain.chain_id);
            debug_assert!(
                before.is_some_and(|before| before.chain_version < chain.chain_version),
                "a chain changed without a new version"
            );
            self.events.push(Event::ChainChanged {
                chain: chain.chain_id,
                version: chain.chain_version,
                targets: chain.targets.clone(),
            });
            self.state.chains.insert(chain.chain_id, chain);
        }
        Ok(())
    }

    /// What becomes of a chain; `None` if it stays.
    fn updated_chain(&self, chain: &ChainInfo) -> Option<ChainInfo> {
        let members = chain::next(&self.state.members(chain));
        let mut targets: Vec<ChainTargetInfo> = members
            .iter()
            .map(|member| ChainTargetInfo {
                target_id: member.target,
                public_state: member.public,
            })
            .collect();
        let all_serve = targets
            .last()
            .is_some_and(|last| last.public_state == PublicTargetState::SERVING);
        if self.options.try_adjust_target_order_as_preferred
            && all_serve
            && let Some(rotated) = chain::rotate_preferred(&targets, &chain.preferred_target_order)
        {
            targets = rotated;
        }
        (targets != chain.targets).then(|| with_targets(chain, targets))
    }

    /// Stores where targets are, some at a time.
    fn persist_targets(&mut self) -> Result<(), Status> {
        let batch = self.options.target_info_persist_batch;
        let moved: Vec<TargetId> = self.state.moved.iter().take(batch).copied().collect();
        let mut writes = Writes::default();
        for id in &moved {
            if let Some(target) = self.state.targets.get(id) {
                writes.target_location(*id, target.node, target.disk);
            }
        }
        self.commit(writes, false)?;
        for id in &moved {
            self.state.moved.remove(id);
        }
        Ok(())
    }
}

/// The next version of a chain, with other targets or states.
pub(super) fn with_targets(chain: &ChainInfo, targets: Vec<ChainTargetInfo>) -> ChainInfo {
    ChainInfo {
        chain_version: ChainVersion(chain.chain_version.0.saturating_add(1)),
        targets,
        ..chain.clone()
    }
}
