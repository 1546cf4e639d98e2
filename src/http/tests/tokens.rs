//! Tokens: shown once, revoked at once, never more than their maker.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::super::access::Origin;
use super::super::guest::OverTls;
use super::super::router::HttpState;
use super::{ELSEWHERE, World, world};
use crate::health::{Node, NodeParts};
use crate::tokens::draft::TokenDraft;

#[tokio::test]
async fn a_token_is_shown_once_and_a_revoked_one_is_refused_at_once() {
    let world = world().await;
    let draft = json!({"label": "portal", "scopes": ["links:read"], "concurrent_calls": 2});
    let made = world.ask_json("POST", "/api/v1/tokens", draft).await;
    assert_eq!(made.status, 201);
    let clear = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(clear.len(), 46);
    let location = made.header("location").to_owned();
    let shown = world.ask("GET", &location).await.json();
    assert!(shown["token"].is_null());
    assert_eq!(shown["concurrent_calls"], 2);
    let listed = world.ask("GET", "/api/v1/tokens").await.body;
    assert!(!String::from_utf8_lossy(&listed).contains(&clear));
    assert_eq!(
        world
            .with_token(&clear, "GET", "/api/v1/links")
            .await
            .status,
        200
    );
    let own = world
        .with_token(&clear, "GET", "/api/v1/token")
        .await
        .json();
    assert_eq!(own["label"], "portal");
    assert_eq!(world.ask("DELETE", &location).await.status, 204);
    assert_eq!(
        world
            .with_token(&clear, "GET", "/api/v1/links")
            .await
            .status,
        401
    );
    assert_eq!(world.ask("DELETE", &location).await.status, 404);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let world = world().await;
    let token = world.token(&["*"]).await;
    let text = "UPDATE tokens SET expires_at_ms = 1000";
    world
        .store
        .write(move |connection| {
            crate::storage::work(async move {
                sqlx::query(text).execute(&mut *connection).await?;
                crate::storage::bump_revision(connection).await
            })
        })
        .await
        .unwrap();
    world.store.refresh().await.unwrap();
    let answer = world.with_token(&token, "GET", "/api/v1/links").await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("expired")
    );
}

#[tokio::test]
async fn a_token_makes_none_that_may_do_more() {
    let world = world().await;
    let token = world.token(&["tokens:write", "links:read"]).await;
    let ask = async |scopes: &[&str]| {
        let body = json!({"label": "x", "scopes": scopes}).to_string();
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/tokens")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        world.send(request, Origin::Network(ELSEWHERE)).await
    };
    assert_eq!(ask(&["links:read"]).await.status, 201);
    for more in [
        &["*"][..],
        &["links:write"],
        &["links:*"],
        &["links:read", "operate"],
    ] {
        let answer = ask(more).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (403, "more_than_own")
        );
    }
    assert_eq!(ask(&["no:such"]).await.status, 422);
}

#[tokio::test]
async fn a_token_makes_none_that_outlives_it_or_multiplies_its_caps() {
    let world = world().await;
    let caps = TokenDraft {
        calls_per_minute: Some(5),
        concurrent_calls: Some(5),
        expires_at: Some("2036-01-01T00:00:00Z".to_owned()),
        ..TokenDraft::default()
    };
    let scopes = ["tokens:write", "links:read", "calls:create"];
    let token = world.token_with(&scopes, caps).await;
    let ask = async |scopes: &[&str], expires_at: Option<&str>| {
        let body = json!({"label": "x", "scopes": scopes, "expires_at": expires_at,
            "calls_per_minute": 5, "concurrent_calls": 5});
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/tokens")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let answer = world.send(request, Origin::Network(ELSEWHERE)).await;
        answer.status.as_u16()
    };
    let reader = &["links:read"][..];
    assert_eq!(ask(reader, Some("2036-01-01T00:00:00Z")).await, 201);
    assert_eq!(ask(reader, Some("2036-01-01T00:00:01Z")).await, 403);
    assert_eq!(ask(reader, None).await, 403);
    assert_eq!(ask(reader, Some("tomorrow")).await, 422);
    assert_eq!(
        ask(&["calls:create"], Some("2035-01-01T00:00:00Z")).await,
        403
    );
}

