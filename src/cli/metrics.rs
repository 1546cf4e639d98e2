//! `sluice metrics`: the catalogue, as documentation.

use std::collections::BTreeMap;

use super::output::Output;
use super::run::CommandError;
use crate::metrics::catalogue::{ALL, MEDIA_PACKETS_DROPPED, Metric};
use media::drop_reason::DropReason;

pub(super) fn run(output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        let rows: Vec<_> = ALL
            .iter()
            .map(|metric| {
                serde_json::json!({
                    "name": metric.full_name(),
                    "kind": metric.kind.as_str(),
                    "unit": metric.unit.map(|unit| unit.as_str()),
                    "labels": metric.labels,
                    "help": metric.help,
                    "values": values(metric).collect::<BTreeMap<_, _>>(),
                })
            })
            .collect();
        return Ok(output.document(&rows)?);
    }
    let rows: Vec<[String; 4]> = ALL
        .iter()
        .map(|metric| {
            [
                metric.full_name(),
                metric.kind.as_str().to_owned(),
                metric.labels.join(","),
                metric.help.to_owned(),
            ]
        })
        .collect();
    output.table(["NAME", "KIND", "LABELS", "MEANING"], &rows)?;
    for metric in ALL {
        let rows: Vec<[String; 2]> = values(metric)
            .map(|(value, meaning)| [value.to_owned(), meaning.to_owned()])
            .collect();
        if !rows.is_empty() {
            let last = metric.labels.last().copied().unwrap_or_default();
            let value = format!("{} of {}", last, metric.full_name());
            output.table([value.as_str(), "MEANING"], &rows)?;
        }
    }
    Ok(())
}

/// What the values of a metric's last label mean, where the words do not say it.
fn values(metric: &Metric) -> impl Iterator<Item = (&'static str, &'static str)> {
    let reasons = if metric.name == MEDIA_PACKETS_DROPPED.name {
        DropReason::ALL.as_slice()
    } else {
        &[]
    };
    reasons
        .iter()
        .map(|reason| (reason.as_str(), reason.meaning()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_of_a_dropped_packet_is_explained() {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        run(&mut Output::new(&mut results, &mut errors, false)).unwrap();
        let text = String::from_utf8(results).unwrap();
        for reason in DropReason::ALL {
            let line = text.lines().find(|line| line.starts_with(reason.as_str()));
            let line = line.unwrap_or_else(|| panic!("{}", reason.as_str()));
            assert!(line.ends_with(reason.meaning()), "{line}");
        }
    }
}
