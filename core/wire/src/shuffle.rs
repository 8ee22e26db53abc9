//! The order of chains within a stripe.
//!
//! A file layout of kind `ChainRange` with shuffling stores a seed instead of a list; every party recomputes the
//! same permutation from it (`src/common/utils/Shuffle.h` upstream). The engine is MT19937-64. How a number below a
//! bound is drawn from it has two historical forms that differ for a few seeds, chosen when a deployment was
//! compiled: [`ShuffleMethod`].
//!
//! A seed for which both give the same permutation is *safe*. Servers store only safe seeds; old files may carry
//! others, and those need the deployment's method.
//!
//! Limits: at most `u32::MAX` elements, the range of a layout's `stripeSize`; time linear in that, no memory
//! besides the list itself and the engine's 2.5 KiB.

use rand_mt::Mt64;

/// Seeds [`find_safe_seed`] looks at before it gives up.
pub const SAFE_SEED_TRIES_MAX: u32 = 1_000;

/// How a number below a bound is drawn: upstream's build option `SHUFFLE_METHOD`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShuffleMethod {
    /// `g++11`, also what later standard libraries do: multiply and keep the upper half.
    #[default]
    Gpp11,
    /// `g++10`: divide by the number of outputs per value.
    Gpp10,
}

/// Permutes `list` as a layout with this seed does.
///
/// # Panics
///
/// If `list` has more than `u32::MAX` elements, which no layout has.
pub fn shuffle(list: &mut [u32], seed: u64, method: ShuffleMethod) {
    let Some(steps) = Steps::of(list.len()) else {
        return;
    };
    let mut draws = Draws::new(seed, method);
    if steps.single {
        list.swap(1, index(draws.below(2)));
    }
    for pair in steps {
        let (at, drawn) = (index(pair.at), draws.below(pair.range()));
        list.swap(at, index(drawn / pair.width));
        list.swap(at + 1, index(drawn % pair.width));
    }
}

/// Whether both methods order `stripe` elements alike under this seed.
///
/// Different draws never give the same permutation (each element is swapped once, with one at or before it), so
/// the draws are compared and no list is built.
#[must_use]
pub fn is_safe_seed(stripe: u32, seed: u64) -> bool {
    let Some(mut steps) = Steps::of(index(u64::from(stripe))) else {
        return true;
    };
    let mut newer = Draws::new(seed, ShuffleMethod::Gpp11);
    let mut older = Draws::new(seed, ShuffleMethod::Gpp10);
    if steps.single && newer.below(2) != older.below(2) {
        return false;
    }
    steps.all(|pair| newer.below(pair.range()) == older.below(pair.range()))
}

/// The first safe seed for `stripe` elements that `random` yields, or `None` if [`SAFE_SEED_TRIES_MAX`] of them
/// were unsafe. Unsafe seeds are rare for stripes of practical length, so the first try usually fits.
pub fn find_safe_seed(stripe: u32, random: &mut dyn FnMut() -> u64) -> Option<u64> {
    (0..SAFE_SEED_TRIES_MAX)
        .map(|_| random())
        .find(|seed| is_safe_seed(stripe, *seed))
}

/// Two neighbouring elements that are placed by one draw: `at` among `0 ..= at`, then `at + 1` among
/// `0 ..= at + 1`.
#[derive(Clone, Copy)]
struct Pair {
    at: u64,
    /// How many places the second of the two has.
    width: u64,
}

impl Pair {
    /// Joint outcomes of the two placements. At most `(2^32 - 2) * (2^32 - 1)`, so it fits.
    const fn range(self) -> u64 {
        (self.width - 1) * self.width
    }
}

/// The draws that a list of some length takes, apart from their results.
struct Steps {
    /// An even length places its second element alone, by a draw of 0 or 1, before the pairs.
    single: bool,
    at: u64,
    len: u64,
}

impl Steps {
    /// `None` for an empty list, which draws nothing.
    fn of(len: usize) -> Option<Self> {
        let len = u32::try_from(len).expect("a stripe size is a u32");
        let single = len % 2 == 0;
        let at = if single { 2 } else { 1 };
        let len = u64::from(len);
        (len > 0).then_some(Self { single, at, len })
    }
}

impl Iterator for Steps {
    type Item = Pair;

    fn next(&mut self) -> Option<Pair> {
        if self.at >= self.len {
            return None;
        }
        let at = self.at;
        debug_assert!(at + 1 < self.len, "what is left is even");
        self.at += 2;
        Some(Pair { at, width: at + 2 })
    }
}

/// The engine and the way numbers are drawn from it.
struct Draws {
    engine: Mt64,
    method: ShuffleMethod,
}

impl Draws {
    fn new(seed: u64, method: ShuffleMethod) -> Self {
        Self {
            engine: Mt64::new(seed),
            method,
        }
    }

    /// A number below `range`, which is not 0.
    fn below(&mut self, range: u64) -> u64 {
        debug_assert!(range > 0);
        match self.method {
            ShuffleMethod::Gpp11 => self.below_by_product(range),
            ShuffleMethod::Gpp10 => self.below_by_quotient(range),
        }
    }

    /// The upper half of `output * range`, redrawing where the lower half shows that the result would be one of
    /// the values that come up once too often.
    fn below_by_product(&mut self, range: u64) -> u64 {
        let (mut low, mut high) = self.engine.next_u64().carrying_mul(range, 0);
        if low < range {
            let surplus = range.wrapping_neg() % range;
            while low < surplus {
                (low, high) = self.engine.next_u64().carrying_mul(range, 0);
            }
        }
        high
    }

