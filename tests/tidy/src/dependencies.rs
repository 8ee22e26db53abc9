//! Each direct third-party dependency earns a line in `docs/dependencies.md`; a line whose dependency is gone goes too.
//!
//! A line is a row of a table whose first cell is the name of the crate between backticks.

use crate::cargo::{self, Package};
use crate::{TextFile, Violation};
use alloc::collections::{BTreeMap, BTreeSet};

/// The page that explains dependencies.
pub const PATH: &str = "docs/dependencies.md";

/// Compare what `packages` and the workspace manifest `root` declare with the page `explained`.
#[must_use]
pub fn check(
    packages: &[Package],
    manifests: &[TextFile],
    root: &TextFile,
    explained: &TextFile,
) -> Vec<Violation> {
    let mut declared: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for package in packages {
        for dependency in package.dependencies.iter().filter(|dependency| !dependency.local) {
            let line = cargo::line_of(manifests, &package.manifest, &dependency.name);
            declared
                .entry(dependency.name.clone())
                .or_insert_with(|| (package.manifest.clone(), line));
        }
    }
    for (name, line) in workspace_dependencies(&root.text) {
        declared.entry(name).or_insert_with(|| (root.path.clone(), line));
    }

    let rows = rows(&explained.text);
    let names: BTreeSet<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    let unexplained = declared.iter().filter(|(name, _)| !names.contains(name.as_str()));
    let missing = unexplained.map(|(name, (manifest, line))| {
        Violation::new(
            manifest,
            *line,
            format!("`{name}` is not explained"),
            format!("add a row to {PATH}"),
        )
    });
    let gone = rows.iter().filter(|(name, _)| !declared.contains_key(name));
    let stale = gone.map(|(name, line)| {
        Violation::new(
            &explained.path,
            *line,
            format!("nothing depends on `{name}`"),
            "remove the row",
        )
    });
    missing.chain(stale).collect()
}

/// Names and lines of the third-party crates in `[workspace.dependencies]`, also those that no package uses yet.
fn workspace_dependencies(manifest: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with('#')) else {
            continue;
        };
        if !value.contains("path =") {
            let renamed = value
                .split_once("package = \"")
                .and_then(|(_, rest)| rest.split('"').next());
            found.push((renamed.unwrap_or_else(|| key.trim()).to_owned(), at + 1));
        }
    }
    found
}

/// Crate names and line numbers of the rows in a page.
fn rows(page: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let name = line.strip_prefix("| `").and_then(|rest| rest.split_once('`'));
        if let Some((name, _)) = name {
            found.push((name.to_owned(), at + 1));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Dependency;

    #[test]
    fn fires_on_unexplained_and_on_stale_lines() {
        let third_party = |name: &str| Dependency {
            name: name.into(),
            dev: true,
            local: false,
        };
        let package = Package {
            manifest: "a/Cargo.toml".into(),
            dependencies: vec![
                third_party("known"),
                third_party("secret"),
                Dependency {
                    name: "flyer-types".into(),
                    dev: false,
                    local: true,
                },
            ],
            ..Package::default()
        };
        let manifest = TextFile::new(
            "a/Cargo.toml",
            "[dependencies]\nknown = \"1\"\nsecret.workspace = true\n",
        );
        let root = TextFile::new(
            "Cargo.toml",
            "[workspace.dependencies]\n# a = b\nflyer-types = { path = \"t\" }\nunused = \"1\"\n\
             short = { version = \"1\", package = \"long\" }\n[profile.dev]\ndebug = true\n",
        );
        let page = TextFile::new(
            PATH,
            "| crate | why |\n|---|---|\n| `known` | x |\n| `gone` | y |\n| `long` | z |\n",
        );
        let found: Vec<_> = check(&[package], &[manifest], &root, &page)
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "a/Cargo.toml:3: `secret` is not explained; add a row to docs/dependencies.md",
            "Cargo.toml:4: `unused` is not explained; add a row to docs/dependencies.md",
            "docs/dependencies.md:4: nothing depends on `gone`; remove the row",
        ];
        assert_eq!(found, expected);
    }
}
