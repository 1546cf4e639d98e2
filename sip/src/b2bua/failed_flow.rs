//! A path does not work, or a connection is gone: who goes another way, and who hears of it.
//!
//! Owns the order: dialogs lose their connection first, so that what is sent again leaves by the path
//! that they have then (RFC 3261 §18.2.2 and §18.4).
//!
//! | what broke with its connection | what becomes of it |
//! |---|---|
//! | a first INVITE that nobody heard | the attempt failed (§17.1.4); whoever answers it nevertheless gets ACK and BYE |
//! | another request of a leg that nobody heard (BYE, CANCEL, re-INVITE, PRACK, …) | leaves again: at once, then after growing pauses until timer F |
//! | OPTIONS, REGISTER | their user hears of it at once (§17.1.4) and has a schedule of its own |
//! | a request that was heard | its final response comes by another connection (§18.2.2) |
//! | an ACK of a 2xx | leaves again when the 2xx comes again (§13.2.2.4) |
//! | a 2xx, a reliable 1xx | are repeated to sent-by until ACK (§13.3.1.4) and PRACK (RFC 3262 §3) |
//! | another final response to an INVITE | leaves again for sent-by: at once, then after growing pauses until timer H |

use std::time::Instant;

use super::core::{Core, User};
use super::leg::{Leg, Stage};
use super::{attempt, uac};
use crate::dialog::Dialog;
use crate::event::Flow;
use crate::message;
use crate::table::Key;
use crate::transaction::layer::Again;
use crate::transport::via;

/// A send on this flow failed, or its connection is closed.
pub(super) fn handle(core: &mut Core, now: Instant, flow: Flow) {
    let is_stream = flow.transport.is_reliable();
    if is_stream {
        lose(core, now, flow);
    }
    let other_path = |core: &Core, user: User| {
        let leg = user.leg().filter(|_| is_stream)?;
        core.legs.get(leg).map(|leg| leg.path_after(flow))
    };
    debug_assert!(
        !is_stream || core.legs.iter().all(|(_, leg)| !leg.relies_on(flow)),
        "no dialog counts on a connection that is gone"
    );
    for key in core.transactions.unheard_on(flow) {
        let Some(user) = core.transactions.user(key) else {
            continue;
        };
        core.touched = user.leg();
        debug_assert!(
            core.transactions.waits_for(key).is_none(),
            "what waits to leave lost nothing"
        );
        if let Some((flow, packet)) = core.transactions.fall_back(now, key) {
            core.counters.fell_back_to_udp += 1;
            core.no_tcp.remember(now, flow.remote);
            core.send(flow, packet);
            continue;
        }
        // A first INVITE has other targets to go to; what belongs to a dialog has not. But the peer may
        // have got it before the connection broke, and may answer by another one.
        if let (User::Invite(leg), true) = (user, is_stream) {
            attempt::break_off(core, now, leg, key);
            continue;
        }
        if let Some(path) = other_path(core, user) {
            match core.transactions.start_again(now, key, path) {
                Again::Now(flow, packet) => {
                    core.repeat(flow, packet);
                    continue;
                }
                Again::Later => continue,
                Again::Never => {}
            }
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

/// The pause of this transaction may be over: where its peer has come by a new connection meanwhile, that
/// is the way. Another fork's is its own, and a response goes to sent-by.
pub(super) fn choose_path(core: &mut Core, key: Key) {
    let Some(waiting) = core.transactions.waits_for(key) else {
        return;
    };
    let user = core.transactions.user(key);
    let is_of_dialog = |user: &User| !matches!(user, User::Errand(_) | User::Leg(_));
    let leg = user.filter(is_of_dialog).and_then(User::leg);
    let Some(leg) = leg.and_then(|key| core.legs.get(key)) else {
        return;
    };
    if leg.dialog.is_flow_open && leg.dialog.is_same_peer(waiting) {
        let path = leg.dialog.flow;
        debug_assert!(
            path.transport == waiting.transport,
            "a Via does not change on the way"
        );
        core.transactions.set_flow(key, path);
    }
}

/// Dialogs lose their connection; responses and kept messages take their new path.
fn lose(core: &mut Core, now: Instant, flow: Flow) {
    for (_, leg) in core.legs.iter_mut() {
        leg.lose_flow(flow);
        reroute_kept(leg, flow);
    }
    for (flow, packet) in core.transactions.reroute_responses(now, flow) {
        core.repeat(flow, packet);
    }
}

/// A response that waits for its ACK or PRACK goes where its transaction's responses go; an ACK goes
/// where the dialog's requests go.
fn reroute_kept(leg: &mut Leg, flow: Flow) {
    // Most legs have nothing to do with it, and there may be thousands.
    if leg.acknowledgements.iter().any(|kept| kept.flow == flow) {
        let path = leg.path_after(flow);
        for kept in &mut leg.acknowledgements {
            if kept.flow == flow {
                kept.flow = path;
            }
        }
    }
    let answer = leg.unacknowledged.as_mut();
    let answer = answer.map(|wait| (&mut wait.flow, &wait.packet));
    let provisional = leg.provisional.as_mut();
    let provisional = provisional.and_then(|said| said.unacknowledged.as_mut());
    let provisional = provisional.map(|wait| (&mut wait.flow, &wait.packet));
    for (path, response) in answer.into_iter().chain(provisional) {
        if *path == flow {
            debug_assert!(flow.transport.is_reliable(), "a socket is not closed");
            *path = sent_by(flow, response);
        }
    }
}

/// Where this response of ours goes without its connection (RFC 3261 §18.2.2).
fn sent_by(flow: Flow, response: &[u8]) -> Flow {
    let port = message::parse(response)
        .ok()
        .and_then(|response| response.top_via())
        .and_then(|via| via.port())
        .unwrap_or(via::PORT_DEFAULT);
    if port == 0 {
        return flow;
    }
    via::without_connection(flow, port)
}

impl Leg {
    /// Its dialogs that were made by this connection have none.
    fn lose_flow(&mut self, flow: Flow) {
        for dialog in self.dialogs_mut() {
            if dialog.flow == flow {
                dialog.lose_flow();
            }
        }
    }

    /// One of its dialogs has this connection, and believes that it is open.
    fn relies_on(&self, flow: Flow) -> bool {
        let early = match &self.stage {
            Stage::Attempting(attempt) => attempt.early.as_slice(),
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                &[]
            }
        };
        let early = early.iter().map(|early| &early.dialog);
        std::iter::once(&self.dialog)
            .chain(early)
            .any(|dialog| dialog.flow == flow && dialog.is_flow_open)
    }

    /// Its dialogs without a connection have this one, where it is the same peer's.
    pub(super) fn adopt_flow(&mut self, flow: Flow) {
        for dialog in self.dialogs_mut() {
            dialog.adopt_flow(flow);
        }
    }

    fn dialogs_mut(&mut self) -> impl Iterator<Item = &mut Dialog> {
        let early = match &mut self.stage {
            Stage::Attempting(attempt) => attempt.early.as_mut_slice(),
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                &mut []
            }
        };
        let early = early.iter_mut().map(|early| &mut early.dialog);
        std::iter::once(&mut self.dialog).chain(early)
    }

    /// Where requests of ours that this flow was to carry go now: while the peer has no part in the
    /// dialog yet, to the target that was dialled.
    fn path_after(&self, failed: Flow) -> Flow {
        if self.dialog.flow != failed {
            // A target of its own, which was connected to and can be again.
            return failed;
        }
        match &self.stage {
            Stage::Attempting(attempt) => attempt.dial.flow,
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                self.dialog.next_hop()
            }
        }
    }
}
