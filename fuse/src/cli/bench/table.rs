//! Figures side by side, the ratio of ours to one of the others, and the goals for it.

use super::stats::Spread;
use std::fmt;

/// Widest line of a table, in characters.
#[cfg(test)]
const LINE_CHARS_MAX: usize = 110;
const WHAT_CHARS: usize = 34;
const UNIT_CHARS: usize = 5;
const FIGURE_CHARS: usize = 8;
const RATIO_CHARS: usize = 13;
const SPREAD_CHARS: usize = 6;
const GOAL_CHARS: usize = 6;

/// What is measured, larger being better, and how much of the base it should reach at least.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) goal: Option<f64>,
}

impl Row {
    pub(super) fn new(what: impl Into<String>, unit: &'static str, goal: Option<f64>) -> Self {
        Self {
            what: what.into(),
            unit,
            goal,
        }
    }
}

/// What one turn of a contestant gave.
pub(super) type Figures = Vec<(Row, f64)>;

/// Rows of figures of several rounds.
#[derive(Debug)]
pub(super) struct Table {
    title: &'static str,
    /// The columns whose ratio is shown: ours, and what it is to be compared with.
    ours: &'static str,
    base: &'static str,
    columns: Vec<&'static str>,
    /// A column counts with this number of rounds only: others were left out half-way.
    rounds: usize,
    rows: Vec<(Row, Vec<Vec<f64>>)>,
}

/// Whether a goal is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Holds,
    Fails,
    /// The ratio is not known.
    Unknown,
}

/// How many goals are reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) hold: u32,
    pub(super) fail: u32,
    pub(super) unknown: u32,
    /// Of those that hold or fail: some round says otherwise.
    pub(super) doubtful: u32,
}

impl Table {
    pub(super) const fn new(
        title: &'static str,
        (ours, base): (&'static str, &'static str),
        columns: Vec<&'static str>,
        rounds: usize,
    ) -> Self {
        Self {
            title,
            ours,
            base,
            columns,
            rounds,
            rows: Vec::new(),
        }
    }

    /// Takes the figures of one turn.
    pub(super) fn put(&mut self, column: usize, figures: Figures) {
        assert!(
            column < self.columns.len(),
            "columns are those the table was made with"
        );
        for (row, figure) in figures {
            let known = self.rows.iter().position(|(known, _)| *known == row);
            let at = known.unwrap_or_else(|| {
                self.rows.push((row, vec![Vec::new(); self.columns.len()]));
                self.rows.len() - 1
            });
            self.rows[at].1[column].push(figure);
        }
    }

