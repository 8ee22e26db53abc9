//! Libraries below `core/` carry `#![no_std]` and `#![forbid(unsafe_code)]`, so that the compiler keeps the promise that
//! no clock, thread, socket or file is reached from there. A derive macro runs inside the compiler: it may use `std`.

use crate::cargo::Package;
use crate::{TextFile, Violation};

/// Check the library of every package below `core/`; `files` holds the sources.
#[must_use]
pub fn check(packages: &[Package], files: &[TextFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in packages
        .iter()
        .filter(|package| package.manifest.starts_with("core/"))
    {
        for target in &package.targets {
            let is_macro = target.kinds.iter().any(|kind| kind == "proc-macro");
            let is_library = target.kinds.iter().any(|kind| kind.contains("lib"));
            let file = files.iter().find(|file| file.path == target.source);
            if let Some(file) = file.filter(|_| is_library || is_macro) {
                violations.extend(check_root(file, is_macro));
            }
        }
    }
    violations
}

fn check_root(file: &TextFile, is_macro: bool) -> Vec<Violation> {
    let syntax = match file.parse() {
        Ok(syntax) => syntax,
        Err(violation) => return vec![violation],
    };
    let is_no_std = |attribute: &syn::Attribute| attribute.path().is_ident("no_std");
    let mut missing = Vec::new();
    if !is_macro && !syntax.attrs.iter().any(is_no_std) {
        missing.push("#![no_std]");
    }
    if !syntax.attrs.iter().any(forbids_unsafe) {
        missing.push("#![forbid(unsafe_code)]");
    }
    let violation = |attribute: &&str| {
        Violation::new(
            &file.path,
            1,
            format!("`{attribute}` is missing"),
            "add it below the module documentation",
        )
    };
    missing.iter().map(violation).collect()
}

fn forbids_unsafe(attribute: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return false;
    };
    let lints = crate::tokens::paths(list.tokens.clone());
    list.path.is_ident("forbid") && lints.iter().any(|lint| lint.names == ["unsafe_code"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cargo::Target;

    fn found(folder: &str, kind: &str, text: &str) -> Vec<String> {
        let source = format!("{folder}/src/lib.rs");
        let package = Package {
            manifest: format!("{folder}/Cargo.toml"),
            targets: vec![Target {
                kinds: vec![kind.into()],
                source: source.clone(),
            }],
            ..Package::default()
        };
        check(&[package], &[TextFile::new(source, text)])
            .into_iter()
            .map(|violation| violation.what)
            .collect()
    }

    #[test]
    fn fires_on_missing_attributes() {
        let both = ["`#![no_std]` is missing", "`#![forbid(unsafe_code)]` is missing"];
        assert_eq!(found("core/rpc", "lib", "//! x\n"), both);
        assert_eq!(
            found("core/rpc", "lib", "#![no_std]\n#![deny(unsafe_code)]\n"),
            both[1..]
        );
        assert_eq!(
            found(
                "core/rpc",
                "lib",
                "#![cfg_attr(a, no_std)]\n#![forbid(unsafe_code)]\n"
            ),
            both[..1]
        );
        assert_eq!(found("core/wire/derive", "proc-macro", ""), both[1..]);
    }

    #[test]
    fn complete_roots_and_other_folders_are_left_alone() {
        let none = Vec::<String>::new();
        assert_eq!(
            found(
                "core/rpc",
                "lib",
                "#![no_std]\n#![forbid(missing_docs, unsafe_code)]\n"
            ),
            none
        );
        assert_eq!(found("core/rpc", "test", ""), none);
        assert_eq!(found("real/tcp", "lib", ""), none);
    }
}
