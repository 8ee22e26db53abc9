//! The list of files and functions that are longer than the rule allows, and the rule that it only shrinks.
//!
//! `tests/tidy/exceptions.txt` holds lines of the forms
//!
//! ```text
//! lines path/to/file.rs 812
//! function path/to/file.rs name 75
//! ```
//!
//! and comments that start with `#`. An entry must name something that exists and is too long, with its exact length.
//! No entry may be missing from, or larger than in, any committed version of the list: exceptions cannot be added.

use crate::Violation;
use crate::size::{Measure, limit};
use core::fmt;

/// Where the list is.
pub const PATH: &str = "tests/tidy/exceptions.txt";

/// Something that has a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A whole file.
    File(String),
    /// All functions of one name in one file; the longest counts.
    Function {
        /// The file.
        path: String,
        /// The name of the function.
        name: String,
    },
}

impl Subject {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::File(path) | Self::Function { path, .. } => path,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => write!(f, "file"),
            Self::Function { name, .. } => write!(f, "function `{name}`"),
        }
    }
}

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// What may be longer.
    pub subject: Subject,
    /// How long it is.
    pub lines: usize,
    /// The line of the entry in the list, counted from one.
    pub line: usize,
}

/// Read a list; entries that cannot be read come back as violations.
#[must_use]
pub fn parse(text: &str) -> (Vec<Exception>, Vec<Violation>) {
    let (mut entries, mut violations) = (Vec::new(), Vec::new());
    for (at, content) in text.lines().enumerate() {
        let line = at + 1;
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        match parse_entry(content, line) {
            Some(entry) => entries.push(entry),
            None => violations.push(Violation::new(
                PATH,
                line,
                format!("cannot read `{content}`"),
                "write `lines FILE NUMBER` or `function FILE NAME NUMBER`",
            )),
        }
    }
    (entries, violations)
}

fn parse_entry(content: &str, line: usize) -> Option<Exception> {
    let words: Vec<&str> = content.split_whitespace().collect();
    let (subject, number) = match words.as_slice() {
        ["lines", path, number] => (Subject::File((*path).into()), number),
        ["function", path, name, number] => (
            Subject::Function {
                path: (*path).into(),
                name: (*name).into(),
            },
            number,
        ),
        _ => return None,
    };
    Some(Exception {
        subject,
        lines: number.parse().ok()?,
        line,
    })
}

/// Entries that are no longer needed, or that allow more than is needed.
#[must_use]
pub fn check_needed(entries: &[Exception], measures: &[Measure]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for entry in entries {
        let longest = measures
            .iter()
            .filter(|m| m.subject == entry.subject)
            .map(|m| m.lines)
            .max();
        let place = format!("{} in {}", entry.subject, entry.subject.path());
        let (what, remedy) = match longest {
            None => (format!("there is no {place}"), "remove the entry".into()),
            Some(lines) if lines <= limit(&entry.subject) => {
                (format!("{place} is within the limit"), "remove the entry".into())
            }
            Some(lines) if lines < entry.lines => (
                format!("{place} has only {lines} lines"),
                format!("lower it to {lines}"),
            ),
            Some(_) => continue,
        };
        violations.push(Violation::new(PATH, entry.line, what, remedy));
    }
    violations
}

/// Entries that are new, or larger, compared with an older version of the list; `version` says which one.
#[must_use]
pub fn check_growth(entries: &[Exception], older: &[Exception], version: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for entry in entries {
        let before = older
            .iter()
            .find(|old| old.subject == entry.subject)
            .map(|old| old.lines);
        if before.is_some_and(|lines| entry.lines <= lines) {
            continue;
        }
        let place = format!("{} in {}", entry.subject, entry.subject.path());
        let what = match before {
            None => format!("{place} is not on the list in {version}"),
            Some(lines) => format!(
                "{place} had {lines} lines in {version}, now the list says {}",
                entry.lines
            ),
        };
        violations.push(Violation::new(
            PATH,
            entry.line,
            what,
            "the list only shrinks: split the code",
        ));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<Exception> {
        let (entries, violations) = parse(text);
        assert_eq!(violations, []);
        entries
    }

    fn shown(violations: &[Violation]) -> Vec<String> {
        violations.iter().map(ToString::to_string).collect()
    }

    fn measured(subject: Subject, lines: usize) -> Measure {
        Measure {
            subject,
            line: 1,
            lines,
        }
    }

    #[test]
    fn fires_on_an_entry_that_cannot_be_read() {
        let (found, violations) = parse("# comment\n\nlines a.rs many\nfunction a.rs 71\nlines b.rs 801\n");
        assert_eq!(found.len(), 1);
        assert_eq!(violations.iter().map(|v| v.line).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn fires_on_entries_that_are_not_needed_or_too_large() {
        let list = entries("lines a.rs 810\nlines b.rs 801\nfunction a.rs f 80\nlines c.rs 900\n");
        let function = Subject::Function {
            path: "a.rs".into(),
            name: "f".into(),
        };
        let measures = [
            measured(Subject::File("a.rs".into()), 805),
            measured(Subject::File("b.rs".into()), 800),
            measured(function.clone(), 5),
            measured(function, 80),
        ];
        let expected = [
            "tests/tidy/exceptions.txt:1: file in a.rs has only 805 lines; lower it to 805",
            "tests/tidy/exceptions.txt:2: file in b.rs is within the limit; remove the entry",
            "tests/tidy/exceptions.txt:4: there is no file in c.rs; remove the entry",
        ];
        assert_eq!(shown(&check_needed(&list, &measures)), expected);
    }

    #[test]
    fn fires_on_growth() {
        let older = entries("lines a.rs 810\nlines b.rs 820\n");
        let newer = entries("lines a.rs 811\nlines b.rs 815\nfunction c.rs f 90\n");
        let expected = [
            "tests/tidy/exceptions.txt:1: file in a.rs had 810 lines in HEAD, now the list says 811; \
             the list only shrinks: split the code",
            "tests/tidy/exceptions.txt:3: function `f` in c.rs is not on the list in HEAD; \
             the list only shrinks: split the code",
        ];
        assert_eq!(shown(&check_growth(&newer, &older, "HEAD")), expected);
        assert_eq!(check_growth(&[], &older, "HEAD"), []);
    }
}
