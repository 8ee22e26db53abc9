//! Every source opens with `//!` on its first line: what it is for, who owns it, its states, its limits.

use crate::{TextFile, Violation};

/// Sources that do not open with documentation.
#[must_use]
pub fn check(files: &[TextFile]) -> Vec<Violation> {
    let opens_with_docs = |file: &TextFile| {
        let first = file.text.lines().next().unwrap_or_default();
        first
            .strip_prefix("//!")
            .is_some_and(|text| !text.trim().is_empty())
    };
    let violation = |file: &TextFile| {
        Violation::new(
            &file.path,
            1,
            "the file does not open with `//!`",
            "say what it is for on its first line",
        )
    };
    files
        .iter()
        .filter(|file| file.is_rust() && !opens_with_docs(file))
        .map(violation)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_on_files_without_documentation() {
        let files = [
            TextFile::new("good.rs", "//! What it is for.\n"),
            TextFile::new("bare.rs", "use a;\n"),
            TextFile::new("late.rs", "#![no_std]\n//! Too late.\n"),
            TextFile::new("hollow.rs", "//!\n//! Too late.\n"),
            TextFile::new("empty.rs", ""),
            TextFile::new("notes.md", "text\n"),
        ];
        let found: Vec<_> = check(&files)
            .into_iter()
            .map(|violation| violation.path)
            .collect();
        assert_eq!(found, ["bare.rs", "late.rs", "hollow.rs", "empty.rs"]);
    }
}