    /// The goals that are missed, one line each.
    pub(super) fn failures(&self) -> Vec<String> {
        let failed = |(row, values): &(Row, Vec<Vec<f64>>)| {
            let ratio = self.ratio(values);
            let verdict = verdict(row.goal, ratio)?;
            let (goal, ratio) = row.goal.zip(ratio)?;
            (verdict.0 == Verdict::Fails).then(|| {
                let mark = mark(verdict);
                let (low, high) = (number(ratio.low, 2), number(ratio.high, 2));
                let of = format!("{} of {} ({low} to {high})", number(ratio.median, 2), self.base);
                format!("{mark:<8}{:<WHAT_CHARS$} {of}, at least {goal:.2}", row.what)
            })
        };
        self.rows.iter().filter_map(failed).collect()
    }

    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (row, values) in &self.rows {
            let Some((verdict, doubtful)) = verdict(row.goal, self.ratio(values)) else {
                continue;
            };
            match verdict {
                Verdict::Holds => tally.hold += 1,
                Verdict::Fails => tally.fail += 1,
                Verdict::Unknown => tally.unknown += 1,
            }
            tally.doubtful += u32::from(doubtful);
        }
        tally
    }

    fn whole<'values>(&self, values: &'values [Vec<f64>], column: usize) -> Option<&'values [f64]> {
        values
            .get(column)
            .map(Vec::as_slice)
            .filter(|values| values.len() == self.rounds)
    }

    fn ratio(&self, values: &[Vec<f64>]) -> Option<Spread> {
        let column = |name: &str| {
            let at = self.columns.iter().position(|column| *column == name)?;
            self.whole(values, at)
        };
        Spread::of_ratios(column(self.ours)?, column(self.base)?)
    }

    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row, values: &[Vec<f64>]) -> fmt::Result {
        write!(f, "{:<WHAT_CHARS$}{:>UNIT_CHARS$}", row.what, row.unit)?;
        for column in 0..self.columns.len() {
            let figure = self
                .whole(values, column)
                .and_then(|values| Spread::of(values.iter().copied()));
            let shown = figure.map_or_else(|| "-".into(), |figure| number(figure.median, 0));
            write!(f, "{shown:>FIGURE_CHARS$}")?;
        }
        let ratio = self.ratio(values);
        let shown =
            |value: fn(Spread) -> f64| ratio.map_or_else(|| "-".into(), |ratio| number(value(ratio), 2));
        write!(f, "{:>RATIO_CHARS$}", shown(|ratio| ratio.median))?;
        write!(f, "{:>SPREAD_CHARS$}", shown(|ratio| ratio.low))?;
        write!(f, "{:>SPREAD_CHARS$}", shown(|ratio| ratio.high))?;
        if let Some(goal) = row.goal {
            write!(f, "{goal:>GOAL_CHARS$.2}")?;
        }
        if let Some(verdict) = verdict(row.goal, ratio) {
            write!(f, " {}", mark(verdict))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<width$}", self.title, width = WHAT_CHARS + UNIT_CHARS)?;
        for column in &self.columns {
            write!(f, "{column:>FIGURE_CHARS$}")?;
        }
        let ratio = format!("{}/{}", self.ours, self.base);
        write!(
            f,
            "{ratio:>RATIO_CHARS$}{:>SPREAD_CHARS$}{:>SPREAD_CHARS$}",
            "low", "high"
        )?;
        writeln!(f, "{:>GOAL_CHARS$}", "goal")?;
        for (row, values) in &self.rows {
            self.write_row(f, row, values)?;
        }
        Ok(())
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hold: self.hold + other.hold,
            fail: self.fail + other.fail,
            unknown: self.unknown + other.unknown,
            doubtful: self.doubtful + other.doubtful,
        }
    }
}

/// Whether the goal is reached, and whether some round says otherwise. `None` without a goal.
fn verdict(goal: Option<f64>, ratio: Option<Spread>) -> Option<(Verdict, bool)> {
    let goal = goal?;
    Some(match ratio {
        Some(ratio) if ratio.median >= goal => (Verdict::Holds, ratio.low < goal),
        Some(ratio) => (Verdict::Fails, ratio.high >= goal),
        None => (Verdict::Unknown, false),
    })
}

const fn mark((verdict, doubtful): (Verdict, bool)) -> &'static str {
    match (verdict, doubtful) {
        (Verdict::Holds, false) => "holds",
        (Verdict::Holds, true) => "holds?",
        (Verdict::Fails, false) => "FAILS",
        (Verdict::Fails, true) => "FAILS?",
        (Verdict::Unknown, false | true) => "-",
    }
}

