//! `Leg`: one side of a call, a dialog or the attempt at one.
//!
//! Owns the state of the leg and the arithmetic of its one deadline; what is sent in which state is
//! in the files named after the things that happen.

use std::time::{Duration, Instant};

use crate::deadline::Token;
use crate::dialog::Dialog;
use crate::event::{Credentials, Dial, Flow, Refusal, Timers};
use crate::message::HeaderName;
use crate::sdp::SessionDescription;
use crate::table::Key;
use crate::transaction::layer::Packet;

/// Which side of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The caller's: we are the UAS of its first INVITE.
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
    /// How far it is.
    pub(crate) stage: Stage,
    /// The dialog; on a b-leg without the peer's part until it answers.
    pub(crate) dialog: Dialog,
    /// Value of our Contact.
    pub(crate) contact: Box<str>,
    /// Live transactions that this leg must hear of.
    pub(crate) transactions: u32,
    /// A 2xx of ours that waits for its ACK.
    pub(crate) unacknowledged: Option<Unacknowledged>,
    /// An offer in the 2xx of our INVITE, whose ACK waits for our answer.
    pub(crate) unanswered: Option<Unanswered>,
    /// The INVITE that made the leg had an offer.
    pub(crate) has_offered: bool,
    /// A re-INVITE of either direction.
    pub(crate) reoffer: Reoffer,
    /// The ACKs of 2xx responses, for their repetitions.
    pub(crate) acknowledgements: Vec<Acknowledgement>,
    /// What our last INVITE answered a challenge with; the ACK of its 2xx repeats it (§13.2.2.4).
    pub(crate) authorization: Option<(HeaderName, Box<[u8]>)>,
    /// For challenges of the peer.
    pub(crate) credentials: Option<Credentials>,
    /// Its deadline.
    pub(crate) token: Option<Token>,
}

/// How far a leg is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// A-leg: the INVITE has no final response yet.
    Offered(PendingInvite),
    /// B-leg: our INVITE has no final response yet.
    Attempting(Box<Attempt>),
    /// A 2xx was sent or received.
    Confirmed,
    /// Our BYE has no final response yet.
    Leaving,
    /// The dialog is gone; transactions may still be there.
    Over,
}

/// An INVITE of the peer's, kept as long as it can be answered.
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

/// One early dialog of an attempt.
#[derive(Debug)]
pub(crate) struct EarlyDialog {
    /// The tag of that fork.
    pub(crate) remote_tag: Box<[u8]>,
    /// Its answer, where a provisional response had one.
    pub(crate) answer: Option<Box<SessionDescription>>,
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
    /// Ours met 491 and will be sent again (RFC 3261 §14.1).
    Retrying {
        /// When.
        retry_at: Instant,
        /// The offer.
        offer: Box<SessionDescription>,
        /// How often it was sent.
        tries: u8,
    },
}

/// Our re-INVITE, while it has no final response.
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
    /// 64·T1: then CANCEL, and once more 64·T1 later the end.
    pub(crate) give_up_at: Instant,
    /// CANCEL was sent.
    pub(crate) is_cancelled: bool,
}

/// The ACK of a 2xx.
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    /// The tag of the fork that answered.
    pub(crate) remote_tag: Box<[u8]>,
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
            stage,
            dialog,
            contact,
            transactions: 0,
            unacknowledged: None,
            unanswered: None,
            has_offered: true,
            reoffer: Reoffer::Idle,
            acknowledgements: Vec::new(),
            authorization: None,
            credentials: None,
            token: None,
        }
    }

    /// When something of this leg is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let attempt = match &self.stage {
            Stage::Attempting(attempt) => attempt.deadline(),
            Stage::Offered(_) | Stage::Confirmed | Stage::Leaving | Stage::Over => None,
        };
        let unacknowledged = self
            .unacknowledged
            .as_ref()
            .map(|wait| wait.retransmit_at.min(wait.give_up_at));
        let reoffer = match &self.reoffer {
            Reoffer::Sent(sent) => Some(sent.give_up_at),
            Reoffer::Retrying { retry_at, .. } => Some(*retry_at),
            Reoffer::Idle | Reoffer::Received(_) => None,
        };
        let unanswered = self.unanswered.as_ref().map(|wait| wait.give_up_at);
        [attempt, unacknowledged, unanswered, reoffer]
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

    /// The attempt that this leg still is.
    pub(crate) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match &mut self.stage {
            Stage::Attempting(attempt) => Some(attempt),
            Stage::Offered(_) | Stage::Confirmed | Stage::Leaving | Stage::Over => None,
        }
    }

    /// True where the tag belongs to the dialog, or to an early one.
    pub(crate) fn has_remote_tag(&self, tag: &[u8]) -> bool {
        match &self.stage {
            Stage::Attempting(attempt) => {
                attempt.early.iter().any(|early| *early.remote_tag == *tag)
            }
            Stage::Offered(_) | Stage::Confirmed | Stage::Leaving | Stage::Over => {
                self.dialog.is_remote_tag(tag)
            }
        }
    }

    /// The dialog is gone: nothing is repeated or retried any more.
    pub(crate) fn set_over(&mut self) {
        self.stage = Stage::Over;
        self.unacknowledged = None;
        debug_assert!(self.unanswered.is_none(), "each 2xx gets its ACK");
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

    /// No timer of call control's runs any more.
    pub(crate) const fn stop_timers(&mut self) {
        self.response_at = None;
        self.progress_at = None;
        self.ring_at = None;
    }
}

impl Unacknowledged {
    /// The next repetition: T1, doubled up to T2.
    pub(crate) fn repeat(&mut self, now: Instant, timers: &Timers) {
        self.interval = timers.next_capped(self.interval);
        self.retransmit_at = now + self.interval;
        debug_assert!(self.interval <= timers.t2, "repetitions stay regular");
        debug_assert!(self.retransmit_at > now, "no busy loop");
    }
}
