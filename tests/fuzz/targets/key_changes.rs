//! Keys that change, come back and go: no key stream leaves twice.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::key_changes(octets);
});
