//! Who asks: the bearer token of a request (RFC 6750 §2.1), or the local socket. Every route names
//! its scope in its `Operation`; this file makes sure that nothing of a handler runs before it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use super::forwarded;
use super::guest::{Front, OverTls};
use super::problem::Problem;
use super::resolver;
use super::router::HttpState;
use super::tries::Tries;
use crate::tokens::model::{Token, TokenId};
use crate::tokens::scope::{Scope, Scopes};
use crate::tokens::store::touch;

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Over TCP, from this address.
    Network(IpAddr),
    /// Over TCP through a proxy, from this address as far as anybody who is trusted says.
    Forwarded(IpAddr),
    /// Over the Unix socket, or from inside this process: all scopes.
    Local,
}

impl Origin {
    /// Asked from this machine.
    pub(super) const fn is_this_machine(self) -> bool {
        match self {
            Self::Local => true,
            Self::Network(address) => address.to_canonical().is_loopback(),
            Self::Forwarded(_) => false,
        }
    }
}

/// The one who asks, with what it may do.
#[derive(Debug, Clone)]
pub(super) struct Access {
    token: Option<Arc<Token>>,
    client: Option<IpAddr>,
}

impl Access {
    /// # Errors
    /// The token has not this scope: 403, which names it.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes().has(scope) {
            Ok(())
        } else {
            Err(Problem::missing_scope(scope))
        }
    }

    /// Everything that it may do.
    pub(super) fn scopes(&self) -> Scopes {
        self.token
            .as_ref()
            .map_or(Scopes::ALL, |token| token.scopes)
    }

    /// The token; `None`: the local socket, which has no caps.
    pub(super) const fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// The address it came from; `None`: the local socket.
    pub(super) const fn client(&self) -> Option<IpAddr> {
        self.client
    }

    /// Who is named as the maker of what it makes.
    pub(super) fn label(&self) -> &str {
        match &self.token {
            Some(token) => &token.label,
            None => "command line",
        }
    }
}

/// What the token of a request turned out to be.
#[derive(Debug, Clone)]
struct Judged(Result<Access, Problem>);

impl<S: Sync> FromRequestParts<S> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Judged>() {
            Some(Judged(judged)) => judged.clone(),
            None => Err(unauthorized("No token came with the request.")),
        }
    }
}

/// Failed tries, and when each token was last noted as used.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tries: Mutex<Tries>,
    used: Mutex<HashMap<TokenId, Instant>>,
}

