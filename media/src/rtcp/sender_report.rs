//! Sender reports (RFC 3550 §6.4.1): what a peer says of its stream, and the same said of ours.

use crate::rtcp::receiver_report::ReportBlock;
use crate::rtcp::source_description::{Cname, write_source_description};
use crate::rtp::Ssrc;

/// Sender information, RFC 3550 §6.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderInformation {
    /// Wall clock of the sender, NTP format.
    pub ntp: u64,
    /// The same moment as an RTP timestamp.
    pub rtp: u32,
    /// Packets sent since the stream began.
    pub packets: u32,
    /// Octets of payload sent since the stream began.
    pub octets: u32,
}

impl SenderInformation {
    /// The middle 32 bits of the NTP time: what a receiver calls LSR.
    #[must_use]
    pub const fn ntp_middle(&self) -> u32 {
        let [_, _, a, b, c, d, _, _] = self.ntp.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// From the twenty octets after the sender's source.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (ntp, rest) = octets.split_first_chunk()?;
        let (rtp, rest) = rest.split_first_chunk()?;
        let (packets, rest) = rest.split_first_chunk()?;
        Some(Self {
            ntp: u64::from_be_bytes(*ntp),
            rtp: u32::from_be_bytes(*rtp),
            packets: u32::from_be_bytes(*packets),
            octets: u32::from_be_bytes(*rest.first_chunk()?),
        })
    }
}

/// Writes a sender report with at most one block, and our name. Gives the size written; `None`:
/// no room.
pub fn write_sender_report(
    octets: &mut [u8],
    ssrc: Ssrc,
    information: SenderInformation,
    block: Option<ReportBlock>,
    cname: Cname,
) -> Option<usize> {
    let (report, mut rest) = octets.split_first_chunk_mut::<28>()?;
    let mut size = report.len();
    report[..4].copy_from_slice(&[0x80, 200, 0, 6]);
    if let Some(block) = block {
        let (octets, after) = rest.split_first_chunk_mut()?;
        block.write(octets);
        report[..4].copy_from_slice(&[0x81, 200, 0, 12]);
        size += octets.len();
        rest = after;
    }
    report[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    report[8..16].copy_from_slice(&information.ntp.to_be_bytes());
    report[16..20].copy_from_slice(&information.rtp.to_be_bytes());
    report[20..24].copy_from_slice(&information.packets.to_be_bytes());
    report[24..].copy_from_slice(&information.octets.to_be_bytes());
    Some(size + write_source_description(rest, ssrc, cname)?)
}
