//! The session with the manager: made, extended, lost and made again; the routing fetched in time and on demand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "what a test does not expect makes it panic"
)]

use flyer_client::session::{Identity, In, Options, Out, Session};
use flyer_types::ids::{CallId, ClientSessionVersion, ConfigVersion, RoutingVersion, Uuid};
use flyer_types::{Checked, Effects, Machine, Rng, Span, Status, StatusCode, Text, Time, WallTime};
use flyer_wire::codec::Wire;
use flyer_wire::msg::common::ConfigStatus;
use flyer_wire::msg::mgmtd::node::{ConfigInfo, NodeType};
use flyer_wire::msg::mgmtd::query::{GetRoutingInfoReq, GetRoutingInfoRsp};
use flyer_wire::msg::mgmtd::routing::RoutingInfo;
use flyer_wire::msg::mgmtd::session::{ClientSessionData, ExtendClientSessionReq, ExtendClientSessionRsp};
use flyer_wire::service::mgmtd::{Request, Response};

struct World {
    session: Checked<Session>,
    now: Time,
    extensions: Vec<(CallId, ExtendClientSessionReq)>,
    fetches: Vec<(CallId, GetRoutingInfoReq)>,
    others: Vec<Out>,
}

fn at(s: u64) -> Time {
    Time::ZERO + Span::from_secs(s)
}

impl World {
    fn new() -> Self {
        let identity = Identity {
            cluster_id: Text::from("stage"),
            uuid: Uuid([0xab; 16]),
            kind: NodeType::FUSE,
            data: ClientSessionData::initial(),
        };
        let mut world = Self {
            session: Checked::new(Session::new(Options::default(), identity, Rng::from_seed(1))),
            now: Time::ZERO,
            extensions: Vec::new(),
            fetches: Vec::new(),
            others: Vec::new(),
        };
        assert_eq!(
            world.session.poll_timeout(),
            None,
            "nothing happens before the time of day is known"
        );
        world.put(In::RoutingWanted);
        world.put(In::Clock(WallTime::from_secs(1000)));
        world.put(In::Clock(WallTime::from_secs(2000)));
        world
    }

    fn put(&mut self, input: In) {
        let mut out = Effects::new();
        self.session.handle(self.now, input, &mut out);
        self.take(out);
    }

    fn take(&mut self, mut out: Effects<Out>) {
        for effect in out.drain() {
            match effect {
                Out::Call {
                    call,
                    request,
                    deadline,
                } => {
                    assert!(deadline > self.now);
                    match request {
                        Request::ExtendClientSession(r) => self.extensions.push((call, r)),
                        Request::GetRoutingInfo(r) => self.fetches.push((call, r)),
                        other => panic!("{other:?}"),
                    }
                }
                other => self.others.push(other),
            }
        }
    }

    fn wake(&mut self) {
        self.now = self.session.poll_timeout().unwrap().0;
        let mut out = Effects::new();
        self.session.handle_timeout(self.now, &mut out);
        self.take(out);
    }

    fn extend(&mut self, answer: Result<ExtendClientSessionRsp, Status>) -> ExtendClientSessionReq {
        let (call, request) = self.extensions.pop().unwrap();
        let answer = answer.map(Response::ExtendClientSession);
        self.put(In::Answer { call, answer });
        request
    }

    fn fetch(&mut self, version: Option<u64>) -> GetRoutingInfoReq {
        let (call, request) = self.fetches.pop().unwrap();
        let info = version.map(|version| {
            let mut info = RoutingInfo::initial();
            info.routing_info_version = RoutingVersion(version);
            info
        });
        let answer = Ok(Response::GetRoutingInfo(GetRoutingInfoRsp { info }));
        self.put(In::Answer { call, answer });
        request
    }

    fn lost(&self) -> usize {
        self.others
            .iter()
            .filter(|out| matches!(out, Out::Lost(_)))
            .count()
    }

    fn established(&self) -> usize {
        self.others.iter().filter(|out| **out == Out::Established).count()
    }
}

fn extended() -> Result<ExtendClientSessionRsp, Status> {
    Ok(ExtendClientSessionRsp {
        config: None,
        tags: Vec::new(),
    })
}

#[test]
fn it_is_made_at_once_and_extended_with_the_same_words() {
    let mut world = World::new();
    let first = world.extend(extended());
    assert_eq!(world.established(), 1);
    assert_eq!(
        first.client_id,
        Text::from("abababab-abab-abab-abab-abababababab")
    );
    assert_eq!(first.client_session_version, ClientSessionVersion(1));
    assert_eq!(
        first.client_start,
        WallTime::from_secs(1000),
        "the first time of day"
    );
    world.fetch(Some(1));
    while world.extensions.is_empty() {
        world.wake();
        if !world.fetches.is_empty() {
            world.fetch(None);
        }
    }
    assert_eq!(world.now, at(10));
    let second = world.extend(extended());
    let expected = ExtendClientSessionReq {
        client_session_version: ClientSessionVersion(2),
        ..first
    };
    assert_eq!(second, expected);
    assert_eq!(world.established(), 1, "told once");
}

