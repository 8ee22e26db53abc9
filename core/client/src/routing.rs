//! An immutable view of the routing, as clients need it.

use flyer_wire::msg::mgmtd::routing::RoutingInfo;

/// Nodes, chains and targets, indexed.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutingView {
    info: RoutingInfo,
}

impl RoutingView {
    /// The view of what a manager said.
    #[must_use]
    pub const fn new(info: RoutingInfo) -> Self {
        Self { info }
    }

    /// What the manager said.
    #[must_use]
    pub const fn info(&self) -> &RoutingInfo {
        &self.info
    }
}
