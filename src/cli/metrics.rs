//! `sluice metrics`: the catalogue, as documentation.

use std::collections::BTreeMap;

use super::output::Output;
use super::run::CommandError;
use crate::metrics::catalogue::{
    ALL, MEDIA_KERNEL, MEDIA_PACKETS_DROPPED, MEDIA_RTCP, MEDIA_TRANSPORTS, Metric,
};
use media::drop_reason::DropReason;
use media::{RtcpCounters, TransportCounters};
use packet_io::IoCounters;

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
                    "values": values(metric).into_iter().collect::<BTreeMap<_, _>>(),
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
            .into_iter()
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
fn values(metric: &Metric) -> Vec<(&'static str, &'static str)> {
    let reason = |reason: DropReason| (reason.as_str(), reason.meaning());
    match metric.name {
        name if name == MEDIA_PACKETS_DROPPED.name => DropReason::ALL.map(reason).to_vec(),
        name if name == MEDIA_KERNEL.name => IoCounters::MEANINGS.to_vec(),
        name if name == MEDIA_TRANSPORTS.name => TransportCounters::MEANINGS.to_vec(),
        name if name == MEDIA_RTCP.name => RtcpCounters::MEANINGS.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_event_and_kind_of_packets_is_explained() {
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        run(&mut Output::new(&mut results, &mut errors, false)).unwrap();
        let text = String::from_utf8(results).unwrap();
        let reasons = DropReason::ALL.map(|reason| (reason.as_str(), reason.meaning()));
        let transports = TransportCounters::MEANINGS;
        let packets = [IoCounters::MEANINGS, RtcpCounters::MEANINGS, transports];
        let kinds = [&reasons, packets.concat().as_slice()].concat();
        assert!(kinds.len() > 70, "{}", kinds.len());
        for (word, meaning) in kinds {
            let is_its = |line: &&str| line.split_whitespace().next() == Some(word);
            let explained = text
                .lines()
                .filter(is_its)
                .any(|line| line.ends_with(meaning));
            assert!(explained && meaning.ends_with('.'), "{word}: {meaning}");
        }
    }
}
