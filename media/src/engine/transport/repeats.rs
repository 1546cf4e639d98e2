//! Pictures on their way to a browser, kept for a moment as they left: what it missed is sent again
//! (RFC 4585 §6.2.1) and nobody beyond us is asked, who is a call's whole way further. The octets are
//! the same, key stream and all, so that no index is used for anything else.

use packet_io::{PacketBuf, PacketIo};

use crate::engine::transport::send_copy;
use crate::engine::worker::Worker;
use crate::ingress::RateGuard;
use crate::limits::{
    FEEDBACK_PARTS_MAX, REPEAT_AGE_MAX, REPEATS_BURST_MAX, REPEATS_BYTES_MAX, REPEATS_KEPT_MAX,
    REPEATS_PER_SECOND_MAX,
};
use crate::rtcp::{Compound, Feedback, RtcpPacket};
use crate::rtp::SequenceNumber;
use arrayvec::ArrayVec;

/// What left for one browser. All its memory is taken when its video comes up.
#[derive(Debug)]
pub(super) struct Repeats {
    octets: Box<[u8]>,
    entries: Box<[Entry]>,
    /// Octets written so far, those left out at the end of the ring among them.
    written: u64,
    guard: RateGuard,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: SequenceNumber,
    /// Zero: there is none.
    size: u16,
    /// The low half of milliseconds.
    sent_ms: u32,
    at: u64,
}

const NONE: Entry = Entry {
    number: SequenceNumber(0),
    size: 0,
    sent_ms: 0,
    at: 0,
};

const _: () = assert!(size_of::<Entry>() == 16, "packed");

impl Repeats {
    pub(super) fn new() -> Self {
        Self {
            octets: vec![0; REPEATS_BYTES_MAX].into_boxed_slice(),
            entries: vec![NONE; REPEATS_KEPT_MAX].into_boxed_slice(),
            written: 0,
            guard: RateGuard::NEW,
        }
    }

    /// What left under another key is of no use any more.
    pub(super) fn clear(&mut self) {
        self.entries.fill(NONE);
    }

    fn keep(&mut self, now_us: u64, packet: &[u8]) {
        let Some([_, _, high, low]) = packet.first_chunk() else {
            return;
        };
        let number = SequenceNumber(u16::from_be_bytes([*high, *low]));
        let Ok(size) = u16::try_from(packet.len()) else {
            return;
        };
        let mut start = self.place_of(self.written);
        if start + packet.len() > self.octets.len() {
            self.written += (self.octets.len() - start) as u64;
            start = 0;
        }
        let Some(room) = self.octets.get_mut(start..start + packet.len()) else {
            return;
        };
        room.copy_from_slice(packet);
        let entry = Entry {
            number,
            size,
            sent_ms: milliseconds(now_us),
            at: self.written,
        };
        self.written += u64::from(size);
        if let Some(place) = self
            .entries
            .get_mut(usize::from(number.0) % REPEATS_KEPT_MAX)
        {
            *place = entry;
        }
    }

    /// The packet of that number as it left, unless that was long ago or its place was taken.
    fn kept(&self, now_us: u64, number: SequenceNumber) -> Option<&[u8]> {
        let entry = *self.entries.get(usize::from(number.0) % REPEATS_KEPT_MAX)?;
        let age_ms = milliseconds(now_us).wrapping_sub(entry.sent_ms);
        let is_there = entry.number == number
            && entry.size > 0
            && self.written - entry.at <= self.octets.len() as u64
            && u128::from(age_ms) <= REPEAT_AGE_MAX.as_millis();
        let start = self.place_of(entry.at);
        let octets = self.octets.get(start..start + usize::from(entry.size));
        octets.filter(|_| is_there)
    }

    fn place_of(&self, at: u64) -> usize {
        usize::try_from(at % (self.octets.len() as u64).max(1)).unwrap_or_default()
    }
}

impl<Io: PacketIo> Worker<Io> {
    /// A protected packet leaves for a browser: of pictures it is kept.
    #[inline]
    pub(in crate::engine) fn keep_for_repeat(
        &mut self,
        now_us: u64,
        slot: u32,
        packet: &PacketBuf,
    ) {
        let audio = self.transports.place(slot).and_then(|place| place.audio);
        let Some(audio) = audio.filter(|audio| *audio != slot) else {
            return;
        };
        let transport = self.transports.of_audio_mut(audio);
        if let Some(repeats) = transport.and_then(|it| it.repeats.as_deref_mut()) {
            repeats.keep(now_us, packet.bytes());
        }
    }

