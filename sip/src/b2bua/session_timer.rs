//! Session timers on a leg (RFC 4028 §7 to §10): refresh, be refreshed, and end what is not.
//!
//! Owns when. What both sides agree on is arithmetic in `crate::session_timer`; a re-INVITE that
//! refreshes goes the way of our offers in `modify`, with the description that the peer has already,
//! so that media stay as they are. Any re-INVITE or UPDATE of either side is a refresh too.
//!
//! | event | no session | we refresh | the peer refreshes |
//! |---|---|---|---|
//! | 2xx with Session-Expires, either way | runs | runs anew | runs anew |
//! | 2xx without | – | no session | no session |
//! | half of the interval | – | re-INVITE or UPDATE | – |
//! | 422 to a request of ours | again, longer | again, longer | again, longer |
//! | 408, 481, silence to a refresh | – | `DialogLost` | – |
//! | another failure of a refresh | – | again at half of what is left | – |
//! | the interval less 32 s or a third | – | `SessionExpired` | `SessionExpired` |

use std::time::{Duration, Instant};

use super::compose::{self, RequestParts};
use super::core::{Core, User};
use super::leg::{Leg, Reoffer, Stage};
use super::uas::{self, Request};
use super::{call, challenge, modify, reoffer};
use crate::error::{CommandError, ProtocolError};
use crate::event::{EndCause, Q850, RefreshBy, ReleaseParty, SessionTimer};
use crate::limits::SESSION_INTERVAL_TRIES_MAX;
use crate::message::{HeaderName, Message, Method, StatusCode};
use crate::sdp::SessionDescription;
pub(super) use crate::session_timer::OPTION_TAG;
use crate::session_timer::{self, Agreement, Asked, INTERVAL_MAX, Verdict};
use crate::table::Key;
use crate::transaction::layer::{ClientIdentity, ClientKind};

/// While something else is pending on the leg, a refresh waits this long.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// A refresh that would come later than this before the end is not tried.
const LAST_TRY: Duration = Duration::from_secs(5);

/// The session timer of a leg.
#[derive(Debug)]
pub(crate) struct Session {
    settings: SessionTimer,
    /// The largest Min-SE of the peer's.
    least: Duration,
    /// How often a 422 was followed since the last agreement.
    tries: u8,
    running: Option<Running>,
    /// What the peer knows of us, for a refresh that changes nothing.
    description: Option<Box<SessionDescription>>,
    /// An UPDATE of ours that refreshes.
    update: Option<SentUpdate>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    agreement: Agreement,
    /// `None`: the peer does it, or ours is on its way.
    refresh_at: Option<Instant>,
    end_at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct SentUpdate {
    transaction: Key,
    is_authorized: bool,
}

impl Session {
    /// `None` where the settings are off.
    pub(super) fn new(settings: Option<SessionTimer>) -> Option<Box<Self>> {
        let settings = settings.and_then(SessionTimer::if_on)?;
        Some(Box::new(Self {
            settings,
            least: Duration::ZERO,
            tries: 0,
            running: None,
            description: None,
            update: None,
        }))
    }

    /// What a request of ours says.
    pub(super) fn asked(&self) -> Asked {
        let agreed = self.running.map(|running| running.agreement);
        session_timer::ask(&self.settings, self.least, agreed)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let running = self.running?;
        let refresh_at = running.refresh_at.unwrap_or(running.end_at);
        Some(refresh_at.min(running.end_at))
    }

