//! Early dialogs of an attempt: the forks that ring, and what a 2xx makes of them (RFC 3261 §12.1.2,
//! §13.2.2.4).
//!
//! Owns what each fork has said. Timers and the end of the attempt are in `attempt`.

use std::time::Instant;

use super::compose::{self, RequestParts};
use super::core::{Core, User};
use super::leg::{Attempt, EarlyDialog, Stage, Unanswered};
use super::prack::{self, Order};
use super::{acknowledge, offered, reoffer, update};
use crate::dialog::Dialog;
use crate::error::ProtocolError;
use crate::event::Refusal;
use crate::limits::{CONNECTED_HEADERS_MAX, EARLY_DIALOGS_MAX, FORKED_ANSWERS_MAX};
use crate::message::{HeaderName, Message, Method};
use crate::offer_answer::refusal_of;
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// Keeps what this response says of its early dialog, and acknowledges it where it is reliable
/// (RFC 3262 §4). `None`: it is no news; else whether it answers our offer reliably.
pub(super) fn take_early(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    answer: Option<&SessionDescription>,
) -> Option<bool> {
    let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
    let rseq = prack::rseq_of(response);
    let leg = core.legs.get_mut(key)?;
    let flow = leg.dialog.flow;
    let is_fresh = !leg.has_remote_tag(tag);
    let fresh = is_fresh.then(|| leg.dialog.with_response(response));
    let has_offered = leg.has_offered;
    let Some(early) = keep_early(leg.attempt_mut()?, tag, fresh) else {
        // Without an early dialog there is no PRACK either.
        return Some(false);
    };
    if let Some(allows) = update::allowed(response) {
        early.allows_update = allows;
    }
    let order = rseq.map(|rseq| prack::order(early.rseq, rseq));
    match order {
        Some(Order::Again) => return None,
        Some(Order::Gap) => {
            core.discard_for(flow, ProtocolError::RseqGap);
            return None;
        }
        Some(Order::Next) | None => {}
    }
    if let Some(answer) = answer
        && !early.is_answered
    {
        early.answer = Some(Box::new(answer.clone()));
    }
    // The PRACK of an offer would be its answer, and nobody asked for an offer here.
    let is_owed_an_answer = !has_offered && sdp_of(response).is_some();
    if rseq.is_none() || is_owed_an_answer {
        return Some(false);
    }
    debug_assert!(
        early
            .rseq
            .is_none_or(|last| rseq.is_some_and(|next| next > last)),
        "numbers rise (RFC 3262 §4)"
    );
    early.rseq = rseq;
    early.is_answered |= answer.is_some();
    prack::send(core, now, key, tag, None);
    Some(answer.is_some())
}

/// Each fork that rings is an early dialog of its own (RFC 3261 §12.1.2). `None`: it has no tag, or
/// there are too many.
fn keep_early<'a>(
    attempt: &'a mut Attempt,
    tag: &[u8],
    fresh: Option<Dialog>,
) -> Option<&'a mut EarlyDialog> {
    let known = attempt
        .early
        .iter()
        .position(|early| early.dialog.is_remote_tag(tag));
    let index = match known {
        Some(index) => index,
        None if tag.is_empty() || attempt.early.len() >= EARLY_DIALOGS_MAX => return None,
        None => {
            attempt.early.push(EarlyDialog::new(fresh?));
            attempt.early.len() - 1
        }
    };
    debug_assert!(attempt.early.len() <= EARLY_DIALOGS_MAX, "the bound holds");
    attempt.early.get_mut(index)
}

pub(super) fn sdp_of(message: &Message<'_>) -> Option<Box<SessionDescription>> {
    message
        .sdp()
        .and_then(|text| SessionDescription::parse(text).ok())
        .map(Box::new)
}

/// Who the peer says it is (RFC 3325; Remote-Party-ID was never more than a draft).
pub(super) fn connected_of(message: &Message<'_>) -> Vec<(HeaderName, Box<[u8]>)> {
    const SHOWN: [HeaderName; 3] = [
        HeaderName::RemotePartyId,
        HeaderName::PAssertedIdentity,
        HeaderName::Privacy,
    ];
    offered::shown_headers(message, &SHOWN, CONNECTED_HEADERS_MAX)
}

