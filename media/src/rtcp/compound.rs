//! A compound packet as a list of packets (RFC 3550 §6.1), checked as a whole before any is read.
//!
//! Accepts a lone feedback packet too (RFC 5506); everything else starts with a report.

use crate::drop_reason::DropReason;
use crate::rtcp::{ReportBlock, SenderInformation};
use crate::rtp::Ssrc;

/// What one packet of a compound is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SR, RFC 3550 §6.4.1.
    SenderReport,
    /// RR, RFC 3550 §6.4.2.
    ReceiverReport,
    /// SDES, RFC 3550 §6.5.
    SourceDescription,
    /// BYE, RFC 3550 §6.6.
    Bye,
    /// APP, RFC 3550 §6.7.
    Application,
    /// RTPFB, RFC 4585 §6.2 (NACK).
    TransportFeedback,
    /// PSFB, RFC 4585 §6.3 (PLI, FIR).
    PayloadFeedback,
    /// XR, RFC 3611.
    ExtendedReport,
    /// Any other type.
    Unknown(u8),
}

impl Kind {
    const fn from_octet(octet: u8) -> Self {
        match octet {
            200 => Self::SenderReport,
            201 => Self::ReceiverReport,
            202 => Self::SourceDescription,
            203 => Self::Bye,
            204 => Self::Application,
            205 => Self::TransportFeedback,
            206 => Self::PayloadFeedback,
            207 => Self::ExtendedReport,
            other => Self::Unknown(other),
        }
    }

    /// True for what may stand first.
    const fn may_lead(self) -> bool {
        match self {
            Self::SenderReport
            | Self::ReceiverReport
            | Self::TransportFeedback
            | Self::PayloadFeedback => true,
            Self::SourceDescription
            | Self::Bye
            | Self::Application
            | Self::ExtendedReport
            | Self::Unknown(_) => false,
        }
    }
}

/// One packet of a compound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtcpPacket<'a> {
    kind: Kind,
    count: u8,
    body: &'a [u8],
}

impl<'a> RtcpPacket<'a> {
    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Five bits of its header: a count of blocks, or the format of feedback.
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// The 32 bits at `start` of what follows its header.
    pub(super) fn word(&self, start: usize) -> Option<u32> {
        let octets = self.body.get(start..)?.first_chunk()?;
        Some(u32::from_be_bytes(*octets))
    }

    /// What follows its header, from `start`; padding is none of it.
    pub(super) fn content(&self, start: usize) -> &'a [u8] {
        self.body.get(start..).unwrap_or_default()
    }

    /// The source that its first word names; a BYE or SDES of nobody has none.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.word(0).map(Ssrc)
    }

    /// Sender information of a sender report.
    #[must_use]
    pub fn sender_information(&self) -> Option<SenderInformation> {
        if self.kind != Kind::SenderReport {
            return None;
        }
        SenderInformation::read(self.body.get(4..)?)
    }

    /// Report blocks of a report; none in other packets.
    pub fn report_blocks(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        let start = match self.kind {
            Kind::SenderReport => 24,
            Kind::ReceiverReport => 4,
            Kind::SourceDescription
            | Kind::Bye
            | Kind::Application
            | Kind::TransportFeedback
            | Kind::PayloadFeedback
            | Kind::ExtendedReport
            | Kind::Unknown(_) => self.body.len(),
        };
        let blocks = self
            .body
            .get(start..)
            .unwrap_or_default()
            .chunks_exact(ReportBlock::SIZE);
        blocks
            .take(usize::from(self.count))
            .filter_map(ReportBlock::read)
    }
}

/// A valid compound packet.
#[derive(Debug, Clone, Copy)]
pub struct Compound<'a> {
    bytes: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Checks the whole packet: RFC 3550 A.2.
    ///
    /// # Errors
    /// [`DropReason::RtcpMalformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DropReason> {
        let mut rest = bytes;
        let mut is_first = true;
        while !rest.is_empty() {
            let (first, packet, after) = split(rest).ok_or(DropReason::RtcpMalformed)?;
            let is_padded = first & 0x20 != 0;
            if first >> 6 != 2 || (is_first && !packet.kind.may_lead()) {
                return Err(DropReason::RtcpMalformed);
            }
            if (is_padded && !after.is_empty()) || !holds_its_count(packet) {
                return Err(DropReason::RtcpMalformed);
            }
            is_first = false;
            rest = after;
        }
        if is_first {
            Err(DropReason::RtcpMalformed)
        } else {
            Ok(Self { bytes })
        }
    }

    /// Its packets, in order.
    pub fn packets(&self) -> impl Iterator<Item = RtcpPacket<'a>> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let (_, packet, after) = split(rest)?;
            rest = after;
            Some(packet)
        })
    }
}

