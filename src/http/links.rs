//! `/api/v1/links`: what request paths reach.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::access::Access;
use super::answer::{Expected, Tag, created, done, json};
use super::body::{Asked, Body, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::field_errors::FieldErrors;
use crate::links::api::{LinkDraftShape, LinkList, LinkPatch, LinkShape};
use crate::links::model::LinkId;
use crate::links::store::{self, LinkQuery};
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(SHOW, show)
        .with(CHANGE, change)
        .with(DELETE, delete)
}

/// The words of a list's query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    search: Option<String>,
    request_path: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
    #[serde(default)]
    total: bool,
}

async fn list(
    State(state): State<HttpState>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Response, Problem> {
    if let Some(path) = &asked.request_path {
        let link = store::by_request_path(&state.store, path).await?;
        let links: Vec<LinkShape> = link.into_iter().map(LinkShape::from).collect();
        let total = i64::try_from(links.len()).ok();
        return Ok(json(&LinkList {
            links,
            next: None,
            total,
        }));
    }
    let query = LinkQuery {
        after: cursor(asked.cursor.as_deref())?,
        rows: limit(asked.limit, store::PAGE_ROWS_MAX)?,
        search: asked.search.filter(|search| !search.is_empty()),
    };
    let (links, more) = store::list(&state.store, &query).await?;
    let total = match asked.total {
        true => Some(store::count(&state.store, query.search.as_deref()).await?),
        false => None,
    };
    let last = links.last().filter(|_| more);
    Ok(json(&LinkList {
        next: last.map(|link| link.id.to_string()),
        links: links.into_iter().map(LinkShape::from).collect(),
        total,
    }))
}

/// The number in a cursor; they are ours, and nobody else's business.
pub(super) fn cursor(text: Option<&str>) -> Result<i64, Problem> {
    let Some(text) = text else { return Ok(0) };
    text.parse().ok().filter(|id| *id >= 0).ok_or_else(|| {
        let mut errors = FieldErrors::new();
        errors.add("cursor", text, "the `next` of an answer before");
        Problem::invalid(errors)
    })
}

/// Rows of a page: 100 unless asked otherwise.
pub(super) fn limit(asked: Option<u32>, max: u32) -> Result<u32, Problem> {
    let rows = asked.unwrap_or(PAGE_ROWS);
    if (1..=max).contains(&rows) {
        return Ok(rows);
    }
    let mut errors = FieldErrors::new();
    errors.add("limit", &rows.to_string(), format!("1 to {max}"));
    Err(Problem::invalid(errors))
}

async fn add(
    State(state): State<HttpState>,
    access: Access,
    Body(shape): Body<LinkDraftShape>,
) -> Result<Response, Problem> {
    let link = store::create(&state.store, &shape.draft(access.label())).await?;
    let location = format!("/api/v1/links/{}", link.id);
    let shape = LinkShape::from(link);
    Ok(Tag::of(&shape).on(created(&location, &shape)))
}

async fn show(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let link = LinkShape::from(store::get(&state.store, &name).await?);
    Ok(Tag::answer(&headers, &link))
}

async fn change(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
    Body(patch): Body<LinkPatch>,
) -> Result<Response, Problem> {
    let id = id_of(&state, &name).await?;
    let expected = Expected::of(&headers);
    let link = store::update(&state.store, id, move |link| {
        expected.check(&LinkShape::from(link.clone()))?;
        Ok(patch.apply(link))
    })
    .await?;
    let shape = LinkShape::from(link);
    Ok(Tag::of(&shape).on(json(&shape)))
}

async fn delete(
    State(state): State<HttpState>,
    Name(name): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = id_of(&state, &name).await?;
    let expected = Expected::of(&headers);
    store::delete(&state.store, id, move |link| {
        expected.check(&LinkShape::from(link.clone()))
    })
    .await?;
    Ok(done())
}

async fn id_of(state: &HttpState, name: &str) -> Result<LinkId, Problem> {
    Ok(store::get(&state.store, name).await?.id)
}

const READ: Needs = Needs::Scope(Scope::LinksRead);
const WRITE: Needs = Needs::Scope(Scope::LinksWrite);
const NONE_SUCH: (u16, &str) = (404, "No such link.");
const TWO: (u16, &str) = (422, "Two links are called so, or a field breaks a rule.");
const NONE: &[(u16, &str)] = &[NONE_SUCH, TWO];

const LIST: Operation = Operation::new(Verb::Get, "/api/v1/links", READ, "List links by id")
    .asking(&[
        (
            "search",
            "Only links with this text in request path, destination or names, in any case",
        ),
        ("request_path", "Only the link of exactly this request path"),
        ("cursor", "`next` of the page before"),
        ("limit", "Links of a page, 1 to 1000; 100 by default"),
        (
            "total",
            "`true`: count all that the search finds, which takes time with millions",
        ),
    ])
    .answering(Content::Json(&LINKS))
    .refusing(&[(422, "Cursor or limit is wrong.")]);

const ADD: Operation = Operation::new(Verb::Post, "/api/v1/links", WRITE, "Make a link")
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&LINK))
    .refusing(&[(409, "The request path is another link's.")]);

const SHOW: Operation = Operation::new(Verb::Get, "/api/v1/links/{id}", READ, "One link")
    .described("`id` is the number of a link or a request path; where one link has the number and another the \
     path, `#610` (as %23610) is the number and `/610` (as %2F610) the path.")
    .answering(Content::Json(&LINK))
    .refusing(NONE);

