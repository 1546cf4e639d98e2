//! The one place that prints.

use std::io::Write as _;

/// One line to standard output. A closed pipe is the reader's wish, not our error.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        // Whoever read us has gone; there is nobody to tell.
    }
}
