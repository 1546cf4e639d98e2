//! How a trunk reads what we dial: its country, its access codes, its extensions.

use std::iter;

use arrayvec::{ArrayString, ArrayVec};
use serde::{Deserialize, Serialize};

use super::numbering::{self, Numbering, Region};

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

impl DialPlan {
    /// What the canonical number `user` means to the peer behind the trunk, and everything else that
    /// it could mean to a network behind that one.
    #[must_use]
    pub fn classify(&self, user: &str, numbering: &Numbering) -> Classified {
        let mut readings = Readings::default();
        let mut emergency = false;
        // Without an outside line first: a `+` is never behind one.
        let bodies = iter::once(user).chain(
            self.outside
                .iter()
                .filter_map(|code| user.strip_prefix(code.as_str()))
                .filter(|body| !body.is_empty()),
        );
        let goes_abroad = self.goes_abroad(user, numbering);
        for body in bodies {
            emergency |= self.is_emergency(body);
            self.read(body, numbering, &mut readings);
            let is_whole = body.len() == user.len();
            self.read_bare(body, goes_abroad && is_whole, numbering, &mut readings);
        }
        emergency |= readings
            .list
            .iter()
            .any(|reading| self.is_emergency(reading.national(numbering)));
        let class = if emergency {
            Class::Emergency
        } else if self.is_extension(user) && !readings.any_complete() {
            Class::Extension
        } else if readings.any_complete() && !readings.overflow {
            Class::E164
        } else {
            Class::Unknown
        };
        readings.put_complete_first();
        Classified { class, readings }
    }

    /// What whoever sets up such a trunk should know: calls reach the telephone network, and without a
    /// country no national number is understood.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        let lacks_region = self.reaches_pstn && self.region.is_none();
        lacks_region.then_some(
            "reaches the telephone network, and dial_plan.region is unset: national numbers are \
             refused (guard_number_unknown)",
        )
    }

    fn is_emergency(&self, number: &str) -> bool {
        self.emergency.iter().any(|emergency| emergency == number)
    }

    fn is_extension(&self, user: &str) -> bool {
        let length = u8::try_from(user.len()).unwrap_or(u8::MAX);
        self.extension_lengths.contains(&length) && is_digits(user)
    }

    /// It is an outside line, an international prefix and a whole number.
    fn goes_abroad(&self, user: &str, numbering: &Numbering) -> bool {
        let opened = self
            .outside
            .iter()
            .filter_map(|code| user.strip_prefix(code.as_str()));
        opened
            .flat_map(|body| {
                let codes = self.international.iter();
                codes.filter_map(move |code| body.strip_prefix(code.as_str()))
            })
            .filter_map(|digits| numbering.understand(digits))
            .any(|understood| understood.complete)
    }

    /// Every way to read what stands behind an outside line, if it has a prefix.
    fn read(&self, body: &str, numbering: &Numbering, readings: &mut Readings) {
        if let Some(digits) = body.strip_prefix('+') {
            return readings.add("", digits, numbering);
        }
        for code in &self.international {
            if let Some(digits) = body.strip_prefix(code.as_str()) {
                readings.add("", digits, numbering);
            }
        }
        if let Some(region) = self.region.as_deref().and_then(numbering::region)
            && let Some(code) = numbering.code_of(region)
        {
            let code = code.to_string();
            let usual = numbering.national_prefix(region);
            for prefix in [self.national.as_str(), usual] {
                if !prefix.is_empty()
                    && let Some(digits) = body.strip_prefix(prefix)
                {
                    readings.add(&code, digits, numbering);
                }
            }
        }
    }

    /// Every way to read what has no prefix. What `goes_abroad` by the outside line that it begins with
    /// is not the beginning of another number with digits too many: `900442071838750` is London, where
    /// 9 gets a line, and not the British range +44 900.
    fn read_bare(
        &self,
        body: &str,
        goes_abroad: bool,
        numbering: &Numbering,
        readings: &mut Readings,
    ) {
        if body.starts_with('+') {
            return;
        }
        let region = self.region.as_deref().and_then(numbering::region);
        let home = region.and_then(|region| numbering.code_of(region));
        let home = home.map(|code| code.to_string());
        for code in home.as_deref().into_iter().chain(self.bare.then_some("")) {
            let is_whole = || {
                let understood = numbering.understand(&format!("{code}{body}"));
                understood.is_some_and(|understood| understood.complete)
            };
            if !goes_abroad || is_whole() {
                readings.add(code, body, numbering);
            }
        }
    }
}

/// What a number is to a trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A number inside the company.
    Extension,
    /// A number of the telephone network.
    E164,
    /// An emergency service.
    Emergency,
    /// None of these: a name, a service code, an incomplete number.
    Unknown,
}

impl Class {
    /// Stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::E164 => "e164",
            Self::Emergency => "emergency",
            Self::Unknown => "unknown",
        }
    }
}

/// A class, and the numbers behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// What it is.
    pub class: Class,
    /// What it can be read as in E.164; the first is what it means.
    pub readings: Readings,
}

/// One number in E.164.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// `+`, country code, national number; digits beyond [`READING_OCTETS_MAX`] are cut off.
    text: ArrayString<READING_OCTETS_MAX>,
    /// Its country.
    pub region: Region,
    /// It has as many digits as a number of its code has. More are ignored by many networks, so that
    /// lists judge incomplete ones too.
    pub complete: bool,
    /// It has fewer: nothing that could be connected.
    short: bool,
}

