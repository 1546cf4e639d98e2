//! A worker with browsers under any commands, datagrams and moments.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use wanton::Wanton;

#[path = "../../../media/tests/wanton/mod.rs"]
mod wanton;

static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::browsers(*BEGINNING, Arc::new(Wanton), octets);
});
