use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use phonenumber::Metadata;
use phonenumber::metadata::DATABASE;
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, HirKind};

use super::*;

#[test]
fn numbers_have_their_country_and_length() {
    let numbering = numbering();
    for (digits, country, complete) in [
        ("442071838750", "GB", true),
        ("4420718387501234", "GB", false),
        ("441", "GB", false),
        ("12125550123", "US", true),
        ("16135550123", "CA", true),
        ("18765550123", "JM", true),
        ("4930123456", "DE", true),
        ("390612345678", "IT", true),
        ("77012345678", "KZ", true),
        ("79161234567", "RU", true),
        ("881612345678", "ZZ", true),
    ] {
        let understood = numbering.understand(digits).unwrap();
        assert_eq!(understood.region, region(country).unwrap(), "{digits}");
        assert_eq!(understood.complete, complete, "{digits}");
        assert_eq!(understood.short, digits == "441", "{digits}");
    }
    for nonsense in ["", "0", "2101234567", "99912345678", "44a", "１"] {
        assert_eq!(numbering.understand(nonsense), None, "{nonsense}");
    }
}

#[test]
fn premium_and_satellite_ranges_are_known() {
    let numbering = numbering();
    for premium in [
        "19005551234",
        "449098790000",
        "4990012345678",
        "33899123456",
    ] {
        assert!(numbering.premium(premium).is_some(), "{premium}");
    }
    for usual in ["12125550123", "442071838750", "4930123456", "33142685300"] {
        assert_eq!(numbering.premium(usual), None, "{usual}");
        assert_eq!(numbering.satellite(usual), None, "{usual}");
    }
    for satellite in [
        "870773111632",
        "881612345678",
        "88213123456",
        "883510012345",
    ] {
        assert_eq!(numbering.satellite(satellite), Some(3), "{satellite}");
    }
}

#[test]
fn a_premium_range_never_swallows_the_numbers_of_a_country() {
    let numbering = numbering();
    for (id, metadata) in metadata() {
        for kind in [
            metadata.descriptors().fixed_line(),
            metadata.descriptors().mobile(),
        ] {
            let Some(example) = kind.and_then(|kind| kind.example()) else {
                continue;
            };
            let digits = format!("{}{example}", metadata.country_code());
            assert_eq!(numbering.premium(&digits), None, "{id}: {digits}");
            let understood = numbering.understand(&digits);
            assert!(understood.is_some_and(|it| it.complete), "{id}: {digits}");
        }
        if let Some(example) = metadata
            .descriptors()
            .premium_rate()
            .and_then(|kind| kind.example())
        {
            let digits = format!("{}{example}", metadata.country_code());
            assert!(numbering.premium(&digits).is_some(), "{id}: {digits}");
        }
    }
}

/// The table is what the library says. `SLUICE_WRITE_TABLE=1` writes it anew after an update of it.
#[test]
fn the_table_is_what_the_library_says() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/fraud_guard/numbering/table.txt"
    );
    let derived = derive();
    if std::env::var_os("SLUICE_WRITE_TABLE").is_some() {
        std::fs::write(path, &derived).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap() == derived,
        "table.txt differs from the library: SLUICE_WRITE_TABLE=1 writes it"
    );
}

