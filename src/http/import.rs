//! `/api/v1/import/links` and `/api/v1/export/links`: many links, one JSON object a line, read and
//! answered while they come.

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;

use super::access::Access;
use super::body::require_type;
use super::json;
use super::lines::{Lines, Pieces, streamed};
use super::links::DRAFT;
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::field_errors::FieldErrors;
use crate::links::api::{ImportReport, ImportState, LinkDraftShape, WrongField};
use crate::links::draft::LinkDraft;
use crate::links::store::{self, LinkQuery};
use crate::storage::Store;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new().with(IMPORT, import).with(EXPORT, export)
}

async fn import(
    State(state): State<HttpState>,
    access: Access,
    request: Request,
) -> Result<Response, Problem> {
    require_type(&request, &[NDJSON, "application/jsonl"])?;
    let mut lines = Lines::new(request.into_body());
    lines.begin().await?;
    let (pieces, response) = streamed(NDJSON);
    let import = Import {
        store: state.store,
        created_by: access.label().to_owned(),
        pieces,
        line: 0,
        drafts: Vec::with_capacity(BATCH),
        lines: Vec::with_capacity(BATCH),
        wrong: Vec::new(),
        stored: 0,
        refused: 0,
    };
    tokio::spawn(import.run(lines));
    Ok(response)
}

/// An import under way.
struct Import {
    store: Store,
    created_by: String,
    pieces: Pieces,
    line: u64,
    drafts: Vec<LinkDraft>,
    /// Line of each draft.
    lines: Vec<u64>,
    /// Lines of this batch that are refused.
    wrong: Vec<(u64, Vec<WrongField>)>,
    stored: u64,
    refused: u64,
}

impl Import {
    async fn run(mut self, lines: Lines) {
        let started = Timestamp::now();
        let ended = self.take_all(lines).await;
        let state = match &ended {
            Ok(()) => ImportState::Done,
            Err(_) => ImportState::Failed,
        };
        let detail = ended.err().map(|problem| problem.to_string());
        tracing::info!(
            stored = self.stored,
            refused = self.refused,
            by = self.created_by,
            took = %(Timestamp::now() - started),
            "links were imported"
        );
        let report = ImportReport {
            line: self.line,
            detail,
            ..self.report(state)
        };
        self.tell(&report).await;
    }

    async fn take_all(&mut self, mut lines: Lines) -> Result<(), Problem> {
        let mut told = 0;
        while let Some(line) = lines.next().await? {
            self.line += 1;
            self.take(&line);
            if self.drafts.len() >= BATCH {
                self.store().await?;
            }
            if self.line - told >= TELL_EVERY {
                told = self.line;
                let report = self.report(ImportState::Progress);
                self.tell(&report).await;
            }
        }
        self.store().await
    }

    fn take(&mut self, line: &Bytes) {
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        // The quick way first; what it refuses is read again to name every wrong field.
        let shape =
            serde_json::from_slice(line).or_else(|_wrong| json::parse::<LinkDraftShape>(line));
        match shape {
            Ok(shape) => {
                self.drafts.push(shape.draft(&self.created_by));
                self.lines.push(self.line);
            }
            Err(problem) => self.wrong.push((self.line, wrong_fields(&problem))),
        }
    }

    async fn store(&mut self) -> Result<(), Problem> {
        let drafts = std::mem::replace(&mut self.drafts, Vec::with_capacity(BATCH));
        if !drafts.is_empty() {
            let imported = store::import(&self.store, drafts).await?;
            self.stored += u64::try_from(imported.stored).unwrap_or(u64::MAX);
            for (position, errors) in imported.refused {
                let line = self.lines.get(position).copied().unwrap_or_default();
                self.wrong.push((line, named(&errors)));
            }
        }
        self.lines.clear();
        let mut wrong = std::mem::take(&mut self.wrong);
        wrong.sort_by_key(|(line, _)| *line);
        for (line, errors) in wrong {
            self.refused += 1;
            if self.refused <= REFUSALS_TOLD_MAX {
                let report = ImportReport {
                    line,
                    errors,
                    ..self.report(ImportState::Refused)
                };
                self.tell(&report).await;
            }
        }
        Ok(())
    }

    fn report(&self, state: ImportState) -> ImportReport {
        ImportReport {
            state,
            line: self.line,
            stored: self.stored,
            refused: self.refused,
            errors: Vec::new(),
            detail: None,
        }
    }

