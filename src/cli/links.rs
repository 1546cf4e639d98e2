//! `sluice links …`.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::arguments::{AddLink, LinksCommand};
use super::output::Output;
use super::run::CommandError;
use crate::links::api::{LinkDraftShape, LinkShape};
use crate::links::draft::{LinkDraft, RequestPath};
use crate::links::model::Link;
use crate::links::store::{self, LinkQuery};
use crate::storage::Store;

pub(super) async fn run(
    command: &LinksCommand,
    store: &Store,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    match command {
        LinksCommand::Add(add) => {
            let link = store::create(store, &draft(add)).await?;
            show(link, output)
        }
        LinksCommand::List {
            search,
            after,
            rows,
        } => {
            let query = LinkQuery {
                search: search.clone(),
                after: *after,
                rows: *rows,
            };
            list(store, &query, output).await
        }
        LinksCommand::Show { link } => show(store::get(store, link).await?, output),
        LinksCommand::Delete { link } => {
            let link = store::delete(store, link).await?;
            Ok(output.line(&format!("deleted link {} ({})", link.id, link.request_path))?)
        }
        LinksCommand::Import { file } => import(store, file, output).await,
    }
}

fn draft(add: &AddLink) -> LinkDraft {
    let request_path = match &add.request_path {
        Some(path) => RequestPath::Custom(path.clone()),
        None if add.path_from_destination => RequestPath::Destination,
        None => RequestPath::Random,
    };
    LinkDraft {
        request_path,
        destination: add.destination.clone(),
        display_name: add.display_name.clone(),
        caller_name: add.caller_name.clone(),
        caller_alias: add.caller_alias.clone(),
        unique_alias: add.unique_alias,
        allow_custom_caller_name: add.allow_custom_caller_name,
        enabled: !add.disabled,
        valid_after: add.valid_after.clone(),
        valid_before: add.valid_before.clone(),
        trunk: add.trunk.clone(),
        auto_call_after_s: add.auto_call_after_s,
        video_policy: add.video_policy.clone(),
        created_by: "command line".to_owned(),
    }
}

fn show(link: Link, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.is_json() {
        return Ok(output.document(&LinkShape::from(link))?);
    }
    let time =
        |time: Option<jiff::Timestamp>| time.map(|time| time.to_string()).unwrap_or_default();
    let rows = [
        ("id", link.id.to_string()),
        ("request_path", link.request_path),
        ("destination", link.destination.to_string()),
        ("display_name", link.display_name.unwrap_or_default()),
        ("caller_name", link.caller_name.unwrap_or_default()),
        ("caller_alias", link.caller_alias.unwrap_or_default()),
        ("unique_alias", link.unique_alias.to_string()),
        (
            "allow_custom_caller_name",
            link.allow_custom_caller_name.to_string(),
        ),
        ("enabled", link.enabled.to_string()),
        ("valid_after", time(link.valid_after)),
        ("valid_before", time(link.valid_before)),
        ("trunk", link.trunk.unwrap_or_default()),
        ("created_by", link.created_by),
        ("created_at", link.created_at.to_string()),
        ("updated_at", link.updated_at.to_string()),
    ];
    let rows = rows.map(|(name, value)| [name.to_owned(), value]);
    Ok(output.table(["FIELD", "VALUE"], &rows)?)
}

async fn list(
    store: &Store,
    query: &LinkQuery,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let (links, total) = store::list(store, query).await?;
    if output.is_json() {
        let links: Vec<LinkShape> = links.into_iter().map(LinkShape::from).collect();
        return Ok(output.document(&serde_json::json!({ "total": total, "links": links }))?);
    }
    let last = links.last().map(|link| link.id);
    let shown = links.len();
    let rows: Vec<[String; 6]> = links
        .into_iter()
        .map(|link| {
            [
                link.id.to_string(),
                link.request_path,
                link.destination.to_string(),
                link.caller_name.unwrap_or_default(),
                link.caller_alias.unwrap_or_default(),
                if link.enabled { "yes" } else { "no" }.to_owned(),
            ]
        })
        .collect();
    let heads = [
        "ID",
        "REQUEST PATH",
        "DESTINATION",
        "CALLER NAME",
        "CALLER ALIAS",
        "ENABLED",
    ];
    output.table(heads, &rows)?;
    if let Some(last) = last.filter(|_| i64::try_from(shown).is_ok_and(|shown| shown < total)) {
        output.say(&format!(
            "{shown} of {total} links; the next page: --after {last}"
        ))?;
    }
    Ok(())
}

async fn import(store: &Store, file: &Path, output: &mut Output<'_>) -> Result<(), CommandError> {
    let mut reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let opened = File::open(file)
            .map_err(|error| CommandError::Refused(format!("{}: {error}", file.display())))?;
        Box::new(BufReader::with_capacity(1 << 20, opened))
    };
    store.expect_many_rows().await?;
    let mut import = Import::default();
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            break;
        }
        import.take(&line);
        if import.drafts.len() == IMPORT_ROWS {
            import.store(store, output).await?;
            if import.stored % PROGRESS_EVERY < IMPORT_ROWS {
                output.say(&format!("{} links stored", import.stored))?;
            }
        }
    }
    import.store(store, output).await?;
    let Import {
        stored, refused, ..
    } = import;
    if output.is_json() {
        output.document(&serde_json::json!({ "stored": stored, "refused": refused }))?;
    } else {
        output.line(&format!("{stored} links stored, {refused} lines refused"))?;
    }
    if refused > 0 {
        return Err(CommandError::Refused(format!(
            "{refused} lines were refused"
        )));
    }
    Ok(())
}

#[derive(Default)]
struct Import {
    line: usize,
    drafts: Vec<LinkDraft>,
    /// Line of each draft.
    lines: Vec<usize>,
    /// What to say about lines of this batch.
    refusals: Vec<(usize, String)>,
    stored: usize,
    refused: usize,
}

impl Import {
    fn take(&mut self, line: &str) {
        self.line += 1;
        if line.trim().is_empty() {
            return;
        }
        match serde_json::from_str::<LinkDraftShape>(line) {
            Ok(shape) => {
                self.drafts.push(shape.into());
                self.lines.push(self.line);
            }
            Err(error) => self.refusals.push((self.line, error.to_string())),
        }
    }

    async fn store(&mut self, store: &Store, output: &mut Output<'_>) -> Result<(), CommandError> {
        let imported = store::import(store, std::mem::take(&mut self.drafts)).await?;
        self.stored += imported.stored;
        for (position, errors) in imported.refused {
            let line = self.lines.get(position).copied().unwrap_or_default();
            self.refusals
                .push((line, errors.to_string().replace('\n', "; ")));
        }
        self.lines.clear();
        self.refusals.sort_by_key(|(line, _)| *line);
        for (line, why) in self.refusals.drain(..) {
            self.refused += 1;
            if self.refused <= REFUSALS_SHOWN_MAX {
                output.say(&format!("line {line}: {why}"))?;
            } else if self.refused == REFUSALS_SHOWN_MAX + 1 {
                output.say("further refused lines are counted only")?;
            }
        }
        Ok(())
    }
}

/// Links of one transaction.
const IMPORT_ROWS: usize = 1_000;
/// Links between two lines of progress.
const PROGRESS_EVERY: usize = 100_000;
/// Refused lines that are named.
const REFUSALS_SHOWN_MAX: usize = 100;
