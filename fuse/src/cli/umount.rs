//! `flyer umount`.

use super::failure::{Failure, Kind};
use crate::session::mount::resolve;
use crate::session::record::Watch;
use crate::session::{Mounted, mountinfo};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) fn command() -> Command {
    Command::new("umount")
        .about("Unmount, and wait until everything is written out")
        .after_help("Examples:\n  flyer umount /mnt/flyer\n  flyer umount --lazy /mnt/flyer    although it is in use")
        .arg(
            Arg::new("mount-point")
                .value_name("MOUNTPOINT")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("Where it is mounted"),
        )
        .arg(
            Arg::new("lazy")
                .long("lazy")
                .action(ArgAction::SetTrue)
                .help("Take it away although it is in use; open files stay usable. Does not wait"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .conflicts_with("lazy")
                .help("Let requests that wait fail, for a mount that hangs; what programs have just written may be lost"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path: &PathBuf = matches.get_one("mount-point").expect("it is required");
    let (mounted, watch) = find(path)?;
    if matches.get_flag("lazy") {
        mounted.detach()?;
        if watch.is_some() {
            tell("detached; flyer ends when the last file in it is closed");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if matches.get_flag("force") {
        mounted.abort()?;
    } else {
        mounted.unmount()?;
    }
    if let Some(watch) = watch {
        if watch.is_alive() {
            let process = watch.pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            tell(&format!(
                "waiting until flyer{process} has written everything out"
            ));
        }
        wait(watch)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// As the command does without options, and without a word.
pub(super) fn unmount(path: &Path) -> Result<(), Failure> {
    let (mounted, watch) = find(path)?;
    mounted.unmount()?;
    watch.map_or(Ok(()), wait)
}

/// The mount, and its process if that lives: it may have been killed, or could not leave a record.
fn find(path: &Path) -> Result<(Mounted, Option<Watch>), Failure> {
    let refused = |text: String| Failure::new(Kind::MountPoint, text);
    let shown = path.display();
    let resolved = resolve(path).map_err(|error| refused(format!("cannot find {shown}: {error}")))?;
    let mount =
        mountinfo::at(&resolved).map_err(|error| refused(format!("cannot read what is mounted: {error}")))?;
    match mount {
        Some(mount) if mount.is_ours() => {
            check_user(&mount, path)?;
            let watch = Watch::find(&mount.device, mount.user.unwrap_or(0)).filter(Watch::is_alive);
            Ok((Mounted::of(&mount), watch))
        }
        Some(mount) => Err(refused(format!(
            "{shown} is not a mount of flyer but of type {}; unmount it with 'umount {shown}'",
            mount.file_system_type
        ))),
        None => Err(refused(format!(
            "nothing is mounted at {shown}; 'grep hf3fs /proc/mounts' shows what is"
        ))),
    }
}

/// The helper would refuse as well, but in words that help nobody.
fn check_user(mount: &mountinfo::Mount, path: &Path) -> Result<(), Failure> {
    let own = nix::unistd::getuid();
    match mount.user {
        Some(user) if !own.is_root() && user != own.as_raw() => {
            let text = format!(
                "{} was mounted by the user with the id {user}; only that user and root may unmount it",
                path.display()
            );
            Err(Failure::new(Kind::MountPoint, text))
        }
        Some(_) | None => Ok(()),
    }
}

fn wait(watch: Watch) -> Result<(), Failure> {
    let lost = |lost| Failure::new(Kind::DataLost, format!("it is unmounted, but {lost}"));
    watch.wait().map_err(lost)
}

fn tell(line: &str) {
    // Whoever closed the output does not want to know.
    let _closed = writeln!(std::io::stderr(), "flyer: {line}");
}
