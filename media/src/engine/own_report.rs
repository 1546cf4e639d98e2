//! Sender reports by our own clock, about a stream whose source sends none to pass on: a peer that answers
//! with report blocks tells the round trip by them (RFC 3550 §6.4.1, LSR and DLSR).
//!
//! Once that source has reported, its wall clock is the stream's, and ours is not said any more: nobody
//! shall match sound and picture by two clocks.

use packet_io::PacketIo;

use crate::engine::feedback::low_half;
use crate::engine::worker::Worker;
use crate::limits::OWN_REPORT_AFTER;
use crate::rtcp::SenderInformation;

impl<Io: PacketIo> Worker<Io> {
    /// What our report says of the stream to this peer; `None`: a receiver report says enough.
    pub(super) fn own_sender_information(
        &mut self,
        now_us: u64,
        slot: u32,
    ) -> Option<SenderInformation> {
        let packets = self.sent.get(slot as usize)?.packets;
        let leg = self.leg_mut(slot)?;
        let is_sending = packets > std::mem::replace(&mut leg.control.packets_reported, packets);
        let other = self.opposite(slot);
        let is_passed_on =
            other.is_some_and(|other| self.leg(other).is_some_and(|leg| leg.control.has_reported));
        let leg = self.leg_mut(slot)?;
        if is_passed_on || !is_sending {
            leg.control.reports_missing = 0;
            return None;
        }
        if leg.control.reports_missing < OWN_REPORT_AFTER {
            leg.control.reports_missing += 1;
            return None;
        }
        // An echo and a tone tick as what they answer.
        let clock = self.ingress.get(other.unwrap_or(slot) as usize)?.clock;
        let continuity = &self.egress.get(slot as usize)?.continuity;
        let rtp = continuity.timestamp_at(low_half(now_us / 1_000), clock)?;
        Some(self.information(slot, ntp(now_us), rtp))
    }

    /// A sender report leaves for this peer, which may name it in its blocks.
    pub(super) fn note_sender_report(&mut self, now_us: u64, slot: u32, said: SenderInformation) {
        self.counters.rtcp.sender_reports_sent += 1;
        if let Some(leg) = self.leg_mut(slot) {
            leg.control.sent = [Some((said.ntp_middle(), now_us)), leg.control.sent[0]];
        }
    }
}

/// The time since the worker began as an NTP timestamp: who has no wall clock may say so (RFC 3550 §4).
fn ntp(now_us: u64) -> u64 {
    let (seconds, rest) = (now_us / 1_000_000, now_us % 1_000_000);
    (seconds << 32) | ((rest << 32) / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_is_half_of_the_fraction() {
        assert_eq!(ntp(3_500_000), (3 << 32) | (1 << 31));
        assert_eq!(ntp(999_999) >> 32, 0);
    }
}