impl Reading {
    /// With `+`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.text.get(1..).unwrap_or_default()
    }

    fn national(&self, numbering: &Numbering) -> &str {
        numbering.national(self.digits())
    }
}

/// A few numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readings {
    list: ArrayVec<Reading, READINGS_MAX>,
    /// There were more: nobody can say what it means.
    overflow: bool,
}

impl Readings {
    /// The first is what the number means.
    pub fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.list.iter().filter(|reading| !reading.short)
    }

    /// What the number means.
    #[must_use]
    pub fn first(&self) -> Option<&Reading> {
        self.iter().next()
    }

    /// There were more than are kept: no list has seen all of them.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflow
    }

    fn any_complete(&self) -> bool {
        self.list.iter().any(|reading| reading.complete)
    }

    fn put_complete_first(&mut self) {
        self.list.sort_by_key(|reading| !reading.complete);
    }

    fn add(&mut self, code: &str, digits: &str, numbering: &Numbering) {
        let mut text = ArrayString::new();
        let mut whole = true;
        for character in iter::once('+').chain(code.chars()).chain(digits.chars()) {
            whole &= text.try_push(character).is_ok();
        }
        let Some(understood) = numbering.understand(text.get(1..).unwrap_or_default()) else {
            return;
        };
        if self.list.iter().any(|known| known.text == text) {
            return;
        }
        let reading = Reading {
            text,
            region: understood.region,
            complete: understood.complete && whole,
            short: understood.short && whole,
        };
        self.overflow |= self.list.try_push(reading).is_err();
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Octets of a reading that are kept: twice as long as any number.
pub const READING_OCTETS_MAX: usize = 32;
/// Readings of one number.
pub const READINGS_MAX: usize = 8;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn british() -> DialPlan {
        DialPlan {
            region: Some("GB".into()),
            outside: vec!["9".into()],
            extension_lengths: vec![3, 4],
            reaches_pstn: true,
            ..DialPlan::default()
        }
    }

    fn class_of(plan: &DialPlan, user: &str) -> (Class, Option<String>) {
        let classified = plan.classify(user, numbering::numbering());
        let first = classified.readings.first();
        (
            classified.class,
            first.map(|reading| reading.as_str().to_owned()),
        )
    }

    #[test]
    fn numbers_are_read_by_the_plan_of_their_trunk() {
        let plan = british();
        let number = Some("+442071838750".to_owned());
        for spelling in [
            "+442071838750",
            "00442071838750",
            "02071838750",
            "2071838750",
            "900442071838750",
            "902071838750",
        ] {
            assert_eq!(
                class_of(&plan, spelling),
                (Class::E164, number.clone()),
                "{spelling}"
            );
        }
        assert_eq!(class_of(&plan, "610").0, Class::Extension);
        for unknown in ["alice", "*98#", "12345", "+44", "+999123456789", "0", "9"] {
            assert_eq!(class_of(&plan, unknown).0, Class::Unknown, "{unknown}");
        }
    }

    #[test]
    fn abroad_by_an_outside_line_is_no_number_at_home_with_digits_too_many() {
        let plan = british();
        let readings_of = |plan: &DialPlan, user: &str| -> Vec<String> {
            let classified = plan.classify(user, numbering::numbering());
            let readings = classified.readings.iter();
            readings.map(|it| it.as_str().to_owned()).collect()
        };
        for (user, number) in [
            ("900442071838750", "+442071838750"),
            ("90033123456789", "+33123456789"),
        ] {
            let readings = readings_of(&plan, user);
            assert_eq!(readings[0], number);
            let at_home = readings.iter().any(|it| it.starts_with("+449"));
            assert!(!at_home, "{readings:?}");
        }
        // As long as a number at home: it may be either.
        let either = readings_of(&plan, "9004512345");
        assert!(either.contains(&"+449004512345".to_owned()), "{either:?}");
        // Nothing whole abroad, and no outside line: each reading counts.
        for (user, outside) in [("90044207183", "9"), ("900442071838750", "8")] {
            let plan = DialPlan {
                outside: vec![outside.into()],
                ..british()
            };
            let home = format!("+44{user}");
            assert!(readings_of(&plan, user).contains(&home), "{user}");
        }
    }

    #[test]
    fn emergency_numbers_are_found_behind_every_prefix() {
        let plan = british();
        for spelling in ["112", "999", "9112", "9999", "+44999", "0044112", "0112"] {
            assert_eq!(class_of(&plan, spelling).0, Class::Emergency, "{spelling}");
        }
    }

    #[test]
    fn digits_beyond_a_number_leave_it_readable_for_the_lists() {
        let classified = british().classify("+19005551234999", numbering::numbering());
        assert_eq!(classified.class, Class::Unknown);
        assert_eq!(
            classified.readings.first().map(Reading::as_str),
            Some("+19005551234999")
        );
        let long = format!("+1900{}", "5".repeat(200));
        let classified = british().classify(&long, numbering::numbering());
        assert!(classified.readings.first().is_some_and(|it| !it.complete));
    }

    #[test]
    fn without_a_region_only_international_numbers_are_read() {
        let plan = DialPlan::default();
        assert_eq!(class_of(&plan, "02071838750").0, Class::Unknown);
        assert_eq!(class_of(&plan, "442071838750").0, Class::Unknown);
        assert_eq!(class_of(&plan, "+442071838750").0, Class::E164);
        let bare = DialPlan { bare: true, ..plan };
        assert_eq!(class_of(&bare, "442071838750").0, Class::E164);
    }
}
