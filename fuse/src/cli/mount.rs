//! `flyer mount`.

use super::failure::{Failure, Kind};
use super::local::{self, LocalOptions};
use super::{background, log_argument, paths, start_log};
use crate::adapter::Tuning;
use crate::file_system::FileSystem;
use crate::session::mount::{can_clone_device, resolve};
use crate::session::record::Record;
use crate::session::signals::Signals;
use crate::session::{MountOptions, Mounted, Outcome, Session, Settings, THREADS_MAX, mount_at};
use crate::stub::{Stub, StubOptions};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Payload memory unless asked otherwise.
const MEMORY_DEFAULT: &str = "512M";
const MEMORY_BYTES_MIN: u64 = 16 << 20;
/// Reader threads unless asked otherwise: one for each core, within these bounds.
const THREADS_DEFAULT_MIN: usize = 2;
const THREADS_DEFAULT_MAX: usize = 16;

const AFTER_HELP: &str = "Stop a mount with Ctrl-C, with SIGTERM or with 'flyer umount MOUNTPOINT'. All of them write everything out first; \
    a second signal does not.

Examples:
  flyer mount --local ~/flyer /mnt/flyer
  flyer mount --local ~/flyer /mnt/flyer --background --log-file ~/flyer.log
  flyer mount --local ~/flyer /mnt/flyer -o ro,noatime,fsname=data";

pub(super) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("mount")
        .about("Mount a file system")
        .override_usage("flyer mount [OPTIONS] --local <DIR> <MOUNTPOINT>")
        .after_help(AFTER_HELP)
        .arg(
            Arg::new("mount-point")
                .value_name("MOUNTPOINT")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Directory to mount at; made if it is not there"),
        )
        .arg(
            Arg::new("local")
                .long("local")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Keep everything in this directory, in a cluster of its own; made if it is not there"),
        )
        .arg(flag("stub", "Mount a file system that keeps nothing, to measure").hide(true))
        .group(ArgGroup::new("source").args(["local", "stub"]).required(true))
        .arg(flag(
            "background",
            "Return when the mount is usable, and leave it behind",
        ))
        .arg(flag(background::FLAG, "Internal").hide(true))
        .arg(flag("read-only", "Refuse every change (like -o ro)"))
        .arg(flag("allow-other", "Let other users in (like -o allow_other)"))
        .arg(
            Arg::new("options")
                .short('o')
                .value_name("OPTIONS")
                .action(ArgAction::Append)
                .help("Options as for mount(8), separated by commas: ro, noatime, nosuid, fsname=NAME, ..."),
        )
        .arg(
            Arg::new("threads")
                .long("threads")
                .value_name("N")
                .value_parser(value_parser!(u16).range(1..=i64::try_from(THREADS_MAX).expect("256 fits")))
                .help("Threads that take requests from the kernel [default: one for each core, 2 to 16]"),
        )
        .arg(
            Arg::new("memory")
                .long("memory")
                .value_name("BYTES")
                .default_value(MEMORY_DEFAULT)
                .value_parser(paths::bytes)
                .help("Memory for data on its way, such as 256M or 2G"),
        )
        .arg(log_argument())
        .arg(
            Arg::new("log-file")
                .long("log-file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .requires("background")
                .help("With --background: where logs go once the mount is usable"),
        )
}

/// The command line, understood.
#[derive(Clone, Debug, PartialEq)]
struct Plan {
    mount_point: PathBuf,
    /// `None`: the stub.
    local: Option<PathBuf>,
    background: bool,
    detached: bool,
    options: MountOptions,
    threads: usize,
    memory_bytes: u64,
    log_file: Option<PathBuf>,
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let plan = plan(matches)?;
    if plan.background && !plan.detached {
        return match background::start()? {
            Some(code) => Ok(code),
            None => {
                say(&format!(
                    "flyer is mounted at {0}; stop it with 'flyer umount {0}'.",
                    plan.mount_point.display()
                ));
                Ok(ExitCode::SUCCESS)
            }
        };
    }
    if plan.detached {
        background::leave_session();
    }
    // Before anything starts a thread.
    let signals = Signals::block().map_err(|error| other("block signals", &error))?;
    start_log(matches)?;
    serve(&plan, signals)
}

