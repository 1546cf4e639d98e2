//! `Leg`: one side of a call, a dialog or the attempt at one.
//!
//! Owns the state of the leg and the arithmetic of its one deadline; what is sent in which state is
//! in the files named after the things that happen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session_timer::Session;
use crate::deadline::Token;
use crate::dialog::Dialog;
use crate::event::{Credentials, Dial, Flow, RefreshBy, Refusal, Supported, Timers};
use crate::limits::EARLY_ANSWERS_MAX;
use crate::message::{HeaderName, StatusCode};
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::Packet;

/// Which side of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller's: we are the UAS of its first INVITE, unless the call was placed by us.
    A,
    /// The callee's: we are the UAC.
    B,
}

/// One leg.
#[derive(Debug)]
pub(crate) struct Leg {
    /// The call it belongs to.
    pub(crate) call: Key,
    /// Which side.
    pub(crate) side: Side,
    /// We sent the INVITE that made it, and own its Call-ID: each b-leg, and the a-leg of a placed
    /// call.
    pub(crate) we_invited: bool,
    /// How far it is.
    pub(crate) stage: Stage,
    /// The dialog; on a b-leg without the peer's part until it answers.
    pub(crate) dialog: Dialog,
    /// Value of our Contact.
    pub(crate) contact: Box<str>,
    /// Live transactions that this leg must hear of.
    pub(crate) transactions: u32,
    /// A 2xx of ours that waits for its ACK.
    pub(crate) unacknowledged: Option<Box<Unacknowledged>>,
    /// An offer in the 2xx of our INVITE, whose ACK waits for our answer.
    pub(crate) unanswered: Option<Unanswered>,
    /// The INVITE that made the leg had an offer.
    pub(crate) has_offered: bool,
    /// The last CSeq number of forks that did not become the dialog, where they had requests of ours.
    pub(crate) other_forks: Vec<(Arc<[u8]>, u32)>,
    /// The peer's Allow names UPDATE (RFC 3311 §4).
    pub(crate) allows_update: bool,
    /// Who is connected at the other end, as it is written to this peer.
    pub(crate) identity: Vec<(HeaderName, Box<[u8]>)>,
    /// What was said before the final response of the caller's INVITE, while it has none.
    pub(crate) provisional: Option<Box<Provisional>>,
    /// RSeq and CSeq number of the reliable response that our 2xx overtook: its PRACK may still come
    /// (RFC 3262 §3).
    pub(crate) overtaken: Option<(u32, u32)>,
    /// A re-INVITE of either direction.
    pub(crate) reoffer: Reoffer,
    /// The ACKs of 2xx responses, for their repetitions.
    pub(crate) acknowledgements: Vec<Acknowledgement>,
    /// The session timer; `None`: off (RFC 4028).
    pub(crate) session: Option<Box<Session>>,
    /// INFO requests of ours without a final response.
    pub(crate) infos_pending: u8,
    /// What our last INVITE answered a challenge with; the ACK of its 2xx repeats it (§13.2.2.4).
    pub(crate) authorization: Option<(HeaderName, Box<[u8]>)>,
    /// For challenges of the peer.
    pub(crate) credentials: Option<Credentials>,
    /// The realm of the first challenge that was answered; no other is.
    pub(crate) realm: Option<Box<[u8]>>,
    /// Its deadline.
    pub(crate) token: Option<Token>,
}

/// How far a leg is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A-leg: the INVITE has no final response yet.
    Offered(PendingInvite),
    /// B-leg, or a-leg of a placed call: our INVITE has no final response yet.
    Attempting(Box<Attempt>),
    /// A-leg: a party of this node, with no dialog behind it.
    Local,
    /// A 2xx was sent or received.
    Confirmed,
    /// Our BYE has no final response yet.
    Leaving,
    /// The dialog is gone; transactions may still be there.
    Over,
}

/// An INVITE, or another request with an offer, kept as long as it can be answered.
#[derive(Debug, Clone)]
pub(crate) struct PendingInvite {
    /// Its server transaction.
    pub(crate) transaction: Key,
    /// The request as it came.
    pub(crate) request: Packet,
    /// The path it came by.
    pub(crate) flow: Flow,
    /// Number of its CSeq.
    pub(crate) cseq: u32,
    /// True where it had an offer.
    pub(crate) has_offer: bool,
    /// How it came.
    pub(crate) by: OfferedBy,
    /// An UPDATE or PRACK cannot wait longer for our answer (RFC 3311 §5.2).
    pub(crate) answer_until: Option<Instant>,
    /// The peer's tag of the dialog it belongs to: a b-leg that is early has several.
    pub(crate) remote_tag: Arc<[u8]>,
}

