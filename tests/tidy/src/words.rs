//! Words that do not belong into the repository: markers of unfinished work, paths of one machine, hosts of package
//! registries. The words are put together at run time, so that this file does not contain them.

use crate::{TextFile, Violation, text};

/// Folders whose files are data, not prose: recorded bytes may contain anything.
const DATA_FOLDERS: &[&str] = &["vectors", "corpus", "corpora"];

/// Marker words in sources, scripts, manifests and documents.
#[must_use]
pub fn check_markers(file: &TextFile) -> Vec<Violation> {
    if text::kind(file).is_none() {
        return Vec::new();
    }
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), "X".repeat(3)];
    let is_marker = |part: &&str| words.iter().any(|word| word == part);
    let violation = |(line, word): (usize, &str)| {
        Violation::new(
            &file.path,
            line,
            format!("marker word {word}"),
            "open an issue, or do it now",
        )
    };
    let parts = |line| str::split(line, |c: char| !c.is_alphanumeric() && c != '_');
    let numbered = file.text.lines().enumerate();
    numbered
        .flat_map(|(at, line)| parts(line).filter(is_marker).map(move |word| (at + 1, word)))
        .map(violation)
        .collect()
}

/// Paths that exist on one machine only.
#[must_use]
pub fn check_machine_paths(file: &TextFile) -> Vec<Violation> {
    let folders = ["root", "home", "work", "Users"].map(|name| format!("/{name}/"));
    find(
        file,
        "path of one machine",
        "use a path relative to the repository",
        |line| {
            folders
                .iter()
                .find(|folder| {
                    line.match_indices(folder.as_str())
                        .any(|(at, _)| starts_path(line, at))
                })
                .cloned()
        },
    )
}

/// Hosts that serve packages.
#[must_use]
pub fn check_registry_hosts(file: &TextFile) -> Vec<Violation> {
    let hosts = [
        ["crates", "io"],
        ["pypi", "org"],
        ["pythonhosted", "org"],
        ["npmjs", "org"],
        ["rsproxy", "cn"],
        ["jfrog", "io"],
        ["proxy.golang", "org"],
        ["deb.debian", "org"],
    ]
    .map(|parts| parts.join("."));
    find(
        file,
        "host of a package registry",
        "name the package, not where it is served",
        |line| {
            hosts
                .iter()
                .find(|host| {
                    line.match_indices(host.as_str())
                        .any(|(at, _)| ends_host(line, at + host.len()))
                })
                .cloned()
        },
    )
}

/// Whether the name of a host ends at `end` and does not go on, as that of the index repository does in a lock file.
fn ends_host(line: &str, end: usize) -> bool {
    let after = line[end..].chars().next();
    after.is_none_or(|c| !(c.is_alphanumeric() || c == '-'))
}

/// Whether the `/` at `at` begins a path and does not continue one such as `src/home/x`.
fn starts_path(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    before.is_none_or(|c| !(c.is_alphanumeric() || "_.-})>*~$".contains(c)))
}

fn find(file: &TextFile, what: &str, remedy: &str, test: impl Fn(&str) -> Option<String>) -> Vec<Violation> {
    if file
        .path
        .split('/')
        .rev()
        .skip(1)
        .any(|folder| DATA_FOLDERS.contains(&folder))
    {
        return Vec::new();
    }
    let violation = |(at, line): (usize, &str)| {
        let found = test(line)?;
        Some(Violation::new(
            &file.path,
            at + 1,
            format!("{what}: `{found}`"),
            remedy,
        ))
    };
    file.text.lines().enumerate().filter_map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(violations: &[Violation]) -> Vec<usize> {
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn fires_on_marker_words() {
        let marker = ["TO", "DO"].concat();
        let other = ["FIX", "ME"].concat();
        let crosses = "X".repeat(3);
        let text = format!(
            "// {marker}: later\nlet {marker}S = 1;\n// {other}({crosses})\nmktemp a.{crosses}{crosses}\n"
        );
        assert_eq!(
            lines(&check_markers(&TextFile::new("a.rs", text.as_str()))),
            [1, 3, 3]
        );
        assert_eq!(
            lines(&check_markers(&TextFile::new("a.md", format!("* {crosses}\n")))),
            [1]
        );
        assert_eq!(check_markers(&TextFile::new("vectors/a.json", text)), []);
    }

    #[test]
    fn fires_on_paths_of_one_machine() {
        let bad = ["", "home", "me", "x"].join("/");
        let inside = format!("a{bad}\n${{HOME}}{bad}\n../{bad}\n");
        let text = format!("cd {bad}\n{inside}\"file:/{bad}\"\n");
        assert_eq!(
            lines(&check_machine_paths(&TextFile::new("a.json", text.as_str()))),
            [1, 4, 5]
        );
        assert_eq!(
            check_machine_paths(&TextFile::new("tests/vectors/a.json", text)),
            []
        );
    }

    #[test]
    fn fires_on_registry_hosts() {
        let host = ["crates", "io"].join(".");
        let lock = format!("source = \"git\"\nsource = \"https://index.{host}/\"\n");
        assert_eq!(
            lines(&check_registry_hosts(&TextFile::new("Cargo.lock", lock))),
            [2]
        );
        let usual = format!("source = \"registry+https://github.com/rust-lang/{host}-index\"\n");
        assert_eq!(check_registry_hosts(&TextFile::new("Cargo.lock", usual)), []);
    }
}