    /// Whether anybody hears it or not, the links are stored.
    async fn tell(&mut self, report: &ImportReport) {
        if let Ok(mut text) = serde_json::to_vec(report) {
            text.push(b'\n');
            self.pieces.send(text).await;
        }
    }
}

fn named(errors: &FieldErrors) -> Vec<WrongField> {
    errors
        .iter()
        .map(|error| WrongField {
            field: error.field.clone(),
            found: error.found.clone(),
            accepted: error.accepted.clone(),
        })
        .collect()
}

/// The wrong fields of a line; a line that is no JSON at all is one wrong field without a name.
fn wrong_fields(problem: &Problem) -> Vec<WrongField> {
    let fields = named(problem.errors());
    if !fields.is_empty() {
        return fields;
    }
    vec![WrongField {
        field: String::new(),
        found: problem.to_string(),
        accepted: "a JSON object in one line".to_owned(),
    }]
}

async fn export(State(state): State<HttpState>) -> Response {
    let (pieces, response) = streamed(NDJSON);
    tokio::spawn(send_all(state.store, pieces));
    response
}

async fn send_all(store: Store, mut pieces: Pieces) {
    let mut query = LinkQuery {
        search: None,
        after: 0,
        rows: store::PAGE_ROWS_MAX,
    };
    loop {
        let (links, more) = match store::list(&store, &query).await {
            Ok(page) => page,
            Err(error) => {
                // The reader sees a body that breaks off.
                tracing::error!(%error, "links were not exported to the end");
                return pieces.abort();
            }
        };
        query.after = links.last().map_or(query.after, |link| link.id);
        let mut text = Vec::with_capacity(links.len() * 128);
        for link in links {
            if serde_json::to_writer(&mut text, &LinkDraftShape::from(link)).is_ok() {
                text.push(b'\n');
            }
        }
        if !text.is_empty() && !pieces.send(text).await || !more {
            return;
        }
    }
}

const IMPORT: Operation = Operation::new(
    Verb::Post,
    "/api/v1/import/links",
    Needs::Scope(Scope::LinksWrite),
    "Make many links",
)
.with_status(200)
.described(
    "One LinkDraft a line. Each line that breaks a rule is named and skipped, the others are stored, \
     a thousand in one transaction. The answer comes while the lines are read: reports with state \
     `progress` and `refused` (the first 100), and one with `done` or `failed` at the end.",
)
.taking(Content::Lines(&DRAFT))
.answering(Content::Lines(&REPORT));

const EXPORT: Operation = Operation::new(
    Verb::Get,
    "/api/v1/export/links",
    Needs::Scope(Scope::LinksRead),
    "All links, as the import takes them",
)
.answering(Content::Lines(&DRAFT));

static WRONG: Schema = Schema::of::<WrongField>(
    "WrongField",
    &[
        Field::new(
            "field",
            Kind::Text,
            "Its name; empty: the whole line.",
            "\"destination\"",
        ),
        Field::new("found", Kind::Text, "What was sent.", "\"6 1 0\""),
        Field::new(
            "accepted",
            Kind::Text,
            "What would be taken.",
            "\"user or user@domain\"",
        ),
    ],
);

static REPORT: Schema = Schema::of::<ImportReport>(
    "ImportReport",
    &[
        Field::new(
            "state",
            Kind::Word(&["progress", "refused", "done", "failed"]),
            "What this report is about.",
            "\"refused\"",
        ),
        Field::new(
            "line",
            Kind::Whole,
            "The line that it is about, or the last one read.",
            "7",
        ),
        Field::new("stored", Kind::Whole, "Links stored so far.", "6"),
        Field::new("refused", Kind::Whole, "Lines refused so far.", "1"),
        Field::optional(
            "errors",
            Kind::Objects(&WRONG),
            "What is wrong with the line.",
            "",
        ),
        Field::optional(
            "detail",
            Kind::Nullable(&Kind::Text),
            "Why the import failed.",
            "null",
        ),
    ],
);

/// One JSON object a line.
const NDJSON: &str = "application/x-ndjson";
/// Links of one transaction.
const BATCH: usize = 1_000;
/// Lines between two reports of progress.
const TELL_EVERY: u64 = 10_000;
/// Refused lines that are named; the others are counted.
const REFUSALS_TOLD_MAX: u64 = 100;
