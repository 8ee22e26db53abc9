//! Packages depend on each other only along the arrows of the design (`docs/architecture.md`).
//!
//! ```text
//! tests ──► sim ──► core ◄── real ◄── fuse        fuzz ──► core
//! core:  vfs ──► client ──► rpc ──► wire ──► types,   ring and cluster ──► rpc
//! ```
//!
//! Three tables say all of it: `CORE` for packages inside `core`, `FOLDERS` for everything else, and `EXTRA` for
//! single arrows beyond them. A package that no table knows fails. What only tests of a package need
//! (`dev-dependencies`) may also be the package itself, one of `TEST_HELPERS`, or a row of `TEST_EXTRA`.

use crate::cargo::{self, Package};
use crate::{TextFile, Violation};

/// Each package of `core` with the packages it may depend on.
const CORE: &[(&str, &[&str])] = &[
    ("flyer-types", &[]),
    ("flyer-wire-derive", &[]),
    ("flyer-wire", &["flyer-types", "flyer-wire-derive"]),
    ("flyer-rpc", &["flyer-types", "flyer-wire"]),
    ("flyer-client", &["flyer-types", "flyer-wire", "flyer-rpc"]),
    (
        "flyer-vfs",
        &["flyer-types", "flyer-wire", "flyer-rpc", "flyer-client"],
    ),
    ("flyer-ring", &["flyer-types", "flyer-wire", "flyer-rpc"]),
    ("flyer-cluster", &["flyer-types", "flyer-wire", "flyer-rpc"]),
];

/// Each other folder: the packages that live in it, and the folders that these may depend on.
const FOLDERS: &[(&str, &[&str], &[&str])] = &[
    (
        "real/",
        &["flyer-local", "flyer-pool", "flyer-real-tcp", "flyer-runtime"],
        &["core/", "real/"],
    ),
    ("sim/", &["flyer-sim-cluster"], &["core/", "sim/"]),
    ("fuzz/", &["flyer-fuzz"], &["core/"]),
    ("fuse/", &["flyer"], &["core/", "real/"]),
    (
        "tests/",
        &["flyer-bench", "flyer-mount-tests", "flyer-no-std", "flyer-tidy"],
        &["core/", "real/", "sim/"],
    ),
];

/// Single arrows beyond the tables, with the reason.
const EXTRA: &[(&str, &str)] = &[
    // The madsim host runs the real drivers.
    ("flyer-sim-cluster", "flyer-real-tcp"),
];

/// Single arrows that only `dev-dependencies` may follow, with the reason.
const TEST_EXTRA: &[(&str, &str)] = &[
    // Tests of the file system drive the real metadata server, not an imitation of it.
    ("flyer-vfs", "flyer-cluster"),
];

/// Packages below `tests/` that exist to be used by the tests of other packages.
const TEST_HELPERS: &[&str] = &[];

const CORE_FOLDER: &str = "core/";

/// Check the arrows between all `packages`; `manifests` holds their `Cargo.toml` files, for line numbers.
#[must_use]
pub fn check(packages: &[Package], manifests: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages {
        let Some(folder) = folder_of(&package.name) else {
            violations.push(Violation::new(
                &package.manifest,
                1,
                format!("package `{}` is in no table", package.name),
                "add it to tests/tidy/src/arrows.rs and to docs/architecture.md",
            ));
            continue;
        };
        if !package.manifest.starts_with(folder) {
            let what = format!("package `{}` belongs to {folder}", package.name);
            violations.push(Violation::new(
                &package.manifest,
                1,
                what,
                "move it there, or correct the table",
            ));
        }
        for dependency in package.dependencies.iter().filter(|dependency| dependency.local) {
            if !is_allowed(&package.name, &dependency.name, dependency.dev) {
                let line = cargo::line_of(manifests, &package.manifest, &dependency.name);
                let what = format!("`{}` must not depend on `{}`", package.name, dependency.name);
                violations.push(Violation::new(
                    &package.manifest,
                    line,
                    what,
                    "follow docs/architecture.md",
                ));
            }
        }
    }
    violations
}

