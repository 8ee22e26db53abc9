//! The house rules applied to the tree: one test per rule, each of which lists everything it found.

use flyer_tidy::cargo::{self, Package};
use flyer_tidy::exceptions::{self, Exception};
use flyer_tidy::tree::Tree;
use flyer_tidy::{
    TextFile, Violation, arrows, banned, core_crates, dependencies, locks, module_docs, reach, report, size,
    text, words,
};
use std::sync::OnceLock;

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(|| Tree::load().expect("the tests run inside a git checkout"))
}

/// All packages: those of the workspace, and those that are workspaces of their own.
fn packages() -> &'static [Package] {
    static PACKAGES: OnceLock<Vec<Package>> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let load = |manifest: &str| cargo::packages(&tree().root, manifest).expect("the manifests are valid");
        let mut packages = load("Cargo.toml");
        for manifest in manifests() {
            if manifest.path != "Cargo.toml"
                && !packages.iter().any(|package| package.manifest == manifest.path)
            {
                packages.extend(load(&manifest.path));
            }
        }
        packages
    })
}

fn manifests() -> Vec<TextFile> {
    let is_manifest = |file: &&TextFile| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml");
    tree().files.iter().filter(is_manifest).cloned().collect()
}

fn file(path: &str) -> TextFile {
    tree()
        .file(path)
        .cloned()
        .unwrap_or_else(|| panic!("{path} is missing"))
}

fn exception_list() -> (Vec<Exception>, Vec<Violation>) {
    exceptions::parse(&file(exceptions::PATH).text)
}

#[track_caller]
fn assert_none(rule: &str, violations: &[Violation]) {
    assert!(violations.is_empty(), "{}", report(rule, violations));
}

fn in_each_file(check: impl Fn(&TextFile) -> Vec<Violation>) -> Vec<Violation> {
    tree().files.iter().flat_map(check).collect()
}

fn in_each_source(check: impl Fn(&TextFile) -> Vec<Violation>) -> Vec<Violation> {
    in_each_file(|file| if file.is_rust() { check(file) } else { Vec::new() })
}

#[test]
fn files_and_functions_are_short() {
    let (measures, mut violations) = size::measure(&tree().files);
    violations.extend(size::check(&measures, &exception_list().0));
    assert_none("files of at most 800 lines, functions of at most 70", &violations);
}

#[test]
fn exceptions_are_still_needed() {
    let (entries, mut violations) = exception_list();
    violations.extend(exceptions::check_needed(
        &entries,
        &size::measure(&tree().files).0,
    ));
    assert_none("each exception names exactly what is too long", &violations);
}

#[test]
fn exceptions_only_shrink() {
    let (entries, _) = exception_list();
    let mut violations = Vec::new();
    for (commit, older) in tree().history(exceptions::PATH) {
        violations.extend(exceptions::check_growth(
            &entries,
            &exceptions::parse(&older).0,
            &commit,
        ));
    }
    assert_none("the list of exceptions only shrinks", &violations);
}

#[test]
fn banned_code_stays_where_it_belongs() {
    assert_none(
        "clocks, threads, randomness, unfinished code, unsafe",
        &in_each_source(banned::check),
    );
}

#[test]
fn core_crates_are_no_std_and_safe() {
    assert_none(
        "core is no_std and forbids unsafe",
        &core_crates::check(packages(), &tree().files),
    );
}

#[test]
fn every_source_is_reached() {
    let targets = packages().iter().flat_map(|package| &package.targets);
    let roots: Vec<String> = targets.map(|target| target.source.clone()).collect();
    assert_none("no dead files", &reach::check(&tree().files, &roots));
}

#[test]
fn packages_follow_the_arrows() {
    assert_none(
        "packages depend along the arrows of the design",
        &arrows::check(packages(), &manifests()),
    );
}

#[test]
fn every_source_opens_with_documentation() {
    assert_none("each source opens with `//!`", &module_docs::check(&tree().files));
}

#[test]
fn dependencies_are_explained() {
    let (root, explained) = (file("Cargo.toml"), file(dependencies::PATH));
    let violations = dependencies::check(packages(), &manifests(), &root, &explained);
    assert_none("each third-party dependency is explained", &violations);
}

#[test]
fn lock_files_agree() {
    assert_none(
        "the second lock file is part of the first",
        &locks::check(&file(locks::MAIN), &file(locks::NO_STD)),
    );
}

#[test]
fn text_files_are_well_formed() {
    let mut violations = in_each_file(text::check);
    violations.extend(text::check_binaries(&tree().binaries));
    assert_none("form of text files", &violations);
}

#[test]
fn no_marker_words() {
    assert_none("no marker words", &in_each_file(words::check_markers));
}

#[test]
fn no_machine_paths() {
    assert_none(
        "no paths of one machine",
        &in_each_file(words::check_machine_paths),
    );
}

#[test]
fn no_registry_hosts() {
    assert_none(
        "no hosts of package registries",
        &in_each_file(words::check_registry_hosts),
    );
}
