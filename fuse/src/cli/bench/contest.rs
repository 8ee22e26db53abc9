//! The contestants: mounted all at once, taking turns, left out when they fail.
//!
//! ```text
//!   mounted ──► prepared ──turn, turn, ...──► unmounted
//!      └──────────┴───────────┴──fails──► left out ──► unmounted
//! ```
//!
//! Before each turn everything that anybody has written goes to the disk, outside the timing, so that nobody pays for it who
//! did not write it. What a file system does by itself later, such as tidying up after removals, still falls into the turns of
//! others.

use super::data::{self, Files};
use super::peers::{Directory, Mount, Peer};
use super::table::{Figures, Table};
use super::workers::Team;
use super::{Amount, Failure, Kind, Placement, pin, say, stats};
use std::fs::File;
use std::io;
use std::path::Path;

/// What a contestant needs for its turns.
pub(super) struct Ready {
    pub(super) files: Files,
    pub(super) team: Team,
}

/// One that takes turns. Dropped from the first field to the last: nobody may be at work in a mount that goes.
struct Contestant {
    /// `None`: it is left out from now on.
    ready: Option<Ready>,
    mount: Mount,
}

/// All of them.
pub(super) struct Contest {
    contestants: Vec<Contestant>,
    // Last, because the mounts are in it.
    directory: Directory,
}

impl Contest {
    /// Mounts and prepares whatever can be had here, and says what cannot.
    pub(super) fn start(
        directory: Directory,
        amount: &Amount,
        placement: Placement,
    ) -> Result<Self, Failure> {
        pin(placement.server())?;
        let mounts = Peer::ALL.map(|peer| (peer, Mount::start(peer, &directory)));
        pin(placement.load())?;
        let mut contestants = Vec::new();
        let mut reasons = Vec::new();
        for (peer, mount) in mounts {
            let mounted = mount
                .and_then(|mount| mount.ok_or_else(|| Failure::new(Kind::Other, "it is not installed here")))
                .and_then(|mount| prepare(mount, amount).map_err(|error| other(&error)));
            match mounted {
                Ok(contestant) => contestants.push(contestant),
                Err(failure) => {
                    say(&format!("{}: left out: {failure}", peer.name()));
                    reasons.push((peer, failure));
                }
            }
        }
        let ours = |peer: Peer| matches!(peer, Peer::Stub | Peer::Local);
        if contestants.iter().any(|contestant| ours(contestant.mount.peer)) {
            return Ok(Self {
                contestants,
                directory,
            });
        }
        let reason = reasons.into_iter().find(|(peer, _)| ours(*peer));
        Err(reason.expect("whoever does not take part has a reason").1)
    }

    /// Who took part from the beginning.
    pub(super) fn names(&self) -> Vec<&'static str> {
        let name = |contestant: &Contestant| contestant.mount.peer.name();
        self.contestants.iter().map(name).collect()
    }

    /// Lets each contestant have one turn with the same load.
    pub(super) fn turns(
        &mut self,
        round: u32,
        table: &mut Table,
        mut load: impl FnMut(&Path, &mut Ready) -> io::Result<Figures>,
    ) {
        for at in stats::order(round, self.contestants.len()) {
            self.settle();
            let Contestant { ready, mount } = &mut self.contestants[at];
            let Some(taking_part) = ready else { continue };
            match load(&mount.path, taking_part) {
                Ok(figures) => table.put(at, figures),
                Err(error) => self.contestants[at].leave_out(&error),
            }
        }
    }

    /// Everything goes to the disk: what the file systems still hold, then what the one below them holds.
    fn settle(&mut self) {
        for contestant in &mut self.contestants {
            if contestant.ready.is_some()
                && let Err(error) = File::open(&contestant.mount.path).and_then(|root| root.sync_all())
            {
                contestant.leave_out(&error);
            }
        }
        let below = File::open(&self.directory.0)
            .and_then(|directory| nix::unistd::syncfs(directory).map_err(io::Error::from));
        if let Err(error) = below {
            tracing::warn!(%error, "cannot sync the disk between turns");
        }
    }

    /// Unmounts all and removes what they have left.
    pub(super) fn end(self) {
        for Contestant { ready, mount } in self.contestants {
            drop(ready);
            let peer = mount.peer;
            if let Err(failure) = mount.end() {
                say(&format!("{}: cannot be unmounted: {failure}", peer.name()));
            }
        }
    }
}

impl Contestant {
    fn leave_out(&mut self, error: &io::Error) {
        say(&format!(
            "{}: left out from here on: {error}",
            self.mount.peer.name()
        ));
        self.ready = None;
    }
}

fn prepare(mount: Mount, amount: &Amount) -> io::Result<Contestant> {
    let ready = Ready {
        files: data::prepare(mount.peer, &mount.path, amount)?,
        team: Team::start(&mount.path, amount.processes)?,
    };
    Ok(Contestant {
        ready: Some(ready),
        mount,
    })
}

fn other(error: &io::Error) -> Failure {
    Failure::new(Kind::Other, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::table::Row;
    use super::*;

    #[test]
    fn who_fails_has_no_more_turns_and_the_others_go_on() {
        let directory = Directory::new(None).expect("a temporary directory");
        let path = directory.0.clone();
        let contestant = |name: &str| {
            let place = path.join(name);
            std::fs::create_dir(&place).expect("it is new");
            let files = data::prepare(Peer::Stub, &place, &Amount::default()).expect("nothing is made");
            let team = Team::start(&place, 0).expect("nobody is started");
            Contestant {
                ready: Some(Ready { files, team }),
                mount: Mount {
                    peer: Peer::Disk,
                    path: place,
                },
            }
        };
        let mut contest = Contest {
            contestants: ["good", "bad", "gone"].map(contestant).into(),
            directory,
        };
        std::fs::remove_dir(path.join("gone")).expect("it is empty");
        let mut table = Table::new("Data", ("good", "bad"), vec!["good", "bad", "gone"], 3);
        let mut turns = Vec::new();
        for round in 0..3 {
            contest.turns(round, &mut table, |place, _| {
                let name = place
                    .file_name()
                    .expect("it has one")
                    .to_string_lossy()
                    .into_owned();
                turns.push((round, name.clone()));
                if name == "bad" && round == 1 {
                    return Err(io::Error::other("it is bad"));
                }
                Ok(vec![(Row::new("load", "1/s", Some(0.5)), f64::from(round) + 1.0)])
            });
        }
        turns.sort();
        let expected = [(0, "bad"), (0, "good"), (1, "bad"), (1, "good"), (2, "good")];
        assert_eq!(turns, expected.map(|(round, name)| (round, name.to_owned())));
        let shown = table.to_string();
        let words: Vec<&str> = shown.lines().nth(1).expect("a row").split_whitespace().collect();
        assert_eq!(
            words,
            ["load", "1/s", "2.00", "-", "-", "-", "-", "-", "0.50", "-"]
        );
        contest.end();
        assert!(!path.exists(), "everything is removed");
    }
}
