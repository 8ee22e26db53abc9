//! `extendClientSession`, `getClientSession`, `listClientSessions`.

use crate::kit::*;
use flyer_cluster::mgmtd::{Event, Options};
use flyer_types::ids::{ClientSessionVersion, ConfigVersion};
use flyer_types::{Status, Text, WallTime};
use flyer_wire::msg::common::{ConfigStatus, ReleaseVersion};
use flyer_wire::msg::mgmtd::admin::{SetConfigReq, SetUniversalTagsReq};
use flyer_wire::msg::mgmtd::node::NodeType;
use flyer_wire::msg::mgmtd::session::{
    ClientSessionData, ExtendClientSessionReq, ExtendClientSessionRsp, GetClientSessionReq,
    ListClientSessionsReq, ListClientSessionsRsp,
};

const CLIENT: &str = "37ac6990-083a-4c59-a2d8-e1b2d9e69e50";
const OTHER: &str = "00000000-083a-4c59-a2d8-e1b2d9e69e50";

fn request(client: &str, version: u64) -> ExtendClientSessionReq {
    ExtendClientSessionReq {
        client_id: client.into(),
        client_session_version: ClientSessionVersion(version),
        data: ClientSessionData {
            universal_id: "host".into(),
            description: "fuse: host".into(),
            ..blank()
        },
        kind: NodeType::FUSE,
        client_start: WallTime::from_secs(1),
        ..blank()
    }
}

fn extend(c: &mut Cluster, client: &str, version: u64) -> Result<ExtendClientSessionRsp, Status> {
    ask!(c, ExtendClientSession, request(client, version))
}

fn list(c: &mut Cluster) -> ListClientSessionsRsp {
    ask!(c, ListClientSessions, blank::<ListClientSessionsReq>()).unwrap()
}

#[test]
fn a_session_is_created_and_extended_by_the_same_call() {
    let mut c = Cluster::embedded();
    let start = c.wall();
    extend(&mut c, CLIENT, 37).unwrap();
    c.pass_secs(10);
    // The version that creates a session is not remembered.
    let changed = ExtendClientSessionReq {
        config_status: ConfigStatus::DIRTY,
        ..request(CLIENT, 1)
    };
    ask!(c, ExtendClientSession, changed).unwrap();
    let get = GetClientSessionReq {
        client_id: CLIENT.into(),
        ..blank()
    };
    let found = ask!(c, GetClientSession, get.clone()).unwrap();
    let session = found.session.expect("the session");
    assert_eq!((session.start, session.last_extend), (start, c.wall()));
    assert_eq!(
        (session.client_id, session.universal_id),
        (Text::from(CLIENT), Text::from("host"))
    );
    assert_eq!(
        (session.config_status, session.kind),
        (ConfigStatus::DIRTY, NodeType::FUSE)
    );
    assert_eq!(session.client_start, WallTime::from_secs(1));
    assert_eq!(
        refused!(extend(&mut c, CLIENT, 1), MGMTD_CLIENT_SESSION_VERSION_STALE),
        "1"
    );
    extend(&mut c, CLIENT, 40).unwrap();
    assert_eq!(
        refused!(extend(&mut c, CLIENT, 40), MGMTD_CLIENT_SESSION_VERSION_STALE),
        "40"
    );
    assert_eq!(
        refused!(extend(&mut c, CLIENT, 39), MGMTD_CLIENT_SESSION_VERSION_STALE),
        "40"
    );
    extend(&mut c, OTHER, 0).unwrap();
    refused!(extend(&mut c, OTHER, 0), MGMTD_CLIENT_SESSION_VERSION_STALE);
    assert_eq!(list(&mut c).sessions.len(), 2);
    let mut c = c.restart();
    assert!(
        list(&mut c).sessions.is_empty(),
        "sessions are kept in memory only"
    );
    assert_eq!(ask!(c, GetClientSession, get).unwrap().session, None);
    extend(&mut c, CLIENT, 1).unwrap();
}

#[test]
fn refused_extensions() {
    let mut c = Cluster::embedded();
    assert_eq!(refused!(extend(&mut c, "", 1), INVALID_ARG), "Empty clientId");
    for kind in [NodeType::MGMTD, NodeType::META, NodeType::STORAGE, NodeType(5)] {
        let odd = ExtendClientSessionReq {
            kind,
            ..request(CLIENT, 1)
        };
        refused!(ask!(c, ExtendClientSession, odd), INVALID_ARG);
    }
    let newer = ExtendClientSessionReq {
        config_version: ConfigVersion(1),
        ..request(CLIENT, 1)
    };
    refused!(ask!(c, ExtendClientSession, newer), MGMTD_INVALID_CONFIG_VERSION);
    assert!(list(&mut c).sessions.is_empty());
    refused!(
        ask!(c, GetClientSession, blank::<GetClientSessionReq>()),
        INVALID_ARG
    );
    extend(&mut c, "any text will do", 1).unwrap();
    let mut c = Cluster::new(Options {
        only_accept_client_uuid: true,
        ..options()
    });
    refused!(extend(&mut c, "any text will do", 1), INVALID_ARG);
    extend(&mut c, CLIENT, 1).unwrap();
}

