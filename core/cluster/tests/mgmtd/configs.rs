//! `setConfig`, `getConfig`, `getConfigVersions`.

use crate::kit::*;
use flyer_cluster::mgmtd::{Event, Limits, Options};
use flyer_types::Text;
use flyer_types::ids::ConfigVersion;
use flyer_wire::msg::mgmtd::admin::SetConfigReq;
use flyer_wire::msg::mgmtd::node::{ConfigInfo, NodeType};
use flyer_wire::msg::mgmtd::query::{GetConfigReq, GetConfigVersionsReq};

fn set(kind: NodeType, content: &str) -> SetConfigReq {
    SetConfigReq {
        node_type: kind,
        content: content.into(),
        desc: "why".into(),
        ..blank()
    }
}

fn get(kind: NodeType, version: u64, exact_version: bool) -> GetConfigReq {
    GetConfigReq {
        node_type: kind,
        config_version: ConfigVersion(version),
        exact_version,
        ..blank()
    }
}

fn info(version: u64, content: &str, desc: &str) -> ConfigInfo {
    ConfigInfo {
        config_version: ConfigVersion(version),
        content: content.into(),
        desc: desc.into(),
    }
}

#[test]
fn versions_count_up_per_kind_of_node() {
    let mut c = Cluster::embedded();
    let routing_version = c.version();
    assert_eq!(
        ask!(c, SetConfig, set(NodeType::FUSE, "a = 1"))
            .unwrap()
            .config_version
            .0,
        1
    );
    assert_eq!(
        ask!(c, SetConfig, set(NodeType::FUSE, "a = 2"))
            .unwrap()
            .config_version
            .0,
        2
    );
    assert_eq!(
        ask!(c, SetConfig, set(NodeType::META, "b = 1"))
            .unwrap()
            .config_version
            .0,
        1
    );
    assert_eq!(
        c.version(),
        routing_version,
        "configurations are not part of the routing table"
    );
    let mut c = c.restart();
    let fuse = NodeType::FUSE;
    let newest = Some(info(2, "a = 2", "why"));
    assert_eq!(ask!(c, GetConfig, get(fuse, 0, false)).unwrap().info, newest);
    assert_eq!(ask!(c, GetConfig, get(fuse, 1, false)).unwrap().info, newest);
    assert_eq!(ask!(c, GetConfig, get(fuse, 2, false)).unwrap().info, None);
    refused!(
        ask!(c, GetConfig, get(fuse, 3, false)),
        MGMTD_INVALID_CONFIG_VERSION
    );
    assert_eq!(
        ask!(c, GetConfig, get(fuse, 1, true)).unwrap().info,
        Some(info(1, "a = 1", "why"))
    );
    assert_eq!(
        ask!(c, GetConfig, get(fuse, 0, true)).unwrap().info,
        Some(info(0, "", ""))
    );
    assert_eq!(ask!(c, GetConfig, get(fuse, 9, true)).unwrap().info, None);
    assert_eq!(
        ask!(c, GetConfig, get(NodeType::CLIENT, 0, false)).unwrap().info,
        None
    );
    let versions = ask!(c, GetConfigVersions, blank::<GetConfigVersionsReq>())
        .unwrap()
        .versions;
    let named = |name: &str| versions.find(&Text::from(name)).map(|version| version.0);
    let expected = [
        ("MGMTD", 0),
        ("META", 1),
        ("STORAGE", 0),
        ("CLIENT", 0),
        ("FUSE", 2),
    ];
    assert_eq!(versions.0.len(), expected.len());
    for (name, version) in expected {
        assert_eq!(named(name), Some(version), "{name}");
    }
}

#[test]
fn unknown_kinds_and_oversized_content_are_refused() {
    let limits = Limits {
        config_bytes_max: 4,
        desc_bytes_max: 3,
        ..Limits::default()
    };
    let mut c = Cluster::new(Options { limits, ..options() });
    refused!(ask!(c, SetConfig, set(NodeType(5), "")), INVALID_ARG);
    refused!(ask!(c, GetConfig, get(NodeType(5), 0, false)), INVALID_ARG);
    refused!(ask!(c, SetConfig, set(NodeType::FUSE, "12345")), INVALID_ARG);
    ask!(c, SetConfig, set(NodeType::FUSE, "1234")).unwrap();
    let long = SetConfigReq {
        desc: "four".into(),
        ..set(NodeType::FUSE, "")
    };
    refused!(ask!(c, SetConfig, long), INVALID_ARG);
}

#[test]
fn the_oldest_versions_are_forgotten() {
    let limits = Limits {
        config_versions_max: 3,
        ..Limits::default()
    };
    let mut c = Cluster::new(Options { limits, ..options() });
    for content in ["1", "2", "3", "4"] {
        ask!(c, SetConfig, set(NodeType::FUSE, content)).unwrap();
    }
    let mut c = c.restart();
    let mut held = |version| {
        ask!(c, GetConfig, get(NodeType::FUSE, version, true))
            .unwrap()
            .info
            .is_some()
    };
    assert_eq!([0, 1, 2, 3, 4].map(&mut held), [true, false, false, true, true]);
}

#[test]
fn the_manager_hears_of_its_own_configuration() {
    let mut c = Cluster::embedded();
    ask!(c, SetConfig, set(NodeType::META, "")).unwrap();
    assert!(
        !c.events
            .iter()
            .any(|event| matches!(event, Event::OwnConfig { .. }))
    );
    ask!(c, SetConfig, set(NodeType::MGMTD, "")).unwrap();
    assert!(c.events.contains(&Event::OwnConfig {
        version: ConfigVersion(1)
    }));
}
