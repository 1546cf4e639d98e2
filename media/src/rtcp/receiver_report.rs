//! Receiver reports and report blocks (RFC 3550 §6.4.2).

use crate::rtcp::source_description::{Cname, write_source_description};
use crate::rtp::Ssrc;

/// One report block: how one of our sources is received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The source it speaks of.
    pub ssrc: Ssrc,
    /// Share lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost less doubled since the stream began; 24 bits with a sign.
    pub cumulative_lost: i32,
    /// Highest sequence number seen, extended.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks.
    pub jitter_ticks: u32,
    /// LSR: middle 32 bits of the NTP time of the last sender report; 0: none came.
    pub last_sender_report: u32,
    /// DLSR: how long ago that came, in 65536ths of a second.
    pub delay_since_last: u32,
}

impl ReportBlock {
    /// Octets of a block.
    pub(super) const SIZE: usize = 24;

    /// From its octets.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let octets: &[u8; Self::SIZE] = octets.first_chunk()?;
        let [
            s0,
            s1,
            s2,
            s3,
            fraction_lost,
            l0,
            l1,
            l2,
            h0,
            h1,
            h2,
            h3,
            rest @ ..,
        ] = *octets;
        let [j0, j1, j2, j3, r0, r1, r2, r3, d0, d1, d2, d3] = rest;
        Some(Self {
            ssrc: Ssrc(u32::from_be_bytes([s0, s1, s2, s3])),
            fraction_lost,
            // Into the upper three octets and back: the shift carries the sign.
            cumulative_lost: i32::from_be_bytes([l0, l1, l2, 0]) >> 8,
            highest_sequence: u32::from_be_bytes([h0, h1, h2, h3]),
            jitter_ticks: u32::from_be_bytes([j0, j1, j2, j3]),
            last_sender_report: u32::from_be_bytes([r0, r1, r2, r3]),
            delay_since_last: u32::from_be_bytes([d0, d1, d2, d3]),
        })
    }

    pub(super) fn write(&self, octets: &mut [u8; Self::SIZE]) {
        octets[..4].copy_from_slice(&self.ssrc.0.to_be_bytes());
        octets[4..8].copy_from_slice(&self.cumulative_lost.to_be_bytes());
        octets[4] = self.fraction_lost;
        octets[8..12].copy_from_slice(&self.highest_sequence.to_be_bytes());
        octets[12..16].copy_from_slice(&self.jitter_ticks.to_be_bytes());
        octets[16..20].copy_from_slice(&self.last_sender_report.to_be_bytes());
        octets[20..].copy_from_slice(&self.delay_since_last.to_be_bytes());
    }
}

/// Writes a receiver report with at most one block, and our name. Gives the size written; `None`:
/// no room.
pub fn write_receiver_report(
    octets: &mut [u8],
    ssrc: Ssrc,
    block: Option<ReportBlock>,
    cname: Cname,
) -> Option<usize> {
    let (header, mut rest) = octets.split_first_chunk_mut::<8>()?;
    let mut size = header.len();
    header[..4].copy_from_slice(&[0x80, 201, 0, 1]);
    header[4..].copy_from_slice(&ssrc.0.to_be_bytes());
    if let Some(block) = block {
        let (octets, after) = rest.split_first_chunk_mut()?;
        block.write(octets);
        header[..4].copy_from_slice(&[0x81, 201, 0, 7]);
        size += octets.len();
        rest = after;
    }
    Some(size + write_source_description(rest, ssrc, cname)?)
}
