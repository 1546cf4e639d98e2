//! `/api/v1/sources`: who may call, in the order in which they are asked.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::{Expected, Tag, created, done, json, segment};
use super::body::{Body, LIST_OCTETS_MAX, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::field_errors::FieldErrors;
use crate::sources::api::{SourceList, SourceView, changed, draft};
use crate::sources::model::Source;
use crate::sources::store;
use crate::storage::StorageError;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(REPLACE, replace)
        .with(SHOW, show)
        .with(CHANGE, change)
        .with(DELETE, delete)
}

async fn list(State(state): State<HttpState>, headers: HeaderMap) -> Result<Response, Problem> {
    let sources = store::list(&state.store).await?;
    Ok(Tag::answer(&headers, &SourceList::new(&sources)))
}

async fn add(
    State(state): State<HttpState>,
    Body(object): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let (source, position) = draft(object)?;
    let view = store::change(&state.store, move |sources| {
        let index = position.unwrap_or(sources.len()).min(sources.len());
        let view = SourceView::new(index, &source);
        sources.insert(index, source);
        Ok(view)
    })
    .await?;
    let location = format!("/api/v1/sources/{}", segment(&view.name));
    Ok(created(&location, &view))
}

/// The whole list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drafts {
    sources: Vec<Map<String, Value>>,
}

async fn replace(
    State(state): State<HttpState>,
    headers: HeaderMap,
    Body(drafts): Body<Drafts, LIST_OCTETS_MAX>,
) -> Result<Response, Problem> {
    let mut errors = FieldErrors::new();
    let mut wanted = Vec::with_capacity(drafts.sources.len());
    for (index, mut object) in drafts.sources.into_iter().enumerate() {
        // A list as it was read may be sent back: its order counts, not the numbers in it.
        object.remove("position");
        match draft(object) {
            Ok((source, _)) => wanted.push(source),
            Err(wrong) => {
                for error in wrong.iter() {
                    let field = format!("sources[{index}].{}", error.field);
                    errors.add(field, &error.found, error.accepted.clone());
                }
            }
        }
    }
    let wanted = errors.or(wanted)?;
    let expected = Expected::of(&headers);
    let list = store::change(&state.store, move |sources| {
        expected.check(&SourceList::new(sources))?;
        *sources = wanted;
        Ok(SourceList::new(sources))
    })
    .await?;
    Ok(Tag::of(&list).on(json(&list)))
}

async fn show(State(state): State<HttpState>, Name(name): Name) -> Result<Response, Problem> {
    let sources = store::list(&state.store).await?;
    let index = place(&sources, &name)?;
    let source = sources.get(index);
    Ok(json(&source.map(|source| SourceView::new(index, source))))
}

async fn change(
    State(state): State<HttpState>,
    Name(name): Name,
    Body(object): Body<Map<String, Value>>,
) -> Result<Response, Problem> {
    let view = store::change(&state.store, move |sources| {
        let index = place(sources, &name)?;
        let stored = sources.remove(index);
        let (source, position) = changed(index, &stored, object)?;
        let index = position.min(sources.len());
        let view = SourceView::new(index, &source);
        sources.insert(index, source);
        Ok(view)
    })
    .await?;
    Ok(json(&view))
}

async fn delete(State(state): State<HttpState>, Name(name): Name) -> Result<Response, Problem> {
    store::change(&state.store, move |sources| {
        let index = place(sources, &name)?;
        sources.remove(index);
        Ok(())
    })
    .await?;
    Ok(done())
}

fn place(sources: &[Source], name: &str) -> Result<usize, StorageError> {
    sources
        .iter()
        .position(|source| source.name == name)
        .ok_or_else(|| StorageError::NotFound {
            what: "source",
            value: name.to_owned(),
        })
}

const READ: Needs = Needs::Scope(Scope::SourcesRead);
const WRITE: Needs = Needs::Scope(Scope::SourcesWrite);
const PATH: &str = "/api/v1/sources/{name}";
const NONE: (u16, &str) = (404, "No such source.");
const TAKEN: (u16, &str) = (409, "Two sources would have the same name.");

