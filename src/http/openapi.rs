//! `GET /api/v1/openapi.json`: the API's own description (OpenAPI 3.1), made of what the routes say of
//! themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::router;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use super::schema::{Schema, reference};

pub(super) fn routes() -> Routes {
    Routes::new().with(OPENAPI, show)
}

async fn show() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (_, operations) = router::routes().into_parts();
        document(&operations).to_string()
    });
    let mut response = TEXT.as_str().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The document of these operations.
pub(super) fn document(operations: &[Operation]) -> Value {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<&str, &'static Schema> = BTreeMap::new();
    for operation in operations {
        for content in [operation.body, operation.answer] {
            if let Content::Json(schema) | Content::Lines(schema) = content {
                collect(schema, &mut schemas);
            }
        }
        paths
            .entry(operation.path.replace("{+", "{"))
            .or_default()
            .insert(operation.verb.as_str().to_owned(), describe(operation));
    }
    let mut schemas: Map<String, Value> = schemas
        .into_values()
        .map(|schema| (schema.name.to_owned(), schema.document()))
        .collect();
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sluice",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A click on a link becomes a SIP call.",
            "description": INTRODUCTION,
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "sl_ and 43 characters",
                },
            },
        },
    })
}

fn collect(schema: &'static Schema, schemas: &mut BTreeMap<&'static str, &'static Schema>) {
    if schemas.insert(schema.name, schema).is_none() {
        for other in schema.others() {
            collect(other, schemas);
        }
    }
}

fn describe(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = names(operation.path)
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": {"type": "string"},
            })
        })
        .collect();
    parameters.extend(operation.query.iter().map(|(name, meaning)| {
        json!({
            "name": name,
            "in": "query",
            "required": false,
            "description": meaning,
            "schema": {"type": "string"},
        })
    }));
    let mut responses = Map::new();
    let mut answer = json!({"description": "Done."});
    insert_content(&mut answer, operation.answer);
    responses.insert(operation.status.to_string(), answer);
    for (status, meaning) in usual(operation).chain(operation.refusals.iter().copied()) {
        responses.insert(
            status.to_string(),
            json!({
                "description": meaning,
                "content": {"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                }},
            }),
        );
    }
    let mut described = json!({
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "description": operation.description,
        "parameters": parameters,
        "responses": responses,
        "security": security(operation.needs),
    });
    if let Some(object) = described.as_object_mut() {
        if let Needs::Scope(scope) | Needs::MachineOr(scope) = operation.needs {
            object.insert("x-scope".to_owned(), scope.as_str().into());
        }
        if !matches!(operation.body, Content::Empty) {
            let mut body = json!({"required": true});
            insert_content(&mut body, operation.body);
            object.insert("requestBody".to_owned(), body);
        }
    }
    described
}

/// The refusals that every route may give.
fn usual(operation: &Operation) -> impl Iterator<Item = (u16, &'static str)> {
    let guarded = operation.needs != Needs::Nothing;
    let bodied = !matches!(operation.body, Content::Empty);
    let refusals = [
        (400, "The request cannot be read.", true),
        (401, "A token is needed.", guarded),
        (
            403,
            "The token has not the scope, or came in the clear though there is HTTPS.",
            guarded,
        ),
        (408, "The body took too long.", bodied),
        (413, "The body is too large.", bodied),
        (415, "The body is of another type.", bodied),
        (422, "Fields are wrong; each is named.", bodied),
        (429, "Too many wrong tokens from this address.", guarded),
        (503, "The database does not answer now.", guarded),
    ];
    refusals
        .into_iter()
        .filter(|(_, _, given)| *given)
        .map(|(status, meaning, _)| (status, meaning))
}

fn security(needs: Needs) -> Value {
    match needs {
        Needs::Nothing => json!([]),
        Needs::Token => json!([{"token": []}]),
        Needs::Scope(scope) => json!([{"token": [scope.as_str()]}]),
        Needs::MachineOr(scope) => json!([{"token": [scope.as_str()]}, {}]),
        Needs::Resolve => json!([{"token": ["resolve"]}, {}]),
    }
}

