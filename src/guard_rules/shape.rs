//! A rule as JSON, and the judgement of what somebody sends: every wrong field at once. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::field_errors::FieldErrors;
use crate::fraud_guard::Way;
use crate::fraud_guard::numbering::{numbering, region};
use crate::fraud_guard::rule::{
    CAP_MAX, DESTINATIONS_MAX, ENTRIES_MAX, Hours, NUMBER_MATCH, NumberMatch, Rule, RuleKind,
    Scope, Spend,
};
use crate::links::rules::{DISPLAY_TEXT, is_display_text};
use crate::trunks::text::NETWORK;

/// A rule as somebody submits it, and as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDraft {
    /// For people; each rule has its own.
    pub name: String,
    /// What it says: a word of [`KINDS`].
    pub kind: String,
    /// Off: not asked.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// These ways out only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<String>,
    /// These trunks only, by id or label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trunks: Vec<String>,
    /// Sources in these networks only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// These numbers: `610`, or `+449*` for what begins so; [`EVERY_NUMBER`] alone: all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<String>,
    /// Numbers of these countries, in two letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    /// The cap of a kind that counts calls or destinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// `duration`: seconds of a call. `same_destination`: seconds within which calls count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// `hours`: IANA time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// `hours`: `mon` to `sun`; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `hours`: `08:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `hours`: `18:00`; up to `24:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// `spend_per_day`: micro units of one currency within 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros_max: Option<u64>,
    /// `spend_per_day`: micro units a minute, by prefix such as `+44`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rates: BTreeMap<String, u64>,
    /// `spend_per_day`: micro units a minute to everywhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_rate: Option<u64>,
}

const fn yes() -> bool {
    true
}

/// A stored rule as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleShape {
    /// `gr_` and 12 hexadecimal digits.
    pub id: String,
    /// 1 and up: rules are asked in this order.
    pub position: usize,
    /// What a refusal by it is called in CDR, metric and answer; absent: it never refuses.
    pub reason: Option<String>,
    /// What it says.
    pub rule: RuleDraft,
}

impl RuleShape {
    /// A stored rule at its place, counted from 0.
    #[must_use]
    pub fn new(index: usize, stored: &StoredRule) -> Self {
        let reason = stored.rule.kind.reason();
        Self {
            id: stored.rule.id.clone(),
            position: index + 1,
            reason: reason.map(|reason| reason.as_str().to_owned()),
            rule: stored.draft.clone(),
        }
    }
}

/// All rules in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleList {
    /// The first is asked first.
    pub rules: Vec<RuleShape>,
}

/// A rule, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRule {
    /// What is asked.
    pub rule: Rule,
    /// What was sent.
    pub draft: RuleDraft,
}

/// Every kind of rule.
pub const KINDS: [&str; 14] = [
    "allow",
    "block",
    "emergency",
    "hours",
    "duration",
    "calls_per_day",
    "calls_per_day_per_ip",
    "calls_per_second",
    "concurrent",
    "concurrent_per_ip",
    "concurrent_per_destination",
    "destinations_per_hour",
    "same_destination",
    "spend_per_day",
];

impl RuleDraft {
    /// Judges every field. `trunks` are ids and labels of those that exist; `None`: the rule was
    /// judged before, and a trunk may be gone since.
    ///
    /// # Errors
    /// Every field that breaks a rule.
    pub fn judge(
        &self,
        id: &str,
        trunks: Option<&[(String, String)]>,
    ) -> Result<StoredRule, FieldErrors> {
        let mut errors = FieldErrors::new();
        if !is_display_text(&self.name) {
            errors.add("name", &self.name, DISPLAY_TEXT);
        }
        let scope = self.scope(trunks, &mut errors);
        let kind = self.kind(&mut errors);
        self.refuse_strangers(&mut errors);
        if trunks.is_some() {
            self.refuse_unsaid(&mut errors);
        }
        let mut draft = self.clone();
        draft.trunks.clone_from(&scope.trunks);
        if let Some(kind) = kind {
            let rule = Rule {
                id: id.to_owned(),
                name: self.name.clone(),
                enabled: self.enabled,
                scope,
                kind,
            };
            return errors.or(StoredRule { rule, draft });
        }
        Err(errors)
    }