/// What a 2xx makes of an attempt.
pub(super) struct Chosen {
    pub(super) dialog: Dialog,
    /// Nobody waits for it any more; what the BYE says.
    pub(super) is_left: Option<Refusal>,
    /// The answer to our offer: of the 2xx, or of the early dialog that it confirms. A reliable
    /// answer is the only one (RFC 6337 §2.1).
    pub(super) answer: Option<Box<SessionDescription>>,
    /// The offer, where we made none.
    pub(super) offer: Option<Box<SessionDescription>>,
}

/// One fork is the dialog from now on.
pub(super) fn choose(
    core: &mut Core,
    now: Instant,
    key: Key,
    response: &Message<'_>,
    cseq: u32,
) -> Option<Chosen> {
    let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
    reoffer::close_other_forks(core, now, key, tag);
    let give_up_at = now + core.config.timers.transaction_timeout();
    let leg = core.legs.get_mut(key)?;
    let before = leg.dialog.clone();
    let has_offered = leg.has_offered;
    let attempt = leg.attempt_mut()?;
    debug_assert!(
        attempt.left.is_some() || attempt.give_up_at.is_none(),
        "only what was left is given up"
    );
    let is_left = attempt.left.take();
    let (mut early, others): (Vec<_>, Vec<_>) = std::mem::take(&mut attempt.early)
        .into_iter()
        .partition(|early| early.dialog.is_remote_tag(tag));
    let early = early.pop();
    let (is_answered, early_answer, allowed, before) = match early {
        Some(early) => (
            early.is_answered,
            early.answer,
            early.allows_update,
            early.dialog,
        ),
        None => (false, None, false, before),
    };
    let body = sdp_of(response);
    let (answer, offer) = match (has_offered, is_answered) {
        (true, true) => (early_answer.or(body), None),
        (true, false) => (body.or(early_answer), None),
        (false, _) => (None, body),
    };
    let dialog = before.with_response(response);
    let unanswered = offer.clone().map(|offer| Unanswered {
        cseq,
        offer,
        give_up_at,
    });
    core.change(key, |leg| {
        leg.stage = Stage::Confirmed;
        leg.dialog = dialog.clone();
        leg.allows_update = update::allowed(response).unwrap_or(allowed);
        leg.unanswered = unanswered;
        leg.other_forks = others
            .into_iter()
            .filter(|other| other.dialog.local_cseq > cseq)
            .map(|other| (other.dialog.remote_tag, other.dialog.local_cseq))
            .collect();
    })?;
    Some(Chosen {
        dialog,
        is_left,
        answer,
        offer,
    })
}

/// A further fork answered: it is acknowledged and ended. More than we remember are left to their
/// own timers.
pub(super) fn end_fork(core: &mut Core, now: Instant, key: Key, response: &Message<'_>, cseq: u32) {
    let known = core
        .legs
        .get(key)
        .map_or(FORKED_ANSWERS_MAX, |leg| leg.acknowledgements.len());
    if known >= FORKED_ANSWERS_MAX {
        return;
    }
    debug_assert!(
        core.legs
            .get(key)
            .is_none_or(|leg| !matches!(leg.stage, Stage::Offered(_) | Stage::Attempting(_))),
        "another fork has answered before"
    );
    let Some(leg) = core.legs.get(key) else {
        return;
    };
    let mut dialog = leg.dialog.with_response(response);
    dialog.local_cseq = leg
        .other_forks
        .iter()
        .find(|(tag, _)| dialog.is_remote_tag(tag))
        .map_or(cseq, |(_, last)| *last);
    let offered = leg.has_offered;
    let refused = sdp_of(response)
        .filter(|_| !offered)
        .map(|offer| refusal_of(&offer, dialog.flow.local.ip()));
    acknowledge::send(core, key, &dialog, cseq, true, refused.as_ref());
    let number = dialog.next_local_cseq();
    let branch = core.identifiers.branch();
    let parts = RequestParts::new(&Method::Bye, number, &branch);
    let sent = compose::request_within(core, &dialog, &parts);
    let identity = ClientIdentity {
        branch,
        cseq: number,
    };
    core.send_anyway(
        now,
        ClientKind::NonInvite,
        identity,
        sent,
        User::Errand(key),
    );
}
