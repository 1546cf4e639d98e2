//! Row `browser.page`: what a browser must load before a guest can click, by what the gateway sends.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::relay::{MEDIA_THREAD, Row, Stage, row};
use crate::report::figure;
use crate::resolve::Connection;

/// Thousands of octets, without compression.
const PAGE: Row = ("browser.page_kb", 100.0);
/// All of them.
pub(super) const ROWS: [Row; 1] = [PAGE];

/// Measures, and prints the row.
pub(super) fn measure(stage: &mut Stage<'_>) -> Result<()> {
    let place = stage.place("page", 0, MEDIA_THREAD, |_| ())?;
    let Some(http) = place.http else {
        return Ok(());
    };
    let mut connection = Connection::open(http)?;
    let host = format!("Host: {http}\r\n");
    let page = connection.page_with(&format!("/call/{}", place.user), &host)?;
    let (mut octets, mut pieces) = (page.len(), 1_usize);
    let mut waiting: Vec<String> = named(&page).collect();
    let mut known: BTreeSet<String> = waiting.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        let text = connection.page_with(&path, &host)?;
        octets += text.len();
        pieces += 1;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for path in named(&text).chain(beside(&text, folder)) {
            if known.insert(path.clone()) {
                waiting.push(path);
            }
        }
    }
    if pieces < PIECES_MIN {
        bail!("the page names {pieces} pieces: it was not understood");
    }
    figure("browser.page_pieces", pieces as f64);
    row(PAGE, Ok(octets as f64 / 1000.0));
    Ok(())
}

/// Paths of what belongs to a page, wherever one of its pieces names it.
fn named(text: &str) -> impl Iterator<Item = String> {
    let paths = quoted(text).filter(|path| path.starts_with(ASSETS));
    paths.map(ToOwned::to_owned)
}

/// Paths of modules that a script imports.
fn beside(text: &str, folder: &str) -> impl Iterator<Item = String> {
    let names = quoted(text).filter_map(|path| path.strip_prefix("./"));
    names.map(move |name| format!("{folder}/{name}"))
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split(['"', '\'', '(', ')'])
}

/// Where the pieces of the page are.
const ASSETS: &str = "/call-assets/";
/// The page, its style, and more than one script.
const PIECES_MIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_found_where_they_are_named() {
        let page = r#"<link href="/call-assets/ab/call.css"><a href="/other">"#;
        assert_eq!(
            named(page).collect::<Vec<_>>(),
            ["/call-assets/ab/call.css"]
        );
        let script = "import { A } from \"./a.js\";";
        assert_eq!(beside(script, "/x").collect::<Vec<_>>(), ["/x/a.js"]);
    }
}
