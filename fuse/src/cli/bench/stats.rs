//! What is made of the figures of several rounds: medians, ratios and how far they spread, and who goes first in a round.
//!
//! What disturbs the machine for longer than a round slows all contestants of that round, so the ratio is taken within each round
//! and only then over all of them. With an odd number of rounds a median is a figure that was measured.

/// A middle value and how far the values reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Spread {
    /// `None` without values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let median = f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median, low, high })
    }

    /// Of the ratios within each round. `None` unless both took part in the same rounds.
    pub(super) fn of_ratios(own: &[f64], base: &[f64]) -> Option<Self> {
        if own.len() != base.len() {
            return None;
        }
        Self::of(own.iter().zip(base).map(|(own, base)| own / base))
    }
}

/// Who takes turns in which order. In as many rounds as there are contestants each has every place once. In these rounds, or in
/// twice as many when their number is odd, each follows every other one equally often, so nobody always pays for the same one's
/// leftovers.
pub(super) fn order(round: u32, contestants: usize) -> Vec<usize> {
    let round = usize::try_from(round).expect("a count of rounds fits");
    let zigzag = |place: usize| {
        if place.is_multiple_of(2) {
            place / 2
        } else {
            contestants - 1 - place / 2
        }
    };
    let mut order: Vec<usize> = (0..contestants)
        .map(|place| (zigzag(place) + round) % contestants)
        .collect();
    if (round / contestants.max(1)) % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_middle_of_values_in_any_order() {
        let spread = |median, low, high| Some(Spread { median, low, high });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), spread(2.0, 1.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 8.0]), spread(3.0, 1.0, 8.0));
        assert_eq!(Spread::of([5.0]), spread(5.0, 5.0, 5.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        // The machine is ten times as slow in the second round, and somebody disturbs one turn of the third.
        let ratio = Spread::of_ratios(&[50.0, 5.0, 50.0], &[100.0, 10.0, 10.0]).expect("three rounds");
        assert_eq!(
            ratio,
            Spread {
                median: 0.5,
                low: 0.5,
                high: 5.0
            }
        );
        assert_eq!(Spread::of_ratios(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(Spread::of_ratios(&[], &[]), None);
    }

    #[test]
    fn places_and_neighbours_are_shared_out_evenly() {
        for contestants in 1..=6_usize {
            let rounds = if contestants.is_multiple_of(2) {
                contestants
            } else {
                2 * contestants
            };
            let (mut places, mut follows) = (BTreeMap::new(), BTreeMap::new());
            for round in 0..rounds {
                let order = order(u32::try_from(round).expect("small"), contestants);
                for (place, who) in order.iter().enumerate() {
                    *places.entry((place, *who)).or_insert(0) += 1;
                }
                for pair in order.windows(2) {
                    *follows.entry((pair[0], pair[1])).or_insert(0) += 1;
                }
            }
            assert_eq!(places.len(), contestants * contestants);
            assert!(places.values().all(|times| *times == rounds / contestants));
            assert_eq!(
                follows.len(),
                contestants * (contestants - 1),
                "{contestants}: {follows:?}"
            );
            assert!(follows.values().all(|times| *times == rounds / contestants));
        }
        assert_eq!(order(3, 0), Vec::<usize>::new());
    }
}
