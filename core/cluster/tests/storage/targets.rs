//! Targets, and requests about them.

use crate::kit::{CHAIN, Host, TARGET, chunk, code, crc, routing};
use flyer_cluster::storage::{In, Options};
use flyer_types::ids::{ChainId, TargetId};
use flyer_types::{StatusCode, WallTime};
use flyer_wire::codec::Wire;
use flyer_wire::msg::mgmtd::routing::{LocalTargetState, PublicTargetState};
use flyer_wire::msg::storage::io::UpdateReq;
use flyer_wire::msg::storage::target::{
    CreateTargetReq, GetAllChunkMetadataReq, OfflineTargetReq, QueryChunkReq, RemoveTargetReq, SyncDoneReq,
    SyncStartReq,
};
use flyer_wire::service::storage::{Request, Response};
use std::sync::Arc;

fn create(host: &mut Host, target: u64, chain: u32, may_exist: bool) -> StatusCode {
    let mut request = CreateTargetReq::initial();
    request.target_id = TargetId(target);
    request.chain_id = ChainId(chain);
    request.allow_existing_target = may_exist;
    host.call(Request::CreateTarget(request))
        .map_or_else(|status| status.code, |_| StatusCode::OK)
}

#[test]
fn targets_are_made_once() {
    let mut host = Host::new();
    assert_eq!(create(&mut host, TARGET.0, 5, true), StatusCode::OK);
    assert_eq!(create(&mut host, TARGET.0, 5, false), StatusCode::INVALID_ARG);
    assert_eq!(create(&mut host, TARGET.0, 6, true), StatusCode::INVALID_ARG);
    assert_eq!(create(&mut host, 51, 5, true), StatusCode::INVALID_ARG);
    assert_eq!(create(&mut host, 51, 0, true), StatusCode::INVALID_ARG);
    assert_eq!(create(&mut host, 51, 6, true), StatusCode::OK);
    let states: Vec<_> = host
        .server
        .inner()
        .local_targets()
        .iter()
        .map(|t| (t.target_id.0, t.local_state))
        .collect();
    assert_eq!(
        states,
        [(50, LocalTargetState::UPTODATE), (51, LocalTargetState::ONLINE)]
    );
}

#[test]
fn a_target_taken_offline_serves_nothing_until_it_is_opened_again() {
    let mut host = Host::new();
    host.write(0, 0, b"x");
    let offline = |target, force| {
        Request::OfflineTarget(OfflineTargetReq {
            target_id: target,
            force,
        })
    };
    assert_eq!(
        host.call(offline(TargetId(9), false)).unwrap_err().code,
        StatusCode::STORAGE_TARGET_NOT_FOUND
    );
    assert_eq!(
        host.call(offline(TARGET, false)).unwrap_err().code,
        StatusCode::STORAGE_TARGET_STATE_INVALID
    );
    assert!(host.call(offline(TARGET, true)).is_ok());
    assert_eq!(code(&host.write(0, 0, b"y")), StatusCode::STORAGE_TARGET_OFFLINE);
    let mut host = host.reopen(false);
    assert_eq!(host.content(0), b"x");
}

#[test]
fn older_routing_is_ignored() {
    let mut host = Host::new();
    host.input(In::Routing(Arc::new(routing(
        9,
        CHAIN,
        &[(TARGET, PublicTargetState::SERVING)],
    ))));
    host.input(In::Routing(Arc::new(routing(8, CHAIN, &[]))));
    assert_eq!(code(&host.write(0, 0, b"x")), StatusCode::OK);
    host.input(In::Routing(Arc::new(routing(10, CHAIN, &[]))));
    assert_eq!(
        code(&host.write(0, 0, b"y")),
        StatusCode::STORAGE_CLIENT_ROUTING_ERROR
    );
}

#[test]
fn metadata_can_be_asked_for() {
    let mut host = Host::new();
    host.input(In::Clock(WallTime::from_secs(1000)));
    host.write(0, 0, b"abc");
    host.write(1, 0, b"defg");
    let query = |index| {
        Request::QueryChunk(QueryChunkReq {
            chain_id: CHAIN.chain_id,
            chunk_id: chunk(index),
        })
    };
    let Ok(Response::QueryChunk(response)) = host.call(query(0)) else {
        panic!("no metadata");
    };
    let meta = response.meta.unwrap();
    assert_eq!(
        (meta.size, meta.checksum_value, meta.timestamp),
        (3, crc(b"abc").value, WallTime::from_secs(1000))
    );
    assert!(response.target.is_head && response.target.is_tail);
    let Ok(Response::QueryChunk(response)) = host.call(query(7)) else {
        panic!("no answer");
    };
    assert_eq!(
        response.meta.unwrap_err().code,
        StatusCode::STORAGE_CHUNK_METADATA_NOT_FOUND
    );
    let all = |target_id| Request::GetAllChunkMetadata(GetAllChunkMetadataReq { target_id });
    let Ok(Response::GetAllChunkMetadata(response)) = host.call(all(TARGET)) else {
        panic!("no metadata");
    };
    let lengths: Vec<_> = response.chunk_meta_vec.iter().map(|meta| meta.length).collect();
    assert_eq!(lengths, [4, 3], "highest first");
    create(&mut host, 51, 6, true);
    assert_eq!(
        host.call(all(TargetId(51))).unwrap_err().code,
        StatusCode::STORAGE_CLIENT_NOT_AVAILABLE
    );
}

#[test]
fn what_is_not_built_is_refused_clearly() {
    let mut host = Host::new();
    for request in [
        Request::Update(UpdateReq::initial()),
        Request::SyncStart(SyncStartReq::initial()),
        Request::SyncDone(SyncDoneReq::initial()),
        Request::RemoveTarget(RemoveTargetReq::initial()),
    ] {
        assert_eq!(host.call(request).unwrap_err().code, StatusCode::NOT_IMPLEMENTED);
    }
}

#[test]
fn a_server_may_refuse_updates() {
    let mut host = Host::new();
    host.write(0, 0, b"x");
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let mut host = Host::open(host.store, host.disk, options);
    host.input(In::Routing(Arc::new(crate::kit::serving())));
    assert_eq!(code(&host.write(0, 0, b"y")), StatusCode::READ_ONLY_MODE);
    assert_eq!(host.content(0), b"x");
}