/// Which request of the peer's carries an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OfferedBy {
    /// INVITE or re-INVITE: our 2xx waits for its ACK.
    Invite,
    /// UPDATE (RFC 3311).
    Update,
    /// PRACK of early media that we sent (RFC 3262 §5).
    Prack,
}

/// Our INVITE, while it has no final response.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What was asked for; a challenge is answered with the same.
    pub(crate) dial: Dial,
    /// The client transaction of the last INVITE.
    pub(crate) transaction: Key,
    /// Until any response.
    pub(crate) response_at: Option<Instant>,
    /// Until a 101 to 199.
    pub(crate) progress_at: Option<Instant>,
    /// Until the final response.
    pub(crate) ring_at: Option<Instant>,
    /// A response came: it can be cancelled (RFC 3261 §9.1).
    pub(crate) is_heard: bool,
    /// Nobody waits for it any more; what its CANCEL says.
    pub(crate) left: Option<Refusal>,
    /// CANCEL was sent; without a final response the attempt is given up then.
    pub(crate) give_up_at: Option<Instant>,
    /// A challenge has been answered.
    pub(crate) is_authorized: bool,
    /// The early dialogs, one a fork.
    pub(crate) early: Vec<EarlyDialog>,
}

/// One early dialog of an attempt: a fork that rings (RFC 3261 §12.1.2).
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    /// The dialog, with the tag, target and route set of that fork.
    pub(crate) dialog: Dialog,
    /// What it described last: the answer of a provisional response, or what UPDATE made of it.
    pub(crate) answer: Option<Box<SessionDescription>>,
    /// The last reliable response of it that we acknowledged (RFC 3262 §4).
    pub(crate) rseq: Option<u32>,
    /// Our offer was answered by a reliable response: UPDATE may offer anew (RFC 3311 §5.1).
    pub(crate) is_answered: bool,
    /// The fork's Allow names UPDATE.
    pub(crate) allows_update: bool,
    /// A challenge of a PRACK has been answered.
    pub(crate) is_authorized: bool,
}

/// What an a-leg has said before its final response.
#[derive(Debug)]
pub(crate) struct Provisional {
    /// When the INVITE expires (RFC 3261 §13.3.1).
    pub(crate) expires_at: Option<Instant>,
    /// What the caller can do.
    pub(crate) supported: Supported,
    /// What the early dialog of the present tag was answered with.
    pub(crate) said: Option<Box<SessionDescription>>,
    /// The answer was acknowledged by PRACK: offer and answer are exchanged.
    pub(crate) is_answered: bool,
    /// UPDATE or PRACK have changed the session since: no answer to the INVITE's offer, in whichever
    /// dialog, would fit it any more.
    pub(crate) is_changed: bool,
    /// The number of our last reliable response.
    pub(crate) rseq: Option<u32>,
    /// The reliable response that waits for its PRACK: one at a time (RFC 3262 §3).
    pub(crate) unacknowledged: Option<Reliably>,
    /// What is sent after that.
    pub(crate) next: Option<(StatusCode, Option<Box<SessionDescription>>)>,
    /// Further dialogs of other answers that this INVITE may get.
    pub(crate) tags_left: u8,
    /// The 2xx that may not leave before that (RFC 3262 §3).
    pub(crate) held_answer: Option<Box<SessionDescription>>,
}

/// A reliable provisional response that is repeated until its PRACK comes.
#[derive(Debug)]
pub(crate) struct Reliably {
    /// Its RSeq.
    pub(crate) rseq: u32,
    /// It carries our answer.
    pub(crate) carries_answer: bool,
    /// The response.
    pub(crate) packet: Packet,
    /// Where it goes.
    pub(crate) flow: Flow,
    /// When next.
    pub(crate) retransmit_at: Instant,
    /// The interval that ran; doubled each time, without a bound.
    pub(crate) interval: Duration,
    /// 64·T1 after the first.
    pub(crate) give_up_at: Instant,
}

/// A 2xx that we repeat until its ACK comes (RFC 3261 §13.3.1.4).
#[derive(Debug)]
pub(crate) struct Unacknowledged {
    /// CSeq number of the INVITE.
    pub(crate) cseq: u32,
    /// The 2xx.
    pub(crate) packet: Packet,
    /// Where it goes.
    pub(crate) flow: Flow,
    /// When next.
    pub(crate) retransmit_at: Instant,
    /// The interval that ran.
    pub(crate) interval: Duration,
    /// 64·T1 after the first.
    pub(crate) give_up_at: Instant,
    /// True for the INVITE that made the dialog.
    pub(crate) is_first: bool,
    /// The 2xx carries our offer, and the ACK the answer.
    pub(crate) carries_offer: bool,
    /// BYE follows the ACK (RFC 3261 §15), and says this.
    pub(crate) bye_after: Option<Refusal>,
}

