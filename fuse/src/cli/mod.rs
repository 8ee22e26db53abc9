//! The command line.
//!
//! ```text
//!   flyer mount ──► local, stub ──► session ──► exit code
//!   flyer umount ──► record of the mount
//!   flyer bench ──► flyer mount, loads, tables
//! ```
//!
//! Whatever goes wrong ends as one line with a remedy and an exit code; see [`failure`].

mod background;
pub mod bench;
pub mod failure;
pub mod local;
mod mount;
mod paths;
mod umount;

pub use failure::{Failure, Kind};

use clap::{Arg, ArgMatches, Command};
use std::io::Write;
use std::process::ExitCode;

/// Log messages that are shown without `--log`. fuser reports answers to requests that were aborted meanwhile as errors.
const LOG_DEFAULT: &str = "warn,fuser=off";

const EXIT_CODES: &str = "Exit codes:
    0  done; for a mount: everything is written out
    1  something else failed
    2  the command line is wrong
    3  FUSE cannot be used: no /dev/fuse, no right to mount, no fusermount3
    4  the mount point cannot be used: in use, not a directory, not a mount
    5  the local directory cannot be used: locked, foreign, damaged
    6  data could not be written out and is lost
  130  a second signal ended the mount before everything was written out";

const EXAMPLES: &str = "Examples:
  flyer mount --local ~/flyer /mnt/flyer       keep data in ~/flyer; Ctrl-C stops
  flyer mount --background --local ~/flyer /mnt/flyer
  flyer umount /mnt/flyer                      stop it, when everything is written out
  flyer bench                                  measure it here";

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version come as errors too. If they cannot be printed, there is nobody to tell.
            let _closed = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    match dispatch(&matches) {
        Ok(code) => code,
        Err(failure) => {
            let _closed = writeln!(std::io::stderr(), "flyer: {failure}");
            failure.exit_code()
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    match matches.subcommand() {
        Some(("mount", matches)) => mount::run(matches),
        Some(("umount", matches)) => umount::run(matches),
        Some(("bench", matches)) => bench::run(matches),
        Some((bench::WORKER, matches)) => bench::run_worker(matches),
        Some(_) | None => unreachable!("clap asks for one of the commands"),
    }
}

/// The whole command line.
#[must_use]
pub fn command() -> Command {
    Command::new("flyer")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A file system client for 3FS, with a cluster of its own in one directory")
        .after_help(format!("{EXAMPLES}\n\n{EXIT_CODES}"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(mount::command())
        .subcommand(umount::command())
        .subcommand(bench::command())
        .subcommand(bench::worker_command())
}

fn log_argument() -> Arg {
    Arg::new("log")
        .long("log")
        .value_name("FILTER")
        .default_value(LOG_DEFAULT)
        .help("What to log to standard error: error, warn, info, debug, trace, also by module")
}

/// Starts the log. Called once in each process.
fn start_log(matches: &ArgMatches) -> Result<(), Failure> {
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let filter: &String = matches.get_one("log").expect("it has a default");
    let targets: Targets = filter
        .parse()
        .map_err(|error| Failure::new(Kind::Usage, format!("--log {filter}: {error}; try --log info")))?;
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(layer.with_filter(targets))
        .try_init()
        .map_err(|error| Failure::new(Kind::Other, format!("cannot start the log: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn help_shows_commands_examples_and_exit_codes() {
        let help = command().render_help().to_string();
        for part in [
            "mount",
            "umount",
            "bench",
            "flyer mount --local",
            "Exit codes",
            "130",
        ] {
            assert!(help.contains(part), "{part} is missing in\n{help}");
        }
        assert!(!help.contains(bench::WORKER), "{help}");
        let mut command = command();
        let mount = command
            .find_subcommand_mut("mount")
            .expect("there is one")
            .render_long_help()
            .to_string();
        assert!(
            !mount.contains("--stub") && !mount.contains("--detached"),
            "{mount}"
        );
    }
}
