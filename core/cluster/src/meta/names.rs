//! Paths: how they fall into components, and which a request may carry.
//!
//! Source: `src/fbs/meta/Common.h` upstream, whose components are those of Boost.Filesystem 3: a leading `/` is one, repeated
//! separators collapse, a trailing separator is a final `.`.

use super::options::limits::PATH_BYTES_MAX;
use super::tx::{Res, fail};
use alloc::vec::Vec;
use flyer_types::StatusCode;
use flyer_types::limits::NAME_BYTES_MAX;
use flyer_wire::msg::meta::call::PathAt;

/// A component of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The separator at the start.
    Root,
    /// `.`, or a trailing separator.
    Here,
    /// `..`.
    Up,
    /// Anything else.
    Name(Vec<u8>),
}

/// The components of a path, in order.
pub(super) fn split(path: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    if path.first() == Some(&b'/') {
        parts.push(Part::Root);
    }
    for piece in path.split(|byte| *byte == b'/').filter(|piece| !piece.is_empty()) {
        parts.push(match piece {
            b"." => Part::Here,
            b".." => Part::Up,
            name => Part::Name(name.to_vec()),
        });
    }
    let has_names = parts.iter().any(|part| *part != Part::Root);
    if has_names && path.last() == Some(&b'/') {
        parts.push(Part::Here);
    }
    parts
}

/// Checks what no request may carry, whatever it asks for.
pub(super) fn check_path(path: &PathAt) -> Res<()> {
    let Some(path) = &path.path else {
        return Ok(());
    };
    if path.len() > PATH_BYTES_MAX {
        return fail(StatusCode::META_NAME_TOO_LONG);
    }
    if path.as_bytes().contains(&0) {
        return fail(StatusCode::INVALID_ARG);
    }
    Ok(())
}

/// Checks that the path ends with a real name, as it must where an entry is made, removed or renamed.
pub(super) fn check_for_create(path: &PathAt) -> Res<()> {
    check_path(path)?;
    let Some(text) = &path.path else {
        return fail(StatusCode::INVALID_ARG);
    };
    match split(text.as_bytes()).last() {
        Some(Part::Name(_)) => Ok(()),
        Some(Part::Root | Part::Here | Part::Up) | None => fail(StatusCode::INVALID_ARG),
    }
}

/// Checks a name before an entry gets it.
pub(super) fn check_name(name: &[u8]) -> Res<()> {
    if name.len() > NAME_BYTES_MAX {
        return fail(StatusCode::META_NAME_TOO_LONG);
    }
    if name.is_empty() || matches!(name, b"." | b"..") || name.contains(&b'/') || name.contains(&0) {
        return fail(StatusCode::INVALID_ARG);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flyer_types::ids::InodeId;

    fn name(text: &str) -> Part {
        Part::Name(text.as_bytes().to_vec())
    }

    #[test]
    fn paths_fall_into_components() {
        let known: [(&str, &[Part]); 9] = [
            ("", &[]),
            ("/", &[Part::Root]),
            ("//", &[Part::Root]),
            ("a", &[name("a")]),
            ("a/", &[name("a"), Part::Here]),
            ("/a//b", &[Part::Root, name("a"), name("b")]),
            ("./..", &[Part::Here, Part::Up]),
            ("//a", &[Part::Root, name("a")]),
            ("../a/.", &[Part::Up, name("a"), Part::Here]),
        ];
        for (path, parts) in known {
            assert_eq!(split(path.as_bytes()), parts, "{path}");
        }
    }

    #[test]
    fn only_real_names_can_be_made() {
        for (path, fine) in [
            ("a", true),
            ("/a", true),
            ("a/", false),
            ("/", false),
            ("a/..", false),
            ("", false),
            ("a/.b", true),
        ] {
            let at = PathAt {
                parent: InodeId::ROOT,
                path: Some(path.into()),
            };
            assert_eq!(check_for_create(&at).is_ok(), fine, "{path}");
        }
        assert!(
            check_for_create(&PathAt {
                parent: InodeId::ROOT,
                path: None
            })
            .is_err()
        );
    }
}
