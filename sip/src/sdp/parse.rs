//! Text to [`SessionDescription`]. Total and bounded; strict about `v=`, `o=`, `c=` and `m=`, and
//! reads over everything else that it does not understand (RFC 8866 §5).

use super::{
    BrowserLines, BrowserSessionLines, CRYPTO_MAX, Direction, EXTENSIONS_MAX, ExtMap, FEEDBACK_MAX,
    FORMATS_MAX, Feedback, Fmtp, Host, MEDIA_MAX, MediaDescription, MediaKind, MediaLines, Origin,
    Rtcp, RtpMap, SDP_SIZE_MAX, SessionDescription,
};
use crate::error::SdpError;

impl SessionDescription {
    /// Reads a description. Lines end with CRLF, LF or CR; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// Names what cannot be read.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > SDP_SIZE_MAX {
            return Err(SdpError::TooLarge);
        }
        if memchr::memchr(0, bytes).is_some() {
            return Err(SdpError::Nul);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
        if lines
            .next()
            .and_then(|line| line.strip_prefix("v="))
            .map(str::trim_ascii)
            != Some("0")
        {
            return Err(SdpError::Version);
        }
        let mut origin = None;
        let mut session = Self {
            origin: Origin::default(),
            connection: None,
            direction: None,
            browser: None,
            media: MediaLines::default(),
        };
        for line in lines {
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            match kind {
                "o" if origin.is_none() => {
                    origin = Some(Origin::parse(value).ok_or(SdpError::Origin)?);
                }
                "c" => session.take_connection(value)?,
                "a" => session.take_attribute(value),
                "b" => {
                    if let Some(media) = session.media.last_mut() {
                        media.bandwidth.take(value);
                    }
                }
                "m" => {
                    if session.media.len() >= MEDIA_MAX {
                        return Err(SdpError::TooManyMedia);
                    }
                    session
                        .media
                        .push(MediaDescription::parse(value).ok_or(SdpError::Media)?);
                }
                _ => {}
            }
        }
        session.origin = origin.ok_or(SdpError::Origin)?;
        for media in session.media.iter_mut() {
            BrowserLines::finish(&mut media.browser);
        }
        Ok(session)
    }

    /// Several `c=` lines of one `m=` line are layers of multicast: the first one counts.
    fn take_connection(&mut self, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(_), Some(_), Some(address)) = (words.next(), words.next(), words.next()) else {
            return Err(SdpError::Connection);
        };
        let place = match self.media.last_mut() {
            Some(media) => &mut media.connection,
            None => &mut self.connection,
        };
        let host = host(address).ok_or(SdpError::Connection)?;
        place.get_or_insert(host);
        Ok(())
    }

    fn take_attribute(&mut self, value: &str) {
        let (name, value) = value.split_once(':').unwrap_or((value, ""));
        let name = name.trim_ascii();
        match self.media.last_mut() {
            Some(media) => media.take_attribute(name, value),
            None => {
                if let Some(direction) = Direction::from_name(name) {
                    self.direction = Some(direction);
                } else {
                    BrowserSessionLines::take(&mut self.browser, name, value);
                }
            }
        }
    }
}

impl MediaDescription {
    /// `<media> <port>[/<number of ports>] <proto> <fmt> …`
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let kind = match words.next()? {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            "application" => MediaKind::Application,
            other => MediaKind::Other(other.into()),
        };
        let port = words.next()?;
        let port = port
            .split_once('/')
            .map_or(port, |(first, _)| first)
            .parse()
            .ok()?;
        let mut media = Self::new(kind, port, words.next()?.into());
        media.formats = words.take(FORMATS_MAX).map(Into::into).collect();
        Some(media)
    }

    fn take_attribute(&mut self, name: &str, value: &str) {
        match name {
            "rtpmap" => push_bounded(&mut self.rtpmaps, RtpMap::parse(value), FORMATS_MAX),
            "fmtp" => push_bounded(&mut self.fmtps, Fmtp::parse(value), FORMATS_MAX),
            "crypto" => push_bounded(
                &mut self.crypto,
                Some(value.trim_ascii().into()),
                CRYPTO_MAX,
            ),
            "ptime" => self.ptime_ms = value.trim_ascii().parse().ok().or(self.ptime_ms),
            "rtcp" => self.rtcp = Rtcp::parse(value).or_else(|| self.rtcp.take()),
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-fb" => push_bounded(&mut self.feedback, Feedback::parse(value), FEEDBACK_MAX),
            "extmap" => push_bounded(&mut self.extensions, ExtMap::parse(value), EXTENSIONS_MAX),
            "content" => {
                let value = value.trim_ascii();
                let content = (!value.is_empty()).then(|| value.into());
                self.content = content.or_else(|| self.content.take());
            }
            _ => match Direction::from_name(name) {
                Some(direction) => self.direction = Some(direction),
                None => BrowserLines::take(&mut self.browser, name, value),
            },
        }
    }
}

impl Origin {
    /// `<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>`
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let username = words.next()?.into();
        let session_id = words.next()?.into();
        let version = words.next()?.parse().ok()?;
        let (_, _) = (words.next()?, words.next()?);
        Some(Self {
            username,
            session_id,
            version,
            address: host(words.next()?)?,
        })
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            username: "-".into(),
            session_id: "0".into(),
            version: 0,
            address: Host::default(),
        }
    }
}

/// An address or a name; what follows `/` is the TTL or the count of multicast.
pub(super) fn host(text: &str) -> Option<Host> {
    let text = text.split_once('/').map_or(text, |(address, _)| address);
    let name = || (!text.is_empty()).then(|| Host::Name(text.into()));
    text.parse().map(Host::Address).ok().or_else(name)
}

fn push_bounded<T>(list: &mut Vec<T>, item: Option<T>, max: usize) {
    if let Some(item) = item
        && list.len() < max
    {
        list.push(item);
    }
}
