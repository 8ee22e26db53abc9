//! Configurations by kind of node. Version 0 with empty content exists without having been set.
//!
//! Source: `src/mgmtd/ops/{SetConfig,GetConfig,GetConfigVersions}Operation.cc` upstream. Unlike upstream, which stops the
//! process, a request for something newer than the newest version is refused.

use super::records::{NODE_TYPES, Writes};
use super::{At, Event, Manager, fail, too_much};
use crate::store::Store;
use alloc::format;
use alloc::vec::Vec;
use flyer_types::ids::ConfigVersion;
use flyer_types::{Status, StatusCode, Text};
use flyer_wire::codec::Map;
use flyer_wire::msg::mgmtd::admin::{SetConfigReq, SetConfigRsp};
use flyer_wire::msg::mgmtd::node::{ConfigInfo, NodeType};
use flyer_wire::msg::mgmtd::query::{GetConfigReq, GetConfigRsp, GetConfigVersionsRsp};

impl<S: Store> Manager<S> {
    /// `setConfig`.
    pub(super) fn set_config(&mut self, at: At, request: SetConfigReq) -> Result<SetConfigRsp, Status> {
        let kind = request.node_type;
        require_kind(kind)?;
        let limits = self.options.limits;
        if request.content.len() > limits.config_bytes_max {
            return Err(too_much("bytes of the configuration", limits.config_bytes_max));
        }
        if request.desc.len() > limits.desc_bytes_max {
            return Err(too_much("bytes of the description", limits.desc_bytes_max));
        }
        self.require_primary(at.now)?;
        let newest = self
            .state
            .newest_config(kind)
            .map(|config| config.config_version)
            .unwrap_or_default();
        let config_version = ConfigVersion(newest.0.saturating_add(1));
        let config = ConfigInfo {
            config_version,
            content: request.content,
            desc: request.desc,
        };
        let mut writes = Writes::default();
        writes.config(kind, &config);
        let versions = self.state.configs.entry(kind).or_default();
        let surplus = (versions.len() + 1).saturating_sub(limits.config_versions_max.max(1));
        // Version 0 stays.
        let oldest: Vec<_> = versions
            .keys()
            .filter(|version| version.0 > 0)
            .take(surplus)
            .copied()
            .collect();
        for version in &oldest {
            writes.remove_config(kind, *version);
        }
        self.commit(writes, false)?;
        let versions = self.state.configs.entry(kind).or_default();
        versions.retain(|version, _| !oldest.contains(version));
        versions.insert(config_version, config);
        if kind == NodeType::MGMTD {
            self.events.push(Event::OwnConfig {
                version: config_version,
            });
        }
        Ok(SetConfigRsp { config_version })
    }

    /// `getConfig`.
    pub(super) fn config(&self, at: At, request: &GetConfigReq) -> Result<GetConfigRsp, Status> {
        require_kind(request.node_type)?;
        self.require_primary(at.now)?;
        let info = if request.exact_version {
            let versions = self.state.configs.get(&request.node_type);
            versions
                .and_then(|versions| versions.get(&request.config_version))
                .cloned()
        } else {
            self.newer_config(request.node_type, request.config_version)?
        };
        Ok(GetConfigRsp { info })
    }

    /// `getConfigVersions`.
    pub(super) fn config_versions(&self, at: At) -> Result<GetConfigVersionsRsp, Status> {
        self.require_primary(at.now)?;
        let version = |kind: NodeType| {
            let newest = self.state.newest_config(kind).map(|config| config.config_version);
            (
                Text::from(kind.name().unwrap_or_default()),
                newest.unwrap_or_default(),
            )
        };
        Ok(GetConfigVersionsRsp {
            versions: Map::from_pairs(NODE_TYPES.map(version)),
        })
    }

    /// The newest configuration if it is newer than the one at hand.
    pub(super) fn newer_config(
        &self,
        kind: NodeType,
        known: ConfigVersion,
    ) -> Result<Option<ConfigInfo>, Status> {
        let newest = self.state.newest_config(kind);
        let version = newest.map(|config| config.config_version).unwrap_or_default();
        if known > version {
            let why = format!("configuration version {known} is newer than {version}");
            return Err(fail(StatusCode::MGMTD_INVALID_CONFIG_VERSION, &why));
        }
        Ok(newest.filter(|_| version > known).cloned())
    }
}

fn require_kind(kind: NodeType) -> Result<(), Status> {
    if !NODE_TYPES.contains(&kind) {
        return Err(fail(StatusCode::INVALID_ARG, "unknown node type"));
    }
    Ok(())
}
