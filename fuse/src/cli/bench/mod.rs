//! `flyer bench`: what a mount can do here, side by side with others.
//!
//! ```text
//!   mount all ──► rounds of data loads (threads of this process) ──► rounds of name loads (worker processes) ──► unmount all
//!                                 └────── figures of each turn ──────────┴──► medians, ratios within rounds, goals
//! ```
//!
//! Contestants: `stub`, which answers from memory and shows the ceiling of the way through the kernel; `local`, the embedded
//! cluster; `bindfs` over a directory on the same disk, when it is installed; `disk`, that directory without FUSE. They take
//! turns in each round, in an order that changes, so that what disturbs the machine meets them alike.
//!
//! A figure means little without the placement of threads: a round trip costs several times more between two cores than on one.
//! So servers and loads are pinned, and the output says where.
//!
//! Limits: a fixed amount of work, shared out over at most [`ROUNDS_MAX`] rounds; [`WORKERS_MAX`] worker processes for each
//! contestant. If it is killed, mounts stay until `umount`.

mod below;
mod contest;
mod data;
mod names;
mod peers;
mod stats;
mod table;
mod workers;

use super::failure::{Failure, Kind};
use super::paths;
use clap::{Arg, ArgMatches, Command, value_parser};
use contest::Contest;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use peers::Peer;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use table::{Table, Tally};

/// Name of the hidden command that a worker process runs.
pub(super) const WORKER: &str = "bench-worker";

/// Most worker processes of one load.
pub const WORKERS_MAX: u16 = 64;

/// Most rounds; more would make turns too short to measure.
pub const ROUNDS_MAX: u32 = 1_000;

const ABOUT: &str = "Measure mounts on this machine, beside others";

const AFTER_HELP: &str = "Contestants, mounted at the same time and taking turns:
  stub    the same program in front of a file system that answers from memory: the ceiling
  local   'flyer mount --local'
  bindfs  'bindfs DIR MNT' as installed (single-threaded), if it is installed
  disk    a plain directory on the same disk, without FUSE: the floor below local and bindfs

Each load runs in rounds and each round is a part of the work, so more rounds do not take longer. Figures are
medians over rounds. The ratio is the median of the ratios within rounds; beside it are the lowest and the
highest of them. If they lie far apart, the machine was not quiet: take more work rather than believe it.

Run it as root on a quiet machine. The defaults take some minutes; for a first look:
  flyer bench --files 2000 --bytes 64M --reads 5000

Goals that are missed are named in the end; the exit code is 0 all the same.";

pub(super) fn command() -> Command {
    let number = |name: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("N")
            .default_value(default)
            .help(help)
    };
    Command::new("bench")
        .about(ABOUT)
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("directory")
                .long("directory")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("For mount points and data; its disk is measured [default: the temporary directory]"),
        )
        .arg(
            number("rounds", "5", "Rounds that share the work")
                .value_parser(value_parser!(u32).range(1..=i64::from(ROUNDS_MAX))),
        )
        .arg(
            number("files", "20000", "Files of the loads with names, over all rounds")
                .value_parser(value_parser!(u32).range(1..=10_000_000)),
        )
        .arg(
            number(
                "processes",
                "4",
                "Processes of the second run of these loads; the first has one",
            )
            .value_parser(value_parser!(u16).range(1..=i64::from(WORKERS_MAX))),
        )
        .arg(
            number("bytes", "256M", "Data of each sequential load, over all rounds")
                .value_name("BYTES")
                .value_parser(paths::bytes),
        )
        .arg(
            number(
                "reads",
                "20000",
                "Random reads, attributes and lookups, over all rounds",
            )
            .value_parser(value_parser!(u32).range(1..=100_000_000)),
        )
        .arg(
            Arg::new("placement")
                .long("placement")
                .value_name("HOW")
                .default_value("same")
                .value_parser(["same", "apart", "free"])
                .hide_possible_values(true)
                .help("same: servers and loads on core 0; apart: on 0 and 1; free: anywhere"),
        )
        .arg(super::log_argument())
}

