//! One compound of RTCP, its feedback mapped and written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::rtcp(octets).ok();
});
