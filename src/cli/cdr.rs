//! `sluice cdr …`.

use super::arguments::CdrCommand;
use super::output::Output;
use super::run::CommandError;
use crate::cdr::store::{self, CdrCall};
use crate::storage::Store;

pub(super) async fn run(
    command: &CdrCommand,
    store: &Store,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let CdrCommand::List { calls } = command;
    let calls = store::list(store, *calls).await?;
    if output.is_json() {
        return Ok(output.document(&calls)?);
    }
    let mut rows = Vec::new();
    for call in &calls {
        rows.push(call_row(call));
        rows.extend(call.attempts.iter().map(|attempt| {
            [
                format!("  attempt {}", attempt.number),
                attempt.trunk.clone(),
                attempt.destination.clone(),
                if attempt.dialed {
                    "dialled"
                } else {
                    "not dialled"
                }
                .to_owned(),
                attempt
                    .status
                    .map(|status| status.to_string())
                    .unwrap_or_default(),
                attempt.outcome.clone().unwrap_or_else(|| "open".to_owned()),
            ]
        }));
    }
    Ok(output.table(
        ["OPENED", "SOURCE", "PATH", "TALKED", "STATUS", "CAUSE"],
        &rows,
    )?)
}

fn call_row(call: &CdrCall) -> [String; 6] {
    let talked = match (call.answered_at, call.closed_at) {
        (Some(answered), Some(closed)) => {
            format!(
                "{} s",
                closed.as_second().saturating_sub(answered.as_second())
            )
        }
        _ => String::new(),
    };
    [
        call.opened_at.to_string(),
        format!("{} {}", call.source, call.source_address),
        call.request_path.clone(),
        talked,
        call.status
            .map(|status| status.to_string())
            .unwrap_or_default(),
        match (&call.cause, &call.released_by) {
            (Some(cause), Some(by)) => format!("{cause}, by {by}"),
            (Some(cause), None) => cause.clone(),
            (None, _) => "open".to_owned(),
        },
    ]
}
