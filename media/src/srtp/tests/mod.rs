//! Vectors of the RFCs, and what happens to keys and counters over a long call.

mod keys;
mod life;
mod vectors;

use crate::srtp::{MasterKey, Suite};

/// A key that differs by `seed`.
fn key(suite: Suite, seed: u8) -> MasterKey {
    let octets: Vec<u8> = (0..suite.key_size() + suite.salt_size())
        .map(|at| {
            u8::try_from(at)
                .unwrap()
                .wrapping_mul(37)
                .wrapping_add(seed)
        })
        .collect();
    MasterKey::new(suite, &octets).unwrap()
}

/// A packet of 160 octets of payload.
fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut octets = vec![0x80, 0];
    octets.extend(sequence.to_be_bytes());
    octets.extend((u32::from(sequence) * 160).to_be_bytes());
    octets.extend(ssrc.to_be_bytes());
    octets.extend((0..160).map(|at: u8| at ^ 0x55));
    octets
}

/// A receiver report without blocks, and a source description of a few octets.
fn report(ssrc: u32) -> Vec<u8> {
    let mut octets = vec![0x80, 201, 0, 1];
    octets.extend(ssrc.to_be_bytes());
    octets.extend([0x81, 202, 0, 2]);
    octets.extend(ssrc.to_be_bytes());
    octets.extend([1, 1, b'x', 0]);
    octets
}