    fn agree(&mut self, now: Instant, agreement: Option<Agreement>) {
        self.tries = 0;
        debug_assert!(
            agreement.is_none_or(|agreement| !agreement.end_after().is_zero()),
            "a session lasts a while"
        );
        debug_assert!(
            agreement.is_none_or(|agreement| !agreement.we_refresh
                || agreement.refresh_after() < agreement.end_after()),
            "the refresh comes before the end (RFC 4028 §10)"
        );
        self.running = agreement.map(|agreement| Running {
            agreement,
            refresh_at: agreement
                .we_refresh
                .then(|| now + agreement.refresh_after()),
            end_at: now + agreement.end_after(),
        });
    }
}

/// The `set_session_timer` command.
pub(crate) fn set(
    core: &mut Core,
    call: Key,
    key: Key,
    settings: SessionTimer,
) -> Result<(), CommandError> {
    let leg = core.living_leg(call, key)?;
    if !matches!(leg.stage, Stage::Offered(_)) {
        return Err(CommandError::WrongState);
    }
    core.change(key, |leg| leg.session = Session::new(Some(settings)));
    Ok(())
}

/// What the peer knows of us from now on.
pub(super) fn note_description(leg: &mut Leg, description: &SessionDescription) {
    if let Some(session) = &mut leg.session {
        session.description = Some(Box::new(description.clone()));
    }
}

/// The least interval that we take, where the request asks for less (RFC 4028 §9).
pub(super) fn too_small(settings: Option<SessionTimer>, message: &Message<'_>) -> Option<Duration> {
    let settings = settings.and_then(SessionTimer::if_on)?;
    match session_timer::judge(&settings, message, None) {
        Verdict::TooSmall(least) => Some(least),
        Verdict::Off | Verdict::Agreed(_) => None,
    }
}

/// Refuses a re-INVITE or UPDATE with 422 where it asks for too small an interval.
pub(super) fn refuses(core: &mut Core, request: &Request<'_>, key: Key) -> bool {
    let session = core.legs.get(key).and_then(|leg| leg.session.as_ref());
    let settings = session.map(|session| session.settings);
    match too_small(settings, request.message) {
        Some(least) => {
            refuse(core, request, least);
            true
        }
        None => false,
    }
}

/// 422 (RFC 4028 §6).
pub(super) fn refuse(core: &mut Core, request: &Request<'_>, least: Duration) {
    let seconds = least.as_secs().to_string();
    let headers = [(HeaderName::MinSe, seconds.as_bytes())];
    let status = StatusCode::SESSION_INTERVAL_TOO_SMALL;
    uas::refuse_with(
        core,
        request,
        status,
        &headers,
        ProtocolError::SessionInterval,
    );
}

/// What our 2xx to this INVITE or UPDATE says; the session runs anew from now on.
pub(super) fn accept(
    core: &mut Core,
    now: Instant,
    key: Key,
    request: &Message<'_>,
) -> Option<Agreement> {
    let agreement = core.change(key, |leg| {
        let session = leg.session.as_mut()?;
        let we_refresh = session.running.map(|running| running.agreement.we_refresh);
        let agreement = match session_timer::judge(&session.settings, request, we_refresh) {
            Verdict::Agreed(agreement) => Some(agreement),
            // The settings were made stricter after it was let in.
            Verdict::Off | Verdict::TooSmall(_) => None,
        };
        if let Some(least) = session_timer::min_se(request) {
            session.least = session.least.max(least).min(INTERVAL_MAX);
        }
        session.agree(now, agreement);
        agreement
    });
    agreement.flatten()
}

/// A 2xx to an INVITE, re-INVITE or UPDATE of ours within this leg.
pub(super) fn accepted(core: &mut Core, now: Instant, key: Key, response: &Message<'_>) {
    core.change(key, |leg| {
        if let Some(session) = &mut leg.session {
            session.agree(now, session_timer::agreed(response));
        }
    });
}

/// 422: true where the same request is worth another try, with a longer interval (RFC 4028 §7.4).
pub(super) fn lengthen(
    core: &mut Core,
    key: Key,
    response: &Message<'_>,
    status: StatusCode,
) -> bool {
    if status != StatusCode::SESSION_INTERVAL_TOO_SMALL {
        return false;
    }
    let session = core.legs.get_mut(key).and_then(|leg| leg.session.as_mut());
    let (Some(session), Some(least)) = (session, session_timer::min_se(response)) else {
        return false;
    };
    let helps = least > session.asked().expires.interval && least <= INTERVAL_MAX;
    if !helps || session.tries >= SESSION_INTERVAL_TRIES_MAX {
        return false;
    }
    debug_assert!(session.least <= least, "an interval only grows");
    session.tries += 1;
    session.least = least;
    debug_assert!(
        session.asked().expires.interval >= least,
        "as the peer wants"
    );
    true
}

/// A refresh is due, or the end of the session.
pub(super) fn handle_deadline(core: &mut Core, now: Instant, key: Key) {
    let Some(leg) = core.legs.get_mut(key).filter(|leg| leg.is_confirmed()) else {
        return;
    };
    let call = leg.call;
    let Some(running) = leg
        .session
        .as_mut()
        .and_then(|session| session.running.as_mut())
    else {
        return;
    };
    if running.end_at <= now {
        leg.session = None;
        core.arm(key);
        let (by, cause) = (ReleaseParty::Gateway, EndCause::SessionExpired);
        let reason = Some(Q850::TIMER_EXPIRY);
        return call::end_with_reason(core, now, call, by, cause, reason);
    }
    if running.refresh_at.is_some_and(|at| at <= now) {
        running.refresh_at = None;
        let is_sent = core.living_call(call).is_ok() && refresh(core, now, key);
        if !is_sent {
            set_refresh(core, key, Some(now + BUSY_WAIT));
        }
    }
}

fn set_refresh(core: &mut Core, key: Key, at: Option<Instant>) {
    core.change(key, |leg| {
        let session = leg.session.as_mut()?;
        session.running.as_mut()?.refresh_at = at;
        Some(())
    });
}

/// `false`: something else is pending, or there is no room.
fn refresh(core: &mut Core, now: Instant, key: Key) -> bool {
    let Some(leg) = core.legs.get(key) else {
        return false;
    };
    let Some(session) = &leg.session else {
        return false;
    };
    let is_busy = leg.unacknowledged.is_some()
        || leg.unanswered.is_some()
        || !matches!(leg.reoffer, Reoffer::Idle)
        || session.update.is_some();
    if is_busy {
        return false;
    }
    let wants_update = session.settings.refresh_by == RefreshBy::Update && leg.allows_update;
    match &session.description {
        Some(description) if !wants_update => {
            let description = description.clone();
            modify::refresh(core, now, key, description).is_some()
        }
        Some(_) | None if leg.allows_update => send_update(core, now, key, None).is_some(),
        Some(_) | None => false,
    }
}

/// An UPDATE without an offer (RFC 4028 §7.4).
fn send_update(
    core: &mut Core,
    now: Instant,
    key: Key,
    authorization: Option<(HeaderName, Box<[u8]>)>,
) -> Option<()> {
    let leg = core.legs.get_mut(key)?;
    debug_assert!(leg.is_confirmed(), "an early dialog is not refreshed");
    let asked = leg.session.as_ref()?.asked();
    let (cseq, contact) = (leg.dialog.next_local_cseq(), leg.contact.clone());
    let branch = core.identifiers.branch();
    let is_authorized = authorization.is_some();
    let headers: Vec<_> = authorization.into_iter().collect();
    let parts = RequestParts {
        contact: Some(&contact),
        headers: &headers,
        session: Some(asked),
        ..RequestParts::new(&Method::Update, cseq, &branch)
    };
    let sent = compose::request_of(core, key, &parts)?;
    let identity = ClientIdentity { branch, cseq };
    let user = User::Refresh(key);
    let transaction = core
        .start_client(now, ClientKind::NonInvite, identity, sent, user)
        .ok()?;
    let session = core.legs.get_mut(key)?.session.as_mut()?;
    debug_assert!(session.update.is_none(), "one refresh at a time");
    session.update = Some(SentUpdate {
        transaction,
        is_authorized,
    });
    Some(())
}

/// Takes our UPDATE out where it is the one of this transaction.
fn take_update(core: &mut Core, key: Key, transaction: Key) -> Option<SentUpdate> {
    let session = core.legs.get_mut(key)?.session.as_mut()?;
    session
        .update
        .take_if(|update| update.transaction == transaction)
}

/// A response to our UPDATE that refreshes.
pub(super) fn handle_response(
    core: &mut Core,
    now: Instant,
    key: Key,
    transaction: Key,
    response: &Message<'_>,
    status: StatusCode,
) {
    if status.is_provisional() {
        return;
    }
    let Some(update) = take_update(core, key, transaction) else {
        return;
    };
    if core.legs.get(key).is_none_or(|leg| !leg.is_confirmed()) {
        return;
    }
    if status.is_success() {
        let tag = response.to().and_then(|to| to.tag()).unwrap_or_default();
        reoffer::note_target(core, response, key, tag);
        return accepted(core, now, key, response);
    }
    if !update.is_authorized {
        let header = challenge::authorization(core, key, &Method::Update, response, status);
        if header.is_some() && send_update(core, now, key, header).is_some() {
            return;
        }
    }
    if lengthen(core, key, response, status) && send_update(core, now, key, None).is_some() {
        return;
    }
    let is_unknown =
        status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_IMPLEMENTED;
    if is_unknown {
        core.change(key, |leg| leg.allows_update = false);
        return set_refresh(core, key, Some(now));
    }
    let is_lost = status == StatusCode::CALL_TRANSACTION_DOES_NOT_EXIST
        || status == StatusCode::REQUEST_TIMEOUT;
    if is_lost {
        return lost(core, now, key);
    }
    refused(core, now, key);
}

/// No response to our UPDATE at all (RFC 5057 §5.1).
pub(super) fn handle_lost(core: &mut Core, now: Instant, key: Key, transaction: Key) {
    if take_update(core, key, transaction).is_some() {
        lost(core, now, key);
    }
}

/// Our UPDATE could not be sent.
pub(super) fn handle_unsent(core: &mut Core, now: Instant, key: Key, transaction: Key) {
    if take_update(core, key, transaction).is_some() {
        refused(core, now, key);
    }
}

fn lost(core: &mut Core, now: Instant, key: Key) {
    let leg = core.legs.get(key).filter(|leg| leg.is_confirmed());
    if let Some(call) = leg.map(|leg| leg.call) {
        call::end_by(core, now, call, ReleaseParty::Gateway, EndCause::DialogLost);
    }
}

/// A refresh was refused; the session stays as it was, and the next try comes at half of what is left
/// of it, unless that is too little.
pub(super) fn refused(core: &mut Core, now: Instant, key: Key) {
    core.change(key, |leg| {
        let running = leg.session.as_mut()?.running.as_mut()?;
        let left = running.end_at.saturating_duration_since(now);
        running.refresh_at =
            (running.agreement.we_refresh && left > LAST_TRY * 2).then(|| now + left / 2);
        Some(())
    });
}
