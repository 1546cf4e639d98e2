//! `/api/v1/extensions`: the accounts of the registrar.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{Expected, Tag, created, done, json, segment};
use super::body::{Body, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::registrar::shape::{ExtensionChange, ExtensionDraft, ExtensionList, ExtensionShape};
use crate::registrar::store;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(SHOW, show)
        .with(CHANGE, change)
        .with(REMOVE, remove)
}

async fn list(State(state): State<HttpState>) -> Result<Response, Problem> {
    let extensions = store::list(&state.store).await?;
    Ok(json(&ExtensionList {
        extensions: extensions.iter().map(ExtensionShape::from).collect(),
    }))
}

async fn add(
    State(state): State<HttpState>,
    Body(draft): Body<ExtensionDraft>,
) -> Result<Response, Problem> {
    let shape = ExtensionShape::from(&store::add(&state.store, draft).await?);
    tracing::info!(extension = shape.name, "an extension was made");
    let location = format!("/api/v1/extensions/{}", segment(&shape.name));
    Ok(Tag::of(&shape).on(created(&location, &shape)))
}

async fn show(
    State(state): State<HttpState>,
    Name(named): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let extension = store::get(&state.store, &named).await?;
    Ok(Tag::answer(&headers, &ExtensionShape::from(&extension)))
}

async fn change(
    State(state): State<HttpState>,
    Name(named): Name,
    headers: HeaderMap,
    Body(wanted): Body<ExtensionChange>,
) -> Result<Response, Problem> {
    let expected = Expected::of(&headers);
    let extension = store::change(&state.store, &named, wanted, move |before| {
        expected.check(&ExtensionShape::from(before))
    })
    .await?;
    let shape = ExtensionShape::from(&extension);
    tracing::info!(extension = shape.name, "an extension was changed");
    Ok(Tag::of(&shape).on(json(&shape)))
}

async fn remove(
    State(state): State<HttpState>,
    Name(named): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let expected = Expected::of(&headers);
    store::delete(&state.store, &named, move |extension| {
        expected.check(&ExtensionShape::from(extension))
    })
    .await?;
    tracing::info!(extension = named, "an extension was deleted");
    Ok(done())
}

const READS: Needs = Needs::Scope(Scope::ExtensionsRead);
const WRITES: Needs = Needs::Scope(Scope::ExtensionsWrite);
const NONE_SUCH: (u16, &str) = (404, "No such extension.");

const LIST: Operation = Operation::new(Verb::Get, "/api/v1/extensions", READS, "All extensions")
    .answering(Content::Json(&EXTENSIONS));

const ADD: Operation = Operation::new(
    Verb::Post,
    "/api/v1/extensions",
    WRITES,
    "Make an extension",
)
.described("A phone may register it at once. The password is never shown again.")
.taking(Content::Json(&DRAFT))
.answering(Content::Json(&EXTENSION))
.refusing(&[
    (409, "The name is taken."),
    (422, "Fields break rules; each is named."),
]);

const SHOW: Operation = Operation::new(
    Verb::Get,
    "/api/v1/extensions/{extension}",
    READS,
    "One extension, by id or name",
)
.answering(Content::Json(&EXTENSION))
.refusing(&[NONE_SUCH]);

const CHANGE: Operation = Operation::new(
    Verb::Patch,
    "/api/v1/extensions/{extension}",
    WRITES,
    "Change an extension",
)
.described("Fields that are not named stay as they are.")
.taking(Content::Json(&CHANGES))
.answering(Content::Json(&EXTENSION))
.refusing(&[
    NONE_SUCH,
    (412, "Somebody has changed it meanwhile."),
    (422, "Fields break rules; each is named."),
]);

const REMOVE: Operation = Operation::new(
    Verb::Delete,
    "/api/v1/extensions/{extension}",
    WRITES,
    "Delete an extension",
)
.described("Its phones are not reached any more; calls that are up go on.")
.refusing(&[NONE_SUCH, (412, "Somebody has changed it meanwhile.")]);

const NAME: &str = "The user part it registers, and its digest user name.";
const DISPLAY_NAME: &str = "Shown where it calls.";
const ENABLED: &str = "Off: registers nothing and is not reached.";
const TRUNKS: &str = "Ids or labels of the trunks that its own calls may leave by; none: none.";
const CONTACTS_MAX: &str = "Phones that may be registered at once, 1 to 10.";
const PASSWORD: &str = "Digest password, 8 to 128 octets.";

/// What an extension has, whoever sends or shows it.
static COMMON: [Field; 4] = [
    Field::new("display_name", Kind::Text, DISPLAY_NAME, "\"Front desk\""),
    Field::new("enabled", Kind::Boolean, ENABLED, "true"),
    Field::new("trunks", Kind::Texts, TRUNKS, "[]"),
    Field::new("contacts_max", Kind::Whole, CONTACTS_MAX, "3"),
];

static DRAFT: Schema = Schema::of::<ExtensionDraft>(
    "ExtensionDraft",
    &[
        Field::new("name", Kind::Text, NAME, "\"610\""),
        Field::new(
            "password",
            Kind::Text,
            PASSWORD,
            "\"correct horse battery\"",
        ),
    ],
)
.sharing(&COMMON, false);

static CHANGES: Schema = Schema::of::<ExtensionChange>(
    "ExtensionChange",
    &[Field::optional(
        "password",
        Kind::Text,
        PASSWORD,
        "\"correct horse battery\"",
    )],
)
.sharing(&COMMON, false);

static EXTENSION: Schema = Schema::of::<ExtensionShape>(
    "Extension",
    &[
        Field::new("id", Kind::Text, "Its id.", "\"ex_0123456789ab\""),
        Field::new("name", Kind::Text, NAME, "\"610\""),
    ],
)
.sharing(&COMMON, true);

static EXTENSIONS: Schema = Schema::of::<ExtensionList>(
    "Extensions",
    &[Field::new(
        "extensions",
        Kind::Objects(&EXTENSION),
        "By name.",
        "",
    )],
);
