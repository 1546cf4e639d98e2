//! Orders for calls, with call control behind the API and trunks that answer when a test says so.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::super::access::Origin;
use super::{Answer, ELSEWHERE, World, world, world_with};
use crate::call::tests::world::{World as Control, trunk};
use crate::shell::asker::answered_by;
use crate::tokens::draft::TokenDraft;

/// The API, and call control with one trunk that carries everything.
struct Node {
    world: World,
    control: Arc<Mutex<Control>>,
}

async fn node() -> Node {
    let mut control = Control::new(vec![trunk(1)]);
    control.change(|snapshot| snapshot.guard.unnamed_allowed = true);
    let control = Arc::new(Mutex::new(control));
    let behind = Arc::clone(&control);
    let asker = answered_by(move |command| behind.lock().unwrap().order(command));
    Node {
        world: world_with(Some(asker)).await,
        control,
    }
}

fn order() -> Value {
    json!({"from": "610@example.com", "to": "tel:+33123", "caller_name": "Reception"})
}

impl Node {
    /// An order from this machine, under this key.
    async fn keyed(&self, key: &str, order: &Value) -> Answer {
        let headers = [
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = order.to_string();
        let ask = self
            .world
            .ask_with("POST", "/api/v1/calls", &headers, body)
            .await;
        assert!(ask.status != 500, "{}", ask.json());
        ask
    }

    /// An order with a token.
    async fn ordered_by(&self, token: &str) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/calls")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(order().to_string()))
            .unwrap();
        self.world.send(request, Origin::Network(ELSEWHERE)).await
    }

    /// An order from this machine; where its call is.
    async fn place(&self) -> String {
        let placed = self.world.ask_json("POST", "/api/v1/calls", order()).await;
        assert_eq!(placed.status, 201, "{}", placed.json());
        placed.header("location").to_owned()
    }

    /// Requests with this method that the trunk got.
    fn count(&self, method: &str) -> usize {
        let to: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        self.control.lock().unwrap().count(to, method)
    }
}

