//! Loads of names: files that are made, listed, looked at, moved and removed, by one process and by several.
//!
//! A turn is the whole sequence, so that each step finds the caches as the one before left them, as it would for a user. Each
//! turn has directories of its own: what has once held many names stays large on some file systems, and rounds are to begin
//! alike.
//!
//! Limits: `ls` looks at the names of one turn, not at those of all rounds.

use super::Amount;
use super::table::{Figures, Row};
use super::workers::{Operation, Team};
use std::fs;
use std::io;
use std::path::Path;

/// What is done, in this order, and what it should reach of `bindfs`.
const SEQUENCE: [(Operation, Option<f64>); 7] = [
    (Operation::Create, Some(1.5)),
    (Operation::List, Some(1.0)),
    (Operation::Stat, Some(1.5)),
    (Operation::Rename, Some(1.5)),
    (Operation::Unlink, Some(1.5)),
    (Operation::Mkdir, Some(1.5)),
    (Operation::Rmdir, None),
];

/// Names of one process in one round.
fn names(amount: &Amount, processes: u16) -> u32 {
    amount
        .files
        .div_ceil(amount.rounds)
        .div_ceil(u32::from(processes))
}

pub(super) fn turn(
    (place, team): (&Path, &mut Team),
    amount: &Amount,
    processes: u16,
    round: u32,
) -> io::Result<Figures> {
    let directories: Vec<String> = (0..processes)
        .map(|process| format!("names-{round}-{processes}-{process}"))
        .collect();
    for directory in &directories {
        fs::create_dir(place.join(directory))?;
    }
    let each = names(amount, processes);
    let mut figures = Figures::new();
    for (operation, goal) in SEQUENCE {
        // One process lists, as `ls` does.
        if operation == Operation::List && processes > 1 {
            continue;
        }
        let took = team.work(operation, &directories, each)?;
        let total = f64::from(each) * f64::from(processes);
        let row = Row::new(what(operation, processes), "1/s", goal);
        figures.push((row, total / took.as_secs_f64()));
    }
    for directory in directories {
        fs::remove_dir(place.join(directory))?;
    }
    Ok(figures)
}

fn what(operation: Operation, processes: u16) -> String {
    match (operation, processes) {
        (Operation::List, _) => "ls -lR of them".into(),
        (operation, 1) => format!("{}, 1 process", operation.name()),
        (operation, processes) => format!("{}, {processes} processes", operation.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_processes_share_the_names() {
        let amount = |files, rounds| Amount {
            files,
            rounds,
            ..Amount::default()
        };
        assert_eq!(names(&amount(20_000, 5), 1), 4_000);
        assert_eq!(names(&amount(20_000, 5), 4), 1_000);
        assert_eq!(names(&amount(10, 3), 4), 1);
        assert_eq!(names(&amount(1, 1_000), 64), 1);
    }
}
