//! `sluice doctor`.

use super::output::Output;
use super::run::CommandError;
use crate::config::Config;
use crate::doctor::{Grade, examine};
use crate::storage::Store;

pub(super) fn run(config: &Config, output: &mut Output<'_>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let findings = runtime.block_on(async {
        let store = if config.storage.path.exists() {
            Some(Store::open(&config.storage).await?)
        } else {
            None
        };
        let findings = examine(config, store.as_ref()).await;
        if let Some(store) = store {
            store.close().await;
        }
        Ok::<_, CommandError>(findings)
    })?;
    if output.is_json() {
        output.document(&findings)?;
    } else {
        let rows: Vec<[String; 3]> = findings
            .iter()
            .map(|finding| {
                [
                    finding.grade.as_str().to_owned(),
                    finding.check.to_owned(),
                    finding.found.clone(),
                ]
            })
            .collect();
        output.table(["GRADE", "CHECK", "FOUND"], &rows)?;
        let wrong = findings.iter().filter(|finding| !finding.advice.is_empty());
        for finding in wrong {
            output.line("")?;
            output.line(&format!("{}: {}", finding.check, finding.found))?;
            output.line(&format!("  -> {}", finding.advice))?;
        }
    }
    let bad = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Bad)
        .count();
    if bad > 0 {
        return Err(CommandError::Refused(format!("bad findings: {bad}")));
    }
    Ok(())
}
