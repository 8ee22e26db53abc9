//! Services every endpoint may offer: `Core` (configuration and shutdown), `Echo`, and upstream's example service.
//!
//! Source: `src/fbs/core/service/Rpc.h`, `src/common/serde/Echo.h`, `src/fbs/simple_example` upstream.

use crate::codec::Void;
use crate::msg::common::ConfigUpdateRecord;
use flyer_types::{Status, Text};
use flyer_wire_derive::Wire;

/// Request of `echo` (core service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::EchoMessage")]
pub struct EchoMessage {
    /// Any text.
    pub str: Text,
}

/// Request of `getConfig` (core service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::GetConfigReq")]
pub struct GetConfigReq {
    /// Key to look up; empty for the whole configuration.
    pub config_key: Text,
}

/// Answer of `getConfig` (core service, method 2).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::GetConfigRsp")]
pub struct GetConfigRsp {
    /// The value.
    pub config: Text,
}

/// Request of `renderConfig` (core service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::RenderConfigReq")]
pub struct RenderConfigReq {
    /// Text with variables.
    pub config_template: Text,
    /// Check whether the update would be accepted.
    #[wire(default = true)]
    pub test_update: bool,
    /// Try it as an update of a running process.
    #[wire(default = true)]
    pub is_hot_update: bool,
}

/// Answer of `renderConfig` (core service, method 3).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::RenderConfigRsp")]
pub struct RenderConfigRsp {
    /// The template with its variables filled in.
    pub config_after_render: Text,
    /// Whether the update would be accepted.
    pub update_status: Status,
    /// The configuration it would result in.
    pub config_after_update: Text,
}

/// Request of `hotUpdateConfig` (core service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::HotUpdateConfigReq")]
pub struct HotUpdateConfigReq {
    /// TOML text with the keys to change.
    pub update: Text,
    /// Fill in the variables first.
    pub render: bool,
}

/// Answer of `hotUpdateConfig` (core service, method 4).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::HotUpdateConfigRsp")]
pub struct HotUpdateConfigRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `getLastConfigUpdateRecord` (core service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::GetLastConfigUpdateRecordReq")]
pub struct GetLastConfigUpdateRecordReq {
    /// Nothing.
    pub dummy: Void,
}

/// Answer of `getLastConfigUpdateRecord` (core service, method 5).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::GetLastConfigUpdateRecordRsp")]
pub struct GetLastConfigUpdateRecordRsp {
    /// The last update, if there was one.
    pub record: Option<ConfigUpdateRecord>,
}

/// Request of `shutdown` (core service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::ShutdownReq")]
pub struct ShutdownReq {
    /// Finish what is being worked on.
    #[wire(default = true)]
    pub graceful: bool,
}

/// Answer of `shutdown` (core service, method 6).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::core::ShutdownRsp")]
pub struct ShutdownRsp {
    /// Nothing.
    pub dummy: Void,
}

/// Request of `echo` (Service service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::serde::echo::Message")]
pub struct Echo {
    /// Any text.
    pub str: Text,
}

/// Request of `echo` (example service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::simple_example::SimpleExampleReq")]
pub struct SimpleExampleReq {
    /// Any text.
    pub message: Text,
}

/// Answer of `echo` (example service, method 1).
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
#[wire(class = "hf3fs::simple_example::SimpleExampleRsp")]
pub struct SimpleExampleRsp {
    /// The same text.
    pub message: Text,
}