/// A token that was stolen has made others: none of them outlives it.
#[tokio::test]
async fn what_a_token_has_made_is_revoked_with_it() {
    let world = world().await;
    let scopes = ["tokens:write", "links:read"];
    let first = world.token(&scopes).await;
    let other = world.token(&scopes).await;
    let make = async |maker: &str| {
        let body = json!({"label": "x", "scopes": scopes}).to_string();
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/tokens")
            .header("authorization", format!("Bearer {maker}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        let made = world.send(request, Origin::Network(ELSEWHERE)).await;
        assert_eq!(made.status, 201, "{}", made.json());
        let made = made.json();
        (
            made["token"].as_str().unwrap().to_owned(),
            made["parent"].clone(),
        )
    };
    let (child, parent) = make(&first).await;
    assert_eq!(parent, 1);
    let (grandchild, parent) = make(&child).await;
    assert_eq!(parent, 3);
    let (cousin, _) = make(&other).await;
    assert_eq!(world.ask("DELETE", "/api/v1/tokens/1").await.status, 204);
    for (token, status) in [
        (&first, 401),
        (&child, 401),
        (&grandchild, 401),
        (&other, 200),
        (&cousin, 200),
    ] {
        let answer = world.with_token(token, "GET", "/api/v1/links").await;
        assert_eq!(answer.status, status);
    }
    // What it asked for before, and what is made after: nobody is its child any more.
    let draft = TokenDraft {
        label: "late".to_owned(),
        scopes: vec!["links:read".to_owned()],
        ..TokenDraft::default()
    };
    let late = crate::tokens::store::add(&world.store, &draft, "test", Some(1)).await;
    assert_eq!(late.unwrap_err().to_string(), "no token `1`");
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_and_a_right_one_passes() {
    let world = world().await;
    let right = world.token(&["links:read"]).await;
    let mut refused = Vec::new();
    for index in 0..12 {
        let wrong = format!("sl_{index:043}");
        refused.push(world.with_token(&wrong, "GET", "/api/v1/links").await);
    }
    assert!(refused[..10].iter().all(|answer| answer.status == 401));
    let last = &refused[11];
    assert_eq!(
        (last.status.as_u16(), last.code().as_str()),
        (429, "too_many_failed_tries")
    );
    assert_eq!(last.header("retry-after"), "6");
    assert_eq!(
        world
            .with_token(&right, "GET", "/api/v1/links")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn behind_a_proxy_each_client_is_itself_and_none_is_this_machine() {
    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut world = world().await;
    let ask = async |world: &World, path: &str, client: Option<&str>| {
        let mut request = Request::builder()
            .uri(path)
            .header("authorization", "Bearer sl_wrong");
        if let Some(client) = client {
            request = request.header("x-forwarded-for", client);
        }
        let request = request.body(Body::empty()).unwrap();
        world
            .send(request, Origin::Network(PROXY))
            .await
            .status
            .as_u16()
    };
    let metrics = ask(&world, "/metrics", None).await;
    assert_ne!(metrics, 401, "asked on this machine");
    assert_eq!(ask(&world, "/metrics", Some("203.0.113.1")).await, 401);
    world.trust(PROXY);
    assert_eq!(ask(&world, "/metrics", Some("127.0.0.1")).await, 401);
    for _ in 0..12 {
        ask(&world, "/api/v1/links", Some("203.0.113.9")).await;
    }
    let statuses = [
        ask(&world, "/api/v1/links", Some("203.0.113.9")).await,
        ask(&world, "/api/v1/links", Some("203.0.113.10")).await,
    ];
    assert_eq!(statuses, [429, 401], "one client's tries are not another's");
}

#[tokio::test]
async fn where_there_is_https_no_token_is_taken_in_the_clear_from_another_machine() {
    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    let mut world = world().await;
    let token = world.token(&["*"]).await;
    let folder = tempfile::tempdir().unwrap();
    let node = Node::new(NodeParts {
        store: world.store.clone(),
        ..NodeParts::of_test(folder.path()).await
    });
    let mut state = HttpState {
        https_port: Some(8443),
        trusted_proxies: Arc::new([PROXY.to_string().parse().unwrap()]),
        node: Some(Arc::clone(&node)),
        ..HttpState::new(world.store.clone())
    };
    world.serve(state.clone());
    let ask = async |world: &World, path: &str, token: &str, (from, tls): (IpAddr, bool)| {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let mut request = request.body(Body::empty()).unwrap();
        if tls {
            request.extensions_mut().insert(OverTls);
        }
        world.send(request, Origin::Network(from)).await
    };
    let clear = (ELSEWHERE, false);
    let mut refused = 0;
    for path in ["/api/v1/links", "/api/v1/token", "/metrics"] {
        for word in [&*token, "sl_wrong"] {
            let answer = ask(&world, path, word, clear).await;
            assert_eq!(answer.status, 403, "{path}");
            assert_eq!(answer.code(), "token_in_the_clear");
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains("port 8443"), "{detail}");
            refused += 1;
        }
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        for way in [(ELSEWHERE, true), (PROXY, false), (here, false)] {
            let answer = ask(&world, path, &token, way).await;
            assert_eq!(answer.status, 200, "{path} {way:?}");
        }
    }
    let unsaid = Request::get("/api/v1/links").body(Body::empty()).unwrap();
    let unsaid = world.send(unsaid, Origin::Network(ELSEWHERE)).await;
    assert_eq!(unsaid.status, 401, "without a token it is as before");
    let resolved = ask(&world, "/api/v1/resolve/none", &token, clear).await;
    assert_eq!(resolved.status, 404, "what resolves comes either way");
    let counted = node.http.tokens_refused.load(Ordering::Relaxed);
    assert_eq!(counted, refused);
    let text = node.metrics();
    let counted =
        format!("sluice_http_tokens_refused_total{{reason=\"token_in_the_clear\"}} {refused}\n");
    assert!(text.contains(&counted), "{text}");
    state.https_port = None;
    world.serve(state);
    let plain = ask(&world, "/api/v1/links", &token, clear).await;
    assert_eq!(plain.status, 200, "where there is nothing better");
}

#[tokio::test]
async fn what_is_no_bearer_token_is_none() {
    let world = world().await;
    let right = world.token(&["links:read"]).await;
    let ask = async |values: &[&str]| {
        let mut request = Request::builder().uri("/api/v1/links");
        for value in values {
            request = request.header("authorization", *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let answer = world.send(request, Origin::Network(ELSEWHERE)).await;
        answer.status.as_u16()
    };
    let (good, basic) = (format!("bearer {right}"), format!("Basic {right}"));
    assert_eq!(
        ask(&[&good]).await,
        200,
        "the scheme's case does not matter"
    );
    assert_eq!(ask(&[&good, &good]).await, 401, "two headers are none");
    for wrong in [basic.as_str(), &right, "Bearer", "Bearer ", ""] {
        assert_eq!(ask(&[wrong]).await, 401, "{wrong}");
    }
}

#[tokio::test]
async fn the_first_token_is_made_once_and_never_again() {
    let world = world().await;
    let first = crate::tokens::store::first(&world.store)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        world
            .with_token(&first, "GET", "/api/v1/tokens")
            .await
            .status,
        200
    );
    assert_eq!(
        crate::tokens::store::first(&world.store).await.unwrap(),
        None
    );
    world.ask("DELETE", "/api/v1/tokens/1").await;
    assert_eq!(
        crate::tokens::store::first(&world.store).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn the_use_of_a_token_is_noted() {
    let world = world().await;
    let token = world.token(&["links:read"]).await;
    assert!(world.ask("GET", "/api/v1/tokens/1").await.json()["last_used_at"].is_null());
    world.with_token(&token, "GET", "/api/v1/links").await;
    // The note is a write of its own, queued before this one.
    tokio::task::yield_now().await;
    world.token(&["resolve"]).await;
    assert!(world.ask("GET", "/api/v1/tokens/1").await.json()["last_used_at"].is_string());
}
