//! What a request brings: its body within bounds of size, depth and time, the name in its path, the
//! words of its query.

use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::json;
use super::problem::Problem;

/// A JSON body of ours. Unknown and read-only fields are refused by name, so that nothing can be set
/// that the type does not offer.
#[derive(Debug)]
pub(super) struct Body<T, const OCTETS: usize = BODY_OCTETS_MAX>(pub(super) T);

impl<T: DeserializeOwned, S: Sync, const OCTETS: usize> FromRequest<S> for Body<T, OCTETS> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        require_type(&request, &["application/json"])?;
        let text = read(request, OCTETS).await?;
        Ok(Self(json::parse(&text)?))
    }
}

/// Refuses a body that says to be something else.
pub(super) fn require_type(request: &Request, accepted: &[&str]) -> Result<(), Problem> {
    let named = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(str::trim);
    if named.is_some_and(|named| accepted.iter().any(|word| named.eq_ignore_ascii_case(word))) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        "This kind of body is not read here",
    )
    .with_detail(format!("Send Content-Type: {}.", accepted.join(" or "))))
}

/// Reads a body whole.
pub(super) async fn read(request: Request, octets_max: usize) -> Result<Bytes, Problem> {
    let body = Limited::new(request.into_body(), octets_max).collect();
    match tokio::time::timeout(BODY_TIME_MAX, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(octets_max)),
        Ok(Err(_broken)) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "broken_body",
            "The body ended before its end",
        )),
        Err(_elapsed) => Err(slow()),
    }
}

/// The body did not come in time.
pub(super) fn slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow_body",
        "The body took too long",
    )
}

fn too_large(octets_max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is too large",
    )
    .with_detail(format!("At most {octets_max} octets are read."))
}

/// The one name in the path of a request: an id, a key, a request path. Decoded, without control
/// characters, at most [`NAME_OCTETS_MAX`] octets.
#[derive(Debug)]
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let name = params
            .iter()
            .flatten()
            .next()
            .map(|(_, name)| name.to_owned());
        match name {
            Some(name) if is_name(&name) => Ok(Self(name)),
            Some(_) | None => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_name",
                "The last part of the path names nothing",
            )
            .with_detail(format!(
                "1 to {NAME_OCTETS_MAX} octets of UTF-8 without control characters are accepted."
            ))),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_OCTETS_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// The words of a query; unknown ones are refused.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(asked)) => Ok(Self(asked)),
            Err(rejection) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "bad_query",
                "The query has a word that is not known or not right",
            )
            .with_detail(rejection.body_text())),
        }
    }
}

/// Octets of a JSON body.
pub(super) const BODY_OCTETS_MAX: usize = 64 * 1024;
/// Octets of a JSON body that holds a whole list.
pub(super) const LIST_OCTETS_MAX: usize = 4 * 1024 * 1024;
/// From the first to the last octet of a body.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// Octets of a name in a path: as long as a request path may be.
pub(super) const NAME_OCTETS_MAX: usize = 255;
