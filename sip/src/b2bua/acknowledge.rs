//! 2xx and ACK: both directions of the three-way handshake (RFC 3261 §13.2.2.4, §13.3.1.4).
//!
//! Owns the 2xx that we repeat, the ACK that ends that, and the ACK that we send for each 2xx.

use std::sync::Arc;
use std::time::Instant;

use super::bye;
use super::call;
use super::compose::{self, RequestParts, ResponseParts};
use super::core::Core;
use super::identity;
use super::leg::{Acknowledgement, PendingInvite, Reoffer, Stage, Unacknowledged};
use super::overload;
use super::session_timer;
use super::uas::{self, Request};
use crate::dialog::Dialog;
use crate::error::{CommandError, ProtocolError};
use crate::event::{AnswerFault, CallKey, EndCause, Event, LegKey, ReleaseParty};
use crate::limits::FORKED_ANSWERS_MAX;
use crate::message::{self, Method, StatusCode};
use crate::offer_answer::refusal_of;
use crate::sdp::SessionDescription;
use crate::table::Key;

/// A 2xx that we are about to send.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    /// The INVITE.
    pub(super) pending: PendingInvite,
    /// Our answer, or our offer where the INVITE had none; `None`: a reliable response had it.
    pub(super) body: Option<&'a SessionDescription>,
    /// True for the INVITE that made the dialog.
    pub(super) is_first: bool,
}

/// Sends 200 to an INVITE and begins to repeat it.
pub(super) fn answer(core: &mut Core, now: Instant, key: Key, answer: &Answer<'_>) -> Option<()> {
    let leg = core.legs.get(key)?;
    let (tag, contact) = (leg.dialog.local_tag, leg.contact.clone());
    let pending = &answer.pending;
    debug_assert!(
        leg.unacknowledged.is_none(),
        "one 2xx at a time waits for its ACK"
    );
    debug_assert_eq!(
        answer.is_first,
        matches!(leg.stage, Stage::Offered(_)),
        "the first INVITE makes the dialog, the others are within it"
    );
    debug_assert!(
        answer.is_first || matches!(leg.reoffer, Reoffer::Received(_)),
        "an offer of the peer's is answered"
    );
    let request = message::parse(&pending.request).ok()?;
    let identity = leg.identity.clone();
    let session = session_timer::accept(core, now, key, &request);
    let parts = ResponseParts {
        headers: &identity::shown(&identity),
        to_tag: answer.is_first.then_some(tag.as_str()),
        contact: Some(&contact),
        makes_dialog: answer.is_first,
        capabilities: true,
        body: answer.body,
        session,
        ..Default::default()
    };
    let status = StatusCode::OK;
    let packet = compose::response(core, &request, pending.flow, status, &parts);
    let flow = core
        .transactions
        .respond(now, pending.transaction, status.code(), &packet)?;
    core.send(flow, Arc::clone(&packet));
    let timers = core.config.timers;
    core.change(key, |leg| {
        if let Some(body) = answer.body {
            session_timer::note_description(leg, body);
        }
        if answer.is_first {
            leg.stage = Stage::Confirmed;
        } else {
            leg.reoffer = Reoffer::Idle;
        }
        let sent = (flow, packet);
        let wait = Unacknowledged::new(now, &timers, pending, sent, answer.is_first);
        leg.unacknowledged = Some(Box::new(wait));
    })
}

/// An ACK that belongs to no failure of ours. It is never answered.
pub(super) fn handle_ack(core: &mut Core, now: Instant, request: &Request<'_>) {
    let Some(key) = uas::find_leg(core, request) else {
        return core.discard_for(request.flow, ProtocolError::StrayAck);
    };
    core.touched = Some(key);
    let cseq = request.identity.cseq;
    let acknowledged = core.change(key, |leg| {
        leg.adopt_flow(request.flow);
        leg.unacknowledged
            .take_if(|wait| wait.cseq == cseq)
            .map(|wait| (leg.call, wait))
    });
    // A repeated ACK is no news.
    let Some(Some((call, wait))) = acknowledged else {
        return;
    };
    if let Some(refusal) = wait.bye_after {
        return bye::send(core, now, key, &refusal);
    }
    if wait.is_first {
        overload::settle(core, call);
        core.emit(Event::Confirmed {
            call: CallKey(call),
        });
    }
    if wait.carries_offer {
        let answer = match request.message.sdp().map(SessionDescription::parse) {
            Some(Ok(answer)) => Ok(Box::new(answer)),
            Some(Err(_)) => Err(AnswerFault::Unreadable),
            None => Err(AnswerFault::Absent),
        };
        core.emit(Event::ReofferCompleted {
            call: CallKey(call),
            leg: LegKey(key),
            answer,
        });
    }
}

