//! `/healthz`, `/readyz`, `/metrics`: what a supervisor, a load balancer and Prometheus ask; and the
//! request to drain.
//!
//! The first two tell anybody one word and stable reasons. `/metrics` is for this machine, and for
//! tokens with the scope `operate`.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::access::Access;
use super::problem::Problem;
use super::router::HttpState;
use super::routes::{Content, Needs, Operation, Routes, Verb};
use crate::metrics::exposition;
use crate::tokens::scope::Scope;

pub(super) fn routes() -> Routes {
    Routes::new()
        .with(HEALTH, health)
        .with(READINESS, readiness)
        .with(METRICS, metrics)
        .with(DRAIN, drain)
}

/// Every thread turns. Without a node behind it, that this answers is all there is to say.
async fn health(State(state): State<HttpState>) -> Response {
    let alive = |node: &std::sync::Arc<crate::health::Node>| node.is_alive(Instant::now());
    if state.node.as_ref().is_none_or(alive) {
        plain(StatusCode::OK, "ok\n")
    } else {
        plain(StatusCode::SERVICE_UNAVAILABLE, "a thread stands still\n")
    }
}

async fn readiness(State(state): State<HttpState>) -> Response {
    let Some(node) = &state.node else {
        return no_node();
    };
    let readiness = node.readiness().await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = serde_json::to_vec(&readiness).unwrap_or_default();
    typed(status, "application/json", body)
}

async fn metrics(State(state): State<HttpState>) -> Response {
    let Some(node) = &state.node else {
        return no_node();
    };
    typed(
        StatusCode::OK,
        exposition::CONTENT_TYPE,
        node.metrics().into_bytes(),
    )
}

/// As SIGTERM does.
async fn drain(State(state): State<HttpState>, access: Access) -> Response {
    let Some(node) = &state.node else {
        return no_node();
    };
    if node.ask_to_drain() {
        tracing::info!(by = access.label(), "asked to drain");
    }
    let body = serde_json::json!({"phase": "draining"});
    typed(
        StatusCode::ACCEPTED,
        "application/json",
        body.to_string().into_bytes(),
    )
}

/// Counts every answer by its status.
pub(super) async fn count(
    State(state): State<HttpState>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(node) = &state.node {
        node.http.answered(response.status().as_u16());
    }
    response
}

fn no_node() -> Response {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_node",
        "No node runs here",
    )
    .into_response()
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    typed(status, "text/plain; charset=utf-8", text.into())
}

fn typed(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const HEALTH: Operation = Operation::new(
    Verb::Get,
    "/healthz",
    Needs::Nothing,
    "Whether every thread turns",
)
.answering(Content::Text("text/plain"));

const READINESS: Operation = Operation::new(
    Verb::Get,
    "/readyz",
    Needs::Nothing,
    "Whether the node may take calls, and if not, why",
)
.answering(Content::AnyJson)
.refusing(&[(503, "Not now; the reasons are in the body.")]);

const METRICS: Operation = Operation::new(
    Verb::Get,
    "/metrics",
    Needs::MachineOr(Scope::Operate),
    "Every metric, for Prometheus",
)
.answering(Content::Text(exposition::CONTENT_TYPE))
.refusing(&[(503, "No node runs here.")]);

const DRAIN: Operation = Operation {
    status: 202,
    answer: Content::AnyJson,
    description: "New calls are refused from now on, those that are up go on for node.drain_s, then \
                  the node ends. As SIGTERM does.",
    ..Operation::new(
        Verb::Post,
        "/api/v1/node/drain",
        Needs::Scope(Scope::Operate),
        "Take no new calls, and end when the last one is over",
    )
};
