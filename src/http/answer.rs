//! Answers that are no refusal: JSON, 201 with its Location, and the tag of what several people may
//! change.

use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::storage::StorageError;

/// An answer with a JSON body.
pub(super) fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => {
            let mut response = text.into_response();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unwritable",
                "The answer could not be written",
            )
            .into_response()
        }
    }
}

/// 201: made, and found from now on under `location`.
pub(super) fn created(location: &str, body: &impl Serialize) -> Response {
    let mut response = json(body);
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::CREATED;
    }
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 204.
pub(super) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// One part of a path, escaped.
pub(super) fn segment(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for octet in name.bytes() {
        if octet.is_ascii_alphanumeric() || b"-_.~@+:".contains(&octet) {
            escaped.push(char::from(octet));
        } else {
            escaped.push_str(&format!("%{octet:02X}"));
        }
    }
    escaped
}

/// The strong validator of what is shown (RFC 9110 §8.8.3): the same words, the same tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// The tag of a body.
    pub(super) fn of(body: &impl Serialize) -> Self {
        let digest = Sha256::digest(serde_json::to_vec(body).unwrap_or_default());
        let mut text = String::with_capacity(34);
        text.push('"');
        for octet in digest.iter().take(TAG_OCTETS) {
            text.push_str(&format!("{octet:02x}"));
        }
        text.push('"');
        Self(text)
    }

    /// Puts it on an answer.
    pub(super) fn on(&self, mut response: Response) -> Response {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(ETAG, value);
        }
        response
    }

    /// An answer with this body and its tag; 304 without body where the asker has it already.
    pub(super) fn answer(headers: &HeaderMap, body: &impl Serialize) -> Response {
        let tag = Self::of(body);
        let known = headers
            .get(IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| tag.is_among(value));
        let response = if known {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            json(body)
        };
        tag.on(response)
    }

    fn is_among(&self, list: &str) -> bool {
        list.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == self.0)
    }
}

/// What a change expects to find: the header If-Match (RFC 9110 §13.1.1).
#[derive(Debug, Clone, Default)]
pub(super) struct Expected(Option<String>);

impl Expected {
    /// The header of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(IF_MATCH);
        Self(value.map(|value| value.to_str().unwrap_or_default().to_owned()))
    }

    /// # Errors
    /// It is not any more what the asker has read.
    pub(super) fn check(&self, current: &impl Serialize) -> Result<(), StorageError> {
        match &self.0 {
            Some(list) if !Tag::of(current).is_among_strongly(list) => Err(StorageError::Changed),
            Some(_) | None => Ok(()),
        }
    }
}

impl Tag {
    /// If-Match takes no weak tags.
    fn is_among_strongly(&self, list: &str) -> bool {
        list.split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag == self.0)
    }
}

/// Octets of the digest that a tag shows.
const TAG_OCTETS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_in_between_is_found() {
        let mut headers = HeaderMap::new();
        Expected::of(&headers).check(&1).unwrap();
        headers.insert(IF_MATCH, HeaderValue::from_str(&Tag::of(&1).0).unwrap());
        Expected::of(&headers).check(&1).unwrap();
        assert!(matches!(
            Expected::of(&headers).check(&2),
            Err(StorageError::Changed)
        ));
        headers.insert(IF_MATCH, HeaderValue::from_static("*"));
        Expected::of(&headers).check(&2).unwrap();
        headers.insert(IF_MATCH, HeaderValue::from_static("\"other\""));
        Expected::of(&headers).check(&2).unwrap_err();
    }

    #[test]
    fn names_are_escaped_in_locations() {
        assert_eq!(segment("a b/c"), "a%20b%2Fc");
        assert_eq!(segment("610@x"), "610@x");
        assert_eq!(segment("\u{f6}\r\n"), "%C3%B6%0D%0A");
    }
}
