//! OPTIONS, both directions (RFC 3261 §11).
//!
//! Owns our own pings and the answer to the peer's, which is never challenged: it tells whether we
//! would take a call.

use std::time::Instant;

use super::compose::{self, ResponseParts};
use super::core::{Core, Owner, User};
use super::uas::{self, Request};
use crate::deadline::Token;
use crate::error::{CommandError, ProtocolError};
use crate::event::{Event, Ping, PingKey};
use crate::message::{Method, StatusCode};
use crate::table::{Full, Key};
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// An OPTIONS of ours without a final response.
#[derive(Debug)]
pub(crate) struct PendingPing {
    transaction: Option<Key>,
    token: Option<Token>,
}

impl PendingPing {
    pub(super) const fn token(&self) -> Option<Token> {
        self.token
    }
}

/// An OPTIONS of the peer's.
pub(super) fn answer(core: &mut Core, request: &Request<'_>, is_outside: bool) {
    if is_outside && core.config.draining {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return uas::refuse(core, request, status, ProtocolError::Draining);
    }
    let parts = ResponseParts {
        capabilities: true,
        ..Default::default()
    };
    uas::respond_stateless(core, request, StatusCode::OK, parts);
}

/// The `ping` command.
pub(crate) fn ping(core: &mut Core, now: Instant, ping: &Ping) -> Result<Key, CommandError> {
    debug_assert!(!ping.timeout.is_zero(), "a ping waits for its answer");
    debug_assert!(
        ping.flow.local.is_ipv4() == ping.flow.remote.is_ipv4(),
        "a socket reaches its own family"
    );
    let full = |Full| CommandError::LimitReached;
    let pending = PendingPing {
        transaction: None,
        token: None,
    };
    let key = core.pings.insert(pending).map_err(full)?;
    let branch = core.identifiers.branch();
    let packet = compose::outside_dialog(core, &Method::Options, ping, &branch);
    let sent = (ping.flow, packet);
    let identity = ClientIdentity {
        branch,
        cseq: compose::PING_CSEQ,
    };
    let started = core.start_client(now, ClientKind::NonInvite, identity, sent, User::Ping(key));
    match (started, core.pings.get_mut(key)) {
        (Ok(transaction), Some(pending)) => {
            pending.transaction = Some(transaction);
            let at = Some(now + ping.timeout);
            core.deadlines.set(&mut pending.token, Owner::Ping(key), at);
            Ok(key)
        }
        (Ok(_) | Err(Full), _) => {
            core.pings.remove(key);
            Err(CommandError::LimitReached)
        }
    }
}

/// A response to our OPTIONS.
pub(super) fn handle_response(core: &mut Core, key: Key, status: StatusCode) {
    if status.is_final() {
        end(core, key, Some(status));
    }
}

/// The ping is over; whoever ended it may not be the transaction.
pub(super) fn end(core: &mut Core, key: Key, status: Option<StatusCode>) {
    if let Some(mut pending) = core.pings.remove(key) {
        core.deadlines
            .set(&mut pending.token, Owner::Ping(key), None);
        debug_assert!(pending.token.is_none(), "its time runs no more");
        core.emit(Event::PingEnded {
            ping: PingKey(key),
            status,
        });
    }
}

/// The time of the ping is over.
pub(super) fn handle_deadline(core: &mut Core, key: Key) {
    let transaction = core.pings.get_mut(key).and_then(|pending| {
        pending.token = None;
        pending.transaction
    });
    if let Some(user) = transaction.and_then(|transaction| core.transactions.remove(transaction)) {
        core.release_transaction(user);
    }
    end(core, key, None);
}
