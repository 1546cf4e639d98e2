//! Every route of the router, by table: a new route is covered without a new test.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::super::access::Origin;
use super::super::body::{BODY_OCTETS_MAX, LIST_OCTETS_MAX};
use super::super::router::routes;
use super::super::routes::{Content, Needs, Operation, Verb};
use super::{ELSEWHERE, World, world};
use crate::tokens::scope::Scope;

type Headers<'h> = &'h [(&'h str, &'h str)];

fn all() -> Vec<Operation> {
    routes().into_parts().1
}

/// The path with a name in each place.
fn path(operation: &Operation) -> String {
    let mut path = String::new();
    for part in operation.path.split('/').skip(1) {
        path.push('/');
        path.push_str(if part.starts_with('{') { "x" } else { part });
    }
    path
}

fn method(operation: &Operation) -> String {
    operation.verb.as_str().to_uppercase()
}

fn scope(operation: &Operation) -> Option<Scope> {
    match operation.needs {
        Needs::Scope(scope) | Needs::MachineOr(scope) => Some(scope),
        Needs::Resolve => Some(Scope::Resolve),
        Needs::Nothing | Needs::Token => None,
    }
}

async fn anonymous(world: &World, method: &str, path: &str) -> super::Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    world.send(request, Origin::Network(ELSEWHERE)).await
}

