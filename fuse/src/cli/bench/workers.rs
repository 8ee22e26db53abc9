//! Worker processes of the loads with names. They are started once for each contestant, before any clock runs, and take orders.
//!
//! ```text
//!   waiting ──"OPERATION DIRECTORY COUNT"──► working ──"done", or why not──► waiting ──end of input──► ended
//! ```
//!
//! Limits: names of directories in orders have no blanks.

use super::WORKER;
use clap::{Arg, ArgMatches, Command, value_parser};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

const DONE: &str = "done";

/// What a worker does with each of its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    /// Reads the directory and the attributes of what is in it, as `ls -l` does.
    List,
    Stat,
    Rename,
    Unlink,
    Mkdir,
    Rmdir,
}

impl Operation {
    const ALL: [Self; 7] = [
        Self::Create,
        Self::List,
        Self::Stat,
        Self::Rename,
        Self::Unlink,
        Self::Mkdir,
        Self::Rmdir,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Stat => "stat",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
        }
    }

    /// `n0`, `n1`... are made; renamed they are `m0`, `m1`..., and removed under these names.
    fn run(self, directory: &Path, count: u32) -> io::Result<()> {
        let name = |number: u32| directory.join(format!("n{number}"));
        let other_name = |number: u32| directory.join(format!("m{number}"));
        if self == Self::List {
            return list(directory, count);
        }
        (0..count).try_for_each(|number| match self {
            Self::Create => File::create_new(name(number)).map(drop),
            Self::Stat => fs::symlink_metadata(name(number)).map(drop),
            Self::Rename => fs::rename(name(number), other_name(number)),
            Self::Unlink => fs::remove_file(other_name(number)),
            Self::Mkdir => fs::create_dir(name(number)),
            Self::Rmdir => fs::remove_dir(name(number)),
            Self::List => unreachable!("it is done for all names at once"),
        })
    }
}

fn list(directory: &Path, count: u32) -> io::Result<()> {
    let mut seen = 0_u32;
    for entry in fs::read_dir(directory)? {
        entry?.metadata()?;
        seen += 1;
    }
    if seen == count {
        Ok(())
    } else {
        Err(io::Error::other(format!(
            "{seen} names instead of {count} are listed"
        )))
    }
}

/// An order as a line, without its end.
fn order(operation: Operation, directory: &str, count: u32) -> String {
    format!("{} {directory} {count}", operation.name())
}

fn understand(line: &str) -> Option<(Operation, &str, u32)> {
    let mut words = line.split_whitespace();
    let (name, directory) = (words.next()?, words.next()?);
    let operation = Operation::ALL
        .into_iter()
        .find(|operation| operation.name() == name)?;
    Some((operation, directory, words.next()?.parse().ok()?))
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(place: &Path) -> io::Result<Self> {
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .arg(WORKER)
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut worker = Self { child, input, output };
        // It says so once when it is there.
        worker.wait_until_done()?;
        Ok(worker)
    }

    fn wait_until_done(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim_end() {
            DONE => Ok(()),
            "" => Err(io::Error::other("a worker process has ended")),
            reason => Err(io::Error::other(reason.to_owned())),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It waits for orders unless something failed.
        let _ended = self.child.kill();
        let _waited_for = self.child.wait();
    }
}

/// The workers of one contestant.
pub(super) struct Team(Vec<Worker>);

impl Team {
    /// `place` is where the directories of orders are.
    pub(super) fn start(place: &Path, workers: u16) -> io::Result<Self> {
        (0..workers)
            .map(|_| Worker::start(place))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// One worker for each of `directories` does `operation` with `count` names in it. The time is from the first order to the
    /// last end.
    pub(super) fn work(
        &mut self,
        operation: Operation,
        directories: &[String],
        count: u32,
    ) -> io::Result<Duration> {
        assert!(
            directories.len() <= self.0.len(),
            "a team has a worker for each process of the largest load"
        );
        let orders = directories
            .iter()
            .map(|directory| order(operation, directory, count) + "\n");
        let orders: Vec<String> = orders.collect();
        let begin = Instant::now();
        for (worker, order) in self.0.iter_mut().zip(&orders) {
            worker.input.write_all(order.as_bytes())?;
        }
        for worker in &mut self.0[..directories.len()] {
            worker.wait_until_done().map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("{} in {directories:?}: {error}", operation.name()),
                )
            })?;
        }
        Ok(begin.elapsed())
    }
}

pub(super) fn command() -> Command {
    Command::new(WORKER).hide(true).arg(
        Arg::new("place")
            .required(true)
            .value_parser(value_parser!(PathBuf)),
    )
}

/// The worker process.
pub(super) fn run(matches: &ArgMatches) -> io::Result<()> {
    let place: &PathBuf = matches.get_one("place").expect("it is required");
    serve(place, io::stdin().lock(), io::stdout())
}

fn serve(place: &Path, orders: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    writeln!(answers, "{DONE}")?;
    answers.flush()?;
    for line in orders.lines() {
        let line = line?;
        let answer = match understand(&line) {
            Some((operation, directory, count)) => operation
                .run(&place.join(directory), count)
                .map_or_else(|error| error.to_string(), |()| DONE.into()),
            None => format!("'{line}' is not an order"),
        };
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_understood() {
        for operation in Operation::ALL {
            let line = order(operation, "names-0", 17);
            assert_eq!(understand(&line), Some((operation, "names-0", 17)));
        }
        for bad in ["", "create", "create names", "create names x", "chmod names 1"] {
            assert_eq!(understand(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_worker_does_what_it_is_told_and_says_what_went_wrong() {
        let place = std::env::temp_dir().join(format!("flyer-workers-{}", std::process::id()));
        fs::create_dir_all(place.join("d")).expect("a temporary directory");
        let sequence = |operations: &[Operation], count| {
            let mut orders = String::new();
            for operation in operations {
                orders += &order(*operation, "d", count);
                orders.push('\n');
            }
            let mut answers = Vec::new();
            serve(&place, orders.as_bytes(), &mut answers).expect("both are memory");
            String::from_utf8(answers).expect("it is text")
        };
        assert_eq!(sequence(&Operation::ALL, 3), "done\n".repeat(8));
        let left = fs::read_dir(place.join("d")).expect("it is there").count();
        assert_eq!(left, 0, "what is made is removed");

        let answers = sequence(&[Operation::Create], 2);
        assert_eq!(answers, "done\n".repeat(2));
        let answers = sequence(&[Operation::List, Operation::Create], 3);
        let lines: Vec<&str> = answers.lines().collect();
        assert_eq!(lines[..2], [DONE, "2 names instead of 3 are listed"]);
        assert!(lines[2].contains("exists"), "{answers}");
        fs::remove_dir_all(&place).expect("nobody else is there");
    }
}
