//! One description: read, answered under each policy of keys, written, read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    sip::fuzzing::sdp_bytes(octets);
});