/// First octet, first packet, and what follows it.
fn split(bytes: &[u8]) -> Option<(u8, RtcpPacket<'_>, &[u8])> {
    let [first, kind, high, low]: &[u8; 4] = bytes.first_chunk()?;
    let size = 4 * usize::from(u16::from_be_bytes([*high, *low]));
    let body = bytes.get(4..4 + size)?;
    let after = bytes.get(4 + size..)?;
    let padding = if first & 0x20 == 0 {
        0
    } else {
        usize::from(*body.last()?)
    };
    let is_padding_whole = first & 0x20 == 0 || (padding > 0 && padding.is_multiple_of(4));
    let content = body
        .len()
        .checked_sub(padding)
        .filter(|_| is_padding_whole)?;
    let packet = RtcpPacket {
        kind: Kind::from_octet(*kind),
        count: first & 0x1f,
        body: body.get(..content)?,
    };
    Some((*first, packet, after))
}

/// A report is as long as its count of blocks says; feedback names two sources.
const fn holds_its_count(packet: RtcpPacket<'_>) -> bool {
    let blocks = packet.count as usize * ReportBlock::SIZE;
    match packet.kind {
        Kind::SenderReport => packet.body.len() >= 24 + blocks,
        Kind::ReceiverReport => packet.body.len() >= 4 + blocks,
        Kind::Bye => packet.body.len() >= 4 * packet.count as usize,
        Kind::TransportFeedback | Kind::PayloadFeedback => packet.body.len() >= 8,
        Kind::SourceDescription | Kind::Application | Kind::ExtendedReport | Kind::Unknown(_) => {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Cname, write_receiver_report, write_sender_report};
    use proptest::prelude::*;

    fn sender_report() -> Vec<u8> {
        let mut octets = vec![0; 64];
        let information = SenderInformation {
            ntp: 0x1122_3344_5566_7788,
            rtp: 9,
            packets: 3,
            octets: 480,
        };
        let size = write_sender_report(
            &mut octets,
            Ssrc(7),
            information,
            None,
            Cname(*b"0123456789abcdef"),
        );
        octets.truncate(size.unwrap());
        octets
    }

    #[test]
    fn our_sender_report_reads_back() {
        let octets = sender_report();
        let packets: Vec<_> = Compound::parse(&octets).unwrap().packets().collect();
        assert_eq!(packets.len(), 2);
        assert_eq!(packets[0].ssrc(), Some(Ssrc(7)));
        assert_eq!(
            packets[0].sender_information().unwrap().ntp_middle(),
            0x3344_5566
        );
        assert_eq!(packets[1].kind(), Kind::SourceDescription);
    }

    #[test]
    fn our_receiver_report_reads_back() {
        let block = ReportBlock {
            ssrc: Ssrc(5),
            fraction_lost: 12,
            cumulative_lost: -3,
            highest_sequence: 70_000,
            jitter_ticks: 44,
            last_sender_report: 0x3344_5566,
            delay_since_last: 65_536,
        };
        let mut octets = [0; 64];
        let size = write_receiver_report(
            &mut octets,
            Ssrc(8),
            Some(block),
            Cname(*b"0123456789abcdef"),
        );
        let compound = Compound::parse(&octets[..size.unwrap()]).unwrap();
        let report = compound.packets().next().unwrap();
        assert_eq!(report.kind(), Kind::ReceiverReport);
        assert_eq!(report.report_blocks().collect::<Vec<_>>(), [block]);
    }

    /// RFC 3550 §6.4.1: the padding counts its octets, itself included, in words.
    #[test]
    fn padding_is_no_content_and_has_to_fit() {
        let padded = |count: u8| {
            let mut octets = vec![0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, count];
            octets[15] = count;
            Compound::parse(&octets).map(|compound| {
                let packet = compound.packets().next().unwrap();
                packet.content(8).len()
            })
        };
        assert_eq!(padded(4), Ok(0));
        for count in [0, 3, 8, 12, 16, 255] {
            assert_eq!(padded(count), Err(DropReason::RtcpMalformed), "{count}");
        }
    }

    #[test]
    fn wrong_lengths_orders_and_versions_are_malformed() {
        let good = sender_report();
        let swapped: Vec<u8> = good[28..].iter().chain(&good[..28]).copied().collect();
        let mut version = good.clone();
        version[0] = 0x40;
        let mut count = good.clone();
        count[0] |= 1;
        let mut padded_first = good.clone();
        padded_first[0] |= 0x20;
        for bad in [
            &good[..good.len() - 1],
            &swapped,
            &version,
            &count,
            &padded_first,
            &[],
        ] {
            assert_eq!(Compound::parse(bad).unwrap_err(), DropReason::RtcpMalformed);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = octets.first_mut() { *first = 0x80 | (*first & 0x3f); }
            if let Some(kind) = octets.get_mut(1) { *kind = 200 + *kind % 8; }
            if let Ok(compound) = Compound::parse(&octets) {
                for packet in compound.packets() {
                    prop_assert!(packet.report_blocks().count() <= 31);
                }
            }
        }
    }
}
