//! `flyer bench`: what a mount can do here, side by side with others.
//!
//! ```text
//!   for each file system: mount ──► data loads (threads of this process) ──► name loads (worker processes) ──► unmount
//!                                              └──────────► rows of figures ──► tables with ratios ◄──────────┘
//! ```
//!
//! Columns: `stub`, which answers from memory and shows the ceiling of the way through the kernel; `local`, when this build has it;
//! `bindfs` over a directory on the same disk, when it is installed. A figure means little without the placement of threads: a round trip
//! costs several times more between two cores than on one. So servers and loads are pinned, and the output says where.
//!
//! Limits: everything is one run of a fixed amount of work; [`WORKERS_MAX`] worker processes.

mod data;
mod names;
mod peers;
mod table;

use super::failure::{Failure, Kind};
use super::paths;
use clap::{Arg, ArgMatches, Command, value_parser};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use peers::{Mount, Peer};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use table::Table;

/// Name of the hidden command that a worker process runs.
pub(super) const WORKER: &str = "bench-worker";

/// Most worker processes of one load.
pub const WORKERS_MAX: u16 = 64;

pub(super) fn command() -> Command {
    Command::new("bench")
        .about("Measure mounts on this machine and print tables")
        .after_help(
            "Example:\n  flyer bench --directory /data/tmp --files 20000\n\n\
             Run it as root on a quiet machine: caches are dropped where that is allowed.",
        )
        .arg(
            Arg::new("directory")
                .long("directory")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where to put mount points and data; the disk below it is what is measured [default: a temporary directory]"),
        )
        .arg(
            Arg::new("files")
                .long("files")
                .value_name("N")
                .default_value("2000")
                .value_parser(value_parser!(u32).range(1..=10_000_000))
                .help("Files of the loads with names"),
        )
        .arg(
            Arg::new("processes")
                .long("processes")
                .value_name("N")
                .default_value("4")
                .value_parser(value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))
                .help("Processes of the second run of these loads; the first has one"),
        )
        .arg(
            Arg::new("bytes")
                .long("bytes")
                .value_name("BYTES")
                .default_value("256M")
                .value_parser(paths::bytes)
                .help("Data of each sequential load"),
        )
        .arg(
            Arg::new("reads")
                .long("reads")
                .value_name("N")
                .default_value("20000")
                .value_parser(value_parser!(u32).range(1..=100_000_000))
                .help("Requests of each random load"),
        )
        .arg(
            Arg::new("placement")
                .long("placement")
                .value_name("HOW")
                .default_value("same")
                .value_parser(["same", "apart", "free"])
                .help("same: servers and loads on core 0; apart: on cores 0 and 1; free: wherever the system puts them"),
        )
        .arg(super::log_argument())
}

pub(super) fn worker_command() -> Command {
    names::worker_command()
}

/// How much of everything.
#[derive(Clone, Debug)]
struct Amount {
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
        "flyer {}, {}, {} reads, {} MiB, {} files\n",
        env!("CARGO_PKG_VERSION"),
        placement.text(),
        amount.reads,
        amount.bytes >> 20,
        amount.files
    ));
    let mut data = Table::new("Data", "stub");
    let mut names = Table::new("Names", "bindfs");
    for peer in Peer::ALL {
        pin(placement.server())?;
        let mount = match Mount::start(peer, &directory) {
            Ok(Some(mount)) => mount,
            Ok(None) => {
                say(&format!("{}: not available here, left out", peer.name()));
                continue;
            }
            Err(failure) if peer == Peer::Local => {
                say(&format!("{}: left out ({failure})", peer.name()));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        pin(placement.load())?;
        let failed = |error: std::io::Error| Failure::new(Kind::Other, format!("{}: {error}", peer.name()));
        data::run(&mount, &amount, &mut data.column(peer.name())).map_err(failed)?;
        names::run(&mount, &amount, &mut names.column(peer.name())).map_err(failed)?;
        mount.end()?;
    }
    say(&data.to_string());
    say(&names.to_string());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run_worker(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    names::run_worker(matches)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Failure::new(Kind::Other, format!("a load failed: {error}")))
}

fn say(text: &str) {
    // Whoever closed the output does not want to know.
    let _closed = writeln!(std::io::stdout(), "{text}");
}