/// With about three digits that count, or up to the point.
fn number(value: f64, decimals: usize) -> String {
    let decimals = match value {
        value if value < 10.0 => 2,
        value if value < 100.0 => decimals.min(1),
        _ => 0,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Table {
        let mut table = Table::new("Data", ("local", "stub"), vec!["stub", "local", "disk"], 3);
        let read = || Row::new("read", "MB/s", Some(0.5));
        let write = || Row::new("write", "MB/s", Some(0.5));
        let sync = || Row::new("sync", "1/s", None);
        for (stub, local) in [(2000.0, 1500.0), (200.0, 100.0), (2000.0, 4000.0)] {
            table.put(0, vec![(read(), stub), (write(), 4.0), (sync(), 100.0)]);
            table.put(1, vec![(read(), local), (write(), 1.0), (sync(), 9.0)]);
        }
        table.put(2, vec![(read(), 1.0)]);
        table
    }

    fn words(shown: &str) -> Vec<Vec<&str>> {
        shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect()
    }

    #[test]
    fn figures_are_medians_and_the_ratio_is_that_of_rounds() {
        let shown = filled().to_string();
        let words = words(&shown);
        assert_eq!(
            words[0],
            [
                "Data",
                "stub",
                "local",
                "disk",
                "local/stub",
                "low",
                "high",
                "goal"
            ]
        );
        // The disk was left out after one round.
        assert_eq!(
            words[1],
            [
                "read", "MB/s", "2000", "1500", "-", "0.75", "0.50", "2.00", "0.50", "holds"
            ]
        );
        assert_eq!(
            words[2],
            [
                "write", "MB/s", "4.00", "1.00", "-", "0.25", "0.25", "0.25", "0.50", "FAILS"
            ]
        );
        assert_eq!(
            words[3],
            ["sync", "1/s", "100", "9.00", "-", "0.09", "0.09", "0.09"]
        );
    }

    #[test]
    fn goals_are_counted_and_those_missed_are_named() {
        let mut table = filled();
        let failures = table.failures();
        assert_eq!(failures.len(), 1);
        let line = words(&failures[0]).remove(0).join(" ");
        assert_eq!(line, "FAILS write 0.25 of stub (0.25 to 0.25), at least 0.50");
        assert_eq!(
            table.tally(),
            Tally {
                hold: 1,
                fail: 1,
                unknown: 0,
                doubtful: 0
            }
        );
        // Somebody drops out: nothing is claimed about the row.
        table.rows[1].1[0].pop();
        assert_eq!((table.tally().fail, table.tally().unknown), (0, 1));
        assert_eq!(table.failures(), Vec::<String>::new());
        assert!(table.to_string().contains("0.50 -\n"));
    }

    #[test]
    fn a_goal_between_low_and_high_is_doubtful() {
        let ratio = |low, median, high| Some(Spread { median, low, high });
        let marked = |ratio| verdict(Some(0.8), ratio).map(mark);
        assert_eq!(marked(ratio(0.8, 0.8, 0.9)), Some("holds"));
        assert_eq!(marked(ratio(0.7, 0.8, 0.9)), Some("holds?"));
        assert_eq!(marked(ratio(0.5, 0.7, 0.8)), Some("FAILS?"));
        assert_eq!(marked(ratio(0.5, 0.7, 0.79)), Some("FAILS"));
        assert_eq!(marked(None), Some("-"));
        assert_eq!(verdict(None, ratio(0.7, 0.8, 0.9)), None);
        let sum = Tally {
            hold: 1,
            doubtful: 1,
            ..Tally::default()
        } + filled().tally();
        assert_eq!((sum.hold, sum.fail, sum.doubtful), (2, 1, 1));
    }

    #[test]
    fn the_widest_table_keeps_within_its_width() {
        let columns = vec!["stub", "local", "bindfs", "disk"];
        let mut table = Table::new("Names", ("local", "bindfs"), columns, 1);
        let row = || Row::new("x".repeat(WHAT_CHARS), "MB/s", Some(1.5));
        for column in 0..4 {
            let figure = if column == 2 { 100_000.0 } else { 9_999_999.0 };
            table.put(column, vec![(row(), figure)]);
        }
        table.put(0, vec![(Row::new("other", "1/s", Some(1.5)), 1.0)]);
        for line in table.to_string().lines() {
            assert!(line.chars().count() <= LINE_CHARS_MAX, "{line}");
            assert_eq!(line.trim_end(), line);
        }
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        let shown = [0.123, 9.99, 12.34, 123.4, 54321.9].map(|value| number(value, 2));
        assert_eq!(shown, ["0.12", "9.99", "12.3", "123", "54322"]);
        assert_eq!([3.456, 45.6].map(|value| number(value, 0)), ["3.46", "46"]);
    }
}