    /// Sends again what a browser says it missed of its pictures. Gives the parts that say nothing more: all
    /// that they ask for was sent, or may not be for now.
    pub(super) fn repeat_missed<'a>(
        &mut self,
        now_us: u64,
        audio: u32,
        compound: Compound<'a>,
    ) -> ArrayVec<RtcpPacket<'a>, FEEDBACK_PARTS_MAX> {
        let mut answered = ArrayVec::new();
        let Some(transport) = self.transports.of_audio(audio) else {
            return answered;
        };
        let Some(video) = transport.video else {
            return answered;
        };
        let [_, ours] = transport.plan.ssrcs;
        for part in compound.packets().take(FEEDBACK_PARTS_MAX) {
            let Ok(feedback) = Feedback::read(part) else {
                continue;
            };
            if !matches!(feedback, Feedback::Lost(..)) || !feedback.concerns(ours) {
                continue;
            }
            let mut has_all = true;
            for number in feedback.lost() {
                has_all &= self.repeat(now_us, audio, video, number);
            }
            if has_all {
                answered.push(part);
            }
        }
        answered
    }

    /// False: it is not kept.
    fn repeat(&mut self, now_us: u64, audio: u32, video: u32, number: SequenceNumber) -> bool {
        let to = self.control_destination(video);
        let sends = self.leg(video).is_some_and(|leg| leg.plan.sends);
        let transport = self.transports.of_audio_mut(audio);
        let Some(repeats) = transport.and_then(|it| it.repeats.as_deref_mut()) else {
            return false;
        };
        if repeats.kept(now_us, number).is_none() {
            self.counters.transport.repeats_missing += 1;
            return false;
        }
        let may = repeats
            .guard
            .admit(now_us, REPEATS_PER_SECOND_MAX, REPEATS_BURST_MAX);
        if !may || !sends {
            self.counters.transport.repeats_limited += 1;
            return true;
        }
        let Some((to, octets)) = to.zip(repeats.kept(now_us, number)) else {
            return true;
        };
        let missing = &mut self.counters.buffers_missing;
        if send_copy(&mut self.io, missing, octets, to) {
            self.counters.transport.repeats_sent += 1;
        }
        true
    }
}

/// The low half, as they go round.
fn milliseconds(now_us: u64) -> u32 {
    u32::try_from((now_us / 1_000) & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_kept_for_one_browser_take_less_than_96_kib() {
        let repeats = Repeats::new();
        let octets = repeats.octets.len() + size_of_val(&*repeats.entries) + size_of::<Repeats>();
        println!("{octets}");
        assert!(octets < 96 * 1_024, "{octets}");
    }

    fn packet(number: u16, size: usize) -> Vec<u8> {
        let mut octets = vec![u8::try_from(number % 251).unwrap(); size];
        octets[2..4].copy_from_slice(&number.to_be_bytes());
        octets
    }

    #[test]
    fn what_is_kept_is_what_left_and_the_oldest_goes_first() {
        let mut repeats = Repeats::new();
        let sizes = |number: u16| 400 + usize::from(number % 700);
        let mut kept_most = 0;
        for number in 65_000..67_000_u32 {
            let number = u16::try_from(number % 65_536).unwrap();
            repeats.keep(1, &packet(number, sizes(number)));
            let is_kept = |back: u16| {
                let number = number.wrapping_sub(back);
                let kept = repeats.kept(1, SequenceNumber(number));
                kept.is_some_and(|kept| {
                    assert_eq!(kept, packet(number, sizes(number)));
                    true
                })
            };
            assert!(is_kept(0));
            let count = (0..600).take_while(|back| is_kept(*back)).count();
            kept_most = kept_most.max(count);
            assert!((0..600).filter(|back| is_kept(*back)).count() == count);
        }
        assert!(kept_most >= REPEATS_BYTES_MAX / 1_200, "{kept_most}");
    }

    #[test]
    fn nothing_is_kept_for_long_or_under_another_key() {
        let mut repeats = Repeats::new();
        repeats.keep(u64::from(u32::MAX) * 1_000, &packet(6, 900));
        let round = u64::from(u32::MAX) * 1_000 + 5_000;
        assert!(
            repeats.kept(round, SequenceNumber(6)).is_some(),
            "across the round"
        );
        repeats.keep(1, &packet(7, 900));
        let late = 1_000 + 1_000_000;
        assert!(repeats.kept(late - 1, SequenceNumber(7)).is_some());
        assert!(repeats.kept(late, SequenceNumber(7)).is_none());
        repeats.clear();
        assert!(repeats.kept(1, SequenceNumber(7)).is_none());
        repeats.keep(1, &[0x80]);
        assert!(repeats.kept(1, SequenceNumber(0)).is_none());
    }
}
