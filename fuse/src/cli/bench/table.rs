//! Figures side by side, with the ratio of each to one of the columns.

use std::fmt;

/// Rows of figures; larger is better.
#[derive(Debug)]
pub(super) struct Table {
    title: &'static str,
    /// The column that ratios are to.
    base: &'static str,
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    unit: &'static str,
    figures: Vec<Option<f64>>,
}

/// Takes the figures of one file system.
pub(super) struct Column<'table> {
    table: &'table mut Table,
    at: usize,
}

impl Table {
    pub(super) const fn new(title: &'static str, base: &'static str) -> Self {
        Self {
            title,
            base,
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    pub(super) fn column(&mut self, name: &'static str) -> Column<'_> {
        self.columns.push(name);
        let at = self.columns.len() - 1;
        Column { table: self, at }
    }
}

impl Column<'_> {
    /// `figure` is in `unit`, and larger is better.
    pub(super) fn put(&mut self, what: impl Into<String>, unit: &'static str, figure: f64) {
        let what = what.into();
        let known = self.table.rows.iter().position(|row| row.what == what);
        let at = known.unwrap_or_else(|| {
            self.table.rows.push(Row {
                what,
                unit,
                figures: Vec::new(),
            });
            self.table.rows.len() - 1
        });
        let figures = &mut self.table.rows[at].figures;
        figures.resize(self.at + 1, None);
        figures[self.at] = Some(figure);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = self.columns.iter().position(|name| *name == self.base);
        write!(f, "{:<44}{:>8}", self.title, "")?;
        for (at, name) in self.columns.iter().enumerate() {
            write!(f, "{name:>12}")?;
            if base.is_some_and(|base| base != at) {
                write!(f, "{:>10}", format!("/ {}", self.base))?;
            }
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<44}{:>8}", row.what, row.unit)?;
            for at in 0..self.columns.len() {
                let figure = |at: usize| row.figures.get(at).copied().flatten();
                write_figure(f, 12, figure(at))?;
                if let Some(base) = base.filter(|base| *base != at) {
                    let ratio = figure(at).zip(figure(base)).map(|(own, base)| own / base);
                    write_ratio(f, ratio)?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn write_figure(f: &mut fmt::Formatter<'_>, width: usize, figure: Option<f64>) -> fmt::Result {
    match figure {
        Some(figure) if figure < 10.0 => write!(f, "{figure:>width$.2}"),
        Some(figure) => write!(f, "{figure:>width$.0}"),
        None => write!(f, "{:>width$}", "-"),
    }
}

fn write_ratio(f: &mut fmt::Formatter<'_>, ratio: Option<f64>) -> fmt::Result {
    match ratio {
        Some(ratio) => write!(f, "{ratio:>10.2}"),
        None => write!(f, "{:>10}", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_shows_its_ratio_to_the_base() {
        let mut table = Table::new("Data", "stub");
        let mut stub = table.column("stub");
        stub.put("read", "MB/s", 2000.0);
        stub.put("write", "MB/s", 4.0);
        table.column("local").put("read", "MB/s", 1500.0);
        let shown = table.to_string();
        let words: Vec<Vec<&str>> = shown
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(words[0], ["Data", "stub", "local", "/", "stub"]);
        assert_eq!(words[1], ["read", "MB/s", "2000", "1500", "0.75"]);
        assert_eq!(words[2], ["write", "MB/s", "4.00", "-", "-"]);
    }
}
