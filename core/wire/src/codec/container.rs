//! Codecs of optionals, results, lists, sets, maps and pairs.

use super::{DecodeError, Reader, Wire, Writer};
use crate::reflect::{Reflect, Shape, Visitor};
use alloc::vec::Vec;
use flyer_types::Status;

/// Associations in wire order.
///
/// Upstream writes ordered maps by key and hashed maps in any order, and reads both in any order. Keeping the order
/// of arrival makes decoding one allocation and re-encoding exact; [`Map::from_pairs`] sorts, so what this side makes
/// is deterministic. Look-ups belong to the indexes that owners build from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Map<K, V>(pub Vec<(K, V)>);

impl<K: Ord, V> Map<K, V> {
    /// A map in key order. Of pairs with equal keys the first is kept.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        Self(pairs)
    }

    /// The value of the first pair with this key; linear.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<&V> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }
}

/// Distinct values in wire order; see [`Map`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Set<T>(pub Vec<T>);

impl<T: Ord> Set<T> {
    /// A set in order, without duplicates.
    #[must_use]
    pub fn from_values(values: impl IntoIterator<Item = T>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort();
        values.dedup();
        Self(values)
    }

    /// Whether the value is a member; linear.
    #[must_use]
    pub fn contains(&self, value: &T) -> bool {
        self.0.contains(value)
    }
}

/// `00` absent, `01` and the value present. Like upstream, any byte but 1 reads as absent.
impl<T: Wire> Wire for Option<T> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        None
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        match self {
            Some(value) => {
                value.encode(w);
                w.put([1]);
            }
            None => w.put([0]),
        }
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        if r.array()? != [1] {
            *self = None;
            return Ok(());
        }
        self.insert(T::initial()).decode_from(r)
    }
}

impl<T: Reflect> Reflect for Option<T> {
    fn reflect(&self, v: &mut dyn Visitor) {
        match self {
            Some(value) => value.reflect(v),
            None => v.leaf(crate::reflect::Leaf::Absent),
        }
    }
}

/// `01` and the value, or `00` and the status. Like upstream, any byte but 0 reads as a value.
impl<T: Wire> Wire for Result<T, Status> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Err(Status::default())
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        match self {
            Ok(value) => {
                value.encode(w);
                w.put([1]);
            }
            Err(status) => {
                status.encode(w);
                w.put([0]);
            }
        }
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        if r.array()? == [0] {
            let mut status = Status::default();
            status.decode_from(r)?;
            *self = Err(status);
        } else {
            *self = Ok(T::initial());
            if let Ok(value) = self {
                value.decode_from(r)?;
            }
        }
        Ok(())
    }
}

impl<T: Reflect> Reflect for Result<T, Status> {
    fn reflect(&self, v: &mut dyn Visitor) {
        match self {
            Ok(value) => {
                if v.begin(Shape::Ok) {
                    value.reflect(v);
                    v.end();
                }
            }
            Err(status) => {
                if v.begin(Shape::Err) {
                    status.reflect(v);
                    v.end();
                }
            }
        }
    }
}

/// Reads a count and as many elements into an emptied list.
#[inline]
fn decode_list<T: Wire>(list: &mut Vec<T>, r: &mut Reader<'_>) -> Result<(), DecodeError> {
    list.clear();
    let count = r.count::<T>(T::BYTES_MIN)?;
    list.reserve_exact(count);
    for _ in 0..count {
        // In its place at once: elements may be large, and moving them would cost as much as reading them.
        list.push_mut(T::initial()).decode_from(r)?;
    }
    Ok(())
}

/// Puts the elements and their count in front.
#[inline]
fn encode_list<T: Wire>(list: &[T], w: &mut Writer) {
    for element in list.iter().rev() {
        element.encode(w);
    }
    w.put_varint(list.len() as u64);
}

/// Shows the elements one by one.
fn reflect_list<T: Reflect>(list: &[T], v: &mut dyn Visitor) {
    if v.begin(Shape::List) {
        for element in list {
            element.reflect(v);
        }
        v.end();
    }
}

impl<T: Wire> Wire for Vec<T> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self::new()
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        encode_list(self, w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        decode_list(self, r)
    }
}

impl<T: Reflect> Reflect for Vec<T> {
    fn reflect(&self, v: &mut dyn Visitor) {
        reflect_list(self, v);
    }
}

impl<T: Wire> Wire for Set<T> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self(Vec::new())
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        encode_list(&self.0, w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        decode_list(&mut self.0, r)
    }
}

impl<T: Reflect> Reflect for Set<T> {
    fn reflect(&self, v: &mut dyn Visitor) {
        reflect_list(&self.0, v);
    }
}

impl<K: Wire, V: Wire> Wire for Map<K, V> {
    const BYTES_MIN: usize = 1;

    #[inline]
    fn initial() -> Self {
        Self(Vec::new())
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        encode_list(&self.0, w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        decode_list(&mut self.0, r)
    }
}

impl<K: Reflect, V: Reflect> Reflect for Map<K, V> {
    fn reflect(&self, v: &mut dyn Visitor) {
        if v.begin(Shape::Map) {
            for (key, value) in &self.0 {
                key.reflect(v);
                value.reflect(v);
            }
            v.end();
        }
    }
}

/// First, then second; no table around them.
impl<A: Wire, B: Wire> Wire for (A, B) {
    const BYTES_MIN: usize = A::BYTES_MIN + B::BYTES_MIN;

    #[inline]
    fn initial() -> Self {
        (A::initial(), B::initial())
    }

    #[inline]
    fn encode(&self, w: &mut Writer) {
        self.1.encode(w);
        self.0.encode(w);
    }

    #[inline]
    fn decode_from(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.0.decode_from(r)?;
        self.1.decode_from(r)
    }
}

impl<A: Reflect, B: Reflect> Reflect for (A, B) {
    fn reflect(&self, v: &mut dyn Visitor) {
        reflect_pair(&self.0, &self.1, v);
    }
}

fn reflect_pair(first: &dyn Reflect, second: &dyn Reflect, v: &mut dyn Visitor) {
    if v.begin(Shape::List) {
        first.reflect(v);
        second.reflect(v);
        v.end();
    }
}
