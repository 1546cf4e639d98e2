//! `/api/v1/cdrs`: what calls were, and the same as a file for spreadsheets.

use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::answer::json;
use super::body::{Asked, Name};
use super::lines::{Pieces, streamed};
use super::links::{cursor, limit};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::cdr::export::{csv, csv_head};
use crate::cdr::query::{self, CdrList, CdrQuery};
use crate::cdr::store::{CdrAttempt, CdrCall, CdrMedia};
use crate::field_errors::FieldErrors;
use crate::storage::Store;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(SHOW, show)
        .with(EXPORT, export)
}

/// The words of a query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    from: Option<String>,
    to: Option<String>,
    trunk: Option<String>,
    link: Option<i64>,
    cause: Option<String>,
    cursor: Option<String>,
    limit: Option<u32>,
}

impl ListQuery {
    fn judge(self, store: &Store) -> Result<CdrQuery, Problem> {
        let mut errors = FieldErrors::new();
        let mut time = |field, text: Option<String>| {
            let text = text.filter(|text| !text.is_empty())?;
            let time = text.parse::<Timestamp>().ok();
            if time.is_none() {
                let accepted = "a time by RFC 3339, such as 2026-01-31T23:00:00Z";
                errors.add(field, &text, accepted);
            }
            time
        };
        let (from, to) = (time("from", self.from), time("to", self.to));
        let trunk = self.trunk.map(|asked| {
            trunk_id(store, &asked).unwrap_or_else(|| {
                errors.add("trunk", &asked, "the id or label of a trunk");
                asked
            })
        });
        let before = cursor(self.cursor.as_deref())?;
        let rows = limit(self.limit, query::PAGE_ROWS_MAX)?;
        errors
            .or(CdrQuery {
                from,
                to,
                trunk,
                link: self.link,
                cause: self.cause,
                before: (before > 0).then_some(before),
                rows,
            })
            .map_err(Problem::invalid)
    }
}

/// Rows hold ids; people know labels. A trunk that is gone, and an extension, is found by its id.
fn trunk_id(store: &Store, asked: &str) -> Option<String> {
    let snapshot = store.snapshot();
    let mut trunks = snapshot.trunks.iter();
    let named = trunks.find(|trunk| trunk.id == asked || trunk.label == asked);
    let is_id = || {
        let digits = ["tr_", "ex_"]
            .iter()
            .find_map(|kind| asked.strip_prefix(kind));
        digits.is_some_and(|digits| {
            digits.len() == ID_DIGITS && digits.bytes().all(|octet| octet.is_ascii_hexdigit())
        })
    };
    match named {
        Some(trunk) => Some(trunk.id.clone()),
        None => is_id().then(|| asked.to_owned()),
    }
}

