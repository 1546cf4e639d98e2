//! `/healthz`, `/readyz`, `/metrics`: what a supervisor, a load balancer and Prometheus ask.
//!
//! The first two tell anybody one word and stable reasons. `/metrics` is for this machine, and for
//! tokens with the scope `operate`.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem::Problem;
use super::router::HttpState;
use crate::metrics::exposition;

pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
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

async fn metrics(State(state): State<HttpState>, request: Request) -> Response {
    if !is_local(&request) {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "scope",
            "Metrics are for this machine and for tokens with the scope operate",
        )
        .into_response();
    }
    let Some(node) = &state.node else {
        return no_node();
    };
    typed(
        StatusCode::OK,
        exposition::CONTENT_TYPE,
        node.metrics().into_bytes(),
    )
}

/// Asked from this machine. A connection whose peer is not known is none.
fn is_local(request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| match peer.ip() {
        IpAddr::V6(address) => address.to_canonical().is_loopback(),
        IpAddr::V4(address) => address.is_loopback(),
    })
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
        "No node runs behind this surface",
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
