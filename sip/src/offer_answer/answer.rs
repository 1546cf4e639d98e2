//! What our answers say, and what answers to us mean.

use std::net::SocketAddr;

use super::codec_match::{Codec, codecs_of};
use super::direction::answer_direction;
use super::negotiate::{Negotiated, OfferRefusal, RemoteAudio, remote_audio};
use super::offer::{LocalMedia, audio_line, refused_line};
use crate::sdp::{Direction, Host, MediaDescription, MediaKind, Origin, SessionDescription};

/// A codec that both sides have, with its number in each direction (RFC 3264 §5.1): a side sends
/// with the number that the other side's description gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreedCodec {
    /// The codec, with the `fmtp` of the peer.
    pub codec: Codec,
    /// The number we send.
    pub send_payload_type: u8,
    /// The number the peer sends.
    pub receive_payload_type: u8,
}

/// An answer to our offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerTaken {
    /// The audio line of the answer.
    pub audio: RemoteAudio,
    /// Codecs for speech that the peer took, the first one is in use.
    pub codecs: Vec<AgreedCodec>,
    /// `telephone-event`, where the peer took it.
    pub telephone_event: Option<AgreedCodec>,
}

impl AnswerTaken {
    /// The codec in use.
    #[must_use]
    pub fn codec(&self) -> Option<&AgreedCodec> {
        self.codecs.first()
    }
}

/// Answers an offer: each line in its order, port 0 for all but the audio line that was
/// negotiated; one codec and `telephone-event`, with the payload types of the offer.
///
/// `wanted` is the direction we would like, from our side.
#[must_use]
pub fn build_answer(
    offer: &SessionDescription,
    origin: Origin,
    local: LocalMedia,
    negotiated: &Negotiated,
    wanted: Direction,
) -> SessionDescription {
    let taken: Vec<Codec> = negotiated
        .codec()
        .into_iter()
        .chain(&negotiated.telephone_event)
        .cloned()
        .collect();
    let direction = answer_direction(negotiated.audio.direction, wanted);
    debug_assert!(
        negotiated.audio.index < offer.media.len(),
        "what was negotiated was offered"
    );
    debug_assert!(!taken.is_empty(), "an answer takes a codec");
    let media = offer
        .media
        .iter()
        .enumerate()
        .map(|(index, line)| {
            if index != negotiated.audio.index {
                return refused_line(line);
            }
            audio_line(&line.protocol, local, &taken, direction)
        })
        .collect();
    SessionDescription {
        origin,
        connection: Some(Host::Address(local.address)),
        direction: None,
        media,
    }
}

/// Reads the answer to our offer. `own` are sockets of ours where the peer cannot be.
///
/// # Errors
///
/// Where the audio line was refused or cannot be used.
pub fn read_answer(
    offer: &SessionDescription,
    answer: &SessionDescription,
    own: &[SocketAddr],
) -> Result<AnswerTaken, OfferRefusal> {
    let (index, ours) = audio_of(offer).ok_or(OfferRefusal::NoAudio)?;
    let theirs = answer
        .media
        .get(index)
        .filter(|media| media.kind == MediaKind::Audio && media.port != 0)
        .ok_or(OfferRefusal::NoAudio)?;
    let audio = remote_audio(answer, index, theirs, own)?;
    let offered = codecs_of(ours);
    let agreed: Vec<AgreedCodec> = theirs
        .payload_types()
        .filter_map(|number| agree(number, &audio, &offered))
        .collect();
    let codecs: Vec<AgreedCodec> = agreed
        .iter()
        .filter(|agreed| agreed.codec.is_speech())
        .cloned()
        .collect();
    let first = codecs.first().ok_or(OfferRefusal::NoCommonCodec)?;
    let clock_rate_hz = first.codec.clock_rate_hz;
    let telephone_event = agreed.into_iter().find(|agreed| {
        agreed.codec.is_telephone_event() && agreed.codec.clock_rate_hz == clock_rate_hz
    });
    Ok(AnswerTaken {
        audio,
        codecs,
        telephone_event,
    })
}

fn audio_of(offer: &SessionDescription) -> Option<(usize, &MediaDescription)> {
    offer
        .media
        .iter()
        .enumerate()
        .find(|(_, media)| media.kind == MediaKind::Audio && media.port != 0)
}

/// One format of an answer. A dynamic number without `rtpmap` can only mean what we offered under
/// it; some peers leave the line out.
fn agree(number: u8, audio: &RemoteAudio, offered: &[Codec]) -> Option<AgreedCodec> {
    let theirs = audio
        .codecs
        .iter()
        .find(|codec| codec.payload_type == number);
    let ours = match theirs {
        Some(theirs) => offered
            .iter()
            .find(|ours| ours.payload_type == number && ours.is_same(theirs))
            .or_else(|| offered.iter().find(|ours| ours.is_same(theirs)))?,
        None => offered.iter().find(|ours| ours.payload_type == number)?,
    };
    Some(AgreedCodec {
        codec: theirs.unwrap_or(ours).clone(),
        send_payload_type: number,
        receive_payload_type: ours.payload_type,
    })
}