fn plan(matches: &ArgMatches) -> Result<Plan, Failure> {
    let mut options = MountOptions::default();
    for list in matches.get_many::<String>("options").into_iter().flatten() {
        options
            .apply(list)
            .map_err(|error| Failure::new(Kind::Usage, error.to_string()))?;
    }
    options.read_only |= matches.get_flag("read-only");
    options.allow_other |= matches.get_flag("allow-other");
    let settle =
        |path: &PathBuf| paths::settle(path).map_err(|error| other("find the current directory", &error));
    let mount_point = settle(matches.get_one("mount-point").expect("it is required"))?;
    let local = matches.get_one("local").map(settle).transpose()?;
    if let Some(local) = &local {
        paths::check_apart(local, &mount_point)?;
    }
    let memory_bytes: u64 = *matches.get_one("memory").expect("it has a default");
    if memory_bytes < MEMORY_BYTES_MIN {
        return Err(Failure::new(
            Kind::Usage,
            "--memory is too small: at least 16M are needed",
        ));
    }
    let threads = matches
        .get_one("threads")
        .map(|threads: &u16| usize::from(*threads));
    Ok(Plan {
        mount_point,
        local,
        background: matches.get_flag("background"),
        detached: matches.get_flag(background::FLAG),
        options,
        threads: threads.unwrap_or_else(threads_default),
        memory_bytes,
        log_file: matches.get_one("log-file").cloned(),
    })
}

fn threads_default() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.clamp(THREADS_DEFAULT_MIN, THREADS_DEFAULT_MAX)
}

/// Has the allocator take memory of such blocks from the system and give it back, whatever was freed before. glibc raises the limit with
/// each larger block that is freed, and then keeps tables of millions of inodes that are long forgotten.
#[cfg(target_env = "gnu")]
fn settle_allocator() {
    const BLOCK_BYTES: nix::libc::c_int = 1 << 20;
    // SAFETY: sets a number in the allocator, under its own lock.
    let set = unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, BLOCK_BYTES) };
    if set == 0 {
        tracing::debug!("the allocator keeps its own limit");
    }
}

#[cfg(not(target_env = "gnu"))]
const fn settle_allocator() {}

/// Opens, mounts, serves until the end.
fn serve(plan: &Plan, signals: Signals) -> Result<ExitCode, Failure> {
    settle_allocator();
    make_mount_point(plan)?;
    let file_system = open(plan)?;
    let mounted = mount_at(&plan.mount_point, &plan.options);
    let (device, mounted) = mounted.map_err(|error| abandon(&*file_system, error.into()))?;
    let record = match Record::create(mounted.device()) {
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(%error, "no record of this mount; 'flyer umount' will not wait for it");
            None
        }
    };
    let settings = Settings {
        threads: plan.threads,
        clone_device: plan.threads > 1 && can_clone_device(),
        tuning: Tuning {
            writeback_cache: plan.options.writeback_cache,
        },
    };
    let place = mounted.clone();
    let started = Session::start(Arc::clone(&file_system), device, Some(mounted), settings)
        .and_then(|session| signals.stop_on_each(session.stopper()).map(|()| session));
    let session = started.map_err(|error| {
        // The first failure is the one to tell.
        let _still_there = place.detach();
        abandon(&*file_system, other("start serving the mount", &error))
    })?;
    if let Err(error) = announce(plan, &place) {
        tracing::warn!(%error, "cannot tell that the mount is usable");
        session.stopper().stop();
    }
    let outcome = session.wait();
    // Who waits for the record may want the directory next, and the database is open until the last of this is gone.
    drop(file_system);
    finish(&outcome, record)
}

fn make_mount_point(plan: &Plan) -> Result<(), Failure> {
    // What is mounted there may be dead and would answer with an error; mounting will tell.
    if resolve(&plan.mount_point).is_ok() {
        return Ok(());
    }
    std::fs::create_dir_all(&plan.mount_point).map_err(|error| {
        let text = format!(
            "cannot make the mount point {}: {error}; make it yourself or choose another one",
            plan.mount_point.display()
        );
        Failure::new(Kind::MountPoint, text)
    })
}

