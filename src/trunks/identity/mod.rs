//! How a caller is written towards a trunk (PRODUCT §7): one caller record, one table a trunk, and
//! out come From, Remote-Party-ID, P-Asserted-Identity, Privacy and the user part of Contact. Pure.
//!
//! | | open | name withheld | number withheld | both |
//! |---|---|---|---|---|
//! | From, name | name | `Anonymous` | name | `Anonymous` |
//! | From, URI | alias | alias | `anonymous@anonymous.invalid` (RFC 3323 §4.1.1.3) | the same |
//! | Remote-Party-ID, where the profile has it | `privacy=off` | no name, `privacy=name` | trusted trunks: `privacy=uri` | trusted trunks: no name, `privacy=full` |
//! | P-Asserted-Identity, where the profile has it | as From | no name | trusted trunks | trusted trunks: no name |
//! | Privacy | absent | absent | `id` (RFC 3325 §9.3) | `id` |
//! | Contact user | alias | alias | `anonymous` | `anonymous` |
//!
//! A name that nobody vouches for (a guest chose it) has `screen=no`, and P-Asserted-Identity goes
//! without it. What peers write of themselves is read in `party`, what was diverted in `diversion`.

mod diversion;
mod party;

use sip::message::{HeaderName, NameAddr, Uri};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

pub use self::diversion::diversions;
pub use self::party::{Party, Privacy, asked_privacy, connected, read};
use super::model::{IdentityProfile, Trunk};

/// Longest name that is sent, in characters.
pub const NAME_CHARACTERS_MAX: usize = 128;

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Caller name; empty: none.
    pub name: &'a str,
    /// Caller alias, with its unique number.
    pub alias: &'a str,
    /// What of it the caller withholds.
    pub privacy: Privacy,
    /// Somebody vouches for the name: a stored link, not a guest.
    pub screened: bool,
}

/// The caller as the headers of one INVITE have it.
#[derive(Debug, Clone)]
pub struct Written {
    /// From, without a tag.
    pub from: NameAddr,
    /// User part of our Contact.
    pub contact_user: Box<str>,
    /// Remote-Party-ID, P-Asserted-Identity, Privacy: those that apply, in this order.
    pub headers: Vec<(HeaderName, Box<[u8]>)>,
    /// The name as sent, for the CDR.
    pub name: String,
}

/// Writes `caller` for `trunk`. `own_host` stands where the trunk names no host of its own.
/// `None` where the host cannot stand in a URI.
#[must_use]
pub fn write(trunk: &Trunk, caller: &Caller<'_>, own_host: &str) -> Option<Written> {
    let host = trunk.from_host.as_deref().unwrap_or(own_host);
    let uri = Uri::sip(Some(caller.alias), host, None)?;
    let name = presentable(caller.name, trunk.ascii_names);
    let (rpid, pai) = mechanisms(trunk.identity);
    let Privacy {
        name: no_name,
        number: no_number,
    } = caller.privacy;
    let asserted = !no_number || trunk.trusted;
    let shown = if no_name { "" } else { &name };
    let vouched = if caller.screened { shown } else { "" };
    let mut headers = Vec::new();
    if rpid && asserted {
        let value = remote_party(shown, &uri, "calling", caller.privacy, caller.screened);
        headers.push(header(b"Remote-Party-ID", &value)?);
    }
    if pai && asserted {
        headers.push(header(b"P-Asserted-Identity", &name_addr(vouched, &uri))?);
    }
    if no_number {
        headers.push(header(b"Privacy", "id")?);
    }
    let named = if no_number {
        Uri::sip(Some("anonymous"), "anonymous.invalid", None)?
    } else {
        uri
    };
    let name = if no_name {
        "Anonymous".to_owned()
    } else {
        name
    };
    Some(Written {
        from: NameAddr::new(named).with_display_name(&name),
        contact_user: if no_number { "anonymous" } else { caller.alias }.into(),
        headers,
        name,
    })
}

/// draft-ietf-sip-privacy-04, as CUCM reads it (F-02).
fn remote_party(name: &str, uri: &Uri, party: &str, privacy: Privacy, screened: bool) -> String {
    let screen = if screened { "yes" } else { "no" };
    let privacy = privacy.as_str();
    name_addr(name, uri)
        + &format!(";party={party};id-type=subscriber;privacy={privacy};screen={screen}")
}

/// Remote-Party-ID and P-Asserted-Identity: each by itself (F-03).
const fn mechanisms(profile: IdentityProfile) -> (bool, bool) {
    match profile {
        IdentityProfile::Rpid => (true, false),
        IdentityProfile::Pai => (false, true),
        IdentityProfile::RpidAndPai => (true, true),
        IdentityProfile::None => (false, false),
    }
}

/// `"name" <uri>`, or `<uri>` without a name; UTF-8 stays as it is (RFC 3261 §25.1 quoted-string).
fn name_addr(name: &str, uri: &Uri) -> String {
    if name.is_empty() {
        return format!("<{uri}>");
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    format!("\"{quoted}\" <{uri}>")
}

fn header(name: &[u8], value: &str) -> Option<(HeaderName, Box<[u8]>)> {
    Some((HeaderName::from_bytes(name)?, value.as_bytes().into()))
}

/// A name without control characters, not too long, in ASCII where the trunk wants that.
fn presentable(name: &str, ascii: bool) -> String {
    let clean = name.chars().filter(|character| !character.is_control());
    let text: String = if ascii {
        transliterated(clean)
    } else {
        clean.collect()
    };
    text.trim()
        .chars()
        .take(NAME_CHARACTERS_MAX)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// Letters without their marks; what has no Latin letter is left out. A name of which nothing is
/// left is no name: the alias stands alone.
fn transliterated(name: impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for character in name
        .nfkd()
        .filter(|character| !is_combining_mark(*character))
    {
        match character {
            character if character.is_ascii() => text.push(character),
            'ß' => text.push_str("ss"),
            'æ' => text.push_str("ae"),
            'Æ' => text.push_str("AE"),
            'œ' => text.push_str("oe"),
            'Œ' => text.push_str("OE"),
            'ø' => text.push('o'),
            'Ø' => text.push('O'),
            'đ' | 'ð' => text.push('d'),
            'Đ' | 'Ð' => text.push('D'),
            'ł' => text.push('l'),
            'Ł' => text.push('L'),
            'þ' => text.push_str("th"),
            'Þ' => text.push_str("Th"),
            'ı' => text.push('i'),
            '\u{2018}' | '\u{2019}' => text.push('\''),
            '\u{201C}' | '\u{201D}' => text.push('"'),
            '\u{2010}'..='\u{2015}' => text.push('-'),
            _ => {}
        }
    }
    let lettered = text
        .chars()
        .any(|character| character.is_ascii_alphanumeric());
    if lettered { text } else { String::new() }
}

#[cfg(test)]
mod tests;
