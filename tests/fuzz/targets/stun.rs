//! One STUN message, with every attribute that ICE reads.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::stun(octets).ok();
});