const LIST: Operation = Operation::new(
    Verb::Get,
    "/api/v1/sources",
    READ,
    "All sources in their order",
)
.described("The first source that matches a packet counts; from anywhere else there is silence.")
.answering(Content::Json(&SOURCES));

const ADD: Operation = Operation::new(Verb::Post, "/api/v1/sources", WRITE, "Add a source")
    .described("At `position`, or at the end.")
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&SOURCE))
    .refusing(&[TAKEN]);

const REPLACE: Operation = Operation::new(
    Verb::Put,
    "/api/v1/sources",
    WRITE,
    "Put a list in the place of all sources",
)
.taking(Content::Json(&DRAFTS))
.answering(Content::Json(&SOURCES))
.refusing(&[TAKEN, (412, "The list was changed since it was read.")]);

const SHOW: Operation = Operation::new(Verb::Get, PATH, READ, "One source")
    .answering(Content::Json(&SOURCE))
    .refusing(&[NONE]);

const CHANGE: Operation = Operation::new(Verb::Patch, PATH, WRITE, "Change or move a source")
    .described("What is absent stays as it is.")
    .taking(Content::Json(&PATCH))
    .answering(Content::Json(&SOURCE))
    .refusing(&[NONE, TAKEN]);

const DELETE: Operation =
    Operation::new(Verb::Delete, PATH, WRITE, "Delete a source").refusing(&[NONE]);

const NAME: &str = "For logs and CDRs.";
const NETWORKS: &str = "Addresses or networks whose packets are its own.";
const LINKS: &str = "Which links it may reach: \"all\", \"none\" or a list of request paths.";
const REGISTERS: &str =
    "Phones of the registrar are there: whoever calls from it proves to be an extension.";
const AD_HOC: &str =
    "It may call route strings that no link names, where the setting ad_hoc.enabled is on.";
const SRTP: &str = "Media of its calls is protected: off, preferred or required.";
const POSITION: &str = "Its place, from 1.";
const NETWORK_EXAMPLE: &str = "[\"192.0.2.0/24\"]";

/// Which packets it is about.
static WHICH: [Field; 2] = [
    Field::new("name", Kind::Text, NAME, "\"office\""),
    Field::new("networks", Kind::Texts, NETWORKS, NETWORK_EXAMPLE),
];

/// What they may do.
static POLICY: [Field; 5] = [
    Field::new("links", Kind::Any, LINKS, "\"all\""),
    Field::new("ad_hoc", Kind::Boolean, AD_HOC, "false"),
    Field::new("registers", Kind::Boolean, REGISTERS, "false"),
    Field::new("srtp", Kind::Text, SRTP, "\"off\""),
    Field::new("position", Kind::Whole, POSITION, "1"),
];

static SOURCE: Schema = Schema::of::<SourceView>("Source", &WHICH).sharing(&POLICY, true);

static SOURCES: Schema = Schema::of::<SourceList>(
    "Sources",
    &[Field::new(
        "sources",
        Kind::Objects(&SOURCE),
        "In their order.",
        "",
    )],
);

/// A source that somebody sends: the reader of the configuration judges it.
#[derive(Debug)]
struct Sent;

impl<'de> Deserialize<'de> for Sent {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(from)?;
        draft(object)
            .map(|_| Self)
            .map_err(serde::de::Error::custom)
    }
}

static DRAFT: Schema = Schema::of::<Sent>("SourceDraft", &WHICH).sharing(&POLICY, false);

static PATCH: Schema = Schema::of::<Value>(
    "SourcePatch",
    &[
        Field::optional("name", Kind::Text, NAME, "\"office\""),
        Field::optional("networks", Kind::Texts, NETWORKS, NETWORK_EXAMPLE),
    ],
)
.sharing(&POLICY, false);

static DRAFTS: Schema = Schema::of::<Value>(
    "SourceDrafts",
    &[Field::new(
        "sources",
        Kind::Objects(&DRAFT),
        "In their order.",
        "",
    )],
);
