//! Calls, macros and keywords that are not allowed everywhere.
//!
//! Time and randomness are arguments and threads live in hosts, so that one seed replays everything. Unfinished code is
//! not committed. `unsafe` is confined to the folders where each block can be reviewed against the system it talks to.
//! The table `BANS` is the whole rule; renames and imports are resolved before it is consulted.

use crate::tokens::{self, Path};
use crate::{TextFile, Violation};
use alloc::collections::BTreeMap;

/// Something that may be written only in some places.
#[derive(Debug)]
struct Ban {
    /// The last names of the path.
    names: &'static [&'static str],
    /// Whether it is a macro call.
    is_macro: bool,
    /// Folders in which it is allowed.
    allowed_below: &'static [&'static str],
    /// Folders in which tests may use it.
    tests_below: &'static [&'static str],
    /// What to do instead.
    remedy: &'static str,
}

const HOSTS: &[&str] = &["real/", "fuse/"];
/// Hosts, and the tests that watch and kill a program from outside: it has no clock that they could set.
const HOSTS_AND_WATCHERS: &[&str] = &["real/", "fuse/", "tests/mount/"];
const CLOCKS: &[&str] = &["real/", "fuse/", "tests/bench/", "tests/mount/"];
const CLOCK: &str = "take the time as an argument; clocks live in `real`";
const THREAD: &str = "write a machine; threads live in `real`";
const SLEEP: &str = "use a deadline of a machine; tests wait for an event, never for a duration";
const RANDOM: &str = "take a seeded generator as an argument";
const UNFINISHED: &str = "finish it or leave it out";
const UNSAFE: &str = "move it to `real` or `fuse`, or find a safe way";

const BANS: &[Ban] = &[
    ban(&["Instant", "now"], CLOCKS, CLOCK),
    ban(&["SystemTime", "now"], HOSTS, CLOCK),
    ban(&["thread", "spawn"], HOSTS_AND_WATCHERS, THREAD),
    ban(&["thread", "scope"], HOSTS_AND_WATCHERS, THREAD),
    ban(&["thread", "Builder"], HOSTS, THREAD),
    ban(&["thread", "*"], HOSTS, THREAD),
    Ban {
        tests_below: &["tests/mount/"],
        ..ban(&["thread", "sleep"], HOSTS, SLEEP)
    },
    ban(&["rand", "random"], HOSTS, RANDOM),
    ban(&["rand", "rng"], HOSTS, RANDOM),
    ban(&["thread_rng"], HOSTS, RANDOM),
    ban(&["ThreadRng"], HOSTS, RANDOM),
    ban(&["unsafe"], HOSTS, UNSAFE),
    Ban {
        is_macro: true,
        ..ban(&["todo"], &[], UNFINISHED)
    },
    Ban {
        is_macro: true,
        ..ban(&["unimplemented"], &[], UNFINISHED)
    },
    Ban {
        is_macro: true,
        ..ban(&["dbg"], &[], "remove it")
    },
];

const fn ban(
    names: &'static [&'static str],
    allowed_below: &'static [&'static str],
    remedy: &'static str,
) -> Ban {
    Ban {
        names,
        is_macro: false,
        allowed_below,
        tests_below: allowed_below,
        remedy,
    }
}

/// Everything banned in one source file.
#[must_use]
pub fn check(file: &TextFile) -> Vec<Violation> {
    let syntax = match file.parse() {
        Ok(syntax) => syntax,
        Err(violation) => return vec![violation],
    };
    // What parses as a file is a valid stream of tokens.
    let stream = file.text.parse().unwrap_or_default();
    let imports = tokens::imports(&syntax);
    let by_alias: BTreeMap<_, _> = imports
        .iter()
        .map(|i| (i.alias.clone(), i.names.clone()))
        .collect();
    let uses = imports.iter().map(|i| Path {
        names: i.names.clone(),
        is_macro: false,
        line: i.line,
    });
    let calls = tokens::paths(stream).into_iter().map(|path| Path {
        names: tokens::expand(&path.names, &by_alias),
        ..path
    });
    let regions = tokens::test_regions(&syntax);
    let in_tests = |line: usize| {
        is_test_file(&file.path)
            || regions
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&line))
    };

    let mut violations = Vec::new();
    for found in uses.chain(calls) {
        for ban in BANS
            .iter()
            .filter(|ban| ban.matches(&found) && !ban.allows(&file.path, in_tests(found.line)))
        {
            let name = format!("{}{}", ban.names.join("::"), if ban.is_macro { "!" } else { "" });
            violations.push(Violation::new(
                &file.path,
                found.line,
                format!("`{name}` is banned here"),
                ban.remedy,
            ));
        }
    }
    violations.sort();
    violations.dedup();
    violations
}

