//! The telephone numbers of the world, as facts in a table: country codes, how long their numbers
//! are, which country a number of a shared code belongs to, and which ranges cost a premium.
//!
//! `table.txt` is derived from the metadata of the `phonenumber` library by the test of this module,
//! which also fails when the two differ. The library itself is not in the program: it takes 110 ms to
//! load, and asks regular expressions under a lock, while this table is a few look-ups.

mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use table::parse;

/// A country, in two letters (ISO 3166-1 alpha-2); `001` of the library is `ZZ`: no country.
pub type Region = [u8; 2];

/// What no country owns: satellites, global networks, freephone.
pub const NO_COUNTRY: Region = *b"ZZ";

/// Digits of a number with its country code (ITU-T E.164 §6.1).
pub const E164_DIGITS_MAX: usize = 15;

/// Country codes of satellites and global networks: Inmarsat, mobile satellite, international
/// networks (ITU-T E.164 Annex, "Shared country codes").
const SATELLITE: [&str; 4] = ["870", "881", "882", "883"];

/// The table of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    codes: BTreeMap<u16, Code>,
    regions: BTreeMap<Region, RegionFacts>,
    /// Ranges at a premium, with their country code, sorted; none begins another.
    premium: Vec<Box<str>>,
}

/// One country code.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Code {
    /// Bit n: a national number may have n digits.
    lengths: u32,
    main: Region,
    /// Beginnings of national numbers that belong to another country of the same code.
    shared: Vec<(Box<str>, Region)>,
}

/// One country.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RegionFacts {
    code: u16,
    /// What stands before a national number within it; may be empty.
    national_prefix: Box<str>,
}

/// A number behind a country code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Understood {
    /// Its country.
    pub region: Region,
    /// It has as many digits as numbers of that code have.
    pub complete: bool,
    /// It has fewer than any number of that code.
    pub short: bool,
}

static NUMBERING: LazyLock<Numbering> = LazyLock::new(|| parse(include_str!("table.txt")));

/// The table of this program.
#[must_use]
pub fn numbering() -> &'static Numbering {
    &NUMBERING
}

impl Numbering {
    /// What the digits of an international number mean, without `+`. `None`: no country code.
    #[must_use]
    pub fn understand(&self, digits: &str) -> Option<Understood> {
        if !digits.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let (code, national) = self.split(digits)?;
        let region = code
            .shared
            .iter()
            .filter(|(prefix, _)| national.starts_with(&**prefix))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(code.main, |(_, region)| *region);
        let length = u32::try_from(national.len()).unwrap_or(u32::MAX);
        let possible = 1_u32
            .checked_shl(length)
            .is_some_and(|bit| code.lengths & bit != 0);
        Some(Understood {
            region,
            complete: possible && digits.len() <= E164_DIGITS_MAX,
            short: length < code.lengths.trailing_zeros(),
        })
    }

    /// Digits of the premium-rate range that the number begins with.
    #[must_use]
    pub fn premium(&self, digits: &str) -> Option<usize> {
        let after = self.premium.partition_point(|range| &**range <= digits);
        let range = self.premium.get(after.checked_sub(1)?)?;
        digits.starts_with(&**range).then_some(range.len())
    }

    /// Digits of the satellite or global-network code that the number begins with.
    #[must_use]
    pub fn satellite(&self, digits: &str) -> Option<usize> {
        SATELLITE
            .iter()
            .find(|code| digits.starts_with(**code))
            .map(|code| code.len())
    }

    /// The country code of a country.
    #[must_use]
    pub fn code_of(&self, region: Region) -> Option<u16> {
        self.regions.get(&region).map(|facts| facts.code)
    }

    /// What stands before a national number within a country; may be empty.
    #[must_use]
    pub fn national_prefix(&self, region: Region) -> &str {
        self.regions
            .get(&region)
            .map_or("", |facts| &*facts.national_prefix)
    }

    /// What stands behind the country code; the digits themselves where there is none.
    #[must_use]
    pub fn national<'d>(&self, digits: &'d str) -> &'d str {
        self.split(digits).map_or(digits, |(_, national)| national)
    }

    /// No country code begins another (ITU-T E.164 §6.2.1): the first that fits is the one.
    fn split<'d>(&self, digits: &'d str) -> Option<(&Code, &'d str)> {
        (1..=3).find_map(|length| {
            let (code, national) = digits.split_at_checked(length)?;
            let code = self.codes.get(&code.parse().ok()?)?;
            Some((code, national))
        })
    }
}

/// The two letters of a country, as a rule or a dial plan writes them.
#[must_use]
pub fn region(text: &str) -> Option<Region> {
    let region: Region = text.as_bytes().try_into().ok()?;
    region.iter().all(u8::is_ascii_uppercase).then_some(region)
}
