//! Flows: a call as text, played by model peers against the real call control, line by line.
//!
//! A line `alice -> gw INVITE offer=pcma` sends; a line `gw -> alice 100` waits for a message and
//! compares. What no line expects fails the flow. `UPDATE=1` writes what came in its place.

mod script;
mod set;
mod stage;
mod words;

use std::path::Path;

pub(crate) use script::{Attributes, Line, Script};
use stage::Stage;

/// Plays a flow file. With `update` the file is rewritten where it was wrong.
///
/// # Errors
/// What did not happen as written, with the ladder of the call.
pub fn play(path: &Path, update: bool) -> Result<(), String> {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let (outcome, rewritten) = play_text(&text, update);
    if update && rewritten != text {
        std::fs::write(path, rewritten).map_err(|error| format!("{name}: {error}"))?;
    }
    outcome.map_err(|complaint| format!("{name}: {complaint}"))
}

/// Plays a flow; also gives the text as it should be.
fn play_text(text: &str, update: bool) -> (Result<(), String>, String) {
    let script = match Script::read(text) {
        Ok(script) => script,
        Err(complaint) => return (Err(complaint), text.to_owned()),
    };
    let mut stage = Stage::new(&script, update);
    let outcome = stage.play(&script);
    (outcome, stage.text())
}

#[cfg(test)]
mod tests;
