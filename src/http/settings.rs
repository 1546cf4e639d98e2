//! `/api/v1/settings`: what may be changed while calls go on, for all nodes.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::{Expected, Tag, done, json};
use super::body::{Body, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::field_errors::FieldErrors;
use crate::settings::api::{SettingList, SettingShape, SettingValue};
use crate::settings::model::{Setting, setting};
use crate::settings::store;
use crate::storage::StorageError;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(SHOW, show)
        .with(SET, set)
        .with(RESET, reset)
}

async fn list(State(state): State<HttpState>) -> Response {
    json(&SettingList::new(&state.store.snapshot().settings))
}

async fn show(
    State(state): State<HttpState>,
    Name(key): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let setting = named(&key)?;
    let shape = SettingShape::new(setting, &state.store.snapshot().settings);
    Ok(Tag::answer(&headers, &shape))
}

async fn set(
    State(state): State<HttpState>,
    Name(key): Name,
    headers: HeaderMap,
    Body(value): Body<SettingValue>,
) -> Result<Response, Problem> {
    let setting = named(&key)?;
    let Some(text) = value.text() else {
        let mut errors = FieldErrors::new();
        errors.add("value", &value.value.to_string(), setting.accepted());
        return Err(Problem::invalid(errors));
    };
    let expected = Expected::of(&headers);
    store::set_if(&state.store, setting.key, &text, move |settings| {
        expected.check(&SettingShape::new(setting, settings))
    })
    .await?;
    let shape = SettingShape::new(setting, &state.store.snapshot().settings);
    Ok(Tag::of(&shape).on(json(&shape)))
}

async fn reset(
    State(state): State<HttpState>,
    Name(key): Name,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let setting = named(&key)?;
    let expected = Expected::of(&headers);
    store::reset_if(&state.store, setting.key, move |settings| {
        expected.check(&SettingShape::new(setting, settings))
    })
    .await?;
    Ok(done())
}

fn named(key: &str) -> Result<&'static Setting, Problem> {
    Ok(setting(key).map_err(StorageError::from)?)
}

const READ: Needs = Needs::Scope(Scope::SettingsRead);
const WRITE: Needs = Needs::Scope(Scope::SettingsWrite);
const PATH: &str = "/api/v1/settings/{key}";

const LIST: Operation = Operation::new(Verb::Get, "/api/v1/settings", READ, "All settings")
    .answering(Content::Json(&SETTING_LIST));

const SHOW: Operation = Operation::new(Verb::Get, PATH, READ, "One setting")
    .answering(Content::Json(&SETTING))
    .refusing(&[(404, "No such setting.")]);

const SET: Operation = Operation::new(Verb::Put, PATH, WRITE, "Change a setting")
    .taking(Content::Json(&VALUE))
    .answering(Content::Json(&SETTING))
    .refusing(&[
        (404, "No such setting."),
        (412, "It was changed since it was read."),
    ]);

const RESET: Operation = Operation::new(
    Verb::Delete,
    PATH,
    WRITE,
    "Give a setting its default again",
)
.refusing(&[
    (404, "No such setting."),
    (412, "It was changed since it was read."),
]);

static VALUE: Schema = Schema::of::<SettingValue>(
    "SettingValue",
    &[Field::new(
        "value",
        Kind::Any,
        "A text, a number, or true or false; lists are texts with commas.",
        "\"Visitor\"",
    )],
);

static SETTING: Schema = Schema::of::<SettingShape>(
    "Setting",
    &[
        Field::new(
            "key",
            Kind::Text,
            "Its name.",
            "\"links.default_caller_name\"",
        ),
        Field::new("value", Kind::Any, "Its value.", "\"Visitor\""),
        Field::new(
            "default",
            Kind::Any,
            "What it is where nobody sets it.",
            "\"Guest\"",
        ),
        Field::new(
            "is_default",
            Kind::Boolean,
            "Nobody has set it to something else.",
            "false",
        ),
        Field::new(
            "description",
            Kind::Text,
            "What it does.",
            "\"Name shown at the called endpoint when a link names none.\"",
        ),
        Field::new(
            "accepted",
            Kind::Text,
            "What it takes.",
            "\"1 to 128 characters without control characters\"",
        ),
    ],
);

static SETTING_LIST: Schema = Schema::of::<SettingList>(
    "Settings",
    &[Field::new(
        "settings",
        Kind::Objects(&SETTING),
        "All of them.",
        "",
    )],
);