    fn scope(&self, trunks: Option<&[(String, String)]>, errors: &mut FieldErrors) -> Scope {
        let lists = [
            ("ways", self.ways.len()),
            ("trunks", self.trunks.len()),
            ("networks", self.networks.len()),
            ("numbers", self.numbers.len()),
            ("countries", self.countries.len()),
            ("rates", self.rates.len()),
        ];
        for (field, length) in lists {
            if length > ENTRIES_MAX {
                let accepted = format!("at most {ENTRIES_MAX} entries");
                errors.add(field, &length.to_string(), accepted);
            }
        }
        let ways = Way::ALL.map(Way::as_str).join(", ");
        let trunk = |text: &String| match trunks {
            None => Some(text.clone()),
            Some(known) => known
                .iter()
                .find(|(id, label)| id == text || label == text)
                .map(|(id, _)| id.clone()),
        };
        Scope {
            ways: each("ways", &self.ways, &ways, errors, |text| {
                Way::from_word(text)
            }),
            trunks: each(
                "trunks",
                &self.trunks,
                "id or label of a trunk",
                errors,
                trunk,
            ),
            networks: each("networks", &self.networks, NETWORK, errors, |text| {
                text.parse().ok()
            }),
            numbers: self.numbers(errors),
            countries: each("countries", &self.countries, COUNTRY, errors, |text| {
                region(text).filter(|region| numbering().code_of(*region).is_some())
            }),
        }
    }

    fn numbers(&self, errors: &mut FieldErrors) -> Vec<NumberMatch> {
        if self.numbers == [EVERY_NUMBER] && self.countries.is_empty() {
            return Vec::new();
        }
        each("numbers", &self.numbers, NUMBER_MATCH, errors, |text| {
            NumberMatch::parse(text)
        })
    }

    /// Who leaves the numbers out has forgotten them more often than meant all: a rule that blocks or
    /// allows every number says so. One that was stored before stays as it is.
    fn refuse_unsaid(&self, errors: &mut FieldErrors) {
        let is_gate = matches!(self.kind.as_str(), "allow" | "block");
        if is_gate && self.numbers.is_empty() && self.countries.is_empty() {
            let accepted = format!("numbers or countries; `{EVERY_NUMBER}` alone is every number");
            errors.add("numbers", "", accepted);
        }
    }

    fn kind(&self, errors: &mut FieldErrors) -> Option<RuleKind> {
        let kind = match self.kind.as_str() {
            "allow" => RuleKind::Allow,
            "block" => RuleKind::Block,
            "emergency" => RuleKind::Emergency,
            "hours" => RuleKind::Hours(self.hours(errors)?),
            "duration" => {
                let seconds = need("seconds", self.seconds, 1, DAY_SECONDS, errors)?;
                RuleKind::Duration(Duration::from_secs(seconds.into()))
            }
            "calls_per_day" => RuleKind::CallsPerDay(self.cap(CAP_MAX, errors)?),
            "calls_per_day_per_ip" => RuleKind::CallsPerDayPerIp(self.cap(CAP_MAX, errors)?),
            "calls_per_second" => RuleKind::CallsPerSecond(self.cap(10_000, errors)?),
            "concurrent" => RuleKind::Concurrent(self.cap(CAP_MAX, errors)?),
            "concurrent_per_ip" => RuleKind::ConcurrentPerIp(self.cap(CAP_MAX, errors)?),
            "concurrent_per_destination" => {
                RuleKind::ConcurrentPerDestination(self.cap(CAP_MAX, errors)?)
            }
            "destinations_per_hour" => {
                RuleKind::DestinationsPerHour(self.cap(DESTINATIONS_MAX, errors)?)
            }
            "same_destination" => {
                let seconds = need("seconds", self.seconds, 1, DAY_SECONDS, errors);
                RuleKind::SameDestination {
                    calls: self.cap(CAP_MAX, errors)?,
                    within: Duration::from_secs(seconds?.into()),
                }
            }
            "spend_per_day" => RuleKind::SpendPerDay(self.spend(errors)?),
            _ => {
                errors.add("kind", &self.kind, KINDS.join(", "));
                return None;
            }
        };
        Some(kind)
    }

    fn cap(&self, most: u32, errors: &mut FieldErrors) -> Option<u32> {
        need("max", self.max, 0, most, errors)
    }

