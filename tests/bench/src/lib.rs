//! Side-by-side benchmarks: several contestants do the same work in short turns, in one run.
//!
//! Machines are noisy: clocks change, neighbours steal time. What is compared therefore runs close together. A round
//! gives each contestant one batch, in an order drawn anew; the ratio of a round is our time per operation divided by the peer's, and what is
//! reported is the median over all rounds. A disturbance that lasts longer than a round hits both sides of a ratio, a
//! shorter one spoils few rounds. Times per operation are medians as well. Batches are much shorter than the time
//! slices of the operating system: with batches as long as slices the same contestants were put off in every round.
//!
//! `cargo bench -p flyer-bench -- [--quick] [FILTER...]` runs the cases whose names contain all filters.
//!
//! Limits: one thread; no case with a contestant that takes longer than a second per operation.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a benchmark measures time and prints what it found"
)]

pub mod bytes;
pub mod mirror;
pub mod peers;
pub mod plain;
pub mod proto;
mod proto_mirror;
pub mod samples;

use core::time::Duration;
use flyer_types::Rng;
use std::time::Instant;

/// How long one contestant runs at a time.
const BATCH: Duration = Duration::from_micros(400);

/// How long one case takes, and with `--quick`.
const CASE: Duration = Duration::from_millis(2_500);
const CASE_QUICK: Duration = Duration::from_millis(400);

/// Fewest rounds that give a median.
const ROUNDS_MIN: usize = 15;

/// What a run measures.
#[derive(Debug)]
pub struct Run {
    quick: bool,
    filters: Vec<String>,
    verdicts: Vec<String>,
}

/// What a case has to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Required {
    /// Nothing; it is there to be looked at.
    Nothing,
    /// Ours takes no longer than the fastest peer.
    RatioMax(f64),
    /// Ours processes as many bytes per second.
    BytesPerSecondMin(f64),
}

/// One contestant of a case.
struct Contestant<'a> {
    name: &'static str,
    /// Size of the encoding.
    bytes: usize,
    /// Does the work as often as told.
    work: Box<dyn FnMut(u64) + 'a>,
}

/// The same work done by ours and by peers. The first contestant is ours.
pub struct Case<'a> {
    name: String,
    required: Required,
    shows_speed: bool,
    contestants: Vec<Contestant<'a>>,
}

/// What was measured of one contestant.
struct Measured {
    /// Median, in nanoseconds.
    ns_per_op: f64,
    /// Median over rounds of ours divided by this.
    ratio: f64,
}

impl<'a> Case<'a> {
    /// A case without contestants.
    #[must_use]
    pub fn new(name: impl Into<String>, required: Required) -> Self {
        Self {
            name: name.into(),
            required,
            shows_speed: false,
            contestants: Vec::new(),
        }
    }

    /// Shows bytes per second as well: for work that looks at every byte.
    #[must_use]
    pub fn with_speed(mut self) -> Self {
        self.shows_speed = true;
        self
    }

    /// Adds a contestant; `bytes` is the size of its encoding. `once` does the work once.
    #[must_use]
    pub fn with(mut self, name: &'static str, bytes: usize, mut once: impl FnMut() + 'a) -> Self {
        let work = move |times| {
            for _ in 0..times {
                once();
            }
        };
        self.contestants.push(Contestant {
            name,
            bytes,
            work: Box::new(work),
        });
        self
    }

    fn measure(&mut self, duration: Duration) -> Vec<Measured> {
        let counts: Vec<u64> = self.contestants.iter_mut().map(Contestant::calibrate).collect();
        let mut rounds: Vec<Vec<f64>> = Vec::new();
        let mut rng = Rng::from_seed(1).split("order");
        let mut order: Vec<usize> = (0..counts.len()).collect();
        let start = Instant::now();
        while rounds.len() < ROUNDS_MIN || start.elapsed() < duration {
            let mut round = vec![0.0; counts.len()];
            // Nobody always follows the neighbour that leaves cold caches, and no rhythm of the machine fits.
            order.sort_by_cached_key(|_| rng.below(1 << 32));
            for at in &order {
                round[*at] = self.contestants[*at].time(counts[*at]);
            }
            rounds.push(round);
        }
        (0..counts.len())
            .map(|at| Measured {
                ns_per_op: median(rounds.iter().map(|round| round[at])),
                ratio: median(rounds.iter().map(|round| round[0] / round[at])),
            })
            .collect()
    }
}