async fn list(
    State(state): State<HttpState>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Response, Problem> {
    let asked = asked.judge(&state.store)?;
    Ok(json(&query::page(&state.store, &asked).await?))
}

async fn show(State(state): State<HttpState>, Name(call): Name) -> Result<Response, Problem> {
    Ok(json(&query::show(&state.store, &call).await?))
}

async fn export(
    State(state): State<HttpState>,
    Asked(asked): Asked<ListQuery>,
) -> Result<Response, Problem> {
    let asked = CdrQuery {
        rows: query::PAGE_ROWS_MAX,
        ..asked.judge(&state.store)?
    };
    let (pieces, response) = streamed("text/csv; charset=utf-8; header=present");
    tokio::spawn(send_all(state.store, asked, pieces));
    Ok(response)
}

async fn send_all(store: Store, mut asked: CdrQuery, mut pieces: Pieces) {
    if !pieces.send(csv_head()).await {
        return;
    }
    loop {
        let page = match query::page(&store, &asked).await {
            Ok(page) => page,
            Err(error) => {
                // The reader sees a body that breaks off.
                tracing::error!(%error, "CDRs were not exported to the end");
                return pieces.abort();
            }
        };
        let mut text = Vec::with_capacity(page.calls.len() * 256);
        for call in &page.calls {
            csv(call, &mut text);
        }
        if !text.is_empty() && !pieces.send(text).await {
            return;
        }
        match page.next.and_then(|next| next.parse().ok()) {
            Some(next) => asked.before = Some(next),
            None => return,
        }
    }
}

/// Hexadecimal digits of the id of a trunk or an extension.
const ID_DIGITS: usize = 12;

const READ: Needs = Needs::Scope(Scope::CdrRead);
const FILTERS: &[(&str, &str)] = &[
    (
        "from",
        "Only calls that began at this time or later (RFC 3339)",
    ),
    ("to", "Only calls that began before this time (RFC 3339)"),
    (
        "trunk",
        "Only calls with an attempt on this trunk, by id or label",
    ),
    ("link", "Only calls to this link, by its number"),
    (
        "cause",
        "Only calls that ended for this cause, such as `normal` or `busy`",
    ),
    ("cursor", "`next` of the page before"),
    ("limit", "Calls of a page, 1 to 1000; 100 by default"),
];

const LIST: Operation = Operation::new(
    Verb::Get,
    "/api/v1/cdrs",
    READ,
    "Records of calls, newest first",
)
.asking(FILTERS)
.answering(Content::Json(&CALLS))
.refusing(&[(422, "A word of the query is wrong.")]);

const SHOW: Operation = Operation::new(Verb::Get, "/api/v1/cdrs/{call}", READ, "One call")
    .answering(Content::Json(&CALL))
    .refusing(&[(404, "No such call.")]);

const EXPORT: Operation = Operation::new(
    Verb::Get,
    "/api/v1/export/cdrs",
    READ,
    "Records of calls as CSV, newest first",
)
.described("One line a call. A cell that a spreadsheet would take for a formula begins with an apostrophe.")
.asking(FILTERS)
.answering(Content::Text("text/csv"))
.refusing(&[(422, "A word of the query is wrong.")]);

const TEXT: Kind = Kind::Nullable(&Kind::Text);
const TIME: Kind = Kind::Nullable(&Kind::Time);
const WHOLE: Kind = Kind::Nullable(&Kind::Whole);

static CALLS: Schema = Schema::of::<CdrList>(
    "CallRecords",
    &[
        Field::new("calls", Kind::Objects(&CALL), "Newest first.", ""),
        Field::new(
            "next",
            TEXT,
            "Cursor of the next page; null: this is the last.",
            "\"7\"",
        ),
    ],
);

static CALL: Schema = Schema::of::<CdrCall>(
    "CallRecord",
    &[
        Field::new("call", Kind::Text, "Its name, in the log too.", "\"8f1c\""),
        Field::new(
            "opened_at",
            Kind::Time,
            "When the INVITE came.",
            "\"2026-01-01T00:00:00Z\"",
        ),
        Field::new(
            "answered_at",
            TIME,
            "When it was answered.",
            "\"2026-01-01T00:00:05Z\"",
        ),
        Field::new(
            "closed_at",
            TIME,
            "When it ended; null: it is open.",
            "\"2026-01-01T00:01:05Z\"",
        ),
        Field::new(
            "source",
            Kind::Text,
            "Name of the source, or id of the trunk.",
            "\"office\"",
        ),
        Field::new(
            "source_label",
            TEXT,
            "What that trunk is called now; null: it is none, or is gone.",
            "null",
        ),
        Field::new(
            "source_address",
            Kind::Text,
            "Where it came from.",
            "\"192.0.2.7:5060\"",
        ),
        Field::new(
            "call_id",
            Kind::Text,
            "The Call-ID header of the caller; of a placed call, of the INVITE to its first party.",
            "\"abc@192.0.2.7\"",
        ),
        Field::new(
            "request_path",
            Kind::Text,
            "What was asked for.",
            "\"support\"",
        ),
        Field::new(
            "caller",
            Kind::Text,
            "What the caller said it is.",
            "\"Ann\"",
        ),
        Field::new("link", WHOLE, "Number of the link.", "7"),
        Field::new(
            "status",
            WHOLE,
            "Final SIP status towards the caller.",
            "200",
        ),
        Field::new(
            "released_by",
            TEXT,
            "originating, terminating or gateway.",
            "\"originating\"",
        ),
        Field::new("cause", TEXT, "Why it ended, a stable word.", "\"normal\""),
        Field::new(
            "q850",
            WHOLE,
            "The Q.850 cause that the ending side gave in a Reason header.",
            "16",
        ),
        Field::new("media", Kind::Object(&MEDIA), "The caller's media.", ""),
        Field::new(
            "attempts",
            Kind::Objects(&ATTEMPT),
            "One for each trunk that was tried.",
            "",
        ),
    ],
);

static ATTEMPT: Schema = Schema::of::<CdrAttempt>(
    "AttemptRecord",
    &[
        Field::new("number", Kind::Whole, "1 and up.", "1"),
        Field::new(
            "leg",
            Kind::Text,
            "caller: the first party (`from`) of a placed call; callee: everybody else.",
            "\"callee\"",
        ),
        Field::new(
            "call_id",
            Kind::Text,
            "The Call-ID of its INVITE; empty where none left.",
            "\"4d0c@192.0.2.1\"",
        ),
        Field::new(
            "opened_at",
            Kind::Time,
            "When it began.",
            "\"2026-01-01T00:00:00Z\"",
        ),
        Field::new(
            "ringing_at",
            TIME,
            "First 101 to 199.",
            "\"2026-01-01T00:00:01Z\"",
        ),
        Field::new("answered_at", TIME, "The 2xx.", "\"2026-01-01T00:00:05Z\""),
        Field::new(
            "closed_at",
            TIME,
            "When it ended.",
            "\"2026-01-01T00:01:05Z\"",
        ),
        Field::new(
            "trunk",
            Kind::Text,
            "Id of the trunk, or `local`.",
            "\"tr_0123456789ab\"",
        ),
        Field::new(
            "trunk_label",
            TEXT,
            "What the trunk is called now, or the extension; null: it is gone.",
            "\"carrier\"",
        ),
        Field::new(
            "destination",
            Kind::Text,
            "As dialled.",
            "\"610@example.com\"",
        ),
        Field::new("caller_name", Kind::Text, "As sent.", "\"Web guest\""),
        Field::new(
            "caller_alias",
            Kind::Text,
            "As sent, with its number.",
            "\"web.17\"",
        ),
        Field::new("dialed", Kind::Boolean, "An INVITE left.", "true"),
        Field::new("status", WHOLE, "Final SIP status.", "200"),
        Field::new(
            "outcome",
            TEXT,
            "How it ended, a stable word.",
            "\"answered\"",
        ),
        Field::new(
            "released_by",
            TEXT,
            "originating, terminating or gateway.",
            "\"originating\"",
        ),
        Field::new(
            "q850",
            WHOLE,
            "The Q.850 cause that its peer gave in a Reason header.",
            "17",
        ),
        Field::new(
            "guard_reason",
            TEXT,
            "Why the fraud guard refused it; where it was dialled all the same, of a dry run.",
            "null",
        ),
        Field::new(
            "guard_rule",
            TEXT,
            "Id of the rule that decided so, or the name of the setting.",
            "null",
        ),
        Field::new("media", Kind::Object(&MEDIA), "The peer's media.", ""),
    ],
);

static MEDIA: Schema = Schema::of::<CdrMedia>(
    "MediaRecord",
    &[
        Field::new(
            "packets_received",
            WHOLE,
            "RTP packets from the peer.",
            "3000",
        ),
        Field::new("packets_sent", WHOLE, "RTP packets to the peer.", "3000"),
        Field::new("packets_lost", WHOLE, "Lost on the way to us.", "0"),
        Field::new(
            "jitter_ms",
            Kind::Nullable(&Kind::Number),
            "Interarrival jitter.",
            "0.4",
        ),
        Field::new(
            "round_trip_ms",
            Kind::Nullable(&Kind::Number),
            "To the peer and back, by RTCP; null where it sent no reports.",
            "23.1",
        ),
        Field::new(
            "mos",
            Kind::Nullable(&Kind::Number),
            "Mean opinion score of what the peer sent, by the E-model (ITU-T G.107), 1 to 4.5; null \
             without packets, and for codecs that have no figures.",
            "4.37",
        ),
        Field::new(
            "peer_packets_lost",
            WHOLE,
            "Lost on the way to the peer, as it reported.",
            "0",
        ),
        Field::new(
            "peer_jitter_ms",
            Kind::Nullable(&Kind::Number),
            "Jitter as the peer reported it.",
            "0.6",
        ),
        Field::new(
            "peer_mos",
            Kind::Nullable(&Kind::Number),
            "Score of what the peer heard.",
            "4.37",
        ),
        Field::new(
            "srtp",
            TEXT,
            "How sound and picture were protected: the name of the SRTP suite, or none for plain RTP; \
             where that changed, all that there was, the strongest first, with spaces between; null: \
             nothing was agreed.",
            "\"AES_CM_128_HMAC_SHA1_80\"",
        ),
    ],
);
