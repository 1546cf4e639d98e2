//! `/api/v1/registrations`: the phones that are registered now, as call control knows them.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::json;
use super::body::Asked;
use super::calls::{ask, unexpected};
use super::links::limit;
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::call::command::{
    Command, CommandOutcome, ListPhones, PAGE_PHONES_MAX, PhonePage, PhoneState,
};
use crate::registrar::store;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new().with(LIST, list)
}

/// Words of the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    extension: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

/// A page of phones.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PhonePageShape {
    pub(crate) registrations: Vec<PhoneShape>,
    pub(crate) next: Option<String>,
    pub(crate) total: usize,
}

/// A phone.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PhoneShape {
    pub(crate) extension: String,
    pub(crate) contact: String,
    pub(crate) address: String,
    pub(crate) transport: String,
    pub(crate) user_agent: String,
    pub(crate) refreshed_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl From<PhoneState> for PhoneShape {
    fn from(phone: PhoneState) -> Self {
        let by_tcp = phone.flow.transport.is_reliable();
        Self {
            extension: phone.extension,
            contact: phone.contact,
            address: phone.flow.remote.to_string(),
            transport: if by_tcp { "tcp" } else { "udp" }.to_owned(),
            user_agent: phone.user_agent,
            refreshed_at: phone.refreshed_at,
            expires_at: phone.expires_at,
        }
    }
}

impl From<PhonePage> for PhonePageShape {
    fn from(page: PhonePage) -> Self {
        Self {
            registrations: page.phones.into_iter().map(PhoneShape::from).collect(),
            next: page.next,
            total: page.total,
        }
    }
}

async fn list(
    State(state): State<HttpState>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Response, Problem> {
    let rows = limit(asked.limit, PAGE_ROWS_MAX)?;
    let extension = match asked.extension {
        // An id is as good as a name, and one that nobody has is said.
        Some(named) => Some(store::get(&state.store, &named).await?.name),
        None => None,
    };
    let list = ListPhones {
        after: asked.cursor.unwrap_or_default(),
        limit: usize::try_from(rows).unwrap_or(PAGE_PHONES_MAX),
        extension,
    };
    let outcome = ask(&state, Command::ListPhones(list)).await?;
    let CommandOutcome::Phones(page) = outcome else {
        return Err(unexpected(&outcome));
    };
    Ok(json(&PhonePageShape::from(page)))
}

/// Phones of a page.
pub(crate) const PAGE_ROWS_MAX: u32 = 1_000;
const _: () = assert!(PAGE_ROWS_MAX as usize == PAGE_PHONES_MAX);

const LIST: Operation = Operation::new(
    Verb::Get,
    "/api/v1/registrations",
    Needs::Scope(Scope::ExtensionsRead),
    "Phones that are registered, by extension",
)
.described(
    "Of one extension the phone that rings first comes first. An extension is never cut in two: a \
     page may be longer by some phones than was asked for.",
)
.asking(&[
    ("extension", "Only phones of this extension, by name or id"),
    ("cursor", "`next` of the page before"),
    ("limit", "Phones of a page, 1 to 1000; 100 by default"),
])
.answering(Content::Json(&PAGE))
.refusing(&[
    (404, "No such extension."),
    (422, "A word of the query is wrong."),
]);

static PAGE: Schema = Schema::of::<PhonePageShape>(
    "Registrations",
    &[
        Field::new("registrations", Kind::Objects(&PHONE), "By extension.", ""),
        Field::new(
            "next",
            Kind::Nullable(&Kind::Text),
            "Cursor of the next page; null: this is the last.",
            "null",
        ),
        Field::new(
            "total",
            Kind::Whole,
            "Phones that are registered, all of them.",
            "1",
        ),
    ],
);

static PHONE: Schema = Schema::of::<PhoneShape>(
    "Registration",
    &[
        Field::new("extension", Kind::Text, "Name of the extension.", "\"610\""),
        Field::new(
            "contact",
            Kind::Text,
            "Its Contact: the Request-URI of calls to it.",
            "\"sip:610@192.0.2.9:5061\"",
        ),
        Field::new(
            "address",
            Kind::Text,
            "Where it registered from, and where calls to it go.",
            "\"192.0.2.9:5061\"",
        ),
        Field::new(
            "transport",
            Kind::Word(&["udp", "tcp"]),
            "How it registered.",
            "\"udp\"",
        ),
        Field::new(
            "user_agent",
            Kind::Text,
            "What it calls itself; empty where it does not say.",
            "\"Phone 1.0\"",
        ),
        Field::new(
            "refreshed_at",
            Kind::Time,
            "When it registered last.",
            "\"2036-12-31T22:00:00Z\"",
        ),
        Field::new(
            "expires_at",
            Kind::Time,
            "It is gone from then on, unless it registers again.",
            "\"2036-12-31T23:00:00Z\"",
        ),
    ],
);