    /// The output divided by how often each value comes up, redrawing past the last whole turn.
    fn below_by_quotient(&mut self, range: u64) -> u64 {
        let turns = u64::MAX / range;
        let past = range * turns;
        loop {
            let output = self.engine.next_u64();
            if output < past {
                return output / turns;
            }
        }
    }
}

/// A place in a list, all of which have been counted by a `u32`.
fn index(place: u64) -> usize {
    usize::try_from(place).expect("places are below 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn permutation(len: u32, seed: u64, method: ShuffleMethod) -> Vec<u32> {
        let mut list: Vec<u32> = (0..len).collect();
        shuffle(&mut list, seed, method);
        list
    }

    #[test]
    fn engine_is_the_standard_one() {
        let mut engine = Mt64::new(5_489);
        let last = (0..10_000).map(|_| engine.next_u64()).last();
        assert_eq!(last, Some(9_981_545_732_273_789_042));
        let mut engine = Mt64::new(42);
        let first: Vec<u64> = (0..3).map(|_| engine.next_u64()).collect();
        assert_eq!(
            first,
            [
                0xc151_df7d_6ee5_e2d6,
                0xa397_8fb9_b925_02a8,
                0xc08c_967f_0e5e_7b0a
            ]
        );
    }

    #[test]
    fn known_permutations() {
        let known: [(u64, &[u32]); 11] = [
            (0, &[]),
            (0, &[0]),
            (0, &[1, 0]),
            (0, &[2, 0, 1]),
            (0, &[1, 0, 2, 3]),
            (7, &[0, 2, 1, 4, 3]),
            (123_456_789, &[5, 3, 2, 0, 1, 6, 4]),
            (42, &[6, 2, 1, 4, 5, 3, 0, 7]),
            (42, &[11, 10, 1, 4, 5, 14, 13, 12, 8, 15, 9, 6, 7, 0, 3, 2]),
            (
                0x0123_4567_89ab_cdef,
                &[9, 1, 7, 2, 0, 15, 4, 11, 6, 10, 3, 13, 5, 14, 12, 8],
            ),
            (
                42,
                &[
                    20, 23, 1, 25, 16, 27, 13, 18, 19, 15, 31, 17, 22, 0, 3, 2, 5, 26, 12, 8, 11, 14, 7, 28,
                    6, 4, 24, 21, 10, 30, 29, 9,
                ],
            ),
        ];
        for (seed, expected) in known {
            let len = u32::try_from(expected.len()).expect("short");
            assert_eq!(
                permutation(len, seed, ShuffleMethod::Gpp11),
                expected,
                "{len} {seed}"
            );
            assert_eq!(
                permutation(len, seed, ShuffleMethod::Gpp10),
                expected,
                "{len} {seed}"
            );
            assert!(is_safe_seed(len, seed));
        }
    }

    #[test]
    fn the_methods_part_where_upstream_says_they_do() {
        let seed = 6_853_942_027_173_882_469;
        let newer = permutation(200, seed, ShuffleMethod::Gpp11);
        let older = permutation(200, seed, ShuffleMethod::Gpp10);
        let differing: Vec<usize> = (0..200).filter(|at| newer[*at] != older[*at]).collect();
        assert_eq!(differing, [78, 79, 195]);
        assert_eq!([newer[78], newer[79], newer[195]], [195, 190, 135]);
        assert_eq!([older[78], older[79], older[195]], [135, 195, 190]);
        assert!(!is_safe_seed(200, seed));
    }

    /// Comparing draws must be the same as comparing the permutations they give.
    #[test]
    fn safe_means_equal_permutations() {
        let mut unsafe_seeds = 0;
        for seed in 0..400u64 {
            // Long stripes, where the methods part often enough to see both answers.
            let len = 20_000 + u32::try_from(seed % 2).expect("0 or 1");
            let newer = permutation(len, seed, ShuffleMethod::Gpp11);
            let older = permutation(len, seed, ShuffleMethod::Gpp10);
            assert_eq!(is_safe_seed(len, seed), newer == older, "{len} {seed}");
            unsafe_seeds += u32::from(newer != older);
        }
        assert!(unsafe_seeds > 0);
    }

    #[test]
    fn every_shuffle_is_a_permutation() {
        for len in (0..70).chain([255, 256, 1_000, 1_001]) {
            for method in [ShuffleMethod::Gpp11, ShuffleMethod::Gpp10] {
                let mut list = permutation(len, 99, method);
                list.sort_unstable();
                assert_eq!(list, (0..len).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_longest_stripe_does_not_overflow() {
        let steps = Steps::of(index(u64::from(u32::MAX))).expect("not empty");
        assert!(!steps.single);
        let last = Pair {
            at: steps.len - 2,
            width: steps.len,
        };
        assert_eq!(last.range(), (u64::from(u32::MAX) - 1) * u64::from(u32::MAX));
        // Both draws stay below the longest range.
        for method in [ShuffleMethod::Gpp11, ShuffleMethod::Gpp10] {
            let mut draws = Draws::new(1, method);
            assert!((0..1_000).all(|_| draws.below(last.range()) < last.range()));
        }
    }

    #[test]
    fn a_safe_seed_is_found_or_given_up() {
        let mut offered = vec![3, 6_853_942_027_173_882_469];
        let found = find_safe_seed(200, &mut || offered.pop().expect("the second one is safe"));
        assert_eq!(found, Some(3));
        let mut tries = 0;
        let mut stuck = || {
            tries += 1;
            6_853_942_027_173_882_469
        };
        assert_eq!(find_safe_seed(200, &mut stuck), None);
        assert_eq!(tries, SAFE_SEED_TRIES_MAX);
        assert_eq!(find_safe_seed(0, &mut || 8), Some(8));
    }
}
