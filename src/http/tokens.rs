//! `/api/v1/tokens`: who may ask this node for what.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::access::Access;
use super::answer::{created, done, json};
use super::body::{Body, Name};
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Field, Kind, Schema};
use crate::tokens::api::{TokenList, TokenShape};
use crate::tokens::draft::TokenDraft;
use crate::tokens::model::TokenId;
use crate::tokens::scope::{Scope, Scopes};
use crate::tokens::store;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(LIST, list)
        .with(ADD, add)
        .with(SHOW, show)
        .with(REVOKE, revoke)
        .with(SELF, own)
}

async fn list(State(state): State<HttpState>) -> Result<Response, Problem> {
    let tokens = store::list(&state.store).await?;
    let shapes = tokens
        .iter()
        .map(|(token, used)| TokenShape::new(token, *used));
    Ok(json(&TokenList {
        tokens: shapes.collect(),
    }))
}

async fn add(
    State(state): State<HttpState>,
    access: Access,
    Body(draft): Body<TokenDraft>,
) -> Result<Response, Problem> {
    not_more_than(&access, &draft)?;
    let parent = access.token().map(|token| token.id);
    let (token, clear) = store::add(&state.store, &draft, access.label(), parent).await?;
    tracing::info!(token.id, label = token.label, scopes = %token.scopes, "a token was made");
    let shape = TokenShape {
        token: Some(clear),
        ..TokenShape::new(&token, None)
    };
    Ok(created(&format!("/api/v1/tokens/{}", token.id), &shape))
}

/// A token makes none that may do more than itself.
fn not_more_than(access: &Access, draft: &TokenDraft) -> Result<(), Problem> {
    let wanted = draft
        .scopes
        .iter()
        .try_fold(Scopes::default(), |scopes, word| scopes.with(word));
    // Wrong words are named with all other wrong fields later.
    let wanted = wanted.unwrap_or_default();
    let refused = |detail: &'static str| {
        Problem::new(
            StatusCode::FORBIDDEN,
            "more_than_own",
            "A token makes none that may do more than itself",
        )
        .with_detail(detail)
    };
    if !access.scopes().covers(wanted) {
        return Err(refused("Name only scopes that your own token has."));
    }
    let Some(own) = access.token() else {
        return Ok(());
    };
    let more_trunks = !own.trunks.is_empty()
        && (draft.trunks.is_empty() || draft.trunks.iter().any(|id| !own.may_use_trunk(id)));
    if more_trunks {
        return Err(refused("Name trunks, by id, that your own token may use."));
    }
    // Each child would have the caps for itself, and there may be hundreds.
    let has_cap = own.calls_per_minute.is_some() || own.concurrent_calls.is_some();
    if has_cap && wanted.has(Scope::CallsCreate) {
        return Err(refused(
            "Your own token has caps on calls: it makes none that may place calls.",
        ));
    }
    if own
        .expires_at
        .is_some_and(|own| !ends_by(own, draft.expires_at.as_deref()))
    {
        return Err(refused(
            "Name a time expires_at no later than your own token's.",
        ));
    }
    Ok(())
}

/// A wrong time is named with all other wrong fields later.
fn ends_by(end: Timestamp, wanted: Option<&str>) -> bool {
    let wanted = wanted.map(str::parse::<Timestamp>);
    match wanted {
        None => false,
        Some(Ok(wanted)) => wanted <= end,
        Some(Err(_not_a_time)) => true,
    }
}

async fn show(State(state): State<HttpState>, Name(id): Name) -> Result<Response, Problem> {
    let (token, used) = store::get(&state.store, token_id(&id)?).await?;
    Ok(json(&TokenShape::new(&token, used)))
}

async fn revoke(State(state): State<HttpState>, Name(id): Name) -> Result<Response, Problem> {
    let id = token_id(&id)?;
    store::revoke(&state.store, id).await?;
    tracing::info!(token.id = id, "a token was revoked");
    Ok(done())
}

async fn own(State(state): State<HttpState>, access: Access) -> Result<Response, Problem> {
    let Some(token) = access.token() else {
        return Err(Problem::not_found("token", "self")
            .with_detail("You came by the local socket, which needs none and may do everything."));
    };
    let (token, used) = store::get(&state.store, token.id).await?;
    Ok(json(&TokenShape::new(&token, used)))
}

