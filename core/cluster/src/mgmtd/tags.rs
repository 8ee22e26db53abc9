//! Tags of nodes and of universal ids.
//!
//! Source: `src/mgmtd/ops/Set{Universal,Node}TagsOperation.cc`, `src/mgmtd/service/helpers.cc` upstream.

use super::records::Writes;
use super::state::{Node, has_disable};
use super::{At, Limits, Manager, fail, full, too_much};
use crate::store::Store;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use flyer_types::{Status, StatusCode, Text, Time};
use flyer_wire::msg::common::TagPair;
use flyer_wire::msg::mgmtd::admin::{
    SetNodeTagsReq, SetNodeTagsRsp, SetUniversalTagsReq, SetUniversalTagsRsp,
};
use flyer_wire::msg::mgmtd::node::{NodeInfo, NodeStatus, SetTagMode};
use flyer_wire::msg::mgmtd::query::{GetUniversalTagsReq, GetUniversalTagsRsp};

impl<S: Store> Manager<S> {
    /// `getUniversalTags`.
    pub(super) fn universal_tags(
        &self,
        at: At,
        request: &GetUniversalTagsReq,
    ) -> Result<GetUniversalTagsRsp, Status> {
        self.require_primary(at.now)?;
        Ok(GetUniversalTagsRsp {
            tags: self.state.tags_of(&request.universal_id),
        })
    }

    /// `setUniversalTags`.
    pub(super) fn set_universal_tags(
        &mut self,
        at: At,
        request: &SetUniversalTagsReq,
    ) -> Result<SetUniversalTagsRsp, Status> {
        check_change(&request.tags, request.mode, &self.options.limits)?;
        self.require_primary(at.now)?;
        let id = &request.universal_id;
        let before = self.state.tags_of(id);
        let tags = changed(&before, &request.tags, request.mode);
        if tags != before {
            let limits = &self.options.limits;
            if id.is_empty() {
                return Err(fail(StatusCode::INVALID_ARG, "Empty universal id"));
            }
            if id.len() > limits.universal_id_bytes_max {
                return Err(too_much(
                    "bytes of the universal id",
                    limits.universal_id_bytes_max,
                ));
            }
            if tags.len() > limits.tags_max {
                return Err(too_much("tags", limits.tags_max));
            }
            if before.is_empty() && self.state.universal_tags.len() >= limits.universal_ids_max {
                return Err(full("universal ids with tags", limits.universal_ids_max));
            }
            let mut writes = Writes::default();
            writes.universal_tags(id, &tags);
            self.commit(writes, true)?;
            if tags.is_empty() {
                self.state.universal_tags.remove(id);
            } else {
                self.state.universal_tags.insert(id.clone(), tags.clone());
            }
        }
        Ok(SetUniversalTagsRsp { tags })
    }

    /// `setNodeTags`.
    pub(super) fn set_node_tags(
        &mut self,
        at: At,
        request: &SetNodeTagsReq,
    ) -> Result<SetNodeTagsRsp, Status> {
        check_change(&request.tags, request.mode, &self.options.limits)?;
        self.require_primary(at.now)?;
        let Some(node) = self.state.nodes.get(&request.node_id) else {
            return Err(StatusCode::MGMTD_NODE_NOT_FOUND.into());
        };
        let tags = changed(&node.info.tags, &request.tags, request.mode);
        if tags.len() > self.options.limits.tags_max {
            return Err(too_much("tags", self.options.limits.tags_max));
        }
        if request.node_id == self.options.own.node_id && has_disable(&tags) {
            return Err(fail(StatusCode::INVALID_ARG, "The primary cannot be disabled"));
        }
        let tagged = with_tags(node, tags, at.now);
        let info = tagged.info.clone();
        self.store_node(tagged)?;
        Ok(SetNodeTagsRsp { info })
    }
}

/// The node with other tags, and with the status that follows from them.
pub(super) fn with_tags(node: &Node, tags: Vec<TagPair>, now: Time) -> Node {
    let status = match (has_disable(&node.info.tags), has_disable(&tags)) {
        (false, true) => NodeStatus::DISABLED,
        (true, false) if node.info.status == NodeStatus::DISABLED => NodeStatus::HEARTBEAT_CONNECTING,
        _ => node.info.status,
    };
    let info = NodeInfo {
        status,
        tags,
        ..node.info.clone()
    };
    // An enabled node has the whole interval to be heard of again.
    let heard = if status == node.info.status {
        node.heard
    } else {
        now
    };
    Node {
        info,
        hb_version: node.hb_version,
        heard,
    }
}

/// What can be said about a change without knowing the tags there are.
fn check_change(given: &[TagPair], mode: SetTagMode, limits: &Limits) -> Result<(), Status> {
    if !matches!(
        mode,
        SetTagMode::REPLACE | SetTagMode::UPSERT | SetTagMode::REMOVE
    ) {
        return Err(fail(StatusCode::INVALID_ARG, "Unknown mode"));
    }
    for tag in given {
        if tag.key.is_empty() {
            return Err(fail(StatusCode::MGMTD_INVALID_TAG, "Empty tag key"));
        }
        if mode == SetTagMode::REMOVE && !tag.value.is_empty() {
            return Err(fail(StatusCode::MGMTD_INVALID_TAG, "A tag to remove has a value"));
        }
        if tag.key.len() + tag.value.len() > limits.tag_bytes_max {
            return Err(too_much("bytes of a tag", limits.tag_bytes_max));
        }
    }
    Ok(())
}

/// The tags after a change, by key. Of equal keys the last counts.
fn changed(before: &[TagPair], given: &[TagPair], mode: SetTagMode) -> Vec<TagPair> {
    let kept = if mode == SetTagMode::REPLACE {
        &[][..]
    } else {
        before
    };
    let pair = |tag: &TagPair| (tag.key.clone(), tag.value.clone());
    let mut tags: BTreeMap<Text, Text> = kept.iter().map(pair).collect();
    for tag in given {
        if mode == SetTagMode::REMOVE {
            tags.remove(&tag.key);
        } else {
            tags.insert(tag.key.clone(), tag.value.clone());
        }
    }
    tags.into_iter()
        .map(|(key, value)| TagPair { key, value })
        .collect()
}