/// The callee's offer in the 2xx of an INVITE that had none (RFC 3261 §13.2.2.4).
#[derive(Debug)]
pub(crate) struct Unanswered {
    /// CSeq number of the INVITE.
    pub(crate) cseq: u32,
    /// The offer, to be refused where nobody answers it.
    pub(crate) offer: Box<SessionDescription>,
    /// 64·T1 after the 2xx.
    pub(crate) give_up_at: Instant,
}

/// A re-INVITE of either direction.
#[derive(Debug, Default)]
pub(crate) enum Reoffer {
    /// None.
    #[default]
    Idle,
    /// The peer's waits for call control.
    Received(PendingInvite),
    /// Ours waits for the peer.
    Sent(SentReoffer),
    /// Ours met 491 and will be sent again (RFC 3261 §14.1, RFC 3311 §5.1).
    Retrying {
        /// When.
        retry_at: Instant,
        /// The offer.
        offer: Box<SessionDescription>,
        /// How often it was sent.
        tries: u8,
        /// It refreshes the session and changes nothing.
        is_refresh: bool,
        /// The method.
        by: RefreshBy,
        /// The peer's tag of the dialog.
        remote_tag: Arc<[u8]>,
    },
}

/// Our re-INVITE or UPDATE, while it has no final response.
#[derive(Debug)]
pub(crate) struct SentReoffer {
    /// Its client transaction.
    pub(crate) transaction: Key,
    /// The offer.
    pub(crate) offer: Box<SessionDescription>,
    /// How often it was sent.
    pub(crate) tries: u8,
    /// A challenge has been answered.
    pub(crate) is_authorized: bool,
    /// It refreshes the session and changes nothing: call control hears nothing of it (RFC 4028).
    pub(crate) is_refresh: bool,
    /// 64·T1: then CANCEL, and once more 64·T1 later the end. An UPDATE has timer F instead.
    pub(crate) give_up_at: Option<Instant>,
    /// CANCEL was sent.
    pub(crate) is_cancelled: bool,
    /// The method.
    pub(crate) by: RefreshBy,
    /// The peer's tag of the dialog.
    pub(crate) remote_tag: Arc<[u8]>,
}

/// The ACK of a 2xx.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    /// The tag of the fork that answered.
    pub(crate) remote_tag: Arc<[u8]>,
    /// CSeq number of the INVITE.
    pub(crate) cseq: u32,
    /// True for the INVITE that made the dialog: kept as long as its transaction may repeat a 2xx.
    pub(crate) is_first: bool,
    /// The ACK.
    pub(crate) packet: Packet,
    /// Where it goes.
    pub(crate) flow: Flow,
}

impl Leg {
    /// A leg at its start.
    pub(crate) const fn new(
        call: Key,
        side: Side,
        stage: Stage,
        dialog: Dialog,
        contact: Box<str>,
    ) -> Self {
        Self {
            call,
            side,
            we_invited: matches!(stage, Stage::Attempting(_)),
            stage,
            dialog,
            contact,
            transactions: 0,
            unacknowledged: None,
            unanswered: None,
            has_offered: true,
            other_forks: Vec::new(),
            allows_update: false,
            identity: Vec::new(),
            provisional: None,
            overtaken: None,
            reoffer: Reoffer::Idle,
            acknowledgements: Vec::new(),
            session: None,
            infos_pending: 0,
            authorization: None,
            credentials: None,
            realm: None,
            token: None,
        }
    }

