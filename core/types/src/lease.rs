//! Leases: how `core` speaks of payload without holding it.
//!
//! A host (production, simulator, fuzzer) owns all payload memory, pooled and registered as its transport wants.
//! Machines pass [`Lease`]s around: "bytes `off .. off + len` of the memory named `id`". Nothing in `core` can
//! read or write them.

pub use crate::ids::LeaseId;

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
}