impl Ban {
    fn matches(&self, path: &Path) -> bool {
        let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
        self.is_macro == path.is_macro && names.ends_with(self.names)
    }

    fn allows(&self, path: &str, in_tests: bool) -> bool {
        let folders = if in_tests {
            self.tests_below
        } else {
            self.allowed_below
        };
        folders.iter().any(|folder| path.starts_with(folder))
    }
}

/// Whether a path belongs to tests as a whole: a `tests` folder or a file `tests.rs`.
fn is_test_file(path: &str) -> bool {
    path.split('/').any(|part| part == "tests" || part == "tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let violations = check(&TextFile::new(path, text));
        let quoted = |v: &Violation| v.what.split('`').nth(1).map(|name| format!("{}:{name}", v.line));
        violations.iter().filter_map(quoted).collect()
    }

    #[test]
    fn fires_on_clocks_threads_and_randomness() {
        let text = "fn f() {\nstd::time::Instant::now();\nstd::time::SystemTime::now();\nstd::thread::spawn(g);\n\
                    std::thread::sleep(d);\nrand::random::<u8>();\nrand::thread_rng();\nrand::rng();\n}\n";
        let expected = [
            "2:Instant::now",
            "3:SystemTime::now",
            "4:thread::spawn",
            "5:thread::sleep",
            "6:rand::random",
            "7:thread_rng",
            "8:rand::rng",
        ];
        assert_eq!(found("core/types/src/a.rs", text), expected);
        assert_eq!(found("real/tcp/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn fires_through_imports_renames_and_macros() {
        let text = "use std::time::{Instant as Clock};\nuse std::thread::{self as t, sleep};\nuse std::thread::*;\n\
                    fn f() {\nassert!(Clock::now() > x);\nt::spawn(g);\nlet now = Clock::now;\n}\n";
        let expected = [
            "2:thread::sleep",
            "3:thread::*",
            "5:Instant::now",
            "6:thread::spawn",
            "7:Instant::now",
        ];
        assert_eq!(found("sim/engine/src/a.rs", text), expected);
    }

    #[test]
    fn fires_on_unfinished_code_everywhere() {
        let text = "fn f() {\ntodo!();\nunimplemented!(\"later\");\nvec![dbg!(1)];\n}\n";
        let expected = ["2:todo!", "3:unimplemented!", "4:dbg!"];
        assert_eq!(found("real/tcp/src/a.rs", text), expected);
        assert_eq!(found("core/types/src/a.rs", text), expected);
    }

    #[test]
    fn fires_on_unsafe_outside_its_folders() {
        let text = "unsafe fn f() {}\nmacro_rules! m { () => { unsafe { f() } } }\n";
        assert_eq!(found("tests/bench/src/a.rs", text), ["1:unsafe", "2:unsafe"]);
        assert_eq!(found("fuse/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn tests_never_sleep_but_benchmarks_measure() {
        let text = "fn f() {\nstd::thread::sleep(d);\n}\n#[cfg(test)]\nmod tests {\nfn g() {\nstd::thread::sleep(d);\n}\n}\n";
        assert_eq!(found("real/a/src/a.rs", text), ["7:thread::sleep"]);
        assert_eq!(
            found("real/a/tests/a.rs", text),
            ["2:thread::sleep", "7:thread::sleep"]
        );
        let clock = "fn f() { std::time::Instant::now(); }\n";
        assert_eq!(found("tests/bench/src/a.rs", clock), Vec::<String>::new());
        assert_eq!(found("tests/chaos/src/a.rs", clock), ["1:Instant::now"]);
    }

    #[test]
    fn tests_of_real_mounts_may_watch_and_kill() {
        let watch =
            "fn f() {\nstd::thread::scope(g);\nstd::thread::sleep(d);\nstd::time::Instant::now();\n}\n";
        assert_eq!(found("tests/mount/tests/a.rs", watch), Vec::<String>::new());
        let expected = ["2:thread::scope", "3:thread::sleep", "4:Instant::now"];
        assert_eq!(found("core/vfs/tests/a.rs", watch), expected);
        let other = "fn f() {\nunsafe { g() }\nstd::time::SystemTime::now();\nrand::rng();\n}\n";
        let expected = ["2:unsafe", "3:SystemTime::now", "4:rand::rng"];
        assert_eq!(found("tests/mount/tests/a.rs", other), expected);
    }

    #[test]
    fn text_comments_and_similar_names_do_not_fire() {
        let text = "//! Instant::now\n/* dbg!(x) */\nfn f() { let s = \"todo!()\"; let unsafe_code = a.todo != b; }\n";
        assert_eq!(found("core/a/src/a.rs", text), Vec::<String>::new());
    }
}
