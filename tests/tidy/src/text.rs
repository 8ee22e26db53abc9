//! The form of text files: white space, line ends, width.
//!
//! Applies to Markdown, TOML, shell scripts (by extension or by `#!`) and Rust. Lines of Markdown have at most 130
//! columns; tables and lines with a link may be longer, because they cannot be broken.

use crate::{TextFile, Violation};

/// Widest line of a Markdown file, in columns.
pub const MARKDOWN_COLUMNS_MAX: usize = 130;

/// What a text file is, as far as this rule cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Markdown.
    Markdown,
    /// Rust source.
    Rust,
    /// TOML or a shell script.
    Other,
}

/// The kind of a file, or `None` if the rule leaves it alone.
#[must_use]
pub fn kind(file: &TextFile) -> Option<Kind> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    match name
        .rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
        .map(|(_, extension)| extension)
    {
        Some("md") => Some(Kind::Markdown),
        Some("rs") => Some(Kind::Rust),
        Some("toml" | "sh") => Some(Kind::Other),
        Some(_) => None,
        None => file.text.starts_with("#!").then_some(Kind::Other),
    }
}

/// Paths that promise text of a known kind but hold something else.
#[must_use]
pub fn check_binaries(paths: &[String]) -> Vec<Violation> {
    let is_known = |path: &&String| kind(&TextFile::new(path.as_str(), "")).is_some();
    let violation =
        |path: &String| Violation::new(path, 1, "the file is not valid UTF-8", "save it as UTF-8");
    paths.iter().filter(is_known).map(violation).collect()
}

/// Breaches of the form of one file.
#[must_use]
pub fn check(file: &TextFile) -> Vec<Violation> {
    let Some(kind) = kind(file) else { return Vec::new() };
    let mut violations = Vec::new();
    let mut add =
        |line, what: String, remedy: &str| violations.push(Violation::new(&file.path, line, what, remedy));
    for (at, line) in file.text.lines().enumerate() {
        let columns = line.chars().count();
        if line.trim_end() != line {
            add(at + 1, "white space at the end of the line".into(), "remove it");
        }
        if kind == Kind::Rust && line.contains('\t') {
            add(
                at + 1,
                "tab character".into(),
                "indent with spaces, or write an escape",
            );
        }
        if kind == Kind::Markdown && columns > MARKDOWN_COLUMNS_MAX && !is_unbreakable(line) {
            add(
                at + 1,
                format!("{columns} columns, at most {MARKDOWN_COLUMNS_MAX} are allowed"),
                "break the line",
            );
        }
    }
    let lines = file.text.lines().count();
    if file.text.contains('\r') {
        add(1, "carriage returns".into(), "end lines with a newline only");
    }
    if !file.text.ends_with('\n') {
        add(lines, "no newline at the end of the file".into(), "add one");
    } else if file.text.ends_with("\n\n") {
        add(lines, "blank lines at the end of the file".into(), "remove them");
    }
    violations
}

/// Rows of tables and lines with a link.
fn is_unbreakable(line: &str) -> bool {
    line.trim_start().starts_with('|') || line.contains("](") || line.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&TextFile::new(path, text))
            .iter()
            .map(|v| format!("{}: {}", v.line, v.what))
            .collect()
    }

    #[test]
    fn fires_on_bad_white_space() {
        assert_eq!(
            found("a.toml", "a = 1 \nb = 2\n"),
            ["1: white space at the end of the line"]
        );
        assert_eq!(found("a.rs", "//! x\n\tfn f() {}\n"), ["2: tab character"]);
        assert_eq!(found("a.sh", "a"), ["1: no newline at the end of the file"]);
        assert_eq!(found("a.md", "a\n\n"), ["2: blank lines at the end of the file"]);
        assert_eq!(found("a.md", ""), ["0: no newline at the end of the file"]);
        assert_eq!(found("a.md", "a\r\n"), ["1: carriage returns"]);
        assert_eq!(
            found("run", "#!/bin/bash\necho \n"),
            ["2: white space at the end of the line"]
        );
    }

    #[test]
    fn fires_on_wide_markdown() {
        let wide = "é".repeat(131);
        assert_eq!(
            found("a.md", &format!("{wide}\n")),
            ["1: 131 columns, at most 130 are allowed"]
        );
        assert_eq!(
            found("a.md", &format!("| {wide} |\n[a]({wide})\n")),
            Vec::<String>::new()
        );
        assert_eq!(found("a.rs", &format!("//! {wide}\n")), Vec::<String>::new());
    }

    #[test]
    fn other_files_are_left_alone() {
        assert_eq!(found("data.json", "{} "), Vec::<String>::new());
        assert_eq!(found("LICENSE", "text "), Vec::<String>::new());
        assert_eq!(found(".gitignore", "a "), Vec::<String>::new());
    }

    #[test]
    fn fires_on_text_that_is_not_utf8() {
        let found = check_binaries(&["a.rs".into(), "corpus/1".into()]);
        assert_eq!(
            found.iter().map(|v| v.path.as_str()).collect::<Vec<_>>(),
            ["a.rs"]
        );
    }
}
