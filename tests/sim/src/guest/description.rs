//! What a page offers, and what it makes of an answer.

use std::net::SocketAddr;

use sip::message::SendBuffer;
use sip::sdp::{Direction, SessionDescription};

/// Name and password of one end of a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// User fragment.
    pub(crate) ufrag: String,
    /// Password.
    pub(crate) password: String,
}

/// An offer as browsers write it, as far as anybody reads it here: Opus, G.722, G.711 and events, and
/// H.264 where it has a camera.
pub(crate) fn offer(
    version: u32,
    end: &End,
    certificate: [u8; 32],
    direction: Direction,
    has_camera: bool,
) -> SessionDescription {
    let digest = certificate.map(|octet| format!("{octet:02X}")).join(":");
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {digest}\r\n\
         a=setup:actpass\r\na=rtcp-mux\r\n",
        end.ufrag, end.password
    );
    let mids = if has_camera { "0 1" } else { "0" };
    let direction = direction.as_str();
    let mut text = format!(
        "v=0\r\no=- 4611 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111 9 0 8 110 126\r\n{transport}a=mid:0\r\na={direction}\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
         a=rtpmap:9 G722/8000\r\na=rtpmap:110 telephone-event/48000\r\n\
         a=rtpmap:126 telephone-event/8000\r\n"
    );
    if has_camera {
        text.push_str(&format!(
            "m=video 9 UDP/TLS/RTP/SAVPF 103\r\n{transport}a=mid:1\r\na=sendrecv\r\n\
             a=rtpmap:103 H264/90000\r\n\
             a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n"
        ));
    }
    SessionDescription::parse(text.as_bytes()).expect("what browsers write is read")
}

/// What an answer says, of what a page acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The gateway's end of the transport.
    pub(crate) end: End,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// The codec that leads.
    pub(crate) payload_type: u8,
    /// From the gateway's side.
    pub(crate) direction: Direction,
}

impl Answer {
    /// Reads the words of an answer.
    pub(crate) fn read(description: &SessionDescription) -> Option<Self> {
        let mut buffer = SendBuffer::new();
        description.write(&mut buffer);
        let text = String::from_utf8(buffer.as_bytes().to_vec()).ok()?;
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
        let mut candidate = line("a=candidate:")?.split(' ').skip(4);
        let address = format!("{}:{}", candidate.next()?, candidate.next()?);
        let audio = description.media.first()?;
        Some(Self {
            end: End {
                ufrag: line("a=ice-ufrag:")?.to_owned(),
                password: line("a=ice-pwd:")?.to_owned(),
            },
            address: address.parse().ok()?,
            payload_type: audio.formats.first()?.parse().ok()?,
            direction: audio.direction.unwrap_or(Direction::SendRecv),
        })
    }
}
