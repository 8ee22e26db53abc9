//! House rules of the repository, as ordinary tests: `cargo test -p flyer-tidy`.
//!
//! Every rule is a pure function from inputs (texts, packages, an older list) to a list of [`Violation`]s. Each module
//! proves on a bad example that its rule fires, and `tests/tree.rs` applies all of them to the real tree. A failing
//! rule reports everything it found at once, as `file:line: what is wrong; what to do`.
//!
//! | module | rule |
//! |---|---|
//! | [`size`] | files of at most 800 lines, functions of at most 70 |
//! | [`exceptions`] | the list of exceptions to [`size`] only ever shrinks |
//! | [`banned`] | clocks, threads, randomness, unfinished code and `unsafe` stay where they belong |
//! | [`core_crates`] | crates below `core/` are `no_std` and forbid `unsafe` |
//! | [`reach`] | no dead files: each source is reached from a target of a package |
//! | [`arrows`] | packages depend on each other only along the arrows of the design |
//! | [`module_docs`] | each source opens with `//!` |
//! | [`dependencies`] | each third-party dependency is explained, each explanation is still needed |
//! | [`locks`] | the second lock file agrees with the first |
//! | [`text`] | white space, line ends, width of Markdown |
//! | [`words`] | no marker words, no paths of one machine, no hosts of package registries |
//!
//! [`tree`] and [`cargo`] read the repository; nothing else touches the file system.
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arrows;
pub mod banned;
pub mod cargo;
pub mod core_crates;
pub mod dependencies;
pub mod exceptions;
pub mod locks;
pub mod module_docs;
pub mod reach;
pub mod size;
pub mod text;
pub mod tokens;
pub mod tree;
pub mod words;

use core::fmt;

/// One text file of the tree.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Path relative to the root of the repository, with `/` between its parts.
    pub path: String,
    /// The whole content.
    pub text: String,
}

impl TextFile {
    /// A file made up by hand.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    /// Whether the file is Rust source.
    #[must_use]
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Parse Rust source; the error is the violation to report.
    pub fn parse(&self) -> Result<syn::File, Violation> {
        syn::parse_file(&self.text).map_err(|error| {
            let line = error.span().start().line;
            Violation::new(
                &self.path,
                line,
                format!("does not parse: {error}"),
                "fix the syntax",
            )
        })
    }
}

/// One breach of a house rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The file to change.
    pub path: String,
    /// The line to look at, counted from one.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Violation {
    /// A violation at one line of one file.
    pub fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            line,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.path, self.line, self.what, self.remedy)
    }
}

/// All violations of one rule as the text of one failure.
#[must_use]
pub fn report(rule: &str, violations: &[Violation]) -> String {
    let mut sorted = violations.to_vec();
    sorted.sort();
    sorted.dedup();
    let mut lines = vec![format!("{} violation(s) of the rule: {rule}", sorted.len())];
    lines.extend(sorted.iter().map(|violation| format!("  {violation}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_lists_everything_once_and_in_order() {
        let second = Violation::new("b.rs", 1, "bad", "mend it");
        let first = Violation::new("a.rs", 7, "worse", "drop it");
        let text = report("be good", &[second.clone(), first, second]);
        assert_eq!(
            text,
            "2 violation(s) of the rule: be good\n  a.rs:7: worse; drop it\n  b.rs:1: bad; mend it"
        );
    }

    #[test]
    fn source_that_does_not_parse_is_a_violation() {
        let violation = TextFile::new("a.rs", "fn ok() {}\nfn (")
            .parse()
            .err()
            .expect("a violation");
        assert_eq!((violation.path.as_str(), violation.line), ("a.rs", 2));
    }
}
