//! Which path is answered by what.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse as _, Response};

use super::access::{Watch, authenticate};
use super::guest::{self, GuestDoor};
use super::problem::Problem;

use super::routes::Routes;
use super::tls::{Challenges, challenge_routes};
use super::{
    calls, cdrs, extensions, guard, import, links, openapi, operation, registrations, resolver,
    settings, sources, tokens, trunks,
};
use crate::health::Node;
use crate::shell::Asker;
use crate::storage::Store;
use crate::trunks::model::Network;

/// What the answers need.
#[derive(Debug, Clone)]
pub struct HttpState {
    /// The database.
    pub store: Store,
    /// `resolve` answers without a token.
    pub resolve_open: bool,
    /// Keys of SRTP may go through clear signalling.
    pub srtp_over_clear_signalling: bool,
    /// The port of HTTPS, where others reach such a listener: tokens of theirs are not taken in the clear then.
    pub https_port: Option<u16>,
    /// Proxies whose word about their clients counts.
    pub trusted_proxies: Arc<[Network]>,
    /// The node behind this surface; `None`: there is only a database.
    pub node: Option<Arc<Node>>,
    /// What an authority of certificates is shown.
    pub challenges: Arc<Challenges>,
    /// Call control; `None`: no calls are handled here.
    pub calls: Option<Asker>,
    /// Where guests come in; `None`: nowhere.
    pub guests: Option<Arc<GuestDoor>>,
    /// Failed tries and uses of tokens.
    pub(crate) watch: Arc<Watch>,
}

impl HttpState {
    /// The state of a node that has this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            resolve_open: false,
            srtp_over_clear_signalling: false,
            https_port: None,
            trusted_proxies: Arc::default(),
            node: None,
            challenges: Arc::default(),
            calls: None,
            guests: None,
            watch: Arc::default(),
        }
    }
}

/// Every route. A resource is one file with a function `routes`; its line here mounts it.
pub(super) fn routes() -> Routes {
    Routes::new()
        .and(operation::routes())
        .and(resolver::routes())
        .and(links::routes())
        .and(import::routes())
        .and(settings::routes())
        .and(trunks::routes())
        .and(sources::routes())
        .and(cdrs::routes())
        .and(tokens::routes())
        .and(calls::routes())
        .and(extensions::routes())
        .and(registrations::routes())
        .and(guard::routes())
        .and(openapi::routes())
}

/// The router of a node.
pub(super) fn router(state: HttpState) -> Router {
    let (router, _operations) = routes().into_parts();
    router
        .merge(guest::routes())
        .merge(challenge_routes())
        .fallback(async || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "no_such_page",
                "There is nothing here",
            )
            .with_detail("GET /api/v1/openapi.json lists what there is.")
            .into_response()
        })
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(state.clone(), authenticate))
        .layer(from_fn_with_state(state.clone(), operation::count))
        .with_state(state)
}

/// axum puts the header Allow into this answer.
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "This method does not work here",
    )
    .with_detail("The header Allow names those that do.")
    .into_response()
}
