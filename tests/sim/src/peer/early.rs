//! The early dialog of a leg: reliable provisional responses, their PRACK, and UPDATE before the answer
//! (RFC 3262, RFC 3311 §5.1), on both sides.
//!
//! Owns what was said before the final response of the INVITE that begins the dialog.

use std::time::Duration;

use super::leg::{Leg, Outbox, State, T1, TRANSACTION, Timer};
use super::plan::{Reliability, Reply, Trigger};
use super::session::Session;
use super::text::Text;
use crate::time::SimTime;

/// What a leg knows of its early dialog.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Caller: the other side's tag.
    pub(super) tag: Option<String>,
    /// The number of the last reliable response.
    rseq: u32,
    /// Offer and answer were exchanged reliably: UPDATE may offer anew (RFC 3311 §5.1), and a 2xx of the
    /// same dialog has no say in it any more (RFC 6337 §2.1).
    pub(super) is_answered: bool,
    /// Callee: what waits for its PRACK.
    waiting: Option<Waiting>,
    /// Callee: the answer that may not leave before that (RFC 3262 §3).
    held: Option<Reply>,
}

/// A reliable response that is repeated until its PRACK.
#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    has_answer: bool,
    since: SimTime,
    interval: Duration,
}

/// The first RSeq of our peers.
const FIRST_RSEQ: u32 = 77;

impl Leg {
    /// A provisional response that may be reliable; `false`: it came before, or out of order
    /// (RFC 3262 §4).
    pub(super) fn take_reliable(
        &mut self,
        now: SimTime,
        response: &Text,
        out: &mut Outbox,
    ) -> bool {
        let number = response.header("RSeq").and_then(|text| text.parse().ok());
        let (Some(rseq), Some((invite, _))) = (number, response.cseq()) else {
            return true;
        };
        let tag = response.tag("To").map(str::to_owned);
        if self.plan.manual {
            self.early.tag = tag;
            return true;
        }
        if self.plan.reliable == Reliability::None {
            return true;
        }
        let is_fresh = self.early.tag != tag;
        if !is_fresh && rseq != self.early.rseq + 1 {
            return false;
        }
        if is_fresh {
            self.early = Early {
                tag,
                ..Early::default()
            };
        }
        if let Some(target) = response.contact_uri() {
            target.clone_into(&mut self.target);
        }
        self.early.rseq = rseq;
        self.acknowledge_early(now, &format!("{rseq} {invite} INVITE"), out);
        if Session::read(&response.body).is_some() {
            self.early.is_answered = true;
            self.trigger(now, Trigger::EarlyAnswered, out);
        }
        true
    }

    /// True where this 2xx, or further provisional response, describes what was agreed upon before.
    pub(super) fn is_agreed(&self, response: &Text) -> bool {
        self.early.is_answered && self.early.tag.as_deref() == response.tag("To")
    }

    /// True where this response to the INVITE shall be reliable: the caller can do it, and no other one
    /// waits.
    pub(super) fn is_reliable(&self, status: u16, invite: &Text) -> bool {
        let can = ["Supported", "Require"]
            .iter()
            .filter_map(|name| invite.header(name))
            .any(|value| value.contains("100rel"));
        self.state == State::Inviting
            && !self.plan.manual
            && self.plan.reliable != Reliability::None
            && (101..200).contains(&status)
            && can
            && Session::read(&invite.body).is_some()
            && self.early.waiting.is_none()
    }

    /// Headers of the next reliable response.
    pub(super) fn reliable_headers(&mut self) -> [(String, String); 2] {
        self.early.rseq = self.early.rseq.max(FIRST_RSEQ) + 1;
        [
            ("Require".to_owned(), "100rel".to_owned()),
            ("RSeq".to_owned(), self.early.rseq.to_string()),
        ]
    }

    /// This reliable response has left.
    pub(super) fn await_prack(
        &mut self,
        now: SimTime,
        bytes: Vec<u8>,
        has_answer: bool,
        out: &mut Outbox,
    ) {
        self.early.waiting = Some(Waiting {
            bytes,
            has_answer,
            since: now,
            interval: T1,
        });
        self.arm(now + T1, Timer::Reliable(self.early.rseq), out);
    }

    /// RFC 3262 §3: repeated until its PRACK; without one the INVITE is refused.
    pub(super) fn repeat_reliable(&mut self, now: SimTime, rseq: u32, out: &mut Outbox) {
        let is_current = self.early.rseq == rseq && self.state == State::Inviting;
        let Some(waiting) = self.early.waiting.as_mut().filter(|_| is_current) else {
            return;
        };
        if now.since(waiting.since) >= TRANSACTION {
            return self.reply(now, &Reply::plain(500), out);
        }
        waiting.interval *= 2;
        let after = waiting.interval;
        let bytes = waiting.bytes.clone();
        self.send(bytes, out);
        self.arm(now + after, Timer::Reliable(rseq), out);
    }

    /// True where this answer waits for the PRACK of the one before it.
    pub(super) fn holds_back(&mut self, reply: &Reply) -> bool {
        let owes = self.early.waiting.as_ref();
        let holds = owes.is_some_and(|waiting| waiting.has_answer)
            && self.state == State::Inviting
            && (200..300).contains(&reply.status);
        if holds {
            self.early.held = Some(reply.clone());
        }
        holds
    }

    /// A PRACK: 200 where it names what waits, else 481 (RFC 3262 §3).
    pub(super) fn handle_prack(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        let named = self.early.rseq.to_string();
        let rack = self.header_asked(branch, "PRACK", "RAck");
        let is_named = rack.is_some_and(|rack| rack.split(' ').next() == Some(&named));
        let Some(waiting) = self.early.waiting.take_if(|_| is_named) else {
            return self.respond(now, branch, "PRACK", 481, None, out);
        };
        self.early.is_answered |= waiting.has_answer;
        self.respond(now, branch, "PRACK", 200, None, out);
        if waiting.has_answer {
            self.trigger(now, Trigger::EarlyAnswered, out);
        }
        if let Some(reply) = self.early.held.take() {
            self.reply(now, &reply, out);
        }
    }
}
