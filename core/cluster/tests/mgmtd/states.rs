//! The state function of chains, row by row, and with timers.

use crate::kit::*;
use flyer_cluster::mgmtd::chain::{self, Member};
use flyer_cluster::mgmtd::{Event, Options};
use flyer_types::Span;
use flyer_types::ids::{ChainId, TargetId};
use flyer_wire::msg::mgmtd::admin::SetChainsReq;
use flyer_wire::msg::mgmtd::routing::{
    ChainTargetInfo, LocalTargetState as Local, PublicTargetState as Public,
};

const SERVING: Public = Public::SERVING;
const LASTSRV: Public = Public::LASTSRV;
const SYNCING: Public = Public::SYNCING;
const WAITING: Public = Public::WAITING;
const GONE: Public = Public::OFFLINE;

const UP: Local = Local::UPTODATE;
const ON: Local = Local::ONLINE;
const OFF: Local = Local::OFFLINE;

/// Neighbours: what others of the chain are when it is the target's turn. They come before it and stay as they are.
const NOBODY: &[(Public, Local)] = &[];
const SERVES: &[(Public, Local)] = &[(SERVING, UP)];
const SERVES_SYNCS: &[(Public, Local)] = &[(SERVING, UP), (SYNCING, ON)];
const FAILS: &[(Public, Local)] = &[(SERVING, OFF)];
const LAST: &[(Public, Local)] = &[(LASTSRV, OFF)];
const RETURNS: &[(Public, Local)] = &[(LASTSRV, ON)];
const SYNCED: &[(Public, Local)] = &[(SYNCING, UP)];

