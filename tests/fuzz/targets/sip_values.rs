//! Values of SIP headers and bodies, each as every kind.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    sip::fuzzing::header_value_bytes(octets);
    sip::fuzzing::number_value_bytes(octets);
    sip::fuzzing::authorization_bytes(octets);
    sip::fuzzing::body_bytes(octets);
});
