//! How the members of a chain change state. Pure functions over the list of members.
//!
//! ```text
//!                     local fails                      local is back, nobody serves
//!   ┌───────── SERVING ──────────► LASTSRV ────────────────────────────► SERVING
//!   │             ▲  (the first to fail while         │ somebody serves
//!   │ another     │   nobody else serves)             ▼
//!   │ fails too   │ UPTODATE                       OFFLINE
//!   │             │
//!   │          SYNCING ◄─────────── WAITING ◄────────────┐
//!   │             │  somebody serves   │                 │ local is back
//!   └──► OFFLINE ◄┴────────────────────┴── local fails   │
//!           └────────────────────────────────────────────┘  (straight to SYNCING if somebody serves)
//! ```
//!
//! Members are kept in the order SERVING, LASTSRV, SYNCING, WAITING, OFFLINE, so that a member that stops serving moves
//! behind the others, and one that returns is appended behind those that serve.
//!
//! Source: `src/mgmtd/service/updateChain.cc` upstream.

use alloc::vec::Vec;
use flyer_types::ids::TargetId;
use flyer_wire::msg::mgmtd::routing::{ChainTargetInfo, LocalTargetState, PublicTargetState};

/// A member of a chain with both its states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The target.
    pub target: TargetId,
    /// State as the manager publishes it.
    pub public: PublicTargetState,
    /// State as its server last reported it.
    pub local: LocalTargetState,
}

/// The public states in the order in which members of a chain are kept.
pub const ORDER: [PublicTargetState; 5] = [
    PublicTargetState::SERVING,
    PublicTargetState::LASTSRV,
    PublicTargetState::SYNCING,
    PublicTargetState::WAITING,
    PublicTargetState::OFFLINE,
];

/// The members after their local states were looked at.
#[must_use]
pub fn next(members: &[Member]) -> Vec<Member> {
    let mut seen = Seen::default();
    let mut moved = Vec::with_capacity(members.len());
    for public in ORDER {
        for member in members.iter().filter(|member| member.public == public) {
            let public = seen.next_state(member);
            seen.serving |= public == PublicTargetState::SERVING;
            seen.lastsrv |= public == PublicTargetState::LASTSRV;
            seen.syncing |= public == PublicTargetState::SYNCING;
            moved.push(Member { public, ..*member });
        }
    }
    let mut sorted = Vec::with_capacity(members.len());
    for public in ORDER {
        let demoted = seen.serving && public == PublicTargetState::LASTSRV;
        if !demoted {
            sorted.extend(moved.iter().filter(|member| member.public == public).copied());
        }
    }
    if seen.serving {
        let lastsrv = moved
            .iter()
            .filter(|member| member.public == PublicTargetState::LASTSRV);
        sorted.extend(lastsrv.map(|member| Member {
            public: PublicTargetState::OFFLINE,
            ..*member
        }));
    }
    debug_assert!(
        sorted.len() == members.len(),
        "a member has a state outside the list"
    );
    sorted
}

/// Which states members have got so far.
#[derive(Default)]
struct Seen {
    serving: bool,
    lastsrv: bool,
    syncing: bool,
}

impl Seen {
    /// The next state of a member, given those in front of it.
    fn next_state(&self, member: &Member) -> PublicTargetState {
        let uptodate = member.local == LocalTargetState::UPTODATE;
        let online = member.local == LocalTargetState::ONLINE;
        match member.public {
            PublicTargetState::SERVING if uptodate || online => PublicTargetState::SERVING,
            PublicTargetState::SERVING if !self.lastsrv => PublicTargetState::LASTSRV,
            PublicTargetState::LASTSRV if !self.serving && (uptodate || online) => PublicTargetState::SERVING,
            PublicTargetState::LASTSRV if !self.serving => PublicTargetState::LASTSRV,
            PublicTargetState::SYNCING if uptodate => PublicTargetState::SERVING,
            PublicTargetState::SYNCING if online && self.serving => PublicTargetState::SYNCING,
            PublicTargetState::SYNCING if online => PublicTargetState::WAITING,
            PublicTargetState::WAITING | PublicTargetState::OFFLINE
                if online && self.serving && !self.syncing =>
            {
                PublicTargetState::SYNCING
            }
            PublicTargetState::WAITING | PublicTargetState::OFFLINE if online || uptodate => {
                PublicTargetState::WAITING
            }
            _ => PublicTargetState::OFFLINE,
        }
    }
}

/// The members after the last one to serve was given up for the next one; `None` if there is nothing to give up.
#[must_use]
pub fn rotate_lastsrv(targets: &[ChainTargetInfo]) -> Option<Vec<ChainTargetInfo>> {
    let (first, rest) = targets.split_first()?;
    if rest.is_empty() || first.public_state != PublicTargetState::LASTSRV {
        return None;
    }
    let order = rest.iter().chain([first]);
    let state = |at| {
        if at == 0 {
            PublicTargetState::LASTSRV
        } else {
            PublicTargetState::OFFLINE
        }
    };
    let rotated = order.enumerate().map(|(at, target)| ChainTargetInfo {
        public_state: state(at),
        ..*target
    });
    Some(rotated.collect())
}

/// The members one step nearer to the preferred order; `None` if they are there, or the next one to move does not serve.
#[must_use]
pub fn rotate_preferred(targets: &[ChainTargetInfo], preferred: &[TargetId]) -> Option<Vec<ChainTargetInfo>> {
    let (at, wanted) = targets
        .iter()
        .zip(preferred)
        .enumerate()
        .find(|(_, (target, wanted))| target.target_id != **wanted)
        .map(|(at, (_, wanted))| (at, *wanted))?;
    let serves = |target: &ChainTargetInfo| {
        target.target_id == wanted && target.public_state == PublicTargetState::SERVING
    };
    if !targets.iter().any(serves) {
        return None;
    }
    let mut rotated = targets.to_vec();
    let mut moved = rotated.remove(at);
    moved.public_state = PublicTargetState::OFFLINE;
    rotated.push(moved);
    Some(rotated)
}

/// What is wrong with a list of members; `None` if it is one that the functions of this module make.
#[must_use]
pub fn fault(targets: &[ChainTargetInfo]) -> Option<&'static str> {
    if targets.is_empty() {
        return Some("it has no targets");
    }
    let rank = |target: &ChainTargetInfo| ORDER.iter().position(|state| *state == target.public_state);
    if targets.iter().any(|target| rank(target).is_none()) {
        return Some("a target has an unknown state");
    }
    if targets
        .windows(2)
        .any(|pair| pair.first().map(rank) > pair.last().map(rank))
    {
        return Some("its targets are not ordered by state");
    }
    let count = |state| {
        targets
            .iter()
            .filter(|target| target.public_state == state)
            .count()
    };
    let lastsrv = count(PublicTargetState::LASTSRV);
    if lastsrv > 1 {
        return Some("two targets are the last to have served");
    }
    if lastsrv == 1 && count(PublicTargetState::SERVING) > 0 {
        return Some("one target is the last to have served and another serves");
    }
    let repeats = |(at, target): (usize, &ChainTargetInfo)| {
        targets
            .iter()
            .skip(at + 1)
            .any(|other| other.target_id == target.target_id)
    };
    targets
        .iter()
        .enumerate()
        .any(repeats)
        .then_some("a target is in it twice")
}