fn insert_content(holder: &mut Value, content: Content) {
    let (kind, schema) = match content {
        Content::Empty => return,
        Content::Json(schema) => ("application/json", reference(schema)),
        Content::Lines(schema) => ("application/x-ndjson", reference(schema)),
        Content::Text(kind) => (kind, json!({"type": "string"})),
        Content::AnyJson => ("application/json", json!({"type": "object"})),
    };
    if let Some(object) = holder.as_object_mut() {
        object.insert("content".to_owned(), json!({kind: {"schema": schema}}));
    }
}

/// The parts of a path that vary.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split('}').next())
        .map(|name| name.trim_start_matches('+'))
}

/// `get_links_id`.
fn operation_id(operation: &Operation) -> String {
    let words = operation
        .path
        .trim_start_matches("/api/v1")
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(operation.verb.as_str())
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "properties": {
            "type": {"type": "string", "description": "urn:sluice:problem: and the code."},
            "title": {"type": "string", "description": "The kind of refusal, for people."},
            "status": {"type": "integer", "description": "The HTTP status again."},
            "code": {"type": "string", "description": "The kind of refusal, for programs: it never changes."},
            "detail": {"type": "string", "description": "What is wrong this time, and what to do."},
            "errors": {
                "type": "array",
                "description": "Every wrong field.",
                "items": {
                    "type": "object",
                    "properties": {
                        "field": {"type": "string"},
                        "found": {"type": "string"},
                        "accepted": {"type": "string"},
                    },
                    "required": ["field", "found", "accepted"],
                },
            },
            "valid_after": {"type": "string", "format": "date-time", "description": "When a link begins to be callable."},
            "required_scope": {"type": "string", "description": "The scope that the token has not."},
            "retry_after_s": {"type": "integer", "description": "Seconds to wait, as in Retry-After."},
        },
        "required": ["type", "title", "status", "code"],
    })
}

const OPENAPI: Operation = Operation::new(
    Verb::Get,
    "/api/v1/openapi.json",
    Needs::Nothing,
    "This document",
)
.answering(Content::AnyJson);

const INTRODUCTION: &str = "Send `Authorization: Bearer sl_…`; `sluice tokens add` makes a token. \
    Each operation names its scope in `x-scope`. Every refusal is a problem document with a stable \
    `code`. Lists are read page by page: send `next` of an answer as `cursor` of the next question. \
    What two people may change at once has an ETag; send it in If-Match and a change in between is \
    answered 412.";

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Operation> {
        router::routes().into_parts().1
    }

    fn schemas() -> Vec<&'static Schema> {
        let mut schemas = BTreeMap::new();
        for operation in all() {
            for content in [operation.body, operation.answer] {
                if let Content::Json(schema) | Content::Lines(schema) = content {
                    collect(schema, &mut schemas);
                }
            }
        }
        schemas.into_values().collect()
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let operations = all();
        let document = document(&operations);
        let mut listed = 0;
        for methods in document["paths"].as_object().unwrap().values() {
            listed += methods.as_object().unwrap().len();
        }
        assert_eq!(listed, operations.len(), "no two routes are the same");
        for operation in &operations {
            let path = operation.path.replace("{+", "{");
            let described = &document["paths"][&path][operation.verb.as_str()];
            assert_eq!(described["summary"], operation.summary);
            assert!(!operation.summary.ends_with('.'), "{}", operation.summary);
            assert!(operation.path.starts_with("/api/v1/") || !operation.path.contains("api"));
        }
    }

    #[test]
    fn no_two_operations_have_the_same_id() {
        let mut ids: Vec<String> = all().iter().map(operation_id).collect();
        ids.sort();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before, "{ids:?}");
    }

    #[test]
    fn each_schema_has_the_fields_that_serde_has() {
        for schema in schemas() {
            let known = (schema.known)();
            if known.is_empty() {
                continue;
            }
            let (mut named, mut known) = (schema.names(), known);
            named.sort_unstable();
            known.sort_unstable();
            assert_eq!(named, known, "{}", schema.name);
        }
    }

    #[test]
    fn each_example_is_taken_by_our_own_types() {
        for schema in schemas() {
            let example = schema.example();
            (schema.parses)(&example)
                .unwrap_or_else(|error| panic!("{}: {error} in {example}", schema.name));
        }
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = document(&all());
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(
                document["components"]["schemas"][name].is_object(),
                "{name}"
            );
        }
        assert_eq!(document["openapi"], "3.1.0");
    }
}
