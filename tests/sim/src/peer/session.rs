//! SDP of the model peers: one audio line, and what of the other side's a peer needs.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::keys::{Line, Protection};

/// What an audio line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// Number of the version in `o=`.
    pub(crate) version: u64,
    /// Where RTP is wanted.
    pub(crate) rtp: SocketAddr,
    /// Payload types in order.
    pub(crate) payloads: Vec<u8>,
    /// `sendrecv`, `sendonly`, `recvonly`, `inactive`.
    pub(crate) direction: Direction,
    /// The port of a video line beside it; 0: refused, `None`: no such line.
    pub(crate) video: Option<u16>,
    /// Keys.
    pub(crate) protection: Protection,
}

/// The direction of a media line, seen by who wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Both ways.
    SendReceive,
    /// I only send.
    SendOnly,
    /// I only receive.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// True where the writer wants to hear something.
    pub(crate) const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }

    /// True where the writer sends.
    pub(crate) const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// The answer of a peer that is ready for everything (RFC 3264 §6.1).
    pub(crate) const fn answered(self) -> Self {
        match self {
            Self::SendReceive => Self::SendReceive,
            Self::SendOnly => Self::ReceiveOnly,
            Self::ReceiveOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// PCMA (RFC 3551).
pub(crate) const PCMA: u8 = 8;
/// PCMU (RFC 3551).
pub(crate) const PCMU: u8 = 0;
/// What our peers call telephone-event.
pub(crate) const TELEPHONE_EVENT: u8 = 101;

impl Session {
    /// As text.
    pub(crate) fn write(&self) -> String {
        let ip = self.rtp.ip();
        let mut text = format!(
            "v=0\r\no=- 4711 {} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {} {}",
            self.version,
            self.rtp.port(),
            self.transport()
        );
        for payload in &self.payloads {
            let _ = write!(text, " {payload}");
        }
        text.push_str("\r\n");
        for payload in &self.payloads {
            let name = match *payload {
                PCMA => "PCMA/8000",
                PCMU => "PCMU/8000",
                9 => "G722/8000",
                18 => "G729/8000",
                96..=100 => "PCMA/8000",
                _ => "telephone-event/8000",
            };
            let _ = write!(text, "a=rtpmap:{payload} {name}\r\n");
        }
        let _ = write!(text, "a={}\r\n", self.direction.word());
        write_keys(&self.protection.audio, &mut text);
        if let Some(port) = self.video {
            let line = video_line(port, self.direction);
            text.push_str(&line.replace("RTP/AVP", self.transport()));
            if port != 0 {
                write_keys(&self.protection.video, &mut text);
            }
        }
        text
    }

    const fn transport(&self) -> &'static str {
        if self.protection.secure {
            "RTP/SAVP"
        } else {
            "RTP/AVP"
        }
    }

    /// Reads the audio line; `None` where there is none with an address.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut version = 0;
        let mut address = None;
        let mut media = None;
        let mut direction = Direction::SendReceive;
        for line in text.lines() {
            let line = line.trim_end();
            if let Some(origin) = line.strip_prefix("o=") {
                version = origin.split(' ').nth(2)?.parse().ok()?;
            } else if let Some(connection) = line.strip_prefix("c=IN IP4 ") {
                address = connection.parse().ok();
            } else if let Some(audio) = line.strip_prefix("m=audio ") {
                let mut words = audio.split(' ');
                let port: u16 = words.next()?.parse().ok()?;
                let payloads: Vec<u8> =
                    words.skip(1).filter_map(|word| word.parse().ok()).collect();
                media = Some((port, payloads));
            } else if line.starts_with("m=") {
                // What belongs to other lines is not the audio's.
                if media.is_some() {
                    break;
                }
            } else {
                direction = match line {
                    "a=sendrecv" => Direction::SendReceive,
                    "a=sendonly" => Direction::SendOnly,
                    "a=recvonly" => Direction::ReceiveOnly,
                    "a=inactive" => Direction::Inactive,
                    _ => direction,
                };
            }
        }
        let (port, payloads) = media?;
        Some(Self {
            version,
            rtp: SocketAddr::new(address?, port),
            payloads,
            direction,
            video: video_port(text),
            protection: protection_of(text),
        })
    }
}

fn write_keys(lines: &[Line], text: &mut String) {
    for Line { tag, key } in lines {
        let _ = write!(text, "a=crypto:{tag} {}\r\n", key.write());
    }
}

/// Keys of the first audio and of the first video line that can be read.
fn protection_of(text: &str) -> Protection {
    let mut found = Protection::default();
    let mut kind = "";
    for line in text.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            kind = media.split(' ').next().unwrap_or("");
            found.secure |= kind == "audio" && media.contains(" RTP/SAVP");
        } else if let Some(key) = line.strip_prefix("a=crypto:").and_then(Line::read) {
            match kind {
                "audio" => found.audio.push(key),
                "video" => found.video.push(key),
                _ => {}
            }
        }
    }
    found
}

/// A video line beside the audio line: H.264, both ways packed as FU-A; port 0 refuses it.
pub(crate) fn video_line(port: u16, direction: Direction) -> String {
    format!(
        "m=video {port} RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n\
         a=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\na={}\r\n",
        direction.word()
    )
}

/// Of the video line, if there is one.
fn video_port(text: &str) -> Option<u16> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("m=video "))?;
    line.split(' ').next()?.parse().ok()
}

/// True: a description has video; false: it refuses it; `None`: it has no such line.
pub(crate) fn has_video(text: &str) -> Option<bool> {
    video_port(text).map(|port| port != 0)
}

/// The same under RTP/SAVP, with the key of this number under this tag (RFC 4568).
pub(crate) fn with_key(text: &str, number: u8, tag: u32) -> String {
    // 40 characters are the 30 octets that the suite wants.
    let key = char::from(b'A' + number % 26).to_string().repeat(40);
    let line = format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n");
    text.replace("RTP/AVP", "RTP/SAVP") + &line
}

/// How many keys a text has, where its audio line is RTP/SAVP; none: `plain`.
pub(crate) fn keys_of(text: &str) -> String {
    let keys = text.lines().filter(|line| line.starts_with("a=crypto:"));
    if text.contains(" RTP/SAVP ") {
        keys.count().to_string()
    } else {
        "plain".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_survives_writing_and_reading() {
        let session = Session {
            version: 3,
            rtp: "10.1.0.1:20000".parse().unwrap(),
            payloads: vec![PCMA, TELEPHONE_EVENT],
            direction: Direction::SendOnly,
            video: Some(30_000),
            protection: Protection::default(),
        };
        assert_eq!(Session::read(&session.write()), Some(session));
    }
}
