//! What always holds between calls, legs, transactions and deadlines, looked at after every turn of a debug
//! build.
//!
//! Owns the look; mends nothing.

use super::call::Call;
use super::core::{Core, User};
use super::leg::{Attempt, EarlyDialog, Leg, Provisional, Reoffer, SentReoffer, Side, Stage};
use crate::limits;
use crate::table::{Key, usize_of};
use crate::transaction::layer::Phase;

impl Core {
    /// Panics in debug builds where the tables contradict each other.
    pub(crate) fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.transactions.check_invariants();
            self.calls.check_invariants();
            self.legs.check_invariants();
            self.pings.check_invariants();
            self.registrations.check_invariants();
            self.register_requests.check_invariants();
            self.deadlines.check_invariants();
            self.check_counts();
            for (key, call) in self.calls.iter() {
                self.check_call(key, call);
            }
            for (key, leg) in self.legs.iter() {
                self.check_leg(key, leg);
                leg.check_invariants();
            }
            self.check_users();
            self.check_waiting();
        }
    }

    fn check_counts(&self) {
        let active = self.calls.iter().filter(|(_, call)| !call.ended).count();
        debug_assert_eq!(active, usize_of(self.active_calls), "active calls");
        debug_assert!(
            self.active_calls <= self.config.calls_max + limits::EMERGENCY_CALLS_MAX,
            "the bound of calls holds"
        );
        debug_assert_eq!(
            self.tags.len(),
            usize_of(self.legs.count()),
            "every leg is found by its tag"
        );
        debug_assert!(
            self.legs.count() >= self.calls.count(),
            "a call has legs until it is gone"
        );
        let claims = self.calls.iter().filter(|(_, call)| call.claim.is_some());
        let claims = claims.count();
        debug_assert_eq!(
            claims == 0,
            self.shares.is_empty(),
            "who holds something has a call"
        );
        debug_assert!(
            self.shares.callers() <= claims,
            "no more callers than calls hold something"
        );
        debug_assert!(!self.in_turn, "a turn that is looked at is over");
    }

    fn check_call(&self, key: Key, call: &Call) {
        debug_assert!(!call.legs.is_empty(), "a call has legs until it is gone");
        debug_assert!(
            call.ended || call.legs.contains(&call.a_leg),
            "a call that lives has its a-leg"
        );
        debug_assert!(
            call.attempts <= limits::ATTEMPTS_PER_CALL_MAX,
            "attempts are bounded"
        );
        for (place, leg) in call.legs.iter().enumerate() {
            let found = self.legs.get(*leg);
            debug_assert!(
                found.is_some_and(|leg| leg.call == key),
                "a call names its own legs"
            );
            debug_assert_eq!(
                found.is_some_and(|leg| leg.side == Side::A),
                *leg == call.a_leg,
                "one a-leg a call"
            );
            debug_assert!(
                !call.legs.iter().skip(place + 1).any(|other| other == leg),
                "each leg is named once"
            );
        }
        let answered = call.answered.and_then(|leg| self.legs.get(leg));
        debug_assert_eq!(
            call.answered.is_some(),
            answered.is_some(),
            "the callee that answered is there"
        );
        debug_assert!(
            answered.is_none_or(|leg| leg.side == Side::B && leg.call == key),
            "the callee is one of the legs"
        );
        debug_assert!(
            answered
                .is_none_or(|leg| !matches!(leg.stage, Stage::Offered(_) | Stage::Attempting(_))),
            "who answered does not ring any more"
        );
    }

    fn check_leg(&self, key: Key, leg: &Leg) {
        let listed = self
            .calls
            .get(leg.call)
            .is_some_and(|call| call.legs.contains(&key));
        debug_assert!(listed, "a leg belongs to a call that knows it");
        debug_assert_eq!(
            leg.token.is_some(),
            leg.deadline().is_some(),
            "armed as it says"
        );
        debug_assert_eq!(
            leg.token.is_some(),
            self.deadlines.has(leg.token),
            "a token has its deadline"
        );
        debug_assert!(!leg.is_finished(), "what is finished is freed");
        let found = self.tags.get(&leg.dialog.local_tag);
        debug_assert_eq!(found, Some(&key), "a tag names its own leg");
    }

    /// Each transaction of a leg is counted there, and each leg that waits for one has it.
    fn check_users(&self) {
        let mut held = vec![0_u32; usize_of(self.legs.count())];
        let mut of_legs = std::collections::BTreeMap::new();
        for (place, (key, _)) in self.legs.iter().enumerate() {
            of_legs.insert(key, place);
        }
        for (_, user, phase) in self.transactions.phases() {
            let place = user.leg().map(|leg| of_legs.get(&leg));
            debug_assert!(place != Some(None), "no transaction outlives its leg");
            if let Some(count) = place.flatten().and_then(|place| held.get_mut(*place)) {
                *count += 1;
            }
            debug_assert!(
                phase != Phase::Unanswered || matches!(user, User::Leg(_) | User::Nobody),
                "requests of the peer's are of legs, or of nobody"
            );
        }
        for ((_, leg), count) in self.legs.iter().zip(held) {
            debug_assert_eq!(leg.transactions, count, "every transaction is counted");
        }
    }

    /// What waits for an answer without a dialog.
    fn check_waiting(&self) {
        let of_pings = self.pings.iter().map(|(_, ping)| ping.token());
        let of_requests = self.register_requests.iter().map(|(_, it)| it.token());
        for token in of_pings.chain(of_requests) {
            debug_assert!(self.deadlines.has(token), "what waits ends by itself");
        }
        let mut waiting = self.pings.count() + self.register_requests.count();
        for (_, registration) in self.registrations.iter() {
            debug_assert_eq!(
                registration.is_pending(),
                self.deadlines.has(registration.token()),
                "a REGISTER that waits ends by itself, and no other"
            );
            waiting += u32::from(registration.is_pending());
        }
        debug_assert!(
            self.deadlines.len() <= usize_of(self.legs.count() + waiting),
            "no deadline without an owner"
        );
    }
}

