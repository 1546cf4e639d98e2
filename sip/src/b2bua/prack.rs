//! Reliable provisional responses and PRACK, both directions (RFC 3262).
//!
//! Owns what is repeated until its PRACK, and the PRACKs that we send. Which response is reliable:
//! every one where the caller requires it; early media where the caller supports it and the
//! endpoint is told to. Never one to an INVITE without an offer: it would have to carry ours
//! (RFC 3262 §5), and our offer stands in the 2xx.
//!
//! | a-leg | `ring` | PRACK that matches | another PRACK | `answer` | T1, 2·T1, … | 64·T1 |
//! |---|---|---|---|---|---|---|
//! | nothing waits | send | – | 481 | 200 | – | – |
//! | a response waits | keep the last | 200, send what was kept | 481 | 200 | repeat | 504, the call ends |
//! | one with our answer waits | keep the last | 200, send what was kept | 481 | held | repeat | 504, the call ends |
//! | the same, 2xx held | declined | 200, then the 2xx | 481 | declined | repeat | 504, the call ends |
//! | 2xx overtook a response | – | 200 | 481 | – | – | – |

use std::sync::Arc;
use std::time::Instant;

use super::call;
use super::compose::{self, RequestParts, ResponseParts};
use super::core::{Core, User};
use super::leg::{OfferedBy, Reliably, Reoffer, Stage};
use super::uas::{self, Request, Responder};
use super::{challenge, offered, reoffer};
use crate::error::ProtocolError;
use crate::event::{EndCause, Refusal, ReleaseParty};
use crate::message::{HeaderName, Message, Method, RAck, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// The option tag of RFC 3262.
pub(super) const OPTION_TAG: &str = "100rel";

/// True where a provisional response to this a-leg must be reliable.
pub(super) fn is_reliable(core: &Core, key: Key, has_answer: bool) -> bool {
    let wants_it = core.config.reliable_early_media && has_answer;
    core.legs
        .get(key)
        .and_then(|leg| leg.provisional.as_ref())
        .is_some_and(|said| {
            said.supported.required_reliable || (wants_it && said.supported.reliable)
        })
}

/// Sends a provisional response reliably, or keeps it until the one before is acknowledged.
pub(super) fn respond(
    core: &mut Core,
    now: Instant,
    key: Key,
    status: StatusCode,
    body: Option<&SessionDescription>,
) -> Option<()> {
    debug_assert!(status.is_provisional(), "a final response needs no PRACK");
    debug_assert!(
        status != StatusCode::TRYING,
        "100 is never reliable (RFC 3262 §3)"
    );
    let first = core.identifiers.first_cseq();
    let leg = core.legs.get_mut(key)?;
    let said = leg.provisional.as_mut()?;
    debug_assert!(
        said.held_answer.is_none(),
        "nothing is said after the answer was given"
    );
    if said.unacknowledged.is_some() {
        let before = said.next.take().and_then(|(_, body)| body);
        let body = body.cloned().map(Box::new).or(before);
        said.next = Some((status, body));
        return Some(());
    }
    let rseq = said.rseq.map_or(first, |last| last.saturating_add(1));
    said.rseq = Some(rseq);
    let body = offered::speak_early(core, key, body);
    let number = rseq.to_string();
    let headers = [
        (HeaderName::Require, OPTION_TAG.as_bytes()),
        (HeaderName::RSeq, number.as_bytes()),
    ];
    let parts = ResponseParts {
        headers: &headers,
        capabilities: true,
        body: body.as_deref(),
        ..Default::default()
    };
    let (flow, packet) = offered::respond(core, now, key, status, &parts)?;
    let timers = core.config.timers;
    core.change(key, |leg| {
        if let Some(said) = &mut leg.provisional {
            said.unacknowledged = Some(Reliably {
                rseq,
                carries_answer: body.is_some(),
                packet,
                flow,
                retransmit_at: now + timers.t1,
                interval: timers.t1,
                give_up_at: now + timers.transaction_timeout(),
            });
        }
    })
}

/// A PRACK within the dialog of this leg.
pub(super) fn handle_prack(core: &mut Core, now: Instant, request: &Request<'_>, key: Key) {
    let Some(rack) = request.message.rack() else {
        let status = StatusCode::BAD_REQUEST;
        return uas::refuse(core, request, status, ProtocolError::StrayPrack);
    };
    let Some(carried_answer) = matched(core, key, &rack) else {
        let status = StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST;
        return uas::refuse(core, request, status, ProtocolError::StrayPrack);
    };
    let Some(offer) = offered::take_offer(core, request) else {
        return;
    };
    // A new offer is possible once ours has its answer (RFC 3262 §5), and no other one waits.
    let leg = core.legs.get(key);
    let is_answered = leg
        .and_then(|leg| leg.provisional.as_ref())
        .is_some_and(|said| said.is_answered);
    let is_busy = leg.is_some_and(|leg| !matches!(leg.reoffer, Reoffer::Idle));
    if offer.is_some() && (is_busy || !(carried_answer || is_answered)) {
        return reoffer::refuse_pending(core, request, StatusCode::SERVER_INTERNAL_ERROR);
    }
    core.change(key, |leg| {
        leg.overtaken = None;
        if let Some(said) = &mut leg.provisional {
            said.unacknowledged = None;
            said.is_answered |= carried_answer;
        }
    });
    match offer {
        Some(offer) => reoffer::receive(core, now, request, key, (offer, OfferedBy::Prack)),
        None => {
            let responder = Responder::start(core, request);
            responder.respond(core, now, request, StatusCode::OK, None);
        }
    }
    proceed(core, now, key);
}

/// What this PRACK acknowledges: whether it carried our answer (RFC 3262 §3).
fn matched(core: &Core, key: Key, rack: &RAck) -> Option<bool> {
    if rack.cseq.method != Method::Invite {
        return None;
    }
    let leg = core.legs.get(key)?;
    match &leg.stage {
        Stage::Offered(pending) if pending.cseq == rack.cseq.number => {
            let wait = leg.provisional.as_ref()?.unacknowledged.as_ref()?;
            (wait.rseq == rack.rseq).then_some(wait.carries_answer)
        }
        Stage::Confirmed if leg.overtaken == Some((rack.rseq, rack.cseq.number)) => Some(false),
        Stage::Offered(_)
        | Stage::Attempting(_)
        | Stage::Local
        | Stage::Confirmed
        | Stage::Leaving
        | Stage::Over => None,
    }
}

/// Nothing of the early dialog is pending any more: what was kept leaves.
pub(super) fn proceed(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let is_idle = matches!(leg.reoffer, Reoffer::Idle);
    let Some(said) = &mut leg.provisional else {
        return;
    };
    if !is_idle || said.unacknowledged.is_some() {
        return;
    }
    if let Some(answer) = said.held_answer.take() {
        offered::answer_now(core, now, key, &answer);
    } else if let Some((status, body)) = said.next.take() {
        respond(core, now, key, status, body.as_deref());
    }
}

/// The response again, or the end of waiting for its PRACK; and the end of the INVITE.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let call = leg.call;
    let Some(said) = &mut leg.provisional else {
        return;
    };
    let (by, refusal) = (ReleaseParty::Gateway, Refusal::default());
    let is_expired = said.held_answer.is_none() && said.expires_at.is_some_and(|at| at <= now);
    if is_expired {
        // RFC 3261 §13.3.1.
        let status = StatusCode::REQUEST_TERMINATED;
        return call::end(
            core,
            now,
            call,
            (by, EndCause::Expired, None),
            status,
            &refusal,
        );
    }
    let Some(wait) = &mut said.unacknowledged else {
        return;
    };
    if wait.give_up_at <= now {
        // RFC 3262 §3: the INVITE is refused with a 5xx.
        let status = StatusCode::SERVER_TIME_OUT;
        let cause = EndCause::Refused(status);
        return call::end(core, now, call, (by, cause, None), status, &refusal);
    }
    debug_assert!(
        wait.retransmit_at <= wait.give_up_at + wait.interval,
        "repetitions end with the wait"
    );
    if wait.retransmit_at <= now {
        wait.repeat(now);
        let (flow, packet) = (wait.flow, Arc::clone(&wait.packet));
        core.repeat(flow, packet);
    }
}

