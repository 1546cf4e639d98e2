//! How a trunk reads what we dial: its country, its access codes, its extensions.

use serde::{Deserialize, Serialize};

/// What a number means to the peer behind a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DialPlan {
    /// Country whose national numbers it dials, in two letters (ISO 3166-1); `None`: national
    /// numbers are not dialled there.
    pub region: Option<String>,
    /// What stands before a national number (`0`); empty: nothing does. Counts with a region.
    pub national: String,
    /// What stands before an international number, beside `+`.
    pub international: Vec<String>,
    /// What gets an outside line (`9`), before everything else.
    pub outside: Vec<String>,
    /// A country code and a number may stand without any prefix.
    pub bare: bool,
    /// How many digits an extension has.
    pub extension_lengths: Vec<u8>,
    /// Calls can leave it for the public telephone network: what is not understood is refused.
    pub reaches_pstn: bool,
    /// Numbers of emergency services.
    pub emergency: Vec<String>,
}

impl Default for DialPlan {
    fn default() -> Self {
        Self {
            region: None,
            national: "0".to_owned(),
            international: vec!["00".to_owned()],
            outside: Vec::new(),
            bare: false,
            extension_lengths: Vec::new(),
            reaches_pstn: false,
            emergency: EMERGENCY.iter().map(|text| (*text).to_owned()).collect(),
        }
    }
}

/// Emergency numbers that many networks answer, whatever the country (3GPP TS 22.101 §10.1.1 names
/// 112 and 911 for every network).
pub const EMERGENCY: [&str; 3] = ["112", "911", "999"];
/// Access codes, emergency numbers and extension lengths of one plan, each.
pub const PLAN_ENTRIES_MAX: usize = 32;

/// The sentence of [`is_code`].
pub const CODE: &str = "1 to 8 of the digits 0-9, * and #";
/// The sentence of [`is_region`].
pub const REGION: &str = "a country in two capital letters, such as GB";

/// A code that is dialled before a number, or an emergency number.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (1..=8).contains(&text.len())
        && text
            .bytes()
            .all(|octet| octet.is_ascii_digit() || matches!(octet, b'*' | b'#'))
}

/// Two capital letters. Whether they are a country is a matter of the table of numbers.
#[must_use]
pub fn is_region(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_uppercase())
}
