//! `/api/v1/calls`: calls that are up, and calls to be placed. What is decided is decided by call
//! control; this file reads orders and writes answers.

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::access::Access;
use super::answer::{created, done, json};
use super::body::{Asked, Body, Name};
use super::call_ladder::{LadderShape, text};
use super::call_schema::{CALL, CALL_PAGE, PLACE, TRUNK_STATE};
use super::call_shape::{CallPageShape, CallShape, TrunkStateShape, state_named};
use super::problem::Problem;
use super::resolver::refusal_of;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use crate::call::command::{
    Command, CommandOutcome, CommandRefusal, Grant, Idempotency, ListCalls, PAGE_CALLS_MAX, Party,
    PlaceCall, PlaceTo,
};
use crate::field_errors::FieldErrors;
use crate::links::model::Destination;
use crate::links::resolve::ResolveRefusal;
use crate::links::rules;
use crate::tokens::scope::Scope;

/// The header that makes two orders one.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Octets of it.
pub(crate) const IDEMPOTENCY_KEY_OCTETS_MAX: usize = 128;
/// Calls of a page, where nobody says otherwise.
const PAGE_CALLS: usize = 50;
/// The cause in the record of a call that is ended here.
const ENDED: &str = "ended_by_api";
/// Hexadecimal digits of a call's id.
const CALL_ID_DIGITS: usize = 32;
/// Whose orders they are that come by the local socket.
const LOCAL: &str = "local";

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(PLACE_CALL, place)
        .with(LIST, list)
        .with(SHOW, show)
        .with(END, end)
        .with(LADDER, ladder)
        .with(TRUNK_STATES, trunk_state)
}

/// An order for a call: `from` is dialled first, and joined with a link or a party.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceDraft {
    from: String,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    trunk: Option<String>,
    #[serde(default)]
    caller_name: Option<String>,
    #[serde(default)]
    caller_alias: Option<String>,
}

async fn place(
    State(state): State<HttpState>,
    access: Access,
    headers: HeaderMap,
    Body(draft): Body<PlaceDraft>,
) -> Result<Response, Problem> {
    let idempotency = idempotency(&headers, &draft)?;
    let from = check(&draft)?;
    let to = second_party(&state, &draft).await?;
    let order = PlaceCall {
        grant: grant(&access),
        client: access.client(),
        idempotency,
        from,
        to,
    };
    let outcome = ask(&state, Command::Place(Box::new(order))).await?;
    let CommandOutcome::Placed { call, repeated } = outcome else {
        return Err(unexpected(&outcome));
    };
    let location = format!("/api/v1/calls/{}", call.id);
    let (id, shape) = (call.id.clone(), CallShape::from(*call));
    let mut response = created(&location, &shape);
    if repeated {
        *response.status_mut() = StatusCode::OK;
    } else {
        tracing::info!(call = id, by = access.label(), "a call is placed");
    }
    Ok(response)
}

/// Every field that cannot be, at once; the first party where all are right.
fn check(draft: &PlaceDraft) -> Result<Party, Problem> {
    let mut errors = FieldErrors::new();
    let from = party(&draft.from);
    if from.is_none() {
        errors.add("from", &draft.from, PARTY);
    }
    match (&draft.link, &draft.to) {
        (Some(_), Some(to)) => errors.add("to", to, "nothing where a link is named"),
        (None, None) => errors.add("to", "", "a link or a second party"),
        (None, Some(to)) if party(to).is_none() => errors.add("to", to, PARTY),
        (Some(_), None) | (None, Some(_)) => {}
    }
    let own = [
        ("trunk", &draft.trunk),
        ("caller_name", &draft.caller_name),
        ("caller_alias", &draft.caller_alias),
    ];
    for (field, found) in own {
        if let (Some(found), Some(_)) = (found, &draft.link) {
            errors.add(
                field,
                found,
                "nothing where a link is named: it has its own",
            );
        }
    }
    if let Some(name) = draft.caller_name.as_ref()
        && !rules::is_display_text(name)
    {
        errors.add("caller_name", name, rules::DISPLAY_TEXT);
    }
    if let Some(alias) = draft.caller_alias.as_ref()
        && !rules::is_alias(alias)
    {
        errors.add("caller_alias", alias, rules::ALIAS);
    }
    match from {
        Some(from) if errors.is_empty() => Ok(from),
        Some(_) | None => Err(errors.into()),
    }
}

