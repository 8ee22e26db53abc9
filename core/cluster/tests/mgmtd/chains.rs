//! `setChains`, `setChainTable`, `updateChain`, `setPreferredTargetOrder` and the rotations.

use crate::kit::*;
use flyer_types::Status;
use flyer_types::ids::{ChainId, ChainTableId, TargetId};
use flyer_wire::msg::mgmtd::admin::{
    RotateAsPreferredOrderReq, RotateLastSrvReq, SetChainTableReq, SetChainsReq, SetPreferredTargetOrderReq,
    UpdateChainMode, UpdateChainReq,
};
use flyer_wire::msg::mgmtd::routing::{
    ChainInfo, ChainSetting, LocalTargetState, PublicTargetState as Public,
};

const UP: LocalTargetState = LocalTargetState::UPTODATE;
const DOWN: LocalTargetState = LocalTargetState::OFFLINE;

fn set_chains(c: &mut Cluster, chains: Vec<ChainSetting>) -> Result<(), Status> {
    ask!(c, SetChains, SetChainsReq { chains, ..blank() }).map(drop)
}

fn set_table(c: &mut Cluster, table: u32, chains: &[u32], desc: &str) -> Result<u32, Status> {
    let chains = chains.iter().map(|chain| ChainId(*chain)).collect();
    let request = SetChainTableReq {
        chain_table_id: ChainTableId(table),
        chains,
        desc: desc.into(),
        ..blank()
    };
    ask!(c, SetChainTable, request).map(|response| response.chain_table_version.0)
}

fn update(c: &mut Cluster, chain: u32, target: u64, mode: UpdateChainMode) -> Result<ChainInfo, Status> {
    let request = UpdateChainReq {
        chain_id: ChainId(chain),
        target_id: TargetId(target),
        mode,
        ..blank()
    };
    ask!(c, UpdateChain, request).map(|response| response.chain)
}

fn prefer(c: &mut Cluster, chain: u32, order: &[u64]) -> Result<ChainInfo, Status> {
    let preferred_target_order = order.iter().map(|target| TargetId(*target)).collect();
    let request = SetPreferredTargetOrderReq {
        chain_id: ChainId(chain),
        preferred_target_order,
        ..blank()
    };
    ask!(c, SetPreferredTargetOrder, request).map(|response| response.chain)
}

fn rotate_lastsrv(c: &mut Cluster, chain: u32) -> Result<ChainInfo, Status> {
    ask!(
        c,
        RotateLastSrv,
        RotateLastSrvReq {
            chain_id: ChainId(chain),
            ..blank()
        }
    )
    .map(|r| r.chain)
}

fn rotate_preferred(c: &mut Cluster, chain: u32) -> Result<ChainInfo, Status> {
    let request = RotateAsPreferredOrderReq {
        chain_id: ChainId(chain),
        ..blank()
    };
    ask!(c, RotateAsPreferredOrder, request).map(|response| response.chain)
}

fn shown(chain: &ChainInfo) -> Vec<(u64, Public)> {
    chain
        .targets
        .iter()
        .map(|target| (target.target_id.0, target.public_state))
        .collect()
}

#[test]
fn new_chains_serve_with_all_targets() {
    let mut c = Cluster::embedded();
    let before = c.version();
    set_chains(
        &mut c,
        vec![chain_setting(7, &[72, 71], true), chain_setting(8, &[81], false)],
    )
    .unwrap();
    assert_eq!(c.version(), before + 1);
    let chain = c.chain(7);
    assert_eq!(shown(&chain), [(72, Public::SERVING), (71, Public::SERVING)]);
    assert_eq!(
        (chain.chain_version.0, chain.preferred_target_order),
        (1, vec![TargetId(72), TargetId(71)])
    );
    assert!(c.chain(8).preferred_target_order.is_empty());
    set_chains(&mut c, vec![chain_setting(7, &[71, 72], false)]).unwrap();
    assert_eq!(c.version(), before + 1, "the same set of targets changes nothing");
    assert_eq!(c.chain(7).preferred_target_order.len(), 2);
}

