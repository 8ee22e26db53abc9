//! Randomness as an argument: a seeded generator that splits by label.
//!
//! A stream is named by the root seed and the labels on the way to it, and by nothing else: how much was drawn from a
//! parent or a sibling does not matter, nor in which order streams were split off. So a machine that draws once more
//! than yesterday does not change what every other machine draws, and a seed in a bug report keeps its meaning.
//!
//! ```text
//! root seed ──split("net")──► key ──split_index("link", 3)──► key ──► xoshiro256++ stream
//! ```
//!
//! Not for secrets: the generator is xoshiro256++ (Blackman and Vigna, <https://prng.di.unimi.it>), seeded and
//! split with the output function of SplitMix64. The streams are pinned by known-answer tests and must never
//! change.

use crate::ids::Uuid;
use core::ops::RangeInclusive;
use rand_core::{Rng as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The odd constant of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Keeps `split("x")` and `split_index("x", n)` apart.
const INDEXED: u64 = 1 << 63;

/// A named stream of random numbers. A clone continues like its original.
#[derive(Clone, Debug)]
pub struct Rng {
    /// The stream's name, boiled down: what children are derived from. Never changes.
    key: u64,
    /// Where the stream is.
    stream: Xoshiro256PlusPlus,
}

impl Rng {
    /// The root stream of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut bytes = [0; 32];
        let mut state = seed;
        for word in bytes.as_chunks_mut().0 {
            state = state.wrapping_add(GOLDEN);
            *word = mix(state).to_le_bytes();
        }
        // `mix` is a bijection and the four states differ, so the words do: never the all-zero state.
        Self {
            key: seed,
            stream: Xoshiro256PlusPlus::from_seed(bytes),
        }
    }

    /// The child stream with this label.
    #[must_use]
    pub fn split(&self, label: &str) -> Self {
        Self::from_seed(absorb_label(self.key, label, 0))
    }

    /// The child stream with this label and number.
    #[must_use]
    pub fn split_index(&self, label: &str, index: u64) -> Self {
        Self::from_seed(absorb(absorb_label(self.key, label, INDEXED), index))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// A number below `n`, all equally likely (Lemire, "Fast Random Integer Generation in an Interval", 2019).
    ///
    /// # Panics
    /// If `n` is 0: there is no such number.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "no number is below 0");
        // The lowest 2^64 mod n products of each bucket are one too many.
        let surplus = n.wrapping_neg() % n;
        loop {
            let (low, high) = widening_mul(self.next_u64(), n);
            if low >= surplus {
                debug_assert!(high < n);
                return high;
            }
        }
    }

    /// A number of the range, all equally likely.
    ///
    /// # Panics
    /// If the range is empty.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = range.into_inner();
        assert!(low <= high, "no number lies in {low}..={high}");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// An index into something with `len` items.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("a number below a usize is one")
    }

    /// True in `numerator` of `denominator` cases. Draws once, whatever the odds.
    ///
    /// # Panics
    /// If the odds are no probability: `denominator` is 0 or less than `numerator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        assert!(
            numerator <= denominator,
            "{numerator} of {denominator} is no probability"
        );
        self.below(denominator) < numerator
    }

    /// Overwrites all bytes with random ones.
    pub fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }

    /// One of the items; `None` (and nothing drawn) if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() {
            return None;
        }
        items.get(self.index(items.len()))
    }

    /// Brings the items into random order, all orders equally likely (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// 16 random bytes, never all zero: 3FS reads that as "not set".
    pub fn uuid(&mut self) -> Uuid {
        loop {
            let mut uuid = Uuid::ZERO;
            self.fill_bytes(&mut uuid.0);
            if !uuid.is_zero() {
                return uuid;
            }
        }
    }
}

/// The output function of SplitMix64: a bijection that spreads every bit over all others.
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One more word of a stream's name. A bijection of `key` for each word.
const fn absorb(key: u64, word: u64) -> u64 {
    mix((key ^ word).wrapping_add(GOLDEN))
}

/// One more label of a stream's name: its length and kind, then its bytes in groups of eight, zeros behind the last.
fn absorb_label(key: u64, label: &str, kind: u64) -> u64 {
    let mut key = absorb(key, label.len() as u64 ^ kind);
    for chunk in label.as_bytes().chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        key = absorb(key, u64::from_le_bytes(word));
    }
    key
}

/// Lower and upper half of `a * b`.
fn widening_mul(a: u64, b: u64) -> (u64, u64) {
    a.carrying_mul(b, 0)
}
