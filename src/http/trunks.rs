//! `/api/v1/trunks`: where calls go.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Expected, Tag, created, done, json};
use super::body::{Asked, Body, LIST_OCTETS_MAX, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::trunk_schema::{APPLIED, DRAFT, DRAFTS, PATCH, TEST, TRUNK, TRUNKS};
use crate::call::command::Command;
use crate::doctor::SRTP_ADVICE;
use crate::field_errors::FieldErrors;
use crate::storage::StorageError;
use crate::tokens::scope::Scope;
use crate::trunks::api::{
    AppliedList, AppliedShape, TargetTest, TrunkList, TrunkTest, TrunkView, changed, draft,
};
use crate::trunks::model::SrtpPolicy;
use crate::trunks::store;
use crate::trunks::test::test;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(APPLY, apply)
        .with(SHOW, show)
        .with(CHANGE, change)
        .with(DELETE, delete)
        .with(ASK, ask)
}

async fn list(State(state): State<HttpState>) -> Result<Response, Problem> {
    let trunks = store::list(&state.store).await?;
    Ok(json(&TrunkList {
        trunks: trunks.iter().map(TrunkView::from).collect(),
    }))
}

async fn add(
    State(state): State<HttpState>,
    Body(object): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let trunk = store::create(&state.store, draft(object)?).await?;
    let view = TrunkView::from(&trunk);
    let location = format!("/api/v1/trunks/{}", trunk.id);
    Ok(Tag::of(&view).on(created(&location, &view)))
}

/// Many trunks at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drafts {
    trunks: Vec<Map<String, Value>>,
}

async fn apply(
    State(state): State<HttpState>,
    Body(drafts): Body<Drafts, LIST_OCTETS_MAX>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::new();
    let mut tables = Vec::with_capacity(drafts.trunks.len());
    for (index, object) in drafts.trunks.into_iter().enumerate() {
        match draft(object) {
            Ok(table) => tables.push(table),
            Err(wrong) => {
                for error in wrong.iter() {
                    let field = format!("trunks[{index}].{}", error.field);
                    errors.add(field, &error.found, error.accepted.clone());
                }
            }
        }
    }
    let tables = errors.or(tables)?;
    let applied = store::apply(&state.store, tables).await?;
    Ok(json(&AppliedList {
        applied: applied.into_iter().map(AppliedShape::from).collect(),
    }))
}

async fn show(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = TrunkView::from(&store::get(&state.store, &name).await?);
    Ok(Tag::answer(&headers, &view))
}

async fn change(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
    Body(object): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let expected = Expected::of(&headers);
    let trunk = store::update(&state.store, &name, move |stored| {
        expected.check(&TrunkView::from(stored))?;
        Ok(changed(stored, object)?)
    })
    .await?;
    let view = TrunkView::from(&trunk);
    Ok(Tag::of(&view).on(json(&view)))
}

/// The words of a deletion's query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeleteQuery {
    force: Option<Force>,
}

/// `force`, `force=` and `force=true` are yes.
#[derive(Debug, Deserialize)]
enum Force {
    #[serde(rename = "", alias = "true")]
    Yes,
    #[serde(rename = "false")]
    No,
}

async fn delete(
    State(state): State<HttpState>,
    Name(name): Name,
    Asked(asked): Asked<DeleteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected = Expected::of(&headers);
    let force = matches!(asked.force, Some(Force::Yes));
    store::delete(&state.store, &name, force, move |stored| {
        expected.check(&TrunkView::from(stored))
    })
    .await?;
    Ok(done())
}