#[tokio::test]
async fn every_route_without_a_token_is_401() {
    let world = world().await;
    for operation in all() {
        let answer = anonymous(&world, &method(&operation), &path(&operation)).await;
        if operation.needs == Needs::Nothing {
            assert_ne!(answer.status, 401, "{operation:?}");
            continue;
        }
        assert_eq!(answer.status, 401, "{operation:?}");
        assert_eq!(answer.code(), "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn every_route_with_a_foreign_scope_is_403_and_names_the_scope() {
    let world = world().await;
    for operation in all() {
        let Some(needed) = scope(&operation) else {
            continue;
        };
        let others: Vec<&str> = Scope::ALL
            .into_iter()
            .filter(|scope| *scope != needed)
            .map(Scope::as_str)
            .collect();
        let token = world.token(&others).await;
        let (method, path) = (method(&operation), path(&operation));
        let answer = world.with_token(&token, &method, &path).await;
        assert_eq!(answer.status, 403, "{operation:?}");
        assert_eq!(answer.code(), "missing_scope");
        assert_eq!(answer.json()["required_scope"], needed.as_str());
        let own = world.token(&[needed.as_str()]).await;
        let answer = world.with_token(&own, &method, &path).await;
        assert!(
            ![401, 403].contains(&answer.status.as_u16()),
            "{operation:?}"
        );
    }
}

#[tokio::test]
async fn every_route_refuses_a_bad_body_with_the_right_status() {
    let world = world().await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let large = vec![b' '; LIST_OCTETS_MAX.max(BODY_OCTETS_MAX) + 1];
    for operation in all() {
        let (method, path) = (method(&operation), path(&operation));
        let json = [("content-type", "application/json")];
        match operation.body {
            Content::Json(_) => {
                let cases: [(Headers<'_>, Vec<u8>, u16, &str); 9] = [
                    (&[], b"{}".to_vec(), 415, "content_type"),
                    (
                        &[("content-type", "text/xml")],
                        b"{}".to_vec(),
                        415,
                        "content_type",
                    ),
                    (&json, b"{\"a\": ".to_vec(), 400, "bad_json"),
                    (&json, b"\xff\xfe".to_vec(), 400, "bad_json"),
                    (&json, b"".to_vec(), 400, "bad_json"),
                    (&json, b"[]".to_vec(), 400, "bad_json"),
                    (&json, deep.clone().into_bytes(), 400, "json_too_deep"),
                    (
                        &json,
                        b"{\"a\": 1, \"a\": 2}".to_vec(),
                        400,
                        "json_key_twice",
                    ),
                    (&json, large.clone(), 413, "body_too_large"),
                ];
                for (headers, body, status, code) in cases {
                    let answer = world.ask_with(&method, &path, headers, body).await;
                    assert_eq!(answer.status, status, "{operation:?} {code}");
                    assert_eq!(answer.code(), code);
                }
            }
            Content::Lines(_) => {
                let answer = world.ask_with(&method, &path, &json, "{}").await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (415, "content_type")
                );
            }
            Content::Empty | Content::Text(_) | Content::AnyJson => {}
        }
    }
}

#[tokio::test]
async fn no_route_takes_a_field_that_it_does_not_know() {
    let world = world().await;
    for operation in all() {
        let Content::Json(schema) = operation.body else {
            continue;
        };
        let (method, path) = (method(&operation), path(&operation));
        // What is looked up first is not there; a good body with one field more says so too late.
        let mut body = schema.example();
        for strange in ["is_admin", "created_by", "digest", "__proto__"] {
            body[strange] = json!(1);
        }
        let answer = world.ask_json(&method, &path, body).await;
        if answer.status == 404 {
            continue;
        }
        assert_eq!(answer.status, 422, "{operation:?} {:?}", answer.body);
        let wrong = answer.wrong_fields();
        for strange in ["is_admin", "created_by", "digest", "__proto__"] {
            let named = wrong.iter().any(|field| field.ends_with(strange));
            assert!(named, "{operation:?}: {strange} is not in {wrong:?}");
        }
    }
}

#[tokio::test]
async fn every_path_answers_options_and_names_its_methods() {
    let world = world().await;
    for operation in all() {
        let path = path(&operation);
        let answer = world.ask("OPTIONS", &path).await;
        assert_eq!(answer.status, 204, "{path}");
        let allowed = answer.header("allow").to_owned();
        assert!(allowed.contains(&method(&operation)), "{path}: {allowed}");
        let answer = world.ask("BREW", &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (405, "method")
        );
        assert_eq!(answer.header("allow"), allowed);
        if operation.verb == Verb::Get {
            assert!(allowed.contains("HEAD"), "{path}: {allowed}");
            let (head, get) = (
                world.ask("HEAD", &path).await,
                world.ask("GET", &path).await,
            );
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        }
    }
}

#[tokio::test]
async fn names_that_are_none_are_refused_everywhere() {
    let world = world().await;
    let long = "a".repeat(256);
    for operation in all()
        .iter()
        .filter(|operation| operation.path.contains('{'))
    {
        for name in ["%00", "%0d%0aX:%20y", "%ff", long.as_str()] {
            let path = path(operation).replace("/x", &format!("/{name}"));
            let json = [("content-type", "application/json")];
            let answer = world.ask_with(&method(operation), &path, &json, "{}").await;
            let status = answer.status.as_u16();
            assert!(
                [400, 404].contains(&status),
                "{operation:?} {name}: {status}"
            );
            answer.code();
        }
        for name in [
            "..%2f..%2fetc%2fpasswd",
            ".%2e",
            "%2e%2e%2f",
            "-1",
            "9999999999999999999999",
        ] {
            let path = path(operation).replace("/x", &format!("/{name}"));
            let answer = world
                .ask_with(&method(operation), &path, &[], Body::empty())
                .await;
            let status = answer.status.as_u16();
            assert!(
                (400..500).contains(&status),
                "{operation:?} {name}: {status}"
            );
        }
    }
    for path in [
        "/api/v1/../../etc/passwd",
        "/api/v2/links",
        "/api/v1/links/a/b",
        "//",
        "/api",
    ] {
        let answer = world.ask("GET", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (404, "no_such_page")
        );
    }
}

#[tokio::test]
async fn words_of_a_query_that_are_not_known_are_refused() {
    let world = world().await;
    for operation in all().iter().filter(|operation| !operation.query.is_empty()) {
        let path = format!("{}?no_such_word=1", path(operation));
        let answer = world.ask(&method(operation), &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "bad_query")
        );
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("no_such_word")
        );
    }
}
