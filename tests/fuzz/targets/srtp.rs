//! One packet under every suite, judged and protected.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::srtp(octets).ok();
});
