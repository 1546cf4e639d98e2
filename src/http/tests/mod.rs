//! The API through its router: every route by table, and each resource by its story.

mod calls;
mod guard;
mod registrations;
mod resources;
mod tokens;
mod walk;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;

use super::access::Origin;
use super::router::{HttpState, router};
use crate::shell::Asker;
use crate::storage::Store;
use crate::tokens::draft::TokenDraft;
use crate::tokens::store::add;

struct World {
    store: Store,
    router: TowerToHyperService<Router>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body);
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:sluice:problem:{code}"));
        assert_eq!(problem["status"], self.status.as_u16());
        code
    }

    fn wrong_fields(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        let mut fields: Vec<String> = errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect();
        fields.sort();
        fields
    }
}

async fn world() -> World {
    world_with(None).await
}

async fn world_with(calls: Option<Asker>) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::of_test(folder.path()).await;
    let state = HttpState {
        calls,
        ..HttpState::new(store.clone())
    };
    World {
        store,
        router: TowerToHyperService::new(router(state)),
        _folder: folder,
    }
}

/// Anywhere but this machine.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

impl World {
    /// This proxy's word counts from now on.
    fn trust(&mut self, proxy: IpAddr) {
        let network = proxy.to_string().parse().unwrap();
        self.serve(HttpState {
            trusted_proxies: Arc::new([network]),
            ..HttpState::new(self.store.clone())
        });
    }

    /// Serves with this from now on.
    fn serve(&mut self, state: HttpState) {
        self.router = TowerToHyperService::new(router(state));
    }

    async fn token(&self, scopes: &[&str]) -> String {
        self.token_with(scopes, TokenDraft::default()).await
    }

    async fn token_with(&self, scopes: &[&str], caps: TokenDraft) -> String {
        let draft = TokenDraft {
            label: "test".to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            ..caps
        };
        add(&self.store, &draft, "test", None).await.unwrap().1
    }

    async fn send(&self, request: Request<Body>, origin: Origin) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(origin);
        let response = self.router.call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let answer = Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        answer
    }

    /// A request with a token, from elsewhere.
    async fn with_token(&self, token: &str, method: &str, path: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap();
        self.send(request, Origin::Network(ELSEWHERE)).await
    }

    /// A request of this machine, with all scopes.
    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_with(method, path, &[], Body::empty()).await
    }

    async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).unwrap(), Origin::Local)
            .await
    }

    async fn ask_json(&self, method: &str, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask_with(method, path, &headers, body.to_string())
            .await
    }
}