impl Leg {
    /// Panics in debug builds where its parts contradict its stage.
    fn check_invariants(&self) {
        let is_offered = matches!(self.stage, Stage::Offered(_));
        let is_over = matches!(self.stage, Stage::Over);
        debug_assert_eq!(
            self.provisional.is_some(),
            is_offered,
            "what is said before the answer ends with it"
        );
        debug_assert!(
            self.unacknowledged.is_none() || self.is_confirmed(),
            "only a 2xx waits for an ACK"
        );
        debug_assert!(
            self.unanswered.is_none() || (self.is_confirmed() && self.we_invited),
            "an offer in a 2xx belongs to an INVITE of ours"
        );
        debug_assert!(
            self.unanswered.is_none() || !self.has_offered,
            "a 2xx brings an offer where the INVITE had none"
        );
        debug_assert!(
            self.side == Side::A || self.we_invited,
            "each b-leg is dialled by us"
        );
        debug_assert!(
            !is_offered || !self.we_invited,
            "who offers to us is the caller"
        );
        debug_assert!(
            !is_over || self.session.is_none(),
            "a session ends with its dialog"
        );
        debug_assert!(
            self.infos_pending <= limits::INFOS_PENDING_MAX,
            "INFO is bounded"
        );
        debug_assert!(
            self.other_forks.len() <= limits::EARLY_DIALOGS_MAX,
            "forks are bounded"
        );
        debug_assert!(
            self.identity.len() <= limits::IDENTITY_HEADERS_MAX,
            "who is connected is said in few headers"
        );
        debug_assert!(
            !matches!(self.stage, Stage::Local)
                || (self.side == Side::A && self.transactions == 0 && self.session.is_none()),
            "a party of this node calls, and has nothing to wait for"
        );
        let has_peer = is_offered || self.is_confirmed();
        debug_assert!(
            !has_peer || !self.dialog.remote_tag.is_empty(),
            "within a dialog the peer has a tag"
        );
        debug_assert!(
            self.dialog.local_cseq < 1 << 31,
            "RFC 3261 §8.1.1.5: numbers end before 2^31"
        );
        self.check_exchange();
        if let Some(said) = &self.provisional {
            said.check_invariants(matches!(self.reoffer, Reoffer::Idle));
        }
        if let Stage::Attempting(attempt) = &self.stage {
            debug_assert!(self.we_invited, "an attempt is an INVITE of ours");
            attempt.check_invariants();
        }
    }

