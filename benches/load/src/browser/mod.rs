//! Group `browser`: what guests with browsers cost, from the click to the relayed packet.
//!
//! The guests are `str0m`, another implementation of ICE, DTLS and SRTP than the gateway's own.

mod guest;
mod joining;
mod joins;
mod keeper;
mod legs;
mod memory;
mod page;
mod page_bytes;

use std::time::Instant;

use anyhow::Result;

use crate::bench::Places;
use crate::relay::{Measurement, Row, Stage, run_stages};
use crate::report;

pub(crate) use self::guest::{Guest, Maker};
pub(crate) use self::joining::Joining;
pub(crate) use self::keeper::Keeper;
pub(crate) use self::page::Pages;

/// The row that stands for the group where nothing can be measured.
pub(crate) const MAIN_ROW: Row = legs::RELAY_CPU;

/// Measures, and prints every row.
///
/// # Errors
/// Nothing at all could be measured.
pub(crate) fn measure(places: &Places) -> Result<()> {
    let began = Instant::now();
    let mut stage = Stage::enter(places, "browser")?;
    run_stages(&mut stage, &STAGES);
    report::figure("browser.group_s", began.elapsed().as_secs_f64());
    Ok(())
}

const STAGES: [Measurement; 4] = [
    (&page_bytes::ROWS, page_bytes::measure),
    (&joins::ROWS, joins::measure),
    (&memory::ROWS, memory::measure),
    (&legs::ROWS, legs::measure),
];
