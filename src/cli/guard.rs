//! `sluice guard …`.

use axum::http::Method;

use super::arguments::{GuardCommand, GuardRulesCommand, RuleArguments};
use super::client::Client;
use super::output::Output;
use super::run::CommandError;
use crate::guard_rules::explain::ExplanationShape;
use crate::guard_rules::shape::{RuleDraft, RuleList, RuleShape};

pub(super) async fn run(
    command: &GuardCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        GuardCommand::Rules(command) => rules(command, client, output).await,
        GuardCommand::Explain {
            number,
            trunk,
            ip,
            link,
            at,
            way,
        } => {
            let mut path = format!("/api/v1/guard/explain?number={}", escaped(number));
            let words = [
                ("trunk", trunk),
                ("ip", ip),
                ("link", link),
                ("at", at),
                ("way", way),
            ];
            for (name, value) in words {
                if let Some(value) = value {
                    path.push_str(&format!("&{name}={}", escaped(value)));
                }
            }
            let told: ExplanationShape = client.get(&path).await?;
            explained(&told, trunk.as_deref(), output)
        }
    }
}

async fn rules(
    command: &GuardRulesCommand,
    client: &mut Client,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        GuardRulesCommand::List => {
            let list: RuleList = client.get(PATH).await?;
            show(&list.rules, output)
        }
        GuardRulesCommand::Add { rule, position } => {
            let path = placed(PATH.to_owned(), *position);
            let made: RuleShape = client.send(Method::POST, &path, &draft(rule)?).await?;
            show(&[made], output)
        }
        GuardRulesCommand::Set { id, rule, position } => {
            let path = placed(format!("{PATH}/{}", escaped(id)), *position);
            let set: RuleShape = client.send(Method::PUT, &path, &draft(rule)?).await?;
            show(&[set], output)
        }
        GuardRulesCommand::Delete { id } => {
            client.delete(&format!("{PATH}/{}", escaped(id))).await?;
            Ok(output.line(&format!("deleted rule {id}"))?)
        }
    }
}

fn draft(rule: &RuleArguments) -> Result<RuleDraft, CommandError> {
    let rates = rule.rates.iter().map(|text| {
        text.split_once('=')
            .and_then(|(prefix, rate)| Some((prefix.to_owned(), rate.parse().ok()?)))
            .ok_or_else(|| {
                CommandError::Refused(format!(
                    "--rate {text}: accepted: prefix=micros, as +44=12000"
                ))
            })
    });
    Ok(RuleDraft {
        name: rule.name.clone(),
        kind: rule.kind.clone(),
        enabled: !rule.disabled,
        ways: rule.ways.clone(),
        trunks: rule.trunks.clone(),
        networks: rule.networks.clone(),
        numbers: rule.numbers.clone(),
        countries: rule.countries.clone(),
        max: rule.max,
        seconds: rule.seconds,
        zone: rule.zone.clone(),
        days: rule.days.clone(),
        from: rule.from.clone(),
        until: rule.until.clone(),
        micros_max: rule.micros_max,
        rates: rates.collect::<Result<_, _>>()?,
        other_rate: rule.other_rate,
    })
}

fn show(rules: &[RuleShape], output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&rules)?);
    }
    let rows: Vec<[String; 7]> = rules
        .iter()
        .map(|shape| {
            let rule = &shape.rule;
            let mut whom = rule.numbers.clone();
            whom.extend(rule.countries.iter().cloned());
            whom.extend(rule.ways.iter().cloned());
            whom.extend(rule.networks.iter().cloned());
            whom.extend(rule.trunks.iter().cloned());
            let bound = rule.max.map(|max| max.to_string());
            let seconds = rule.seconds.map(|seconds| format!("{seconds} s"));
            let micros = rule.micros_max.map(|micros| format!("{micros} micros"));
            let bounds: Vec<String> = [bound, seconds, micros].into_iter().flatten().collect();
            [
                shape.position.to_string(),
                shape.id.clone(),
                rule.name.clone(),
                rule.kind.clone(),
                if whom.is_empty() {
                    "all".to_owned()
                } else {
                    whom.join(" ")
                },
                bounds.join(" "),
                if rule.enabled { "on" } else { "off" }.to_owned(),
            ]
        })
        .collect();
    let heads = ["#", "ID", "NAME", "KIND", "WHOM", "BOUND", "STATE"];
    Ok(output.table(heads, &rows)?)
}

/// `asked`: the trunk by the word that it was asked for with.
fn explained(
    told: &ExplanationShape,
    asked: Option<&str>,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(told)?);
    }
    let dialled = told.dialled.as_deref().unwrap_or("-");
    let trunk = match asked.filter(|asked| *asked != told.trunk) {
        Some(label) => format!("{label} ({})", told.trunk),
        None => told.trunk.clone(),
    };
    output.line(&format!("dialled   {dialled} on {trunk}"))?;
    let country = told.country.as_deref().unwrap_or("-");
    output.line(&format!("class     {}, country {country}", told.class))?;
    output.line(&format!("readings  {}", told.readings.join(" ")))?;
    let rows: Vec<[String; 4]> = told
        .steps
        .iter()
        .map(|step| {
            let decides = told.decided_by.as_ref() == Some(&step.rule);
            [
                if decides { ">" } else { "" }.to_owned(),
                step.rule.clone(),
                step.name.clone(),
                step.answer.clone(),
            ]
        })
        .collect();
    output.table(["", "RULE", "NAME", "ANSWER"], &rows)?;
    let verdict = match (&told.reason, told.dry_run) {
        (None, _) => format!("allowed, for {} s at most", told.duration_max_s),
        (Some(reason), false) => format!("refused: {reason}"),
        (Some(reason), true) => format!("dry run: allowed, though {reason}"),
    };
    Ok(output.line(&verdict)?)
}

fn placed(path: String, position: Option<usize>) -> String {
    match position {
        Some(position) => format!("{path}?position={position}"),
        None => path,
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

const PATH: &str = "/api/v1/guard/rules";