/// The 2xx again, or the end of waiting for its ACK.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let timers = core.config.timers;
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    if (leg.unanswered.as_ref()).is_some_and(|wait| wait.give_up_at <= now) {
        let cause = EndCause::OfferUnanswered;
        return call::end_by(core, now, call, ReleaseParty::Gateway, cause);
    }
    let Some(wait) = &mut leg.unacknowledged else {
        return;
    };
    if wait.give_up_at <= now {
        let wait = leg.unacknowledged.take();
        if let Some(refusal) = wait.and_then(|wait| wait.bye_after) {
            return bye::send(core, now, key, &refusal);
        }
        // §13.3.1.4: the dialog is confirmed, the session should be ended by BYE.
        return call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::NoAck);
    }
    debug_assert!(now < wait.give_up_at, "64·T1 ends the repetitions");
    if wait.retransmit_at <= now {
        wait.repeat(now, &timers);
        let (flow, packet) = (wait.flow, Arc::clone(&wait.packet));
        core.repeat(flow, packet);
    }
}

/// The `acknowledge` command: the answer to an offer in a 2xx.
pub(crate) fn answer_offer(
    core: &mut Core,
    _now: Instant,
    call: Key,
    key: Key,
    answer: &SessionDescription,
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    if leg.unanswered.is_none() {
        return Err(CommandError::NothingToAnswer);
    }
    debug_assert!(leg.is_confirmed(), "a 2xx made the dialog");
    core.change(key, |leg| session_timer::note_description(leg, answer));
    take_unanswered(core, key, Some(answer));
    Ok(())
}

/// Nobody answers the offer in the 2xx: the ACK refuses every line of it, because an offer must be
/// answered (RFC 3261 §13.2.2.4). The BYE is the caller's affair.
pub(super) fn decline_offer(core: &mut Core, key: Key) {
    take_unanswered(core, key, None);
}

fn take_unanswered(core: &mut Core, key: Key, answer: Option<&SessionDescription>) {
    let taken = core.change(key, |leg| {
        let wait = leg.unanswered.take()?;
        Some((wait, leg.dialog.clone()))
    });
    let Some(Some((wait, dialog))) = taken else {
        return;
    };
    let refused;
    let body = match answer {
        Some(answer) => answer,
        None => {
            refused = refusal_of(&wait.offer, dialog.flow.local.ip());
            &refused
        }
    };
    send(core, key, &dialog, wait.cseq, true, Some(body));
}

/// Sends the ACK of a 2xx within `dialog` and keeps it for repetitions of the 2xx.
pub(super) fn send(
    core: &mut Core,
    key: Key,
    dialog: &Dialog,
    cseq: u32,
    is_first: bool,
    body: Option<&SessionDescription>,
) {
    let branch = core.identifiers.branch();
    // The ACK carries the credentials of its INVITE.
    let headers: Vec<_> = core
        .legs
        .get(key)
        .and_then(|leg| leg.authorization.clone())
        .into_iter()
        .collect();
    let parts = RequestParts {
        headers: &headers,
        body,
        ..RequestParts::new(&Method::Ack, cseq, &branch)
    };
    let (flow, packet) = compose::request_within(core, dialog, &parts);
    core.send(flow, Arc::clone(&packet));
    if let Some(leg) = core.legs.get_mut(key) {
        // A later re-INVITE takes the place of the one before.
        leg.acknowledgements
            .retain(|kept| is_first || kept.is_first);
        if leg.acknowledgements.len() <= FORKED_ANSWERS_MAX {
            leg.acknowledgements.reserve_exact(1); // Most legs have one.
            leg.acknowledgements.push(Acknowledgement {
                remote_tag: Arc::clone(&dialog.remote_tag),
                cseq,
                is_first,
                packet,
                flow,
            });
        }
        debug_assert!(
            leg.acknowledgements.len() <= FORKED_ANSWERS_MAX + 1,
            "the bound holds"
        );
    }
}

/// A repeated 2xx gets the same ACK, octet by octet. `false`: it is the first one.
pub(super) fn repeat(core: &mut Core, key: Key, remote_tag: &[u8], cseq: u32) -> bool {
    let kept = core.legs.get(key).and_then(|leg| {
        let of_answer =
            |kept: &&Acknowledgement| *kept.remote_tag == *remote_tag && kept.cseq == cseq;
        let kept = leg.acknowledgements.iter().find(of_answer)?;
        // By the connection that the dialog has by now.
        let flow = Some(leg.dialog.next_hop()).filter(|hop| {
            leg.dialog.is_remote_tag(remote_tag)
                && hop.transport.is_reliable()
                && hop.transport == kept.flow.transport
        });
        Some((flow.unwrap_or(kept.flow), Arc::clone(&kept.packet)))
    });
    match kept {
        Some((flow, packet)) => {
            core.repeat(flow, packet);
            true
        }
        None => false,
    }
}
