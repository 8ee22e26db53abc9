//! Loads of names: files that are made, looked at, moved and removed, by one process and by several, and listed.
//!
//! A worker process says that it is ready, waits for a line, works, and ends. The time is from the line to the last end.

use super::peers::Mount;
use super::table::Column;
use super::{Amount, WORKER};
use clap::{Arg, ArgMatches, Command, value_parser};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

/// What is done to each name, in the order in which it is measured.
const OPERATIONS: [&str; 6] = ["create", "stat", "rename", "unlink", "mkdir", "rmdir"];

pub(super) fn worker_command() -> Command {
    let number = |name: &'static str| Arg::new(name).required(true).value_parser(value_parser!(u32));
    Command::new(WORKER)
        .hide(true)
        .arg(Arg::new("operation").required(true).value_parser(OPERATIONS))
        .arg(
            Arg::new("directory")
                .required(true)
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(number("count"))
}

pub(super) fn run(mount: &Mount, amount: &Amount, column: &mut Column<'_>) -> io::Result<()> {
    for processes in [1, amount.processes] {
        let directories = directories(mount, processes)?;
        let each = amount.files.div_ceil(u32::from(processes));
        for operation in OPERATIONS {
            let rate = work(operation, &directories, each)?;
            column.put(format!("{operation}, {}", counted(processes)), "1/s", rate);
            if operation == "create" && processes == 1 {
                let rate = list(mount, each)?;
                column.put("ls -lR of them", "1/s", rate);
            }
        }
        for directory in directories {
            fs::remove_dir(directory)?;
        }
        if amount.processes == 1 {
            break;
        }
    }
    Ok(())
}

fn counted(processes: u16) -> String {
    if processes == 1 {
        "1 process".into()
    } else {
        format!("{processes} processes")
    }
}

/// One for each process.
fn directories(mount: &Mount, processes: u16) -> io::Result<Vec<PathBuf>> {
    (0..processes)
        .map(|process| {
            let path = mount.path.join(format!("names-{process}"));
            fs::create_dir(&path).map(|()| path)
        })
        .collect()
}

struct Worker {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        let _ended = self.child.kill();
        let _waited_for = self.child.wait();
    }
}

fn work(operation: &str, directories: &[PathBuf], each: u32) -> io::Result<f64> {
    let mut workers = directories
        .iter()
        .map(|directory| start(operation, directory, each))
        .collect::<io::Result<Vec<_>>>()?;
    for worker in &mut workers {
        worker.output.read_line(&mut String::new())?;
    }
    let begin = Instant::now();
    for worker in &mut workers {
        let input = worker.child.stdin.as_mut().expect("it is piped");
        input.write_all(b"go\n")?;
    }
    for worker in &mut workers {
        if !worker.child.wait()?.success() {
            return Err(io::Error::other(format!("the load '{operation}' failed")));
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let total: f64 = workers.iter().map(|_| f64::from(each)).sum();
    Ok(total / seconds)
}

fn start(operation: &str, directory: &Path, each: u32) -> io::Result<Worker> {
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .arg(WORKER)
        .arg(operation)
        .arg(directory)
        .arg(each.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    Ok(Worker { child, output })
}

pub(super) fn run_worker(matches: &ArgMatches) -> io::Result<()> {
    let operation: &String = matches.get_one("operation").expect("it is required");
    let directory: &PathBuf = matches.get_one("directory").expect("it is required");
    let count: u32 = *matches.get_one("count").expect("it is required");
    let mut output = io::stdout();
    writeln!(output, "ready")?;
    output.flush()?;
    io::stdin().read_line(&mut String::new())?;
    let name = |number: u32| directory.join(format!("n{number}"));
    let other_name = |number: u32| directory.join(format!("m{number}"));
    (0..count).try_for_each(|number| match operation.as_str() {
        "create" => File::create_new(name(number)).map(drop),
        "stat" => fs::symlink_metadata(name(number)).map(drop),
        "rename" => fs::rename(name(number), other_name(number)),
        "unlink" => fs::remove_file(other_name(number)),
        "mkdir" => fs::create_dir(name(number)),
        _ => fs::remove_dir(name(number)),
    })
}

/// Names with their attributes, as `ls -lR` prints them, without the printing.
fn list(mount: &Mount, each: u32) -> io::Result<f64> {
    let begin = Instant::now();
    let mut seen = 0_u32;
    for entry in fs::read_dir(mount.path.join("names-0"))? {
        entry?.metadata()?;
        seen += 1;
    }
    if seen != each {
        return Err(io::Error::other(format!(
            "{seen} names instead of {each} are listed"
        )));
    }
    Ok(f64::from(seen) / begin.elapsed().as_secs_f64())
}