    /// When something of this leg is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let attempt = match &self.stage {
            Stage::Attempting(attempt) => attempt.deadline(),
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                None
            }
        };
        let unacknowledged = self
            .unacknowledged
            .as_ref()
            .map(|wait| wait.retransmit_at.min(wait.give_up_at));
        let reoffer = match &self.reoffer {
            Reoffer::Sent(sent) => sent.give_up_at,
            Reoffer::Retrying { retry_at, .. } => Some(*retry_at),
            Reoffer::Received(pending) => pending.answer_until,
            Reoffer::Idle => None,
        };
        let provisional = self.provisional.as_ref().and_then(|said| said.deadline());
        let session = self.session.as_ref().filter(|_| self.is_confirmed());
        let session = session.and_then(|session| session.deadline());
        let unanswered = self.unanswered.as_ref().map(|wait| wait.give_up_at);
        [
            attempt,
            provisional,
            unacknowledged,
            unanswered,
            reoffer,
            session,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// True where nothing of it is left.
    pub(crate) const fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Over) && self.transactions == 0
    }

    /// True where requests within the dialog can be exchanged.
    pub(crate) const fn is_confirmed(&self) -> bool {
        matches!(self.stage, Stage::Confirmed)
    }

    /// True where nothing stands between the other side and this one: a party of this node always listens.
    pub(crate) const fn is_listening(&self) -> bool {
        matches!(self.stage, Stage::Confirmed | Stage::Local)
    }

    /// The attempt that this leg still is.
    pub(crate) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.stage {
            Stage::Attempting(attempt) => Some(attempt),
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                None
            }
        }
    }

    /// True where the tag belongs to the dialog, or to an early one.
    pub(crate) fn has_remote_tag(&self, tag: &[u8]) -> bool {
        match &self.stage {
            Stage::Attempting(attempt) => attempt
                .early
                .iter()
                .any(|early| early.dialog.is_remote_tag(tag)),
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                self.dialog.is_remote_tag(tag)
            }
        }
    }

    /// The dialog with this tag of the peer's, confirmed or early.
    pub(crate) fn dialog_mut(&mut self, remote_tag: &[u8]) -> Option<&mut Dialog> {
        match &mut self.stage {
            Stage::Attempting(attempt) => {
                attempt.early_mut(remote_tag).map(|early| &mut early.dialog)
            }
            Stage::Offered(_) | Stage::Local | Stage::Confirmed | Stage::Leaving => {
                Some(&mut self.dialog).filter(|dialog| dialog.is_remote_tag(remote_tag))
            }
            Stage::Over => None,
        }
    }

    /// We chose the Call-ID: after glare we wait longer than the other side (RFC 3261 §14.1).
    pub(crate) const fn owns_call_id(&self) -> bool {
        self.we_invited
    }

    /// The dialog is gone: nothing is repeated or retried any more.
    pub(crate) fn set_over(&mut self) {
        self.stage = Stage::Over;
        self.unacknowledged = None;
        self.session = None;
        self.provisional = None;
        debug_assert!(self.unanswered.is_none(), "each 2xx gets its ACK");
        debug_assert!(
            !matches!(self.reoffer, Reoffer::Received(_)),
            "each request gets its answer (RFC 3261 §15.1.2)"
        );
        self.reoffer = Reoffer::Idle;
        debug_assert!(self.deadline().is_none(), "nothing is due any more");
    }
}

impl Attempt {
    fn deadline(&self) -> Option<Instant> {
        let timers = [
            self.response_at,
            self.progress_at,
            self.ring_at,
            self.give_up_at,
        ];
        timers.into_iter().flatten().min()
    }

    /// The early dialog with this tag.
    pub(crate) fn early_mut(&mut self, remote_tag: &[u8]) -> Option<&mut EarlyDialog> {
        self.early
            .iter_mut()
            .find(|early| early.dialog.is_remote_tag(remote_tag))
    }

    /// No timer of call control's runs any more.
    pub(crate) const fn stop_timers(&mut self) {
        self.response_at = None;
        self.progress_at = None;
        self.ring_at = None;
    }
}

impl EarlyDialog {
    /// Nothing is described yet.
    pub(crate) const fn new(dialog: Dialog) -> Self {
        Self {
            dialog,
            answer: None,
            rseq: None,
            is_answered: false,
            allows_update: false,
            is_authorized: false,
        }
    }
}

impl Provisional {
    /// Nothing is said yet.
    pub(crate) const fn new(supported: Supported, expires_at: Option<Instant>) -> Self {
        Self {
            expires_at,
            supported,
            said: None,
            is_answered: false,
            is_changed: false,
            rseq: None,
            unacknowledged: None,
            next: None,
            tags_left: EARLY_ANSWERS_MAX,
            held_answer: None,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let expires_at = self.expires_at.filter(|_| self.held_answer.is_none());
        let unacknowledged = self
            .unacknowledged
            .as_ref()
            .map(|wait| wait.retransmit_at.min(wait.give_up_at));
        expires_at.into_iter().chain(unacknowledged).min()
    }
}

impl Reliably {
    /// The next repetition: T1, doubled without end (RFC 3262 §3).
    pub(crate) fn repeat(&mut self, now: Instant) {
        self.interval *= 2;
        self.retransmit_at = now + self.interval;
        debug_assert!(self.retransmit_at > now, "no busy loop");
    }
}

impl Unacknowledged {
    /// The 2xx of this request has just left.
    pub(crate) fn new(
        now: Instant,
        timers: &Timers,
        pending: &PendingInvite,
        (flow, packet): (Flow, Packet),
        is_first: bool,
    ) -> Self {
        Self {
            cseq: pending.cseq,
            packet,
            flow,
            retransmit_at: now + timers.t1,
            interval: timers.t1,
            give_up_at: now + timers.transaction_timeout(),
            is_first,
            carries_offer: !pending.has_offer,
            bye_after: None,
        }
    }

    /// The next repetition: T1, doubled up to T2.
    pub(crate) fn repeat(&mut self, now: Instant, timers: &Timers) {
        self.interval = timers.next_capped(self.interval);
        self.retransmit_at = now + self.interval;
        debug_assert!(self.interval <= timers.t2, "repetitions stay regular");
        debug_assert!(self.retransmit_at > now, "no busy loop");
    }
}