/// Public state, local state, neighbours, next public state.
type Row = (Public, Local, &'static [(Public, Local)], Public);

const ROWS: &[Row] = &[
    (SERVING, UP, NOBODY, SERVING),
    (SERVING, ON, NOBODY, SERVING),
    (SERVING, UP, SERVES, SERVING),
    (SERVING, ON, FAILS, SERVING),
    (SERVING, OFF, NOBODY, LASTSRV),
    (SERVING, OFF, FAILS, GONE),
    (SERVING, OFF, SERVES, GONE),
    (LASTSRV, UP, NOBODY, SERVING),
    (LASTSRV, ON, NOBODY, SERVING),
    (LASTSRV, OFF, NOBODY, LASTSRV),
    (LASTSRV, UP, SERVES, GONE),
    (LASTSRV, ON, SERVES, GONE),
    (LASTSRV, OFF, SERVES, GONE),
    (SYNCING, UP, NOBODY, SERVING),
    (SYNCING, UP, SERVES, SERVING),
    (SYNCING, UP, LAST, SERVING),
    (SYNCING, ON, SERVES, SYNCING),
    (SYNCING, ON, SERVES_SYNCS, SYNCING),
    (SYNCING, ON, RETURNS, SYNCING),
    (SYNCING, ON, NOBODY, WAITING),
    (SYNCING, ON, LAST, WAITING),
    (SYNCING, ON, FAILS, WAITING),
    (SYNCING, OFF, NOBODY, GONE),
    (SYNCING, OFF, SERVES, GONE),
    (WAITING, ON, SERVES, SYNCING),
    (WAITING, ON, RETURNS, SYNCING),
    (WAITING, ON, SYNCED, SYNCING),
    (WAITING, ON, SERVES_SYNCS, WAITING),
    (WAITING, ON, NOBODY, WAITING),
    (WAITING, ON, LAST, WAITING),
    (WAITING, UP, SERVES, WAITING),
    (WAITING, UP, NOBODY, WAITING),
    (WAITING, OFF, NOBODY, GONE),
    (WAITING, OFF, SERVES, GONE),
    (GONE, ON, SERVES, SYNCING),
    (GONE, ON, RETURNS, SYNCING),
    (GONE, ON, SYNCED, SYNCING),
    (GONE, ON, SERVES_SYNCS, WAITING),
    (GONE, ON, NOBODY, WAITING),
    (GONE, ON, LAST, WAITING),
    (GONE, UP, SERVES, WAITING),
    (GONE, UP, NOBODY, WAITING),
    (GONE, OFF, NOBODY, GONE),
    (GONE, OFF, SERVES, GONE),
];

fn member(target: u64, (public, local): (Public, Local)) -> Member {
    Member {
        target: TargetId(target),
        public,
        local,
    }
}

#[test]
fn each_row_of_the_table() {
    for (public, local, neighbours, expected) in ROWS {
        let mut members: Vec<Member> = neighbours
            .iter()
            .zip(1..)
            .map(|(state, id)| member(id, *state))
            .collect();
        members.push(member(9, (*public, *local)));
        let next = chain::next(&members);
        let found = next
            .iter()
            .find(|member| member.target == TargetId(9))
            .expect("nobody leaves");
        assert_eq!(
            found.public, *expected,
            "{public:?} {local:?} behind {neighbours:?}"
        );
        assert_eq!(found.local, *local, "the local state is the server's");
    }
}

#[test]
fn whoever_stops_serving_moves_behind_the_others() {
    let next = |states: &[(Public, Local)]| {
        let members: Vec<Member> = states
            .iter()
            .zip(1..)
            .map(|(state, id)| member(id, *state))
            .collect();
        chain::next(&members)
            .iter()
            .map(|member| (member.target.0, member.public))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        next(&[(SERVING, OFF), (SERVING, UP), (GONE, OFF)]),
        [(2, SERVING), (3, GONE), (1, GONE)],
        "the one that would have been the last to serve comes behind those that were offline before"
    );
    assert_eq!(next(&[(SERVING, OFF), (SERVING, OFF)]), [(1, LASTSRV), (2, GONE)]);
    assert_eq!(
        next(&[(SERVING, UP), (SYNCING, UP)]),
        [(1, SERVING), (2, SERVING)]
    );
    assert_eq!(
        next(&[(LASTSRV, ON), (GONE, ON), (GONE, ON)]),
        [(1, SERVING), (2, SYNCING), (3, WAITING)]
    );
    assert_eq!(next(&[(LASTSRV, OFF), (SYNCING, UP)]), [(2, SERVING), (1, GONE)]);
    assert_eq!(next(&[]), []);
}

/// Every chain of up to three targets in every valid combination of states.
#[test]
fn all_small_chains_stay_valid() {
    let publics = [SERVING, LASTSRV, SYNCING, WAITING, GONE];
    let states: Vec<(Public, Local)> = publics
        .iter()
        .flat_map(|public| [UP, ON, OFF].map(|local| (*public, local)))
        .collect();
    let mut seen = 0;
    for a in &states {
        for b in &states {
            for c in &states {
                seen += u32::from(check_chain(&[*a, *b, *c]));
                seen += u32::from(check_chain(&[*a, *b]));
            }
        }
    }
    assert!(seen > 1000, "only {seen} valid chains");
}

/// Checks a step of a chain; false if the chain is none.
fn check_chain(states: &[(Public, Local)]) -> bool {
    let members: Vec<Member> = states
        .iter()
        .zip(1..)
        .map(|(state, id)| member(id, *state))
        .collect();
    let bare = |members: &[Member]| -> Vec<ChainTargetInfo> {
        let bare = |m: &Member| ChainTargetInfo {
            target_id: m.target,
            public_state: m.public,
        };
        members.iter().map(bare).collect()
    };
    if chain::fault(&bare(&members)).is_some() {
        return false;
    }
    let next = chain::next(&members);
    assert_eq!(chain::fault(&bare(&next)), None, "{members:?} became {next:?}");
    let count = |members: &[Member], state| members.iter().filter(|member| member.public == state).count();
    let good = |members: &[Member]| count(members, SERVING) + count(members, LASTSRV) > 0;
    assert!(
        !good(&members) || good(&next),
        "{members:?} became {next:?}, and nobody has the data"
    );
    assert!(
        count(&next, SYNCING) <= count(&members, SYNCING).max(1),
        "{members:?} became {next:?}"
    );
    for member in &next {
        let before = members
            .iter()
            .find(|before| before.target == member.target)
            .expect("nobody joins");
        let rises = member.public == SERVING && before.public != SERVING;
        let may = before.public == LASTSRV || (before.public == SYNCING && before.local == UP);
        assert!(!rises || may, "{before:?} became {member:?}");
    }
    true
}

#[test]
fn a_chain_of_one_fails_and_returns() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[71]).unwrap();
    c.storage_heartbeat(200, &[(71, OFF)]).unwrap();
    c.pass_secs(1);
    assert_eq!(c.states(7), [(71, LASTSRV)]);
    c.storage_heartbeat(200, &[(71, ON)]).unwrap();
    c.pass_secs(1);
    assert_eq!(
        (c.states(7), c.chain(7).chain_version.0),
        (vec![(71, SERVING)], 3)
    );
    c.storage_heartbeat(200, &[(71, UP)]).unwrap();
    c.pass_secs(59);
    assert_eq!(c.states(7), [(71, SERVING)]);
    c.pass_secs(12);
    assert_eq!(
        (c.states(7), c.chain(7).chain_version.0),
        (vec![(71, LASTSRV)], 4),
        "it fell silent"
    );
    let version = c.version();
    c.pass_secs(1000);
    assert!(
        c.version() <= version + 1,
        "only the status of the node is left to publish"
    );
}

