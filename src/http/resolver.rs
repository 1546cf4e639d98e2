//! `GET /api/v1/resolve/{request path}`: what a call to this path would be, for programs that place
//! it themselves. It places nothing and takes no alias number.

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization as _;

use super::access::Access;
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use crate::links::api::ResolvedShape;
use crate::links::resolve::ResolveRefusal;
use crate::tokens::scope::Scope;

/// What stands before the request path.
pub(super) const PREFIX: &str = "/api/v1/resolve/";

const RESOLVE: Operation = Operation::new(
    Verb::Get,
    "/api/v1/resolve/{+path}",
    Needs::Resolve,
    "What a call to a request path would be",
)
.described(
    "For programs that place the call themselves: destination, caller ID, called ID, time window. \
     It places nothing and takes no alias number.",
)
.asking(&[(
    "callerName",
    "The name that the guest gives itself; changes nothing where the link does not allow it \
     (`allow_custom_caller_name`), or where it is no name: 1 to 128 characters of UTF-8 without \
     control characters",
)])
.answering(Content::AnyJson)
.refusing(&[
    (
        403,
        "The link is not valid yet, or the token has not the scope.",
    ),
    (404, "No such link."),
    (410, "The link is disabled or has expired."),
]);

pub(super) fn routes() -> Routes {
    Routes::new().with(RESOLVE, resolve)
}

async fn resolve(
    State(state): State<HttpState>,
    access: Result<Access, Problem>,
    request: Request,
) -> Response {
    if !state.resolve_open
        && let Err(problem) = access.and_then(|access| access.require(Scope::Resolve))
    {
        return problem.into_response();
    }
    let raw = request
        .uri()
        .path()
        .strip_prefix(PREFIX)
        .unwrap_or_default();
    let Some(path) = decode(raw) else {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            "bad_request_path",
            "Not a request path",
        )
        .with_detail("Percent-encoded UTF-8 is expected.")
        .into_response();
    };
    let guest = match caller_name(request.uri().query().unwrap_or_default()) {
        Ok(guest) => guest,
        Err(word) => return unknown_word(word).into_response(),
    };
    let mut resolved = state.store.resolve(&path, None, Timestamp::now()).await;
    if let (Ok(resolved), Some(guest)) = (&mut resolved, &guest) {
        resolved.name_guest(guest);
    }
    match resolved {
        Ok(resolved) => match serde_json::to_vec(&ResolvedShape::from(&resolved)) {
            Ok(body) => answer(body),
            Err(error) => {
                tracing::error!(%error, "a resolved link could not be written as JSON");
                refuse(ResolveRefusal::Unavailable)
            }
        },
        Err(refusal) => refuse(refusal),
    }
}

fn answer(body: Vec<u8>) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(refusal: ResolveRefusal) -> Response {
    refusal_of(refusal).into_response()
}

/// The statuses of PRODUCT §1.
pub(super) const fn status_of(refusal: ResolveRefusal) -> StatusCode {
    match refusal {
        ResolveRefusal::Unknown => StatusCode::NOT_FOUND,
        ResolveRefusal::Dead => StatusCode::GONE,
        ResolveRefusal::NotYetValid(_) => StatusCode::FORBIDDEN,
        ResolveRefusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// A refusal as programs read it.
pub(super) fn refusal_of(refusal: ResolveRefusal) -> Problem {
    let problem = |title| Problem::new(status_of(refusal), refusal.as_str(), title);
    match refusal {
        ResolveRefusal::Unknown => problem("No such link"),
        ResolveRefusal::Dead => problem("This link is no longer valid"),
        ResolveRefusal::NotYetValid(after) => {
            problem("This link is not valid yet").with_start(after)
        }
        ResolveRefusal::Unavailable => problem("Links cannot be read now"),
    }
}

/// Percent-decoding (RFC 3986 §2.1) and NFC. `None`: a broken escape, or no UTF-8.
pub(super) fn decode(raw: &str) -> Option<String> {
    if raw.is_ascii() && !raw.contains('%') {
        return Some(raw.to_owned());
    }
    let mut octets = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => hexadecimal(rest.next()?)? << 4 | hexadecimal(rest.next()?)?,
            other => other,
        });
    }
    Some(String::from_utf8(octets).ok()?.nfc().collect())
}

/// The first `callerName` of a query; `None`: there is none, or nobody can read it.
///
/// # Errors
/// A word that means nothing here.
fn caller_name(query: &str) -> Result<Option<String>, &str> {
    let mut raw = None;
    for word in query.split('&').filter(|word| !word.is_empty()) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("callerName", value) => raw = raw.or(Some(value)),
            (other, _) => return Err(other),
        }
    }
    // A form writes a space as `+` (WHATWG URL §5.1).
    Ok(raw.and_then(|raw| decode(&raw.replace('+', " "))))
}

fn unknown_word(word: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad_query",
        "The query has a word that is not known or not right",
    )
    .with_detail(format!(
        "`{}` is none; callerName is.",
        word.escape_default()
    ))
}

const fn hexadecimal(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_caller_name_counts_and_a_broken_one_is_none() {
        for (query, name) in [
            ("callerName=Ann", Some("Ann")),
            ("&callerName=Ann+Lee&callerName=Eve", Some("Ann Lee")),
            ("callerName=J%C3%B6rg%20%2B%26%3D", Some("J\u{f6}rg +&=")),
            ("callerName=Jo%CC%88rg", Some("J\u{f6}rg")),
            ("callerName=", Some("")),
            ("callerName", Some("")),
            ("", None),
            ("callerName=%", None),
            ("callerName=%4", None),
            ("callerName=%ff", None),
        ] {
            let found = caller_name(query).unwrap();
            assert_eq!(found.as_deref(), name, "{query}");
        }
        for (query, word) in [("callername=Ann", "callername"), ("callerName=a&b", "b")] {
            assert_eq!(caller_name(query), Err(word), "{query}");
        }
    }

    #[test]
    fn paths_are_decoded_once_and_normalised() {
        for (raw, path) in [
            ("echo", Some("echo")),
            ("J%C3%B6rg", Some("J\u{f6}rg")),
            ("Jo%CC%88rg", Some("J\u{f6}rg")),
            ("a%2525", Some("a%25")),
            ("a%2Fb", Some("a/b")),
            ("a+b", Some("a+b")),
            ("", Some("")),
            ("%", None),
            ("%4", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(raw).as_deref(), path, "{raw}");
        }
    }
}