fn token_id(text: &str) -> Result<TokenId, Problem> {
    text.parse()
        .map_err(|_not_a_number| Problem::not_found("token", text))
}

const NEEDS: Needs = Needs::Scope(Scope::TokensWrite);

const LIST: Operation = Operation::new(Verb::Get, "/api/v1/tokens", NEEDS, "All tokens")
    .answering(Content::Json(&TOKENS));

const ADD: Operation = Operation::new(Verb::Post, "/api/v1/tokens", NEEDS, "Make a token")
    .described("`token` of the answer is its clear text. It is shown this once and stored nowhere.")
    .taking(Content::Json(&DRAFT))
    .answering(Content::Json(&TOKEN));

const SHOW: Operation = Operation::new(Verb::Get, "/api/v1/tokens/{id}", NEEDS, "One token")
    .answering(Content::Json(&TOKEN))
    .refusing(&[(404, "No such token.")]);

const REVOKE: Operation =
    Operation::new(Verb::Delete, "/api/v1/tokens/{id}", NEEDS, "Revoke a token")
        .described(
            "The next request with it is refused, and with every token that it has made, or that \
             one of these has.",
        )
        .refusing(&[(404, "No such token.")]);

const SELF: Operation = Operation::new(
    Verb::Get,
    "/api/v1/token",
    Needs::Token,
    "The token that asks",
)
.answering(Content::Json(&TOKEN))
.refusing(&[(404, "The local socket has no token.")]);

const CAP: Kind = Kind::Nullable(&Kind::Whole);
const TIME: Kind = Kind::Nullable(&Kind::Time);

static DRAFT: Schema = Schema::of::<TokenDraft>(
    "TokenDraft",
    &[
        Field::new("label", Kind::Text, "Whose it is.", "\"booking portal\""),
        Field::new(
            "scopes",
            Kind::Texts,
            "What it may do; `links:*` for all of a kind, `*` for everything.",
            "[\"links:read\", \"resolve\"]",
        ),
        Field::optional(
            "trunks",
            Kind::Texts,
            "Ids or labels of the trunks that its calls may use; none: all.",
            "[]",
        ),
        Field::optional(
            "calls_per_minute",
            CAP,
            "Calls that it may place a minute.",
            "30",
        ),
        Field::optional("concurrent_calls", CAP, "Calls of it at once.", "5"),
        Field::optional(
            "expires_at",
            TIME,
            "Not from this time on.",
            "\"2036-12-31T23:00:00Z\"",
        ),
    ],
);

static TOKEN: Schema = Schema::of::<TokenShape>(
    "Token",
    &[
        Field::new("id", Kind::Whole, "Its number.", "7"),
        Field::new("label", Kind::Text, "Whose it is.", "\"booking portal\""),
        Field::new(
            "scopes",
            Kind::Texts,
            "What it may do.",
            "[\"links:read\", \"resolve\"]",
        ),
        Field::new(
            "trunks",
            Kind::Texts,
            "Ids of the trunks that its calls may use; none: all.",
            "[]",
        ),
        Field::new(
            "calls_per_minute",
            CAP,
            "Calls that it may place a minute; null: no cap.",
            "30",
        ),
        Field::new(
            "concurrent_calls",
            CAP,
            "Calls of it at once; null: no cap.",
            "5",
        ),
        Field::new(
            "expires_at",
            TIME,
            "Not from this time on.",
            "\"2036-12-31T23:00:00Z\"",
        ),
        Field::new(
            "created_by",
            Kind::Text,
            "Label of the token that made it.",
            "\"command line\"",
        ),
        Field::new(
            "parent",
            Kind::Nullable(&Kind::Whole),
            "Number of the token that made it, and is revoked with it; null: the local socket.",
            "null",
        ),
        Field::new(
            "created_at",
            Kind::Time,
            "When it was made.",
            "\"2026-01-01T00:00:00Z\"",
        ),
        Field::new(
            "last_used_at",
            TIME,
            "When it was used last, to the minute.",
            "null",
        ),
        Field::optional(
            "token",
            Kind::Text,
            "The clear text; only in the answer to its making.",
            "\"sl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
        ),
    ],
);

static TOKENS: Schema = Schema::of::<TokenList>(
    "Tokens",
    &[Field::new("tokens", Kind::Objects(&TOKEN), "By id.", "")],
);
