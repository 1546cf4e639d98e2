//! The pieces of our descriptions.

use std::net::{IpAddr, SocketAddr};

use super::codec_match::Codec;
use super::crypto::CryptoLine;
use crate::sdp::{
    Direction, Fmtp, Host, MediaDescription, MediaKind, Origin, RtpMap, SessionDescription,
};

/// What an audio line of ours says.
#[derive(Debug, Clone, Copy)]
pub(super) struct AudioLine<'a> {
    /// Where we receive RTP; RTCP is received on the next port.
    pub(super) local: SocketAddr,
    /// With their numbers in this dialog.
    pub(super) codecs: &'a [Codec],
    /// From our side.
    pub(super) direction: Direction,
    /// `a=ptime`.
    pub(super) ptime_ms: Option<u32>,
    /// The peer wants RTCP on the port of RTP (RFC 5761 §5.1.1), and we take it there.
    pub(super) rtcp_mux: bool,
    /// Our keys: all in an offer, one in an answer, none without SRTP.
    pub(super) crypto: &'a [CryptoLine],
}

impl AudioLine<'_> {
    /// As an `m=` line with this transport.
    pub(super) fn describe(&self, protocol: &str) -> MediaDescription {
        let mut media = coded_line(MediaKind::Audio, self.local.port(), protocol, self.codecs);
        media.direction = Some(self.direction);
        media.ptime_ms = self.ptime_ms;
        media.rtcp_mux = self.rtcp_mux;
        media.crypto = self.crypto.iter().map(CryptoLine::write).collect();
        media
    }
}

/// An `m=` line of ours with these codecs under their numbers, and nothing else said.
pub(super) fn coded_line(
    kind: MediaKind,
    port: u16,
    protocol: &str,
    codecs: &[Codec],
) -> MediaDescription {
    debug_assert!(port != 0, "port 0 would be a refusal");
    let mut media = MediaDescription::new(kind, port, protocol.into());
    media.formats.reserve_exact(codecs.len());
    media.rtpmaps.reserve_exact(codecs.len());
    for codec in codecs {
        let payload_type = codec.payload_type;
        media
            .formats
            .push(smol_str::format_smolstr!("{payload_type}"));
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
    media
}

/// An answer that takes nothing of an offer: every line with port 0 (RFC 3264 §6). For an offer that
/// must be answered although its session ends at once.
#[must_use]
pub fn refusal_of(offer: &SessionDescription, local: IpAddr) -> SessionDescription {
    let address = Host::Address(local);
    SessionDescription {
        origin: Origin {
            address: address.clone(),
            ..Origin::default()
        },
        connection: Some(address),
        direction: None,
        browser: None,
        media: offer.media.iter().map(refused_line).collect(),
    }
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