/// By country code: the library's list by name knows one of those without a country only.
fn metadata() -> Vec<(String, &'static Metadata)> {
    let of_code = |code: u16| DATABASE.by_code(&code).unwrap_or_default();
    let mut all: Vec<(String, &'static Metadata)> = (1..1_000)
        .flat_map(of_code)
        .map(|metadata| (metadata.id().to_owned(), metadata))
        .collect();
    all.sort_by(|(one, x), (other, y)| (x.country_code(), one).cmp(&(y.country_code(), other)));
    all
}

fn derive() -> String {
    let mut text = String::from(
        "# Derived from the metadata of the phonenumber crate (libphonenumber, Apache-2.0) by the\n\
         # test the_table_is_what_the_library_says; never edited by hand.\n",
    );
    let mut by_code: BTreeMap<u16, Vec<(String, &'static Metadata)>> = BTreeMap::new();
    for (id, metadata) in metadata() {
        let id = if id == "001" { "ZZ".to_owned() } else { id };
        by_code
            .entry(metadata.country_code())
            .or_default()
            .push((id, metadata));
    }
    for (code, countries) in &by_code {
        let main = countries
            .iter()
            .find(|(_, metadata)| metadata.is_main_country_for_code())
            .or_else(|| countries.first())
            .unwrap();
        let lengths = countries.iter().fold(0, |bits, (_, metadata)| {
            let general = metadata.descriptors().general().national_number();
            bits | lengths_of(&parse_pattern(general.as_str()))
        });
        let lengths: Vec<String> = (0..32)
            .filter(|length| lengths & (1_u32 << length) != 0)
            .map(|length| length.to_string())
            .collect();
        writeln!(text, "code {code} {} {}", main.0, lengths.join(",")).unwrap();
        for (id, metadata) in countries {
            let prefix = metadata.national_prefix().unwrap_or_default();
            if id != "ZZ" {
                writeln!(text, "region {id} {code} -{prefix}-").unwrap();
            }
            if id != &main.0 {
                let usual = [
                    metadata.descriptors().fixed_line(),
                    metadata.descriptors().mobile(),
                ];
                let prefixes: BTreeSet<String> = match metadata.leading_digits() {
                    Some(leading) => beginnings(leading.as_str()).into_iter().collect(),
                    None => usual
                        .into_iter()
                        .flatten()
                        .flat_map(|kind| beginnings(kind.national_number().as_str()))
                        .collect(),
                };
                let prefixes = shortest(&prefixes, 7).join(",");
                writeln!(text, "shared {code} {id} {prefixes}").unwrap();
            }
        }
        let premium: BTreeSet<String> = countries
            .iter()
            .filter_map(|(_, metadata)| metadata.descriptors().premium_rate())
            .flat_map(|kind| beginnings(kind.national_number().as_str()))
            .collect();
        let premium = shortest(&premium, 7);
        if !premium.is_empty() {
            writeln!(text, "premium {code} {}", premium.join(",")).unwrap();
        }
    }
    text
}

/// The digits with which a text that fits `pattern` can begin: all of them, perhaps a few more.
fn beginnings(pattern: &str) -> Vec<String> {
    let hir = parse_pattern(pattern);
    let mut extractor = Extractor::new();
    extractor.limit_class(10).limit_total(2_000).limit_repeat(1);
    let literals = extractor.extract(&hir);
    let found: BTreeSet<String> = literals
        .literals()
        .unwrap_or_default()
        .iter()
        .map(|literal| String::from_utf8(literal.as_bytes().to_vec()).unwrap())
        .collect();
    assert!(found.iter().all(|text| !text.is_empty()), "{pattern}");
    shortest(&found, 10)
}

fn parse_pattern(pattern: &str) -> Hir {
    regex_syntax::ParserBuilder::new()
        .ignore_whitespace(true)
        .unicode(false)
        .utf8(false)
        .build()
        .parse(pattern)
        .unwrap()
}

/// Bit n: a text of n characters can fit.
fn lengths_of(pattern: &Hir) -> u32 {
    let after = |before: u32, next: u32| {
        (0..32)
            .filter(|length| next & (1 << length) != 0)
            .fold(0, |bits, length| bits | (before << length))
    };
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => 1 << literal.0.len(),
        HirKind::Class(_) => 2,
        HirKind::Capture(inner) => lengths_of(&inner.sub),
        HirKind::Concat(parts) => parts.iter().map(lengths_of).fold(1, after),
        HirKind::Alternation(parts) => parts.iter().map(lengths_of).fold(0, |x, y| x | y),
        HirKind::Repetition(repeated) => {
            let once = lengths_of(&repeated.sub);
            let mut times = 1;
            let mut bits = 0;
            for count in 0..=repeated.max.unwrap() {
                if count >= repeated.min {
                    bits |= times;
                }
                times = after(times, once);
            }
            bits
        }
    }
}

/// `enough` that differ in their last digit only are one; what another one begins is not needed.
fn shortest(prefixes: &BTreeSet<String>, enough: usize) -> Vec<String> {
    let mut kept = prefixes.clone();
    loop {
        let full = kept.iter().find_map(|text| {
            let stem = text.get(..text.len().checked_sub(1)?)?;
            let found = ('0'..='9').filter(|digit| kept.contains(&format!("{stem}{digit}")));
            (found.count() >= enough && !stem.is_empty()).then(|| stem.to_owned())
        });
        let Some(stem) = full else { break };
        kept.retain(|text| !text.starts_with(&stem));
        kept.insert(stem);
    }
    let all = kept.clone();
    kept.retain(|text| {
        !all.iter()
            .any(|other| other != text && text.starts_with(other.as_str()))
    });
    kept.into_iter().collect()
}
