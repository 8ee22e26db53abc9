//! Reads the repository: which files belong to it, what is in them, and what an older version of a file said.
//!
//! The list comes from git (tracked files, and untracked ones that are not ignored), so build output and editor
//! leftovers never matter. Needs `git` in the path.

use crate::TextFile;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The text files of the repository.
#[derive(Debug)]
pub struct Tree {
    /// The root folder of the repository.
    pub root: PathBuf,
    /// Every file that is text: valid UTF-8 without a zero byte.
    pub files: Vec<TextFile>,
    /// Paths of the other files.
    pub binaries: Vec<String>,
}

impl Tree {
    /// Read the repository that this package lives in.
    ///
    /// # Errors
    /// A sentence that says what could not be read.
    pub fn load() -> Result<Self, String> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package
            .ancestors()
            .nth(2)
            .ok_or("the package lies in tests/tidy of the repository")?;
        let mut tree = Self {
            root: root.to_path_buf(),
            files: Vec::new(),
            binaries: Vec::new(),
        };
        let listed = git(
            root,
            &["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        )?;
        let mut paths: Vec<&str> = listed.split('\0').filter(|path| !path.is_empty()).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            let absolute = root.join(path);
            // A tracked file may be deleted in the work tree; folders are submodules.
            if absolute.is_file() {
                let bytes = std::fs::read(&absolute).map_err(|error| format!("{path}: {error}"))?;
                tree.add(path, bytes);
            }
        }
        Ok(tree)
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => self.files.push(TextFile::new(path, text)),
            Ok(_) | Err(_) => self.binaries.push(path.into()),
        }
    }

    /// The file at `path`, if it is text.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Committed versions of the file at `path` that differ and can still be found, the newest first, each with its
    /// commit.
    ///
    /// A repository without history (a fresh `git init`, a shallow clone) gives a shorter list, never an error.
    #[must_use]
    pub fn history(&self, path: &str) -> Vec<(String, String)> {
        let log = git(&self.root, &["log", "--format=%H", "--", path]).unwrap_or_default();
        let mut versions: Vec<(String, String)> = Vec::new();
        for commit in core::iter::once("HEAD").chain(log.lines()) {
            if let Ok(text) = git(&self.root, &["show", &format!("{commit}:{path}")])
                && !versions.iter().any(|(_, known)| *known == text)
            {
                versions.push((commit.to_owned(), text));
            }
        }
        versions
    }
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        // A checkout that belongs to another user (a container, a build machine) is still this checkout.
        .args(["-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(root)
        .output()
        .map_err(|error| format!("git could not be started ({error}); install git"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!(
            "git {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_kept_apart() {
        let mut tree = Tree {
            root: PathBuf::new(),
            files: Vec::new(),
            binaries: Vec::new(),
        };
        tree.add("text", b"hello\n".to_vec());
        tree.add("zero", b"a\0b".to_vec());
        tree.add("latin", vec![0xe9]);
        assert_eq!(tree.files.len(), 1);
        assert_eq!(tree.binaries, ["zero", "latin"]);
        assert!(tree.file("text").is_some() && tree.file("zero").is_none());
    }

    #[test]
    fn this_file_is_part_of_the_tree() {
        let tree = Tree::load().expect("the tests run inside a git checkout");
        assert!(tree.file("tests/tidy/src/tree.rs").is_some());
        assert!(!tree.files.iter().any(|file| file.path.starts_with("target/")));
    }

    #[test]
    fn an_unknown_file_has_no_history() {
        let tree = Tree::load().expect("the tests run inside a git checkout");
        assert_eq!(tree.history("no/such/file"), []);
    }
}