#[test]
fn a_manager_that_is_not_there_is_tried_with_growing_waits_until_it_is() {
    let mut world = World::new();
    world.fetch(Some(1));
    let mut waits = Vec::new();
    for _ in 0..12 {
        let begun = world.now;
        world.extend(Err(StatusCode::RPC_CONNECT_FAILED.into()));
        while world.extensions.is_empty() {
            world.wake();
            if !world.fetches.is_empty() {
                world.fetch(None);
            }
        }
        waits.push(world.now.since(begun).as_ms());
    }
    assert!(waits[0] <= 10 && waits[3] > waits[0] * 3, "{waits:?}");
    assert!(
        waits.iter().all(|wait| *wait <= 1000) && waits[11] >= 750,
        "{waits:?}"
    );
    assert!(world.established() == 0 && !world.session.inner().is_established());
    world.extend(extended());
    assert_eq!(world.established(), 1);
}

#[test]
fn a_session_that_nobody_extends_is_lost_and_made_anew() {
    let _guard = flyer_types::mark::require(["client.session_lost"]);
    let mut world = World::new();
    world.extend(extended());
    world.fetch(Some(1));
    while world.lost() == 0 {
        world.wake();
        if !world.extensions.is_empty() {
            world.extend(Err(StatusCode::RPC_TIMEOUT.into()));
        }
        if !world.fetches.is_empty() {
            world.fetch(None);
        }
    }
    assert_eq!(world.now, at(300));
    assert!(!world.session.inner().is_established());
    while world.extensions.is_empty() {
        world.wake();
    }
    world.extend(extended());
    assert_eq!(world.established(), 2);
}

#[test]
fn a_stale_version_goes_beyond_what_the_manager_has() {
    let mut world = World::new();
    let stale = Status::with_message(StatusCode::MGMTD_CLIENT_SESSION_VERSION_STALE, "41");
    world.extend(Err(stale));
    world.wake();
    let next = world.extend(Err(Status::new(StatusCode::MGMTD_CLIENT_SESSION_VERSION_STALE)));
    assert_eq!(next.client_session_version, ClientSessionVersion(42));
    world.wake();
    assert_eq!(
        world.extensions[0].1.client_session_version,
        ClientSessionVersion(43)
    );
}

#[test]
fn a_configuration_comes_until_it_is_confirmed() {
    let mut world = World::new();
    let config = ConfigInfo {
        config_version: ConfigVersion(3),
        content: Text::from("a = 1"),
        desc: Text::default(),
    };
    let with_config = || {
        Ok(ExtendClientSessionRsp {
            config: Some(config.clone()),
            tags: Vec::new(),
        })
    };
    world.extend(with_config());
    assert!(world.others.contains(&Out::Config(config.clone())));
    while world.extensions.is_empty() {
        world.wake();
    }
    assert_eq!(world.extensions[0].1.config_version, ConfigVersion(0));
    world.put(In::Configured {
        version: ConfigVersion(3),
        status: ConfigStatus::DIRTY,
    });
    world.others.clear();
    world.extend(with_config());
    assert_eq!(world.others, []);
    while world.extensions.is_empty() {
        world.wake();
    }
    let request = &world.extensions[0].1;
    assert_eq!(
        (request.config_version, request.config_status),
        (ConfigVersion(3), ConfigStatus::DIRTY)
    );
}

#[test]
fn routing_is_fetched_in_time_and_only_newer_routing_is_believed() {
    let mut world = World::new();
    assert_eq!(world.fetch(Some(5)).routing_info_version, RoutingVersion(0));
    let told = |world: &World| world.session.inner().routing().unwrap().version();
    assert_eq!(told(&world), RoutingVersion(5));
    world.wake();
    assert_eq!(world.now, at(10));
    assert_eq!(world.fetch(Some(4)).routing_info_version, RoutingVersion(5));
    assert_eq!(told(&world), RoutingVersion(5), "an older one is not");
    world.wake();
    world.fetch(Some(6));
    assert_eq!(told(&world), RoutingVersion(6));
    let routings = world
        .others
        .iter()
        .filter(|out| matches!(out, Out::Routing(_)))
        .count();
    assert_eq!(routings, 2);
}

#[test]
fn wishes_for_routing_are_granted_soon_but_not_each() {
    let mut world = World::new();
    world.extend(extended());
    world.put(In::RoutingWanted);
    assert_eq!(world.fetches.len(), 1, "one is under way");
    world.fetch(Some(5));
    world.wake();
    assert_eq!(
        world.now,
        Time::ZERO + Span::from_ms(50),
        "the one under way may have been too early"
    );
    world.fetch(None);
    world.now = at(3);
    for _ in 0..10 {
        world.put(In::RoutingWanted);
    }
    assert!(world.fetches.is_empty());
    world.wake();
    assert!(world.now.since(at(3)) < Span::from_ms(1));
    assert_eq!(world.fetches.len(), 1);
    let (call, _) = world.fetches[0].clone();
    world.put(In::Answer {
        call,
        answer: Err(StatusCode::RPC_TIMEOUT.into()),
    });
    let retry = world.session.poll_timeout().unwrap().0;
    assert!(retry.since(world.now) <= Span::from_ms(10));
    world.put(In::Answer {
        call,
        answer: Err(StatusCode::RPC_TIMEOUT.into()),
    });
    assert_eq!(world.session.poll_timeout().unwrap().0, retry, "told twice");
}