#[test]
fn three_replicas_fail_in_turn_and_return() {
    let mut c = Cluster::embedded();
    c.set_chain(7, &[1, 2, 3]).unwrap();
    let mut step = |states: [Local; 3], expected: &[(u64, Public)]| {
        for (node, state) in (1..).zip(states) {
            c.storage_heartbeat(200 + node, &[(u64::from(node), state)])
                .unwrap();
        }
        let before = c.chain(7);
        c.pass_secs(1);
        let after = c.chain(7);
        assert_eq!(c.states(7), expected, "{states:?}");
        let grown = after.chain_version.0 - before.chain_version.0;
        assert_eq!(
            grown,
            u32::from(after.targets != before.targets),
            "a version per change"
        );
    };
    step([UP, UP, UP], &[(1, SERVING), (2, SERVING), (3, SERVING)]);
    step([OFF, UP, UP], &[(2, SERVING), (3, SERVING), (1, GONE)]);
    step([OFF, OFF, UP], &[(3, SERVING), (1, GONE), (2, GONE)]);
    step([OFF, OFF, OFF], &[(3, LASTSRV), (1, GONE), (2, GONE)]);
    step([ON, ON, OFF], &[(3, LASTSRV), (1, WAITING), (2, WAITING)]);
    step([ON, ON, ON], &[(3, SERVING), (1, SYNCING), (2, WAITING)]);
    step([UP, ON, UP], &[(3, SERVING), (1, SERVING), (2, SYNCING)]);
    step([UP, ON, UP], &[(3, SERVING), (1, SERVING), (2, SYNCING)]);
    step([UP, UP, UP], &[(3, SERVING), (1, SERVING), (2, SERVING)]);
    step([OFF, OFF, OFF], &[(3, LASTSRV), (1, GONE), (2, GONE)]);
    let changes = c
        .events
        .iter()
        .filter(|event| matches!(event, Event::ChainChanged { .. }))
        .count();
    assert_eq!(u32::try_from(changes), Ok(c.chain(7).chain_version.0 - 1));
}

#[test]
fn states_of_a_new_chain_are_frozen() {
    let mut c = Cluster::new(Options {
        new_chain_bootstrap_interval: Span::from_secs(120),
        ..options()
    });
    c.set_chain(7, &[71, 72]).unwrap();
    c.storage_heartbeat(200, &[(71, OFF)]).unwrap();
    c.pass_secs(60);
    c.storage_heartbeat(200, &[(71, OFF)]).unwrap();
    c.pass_secs(60);
    assert_eq!(c.states(7), [(71, SERVING), (72, SERVING)]);
    c.pass_secs(12);
    assert_eq!(
        c.states(7),
        [(71, LASTSRV), (72, GONE)],
        "released without being heard of"
    );
    let mut c = c.restart();
    c.storage_heartbeat(200, &[(71, ON)]).unwrap();
    c.pass_secs(120);
    assert_eq!(
        c.states(7),
        [(71, LASTSRV), (72, GONE)],
        "a loaded chain is frozen, too"
    );
    c.storage_heartbeat(200, &[(71, ON)]).unwrap();
    c.pass_secs(11);
    assert_eq!(c.states(7), [(71, SERVING), (72, GONE)]);
}

#[test]
fn chains_that_serve_are_brought_into_their_preferred_order() {
    let mut c = Cluster::new(Options {
        try_adjust_target_order_as_preferred: true,
        ..options()
    });
    let chains = vec![chain_setting(7, &[1, 2], true)];
    ask!(c, SetChains, SetChainsReq { chains, ..blank() }).unwrap();
    let mut step = |states: [Local; 2], expected: &[(u64, Public)]| {
        c.storage_heartbeat(200, &[(1, states[0]), (2, states[1])])
            .unwrap();
        c.pass_secs(1);
        assert_eq!(c.states(7), expected, "{states:?}");
    };
    step([UP, UP], &[(1, SERVING), (2, SERVING)]);
    step([OFF, UP], &[(2, SERVING), (1, GONE)]);
    step([ON, UP], &[(2, SERVING), (1, SYNCING)]);
    // Target 1 serves again, and the one in front of it leaves so that it can come back behind.
    step([UP, UP], &[(1, SERVING), (2, GONE)]);
    step([UP, ON], &[(1, SERVING), (2, SYNCING)]);
    step([UP, UP], &[(1, SERVING), (2, SERVING)]);
    step([UP, UP], &[(1, SERVING), (2, SERVING)]);
    assert_eq!(c.chain(7).chain_id, ChainId(7));
}