async fn ask(State(state): State<HttpState>, Name(name): Name) -> Result<Response, Problem> {
    let stored = store::get(&state.store, &name).await?;
    let snapshot = state.store.snapshot();
    let trunk = snapshot.trunks.iter().find(|trunk| trunk.id == stored.id);
    let trunk = trunk.cloned().ok_or(StorageError::Changed)?;
    let needs_tls = trunk.srtp == SrtpPolicy::Required && !state.srtp_over_clear_signalling;
    let advice = needs_tls.then(|| format!("srtp is required: {SRTP_ADVICE}"));
    // It waits for answers on sockets of its own.
    let tested = tokio::task::spawn_blocking(move || test(&trunk)).await;
    if let Some(calls) = &state.calls {
        // The node asks for itself, too: what has just answered carries calls at once, and not after the
        // interval of a trunk that is down. A node that cannot be asked says so elsewhere.
        calls
            .ask(Command::PingTrunk { trunk: stored.id })
            .await
            .ok();
    }
    let Ok(tested) = tested else {
        return Err(Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "test_failed",
            "The test did not come to its end",
        ));
    };
    let targets: Vec<TargetTest> = tested
        .into_iter()
        .map(|tested| match tested.outcome {
            Ok(answer) => TargetTest {
                target: tested.target.to_string(),
                up: answer.is_up,
                status: answer.status,
                round_trip_ms: answer
                    .status
                    .map(|_| answer.round_trip.as_secs_f64() * 1_000.0),
                error: None,
            },
            Err(error) => TargetTest {
                target: tested.target.to_string(),
                up: false,
                status: None,
                round_trip_ms: None,
                error: Some(error.to_string()),
            },
        })
        .collect();
    Ok(json(&TrunkTest {
        advice,
        up: !targets.is_empty() && targets.iter().all(|target| target.up),
        targets,
    }))
}

const READ: Needs = Needs::Scope(Scope::TrunksRead);
const WRITE: Needs = Needs::Scope(Scope::TrunksWrite);
const PATH: &str = "/api/v1/trunks/{id}";
const NONE: (u16, &str) = (404, "No such trunk.");
const TAKEN: (u16, &str) = (409, "The label is another trunk's.");
const CHANGED: (u16, &str) = (412, "It was changed since it was read.");

const LIST: Operation = Operation::new(Verb::Get, "/api/v1/trunks", READ, "All trunks by label")
    .answering(Content::Json(&TRUNKS));

const ADD: Operation = Operation::new(Verb::Post, "/api/v1/trunks", WRITE, "Make a trunk")
    .described(
        "The keys of a [[trunk]] table of conf/sluice.toml; only label and targets are required.",
    )
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&TRUNK))
    .refusing(&[TAKEN]);

const APPLY: Operation = Operation::new(
    Verb::Post,
    "/api/v1/apply/trunks",
    WRITE,
    "Create or change many trunks, all or none",
)
.described(
    "Each is found by its id, else by its label; trunks that are not named stay as they are.",
)
.with_status(200)
.taking(Content::Json(&DRAFTS))
.answering(Content::Json(&APPLIED))
.refusing(&[TAKEN]);

const SHOW: Operation = Operation::new(Verb::Get, PATH, READ, "One trunk")
    .described("`id` is an id or a label. The password is never shown.")
    .answering(Content::Json(&TRUNK))
    .refusing(&[NONE]);

const CHANGE: Operation = Operation::new(Verb::Patch, PATH, WRITE, "Change a trunk")
    .described(
        "What is absent stays as it is, null takes the default again. Another preset gives its \
         defaults to everything but label, targets, user name and password.",
    )
    .taking(Content::Json(&PATCH))
    .answering(Content::Json(&TRUNK))
    .refusing(&[NONE, TAKEN, CHANGED]);

const DELETE: Operation = Operation::new(Verb::Delete, PATH, WRITE, "Delete a trunk")
    .asking(&[(
        "force",
        "Delete it although links are pinned to it; their calls are refused from then on",
    )])
    .refusing(&[
        NONE,
        (409, "Links are pinned to it; the detail names them."),
        CHANGED,
    ]);

const ASK: Operation = Operation::new(
    Verb::Post,
    "/api/v1/trunks/{id}/test",
    WRITE,
    "Send OPTIONS to each target of a trunk",
)
.described("The node asks them too at once: one that answers carries calls again.")
.with_status(200)
.answering(Content::Json(&TEST))
.refusing(&[NONE]);
