//! What our offers say.

use std::net::IpAddr;

use super::codec_match::Codec;
use crate::sdp::{
    Direction, Fmtp, Host, MediaDescription, MediaKind, Origin, Rtcp, RtpMap, SessionDescription,
};

/// Where we receive the media of one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalMedia {
    /// The address that the peer sends to.
    pub address: IpAddr,
    /// Port of RTP.
    pub rtp_port: u16,
    /// Port of RTCP; `a=rtcp` is written where it is not the next one (RFC 3605).
    pub rtcp_port: u16,
}

/// The `o=` of a leg. The version grows by one with every change of what we describe, and stays
/// where nothing changes (RFC 3264 §8).
#[must_use]
pub fn local_origin(session_id: u64, version: u64, address: IpAddr) -> Origin {
    Origin {
        username: "-".into(),
        session_id: session_id.to_string().into(),
        version,
        address: Host::Address(address),
    }
}

/// An offer of one audio line: the codecs in their order, `telephone-event` among them where it
/// shall be offered.
#[must_use]
pub fn build_offer(
    origin: Origin,
    local: LocalMedia,
    codecs: &[Codec],
    direction: Direction,
) -> SessionDescription {
    SessionDescription {
        origin,
        connection: Some(Host::Address(local.address)),
        direction: None,
        media: vec![audio_line("RTP/AVP", local, codecs, direction)],
    }
}

/// An offer within a dialog: every line of our last description stands again in its place, lines
/// that were refused with port 0 (RFC 3264 §8). The first audio line that is in use is described
/// anew; without one an audio line is added.
#[must_use]
pub fn build_reoffer(
    last: &SessionDescription,
    origin: Origin,
    local: LocalMedia,
    codecs: &[Codec],
    direction: Direction,
) -> SessionDescription {
    let mut offer = build_offer(origin, local, codecs, direction);
    let audio = offer.media.pop();
    let in_use = |media: &MediaDescription| media.kind == MediaKind::Audio && media.port != 0;
    let place = last.media.iter().position(in_use);
    offer.media = last.media.iter().map(refused_line).collect();
    if let Some(mut audio) = audio {
        match place.and_then(|index| offer.media.get_mut(index)) {
            Some(line) => {
                audio.protocol.clone_from(&line.protocol);
                *line = audio;
            }
            None => offer.media.push(audio),
        }
    }
    debug_assert!(
        offer.media.len() >= last.media.len(),
        "no line ever goes away (RFC 3264 §8)"
    );
    offer
}

/// An audio line of ours.
pub(super) fn audio_line(
    protocol: &str,
    local: LocalMedia,
    codecs: &[Codec],
    direction: Direction,
) -> MediaDescription {
    debug_assert!(local.rtp_port != 0, "port 0 would be a refusal");
    debug_assert!(local.rtp_port != local.rtcp_port, "two sockets");
    let mut media = MediaDescription::new(MediaKind::Audio, local.rtp_port, protocol.into());
    for codec in codecs {
        let payload_type = codec.payload_type;
        media.formats.push(payload_type.to_string().into());
        media.rtpmaps.push(RtpMap {
            payload_type,
            name: codec.name.clone(),
            clock_rate_hz: codec.clock_rate_hz,
            channels: codec.channels,
        });
        if let Some(parameters) = &codec.fmtp {
            media.fmtps.push(Fmtp {
                payload_type,
                parameters: parameters.clone(),
            });
        }
    }
    if local.rtp_port.checked_add(1) != Some(local.rtcp_port) {
        media.rtcp = Some(Rtcp {
            port: local.rtcp_port,
            host: None,
        });
    }
    media.direction = Some(direction);
    media
}

/// The same line with port 0. At least one format must stand (RFC 8866 §9).
pub(super) fn refused_line(line: &MediaDescription) -> MediaDescription {
    let mut refused = MediaDescription::new(line.kind.clone(), 0, line.protocol.clone());
    refused.formats.clone_from(&line.formats);
    if refused.formats.is_empty() {
        refused.formats.push("0".into());
    }
    refused
}
