//! A path does not work, or a connection is gone: who goes another way, and who hears of it.
//!
//! Owns the order: dialogs lose their connection first, so that what is sent again leaves by the path
//! that they have then (RFC 3261 §18.2.2 and §18.4).

use std::time::Instant;

use super::core::{Core, User};
use super::leg::{Leg, Stage};
use super::{attempt, uac};
use crate::event::Flow;
use crate::message;
use crate::transport::via;

/// A send on this flow failed, or its connection is closed.
pub(super) fn handle(core: &mut Core, now: Instant, flow: Flow) {
    let is_stream = flow.transport.is_reliable();
    if is_stream {
        lose(core, flow);
    }
    let other_path = |core: &Core, user: User| {
        let leg = user.leg().filter(|_| is_stream)?;
        core.legs.get(leg).map(Leg::path)
    };
    for key in core.transactions.unheard_on(flow) {
        let Some(user) = core.transactions.user(key) else {
            continue;
        };
        core.touched = user.leg();
        if let Some((flow, packet)) = core.transactions.fall_back(now, key) {
            core.counters.fell_back_to_udp += 1;
            core.send(flow, packet);
            continue;
        }
        // A first INVITE has other targets to go to; what belongs to a dialog has not. But the peer may
        // have got it before the connection broke, and may answer by another one.
        if let (User::Invite(leg), true) = (user, is_stream) {
            attempt::break_off(core, now, leg, key);
            continue;
        }
        let again =
            other_path(core, user).and_then(|path| core.transactions.start_again(now, key, path));
        if let Some((flow, packet)) = again {
            core.repeat(flow, packet);
            continue;
        }
        if let Some(user) = core.transactions.remove(key) {
            uac::handle_transport_failed(core, now, user, key);
            core.release_transaction(user);
        }
    }
    for key in core.transactions.heard_on(flow) {
        let user = core.transactions.user(key);
        if let Some(path) = user.and_then(|user| other_path(core, user)) {
            core.transactions.set_flow(key, path);
        }
    }
}

/// Dialogs lose their connection; responses and kept messages take their new path.
fn lose(core: &mut Core, flow: Flow) {
    for (_, leg) in core.legs.iter_mut() {
        if leg.dialog.flow == flow {
            leg.dialog.lose_flow();
        }
        reroute_kept(leg, flow);
    }
    for (flow, packet) in core.transactions.reroute_responses(flow) {
        core.repeat(flow, packet);
    }
}

/// A 2xx that waits for its ACK goes where its transaction's responses go; an ACK goes where the
/// dialog's requests go.
fn reroute_kept(leg: &mut Leg, flow: Flow) {
    let path = leg.path();
    for kept in &mut leg.acknowledgements {
        if kept.flow == flow {
            kept.flow = path;
        }
    }
    if let Some(wait) = &mut leg.unacknowledged
        && wait.flow == flow
    {
        let port = message::parse(&wait.packet)
            .ok()
            .and_then(|response| response.top_via())
            .map_or(via::PORT_DEFAULT, |via| {
                via.port().unwrap_or(via::PORT_DEFAULT)
            });
        if port != 0 {
            wait.flow = via::without_connection(flow, port);
        }
    }
}

impl Leg {
    /// Where requests of ours go now: while the peer has no part in the dialog yet, to the target
    /// that was dialled.
    fn path(&self) -> Flow {
        match self.stage {
            Stage::Attempting(_) => self.dialog.flow,
            Stage::Offered(_) | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                self.dialog.next_hop()
            }
        }
    }
}
