//! Log lines: one fact a line, to standard error. Call ids come first; secrets and
//! numbers that were dialled never reach a line.

pub mod redact;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging with this filter (`error`, `warn`, `info`, `debug`, or per module). A second call
/// changes nothing.
///
/// # Errors
/// The filter cannot be read.
pub fn start(filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    let colours = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .finish();
    // Somebody else's subscriber (a test's) stays.
    tracing::subscriber::set_global_default(subscriber).ok();
    Ok(())
}
