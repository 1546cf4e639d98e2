//! The attributes of browsers, of text. What is malformed is read over.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use super::{
    BrowserLines, BrowserSessionLines, CANDIDATES_MAX, CANDIDATES_SEEN_MAX, Candidate, Candidates,
    DigestKind, Fingerprint, GROUPS_MAX, IcePassword, Msid, SOURCES_MAX, Setup, Source,
    TransportLines, is_ice_text,
};
use crate::sdp::{EXTENSIONS_MAX, ExtMap, MEDIA_MAX, Word};

impl TransportLines {
    /// Takes in an attribute; false where it is none of these.
    fn take(&mut self, name: &str, value: &str) -> bool {
        match name {
            "ice-ufrag" => {
                let ufrag = is_ice_text(value, 4).then(|| value.into());
                self.ice_ufrag = ufrag.or_else(|| self.ice_ufrag.take());
            }
            "ice-pwd" => {
                self.ice_pwd = IcePassword::new(value).or_else(|| self.ice_pwd.take());
            }
            "ice-options" => {
                let options = (!value.is_empty()).then(|| value.into());
                self.ice_options = options.or_else(|| self.ice_options.take());
            }
            "fingerprint" => {
                if let Some(fingerprint) = Fingerprint::parse(value) {
                    // Those above the most are left out.
                    self.fingerprints.try_push(fingerprint).ok();
                }
            }
            "setup" => self.setup = Setup::parse(value).or(self.setup),
            _ => return false,
        }
        true
    }
}

impl BrowserSessionLines {
    /// Takes in an attribute of the session; the box is made by the first one that says something.
    pub(in crate::sdp) fn take(place: &mut Option<Box<Self>>, name: &str, value: &str) {
        let value = value.trim_ascii();
        match name {
            "group" => {
                let mut words = value.split_ascii_whitespace();
                if words.next() != Some("BUNDLE") {
                    return;
                }
                let bundles = &mut place.get_or_insert_default().bundles;
                if bundles.len() < GROUPS_MAX {
                    bundles.push(words.take(MEDIA_MAX).map(Into::into).collect());
                }
            }
            "ice-lite" => place.get_or_insert_default().ice_lite = true,
            "extmap" => {
                if let Some(map) = ExtMap::parse(value) {
                    let extensions = &mut place.get_or_insert_default().extensions;
                    if extensions.len() < EXTENSIONS_MAX {
                        extensions.push(map);
                    }
                }
            }
            "ice-ufrag" | "ice-pwd" | "ice-options" | "fingerprint" | "setup" => {
                let mut lines = place.take().unwrap_or_default();
                lines.transport.take(name, value);
                let says = *lines != Self::default();
                *place = says.then_some(lines);
            }
            _ => {}
        }
    }
}

impl BrowserLines {
    /// Takes in an attribute of a line, if it is one of these.
    pub(in crate::sdp) fn take(place: &mut Option<Box<Self>>, name: &str, value: &str) {
        if !NAMES.contains(&name) {
            return;
        }
        let mut lines = place.take().unwrap_or_default();
        lines.take_one(name, value.trim_ascii());
        let says = lines.candidates.skipped > 0 || *lines != Self::default();
        *place = says.then_some(lines);
    }

    /// The line is over: what only counted candidates says nothing.
    pub(in crate::sdp) fn finish(place: &mut Option<Box<Self>>) {
        if place
            .as_ref()
            .is_some_and(|lines| **lines == Self::default())
        {
            *place = None;
        }
    }

    fn take_one(&mut self, name: &str, value: &str) {
        match name {
            "mid" => self.mid = word(value).or_else(|| self.mid.take()),
            "bundle-only" => self.bundle_only = true,
            "candidate" => self.candidates.take(value),
            "end-of-candidates" => self.end_of_candidates = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "msid" => self.msid = self.msid.take().or_else(|| Msid::parse(value)),
            "ssrc" => self.take_source(value),
            "ssrc-group" => self.repeated_by = self.repeated_by.or_else(|| repeated_by(value)),
            _ => {
                let is_known = self.transport.take(name, value);
                debug_assert!(is_known, "the list of names and the reader are one");
            }
        }
    }

