//! Frames of pages, by themselves and as courses of calls with callees, workers and time.
#![no_main]

use std::sync::LazyLock;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|octets: &[u8]| {
    sluice::fuzzing::page_frame(octets);
    sluice::fuzzing::guests(*BEGINNING, octets);
});
