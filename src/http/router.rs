//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::operation;
use super::problem::Problem;
use super::resolver::resolve;
use crate::health::Node;
use crate::storage::Store;

/// What the answers need.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The database.
    pub store: Store,
    /// `resolve` answers without a token.
    pub resolve_open: bool,
    /// The node behind this surface; `None`: there is only a database.
    pub node: Option<Arc<Node>>,
}

pub(super) fn router(state: HttpState) -> Router {
    Router::new()
        .route("/api/v1/resolve/{*path}", get(resolve))
        .merge(operation::routes())
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no_such_page",
                "There is nothing here",
            )
            .into_response()
        })
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "Only GET and HEAD work here",
            )
            .into_response()
        })
        .layer(from_fn_with_state(state.clone(), operation::count))
        .with_state(state)
}