/// A user, a user at a domain, or the URI of one. It names whom, never the way there.
fn party(text: &str) -> Option<Party> {
    let bare = ["sip:", "sips:", "tel:"]
        .iter()
        .find_map(|scheme| {
            let (head, rest) = text.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        })
        .unwrap_or(text);
    match bare.parse() {
        Ok(Destination::Remote { user, domain }) => Some(Party { user, domain }),
        Ok(Destination::Echo | Destination::Tone) | Err(_) => None,
    }
}

async fn second_party(state: &HttpState, draft: &PlaceDraft) -> Result<PlaceTo, Problem> {
    if let Some(path) = &draft.link {
        let resolved = state.store.resolve(path, None, Timestamp::now()).await;
        return match resolved {
            Ok(link) => Ok(PlaceTo::Link(Box::new(link))),
            Err(refusal) => Err(refusal_of(refusal)),
        };
    }
    let trunk = draft.trunk.as_deref();
    let trunk = trunk.map(|named| trunk_id(state, named)).transpose()?;
    let to = draft.to.as_deref().and_then(party);
    let snapshot = state.store.snapshot();
    let settings = &snapshot.settings;
    Ok(PlaceTo::Party {
        party: to.ok_or_else(|| Problem::invalid(FieldErrors::new()))?,
        trunk,
        caller_name: draft
            .caller_name
            .clone()
            .unwrap_or_else(|| settings.default_caller_name.clone()),
        caller_alias: draft
            .caller_alias
            .clone()
            .unwrap_or_else(|| settings.default_caller_alias.clone()),
    })
}

/// The id of the trunk that has it, or this label.
fn trunk_id(state: &HttpState, named: &str) -> Result<String, Problem> {
    let snapshot = state.store.snapshot();
    let mut trunks = snapshot.trunks.iter();
    let found = trunks.find(|trunk| trunk.id == named || trunk.label == named);
    found.map(|trunk| trunk.id.clone()).ok_or_else(|| {
        let mut errors = FieldErrors::new();
        errors.add("trunk", named, "the id or label of a trunk");
        errors.into()
    })
}

fn grant(access: &Access) -> Grant {
    match access.token() {
        None => Grant::unlimited(LOCAL),
        Some(token) => Grant {
            token: token.id.to_string(),
            trunks: (!token.trunks.is_empty()).then(|| token.trunks.clone()),
            calls_per_minute: token.calls_per_minute,
            concurrent_calls: token.concurrent_calls,
        },
    }
}

fn idempotency(headers: &HeaderMap, draft: &PlaceDraft) -> Result<Option<Idempotency>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(bad_key());
    };
    let Some(value) = value else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).ok_or_else(bad_key)?;
    if !(1..=IDEMPOTENCY_KEY_OCTETS_MAX).contains(&key.len()) {
        return Err(bad_key());
    }
    let order = serde_json::to_vec(draft).map_err(|_unwritable| bad_key())?;
    Ok(Some(Idempotency {
        key: key.to_owned(),
        digest: Sha256::digest(order).into(),
    }))
}

fn bad_key() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_idempotency_key",
        "The header Idempotency-Key is not one",
    )
    .with_detail(format!(
        "One header with 1 to {IDEMPOTENCY_KEY_OCTETS_MAX} visible characters is accepted."
    ))
}

/// Which calls, in words of the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    after: Option<u64>,
    limit: Option<usize>,
    trunk: Option<String>,
    link: Option<i64>,
    state: Option<String>,
}

async fn list(
    State(state): State<HttpState>,
    Asked(query): Asked<ListQuery>,
) -> Result<Response, Problem> {
    let state_named = match query.state.as_deref().map(|word| (word, state_named(word))) {
        Some((word, None)) => {
            let mut errors = FieldErrors::new();
            errors.add("state", word, "calling, ringing, connecting or connected");
            return Err(errors.into());
        }
        Some((_, found)) => found,
        None => None,
    };
    let trunk = query.trunk.as_deref();
    let list = ListCalls {
        after: query.after,
        limit: query.limit.unwrap_or(PAGE_CALLS).clamp(1, PAGE_CALLS_MAX),
        trunk: trunk.map(|named| trunk_id(&state, named)).transpose()?,
        link: query.link,
        state: state_named,
    };
    let outcome = ask(&state, Command::List(list)).await?;
    let CommandOutcome::Calls(page) = outcome else {
        return Err(unexpected(&outcome));
    };
    Ok(json(&CallPageShape::from(page)))
}

