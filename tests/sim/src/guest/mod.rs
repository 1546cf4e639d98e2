//! A model guest: a page with its WebSocket, and the browser beneath it.
//!
//! Owns state and time; what it says is in `description`, what its browser does on the wire in `transport`,
//! keys in `handshake`, and what it will do in `plan`.

pub(crate) mod description;
pub(crate) mod handshake;
pub(crate) mod plan;
mod speech;
mod transport;

use std::net::SocketAddr;
use std::time::Duration;

use media::srtp::SrtpPlan;
use sip::sdp::{Direction, SessionDescription};
use sluice::call::browser::event::{BrowserInput, BrowserOutput, GuestState};

use self::description::Answer;
use self::plan::{Deed, GuestPlan};
use self::speech::Speech;
use self::transport::{Checked, Transport};
use crate::network::{Kind, Packet};
use crate::random::Generator;
use crate::time::SimTime;

/// What a guest wants of the world.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// To send.
    pub(crate) packets: Vec<Packet>,
    /// To say by its WebSocket.
    pub(crate) frames: Vec<BrowserInput>,
    /// Its call begins with this offer.
    pub(crate) call: Option<SessionDescription>,
    /// A WebSocket is gone without a word.
    pub(crate) lost_line: Option<u32>,
    /// Another one is there.
    pub(crate) new_line: Option<u32>,
    /// Its handshake has come to keys.
    pub(crate) keys: Option<SrtpPlan>,
    /// When to call `handle_deadline`.
    pub(crate) wakes: Vec<SimTime>,
}

/// How far a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has not called.
    Idle,
    /// It has a call, as far as it knows.
    Calling,
    /// Nothing more comes from it.
    Over,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Timer {
    Begin,
    Deed(Deed),
    Check,
    Shake,
    Voice,
    Back,
}

/// One guest and its call.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Its number in the world; stands in its RTP and is its key.
    pub(crate) number: u32,
    /// The call.
    pub(crate) call: u32,
    pub(crate) state: State,
    /// What it was told last of its call.
    pub(crate) told: Option<GuestState>,
    pub(crate) transport: Transport,
    pub(crate) speech: Speech,
    /// Its WebSocket, counted; `None`: it has none.
    pub(crate) line: Option<u32>,
    /// When offers and answers were exchanged, or a state was told, last.
    pub(crate) changed_at: SimTime,
    /// The number of the offer that is out.
    pub(crate) offered: Option<u32>,
    /// Its checks go to what an answer of then named.
    checked_since: Option<SimTime>,
    plan: GuestPlan,
    lines: u32,
    offers: u32,
    direction: Direction,
    wants_offer: bool,
    moves: u16,
    timers: Vec<(SimTime, Timer)>,
}

/// Between checks until one has nominated.
const CHECK_FAST: Duration = Duration::from_millis(100);
/// And afterwards.
const CHECK_SLOW: Duration = Duration::from_millis(2_500);
/// Without an answer for so long, a browser gives its transport up.
const GIVEN_UP: Duration = Duration::from_secs(25);
const VOICE: Duration = Duration::from_millis(20);

impl Guest {
    pub(crate) fn new(
        number: u32,
        call: u32,
        at: SocketAddr,
        plan: GuestPlan,
        random: &Generator,
    ) -> Self {
        Self {
            number,
            call,
            state: State::Idle,
            told: None,
            transport: Transport::new(at, random.split("transport")),
            speech: Speech::new(number, plan.voice_packets, random.split("speech")),
            line: None,
            changed_at: SimTime::ZERO,
            offered: None,
            checked_since: None,
            plan,
            lines: 0,
            offers: 0,
            direction: Direction::SendRecv,
            wants_offer: false,
            moves: 0,
            timers: Vec::new(),
        }
    }

    /// It will call then.
    pub(crate) fn call_at(&mut self, at: SimTime, out: &mut Outbox) {
        self.arm(at, Timer::Begin, out);
    }

    fn arm(&mut self, at: SimTime, timer: Timer, out: &mut Outbox) {
        self.timers.push((at, timer));
        out.wakes.push(at);
    }

    fn is_armed(&self, timer: &Timer) -> bool {
        self.timers.iter().any(|(_, armed)| armed == timer)
    }

