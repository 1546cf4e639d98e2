//! `GET /call/{request path}`: the page of a link, or the page that says why there is none. It places no
//! call and takes no number, whoever loads it.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderName, LOCATION, RETRY_AFTER,
    SET_COOKIE, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use super::GuestDoor;
use super::assets::FOLDER;
use super::figures::GuestRefused;
use super::front::Front;
use super::session::unix_now;
use super::signal::client;
use super::template::fill;
use super::texts::{self, Language};
use super::token::{COOKIE_OCTETS, CallToken, Cookie, Jar, LOAD_OCTETS, Load};
use crate::http::access::Origin;
use crate::http::resolver::{decode, status_of};
use crate::http::router::HttpState;
use crate::links::resolve::{ResolveRefusal, ResolvedLink};
use crate::links::rules;
use crate::storage::randomness;

/// What stands before the request path.
const PREFIX: &str = "/call/";

pub(super) async fn page(
    State(state): State<HttpState>,
    Extension(front): Extension<Front>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    if let Some(there) = elsewhere(&state, &front, origin, request.uri()) {
        return there;
    }
    let headers = request.headers();
    let query = Query::of(request.uri().query().unwrap_or_default());
    let accepted = text(headers, ACCEPT_LANGUAGE);
    let frame = Frame {
        language: texts::choose(accepted),
        embed_origins: match query.is_widget {
            true => state.store.snapshot().settings.embed_origins.clone(),
            false => Vec::new(),
        },
        front: &front,
    };
    let Some(door) = &state.guests else {
        return frame.refuse(Refusal::Unavailable);
    };
    if !door.names.is_ours(&front) {
        door.refuse_host(&front);
        return frame.refuse(Refusal::ForeignHost);
    }
    if let Err(wait) = door.seats.load(Instant::now(), client(origin)) {
        door.figures.refuse(GuestRefused::TooManyLoads);
        return frame.refuse(Refusal::Rate(wait));
    }
    let raw = request.uri().path().strip_prefix(PREFIX);
    let resolved = match decode(raw.unwrap_or_default()) {
        Some(path) => state.store.resolve(&path, None, Timestamp::now()).await,
        None => Err(ResolveRefusal::Unknown),
    };
    match resolved {
        Ok(link) => frame.call(door, &link, &query, text(headers, COOKIE)),
        Err(refusal) => {
            door.figures.refuse(GuestRefused::Link);
            frame.refuse(Refusal::Link(refusal))
        }
    }
}

/// To HTTPS, where there is such a listener and the guest comes to us itself: a browser gives no
/// microphone to a page that came in the clear, but from its own machine.
fn elsewhere(state: &HttpState, front: &Front, origin: Origin, uri: &Uri) -> Option<Response> {
    let door = state.guests.as_ref()?;
    let port = door.https_port?;
    let is_direct = matches!(origin, Origin::Network(_)) && !front.is_proxied;
    if front.is_secure || front.is_loopback() || !is_direct {
        return None;
    }
    let there = door.names.by_tls(front, port)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let there = HeaderValue::from_str(&format!("{there}{path}")).ok()?;
    let headers = [(LOCATION, there)];
    Some((StatusCode::PERMANENT_REDIRECT, headers).into_response())
}

/// What the query of a page says. Others add words of their own to links: they mean nothing here.
#[derive(Debug, Default)]
struct Query {
    caller_name: String,
    is_widget: bool,
}

impl Query {
    fn of(query: &str) -> Self {
        let mut found = Self::default();
        for word in query.split('&') {
            match word.split_once('=') {
                Some(("callerName", value)) if found.caller_name.is_empty() => {
                    let name = decode(&value.replace('+', " ")).unwrap_or_default();
                    let name = name.trim();
                    if rules::is_display_text(name) {
                        name.clone_into(&mut found.caller_name);
                    }
                }
                Some(("widget", value)) => found.is_widget = value == "true",
                Some(_) | None => {}
            }
        }
        found
    }
}

/// Why there is no page.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Link(ResolveRefusal),
    Rate(Duration),
    ForeignHost,
    Unavailable,
}

/// What all pages have.
struct Frame<'f> {
    language: &'static Language,
    /// Sites that may show it within theirs.
    embed_origins: Vec<String>,
    front: &'f Front,
}