/// Finds out where every request comes from and judges its token, whatever it asks for, and gives
/// every answer the headers that all have.
pub(super) async fn authenticate(
    State(state): State<HttpState>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut in_the_clear = None;
    if let Some(peer) = request.extensions().get::<Origin>().copied() {
        in_the_clear = exposed(&state, peer, &request);
        let origin = forwarded::origin(peer, request.headers(), &state.trusted_proxies);
        let front = Front::of(
            &request,
            forwarded::is_trusted(peer, &state.trusted_proxies),
        );
        request.extensions_mut().insert(origin);
        request.extensions_mut().insert(front);
    }
    let judged = in_the_clear.map_or_else(|| judge(&state, &request), Err);
    request.extensions_mut().insert(Judged(judged));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// Lets a request through that may use this scope.
pub(super) async fn require(scope: Scope, request: Request, next: Next) -> Response {
    let allowed = match request.extensions().get::<Judged>() {
        Some(Judged(Ok(access))) => access.require(scope),
        Some(Judged(Err(problem))) => Err(problem.clone()),
        None => Err(unauthorized("No token came with the request.")),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request through that comes from this machine, or may use this scope.
pub(super) async fn require_machine_or(scope: Scope, request: Request, next: Next) -> Response {
    let origin = request.extensions().get::<Origin>();
    if origin.is_some_and(|origin| origin.is_this_machine()) {
        return next.run(request).await;
    }
    require(scope, request, next).await
}

/// Lets a request through that shows any good token.
pub(super) async fn require_any(request: Request, next: Next) -> Response {
    match request.extensions().get::<Judged>() {
        Some(Judged(Ok(_))) => next.run(request).await,
        Some(Judged(Err(problem))) => problem.clone().into_response(),
        None => unauthorized("No token came with the request.").into_response(),
    }
}

/// A token that crossed a network in the clear, though there is HTTPS to bring it by. It is not looked at: who
/// listened on the way has it, and nobody is to find out here whether it is good. What resolves links may come
/// either way.
fn exposed(state: &HttpState, peer: Origin, request: &Request) -> Option<Problem> {
    let port = state.https_port?;
    let Origin::Network(address) = peer else {
        return None;
    };
    let is_clear = request.extensions().get::<OverTls>().is_none()
        && !address.to_canonical().is_loopback()
        && !forwarded::is_trusted(peer, &state.trusted_proxies);
    let has_token = request.headers().contains_key(AUTHORIZATION);
    if !is_clear || !has_token || request.uri().path().starts_with(resolver::PREFIX) {
        return None;
    }
    tracing::debug!(%address, reason = TOKEN_IN_THE_CLEAR, "a token was not looked at");
    if let Some(node) = &state.node {
        node.http.tokens_refused.fetch_add(1, Ordering::Relaxed);
    }
    let detail = format!(
        "Bring it by HTTPS, at port {port}. Who listens on the way has seen this token: \
         `sluice tokens revoke` it and make another."
    );
    let problem = Problem::new(
        StatusCode::FORBIDDEN,
        TOKEN_IN_THE_CLEAR,
        "Tokens are taken by HTTPS only",
    );
    Some(problem.with_detail(detail))
}

fn judge(state: &HttpState, request: &Request) -> Result<Access, Problem> {
    let origin = request.extensions().get::<Origin>().copied();
    let client = match origin {
        Some(Origin::Local) => {
            return Ok(Access {
                token: None,
                client: None,
            });
        }
        Some(Origin::Network(address) | Origin::Forwarded(address)) => Some(address),
        None => None,
    };
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthorized(
            "Send one header `Authorization: Bearer sl_…`; `sluice tokens add` makes a token.",
        ));
    };
    let snapshot = state.store.snapshot();
    let Some(token) = bearer(value).and_then(|clear| snapshot.tokens.find(clear)) else {
        return Err(failed(
            state,
            client,
            "This token is not, or not any more, known.",
        ));
    };
    if token.is_expired(Timestamp::now()) {
        return Err(failed(state, client, "This token has expired."));
    }
    note_use(state, token.id);
    Ok(Access {
        token: Some(Arc::clone(token)),
        client,
    })
}

/// The clear text of `Bearer …`; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, clear) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| clear.trim_matches(' '))
}

/// A wrong token: counted for its source. A right one always passes, so that nobody can lock others
/// out who share an address with them.
fn failed(state: &HttpState, client: Option<IpAddr>, detail: &'static str) -> Problem {
    let Some(client) = client else {
        return unauthorized(detail);
    };
    let mut tries = state
        .watch
        .tries
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match tries.fail(Instant::now(), client) {
        Ok(()) => unauthorized(detail),
        Err(wait) => Problem::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_failed_tries",
            "Too many wrong tokens from your address",
        )
        .with_retry_after(wait),
    }
}

fn unauthorized(detail: &'static str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "A token is needed",
    )
    .with_detail(detail)
}

/// Notes the use of a token in the database, at most once a minute each, and waits for nothing.
fn note_use(state: &HttpState, id: TokenId) {
    let now = Instant::now();
    let mut used = state
        .watch
        .used
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let due = used
        .get(&id)
        .is_none_or(|last| now.duration_since(*last) >= NOTE_EVERY);
    if !due {
        return;
    }
    if used.len() >= NOTED_MAX {
        used.clear();
    }
    used.insert(id, now);
    drop(used);
    let store = state.store.clone();
    tokio::spawn(async move {
        if let Err(error) = touch(&store, id, Timestamp::now()).await {
            tracing::debug!(%error, "the use of a token was not noted");
        }
    });
}

/// Why a token that came by HTTP is not looked at.
pub const TOKEN_IN_THE_CLEAR: &str = "token_in_the_clear";
/// How exactly the last use of a token is known.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// Tokens whose use is remembered: as many as there may be.
const NOTED_MAX: usize = 1_000;
