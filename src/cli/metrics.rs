//! `sluice metrics`: the catalogue, as documentation.

use super::output::Output;
use super::run::CommandError;
use crate::metrics::catalogue::ALL;

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
    Ok(output.table(["NAME", "KIND", "LABELS", "MEANING"], &rows)?)
}
