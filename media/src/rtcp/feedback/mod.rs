//! Feedback (RFC 4585, RFC 5104, the drafts of REMB and transport-wide congestion control): what a
//! receiver says about our stream, said again to whoever the stream comes from.
//!
//! The relay gives each stream its own source and sequence numbers, so that feedback passed on
//! unread would name packets that its reader never sent. Sources are exchanged everywhere; numbers of
//! a NACK are mapped back; transport-wide numbers stand in a header extension, which the relay leaves
//! alone, and are right as they are. Slice loss and reference picture selection speak of the inside
//! of a codec's pictures in terms we do not check, hardly anybody sends them, and a decoder asks for
//! a keyframe when they are not answered: they end here, as every unknown format does.

use crate::drop_reason::DropReason;
use crate::rtcp::{Kind, RtcpPacket};
use crate::rtp::{SequenceNumber, Ssrc};

/// One feedback packet, its content still as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback<'a> {
    /// Packets that did not come (generic NACK, RFC 4585 §6.2.1).
    Lost(Media, &'a [u8]),
    /// A picture cannot be decoded (PLI, RFC 4585 §6.3.1).
    PictureLoss(Media),
    /// A decoder asks for a keyframe (FIR, RFC 5104 §4.3.1).
    IntraRequest(&'a [u8]),
    /// What a receiver can take (REMB, draft-alvestrand-rmcat-remb).
    BitRate(&'a [u8]),
    /// When each packet came (draft-holmer-rmcat-transport-wide-cc-extensions).
    Arrivals(Media, &'a [u8]),
}

/// The source that feedback speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Media(pub Ssrc);

/// How feedback is said on the other side.
#[derive(Debug, Clone, Copy)]
pub struct FeedbackMapping {
    /// Our source on the leg that it came by: what it has to speak of.
    pub ours: Ssrc,
    /// Our source on the leg that it goes to.
    pub sender: Ssrc,
    /// The source that our stream is made from.
    pub feed: Ssrc,
    /// The number of a keyframe request by FIR, of our own (RFC 5104 §4.3.1.1).
    pub intra_request: u8,
}

impl<'a> Feedback<'a> {
    /// From a packet of a valid compound.
    ///
    /// # Errors
    /// [`DropReason::FeedbackUnknown`], [`DropReason::RtcpMalformed`].
    pub fn read(packet: RtcpPacket<'a>) -> Result<Self, DropReason> {
        let media = packet.word(4).ok_or(DropReason::RtcpMalformed)?;
        let (media, content) = (Media(Ssrc(media)), packet.content(8));
        let holds = |unit: usize| !content.is_empty() && content.len().is_multiple_of(unit);
        let (feedback, is_whole) = match (packet.kind(), packet.count()) {
            (Kind::TransportFeedback, LOST) => (Self::Lost(media, content), holds(4)),
            (Kind::TransportFeedback, ARRIVALS) => {
                (Self::Arrivals(media, content), content.len() >= 8)
            }
            (Kind::PayloadFeedback, PICTURE_LOSS) => (Self::PictureLoss(media), true),
            (Kind::PayloadFeedback, INTRA_REQUEST) => (Self::IntraRequest(content), holds(8)),
            (Kind::PayloadFeedback, APPLICATION) if content.starts_with(b"REMB") => {
                let sources = content.get(4).copied().map(usize::from);
                let is_whole = sources.is_some_and(|count| content.len() == 8 + 4 * count);
                (Self::BitRate(content), is_whole)
            }
            _ => return Err(DropReason::FeedbackUnknown),
        };
        if is_whole {
            Ok(feedback)
        } else {
            Err(DropReason::RtcpMalformed)
        }
    }

    /// The number of the FIR for `source`, if it is asked for a keyframe.
    #[must_use]
    pub fn intra_request_of(&self, source: Ssrc) -> Option<u8> {
        let Self::IntraRequest(content) = self else {
            return None;
        };
        let (requests, _) = content.as_chunks::<8>();
        requests
            .iter()
            .find(|[a, b, c, d, ..]| u32::from_be_bytes([*a, *b, *c, *d]) == source.0)
            .map(|[_, _, _, _, number, ..]| *number)
    }

    /// The numbers that a NACK says are missing, of our stream; none in other feedback.
    pub fn lost(&self) -> impl Iterator<Item = SequenceNumber> + use<'a> {
        let content = match self {
            Self::Lost(_, content) => content,
            Self::PictureLoss(_)
            | Self::IntraRequest(_)
            | Self::BitRate(_)
            | Self::Arrivals(..) => &[][..],
        };
        let entries = content.as_chunks::<4>().0.iter();
        entries.flat_map(|entry| lost_of(*entry))
    }

    /// True for what asks for a keyframe.
    #[must_use]
    pub const fn asks_for_keyframe(&self) -> bool {
        matches!(self, Self::PictureLoss(_) | Self::IntraRequest(_))
    }

    /// True if it speaks of `source`.
    #[must_use]
    pub fn concerns(&self, source: Ssrc) -> bool {
        match self {
            Self::Lost(media, _) | Self::PictureLoss(media) | Self::Arrivals(media, _) => {
                media.0 == source
            }
            Self::IntraRequest(_) => self.intra_request_of(source).is_some(),
            Self::BitRate(content) => {
                let (sources, _) = content.get(8..).unwrap_or_default().as_chunks();
                sources
                    .iter()
                    .any(|octets| u32::from_be_bytes(*octets) == source.0)
            }
        }
    }

    /// Writes it as the other side has to hear it; `number` gives the number that the feed gave a
    /// packet of ours. Gives the size written.
    ///
    /// # Errors
    /// [`DropReason::FeedbackForeign`]: it speaks of no packet that the feed sent;
    /// [`DropReason::FeedbackTooLong`].
    pub fn write(
        &self,
        octets: &mut [u8],
        mapping: FeedbackMapping,
        number: impl Fn(SequenceNumber) -> Option<SequenceNumber>,
    ) -> Result<usize, DropReason> {
        if !self.concerns(mapping.ours) {
            return Err(DropReason::FeedbackForeign);
        }
        let [f0, f1, f2, f3] = mapping.feed.0.to_be_bytes();
        let mut writer = Writer { octets, size: 0 };
        let (kind, format, media) = match self {
            Self::Lost(..) => (TRANSPORT, LOST, mapping.feed),
            Self::Arrivals(..) => (TRANSPORT, ARRIVALS, mapping.feed),
            Self::PictureLoss(_) => (PAYLOAD, PICTURE_LOSS, mapping.feed),
            Self::IntraRequest(_) => (PAYLOAD, INTRA_REQUEST, Ssrc(0)),
            Self::BitRate(_) => (PAYLOAD, APPLICATION, Ssrc(0)),
        };
        writer.put(&[0x80 | format, kind, 0, 0])?;
        writer.put(&mapping.sender.0.to_be_bytes())?;
        writer.put(&media.0.to_be_bytes())?;
        match self {
            Self::Lost(_, content) => {
                let before = writer.size;
                for entry in content.as_chunks::<4>().0 {
                    if let Some(mapped) = mapped_losses(*entry, &number) {
                        writer.put(&mapped)?;
                    }
                }
                if writer.size == before {
                    return Err(DropReason::FeedbackForeign);
                }
            }
            Self::PictureLoss(_) => {}
            Self::IntraRequest(_) => {
                writer.put(&[f0, f1, f2, f3, mapping.intra_request, 0, 0, 0])?;
            }
            Self::BitRate(content) => {
                let [exponent, high, low] = [5, 6, 7].map(|at| content.get(at).copied());
                writer.put(b"REMB")?;
                let rate = [exponent, high, low].map(Option::unwrap_or_default);
                writer.put(&[1, rate[0], rate[1], rate[2], f0, f1, f2, f3])?;
            }
            Self::Arrivals(_, content) => writer.put(content)?,
        }
        writer.close()
    }
}

/// Octets of a bit rate about one source.
pub const BIT_RATE_SIZE: usize = 24;

/// Writes what one source may send, in bits a second (draft-alvestrand-rmcat-remb-03 §2.2). Gives the size written.
pub fn write_bit_rate(octets: &mut [u8], sender: Ssrc, source: Ssrc, rate: u32) -> Option<usize> {
    const MANTISSA_BITS: u32 = 18;
    let exponent = (u32::BITS - rate.leading_zeros()).saturating_sub(MANTISSA_BITS);
    let [_, high, middle, low] = (rate >> exponent).to_be_bytes();
    let exponent = u8::try_from(exponent).ok()? << 2;
    let mut writer = Writer { octets, size: 0 };
    let media = Ssrc(0);
    writer.put(&[0x80 | APPLICATION, PAYLOAD, 0, 0]).ok()?;
    writer.put(&sender.0.to_be_bytes()).ok()?;
    writer.put(&media.0.to_be_bytes()).ok()?;
    writer.put(b"REMB").ok()?;
    writer.put(&[1, exponent | high, middle, low]).ok()?;
    writer.put(&source.0.to_be_bytes()).ok()?;
    debug_assert!(writer.size == BIT_RATE_SIZE, "one source");
    writer.close().ok()
}

/// One entry of a NACK, its packet number and the mask of the sixteen after it, in the feed's numbers; `None`: the feed
/// sent none of them.
fn mapped_losses(
    [p0, p1, b0, b1]: [u8; 4],
    number: impl Fn(SequenceNumber) -> Option<SequenceNumber>,
) -> Option<[u8; 4]> {
    let mut mapped: Option<(SequenceNumber, u16)> = None;
    for sent in lost_of([p0, p1, b0, b1]).filter_map(number) {
        let (start, mask) = mapped.get_or_insert((sent, 0));
        let after = start.offset_to(sent);
        if (1..=16).contains(&after) {
            *mask |= 1 << (after - 1);
        }
    }
    let (start, mask) = mapped?;
    let ([p0, p1], [b0, b1]) = (start.0.to_be_bytes(), mask.to_be_bytes());
    Some([p0, p1, b0, b1])
}

/// The numbers of one entry: a packet, and those of the sixteen after it that the mask has.
fn lost_of([p0, p1, b0, b1]: [u8; 4]) -> impl Iterator<Item = SequenceNumber> {
    let first = SequenceNumber(u16::from_be_bytes([p0, p1]));
    let mask = u32::from(u16::from_be_bytes([b0, b1])) << 1 | 1;
    let lost = (0_u16..17).filter(move |at| mask >> at & 1 == 1);
    lost.map(move |at| first.wrapping_add(at))
}

/// Octets written so far, of those there is room for.
struct Writer<'a> {
    octets: &'a mut [u8],
    size: usize,
}

impl Writer<'_> {
    fn put(&mut self, octets: &[u8]) -> Result<(), DropReason> {
        let end = self.size + octets.len();
        let room = self
            .octets
            .get_mut(self.size..end)
            .ok_or(DropReason::FeedbackTooLong)?;
        room.copy_from_slice(octets);
        self.size = end;
        Ok(())
    }

    /// Writes the length, in words less one, into the header.
    fn close(self) -> Result<usize, DropReason> {
        debug_assert!(self.size.is_multiple_of(4), "RTCP is made of words");
        let words =
            u16::try_from(self.size / 4 - 1).map_err(|_too_long| DropReason::FeedbackTooLong)?;
        if let Some(length) = self.octets.get_mut(2..4) {
            length.copy_from_slice(&words.to_be_bytes());
        }
        Ok(self.size)
    }
}

/// Packet type RTPFB.
const TRANSPORT: u8 = 205;
/// Packet type PSFB.
const PAYLOAD: u8 = 206;
/// Generic NACK.
const LOST: u8 = 1;
/// Transport-wide congestion control.
const ARRIVALS: u8 = 15;
/// PLI.
const PICTURE_LOSS: u8 = 1;
/// FIR.
const INTRA_REQUEST: u8 = 4;
/// Application layer feedback; REMB is one.
const APPLICATION: u8 = 15;

#[cfg(test)]
mod tests;
