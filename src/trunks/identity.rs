//! How a caller is written towards a trunk (PRODUCT §7): one caller record, one table a trunk, and
//! out come From, Remote-Party-ID, P-Asserted-Identity, Privacy and the user part of Contact. Pure.
//!
//! | | not private | private |
//! |---|---|---|
//! | From | name and alias | `"Anonymous" <sip:anonymous@anonymous.invalid>` (RFC 3323 §4.1.1.3) |
//! | Remote-Party-ID, where the profile has it | `screen=yes;privacy=off` | trusted trunks: no name, `privacy=full` |
//! | P-Asserted-Identity, where the profile has it | as From | trusted trunks: no name |
//! | Privacy | absent | `id` (RFC 3325 §9.3) |
//! | Contact user | alias | `anonymous` |

use sip::message::{HeaderName, NameAddr, Uri};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

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
    /// The caller asked for privacy (RFC 3323).
    pub private: bool,
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
    let (rpid, pai) = match trunk.identity {
        IdentityProfile::Rpid => (true, false),
        IdentityProfile::Pai => (false, true),
        IdentityProfile::RpidAndPai => (true, true),
        IdentityProfile::None => (false, false),
    };
    let asserted = !caller.private || trunk.trusted;
    let asserted_name = if caller.private { "" } else { &name };
    let mut headers = Vec::new();
    if rpid && asserted {
        let privacy = if caller.private { "full" } else { "off" };
        let party = format!(";party=calling;screen=yes;privacy={privacy}");
        headers.push(header(
            b"Remote-Party-ID",
            &(name_addr(asserted_name, &uri) + &party),
        )?);
    }
    if pai && asserted {
        headers.push(header(
            b"P-Asserted-Identity",
            &name_addr(asserted_name, &uri),
        )?);
    }
    if !caller.private {
        let from = NameAddr::new(uri).with_display_name(&name);
        return Some(Written {
            from,
            contact_user: caller.alias.into(),
            headers,
            name,
        });
    }
    headers.push(header(b"Privacy", "id")?);
    let anonymous = Uri::sip(Some("anonymous"), "anonymous.invalid", None)?;
    Some(Written {
        from: NameAddr::new(anonymous).with_display_name("Anonymous"),
        contact_user: "anonymous".into(),
        headers,
        name: "Anonymous".into(),
    })
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
mod tests {
    use super::super::model::tests::trunk;
    use super::*;

    const HOST: &str = "192.0.2.10";

    fn written(profile: IdentityProfile, private: bool, trusted: bool, name: &str) -> Written {
        let mut trunk = trunk("tr_1", "192.0.2.1:5060");
        trunk.identity = profile;
        trunk.trusted = trusted;
        write(
            &trunk,
            &Caller {
                name,
                alias: "guest.7",
                private,
            },
            HOST,
        )
        .unwrap()
    }

    fn lines(written: &Written) -> Vec<String> {
        written
            .headers
            .iter()
            .map(|(name, value)| format!("{}: {}", name.as_str(), String::from_utf8_lossy(value)))
            .collect()
    }

    #[test]
    fn each_profile_writes_its_headers() {
        let rpid = "Remote-Party-ID: \"Guest\" <sip:guest.7@192.0.2.10>;party=calling;screen=yes;privacy=off";
        let pai = "P-Asserted-Identity: \"Guest\" <sip:guest.7@192.0.2.10>";
        for (profile, expected) in [
            (IdentityProfile::Rpid, vec![rpid]),
            (IdentityProfile::Pai, vec![pai]),
            (IdentityProfile::RpidAndPai, vec![rpid, pai]),
            (IdentityProfile::None, vec![]),
        ] {
            let written = written(profile, false, false, "Guest");
            assert_eq!(lines(&written), expected, "{profile:?}");
            assert_eq!(&*written.contact_user, "guest.7");
        }
    }

    #[test]
    fn private_caller_is_named_to_trusted_trunks_only() {
        let untrusted = written(IdentityProfile::RpidAndPai, true, false, "Guest");
        assert_eq!(lines(&untrusted), ["Privacy: id"]);
        assert_eq!(&*untrusted.contact_user, "anonymous");
        assert!(!format!("{untrusted:?}").contains("guest.7"));
        let trusted = written(IdentityProfile::RpidAndPai, true, true, "Guest");
        assert_eq!(
            lines(&trusted),
            [
                "Remote-Party-ID: <sip:guest.7@192.0.2.10>;party=calling;screen=yes;privacy=full",
                "P-Asserted-Identity: <sip:guest.7@192.0.2.10>",
                "Privacy: id",
            ]
        );
        assert_eq!(trusted.name, "Anonymous");
    }

    #[test]
    fn names_in_any_script_stay_as_they_are_and_quotes_are_escaped() {
        for (name, expected) in [
            ("张伟", "\"张伟\" <"),
            ("محمد", "\"محمد\" <"),
            ("O\"Neil \\ Sons", "\"O\\\"Neil \\\\ Sons\" <"),
            ("  Eve\r\nX: y ", "\"EveX: y\" <"),
        ] {
            let written = written(IdentityProfile::Pai, false, false, name);
            let line = &lines(&written)[0];
            assert!(line.contains(expected), "{line}");
        }
        let nameless = written(IdentityProfile::Pai, false, false, " ");
        assert_eq!(
            lines(&nameless),
            ["P-Asserted-Identity: <sip:guest.7@192.0.2.10>"]
        );
    }

    #[test]
    fn ascii_trunk_gets_letters_without_marks_or_no_name() {
        for (name, expected) in [
            ("Žofie Straße Ærø", "Zofie Strasse AEro"),
            ("José “Pepe”", "Jose \"Pepe\""),
            ("张伟", ""),
            ("張 Wei", "Wei"),
            ("ﬁne", "fine"),
        ] {
            assert_eq!(presentable(name, true), expected, "{name}");
        }
    }

    #[test]
    fn own_host_of_the_trunk_stands_before_ours() {
        let mut with_host = trunk("tr_1", "192.0.2.1:5060");
        with_host.from_host = Some("pbx.example.com".into());
        let caller = Caller {
            name: "",
            alias: "guest",
            private: false,
        };
        let written = write(&with_host, &caller, HOST).unwrap();
        assert_eq!(
            lines(&written)[0],
            "Remote-Party-ID: <sip:guest@pbx.example.com>;party=calling;screen=yes;privacy=off"
        );
        let plain = trunk("tr_1", "192.0.2.1:5060");
        let over_ipv6 = write(&plain, &caller, "2001:db8::1").unwrap();
        assert!(lines(&over_ipv6)[0].contains("<sip:guest@[2001:db8::1]>"));
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        assert_eq!(
            presentable(&"张".repeat(500), false).chars().count(),
            NAME_CHARACTERS_MAX
        );
    }
}