/// The number of a reliable response (RFC 3262 §4).
pub(super) fn rseq_of(response: &Message<'_>) -> Option<u32> {
    let is_reliable = response.has_token(&HeaderName::Require, OPTION_TAG);
    response.rseq().filter(|_| is_reliable)
}

/// What a reliable response is to its early dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The next one.
    Next,
    /// One that was acknowledged already.
    Again,
    /// One is missing before it: it will come again (RFC 3262 §4).
    Gap,
}

/// The first one may have any number, the others follow by one (RFC 3262 §4).
pub(super) const fn order(last: Option<u32>, rseq: u32) -> Order {
    match last {
        None => Order::Next,
        Some(last) if rseq <= last => Order::Again,
        Some(last) if rseq - last == 1 => Order::Next,
        Some(_) => Order::Gap,
    }
}

/// Acknowledges the last reliable response of an early dialog (RFC 3262 §4).
pub(super) fn send(
    core: &mut Core,
    now: Instant,
    key: Key,
    remote_tag: &[u8],
    authorization: Option<(HeaderName, Box<[u8]>)>,
) {
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    // The CSeq of the INVITE: no other request leaves outside the early dialogs.
    let invite_cseq = leg.dialog.local_cseq;
    let Some(early) = leg.attempt_mut().and_then(|it| it.early_mut(remote_tag)) else {
        return;
    };
    debug_assert!(
        early.rseq.is_some(),
        "only a reliable response is acknowledged"
    );
    let Some(rseq) = early.rseq else { return };
    let cseq = early.dialog.next_local_cseq();
    debug_assert!(cseq > invite_cseq, "PRACK is a request of its own");
    let dialog = early.dialog.clone();
    let branch = core.identifiers.branch();
    let rack = format!("{rseq} {invite_cseq} INVITE").into_bytes();
    let headers: Vec<_> = [(HeaderName::RAck, rack.into_boxed_slice())]
        .into_iter()
        .chain(authorization)
        .collect();
    let parts = RequestParts {
        headers: &headers,
        ..RequestParts::new(&Method::Prack, cseq, &branch)
    };
    let sent = compose::request_within(core, &dialog, &parts);
    let identity = ClientIdentity { branch, cseq };
    core.send_anyway(now, ClientKind::NonInvite, identity, sent, User::Prack(key));
}

