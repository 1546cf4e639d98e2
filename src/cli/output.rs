//! Where results and errors are written: the one place of this program that prints.

use std::io::{self, Write};

use serde::Serialize;

use crate::log::line::is_plain;

/// Two writers, and how results look.
pub struct Output<'w> {
    results: &'w mut (dyn Write + Send),
    errors: &'w mut (dyn Write + Send),
    json: bool,
    /// Somebody looks at the errors while they come.
    watched: bool,
    /// A line of progress stands there and may be written over.
    in_progress: bool,
}

impl std::fmt::Debug for Output<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Output")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

impl<'w> Output<'w> {
    /// Writes results and errors to these.
    pub fn new(
        results: &'w mut (dyn Write + Send),
        errors: &'w mut (dyn Write + Send),
        json: bool,
    ) -> Self {
        Self {
            results,
            errors,
            json,
            watched: false,
            in_progress: false,
        }
    }

    /// Errors go to a terminal: long work shows how far it is.
    #[must_use]
    pub const fn watched(self, watched: bool) -> Self {
        Self { watched, ..self }
    }

    /// How far a long work is: one line that is written over, and only where somebody looks.
    pub(super) fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.watched {
            return Ok(());
        }
        self.in_progress = true;
        write!(self.errors, "\r{}\u{1b}[K", printable(text))?;
        self.errors.flush()
    }

    fn end_progress(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.in_progress) {
            write!(self.errors, "\r\u{1b}[K")?;
        }
        Ok(())
    }

    /// Octets of the result, as they are.
    pub(super) fn raw(&mut self, octets: &[u8]) -> io::Result<()> {
        self.results.write_all(octets)
    }

    /// Results are JSON.
    pub(super) const fn is_json(&self) -> bool {
        self.json
    }

    /// A line of the result.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        self.end_progress()?;
        writeln!(self.results, "{}", printable(text))
    }

    /// A line about what went wrong, or how far a long work is.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.end_progress()?;
        for line in text.lines() {
            writeln!(self.errors, "{}", printable(line))?;
        }
        Ok(())
    }

    /// The result as one JSON document.
    pub(super) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.end_progress()?;
        serde_json::to_writer_pretty(&mut *self.results, value)?;
        writeln!(self.results)
    }

    /// The result as a table: columns as wide as their widest cell, the last one open.
    pub(super) fn table<const COLUMNS: usize>(
        &mut self,
        heads: [&str; COLUMNS],
        rows: &[[String; COLUMNS]],
    ) -> io::Result<()> {
        let mut widths = heads.map(|head| head.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(printable(cell).chars().count());
            }
        }
        self.row(&heads.map(str::to_owned), &widths)?;
        for row in rows {
            self.row(row, &widths)?;
        }
        Ok(())
    }

    fn row<const COLUMNS: usize>(
        &mut self,
        cells: &[String; COLUMNS],
        widths: &[usize; COLUMNS],
    ) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            line.push_str(&format!("{:width$}  ", printable(cell)));
        }
        writeln!(self.results, "{}", line.trim_end())
    }
}

/// Names come from callers: what would steer a terminal is shown as an escape.
fn printable(text: &str) -> String {
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            if is_plain(c) {
                vec![c]
            } else {
                c.escape_default().collect()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_show_nothing_that_steers_a_terminal() {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        let mut output = Output::new(&mut results, &mut errors, false);
        let rows = [
            ["1".to_owned(), "a\u{1b}[2J\u{9b}1m".to_owned()],
            // What turns the direction of writing, or ends a line, shows another name than it is.
            ["10".to_owned(), "b\u{202e}c\u{2066}\u{2028}".to_owned()],
            ["11".to_owned(), "\u{62f}\u{5d0}".to_owned()],
        ];
        output.table(["ID", "NAME"], &rows).unwrap();
        let text = String::from_utf8(results).unwrap();
        let expected = "ID  NAME\n1   a\\u{1b}[2J\\u{9b}1m\n10  b\\u{202e}c\\u{2066}\\u{2028}\n11  \u{62f}\u{5d0}\n";
        assert_eq!(text, expected);
    }
}
