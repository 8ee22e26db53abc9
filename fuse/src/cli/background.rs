//! A mount that stays when its command has returned.
//!
//! ```text
//!   command ──starts itself with --detached──► process of the mount
//!      │ ◄── "ready" on its standard output ─────────┤      lets go of the terminal
//!      │ ◄── end of output, exit code ───────────────┘      or could not mount: it has said why
//! ```

use super::failure::{Failure, Kind};
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// What the process of the mount gets to know that it is that.
pub(super) const FLAG: &str = "detached";
const READY: &str = "ready";

/// Starts the process of the mount and waits until it is usable, or has failed and said so.
pub(super) fn start() -> Result<Option<ExitCode>, Failure> {
    let failed = |error: io::Error| {
        Failure::new(
            Kind::Other,
            format!("cannot start a process for the mount: {error}"),
        )
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(format!("--{FLAG}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let output = child.stdout.take().expect("it is piped");
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(failed)?;
    if line.trim_end() == READY {
        return Ok(None);
    }
    let status = child.wait().map_err(failed)?;
    let code = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .filter(|code| *code != 0);
    match code {
        Some(code) => Ok(Some(ExitCode::from(code))),
        None => Err(Failure::new(
            Kind::Other,
            format!("the process of the mount ended early ({status})"),
        )),
    }
}

/// Leaves the terminal's session, so that the mount outlives it.
pub(super) fn leave_session() {
    // It fails only for the leader of a group, which has a session of its own or was started by a service manager.
    let _leads_already = setsid();
}

/// Tells the command that the mount is usable, and lets go of its terminal and directory. Logs go to `log_file` from now on.
pub(super) fn ready(log_file: Option<&Path>) -> io::Result<()> {
    let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let log = match log_file {
        Some(path) => OpenOptions::new().append(true).create(true).open(path)?,
        None => nowhere.try_clone()?,
    };
    let mut output = io::stdout().lock();
    writeln!(output, "{READY}")?;
    output.flush()?;
    drop(output);
    dup2_stdin(&nowhere)?;
    dup2_stdout(&nowhere)?;
    dup2_stderr(&log)?;
    std::env::set_current_dir("/")
}