    fn hours(&self, errors: &mut FieldErrors) -> Option<Hours> {
        let name = self.zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name).ok();
        if zone.is_none() {
            errors.add("zone", name, "a time zone such as Europe/London");
        }
        let days = each("days", &self.days, &WEEKDAYS.join(", "), errors, |text| {
            weekday(text)
        });
        let mut minute = |field: &'static str, text: Option<&str>| {
            let text = text.unwrap_or_default();
            let minute = minute_of_day(text);
            if minute.is_none() {
                errors.add(field, text, "a time of day such as 08:00, up to 24:00");
            }
            minute
        };
        let from = minute("from", self.from.as_deref());
        let until = minute("until", self.until.as_deref());
        Some(Hours {
            zone: zone?,
            days,
            from: from?,
            until: until?,
        })
    }

    fn spend(&self, errors: &mut FieldErrors) -> Option<Spend> {
        let micros_max = self.micros_max.filter(|micros| *micros <= MICROS_MAX);
        if micros_max.is_none() {
            let found = self.micros_max.map(|micros| micros.to_string());
            errors.add("micros_max", &found.unwrap_or_default(), MICROS);
        }
        let mut rates = Vec::new();
        for (prefix, rate) in &self.rates {
            let digits = prefix.strip_prefix('+').unwrap_or_default();
            let good = (1..=15).contains(&digits.len())
                && digits.bytes().all(|octet| octet.is_ascii_digit());
            if !good {
                errors.add("rates", prefix, "prefixes in E.164, such as +44");
            }
            if *rate > MICROS_MAX {
                errors.add("rates", &rate.to_string(), MICROS);
            }
            rates.push((prefix.clone(), *rate));
        }
        let other_rate = self.other_rate.unwrap_or(0);
        if other_rate > MICROS_MAX {
            errors.add("other_rate", &other_rate.to_string(), MICROS);
        }
        Some(Spend {
            micros_max: micros_max?,
            rates,
            other_rate,
        })
    }

    /// A field that its kind does not read would be believed to do something.
    fn refuse_strangers(&self, errors: &mut FieldErrors) {
        let kind = self.kind.as_str();
        let fields = [
            ("max", self.max.is_some(), is_counting(kind)),
            (
                "seconds",
                self.seconds.is_some(),
                matches!(kind, "duration" | "same_destination"),
            ),
            ("zone", self.zone.is_some(), kind == "hours"),
            ("days", !self.days.is_empty(), kind == "hours"),
            ("from", self.from.is_some(), kind == "hours"),
            ("until", self.until.is_some(), kind == "hours"),
            (
                "micros_max",
                self.micros_max.is_some(),
                kind == "spend_per_day",
            ),
            ("rates", !self.rates.is_empty(), kind == "spend_per_day"),
            (
                "other_rate",
                self.other_rate.is_some(),
                kind == "spend_per_day",
            ),
        ];
        if !KINDS.contains(&kind) {
            return;
        }
        for (field, present, read) in fields {
            if present && !read {
                errors.add(field, "a value", format!("none for a rule of kind {kind}"));
            }
        }
    }
}

fn is_counting(kind: &str) -> bool {
    matches!(
        kind,
        "calls_per_day"
            | "calls_per_day_per_ip"
            | "calls_per_second"
            | "concurrent"
            | "concurrent_per_ip"
            | "concurrent_per_destination"
            | "destinations_per_hour"
            | "same_destination"
    )
}

fn need(
    field: &'static str,
    value: Option<u32>,
    least: u32,
    most: u32,
    errors: &mut FieldErrors,
) -> Option<u32> {
    let good = value.filter(|value| (least..=most).contains(value));
    if good.is_none() {
        let found = value.map(|value| value.to_string()).unwrap_or_default();
        errors.add(field, &found, format!("{least} to {most}"));
    }
    good
}

fn each<T>(
    field: &'static str,
    texts: &[String],
    accepted: &str,
    errors: &mut FieldErrors,
    parse: impl Fn(&String) -> Option<T>,
) -> Vec<T> {
    let mut values = Vec::new();
    for text in texts.iter().take(ENTRIES_MAX) {
        match parse(text) {
            Some(value) => values.push(value),
            None => errors.add(field, text, accepted),
        }
    }
    values
}

fn weekday(text: &str) -> Option<Weekday> {
    let index = WEEKDAYS.iter().position(|day| *day == text)?;
    Weekday::from_monday_zero_offset(i8::try_from(index).ok()?).ok()
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= 1_440).then_some(total)
}