/// The answer to our PRACK. Only a challenge changes something; the INVITE goes on in any case.
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if !status.is_failure() {
        return;
    }
    let tag: Box<[u8]> = response
        .to()
        .and_then(|to| to.tag())
        .unwrap_or_default()
        .into();
    let Some(leg) = core.legs.get_mut(key) else {
        return;
    };
    let Some(early) = leg.attempt_mut().and_then(|it| it.early_mut(&tag)) else {
        return;
    };
    if std::mem::replace(&mut early.is_authorized, true) {
        return;
    }
    let dialog = early.dialog.clone();
    let asked = (response, status);
    let header = challenge::authorization_for(core, key, &Method::Prack, &dialog, asked);
    if header.is_some() {
        send(core, now, key, &tag, header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3262 §4, every cell.
    #[test]
    fn every_cell_of_the_order_holds() {
        for (last, rseq, expected) in [
            (None, 1, Order::Next),
            (None, 988_789, Order::Next),
            (None, u32::MAX, Order::Next),
            (Some(7), 6, Order::Again),
            (Some(7), 7, Order::Again),
            (Some(7), 8, Order::Next),
            (Some(7), 9, Order::Gap),
            (Some(u32::MAX), 1, Order::Again),
        ] {
            assert_eq!(order(last, rseq), expected, "{last:?} {rseq}");
        }
    }
}