    /// What is due, happens.
    pub(crate) fn handle_deadline(&mut self, now: SimTime, out: &mut Outbox) {
        let (due, later) = std::mem::take(&mut self.timers)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, _)| *at <= now);
        self.timers = later;
        for (_, timer) in due {
            if self.state == State::Over {
                break;
            }
            match timer {
                Timer::Begin => self.begin(now, out),
                Timer::Deed(deed) => self.act(now, deed, out),
                Timer::Check => self.check(now, out),
                Timer::Shake => self.transport.expire(now),
                Timer::Voice => self.speak(now, out),
                Timer::Back => self.come_back(out),
            }
        }
        self.settle(now, out);
    }

    fn begin(&mut self, now: SimTime, out: &mut Outbox) {
        self.state = State::Calling;
        self.lines = 1;
        self.line = Some(1);
        out.call = Some(self.offer(now));
        for (after, deed) in self.plan.deeds.clone() {
            self.arm(now + after, Timer::Deed(deed), out);
        }
    }

    fn offer(&mut self, now: SimTime) -> SessionDescription {
        self.offers += 1;
        self.offered = Some(self.offers);
        self.wants_offer = false;
        self.changed_at = now;
        let Transport {
            end, certificate, ..
        } = &self.transport;
        description::offer(
            self.offers,
            end,
            *certificate,
            self.direction,
            self.plan.has_camera,
        )
    }

    /// Offers, once nothing that was offered before waits for its answer.
    fn offer_anew(&mut self, now: SimTime, out: &mut Outbox) {
        if self.offered.is_some() || self.line.is_none() {
            self.wants_offer = true;
            return;
        }
        let offer = self.offer(now);
        out.frames.push(BrowserInput::Offer(Box::new(offer)));
    }

    fn act(&mut self, now: SimTime, deed: Deed, out: &mut Outbox) {
        match deed {
            Deed::HangUp if self.line.is_some() => out.frames.push(BrowserInput::HangUp),
            Deed::HangUp | Deed::Close => self.close(out),
            Deed::Vanish => {
                self.lose_line(out);
                self.state = State::Over;
            }
            Deed::LoseLine(back) => {
                self.lose_line(out);
                if let Some(after) = back {
                    self.arm(now + after, Timer::Back, out);
                }
            }
            Deed::Move(after) => {
                self.moves += 1;
                let port = self.transport.at.port() + self.moves;
                self.transport.at.set_port(port);
                self.transport.checked = Checked::No;
                self.lose_line(out);
                self.arm(now + after, Timer::Back, out);
            }
            Deed::Camera(is_on) => self.say(BrowserInput::Camera(is_on), out),
            Deed::Digits(digits) => self.say(BrowserInput::Digits(digits.to_owned()), out),
            Deed::Offer(direction) => {
                self.direction = direction;
                self.offer_anew(now, out);
            }
            Deed::Junk => {
                for bytes in self.speech.junk() {
                    self.send(bytes, out);
                }
            }
        }
    }

    fn say(&self, input: BrowserInput, out: &mut Outbox) {
        if self.line.is_some() {
            out.frames.push(input);
        }
    }

    /// The page is closed: what it can still say, it says.
    fn close(&mut self, out: &mut Outbox) {
        if self.line.is_some() {
            out.frames.push(BrowserInput::HangUp);
        }
        let last = self.transport.close();
        self.send(last, out);
        self.state = State::Over;
    }

    fn lose_line(&mut self, out: &mut Outbox) {
        out.lost_line = self.line.take().or(out.lost_line);
        self.offered = None;
    }

    fn come_back(&mut self, out: &mut Outbox) {
        if self.line.is_none() {
            self.lines += 1;
            self.line = Some(self.lines);
            out.new_line = self.line;
        }
    }

    /// The gateway has taken another WebSocket of it: ICE begins anew.
    pub(crate) fn welcome(&mut self, now: SimTime, out: &mut Outbox) {
        self.offered = None;
        self.transport.restart();
        self.offer_anew(now, out);
    }

    /// The gateway says something. `answers`: the offer that it had heard last.
    pub(crate) fn hear_word(
        &mut self,
        now: SimTime,
        word: &BrowserOutput,
        answers: u32,
        out: &mut Outbox,
    ) -> Result<(), String> {
        if self.state != State::Calling {
            return Ok(());
        }
        match word {
            BrowserOutput::Answer { description, .. } => {
                self.take_answer(now, description, answers, out)?;
            }
            BrowserOutput::OfferRefused { .. } => {
                self.offered = None;
                self.changed_at = now;
            }
            BrowserOutput::Renegotiate => self.offer_anew(now, out),
            BrowserOutput::State(state) => {
                self.told = Some(*state);
                self.changed_at = now;
            }
            BrowserOutput::Keypad(_) => {}
            BrowserOutput::Ended { .. } => self.state = State::Over,
        }
        if self.offered.is_none() && self.wants_offer && self.state == State::Calling {
            self.offer_anew(now, out);
        }
        self.settle(now, out);
        Ok(())
    }

    fn take_answer(
        &mut self,
        now: SimTime,
        description: &SessionDescription,
        answers: u32,
        out: &mut Outbox,
    ) -> Result<(), String> {
        let Some(offered) = self.offered.take() else {
            return Err("an answer where no offer is out".to_owned());
        };
        if offered != answers {
            return Err(format!("offer {offered} has the answer of offer {answers}"));
        }
        let answer = Answer::read(description).ok_or("an answer that no browser reads")?;
        self.changed_at = now;
        self.transport.take(&answer);
        self.speech.take(&answer, self.direction);
        self.checked_since = Some(now);
        if !self.plan.is_cut_off && !self.is_armed(&Timer::Check) {
            self.arm(now, Timer::Check, out);
        }
        Ok(())
    }

    fn check(&mut self, now: SimTime, out: &mut Outbox) {
        let heard = self.transport.answered_at.max(self.checked_since);
        if heard.is_some_and(|at| now.since(at) > GIVEN_UP) {
            return;
        }
        if let Some(check) = self.transport.check() {
            self.send(check, out);
        }
        let pause = if self.transport.checked == Checked::Nominated {
            CHECK_SLOW
        } else {
            CHECK_FAST
        };
        self.arm(now + pause, Timer::Check, out);
    }

    fn speak(&mut self, now: SimTime, out: &mut Outbox) {
        if let Some(voice) = self.speech.next()
            && let Some(bytes) = self.transport.protect(&voice)
        {
            self.send(bytes, out);
        }
        if self.speech.is_left() {
            self.arm(now + VOICE, Timer::Voice, out);
        }
    }

    /// A datagram of the gateway arrives where it is.
    pub(crate) fn hear(&mut self, now: SimTime, bytes: &[u8], out: &mut Outbox) {
        if self.state != State::Calling {
            return;
        }
        let was = self.transport.checked;
        if self.transport.hear(now, bytes).is_some() {
            self.speech.heard += 1;
        }
        if self.transport.checked != was {
            // The pair that was found is nominated at once.
            self.timers.retain(|(_, timer)| *timer != Timer::Check);
            self.arm(now, Timer::Check, out);
            self.changed_at = now;
        }
        self.settle(now, out);
    }

    /// What its handshake wants, and what follows from its keys.
    fn settle(&mut self, now: SimTime, out: &mut Outbox) {
        if self.state == State::Over {
            return;
        }
        let (said, keys) = self.transport.drain();
        for bytes in said {
            self.send(bytes, out);
        }
        if keys.is_some() {
            out.keys = keys;
            self.changed_at = now;
        }
        if let Some(at) = self.transport.deadline()
            && !self.timers.contains(&(at, Timer::Shake))
        {
            self.arm(at.max(now), Timer::Shake, out);
        }
        let talks = matches!(
            self.told,
            Some(GuestState::Connected | GuestState::EarlyMedia | GuestState::Held)
        );
        if talks
            && self.state == State::Calling
            && self.transport.has_keys()
            && self.speech.is_left()
            && !self.is_armed(&Timer::Voice)
        {
            self.arm(now + VOICE, Timer::Voice, out);
        }
    }

    fn send(&self, bytes: Vec<u8>, out: &mut Outbox) {
        let Some(target) = self.transport.gateway() else {
            return;
        };
        out.packets.push(Packet {
            kind: Kind::Media,
            source: self.transport.at,
            target,
            bytes,
            damaged: false,
        });
    }

    /// Both ends know since a while where the other is and what it speaks, and speak.
    pub(crate) fn is_settled(&self, now: SimTime, after: Duration) -> bool {
        self.state == State::Calling
            && self.told == Some(GuestState::Connected)
            && self.offered.is_none()
            && !self.wants_offer
            && self.transport.checked == Checked::Nominated
            && self.speech.heard > 0
            && self.speech.is_left()
            && now.since(self.changed_at) > after
    }
}