    /// `<number> [cname:<text> | …]`
    fn take_source(&mut self, value: &str) {
        let (number, attribute) = value.split_once(' ').unwrap_or((value, ""));
        let Ok(ssrc) = number.parse() else {
            return;
        };
        let cname = attribute.trim_ascii().strip_prefix("cname:").and_then(word);
        if let Some(known) = self.sources.iter_mut().find(|known| known.ssrc == ssrc) {
            known.cname = known.cname.take().or(cname);
        } else if self.sources.len() < SOURCES_MAX {
            self.sources.push(Source { ssrc, cname });
        }
    }
}

/// What [`BrowserLines`] takes in.
const NAMES: [&str; 13] = [
    "mid",
    "candidate",
    "ssrc",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "fingerprint",
    "setup",
    "msid",
    "rtcp-rsize",
    "bundle-only",
    "end-of-candidates",
    "ssrc-group",
];

fn word(text: &str) -> Option<Word> {
    let is_one = !text.is_empty() && !text.contains(|letter: char| letter.is_ascii_whitespace());
    is_one.then(|| text.into())
}

/// `FID <number> <number>`
fn repeated_by(value: &str) -> Option<(u32, u32)> {
    let mut words = value.split_ascii_whitespace();
    if words.next() != Some("FID") {
        return None;
    }
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

impl Fingerprint {
    /// `sha-256 AB:CD:…`, in letters of either case.
    fn parse(value: &str) -> Option<Self> {
        let (hash, digits) = value.split_once(' ')?;
        let hash = [
            DigestKind::Sha256,
            DigestKind::Sha384,
            DigestKind::Sha512,
            DigestKind::Sha1,
        ]
        .into_iter()
        .find(|kind| kind.as_str().eq_ignore_ascii_case(hash))?;
        let mut octets = ArrayVec::new();
        for pair in digits.trim_ascii().split(':') {
            let is_pair = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            let octet = u8::from_str_radix(pair, 16).ok().filter(|_| is_pair)?;
            octets.try_push(octet).ok()?;
        }
        (octets.len() == hash.octets()).then_some(Self { hash, octets })
    }
}

impl Setup {
    fn parse(value: &str) -> Option<Self> {
        [Self::ActPass, Self::Active, Self::Passive, Self::HoldConn]
            .into_iter()
            .find(|setup| setup.as_str().eq_ignore_ascii_case(value))
    }
}

impl Candidates {
    fn take(&mut self, value: &str) {
        let kept = u16::try_from(self.hosts.len()).unwrap_or(u16::MAX);
        if kept.saturating_add(self.skipped) >= CANDIDATES_SEEN_MAX {
            return;
        }
        match Candidate::parse(value) {
            Some(candidate) if self.hosts.len() < CANDIDATES_MAX => self.hosts.push(candidate),
            _ => self.skipped = self.skipped.saturating_add(1),
        }
    }
}

impl Candidate {
    /// `<foundation> 1 udp <priority> <address> <port> typ host …`
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let foundation = words.next()?;
        let is_rtp_by_udp = words.next()? == "1" && words.next()?.eq_ignore_ascii_case("udp");
        let priority = words.next()?.parse().ok()?;
        let address: IpAddr = words.next()?.parse().ok()?;
        let port = words.next()?.parse().ok()?;
        let is_host = words.next()? == "typ" && words.next()? == "host";
        (is_rtp_by_udp && is_host).then(|| Self {
            foundation: foundation.into(),
            priority,
            address: SocketAddr::new(address, port),
        })
    }
}

impl Msid {
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        Some(Self {
            stream: words.next()?.into(),
            track: words.next().map(Into::into),
        })
    }
}
