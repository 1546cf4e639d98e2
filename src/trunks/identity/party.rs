//! Who a peer says it is, and what of that shall not be shown.
//!
//! Owns which header is believed: what the trunk's identity profile writes is what it is read by
//! (P-Asserted-Identity before Remote-Party-ID before From, F-12); everybody may ask for privacy.

use sip::message::{HeaderName, NameAddr, NameAddrRef, Uri};

use super::{header, mechanisms, name_addr, presentable, remote_party};
use crate::trunks::model::{IdentityProfile, Trunk};

/// What of a party is withheld.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Privacy {
    /// Its name.
    pub name: bool,
    /// Its number.
    pub number: bool,
}

impl Privacy {
    /// Nothing is withheld.
    pub const OPEN: Self = Self {
        name: false,
        number: false,
    };
    /// Name and number.
    pub const FULL: Self = Self {
        name: true,
        number: true,
    };

    /// The word of Remote-Party-ID.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match (self.name, self.number) {
            (false, false) => "off",
            (true, false) => "name",
            (false, true) => "uri",
            (true, true) => "full",
        }
    }

    fn of_word(word: &[u8]) -> Option<Self> {
        [
            Self::OPEN,
            Self {
                name: true,
                number: false,
            },
            Self {
                name: false,
                number: true,
            },
            Self::FULL,
        ]
        .into_iter()
        .find(|privacy| word.eq_ignore_ascii_case(privacy.as_str().as_bytes()))
    }

    const fn and(self, other: Self) -> Self {
        Self {
            name: self.name || other.name,
            number: self.number || other.number,
        }
    }
}

/// A peer by its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Empty: none.
    pub name: String,
    /// User part.
    pub alias: String,
    /// The whole URI.
    pub uri: Uri,
    /// What it withholds.
    pub privacy: Privacy,
}

/// Headers of a message that say who its sender is: name and raw value.
pub(super) type IdentityHeaders = [(HeaderName, Box<[u8]>)];

/// The party that these headers name. A trunk is read by its profile; who is no trunk is only what
/// its From says.
#[must_use]
pub fn read(
    trunk: Option<&Trunk>,
    headers: &IdentityHeaders,
    from: Option<&NameAddr>,
) -> Option<Party> {
    let profile = trunk.map_or(IdentityProfile::None, |trunk| trunk.identity);
    let (rpid, pai) = mechanisms(profile);
    let asserted = pai
        .then(|| first(headers, &HeaderName::PAssertedIdentity))
        .flatten();
    let remote = || {
        rpid.then(|| first(headers, &HeaderName::RemotePartyId))
            .flatten()
    };
    let written = asserted.or_else(remote);
    let (name, uri) = match &written {
        Some(written) => (written.display_name(), written.uri().to_uri()),
        None => {
            let from = from?;
            (from.display_name().map(str::to_owned), from.uri().clone())
        }
    };
    Some(Party {
        name: presentable(&name.unwrap_or_default(), false),
        alias: uri.user().unwrap_or_default().into_owned(),
        uri,
        privacy: asked_privacy(headers),
    })
}

/// RFC 3323 §4.2: `id`, `user` and `header` ask for all of it, `none` for nothing. Remote-Party-ID
/// asks for itself.
#[must_use]
pub fn asked_privacy(headers: &IdentityHeaders) -> Privacy {
    let mut asked = Privacy::OPEN;
    for (_, value) in headers
        .iter()
        .filter(|(name, _)| *name == HeaderName::Privacy)
    {
        let text = String::from_utf8_lossy(value);
        let words: Vec<&str> = text
            .split([';', ','])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        if words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
            return Privacy::OPEN;
        }
        if !words.is_empty() {
            asked = Privacy::FULL;
        }
    }
    let remote = first(headers, &HeaderName::RemotePartyId);
    let own = remote
        .and_then(|remote| remote.parameters().value("privacy"))
        .and_then(Privacy::of_word);
    own.map_or(asked, |own| asked.and(own))
}

/// How `party`, connected on one leg, is written to the other: by the profile of the trunk there.
/// Who is no trunk is told nothing.
#[must_use]
pub fn connected(
    trunk: Option<&Trunk>,
    party: &Party,
    role: &str,
    own_host: &str,
) -> Vec<(HeaderName, Box<[u8]>)> {
    let Some(trunk) = trunk else {
        return Vec::new();
    };
    let (rpid, pai) = mechanisms(trunk.identity);
    let host = trunk.from_host.as_deref().unwrap_or(own_host);
    let Some(uri) = Uri::sip(Some(&party.alias), host, None) else {
        return Vec::new();
    };
    let name = presentable(&party.name, trunk.ascii_names);
    let shown = if party.privacy.name { "" } else { &name };
    let mut headers = Vec::new();
    if !party.privacy.number || trunk.trusted {
        let value = remote_party(shown, &uri, role, party.privacy, true);
        headers.extend(rpid.then(|| header(b"Remote-Party-ID", &value)).flatten());
        let value = name_addr(shown, &uri);
        headers.extend(
            pai.then(|| header(b"P-Asserted-Identity", &value))
                .flatten(),
        );
    }
    if party.privacy.number && (rpid || pai) {
        headers.extend(header(b"Privacy", "id"));
    }
    headers
}

/// The first of a header that can be read; a list counts by its first element.
fn first<'a>(headers: &'a IdentityHeaders, wanted: &HeaderName) -> Option<NameAddrRef<'a>> {
    headers
        .iter()
        .filter(|(name, _)| name == wanted)
        .find_map(|(_, value)| NameAddrRef::parse(first_element(value)))
}

/// Up to the comma that stands outside quotes and brackets.
fn first_element(value: &[u8]) -> &[u8] {
    let (mut quoted, mut escaped, mut bracketed) = (false, false, false);
    let end = value.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'<' if !quoted => bracketed = true,
            b'>' if !quoted => bracketed = false,
            b',' => return !quoted && !bracketed,
            _ => {}
        }
        false
    });
    end.and_then(|end| value.get(..end)).unwrap_or(value)
}