pub(super) fn worker_command() -> Command {
    workers::command()
}

/// How much of everything, over all rounds.
#[derive(Clone, Debug, Default)]
struct Amount {
    rounds: u32,
    files: u32,
    processes: u16,
    bytes: u64,
    reads: u32,
}

/// Where servers and loads run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    Same,
    Apart,
    Free,
}

impl Placement {
    const fn text(self) -> &'static str {
        match self {
            Self::Same => "servers and loads pinned to core 0",
            Self::Apart => "servers pinned to core 0, loads to core 1",
            Self::Free => "nothing pinned",
        }
    }

    const fn server(self) -> Option<usize> {
        match self {
            Self::Same | Self::Apart => Some(0),
            Self::Free => None,
        }
    }

    const fn load(self) -> Option<usize> {
        match self {
            Self::Same => Some(0),
            Self::Apart => Some(1),
            Self::Free => None,
        }
    }
}

/// Pins this thread and what it starts from now on; `None`: to nothing.
fn pin(core: Option<usize>) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    let cores = match core {
        Some(core) => core..core + 1,
        None => 0..CpuSet::count(),
    };
    let pinned = cores.into_iter().try_for_each(|core| set.set(core));
    pinned
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .map_err(|error| {
            Failure::new(
                Kind::Other,
                format!("cannot pin to core {core:?}: {error}; try --placement free"),
            )
        })
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    super::start_log(matches)?;
    let amount = Amount {
        rounds: *matches.get_one("rounds").expect("it has a default"),
        files: *matches.get_one("files").expect("it has a default"),
        processes: *matches.get_one("processes").expect("it has a default"),
        bytes: *matches.get_one("bytes").expect("it has a default"),
        reads: *matches.get_one("reads").expect("it has a default"),
    };
    let placement = match matches
        .get_one::<String>("placement")
        .expect("it has a default")
        .as_str()
    {
        "apart" => Placement::Apart,
        "free" => Placement::Free,
        _ => Placement::Same,
    };
    let directory = peers::Directory::new(matches.get_one::<PathBuf>("directory").cloned())?;
    say(&format!(
        "flyer {}, {}; in {}: {} reads, {} MiB, {} files\n",
        env!("CARGO_PKG_VERSION"),
        placement.text(),
        rounds(amount.rounds),
        amount.reads,
        amount.bytes >> 20,
        amount.files
    ));
    let warning = below::warning(&directory.0);
    let mut contest = Contest::start(directory, &amount, placement)?;
    let names = contest.names();
    let tables = measure(&mut contest, &amount);
    contest.end();
    for table in &tables {
        say(&table.to_string());
    }
    say(&notes(&names, &amount));
    if let Some(warning) = warning {
        say(warning);
    }
    for failure in tables.iter().flat_map(Table::failures) {
        say(&failure);
    }
    let tally = tables
        .iter()
        .map(Table::tally)
        .fold(Tally::default(), |sum, tally| sum + tally);
    let but = warning.map_or("", |_| "; see the WARNING above");
    say(&format!("{}{but}", summary(tally)));
    Ok(ExitCode::SUCCESS)
}

/// All rounds of all loads. Loads with names come last: what they leave behind keeps some file systems busy for a while.
fn measure(contest: &mut Contest, amount: &Amount) -> [Table; 2] {
    let columns = contest.names();
    let count = usize::try_from(amount.rounds).expect("a count of rounds fits");
    let (ours, stub, bindfs) = (Peer::Local.name(), Peer::Stub.name(), Peer::Bindfs.name());
    let mut data = Table::new("Data", (ours, stub), columns.clone(), count);
    let mut names = Table::new("Names", (ours, bindfs), columns, count);
    for round in 0..amount.rounds {
        progress("data", round, amount.rounds);
        for load in data::LOADS {
            contest.turns(round, &mut data, |_, ready| {
                data::turn(&ready.files, load, amount, round)
            });
        }
    }
    let mut processes = vec![1, amount.processes];
    processes.dedup();
    for round in 0..amount.rounds {
        progress("names", round, amount.rounds);
        for processes in &processes {
            contest.turns(round, &mut names, |place, ready| {
                names::turn((place, &mut ready.team), amount, *processes, round)
            });
        }
    }
    [data, names]
}