#[test]
fn refused_chains() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[71, 72]).unwrap();
    let version = c.version();
    let refused = [
        vec![],
        vec![chain_setting(0, &[1], false)],
        vec![chain_setting(9, &[], false)],
        vec![chain_setting(9, &[0], false)],
        vec![chain_setting(7, &[71], false)],
        vec![chain_setting(7, &[71, 73], false)],
        vec![chain_setting(7, &[71, 72, 72], false)],
        vec![chain_setting(9, &[71], false)],
        vec![chain_setting(9, &[91, 91], false)],
        vec![chain_setting(9, &[91], false), chain_setting(10, &[91], false)],
        vec![chain_setting(9, &[91], false), chain_setting(9, &[91], false)],
    ];
    for chains in refused {
        refused!(set_chains(&mut c, chains), MGMTD_INVALID_CHAIN_TABLE);
    }
    let many: Vec<u64> = (100..117).collect();
    refused!(c.set_chain(9, &many), INVALID_ARG);
    assert_eq!(
        (c.version(), c.routing().chains.0.len()),
        (version, 1),
        "all or nothing"
    );
}

#[test]
fn tables_get_a_version_per_list_of_chains() {
    let mut c = Cluster::embedded();
    for chain in [7, 8] {
        c.set_chain(chain, &[u64::from(chain) * 10]).unwrap();
    }
    c.set_chain(9, &[91, 92]).unwrap();
    refused!(set_table(&mut c, 1, &[], ""), MGMTD_INVALID_CHAIN_TABLE);
    refused!(set_table(&mut c, 1, &[7, 10], ""), MGMTD_CHAIN_NOT_FOUND);
    refused!(set_table(&mut c, 1, &[7, 9], ""), MGMTD_INVALID_CHAIN_TABLE);
    let before = c.version();
    assert_eq!(set_table(&mut c, 1, &[7, 8], "stage").unwrap(), 1);
    assert_eq!(c.version(), before + 1);
    assert_eq!(set_table(&mut c, 1, &[7, 8], "stage").unwrap(), 1);
    assert_eq!(set_table(&mut c, 1, &[7, 8], "").unwrap(), 1);
    assert_eq!(c.version(), before + 1, "identical tables are not written");
    assert_eq!(set_table(&mut c, 1, &[7, 8], "prod").unwrap(), 1);
    assert_eq!(set_table(&mut c, 1, &[8, 7], "swapped").unwrap(), 2);
    assert_eq!(set_table(&mut c, 1, &[7, 8], "back").unwrap(), 3);
    assert_eq!(c.version(), before + 4);
    let mut c = c.restart();
    let tables = c.routing().chain_tables;
    let versions = tables.find(&ChainTableId(1)).unwrap();
    let shown: Vec<_> = versions
        .0
        .iter()
        .map(|(v, t)| (v.0, t.chains[0].0, t.desc.to_str_lossy()))
        .collect();
    assert_eq!(
        shown,
        [
            (1, 7, "prod".into()),
            (2, 8, "swapped".into()),
            (3, 7, "back".into())
        ]
    );
}

#[test]
fn a_target_is_added_offline_and_removed_offline() {
    let mut c = Cluster::embedded();
    set_chains(
        &mut c,
        vec![chain_setting(7, &[71], true), chain_setting(8, &[81], false)],
    )
    .unwrap();
    let (add, remove) = (UpdateChainMode::ADD, UpdateChainMode::REMOVE);
    refused!(update(&mut c, 0, 72, add), INVALID_ARG);
    refused!(update(&mut c, 7, 0, add), INVALID_ARG);
    refused!(update(&mut c, 7, 72, UpdateChainMode(2)), INVALID_ARG);
    refused!(update(&mut c, 9, 72, add), MGMTD_CHAIN_NOT_FOUND);
    refused!(update(&mut c, 7, 71, add), MGMTD_TARGET_EXISTED);
    refused!(update(&mut c, 7, 81, add), MGMTD_TARGET_EXISTED);
    refused!(update(&mut c, 7, 72, remove), MGMTD_TARGET_NOT_FOUND);
    refused!(update(&mut c, 7, 71, remove), INVALID_ARG);
    let before = c.version();
    let chain = update(&mut c, 7, 72, add).unwrap();
    assert_eq!(shown(&chain), [(71, Public::SERVING), (72, Public::OFFLINE)]);
    assert_eq!(
        (chain.chain_version.0, chain.preferred_target_order.len()),
        (2, 2)
    );
    assert_eq!(c.version(), before + 1);
    assert_eq!(c.chain(7), chain);
    assert!(
        update(&mut c, 8, 82, add)
            .unwrap()
            .preferred_target_order
            .is_empty()
    );
    let chain = update(&mut c, 7, 72, remove).unwrap();
    assert_eq!(
        (shown(&chain), chain.chain_version.0),
        (vec![(71, Public::SERVING)], 3)
    );
    assert_eq!(chain.preferred_target_order, [TargetId(71)]);
    assert!(c.routing().targets.find(&TargetId(72)).is_none());
    update(&mut c, 8, 72, add).unwrap();
}

