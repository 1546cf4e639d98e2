//! One SIP message: read, judged, written again, read again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    sip::fuzzing::message_bytes(octets);
});