/// What a reader has to know, about those who took part.
fn notes(names: &[&str], amount: &Amount) -> String {
    let takes_part = |peer: Peer| names.contains(&peer.name());
    let mut notes = format!(
        "Larger is better. Figures: medians of {}. Ratios: medians of those within rounds; low and high: the\n\
         lowest and highest of these; ?: the goal lies between them. Data is synced before each turn, untimed.\n\
         direct: past the page cache of the mount. cached: without the fsync that follows; +fsync: with it.\n\
         Names: each turn in new directories, the steps in this order. stat finds what create and ls have left\n\
         in the kernel's cache, for as long as the file system lets it: local 1 h, stub 30 s",
        rounds(amount.rounds)
    );
    if takes_part(Peer::Bindfs) {
        notes += ", bindfs 1 s at most\n(none if built for FUSE 3). bindfs runs as installed, 'bindfs DIR MNT': \
                  single-threaded, and it reads and\nwrites through the page cache of the disk even where it says direct";
    }
    notes += ".\n";
    if takes_part(Peer::Disk) {
        notes +=
            "disk: no FUSE; direct is the device itself here, and a cold cache has to be filled from it.\n";
    }
    notes
}

fn summary(tally: Tally) -> String {
    let mut text = format!("Goals: {} hold, {} are missed", tally.hold, tally.fail);
    if tally.unknown > 0 {
        text += &format!(", {} are not known because somebody was left out", tally.unknown);
    }
    if tally.doubtful > 0 {
        text += &format!("; in {} of these cases rounds disagree (?)", tally.doubtful);
    }
    text
}

fn rounds(count: u32) -> String {
    if count == 1 {
        "1 round".into()
    } else {
        format!("{count} rounds")
    }
}

pub(super) fn run_worker(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    workers::run(matches)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Failure::new(Kind::Other, format!("a worker of a load failed: {error}")))
}

fn say(text: &str) {
    // Whoever closed the output does not want to know.
    let _closed = writeln!(std::io::stdout(), "{text}");
}

/// For a person who waits.
fn progress(what: &str, round: u32, of: u32) {
    let mut output = std::io::stderr();
    if output.is_terminal() {
        let _closed = writeln!(output, "{what}: round {} of {of}", round + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_notes_keep_within_their_width() {
        let help = command().render_help().to_string();
        let amount = Amount {
            rounds: ROUNDS_MAX,
            ..Amount::default()
        };
        let all = notes(&Peer::ALL.map(Peer::name), &amount);
        let few = notes(&[Peer::Stub.name()], &amount);
        // That of the log is the same for all commands.
        let help_lines = help.lines().filter(|line| !line.contains("--log"));
        for line in help_lines
            .chain(all.lines())
            .chain(few.lines())
            .chain(below::WARNING.lines())
        {
            assert!(line.chars().count() <= 110, "{line}");
        }
        assert!(all.contains("bindfs DIR MNT") && !few.contains("bindfs"), "{few}");
        assert!(help.contains("--rounds"), "{help}");
    }

    #[test]
    fn the_last_line_says_whether_goals_hold() {
        let mut tally = Tally {
            hold: 3,
            ..Tally::default()
        };
        assert_eq!(summary(tally), "Goals: 3 hold, 0 are missed");
        tally.unknown = 2;
        tally.doubtful = 1;
        let line = summary(tally);
        assert!(
            line.contains("2 are not known") && line.contains("in 1 of these cases"),
            "{line}"
        );
    }
}