async fn show(State(state): State<HttpState>, Name(call): Name) -> Result<Response, Problem> {
    let call = call_id(call)?;
    let outcome = ask(&state, Command::Show { call }).await?;
    let CommandOutcome::Call(call) = outcome else {
        return Err(unexpected(&outcome));
    };
    Ok(json(&CallShape::from(*call)))
}

async fn end(
    State(state): State<HttpState>,
    access: Access,
    Name(call): Name,
) -> Result<Response, Problem> {
    let call = call_id(call)?;
    let id = call.clone();
    let cause = ENDED;
    ask(&state, Command::End { call, cause }).await?;
    tracing::info!(call = id, by = access.label(), "a call is ended");
    Ok(done())
}

async fn trunk_state(State(state): State<HttpState>, Name(id): Name) -> Result<Response, Problem> {
    let snapshot = state.store.snapshot();
    let mut known = snapshot.trunks.iter();
    if !known.any(|trunk| trunk.id == id || trunk.label == id) {
        return Err(Problem::not_found("trunk", &id));
    }
    let outcome = ask(&state, Command::ListTrunkStates).await?;
    let CommandOutcome::TrunkStates(states) = outcome else {
        return Err(unexpected(&outcome));
    };
    let mut states = states.iter();
    let found = states.find(|trunk| trunk.id == id || trunk.label == id);
    found
        .map(|trunk| json(&TrunkStateShape::from(trunk)))
        .ok_or_else(|| Problem::not_found("trunk", &id))
}

/// The id of a call: what is none is no call, whoever is asked.
fn call_id(name: String) -> Result<String, Problem> {
    let is_id = name.len() == CALL_ID_DIGITS && name.bytes().all(|octet| octet.is_ascii_hexdigit());
    if is_id {
        Ok(name)
    } else {
        Err(refused(CommandRefusal::NoSuchCall))
    }
}

/// The messages of a call, as text for people or JSON for programs.
async fn ladder(
    State(state): State<HttpState>,
    headers: HeaderMap,
    Name(call): Name,
) -> Result<Response, Problem> {
    let call = call_id(call)?;
    let outcome = ask(&state, Command::Ladder { call }).await?;
    let CommandOutcome::Ladder(ladder) = outcome else {
        return Err(unexpected(&outcome));
    };
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        return Ok(json(&LadderShape::new(&ladder)));
    }
    let mut response = text(&ladder).into_response();
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    Ok(response)
}

pub(super) async fn ask(state: &HttpState, command: Command) -> Result<CommandOutcome, Problem> {
    let Some(calls) = &state.calls else {
        return Err(refused(CommandRefusal::Stopped));
    };
    calls.ask(command).await.map_err(refused)
}

/// Call control answers each command in its own words.
pub(super) fn unexpected(outcome: &CommandOutcome) -> Problem {
    tracing::error!(?outcome, "the answer to another command");
    refused(CommandRefusal::Lost)
}

