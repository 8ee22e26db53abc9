//! Leases: how `core` speaks of payload without holding it.
//!
//! A host (production, simulator, fuzzer) owns all payload memory, pooled and registered as its transport wants.
//! Machines pass [`Lease`]s around: "bytes `off .. off + len` of the memory named `id`". Nothing in `core` can
//! read or write them.

pub use crate::ids::LeaseId;
use smallvec::SmallVec;

impl LeaseId {
    /// Stands for the buffer a message is being decoded from, until the host names it.
    pub const THIS_BUFFER: Self = Self::new(u32::MAX, u32::MAX);
}

/// A range of bytes in memory owned by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which memory.
    pub id: LeaseId,
    /// First byte.
    pub off: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Lease {
    /// No bytes of no memory.
    pub const EMPTY: Self = Self {
        id: LeaseId::new(0, 0),
        off: 0,
        len: 0,
    };

    /// Whether the range holds no bytes.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// `len` bytes from `off` within this lease; `None` if they do not all lie inside it.
    #[must_use]
    pub fn slice(self, off: u32, len: u32) -> Option<Self> {
        let end = off.checked_add(len)?;
        if end > self.len {
            return None;
        }
        Some(Self {
            id: self.id,
            off: self.off.checked_add(off)?,
            len,
        })
    }
}

/// Ranges of host memory that belong together, in order: what a vectored call takes, or one destination for each part of a
/// batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments(SmallVec<[Lease; 2]>);

impl Segments {
    /// No memory.
    #[must_use]
    pub fn new() -> Self {
        Self(SmallVec::new())
    }

    /// Adds memory behind the rest.
    pub fn push(&mut self, lease: Lease) {
        self.0.push(lease);
    }

    /// The leases in order.
    #[must_use]
    pub fn leases(&self) -> &[Lease] {
        &self.0
    }

    /// Bytes of all leases together.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.0.iter().map(|lease| u64::from(lease.len)).sum()
    }

    /// Whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `len` bytes from `off`, counted through all leases; `None` if they do not all lie inside.
    #[must_use]
    pub fn slice(&self, off: u64, len: u64) -> Option<Self> {
        let mut part = Self::new();
        let mut skip = off;
        let mut left = len;
        for lease in &self.0 {
            let bytes = u64::from(lease.len);
            if left == 0 {
                break;
            }
            if skip >= bytes {
                skip -= bytes;
                continue;
            }
            let taken = left.min(bytes - skip);
            part.push(lease.slice(u32::try_from(skip).ok()?, u32::try_from(taken).ok()?)?);
            left -= taken;
            skip = 0;
        }
        (left == 0 && off.checked_add(len)? <= self.len_bytes()).then_some(part)
    }
}

impl From<Lease> for Segments {
    fn from(lease: Lease) -> Self {
        Self(SmallVec::from_slice(&[lease]))
    }
}

impl FromIterator<Lease> for Segments {
    fn from_iter<I: IntoIterator<Item = Lease>>(leases: I) -> Self {
        Self(leases.into_iter().collect())
    }
}

/// Small, so that who tests with random leases can afford to make the bytes they stand for.
#[cfg(feature = "arbitrary")]
impl<'a> arbitrary::Arbitrary<'a> for Lease {
    fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
        let len = if u.ratio(1, 16)? {
            u.int_in_range(0..=20_000)?
        } else {
            u.int_in_range(0..=64)?
        };
        Ok(Self {
            id: u.arbitrary()?,
            off: u.int_in_range(0..=u32::from(u16::MAX))?,
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_stay_inside() {
        let lease = Lease {
            id: LeaseId::new(3, 1),
            off: 100,
            len: 10,
        };
        assert_eq!(
            lease.slice(2, 8),
            Some(Lease {
                off: 102,
                len: 8,
                ..lease
            })
        );
        assert_eq!(
            lease.slice(10, 0),
            Some(Lease {
                off: 110,
                len: 0,
                ..lease
            })
        );
        assert_eq!(lease.slice(3, 8), None);
        assert_eq!(lease.slice(u32::MAX, 2), None);
    }

    #[test]
    fn segments_are_cut_across_leases() {
        let lease = |slot, off, len| Lease {
            id: LeaseId::new(slot, 1),
            off,
            len,
        };
        let all: Segments = [lease(1, 0, 10), lease(2, 5, 0), lease(3, 7, 20)]
            .into_iter()
            .collect();
        assert_eq!(all.len_bytes(), 30);
        assert_eq!(
            all.slice(8, 5),
            Some([lease(1, 8, 2), lease(3, 7, 3)].into_iter().collect())
        );
        assert_eq!(all.slice(10, 20), Some(lease(3, 7, 20).into()));
        assert_eq!(all.slice(30, 0), Some(Segments::new()));
        assert_eq!(all.slice(30, 1), None);
        assert_eq!(all.slice(11, 20), None);
        assert_eq!(all.slice(u64::MAX, 2), None);
    }
}
