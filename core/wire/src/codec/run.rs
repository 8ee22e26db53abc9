//! Runs: fields of fixed size that follow each other in a table.
//!
//! Most fields are numbers. Asking for each of them whether the table has ended, whether it has room and where the
//! next one goes costs more than moving it, so the derive macro moves a whole run with one check. Everything here is
//! computed by the compiler; in the program only constants are left.
//!
//! ```text
//! sizes    4  4  -  8  2          (- : differs)
//! runs     \--/     \--/
//! ```
//!
//! Reading by runs gives up, and leaves the rest of the table to reading field by field, when the table is too short
//! for a run (an older peer wrote it) or a nested table does not have the length that this side would write.

/// Bytes of the run that starts with field `from`; 0 if that is not where a run of two or more fields starts.
#[must_use]
pub const fn bytes(sizes: &[Option<usize>], from: usize) -> usize {
    let first = from == 0 || sizes[from - 1].is_none();
    if first && end(sizes, from) >= from + 2 {
        offset(sizes, from, end(sizes, from))
    } else {
        0
    }
}

/// Whether field `at` belongs to a run of two or more fields.
#[must_use]
pub const fn covers(sizes: &[Option<usize>], at: usize) -> bool {
    let mut from = at;
    while from > 0 && sizes[from].is_some() && sizes[from - 1].is_some() {
        from -= 1;
    }
    bytes(sizes, from) > 0
}

/// Where field `at` begins within the run that starts with field `from`; `None` if it does not belong to that run.
#[must_use]
pub const fn place(sizes: &[Option<usize>], from: usize, at: usize) -> Option<(usize, usize)> {
    if at < from || at >= end(sizes, from) {
        return None;
    }
    Some((offset(sizes, from, at), offset(sizes, from, at + 1)))
}

/// Bytes of a table of these fields, if all of them have a fixed size and its length takes one byte.
#[must_use]
pub const fn table(sizes: &[Option<usize>]) -> Option<usize> {
    if end(sizes, 0) < sizes.len() {
        return None;
    }
    let content = offset(sizes, 0, sizes.len());
    if content < 0x80 { Some(1 + content) } else { None }
}

/// The sum, if both are fixed.
#[must_use]
pub const fn sum(first: Option<usize>, second: Option<usize>) -> Option<usize> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first + second),
        _ => None,
    }
}

/// The first field from `from` on whose size is not fixed, or the number of fields.
const fn end(sizes: &[Option<usize>], from: usize) -> usize {
    let mut at = from;
    while at < sizes.len() && sizes[at].is_some() {
        at += 1;
    }
    at
}

/// Bytes of the fields `from..to`, all of which are fixed.
const fn offset(sizes: &[Option<usize>], from: usize, to: usize) -> usize {
    let mut bytes = 0;
    let mut at = from;
    while at < to {
        if let Some(size) = sizes[at] {
            bytes += size;
        }
        at += 1;
    }
    bytes
}

#[cfg(all(test, feature = "arbitrary"))]
mod tests;