pub(super) fn refused(refusal: CommandRefusal) -> Problem {
    let (status, title) = match refusal {
        CommandRefusal::Busy => (503, "Too much is asked at once"),
        CommandRefusal::Stopped => (503, "No calls are handled here now"),
        CommandRefusal::Lost => (500, "A fault of ours lost the answer"),
        CommandRefusal::Draining => (503, "This node takes no new calls"),
        CommandRefusal::NoSuchCall => (404, "No such call"),
        CommandRefusal::NoSuchTrunk => (404, "No such trunk"),
        CommandRefusal::NoLadder => (404, "No messages of such a call are kept"),
        CommandRefusal::TokenTrunk => (403, "This token may not use the trunk"),
        CommandRefusal::TokenCallsPerMinute => (429, "This token has placed enough calls"),
        CommandRefusal::TokenConcurrentCalls => (429, "This token has enough calls"),
        CommandRefusal::IdempotencyConflict => (409, "The key stands for another order"),
        CommandRefusal::UnknownLink => return refusal_of(ResolveRefusal::Unknown),
        CommandRefusal::Unplaced { status, .. } => {
            (http_status(status), "The call cannot be placed")
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let problem = Problem::new(status, refusal.as_str(), title);
    let problem = match refusal {
        CommandRefusal::Unplaced { status, cause, .. } => {
            problem.with_detail(unplaced(status, cause))
        }
        CommandRefusal::Busy
        | CommandRefusal::Stopped
        | CommandRefusal::Lost
        | CommandRefusal::Draining
        | CommandRefusal::NoSuchCall
        | CommandRefusal::NoSuchTrunk
        | CommandRefusal::NoLadder
        | CommandRefusal::TokenTrunk
        | CommandRefusal::TokenCallsPerMinute
        | CommandRefusal::TokenConcurrentCalls
        | CommandRefusal::IdempotencyConflict
        | CommandRefusal::UnknownLink => problem,
    };
    match refusal.retry_after() {
        Some(after) => problem.with_retry_after(after),
        None => problem,
    }
}

/// Why a call could not begin, and where to look.
fn unplaced(status: u16, cause: &str) -> String {
    let hint = match cause {
        "guard_not_named" => {
            ": no link, rule or setting guard.allow_prefixes names a party; guard explain says more"
        }
        guard if guard.starts_with("guard_") => ": guard explain says which rule decides",
        "no_trunk" => ": no trunk that is enabled carries a party",
        "trunks_unavailable" => ": each trunk that carries a party is down or full",
        _ => "",
    };
    format!("The call cannot be placed: {status} {cause}{hint}")
}

/// What a SIP status is to somebody who ordered the call: nothing at this URL is missing where a
/// party is, and a rate of the guard is a rate.
const fn http_status(sip: u16) -> u16 {
    match sip {
        403 => 403,
        480 => 429,
        400..=499 => 422,
        _ => 503,
    }
}

const PARTY: &str = "user, user@domain, sip:user@domain or tel:number";

const PLACE_CALL: Operation = Operation::new(
    Verb::Post,
    "/api/v1/calls",
    Needs::Scope(Scope::CallsCreate),
    "Place a call",
)
.described(
    "`from` is dialled first; when it answers it hears ringback, and `to` or what `link` reaches is \
     dialled. The answer comes at once, with the call in state `calling`. With a header \
     Idempotency-Key of 1 to 128 characters the same order sent again within ten minutes is \
     answered 200 with the call that it became.",
)
.taking(Content::Json(&PLACE))
.answering(Content::Json(&CALL))
.refusing(&[
    (404, "No such link."),
    (409, "The Idempotency-Key stands for another order."),
    (410, "The link is disabled or has expired."),
    (422, "A field is wrong, or no trunk carries a party."),
]);

const LIST: Operation = Operation::new(
    Verb::Get,
    "/api/v1/calls",
    Needs::Scope(Scope::CallsRead),
    "Calls that are up or being set up, oldest first",
)
.asking(&[
    ("after", "`next` of the page before."),
    (
        "limit",
        "Calls on a page, 50 unless said otherwise, 200 at most.",
    ),
    (
        "trunk",
        "Only calls with a leg on this trunk, by id or label.",
    ),
    ("link", "Only calls of this link, by id."),
    (
        "state",
        "Only calls that are calling, ringing, connecting or connected.",
    ),
])
.answering(Content::Json(&CALL_PAGE));

const SHOW: Operation = Operation::new(
    Verb::Get,
    "/api/v1/calls/{id}",
    Needs::Scope(Scope::CallsRead),
    "One call",
)
.described("A placed call can be asked for until ten minutes after its end.")
.answering(Content::Json(&CALL))
.refusing(&[(404, "No such call.")]);

const END: Operation = Operation::new(
    Verb::Delete,
    "/api/v1/calls/{id}",
    Needs::Scope(Scope::CallsEnd),
    "End a call, whatever its state",
)
.refusing(&[(404, "No such call.")]);

const LADDER: Operation = Operation::new(
    Verb::Get,
    "/api/v1/calls/{id}/ladder",
    Needs::Scope(Scope::CallsRead),
    "The SIP messages of a call",
)
.described(
    "As text; as a JSON object with `call`, `dropped` and `messages` where Accept names \
     application/json. Answers to challenges, nonces, keys of media and digits are masked. Kept \
     until five minutes after the end of the call, as far as there is room.",
)
.answering(Content::Text("text/plain"))
.refusing(&[(404, "No messages of such a call are kept.")]);

const TRUNK_STATES: Operation = Operation::new(
    Verb::Get,
    "/api/v1/trunks/{id}/state",
    Needs::Scope(Scope::TrunksRead),
    "How a trunk is now",
)
.answering(Content::Json(&TRUNK_STATE))
.refusing(&[(404, "No such trunk.")]);
