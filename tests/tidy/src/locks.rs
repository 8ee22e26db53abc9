//! The proof that `core` needs no standard library is a workspace of its own with a lock file of its own. It proves
//! something about the product only if it builds the same versions: the second lock must be a part of the first.

use crate::{TextFile, Violation};
use alloc::collections::BTreeSet;

/// The lock file of the product.
pub const MAIN: &str = "Cargo.lock";
/// The lock file of the proof.
pub const NO_STD: &str = "tests/no-std/Cargo.lock";

const REMEDY: &str =
    "run `cp Cargo.lock tests/no-std/ && cargo update --workspace --manifest-path tests/no-std/Cargo.toml`";

/// Packages of `part` that are not in `whole` in the same version.
#[must_use]
pub fn check(whole: &TextFile, part: &TextFile) -> Vec<Violation> {
    let known: BTreeSet<_> = packages(&whole.text)
        .into_iter()
        .map(|(name, version, _)| (name, version))
        .collect();
    let unknown = |(name, version, _): &(String, String, usize)| {
        *name != "flyer-no-std" && !known.contains(&(name.clone(), version.clone()))
    };
    let violation = |(name, version, line): (String, String, usize)| {
        Violation::new(
            &part.path,
            line,
            format!("{} has no `{name}` {version}", whole.path),
            REMEDY,
        )
    };
    packages(&part.text)
        .into_iter()
        .filter(unknown)
        .map(violation)
        .collect()
}

/// Name, version and line of each package in a lock file.
fn packages(lock: &str) -> Vec<(String, String, usize)> {
    let mut found: Vec<(String, String, usize)> = Vec::new();
    for (at, line) in lock.lines().enumerate() {
        if let Some(name) = quoted(line, "name = ") {
            found.push((name, String::new(), at + 1));
        } else if let (Some(version), Some(last)) = (quoted(line, "version = "), found.last_mut()) {
            last.1 = version;
        }
    }
    found
}

fn quoted(line: &str, key: &str) -> Option<String> {
    line.strip_prefix(key)
        .map(|value| value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_on_versions_that_differ() {
        let lock = |path, packages: &[(&str, &str)]| {
            let text = packages
                .iter()
                .map(|(n, v)| format!("[[package]]\nname = \"{n}\"\nversion = \"{v}\"\n\n"));
            TextFile::new(path, format!("version = 4\n\n{}", text.collect::<String>()))
        };
        let whole = lock(MAIN, &[("a", "1.0.0"), ("b", "2.0.0")]);
        let part = lock(
            NO_STD,
            &[("a", "1.0.1"), ("b", "2.0.0"), ("flyer-no-std", "0.1.0")],
        );
        let found = check(&whole, &part);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].line, found[0].what.as_str()),
            (4, "Cargo.lock has no `a` 1.0.1")
        );
    }
}
