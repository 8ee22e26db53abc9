//! The packages of the tree as cargo sees them: targets and dependencies, from `cargo metadata --no-deps`.

use crate::TextFile;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// One package of the tree.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Path of its `Cargo.toml`, relative to the root.
    pub manifest: String,
    /// What cargo can build from it.
    pub targets: Vec<Target>,
    /// What it declares, in manifest order.
    pub dependencies: Vec<Dependency>,
}

/// Something cargo can build: a library, a binary, a test.
#[derive(Clone, Debug)]
pub struct Target {
    /// `lib`, `proc-macro`, `bin`, `test`, `bench`, `example`, `custom-build`.
    pub kinds: Vec<String>,
    /// Path of its root source file, relative to the root.
    pub source: String,
}

/// One declared dependency.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Name of the package that is depended on.
    pub name: String,
    /// Whether only tests, examples and benchmarks see it.
    pub dev: bool,
    /// Whether it is a package of this tree and not a third-party one.
    pub local: bool,
}

/// The packages of the workspace whose `Cargo.toml` is `manifest`, a path relative to `root`.
///
/// # Errors
/// What cargo said.
pub fn packages(root: &Path, manifest: &str) -> Result<Vec<Package>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(root.join(manifest))
        .output()
        .map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    parse(&String::from_utf8_lossy(&output.stdout), &root.to_string_lossy())
}

/// The packages in the output of `cargo metadata`; paths become relative to `root`.
///
/// # Errors
/// Which field was missing.
pub fn parse(metadata: &str, root: &str) -> Result<Vec<Package>, String> {
    let metadata: Value = serde_json::from_str(metadata).map_err(|error| error.to_string())?;
    list(&metadata, "packages")?
        .iter()
        .map(|package| parse_package(package, root))
        .collect()
}

fn parse_package(package: &Value, root: &str) -> Result<Package, String> {
    let mut parsed = Package {
        name: string(package, "name")?,
        manifest: relative(&string(package, "manifest_path")?, root),
        ..Package::default()
    };
    for target in list(package, "targets")? {
        let kinds = list(target, "kind")?;
        parsed.targets.push(Target {
            kinds: kinds.iter().filter_map(Value::as_str).map(String::from).collect(),
            source: relative(&string(target, "src_path")?, root),
        });
    }
    for dependency in list(package, "dependencies")? {
        parsed.dependencies.push(Dependency {
            name: string(dependency, "name")?,
            dev: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
            local: dependency.get("path").is_some_and(Value::is_string),
        });
    }
    Ok(parsed)
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    let found = value.get(key).and_then(Value::as_array);
    found
        .map(Vec::as_slice)
        .ok_or_else(|| format!("cargo metadata has no list `{key}`"))
}

fn string(value: &Value, key: &str) -> Result<String, String> {
    let found = value.get(key).and_then(Value::as_str);
    found
        .map(String::from)
        .ok_or_else(|| format!("cargo metadata has no string `{key}`"))
}

fn relative(path: &str, root: &str) -> String {
    path.strip_prefix(root)
        .map_or(path, |rest| rest.trim_start_matches('/'))
        .to_owned()
}

/// The line on which `manifest`, one of `manifests`, declares `dependency`; its first line if that is not found.
#[must_use]
pub fn line_of(manifests: &[TextFile], manifest: &str, dependency: &str) -> usize {
    let text = manifests
        .iter()
        .find(|file| file.path == manifest)
        .map_or("", |file| file.text.as_str());
    let mut in_dependencies = false;
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            in_dependencies = line.trim_end().ends_with("dependencies]");
        }
        let rest = line.strip_prefix(dependency).filter(|_| in_dependencies);
        if rest.is_some_and(|rest| rest.starts_with([' ', '.', '='])) {
            return at + 1;
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [{
        "name": "a", "manifest_path": "/r/a/Cargo.toml",
        "targets": [{"kind": ["lib"], "src_path": "/r/a/src/lib.rs"}],
        "dependencies": [
            {"name": "b", "kind": null, "path": "/r/b"},
            {"name": "proptest", "kind": "dev"},
            {"name": "cc", "kind": "build"}
        ]
    }]}"#;

    #[test]
    fn metadata_becomes_packages_with_relative_paths() {
        let packages = parse(METADATA, "/r").expect("valid metadata");
        assert_eq!(packages.len(), 1);
        assert_eq!(packages[0].manifest, "a/Cargo.toml");
        assert_eq!(packages[0].targets[0].source, "a/src/lib.rs");
        let flags: Vec<_> = packages[0]
            .dependencies
            .iter()
            .map(|d| (d.name.as_str(), d.dev, d.local))
            .collect();
        assert_eq!(
            flags,
            [
                ("b", false, true),
                ("proptest", true, false),
                ("cc", false, false)
            ]
        );
    }

    #[test]
    fn incomplete_metadata_names_the_missing_field() {
        let error = parse(r#"{"packages": [{"name": "a"}]}"#, "/r").expect_err("incomplete");
        assert!(error.contains("manifest_path"), "{error}");
    }

    #[test]
    fn the_line_of_a_dependency_is_not_that_of_a_feature() {
        let text = "[features]\na = [\"dep:a\"]\n[dependencies]\na-b = \"1\"\na = \"1\"\n";
        let manifests = [TextFile::new("x/Cargo.toml", text)];
        assert_eq!(line_of(&manifests, "x/Cargo.toml", "a"), 5);
        assert_eq!(line_of(&manifests, "x/Cargo.toml", "none"), 1);
        assert_eq!(line_of(&manifests, "y/Cargo.toml", "a"), 1);
    }
}
