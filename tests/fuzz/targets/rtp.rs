//! One datagram: what it claims to be, and as RTP whatever it claims.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    media::fuzzing::datagram(octets).ok();
    media::fuzzing::rtp(octets).ok();
});