fn open(plan: &Plan) -> Result<Arc<dyn FileSystem>, Failure> {
    match &plan.local {
        Some(directory) => local::open(&LocalOptions {
            directory: directory.clone(),
            mount_point: plan.mount_point.clone(),
            memory_bytes: plan.memory_bytes,
            read_only: plan.options.read_only,
        }),
        None => Ok(Arc::new(Stub::new(StubOptions::default()))),
    }
}

/// Stops what was opened, because it could not be mounted.
fn abandon(file_system: &dyn FileSystem, failure: Failure) -> Failure {
    if let Err(error) = file_system.stop() {
        tracing::error!(%error, "the file system did not stop cleanly");
    }
    failure
}

fn announce(plan: &Plan, mounted: &Mounted) -> std::io::Result<()> {
    if plan.detached {
        return background::ready(plan.log_file.as_deref());
    }
    let place = mounted.mount_point().display();
    say(&format!(
        "flyer is mounted at {place}; stop it with Ctrl-C here or with 'flyer umount {place}'."
    ));
    Ok(())
}

fn finish(outcome: &Outcome, record: Option<Record>) -> Result<ExitCode, Failure> {
    let failure = match outcome {
        Outcome::Clean => None,
        Outcome::DataLost(lost) => Some(Failure::new(
            Kind::DataLost,
            format!("not everything could be written out: {lost}"),
        )),
        Outcome::Forced => Some(Failure::new(
            Kind::Forced,
            "ended by a second signal; what was not yet written is lost",
        )),
        Outcome::Failed(error) => Some(other("go on serving the mount; everything is written out", error)),
    };
    if let Some(record) = record {
        let text = failure.as_ref().map(ToString::to_string);
        record.end(text.as_deref().map_or(Ok(()), Err));
    }
    failure.map_or(Ok(ExitCode::SUCCESS), Err)
}

fn other(what: &str, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Other, format!("cannot {what}: {error}"))
}

fn say(line: &str) {
    // Whoever closed the output does not want to know.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(arguments: &[&str]) -> Result<Plan, String> {
        let words = std::iter::once("mount").chain(arguments.iter().copied());
        let matches = command()
            .try_get_matches_from(words)
            .map_err(|error| error.to_string())?;
        plan(&matches).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_command_line_is_understood() {
        let plan = planned(&[
            "--local",
            "/no/data",
            "/no/mount",
            "-o",
            "ro,noexec",
            "-o",
            "fsname=x",
            "--memory",
            "1G",
            "--threads",
            "3",
        ])
        .expect("it is right");
        assert_eq!(plan.mount_point, PathBuf::from("/no/mount"));
        assert_eq!(plan.local, Some("/no/data".into()));
        assert!(plan.options.read_only && !plan.background);
        assert_eq!((plan.threads, plan.memory_bytes), (3, 1 << 30));
        assert_eq!(plan.options.fsname, "x");
        let plan = planned(&["--stub", "/no/mount", "--read-only", "--allow-other"]).expect("it is right");
        assert!(plan.local.is_none() && plan.options.read_only && plan.options.allow_other);
        assert!((THREADS_DEFAULT_MIN..=THREADS_DEFAULT_MAX).contains(&plan.threads));
    }

    #[test]
    fn a_wrong_one_is_refused_with_a_reason() {
        for (arguments, part) in [
            (&["/no/mount"][..], "--local"),
            (&["--local", "/no/data"], "MOUNTPOINT"),
            (
                &["--local", "/no/data", "--stub", "/no/mount"],
                "cannot be used with",
            ),
            (&["--local", "/no/data", "/no/data/mount"], "within each other"),
            (
                &["--stub", "/no/mount", "-o", "bogus"],
                "unknown mount option 'bogus'",
            ),
            (&["--stub", "/no/mount", "--memory", "1M"], "at least 16M"),
            (
                &["--stub", "/no/mount", "--memory", "lots"],
                "not a number of bytes",
            ),
            (&["--stub", "/no/mount", "--threads", "0"], "--threads"),
            (&["--stub", "/no/mount", "--threads", "257"], "--threads"),
            (&["--stub", "/no/mount", "--log-file", "/no/log"], "--background"),
        ] {
            let error = planned(arguments).expect_err("it is wrong");
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}
