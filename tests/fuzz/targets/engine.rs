//! Commands, packets and moments of a worker.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Instant;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::engine(Instant::now(), octets);
});