#[test]
fn a_client_keeps_its_description_for_the_life_of_its_id() {
    let mut c = Cluster::embedded();
    extend(&mut c, CLIENT, 1).unwrap();
    type Change = fn(&mut ExtendClientSessionReq);
    let changes: [(&str, Change); 6] = [
        ("universalId", |r| r.data.universal_id = "other".into()),
        ("description", |r| r.data.description = "other".into()),
        ("serviceGroups", |r| {
            r.data.service_groups = app(OWN, "x").service_groups;
        }),
        ("releaseVersion", |r| {
            r.data.release_version = ReleaseVersion {
                minor_version: 9,
                ..blank()
            };
        }),
        ("type", |r| r.kind = NodeType::CLIENT),
        ("clientStart", |r| r.client_start = WallTime::from_secs(2)),
    ];
    for (name, change) in changes {
        let mut changed = request(CLIENT, 2);
        change(&mut changed);
        let why = refused!(
            ask!(c, ExtendClientSession, changed),
            MGMTD_EXTEND_CLIENT_SESSION_MISMATCH
        );
        assert!(why.contains(name), "{why}");
    }
    extend(&mut c, CLIENT, 2).unwrap();
}

#[test]
fn configuration_and_tags_come_back() {
    let mut c = Cluster::embedded();
    let set = SetConfigReq {
        node_type: NodeType::FUSE,
        content: "a = 1".into(),
        ..blank()
    };
    ask!(c, SetConfig, set).unwrap();
    let tags = vec![tag("a", "1")];
    let set = SetUniversalTagsReq {
        universal_id: "host".into(),
        tags: tags.clone(),
        ..blank()
    };
    ask!(c, SetUniversalTags, set).unwrap();
    let first = extend(&mut c, CLIENT, 1).unwrap();
    assert_eq!(
        first.config.map(|config| config.content),
        Some(Text::from("a = 1"))
    );
    assert_eq!(first.tags, tags);
    let knowing = ExtendClientSessionReq {
        config_version: ConfigVersion(1),
        ..request(CLIENT, 2)
    };
    assert_eq!(ask!(c, ExtendClientSession, knowing).unwrap().config, None);
    let mut untagged = request(OTHER, 1);
    untagged.data.universal_id = "untagged".into();
    assert_eq!(ask!(c, ExtendClientSession, untagged).unwrap().tags, []);
    let referenced = list(&mut c).referenced_tags;
    assert_eq!(
        referenced.0,
        [
            (Text::from("host"), tags.clone()),
            (Text::from("untagged"), vec![])
        ]
    );
    let get = GetClientSessionReq {
        client_id: CLIENT.into(),
        ..blank()
    };
    assert_eq!(ask!(c, GetClientSession, get).unwrap().referenced_tags, tags);
}

#[test]
fn a_session_that_is_not_extended_expires() {
    let _guard = flyer_types::mark::require(["mgmtd.session_expired"]);
    let mut c = Cluster::embedded();
    extend(&mut c, CLIENT, 1).unwrap();
    extend(&mut c, OTHER, 1).unwrap();
    c.pass_secs(10 * 60);
    extend(&mut c, CLIENT, 2).unwrap();
    c.pass_secs(10 * 60);
    assert_eq!(list(&mut c).sessions.len(), 2, "20 min are not too long yet");
    c.pass_secs(10);
    let left = list(&mut c).sessions;
    assert_eq!(
        left.iter()
            .map(|session| session.client_id.clone())
            .collect::<Vec<_>>(),
        [Text::from(CLIENT)]
    );
    assert!(c.events.contains(&Event::SessionExpired {
        client_id: OTHER.into()
    }));
    c.pass_secs(20 * 60);
    assert!(list(&mut c).sessions.is_empty());
    extend(&mut c, OTHER, 1).unwrap();
}

#[test]
fn nobody_prunes_while_the_primary_is_bootstrapping() {
    let bootstrapping_length = Options::new("".into(), app(OWN, "")).bootstrapping_length;
    let mut c = Cluster::new(Options {
        bootstrapping_length,
        ..options()
    });
    let get = GetClientSessionReq {
        client_id: CLIENT.into(),
        ..blank()
    };
    assert!(list(&mut c).bootstrapping && c.routing().bootstrapping);
    assert!(ask!(c, GetClientSession, get.clone()).unwrap().bootstrapping);
    c.pass_secs(119);
    assert!(list(&mut c).bootstrapping);
    c.pass_secs(1);
    assert!(!list(&mut c).bootstrapping && !c.routing().bootstrapping);
    assert!(!ask!(c, GetClientSession, get).unwrap().bootstrapping);
    assert!(
        !list(&mut Cluster::embedded()).bootstrapping,
        "unless it waits for nobody"
    );
}