/// In the place of all numbers.
pub const EVERY_NUMBER: &str = "*";
const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const COUNTRY: &str = "a country in two capital letters, such as GB";
const MICROS: &str = "micro units, 0 to 1000000000000";
/// A million of the currency.
const MICROS_MAX: u64 = 1_000_000_000_000;
const DAY_SECONDS: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(json: &str) -> RuleDraft {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn every_kind_is_made_from_its_fields_and_keeps_its_word() {
        for kind in KINDS {
            let fields = match kind {
                "hours" => {
                    r#","zone":"Europe/London","from":"08:00","until":"24:00","days":["mon"]"#
                }
                "duration" => r#","seconds":60"#,
                "same_destination" => r#","seconds":60,"max":1"#,
                "spend_per_day" => r#","micros_max":5,"rates":{"+44":1},"other_rate":2"#,
                "allow" | "block" | "emergency" => r#","numbers":["+44*"],"countries":["GB"]"#,
                _ => r#","max":3"#,
            };
            let draft = draft(&format!(r#"{{"name":"n","kind":"{kind}"{fields}}}"#));
            let stored = draft.judge("gr_1", Some(&[])).unwrap();
            assert_eq!(stored.rule.kind.as_str(), kind);
            assert!(stored.rule.enabled);
            let again = serde_json::to_string(&stored.draft).unwrap();
            let again: RuleDraft = serde_json::from_str(&again).unwrap();
            assert_eq!(again.judge("gr_1", None).unwrap(), stored);
        }
    }

    #[test]
    fn every_number_is_said_and_never_left_out() {
        for kind in ["allow", "block"] {
            let judged = |scope: &str| {
                let json = format!(r#"{{"name":"n","kind":"{kind}"{scope}}}"#);
                draft(&json).judge("gr_1", Some(&[]))
            };
            for forgotten in ["", r#","networks":["192.0.2.0/24"]"#, r#","ways":["api"]"#] {
                let errors = judged(forgotten).unwrap_err();
                assert_eq!(errors.fields(), ["numbers"], "{forgotten}");
            }
            for mixed in [
                r#","numbers":["*","610"]"#,
                r#","numbers":["*"],"countries":["GB"]"#,
            ] {
                let errors = judged(mixed).unwrap_err();
                assert_eq!(errors.fields(), ["numbers"], "{mixed}");
            }
            let all = judged(r#","numbers":["*"]"#).unwrap();
            assert!(all.rule.scope.numbers.is_empty() && all.rule.scope.countries.is_empty());
            assert_eq!(all.draft.numbers, [EVERY_NUMBER]);
            let stored = draft(&format!(r#"{{"name":"n","kind":"{kind}"}}"#));
            // It was taken before.
            stored.judge("gr_1", None).unwrap();
        }
        let cap = draft(r#"{"name":"n","kind":"calls_per_day","max":3}"#);
        cap.judge("gr_1", Some(&[])).unwrap();
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let errors = draft(
            r#"{"name":"","kind":"calls_per_day","ways":["door"],"trunks":["none"],
                "networks":["x"],"numbers":["a b"],"countries":["XX"],"max":2000000,
                "seconds":1,"rates":{"44":1}}"#,
        )
        .judge("gr_1", Some(&[]))
        .unwrap_err();
        assert_eq!(
            errors.fields(),
            [
                "name",
                "ways",
                "trunks",
                "networks",
                "numbers",
                "countries",
                "max",
                "seconds",
                "rates"
            ]
        );
        let errors = draft(r#"{"name":"n","kind":"hours","zone":"Nowhere/City","from":"8:00"}"#)
            .judge("gr_1", Some(&[]))
            .unwrap_err();
        assert_eq!(errors.fields(), ["zone", "from", "until"]);
        let errors = draft(r#"{"name":"n","kind":"magic"}"#).judge("gr_1", None);
        assert_eq!(errors.unwrap_err().fields(), ["kind"]);
        serde_json::from_str::<RuleDraft>(r#"{"name":"n","kind":"allow","id":"x"}"#).unwrap_err();
    }

    #[test]
    fn trunks_are_named_by_label_and_kept_by_id() {
        let known = [("tr_1".to_owned(), "carrier".to_owned())];
        let draft = draft(r#"{"name":"n","kind":"allow","trunks":["carrier"],"numbers":["*"]}"#);
        let stored = draft.judge("gr_1", Some(&known)).unwrap();
        assert_eq!(stored.rule.scope.trunks, ["tr_1"]);
        assert_eq!(stored.draft.trunks, ["tr_1"]);
    }
}
