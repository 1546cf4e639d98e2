//! An extension: an account that a phone registers, and what it may call (PRODUCT §6). Pure.

use sip::auth::Algorithm;

use crate::trunks::model::Secret;

/// An account of the registrar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// `ex_` and 12 hexadecimal digits. Never changes.
    pub id: String,
    /// The user part it registers, and the digest user name: `610`.
    pub name: String,
    /// Shown where it calls.
    pub display_name: String,
    /// Digest password, never returned or logged.
    pub password: Secret,
    /// Off: registers nothing and is not reached.
    pub enabled: bool,
    /// Labels or ids of the trunks that its own calls may leave by; empty: none.
    pub trunks: Vec<String>,
    /// Phones that may be registered at once.
    pub contacts_max: u8,
}

/// Which algorithms a challenge offers (RFC 8760). A phone of before 2020 may give up at the sight of
/// SHA-256, although MD5 stands beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DigestOffer {
    /// SHA-256, then MD5.
    #[default]
    Both,
    /// SHA-256 alone.
    Sha256,
    /// MD5 alone.
    Md5,
}

impl DigestOffer {
    /// The word of the setting.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Sha256 => "sha-256",
            Self::Md5 => "md5",
        }
    }

    /// What the word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Both, Self::Sha256, Self::Md5]
            .into_iter()
            .find(|offer| offer.as_str() == word)
    }

    /// In the order of a challenge.
    #[must_use]
    pub const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::Both => &[Algorithm::Sha256, Algorithm::Md5],
            Self::Sha256 => &[Algorithm::Sha256],
            Self::Md5 => &[Algorithm::Md5],
        }
    }
}

impl Extension {
    /// True where it may call out over this trunk.
    #[must_use]
    pub fn may_use(&self, id: &str, label: &str) -> bool {
        self.trunks
            .iter()
            .any(|named| named == id || named == label)
    }
}

/// What is wrong with an account that somebody wants to store.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let good = |character: char| character.is_ascii_alphanumeric() || "_.-+".contains(character);
    (1..=NAME_OCTETS_MAX).contains(&text.len()) && text.chars().all(good)
}

/// Longest name.
pub const NAME_OCTETS_MAX: usize = 64;
/// What [`is_name`] accepts, for an error text.
pub const NAME: &str = "1 to 64 of A-Z a-z 0-9 _ . + -";
/// Shortest password: below this a word list finds it.
pub const PASSWORD_OCTETS_MIN: usize = 8;
/// Longest password.
pub const PASSWORD_OCTETS_MAX: usize = 128;
/// Accounts of one system.
pub const EXTENSIONS_MAX: usize = 10_000;
/// Phones of one account.
pub const CONTACTS_MAX: u8 = 10;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn extension(name: &str) -> Extension {
        Extension {
            id: format!("ex_{name}"),
            name: name.to_owned(),
            display_name: String::new(),
            password: Secret::new(format!("password of {name}")),
            enabled: true,
            trunks: Vec::new(),
            contacts_max: 3,
        }
    }

    #[test]
    fn trunks_are_named_by_id_or_label_and_none_is_the_rule() {
        let mut extension = extension("610");
        assert!(!extension.may_use("tr_1", "carrier"));
        extension.trunks = vec!["carrier".to_owned()];
        assert!(extension.may_use("tr_1", "carrier"));
        assert!(!extension.may_use("tr_2", "other"));
    }

    #[test]
    fn names_are_what_a_user_part_holds_without_escapes() {
        assert!(is_name("610") && is_name("alice.b-c_d+1"));
        for bad in ["", "a b", "a@b", "a%41", "ü", "a;b", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