impl Frame<'_> {
    fn call(
        &self,
        door: &GuestDoor,
        link: &ResolvedLink,
        query: &Query,
        cookies: &str,
    ) -> Response {
        let jar = match (self.front.is_secure, query.is_widget) {
            (false, _) => Jar::Plain,
            (true, false) => Jar::Secure,
            (true, true) => Jar::Embedded,
        };
        let random = (randomness::<LOAD_OCTETS>(), randomness::<COOKIE_OCTETS>());
        let (Ok(load), Ok(fresh)) = random else {
            return self.refuse(Refusal::Unavailable);
        };
        let cookie = Cookie::find(cookies, jar).unwrap_or_else(|| Cookie::new(fresh));
        let token = CallToken {
            load: Load(load),
            request_path: link.request_path.clone(),
        };
        let token = door.tokens.mint(&token, &cookie, unix_now());
        door.figures
            .pages
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let texts = &self.language.texts;
        let html = fill(CALL, |name| {
            let embed = || serde_json::to_string(&self.embed_origins).unwrap_or_default();
            let auto = link.auto_call_after_s.map(|seconds| seconds.to_string());
            Some(match name {
                "token" => token.clone(),
                "policy" => link.video_policy.as_str().to_owned(),
                "auto_call" => auto.unwrap_or_default(),
                "widget" => query.is_widget.to_string(),
                "embed" => embed(),
                "texts" => texts.script(),
                "title" => texts.title(&link.display_name),
                "display_name" => link.display_name.clone(),
                "initials" => initials(&link.display_name),
                "caller_name" => query.caller_name.clone(),
                "name_hidden" => hidden(!link.allow_custom_caller_name),
                other => return self.common(other),
            })
        });
        let mut response = self.finish(StatusCode::OK, html);
        if let Ok(set) = HeaderValue::from_str(&cookie.set(jar)) {
            response.headers_mut().insert(SET_COOKIE, set);
        }
        response
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        let (status, cause, word) = match refusal {
            Refusal::Link(link) => {
                let word = match link {
                    ResolveRefusal::Unknown => "unknown",
                    ResolveRefusal::Dead => "gone",
                    ResolveRefusal::NotYetValid(_) => "not_yet",
                    ResolveRefusal::Unavailable => "unavailable",
                };
                (status_of(link), link.as_str(), word)
            }
            Refusal::Rate(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_loads", "rate"),
            Refusal::ForeignHost => (StatusCode::MISDIRECTED_REQUEST, "foreign_host", "host"),
            Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "no_node", "unavailable"),
        };
        let when = match refusal {
            Refusal::Link(ResolveRefusal::NotYetValid(after)) => Some(after.to_string()),
            Refusal::Link(_) | Refusal::Rate(_) | Refusal::ForeignHost | Refusal::Unavailable => {
                None
            }
        };
        let texts = &self.language.texts;
        let html = fill(REFUSED, |name| match name {
            "cause" => Some(cause.to_owned()),
            "title" => texts.refused(&format!("{word}_title")),
            "text" => texts.refused(&format!("{word}_text")),
            "when" => Some(when.clone().unwrap_or_default()),
            "when_hidden" => Some(hidden(when.is_none())),
            other => self.common(other),
        });
        let mut response = self.finish(status, html);
        if let Refusal::Rate(wait) = refusal {
            let seconds = wait.as_secs() + 1;
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }

    fn common(&self, name: &str) -> Option<String> {
        match name {
            "lang" => Some(self.language.name.to_owned()),
            "dir" => Some(self.language.direction.to_owned()),
            "assets" => Some(FOLDER.clone()),
            other => self.language.texts.page(other.strip_prefix("t.")?),
        }
    }

    fn finish(&self, status: StatusCode, html: String) -> Response {
        let mut response = (status, html).into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CACHE_CONTROL, "no-store"),
            (VARY, "accept-language, cookie"),
            (HeaderName::from_static("referrer-policy"), "no-referrer"),
            (HeaderName::from_static("permissions-policy"), PERMISSIONS),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
            (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.embed_origins.is_empty() {
            // For browsers that do not know `frame-ancestors`.
            let name = HeaderName::from_static("x-frame-options");
            headers.insert(name, HeaderValue::from_static("DENY"));
        }
        let name = HeaderName::from_static("content-security-policy");
        let policy = HeaderValue::from_str(&self.policy());
        headers.insert(name, policy.unwrap_or(HeaderValue::from_static(CLOSED)));
        response
    }

    /// Everything from here, nothing inline, nobody around it but who is named.
    fn policy(&self) -> String {
        let ancestors = match self.embed_origins.is_empty() {
            true => "'none'".to_owned(),
            false => self.embed_origins.join(" "),
        };
        // Older browsers do not take a WebSocket for 'self'.
        let scheme = if self.front.is_secure { "wss" } else { "ws" };
        let socket = self.front.authority.as_deref();
        let socket = socket.map(|authority| format!(" {scheme}://{authority}"));
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'{}; media-src 'self' blob:; base-uri 'none'; form-action 'none'; \
             frame-ancestors {ancestors}; require-trusted-types-for 'script'",
            socket.unwrap_or_default()
        )
    }
}

/// Up to two letters for whom a name names; a number has none.
fn initials(name: &str) -> String {
    let mut words = name
        .split_whitespace()
        .filter_map(|word| word.chars().find(|letter| letter.is_alphabetic()));
    let first = words.next();
    let last = words.next_back();
    let letters = first.into_iter().chain(last);
    let letters: String = letters.flat_map(char::to_uppercase).take(3).collect();
    if letters.is_empty() {
        "#".to_owned()
    } else {
        letters
    }
}

fn hidden(is_hidden: bool) -> String {
    if is_hidden { " hidden" } else { "" }.to_owned()
}

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

const CALL: &str = include_str!("page/call.html");
const REFUSED: &str = include_str!("page/refused.html");
const CLOSED: &str = "default-src 'none'; frame-ancestors 'none'";
const PERMISSIONS: &str = "microphone=(self), camera=(self), speaker-selection=(self), \
                           fullscreen=(self), autoplay=(self), screen-wake-lock=(self), \
                           display-capture=(), geolocation=(), payment=(), usb=()";
