//! Reading `table.txt`: one fact a line.

use std::collections::BTreeMap;

use super::{Code, NO_COUNTRY, Numbering, RegionFacts, region};

/// `code CODE MAIN LENGTHS`, `region REGION CODE NATIONAL_PREFIX`, `shared CODE REGION PREFIXES`,
/// `premium CODE PREFIXES`. A line that is none of these says nothing; the test of the table holds
/// that there is none.
pub(super) fn parse(text: &str) -> Numbering {
    let mut numbering = Numbering {
        codes: BTreeMap::new(),
        regions: BTreeMap::new(),
        premium: Vec::new(),
    };
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if add(&mut numbering, &words).is_none() {
            debug_assert!(line.starts_with('#'), "no fact: {line}");
        }
    }
    numbering.premium.sort();
    numbering
}

fn add(numbering: &mut Numbering, words: &[&str]) -> Option<()> {
    match words {
        ["code", code, main, lengths] => {
            let lengths = lengths
                .split(',')
                .filter_map(|length| length.parse::<u32>().ok())
                .fold(0, |bits, length| {
                    bits | 1_u32.checked_shl(length).unwrap_or(0)
                });
            numbering.codes.insert(
                code.parse().ok()?,
                Code {
                    lengths,
                    main: region(main).unwrap_or(NO_COUNTRY),
                    shared: Vec::new(),
                },
            );
        }
        ["region", name, code, national_prefix] => {
            let facts = RegionFacts {
                code: code.parse().ok()?,
                national_prefix: national_prefix.trim_matches('-').into(),
            };
            numbering.regions.insert(region(name)?, facts);
        }
        ["shared", code, name, prefixes] => {
            let region = region(name)?;
            let code = numbering.codes.get_mut(&code.parse().ok()?)?;
            code.shared
                .extend(prefixes.split(',').map(|prefix| (prefix.into(), region)));
        }
        ["premium", code, prefixes] => {
            let ranges = prefixes
                .split(',')
                .map(|prefix| format!("{code}{prefix}").into());
            numbering.premium.extend(ranges);
        }
        _ => return None,
    }
    Some(())
}