    fn check_exchange(&self) {
        let is_idle = matches!(self.reoffer, Reoffer::Idle);
        debug_assert!(
            is_idle || !matches!(self.stage, Stage::Over),
            "an offer within a dialog needs one"
        );
        match &self.reoffer {
            Reoffer::Sent(sent) => sent.check_invariants(),
            Reoffer::Retrying {
                tries, remote_tag, ..
            } => {
                debug_assert!(
                    (1..=limits::GLARE_RETRIES_MAX).contains(tries),
                    "retries are bounded"
                );
                debug_assert!(!remote_tag.is_empty(), "a retry is within a dialog");
            }
            Reoffer::Received(pending) => {
                debug_assert!(!pending.request.is_empty(), "what waits can be answered");
                debug_assert!(
                    !pending.remote_tag.is_empty(),
                    "an offer of the peer's is within a dialog"
                );
            }
            Reoffer::Idle => {}
        }
    }
}

impl SentReoffer {
    fn check_invariants(&self) {
        debug_assert!(
            (1..=limits::GLARE_RETRIES_MAX).contains(&self.tries),
            "tries are bounded"
        );
        debug_assert!(
            !self.remote_tag.is_empty(),
            "without the peer's tag an INVITE is a new call"
        );
        debug_assert!(
            !self.is_cancelled || self.give_up_at.is_some(),
            "what was cancelled is given up one day"
        );
    }
}

impl Provisional {
    fn check_invariants(&self, is_idle: bool) {
        debug_assert!(
            self.next.is_none() || self.unacknowledged.is_some() || !is_idle,
            "a response waits for a PRACK, or for an exchange"
        );
        debug_assert!(
            self.held_answer.is_none() || self.unacknowledged.is_some() || !is_idle,
            "so does a 2xx"
        );
        debug_assert!(
            !self.is_answered || self.said.is_some(),
            "what was acknowledged was said"
        );
        debug_assert!(
            !self.is_changed || self.is_answered,
            "offer and answer come before the next offer (RFC 3311 §5.1)"
        );
        debug_assert!(
            self.unacknowledged.is_none() || self.rseq.is_some(),
            "a reliable response has a number"
        );
        if let Some(wait) = &self.unacknowledged {
            debug_assert_eq!(Some(wait.rseq), self.rseq, "the last one waits");
            debug_assert!(!wait.packet.is_empty(), "what is repeated has octets");
        }
        debug_assert!(
            self.tags_left <= limits::EARLY_ANSWERS_MAX,
            "dialogs of one INVITE are bounded"
        );
    }
}

impl Attempt {
    fn check_invariants(&self) {
        debug_assert!(
            self.give_up_at.is_none() || self.left.is_some(),
            "only what was left is given up"
        );
        debug_assert!(
            self.give_up_at.is_none() || self.is_heard,
            "CANCEL follows a response (RFC 3261 §9.1)"
        );
        debug_assert!(
            self.left.is_none() || (self.response_at.is_none() && self.ring_at.is_none()),
            "nobody waits for what was left"
        );
        debug_assert!(
            !self.is_heard || self.response_at.is_none(),
            "a response was waited for until it came"
        );
        debug_assert!(
            self.early.len() <= limits::EARLY_DIALOGS_MAX,
            "early dialogs are bounded"
        );
        for (place, early) in self.early.iter().enumerate() {
            let tag = &early.dialog.remote_tag;
            let mut others = self.early.iter().skip(place + 1);
            debug_assert!(
                !others.any(|other| other.dialog.is_remote_tag(tag)),
                "one early dialog a fork"
            );
            early.check_invariants();
        }
    }
}

impl EarlyDialog {
    fn check_invariants(&self) {
        debug_assert!(
            !self.dialog.remote_tag.is_empty(),
            "a fork is known by its tag"
        );
        debug_assert!(
            !self.is_answered || self.answer.is_some(),
            "what answered has said what"
        );
        debug_assert!(
            !self.is_answered || self.rseq.is_some(),
            "an answer stands by a reliable response"
        );
    }
}
