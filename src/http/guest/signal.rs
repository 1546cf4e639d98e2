//! `/signal`: who may open a WebSocket. A browser says of which page it is, and sends the cookie of that
//! page along; everything else is refused before any WebSocket is there.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::header::{COOKIE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::GuestDoor;
use super::figures::GuestRefused;
use super::frames::FRAME_OCTETS_MAX;
use super::front::Front;
use super::line::Line;
use super::session::{self, Caller};
use super::token::{Cookie, Jar};
use crate::http::access::Origin;
use crate::http::problem::Problem;
use crate::http::router::HttpState;

pub(super) async fn signal(
    State(state): State<HttpState>,
    Extension(front): Extension<Front>,
    Extension(origin): Extension<Origin>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Some(door) = state.guests.clone() else {
        return problem(GuestRefused::NoNode);
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let client = client(origin);
    if !door.names.is_ours(&front) {
        door.refuse_host(&front);
        return problem(GuestRefused::ForeignHost);
    }
    let judged = judge(&door, &front, &headers).and_then(|cookies| {
        let seat = door.seats.take(Instant::now(), client)?;
        Ok((Caller { client, cookies }, seat))
    });
    let (caller, seat) = match judged {
        Ok(judged) => judged,
        Err(why) => {
            door.figures.refuse(why);
            // A script is told nothing of a handshake that fails. A page of ours shall say what is wrong.
            let is_told = matches!(
                why,
                GuestRefused::NoCookie
                    | GuestRefused::TooManyOfClient
                    | GuestRefused::TooManyConnections
            );
            let place = is_told.then(|| door.turned_away()).flatten();
            let Some(place) = place else {
                return problem(why);
            };
            return bounded(upgrade).on_upgrade(async move |socket| {
                let _until_told = place;
                Line::new(socket, None).refuse(why).await;
            });
        }
    };
    let store = state.store;
    bounded(upgrade)
        .on_upgrade(move |socket| session::run(Line::new(socket, Some(seat)), door, store, caller))
}

fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        // One octet more: what is too large is refused by its name.
        .max_message_size(FRAME_OCTETS_MAX + 1)
        .max_frame_size(FRAME_OCTETS_MAX + 1)
        // Kept for as long as the WebSocket is, and cleared before each read.
        .read_buffer_size(READ_OCTETS)
        .max_write_buffer_size(WRITE_OCTETS_MAX)
}

/// A page of ours, with its cookie.
fn judge(
    door: &GuestDoor,
    front: &Front,
    headers: &HeaderMap,
) -> Result<Vec<Cookie>, GuestRefused> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if !text(ORIGIN).is_some_and(|origin| door.names.is_own(front, origin)) {
        return Err(GuestRefused::ForeignOrigin);
    }
    // HTTP/1.1 sends one field of cookies (RFC 6265 §5.4).
    let cookies = text(COOKIE).unwrap_or_default();
    let found = jars(front).iter();
    let found: Vec<_> = found
        .filter_map(|jar| Cookie::find(cookies, *jar))
        .collect();
    if found.is_empty() {
        return Err(GuestRefused::NoCookie);
    }
    Ok(found)
}

/// The cookies that may come. A page within a page of a neighbour's of ours has both, and which one is its own
/// only its token tells.
const fn jars(front: &Front) -> &'static [Jar] {
    if front.is_secure {
        &[Jar::Secure, Jar::Embedded]
    } else {
        &[Jar::Plain]
    }
}

/// Whose request it is, for bounds, the guard and the record.
pub(super) const fn client(origin: Origin) -> IpAddr {
    match origin {
        Origin::Network(address) | Origin::Forwarded(address) => address,
        Origin::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

fn problem(why: GuestRefused) -> Response {
    let (status, title) = match why {
        GuestRefused::NoNode => (StatusCode::SERVICE_UNAVAILABLE, "No node runs here"),
        GuestRefused::ForeignHost => (
            StatusCode::MISDIRECTED_REQUEST,
            "This host is not this node",
        ),
        GuestRefused::TooManyConnections => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many guests at once")
        }
        GuestRefused::TooManyOfClient => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many WebSockets from your address",
        ),
        GuestRefused::ForeignOrigin
        | GuestRefused::NoCookie
        | GuestRefused::TooManyLoads
        | GuestRefused::TooManyCalls
        | GuestRefused::Late
        | GuestRefused::BadFrame
        | GuestRefused::FrameTooLarge
        | GuestRefused::TooManyFrames
        | GuestRefused::BadToken
        | GuestRefused::TokenExpired
        | GuestRefused::AlreadyOpen
        | GuestRefused::UnknownResume
        | GuestRefused::BadSdp
        | GuestRefused::BadDigits
        | GuestRefused::Link
        | GuestRefused::Busy
        | GuestRefused::Stopping
        | GuestRefused::NoRandomness => {
            (StatusCode::FORBIDDEN, "Only pages of this node may do that")
        }
    };
    Problem::new(status, why.as_str(), title).into_response()
}

/// Octets that are read at once: an offer is read in a few steps, everything later in one.
const READ_OCTETS: usize = 1024;
/// Octets that wait for a page to take them.
const WRITE_OCTETS_MAX: usize = 512 * 1024;

impl GuestDoor {
    /// Counts a refusal, says it, and ends the WebSocket.
    pub(super) async fn refuse(self: &Arc<Self>, line: Line, why: GuestRefused) {
        self.figures.refuse(why);
        line.refuse(why).await;
    }
}