fn is_allowed(from: &str, to: &str, dev: bool) -> bool {
    let for_tests = from == to || TEST_HELPERS.contains(&to) || TEST_EXTRA.contains(&(from, to));
    if EXTRA.contains(&(from, to)) || (dev && for_tests) {
        return true;
    }
    if let Some((_, allowed)) = CORE.iter().find(|(name, _)| *name == from) {
        return allowed.contains(&to);
    }
    let row = FOLDERS.iter().find(|(_, packages, _)| packages.contains(&from));
    row.is_some_and(|(_, _, allowed)| folder_of(to).is_some_and(|folder| allowed.contains(&folder)))
}

fn folder_of(package: &str) -> Option<&'static str> {
    if CORE.iter().any(|(name, _)| *name == package) {
        return Some(CORE_FOLDER);
    }
    FOLDERS
        .iter()
        .find(|(_, packages, _)| packages.contains(&package))
        .map(|(folder, _, _)| *folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Dependency;

    fn found(name: &str, folder: &str, to: &str, dev: bool) -> Vec<String> {
        let manifest = format!("{folder}/Cargo.toml");
        let text = format!("[package]\n[dependencies]\n{to}.workspace = true\n");
        let package = Package {
            name: name.into(),
            manifest: manifest.clone(),
            dependencies: vec![Dependency {
                name: to.into(),
                dev,
                local: true,
            }],
            ..Package::default()
        };
        check(&[package], &[TextFile::new(manifest, text)])
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn is_refused(name: &str, folder: &str, to: &str, dev: bool) -> bool {
        let expected = format!("`{name}` must not depend on `{to}`");
        found(name, folder, to, dev)
            .iter()
            .any(|violation| violation.contains(&expected))
    }

    #[test]
    fn fires_on_arrows_that_point_the_wrong_way() {
        assert!(is_refused("flyer-types", "core/types", "flyer-wire", false));
        assert!(is_refused("flyer-types", "core/types", "flyer-wire", true));
        assert!(is_refused("flyer-rpc", "core/rpc", "flyer-vfs", false));
        assert!(is_refused("flyer-vfs", "core/vfs", "flyer-real-tcp", false));
        assert!(is_refused("flyer-vfs", "core/vfs", "flyer-cluster", false));
        assert!(is_refused("flyer-client", "core/client", "flyer-cluster", true));
        assert!(is_refused("flyer-mount-tests", "tests/mount", "flyer", false));
        assert!(is_refused("flyer-real-tcp", "real/tcp", "flyer", false));
        assert!(is_refused("flyer-fuzz", "fuzz", "flyer-sim-cluster", false));
        assert!(is_refused("flyer-bench", "tests/bench", "flyer", false));
        assert!(is_refused("flyer-fuzz", "fuzz", "flyer-unknown", false));
        let expected =
            "core/rpc/Cargo.toml:3: `flyer-rpc` must not depend on `flyer`; follow docs/architecture.md";
        assert_eq!(found("flyer-rpc", "core/rpc", "flyer", false), [expected]);
    }

    #[test]
    fn allowed_arrows_pass() {
        let none = Vec::<String>::new();
        assert_eq!(found("flyer-wire", "core/wire", "flyer-types", false), none);
        assert_eq!(found("flyer-wire", "core/wire", "flyer-wire", true), none);
        assert_eq!(
            found("flyer-sim-cluster", "sim/cluster", "flyer-real-tcp", false),
            none
        );
        assert_eq!(found("flyer-vfs", "core/vfs", "flyer-cluster", true), none);
        assert_eq!(found("flyer", "fuse", "flyer-vfs", false), none);
        assert_eq!(found("flyer-fuzz", "fuzz", "flyer-wire", false), none);
    }

    #[test]
    fn fires_on_packages_that_are_unknown_or_misplaced() {
        assert!(found("flyer-new", "core/new", "flyer-types", false)[0].contains("is in no table"));
        assert!(found("flyer-wire", "real/wire", "flyer-types", false)[0].contains("belongs to core/"));
    }

    #[test]
    fn core_is_layered() {
        for (at, (name, allowed)) in CORE.iter().enumerate() {
            for to in *allowed {
                let below = CORE[..at].iter().any(|(lower, _)| lower == to);
                assert!(below, "{name} may depend on {to}, which is not listed above it");
            }
        }
    }
}
