//! A stream of SIP over TCP, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    sip::fuzzing::stream_bytes(octets);
});
