//! Refusals as problem documents (RFC 9457): every refusal of this program is one, with a stable
//! `type` and `code`, and with every wrong field at once.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::field_errors::FieldErrors;
use crate::settings::model::SettingError;
use crate::storage::StorageError;
use crate::tokens::scope::Scope;

/// A refusal.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    /// A stable word; `type` is made of it.
    code: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    more: Option<Box<More>>,
}

/// What only some refusals say.
#[derive(Debug, Clone, Default)]
struct More {
    errors: FieldErrors,
    valid_after: Option<Timestamp>,
    required_scope: Option<Scope>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// `code` is a stable word for programs, `title` a sentence for people that never changes with
    /// the occurrence.
    pub(super) const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self {
            status,
            code,
            title,
            detail: None,
            more: None,
        }
    }

    /// What is wrong this time, and what to do.
    pub(super) fn with_detail(self, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// Every wrong field.
    pub(super) fn with_errors(mut self, errors: FieldErrors) -> Self {
        self.more().errors = errors;
        self
    }

    /// When the thing asked for begins to be.
    pub(super) fn with_start(mut self, valid_after: Timestamp) -> Self {
        self.more().valid_after = Some(valid_after);
        self
    }

    /// When to come again (RFC 9110 §10.2.3).
    pub(super) fn with_retry_after(mut self, after: Duration) -> Self {
        self.more().retry_after = Some(after);
        self
    }

    /// The token is good, but not for this.
    pub(super) fn missing_scope(scope: Scope) -> Self {
        let mut problem = Self::new(
            StatusCode::FORBIDDEN,
            "missing_scope",
            "This token may not do that",
        )
        .with_detail(format!(
            "The scope `{scope}` is needed: {}.",
            scope.meaning()
        ));
        problem.more().required_scope = Some(scope);
        problem
    }

    /// No such thing of this kind.
    pub(super) fn not_found(what: &'static str, value: &str) -> Self {
        Self::from(StorageError::NotFound {
            what,
            value: value.to_owned(),
        })
    }

    /// Fields break rules.
    pub(super) fn invalid(errors: FieldErrors) -> Self {
        let fields = errors.fields().join(", ");
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_fields",
            "Fields are not as they should be",
        )
        .with_detail(format!("Wrong: {fields}."))
        .with_errors(errors)
    }

    /// The wrong fields.
    pub(super) fn errors(&self) -> &FieldErrors {
        static NONE: FieldErrors = FieldErrors::new();
        self.more.as_ref().map_or(&NONE, |more| &more.errors)
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.title)?;
        match &self.detail {
            Some(detail) => write!(formatter, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::invalid(errors)
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        let detail = error.to_string();
        match error {
            StorageError::Invalid(errors) => Self::invalid(errors),
            StorageError::Setting(SettingError::Unknown { .. }) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_setting", "No such setting")
                    .with_detail(detail)
            }
            StorageError::Setting(SettingError::Refused {
                key,
                found,
                accepted,
            }) => {
                let mut errors = FieldErrors::new();
                errors.add(key, &found, accepted);
                Self::invalid(errors)
            }
            StorageError::Duplicate { .. } => {
                Self::new(StatusCode::CONFLICT, "duplicate", "It is there already")
                    .with_detail(detail)
            }
            StorageError::InUseBy { .. } => {
                Self::new(StatusCode::CONFLICT, "in_use", "Others need it").with_detail(detail)
            }
            StorageError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not_found", "No such thing").with_detail(detail)
            }
            StorageError::Changed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "changed",
                "Somebody has changed it since you read it",
            )
            .with_detail("Read it again and send the new ETag in If-Match."),
            StorageError::Busy => unavailable().with_retry_after(BUSY_AGAIN),
            error @ (StorageError::NotWritable { .. }
            | StorageError::NotADatabase { .. }
            | StorageError::NewerSchema { .. }
            | StorageError::InUse { .. }
            | StorageError::NodeKey { .. }
            | StorageError::Corrupt { .. }
            | StorageError::Closed
            | StorageError::Uncommitted { .. }
            | StorageError::Database(_)) => {
                // Paths and the words of the database are for the log.
                tracing::error!(%error, "an answer could not be given");
                unavailable()
            }
        }
    }
}

fn unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "The database does not answer now",
    )
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("urn:sluice:problem:{}", self.code))?;
        map.serialize_entry("title", self.title)?;
        map.serialize_entry("status", &self.status.as_u16())?;
        map.serialize_entry("code", self.code)?;
        if let Some(detail) = &self.detail {
            map.serialize_entry("detail", detail)?;
        }
        if let Some(more) = &self.more {
            if !more.errors.is_empty() {
                let errors: Vec<_> = more
                    .errors
                    .iter()
                    .map(|error| {
                        serde_json::json!({
                            "field": error.field,
                            "found": error.found,
                            "accepted": error.accepted,
                        })
                    })
                    .collect();
                map.serialize_entry("errors", &errors)?;
            }
            if let Some(valid_after) = more.valid_after {
                map.serialize_entry("valid_after", &valid_after)?;
            }
            if let Some(scope) = more.required_scope {
                map.serialize_entry("required_scope", scope.as_str())?;
            }
            if let Some(after) = more.retry_after {
                map.serialize_entry("retry_after_s", &seconds_up(after))?;
            }
        }
        map.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(more) = self.more {
            if let Some(after) = more.retry_after {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds_up(after)));
            }
            // RFC 6750 §3.1: the scope that would do.
            if let Some(scope) = more.required_scope
                && let Ok(challenge) = HeaderValue::from_str(&format!(
                    "Bearer error=\"insufficient_scope\", scope=\"{scope}\""
                ))
            {
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }
}

/// Whole seconds, never too few.
const fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + (time.subsec_nanos() > 0) as u64
}

/// After a refusal because others are being served.
const BUSY_AGAIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_scope_is_named_in_header_and_body() {
        let problem = Problem::missing_scope(Scope::LinksWrite);
        let body = serde_json::to_value(&problem).unwrap();
        assert_eq!(body["required_scope"], "links:write");
        assert_eq!(body["type"], "urn:sluice:problem:missing_scope");
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("scope=\"links:write\""), "{challenge}");
    }

    #[test]
    fn what_the_database_says_stays_in_the_log() {
        let error = StorageError::NotWritable {
            path: "/secret/place".into(),
            source: std::io::Error::other("disk"),
        };
        let body = serde_json::to_string(&Problem::from(error)).unwrap();
        assert!(!body.contains("secret"), "{body}");
    }

    #[test]
    fn a_time_to_wait_is_rounded_up() {
        let problem = unavailable().with_retry_after(Duration::from_millis(1_001));
        assert_eq!(problem.into_response().headers()[RETRY_AFTER], "2");
    }
}
