//! `sluice trunks …`.

use super::arguments::TrunksCommand;
use super::output::Output;
use super::run::CommandError;
use crate::config::load_trunks;
use crate::storage::Store;
use crate::trunks::store;

pub(super) async fn run(
    command: &TrunksCommand,
    store: &Store,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        TrunksCommand::Apply { file } => {
            let applied = store::apply(store, load_trunks(file)?).await?;
            if output.is_json() {
                let rows: Vec<_> = applied
                    .iter()
                    .map(|trunk| {
                        let (id, label) = (&trunk.id, &trunk.label);
                        serde_json::json!({"id": id, "label": label, "result": trunk.applied.as_str()})
                    })
                    .collect();
                return Ok(output.document(&rows)?);
            }
            for trunk in applied {
                output.line(&format!(
                    "{} {} ({})",
                    trunk.applied.as_str(),
                    trunk.label,
                    trunk.id
                ))?;
            }
            Ok(())
        }
        TrunksCommand::List => list(store, output).await,
        TrunksCommand::Test { trunk } => test(trunk, store, output),
    }
}

async fn list(store: &Store, output: &mut Output<'_>) -> Result<(), CommandError> {
    let trunks = store::list(store).await?;
    if output.is_json() {
        let mut rows = Vec::with_capacity(trunks.len());
        for trunk in trunks {
            let mut row = serde_json::to_value(&trunk.shape).map_err(std::io::Error::other)?;
            if let Some(fields) = row.as_object_mut() {
                fields.insert("id".to_owned(), trunk.id.into());
                fields.insert("has_password".to_owned(), trunk.password.is_some().into());
            }
            rows.push(row);
        }
        return Ok(output.document(&rows)?);
    }
    let rows: Vec<[String; 7]> = trunks
        .into_iter()
        .map(|trunk| {
            let targets: Vec<String> = trunk
                .shape
                .targets
                .into_iter()
                .map(|target| target.address)
                .collect();
            [
                trunk.id,
                trunk.shape.label,
                trunk.shape.preset,
                if trunk.shape.enabled { "yes" } else { "no" }.to_owned(),
                trunk.shape.priority.to_string(),
                trunk.shape.weight.to_string(),
                targets.join(" "),
            ]
        })
        .collect();
    let heads = [
        "ID", "LABEL", "PRESET", "ENABLED", "PRIORITY", "WEIGHT", "TARGETS",
    ];
    Ok(output.table(heads, &rows)?)
}

fn test(name: &str, store: &Store, output: &mut Output<'_>) -> Result<(), CommandError> {
    let snapshot = store.snapshot();
    let named = |trunk: &&crate::trunks::model::Trunk| trunk.label == name || trunk.id == name;
    let Some(trunk) = snapshot.trunks.iter().find(named) else {
        return Err(CommandError::Refused(format!(
            "no trunk has the label or id `{name}`"
        )));
    };
    let mut silent = 0_usize;
    for tested in crate::trunks::test::test(trunk) {
        let line = match tested.outcome {
            Ok(answer) => {
                silent += usize::from(!answer.is_up);
                let milliseconds = answer.round_trip.as_secs_f64() * 1_000.0;
                match answer.status {
                    Some(status) => format!("{} {status} {milliseconds:.1} ms", tested.target),
                    None => format!("{} no answer", tested.target),
                }
            }
            Err(error) => {
                silent += 1;
                format!("{} {error}", tested.target)
            }
        };
        output.line(&line)?;
    }
    if trunk.targets.is_empty() {
        return Err(CommandError::Refused(format!(
            "{name}: no target has an address now"
        )));
    }
    if silent > 0 {
        return Err(CommandError::Refused(format!(
            "{name}: {silent} of its targets are down"
        )));
    }
    Ok(())
}
