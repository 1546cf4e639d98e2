//! The browser's side: the page of a link, and the WebSocket by which it calls. Owns who may come in and
//! what is said on the wire; what a call is, call control decides.

mod assets;
mod figures;
pub(crate) mod frames;
mod front;
mod line;
mod names;
mod page;
#[cfg(test)]
mod reasons;
mod seats;
mod session;
mod sessions;
mod signal;
mod template;
mod texts;
mod token;
mod turn;

use std::sync::{Arc, Once};

use axum::Router;
use axum::routing::get;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::figures::GuestFigures;
use self::figures::GuestRefused;
use self::frames::ServerFrame;
pub(super) use self::front::{Front, OverTls};
pub use self::names::Names;
pub use self::seats::GuestLimits;
use self::seats::Seats;
use self::session::unix_now;
use self::sessions::{Claim, Sessions};
use self::token::CallTokens;
pub use self::turn::TurnServers;
use super::router::HttpState;
use crate::shell::Guests;
use crate::storage::{Store, randomness};

/// Where guests come in.
#[derive(Debug)]
pub struct GuestDoor {
    guests: Guests,
    figures: Arc<GuestFigures>,
    tokens: CallTokens,
    turn: Option<TurnServers>,
    seats: Arc<Seats>,
    sessions: Arc<Sessions>,
    /// Places of WebSockets that are only told why they are refused.
    turned_away: Arc<Semaphore>,
    /// Where pages come by HTTPS; `None`: nowhere here.
    https_port: Option<u16>,
    names: Names,
    /// The log says once that a name is not ours: who asks may ask without end.
    foreign_host_said: Once,
}

impl GuestDoor {
    /// The door of a node. `None`: a key cannot be made.
    #[must_use]
    pub fn new(
        guests: Guests,
        figures: Arc<GuestFigures>,
        store: &Store,
        turn: Option<TurnServers>,
        limits: GuestLimits,
    ) -> Option<Self> {
        Some(Self {
            guests,
            seats: Seats::new(limits, Arc::clone(&figures)),
            figures,
            tokens: CallTokens::new(&store.key().derive(TOKEN_KEY))?,
            turn,
            sessions: Arc::default(),
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            https_port: None,
            names: Names::default(),
            foreign_host_said: Once::new(),
        })
    }

    /// Pages that are asked for in the clear are found by HTTPS at this port.
    #[must_use]
    pub fn with_https(self, https_port: Option<u16>) -> Self {
        Self { https_port, ..self }
    }

    /// Guests find it under these names, and it answers to no other.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// Counts a request for a name that is not ours.
    fn refuse_host(&self, front: &Front) {
        self.figures.refuse(GuestRefused::ForeignHost);
        self.foreign_host_said.call_once(|| {
            let host = front.host().unwrap_or_default();
            tracing::warn!(
                host,
                "a guest asked for a name that is not this node's and was refused (421), said once: \
                 browser.urls lists the names, http.trusted_proxies the proxies before them"
            );
        });
    }

    /// A place for a WebSocket that is told why it is refused. `None`: too many are being told.
    fn turned_away(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turned_away).try_acquire_owned().ok()
    }

    /// The first word to a page, with relays that it may use for a while.
    fn welcome(&self, claim: &Claim) -> ServerFrame {
        let random = randomness::<TURN_OCTETS>().unwrap_or_default();
        let turn = self.turn.as_ref();
        let server = turn.map(|turn| turn.credentials(unix_now(), &random));
        ServerFrame::Welcome {
            resume: claim.resume.clone(),
            ice_servers: server.into_iter().collect(),
        }
    }
}

/// The paths of guests. They are no part of the API, and need no token of it.
pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/call", get(page::page))
        .route("/call/", get(page::page))
        .route("/call/{*path}", get(page::page))
        .route("/call-assets/{version}/{name}", get(assets::asset))
        .route("/signal", get(signal::signal))
        // The name that rooms of other products have for it.
        .route("/signal.ashx", get(signal::signal))
}

/// Sockets at once that are told why they are refused; others hear it from the status of their handshake.
const TURNED_AWAY_MAX: usize = 32;
/// Octets of randomness in the name of a user of a relay.
const TURN_OCTETS: usize = 9;
/// What keys of call tokens are made for.
const TOKEN_KEY: &str = "sluice: call tokens of guests";

#[cfg(test)]
mod tests;