#[tokio::test]
async fn order_is_answered_201_with_the_place_of_its_call_which_is_listed_and_ended_there() {
    let node = node().await;
    let world = &node.world;
    let placed = world.ask_json("POST", "/api/v1/calls", order()).await;
    assert_eq!(placed.status, 201);
    let call = placed.json();
    assert_eq!(
        (&call["state"], &call["origin"], &call["source"]),
        (&json!("calling"), &json!("placed"), &json!("api:local"))
    );
    let location = placed.header("location").to_owned();
    let id = call["id"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/calls/{id}"));
    assert_eq!(node.count("INVITE"), 1);

    assert_eq!(world.ask("GET", &location).await.json()["id"], id);
    let list = world.ask("GET", "/api/v1/calls?state=calling").await.json();
    assert_eq!(
        (&list["calls"][0]["id"], &list["live"]),
        (&json!(id), &json!(1))
    );
    let others = world.ask("GET", "/api/v1/calls?state=connected").await;
    assert_eq!(others.json()["calls"], json!([]));

    assert_eq!(world.ask("DELETE", &location).await.status, 204);
    let ended = world.ask("GET", &location).await.json();
    assert_eq!(ended["cause"], "ended_by_api");
}

#[tokio::test]
async fn order_that_is_refused_says_why_and_where_to_look() {
    let node = node().await;
    let deny = |control: &mut Control| {
        control.change(|snapshot| snapshot.guard.unnamed_allowed = false);
    };
    deny(&mut node.control.lock().unwrap());
    let refused = node.world.ask_json("POST", "/api/v1/calls", order()).await;
    let problem = refused.json();
    assert_eq!(
        (refused.status.into(), &problem["code"]),
        (403_u16, &json!("guard_not_named"))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("403 guard_not_named") && detail.contains("guard explain"),
        "{detail}"
    );
}

#[tokio::test]
async fn each_verb_on_calls_needs_its_own_scope() {
    let node = node().await;
    let location = node.place().await;
    let create = node.world.token(&["calls:create"]).await;
    let read = node.world.token(&["calls:read"]).await;
    let end = node.world.token(&["calls:end"]).await;
    assert_eq!(node.ordered_by(&create).await.status, 201);
    for token in [&read, &end] {
        assert_eq!(node.ordered_by(token).await.status, 403);
    }
    assert_eq!(node.count("INVITE"), 2, "a refused order dials nobody");
    let ladder = format!("{location}/ladder");
    for path in ["/api/v1/calls", &location, &ladder] {
        let status = async |token: &str| node.world.with_token(token, "GET", path).await.status;
        assert_eq!(status(&read).await, 200, "{path}");
        assert_eq!(status(&create).await, 403, "{path}");
        assert_eq!(status(&end).await, 403, "{path}");
    }
    for (token, status) in [(&create, 403), (&read, 403), (&end, 204)] {
        let answer = node.world.with_token(token, "DELETE", &location).await;
        assert_eq!(answer.status, status);
    }
}

#[tokio::test]
async fn caps_of_a_token_are_429_and_say_when_to_come_back() {
    let node = node().await;
    for (caps, code) in [
        (
            TokenDraft {
                calls_per_minute: Some(1),
                ..TokenDraft::default()
            },
            "token_calls_per_minute",
        ),
        (
            TokenDraft {
                concurrent_calls: Some(1),
                ..TokenDraft::default()
            },
            "token_concurrent_calls",
        ),
    ] {
        let token = node.world.token_with(&["calls:create"], caps).await;
        assert_eq!(node.ordered_by(&token).await.status, 201);
        let second = node.ordered_by(&token).await;
        assert_eq!(
            (second.status.as_u16(), second.code().as_str()),
            (429, code)
        );
        assert_eq!(second.header("retry-after"), "10");
    }
    assert_eq!(node.count("INVITE"), 2);
}

#[tokio::test]
async fn call_that_is_not_there_is_404_whatever_is_asked_of_it() {
    let node = node().await;
    let unknown = "0f8fad5bd9cb469fa16570867728950e";
    for id in [unknown, "7", "no-id", &"f".repeat(64)] {
        for method in ["GET", "DELETE"] {
            let answer = node.world.ask(method, &format!("/api/v1/calls/{id}")).await;
            assert_eq!(answer.status, 404, "{method} {id}");
            assert_eq!(answer.code(), "no_such_call");
        }
        let ladder = format!("/api/v1/calls/{id}/ladder");
        assert_eq!(node.world.ask("GET", &ladder).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn ladder_is_text_for_people_and_json_for_programs() {
    let node = node().await;
    let location = node.place().await;
    let path = format!("{location}/ladder");
    let text = node.world.ask("GET", &path).await;
    assert_eq!(text.header("content-type"), "text/plain; charset=utf-8");
    let shown = String::from_utf8(text.body.to_vec()).unwrap();
    let arrow = " -> 192.0.2.1:5060 INVITE (";
    assert!(shown.contains(arrow), "{shown}");
    assert!(!shown.contains('\r'), "{shown}");

    let headers = [("accept", "application/json")];
    let document = node
        .world
        .ask_with("GET", &path, &headers, Body::empty())
        .await;
    assert_eq!(document.header("content-type"), "application/json");
    let ladder = document.json();
    let message = &ladder["messages"][0];
    assert_eq!(
        (&message["direction"], &message["what"], &message["peer"]),
        (&json!("sent"), &json!("INVITE"), &json!("192.0.2.1:5060"))
    );
    assert_eq!(
        (&ladder["dropped"], &message["cut"]),
        (&json!(0), &json!(false))
    );
    assert!(location.ends_with(ladder["call"].as_str().unwrap()));
}

#[tokio::test]
async fn same_order_under_one_key_is_one_call_and_another_order_is_409() {
    let node = node().await;
    let first = node.keyed("k1", &order()).await;
    assert_eq!(first.status, 201);
    let again = node.keyed("k1", &order()).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(again.header("location"), first.header("location"));
    let mut other = order();
    other["to"] = json!("+33124");
    let conflict = node.keyed("k1", &other).await;
    assert_eq!(
        (conflict.status.as_u16(), conflict.code().as_str()),
        (409, "idempotency_conflict")
    );
    assert_eq!(node.count("INVITE"), 1);
    assert_eq!(node.keyed("k2", &other).await.status, 201);
    assert_eq!(node.count("INVITE"), 2);
    for bad in ["", " ", &"k".repeat(129)] {
        let refused = node.keyed(bad, &order()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, "bad_idempotency_key"),
            "{bad}"
        );
    }
    assert_eq!(node.count("INVITE"), 2);
}

#[tokio::test]
async fn every_wrong_field_of_an_order_is_named_and_nobody_is_dialled() {
    let node = node().await;
    for (body, fields) in [
        (
            json!({"from": "6 1 0", "caller_alias": "a b"}),
            &["caller_alias", "from", "to"][..],
        ),
        (
            json!({"from": "610", "link": "a", "to": "611", "trunk": "x", "caller_name": "y"}),
            &["caller_name", "to", "trunk"],
        ),
        (json!({"from": "local:echo", "to": "611"}), &["from"]),
        (
            json!({"from": "610", "to": "611", "trunk": "none"}),
            &["trunk"],
        ),
    ] {
        let answer = node.world.ask_json("POST", "/api/v1/calls", body).await;
        assert_eq!(answer.status, 422);
        assert_eq!(answer.wrong_fields(), fields);
    }
    let link = json!({"from": "610", "link": "nowhere"});
    let answer = node.world.ask_json("POST", "/api/v1/calls", link).await;
    assert_eq!(answer.status, 404);
    assert_eq!(node.count("INVITE"), 0);
}

#[tokio::test]
async fn where_no_calls_are_handled_orders_are_503() {
    let world = world().await;
    let answer = world.ask_json("POST", "/api/v1/calls", order()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (503, "node_stopped")
    );
    assert_eq!(world.ask("GET", "/api/v1/calls").await.status, 503);
}
