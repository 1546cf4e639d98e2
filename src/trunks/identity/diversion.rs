//! Diversion (RFC 5806): who was called before. Read from a trunk and written to a trunk (F-10).

use sip::message::{HeaderName, NameAddrRef, Uri};

use super::{header, name_addr, presentable};
use crate::trunks::model::{IdentityProfile, Trunk};

/// Most diversions that are passed on.
const DIVERSIONS_MAX: usize = 3;

/// The diversions of an INVITE from a trunk, as `trunk` gets them: names and user parts with a host
/// of ours, reason and count as they came. A private caller's are kept back from who is not trusted.
#[must_use]
pub fn diversions(
    headers: &[(HeaderName, Box<[u8]>)],
    trunk: &Trunk,
    private: bool,
    own_host: &str,
) -> Vec<(HeaderName, Box<[u8]>)> {
    if trunk.identity == IdentityProfile::None || (private && !trunk.trusted) {
        return Vec::new();
    }
    let host = trunk.from_host.as_deref().unwrap_or(own_host);
    headers
        .iter()
        .filter(|(name, _)| *name == HeaderName::Diversion)
        .filter_map(|(_, value)| rewritten(value, trunk, host))
        .take(DIVERSIONS_MAX)
        .collect()
}

fn rewritten(value: &[u8], trunk: &Trunk, host: &str) -> Option<(HeaderName, Box<[u8]>)> {
    let diverted = NameAddrRef::parse(value)?;
    let uri = Uri::sip(Some(&diverted.uri().user()?), host, None)?;
    let name = presentable(
        &diverted.display_name().unwrap_or_default(),
        trunk.ascii_names,
    );
    let mut text = name_addr(&name, &uri);
    for parameter in ["reason", "counter"] {
        let given = diverted.parameters().value(parameter);
        if let Some(word) = given.and_then(|given| std::str::from_utf8(given).ok())
            && is_token(word)
        {
            text.push_str(&format!(";{parameter}={word}"));
        }
    }
    header(b"Diversion", &text)
}

fn is_token(word: &str) -> bool {
    (1..=32).contains(&word.len())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}