impl Contestant<'_> {
    /// Nanoseconds per operation, over `count` operations.
    fn time(&mut self, count: u64) -> f64 {
        let start = Instant::now();
        (self.work)(count);
        start.elapsed().as_secs_f64() * 1e9 / count_f64(count)
    }

    /// How many operations fill a batch.
    fn calibrate(&mut self) -> u64 {
        let mut count = 1;
        loop {
            let start = Instant::now();
            (self.work)(count);
            let elapsed = start.elapsed();
            if elapsed >= BATCH {
                return count;
            }
            count *= if elapsed < BATCH / 8 { 4 } else { 2 };
        }
    }
}

impl Run {
    /// What the command line asks for.
    #[must_use]
    pub fn from_args() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        Self {
            quick: arguments.iter().any(|argument| argument == "--quick"),
            filters: arguments
                .into_iter()
                .filter(|argument| !argument.starts_with('-'))
                .collect(),
            verdicts: Vec::new(),
        }
    }

    /// Whether the filters let a case run.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filters.iter().all(|filter| name.contains(filter.as_str()))
    }

    /// Measures a case and prints its table.
    ///
    /// # Panics
    /// If the case has no contestants.
    pub fn case(&mut self, mut case: Case<'_>) {
        if !self.wants(&case.name) {
            return;
        }
        let measured = case.measure(if self.quick { CASE_QUICK } else { CASE });
        println!(
            "\n{:<34} {:>12} {:>9} {:>12} {:>12}",
            case.name,
            "ns/op",
            if case.shows_speed { "GB/s" } else { "" },
            "bytes",
            "ours:peer"
        );
        for (contestant, measured) in case.contestants.iter().zip(&measured) {
            let speed = gigabytes_per_second(contestant.bytes, measured.ns_per_op);
            let speed = if case.shows_speed {
                format!("{speed:.2}")
            } else {
                String::new()
            };
            println!(
                "  {:<32} {:>12.1} {speed:>9} {:>12} {:>12.2}",
                contestant.name, measured.ns_per_op, contestant.bytes, measured.ratio
            );
        }
        self.verdicts.extend(verdict(&case, &measured));
    }

    /// Prints the verdicts of the cases that have to show something.
    pub fn finish(self) {
        println!();
        for verdict in &self.verdicts {
            println!("{verdict}");
        }
    }
}

fn verdict(case: &Case<'_>, measured: &[Measured]) -> Option<String> {
    let ours = measured.first().expect("a case has contestants");
    let (holds, text) = match case.required {
        Required::Nothing => return None,
        Required::RatioMax(bound) => {
            let peers = case.contestants.iter().zip(measured).skip(1);
            let (peer, worst) = peers.max_by(|a, b| a.1.ratio.total_cmp(&b.1.ratio))?;
            let text = format!("{:.2} of {}, at most {bound:.2}", worst.ratio, peer.name);
            (worst.ratio <= bound, text)
        }
        Required::BytesPerSecondMin(bound) => {
            let speed = gigabytes_per_second(case.contestants[0].bytes, ours.ns_per_op);
            (
                speed * 1e9 >= bound,
                format!("{speed:.2} GB/s, at least {:.2}", bound / 1e9),
            )
        }
    };
    let word = if holds { "holds" } else { "FAILS" };
    Some(format!("{word}  {:<34} {text}", case.name))
}

/// The middle value.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Bytes per nanosecond.
fn gigabytes_per_second(bytes: usize, ns: f64) -> f64 {
    count_f64(bytes as u64) / ns
}

/// Counts of operations and bytes stay far below 2^52.
#[allow(clippy::cast_precision_loss, reason = "see above")]
fn count_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_verdicts() {
        assert!((median([3.0, 1.0, 2.0].into_iter()) - 2.0).abs() < f64::EPSILON);
        let case = Case::new("a case", Required::RatioMax(1.0))
            .with("ours", 1, || ())
            .with("peer", 1, || ());
        let with_ratio = |ratio| {
            [1.0, ratio].map(|ratio| Measured {
                ns_per_op: 1.0,
                ratio,
            })
        };
        assert!(verdict(&case, &with_ratio(0.9)).is_some_and(|text| text.starts_with("holds")));
        assert!(verdict(&case, &with_ratio(1.1)).is_some_and(|text| text.starts_with("FAILS")));
    }
}