#[test]
fn the_last_to_serve_can_be_given_up() {
    let mut c = Cluster::embedded();
    refused!(rotate_lastsrv(&mut c, 7), MGMTD_CHAIN_NOT_FOUND);
    c.set_chain(7, &[71, 72, 73]).unwrap();
    c.set_chain(8, &[81]).unwrap();
    let before = (c.version(), c.chain(7));
    assert_eq!(rotate_lastsrv(&mut c, 7).unwrap(), before.1, "somebody serves");
    assert_eq!(c.version(), before.0);
    c.pass_secs(2);
    let lost = [
        (71, Public::LASTSRV),
        (72, Public::OFFLINE),
        (73, Public::OFFLINE),
    ];
    assert_eq!(
        (c.states(7), c.states(8)),
        (lost.to_vec(), vec![(81, Public::LASTSRV)])
    );
    let chain = rotate_lastsrv(&mut c, 7).unwrap();
    assert_eq!(
        shown(&chain),
        [
            (72, Public::LASTSRV),
            (73, Public::OFFLINE),
            (71, Public::OFFLINE)
        ]
    );
    assert_eq!(chain.chain_version.0, 3);
    assert_eq!(
        shown(&rotate_lastsrv(&mut c, 8).unwrap()),
        [(81, Public::LASTSRV)],
        "there is no other"
    );
    c.storage_heartbeat(200, &[(72, UP)]).unwrap();
    c.pass_secs(1);
    assert_eq!(c.states(7)[0], (72, Public::SERVING));
}

#[test]
fn a_preferred_order_is_reached_step_by_step() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[71, 72, 73]).unwrap();
    c.storage_heartbeat(200, &[(71, UP), (72, UP), (73, UP)]).unwrap();
    refused!(prefer(&mut c, 0, &[71]), INVALID_ARG);
    refused!(prefer(&mut c, 7, &[]), INVALID_ARG);
    refused!(prefer(&mut c, 7, &[71, 71]), INVALID_ARG);
    refused!(prefer(&mut c, 7, &[71, 99]), INVALID_ARG);
    refused!(prefer(&mut c, 8, &[71]), MGMTD_CHAIN_NOT_FOUND);
    refused!(rotate_preferred(&mut c, 8), MGMTD_CHAIN_NOT_FOUND);
    let unchanged = c.chain(7);
    assert_eq!(
        rotate_preferred(&mut c, 7).unwrap(),
        unchanged,
        "nothing is preferred"
    );
    let before = c.version();
    let chain = prefer(&mut c, 7, &[73, 71, 72]).unwrap();
    assert_eq!(
        (chain.chain_version.0, c.version()),
        (1, before),
        "no version changes"
    );
    let chain = rotate_preferred(&mut c, 7).unwrap();
    assert_eq!(
        shown(&chain),
        [
            (72, Public::SERVING),
            (73, Public::SERVING),
            (71, Public::OFFLINE)
        ]
    );
    assert_eq!((chain.chain_version.0, c.version()), (2, before + 1));
    let chain = rotate_preferred(&mut c, 7).unwrap();
    assert_eq!(
        shown(&chain),
        [
            (73, Public::SERVING),
            (71, Public::OFFLINE),
            (72, Public::OFFLINE)
        ]
    );
    assert_eq!(rotate_preferred(&mut c, 7).unwrap(), chain);
    c.storage_heartbeat(200, &[(73, DOWN)]).unwrap();
    c.pass_secs(1);
    let mut c = c.restart();
    assert_eq!(c.chain(7).preferred_target_order.len(), 3);
}
