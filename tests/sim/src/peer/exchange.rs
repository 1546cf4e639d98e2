//! Offers and answers within a dialog: UPDATE, the hold of CUCM, and what becomes of an offer that is
//! refused (RFC 3264, RFC 3311, RFC 3261 §14).

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::leg::{Client, Leg, Outbox, State, Timer};
use super::manual::machine;
use super::plan::Action;
use super::session::{Direction, Session};
use super::text::Text;
use crate::time::SimTime;

/// Another machine of the same site, which has the music.
const MUSIC: u8 = 1;
/// A step that meets another exchange is tried again this often.
const TRIES_MAX: u32 = 12;

/// A re-INVITE of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It offers this direction.
    Offer(Direction),
    /// It has no offer; its ACK answers with this direction, from the music or from the phone.
    Bare(Direction, bool),
}

/// What is left of a hold script.
#[derive(Debug, Default)]
pub(super) struct Script {
    steps: VecDeque<Step>,
    tries: u32,
}

/// What a side of a session said before an offer of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before {
    local: SocketAddr,
    direction: Direction,
}

impl Leg {
    /// Begins to hold and to resume, round by round.
    pub(super) fn hold(&mut self, now: SimTime, rounds: u32, out: &mut Outbox) {
        for _ in 0..rounds {
            self.script.steps.extend([
                Step::Offer(Direction::Inactive),
                Step::Bare(Direction::SendOnly, true),
                Step::Offer(Direction::Inactive),
                Step::Bare(Direction::SendReceive, false),
            ]);
        }
        self.hold_step(now, out);
    }

    /// The next re-INVITE of the script, as soon as no other exchange is open (RFC 3261 §14.1).
    pub(super) fn hold_step(&mut self, now: SimTime, out: &mut Outbox) {
        let Some(step) = self.script.steps.front().copied() else {
            return;
        };
        if self.state != State::Answered || self.script.tries >= TRIES_MAX {
            self.script.steps.clear();
            return;
        }
        if self.is_negotiating() {
            self.script.tries += 1;
            let after = self.random.millis(100, 1_000);
            return self.arm(now + after, Timer::Act(Action::HoldStep), out);
        }
        self.script.steps.pop_front();
        self.script.tries = 0;
        let before = self.before();
        let body = match step {
            Step::Offer(direction) => self.media.offer(direction),
            Step::Bare(..) => String::new(),
        };
        self.step_sent = Some(step);
        self.request_instead_of(now, "INVITE", (body, before), out);
    }

    /// A re-INVITE of ours has its final response.
    pub(super) fn step_over(&mut self, now: SimTime, status: u16, out: &mut Outbox) {
        let Some(step) = self.step_sent.take() else {
            return;
        };
        let after = match status {
            200..=299 => self.random.millis(0, 300),
            // RFC 3261 §14.1, §14.2: later, whoever owns the Call-ID.
            491 | 500 => {
                self.script.tries += 1;
                self.script.steps.push_front(step);
                self.random.millis(2_100, 4_000)
            }
            _ => {
                self.script.steps.clear();
                return;
            }
        };
        self.arm(now + after, Timer::Act(Action::HoldStep), out);
    }

    /// The answer to an offer that our offerless INVITE brought.
    pub(super) fn answer_bare(&mut self) -> String {
        match self.step_sent {
            Some(Step::Bare(direction, music)) => {
                let local = if music {
                    machine(
                        self.local.ip(),
                        MUSIC + 10 * u8::try_from(self.number % 15).unwrap_or(0),
                    )
                } else {
                    self.media.home
                };
                self.media.move_to(local, &mut self.random);
                self.media.say(&[], Some(direction), true)
            }
            Some(Step::Offer(_)) | None => self.media.answer(),
        }
    }

    /// True while an offer is open in this dialog, in either direction.
    pub(crate) fn is_negotiating(&self) -> bool {
        // The INVITE is open, and what it was to agree upon is agreed.
        let is_early = self.state == State::Inviting && self.early.is_answered;
        let is_open = |method: &str| method == "UPDATE" || (method == "INVITE" && !is_early);
        let ours = self
            .clients
            .iter()
            .any(|client| is_open(&client.method) && client.final_status.is_none());
        let theirs = self
            .servers
            .iter()
            .any(|server| server.method == "INVITE" && !server.acknowledged);
        ours || (theirs && !is_early)
    }

    /// An UPDATE with an offer, where no other one is open, and before the answer where offer and answer
    /// were exchanged reliably (RFC 3311 §5.1).
    pub(super) fn update(&mut self, now: SimTime, direction: Direction, out: &mut Outbox) {
        let is_early = self.state == State::Inviting && self.early.is_answered;
        if (self.state == State::Answered || is_early) && !self.is_negotiating() {
            let before = self.before();
            let body = self.media.offer(direction);
            self.request_instead_of(now, "UPDATE", (body, before), out);
        }
    }

    /// An UPDATE of the other side's: its answer, or why there is none (RFC 3311 §5.2).
    pub(super) fn handle_update(&mut self, now: SimTime, branch: &str, out: &mut Outbox) {
        let Some(session) = self.session_asked(branch, "UPDATE") else {
            return self.respond_unless_manual(now, branch, "UPDATE", 200, out);
        };
        if self.plan.manual {
            return self.connect(now, &session, out);
        }
        let is_open = |client: &Client| {
            matches!(client.method.as_str(), "INVITE" | "UPDATE") && client.final_status.is_none()
        };
        if self.clients.iter().any(is_open) {
            return self.respond(now, branch, "UPDATE", 491, None, out);
        }
        if self.is_negotiating() {
            return self.respond(now, branch, "UPDATE", 500, None, out);
        }
        self.connect(now, &session, out);
        let body = self.media.answer();
        self.respond(now, branch, "UPDATE", 200, Some(body), out);
    }

    /// What this side says of itself now, to come back to where an offer of its own is refused.
    pub(super) const fn before(&self) -> Before {
        Before {
            local: self.media.local,
            direction: self.media.direction,
        }
    }

    /// The offer of this request was refused: nothing has changed (RFC 3261 §14.1).
    pub(super) fn take_back(&mut self, request: &Text, before: Before) {
        if Session::read(&request.body).is_some() {
            self.media.direction = before.direction;
            self.media.keys.take_back();
            self.media.move_to(before.local, &mut self.random);
        }
    }
}