const CHANGE: Operation = Operation::new(Verb::Patch, "/api/v1/links/{id}", WRITE, "Change a link")
    .described("What is absent stays as it is; null takes the default again. The request path never changes.")
    .taking(Content::Json(&PATCH))
    .answering(Content::Json(&LINK))
    .refusing(&[NONE_SUCH, (412, "It was changed since it was read."), TWO]);

const DELETE: Operation =
    Operation::new(Verb::Delete, "/api/v1/links/{id}", WRITE, "Delete a link").refusing(&[
        NONE_SUCH,
        (412, "It was changed since it was read."),
        TWO,
    ]);

/// Rows of a page, unless asked otherwise.
const PAGE_ROWS: u32 = 100;

const TEXT: Kind = Kind::Nullable(&Kind::Text);
const TIME: Kind = Kind::Nullable(&Kind::Time);
const PATH_SENTENCE: &str = "What follows /call/ in a link, and the user part of a SIP address: 1 to 255 octets of UTF-8, no / ? # \\; never changes.";
const DESTINATION: &str = "Whom it reaches: user, user@domain, local:echo or local:tone.";
const DESTINATION_EXAMPLE: &str = "\"610@example.com\"";
const DISPLAY: &str = "What the guest sees.";
const NAME: &str =
    "Name shown at the called endpoint; null: the setting links.default_caller_name.";
const ALIAS: &str = "SIP user part shown there; null: the setting links.default_caller_alias.";
const UNIQUE: &str = "Append a number to the alias, a new one for each call.";
const CUSTOM: &str = "The URL may name the caller.";
const ENABLED: &str = "False: answered as gone.";
const AFTER: &str = "Not callable before.";
const BEFORE: &str = "Not callable from this time on.";
const WHOLE: Kind = Kind::Nullable(&Kind::Whole);
const AUTO_CALL: &str =
    "Seconds after which the guest page calls by itself, 0 to 60; null: the setting.";
const VIDEO: &str = "sendrecv, inactive, recvonly or recvonly_initially; null: the setting.";
const TRUNK: &str = "Id or label of the only trunk that carries its calls; null: any that can.";

/// What a link has, whoever sends or shows it.
static COMMON: [Field; 11] = [
    Field::new("display_name", TEXT, DISPLAY, "\"Support\""),
    Field::new("caller_name", TEXT, NAME, "\"Web guest\""),
    Field::new("caller_alias", TEXT, ALIAS, "\"web\""),
    Field::new("unique_alias", Kind::Boolean, UNIQUE, "false"),
    Field::new("allow_custom_caller_name", Kind::Boolean, CUSTOM, "false"),
    Field::new("enabled", Kind::Boolean, ENABLED, "true"),
    Field::new("valid_after", TIME, AFTER, "\"2026-01-01T00:00:00Z\""),
    Field::new("valid_before", TIME, BEFORE, "\"2036-01-01T00:00:00Z\""),
    Field::new("trunk", TEXT, TRUNK, "null"),
    Field::new("auto_call_after_s", WHOLE, AUTO_CALL, "null"),
    Field::new("video_policy", TEXT, VIDEO, "null"),
];

pub(super) static DRAFT: Schema = Schema::of::<LinkDraftShape>(
    "LinkDraft",
    &[
        Field::new("destination", Kind::Text, DESTINATION, DESTINATION_EXAMPLE),
        Field::optional("request_path", TEXT, PATH_SENTENCE, "\"support\""),
        Field::optional(
            "request_path_from",
            Kind::Word(&["random", "destination"]),
            "Where the request path comes from when none is given.",
            "\"random\"",
        ),
    ],
)
.sharing(&COMMON, false);

static PATCH: Schema = Schema::of::<LinkPatch>(
    "LinkPatch",
    &[Field::optional(
        "destination",
        Kind::Text,
        DESTINATION,
        DESTINATION_EXAMPLE,
    )],
)
.sharing(&COMMON, false);

static LINK: Schema = Schema::of::<LinkShape>(
    "Link",
    &[
        Field::new("id", Kind::Whole, "Its number.", "7"),
        Field::new("request_path", Kind::Text, PATH_SENTENCE, "\"support\""),
        Field::new("destination", Kind::Text, DESTINATION, DESTINATION_EXAMPLE),
        Field::new(
            "created_by",
            Kind::Text,
            "Label of the token that made it.",
            "\"command line\"",
        ),
        Field::new(
            "created_at",
            Kind::Time,
            "When it was made.",
            "\"2026-01-01T00:00:00Z\"",
        ),
        Field::new(
            "updated_at",
            Kind::Time,
            "Last change.",
            "\"2026-01-01T00:00:00Z\"",
        ),
    ],
)
.sharing(&COMMON, true);

static LINKS: Schema = Schema::of::<LinkList>(
    "Links",
    &[
        Field::new("links", Kind::Objects(&LINK), "By id.", ""),
        Field::new(
            "next",
            TEXT,
            "Cursor of the next page; null: this is the last.",
            "\"7\"",
        ),
        Field::new(
            "total",
            Kind::Nullable(&Kind::Whole),
            "All that the search finds, where asked for.",
            "1",
        ),
    ],
);
